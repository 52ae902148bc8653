"""Texts, headers and parts without the rest: what is asked for, and that every message comes with what was asked for."""

import asyncio
import random
from dataclasses import replace
from email.message import EmailMessage

import pytest

from aiogmail import ConfigurationError, Gmail, Limits, NotFetched, Q, StateError, errors
from aiogmail.testing import Behaviour, Fault, GmailEmulator
from tests.support.aio import run

from .test_fetch import ADDRESS

SECRET = b"\x00attachment\xff" * 500


def letter(number):
    made = EmailMessage()
    made["Subject"], made["From"], made["Message-ID"] = f"Nummer {number} ü", "Ann <ann@x.example>", f"<{number}@x.example>"
    made.set_content(f"Text {number} ä\n" * (number % 7 + 1))
    if number % 2:
        made.add_alternative(f"<p>{number}</p>\n", subtype="html")
    if number % 3 == 0:
        made.add_attachment(SECRET, maintype="application", subtype="x", filename="a.bin")
    return made


async def with_letters(test, count=20, *, buffer=1024 * 1024, seed=0):
    async with GmailEmulator(seed=seed, behaviour=Behaviour()) as server:
        account = server.add_account(ADDRESS)
        for number in range(1, count + 1):
            account.deliver(letter(number))
        settings = replace(server.settings, limits=Limits(buffer=buffer))
        async with Gmail(ADDRESS, account.credentials(), settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
            return await test(server, account, inbox)


def text(number):
    return f"Text {number} ä\r\n" * (number % 7 + 1)


def lines(server, word):
    return [command.line for command in server.ledger.commands if word in command.line]


def test_texts_come_without_attachments():
    async def test(server, account, inbox):
        found = [message async for message in inbox.fetch("1:*", "text", "HTML", "envelope")]
        assert [message.uid for message in found] == list(range(1, 21))
        assert [message.text for message in found] == [text(number) for number in range(1, 21)]
        assert [message.html for message in found] == [f"<p>{number}</p>\r\n" if number % 2 else "" for number in range(1, 21)]
        assert [message.envelope.subject for message in found] == [f"Nummer {number} ü" for number in range(1, 21)]
        assert [len(message.attachments) for message in found] == [1 if number % 3 == 0 else 0 for number in range(1, 21)]
        [connection] = [one for one in server.ledger.connections if one.protocol == "imap"]
        assert connection.sent < 40_000 < sum(len(message.raw) for message in account.messages)
        assert len(lines(server, "BODY.PEEK[1")) <= 8, "those of one shape are fetched together"
        assert all(not message.flags for message in account.messages)

    run(with_letters(test))


def test_only_the_texts_asked_for_are_there():
    async def test(server, account, inbox):
        [message] = [one async for one in inbox.fetch(3, "html")]
        assert message.html == "<p>3</p>\r\n"
        with pytest.raises(NotFetched) as caught:
            _ = message.text
        assert caught.value.name == "text"
        with pytest.raises(NotFetched) as caught:
            message.content(message.attachments[0])
        assert caught.value.name == "part:2"
        [message] = [one async for one in inbox.fetch(3, "structure")]
        with pytest.raises(NotFetched, match="html was not fetched"):
            _ = message.html
        [message] = [one async for one in inbox.fetch(3, "flags")]
        for ask in ("text", "html", "attachments", "parts", "headers", "email"):
            with pytest.raises(NotFetched):
                getattr(message, ask)
        assert message.defects == ()

    run(with_letters(test, 3))


def test_parts_come_by_number():
    async def test(server, account, inbox):
        [message] = [one async for one in inbox.fetch(3, "part:2", "PART:1.1")]
        assert message.content("2") == message.content(message.attachments[0]) == SECRET
        assert message.text == text(3)
        with pytest.raises(ConfigurationError):
            message.content("")
        [message] = [one async for one in inbox.fetch(1, "part:9")]
        assert message.content("9") == b""

    run(with_letters(test, 3))


def test_headers_come_alone():
    async def test(server, account, inbox):
        [message] = [one async for one in inbox.fetch(3, "headers")]
        assert message.headers["subject"] == "Nummer 3 ü"
        assert message.headers["message-id"] == "<3@x.example>"
        [message] = [one async for one in inbox.fetch(3, "header:Subject", "header:list-id", "flags")]
        assert dict(message.headers) == {"Subject": "Nummer 3 ü"}
        assert message.headers.get("List-Id") is None
        with pytest.raises(NotFetched, match="header:from"):
            message.headers["from"]
        assert lines(server, "HEADER.FIELDS") == ["UID FETCH 3 (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT LIST-ID)])"]
        [message] = [one async for one in inbox.fetch(3, "raw")]
        assert message.headers["subject"] == "Nummer 3 ü"
        assert message.envelope.subject == "Nummer 3 ü"
        assert message.email["subject"] == "Nummer 3 ü"

    run(with_letters(test, 3))


def test_what_is_no_item_is_refused_before_anything_is_sent():
    async def test(server, account, inbox):
        before = len(server.ledger.commands)
        with pytest.raises(ConfigurationError, match="items: expected"):
            inbox.fetch("1:*", "subject")
        assert len(server.ledger.commands) == before

    run(with_letters(test, 1))


@pytest.mark.unmeasured
@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_cut_every_text_comes_once(seed):
    chance = random.Random(seed)

    async def test(server, account, inbox):
        for _ in range(3):
            server.faults.add(
                Fault(
                    chance.choice(["bye", "close", "reset"]),
                    "UID FETCH",
                    point="reply",
                    byte=chance.randrange(2000),
                    skip=chance.randrange(6),
                )
            )
        found = []
        async for message in inbox.fetch(Q.all, "text"):
            found.append((message.uid, message.text))
            if chance.random() < 0.1:
                account.drop_sessions()
        assert found == [(number, text(number)) for number in range(1, 61)]

    run(with_letters(test, 60, buffer=chance.choice([300, 5000, 1024 * 1024]), seed=seed))


def test_a_budget_is_kept_and_commands_are_legal_inside():
    async def test(server, account, inbox):
        async for message in inbox.fetch("1:*", "text"):
            assert len(await inbox.search(Q.uid(message.uid))) == 1
        rows = [line.partition("FETCH ")[2].partition(" (UID BODY.PEEK")[0] for line in lines(server, "(UID BODY.PEEK[1")]
        assert max(len(row) for row in rows) <= 12, "a budget of 100 octets holds few texts at once"

    run(with_letters(test, 30, buffer=100))


def test_a_message_that_goes_between_the_steps_is_left_out():
    async def test(server, account, inbox):
        async for message in inbox.fetch("1:*", "text"):
            if message.uid == 1:
                account.remove(account.messages[9])
        found = [message.uid async for message in inbox.fetch("1:*", "text")]
        assert found == [number for number in range(1, 21) if number != 10]

    run(with_letters(test, 20, buffer=100))


def test_one_that_cannot_be_fetched_does_not_take_the_others_with_it():
    async def test(server, account, inbox):
        refusal = "NO Some messages could not be FETCHed (Failure)"
        server.faults.add(Fault("answer", "UID FETCH", text=refusal, skip=1))
        server.faults.add(Fault("answer", "UID FETCH", text=refusal, skip=1))
        found = []
        with pytest.raises(errors.CommandError, match="could not be FETCHed"):
            async for message in inbox.fetch([2, 4], "text"):
                found.append(message.uid)
        assert found == [4]

    run(with_letters(test, 4))


def test_any_other_failure_is_told():
    async def test(server, account, inbox):
        server.faults.add(Fault("answer", "UID FETCH", text="BAD Could not parse command", skip=1))
        with pytest.raises(errors.CommandError, match="BAD"):
            [message async for message in inbox.fetch([2, 4], "text")]

    run(with_letters(test, 4))


def test_a_cancelled_step_loses_no_message_and_two_tasks_do_not_share():
    async def test(server, account, inbox):
        stream, found, steps = inbox.fetch("1:*", "text"), [], 0
        while len(found) < 20:
            task = asyncio.ensure_future(anext(stream))
            for _ in range(steps % 7):
                await asyncio.sleep(0)
            steps += 1
            task.cancel()
            try:
                found.append((await task).uid)
            except asyncio.CancelledError:
                found.append((await anext(stream)).uid)
        assert found == list(range(1, 21))
        stream = inbox.fetch("1:*", "text")
        results = await asyncio.gather(anext(stream), anext(stream), return_exceptions=True)
        assert isinstance(results[1], StateError)
        await stream.aclose()
        assert [one async for one in stream] == []
        stream = inbox.fetch("1:*", "text")
        server.faults.add(Fault("delay", "UID FETCH", seconds=0.2, skip=1))
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.1)
        with pytest.raises(StateError):
            await anext(stream)
        assert (await first).uid == 1
        async with stream:
            pass
        assert len(await inbox.search()) == 20

    run(with_letters(test, 20))
