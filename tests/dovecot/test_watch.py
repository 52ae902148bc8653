"""A watch over a real server: another client changes the mailbox, sessions are kicked, the consumer starts again from what it saved."""

import asyncio
import contextlib
import imaplib
import random
import re
from dataclasses import replace

import pytest

from aiogmail import Arrived, Cursor, Gmail, MailboxReset, TokenCache
from tests.imap.schedules import Memory
from tests.support import ca
from tests.support.aio import run
from tests.support.endpoint import TokenEndpoint

pytestmark = [pytest.mark.real, pytest.mark.slow]

FLAGS = [r"\Seen", r"\Flagged", r"\Answered", "$Forwarded"]
ROW = re.compile(rb"UID (\d+).*FLAGS \(([^)]*)\)|FLAGS \(([^)]*)\).*UID (\d+)")


def letter(number):
    return f"Subject: {number}\r\nFrom: a@example.com\r\n\r\nbody {number}\r\n".encode()


class Other:
    """Another client, the standard library's: what it changes is what should be told, and it says what is there."""

    def __init__(self, dovecot, address):
        self._imap = imaplib.IMAP4_SSL("127.0.0.1", dovecot.ports["imaps"], ssl_context=ca.client_context(), timeout=10)
        bearer = f"user={address}\x01auth=Bearer {dovecot.token(address)}\x01\x01".encode()
        self._imap.authenticate("XOAUTH2", lambda _: bearer)
        self._imap.select("INBOX")

    def there(self):
        """Flags by UID."""
        self._imap.noop()
        found = {}
        for row in self._imap.uid("FETCH", "1:*", "(FLAGS)")[1]:
            if row is not None and (match := ROW.search(row)):
                flags = (match[2] if match[1] else match[3]).decode().split()
                found[int(match[1] or match[4])] = frozenset(flags) - {r"\Recent"}
        return found

    def store(self, uid, flags):
        self._imap.uid("STORE", str(uid), "FLAGS", f"({' '.join(flags)})")

    def append(self, number):
        self._imap.append("INBOX", r"(\Draft)", None, letter(number))

    def expunge(self, uids):
        numbers = ",".join(map(str, uids))
        self._imap.uid("STORE", numbers, "+FLAGS", r"(\Deleted)")
        self._imap.uid("EXPUNGE", numbers)

    def recreate(self, name):
        self._imap.delete(name)
        self._imap.create(name)

    def close(self):
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            self._imap.logout()
        with contextlib.suppress(OSError):
            self._imap.shutdown()


def off_loop(call, *arguments):
    return asyncio.get_running_loop().run_in_executor(None, call, *arguments)


class Consumer:
    """Keeps what it was told, and its cursor, in one step; goes on from there when it is started again."""

    def __init__(self, gmail):
        self._gmail = gmail
        self.saved = Memory(cursor=Cursor.beginning().to_json())
        self.live = self.saved
        self.told = 0
        self._task = None

    def start(self):
        self._task = asyncio.create_task(self._run())

    async def _run(self):
        memory = self.live = self.saved.copy()
        async with self._gmail.mailbox("INBOX") as inbox, inbox.watch(Cursor.from_json(memory.cursor)) as watch:
            async for event in watch:
                memory.uidvalidity = memory.uidvalidity or event.uidvalidity
                memory.take(event)
                memory.cursor = event.cursor.to_json()
                self.told += 1
                if self.told % 3:
                    self.saved = memory.copy()

    async def stop(self):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def knows(self, other):
        """Wait until what it was told is what is there."""
        async with asyncio.timeout(20):
            while {uid: flags for uid, (flags, _) in self.live.messages.items()} != await off_loop(other.there):
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_the_events_add_up_to_it(dovecot, address, seed):
    chance = random.Random(seed)
    dovecot.deliver_many(address, [letter(number) for number in range(8)])

    async def main():
        other = await off_loop(Other, dovecot, address)
        settings = replace(dovecot.settings, timeouts=replace(dovecot.settings.timeouts, idle_renew=2.0))
        async with TokenEndpoint(dovecot.signer, tls=False) as endpoint, TokenCache() as tokens:
            async with Gmail(address, endpoint.credentials(address), tokens=tokens, settings=settings) as gmail:
                consumer = Consumer(gmail)
                consumer.start()
                await consumer.knows(other)
                for number in range(20):
                    uids = list(consumer.live.messages)
                    kind = chance.choice(["deliver", "append", "store", "store", "expunge", "kick", "restart"])
                    if kind == "deliver":
                        dovecot.deliver_many(address, [letter(number)] * chance.choice([1, 5]))
                    elif kind == "append":
                        await off_loop(other.append, number)
                    elif kind == "store" and uids:
                        await off_loop(other.store, chance.choice(uids), chance.sample(FLAGS, chance.randrange(4)))
                    elif kind == "expunge" and uids:
                        await off_loop(other.expunge, chance.sample(uids, min(len(uids), 2)))
                    elif kind == "kick":
                        await dovecot.kick(address)
                        await off_loop(other.close)
                        other = await off_loop(Other, dovecot, address)
                    elif kind == "restart":
                        await consumer.stop()
                        consumer.start()
                    if chance.random() < 0.5:
                        await consumer.knows(other)
                await consumer.knows(other)
                await consumer.stop()
                assert consumer.told >= 8
        await off_loop(other.close)

    run(main(), timeout=50)


def test_a_mailbox_made_anew_is_a_reset_even_while_it_is_watched(dovecot, address):
    dovecot.deliver_many(address, [letter(1)], "Work")

    async def main():
        other = await off_loop(Other, dovecot, address)
        async with TokenEndpoint(dovecot.signer, tls=False) as endpoint:
            async with Gmail(address, endpoint.credentials(address), settings=dovecot.settings) as gmail:
                async with gmail.mailbox("Work") as work, work.watch(Cursor.beginning()) as watch:
                    assert isinstance(await anext(watch), Arrived)
                    await off_loop(other.recreate, "Work")
                    await dovecot.kick(address)
                    dovecot.deliver_many(address, [letter(2), letter(3)], "Work")
                    events = [await anext(watch) for _ in range(3)]
                    assert isinstance(events[0], MailboxReset)
                    assert [event.uid for event in events[1:]] == [1, 2]
        await off_loop(other.close)

    run(main())
