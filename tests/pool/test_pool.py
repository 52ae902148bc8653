"""More mailboxes than connections: every one goes on working, in its turn, and never reads another's messages."""

import asyncio
import contextlib
import random
from dataclasses import replace

import pytest

from aiogmail import (
    ConnectFailed,
    Disconnected,
    Gmail,
    Limits,
    MailboxChanged,
    MailboxNotFound,
    Q,
    StateError,
    TimedOut,
    Timeouts,
    TooManyConnections,
)
from aiogmail.imap.commands import Noop
from aiogmail.imap.commands.idle import Idle
from aiogmail.ports import Effect
from aiogmail.testing import Behaviour, Fault, GmailEmulator, run_virtual

ADDRESS = "me@gmail.com"
NAMES = [f"Label{number}" for number in range(8)]


def pooled(test, *, connections=2, most=15, each=12, seed=0, timeouts=None, **behaviour):
    """An account with eight labels of a dozen messages, whose subjects say where they are."""

    async def main():
        async with GmailEmulator(behaviour=Behaviour(max_connections=most, **behaviour), seed=seed) as server:
            account = server.add_account(ADDRESS)
            for name in NAMES:
                for number in range(1, each + 1):
                    account.deliver(b"Subject: %b %d\r\n\r\nbody\r\n" % (name.encode(), number), labels=(name,))
            limits = Limits(connections=connections, buffer=2048)
            settings = replace(server.settings, limits=limits, timeouts=timeouts or Timeouts())
            async with Gmail(ADDRESS, account.credentials(), settings=settings) as gmail:
                await test(server, account, gmail)
            await asyncio.sleep(1)
            assert not server.ledger.open_connections()
            if not behaviour:
                assert most_at_once(server) <= connections

    run_virtual(main(), seed=seed)


def imap(server):
    return [one for one in server.ledger.connections if one.protocol == "imap"]


def most_at_once(server):
    changes = sorted([(one.at, 1) for one in imap(server)] + [(one.closed_at, -1) for one in imap(server) if one.closed_at])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


async def enter(gmail, names):
    boxes = {name: gmail.mailbox(name) for name in names}
    for box in boxes.values():
        await box.__aenter__()
    return boxes


def subject_of(message):
    return message.raw.split(b"\r\n")[0].removeprefix(b"Subject: ").decode()


@pytest.mark.parametrize("connections", [1, 2, 5])
def test_more_mailboxes_than_connections_all_work(connections):
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES)
        for _ in range(3):
            for name, box in boxes.items():
                found = [subject_of(message) async for message in box.fetch(Q.all, "raw")]
                assert found == [f"{name} {number}" for number in range(1, 13)]
        assert len(imap(server)) == connections

    pooled(test, connections=connections)


@pytest.mark.parametrize("connections", [1, 2])
def test_fetches_that_go_on_at_the_same_time_get_their_own_messages_once(connections):
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES)

        async def read(name, box):
            found = []
            async for message in box.fetch("1:*", "raw"):
                found.append(subject_of(message))
                await asyncio.sleep(0.1)
            assert found == [f"{name} {number}" for number in range(1, 61)]

        await asyncio.gather(*(read(name, box) for name, box in boxes.items()))

    pooled(test, connections=connections, each=60)


def test_commands_on_other_mailboxes_are_legal_inside_a_fetch_loop():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:3])
        seen = 0
        async for outer in boxes["Label0"].fetch("1:*", "raw"):
            assert subject_of(outer).startswith("Label0 ")
            async for inner in boxes["Label1"].fetch(5, "raw"):
                assert subject_of(inner) == "Label1 5"
            assert len(await boxes["Label2"].search()) == 12
            seen += 1
        assert seen == 12

    pooled(test, connections=1)


def test_work_stays_where_its_mailbox_is_selected():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        for _ in range(20):
            for box in boxes.values():
                await box.noop()
        assert server.ledger.verbs("imap").count("SELECT") == 2

    pooled(test, connections=2)


def test_the_connection_that_was_idle_longest_is_given_to_another_mailbox():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:3])
        for name in ("Label1", "Label0", "Label2", "Label0"):
            await asyncio.sleep(1)
            await boxes[name].noop()
        selected = [command.line.split()[-1] for command in server.ledger.commands if command.verb == "SELECT"]
        assert selected[:3] == ["Label0", "Label1", "Label2"]
        assert selected[3:] == ["Label0", "Label2", "Label0"][: len(selected) - 3] or selected[3:] == [
            "Label1",
            "Label0",
            "Label2",
            "Label0",
        ]

    pooled(test, connections=2)


def test_an_idle_on_the_only_connection_gives_way_and_gets_its_turn_back():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        idled = []

        async def idle(session):
            await session.execute(Idle())
            idled.append(asyncio.get_running_loop().time())

        async def watch():
            while True:
                await boxes["Label0"]._keeper.run(idle, Effect.PURE)

        watching = asyncio.create_task(watch())
        for number in range(1, 6):
            await asyncio.sleep(10)
            began = asyncio.get_running_loop().time()
            assert len(await boxes["Label1"].search()) == 12
            assert asyncio.get_running_loop().time() - began < 0.1
            assert len(idled) == number
        await asyncio.sleep(1)
        assert server.ledger.verbs("imap")[-1] == "IDLE"
        watching.cancel()
        await asyncio.wait([watching])

    pooled(test, connections=1)


def test_an_idle_is_not_begun_while_others_wait():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        steps = []

        async def slow_then_idle(session):
            steps.append("working")
            if steps.count("working") > 1:
                return
            await asyncio.sleep(1)
            await session.execute(Idle())

        work = asyncio.create_task(boxes["Label0"]._keeper.run(slow_then_idle, Effect.PURE))
        await asyncio.sleep(0.5)
        assert len(await boxes["Label1"].search()) == 12
        await work
        assert "IDLE" not in server.ledger.verbs("imap")

    pooled(test, connections=1)


def test_one_that_is_never_idle_does_not_keep_others_waiting():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        stop = False

        async def busy(session):
            await session.execute(Noop())
            await asyncio.sleep(0.5)

        async def hammer():
            while not stop:
                await boxes["Label0"]._keeper.run(busy, Effect.PURE)

        hammering = [asyncio.create_task(hammer()) for _ in range(5)]
        await asyncio.sleep(5)
        began = asyncio.get_running_loop().time()
        await boxes["Label1"].noop()
        assert asyncio.get_running_loop().time() - began <= 0.6
        stop = True
        await asyncio.gather(*hammering)

    pooled(test, connections=1)


def test_work_within_work_does_not_wait_for_itself():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        keeper = boxes["Label0"]._keeper

        async def inner(session):
            await session.execute(Noop())
            return "inner"

        async def outer(session):
            await asyncio.sleep(1)
            return await keeper.run(inner, Effect.PURE)

        running = asyncio.create_task(keeper.run(outer, Effect.PURE))
        await asyncio.sleep(0.5)
        waiting = asyncio.create_task(boxes["Label1"].noop())
        assert await running == "inner"
        await waiting

    pooled(test, connections=1)


def test_an_account_that_has_fewer_connections_left_makes_do_with_those():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES)
        for name, box in boxes.items():
            assert [subject_of(message) async for message in box.fetch(3, "raw")] == [f"{name} 3"]
        refused = [command for command in server.ledger.commands if command.verb == "AUTHENTICATE"]
        assert len(refused) <= 4

    pooled(test, connections=5, most=3)


@pytest.mark.parametrize("way", ["expire_sessions", "drop_sessions"])
def test_mailboxes_that_share_a_connection_outlive_its_loss(way):
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:4])
        for name, box in boxes.items():
            getattr(account, way)()
            assert [subject_of(message) async for message in box.fetch(7, "raw")] == [f"{name} 7"]

    pooled(test, connections=1)


def test_who_waits_may_go_away():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:3])

        async def slow(session):
            await asyncio.sleep(5)

        running = asyncio.create_task(boxes["Label0"]._keeper.run(slow, Effect.PURE))
        await asyncio.sleep(1)
        gone = asyncio.create_task(boxes["Label1"].noop())
        stays = asyncio.create_task(boxes["Label2"].search())
        await asyncio.sleep(1)
        gone.cancel()
        await asyncio.wait([gone])
        assert gone.cancelled()
        closed = asyncio.create_task(boxes["Label1"].noop())
        await asyncio.sleep(1)
        await boxes["Label1"].aclose()
        with pytest.raises(StateError, match="Label1 is closed"):
            await closed
        assert len(await stays) == 12
        await running

    pooled(test, connections=1)


def test_who_is_cancelled_when_its_turn_has_come_gives_it_back():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        release = asyncio.Event()

        async def slow(session):
            await release.wait()

        running = asyncio.create_task(boxes["Label0"]._keeper.run(slow, Effect.PURE))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(boxes["Label1"].noop())
        await asyncio.sleep(1)
        release.set()
        while gmail._pool._connections[0].owner.name != "Label1":
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting, running])
        assert gmail._pool._connections[0].users == 0
        assert len(await boxes["Label0"].search()) == 12

    pooled(test, connections=1)


def test_a_wait_for_a_turn_has_an_end():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])

        async def slow(session):
            await asyncio.sleep(100)

        running = asyncio.create_task(boxes["Label0"]._keeper.run(slow, Effect.PURE))
        await asyncio.sleep(1)
        with pytest.raises(TimedOut, match=r"none of 1 connections was free within 20 s; raise Limits\.connections"):
            await boxes["Label1"].noop()
        await running

    pooled(test, connections=1, timeouts=Timeouts(recover=20))


def test_closing_a_mailbox_closes_its_connection_unless_others_need_it():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:3])
        for name, left in (("Label0", 2), ("Label1", 1), ("Label2", 0)):
            await boxes[name].aclose()
            await asyncio.sleep(0.1)
            assert len([one for one in imap(server) if one.closed_at is None]) == left
        with pytest.raises(StateError, match="closed"):
            await boxes["Label0"].noop()
        with pytest.raises(StateError, match="closed"):
            await boxes["Label0"].__aenter__()

    pooled(test, connections=2)


def test_closing_a_mailbox_fails_its_work_alone():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])

        async def endless(session):
            await asyncio.wait([session.closed])
            raise session.closed.result()

        doomed = asyncio.create_task(boxes["Label0"]._keeper.run(endless, Effect.PURE))
        waiting = asyncio.create_task(boxes["Label1"].search())
        await asyncio.sleep(1)
        await boxes["Label0"].aclose(timeout=2.0)
        with pytest.raises(StateError, match="closed"):
            await doomed
        assert len(await waiting) == 12

    pooled(test, connections=1)


def test_work_that_needs_no_mailbox_runs_on_any_connection():
    async def test(server, account, gmail):
        async def noop(session):
            return await session.execute(Noop())

        await gmail._pool.run(noop, Effect.PURE)
        assert len(imap(server)) == 1
        boxes = await enter(gmail, NAMES[:1])
        await gmail._pool.run(noop, Effect.PURE)
        assert len(imap(server)) == 1, "the mailbox took the one that was there"

        async def slow(session):
            await asyncio.sleep(5)
            await session.execute(Noop())
            return "done"

        working = asyncio.create_task(gmail._pool.run(slow, Effect.PURE))
        await asyncio.sleep(1)
        await boxes["Label0"].aclose()
        assert await working == "done"

    pooled(test, connections=2)


def test_work_that_needs_no_mailbox_goes_on_where_the_mailbox_beside_it_was_renumbered():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:1])
        await gmail.mailboxes()
        fault = Fault("close", "LIST", call=lambda: account.change_uidvalidity(NAMES[0]))
        server.faults.add(fault)
        assert {info.name for info in await gmail.mailboxes()} >= set(NAMES)
        assert server.faults.hit == [fault]
        with pytest.raises(MailboxChanged):
            await boxes[NAMES[0]].noop()

    pooled(test)


def test_a_mailbox_whose_uids_are_void_says_so_without_spending_connections():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        await boxes["Label0"].noop()
        account.change_uidvalidity("Label1")
        with pytest.raises(MailboxChanged):
            await boxes["Label1"].noop()
        spent = len(imap(server))
        for _ in range(3):
            with pytest.raises(MailboxChanged):
                await boxes["Label1"].search()
        assert len(imap(server)) == spent
        assert len(await boxes["Label0"].search()) == 12

    pooled(test, connections=1)


def test_a_mailbox_that_is_not_there_costs_the_others_nothing():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        for _ in range(2):
            with pytest.raises(MailboxNotFound):
                async with gmail.mailbox("Nowhere"):
                    pass
        for name, box in boxes.items():
            assert [subject_of(message) async for message in box.fetch(7, "raw")] == [f"{name} 7"]

    pooled(test, connections=1)


def test_an_outage_is_waited_out_where_a_mailbox_is_open_and_told_where_it_is_not():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:1])
        await server.pause("imap")
        account.drop_sessions()
        with pytest.raises(ConnectFailed):
            await gmail.mailbox("Label1").__aenter__()
        waiting = asyncio.create_task(boxes["Label0"].search())
        await asyncio.sleep(20)
        await server.resume("imap")
        assert len(await waiting) == 12

    pooled(test, connections=2)


def test_a_mailbox_is_opened_once():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:1])
        with pytest.raises(StateError, match="open already"):
            await boxes["Label0"].__aenter__()

    pooled(test)


def test_rotating_connections_take_turns():
    async def test(server, account, gmail):
        await enter(gmail, NAMES[:5])
        await asyncio.sleep(10 * 3600)
        assert not [one for one in imap(server) if "expired" in one.reason]
        assert most_at_once(server) <= 6
        assert len(imap(server)) >= 45

    pooled(test, connections=5, token_lifetime=3599)


def test_a_mailbox_whose_uids_became_void_while_it_was_idle_does_not_hold_up_its_connection():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        await boxes["Label1"].noop()
        account.change_uidvalidity("Label1")
        account.drop_sessions()
        await asyncio.sleep(5)
        assert len(await boxes["Label0"].search()) == 12
        with pytest.raises(MailboxChanged):
            await boxes["Label1"].search()

    pooled(test, connections=1)


def test_several_calls_on_a_mailbox_that_is_selected_again_wait_for_one_select():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        boxes["Label0"]._trusting = False  # so that it is awaited
        before = server.ledger.verbs("imap").count("SELECT")
        found = await asyncio.gather(*(boxes["Label0"].search() for _ in range(5)))
        assert {len(uids) for uids in found} == {12}
        assert server.ledger.verbs("imap").count("SELECT") == before + 1

    pooled(test, connections=1)


@pytest.mark.parametrize("fault", ["bye", "close"])
def test_several_calls_on_a_mailbox_that_cannot_be_selected_now_are_all_run_again(fault):
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        boxes["Label0"]._trusting = False
        server.faults.add(Fault(fault, "SELECT", protocol="imap"))
        found = await asyncio.gather(*(boxes["Label0"].search() for _ in range(5)))
        assert {len(uids) for uids in found} == {12}

    pooled(test, connections=1)


@pytest.mark.parametrize("turns", range(0, 12, 2))
def test_an_opening_that_is_cancelled_costs_nothing_but_itself(turns):
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:1])
        for name in ("Label1", "Label2"):
            opening = asyncio.create_task(gmail.mailbox(name).__aenter__())
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait([opening])
            assert len(await boxes["Label0"].search()) == 12
        await boxes["Label0"].aclose()
        await asyncio.sleep(1)
        assert gmail._pool.connections == 0

    pooled(test, connections=2)


def test_the_first_connection_that_is_refused_is_told():
    async def test(server, account, gmail):
        refused = Fault("answer", "AUTHENTICATE", text="NO [ALERT] Too many simultaneous connections. (Failure)")
        server.faults.add(refused)
        with pytest.raises(TooManyConnections):
            await gmail.mailbox("Label0").__aenter__()
        async with gmail.mailbox("Label0") as box:
            assert len(await box.search()) == 12

    pooled(test)


@pytest.mark.parametrize("when", [0.0, 0.5, 1.5])
def test_closing_the_account_fails_whoever_waits_for_a_turn(when):
    async def test(server, account, gmail):
        server.faults.add(Fault("delay", "SELECT", seconds=1.0))
        opening = [asyncio.create_task(gmail.mailbox(name).__aenter__()) for name in NAMES[:3]]
        working = asyncio.create_task(gmail._pool.run(lambda session: session.execute(Noop()), Effect.PURE))
        await asyncio.sleep(when)
        await gmail.aclose()
        await asyncio.wait([*opening, working])
        for task in opening:
            assert task.exception() is None or isinstance(task.exception(), StateError)
        with pytest.raises(StateError, match="closed"):
            await gmail._pool.run(lambda session: session.execute(Noop()), Effect.PURE)

    pooled(test, connections=1)


def test_a_selection_leaves_and_drops_the_connection_it_is_on():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:1])
        first = boxes["Label0"]._session
        first.abort()
        assert len(await boxes["Label0"].search()) == 12
        second = boxes["Label0"]._session
        assert second is not first
        await second.aclose()
        assert second.connection.closed.done()
        assert len(await boxes["Label0"].search()) == 12
        with pytest.raises(Disconnected):
            await first.execute(Noop())

    pooled(test)


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 60))])
def test_whatever_happens_no_mailbox_reads_anothers_messages(seed):
    """Fetches, searches, IDLE, losses, cancellations and new arrivals at random, on one, two or three connections."""

    async def test(server, account, gmail):
        chance = random.Random(seed)
        boxes = await enter(gmail, NAMES[:5])

        async def idle(session):
            waiting = session.submit(Idle())
            await asyncio.wait([waiting.future], timeout=chance.random())
            session.protocol.queue.interrupt(waiting)
            await waiting.future

        async def one(name):
            box = boxes[name]
            for _ in range(chance.randrange(4, 10)):
                action = chance.randrange(6)
                if action < 3:
                    first = chance.randrange(1, 12)
                    found = []
                    async for message in box.fetch(f"{first}:12", "raw"):
                        found.append(subject_of(message))
                        await asyncio.sleep(chance.random() * 0.2)
                        if action == 2 and chance.random() < 0.2:
                            break
                    else:
                        assert len(found) == 13 - first
                    assert found == [f"{name} {number}" for number in range(first, first + len(found))]
                elif action == 3:
                    assert len(await box.search()) == 12
                elif action == 4:
                    await box._keeper.run(idle, Effect.PURE)
                else:
                    task = asyncio.create_task(box.search())
                    await asyncio.sleep(chance.random() * 0.05)
                    task.cancel()
                    await asyncio.wait([task])

        async def trouble():
            while True:
                await asyncio.sleep(1.5 + chance.random() * 4)  # work that is lost four times in a row is given up
                chance.choice([account.expire_sessions, account.drop_sessions])()

        troubling = asyncio.create_task(trouble())
        await asyncio.gather(*(one(name) for name in boxes))
        troubling.cancel()

    pooled(test, connections=1 + seed % 3, seed=seed)


def test_two_that_wait_in_idle_on_one_connection_share_it_by_slices_of_time():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        idled = dict.fromkeys(NAMES[:2], 0)

        async def watch(name):
            async def idle(session):
                await session.execute(Idle())

            while True:
                await boxes[name]._keeper.run(idle, Effect.PURE)
                idled[name] += 1

        watching = [asyncio.create_task(watch(name)) for name in idled]
        await asyncio.sleep(600)
        assert all(15 <= turns <= 25 for turns in idled.values()), (idled, len(server.ledger.commands))
        assert len(server.ledger.commands) < 400
        for one in watching:
            one.cancel()
        await asyncio.wait(watching)

    pooled(test, connections=1)


def test_more_watchers_of_one_mailbox_than_connections_all_hear_and_none_spins():
    """Each got its SELECT and its look, gave the connection back, and lost it to the next before it came to listen: for ever, in no time."""

    async def main():
        async with GmailEmulator() as server:
            account = server.add_account("me@gmail.com")
            async with (
                Gmail("me@gmail.com", account.credentials(), settings=server.settings) as gmail,
                contextlib.AsyncExitStack() as stack,
            ):
                boxes = [await stack.enter_async_context(gmail.mailbox("INBOX")) for _ in range(7)]
                heard = [asyncio.Event() for _ in boxes]

                async def watch(number):
                    async with boxes[number].watch() as events:
                        async for _ in events:
                            heard[number].set()

                tasks = [asyncio.create_task(watch(number)) for number in range(7)]
                await asyncio.sleep(120)
                account.deliver("Subject: news\r\n\r\nx\r\n")
                async with asyncio.timeout(120):
                    for one in heard:
                        await one.wait()
                assert len(account.ledger.commands) < 600
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    run_virtual(main())


async def granted(gmail, boxes):
    """Two calls on ``Label1`` were just given a connection that neither has opened yet; and what else goes on."""

    async def slow(session):
        await asyncio.sleep(100)

    running = asyncio.create_task(boxes["Label0"]._keeper.run(slow, Effect.PURE))
    await asyncio.sleep(1)
    waiting = [asyncio.create_task(boxes["Label1"].search()) for _ in range(2)]
    await asyncio.sleep(1)
    closing = asyncio.create_task(boxes["Label0"].aclose())
    while not any(one.fresh for one in gmail._pool._connections):
        await asyncio.sleep(0)
    return waiting, [running, closing]


@pytest.mark.parametrize("who", ["the account", "the same mailbox"])
def test_a_connection_that_was_given_and_not_opened_yet_serves_others_too(who):
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        waiting, others = await granted(gmail, boxes)
        if who == "the account":
            assert {info.name for info in await gmail.mailboxes()} >= set(NAMES)
        else:
            assert len(await boxes["Label1"].search()) == 12
        assert [len(uids) for uids in await asyncio.gather(*waiting)] == [12, 12]
        await asyncio.gather(*others, return_exceptions=True)

    pooled(test, connections=1)


def test_a_connection_that_two_were_given_stays_when_one_goes_away():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        waiting, others = await granted(gmail, boxes)
        waiting[0].cancel()
        await asyncio.wait(waiting)
        assert len(waiting[1].result()) == 12
        await asyncio.gather(*others, return_exceptions=True)
        assert gmail._pool.connections == 1

    pooled(test, connections=1)


@pytest.mark.parametrize("turns", range(4))
def test_who_waits_for_a_mailbox_to_be_selected_does_not_hear_that_another_was_cancelled(turns):
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        boxes["Label0"]._trusting = False  # so that it is awaited
        first = asyncio.create_task(boxes["Label0"].search())
        await asyncio.sleep(0)
        second = asyncio.create_task(boxes["Label0"].search())
        for _ in range(turns):
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first, second])
        assert len(second.result()) == 12

    pooled(test, connections=1)


def test_a_change_whose_mailbox_could_not_be_selected_is_tried_again():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        boxes["Label0"]._trusting = False
        server.faults.add(Fault("close", "SELECT", protocol="imap"))

        async def change(session):
            return "done"

        assert await boxes["Label0"]._keeper.run(change, Effect.VERIFIABLE) == "done"

    pooled(test, connections=1)


@pytest.mark.parametrize("who", ["server", "budget"])
def test_a_lost_connection_that_finds_no_room_any_more_leaves_its_mailbox_to_the_others(who):
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        loop = asyncio.get_running_loop()
        assert gmail._pool.connections == 2
        gmail._budget.connections = 1 if who == "budget" else 15
        if who == "server":
            refused = "NO [ALERT] Too many simultaneous connections. (Failure)"
            server.faults.add(Fault("answer", "AUTHENTICATE", text=refused, times=None))
        # The other goes on; the first to be opened is lost.
        lost = gmail._pool._connections[0].supervisor.session
        lost.protocol.fail(Disconnected("gone"))
        began = loop.time()
        work = [boxes["Label0"].search(), boxes["Label1"].search(), gmail.mailboxes()]
        async with boxes["Label0"].watch() as watch:
            await asyncio.gather(*work)
            assert loop.time() - began < 1
            account.deliver(b"Subject: new\r\n\r\nbody\r\n", labels=("Label0",))
            await anext(watch)
        for name, box in boxes.items():
            assert [subject_of(message) async for message in box.fetch(7, "raw")] == [f"{name} 7"]
        assert gmail._pool.connections == 1

    pooled(test)


def test_who_waits_for_a_turn_in_an_outage_hears_of_the_outage():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:2])
        server.faults.add(Fault("close", "CONNECT", times=None))
        account.drop_sessions()
        found = await asyncio.gather(*(box.search() for box in boxes.values()), return_exceptions=True)
        assert [type(error) for error in found] == [Disconnected, Disconnected]
        server.faults.clear()
        await asyncio.sleep(100)
        assert len(await boxes["Label0"].search()) == 12

    pooled(test, connections=1)


def test_the_only_connection_waits_for_room():
    async def test(server, account, gmail):
        boxes = await enter(gmail, NAMES[:1])
        refused = "NO [ALERT] Too many simultaneous connections. (Failure)"
        server.faults.add(Fault("answer", "AUTHENTICATE", text=refused, times=3))
        account.drop_sessions()
        assert len(await boxes["Label0"].search()) == 12

    pooled(test)
