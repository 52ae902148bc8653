"""The known defects of aiosmtplib 5.1.3, none of which shows here: S01 to S10, each in variants."""

import asyncio
import base64
import datetime as dt
import time
import traceback

import pytest

from aiogmail import (
    ConfigurationError,
    ConnectFailed,
    Disconnected,
    Gmail,
    GmailError,
    Outcome,
    OutcomeUnknown,
    ProtocolError,
    RecipientsRefused,
    Settings,
    SmtpClient,
    TimedOut,
    TokenProvider,
    TokenRefused,
)
from aiogmail.settings import Endpoint
from aiogmail.smtp import Envelope, SmtpSession
from tests.smtp.support import EHLO, ME, MSG, WAYS, SmtpServer, Tokens, hang_up, letter, say, session, silence
from tests.support import ca
from tests.support.aio import run, virtual

TOKEN = "ya29.SECRET"
ways = pytest.mark.parametrize("ehlo", WAYS.values(), ids=WAYS)


async def cancelled(coro, after):
    """Start it, cancel it after so many seconds, and see it end by that."""
    task = asyncio.ensure_future(coro)
    await asyncio.sleep(after)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def slow(verb_reply, seconds):
    async def handler(c, _):
        await asyncio.sleep(seconds)
        c.say(verb_reply)

    return handler


# S01: cancelling a command leaves the connection open and off by one


@ways
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "END"])
def test_s01_a_cancelled_transaction_costs_the_connection_and_no_reply_goes_to_another(ehlo, stage):
    async def main():
        async with SmtpServer({stage: slow("250 2.0.0 late\r\n", 0.3)}, ehlo) as server:
            async with session(server) as one:
                await cancelled(one.send(letter()), 0.1)
                assert one.closed.done()
                with pytest.raises(Disconnected) as caught:
                    await one.send(letter())
                assert caught.value.outcome is Outcome.NOT_APPLIED
                await asyncio.sleep(1.0)
            assert len(server.messages) == (1 if stage == "END" else 0)
            assert server.verbs().count("MAIL") == 1

    virtual(main())


def test_s01_after_a_cancelled_send_the_next_message_gets_its_own_refusals():
    async def refuse_bad(c, line):
        if b"bad@" in line:
            await asyncio.sleep(0.3)
            c.say("550 5.1.1 no such user\r\n")
            return False
        return True

    async def main():
        async with SmtpServer({"RCPT": refuse_bad}) as server:
            async with SmtpClient(ME, provider(), settings=server.settings()) as client:
                await cancelled(client.send(MSG, recipients=["bad@example.org"]), 0.1)
                result = await client.send(MSG, recipients=["bad@example.org", "good@example.org"])
        assert result.accepted == ("good@example.org",)
        assert list(result.refused) == ["bad@example.org"]
        assert [to for to, _ in server.messages] == [["good@example.org"]]

    virtual(main())


# S02: surplus reply bytes answer the next command

SURPLUS = ["250 2.1.0 ok\r\n250 2.1.5 injected\r\n", "250 2.1.0 ok\r\n250", "250 2.1.0 ok\r\n250 2.1.5 a\r\n250 2.1.5 b\r\n250 2.1.5 c\r\n"]


@ways
@pytest.mark.parametrize("text", SURPLUS)
def test_s02_more_replies_than_were_asked_for_accept_no_recipient(ehlo, text):
    """The server's own word on the recipient is 550, whatever was put before it."""

    async def main():
        async with SmtpServer({"MAIL": say(text), "RCPT": say("550 5.1.1 no such user\r\n"), "BDAT": silence}, ehlo) as server:
            async with session(server, command=5.0, append_final=5.0) as one:
                with pytest.raises(GmailError) as caught:
                    await one.send(letter())
                await asyncio.sleep(0.1)
                assert caught.value.outcome in (Outcome.NOT_APPLIED, Outcome.UNKNOWN)
                with pytest.raises(GmailError):
                    await one.send(letter())
                assert one.closed.done() or isinstance(caught.value, RecipientsRefused)
            assert not server.messages

    virtual(main())


@ways
def test_s02_a_message_whose_acceptance_comes_with_a_surplus_is_looked_up_not_believed(ehlo):
    async def main():
        async with SmtpServer({"END": say("250 2.0.0 ok\r\n250 2.0.0 another\r\n")}, ehlo) as server:
            async with session(server) as one:
                with pytest.raises(ProtocolError) as caught:
                    await one.send(letter())
                assert caught.value.outcome is Outcome.UNKNOWN
                assert one.closed.done()

    virtual(main())


@pytest.mark.parametrize("text", ["250 2.0.0 unasked\r\n", "451 4.4.2 Timeout - closing connection.\r\n", "25"])
def test_s02_what_comes_between_two_messages_answers_neither(text):
    async def main():
        async with SmtpServer({"END": say("250 2.0.0 ok\r\n", text, gap=0.5)}) as server:
            async with session(server) as one:
                await one.send(letter())
                await asyncio.sleep(1.0)
                with pytest.raises((ProtocolError, Disconnected)) as caught:
                    await one.send(letter())
                assert caught.value.outcome is Outcome.NOT_APPLIED
            assert len(server.messages) == 1

    virtual(main())


# S03: malformed replies poison the connection


@pytest.mark.parametrize(
    "text",
    [
        "<html>gateway error</html>\r\n",
        "250-" + "x" * 40_000 + "\r\n250 end\r\n",
        "250-first\r\n550 last\r\n",
        "2_5 underscore\r\n",
        "-50 negative\r\n",
        "25\r\n",
        "250 bare\n",
        "250 \x00 nul\r\n",
        "999 beyond\r\n",
        "250-" + "more\r\n250-" * 20_000,
    ],
    ids=lambda text: repr(text[:12]),
)
@pytest.mark.parametrize("stage", ["MAIL", "END"])
def test_s03_a_malformed_reply_ends_the_connection_and_says_what_is_known(text, stage):
    async def main():
        async with SmtpServer({stage: say(text)}) as server:
            async with session(server) as one:
                with pytest.raises(ProtocolError) as caught:
                    await one.send(letter())
                assert caught.value.outcome is (Outcome.UNKNOWN if stage == "END" else Outcome.NOT_APPLIED)
                assert one.closed.done()
                before = len(server.lines)
                with pytest.raises(ProtocolError):
                    await one.send(letter())
                assert len(server.lines) == before

    virtual(main())


# S04: what is buffered is sent after the API said that it failed


def large(lines=300_000):
    return letter(MSG + (b"y" * 76 + b"\r\n") * lines)


def deaf(after):
    """Reads nothing for so many seconds, then everything."""

    async def handler(c, line):
        c.writer.transport.pause_reading()
        if line.startswith(b"DATA"):
            c.say("354 go\r\n")
        await asyncio.sleep(after)
        c.writer.transport.resume_reading()
        size = int(line.split()[1]) if line.startswith(b"BDAT") else None
        await c.server.end(c, await (c.data() if size is None else c.exactly(size)))

    return handler


@pytest.mark.parametrize("ehlo", [WAYS["BDAT"], WAYS["DATA"]], ids=["BDAT", "DATA"])
@pytest.mark.parametrize("how", ["timeout", "cancel", "abort"])
def test_s04_a_message_given_up_in_its_body_is_never_accepted_later(ehlo, how):
    async def main():
        verb = "BDAT" if "CHUNKING" in ehlo else "DATA"
        async with SmtpServer({verb: deaf(1.0)}, ehlo) as server:
            async with session(server, append_block=0.3) as one:
                if how == "timeout":
                    with pytest.raises(TimedOut) as caught:
                        await one.send(large())
                    assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "body")
                elif how == "cancel":
                    await cancelled(one.send(large()), 0.1)
                else:
                    sending = asyncio.ensure_future(one.send(large()))
                    await asyncio.sleep(0.1)
                    one.abort()
                    with pytest.raises(Disconnected) as caught:
                        await sending
                    assert caught.value.outcome is Outcome.NOT_APPLIED
            await asyncio.sleep(600.0)
            assert not server.messages
            assert server.left

    virtual(main())


# S05: the token goes out in clear


def tls_settings(port):
    return Settings(smtp=Endpoint("localhost", port, security="starttls", ssl_context=ca.client_context()))


@pytest.mark.parametrize(
    "ehlo",
    [EHLO, "250 x\r\n", "250-x\r\n250-XSTARTTLS\r\n250 AUTH XOAUTH2\r\n", "250-x\r\n250 STARTTLSX\r\n"],
    ids=["stripped", "bare", "prefixed", "suffixed"],
)
def test_s05_without_starttls_nothing_is_said_but_ehlo(ehlo):
    async def main():
        async with SmtpServer(ehlo=ehlo) as server:
            with pytest.raises(ConnectFailed, match="STARTTLS") as caught:
                await SmtpSession.open(ME, Tokens(TOKEN), tls_settings(server.port))
            assert caught.value.permanent
            await asyncio.sleep(0.01)
        assert server.verbs() == ["EHLO"]

    run(main())


@pytest.mark.parametrize("reply", ["454 4.7.0 not now\r\n", "502 no\r\n", "250 sure\r\n"])
def test_s05_a_refused_starttls_is_no_licence_to_go_on_in_clear(reply):
    async def main():
        async with SmtpServer({"STARTTLS": say(reply)}, EHLO.replace("250-PIPELINING", "250-STARTTLS")) as server:
            with pytest.raises(GmailError):
                await SmtpSession.open(ME, Tokens(TOKEN), tls_settings(server.port))
            await asyncio.sleep(0.01)
        assert server.verbs() == ["EHLO", "STARTTLS"]

    run(main())


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER", "PLAIN"])
def test_s05_the_challenge_is_read_and_the_secret_is_in_no_traceback(mechanism):
    challenge = base64.b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}').decode()
    answers = {b"XOAUTH2": b"\r\n", b"OAUTHBEARER": b"AQ==\r\n"}

    async def refuse(c, line):
        name = line.split()[1]
        if name in answers:
            c.say(f"334 {challenge}\r\n")
            assert await c.line() == answers[name]
        c.say("535-5.7.8 Username and Password not accepted.\r\n535 5.7.8 gsmtp\r\n")

    async def main():
        async with SmtpServer({"AUTH": refuse}) as server:
            with pytest.raises(GmailError) as caught:
                await SmtpSession.open(ME, Tokens(TOKEN, mechanism=mechanism), server.settings())
            await asyncio.sleep(0.01)
            if mechanism != "PLAIN":
                assert isinstance(caught.value, TokenRefused)
                assert caught.value.status == "400"
            shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
            frames = shown.split("support.py")[0]
            secret = next(line for line in server.lines if line.startswith(b"AUTH")).split()[2].decode()
            assert TOKEN not in frames
            assert secret not in frames

    virtual(main())


# S06: a cancelled DATA leaves the server in data mode


@pytest.mark.parametrize("after", [0.05, 0.15, 0.25])
def test_s06_what_follows_a_cancelled_data_is_never_taken_for_its_body(after):
    async def late(c, _):
        await asyncio.sleep(0.2)
        return True

    async def main():
        async with SmtpServer({"DATA": late, "END": slow("250 2.0.0 ok\r\n", 0.2)}, WAYS["DATA"]) as server:
            async with SmtpClient(ME, provider(), settings=server.settings()) as client:
                await cancelled(client.send(MSG, recipients=["first@example.org"]), after)
                await client.send(MSG.replace(b"body", b"SECOND"), recipients=["second@example.org"])
        second = [text for to, text in server.messages if to == ["second@example.org"]]
        first = [text for to, text in server.messages if to == ["first@example.org"]]
        assert len(second) == 1
        assert b"SECOND" in second[0]
        assert all(b"SECOND" not in text and b"MAIL FROM" not in text for text in (*first, *server.left))
        assert len(first) == (1 if after > 0.2 else 0)

    virtual(main())


# S07: the same exception for every stage


@ways
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "BODY", "END"])
def test_s07_every_stage_says_how_far_it_came(ehlo, stage):
    async def cut_body(c, line):
        if line.startswith(b"DATA"):
            c.say("354 go\r\n")
            await c.reader.readline()
        else:
            await c.exactly(10)
        c.reset()

    chunking = "CHUNKING" in ehlo
    if stage == "DATA" and chunking:
        return  # there is none
    body = "BDAT" if chunking else "DATA"

    async def main():
        on = {body: cut_body} if stage == "BODY" else {stage: hang_up}
        async with SmtpServer(on, ehlo) as server:
            async with session(server) as one:
                told = Envelope()
                with pytest.raises(Disconnected) as caught:
                    await one.send(letter(), told)
                error = caught.value
                if stage != "END":
                    assert (error.outcome, error.stage) == (Outcome.NOT_APPLIED, stage.replace("BODY", "body"))
                else:
                    assert (error.outcome, error.stage) == (Outcome.UNKNOWN, "reply")
                    assert told.accepted == ["you@example.org"]
                assert error.connection_lost
            assert len(server.messages) == (1 if stage == "END" else 0)

    virtual(main())


# S08: recipients lost, envelopes left open, copies in memory

BAD = [
    "b@x, c@y",
    "<d@x>,<e@x>",
    "a@x> SIZE=1",
    "a@x\r\nRCPT TO:<v@x>",
    "a b@x",
    "a@x\x00",
    "\u2028a@x",
    '"x>"@y',
    "a@x\n",
    "",
    "@x",
    "a@",
    None,
    7,
]


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_s08_a_recipient_that_cannot_be_read_is_refused_by_name_before_any_io(bad):
    async def main():
        async with SmtpServer() as server:
            async with SmtpClient(ME, provider(), settings=server.settings()) as client:
                before = len(server.lines)
                for recipients in ([bad], ["good@example.org", bad]):
                    with pytest.raises(ConfigurationError, match="recipients"):
                        await client.send(MSG, recipients=recipients)
                assert len(server.lines) == before
        assert not server.messages

    virtual(main())


@pytest.mark.parametrize("to", ["b@x.org, c@y.org", "friends: b@x.org, c@y.org;", "B <b@x.org>,\r\n C <c@y.org>"])
def test_s08_every_recipient_in_a_header_gets_it(to):
    async def main():
        async with SmtpServer() as server:
            async with SmtpClient(ME, provider(), settings=server.settings()) as client:
                result = await client.send(f"To: {to}\r\nBcc: d@z.org\r\n\r\nx\r\n".encode())
        assert result.accepted == ("b@x.org", "c@y.org", "d@z.org")
        [(recipients, text)] = server.messages
        assert recipients == ["b@x.org", "c@y.org", "d@z.org"]
        assert b"d@z.org" not in text

    virtual(main())


@ways
@pytest.mark.parametrize("refused", ["MAIL", "RCPT", "DATA"])
def test_s08_after_a_refusal_the_connection_takes_the_next_message(ehlo, refused):
    open_envelope = []

    async def nested(c, _):
        if c in open_envelope:
            c.say("503 5.5.1 nested MAIL\r\n")
            return False
        open_envelope.append(c)
        if refused == "MAIL" and not done:
            done.append(1)
            open_envelope.remove(c)
            c.say("550 5.7.1 no\r\n")
            return False
        return True

    async def once(c, _):
        if not done:
            done.append(1)
            c.say("550 5.7.1 no\r\n")
            return False
        return True

    async def reset(c, _):
        if c in open_envelope:
            open_envelope.remove(c)
        return True

    done = []
    if refused == "DATA" and "CHUNKING" in ehlo:
        return  # there is none

    async def main():
        on = {"MAIL": nested, "RSET": reset}
        if refused != "MAIL":
            on[refused] = once
        async with SmtpServer(on, ehlo) as server:
            async with session(server) as one:
                with pytest.raises(GmailError) as caught:
                    await one.send(letter())
                assert caught.value.outcome is Outcome.NOT_APPLIED
                await one.send(letter())
            assert len(server.messages) == 1
            assert len(server.conversations) == 1

    virtual(main())


@pytest.mark.slow
def test_s08_a_large_message_is_streamed_the_buffer_stays_small_and_the_loop_goes_on():
    async def main():
        async with SmtpServer({"BDAT": deaf(0.5)}) as server:
            async with session(server) as one:
                message = large()
                sending = asyncio.ensure_future(one.send(message))
                most, worst, last = 0, 0.0, time.perf_counter()
                while not sending.done():
                    await asyncio.sleep(0.001)
                    now = time.perf_counter()
                    most = max(most, one.connection.transport.get_write_buffer_size())
                    worst, last = max(worst, now - last), now
                await sending
            assert len(server.messages) == 1
            assert most <= 256 * 1024
            assert worst < 0.2  # a machine that does other things; the benchmark `send` measures it

    run(main(), timeout=60.0)


# S09: STARTTLS response injection, and certificates


@pytest.mark.parametrize(
    "injected", ["", "250-evil\r\n250 AUTH PLAIN\r\n", "220 again\r\n", "535 no\r\n"], ids=["clean", "ehlo", "220", "535"]
)
def test_s09_what_is_injected_before_tls_counts_for_nothing_behind_it(injected):
    async def starttls(c, _):
        c.say("220 go\r\n" + injected)
        await c.writer.drain()
        c.server.ehlo = EHLO
        await c.writer.start_tls(ca.server_context("localhost"))

    async def main():
        async with SmtpServer({"STARTTLS": starttls}, "250-x\r\n250 STARTTLS\r\n") as server:
            try:
                one = await SmtpSession.open(ME, Tokens(TOKEN), tls_settings(server.port))
            except GmailError:
                assert injected
                assert "AUTH" not in server.verbs()
            else:
                assert one.extensions["AUTH"] == "XOAUTH2 PLAIN OAUTHBEARER"
                assert server.verbs() == ["EHLO", "STARTTLS", "EHLO", "AUTH"]
                one.abort()
            await asyncio.sleep(0.05)

    run(main())


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize("wrong", ["untrusted", "other host"])
def test_s09_a_certificate_that_does_not_fit_gets_no_token(security, wrong):
    async def starttls(c, _):
        c.say("220 go\r\n")
        await c.writer.drain()
        await c.writer.start_tls(ca.server_context("localhost" if wrong == "untrusted" else "elsewhere.example"))

    async def main():
        names = "localhost" if wrong == "untrusted" else "elsewhere.example"
        server = SmtpServer({"STARTTLS": starttls}, "250-x\r\n250 STARTTLS\r\n")
        if security == "tls":
            start = asyncio.start_server

            async def with_tls(*arguments):
                return await start(*arguments, ssl=ca.server_context(names))

            asyncio.start_server = with_tls
        try:
            async with server:
                context = None if wrong == "untrusted" else ca.client_context()
                settings = Settings(smtp=Endpoint("localhost", server.port, security=security, ssl_context=context))
                with pytest.raises(ConnectFailed, match="certificate") as caught:
                    await SmtpSession.open(ME, Tokens(TOKEN), settings)
                assert caught.value.permanent
                await asyncio.sleep(0.05)
        finally:
            if security == "tls":
                asyncio.start_server = start
        assert "AUTH" not in server.verbs()

    run(main())


# S10: leaving by cancellation waits for a QUIT that nobody answers


async def cancelled_at_once(job):
    """Begin it, cancel it, and see that it takes no time to end."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(job)
    await asyncio.sleep(0.2)
    began = loop.time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert loop.time() - began < 0.1


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "END"])
def test_s10_cancelling_inside_async_with_ends_at_once(verb):
    async def main():
        async with SmtpServer({verb: silence, "QUIT": silence}) as server:

            async def job():
                async with SmtpClient(ME, provider(), settings=server.settings()) as client:
                    await client.send(MSG)

            await cancelled_at_once(job())
            assert "QUIT" not in server.verbs()
            await asyncio.sleep(0.01)

    virtual(main())


@pytest.mark.parametrize("client", [SmtpClient, Gmail])
def test_s10_cancelling_beside_a_warm_connection_ends_at_once_too(client):
    """Nothing is being sent, and the server does not answer QUIT."""

    async def main():
        async with SmtpServer({"QUIT": silence}) as server:

            async def job():
                async with client(ME, provider(), settings=server.settings()) as one:
                    await one.send(MSG)
                    await asyncio.sleep(60.0)

            await cancelled_at_once(job())
            assert "QUIT" not in server.verbs()
            assert len(server.messages) == 1
            await asyncio.sleep(0.01)

    virtual(main())


def test_a_client_without_imap_says_at_once_that_it_cannot_know():
    async def main():
        async with SmtpServer({"END": hang_up}) as server:
            async with SmtpClient(ME, provider(), settings=server.settings()) as client:
                began = asyncio.get_running_loop().time()
                with pytest.raises(OutcomeUnknown, match="may have been sent") as caught:
                    await client.send(MSG)
                assert asyncio.get_running_loop().time() == began
                assert "no IMAP side" in caught.value.evidence["lookup"]
        assert len(server.messages) == 1

    virtual(main())


def provider():
    async def fetch():
        return TOKEN, dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)

    return TokenProvider(fetch)
