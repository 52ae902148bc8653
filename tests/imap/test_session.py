"""How a connection is opened, and what its server says at the door."""

import asyncio
import base64
import logging
from dataclasses import replace

import pytest

from aiogmail import errors
from aiogmail.imap.commands import Noop
from aiogmail.imap.session import ImapSession
from aiogmail.ports import Credential
from aiogmail.secret import Secret
from aiogmail.settings import Endpoint
from tests.support.aio import virtual
from tests.support.scripted import ScriptedImap, ScriptedServer

ADDRESS = "me@example.org"


class Source:
    """Hands out credentials in turn; the last one again and again."""

    def __init__(self, *tokens, mechanism="XOAUTH2"):
        self.tokens = list(tokens or ("good",))
        self.mechanism = mechanism
        self.refusals = []

    async def get(self, min_ttl):
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        return Credential(self.mechanism, Secret(token))

    def refused(self, credential):
        self.refusals.append(credential.secret.reveal())


async def opened(server, source=None, *, eager=True, **changes):
    return await ImapSession.open(ADDRESS, source or Source(), replace(server.settings, **changes), eager=eager)


def scripted(test, *, tls=False, **attributes):
    async def main():
        async with ScriptedImap(tls=tls) as server:
            for name, value in attributes.items():
                setattr(server, name, value)
            await test(server)

    virtual(main())


@pytest.mark.parametrize("tls", [False, True])
def test_a_session_opens_with_the_initial_response_at_once(tls):
    async def test(server):
        session = await opened(server)
        assert "X-GM-EXT-1" in session.capabilities
        assert session.credential.secret == Secret("good")
        await session.execute(Noop())
        await session.aclose()
        assert session.closed.done()
        assert server.names() == ["CAPABILITY", "AUTHENTICATE", "ID", "NOOP", "LOGOUT"]
        blob = base64.b64decode(server.commands[1].arguments.split()[1])
        assert blob == b"user=me@example.org\x01auth=Bearer good\x01\x01"

    scripted(test, tls=tls)


@pytest.mark.parametrize("eager", [True, False])
def test_the_login_does_not_wait_for_the_greeting_unless_told_to(eager):
    """An eager client's AUTHENTICATE is there before the greeting went out."""

    async def main():
        order = []

        async def session(connection):
            line = asyncio.ensure_future(connection.line())
            await asyncio.wait([line], timeout=0.1)
            order.append(line.done())
            await connection.send(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hello\r\n")
            first = await line
            if b"CAPABILITY" in first:
                await connection.send(b"* CAPABILITY IMAP4rev1\r\n" + first.split()[0] + b" OK done\r\n")
                first = await connection.line()
            await connection.send(first.split()[0] + b" OK [CAPABILITY IMAP4rev1] in\r\n")
            await connection.hang()

        async with ScriptedServer(session) as server:
            settings = replace(ScriptedImap.settings.fget(server), imap=server.endpoint)
            opened = await ImapSession.open(ADDRESS, Source(), settings, eager=eager)
            assert order == [eager]
            opened.abort()

    virtual(main())


def test_capabilities_in_the_greeting_save_the_question():
    async def test(server):
        session = await opened(server, client_name="", eager=False)
        assert server.names() == ["AUTHENTICATE"]
        await session.aclose()

    scripted(test, greeting=b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hello\r\n")


def test_a_server_without_sasl_ir_gets_the_response_when_it_asks():
    async def test(server):
        session = await opened(server, eager=False)
        assert server.commands[0].arguments == b"XOAUTH2"
        await session.aclose()

    scripted(test, greeting=b"* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hello\r\n")


def test_a_server_that_refuses_the_initial_response_and_then_tells_why():
    async def test(server):
        real = server._handlers["AUTHENTICATE"]

        async def authenticate(connection, command):
            if b" " in command.arguments:
                await connection.bad(command, "Too many arguments")
            else:
                await real(connection, command)

        server.on("AUTHENTICATE", authenticate)
        session = await opened(server)
        assert server.names()[:3] == ["CAPABILITY", "AUTHENTICATE", "AUTHENTICATE"]
        await session.aclose()

    scripted(test, before_auth="IMAP4rev1 AUTH=XOAUTH2")


def test_bad_from_a_server_with_sasl_ir_is_not_tried_again():
    async def test(server):
        server.reply("AUTHENTICATE", tagged="BAD Invalid SASL argument. sid")
        with pytest.raises(errors.CommandError, match="Invalid SASL argument"):
            await opened(server)
        assert server.names() == ["CAPABILITY", "AUTHENTICATE"]

    scripted(test)


def test_capabilities_are_asked_for_when_the_login_did_not_tell_them():
    async def test(server):
        async def authenticate(connection, command):
            connection.authenticated = True
            await connection.ok(command, "welcome")

        server.on("AUTHENTICATE", authenticate)
        session = await opened(server)
        assert "UIDPLUS" in session.capabilities
        assert server.names()[:3] == ["CAPABILITY", "AUTHENTICATE", "CAPABILITY"]
        await session.aclose()

    scripted(test)


def test_capabilities_in_the_code_of_the_tagged_ok():
    async def test(server):
        server.reply("AUTHENTICATE", tagged="OK [CAPABILITY IMAP4rev1 LITERAL+ ID] in")
        session = await opened(server)
        assert session.capabilities == {"IMAP4REV1", "LITERAL+", "ID"}
        assert session.protocol.queue.literal_mode.name == "PLUS"
        await session.aclose()

    scripted(test)


def test_a_refused_token_is_replaced_once_on_the_same_connection():
    async def test(server):
        source = Source("stale", "good")
        session = await opened(server, source)
        assert source.refusals == ["stale"]
        assert len(server.connections) == 1
        # The failure challenge was answered with an empty line, so that the server could say NO.
        assert b"\r\n" in server.connections[0].lines
        await session.aclose()

    scripted(test, tokens={"good"})


@pytest.mark.parametrize("tokens", [("one", "two"), ("same", "same")])
def test_a_token_refused_again_is_told(tokens):
    async def test(server):
        source = Source(*tokens)
        with pytest.raises(errors.TokenRefused) as caught:
            await opened(server, source)
        assert caught.value.status == "400"
        assert caught.value.connection_lost
        assert "[AUTHENTICATIONFAILED] Invalid credentials (Failure)" in str(caught.value)
        assert "https://mail.google.com/" in str(caught.value)
        attempts = server.names().count("AUTHENTICATE")
        assert attempts == len(set(tokens)), "the same token is not shown twice"
        assert set(source.refusals) == set(tokens)
        assert tokens[0] not in str(caught.value)

    scripted(test, tokens=set())


def test_oauthbearer_answers_its_challenge_with_a_control_a():
    async def test(server):
        with pytest.raises(errors.TokenRefused):
            await opened(server, Source(mechanism="OAUTHBEARER"))
        lines = server.connections[0].lines
        assert b"AQ==\r\n" in lines
        blob = base64.b64decode(server.commands[1].arguments.split()[1])
        assert blob.startswith(b"n,a=me@example.org,\x01host=127.0.0.1\x01port=")

    scripted(test, tokens=set())


def test_the_other_oauth_mechanism_serves_where_the_first_is_not_offered():
    async def test(server):
        session = await opened(server, eager=False)
        assert server.commands[0].arguments.startswith(b"OAUTHBEARER ")
        await session.aclose()

    scripted(test, greeting=b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=OAUTHBEARER] hello\r\n")


def test_a_server_without_oauth_is_told_by_name():
    async def test(server):
        with pytest.raises(errors.AccessDenied, match="does not offer AUTH=XOAUTH2, only PLAIN"):
            await opened(server, eager=False)

    scripted(test, greeting=b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\r\n")


def test_an_app_password_goes_by_plain_and_its_refusal_is_no_token_matter():
    async def test(server):
        server.reply("AUTHENTICATE", tagged="NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)")
        source = Source("app-password", mechanism="PLAIN")
        with pytest.raises(errors.AccessDenied, match="refused the password"):
            await opened(server, source)
        assert base64.b64decode(server.commands[1].arguments.split()[1]) == b"\0me@example.org\0app-password"

    scripted(test)


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ("NO [ALERT] Too many simultaneous connections. (Failure)", errors.TooManyConnections, "Too many"),
        (
            "NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page",
            errors.AccessDenied,
            "switch IMAP on",
        ),
        ("NO [ALERT] IMAP access is disabled for your domain.", errors.AccessDenied, "administrator"),
        ("NO [ALERT] Please log in via your web browser: https://support.google.com/", errors.AccessDenied, "browser"),
        ("NO [ALERT] Application-specific password required: https://x (Failure)", errors.AccessDenied, "app password"),
        ("NO [UNAVAILABLE] Temporary System Problem. Try again later (Failure)", errors.Unavailable, "Temporary"),
        ("NO [OVERQUOTA] Account exceeded command or bandwidth limits.", errors.OverQuota, "bandwidth"),
        ("NO something else", errors.CommandError, "something else"),
    ],
)
def test_gmails_refusals_are_told_apart(reply, kind, words):
    async def test(server):
        server.reply("AUTHENTICATE", tagged=reply)
        with pytest.raises(kind, match=words):
            await opened(server)

    scripted(test)


@pytest.mark.parametrize(
    ("greeting", "kind", "words"),
    [
        (b"* BYE Too many simultaneous connections\r\n", errors.TooManyConnections, "Too many"),
        (b"* BYE LOOKUP failed\r\n", errors.Disconnected, "BYE LOOKUP failed"),
        (b"* BYE [UNAVAILABLE] Temporary System Error\r\n", errors.Unavailable, "Temporary"),
        (b"* PREAUTH welcome\r\n", errors.AccessDenied, "PREAUTH"),
        (b"HTTP/1.1 400 Bad Request\r\n", errors.ProtocolError, "127"),
        (b"* 1 EXISTS\r\n", errors.ProtocolError, "no greeting"),
    ],
)
def test_a_greeting_that_is_no_welcome(greeting, kind, words):
    async def test(server):
        with pytest.raises(kind, match=words):
            await opened(server)

    scripted(test, greeting=greeting)


def test_ok_without_preauth_support_is_a_welcome():
    async def test(server):
        session = await opened(server)
        await session.aclose()

    scripted(test, greeting=b"* OK server ready, no PREAUTH support\r\n")


def test_a_server_that_closes_without_a_word():
    async def main():
        async def close(connection):
            await connection.close()

        async with ScriptedServer(close) as server:
            settings = replace(ScriptedImap.settings.fget(server), imap=server.endpoint)
            with pytest.raises(errors.Disconnected, match="closed the connection|connection lost"):
                await ImapSession.open(ADDRESS, Source(), settings)

    virtual(main())


@pytest.mark.parametrize("eager", [True, False])
def test_a_server_that_says_nothing_is_left_by_the_deadline(eager):
    async def main():
        async def hang(connection):
            await connection.hang()

        async with ScriptedServer(hang) as server:
            settings = replace(ScriptedImap.settings.fget(server), imap=server.endpoint)
            settings = replace(settings, timeouts=replace(settings.timeouts, connect=0.1))
            with pytest.raises(errors.ConnectFailed, match=r"within 0\.1 s"):
                await ImapSession.open(ADDRESS, Source(), settings, eager=eager)

    virtual(main())


def test_a_server_that_never_answers_the_login_is_left_by_the_deadline():
    async def test(server):
        async def hang(connection, command):
            await connection.hang()

        server.on("AUTHENTICATE", hang)
        timeouts = replace(server.settings.timeouts, auth=0.1)
        with pytest.raises(errors.TimedOut, match=r"0\.1 s"):
            await opened(server, timeouts=timeouts)

    scripted(test)


@pytest.mark.parametrize("turns", range(10))
def test_a_cancelled_opening_leaves_nothing(turns):
    async def test(server):
        task = asyncio.create_task(opened(server))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.02)  # for the server to see what it accepted go away
        assert server.open == 0

    scripted(test)


def test_plain_tls_to_a_plain_server_is_told():
    async def main():
        async with ScriptedImap() as server:
            from tests.support import ca

            endpoint = Endpoint("localhost", server.port, ssl_context=ca.client_context())
            with pytest.raises(errors.ConnectFailed, match="TLS failed|cannot connect"):
                await opened(server, imap=endpoint)

    virtual(main())


def test_logging_out_of_a_silent_server_ends_by_its_deadline():
    async def test(server):
        async def hang(connection, command):
            await connection.hang()

        server.on("LOGOUT", hang)
        session = await opened(server, timeouts=replace(server.settings.timeouts, logout=0.05))
        began = asyncio.get_running_loop().time()
        await session.aclose()
        assert asyncio.get_running_loop().time() - began < 0.5
        assert session.closed.done()

    scripted(test)


def test_what_the_server_tells_unasked_is_kept(caplog):
    async def test(server):
        async def noop(connection, command):
            await connection.send(
                b"* 7 EXISTS\r\n* 3 EXPUNGE\r\n* OK [HIGHESTMODSEQ 99] x\r\n* OK [UIDNEXT 12] x\r\n",
                b"* NO [WEBALERT https://accounts.google.com/signin/continue?sarp=1] Web login required.\r\n* OK fine\r\n",
            )
            await connection.ok(command)

        server.on("NOOP", noop)
        server.messages = 5
        session = await opened(server)
        state = await session.select("INBOX", readonly=False).future
        assert state.exists == session.state.exists == 5
        await session.execute(Noop())
        assert (session.state.exists, session.state.highestmodseq, session.state.uidnext) == (6, 99, 12)
        await session.aclose()

    caplog.set_level(logging.WARNING)
    scripted(test)
    assert "Web login required" in caplog.text


def test_a_session_that_was_dropped_says_so():
    async def test(server):
        session = await opened(server)
        session.abort()
        session.abort()
        with pytest.raises(errors.Disconnected, match="dropped by us"):
            await session.execute(Noop())
        await session.aclose()

    scripted(test)
