"""A watch against the emulator, whose account says what happened."""

import asyncio
import contextlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from aiogmail import (
    Arrived,
    Changed,
    ConfigurationError,
    Cursor,
    Gmail,
    Limits,
    MailboxChanged,
    MailboxNotFound,
    Q,
    StateError,
    Timeouts,
    UidSet,
    errors,
)
from aiogmail.imap.commands import Noop, UidStore
from aiogmail.imap.look import Look
from aiogmail.imap.session import ImapSession
from aiogmail.testing import Behaviour, Fault, GmailEmulator, Shape, run_virtual
from tests.imap.schedules import run as run_schedules
from tests.support.aio import run

ADDRESS = "me@gmail.com"


def letter(number):
    return f"Subject: {number}\r\nMessage-ID: <{number}@x.example>\r\n\r\nbody\r\n"


def watching(test, *, messages=3, timeouts=None, behaviour=None, name="INBOX", connections=5):
    """``await test(server, account, gmail, inbox)`` in virtual time."""

    async def main():
        async with GmailEmulator(behaviour=behaviour) as server:
            account = server.add_account(ADDRESS)
            for number in range(messages):
                account.deliver(letter(number))
            limits = Limits(connections=connections)
            settings = replace(server.settings, timeouts=timeouts or Timeouts(), limits=limits)
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


def inbox_uids(account, without=None):
    return UidSet([uid for uid in account.inbox.by_uid if uid != without])


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
                assert loop.time() - began < 0.6, "the server tells of these by itself"

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

    def test_more_arrivals_than_one_look_takes_are_told_by_several(self, monkeypatch):
        monkeypatch.setattr("aiogmail.imap.look._MOST_ARRIVED", 100)

        async def test(server, account, gmail, inbox):
            watch = inbox.watch(Cursor.beginning())
            events = await take(watch, 250)
            account.set_flags(account.inbox.by_uid[10], ["\\Seen"])
            events += await take(watch, 51)
            assert told(events) == [("arrived", uid) for uid in range(1, 301)] + [("changed", 10)]
            await nothing(watch, 1000)

        watching(test, messages=300)

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


class TestCursor:
    def test_it_moves_when_the_consumer_asks_for_the_next(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                begun = watch.cursor
                account.deliver(letter("a"))
                account.deliver(letter("b"))
                (first,) = await take(watch, 1)
                assert watch.cursor == begun, "told, but not taken"
                await take(watch, 1)
                assert watch.cursor.uids == first.cursor.uids == UidSet("1:4")

        watching(test)

    def test_what_was_not_saved_comes_again_with_the_same_key(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                saved = watch.cursor.to_json()
                account.deliver(letter("a"))
                account.set_flags(account.inbox.by_uid[1], ["\\Seen"])
                account.expunge(account.inbox.by_uid[2], account.inbox)
                first = await take(watch, 3)
            account.set_flags(account.inbox.by_uid[4], ["\\Seen"])
            async with gmail.mailbox("INBOX") as again, again.watch(Cursor.from_json(saved)) as watch:
                second = await take(watch, 3)
                assert [event.key for event in first] == [event.key for event in second]
                assert second[2].flags == {"\\Seen"}, "with what it has now"
                account.deliver(letter("b"))
                assert told(await take(watch, 1)) == [("arrived", 5)]

        watching(test)

    def test_every_cursor_is_a_place_to_go_on_from(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                for message in account.messages[::3]:
                    account.set_flags(message, ["\\Flagged"])
                for uid in (2, 5, 7):
                    account.expunge(account.inbox.by_uid[uid], account.inbox)
                for number in range(5):
                    account.deliver(letter(f"new {number}"))
                events = await take(watch, 3 + 6 + 5)
            for number, event in enumerate(events[:-1], 1):
                rest = await take(inbox.watch(Cursor.from_json(event.cursor.to_json())), len(events) - number)
                assert [one.key for one in rest] == [one.key for one in events[number:]]

        watching(test, messages=20)

    @pytest.mark.parametrize(
        ("cursor", "words"),
        [
            (Cursor("you@gmail.com", "INBOX", 1), "account 'you@gmail.com', and this is 'me@gmail.com'"),
            (Cursor("me@gmail.com", "Work", 1), "mailbox 'Work', and this is 'INBOX'"),
            (Cursor("me@gmail.com", "\\All", 1), "mailbox"),
            ("{}", "expected a Cursor .* got str"),
        ],
    )
    def test_one_of_another_mailbox_is_refused_before_anything_is_sent(self, cursor, words):
        async def test(server, account, gmail, inbox):
            sent = len(account.ledger.commands)
            with pytest.raises(ConfigurationError, match=f"cursor: .*{words}"):
                inbox.watch(cursor)
            assert len(account.ledger.commands) == sent

        watching(test)

    @pytest.mark.parametrize("poll", [0, -1, True, "5", float("nan")])
    def test_a_poll_that_is_no_time_is_refused(self, poll):
        async def test(server, account, gmail, inbox):
            with pytest.raises(ConfigurationError, match="poll: expected seconds above 0"):
                inbox.watch(poll=poll)

        watching(test)

    def test_letters_case_of_an_address_is_no_difference(self):
        async def test(server, account, gmail, inbox):
            watch = inbox.watch(Cursor("Me@Gmail.com", "inbox", 1, 4, 10**6, UidSet("1:3")))
            account.deliver(letter("a"))
            assert told(await take(watch, 1)) == [("arrived", 4)]
            assert watch.mailbox is inbox

        watching(test)


class TestIterator:
    def test_two_tasks_cannot_share_it(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                first = asyncio.create_task(anext(watch))
                await asyncio.sleep(1)
                with pytest.raises(StateError, match="two tasks"):
                    await anext(watch)
                account.deliver(letter("a"))
                assert (await first).uid == 4

        watching(test)

    def test_it_ends_when_it_is_closed(self):
        async def test(server, account, gmail, inbox):
            watch = inbox.watch()
            with pytest.raises(StateError, match="it has not begun"):
                _ = watch.cursor
            async with watch:
                account.deliver(letter("a"))
                account.deliver(letter("b"))
                await take(watch, 1)
            assert [event async for event in watch] == []
            assert await inbox.search(Q.all) == UidSet("1:5"), "the mailbox is still open"
            await inbox.aclose()
            with pytest.raises(StateError, match="closed"):
                await inbox.watch().__aenter__()

        watching(test)

    @pytest.mark.parametrize("whole", [False, True])
    def test_closed_by_another_task_it_ends_at_once(self, whole):
        async def test(server, account, gmail, inbox):
            loop = asyncio.get_running_loop()
            watch = gmail.watch() if whole else inbox.watch()
            async with watch:
                task = asyncio.create_task(anext(watch, None))
                await asyncio.sleep(10)
                await watch.aclose()
                assert await task is None
                assert loop.time() < 11

        watching(test)

    @pytest.mark.parametrize("situation", ["outage", "opening that hangs", "look", "opening anew", "turn"])
    def test_closed_by_another_task_it_ends_at_once_whatever_it_waits_for(self, situation):
        async def test(server, account, gmail, inbox):
            loop = asyncio.get_running_loop()
            others = []
            async with inbox.watch() as watch:
                task = asyncio.create_task(anext(watch, None))
                await asyncio.sleep(1)
                if situation == "outage":
                    server.faults.add(Fault("close", "CONNECT", times=None))
                    account.drop_sessions()
                elif situation == "opening that hangs":
                    server.faults.add(Fault("blackhole", "CONNECT", times=None))
                    account.drop_sessions()
                elif situation == "look":
                    server.faults.add(Fault("delay", "STATUS", seconds=50))
                    account.deliver(letter("new"))
                elif situation == "opening anew":
                    server.faults.add(Fault("answer", "SELECT", text="NO [UNAVAILABLE] Temporary System Problem.", times=None))
                    account.change_uidvalidity("INBOX")
                else:
                    server.faults.add(Fault("delay", "UID SEARCH", seconds=50))
                    other = gmail.mailbox("[Gmail]/Sent Mail")
                    await other.__aenter__()
                    others.append(asyncio.create_task(other.search()))
                await asyncio.sleep(3)
                began = loop.time()
                await asyncio.gather(watch.aclose(), watch.aclose())
                assert await task is None
                assert loop.time() - began < 0.1
                for one in others:
                    one.cancel()
                await asyncio.gather(*others, return_exceptions=True)
                server.faults.clear()

        watching(test, connections=1 if situation == "turn" else 5)

    def test_begun_anew_it_outlives_losses_in_a_row_as_it_does_later(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                saved = watch.cursor
            account.deliver(letter("new"))
            server.faults.add(Fault("close", "STATUS", times=6))
            async with inbox.watch(saved) as watch:
                assert told(await take(watch, 1, within=290.0)) == [("arrived", 4)]
            assert not server.faults.waiting

        watching(test)

    def test_it_goes_on_where_idle_had_to_wait_for_its_turn(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch(poll=1) as watch:
                event = asyncio.ensure_future(take(watch, 1))
                await asyncio.sleep(0.5)
                gmail._pace.gap = 4.0  # as after [THROTTLED]
                gmail._pace.sent(asyncio.get_running_loop().time())
                account.drop_sessions()
                await asyncio.sleep(60)
                account.deliver(letter("new"))
                assert told(await event) == [("arrived", 4)]

        watching(test)

    def test_closed_while_idle_waits_for_its_turn_it_ends(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                gmail._pace.gap = 4.0
                gmail._pace.sent(asyncio.get_running_loop().time())
                event = asyncio.ensure_future(anext(watch))
                await asyncio.sleep(1)
                await watch.aclose()
                with pytest.raises(StopAsyncIteration):
                    await event

        watching(test)

    def test_closed_it_cannot_be_begun(self):
        async def test(server, account, gmail, inbox):
            watch = inbox.watch()
            await watch.aclose()
            with pytest.raises(StateError, match="closed"):
                await watch.__aenter__()

        watching(test)

    def test_left_by_break_it_leaves_nothing_running(self):
        async def test(server, account, gmail, inbox):
            account.deliver(letter("a"))
            async for _ in inbox.watch(Cursor.beginning()):
                break
            await asyncio.sleep(1000)
            assert verbs(account)[-1] != "IDLE"
            assert await inbox.search(Q.all) == UidSet("1:4")

        watching(test)

    def test_cancelled_anywhere_it_loses_nothing(self):
        """The consumer gives up after each step of the loop in turn, and asks again."""

        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                for number in range(4, 60):
                    account.deliver(letter(number))
                    events = []
                    for steps in range(200):
                        task = asyncio.create_task(anext(watch))
                        for _ in range(number + steps * (number % 3 == 0)):
                            await asyncio.sleep(0)
                        task.cancel()
                        with contextlib.suppress(asyncio.CancelledError):
                            events.append(await task)
                        if events:
                            break
                        if steps > 5:
                            events += await take(watch, 1)
                            break
                    assert told(events) == [("arrived", number)]
                await nothing(watch, 1000)

        watching(test)

    def test_a_slow_consumer_holds_it_up_and_nothing_piles_up(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                account.deliver(letter("first"))
                seen = await take(watch, 1)
                for number in range(3000):
                    account.deliver(letter(number))
                    if number % 100 == 0:
                        await asyncio.sleep(10)
                commands = len(account.ledger.commands)
                await asyncio.sleep(100)
                assert len(account.ledger.commands) == commands, "nothing is asked while nobody waits"
                while len(seen) < 3001:
                    seen += await take(watch, 1)
                    assert len(watch._plan._rows if watch._plan else ()) <= 2 * 256
                assert told(seen) == [("arrived", uid) for uid in range(4, 3005)]

        watching(test)


class TestConnection:
    @pytest.mark.parametrize("how", ["expire", "drop", "reset"])
    def test_a_lost_session_is_not_noticed(self, how):
        async def test(server, account, gmail, inbox):
            lose = {"expire": account.expire_sessions, "drop": account.drop_sessions, "reset": lambda: account.drop_sessions(reset=True)}
            async with inbox.watch() as watch:
                for number in range(4, 14):
                    lose[how]()
                    account.deliver(letter(number))
                    assert told(await take(watch, 1, 100)) == [("arrived", number)]
                    await asyncio.sleep(20)

        watching(test)

    def test_a_session_that_went_dead_is_found_out_when_idle_is_renewed(self):
        async def test(server, account, gmail, inbox):
            loop = asyncio.get_running_loop()
            async with inbox.watch() as watch:
                server.faults.add(Fault("blackhole", "IDLE", "imap", "reply", 0))
                task = asyncio.create_task(anext(watch))
                await asyncio.sleep(1)
                began = loop.time()
                account.deliver(letter("a"))
                assert (await task).uid == 4
                assert loop.time() - began <= 60 + 5, "IDLE was not answered within Timeouts.command"

        watching(test)

    def test_a_done_that_is_not_answered_costs_the_connection(self):
        async def test(server, account, gmail, inbox):
            loop = asyncio.get_running_loop()
            async with inbox.watch() as watch:
                server.faults.add(Fault("mute", "IDLE", "imap", "reply", 12))  # behind "+ idling"
                began = loop.time()
                account.deliver(letter("a"))
                [event] = await take(watch, 1)
                assert event.uid == 4
                assert 27 + 7 <= loop.time() - began <= 30 + 7 + 1

        watching(test, timeouts=Timeouts(idle_done=7.0, idle_renew=30.0))

    def test_idle_is_renewed_in_time_and_not_by_all_at_once(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                await nothing(watch, 2000)  # before the session is rotated
            times = [command.at for command in account.ledger.commands if command.verb == "IDLE"]
            gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
            assert all(90 <= gap <= 100 for gap in gaps)
            assert len({round(gap, 3) for gap in gaps}) > 5

        watching(test, timeouts=Timeouts(idle_renew=100.0))

    def test_while_nothing_happens_a_renewal_costs_two_small_commands(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                await nothing(watch, 280)
                before = len(account.ledger.commands)
                await nothing(watch, 3000)
                rounds = verbs(account)[before:].count("STATUS")
                assert rounds >= 10
                assert set(verbs(account)[before:]) == {"STATUS", "IDLE"}

        watching(test)

    def test_a_hint_that_comes_behind_the_replies_of_a_look_is_not_slept_over(self, monkeypatch):
        compare = Look.compare
        late = []

        async def with_news_behind(look, session, mailbox, cursor):
            looked = await compare(look, session, mailbox, cursor)
            if late:
                late.pop()()
                await session.execute(Noop())  # another's command: the server tells of the arrival in its reply
            return looked

        monkeypatch.setattr(Look, "compare", with_news_behind)

        async def test(server, account, gmail, inbox):
            async with inbox.watch(poll=10) as watch:
                late.append(lambda: account.deliver(letter("late")))
                assert told(await take(watch, 1, within=12.0)) == [("arrived", 4)]

        watching(test)

    def test_what_changes_without_cease_is_looked_at_four_times_a_second(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:

                async def churn():
                    for number in range(1000):
                        account.set_flags(account.inbox.by_uid[1], ["\\Seen"] if number % 2 else [])
                        await asyncio.sleep(0.01)
                    account.set_flags(account.inbox.by_uid[1], ["\\Answered"])

                task = asyncio.create_task(churn())
                async for event in watch:
                    if "\\Answered" in event.flags:
                        break
                assert verbs(account).count("STATUS") <= 42
                await task

        watching(test)

    def test_an_outage_that_lasts_reaches_the_consumer_and_asking_again_goes_on(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                await server.pause("imap")
                account.drop_sessions()
                with pytest.raises(errors.TransportError):
                    await take(watch, 1)
                account.deliver(letter("a"))
                await server.resume("imap")
                assert told(await take(watch, 1, 100)) == [("arrived", 4)]

        watching(test, timeouts=Timeouts(recover=100.0))

    def test_other_commands_work_while_it_idles(self):
        async def test(server, account, gmail, inbox):
            loop = asyncio.get_running_loop()
            async with inbox.watch() as watch:
                task = asyncio.create_task(anext(watch))
                await asyncio.sleep(1)
                for number in range(30):
                    began = loop.time()
                    assert await inbox.search(Q.all) == UidSet("1:3")
                    assert loop.time() - began < 0.01
                    await asyncio.sleep(0.1 * (number % 5))
                account.deliver(letter("a"))
                async with asyncio.timeout(2):
                    assert (await task).uid == 4
            assert len([connection for connection in server.ledger.connections if connection.protocol == "imap"]) == 1
            looks = verbs(account).count("STATUS")
            assert looks <= 10, "one a second at most while others are at work"

        watching(test)

    def test_it_hears_what_is_new_through_commands_that_never_cease(self):
        async def test(server, account, gmail, inbox):
            async def busy():
                while True:
                    await asyncio.gather(*(inbox.search(Q.all) for _ in range(3)))

            server.faults.shape = replace(server.faults.shape, latency=0.02)
            async with gmail.mailbox("INBOX") as inbox, inbox.watch() as watch:
                work = asyncio.create_task(busy())
                task = asyncio.create_task(anext(watch))
                await asyncio.sleep(3)
                account.deliver(letter("a"))
                async with asyncio.timeout(3):
                    assert (await task).uid == 4
                work.cancel()
                await asyncio.wait([work])

        watching(test)

    def test_it_goes_with_a_fetch_on_the_same_connection(self):
        async def test(server, account, gmail, inbox):
            seen, events = [], []
            async with inbox.watch() as watch:

                async def look():
                    async for event in watch:
                        events.append(event)

                task = asyncio.create_task(look())
                async for message in inbox.fetch("1:*", "flags", "raw"):
                    seen.append(message.uid)
                    if message.uid % 50 == 0:
                        account.set_flags(account.inbox.by_uid[message.uid // 2], ["\\Seen"])
                    await asyncio.sleep(0.1)
                await asyncio.sleep(400)
                task.cancel()
                await asyncio.wait([task])
            assert seen == list(range(1, 401))
            assert {event.uid for event in events} == {uid // 2 for uid in range(50, 401, 50)}

        watching(test, messages=400)

    def test_its_own_commands_are_told_too(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                await inbox._run(lambda: UidStore(UidSet(2), "FLAGS", "+", ["\\Seen"]))
                assert told(await take(watch, 1, 5)) == [("changed", 2)]

        watching(test)


class TestReset:
    def test_everything_is_told_anew_on_a_mailbox_opened_anew(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                old = account.inbox.uidvalidity
                account.expunge(account.inbox.by_uid[1], account.inbox)
                new = account.change_uidvalidity("INBOX")
                events = await take(watch, 3)
                assert (events[0].old, events[0].new, events[0].uidvalidity) == (old, new, new)
                assert told(events) == [("reset", 0), ("arrived", 1), ("arrived", 2)]
                assert [event.gmail_id for event in events[1:]] == [message.gmail_id for message in account.inbox.messages]
                with pytest.raises(MailboxChanged):
                    await inbox.search(Q.all)
                assert await watch.mailbox.search(Q.all) == UidSet("1:2")
                account.deliver(letter("a"))
                assert told(await take(watch, 1)) == [("arrived", 3)]
                account.change_uidvalidity("INBOX")
                assert told(await take(watch, 4)) == [("reset", 0), ("arrived", 1), ("arrived", 2), ("arrived", 3)]
            assert account.session_count() == 0, "the mailbox that was opened for it is closed with it"

        watching(test)

    def test_nothing_of_the_new_mailbox_is_told_under_the_old_uidvalidity(self):
        async def test(server, account, gmail, inbox):
            watch = inbox.watch(Cursor.beginning())
            await take(watch, 256)  # what comes next has still to be asked for
            account.change_uidvalidity("INBOX")
            assert told(await take(watch, 301)) == [("reset", 0), *(("arrived", uid) for uid in range(1, 301))]
            await watch.aclose()

        watching(test, messages=300)

    @pytest.mark.parametrize("after", [0.0, 0.05, 0.1, 0.15, 0.3])
    @pytest.mark.parametrize("what", ["watch", "mailbox"])
    def test_closed_while_it_is_opened_anew_it_leaves_nothing_open(self, what, after):
        async def test(server, account, gmail, inbox):
            watch = inbox.watch()
            await watch.__aenter__()
            task = asyncio.create_task(take(watch, 1))
            await asyncio.sleep(1)
            account.change_uidvalidity("INBOX")
            asyncio.get_running_loop().network.shape = Shape(latency=0.02)
            while not inbox._heirs:
                await asyncio.sleep(0.001)
            await asyncio.sleep(after)
            await (watch if what == "watch" else inbox).aclose()
            await asyncio.wait([task])
            task.exception()
            assert len(gmail._pool._leases) == (what == "watch")

        watching(test)

    def test_it_is_told_to_who_comes_back_with_an_old_cursor(self):
        async def test(server, account, gmail, inbox):
            saved = Cursor(ADDRESS, "INBOX", account.inbox.uidvalidity - 1 or 99, 50, 10**6, UidSet("1:49"))
            watch = inbox.watch(saved)
            assert told(await take(watch, 4)) == [("reset", 0), ("arrived", 1), ("arrived", 2), ("arrived", 3)]
            assert watch.mailbox is inbox, "which was opened under the new one"

        watching(test)

    def test_a_label_made_anew_under_the_same_name_is_another_mailbox(self):
        async def test(server, account, gmail, inbox):
            account.deliver(letter("old"), ["Work"])
            async with gmail.mailbox("Work") as work, work.watch() as watch:
                account.delete_label(account.mailbox("Work"))
                account.deliver(letter("new"), ["Work"])
                events = await take(watch, 2)
                assert told(events) == [("reset", 0), ("arrived", 1)]

        watching(test)

    def test_a_mailbox_that_is_no_more_is_an_error(self):
        async def test(server, account, gmail, inbox):
            account.deliver(letter("old"), ["Work"])
            async with gmail.mailbox("Work") as work, work.watch() as watch:
                account.delete_label(account.mailbox("Work"))
                with pytest.raises(MailboxNotFound):
                    await take(watch, 2)

        watching(test)

    def test_an_outage_while_it_is_opened_anew_is_waited_out(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                task = asyncio.create_task(anext(watch))
                await asyncio.sleep(1)
                account.change_uidvalidity("INBOX")
                await asyncio.sleep(5.1)
                await server.pause("imap")
                account.drop_sessions()
                asyncio.get_running_loop().call_later(60, lambda: asyncio.ensure_future(server.resume("imap")))
                assert (await task).kind == "reset"

        watching(test)

    def test_an_outage_that_lasts_while_it_is_opened_anew_reaches_the_consumer(self):
        async def test(server, account, gmail, inbox):
            async with inbox.watch() as watch:
                task = asyncio.create_task(anext(watch))
                await asyncio.sleep(1)
                server.faults.add(Fault("close", "CONNECT", "imap", skip=1, times=None))
                account.change_uidvalidity("INBOX")
                with pytest.raises(errors.GmailError):
                    await task
                server.faults.clear()
                assert (await take(watch, 1))[0].kind == "reset"

        watching(test, timeouts=Timeouts(recover=30.0))

    def test_the_mailbox_closes_what_a_forgotten_watch_opened(self):
        async def test(server, account, gmail, inbox):
            watch = inbox.watch(Cursor.beginning())
            await take(watch, 3)
            account.change_uidvalidity("INBOX")
            await take(watch, 1)
            assert account.session_count() == 1
            await inbox.aclose()
            assert account.session_count() == 0

        watching(test)


class TestWholeAccount:
    @pytest.mark.parametrize("locale", ["en", "de", "ja"])
    def test_every_message_with_its_labels_wherever_it_is(self, locale):
        async def test(server, account, gmail, inbox):
            loop = asyncio.get_running_loop()
            async with gmail.watch() as watch:
                archived = account.deliver(letter("a"), ["Work"])
                [event] = await take(watch, 1)
                assert (event.kind, event.gmail_id, event.labels) == ("arrived", archived.gmail_id, {"Work"})
                assert event.mailbox == "\\All"
                began = loop.time()
                account.set_labels(archived, [account.inbox])
                [event] = await take(watch, 1)
                assert (event.kind, event.labels) == ("changed", {"\\Inbox"})
                assert loop.time() - began <= 60
                assert [message.uid async for message in watch.mailbox.fetch(event.uid, "raw")] == [event.uid]
                account.copy(archived, account.trash)
                assert told(await take(watch, 1)) == [("gone", event.uid)]
                account.copy(archived, account.all_mail)
                [event] = await take(watch, 1)
                assert (event.kind, event.gmail_id) == ("arrived", archived.gmail_id)
                assert account.session_count() == 2
                saved = watch.cursor
            assert account.session_count() == 1
            account.deliver(letter("b"))
            async with gmail.watch(saved) as watch:
                assert told(await take(watch, 2))[1] == ("arrived", 6)

        watching(test, behaviour=Behaviour(locale=locale))

    def test_hidden_from_imap_it_says_what_to_do(self):
        async def test(server, account, gmail, inbox):
            with pytest.raises(MailboxNotFound, match="Show in IMAP"):
                await gmail.watch().__aenter__()

        watching(test, behaviour=Behaviour(hidden=frozenset({"[Gmail]/All Mail"})))

    def test_what_could_not_be_begun_leaves_nothing_open(self):
        async def test(server, account, gmail, inbox):
            server.faults.add(Fault("answer", "STATUS", text="NO [CANNOT] not today", times=None))
            with pytest.raises(errors.CommandError, match="not today"):
                await gmail.watch().__aenter__()
            assert account.session_count() == 1

        watching(test)

    def test_forgotten_it_is_closed_with_the_account(self):
        async def test(server, account, gmail, inbox):
            async for _ in gmail.watch(Cursor.beginning()):
                break
            assert account.session_count() == 2
            await gmail.aclose()
            assert account.session_count() == 0

        watching(test)

    def test_a_reset_of_all_mail_is_followed(self):
        async def test(server, account, gmail, inbox):
            async with gmail.watch() as watch:
                account.change_uidvalidity("[Gmail]/All Mail")
                assert told(await take(watch, 4)) == [("reset", 0), ("arrived", 1), ("arrived", 2), ("arrived", 3)]
                assert await watch.mailbox.search(Q.all) == UidSet("1:3")
            assert account.session_count() == 1

        watching(test)

    def test_a_cursor_of_one_mailbox_is_none_of_the_account(self):
        async def test(server, account, gmail, inbox):
            with pytest.raises(ConfigurationError, match="mailbox 'INBOX'"):
                gmail.watch(Cursor(ADDRESS, "INBOX", 1))
            await gmail.aclose()
            with pytest.raises(StateError, match="closed"):
                gmail.watch()

        watching(test)


class TestOtherServers:
    """Servers that can less than Gmail: the emulator, whose capabilities are not all believed."""

    @pytest.fixture
    def without(self, monkeypatch):
        def forget(*names):
            can = ImapSession._can
            monkeypatch.setattr(ImapSession, "_can", lambda self, capabilities: can(self, capabilities - set(names)))

        return forget

    def test_without_condstore_flags_are_compared(self, without):
        without("CONDSTORE", "X-GM-EXT-1", "ESEARCH")

        async def test(server, account, gmail, inbox):
            async with inbox.watch(poll=50) as watch:
                await nothing(watch, 200)
                account.set_flags(account.inbox.by_uid[2], ["\\Seen"])
                account.expunge(account.inbox.by_uid[1], account.inbox)
                account.deliver(letter("a"))
                events = await take(watch, 3)
                assert told(events) == [("gone", 1), ("changed", 2), ("arrived", 4)]
                assert (events[1].flags, events[1].labels, events[1].gmail_id, events[1].modseq) == ({"\\Seen"}, frozenset(), None, 0)
                account.drop_sessions()
                account.set_flags(account.inbox.by_uid[2], [])
                assert told(await take(watch, 1)) == [("changed", 2)]
                account.change_uidvalidity("INBOX")
                assert told(await take(watch, 4)) == [("reset", 0), ("arrived", 1), ("arrived", 2), ("arrived", 3)]
                saved = watch.cursor
            assert "CHANGEDSINCE" not in " ".join(command.line for command in account.ledger.commands)
            account.deliver(letter("b"))
            async with gmail.mailbox("INBOX") as again:
                assert told(await take(again.watch(saved), 2))[-1] == ("arrived", 4)

        watching(test)

    def test_without_idle_it_asks_every_half_minute(self, without):
        without("IDLE")

        async def test(server, account, gmail, inbox):
            loop = asyncio.get_running_loop()
            async with inbox.watch() as watch:
                await nothing(watch, 100)
                account.deliver(letter("a"))
                began = loop.time()
                assert told(await take(watch, 1)) == [("arrived", 4)]
                assert loop.time() - began <= 30
            assert "IDLE" not in verbs(account)

        watching(test)

    def test_special_use_is_asked_for_where_it_is_not_shown(self, without):
        without("X-GM-EXT-1")

        async def test(server, account, gmail, inbox):
            async with gmail.watch() as watch:
                account.deliver(letter("a"), ["Work"])
                assert told(await take(watch, 1)) == [("arrived", 4)]
            assert any("SPECIAL-USE" in command.line for command in account.ledger.commands)

        watching(test)


@pytest.mark.parametrize("uvloop", [False, True])
def test_over_tls_many_watchers_of_one_loop_share_a_buffer_and_mix_nothing_up(uvloop):
    async def main():
        async with GmailEmulator(tls=True) as server, contextlib.AsyncExitStack() as stack:
            watches = {}
            for number in range(8):
                account = server.add_account(f"user{number}@gmail.com")
                gmail = await stack.enter_async_context(Gmail(account.address, account.credentials(), settings=server.settings))
                watches[account] = await stack.enter_async_context(gmail.watch())
            for round_ in range(5):
                for account in watches:
                    for number in range(5):
                        account.deliver(letter(f"{round_}.{number} for {account.address}"))
                for account, watch in watches.items():
                    for event in await take(watch, 5, 20):
                        assert account.by_gmail_id(event.gmail_id) is not None
                        assert event.account == account.address

    run(main(), uvloop=uvloop)


@pytest.mark.parametrize("part", range(10))
@pytest.mark.slow
def test_whatever_happens_the_events_add_up_to_it(part):
    """1,000 schedules of arrivals, changes, expunges, cuts, faults and restarts; half of them over the whole account.

    In a process of its own, because measuring coverage would take it twice as long.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.imap.schedules", str(100 * part), str(100 * (part + 1))],
        cwd=Path(__file__).parents[2],
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_four_thousand_other_schedules():
    run_schedules(10_000, 14_000)


@pytest.mark.parametrize("seed", range(3000, 3010))
def test_a_few_schedules_on_every_python(seed):
    run_schedules(seed, seed + 1)
