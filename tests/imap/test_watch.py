"""A watch against the emulator, whose account says what happened."""

import asyncio
from dataclasses import replace

import pytest

from aiogmail import (
    Arrived,
    Changed,
    Cursor,
    Gmail,
    Timeouts,
)
from aiogmail.testing import GmailEmulator, run_virtual
from tests.imap.schedules import Schedule

ADDRESS = "me@gmail.com"


def letter(number):
    return f"Subject: {number}\r\nMessage-ID: <{number}@x.example>\r\n\r\nbody\r\n"


def watching(test, *, messages=3, timeouts=None, behaviour=None, name="INBOX"):
    """``await test(server, account, gmail, inbox)`` in virtual time."""

    async def main():
        async with GmailEmulator(behaviour=behaviour) as server:
            account = server.add_account(ADDRESS)
            for number in range(messages):
                account.deliver(letter(number))
            settings = replace(server.settings, timeouts=timeouts or Timeouts())
            async with Gmail(ADDRESS, account.credentials(), settings=settings) as gmail, gmail.mailbox(name) as inbox:
                await test(server, account, gmail, inbox)

    run_virtual(main())


async def take(watch, count, within=10_000.0):
    async with asyncio.timeout(within):
        return [await anext(watch) for _ in range(count)]


async def nothing(watch, seconds):
    """Nothing is told for so long."""
    with pytest.raises(TimeoutError):
        await take(watch, 1, seconds)


def told(events):
    return [(event.kind, getattr(event, "uid", 0)) for event in events]


def verbs(account):
    return [command.verb for command in account.ledger.commands]


class TestWhatIsTold:
    def test_arrivals_changes_and_expunges_as_they_happen(self):
        async def test(server, account, gmail, inbox):
            loop = asyncio.get_running_loop()
            async with inbox.watch() as watch:
                message = account.deliver(letter("new"), ["\\Inbox", "Work"])
                [event] = await take(watch, 1)
                assert event == Arrived(
                    uid=4,
                    gmail_id=message.gmail_id,
                    thread_id=message.thread_id,
                    flags=frozenset(),
                    labels=frozenset({"Work"}),
                    modseq=message.modseq,
                    cursor=event.cursor,
                )
                began = loop.time()
                account.set_flags(message, ["\\Seen"])
                [event] = await take(watch, 1)
                assert isinstance(event, Changed)
                assert (event.uid, event.flags, event.labels) == (4, {"\\Seen"}, {"Work"})
                account.expunge(account.inbox.by_uid[2], account.inbox)
                assert told(await take(watch, 1)) == [("gone", 2)]
                assert loop.time() - began < 0.1, "the server tells of these by itself"

        watching(test)

    def test_without_a_cursor_what_is_there_is_not_told(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                assert watch.cursor.uids == inbox_uids(account)
                await nothing(watch, 1000)

        watching(test, messages=20)

    def test_from_the_beginning_everything_is(self):
        async def test(server, account, gmail, inbox):
            watch = inbox.watch(Cursor.beginning())
            assert told(await take(watch, 700)) == [("arrived", uid) for uid in range(1, 701)]
            await nothing(watch, 1000)

        watching(test, messages=700)

    def test_changes_by_the_thousand_come_in_windows(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                for message in account.messages:
                    account.set_flags(message, ["\\Seen"])
                events = await take(watch, 1000)
                assert told(events) == [("changed", uid) for uid in range(1, 1001)]
                assert max(len(verb) for verb in verbs(account)) < 50
                assert events[-1].cursor.scan is None
                assert not events[-1].cursor.ahead
                await nothing(watch, 1000)

        watching(test, messages=1000)

    def test_labels_that_change_silently_are_found_by_the_poll(self):
        async def test(server, account, gmail, inbox):
            loop = asyncio.get_running_loop()
            async with inbox.watch(poll=40) as watch:
                work = account.labels.create("Work", account.behaviour)
                message = account.inbox.by_uid[1]
                began = loop.time()
                account.set_labels(message, [account.inbox, work])
                [event] = await take(watch, 1)
                assert isinstance(event, Changed)
                assert event.labels == {"Work"}
                assert loop.time() - began <= 40.1

        watching(test)

    def test_a_message_that_came_and_went_between_two_looks_is_not_told(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                account.remove(account.deliver(letter("brief")))
                account.deliver(letter("next"))
                assert told(await take(watch, 1)) == [("arrived", 5)]
                assert watch.cursor.uids == inbox_uids(account, without=5)

        watching(test)


def inbox_uids(account, without=None):
    from aiogmail import UidSet

    return UidSet([uid for uid in account.inbox.by_uid if uid != without])


@pytest.mark.parametrize("part", range(10))
@pytest.mark.slow
def test_whatever_happens_the_events_add_up_to_it(part):
    """1,000 schedules of arrivals, changes, expunges, cuts, faults and restarts; half of them over the whole account."""
    for seed in range(100 * part, 100 * (part + 1)):
        schedule = Schedule(seed, whole=seed % 2 == 1)
        try:
            schedule.run()
        except BaseException as error:
            error.add_note(f"Schedule({seed}, whole={schedule.whole}):\n" + "\n".join(schedule.log[-40:]))
            raise


@pytest.mark.parametrize("seed", range(3000, 3010))
def test_a_few_schedules_on_every_python(seed):
    Schedule(seed, whole=seed % 2 == 1).run()
