"""A fetch against the emulator, whose ledger and mailbox say what must have come."""

import asyncio
import contextlib
import datetime as dt
import gc
import random
from dataclasses import replace

import pytest

from aiogmail import Gmail, Limits, MailboxChanged, NotFetched, Q, StateError, TokenProvider, errors
from aiogmail.imap.commands import UidFetch, reply_name
from aiogmail.imap.pending import Pending
from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import ResponseParser
from aiogmail.testing import Fault, GmailEmulator
from tests.support.aio import run, virtual
from tests.support.endpoint import TokenEndpoint
from tests.support.scripted import ScriptedImap

ADDRESS = "me@gmail.com"


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch):
    """Sessions that are cut again and again are opened again at once: the delays are tested with the supervisor."""
    monkeypatch.setattr("aiogmail.supervisor.backoff.Backoff.next", lambda self, floor=0.0: floor)


def fill(account, count, chance, largest=3000):
    for number in range(count):
        body = b"x" * chance.randrange(10, largest)
        account.deliver(b"Subject: %d\r\nMessage-ID: <%d@x.example>\r\n\r\n" % (number, number) + body + b"\r\n")
    return [message.raw for message in account.messages]


def imap_connections(server):
    return [connection for connection in server.ledger.connections if connection.protocol == "imap"]


async def with_inbox(test, *, count=50, seed=0, largest=3000, limits=None, readonly=False):
    async with GmailEmulator(seed=seed) as server:
        account = server.add_account(ADDRESS)
        raws = fill(account, count, random.Random(seed), largest)
        settings = replace(server.settings, limits=limits or Limits())
        async with Gmail(ADDRESS, account.credentials(), settings=settings) as gmail, gmail.mailbox("INBOX", readonly) as inbox:
            return await test(server, account, inbox, raws)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_whatever_is_cut_every_row_comes_once_and_in_order(seed):
    """Sessions ended at random places of the stream and of the replies, with a budget of a few messages."""
    chance = random.Random(seed)
    cuts = set(chance.sample(range(1, 300), 6))

    async def test(server, account, inbox, raws):
        for _ in range(3):  # one more at one place and the fetch gives up, as it should
            action = chance.choice(["bye", "close", "reset"])
            server.faults.add(
                Fault(action, "UID FETCH", point="reply", byte=chance.randrange(0, 20000), skip=chance.randrange(0, 8), times=1)
            )
        seen = []
        async for message in inbox.fetch("1:*", "raw", "flags"):
            seen.append((message.uid, message.raw))
            if len(seen) in cuts:
                chance.choice([account.expire_sessions, account.drop_sessions])()
                for _ in range(chance.randrange(0, 30)):
                    await asyncio.sleep(0)
        assert [uid for uid, _ in seen] == list(range(1, len(raws) + 1))
        assert [raw for _, raw in seen] == raws

    run(with_inbox(test, count=300, seed=seed, limits=Limits(buffer=chance.choice([4000, 20_000, 200_000]))))


@pytest.mark.parametrize("items", [("flags",), ("size", "internal_date"), ("gmail_id", "thread_id", "labels", "modseq")])
def test_rows_without_bodies_survive_the_same(items):
    chance = random.Random(str(items))

    async def test(server, account, inbox, raws):
        server.faults.add(Fault("close", "UID FETCH", point="reply", byte=3000, times=1))
        server.faults.add(Fault("bye", "UID SEARCH", point="request", times=1))
        uids = []
        async for message in inbox.fetch(Q.all, *items):
            uids.append(message.uid)
            for item in items:
                assert getattr(message, item) is not None
            if len(uids) % 400 == 100:
                account.expire_sessions()
                await asyncio.sleep(0)
        assert uids == list(range(1, len(raws) + 1))

    run(with_inbox(test, count=1500, seed=chance.randrange(99), largest=20))


def test_commands_are_legal_inside_the_loop():
    async def test(server, account, inbox, raws):
        seen = []
        async for message in inbox.fetch("1:*", "raw"):
            seen.append(message.uid)
            if message.uid % 10 == 0:
                assert message.uid in await inbox.search(Q.all)
                assert [inner.uid async for inner in inbox.fetch(message.uid, "raw")] == [message.uid]
        assert seen == list(range(1, len(raws) + 1))

    run(with_inbox(test, count=60, limits=Limits(buffer=6000)))


def test_a_slow_consumer_holds_back_the_socket_or_what_is_asked_for():
    async def test(server, account, inbox, raws):
        stream = inbox.fetch("1:*", "raw")
        first = await anext(stream)
        await asyncio.sleep(0.05)
        protocol = inbox._session.protocol
        held = protocol._held
        assert 0 < held <= 40_000 + 2 * 20_000
        assert protocol.was_reading_paused() or not protocol.queue.in_flight
        rest = [message.uid async for message in stream]
        assert [first.uid, *rest] == list(range(1, len(raws) + 1))
        assert protocol._held == 0

    run(with_inbox(test, count=200, largest=10_000, limits=Limits(buffer=40_000)))


def test_a_fetch_left_by_break_leaves_nothing_and_the_next_command_runs():
    async def test(server, account, inbox, raws):
        async for message in inbox.fetch("1:*", "raw"):
            if message.uid == 3:
                break
        assert len(await inbox.search(Q.all)) == len(raws)
        assert len(imap_connections(server)) == 1, "what was on its way was small: it was read and dropped"
        assert inbox._session.protocol._held == 0

    run(with_inbox(test, count=100))


def test_leaving_a_huge_message_costs_the_connection_and_nothing_else():
    async def test(server, account, inbox, raws):
        stream = inbox.fetch(1, "raw")
        task = asyncio.ensure_future(anext(stream))
        while imap_connections(server)[0].sent < 100_000:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stream.aclose()
        assert len(await inbox.search(Q.all)) == 1
        assert len(imap_connections(server)) == 2

    async def main():
        async with GmailEmulator() as server:
            account = server.add_account(ADDRESS)
            account.deliver(b"Subject: big\r\n\r\n" + b"x" * 20_000_000)
            async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
                await test(server, account, inbox, None)

    run(main())


def test_a_cancelled_step_loses_no_message():
    async def test(server, account, inbox, raws):
        seen = []
        async with inbox.fetch("1:*", "raw") as stream:
            while True:
                task = asyncio.ensure_future(anext(stream, None))
                for _ in range(len(seen) % 4):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    message = await task
                except asyncio.CancelledError:
                    message = await anext(stream, None)
                if message is None:
                    break
                seen.append(message.uid)
        assert seen == list(range(1, len(raws) + 1))

    run(with_inbox(test, count=80))


def test_large_sets_full_of_holes_are_fetched_too():
    async def test(server, account, inbox, raws):
        odd = range(1, 3_000_000_000, 2)
        for uids in (odd[:3000], [*range(1, 2400, 2), 4_000_000_000], "1:4294967295"):
            expected = sorted(set(range(1, len(raws) + 1)) & set(odd[:3000] if not isinstance(uids, str) else range(1, 99_999)))
            seen = [message.uid async for message in inbox.fetch(uids, "raw")]
            assert seen == ([uid for uid in expected if uid < 2400] if isinstance(uids, list) else expected)

    run(with_inbox(test, count=2600, largest=12))


def test_messages_that_go_away_meanwhile_are_left_out():
    async def test(server, account, inbox, raws):
        uids = await inbox.search(Q.all)
        gone = account.messages[9]
        account.remove(gone)
        seen = [message.uid async for message in inbox.fetch(uids, "flags")]
        assert seen == [uid for uid in uids if uid != 10]
        assert [message async for message in inbox.fetch(10, "raw")] == []
        assert [message async for message in inbox.fetch([], "raw")] == []

    run(with_inbox(test))


def test_uidvalidity_that_changed_is_told_and_nothing_of_the_new_mailbox_handed_on():
    async def test(server, account, inbox, raws):
        seen = []
        with pytest.raises(MailboxChanged, match="UIDVALIDITY was"):
            async for message in inbox.fetch("1:*", "raw"):
                seen.append(message.uid)
                if len(seen) == 20:
                    account.change_uidvalidity("INBOX")
                    account.expire_sessions()
        assert seen == list(range(1, len(seen) + 1))
        assert len(seen) < len(raws)
        with pytest.raises(MailboxChanged):
            await inbox.search(Q.all)
        with pytest.raises(MailboxChanged):
            await inbox.noop()

    virtual(with_inbox(test, count=100, limits=Limits(buffer=4000)))


def test_messages_that_cannot_be_fetched_are_told_after_all_others_came():
    async def test(server, account, inbox, raws):
        server.faults.add(Fault("answer", "UID FETCH", text="NO Some messages could not be FETCHed (Failure)", times=2))
        uids = [message.uid async for message in inbox.fetch("1:30", "flags")]
        assert sorted(uids) == list(range(1, 31)), "a batch that failed is asked for in halves"

        server.faults.add(Fault("answer", "UID FETCH", text="NO Some messages could not be FETCHed (Failure)", times=1))
        with pytest.raises(errors.CommandError, match="could not be FETCHed"):
            [message.uid async for message in inbox.fetch("7", "flags")]

    run(with_inbox(test))


def test_bad_is_not_asked_again():
    async def test(server, account, inbox, raws):
        server.faults.add(Fault("answer", "UID FETCH", text="BAD Could not parse command", times=1))
        with pytest.raises(errors.CommandError, match="Could not parse"):
            [message async for message in inbox.fetch("1:30", "flags")]

    run(with_inbox(test))


def test_a_temporary_refusal_is_waited_out():
    async def test(server, account, inbox, raws):
        server.faults.add(
            Fault("answer", "UID FETCH", text="NO [UNAVAILABLE] Temporary System Problem. Try again later (Failure)", times=1)
        )
        began = asyncio.get_running_loop().time()
        assert len([message async for message in inbox.fetch("1:30", "flags")]) == 30
        assert asyncio.get_running_loop().time() - began >= 5

    virtual(with_inbox(test))


def test_two_tasks_do_not_share_an_iterator():
    async def test(server, account, inbox, raws):
        stream = inbox.fetch("1:*", "raw")
        results = await asyncio.gather(anext(stream), anext(stream), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["Message", "StateError"]
        assert any(isinstance(result, StateError) for result in results)

    run(with_inbox(test))


def test_a_forgotten_iterator_is_collected():
    async def test(server, account, inbox, raws):
        stream = inbox.fetch("1:*", "raw")
        await anext(stream)
        del stream
        gc.collect()
        assert inbox._session.protocol._held == 0
        assert len([message async for message in inbox.fetch("1:*", "flags")]) == len(raws)

    run(with_inbox(test))


def test_items_that_were_not_asked_for_raise_by_name():
    async def test(server, account, inbox, raws):
        [message] = [message async for message in inbox.fetch(1, "size")]
        assert message.size == len(raws[0])
        for item in ("flags", "internal_date", "modseq", "labels", "gmail_id", "thread_id", "raw"):
            with pytest.raises(NotFetched) as caught:
                getattr(message, item)
            assert caught.value.name == item
        assert not hasattr(message, "raw")
        with pytest.raises(AttributeError, match="frozen"):
            message.uid = 3
        assert repr(message).startswith("Message(uid=1, items=")
        [message] = [message async for message in inbox.fetch(1)]
        assert (message.size, message.flags) == (len(raws[0]), frozenset())
        assert message.internal_date.tzinfo is not None

    run(with_inbox(test))


@pytest.mark.parametrize(
    ("item", "name"),
    [("FLAGS", "FLAGS"), ("BODY.PEEK[]", "BODY[]"), ("BODY.PEEK[1.2]<0.100>", "BODY[1.2]<0>"), ("body.peek[header]", "BODY[HEADER]")],
)
def test_the_reply_names_an_item_its_own_way(item, name):
    assert reply_name(item) == name


def test_a_row_without_uid_is_nobodys():
    rows = []
    command = UidFetch(UidSet(1), ("FLAGS",), rows.extend)
    from aiogmail.imap.wire import Exists, ResponseParser

    [row, exists] = ResponseParser().feed(b"* 1 FETCH (FLAGS ())\r\n* 4 EXISTS\r\n")
    assert not command.take(row)
    assert not command.take(exists)
    assert isinstance(exists, Exists)


def test_a_full_queue_reaches_the_consumer_and_does_not_hang_it():
    async def test(server, account, inbox, raws):
        async def pester():
            while True:
                with contextlib.suppress(StateError):
                    await inbox.noop()
                await asyncio.sleep(0.001)

        tasks = [asyncio.create_task(pester()) for _ in range(6)]
        seen = []
        stream = inbox.fetch("1:*", "flags")
        while len(seen) < len(raws):
            with contextlib.suppress(StateError):
                seen.append((await anext(stream)).uid)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert seen == list(range(1, len(raws) + 1))

    run(with_inbox(test, count=600, largest=11, limits=Limits(queue=3, pipeline=1, buffer=1)))


def test_a_closed_stream_gives_nothing_more():
    async def test(server, account, inbox, raws):
        async with inbox.fetch("1:*", "flags") as stream:
            await anext(stream)
        await asyncio.sleep(0.02)
        assert [message async for message in stream] == []
        assert not stream._batches
        assert inbox._session.protocol._held == 0

    run(with_inbox(test))


def test_a_message_whose_size_cannot_be_told_does_not_hide_the_others():
    async def main():
        async with ScriptedImap() as server:
            server.messages, server.uidnext = 20, 21

            async def fetch(connection, command):
                first, _, last = command.arguments.split()[0].partition(b":")
                uids = range(int(first), int(last or first) + 1)
                for uid in uids:
                    if uid != 10:
                        size = b" RFC822.SIZE 3" if b"RFC822.SIZE" in command.arguments else b" BODY[] {3}\r\nabc"
                        await connection.send(b"* %d FETCH (UID %d%s)\r\n" % (uid, uid, size))
                if 10 in uids:
                    await connection.no(command, "Some messages could not be FETCHed (Failure)")
                else:
                    await connection.ok(command)

            server.on("UID FETCH", fetch)
            settings = server.settings

            async def token():
                return "token", dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)

            async with Gmail(ADDRESS, TokenProvider(token), settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
                seen = []
                with pytest.raises(errors.CommandError, match="could not be FETCHed"):
                    async for message in inbox.fetch("1:20", "raw"):
                        seen.append(message.uid)
                assert seen == [uid for uid in range(1, 21) if uid != 10]

    run(main())


def test_rows_of_another_fetch_are_left_to_it():
    """A server that answers the second of two fetches first, with rows that would do for the first one too."""

    async def main():
        async with ScriptedImap() as server:
            server.messages, server.uidnext = 4, 5
            held = []

            async def fetch(connection, command):
                held.append(command)
                if len(held) < 2:
                    return
                for one in sorted(held, key=lambda one: b"FLAGS" not in one.arguments):
                    flags = b" FLAGS (\\Seen)" if b"FLAGS" in one.arguments else b""
                    for uid in range(1, 5):
                        await connection.send(b'* %d FETCH (UID %d%s INTERNALDATE " 1-Jan-2026 00:00:00 +0000")\r\n' % (uid, uid, flags))
                for one in held:
                    await connection.ok(one)

            server.on("UID FETCH", fetch)

            async def token():
                return "token", dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)

            async with Gmail(ADDRESS, TokenProvider(token), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:

                async def one(*items):
                    return [message async for message in inbox.fetch("1:4", *items)]

                plain, flagged = await asyncio.gather(one("internal_date"), one("internal_date", "flags"))
                assert [message.uid for message in plain] == [message.uid for message in flagged] == [1, 2, 3, 4]
                assert all(message.flags == {"\\Seen"} for message in flagged)

    run(main())


def test_memory_is_bounded_by_one_large_message_when_a_command_waits_behind():
    async def main():
        async with GmailEmulator() as server:
            account = server.add_account(ADDRESS)
            for number in range(4):
                account.deliver(b"Subject: %d\r\n\r\n" % number + b"x" * 3_000_000)
            settings = replace(server.settings, limits=Limits(buffer=100_000))
            async with Gmail(ADDRESS, account.credentials(), settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
                most = 0
                async for message in inbox.fetch("1:*", "raw"):
                    await inbox.search(Q.all)
                    most = max(most, inbox._session.protocol._held)
                    assert len(message.raw) > 3_000_000
                assert most <= 2 * 3_100_000

    run(main())


def test_a_run_of_rows_ends_at_what_is_not_of_it():
    batches = []
    command = UidFetch(UidSet("1:9"), ("FLAGS", "RFC822.SIZE"), batches.append)
    lines = [
        b"* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 1)",
        b"* 2 FETCH (UID 2 FLAGS ())",  # the rest of it comes later
        b"* 3 FETCH (UID 3 RFC822.SIZE 3 FLAGS ())",
        b"* 2 FETCH (UID 2 RFC822.SIZE 2)",
        b"* 4 FETCH (UID 4 MODSEQ (7))",  # news
        b"* 4 FETCH (UID 4 FLAGS () RFC822.SIZE 4)",
        b"* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 1)",  # was handed on
        b"* 70 FETCH (UID 70 FLAGS () RFC822.SIZE 1)",
        b"* 5 EXISTS",
    ]
    responses = ResponseParser().feed(b"\r\n".join((*lines, b"")))
    taken = [command.take_run(responses, start) for start in range(len(lines))]
    assert taken[0] == 4
    assert [[row.uid for row in batch] for batch in batches[:1]] == [[1, 3, 2]]
    assert taken[4:] == [0, 1, 0, 0, 0]
    assert sorted(command.left) == [5, 6, 7, 8, 9]


def test_two_fetches_are_rivals_only_where_they_ask_for_the_same_messages():
    from aiogmail.imap.commands import Noop, UidSearch

    def fetch(uids):
        return UidFetch(UidSet(uids), ("FLAGS",), list.clear)

    assert fetch("1:9").rivals(fetch("9:12"))
    assert not fetch("1:9").rivals(fetch("10:12"))
    assert not fetch("10:12").rivals(fetch("1:9"))
    assert not fetch("1,9").rivals(fetch("2:8"))
    assert not fetch("1").rivals(Noop())
    assert not UidSearch((), esearch=True).rivals(fetch("1"))


def test_two_fetches_of_the_same_go_one_after_the_other():
    """Both on the wire, either could be given the other's row, and was: the other ended without, as if the message were gone."""

    def fetch(uids, *items):
        return UidFetch(UidSet(uids), items, list.clear)

    assert fetch("1:9", "FLAGS").clashes(fetch("9:12", "FLAGS"))
    assert fetch("1:9", "FLAGS", "MODSEQ").clashes(fetch("9", "FLAGS"))
    assert not fetch("1:9", "FLAGS").clashes(fetch("10:12", "FLAGS"))
    assert not fetch("1:9", "FLAGS").clashes(fetch("1:9", "RFC822.SIZE"))
    assert not fetch("1:9", "BODY.PEEK[]<0.5>").clashes(fetch("1:9", "BODY.PEEK[]<5.5>"))


def test_a_row_fits_those_who_ride_along():
    loop = asyncio.new_event_loop()
    leader, rider = (Pending(UidFetch(UidSet(uid), ("FLAGS",), list.clear), loop.create_future()) for uid in (1, 2))
    leader.riders.append(rider)
    rows = ResponseParser().feed(b"".join(b"* %d FETCH (UID %d FLAGS ())\r\n" % (uid, uid) for uid in (1, 2, 3)))
    assert [leader.fits(row) for row in rows] == [True, True, False]
    loop.close()


@pytest.mark.parametrize("connections", [1, 3])
@pytest.mark.parametrize("seed", range(6))
def test_many_fetches_of_the_same_messages_at_once_each_get_all_of_them(seed, connections):
    """Eight at once on one connection, of everything: some lost one message in ten."""
    chance = random.Random(seed)
    choices = [("raw",), ("raw", "flags"), ("flags",), ("flags", "modseq"), ("flags", "size", "modseq"), ("text",), ("part:1", "size")]
    items = [chance.choice(choices[: chance.choice([1, 2, 7])]) for _ in range(8)]

    async def test(server, account, inbox, raws):
        async def one(*items):
            uids = chance.choice([Q.all, "1:*", f"1:{len(raws)}", Q.uid(f"1:{len(raws)}")])
            seen = []
            async for message in inbox.fetch(uids, *items):
                seen.append(message.uid)
                assert "raw" not in items or message.raw == raws[message.uid - 1]
                for _ in range(chance.choice([0, 0, 0, 3, 20])):
                    await asyncio.sleep(0)
                if chance.random() < 0.1:
                    assert (await inbox.fetch_one(chance.randint(1, len(raws)), *items)).uid
            return seen

        for seen in await asyncio.gather(*(one(*some) for some in items)):
            assert seen == list(range(1, len(raws) + 1))

    run(with_inbox(test, count=30, seed=seed, limits=Limits(buffer=chance.choice([3000, 30_000]), connections=connections)))


def test_news_among_the_sizes_are_left_to_others():
    from aiogmail.imap.fetch import _Probe

    noted = {}
    probe = _Probe(UidSet("1:3"), noted.__setitem__)
    lines = [b"* 1 FETCH (UID 1 RFC822.SIZE 10)", b"* 2 FETCH (UID 2 RFC822.SIZE 20)", b"* 3 FETCH (UID 3 FLAGS ())", b"* 3 EXISTS"]
    responses = ResponseParser().feed(b"\r\n".join((*lines, b"")))
    assert [probe.take_run(responses, start) for start in (0, 2, 3)] == [2, 0, 0]
    assert noted == {1: 10, 2: 20}
    assert list(probe.left) == [3]


@pytest.mark.parametrize("point", ["UID FETCH", "UID SEARCH"])
def test_closing_it_ends_a_step_that_waits(point):
    async def test(server, account, inbox, raws):
        server.faults.add(Fault("delay", point, seconds=0.1))
        stream = inbox.fetch(Q.all, "flags")
        step = asyncio.ensure_future(anext(stream, None))
        await asyncio.sleep(0.05)
        await stream.aclose()
        assert await step is None
        assert len(await inbox.search(Q.all)) == 20

    run(with_inbox(test, count=20))


def test_while_commands_in_the_loop_take_their_time_no_more_is_taken_in():
    """They keep the socket open, and what comes meanwhile must not be followed by ever more windows."""

    async def test(server, account, inbox, raws):
        async for message in inbox.fetch("1:*", "raw"):
            if message.uid == 1:
                before = windows(server)
                for _ in range(20):
                    await inbox.noop()
                assert windows(server) - before <= 5
        assert message.uid == 200
        assert windows(server) > 15

    def windows(server):
        return sum("BODY.PEEK[]" in command.line for command in server.ledger.commands)

    run(with_inbox(test, count=200, limits=Limits(buffer=20_000)))


@pytest.mark.real
@pytest.mark.parametrize("seed", [1, 3, 5, 7])
def test_many_fetches_at_once_from_a_server_that_works_on_several(dovecot, address, seed):
    """Dovecot answers in between: most such runs lost messages or mixed up their order."""
    chance = random.Random(seed)
    items = [("raw",), ("raw", "flags"), ("flags",), ("flags", "modseq"), ("text",), ("part:1", "size"), ("envelope",), ()]
    raws = [b"Subject: %d\r\n\r\n%b" % (number, b"x\r\n" * chance.choice([10, 20_000])) for number in range(60)]

    async def main():
        dovecot.deliver_many(address, raws)
        async with TokenEndpoint(dovecot.signer, tls=False) as endpoint:
            settings = replace(dovecot.settings, limits=Limits(buffer=chance.choice([3000, 100_000]), connections=1))
            async with Gmail(address, endpoint.credentials(address), settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
                some = chance.sample(items, chance.choice([1, 2, 4]))

                async def one():
                    asked, seen = chance.choice(some), []
                    async for message in inbox.fetch(chance.choice([Q.all, "1:*", "1:60"]), *asked):
                        seen.append(message.uid)
                        for _ in range(chance.choice([0, 0, 3, 15])):
                            await asyncio.sleep(0)
                        if chance.random() < 0.08:
                            await inbox.fetch_one(chance.randint(1, 60), *chance.choice(some))
                    assert seen == list(range(1, 61)), asked

                await asyncio.gather(*(one() for _ in range(8)))

    run(main())
