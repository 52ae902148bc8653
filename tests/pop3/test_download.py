"""A message that is too large to be held comes as it arrives, whatever happens to the connection."""

import asyncio
import gc

import pytest

from aiogmail import errors
from aiogmail.settings import Limits
from aiogmail.testing import Fault
from tests.pop3.support import ScriptedPop, letter, on_emulator, raws, sessions, verbs
from tests.support.aio import run

BIG = 3_000_000


@on_emulator(2, size=BIG)
async def test_it_comes_in_pieces_and_never_whole(server, me, gmail):
    async with gmail.pop3() as pop:
        uidl = (await pop.uidl())[1]
        async with pop.download(uidl) as download:
            pieces = [piece async for piece in download]
        assert b"".join(pieces) == letter(1, BIG)
        assert max(map(len, pieces)) < 1024 * 1024
        with pytest.raises(StopAsyncIteration):
            await anext(download)
    assert [stored.popped for stored in me.messages] == [False, True]


@on_emulator(1, size=BIG)
async def test_a_slow_consumer_holds_the_socket_back(server, me, gmail):
    object.__setattr__(gmail.settings, "limits", Limits(buffer=100_000))
    async with gmail.pop3() as pop:
        got = b""
        async for piece in pop.download((await pop.uidl())[0]):
            got += piece
            await asyncio.sleep(40)  # longer than any deadline between two arrivals: the silence is ours
            if len(got) < BIG // 2:
                assert server.ledger.connections[-1].sent < len(got) + 1_000_000
        assert got == letter(0, BIG)
    assert len(sessions(server)) == 1


@on_emulator(2, size=BIG)
async def test_a_command_inside_the_loop_is_answered_behind_the_message(server, me, gmail):
    object.__setattr__(gmail.settings, "limits", Limits(buffer=100_000))
    async with gmail.pop3() as pop:
        uidls = await pop.uidl()
        got = b""
        async for piece in pop.download(uidls[0]):
            got += piece
            if len(got) == len(piece):
                assert (await pop.stat()).count == 2
        assert got == letter(0, BIG)
    assert len(sessions(server)) == 1


@pytest.mark.parametrize("byte", [5, 21, 22, 1000, 200_000, BIG])
def test_after_a_cut_it_goes_on_where_it_stood(byte):
    @on_emulator(1, size=BIG)
    async def test(server, me, gmail):
        server.faults.add(Fault("reset", "RETR", "pop3", point="reply", byte=byte, times=2))
        async with gmail.pop3() as pop:
            got = b"".join([piece async for piece in pop.download((await pop.uidl())[0])])
            assert got == letter(0, BIG)
        assert verbs(server).count("RETR") == 3

    test()


def test_a_message_that_is_another_after_the_cut_is_refused():
    async def main():
        async with ScriptedPop([b"Subject: one\r\n\r\nbody\r\n"]) as server:
            from aiogmail import Pop3Client
            from tests.pop3.test_session import provider

            async def first(connection, words):
                await connection.send(b"+OK\r\nSubject: one\r\n\r\nbo")
                await asyncio.sleep(0.05)
                await connection.reset()

            async def second(connection, words):
                server.on("RETR", third)
                await connection.send(b"+OK\r\nSubject: two\r\n\r\nbody\r\n.\r\n")

            async def third(connection, words):
                await connection.send(b"+OK\r\nSub\r\n.\r\n")

            async with Pop3Client("me@gmail.com", provider(), settings=server.settings()) as pop:
                for after in (second, third):
                    server.on("RETR", first)
                    download = pop.download("uid-1")
                    assert await anext(download) == b"Subject: one\r\n\r\nbo"
                    server.on("RETR", after)
                    with pytest.raises(errors.ProtocolError, match="not what it had been"):
                        await anext(download)
                    with pytest.raises(StopAsyncIteration):
                        await anext(download)

    run(main())


@on_emulator(2, size=BIG)
async def test_closed_before_its_end_it_costs_the_connection(server, me, gmail):
    async with gmail.pop3() as pop:
        first, second = await pop.uidl()
        await pop.delete(second)
        async with pop.download(first) as download:
            await anext(download)
        assert await pop.uidl() == (first,)
        assert await pop.retrieve(first) == letter(0, BIG)
    assert len(sessions(server)) == 2
    assert all(stored.popped for stored in me.messages)


@on_emulator(2, size=BIG)
async def test_one_that_was_left_and_forgotten_is_read_to_its_end_and_dropped(server, me, gmail):
    object.__setattr__(gmail.settings, "limits", Limits(buffer=100_000))
    async with gmail.pop3() as pop:
        first, second = await pop.uidl()
        async for _ in pop.download(first):
            break
        gc.collect()
        got = b"".join([piece async for piece in pop.download(second)])
        assert got == raws(me)[1]
        assert len(sessions(server)) == 1
    assert [stored.popped for stored in me.messages] == [False, True]


@on_emulator(1, size=BIG)
async def test_a_cancelled_wait_loses_nothing(server, me, gmail):
    server.faults.add(Fault("delay", "RETR", "pop3", point="reply", byte=1_000_000, seconds=20.0))
    async with gmail.pop3() as pop:
        download, got = pop.download((await pop.uidl())[0]), b""
        while True:
            try:
                async with asyncio.timeout(3.0):
                    got += await anext(download)
            except TimeoutError:
                continue
            except StopAsyncIteration:
                break
        assert got == letter(0, BIG)
    assert verbs(server).count("RETR") == 1


@on_emulator(1)
async def test_what_is_not_there_or_refused_is_a_command_error(server, me, gmail):
    async with gmail.pop3() as pop:
        with pytest.raises(errors.CommandError, match="nobody"):
            await anext(pop.download("nobody"))
        server.faults.add(Fault("answer", "RETR", "pop3", text="-ERR unreadable"))
        with pytest.raises(errors.CommandError, match="unreadable"):
            await anext(pop.download((await pop.uidl())[0]))


@on_emulator(1, size=BIG)
async def test_two_tasks_cannot_share_one_download(server, me, gmail):
    async with gmail.pop3() as pop:
        download = pop.download((await pop.uidl())[0])
        first = asyncio.create_task(anext(download))
        await asyncio.sleep(0)
        with pytest.raises(errors.StateError, match="two tasks"):
            await anext(download)
        await first
        second = asyncio.create_task(anext(download))
        await download.aclose()
        with pytest.raises(StopAsyncIteration):
            while True:
                await anext(download)
        second.cancel()


@on_emulator(1)
async def test_leaving_by_an_exception_in_the_middle_does_not_pop_it(server, me, gmail):
    with pytest.raises(KeyError):
        async with gmail.pop3() as pop, pop.download((await pop.uidl())[0]) as pieces:
            async for _ in pieces:
                raise KeyError
    assert not me.messages[0].popped


@pytest.mark.parametrize("size", [10, BIG])
def test_what_was_not_taken_to_its_end_is_not_popped_by_a_commit_and_the_rest_is(size):
    @on_emulator(3, size=size)
    async def test(server, me, gmail):
        async with gmail.pop3() as pop:
            uidls = await pop.uidl()
            await pop.retrieve(uidls[0])
            left = pop.download(uidls[1])
            await anext(left)
            del left
            await pop.delete(uidls[2])
            assert await pop.commit() == uidls[2:]
        assert [stored.popped for stored in me.messages] == [True, False, True]

    test()


@on_emulator(2, size=BIG)
async def test_a_commit_by_another_task_costs_a_session_and_no_octet(server, me, gmail):
    object.__setattr__(gmail.settings, "limits", Limits(buffer=100_000))
    async with gmail.pop3() as pop:
        uidls = await pop.uidl()
        await pop.delete(uidls[1])

        async def load():
            got = b""
            async for piece in pop.download(uidls[0]):
                got += piece
                await asyncio.sleep(1.0)
            return got

        loading = asyncio.create_task(load())
        await asyncio.sleep(3.5)
        assert await pop.commit() == uidls[1:]
        assert await loading == letter(0, BIG)
    assert all(stored.popped for stored in me.messages)
