import pytest

from aiogmail.testing import Fault
from tests.testing.support import ME, Wire, oauthbearer, on_imap, on_server, xoauth2

CHALLENGE = "+ eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ=="
REFUSED = "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"
AFTER = (
    "* CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS ENABLE MOVE CONDSTORE ESEARCH UTF8=ACCEPT "
    "LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE APPENDLIMIT=35651584"
)


@on_server()
async def test_capabilities_before_login(server, me):
    async with Wire(server) as wire:
        await wire.line()
        assert (await wire.cmd("CAPABILITY"))[0] == (
            "* CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR "
            "AUTH=XOAUTH2 AUTH=PLAIN AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER"
        )


@on_server()
async def test_xoauth2_with_an_initial_response(server, me):
    async with Wire(server) as wire:
        await wire.line()
        assert await wire.cmd("AUTHENTICATE XOAUTH2 " + xoauth2(me.access_token())) == [AFTER, "OK me@gmail.com authenticated (Success)"]
        assert (await wire.cmd("CAPABILITY"))[0] == AFTER


@on_server()
async def test_xoauth2_without_an_initial_response_is_asked_for_by_plus_and_space(server, me):
    async with Wire(server) as wire:
        await wire.line()
        wire.send("A AUTHENTICATE XOAUTH2\r\n")
        assert await wire.line() == "+ "
        wire.send(xoauth2(me.access_token()) + "\r\n")
        assert (await wire.until("A"))[-1] == "OK me@gmail.com authenticated (Success)"


@on_server()
async def test_oauthbearer(server, me):
    async with Wire(server) as wire:
        await wire.line()
        assert (await wire.cmd("AUTHENTICATE OAUTHBEARER " + oauthbearer(me.access_token())))[
            -1
        ] == "OK me@gmail.com authenticated (Success)"


async def _refused(server, blob, mechanism="XOAUTH2", answer=""):
    async with Wire(server) as wire:
        await wire.line()
        assert await wire.cmd(f"AUTHENTICATE {mechanism} {blob}", tag="A") == [CHALLENGE]
        wire.send(answer + "\r\n")
        return await wire.until("A")


@on_server()
async def test_a_bad_token_meets_the_challenge_and_then_no_whatever_is_wrong_with_it(server, me):
    server.add_account("you@gmail.com")
    expired = me.access_token(lifetime=-1)
    wrong_scope = me.access_token(scope="https://www.googleapis.com/auth/gmail.send")
    for token in ("nonsense", expired, wrong_scope, server.access_token("you@gmail.com")):
        assert await _refused(server, xoauth2(token)) == [REFUSED]
    revoked = me.access_token()
    me.revoke()
    assert await _refused(server, xoauth2(revoked)) == [REFUSED]
    assert await _refused(server, xoauth2("t", "nobody@gmail.com")) == [REFUSED]


@on_server()
async def test_oauthbearer_is_answered_by_control_a(server, me):
    assert await _refused(server, oauthbearer("t"), "OAUTHBEARER", "AQ==") == [REFUSED]
    assert await _refused(server, oauthbearer("t"), "OAUTHBEARER", "") == [REFUSED]
    assert (await _refused(server, oauthbearer("t"), "OAUTHBEARER", "AAAA"))[0].startswith("BAD Invalid SASL argument.")


@on_server()
async def test_another_answer_to_the_challenge_is_bad(server, me):
    assert (await _refused(server, xoauth2("t"), answer="QUQ="))[0].startswith("BAD Invalid SASL argument.")


@on_server(auth_tries=0)
async def test_after_a_refusal_the_connection_takes_another_try(server, me):
    async with Wire(server) as wire:
        await wire.line()
        for blob in ("!!!", "AAAA", "dXNlcj0BAQ==", "AQ== AQ=="):
            assert (await wire.cmd(f"AUTHENTICATE XOAUTH2 {blob}"))[0].startswith("BAD ")
        assert (await wire.cmd("AUTHENTICATE OAUTHBEARER eCxhPW1lLAFhdXRoPUJlYXJlciB0AQE="))[0].startswith("BAD Invalid SASL argument.")
        assert (await wire.cmd("AUTHENTICATE PLAIN AAAA"))[0].startswith("BAD Invalid SASL argument.")
        assert (await wire.cmd("AUTHENTICATE XOAUTH2 /w=="))[0].startswith("BAD Invalid SASL argument.")
        assert (await wire.cmd("AUTHENTICATE KERBEROS_V4"))[0].startswith("BAD Unknown SASL method")
        wire.send("A AUTHENTICATE XOAUTH2\r\n")
        await wire.line()
        wire.send("*\r\n")
        assert (await wire.until("A"))[0].startswith("BAD AUTHENTICATE cancelled.")
        assert (await wire.cmd("AUTHENTICATE XOAUTH2 " + xoauth2(me.access_token())))[-1].startswith("OK")
        assert await wire.cmd("LOGIN a b") == ["BAD LOGIN not allowed now."]


@on_server(auth_tries=2)
async def test_too_many_tries_end_the_connection(server, me):
    async with Wire(server) as wire:
        await wire.line()
        await wire.cmd("LOGIN me@gmail.com wrong")
        assert await wire.cmd("LOGIN nobody@gmail.com wrong") == [REFUSED]
        assert (await wire.line()).startswith("* BYE ")


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("application", ["NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)"]),
        (
            "web",
            [
                "* NO [WEBALERT https://accounts.google.com/signin/continue?sarp=1&scc=1&plt=AKgnsbt] Web login required.",
                "NO [ALERT] Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754 (Failure)",
            ],
        ),
        ("plain", [REFUSED]),
    ],
)
def test_passwords_are_refused_in_googles_words(kind, lines):
    @on_server(password_login=kind)
    async def run(server, me):
        async with Wire(server) as wire:
            await wire.line()
            assert await wire.cmd("LOGIN me@gmail.com secret") == lines

    run()


@on_server()
async def test_an_app_password_is_let_in(server, me):
    me.app_password = "abcdefgh"
    async with Wire(server) as wire:
        await wire.line()
        assert (await wire.cmd('LOGIN me@gmail.com "abcd efgh"'))[-1] == "OK me@gmail.com authenticated (Success)"
    async with Wire(server) as wire:
        await wire.line()
        assert (await wire.cmd("AUTHENTICATE PLAIN AG1lQGdtYWlsLmNvbQBhYmNkZWZnaA=="))[-1].startswith("OK")


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        (
            {"imap_enabled": False},
            "NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page and enable your account for IMAP access. (Failure)",
        ),
        (
            {"domain_imap_enabled": False},
            "NO [ALERT] IMAP access is disabled for your domain. Please contact your domain administrator. (Failure)",
        ),
        ({"max_connections": 0}, "NO [ALERT] Too many simultaneous connections. (Failure)"),
        ({"login_rate": 0}, "NO [ALERT] Account exceeded command or bandwidth limits. (Failure)"),
    ],
)
def test_who_may_not_log_in_is_told_why(behaviour, text):
    @on_server(**behaviour)
    async def run(server, me):
        async with Wire(server) as wire:
            await wire.line()
            assert await wire.cmd("AUTHENTICATE XOAUTH2 " + xoauth2(me.access_token())) == [text]

    run()


@on_server()
async def test_the_sixteenth_connection_is_refused_and_a_closed_one_makes_room(server, me):
    wires = [await Wire(server).open() for _ in range(16)]
    for wire in wires[:15]:
        await wire.login()
    await wires[15].line()
    command = "AUTHENTICATE XOAUTH2 " + xoauth2(me.access_token())
    assert await wires[15].cmd(command) == ["NO [ALERT] Too many simultaneous connections. (Failure)"]
    assert me.session_count() == 15
    await wires[0].cmd("LOGOUT")
    assert (await wires[15].cmd(command))[-1].startswith("OK")
    for wire in wires:
        await wire.close()


@on_server(login_rate=2, login_window=60)
async def test_logins_are_counted_within_their_window(server, me):
    import asyncio

    for expected in ("OK", "OK", "NO"):
        async with Wire(server) as wire:
            await wire.line()
            assert (await wire.cmd("AUTHENTICATE XOAUTH2 " + xoauth2(me.access_token())))[-1].startswith(expected)
    await asyncio.sleep(61)
    async with Wire(server) as wire:
        await wire.login()
        assert me.session_count() == 1


@on_server()
async def test_id_is_allowed_before_and_after_login(server, me):
    expected = (
        '* ID ("name" "GImap" "vendor" "Google, Inc." "support-url" "https://support.google.com/mail" '
        '"version" "gmail_imap_200428.12_p0" "remote-host" "127.0.0.1")'
    )
    async with Wire(server) as wire:
        sid = (await wire.line()).split()[-1]
        assert await wire.cmd('ID ("name" "x" "os" NIL)') == [expected, f"OK Success {sid}"]
        await wire.cmd("AUTHENTICATE XOAUTH2 " + xoauth2(me.access_token()))
        assert await wire.cmd("ID NIL") == [expected, "OK Success"]


@on_imap()
async def test_namespace_quota_enable_and_logout(server, me, wire):
    me.deliver(b"x" * 3000)
    assert await wire.cmd("NAMESPACE") == ['* NAMESPACE (("" "/")) NIL NIL', "OK Success"]
    assert await wire.cmd("GETQUOTAROOT INBOX") == ['* QUOTAROOT "INBOX" ""', '* QUOTA "" (STORAGE 2 15728640)', "OK Success"]
    assert await wire.cmd('GETQUOTA ""') == ['* QUOTA "" (STORAGE 2 15728640)', "OK Success"]
    assert await wire.cmd("ENABLE UTF8=ACCEPT") == ["* ENABLED UTF8=ACCEPT", "OK Success"]
    assert await wire.cmd("ENABLE CONDSTORE QRESYNC") == ["* ENABLED CONDSTORE", "OK Success"]
    assert await wire.cmd("ENABLE") == ["BAD Could not parse command"]
    assert await wire.cmd("LOGOUT", tag="Z") == ["* BYE LOGOUT Requested", "OK 73 good day (Success)"]
    assert await wire.line() is None
    assert me.ledger.connections[0].reason == "logout"


@on_server()
async def test_a_fault_in_authenticate_counts_as_any_other(server, me):
    server.faults.add(Fault("answer", "AUTHENTICATE", text="NO [UNAVAILABLE] Temporary System Problem. Try again later (Failure)"))
    async with Wire(server) as wire:
        await wire.line()
        assert (await wire.cmd("AUTHENTICATE XOAUTH2 " + xoauth2(me.access_token())))[-1].startswith("NO [UNAVAILABLE]")
        assert (await wire.cmd("AUTHENTICATE XOAUTH2 " + xoauth2(me.access_token(), ME.upper())))[-1].startswith("NO") is False
