"""A server that says what does not fit: it ends truthfully, nothing is written into a body that nobody meant, and nothing is sent."""

import asyncio

import pytest

from aiogmail import CommandError, GmailError, Outcome, ProtocolError, RecipientsRefused, SmtpClient
from tests.compat.test_defects_smtp import provider
from tests.smtp.support import ME, MSG, NO_CHUNKING, WAYS, SmtpServer, letter, say, session
from tests.support.aio import virtual

ways = pytest.mark.parametrize("ehlo", WAYS.values(), ids=WAYS)


async def go_ahead(c, _):
    """Asks for a body, whatever was said before, and notes all that is written then."""
    c.say("354 go\r\n")
    c.server.left.append(await c.reader.read())


@pytest.mark.parametrize(
    ("on", "kind", "stage"),
    [
        ({"RCPT": say("550 5.1.1 no\r\n")}, RecipientsRefused, "RCPT"),
        ({"RCPT": say("450 4.2.1 not now\r\n")}, RecipientsRefused, "RCPT"),
        ({"MAIL": say("550 5.7.1 no\r\n"), "RCPT": say("503 5.5.1 MAIL first\r\n")}, CommandError, "MAIL"),
        ({"MAIL": say("354 go\r\n")}, ProtocolError, "DATA"),
        ({"RCPT": say("354 go\r\n")}, ProtocolError, "DATA"),
    ],
    ids=["every recipient refused", "every recipient refused for now", "MAIL refused", "MAIL asks for a body", "RCPT asks for a body"],
)
def test_a_server_that_asks_for_a_body_nobody_may_get_is_given_none(on, kind, stage):
    async def main():
        async with SmtpServer({**on, "DATA": go_ahead}, NO_CHUNKING) as server:
            async with session(server) as one:
                with pytest.raises(kind) as caught:
                    await one.send(letter())
                assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, stage)
                assert caught.value.connection_lost
                assert one.closed.done()
            await asyncio.sleep(0.1)
            assert server.left == [b""]
            assert not server.messages

    virtual(main())


@pytest.mark.parametrize(
    "text", ["503 5.5.1 RCPT first.\r\n", "250 2.0.0 OK\r\n", "221 2.0.0 bye\r\n", "554 5.5.1 no valid recipients\r\n"]
)
@pytest.mark.parametrize("ehlo", [WAYS["DATA"], WAYS["one by one"]], ids=["pipelined", "one by one"])
def test_a_data_that_is_answered_oddly_sends_nothing(ehlo, text):
    async def main():
        async with SmtpServer({"DATA": say(text)}, ehlo) as server:
            async with session(server) as one:
                with pytest.raises(GmailError) as caught:
                    await one.send(letter())
                assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "DATA")
            assert not server.messages
            assert set(server.verbs()) <= {"EHLO", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "QUIT"}

    virtual(main())


@ways
def test_an_envelope_that_a_refused_message_left_open_gets_no_word_into_its_body(ehlo):
    """Its DATA was answered 354 behind a MAIL answered 503: a RSET would have been the beginning of a body, and a minute's silence."""

    async def end(c, _):
        if len(c.server.messages) > 1:
            return True
        await asyncio.sleep(0.2)  # the next envelope is on its way
        c.mailed = c.is_open = True
        c.say("550 5.7.1 refused\r\n")
        return False

    async def nested(c, _):
        if getattr(c, "is_open", False):
            c.say("503 5.5.1 nested MAIL\r\n")
        return not getattr(c, "is_open", False)

    async def reset(c, _):
        c.is_open, c.recipients = False, []
        return True

    async def main():
        loop = asyncio.get_running_loop()
        async with SmtpServer({"END": end, "MAIL": nested, "RSET": reset}, ehlo) as server:
            async with SmtpClient(ME, provider(), settings=server.settings()) as client:
                began = loop.time()
                sends = (client.send(MSG, recipients=[f"u{number}@example.org"]) for number in range(3))
                first, *others = await asyncio.gather(*sends, return_exceptions=True)
                assert loop.time() - began < 1.0
            assert isinstance(first, CommandError)
            assert [other.status for other in others] == ["sent", "sent"]
            assert sorted(to for to, _ in server.messages[1:]) == [["u1@example.org"], ["u2@example.org"]]
            assert not any(server.left)

    virtual(main())


@ways
@pytest.mark.parametrize(
    "before", [(), ("550 5.1.1 no such user\r\n",), ("250 2.1.5 OK\r\n",)], ids=["only", "behind a refusal", "behind another"]
)
def test_421_to_a_recipient_is_about_the_connection_and_the_message_goes_on_another(ehlo, before):
    """Not "every recipient was refused": they were not."""

    async def farewell(c, _):
        if c.number:
            return True
        c.asked = getattr(c, "asked", 0) + 1
        c.say((*before, "421 4.3.0 Temporary System Problem. Try again later (10).\r\n")[c.asked - 1])
        if c.asked > len(before):
            c.writer.close()
        return False

    async def main():
        async with SmtpServer({"RCPT": farewell}, ehlo) as server:
            async with SmtpClient(ME, provider(), settings=server.settings()) as client:
                recipients = [f"u{number}@example.org" for number in range(len(before) + 1)]
                result = await client.send(MSG, recipients=recipients)
                assert result.accepted == tuple(recipients)
            assert len(server.messages) == 1

    virtual(main())
