"""A week of one account, in virtual time: mail arrives, is read, labelled and appended, sessions end by the hour, and things go wrong."""

import asyncio
import contextlib
import random
from dataclasses import replace

import pytest

from aiogmail import Arrived, Gmail
from aiogmail.testing import Behaviour, Fault, GmailEmulator, Shape, run_virtual

ADDRESS = "me@gmail.com"
HOUR, DAY = 3600.0, 86_400.0
ACTIONS = ("close", "reset", "bye", "truncate", "blackhole", "delay")
VERBS = ("UID FETCH", "UID STORE", "UID SEARCH", "APPEND", "IDLE", "SELECT", "NOOP", "AUTHENTICATE", "CONNECT", "STATUS", None)


def letter(number):
    return b"Subject: %d\r\nMessage-ID: <%d@x.example>\r\nDate: Mon, 05 Jan 2026 08:00:00 +0000\r\n\r\nbody\r\n" % (number, number)


class Life:
    """What goes on in the account.

    Args:
        seconds: for how long.
        faults: how likely each thing that is done meets a fault.
    """

    def __init__(self, seconds, *, seed=0, faults=0.01, byes=True, rotate=True):
        self.seconds = seconds
        self.chance = random.Random(seed)
        self.faults = faults
        self.byes = byes
        self.rotate = rotate
        self.number = 0
        self.seen = {}
        self.events = 0
        self.slowest = {}
        self.appended = []
        self.done = 0

    async def run(self):
        # What fell into a black hole stays a session for the emulator, which reads nothing of it any more.
        async with GmailEmulator(seed=1, tls=True, behaviour=Behaviour(max_connections=1000)) as server:
            asyncio.get_running_loop().network.shape = Shape(latency=0.02)
            self.server, self.account = server, server.add_account(ADDRESS)
            settings = replace(server.settings, rotate=self.rotate)
            async with Gmail(ADDRESS, self.account.credentials(), settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
                stream = gmail.events()
                async with inbox.watch() as watch:
                    watching = asyncio.create_task(self.watch(watch))
                    others = [
                        asyncio.create_task(work(inbox))
                        for work in (self.arrivals, self.reading, self.writing, self.trouble, self.knocking)
                    ]
                    await asyncio.sleep(self.seconds)
                    for task in others:
                        task.cancel()
                    await asyncio.wait(others)
                    server.faults.clear()
                    await asyncio.sleep(HOUR)
                    for task in others:
                        with contextlib.suppress(asyncio.CancelledError):
                            await task
                    assert not watching.done(), watching.result()
                    watching.cancel()
                    await asyncio.wait([watching])
            self.told = [event.kind async for event in stream]

    async def timed(self, what):
        loop = asyncio.get_running_loop()
        if self.chance.random() < self.faults:
            self.server.faults.add(
                Fault(
                    self.chance.choice(ACTIONS),
                    self.chance.choice(VERBS),
                    "imap",
                    self.chance.choice(["request", "reply"]),
                    self.chance.choice([None, 0, 5, 100]),
                    seconds=3.0,
                )
            )
        began = loop.time()
        result = await what
        kind = what.__qualname__
        self.slowest[kind] = max(self.slowest.get(kind, 0.0), loop.time() - began)
        self.done += 1
        return result

    async def watch(self, watch):
        async for event in watch:
            self.events += 1
            if isinstance(event, Arrived):
                assert event.key not in self.seen.values(), "told twice"
                assert event.uid not in self.seen, "arrived twice"
                self.seen[event.uid] = event.key

    async def arrivals(self, inbox):
        while True:
            await asyncio.sleep(self.chance.expovariate(1 / 300))
            self.number += 1
            self.account.deliver(letter(self.number))

    async def reading(self, inbox):
        while True:
            await asyncio.sleep(self.chance.expovariate(1 / 400))
            await self.timed(self.read(inbox))

    async def read(self, inbox):
        last = inbox.state.uidnext or 2
        wanted = range(max(1, last - 20), last)
        assert [message.uid async for message in inbox.fetch(list(wanted), "flags", "labels")] == list(wanted)

    async def writing(self, inbox):
        while True:
            await asyncio.sleep(self.chance.expovariate(1 / 500))
            last = max(2, inbox.state.uidnext or 2)
            if self.chance.random() < 0.5:
                await self.timed(self.label(inbox, self.chance.randrange(1, last)))
            else:
                self.number += 1
                await self.timed(self.append(inbox, self.number))

    async def label(self, inbox, uid):
        await inbox.add_labels(uid, self.chance.choice(["Work", "Home"]))

    async def append(self, inbox, number):
        self.appended.append((await inbox.append(letter(number)), number))

    async def trouble(self, inbox):
        while self.byes:
            await asyncio.sleep(HOUR)
            self.account.expire_sessions()

    async def knocking(self, inbox):
        """Command after command around the end of every token: a session that is authorised by it ends there."""
        loop = asyncio.get_running_loop()
        while True:
            ends = [token.expires_at for token in self.server.hub.tokens.access.values() if token.expires_at > loop.time() + 1]
            await asyncio.sleep(max(0.0, min(ends, default=loop.time() + 60) - 1 - loop.time()))
            until = loop.time() + 2
            while loop.time() < until:
                await self.timed(self.noop(inbox))
                await asyncio.sleep(0.02)

    async def noop(self, inbox):
        await inbox.noop()


@pytest.mark.parametrize("days", [pytest.param(1, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.nightly)])
def test_a_week_with_a_loss_an_hour_and_a_fault_in_a_hundred_loses_and_doubles_nothing(days):
    life = Life(days * DAY, faults=0.01)
    run_virtual(life.run())
    account = life.account
    assert set(life.seen) == {uid for uid in account.inbox.by_uid if uid}, "every arrival, once"
    ids = [append.message.message_id for append in account.ledger.appends if not append.duplicate]
    assert len(ids) == len(set(ids)) == len(life.appended), "every append, once"
    assert all(account.inbox.by_uid[uid].raw == letter(number) for uid, number in life.appended)
    connections = [one for one in account.ledger.connections if one.protocol == "imap"]
    print(
        f"{days} days: {len(life.seen)} arrivals, {life.done} commands and fetches, {len(life.server.faults.hit)} faults, "
        f"{len(connections)} sessions, {life.told.count('rotated')} rotations, {life.told.count('lost')} losses, "
        f"{life.told.count('replayed')} replays, no error"
    )
    assert life.told.count("lost") >= 24 * days
    assert "failed" not in life.told


@pytest.mark.slow
def test_rotation_closes_the_gap_around_the_end_of_a_session():
    slowest = {}
    for rotate in (True, False):
        life = Life(DAY / 4, faults=0.0, byes=False, rotate=rotate)
        run_virtual(life.run())
        slowest[rotate] = max(life.slowest.values()), life.slowest["Life.noop"], life.told.count("lost")
        print(f"rotation {'on' if rotate else 'off'}: largest delay of a command around expiry {1000 * slowest[rotate][1]:.0f} ms")
    assert slowest[True][2] == 0
    assert slowest[False][2] >= 5
    assert slowest[True][1] < 0.75 * slowest[False][1]
