"""What is new, window after window: each message once, committed behind the consumer's back and never before it came back for more."""

import asyncio

import pytest

from aiogmail import errors
from aiogmail.settings import Limits
from aiogmail.testing import Fault, pop3
from tests.pop3.support import every, letter, on_emulator, raws, sessions, uidl_of, verbs


@on_emulator(23, pop_window=5)
async def test_window_after_window_to_the_last(server, me, gmail):
    async with gmail.pop3() as pop:
        mails = [mail async for mail in pop.retrieve_new()]
    assert [mail.raw for mail in mails] == raws(me)
    assert [mail.gmail_id for mail in mails] == [stored.gmail_id for stored in me.messages]
    assert [mail.size for mail in mails] == [stored.size for stored in me.messages]
    assert mails[3].email["Subject"] == "letter 3"
    assert all(stored.popped for stored in me.messages)
    assert len(sessions(server)) == 6
    assert verbs(server).count("RETR") == 23


@on_emulator(0)
async def test_an_empty_maildrop(server, me, gmail):
    async with gmail.pop3() as pop:
        assert [mail async for mail in pop.retrieve_new()] == []
    assert len(sessions(server)) == 1


@on_emulator(10, pop_window=4)
async def test_nothing_is_committed_before_the_consumer_comes_back(server, me, gmail):
    async with gmail.pop3() as pop:
        new = pop.retrieve_new()
        for number in range(10):
            await anext(new)
            await asyncio.sleep(60)
            popped = sum(stored.popped for stored in me.messages)
            assert popped == number // 4 * 4
        with pytest.raises(StopAsyncIteration):
            await anext(new)
        assert all(stored.popped for stored in me.messages)
        with pytest.raises(StopAsyncIteration):
            await anext(new)


@on_emulator(10, pop_window=4)
async def test_a_crash_between_hand_over_and_quit_neither_loses_nor_doubles(server, me, gmail):
    stored, doubled = {}, []
    for crash_after in (2, 3, 1, 4, 100):
        try:
            async with gmail.pop3() as pop:
                done = 0
                async for mail in pop.retrieve_new(seen=stored):
                    if mail.uidl in stored:
                        doubled.append(mail.uidl)
                    stored[mail.uidl] = mail.raw
                    done += 1
                    if done == crash_after:
                        raise SystemError  # as if the process died here: what it has stored is on disk
        except SystemError:
            pass
    assert list(stored.values()) == raws(me)
    assert not doubled
    assert all(message.popped for message in me.messages)


@on_emulator(8)
async def test_messages_seen_before_are_popped_without_being_handed_over(server, me, gmail):
    seen = {uidl_of(stored) for stored in me.messages[:5]}
    async with gmail.pop3() as pop:
        assert [mail.raw async for mail in pop.retrieve_new(seen=seen)] == raws(me)[5:]
    assert all(stored.popped for stored in me.messages)


@on_emulator(8)
async def test_in_recent_mode_what_was_seen_is_left_alone(server, me, gmail):
    seen = [uidl_of(stored) for stored in me.messages[:5]]
    async with gmail.pop3(recent=True) as pop:
        assert [mail.raw async for mail in pop.retrieve_new(seen=seen)] == raws(me)[5:]
    assert verbs(server).count("RETR") == 3


@on_emulator(9, pop_window=4)
async def test_a_loop_that_was_left_commits_what_it_was_given_and_no_more(server, me, gmail):
    async with gmail.pop3() as pop:
        async for mail in pop.retrieve_new():
            if mail.raw == letter(1):
                break
    assert [stored.popped for stored in me.messages] == [True] * 2 + [False] * 7
    async with gmail.pop3() as pop:
        async with pop.retrieve_new() as new:
            assert (await anext(new)).raw == letter(2)
        assert [mail.raw async for mail in pop.retrieve_new()] == raws(me)[3:]
    assert all(stored.popped for stored in me.messages)


@on_emulator(12, pop_window=5, pop_after="trash")
async def test_commands_are_legal_inside_the_loop(server, me, gmail):
    async with gmail.pop3() as pop:
        got = []
        async for mail in pop.retrieve_new():
            got.append(mail.raw)
            assert await pop.top(mail.uidl) == mail.raw[: mail.raw.index(b"\r\n\r\n") + 4]
            assert await pop.retrieve(mail.uidl) == mail.raw
            if len(got) % 2:
                await pop.delete(mail.uidl)
    assert got == [letter(number) for number in range(12)]
    assert all(stored.popped for stored in me.messages)


@pytest.mark.unmeasured
@pytest.mark.parametrize("window", [250, 7])
@pytest.mark.parametrize("cut", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("action", ["close", "reset"])
def test_cuts_lose_nothing_and_double_nothing(cut, action, window):
    """Every so many RETRs the connection is lost, in the middle of a reply or before it."""

    @on_emulator(40, pop_window=window, pop_after="archive")
    async def test(server, me, gmail):
        stop = every(server, cut, Fault(action, "RETR", "pop3", point="reply", byte=10 * cut))
        try:
            async with gmail.pop3() as pop:
                got = [mail.raw async for mail in pop.retrieve_new()]
        finally:
            stop()
        assert got == raws(me)
        assert len(server.faults.hit) >= 40 // cut
        assert all(stored.popped for stored in me.messages)
        assert len(me.messages) == 40

    if cut == 1:
        with pytest.raises(errors.TransportError):  # nothing at all gets through
            test()
    else:
        test()


@on_emulator(40, pop_window=250, pop_commit="retr")
async def test_what_a_server_pops_before_it_has_arrived_is_told(server, me, gmail):
    """With Gmail's variant, if it is one, that counts RETR and not QUIT."""
    server.faults.add(Fault("close", "RETR", "pop3", point="reply", byte=10, skip=20))
    async with gmail.pop3() as pop:
        new = pop.retrieve_new()
        got = [mail.uidl async for mail in new]
        assert len(got) == len(set(got))
        assert new.vanished == {uidl_of(stored) for stored in me.messages} - set(got)
        assert len(new.vanished) == 1
    async with gmail.pop3(recent=True) as pop:
        assert new.vanished == {mail.uidl async for mail in pop.retrieve_new(seen=got)}


@on_emulator(10, pop_window=4)
async def test_a_message_that_is_refused_is_told_at_the_end_and_stops_no_other(server, me, gmail):
    server.faults.add(Fault("answer", "RETR", "pop3", text="-ERR unreadable", skip=2))
    async with gmail.pop3() as pop:
        new = pop.retrieve_new()
        got = []
        with pytest.raises(errors.CommandError, match=f"1 of the messages.*{uidl_of(me.messages[2])}.*unreadable"):
            async for mail in new:
                got.append(mail.raw)
        assert got == raws(me)[:2] + raws(me)[3:]


@on_emulator(10)
async def test_a_message_refused_for_a_while_is_asked_for_again(server, me, gmail):
    server.faults.add(Fault("answer", "RETR", "pop3", text="-ERR [SYS/TEMP] try again later", skip=2, times=2))
    async with gmail.pop3() as pop:
        assert sorted([mail.raw async for mail in pop.retrieve_new()]) == raws(me)


@on_emulator(10)
async def test_a_cancelled_wait_loses_nothing(server, me, gmail):
    async with gmail.pop3() as pop:
        got, new = [], pop.retrieve_new()
        server.faults.add(Fault("delay", "RETR", "pop3", seconds=1.0, times=None))
        while True:
            try:
                async with asyncio.timeout(0.3):
                    got.append((await anext(new)).raw)
            except TimeoutError:
                continue
            except StopAsyncIteration:
                break
        assert got == raws(me)
        assert verbs(server).count("RETR") == 10


@on_emulator(5)
async def test_what_arrived_for_nobody_is_not_popped_on_leaving(server, me, gmail):
    server.faults.add(Fault("delay", "RETR", "pop3", seconds=1.0))
    async with gmail.pop3() as pop:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await anext(pop.retrieve_new())
        await asyncio.sleep(5.0)
        assert verbs(server).count("RETR") == 5
    assert not any(stored.popped for stored in me.messages)


@on_emulator(3)
async def test_two_tasks_cannot_share_one_loop(server, me, gmail):
    async with gmail.pop3() as pop:
        new = pop.retrieve_new()
        first = asyncio.create_task(anext(new))
        await asyncio.sleep(0)
        with pytest.raises(errors.StateError, match="two tasks"):
            await anext(new)
        assert (await first).raw == letter(0)
        assert len([mail async for mail in new]) == 2


@on_emulator(6, size=3000)
async def test_no_more_is_asked_for_than_may_be_held(server, me, gmail):
    object.__setattr__(gmail.settings, "limits", Limits(buffer=7000))
    async with gmail.pop3() as pop:
        new = pop.retrieve_new()
        await anext(new)
        await asyncio.sleep(5)
        assert verbs(server).count("RETR") == 2
        assert len([mail async for mail in new]) == 5


@on_emulator(300)
async def test_requests_go_in_batches_of_at_most_a_hundred(server, me, gmail):
    async with gmail.pop3() as pop:
        new = pop.retrieve_new()
        await anext(new)
        await asyncio.sleep(5)
        assert verbs(server).count("RETR") == 100
        for _ in range(60):
            await anext(new)
        await asyncio.sleep(5)
        assert verbs(server).count("RETR") < 160
        assert len([mail async for mail in new]) == 239


@on_emulator(6, pop_window=3)
async def test_a_quit_lost_in_the_walk_is_settled_and_the_walk_goes_on(server, me, gmail):
    for point in ("request", "reply"):
        server.faults.add(Fault("close", "QUIT", "pop3", point=point, byte=0 if point == "reply" else None))
    async with gmail.pop3() as pop:
        assert [mail.raw async for mail in pop.retrieve_new()] == raws(me)
    assert all(stored.popped for stored in me.messages)


@on_emulator(20, pop_window=6)
async def test_commits_by_another_task_stop_neither_the_walk_nor_themselves(server, me, gmail):
    async with gmail.pop3() as pop:

        async def commit():
            while True:
                await asyncio.sleep(0.013)
                await pop.commit()

        committing = asyncio.create_task(commit())
        got = []
        async for mail in pop.retrieve_new():
            got.append(mail.raw)
            await asyncio.sleep(0.01)
        assert not committing.done()
        committing.cancel()
        await asyncio.wait([committing])
    assert got == raws(me)
    assert all(stored.popped for stored in me.messages)


@on_emulator(5)
async def test_a_message_marked_for_deletion_meanwhile_does_not_come(server, me, gmail):
    object.__setattr__(gmail.settings, "limits", Limits(buffer=1))
    async with gmail.pop3() as pop:
        uidls = await pop.uidl()
        got = []
        async for mail in pop.retrieve_new():
            got.append(mail.uidl)
            if len(got) == 1:
                await pop.delete(uidls[2])
        assert got == [uidls[0], uidls[1], uidls[3], uidls[4]]


@on_emulator(5, pop_window=3)
async def test_a_closed_loop_is_over(server, me, gmail):
    async with gmail.pop3() as pop:
        new = pop.retrieve_new()
        await anext(new)
        await new.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(new)


def test_popping_that_does_not_take_ends_the_walk_all_the_same(monkeypatch):
    """A server that shows what it should have popped again must not be walked for ever."""
    monkeypatch.setattr(pop3.Pop3Session, "_pop", staticmethod(lambda account, message: None))

    @on_emulator(4)
    async def test(server, me, gmail):
        async with gmail.pop3() as pop:
            got = [mail.uidl async for mail in pop.retrieve_new()]
            assert len(got) == 4
            assert [mail.uidl async for mail in pop.retrieve_new(seen=got)] == []
            assert verbs(server).count("RETR") == 8

    test()
