"""Conversations: what belongs together comes together."""

import asyncio
import random

import pytest

from aiogmail import ConfigurationError, Gmail, Q, StateError, UidSet
from aiogmail.testing import Fault, GmailEmulator
from tests.support.aio import run

from .test_fetch import ADDRESS


async def with_threads(test, count=30, threads=7, *, seed=0):
    async with GmailEmulator(seed=seed) as server:
        account = server.add_account(ADDRESS)
        for number in range(1, count + 1):
            raw = b"Subject: s%d\r\nMessage-ID: <%d@x>\r\n\r\nx" % (number, number)
            account.deliver(raw, thread_id=1000 + number * number % threads, flags=("\\Seen",) if number % 2 else ())
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
            return await test(server, account, inbox)


def expected(uids, threads=7):
    groups = {}
    for uid in uids:
        groups.setdefault(1000 + uid * uid % threads, []).append(uid)
    return list(groups.items())


async def read(stream):
    return [(thread.id, [message.uid for message in thread.messages]) async for thread in stream]


def test_a_thread_is_fetched_by_its_id():
    async def test(server, account, inbox):
        messages = [message async for message in inbox.thread(1002, "envelope", "thread_id")]
        assert [message.uid for message in messages] == dict(expected(range(1, 31)))[1002]
        assert {message.thread_id for message in messages} == {1002}
        assert [message async for message in inbox.thread(7)] == []
        with pytest.raises(ConfigurationError, match="thread_id"):
            inbox.thread("x")

    run(with_threads(test))


def test_a_search_is_grouped():
    async def test(server, account, inbox):
        assert await read(inbox.threads()) == expected(range(1, 31))
        assert await read(inbox.threads(Q.seen, "envelope")) == expected(range(1, 31, 2))
        assert await read(inbox.threads("5:9,12", "thread_id")) == expected([5, 6, 7, 8, 9, 12])
        assert await read(inbox.threads(Q.subject("nothing"))) == []
        async with inbox.threads(Q.all, "envelope") as stream:
            thread = await anext(stream)
            assert thread.messages[0].envelope.subject == "s1"
            assert thread.messages[0].thread_id == thread.id
            assert thread.uids == UidSet(dict(expected(range(1, 31)))[thread.id])
        assert await read(stream) == []

    run(with_threads(test))


def test_few_threads_are_fetched_at_a_time():
    async def test(server, account, inbox):
        found = []
        async for thread in inbox.threads(Q.all, "envelope"):
            found.append((thread.id, [message.uid for message in thread.messages]))
            assert len(await inbox.search(Q.uid(1))) == 1, "commands are legal inside"
        assert found == expected(range(1, 901), 301)
        fetches = [command.line for command in server.ledger.commands if "ENVELOPE" in command.line]
        assert len(fetches) >= 900 // 200

    run(with_threads(test, 900, 301))


def test_a_message_that_goes_meanwhile_is_left_out():
    async def test(server, account, inbox):
        async for thread in inbox.threads(Q.all, "flags"):
            if thread.id == 1001:
                for message in [one for one in account.messages if one.thread_id == expected(range(1, 901), 301)[-1][0]]:
                    account.remove(message)
            last = thread.id
        assert last == expected(range(1, 901), 301)[-2][0]

    run(with_threads(test, 900, 301))


@pytest.mark.parametrize("items", [("raw",), ("text",), ("html", "flags"), ("part:1",)])
def test_bodies_are_refused_with_advice(items):
    async def test(server, account, inbox):
        with pytest.raises(ConfigurationError, match="thread\\(id, 'raw'\\)"):
            inbox.threads(Q.all, *items)

    run(with_threads(test, 1))


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_cut_or_cancelled_every_thread_comes_once(seed):
    chance = random.Random(seed)

    async def test(server, account, inbox):
        for _ in range(3):
            action = chance.choice(["bye", "close", "reset"])
            server.faults.add(Fault(action, "UID FETCH", point="reply", byte=chance.randrange(3000), skip=chance.randrange(3)))
        stream, found = inbox.threads(Q.all, "envelope"), []
        while True:
            task = asyncio.ensure_future(anext(stream, None))
            for _ in range(chance.randrange(60)):
                await asyncio.sleep(0)
            if chance.random() < 0.3:
                task.cancel()
            try:
                thread = await task
            except asyncio.CancelledError:
                continue
            if thread is None:
                break
            found.append((thread.id, [message.uid for message in thread.messages]))
        assert found == expected(range(1, 401), 101)

    run(with_threads(test, 400, 101, seed=seed))


def test_two_tasks_do_not_share_and_closing_ends_it():
    async def test(server, account, inbox):
        stream = inbox.threads()
        results = await asyncio.gather(anext(stream), anext(stream), return_exceptions=True)
        assert isinstance(results[1], StateError)
        stream = inbox.threads()
        server.faults.add(Fault("delay", "UID FETCH", seconds=0.1))
        step = asyncio.ensure_future(anext(stream, None))
        await asyncio.sleep(0.05)
        await stream.aclose()
        assert await step is None
        assert len(await inbox.search()) == 30

    run(with_threads(test))
