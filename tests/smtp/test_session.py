"""Opening: the ways in, the ways to be turned away, and what a token that is refused costs."""

import asyncio
import base64
import ssl

import pytest

from aiogmail.errors import (
    AccessDenied,
    CommandError,
    ConnectFailed,
    Disconnected,
    GmailError,
    LimitExceeded,
    ProtocolError,
    SessionExpired,
    Throttled,
    TimedOut,
    TokenRefused,
    Unavailable,
)
from aiogmail.ports import Outcome
from aiogmail.settings import Endpoint, Settings, Timeouts
from aiogmail.smtp import SmtpSession
from aiogmail.testing import GmailEmulator
from tests.smtp.support import EHLO, ME, MSG, WAYS, SmtpServer, Tokens, hang_up, letter, say, session, silence
from tests.support import ca
from tests.support.aio import run, virtual

CHALLENGE = base64.b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}').decode()
BAD_TOKEN = "535-5.7.8 Username and Password not accepted. For more information, go to\r\n535 5.7.8  https://support a - gsmtp\r\n"


def refusing(*bad):
    """Refuses tokens that contain one of these words, as Gmail does."""

    async def auth(c, line):
        secret = base64.b64decode(line.split()[2]).decode()
        if not any(word in secret for word in bad):
            return True
        c.say(f"334 {CHALLENGE}\r\n")
        await c.line()
        c.say(BAD_TOKEN)
        return False

    return auth


def test_a_session_knows_what_the_server_offers_and_how_long_it_lives():
    async def main():
        async with SmtpServer() as server:
            async with session(server) as one:
                assert one.extensions["SIZE"] == "35882577"
                assert one.expires_at is None
                assert one.credential.mechanism == "XOAUTH2"
                assert not one.closed.done()
            assert one.closed.done()
        assert server.verbs() == ["EHLO", "AUTH", "QUIT"]
        assert server.lines[0] == b"EHLO [127.0.0.1]\r\n"
        assert base64.b64decode(server.lines[1].split()[2]) == b"user=me@gmail.com\x01auth=Bearer ya29.first\x01\x01"

    virtual(main())


def test_a_refused_token_is_replaced_once_on_the_same_connection():
    async def main():
        tokens = Tokens("ya29.old", "ya29.new")
        async with SmtpServer({"AUTH": refusing("old")}) as server:
            async with session(server, tokens) as one:
                await one.send(letter())
            assert len(server.conversations) == 1
        assert tokens.refusals == ["ya29.old"]
        assert server.lines[2] == b"\r\n"

    virtual(main())


@pytest.mark.parametrize("secrets", [("ya29.old",), ("ya29.old", "ya29.old2")])
def test_two_refusals_are_enough(secrets):
    async def main():
        tokens = Tokens(*secrets)
        async with SmtpServer({"AUTH": refusing("old")}) as server:
            with pytest.raises(TokenRefused, match="expired, revoked") as caught:
                await SmtpSession.open(ME, tokens, server.settings())
            assert caught.value.status == "400"
            assert caught.value.connection_lost
            await asyncio.sleep(0.01)
        assert tokens.refusals == list(secrets)

    virtual(main())


AUTH = [
    ("454 4.7.0 Too many login attempts, please try again later. a - gsmtp\r\n", Throttled, 60.0),
    ("454 4.7.0 Cannot authenticate due to a temporary system problem. Try again later.\r\n", Unavailable, 5.0),
    ("421 4.7.0 Try again later, closing connection.\r\n", Throttled, 5.0),
    ("421 4.3.0 Temporary System Problem.\r\n", Unavailable, 5.0),
    ("534-5.7.9 Application-specific password required.\r\n534 5.7.9  https://support\r\n", AccessDenied, None),
    ("534-5.7.14 <https://accounts> Please log in via your web browser\r\n534 5.7.14 and then\r\n", AccessDenied, None),
    ("530 5.7.0 Authentication Required.\r\n", AccessDenied, None),
    ("534 5.7.1 other\r\n", AccessDenied, None),
    ("535 5.7.8 bad\r\n", TokenRefused, None),
    ("501 5.5.2 Cannot Decode response\r\n", CommandError, None),
    ("504 5.7.4 Unrecognized Authentication Type\r\n", CommandError, None),
    ("250 ok?\r\n", CommandError, None),
    ("nonsense\r\n", ProtocolError, None),
    ("250-" + "x" * 5000, LimitExceeded, None),
]


@pytest.mark.parametrize(("text", "kind", "pause"), AUTH, ids=[text[:9] + kind.__name__ for text, kind, _ in AUTH])
def test_what_auth_is_answered_with(text, kind, pause):
    async def main():
        async with SmtpServer({"AUTH": say(text)}) as server:
            with pytest.raises(kind) as caught:
                await SmtpSession.open(ME, Tokens(), server.settings())
            assert type(caught.value) is kind
            assert getattr(caught.value, "retry_after", None) == pause
            await asyncio.sleep(0.01)

    virtual(main())


def test_a_refused_password_is_no_token():
    async def main():
        async with SmtpServer({"AUTH": say(BAD_TOKEN)}) as server:
            with pytest.raises(AccessDenied):
                await SmtpSession.open(ME, Tokens("app password", mechanism="PLAIN"), server.settings())
            await asyncio.sleep(0.01)

    virtual(main())


def test_a_server_that_asks_again_and_again_is_left():
    async def ask(c, _):
        c.say(f"334 {CHALLENGE}\r\n")
        await c.line()
        c.say("334 !not base64!\r\n")

    async def main():
        async with SmtpServer({"AUTH": ask}) as server:
            with pytest.raises(ProtocolError, match="again and again"):
                await SmtpSession.open(ME, Tokens(), server.settings())
            await asyncio.sleep(0.01)

    virtual(main())


@pytest.mark.parametrize("challenge", ["!!", "", "e30=", "bm9uc2Vuc2U="])
def test_an_odd_challenge_is_a_refusal_all_the_same(challenge):
    async def refuse(c, _):
        c.say(f"334 {challenge}\r\n")
        await c.line()
        c.say(BAD_TOKEN)

    async def main():
        async with SmtpServer({"AUTH": refuse}) as server:
            with pytest.raises(TokenRefused) as caught:
                await SmtpSession.open(ME, Tokens(), server.settings())
            assert caught.value.status == ""
            await asyncio.sleep(0.01)

    virtual(main())


@pytest.mark.parametrize(
    ("offered", "wanted", "used"),
    [("XOAUTH2", "OAUTHBEARER", b"XOAUTH2"), ("OAUTHBEARER", "XOAUTH2", b"OAUTHBEARER"), ("oauthbearer xoauth2", "XOAUTH2", b"XOAUTH2")],
)
def test_the_other_mechanism_for_a_token_will_do(offered, wanted, used):
    async def main():
        async with SmtpServer(ehlo=f"250-x\r\n250 AUTH {offered}\r\n") as server:
            async with session(server, Tokens(mechanism=wanted)):
                pass
        assert server.lines[1].split()[1] == used

    virtual(main())


@pytest.mark.parametrize(
    ("ehlo", "wanted"), [("250 x\r\n", "XOAUTH2"), ("250-x\r\n250 AUTH PLAIN\r\n", "XOAUTH2"), ("250-x\r\n250 AUTH XOAUTH2\r\n", "PLAIN")]
)
def test_no_mechanism_no_token(ehlo, wanted):
    async def main():
        async with SmtpServer(ehlo=ehlo) as server:
            with pytest.raises(AccessDenied, match="does not offer"):
                await SmtpSession.open(ME, Tokens(mechanism=wanted), server.settings())
            await asyncio.sleep(0.01)
        assert "AUTH" not in server.verbs()

    virtual(main())


GREETINGS = [
    ("421 4.7.0 Try again later, closing connection. (EHLO)\r\n", Throttled),
    ("421 4.7.0 Connection expired, try reconnecting\r\n", SessionExpired),
    ("554 5.7.1 no\r\n", CommandError),
    ("* OK IMAP ready\r\n", ProtocolError),
    ("+OK pop\r\n", ProtocolError),
    ("250 hello\r\n", CommandError),
    ("200\r\n", CommandError),
]


@pytest.mark.parametrize(("greeting", "kind"), GREETINGS)
def test_greetings_that_are_none(greeting, kind):
    async def main():
        async with SmtpServer(greeting=greeting) as server:
            with pytest.raises(GmailError) as caught:
                await SmtpSession.open(ME, Tokens(), server.settings())
            assert type(caught.value) in (kind, ProtocolError)
            await asyncio.sleep(0.01)
        assert "AUTH" not in server.verbs()

    virtual(main())


@pytest.mark.parametrize(
    "on", [{"EHLO": hang_up}, {"EHLO": say("250 x\r\n250 AUTH XOAUTH2\r\n")}, {"EHLO": say("502 no\r\n")}, {"AUTH": hang_up}]
)
def test_losses_on_the_way_in(on):
    async def main():
        async with SmtpServer(on) as server:
            with pytest.raises((Disconnected, ConnectFailed, ProtocolError, CommandError)):
                await SmtpSession.open(ME, Tokens(), server.settings())
            await asyncio.sleep(0.01)

    virtual(main())


@pytest.mark.parametrize(("on", "kind", "seconds"), [({"EHLO": silence}, ConnectFailed, 20.0), ({"AUTH": silence}, TimedOut, 20.0)])
def test_deadlines_on_the_way_in(on, kind, seconds):
    async def main():
        async with SmtpServer(on) as server:
            began = asyncio.get_running_loop().time()
            with pytest.raises(kind):
                await SmtpSession.open(ME, Tokens(), server.settings())
            assert asyncio.get_running_loop().time() - began == pytest.approx(seconds, abs=0.1)
            await asyncio.sleep(0.01)

    virtual(main())


def test_a_silent_greeting_has_a_deadline():
    async def main():
        async with SmtpServer(greeting="") as server:
            with pytest.raises(ConnectFailed, match="within 20 s"):
                await SmtpSession.open(ME, Tokens(), server.settings())
            await asyncio.sleep(0.01)

    virtual(main())


def test_nobody_there():
    async def main():
        for host, port in (("127.0.0.1", 1), ("nowhere.invalid", 465)):
            with pytest.raises(ConnectFailed, match="cannot connect") as caught:
                await SmtpSession.open(
                    ME,
                    Tokens(),
                    Settings(smtp=Endpoint("127.0.0.1", port, security="plaintext")) if port == 1 else Settings(smtp=Endpoint(host, port)),
                )
            assert not caught.value.permanent

    virtual(main())


@pytest.mark.parametrize("at", ["EHLO", "AUTH"])
def test_cancelled_on_the_way_in_it_leaves_nothing_open(at):
    async def main():
        async with SmtpServer({at: silence}) as server:
            task = asyncio.ensure_future(SmtpSession.open(ME, Tokens(), server.settings()))
            await asyncio.sleep(1.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.01)
            assert await server.conversations[0].reader.read() == b""

    virtual(main())


@pytest.mark.parametrize("quit_", [silence, hang_up, say("500 what\r\n")])
def test_taking_leave_never_takes_long_and_never_fails(quit_):
    async def main():
        async with SmtpServer({"QUIT": quit_}) as server:
            async with session(server) as one:
                began = asyncio.get_running_loop().time()
                await one.aclose()
                assert asyncio.get_running_loop().time() - began <= 5.0
                assert one.closed.done()
                await one.aclose()

    virtual(main())


@pytest.mark.parametrize("uvloop", [False, True])
@pytest.mark.parametrize("port", ["smtp", "submission"])
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_over_tls_from_the_first_byte_and_by_starttls(uvloop, port, mechanism):
    async def main():
        async with GmailEmulator() as server:
            account = server.add_account(ME)
            endpoint = server.settings.smtp
            if port == "submission":
                endpoint = Endpoint(endpoint.host, server._ports["submission"], security="starttls", ssl_context=endpoint.ssl_context)
            one = await SmtpSession.open(ME, Tokens(account.access_token(), mechanism=mechanism), Settings(smtp=endpoint))
            assert isinstance(one.connection.transport.get_extra_info("ssl_object"), ssl.SSLObject)
            await one.send(letter())
            big = letter(b"To: a@x.org\r\n\r\n" + b"x" * 70 + b"\r\n" * 200_000)
            await one.send(big)
            await one.aclose()
            await asyncio.sleep(0.05)
            assert [len(each.raw) for each in account.ledger.submissions] == [letter().body.size, big.body.size]

    run(main(), uvloop=uvloop)


@pytest.mark.parametrize("uvloop", [False, True])
def test_a_black_hole_in_the_body_over_tls_is_left_without_a_trace(uvloop):
    async def deaf(c, _):
        c.writer.transport.pause_reading()
        await asyncio.sleep(3600)

    async def main():
        start = asyncio.start_server

        async def with_tls(*arguments):
            return await start(*arguments, ssl=ca.server_context())

        asyncio.start_server = with_tls
        try:
            async with SmtpServer({"BDAT": deaf}, EHLO) as server:
                settings = Settings(
                    smtp=Endpoint("localhost", server.port, ssl_context=ca.client_context()), timeouts=Timeouts(append_block=0.5)
                )
                one = await SmtpSession.open(ME, Tokens(), settings)
                with pytest.raises(TimedOut):
                    await one.send(letter(b"To: a@x.org\r\n\r\n" + b"x" * 30_000_000))
                await asyncio.sleep(0.05)
                assert one.closed.done()
        finally:
            asyncio.start_server = start

    run(main(), uvloop=uvloop)


def test_a_probe_asks_where_nothing_is_under_way():
    async def main():
        async with SmtpServer() as server:
            async with session(server) as one:
                await one.probe(5.0)
                await one.send(letter())
                await one.probe(5.0)
            assert server.verbs().count("NOOP") == 2

    virtual(main())


def test_a_probe_does_not_come_between():
    async def slowly(c, _):
        await asyncio.sleep(2.0)
        return True

    async def main():
        async with SmtpServer({"MAIL": slowly, "END": slowly}) as server:
            async with session(server) as one:
                sending = asyncio.ensure_future(one.send(letter()))
                for _ in range(3):
                    await asyncio.sleep(1.0)
                    await one.probe(5.0)
                await sending
            assert "NOOP" not in server.verbs()

    virtual(main())


def test_a_probe_that_is_not_answered_ends_the_connection():
    async def main():
        async with SmtpServer({"NOOP": silence}) as server:
            async with session(server) as one:
                with pytest.raises(TimedOut):
                    await one.probe(5.0)
                assert one.closed.done()
            async with session(server) as one:
                task = asyncio.ensure_future(one.probe(5.0))
                await asyncio.sleep(1.0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert one.closed.done()

    virtual(main())


def test_a_lost_token_source_is_no_timeout_of_ours():
    class Late(Tokens):
        async def get(self, min_ttl):
            if self.refusals:
                raise TimedOut("the token endpoint is slow")
            return await super().get(min_ttl)

    async def main():
        async with SmtpServer({"AUTH": refusing("old")}) as server:
            with pytest.raises(TimedOut, match="token endpoint"):
                await SmtpSession.open(ME, Late("ya29.old", "ya29.new"), server.settings())
            await asyncio.sleep(0.01)

    virtual(main())


def test_more_than_ehlo_asks_for_is_an_end():
    async def main():
        async with SmtpServer({"EHLO": say(EHLO + "250 2.0.0 injected\r\n")}) as server:
            with pytest.raises((ProtocolError, Disconnected)):
                await SmtpSession.open(ME, Tokens(), server.settings())
            await asyncio.sleep(0.01)
        assert "AUTH" not in server.verbs()

    virtual(main())


def test_a_tls_port_that_speaks_no_tls():
    async def main():
        async with SmtpServer() as server:
            settings = Settings(smtp=Endpoint("localhost", server.port, ssl_context=ca.client_context()))
            with pytest.raises(ConnectFailed, match="TLS failed"):
                await SmtpSession.open(ME, Tokens(), settings)
            await asyncio.sleep(0.05)

    run(main())


@pytest.mark.parametrize("ehlo", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("verb", ["MAIL", "RCPT"])
def test_a_session_that_is_closed_says_no_quit_into_a_message(ehlo, verb):
    async def slowly(c, _):
        await asyncio.sleep(1.0)
        return True

    async def main():
        async with SmtpServer({verb: slowly}, ehlo=ehlo) as server:
            one = await SmtpSession.open(ME, Tokens(), server.settings())
            sending = asyncio.create_task(one.send(letter()))
            await asyncio.sleep(0.5)
            await one.aclose()
            with pytest.raises(GmailError) as caught:
                await sending
            assert caught.value.outcome is Outcome.NOT_APPLIED
            await asyncio.sleep(5.0)
        assert not server.messages
        assert "QUIT" not in server.verbs()

    virtual(main())


@pytest.mark.parametrize("ehlo", WAYS.values(), ids=WAYS)
def test_a_session_that_is_closed_lets_a_message_have_its_reply(ehlo):
    async def slowly(c, _):
        await asyncio.sleep(1.0)
        return True

    async def main():
        async with SmtpServer({"END": slowly}, ehlo=ehlo) as server:
            one = await SmtpSession.open(ME, Tokens(), server.settings())
            first, second = (asyncio.create_task(one.send(letter())) for _ in range(2))
            await asyncio.sleep(0.5)
            await one.aclose()
            assert (await first).envelope.accepted
            with pytest.raises(GmailError) as caught:
                await second
            assert caught.value.outcome is Outcome.NOT_APPLIED
            await asyncio.sleep(5.0)
        assert len(server.messages) == 1

    virtual(main())


@pytest.mark.parametrize("ehlo", WAYS.values(), ids=WAYS)
def test_a_session_that_is_closed_in_the_middle_of_a_large_message_adds_nothing_to_it(ehlo):
    large = MSG + b"0123456789\r\n" * 50_000

    async def slowly(c, _):
        if not ehlo.count("CHUNKING"):
            c.say("354 go\r\n")
        await asyncio.sleep(1.0)
        while text := await c.reader.read(1 << 16):
            c.server.left.append(text)

    async def main():
        async with SmtpServer({"BDAT": slowly, "DATA": slowly}, ehlo=ehlo) as server:
            one = await SmtpSession.open(ME, Tokens(), server.settings())
            sending = asyncio.create_task(one.send(letter(large)))
            await asyncio.sleep(0.5)
            assert not sending.done()
            await one.aclose()
            with pytest.raises(GmailError) as caught:
                await sending
            assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "body")
            await asyncio.sleep(5.0)
        assert b"QUIT" not in b"".join(server.left)

    virtual(main())


def test_nothing_is_handed_over_to_a_connection_that_the_loop_knows_is_gone():
    """Its write of the body has failed: what is written then is dropped, and the message is not sent, instead of unknown."""

    async def main():
        async with SmtpServer() as server, session(server) as one:
            write = one.connection.write

            def failing(data):
                if b"Subject" in bytes(data):
                    one.connection.transport.abort()
                write(data)

            one.connection.write = failing
            with pytest.raises(GmailError) as caught:
                await one.send(letter())
            assert caught.value.outcome is Outcome.NOT_APPLIED
            assert caught.value.connection_lost
            await asyncio.sleep(0.1)
        assert not server.messages

    virtual(main())
