"""One message, stage by stage: how many round trips, what a refusal leaves, and whom a cancellation hurts."""

import asyncio
import contextlib
import dataclasses
import random

import pytest

from aiogmail.errors import (
    AccessDenied,
    CommandError,
    ConfigurationError,
    Disconnected,
    GmailError,
    MessageTooLarge,
    ProtocolError,
    RecipientsRefused,
    SendingLimitReached,
    Throttled,
    TimedOut,
    Unavailable,
)
from aiogmail.ports import Outcome
from aiogmail.settings import Limits
from aiogmail.smtp import Envelope, Manners, SmtpSession
from aiogmail.testing import Shape
from tests.smtp.support import EHLO, MSG, NO_CHUNKING, PLAIN, WAYS, SmtpServer, Tokens, hang_up, letter, say, session, silence
from tests.support.aio import virtual

ways = pytest.mark.parametrize("ehlo", WAYS.values(), ids=WAYS)
both = pytest.mark.parametrize("ehlo", [EHLO, NO_CHUNKING], ids=["BDAT", "DATA"])


def to(*recipients):
    return letter(recipients=list(recipients))


@contextlib.asynccontextmanager
async def distant(ehlo):
    """A server whose answers take 40 ms, and a session with it."""
    asyncio.get_running_loop().network.shape = Shape(latency=0.02)
    async with SmtpServer(ehlo=ehlo) as server, session(server) as one:
        yield server, one


@ways
def test_a_message_arrives_whole(ehlo):
    async def main():
        async with SmtpServer(ehlo=ehlo) as server:
            async with session(server) as one:
                made = to("a@x.org", "b@x.org")
                taken = await one.send(made)
                assert taken.envelope.accepted == ["a@x.org", "b@x.org"]
                assert taken.reply.text == "OK queued as 4711"
                assert one.connection.taken == 1
        [(recipients, text)] = server.messages
        assert recipients == ["a@x.org", "b@x.org"]
        assert text == b"".join(made.body.pieces(stuffed=False)) + b"\r\n"
        assert text.endswith(b"\r\nbody\r\n.dot\r\n")

    virtual(main())


@both
def test_a_hundred_recipients_cost_two_round_trips(ehlo):
    """The memory network shows when the server has taken the body, as TCP does not: half a round trip before the last octets leave."""

    async def main():
        loop = asyncio.get_running_loop()
        async with distant(ehlo) as (server, one):
            made = letter(recipients=[f"u{number}@x.org" for number in range(100)])
            began = loop.time()
            await one.send(made)
            trips = (loop.time() - began) / 0.04
            assert trips <= 2.6
        assert len(server.messages[0][0]) == 100

    virtual(main())


@both
def test_messages_on_a_connection_cost_less_than_two_round_trips_each_where_two_are_under_way(ehlo):
    async def main():
        loop = asyncio.get_running_loop()
        async with distant(ehlo) as (server, one):
            began = loop.time()

            async def some():
                for _ in range(20):
                    await one.send(letter())

            await asyncio.gather(some(), some())
            each = (loop.time() - began) / 0.04 / 40
        assert len(server.messages) == 40
        assert each < 1.6  # 1.1 over TCP, which takes the body at once

    virtual(main())


def test_the_last_octets_leave_behind_an_empty_buffer():
    async def main():
        async with distant(EHLO) as (server, one):
            writes = []
            write = one.connection.write

            def noting(data):
                writes.append((bytes(data[-2:]), len(data), one.connection.transport.get_write_buffer_size()))
                write(data)

            one.connection.write = noting
            await one.send(letter(MSG * 10_000))
        last = next(index for index, (_, length, _) in enumerate(writes) if length == 2)
        assert writes[last] == (b"\r\n", 2, 0)
        assert max(waiting for _, _, waiting in writes[:last]) <= 64 * 1024 + 64
        assert max(length for _, length, _ in writes) <= 64 * 1024 + 1
        assert len(server.messages) == 1

    virtual(main())


def test_the_parameters_of_mail_say_what_is_coming():
    async def main():
        async with SmtpServer() as server:
            async with session(server) as one:
                await one.send(letter())
                await one.send(letter(MSG + b"\xe4\r\n"))
                await one.send(letter(MSG, recipients="jörg@x.org", sender="ich@x.org"))
        async with SmtpServer(ehlo=PLAIN) as plain:
            async with session(plain) as one:
                await one.send(letter())
        mails = [line for line in (*server.lines, *plain.lines) if line.startswith(b"MAIL")]
        size = letter().body.size
        assert mails[0] == b"MAIL FROM:<me@gmail.com> SIZE=%d\r\n" % size
        assert mails[1] == b"MAIL FROM:<me@gmail.com> SIZE=%d BODY=8BITMIME\r\n" % (size + 3)
        assert mails[2] == b"MAIL FROM:<ich@x.org> SIZE=%d SMTPUTF8\r\n" % size
        assert mails[3] == b"MAIL FROM:<me@gmail.com>\r\n"
        assert "RCPT TO:<jörg@x.org>\r\n".encode() in server.lines

    virtual(main())


@pytest.mark.parametrize(
    ("ehlo", "made", "kind", "words"),
    [
        ("250-x\r\n250-AUTH XOAUTH2\r\n250 SIZE 50\r\n", letter(), MessageTooLarge, "takes 50"),
        ("250-x\r\n250 AUTH XOAUTH2\r\n", letter(recipients="jörg@x.org"), ConfigurationError, "SMTPUTF8"),
        ("250-x\r\n250 AUTH XOAUTH2\r\n", letter(MSG + b"\xff"), ConfigurationError, "8BITMIME"),
    ],
)
def test_what_the_server_cannot_take_is_refused_before_anything_is_said(ehlo, made, kind, words):
    async def main():
        async with SmtpServer(ehlo=ehlo) as server:
            async with session(server) as one:
                with pytest.raises(kind, match=words) as caught:
                    await one.send(made)
                assert caught.value.outcome is Outcome.NOT_APPLIED
                assert caught.value.stage
                assert "MAIL" not in server.verbs()

    virtual(main())


@pytest.mark.parametrize("limit", ["", " 0", " nonsense", " ٥"])
def test_a_size_without_a_number_is_no_limit(limit):
    async def main():
        async with SmtpServer(ehlo=f"250-x\r\n250-AUTH XOAUTH2\r\n250 SIZE{limit}\r\n") as server:
            async with session(server) as one:
                await one.send(letter())
        assert len(server.messages) == 1

    virtual(main())


REFUSALS = [
    ("MAIL", "550-5.4.5 Daily user sending limit exceeded.\r\n550 5.4.5  https://support a1 - gsmtp\r\n", SendingLimitReached, "MAIL"),
    ("END", "550 5.4.5 Daily user sending limit exceeded.\r\n", SendingLimitReached, "reply"),
    ("RCPT", "550 5.4.5 Daily user sending limit exceeded.\r\n", SendingLimitReached, "RCPT"),
    ("RCPT", "550 5.1.1 no such user\r\n", RecipientsRefused, "RCPT"),
    ("RCPT", "450 4.2.1 too quickly\r\n", RecipientsRefused, "RCPT"),
    ("MAIL", "552-5.3.4 Your message exceeded Google's message size limits.\r\n552 5.3.4 go\r\n", MessageTooLarge, "MAIL"),
    ("END", "552 5.3.4 too large\r\n", MessageTooLarge, "reply"),
    ("END", "552 5.7.0 blocked because its content presents a potential security issue\r\n", CommandError, "reply"),
    ("END", "554 5.6.0 Mail message is malformed.\r\n", CommandError, "reply"),
    ("END", "451 4.3.0 Mail server temporarily rejected message.\r\n", Unavailable, "reply"),
    ("MAIL", "530 5.7.0 Authentication Required.\r\n", AccessDenied, "MAIL"),
    ("MAIL", "451 4.3.0 Temporary System Problem.\r\n", Unavailable, "MAIL"),
]


@ways
@pytest.mark.parametrize(("stage", "text", "kind", "told"), REFUSALS)
def test_a_refusal_says_why_and_leaves_a_connection_that_takes_the_next(ehlo, stage, text, kind, told):
    once = []

    async def refuse(c, _):
        if once:
            return True
        once.append(1)
        c.say(text)
        return False

    async def main():
        async with SmtpServer({stage: refuse}, ehlo) as server:
            async with session(server) as one:
                with pytest.raises(kind) as caught:
                    await one.send(to("a@x.org"))
                error = caught.value
                assert type(error) is kind
                assert (error.outcome, error.stage) == (Outcome.NOT_APPLIED, told)
                assert not error.connection_lost
                assert getattr(error, "status", text[:3]) == text[:3]
                if kind is SendingLimitReached:
                    assert error.retry_after == 86_400.0
                if kind is RecipientsRefused:
                    assert list(error.refused) == ["a@x.org"]
                await one.send(letter())
                assert not one.closed.done()
            assert len(server.conversations) == 1

    virtual(main())


@ways
def test_some_recipients_refused_the_others_get_it(ehlo):
    async def pick(c, line):
        if b"bad" in line:
            c.say("550-5.1.1 The email account that you tried to reach\r\n550 5.1.1 does not exist\r\n")
            return False
        return True

    async def main():
        async with SmtpServer({"RCPT": pick}, ehlo) as server:
            async with session(server) as one:
                told = Envelope()
                await one.send(to("bad@x.org", "a@x.org", "bad2@x.org"), told)
        assert told.accepted == ["a@x.org"]
        assert told.refused["bad@x.org"] == ("550 5.1.1", "The email account that you tried to reach does not exist")
        assert server.messages[0][0] == ["a@x.org"]

    virtual(main())


@ways
@pytest.mark.parametrize("stage", ["MAIL", "RCPT"])
def test_421_before_the_body_is_an_end_that_sent_nothing(ehlo, stage):
    async def main():
        async with SmtpServer({stage: say("421 4.7.0 Try again later.\r\n")}, ehlo) as server:
            async with session(server) as one:
                with pytest.raises(Throttled) as caught:
                    await one.send(to("a@x.org", "b@x.org"))
                assert caught.value.outcome is Outcome.NOT_APPLIED
                assert caught.value.connection_lost
                assert one.closed.done()

    virtual(main())


@ways
def test_421_after_messages_is_a_connection_that_has_had_enough(ehlo):
    async def enough(c, _):
        if not c.server.messages:
            return True
        c.say("421 4.7.0 Temporary System Problem. Try again later (10).\r\n")
        return False

    async def main():
        async with SmtpServer({"MAIL": enough}, ehlo) as server:
            async with session(server) as one:
                await one.send(letter())
                with pytest.raises(Disconnected) as caught:
                    await one.send(letter())
                assert caught.value.outcome is Outcome.NOT_APPLIED

    virtual(main())


@ways
def test_421_behind_the_message_says_nothing_about_it(ehlo):
    async def main():
        async with SmtpServer({"END": say("421 4.3.0 shutting down\r\n")}, ehlo) as server:
            async with session(server) as one:
                with pytest.raises(GmailError) as caught:
                    await one.send(letter())
                assert (caught.value.outcome, caught.value.stage) == (Outcome.UNKNOWN, "reply")

    virtual(main())


@ways
@pytest.mark.parametrize("text", ["354 more\r\n", "250 2.1.5 OK an address\r\n", "335 x\r\n"])
def test_what_is_no_answer_to_a_message_is_not_believed(ehlo, text):
    async def main():
        async with SmtpServer({"END": say(text)}, ehlo) as server:
            async with session(server) as one:
                with pytest.raises(ProtocolError) as caught:
                    await one.send(letter())
                assert caught.value.outcome is Outcome.UNKNOWN
                assert one.closed.done()

    virtual(main())


@pytest.mark.parametrize(("verb", "text"), [("MAIL", "354 go\r\n"), ("RCPT", "334 x\r\n"), ("DATA", "250 ok\r\n")])
@pytest.mark.parametrize("ehlo", [NO_CHUNKING, PLAIN], ids=["DATA", "one by one"])
def test_what_is_no_answer_to_an_envelope_ends_the_connection(ehlo, verb, text):
    async def main():
        async with SmtpServer({verb: say(text)}, ehlo) as server:
            async with session(server) as one:
                with pytest.raises(ProtocolError) as caught:
                    await one.send(letter())
                assert caught.value.outcome is Outcome.NOT_APPLIED
                assert caught.value.retryable
                assert one.closed.done()

    virtual(main())


@pytest.mark.parametrize(
    ("text", "kind"), [("552 5.3.4 enough\r\n", MessageTooLarge), ("250 2.0.0 OK\r\n", ProtocolError), ("421 4.3.0 bye\r\n", Unavailable)]
)
def test_a_reply_before_the_end_of_the_body_ends_it(text, kind):
    async def early(c, line):
        await c.reader.readexactly(100_000)
        c.say(text)
        await asyncio.sleep(1.0)
        await c.exactly(int(line.split()[1]) - 100_000)

    async def main():
        loop = asyncio.get_running_loop()
        loop.network.shape = Shape(latency=0.01)
        async with SmtpServer({"BDAT": early}) as server:
            async with session(server) as one:
                with pytest.raises(kind) as caught:
                    await one.send(letter(MSG * 30_000))
                assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "body")
                assert caught.value.connection_lost
                assert one.closed.done()

    virtual(main())


def test_a_message_refused_at_its_end_may_leave_its_envelope_open():
    """RFC 3030: the sender says RSET; what followed it in the same breath is said again."""
    opened = []

    async def mail(c, _):
        if opened and opened[-1] == "open":
            c.say("503 5.5.1 nested MAIL\r\n")
            c.mailed = False
            return False
        opened.append("open")
        return True

    async def end(c, _):
        await asyncio.sleep(0.1)
        if len(c.server.messages) == 1:
            c.say("554 5.6.0 malformed\r\n")
            return False
        opened.append("closed")
        return True

    async def reset(c, _):
        opened.append("reset")
        return True

    async def main():
        async with SmtpServer({"MAIL": mail, "END": end, "RSET": reset}) as server:
            async with session(server) as one:
                first, second = await asyncio.gather(one.send(letter()), one.send(letter()), return_exceptions=True)
        assert isinstance(first, CommandError)
        assert second.envelope.accepted == ["you@example.org"]
        assert "reset" in opened

    virtual(main())


@both
def test_cancelling_a_message_lets_the_one_before_it_hear_its_reply(ehlo):
    async def slowly(c, _):
        await asyncio.sleep(5.0)
        return True

    async def main():
        async with SmtpServer({"END": slowly}, ehlo) as server:
            async with session(server) as one:
                first = asyncio.ensure_future(one.send(letter()))
                await asyncio.sleep(1.0)
                second = asyncio.ensure_future(one.send(letter()))
                third = asyncio.ensure_future(one.send(letter()))
                await asyncio.sleep(1.0)
                second.cancel()
                assert (await first).envelope.accepted == ["you@example.org"]
                with pytest.raises(asyncio.CancelledError):
                    await second
                with pytest.raises(Disconnected) as caught:
                    await third
                assert caught.value.outcome is Outcome.NOT_APPLIED
                assert one.closed.done()
        assert len(server.messages) == 1

    virtual(main())


def test_cancelling_a_message_whose_turn_has_not_come_costs_nothing():
    async def slowly(c, _):
        await asyncio.sleep(5.0)
        return True

    async def main():
        async with SmtpServer({"MAIL": slowly}) as server:
            async with session(server) as one:
                first = asyncio.ensure_future(one.send(letter()))
                await asyncio.sleep(1.0)
                second = asyncio.ensure_future(one.send(letter()))
                await asyncio.sleep(1.0)
                second.cancel()
                await first
                assert not one.closed.done()
        assert len(server.messages) == 1

    virtual(main())


@ways
@pytest.mark.parametrize(("stage", "seconds"), [("MAIL", 60.0), ("END", 600.0)])
def test_a_deadline_passes_once_and_by_itself(ehlo, stage, seconds):
    async def main():
        async with SmtpServer({stage: silence}, ehlo) as server:
            async with session(server) as one:
                began = asyncio.get_running_loop().time()
                with pytest.raises(TimedOut) as caught:
                    await one.send(letter())
                assert asyncio.get_running_loop().time() - began == pytest.approx(seconds, abs=0.01)
                assert caught.value.outcome is (Outcome.UNKNOWN if stage == "END" else Outcome.NOT_APPLIED)

    virtual(main())


def test_the_deadline_of_an_envelope_begins_behind_the_reply_before_it():
    async def slowly(c, _):
        await asyncio.sleep(300.0)
        return True

    async def main():
        async with SmtpServer({"END": slowly}) as server:
            async with session(server) as one:
                first, second = await asyncio.gather(one.send(letter()), one.send(letter()))
                assert first.envelope.accepted == second.envelope.accepted
        assert len(server.messages) == 2

    virtual(main())


def test_a_rset_that_is_refused_costs_the_connection():
    async def main():
        async with SmtpServer({"RCPT": say("550 5.1.1 no\r\n"), "RSET": say("500 what\r\n")}) as server:
            async with session(server) as one:
                with pytest.raises(RecipientsRefused):
                    await one.send(letter())
                with pytest.raises(ProtocolError, match="RSET") as caught:
                    await one.send(letter())
                assert caught.value.outcome is Outcome.NOT_APPLIED

    virtual(main())


def test_what_is_lost_while_it_is_quiet_is_known_at_once():
    async def main():
        async with SmtpServer({"NOOP": hang_up}) as server:
            async with session(server) as one:
                server.conversations[0].writer.transport.abort()
                await asyncio.sleep(0.01)
                assert one.closed.done()
                with pytest.raises(Disconnected) as caught:
                    await one.send(letter())
                assert caught.value.outcome is Outcome.NOT_APPLIED

    virtual(main())


def test_a_server_that_dies_of_an_envelope_behind_a_message_is_not_asked_again():
    """As Dovecot 2.3, whose greeting tells; this one does not."""

    async def slowly(c, _):
        await asyncio.sleep(1.0)
        if c.reader._buffer:
            c.reset()
        return True

    async def main():
        async with SmtpServer({"END": slowly}) as server:
            manners = Manners()
            for expected in (1, 0):
                one = await SmtpSession.open("me@gmail.com", Tokens(), server.settings(), manners)
                results = await asyncio.gather(one.send(letter()), one.send(letter()), return_exceptions=True)
                assert sum(isinstance(result, GmailError) and result.outcome is Outcome.UNKNOWN for result in results) == expected
                one.abort()
                await asyncio.sleep(0.01)
            assert not manners.may_overlap
        assert len(server.messages) == 3

    virtual(main())


def test_a_loss_is_not_held_against_a_server_that_has_borne_it():
    manners = Manners()
    manners.bore()
    manners.lost()
    assert manners.may_overlap


@pytest.mark.parametrize(("greeting", "pipeline"), [("220 localhost Dovecot (Debian) ready.\r\n", 4), ("220 ready\r\n", 1)])
def test_where_it_is_not_wanted_an_envelope_waits_for_the_reply_before_it(greeting, pipeline):
    async def slowly(c, _):
        await asyncio.sleep(1.0)
        assert not c.reader._buffer
        return True

    async def main():
        async with SmtpServer({"END": slowly}, greeting=greeting) as server:
            settings = dataclasses.replace(server.settings(), limits=Limits(pipeline=pipeline))
            one = await SmtpSession.open("me@gmail.com", Tokens(), settings)
            await asyncio.gather(one.send(letter()), one.send(letter()))
            await one.aclose()
            await asyncio.sleep(0.01)
        assert len(server.messages) == 2

    virtual(main())


@both
def test_every_recipient_gets_its_own_reply_however_replies_are_cut_or_the_connection_is_dead(ehlo):
    """P5: a server that splits, merges and sometimes pads its replies; each refusal names whom it is for."""

    async def main(rng):
        async def pieces(c, text, padded):
            text += "250 2.0.0 padding\r\n" * padded
            at = 0
            while at < len(text):
                size = rng.randint(1, len(text))
                c.say(text[at : at + size])
                at += size
                if rng.random() < 0.3:
                    await asyncio.sleep(0.001)

        async def rcpt(c, line):
            address = line.split(b"<")[1].split(b">")[0].decode()
            good = rng.random() < 0.5
            if good:
                c.recipients.append(address)
            await pieces(c, f"250 2.1.5 {address}\r\n" if good else f"550-5.1.1 no\r\n550 5.1.1 {address}\r\n", rng.random() < padding)

        padding = rng.choice((0.0, 0.0, 0.05))
        async with SmtpServer({"RCPT": rcpt}, ehlo) as server:
            async with session(server, command=30.0) as one:
                for _ in range(4):
                    told = Envelope()
                    try:
                        await one.send(to(*(f"u{number}@x.org" for number in range(12))), told)
                    except RecipientsRefused:
                        pass
                    except GmailError:
                        assert padding
                        break
                    if not padding:
                        assert all(text == f"no {address}" for address, (_, text) in told.refused.items())
                        assert set(told.accepted) | set(told.refused) == {f"u{number}@x.org" for number in range(12)}
                        if told.accepted:
                            assert server.messages[-1][0] == told.accepted

    for seed in range(20):
        virtual(main(random.Random(seed)), seed)
