"""A download against the emulator: every octet once and in order, whatever is cut."""

import asyncio
import contextlib
import random
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from aiogmail import ConfigurationError, Gmail, Limits, MailboxChanged, ProtocolError, Q, StateError, TokenProvider, errors
from aiogmail.testing import Fault, GmailEmulator
from tests.support.aio import run, virtual
from tests.support.scripted import ScriptedImap

from .test_fetch import ADDRESS, imap_connections

PART = 20_000


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch):
    """Sessions that are cut again and again are opened again at once: the delays are tested with the supervisor."""
    monkeypatch.setattr("aiogmail.supervisor.backoff.Backoff.next", lambda self, floor=0.0: floor)


async def with_message(test, *, size=300_000, seed=0, part=PART):
    async with GmailEmulator(seed=seed) as server:
        account = server.add_account(ADDRESS)
        head = b"Subject: long\r\nMessage-ID: <1@x.example>\r\n\r\n"
        lines, rest = divmod(size - len(head) - 2, 70)
        account.deliver(head + b"".join(b"%07d %s\r\n" % (number, b"x" * 60) for number in range(lines)) + b"y" * rest + b"\r\n")
        [message] = account.messages
        settings = replace(server.settings, limits=Limits(buffer=part // 2))
        async with Gmail(ADDRESS, account.credentials(), settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
            return await test(server, account, inbox, message.raw)


def offsets(server):
    """Where the parts began that were asked for."""
    texts = [command.line for command in server.ledger.commands if "BODY.PEEK[]<" in command.line]
    return [int(text.partition("[]<")[2].partition(".")[0]) for text in texts]


@pytest.mark.unmeasured
@pytest.mark.parametrize("seed", range(15))
def test_whatever_is_cut_every_octet_comes_once_and_in_order(seed):
    chance = random.Random(seed)

    async def test(server, account, inbox, raw):
        for _ in range(3):  # one more at one place and the download gives up, as it should
            action = chance.choice(["bye", "close", "reset"])
            server.faults.add(
                Fault(action, "UID FETCH", point="reply", byte=chance.randrange(0, PART), skip=chance.randrange(0, 9), times=1)
            )
        received = bytearray()
        async for chunk in inbox.download(1):
            assert chunk
            received += chunk
            if chance.random() < 0.2:
                chance.choice([account.expire_sessions, account.drop_sessions])()
                for _ in range(chance.randrange(0, 30)):
                    await asyncio.sleep(0)
        assert received == raw

    run(with_message(test, seed=seed, size=chance.choice([299_999, 300_000, 320_000])))


@pytest.mark.parametrize("size", [100, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1])
def test_sizes_around_a_part_end_where_the_message_does(size):
    async def test(server, account, inbox, raw):
        assert len(raw) == size
        chunks = [chunk async for chunk in inbox.download(1)]
        assert b"".join(chunks) == raw
        assert [len(chunk) for chunk in chunks[:-1]] == [PART] * (len(chunks) - 1)
        assert len(offsets(server)) == len(chunks), "no part is asked for that is not there"

    run(with_message(test, size=size))


def test_after_a_cut_it_goes_on_behind_the_last_octet_that_came():
    async def test(server, account, inbox, raw):
        server.faults.add(Fault("close", "UID FETCH", point="reply", byte=5000, skip=7))
        assert b"".join([chunk async for chunk in inbox.download(1)]) == raw
        asked = offsets(server)
        assert len(imap_connections(server)) == 2
        before = [offset for offset in asked if offset % PART == 0]
        behind = [offset for offset in asked if offset % PART]
        assert before == list(range(0, len(before) * PART, PART))
        cut = 7 * PART
        assert cut + 4900 < behind[0] < cut + 5000
        assert behind == list(range(behind[0], len(raw), PART))

    run(with_message(test))


def test_a_slow_consumer_makes_nobody_hold_more_than_two_parts():
    async def test(server, account, inbox, raw):
        download = inbox.download(1)
        first = await anext(download)
        await asyncio.sleep(0.05)
        assert max(offsets(server)) <= 2 * PART
        assert len(await inbox.search(Q.all)) == 1, "others are not held up"
        rest = [chunk async for chunk in download]
        assert b"".join((first, *rest)) == raw

    run(with_message(test))


def test_commands_are_legal_inside_the_loop():
    async def test(server, account, inbox, raw):
        received = b""
        async for chunk in inbox.download(1):
            received += chunk
            searched, (inner,) = await asyncio.gather(inbox.search(Q.all), first_of(inbox.download(1)))
            assert len(searched) == 1
            assert inner == raw[:PART]
        assert received == raw

    async def first_of(download):
        async with download:
            return [await anext(download)]

    run(with_message(test, size=100_000))


def test_leaving_early_costs_neither_the_connection_nor_the_next_command():
    async def test(server, account, inbox, raw):
        async for chunk in inbox.download(1):
            assert chunk == raw[:PART]
            break
        async with inbox.download(1) as download:
            await anext(download)
        with pytest.raises(StopAsyncIteration):
            await anext(download)
        assert len(await inbox.search(Q.all)) == 1
        assert len(imap_connections(server)) == 1

    run(with_message(test))


def test_a_cancelled_step_loses_nothing():
    async def test(server, account, inbox, raw):
        received = bytearray()
        download = inbox.download(1)
        steps = 0
        while len(received) < len(raw):
            task = asyncio.ensure_future(anext(download))
            for _ in range(steps % 5):
                await asyncio.sleep(0)
            steps += 1
            task.cancel()
            try:
                received += await task
            except asyncio.CancelledError:
                received += await anext(download)
        assert received == raw
        assert await anext(download, None) is None

    run(with_message(test))


def test_closing_it_ends_a_step_that_waits():
    async def test(server, account, inbox, raw):
        server.faults.add(Fault("delay", "UID FETCH", seconds=0.2))
        download = inbox.download(1)
        step = asyncio.ensure_future(anext(download, None))
        await asyncio.sleep(0.05)
        await download.aclose()
        assert await step is None
        assert len(await inbox.search(Q.all)) == 1

    run(with_message(test))


def test_two_tasks_do_not_share_one():
    async def test(server, account, inbox, raw):
        download = inbox.download(1)
        results = await asyncio.gather(anext(download), anext(download), return_exceptions=True)
        assert results[0] == raw[:PART]
        assert isinstance(results[1], StateError)
        await download.aclose()

    run(with_message(test))


def test_a_message_that_is_not_there_is_told():
    async def test(server, account, inbox, raw):
        download = inbox.download(7)
        with pytest.raises(errors.CommandError, match="no message with UID 7"):
            await anext(download)
        chunks = inbox.download(1)
        await anext(chunks)
        account.remove(account.messages[0])
        with pytest.raises(errors.CommandError, match="no message with UID 1"):
            [chunk async for chunk in chunks]

    run(with_message(test))


def test_a_refusal_is_told_in_the_servers_words():
    async def test(server, account, inbox, raw):
        server.faults.add(Fault("answer", "UID FETCH", text="NO Some messages could not be FETCHed (Failure)"))
        with pytest.raises(errors.CommandError, match="could not be FETCHed"):
            await anext(inbox.download(1))

    run(with_message(test))


def test_a_temporary_refusal_in_the_middle_is_waited_out():
    async def test(server, account, inbox, raw):
        server.faults.add(Fault("answer", "UID FETCH", text="NO [UNAVAILABLE] Temporary System Problem (Failure)", skip=4))
        assert b"".join([chunk async for chunk in inbox.download(1)]) == raw
        assert len(imap_connections(server)) == 1

    virtual(with_message(test))


def test_uidvalidity_that_changed_ends_it():
    async def test(server, account, inbox, raw):
        with pytest.raises(MailboxChanged):
            async for _ in inbox.download(1):
                account.change_uidvalidity("INBOX")
                account.expire_sessions()

    virtual(with_message(test))


@pytest.mark.parametrize("uid", [0, -1, 2**32, True, "1", None])
def test_what_is_no_uid_is_refused_at_once(uid):
    async def test(server, account, inbox, raw):
        with pytest.raises(ConfigurationError, match="uid: expected"):
            inbox.download(uid)

    run(with_message(test, size=100))


@contextlib.asynccontextmanager
async def scripted(size, parts):
    """An INBOX whose server answers the fetches of a download with these parts in turn."""
    left = list(parts)

    async def fetch(connection, command):
        offset = int(re.search(rb"<([0-9]+)\.10>", command.arguments)[1])
        told = size if b"RFC822.SIZE" in command.arguments else b""
        part = left.pop(0) if left else b""
        octets = b"NIL" if part is None else b"{%d}\r\n%b" % (len(part), part)
        await connection.send(b"* 1 FETCH (UID 1 %bBODY[]<%d> %b)\r\n" % (told, offset, octets))
        await connection.ok(command)

    async with ScriptedImap() as server:
        server.on("UID FETCH", fetch)
        settings = replace(server.settings, limits=Limits(buffer=5))
        async with Gmail(ADDRESS, TokenProvider(token), settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
            yield inbox


async def token():
    return "good", datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.parametrize(
    ("size", "parts", "message"),
    [
        (b"RFC822.SIZE 30 ", [b"x" * 10, b"y" * 5, b""], "announced 30 octets and sent only 15"),
        (b"RFC822.SIZE 12 ", [b"x" * 10, b"y" * 10], "announced 12 octets and sent 20"),
        (b"RFC822.SIZE 12 ", [None], "announced 12 octets and sent only 0"),
        (b"", [b"x" * 10], "did not tell the size"),
    ],
)
def test_a_sum_that_is_not_what_was_announced_is_told(size, parts, message):
    async def main():
        received = []
        async with scripted(size, parts) as inbox:
            with pytest.raises(ProtocolError, match=message):
                async for chunk in inbox.download(1):
                    received.append(chunk)
            assert len(b"".join(received)) <= 15

    run(main())


def test_parts_shorter_than_asked_for_are_joined():
    """What was asked for behind a short part does not join on: it is asked for again."""

    async def main():
        async with scripted(b"RFC822.SIZE 23 ", [b"x" * 10, b"y" * 5, b"!!!", b"z" * 8]) as inbox:
            assert b"".join([chunk async for chunk in inbox.download(1)]) == b"x" * 10 + b"y" * 5 + b"z" * 8

    run(main())
