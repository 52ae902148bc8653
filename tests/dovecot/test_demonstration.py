"""A demonstration: mixed work on a real Dovecot behind a proxy that cuts every connection at random, and what is on its disk afterwards."""

import asyncio
import contextlib
import random

import pytest

from aiogmail import Arrived, Gmail, Q, TokenCache
from aiogmail.testing import FaultProxy
from tests.support.aio import run
from tests.support.endpoint import TokenEndpoint

pytestmark = [pytest.mark.real]


def letter(number):
    return f"Subject: {number}\r\nFrom: a@example.com\r\nMessage-ID: <{number}@x.example>\r\n\r\nbody {number}\r\n".encode()


def on_disk(maildir):
    """Subject and flags of every message, as Dovecot has filed them."""
    found = []
    for path in [*(maildir.folder / "cur").iterdir(), *(maildir.folder / "new").iterdir()]:
        subject = path.read_bytes().split(b"\n")[0].removeprefix(b"Subject: ").strip().decode()
        found.append((subject, "".join(sorted(path.name.partition(":2,")[2]))))
    return sorted(found)


class Work:
    """Writes, reads and watches, and knows what the mailboxes are to hold."""

    def __init__(self, box, count, chance):
        self.box = box
        self.chance = chance
        self.here = {uid: str(uid) for uid in range(1, count + 1)}
        self.flags = dict.fromkeys(self.here, "")
        self.work = []
        self.number = 0
        self.arrived = set()
        self.read = 0

    async def one(self):
        """One change."""
        self.number += 1
        some = self.chance.sample(sorted(self.here), min(3, len(self.here)))
        match self.chance.choice(["flag", "seen", "unflag", "move", "copy", "append", "append", "expunge"]):
            case "flag":
                await self.box.add_flags(some, r"\Flagged")
                self.flags.update({uid: "".join(sorted({*self.flags[uid], "F"})) for uid in some})
            case "seen":
                await self.box.add_flags(some, r"\Seen")
                self.flags.update({uid: "".join(sorted({*self.flags[uid], "S"})) for uid in some})
            case "unflag":
                await self.box.remove_flags(some, r"\Flagged", r"\Seen")
                self.flags.update(dict.fromkeys(some, ""))
            case "move":
                await self.box.move(some[:1], "Work")
                self.work += [(self.here.pop(some[0]), self.flags[some[0]])]
            case "copy":
                await self.box.copy(some[:1], "Work")
                self.work += [(self.here[some[0]], self.flags[some[0]])]
            case "append":
                uid = await self.box.append(letter(1000 + self.number), settle_timeout=2)
                self.here[uid], self.flags[uid] = str(1000 + self.number), ""
            case "expunge":
                await self.box.add_flags(some[:1], r"\Deleted")
                await self.box.expunge(some[:1])
                del self.here[some[0]]

    async def reading(self):
        while True:
            async for message in self.box.fetch(Q.all, "flags", "envelope"):
                assert message.envelope.subject
                self.read += 1
            await asyncio.sleep(0.05)

    async def watching(self):
        async with self.box.watch() as watch:
            async for event in watch:
                if isinstance(event, Arrived):
                    assert event.uid not in self.arrived
                    self.arrived.add(event.uid)


@pytest.mark.parametrize(
    "cuts", [pytest.param(10, marks=pytest.mark.slow), pytest.param(100, marks=[pytest.mark.nightly, pytest.mark.timeout(300)])]
)
def test_mixed_work_that_is_cut_at_random_leaves_the_mailbox_as_intended(dovecot, address, monkeypatch, cuts):
    # What a dead connection had sent is done at once here; a minute need not be waited.
    monkeypatch.setattr("aiogmail.imap.changes.transfer._SETTLE", 1.0)
    monkeypatch.setattr("aiogmail.imap.changes.append._DEAD", 0.5)
    chance = random.Random(cuts)
    count = 60 + cuts

    async def main():
        async with TokenEndpoint(dovecot.signer, tls=False) as endpoint, FaultProxy(("127.0.0.1", dovecot.ports["imaps"])) as proxy:
            settings = dovecot.settings_at(imap=proxy.port)
            async with TokenCache() as tokens, Gmail(address, endpoint.credentials(address), tokens=tokens, settings=settings) as gmail:
                await gmail.create_mailbox("Work")
                async with gmail.mailbox("INBOX") as box, gmail.mailbox("INBOX", readonly=True) as other:
                    work, watcher = Work(box, count, chance), Work(other, count, chance)
                    tasks = [asyncio.create_task(work.reading()), asyncio.create_task(watcher.watching())]
                    done = 0

                    async def cutting():
                        nonlocal done
                        while done < cuts:
                            await asyncio.sleep(chance.uniform(0.0, 0.06))
                            done += bool(proxy.drop(reset=chance.random() < 0.5))
                            before = work.number
                            while work.number < before + 2:  # a piece of work that is cut four times is given up, as it should be
                                await asyncio.sleep(0.01)

                    cutter = asyncio.create_task(cutting())
                    while not cutter.done():
                        await work.one()
                    await cutter
                    appended = {uid for uid in work.here if uid > count}
                    async with asyncio.timeout(70):  # a watch whose sessions did not live for seconds is backing off, by a minute at most
                        while not watcher.arrived >= appended:
                            await asyncio.sleep(0.1)
                    for task in tasks:
                        assert not task.done(), task.exception()
                        task.cancel()
                        with contextlib.suppress(asyncio.CancelledError):
                            await task
                return work, watcher, done

    dovecot.deliver_many(address, [letter(number) for number in range(1, count + 1)])
    work, watcher, done = run(main(), timeout=300)
    print(f"{done} cuts, {work.number} changes, {work.read} messages read, {len(watcher.arrived)} arrivals told")
    intended = sorted((subject, work.flags[uid]) for uid, subject in work.here.items())
    assert on_disk(dovecot.maildir(address)) == intended
    assert on_disk(dovecot.maildir(address, "Work")) == sorted(work.work)
    assert watcher.arrived >= {uid for uid in work.here if uid > count}
