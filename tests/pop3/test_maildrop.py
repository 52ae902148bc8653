"""A maildrop on sessions that come and go: what it shows, what it commits, and what a loss costs. The emulator's ledger is the judge."""

import asyncio

import pytest

from aiogmail import errors
from aiogmail.ports import Outcome
from aiogmail.testing import Fault
from tests.pop3.support import letter, on_emulator, raws, sessions, verbs


def uidl_of(stored):
    return f"GmailId{stored.gmail_id:016x}"


@on_emulator(3)
async def test_it_shows_what_the_server_shows(server, me, gmail):
    async with gmail.pop3() as pop:
        uidls = await pop.uidl()
        assert uidls == tuple(uidl_of(stored) for stored in me.messages)
        assert await pop.list() == {uidl_of(stored): stored.size for stored in me.messages}
        stat = await pop.stat()
        assert (stat.count, stat.size) == (3, sum(stored.size for stored in me.messages))
        assert await pop.retrieve(uidls[1]) == letter(1)
        assert await pop.top(uidls[2]) == b"Subject: letter 2\r\nFrom: ann@example.com\r\n\r\n"
        assert await pop.top(uidls[2], 1) == b"Subject: letter 2\r\nFrom: ann@example.com\r\n\r\n.dot\r\n"
        await pop.noop()
    assert verbs(server) == ["AUTH", "CAPA", "STAT", "UIDL", "LIST", "STAT", "RETR", "TOP", "TOP", "NOOP", "QUIT"]


@on_emulator(2)
async def test_leaving_commits_and_an_exception_does_not(server, me, gmail):
    with pytest.raises(KeyError):
        async with gmail.pop3() as pop:
            await pop.retrieve((await pop.uidl())[0])
            await pop.delete((await pop.uidl())[1])
            raise KeyError
    assert "QUIT" not in verbs(server)
    assert not any(stored.popped for stored in me.messages)
    async with gmail.pop3() as pop:
        await pop.retrieve((await pop.uidl())[0])
        await pop.delete((await pop.uidl())[1])
        assert (await pop.stat()).count == len(await pop.uidl()) == 1
    assert all(stored.popped for stored in me.messages)


@on_emulator(1)
async def test_a_look_is_ended_by_quit_also_after_an_exception(server, me, gmail):
    with pytest.raises(KeyError):
        async with gmail.pop3() as pop:
            await pop.uidl()
            raise KeyError
    assert verbs(server)[-1] == "QUIT"


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


@on_emulator(2)
async def test_what_is_refused_on_leaving_is_raised_and_closed_all_the_same(server, me, gmail):
    with pytest.raises(errors.OutcomeUnknown):
        async with gmail.pop3() as pop:
            await pop.delete((await pop.uidl())[0])
            server.faults.add(Fault("close", "QUIT", "pop3", times=None))
            server.faults.add(Fault("answer", "AUTH", "pop3", text="-ERR [SYS/PERM] no", times=None))
    server.faults.clear()
    with pytest.raises(errors.StateError):
        await pop.uidl()


@on_emulator(2)
async def test_closing_in_time_or_not_at_all(server, me, gmail):
    pop = gmail.pop3()
    await pop.__aenter__()
    await pop.delete((await pop.uidl())[0])
    server.faults.add(Fault("blackhole", "QUIT", "pop3"))
    with pytest.raises(TimeoutError):
        await pop.aclose(timeout=2.0)
    assert not any(stored.popped for stored in me.messages)
    await pop.aclose()
    with pytest.raises(errors.StateError):
        await pop.commit()


@on_emulator(2)
async def test_the_account_closes_its_maildrops(server, me, gmail):
    pop = gmail.pop3()
    await pop.__aenter__()
    await pop.delete((await pop.uidl())[0])
    await gmail.aclose()
    assert verbs(server)[-1] == "QUIT"
    assert [stored.popped for stored in me.messages] == [True, False]
    with pytest.raises(errors.StateError):
        gmail.pop3()


@on_emulator(0)
async def test_one_that_was_never_opened_is_closed_without_a_word(server, me, gmail):
    pop = gmail.pop3()
    await pop.aclose()
    with pytest.raises(errors.StateError):
        await pop.stat()
    assert verbs(server) == []


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


@on_emulator(2)
async def test_dropping_it_while_a_message_is_on_its_way_pops_nothing(server, me, gmail):
    server.faults.add(Fault("delay", "RETR", "pop3", seconds=0.3))
    with pytest.raises(KeyError):
        async with gmail.pop3() as pop:
            loading = asyncio.create_task(pop.retrieve((await pop.uidl())[0]))
            await asyncio.sleep(0.1)
            raise KeyError
    with pytest.raises(errors.StateError):
        await loading
    assert not any(stored.popped for stored in me.messages)


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


@on_emulator(3)
async def test_what_is_not_there_is_a_command_error(server, me, gmail):
    async with gmail.pop3() as pop:
        for call in (pop.retrieve("nobody"), pop.top("nobody"), pop.delete("nobody")):
            with pytest.raises(errors.CommandError, match="nobody") as caught:
                await call
            assert caught.value.outcome in (Outcome.NOT_APPLIED, None)
        assert await pop.commit() == ()


@on_emulator(0)
async def test_bad_arguments_are_refused_before_anything_is_sent(server, me, gmail):
    pop = gmail.pop3()
    for call, name in [
        (lambda: pop.retrieve("two words"), "uidl"),
        (lambda: pop.retrieve(7), "uidl"),
        (lambda: pop.top("x", -1), "lines"),
        (lambda: pop.top("x", True), "lines"),
        (lambda: pop.top("x\r\nQUIT"), "uidl"),
        (pop.delete, "uidls"),
        (lambda: pop.delete("x", ""), "uidl"),
    ]:
        with pytest.raises(errors.ConfigurationError, match=name):
            await call()
    for call, name in [
        (lambda: pop.retrieve_new(seen="x"), "seen"),
        (lambda: pop.retrieve_new(seen=5), "seen"),
        (lambda: pop.download(""), "uidl"),
        (lambda: gmail.pop3(recent="yes"), "recent"),
    ]:
        with pytest.raises(errors.ConfigurationError, match=name):
            call()
    assert not server.ledger.connections


@on_emulator(3)
async def test_cancelled_calls_cost_the_connection_and_mark_nothing(server, me, gmail):
    async with gmail.pop3() as pop:
        uidls = await pop.uidl()
        for call in (pop.stat, pop.noop, pop.reset, lambda: pop.delete(uidls[0]), lambda: pop.retrieve(uidls[0])):
            server.faults.add(Fault("delay", None, "pop3", seconds=5.0))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await call()
            server.faults.clear()
            assert (await pop.stat()).count == 3
        assert await pop.commit() == ()
    assert not any(stored.popped for stored in me.messages)


@on_emulator(3)
async def test_commands_of_many_tasks_each_get_their_own_answer(server, me, gmail):
    async with gmail.pop3() as pop:
        uidls = await pop.uidl()
        answers = await asyncio.gather(*(pop.retrieve(uidl) for uidl in uidls * 10), pop.stat(), *(pop.top(uidl) for uidl in uidls))
        assert answers[:30] == raws(me) * 10
        assert answers[30].count == 3
        assert answers[31:] == [raw[: raw.index(b"\r\n\r\n") + 4] for raw in raws(me)]


@on_emulator(1, pop_enabled=False)
async def test_pop_switched_off_is_told_at_the_opening_with_what_to_do(server, me, gmail):
    with pytest.raises(errors.AccessDenied, match="switch POP on"):
        async with gmail.pop3():
            pass
    assert len(sessions(server)) == 1


@on_emulator(1, pop_seems_empty=True)
async def test_a_mailbox_that_seems_empty_is_no_empty_mailbox(server, me, gmail):
    with pytest.raises(errors.Unavailable, match="seem empty"):
        async with gmail.pop3():
            pass


@on_emulator(3)
async def test_one_that_seems_empty_for_a_while_is_waited_for(server, me, gmail):
    async with gmail.pop3() as pop:
        me.configure(pop_seems_empty=True)
        asyncio.get_running_loop().call_later(60.0, lambda: me.configure(pop_seems_empty=False))
        me.drop_sessions("pop3")
        await asyncio.sleep(0.1)
        assert len(await pop.uidl()) == 3


@on_emulator(3)
async def test_the_session_ends_with_its_token_and_nobody_notices(server, me, gmail):
    async with gmail.pop3() as pop:
        uidls = await pop.uidl()
        await pop.delete(uidls[0])
        await asyncio.sleep(7200)
        assert await pop.retrieve(uidls[1]) == letter(1)
    assert len(me.ledger.refreshes()) >= 2
    assert [stored.popped for stored in me.messages] == [True, True, False]


@on_emulator(1, session_ends_with_token=False)
async def test_seven_days_are_a_session(server, me, gmail):
    async with gmail.pop3() as pop:
        for _ in range(8):
            await asyncio.sleep(86_400)
            assert (await pop.stat()).count == 1
    assert len(sessions(server)) == 2


@on_emulator(3)
async def test_recent_mode_shows_what_was_popped_before(server, me, gmail):
    async with gmail.pop3() as pop:
        for uidl in await pop.uidl():
            await pop.retrieve(uidl)
    async with gmail.pop3() as pop:
        assert await pop.uidl() == ()
    async with gmail.pop3(recent=True) as pop:
        assert len(await pop.uidl()) == 3
        assert "Maildrop" in repr(pop)
