"""A maildrop on sessions that come and go: what it shows, and how it is opened and left. The emulator's ledger is the judge."""

import asyncio

import pytest

from aiogmail import errors
from aiogmail.ports import Outcome
from aiogmail.testing import Fault
from tests.pop3.support import letter, on_emulator, raws, sessions, uidl_of, verbs


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


@pytest.mark.unmeasured
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
