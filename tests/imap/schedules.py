"""A mailbox to which anything may happen at any time, a consumer that crashes and goes on from what it saved, and a judge.

The judge knows the account, and never asks the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import random
import sys
from dataclasses import dataclass, field

from aiogmail import Arrived, Changed, Cursor, Gmail, GmailError, Gone, MailboxReset, TokenProvider
from aiogmail.testing import Behaviour, Fault, GmailEmulator, Shape, VirtualLoop

ADDRESS = "me@gmail.com"
FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "$Forwarded"]
LABELS = ["Work", "Home", "\\Inbox", "\\Important"]


class NotOpened(Exception):
    pass


@dataclass
class Memory:
    """What a consumer keeps; saved with its cursor in one step, as in a database's transaction."""

    cursor: str | None = None
    uidvalidity: int = 0
    messages: dict[int, tuple[frozenset[str], frozenset[str]]] = field(default_factory=dict)
    modseqs: dict[int, int] = field(default_factory=dict)
    keys: set[tuple] = field(default_factory=set)
    past: set[int] = field(default_factory=set)

    def copy(self) -> Memory:
        return Memory(self.cursor, self.uidvalidity, self.messages.copy(), self.modseqs.copy(), self.keys.copy(), self.past.copy())

    def take(self, event) -> None:
        """Act on an event; complain about one that cannot be."""
        assert event.key not in self.keys, f"told twice: {event.key}"
        self.keys.add(event.key)
        if isinstance(event, MailboxReset):
            assert event.old == self.uidvalidity
            assert event.new != event.old
            self.uidvalidity, self.messages, self.modseqs, self.past = event.new, {}, {}, set()
            return
        assert event.uidvalidity == self.uidvalidity
        uid = event.uid
        if isinstance(event, Gone):
            del self.messages[uid], self.modseqs[uid]
            self.past.add(uid)
            return
        if isinstance(event, Arrived):
            assert uid not in self.messages, "arrived twice"
            assert uid not in self.past, "arrived after it was gone"
        else:
            assert isinstance(event, Changed)
            assert event.modseq > self.modseqs[uid], "the same change under two keys"
        self.messages[uid] = event.flags, event.labels
        self.modseqs[uid] = event.modseq


def what_is_there(mailbox):
    """Flags and labels by UID, as IMAP tells them."""
    return {uid: (message.flags, message.labels - {mailbox.label}) for uid, message in mailbox.by_uid.items()}


class Schedule:
    """One schedule out of one seed.

    Args:
        seed: everything comes from it.
        whole: watch the whole account instead of INBOX.
    """

    def __init__(self, seed: int, *, whole: bool, condstore: bool = True) -> None:
        self.chance = random.Random(seed)
        self.seed = seed
        self.whole = whole
        self.log: list[object] = []
        self.crash = asyncio.Event()
        self.told = 0
        self.restarts = 0
        self.hurry = False
        self.names: dict[tuple[int, int], int] = {}
        self.own: list[asyncio.Task[None]] = []

    def run(self) -> None:
        random.seed(self.seed)
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(self.seed)) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        chance = self.chance
        behaviour = Behaviour(token_lifetime=chance.choice([600, 3600, 7200]), idle_delay=chance.choice([0.0, 0.0, 2.0, 30.0]))
        async with GmailEmulator(seed=self.seed, behaviour=behaviour) as server:
            self.server = server
            self.shape = server.faults.shape = chance.choice([Shape(), Shape(), Shape(), Shape(latency=0.02, jitter=0.02)])
            self.account = account = server.add_account(ADDRESS)
            self.box = account.all_mail if self.whole else account.inbox
            self.number = 0
            for _ in range(chance.choice([0, 1, 5, 20])):
                self._deliver()
            self.memory = Memory()

            async def token():  # no HTTP: that is not what is tested here
                lifetime = behaviour.token_lifetime
                return account.access_token(lifetime), dt.datetime.fromtimestamp(self.server.hub.wall() + lifetime, dt.UTC)

            self.credentials = TokenProvider(token)
            if chance.random() < 0.5:
                self.memory.cursor = Cursor.beginning().to_json()
            began = asyncio.get_running_loop().create_future()
            consumer = asyncio.create_task(self._consume(began))
            await began
            for _ in range(chance.randrange(1, 25)):
                self._act()
                if chance.random() < 0.7:
                    await asyncio.sleep(chance.choice([0, 0.01, 0.1, 1, 5, 60, 400]))
                if consumer.done():
                    break
            server.faults.clear()
            server.faults.shape = self.shape
            self.account.configure(throttled=False)
            self.hurry = True
            await self._settle(consumer)
            if not consumer.done() and self.seed % 4 < 2:
                await self._at_once(behaviour.idle_delay)
            if consumer.done():
                consumer.result()
            for task in self.own:
                task.cancel()
                await asyncio.wait([task])
            consumer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await consumer
            assert self.live.uidvalidity in (0, self.box.uidvalidity)
            assert not (wrong := self._wrong()), wrong
            self._note()
            for event in self.log:
                if isinstance(event, Arrived | Changed):
                    place = event.uidvalidity, event.uid
                    assert self.names.get(place, event.gmail_id) == event.gmail_id, f"what is told of another message: {event}"
            assert all(message.modseq == self.live.modseqs[uid] for uid, message in self.box.by_uid.items() if self.live.modseqs[uid])

    def _wrong(self):
        """What the consumer believes and what is there, by UID, where that is not the same."""
        there, believed = what_is_there(self.box), self.live.messages
        return {uid: (believed.get(uid), there.get(uid)) for uid in there.keys() | believed.keys() if there.get(uid) != believed.get(uid)}

    async def _settle(self, consumer) -> None:
        """Whatever was cut is back, IDLE was renewed, and nothing more is told."""
        right = 0
        for _ in range(8):
            told = self.told
            await asyncio.sleep(330)
            right = right + 1 if not self._wrong() and told == self.told else 0
            if right == 2 or consumer.done():
                return

    async def _at_once(self, idle_delay: float) -> None:
        """Nothing is wrong any more: what comes is told within seconds, whatever the watch is at when it comes."""
        slowly = "_throttle" in self.log  # who was asked for less haste is in less haste for a while
        for _ in range(2):
            self._arrive({"Work"})  # elsewhere, if it is INBOX that is watched: a look finds that something changed, and nothing to tell
            self._own()  # a second after it the watch looks
            await asyncio.sleep(self.chance.uniform(0.9, 1.1))
            self._arrive({"\\Inbox"})
            if self.chance.random() < 0.5:
                await asyncio.sleep(self.chance.uniform(0.0, 0.03))
                self._own()
            await asyncio.sleep(idle_delay + (300 if slowly else 5))
            assert not (wrong := self._wrong()), f"not told at once: {wrong}"

    # -- the consumer ------------------------------------------------------------------------------------------------------

    async def _consume(self, began) -> None:
        """One life after another: each begins with what the one before had saved."""
        while True:
            memory = self.live = self.memory.copy()
            cursor = None if memory.cursor is None else Cursor.from_json(memory.cursor)
            life = asyncio.create_task(self._live(memory, cursor, began))
            crash = asyncio.create_task(self.crash.wait())
            try:
                await asyncio.wait([life, crash], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (life, crash):
                    task.cancel()
                await asyncio.wait([life, crash])
            if not life.cancelled() and not isinstance(life.exception(), NotOpened):
                life.result()
            self.crash.clear()
            self.restarts += 1
            self.log.append("restart")

    async def _live(self, memory, cursor, began) -> None:
        async with contextlib.AsyncExitStack() as stack:
            gmail = await stack.enter_async_context(Gmail(ADDRESS, self.credentials, settings=self.server.settings))
            try:
                watch = gmail.watch(cursor) if self.whole else (await stack.enter_async_context(gmail.mailbox("INBOX"))).watch(cursor)
            except GmailError as error:  # an opening makes two tries, and says so
                raise NotOpened from error
            if cursor is None:
                there = what_is_there(self.box)
                messages = {uid: message.modseq for uid, message in self.box.by_uid.items()}
            try:
                await stack.enter_async_context(watch)
            except GmailError as error:
                raise NotOpened from error
            self.watch = watch
            memory.uidvalidity = memory.uidvalidity or watch.cursor.uidvalidity
            if cursor is None:
                memory.messages, memory.uidvalidity, memory.modseqs = there, watch.cursor.uidvalidity, messages
                memory.cursor = watch.cursor.to_json()
                self.memory = memory.copy()
            if not began.done():
                began.set_result(None)
            async for event in watch:
                self.told += 1
                self.log.append(event)
                memory.take(event)
                memory.cursor = event.cursor.to_json()
                if self.chance.random() < 0.6:
                    self.memory = memory.copy()
                if not self.hurry:
                    # In the middle of what there is to tell.
                    self.chance.choices([lambda: None, self._renumber, self._cut], [1, 0.004, 0.01])[0]()
                if self.chance.random() < 0.1 and not self.hurry:
                    await asyncio.sleep(self.chance.choice([0, 1, 100]))

    # -- what happens ------------------------------------------------------------------------------------------------------

    def _arrive(self, labels: set[str]) -> None:
        self.number += 1
        self.account.deliver(f"Subject: {self.number}\r\nMessage-ID: <{self.number}@x.example>\r\n\r\nx\r\n", labels)

    def _own(self) -> None:
        """Another command of the same client, on the mailbox that is watched."""
        mailbox = self.watch.mailbox

        async def command() -> None:
            with contextlib.suppress(GmailError):
                await self.chance.choice([mailbox.noop, lambda: mailbox.search("SEEN")])()

        self.own.append(asyncio.create_task(command()))

    def _throttle(self) -> None:
        self.account.configure(throttled=not self.account.behaviour.throttled)

    def _deliver(self) -> None:
        self.number += 1
        labels = self.chance.sample(LABELS, self.chance.randrange(0, 3)) + ["\\Inbox"] * (self.chance.random() < 0.7)
        self.account.deliver(f"Subject: {self.number}\r\nMessage-ID: <{self.number}@x.example>\r\n\r\nx\r\n", set(labels))

    def _act(self) -> None:
        acts = [self._deliver, self._many, self._flags, self._flags, self._labels, self._labels, self._expunge, self._expunge]
        acts += [self._remove, self._trash, self._cut, self._cut, self._fault, self._fault, self._restart, self._renumber]
        acts += [self._own, self._throttle, self._flood]
        act = self.chance.choices(acts, [3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 0.5, 1, 0.5, 0.07])[0]
        self.log.append(act.__name__)
        act()

    def _one(self):
        messages = self.account.messages
        return self.chance.choice(messages) if messages else None

    def _many(self) -> None:
        for _ in range(self.chance.choice([3, 30, 30])):
            self.chance.choice([self._deliver, self._flags])()

    def _flood(self) -> None:
        """More than is asked for at once, of which some are gone again."""
        for _ in range(380):
            self._arrive({"\\Inbox"})
            if self.chance.random() < 0.02:
                self._expunge()

    def _flags(self) -> None:
        if message := self._one():
            self.account.set_flags(message, self.chance.sample(FLAGS, self.chance.randrange(0, 3)))

    def _labels(self) -> None:
        if message := self._one():
            names = self.chance.sample(LABELS, self.chance.randrange(0, 4))
            found = [self.account.labels.resolve(name) or self.account.labels.create(name, self.account.behaviour) for name in names]
            self.account.set_labels(message, found)

    def _expunge(self) -> None:
        messages = self.box.messages
        if messages:
            self.account.expunge(self.chance.choice(messages), self.box)

    def _remove(self) -> None:
        if message := self._one():
            self.account.remove(message)

    def _trash(self) -> None:
        if message := self._one():
            self.account.copy(message, self.chance.choice([self.account.trash, self.account.spam]))

    def _cut(self) -> None:
        self.chance.choice([self.account.expire_sessions, self.account.drop_sessions, lambda: self.account.drop_sessions(reset=True)])()

    def _fault(self) -> None:
        chance = self.chance
        command = chance.choice(["SELECT", "STATUS", "UID FETCH", "UID SEARCH", "IDLE", "NOOP", "AUTHENTICATE", "CONNECT"])
        action = chance.choice(["bye", "close", "reset", "mute", "blackhole"])
        point = chance.choice(["request", "reply"])
        self.server.faults.add(
            Fault(
                action, command, "imap", point, chance.choice([None, 0, 5, 40, 200]) if point == "reply" else None, skip=chance.randrange(3)
            )
        )

    def _restart(self) -> None:
        self.crash.set()

    def _renumber(self) -> None:
        self._note()
        self.account.change_uidvalidity(self.box.name)

    def _note(self) -> None:
        """Which message has which UID under which UIDVALIDITY."""
        self.names.update({(self.box.uidvalidity, uid): message.gmail_id for uid, message in self.box.by_uid.items()})


def run(first: int, last: int) -> None:
    """Run the schedules of these seeds; the first that fails says which it is and what happened in it."""
    for seed in range(first, last):
        schedule = Schedule(seed, whole=seed % 2 == 1)
        try:
            schedule.run()
        except BaseException:
            print(f"Schedule({seed}, whole={schedule.whole}):", *schedule.log[-60:], sep="\n")
            raise


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]))
