import asyncio

import pytest

from aiogmail.testing import Fault
from tests.testing.support import ME, Wire, message, oauthbearer, on_server, xoauth2

CHALLENGE = "334 eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ=="


def on_smtp(login=True, **behaviour):
    """A test ``async def test(server, me, wire)`` after EHLO and AUTH; ``wire.sid`` is the session's id."""

    def decorate(test):
        @on_server(**behaviour)
        async def run(server, me):
            server.add_account("you@gmail.com")
            async with Wire(server, "smtp") as wire:
                wire.sid = (await wire.line()).split()[3]
                if login:
                    await wire.smtp("EHLO client")
                    await wire.smtp("AUTH XOAUTH2 " + xoauth2(me.access_token()))
                await test(server, me, wire)

        run.__name__ = test.__name__
        return run

    return decorate


async def envelope(wire, *recipients, sender=ME, params=""):
    await wire.smtp(f"MAIL FROM:<{sender}>{params}")
    return [(await wire.smtp(f"RCPT TO:<{address}>"))[-1] for address in recipients]


async def send(wire, raw, *recipients, sender=ME):
    await envelope(wire, *(recipients or ("you@gmail.com",)), sender=sender)
    await wire.smtp("DATA")
    wire.send(raw + b".\r\n")
    return await wire.reply()


MINE = message(From=ME, Message_ID="<m@mail.example.org>")


@on_smtp(login=False)
async def test_greeting_and_ehlo_word_for_word(server, me, wire):
    assert await wire.smtp("EHLO client") == [
        "250-smtp.gmail.com at your service, [127.0.0.1]",
        "250-SIZE 35882577",
        "250-8BITMIME",
        "250-AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH",
        "250-ENHANCEDSTATUSCODES",
        "250-PIPELINING",
        "250-CHUNKING",
        "250 SMTPUTF8",
    ]
    assert await wire.smtp("HELO client") == ["250 smtp.gmail.com at your service"]
    async with Wire(server, "smtp") as other:
        line = await other.line()
        assert line.startswith("220 smtp.gmail.com ESMTP ")
        assert line.endswith(" - gsmtp")


@pytest.mark.parametrize("verb", ["EHLO", "HELO"])
def test_an_empty_ehlo_ends_the_connection(verb):
    @on_smtp(login=False)
    async def run(server, me, wire):
        assert await wire.smtp(verb) == [f"501 5.5.4 Empty HELO/EHLO argument not allowed, closing connection. {wire.sid} - gsmtp"]
        assert await wire.line() is None

    run()


@on_smtp(login=False)
async def test_order_of_commands(server, me, wire):
    assert (await wire.smtp("MAIL FROM:<a@b.c>"))[0].startswith("503 5.5.1 EHLO/HELO first.")
    assert (await wire.smtp("AUTH XOAUTH2 x"))[0].startswith("503 5.5.1 EHLO/HELO first.")
    await wire.smtp("EHLO client")
    assert await wire.smtp("MAIL FROM:<me@gmail.com>") == [
        "530-5.7.0 Authentication Required. For more information, go to",
        f"530 5.7.0  https://support.google.com/mail/?p=WantAuthError {wire.sid} - gsmtp",
    ]
    for command in ("RCPT TO:<a@b.cd>", "DATA"):
        assert (await wire.smtp(command))[0].startswith("530-5.7.0")
    wire.send("BDAT 3 LAST\r\nabc")
    assert (await wire.reply())[0].startswith("530-5.7.0")
    assert (await wire.smtp("STARTTLS"))[0].startswith("502 5.5.1")


@on_smtp(login=False)
async def test_auth_with_every_mechanism(server, me, wire):
    me.app_password = "secret"
    token = me.access_token()
    for command, answers in (
        ("AUTH XOAUTH2 " + xoauth2(token), []),
        ("AUTH XOAUTH2", [xoauth2(token)]),
        ("AUTH OAUTHBEARER " + oauthbearer(token), []),
        ("AUTH PLAIN AG1lQGdtYWlsLmNvbQBzZWNyZXQ=", []),
        ("AUTH LOGIN", ["bWVAZ21haWwuY29t", "c2VjcmV0"]),
        ("AUTH LOGIN bWVAZ21haWwuY29t", ["c2VjcmV0"]),
    ):
        async with Wire(server, "smtp") as other:
            await other.line()
            await other.smtp("EHLO c")
            reply = await other.smtp(command)
            for answer in answers:
                assert reply[0].startswith("334 ")
                reply = await other.smtp(answer)
            assert reply == ["235 2.7.0 Accepted"]
            assert (await other.smtp("AUTH PLAIN x"))[0].startswith("503 5.7.0 No identity changes permitted.")


@on_smtp(login=False, password_login="plain", auth_tries=0)
async def test_refusals_of_auth_leave_the_connection_usable(server, me, wire):
    await wire.smtp("EHLO c")
    refused = [
        "535-5.7.8 Username and Password not accepted. For more information, go to",
        f"535 5.7.8  https://support.google.com/mail/?p=BadCredentials {wire.sid} - gsmtp",
    ]
    assert await wire.smtp("AUTH XOAUTH2 " + xoauth2("bad")) == [CHALLENGE]
    assert await wire.smtp("") == refused
    scope = me.access_token(scope="https://www.googleapis.com/auth/gmail.send")
    assert await wire.smtp("AUTH XOAUTH2 " + xoauth2(scope)) == [CHALLENGE]
    assert await wire.smtp("") == refused
    assert await wire.smtp("AUTH PLAIN AG1lQGdtYWlsLmNvbQB3cm9uZw==") == refused
    me.configure(password_login="application")
    assert await wire.smtp("AUTH PLAIN AG1lQGdtYWlsLmNvbQB3cm9uZw==") == [
        "534-5.7.9 Application-specific password required. For more information, go to",
        f"534 5.7.9  https://support.google.com/mail/?p=InvalidSecondFactor {wire.sid} - gsmtp",
    ]
    me.configure(password_login="web")
    assert (await wire.smtp("AUTH PLAIN AG1lQGdtYWlsLmNvbQB3cm9uZw=="))[0].startswith(
        "534-5.7.14 <https://accounts.google.com/signin/continue"
    )
    assert (await wire.smtp("AUTH XOAUTH2 !!!"))[0].startswith("501 5.5.2 Cannot Decode response")
    assert (await wire.smtp("AUTH CRAM-MD5"))[0].startswith("504 5.7.4 Unrecognized Authentication Type")
    await wire.smtp("AUTH LOGIN")
    assert (await wire.smtp("*"))[0].startswith("501 5.7.0")
    assert await wire.smtp("RSET") == [f"250 2.1.5 Flushed {wire.sid} - gsmtp"]
    me.configure(login_rate=0)
    assert (await wire.smtp("AUTH XOAUTH2 " + xoauth2(me.access_token())))[0].startswith(
        "454 4.7.0 Too many login attempts, please try again later."
    )
    me.configure(login_rate=None)
    assert await wire.smtp("AUTH XOAUTH2 " + xoauth2(me.access_token())) == ["235 2.7.0 Accepted"]


@on_smtp()
async def test_a_transaction_word_for_word(server, me, wire):
    assert await wire.smtp("MAIL FROM:<me@gmail.com> SIZE=100 BODY=8BITMIME") == [f"250 2.1.0 OK {wire.sid} - gsmtp"]
    assert await wire.smtp("RCPT TO:<you@gmail.com>") == [f"250 2.1.5 OK {wire.sid} - gsmtp"]
    assert await wire.smtp("DATA") == [f"354  Go ahead {wire.sid} - gsmtp"]
    wire.send(MINE + b".\r\n")
    assert await wire.reply() == [f"250 2.0.0 OK  1767225600 {wire.sid} - gsmtp"]
    assert await wire.smtp("NOOP") == [f"250 2.0.0 OK {wire.sid} - gsmtp"]
    assert (await wire.smtp("VRFY x"))[0].startswith("252 2.1.5")
    assert (await wire.smtp("HELP"))[0].startswith("214 2.0.0")
    assert await wire.smtp("QUIT") == [f"221 2.0.0 closing connection {wire.sid} - gsmtp"]
    assert await wire.line() is None
    (record,) = me.ledger.submissions
    assert (record.sender, record.recipients, record.raw, record.message_id) == (ME, ("you@gmail.com",), MINE, "<m@mail.example.org>")
    assert server.account("you@gmail.com").messages[0].labels == {"\\Inbox"}
    assert me.messages[0].labels == {"\\Sent"}
    assert me.messages[0].popped


@on_smtp()
async def test_dots_are_unstuffed_and_only_crlf_dot_crlf_ends_a_message(server, me, wire):
    body = "..\r\n...two\r\nlf\n.\nstill\r\n"
    await send(wire, message(From=ME, Message_ID="<m@mail.example.org>", body=body))
    assert me.ledger.submissions[0].raw.endswith(b"\r\n\r\n.\r\n..two\r\nlf\r\n.\r\nstill\r\n")
    await envelope(wire, "you@gmail.com")
    await wire.smtp("DATA")
    wire.send(".\r\n")
    assert (await wire.reply())[0].startswith("250 2.0.0 OK")
    assert len(me.ledger.submissions) == 2


@on_smtp()
async def test_pipelining(server, me, wire):
    wire.send("MAIL FROM:<me@gmail.com>\r\nRCPT TO:<you@gmail.com>\r\nRCPT TO:<bad>\r\nDATA\r\n")
    codes = [(await wire.reply())[0][:3] for _ in range(4)]
    assert codes == ["250", "250", "553", "354"]
    wire.send(MINE + b".\r\nQUIT\r\n")
    assert [(await wire.reply())[0][:3] for _ in range(2)] == ["250", "221"]
    assert me.ledger.submissions[0].refused == ("bad",)


@on_smtp()
async def test_chunking(server, me, wire):
    await envelope(wire, "you@gmail.com")
    half = len(MINE) // 2
    wire.send(f"BDAT {half}\r\n".encode() + MINE[:half] + f"BDAT {len(MINE) - half} LAST\r\n".encode() + MINE[half:])
    assert await wire.reply() == [f"250 2.0.0 OK {wire.sid} - gsmtp"]
    assert await wire.reply() == [f"250 2.0.0 OK  1767225600 {wire.sid} - gsmtp"]
    assert me.ledger.submissions[0].raw == MINE
    assert server.ledger.verbs("smtp")[-2:] == ["BDAT", "MESSAGE"]
    wire.send("BDAT 1\r\nx")
    assert (await wire.reply())[0].startswith("503 5.5.1 MAIL first.")
    await wire.smtp("MAIL FROM:<me@gmail.com>")
    wire.send("BDAT 1\r\nx")
    assert (await wire.reply())[0].startswith("503 5.5.1 RCPT first.")
    await wire.smtp("RCPT TO:<you@gmail.com>")
    wire.send("BDAT 1\r\nx")
    await wire.reply()
    assert (await wire.smtp("DATA"))[0].startswith("503 5.5.1 Bad sequence of commands.")
    assert (await wire.smtp("BDAT x"))[0].startswith("501 5.5.4")
    assert await wire.line() is None


@on_smtp(message_size_limit=1000)
async def test_sizes(server, me, wire):
    assert (await wire.smtp("MAIL FROM:<me@gmail.com> SIZE=1001"))[0].startswith(
        "552-5.3.4 Your message exceeded Google's message size limits."
    )
    big = message(From=ME, body="x" * 1500 + "\r\n")
    assert (await send(wire, big))[0].startswith("552-5.3.4")
    await envelope(wire, "you@gmail.com")
    wire.send(f"BDAT {len(big)} LAST\r\n".encode() + big)
    assert (await wire.reply())[0].startswith("552-5.3.4")
    await envelope(wire, "you@gmail.com")
    wire.send("BDAT 999999999\r\n")
    assert (await wire.reply())[0].startswith("552-5.3.4")
    assert await wire.line() is None
    assert not me.ledger.submissions


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("MAIL FROM:me@gmail.com", "555 5.5.2 Syntax error."),
        ("MAIL FROM:<Me <me@gmail.com>>", "555 5.5.2 Syntax error."),
        ("MAIL FROM:<me@gmail.com> RET", "250"),
        ("MAIL FROM:<me@gmail.com> NONSENSE=1", "555 5.5.2 Syntax error."),
        ("MAIL FROM:<me@gmail.com> SIZE=x", "555 5.5.2 Syntax error."),
        ("MAIL FROM:<mé@gmail.com>", "553 5.6.7"),
        ("MAIL FROM:<mé@gmail.com> SMTPUTF8", "250 2.1.0"),
        ("RCPT TO:<a@b.cd>", "503 5.5.1 MAIL first."),
        ("DATA", "503 5.5.1 MAIL first."),
        ("DATA x", "555 5.5.2"),
        ("NONSENSE", "502 5.5.1 Unrecognized command."),
    ],
)
def test_commands_that_are_refused(command, reply):
    @on_smtp()
    async def run(server, me, wire):
        assert (await wire.smtp(command))[0].startswith(reply)

    run()


@on_smtp(max_recipients=2)
async def test_recipients(server, me, wire):
    server.hub.refused_recipients["gone@gmail.com"] = "550 5.1.1 The email account that you tried to reach does not exist."
    replies = await envelope(
        wire, "gone@gmail.com", "a b@x.org", "jö@example.org", "one@example.org", "two@example.org", "three@example.org"
    )
    assert [reply[:9] for reply in replies] == ["550 5.1.1", "553 5.1.3", "553 5.1.3", "250 2.1.5", "250 2.1.5", "452 4.5.3"]
    assert (await wire.smtp("MAIL FROM:<me@gmail.com>"))[0].startswith("503 5.5.1 Bad sequence of commands.")
    assert (await wire.smtp("RCPT TO:x"))[0].startswith("555 5.5.2")
    await wire.smtp("RSET")
    await wire.smtp("MAIL FROM:<me@gmail.com>")
    assert (await wire.smtp("DATA"))[0].startswith("503 5.5.1 RCPT first.")


@on_smtp()
async def test_too_many_unknown_commands_end_the_connection(server, me, wire):
    for _ in range(9):
        await wire.smtp("X")
    assert (await wire.smtp("X"))[0].startswith("502 5.5.1 Too many unrecognized commands, goodbye.")
    assert await wire.line() is None


@on_smtp()
async def test_headers_are_set_right(server, me, wire):
    await send(wire, message(From="Someone <else@example.org>", Message_ID="<broken@host>"))
    stored = me.messages[0]
    assert stored.header("From") == '"Someone" <me@gmail.com>'
    assert stored.header("X-Google-Original-From") == "Someone <else@example.org>"
    assert stored.message_id.endswith("@mx.google.com>")
    assert stored.header("X-Google-Original-Message-ID") == "<broken@host>"
    await send(wire, b"Subject: bare\r\n\r\nbody\r\n")
    assert me.messages[1].header("From") == ME
    assert me.messages[1].message_id.endswith("@mx.google.com>")
    me.aliases.add("alias@example.org")
    await send(wire, message(From="alias@example.org", Message_ID="<a@mail.example.org>"))
    assert me.messages[2].header("From") == "alias@example.org"


@on_smtp()
async def test_bcc_stays_in_the_sent_copy_and_goes_nowhere_else(server, me, wire):
    await send(wire, message(From=ME, Bcc="you@gmail.com", Message_ID="<b@mail.example.org>"))
    assert b"Bcc" in me.messages[0].raw
    assert b"Bcc" not in server.account("you@gmail.com").messages[0].raw


@on_smtp()
async def test_mail_to_oneself_is_one_message_in_inbox_and_sent(server, me, wire):
    await send(wire, MINE, ME)
    assert [stored.labels for stored in me.messages] == [{"\\Inbox", "\\Sent"}]


@on_smtp()
async def test_a_second_delivery_of_a_message_is_suppressed_even_from_the_bin(server, me, wire):
    you = server.account("you@gmail.com")
    await send(wire, MINE)
    you.move(you.messages[0], you.inbox, you.trash)
    await send(wire, MINE)
    assert [stored.labels for stored in you.messages] == [{"\\Trash"}]
    assert len(me.ledger.submissions) == 2
    assert len(you.ledger.deliveries) == 1


@on_smtp(sent_copy_delay=30, delivery_delay=60)
async def test_copies_and_deliveries_may_take_their_time(server, me, wire):
    you = server.account("you@gmail.com")
    await send(wire, MINE)
    assert (me.messages, you.messages) == ((), ())
    await asyncio.sleep(31)
    assert len(me.messages) == 1
    await asyncio.sleep(31)
    assert len(you.messages) == 1
    await send(wire, message(From=ME, Message_ID="<late@mail.example.org>"))


@on_smtp(sent_copy=False)
async def test_a_relay_files_no_copy(server, me, wire):
    await send(wire, MINE)
    assert me.messages == ()


@on_smtp(messages_per_connection=1)
async def test_a_connection_takes_so_many_messages(server, me, wire):
    await send(wire, MINE)
    assert await wire.smtp("MAIL FROM:<me@gmail.com>") == [f"421 4.7.0 Temporary System Problem. Try again later (10). {wire.sid} - gsmtp"]
    assert await wire.line() is None


@on_smtp(daily_sending_limit=1)
async def test_an_account_sends_so_many_a_day(server, me, wire):
    await send(wire, MINE)
    reply = await wire.smtp("MAIL FROM:<me@gmail.com>")
    assert reply[0].startswith("550-5.4.5 Daily user sending limit exceeded.")
    assert {line[:9].replace("-", " ") for line in reply} == {"550 5.4.5"}


@on_smtp(smtp_idle_timeout=300)
async def test_an_idle_connection_holds_a_stale_451_as_the_answer_to_the_next_command(server, me, wire):
    await asyncio.sleep(301)
    wire.send("MAIL FROM:<me@gmail.com>\r\n")
    assert await wire.line() == f"451 4.4.2 Timeout - closing connection. {wire.sid} - gsmtp"
    assert await wire.line() is None


@on_smtp(smtp_idle_timeout=None, token_lifetime=3600)
async def test_a_session_ends_with_its_token(server, me, wire):
    assert (await wire.line()).startswith("421 4.7.0 Connection expired, try reconnecting")


@on_smtp()
async def test_a_line_without_end(server, me, wire):
    wire.send("x" * 20_000)
    assert (await wire.line()).startswith("500 5.5.6")


@on_smtp()
async def test_faults_around_the_final_dot(server, me, wire):
    server.faults.add(Fault("close", "MESSAGE"))
    await envelope(wire, "you@gmail.com")
    await wire.smtp("DATA")
    wire.send(MINE + b".\r\n")
    assert await wire.line() is None
    assert not me.ledger.submissions
    for action, count in (("close", 1), ("answer", 2)):
        async with Wire(server, "smtp") as other:
            await other.line()
            await other.smtp("EHLO c")
            await other.smtp("AUTH XOAUTH2 " + xoauth2(me.access_token()))
            server.faults.add(Fault(action, "MESSAGE", point="reply", byte=0, text="451 4.3.0 Mail server temporarily rejected message."))
            reply = await send(other, MINE)
            assert reply == ([] if action == "close" else ["451 4.3.0 Mail server temporarily rejected message."])
            assert len(me.ledger.submissions) == count


@on_smtp()
async def test_faults_in_the_message_and_in_bdat(server, me, wire):
    server.faults.add(Fault("close", "MESSAGE", byte=50))
    await envelope(wire, "you@gmail.com")
    await wire.smtp("DATA")
    wire.send(MINE[:100])
    assert await wire.line() is None
    async with Wire(server, "smtp") as other:
        await other.line()
        await other.smtp("EHLO c")
        await other.smtp("AUTH XOAUTH2 " + xoauth2(me.access_token()))
        await envelope(other, "you@gmail.com")
        server.faults.add(Fault("answer", "MESSAGE", text="452 4.3.1 No"))
        other.send(f"BDAT {len(MINE)} LAST\r\n".encode() + MINE)
        assert await other.reply() == ["452 4.3.1 No"]
    assert not me.ledger.submissions


@on_smtp()
async def test_faults_at_the_greeting_and_a_farewell(server, me, wire):
    server.faults.add(Fault("answer", "CONNECT", protocol="smtp", text="421 4.7.0 Try again later, closing connection."))
    async with Wire(server, "smtp") as other:
        assert await other.line() == "421 4.7.0 Try again later, closing connection."
    server.faults.add(Fault("bye", "NOOP"))
    assert await wire.smtp("NOOP") == ["421 4.7.0 Connection expired, try reconnecting"]


def test_starttls_is_required_on_587_and_forgets_what_came_before():
    @on_server(tls=True)
    async def run(server, me):
        async with Wire(server, "submission") as wire:
            await wire.line()
            assert "250-STARTTLS" in await wire.smtp("EHLO c")
            for command in ("AUTH XOAUTH2 x", "MAIL FROM:<me@gmail.com>", "RCPT TO:<a@b.cd>"):
                assert (await wire.smtp(command))[0].startswith("530 5.7.0 Must issue a STARTTLS command first.")
            assert (await wire.smtp("STARTTLS x"))[0].startswith("555 5.5.2")
            assert await wire.smtp("STARTTLS") == ["220 2.0.0 Ready to start TLS"]
            await wire.writer.start_tls(server.ssl_context, server_hostname="localhost")
            assert (await wire.smtp("MAIL FROM:<me@gmail.com>"))[0].startswith("503 5.5.1 EHLO/HELO first.")
            assert any(line.startswith("250-AUTH") for line in await wire.smtp("EHLO c"))
            assert await wire.smtp("AUTH XOAUTH2 " + xoauth2(me.access_token())) == ["235 2.7.0 Accepted"]
        async with Wire(server, "submission") as wire:
            await wire.line()
            await wire.smtp("EHLO c")
            wire.send("STARTTLS\r\nNOOP\r\n")
            assert (await wire.line()).startswith("454 4.5.0 SMTP protocol violation, no commands allowed to pipeline after STARTTLS")
        async with Wire(server, "submission") as wire:
            await wire.line()
            await wire.smtp("EHLO c")
            await wire.smtp("STARTTLS")
            wire.send("no TLS at all\r\n")
            assert await wire.reader.read() is not None

    run()


@on_smtp(daily_sending_limit=1)
async def test_the_daily_limit_is_that_of_the_last_24_hours(server, me, wire):
    await send(wire, MINE)
    assert me.sent_today == 1
    server.hub.now = lambda: 90_000.0
    assert me.sent_today == 0
    assert (await wire.smtp("MAIL FROM:<me@gmail.com>"))[0].startswith("250")


@on_smtp()
async def test_a_size_beyond_all_measure_is_a_syntax_error(server, me, wire):
    assert (await wire.smtp("MAIL FROM:<me@gmail.com> SIZE=" + "9" * 5000))[0].startswith("555 5.5.2")
    assert (await wire.smtp("MAIL FROM:<a\rb@gmail.com>"))[0].startswith("555 5.5.2")


@on_smtp(message_size_limit=1000)
async def test_chunks_beyond_the_limit_are_not_kept(server, me, wire):
    await wire.smtp("MAIL FROM:<me@gmail.com>")
    await wire.smtp("RCPT TO:<you@example.com>")
    for _ in range(5):
        wire.send(b"BDAT 900\r\n" + b"x" * 900)
        assert (await wire.reply())[0].startswith("250")
    wire.send(b"BDAT 0 LAST\r\n")
    assert (await wire.reply())[0].startswith("552-5.3.4")
    assert me.messages == ()


@on_smtp()
async def test_a_header_that_stands_twice_is_refused(server, me, wire):
    for line in ("MAIL FROM:<me@gmail.com>", "RCPT TO:<you@example.com>", "DATA"):
        await wire.smtp(line)
    reply = await wire.smtp("Subject: a\r\nFrom: me@gmail.com\r\nsubject: b\r\n\r\n.")
    assert reply[0] == "550-5.7.1 This message is not RFC 5322 compliant. There are multiple Subject headers."
    assert server.ledger.submissions == []


@on_smtp()
async def test_a_recipient_without_room_is_refused_for_now(server, me, wire):
    server.add_account("full@gmail.com").configure(quota=0)
    await wire.smtp("MAIL FROM:<me@gmail.com>")
    assert (await wire.smtp("RCPT TO:<full@gmail.com>"))[0].startswith("452-4.2.2 The recipient's inbox is out of storage space.")


@on_server(auth_tries=2)
async def test_after_so_many_failed_logins_the_connection_goes(server, me):
    async with Wire(server, "smtp") as wire:
        await wire.reply()
        await wire.smtp("EHLO me")
        for _ in range(2):
            assert (await wire.smtp("AUTH XOAUTH2 " + xoauth2("x")))[0].startswith("334")
            assert (await wire.smtp(""))[0].startswith("535")
        assert await wire.line() is None


@on_server()
async def test_recent_is_for_pop3_alone(server, me):
    token = me.access_token()
    async with Wire(server, "smtp") as wire:
        await wire.reply()
        await wire.smtp("EHLO me")
        assert (await wire.smtp("AUTH XOAUTH2 " + xoauth2(token, f"recent:{ME}")))[0].startswith("334")
    async with Wire(server) as wire:
        await wire.line()
        assert (await wire.cmd("AUTHENTICATE XOAUTH2 " + xoauth2(token, f"recent:{ME}")))[0].startswith("+ ")
    async with Wire(server, "pop3") as wire:
        await wire.line()
        assert await wire.pop("AUTH XOAUTH2 " + xoauth2(token, f"recent:{ME}")) == ["+OK Welcome."]
