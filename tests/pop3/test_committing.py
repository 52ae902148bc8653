"""What is to be committed, and whether it was: deletions and pops through losses at every point. The emulator's ledger is the judge."""

import asyncio

import pytest

from aiogmail import errors
from aiogmail.ports import Outcome
from aiogmail.testing import Fault
from tests.pop3.support import letter, on_emulator, sessions, uidl_of, verbs


@on_emulator(3, pop_after="trash")
async def test_deletions_are_marked_again_after_a_reconnect(server, me, gmail):
    async with gmail.pop3() as pop:
        first, second, third = await pop.uidl()
        await pop.delete(first, second)
        me.drop_sessions("pop3")
        await asyncio.sleep(0.1)
        assert await pop.uidl() == (third,)
        assert verbs(server).count("DELE") == 4
        with pytest.raises(errors.CommandError, match="marked for deletion") as caught:
            await pop.retrieve(first)
        assert not caught.value.connection_lost
    assert [stored.popped for stored in me.messages] == [True, True, False]
    assert len(sessions(server)) == 2


@on_emulator(3)
async def test_reset_forgets_deletions_also_for_the_sessions_to_come(server, me, gmail):
    async with gmail.pop3() as pop:
        await pop.delete(*await pop.uidl())
        await pop.reset()
        assert len(await pop.uidl()) == 3
        me.drop_sessions("pop3")
        await asyncio.sleep(0.1)
        assert len(await pop.uidl()) == 3
        await pop.delete((await pop.uidl())[0])
        server.faults.add(Fault("answer", "RSET", "pop3", text="-ERR no"))
        with pytest.raises(errors.CommandError) as caught:
            await pop.reset()
        assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "RSET")
        assert await pop.commit() == (uidl_of(me.messages[0]),)
    assert [stored.popped for stored in me.messages] == [True, False, False]


@on_emulator(3)
async def test_commit_tells_what_is_gone_and_goes_on_with_a_new_session(server, me, gmail):
    async with gmail.pop3() as pop:
        first, second, third = await pop.uidl()
        assert await pop.commit() == ()
        await pop.delete(first)
        assert await pop.commit() == (first,)
        assert await pop.uidl() == (second, third)
        me.deliver(letter(9))
        assert len(await pop.uidl()) == 2
        await pop.commit()
        assert len(await pop.uidl()) == 3


@on_emulator(5)
async def test_calls_made_during_a_commit_are_answered_by_the_next_session(server, me, gmail):
    async with gmail.pop3() as pop:
        uidls = await pop.uidl()
        await pop.delete(uidls[0])
        server.faults.add(Fault("delay", "QUIT", "pop3", seconds=5.0))
        committing = asyncio.create_task(pop.commit())
        await asyncio.sleep(1.0)
        calls = [asyncio.create_task(call) for call in (pop.stat(), pop.retrieve(uidls[1]), pop.delete(uidls[2]), pop.commit())]
        assert (await calls[0]).count in {3, 4}  # before or behind the second deletion: they were called at the same time
        assert await calls[1] == letter(1)
        await asyncio.gather(committing, *calls)
        assert committing.result() == uidls[:1]
    assert [stored.popped for stored in me.messages] == [True, True, True, False, False]


@pytest.mark.parametrize("point", ["request", "reply"])
@pytest.mark.parametrize("action", ["close", "reset", "blackhole", "mute"])
def test_a_quit_whose_answer_was_lost_is_settled_by_the_next_listing(action, point):
    @on_emulator(3, pop_after="trash")
    async def test(server, me, gmail):
        async with gmail.pop3() as pop:
            uidls = await pop.uidl()
            await pop.delete(*uidls[:2])
            server.faults.add(Fault(action, "QUIT", "pop3", point=point, byte=0 if point == "reply" else None))
            assert await pop.commit() == uidls[:2]
            assert [stored.popped for stored in me.messages] == [True, True, False]
            # "mute" obeys and withholds the answer wherever it strikes
            assert verbs(server).count("QUIT") == (2 if point == "request" and action != "mute" else 1)

    test()


@on_emulator(2)
async def test_a_quit_that_is_lost_again_and_again_is_not_applied(server, me, gmail):
    async with gmail.pop3() as pop:
        await pop.delete(*await pop.uidl())
        server.faults.add(Fault("close", "QUIT", "pop3", times=3))
        with pytest.raises(errors.Disconnected) as caught:
            await pop.commit()
        assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "QUIT")
        assert not any(stored.popped for stored in me.messages)
        await pop.commit()
    assert all(stored.popped for stored in me.messages)


@on_emulator(2)
async def test_a_quit_that_is_lost_and_cannot_be_looked_after_is_unknown(server, me, gmail):
    async with gmail.pop3() as pop:
        await pop.delete(*await pop.uidl())
        server.faults.add(Fault("close", "QUIT", "pop3", point="reply", byte=0))
        server.faults.add(Fault("close", "CONNECT", "pop3", times=None))
        with pytest.raises(errors.OutcomeUnknown) as caught:
            await pop.commit()
        assert (caught.value.outcome, caught.value.stage) == (Outcome.UNKNOWN, "QUIT")
        assert "QUIT" in caught.value.evidence
        server.faults.clear()
        assert await pop.uidl() == ()
    assert all(stored.popped for stored in me.messages)


@on_emulator(2)
async def test_a_commit_that_never_reached_the_server_is_not_applied(server, me, gmail):
    async with gmail.pop3() as pop:
        await pop.delete(*await pop.uidl())
        server.faults.add(Fault("close", "CONNECT", "pop3", times=None))
        me.drop_sessions("pop3")
        await asyncio.sleep(1)
        with pytest.raises(errors.TransportError) as caught:
            await pop.commit()
        assert caught.value.outcome is Outcome.NOT_APPLIED
        server.faults.clear()


@on_emulator(2)
async def test_the_answer_err_to_quit_is_settled_too(server, me, gmail):
    async with gmail.pop3() as pop:
        await pop.delete((await pop.uidl())[0])
        server.faults.add(Fault("answer", "QUIT", "pop3", text="-ERR some deleted messages not removed"))
        await pop.commit()
    assert [stored.popped for stored in me.messages] == [True, False]


@on_emulator(5)
async def test_a_refused_deletion_says_so_and_the_others_stay_marked(server, me, gmail):
    async with gmail.pop3() as pop:
        uidls = await pop.uidl()
        server.faults.add(Fault("answer", "DELE", "pop3", text="-ERR no", skip=1))
        with pytest.raises(errors.CommandError) as caught:
            await pop.delete(*uidls[:3])
        assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "DELE")
        assert set(await pop.commit()) == {uidls[0], uidls[2]}
    assert [stored.popped for stored in me.messages] == [True, False, True, False, False]


@on_emulator(3)
async def test_a_deletion_of_what_is_not_there_says_so_and_the_others_are_marked(server, me, gmail):
    async with gmail.pop3() as pop:
        uidls = await pop.uidl()
        with pytest.raises(errors.CommandError, match="no message nobody") as caught:
            await pop.delete(uidls[0], "nobody", uidls[2])
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert await pop.commit() == (uidls[0], uidls[2])


@pytest.mark.parametrize("byte", range(6))
def test_a_cut_at_any_byte_of_the_answer_to_dele_loses_no_deletion(byte):
    @on_emulator(3)
    async def test(server, me, gmail):
        async with gmail.pop3() as pop:
            uidls = await pop.uidl()
            server.faults.add(Fault("close", "DELE", "pop3", point="reply", byte=byte))
            await pop.delete(uidls[1])
            assert await pop.commit() == uidls[1:2]
        assert [stored.popped for stored in me.messages] == [False, True, False]

    test()


@on_emulator(3)
async def test_a_deletion_that_cannot_be_marked_again_is_tried_once_more_by_commit(server, me, gmail):
    async with gmail.pop3() as pop:
        uidls = await pop.uidl()
        await pop.delete(uidls[0])
        server.faults.add(Fault("answer", "DELE", "pop3", text="-ERR no"))
        me.drop_sessions("pop3")
        await asyncio.sleep(0.1)
        assert await pop.uidl() == uidls
        assert await pop.commit() == uidls[:1]
