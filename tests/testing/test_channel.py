import asyncio

import pytest

from aiogmail.testing import Fault, Shape, run_virtual
from aiogmail.testing.channel import Channel, Hangup, Interrupted, LineTooLong


def channel(client, serve, **options):
    """Run ``serve(channel)`` on one end and ``client(reader, writer)`` on the other; what serve raised or returned."""

    async def main():
        loop = asyncio.get_running_loop()
        outcome = loop.create_future()

        async def served(one):
            try:
                outcome.set_result(await serve(one))
            except BaseException as error:
                outcome.set_exception(error)
                raise

        await loop.create_server(lambda: Channel(served, **options), "127.0.0.1", 7)
        reader, writer = await asyncio.open_connection("127.0.0.1", 7)
        await client(reader, writer)
        writer.close()
        try:
            return await outcome
        finally:
            await asyncio.sleep(10)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return run_virtual(main())


def sends(*pieces):
    async def client(_reader, writer):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.1)

    return client


def test_lines_come_whole_however_they_were_cut():
    async def serve(one):
        return [await one.read_line() for _ in range(3)]

    assert channel(sends(b"a", b"b\r", b"\nc\r\n", b"d\n"), serve) == [b"ab\r\n", b"c\r\n", b"d\n"]


def test_a_line_too_long_is_told_from_its_length_alone():
    async def serve(one):
        await one.read_line(10)

    with pytest.raises(LineTooLong):
        channel(sends(b"x" * 11), serve)
    with pytest.raises(LineTooLong):
        channel(sends(b"x" * 10 + b"\n"), serve)


def test_blocks_come_whole_and_an_end_before_is_a_hangup():
    async def serve(one):
        first = await one.read_exactly(5)
        assert await one.read_exactly(0) == b""
        return first, await one.read_exactly(3)

    assert channel(sends(b"ab", b"cdefgh"), serve) == (b"abcde", b"fgh")
    with pytest.raises(Hangup):
        channel(sends(b"abcdef"), serve)


@pytest.mark.parametrize("pieces", [(b"ab--c",), (b"ab-", b"-c"), (b"ab", b"--", b"c")])
def test_reading_until_a_mark_that_was_cut(pieces):
    async def serve(one):
        return await one.read_until(b"--", 10), await one.read_exactly(1)

    assert channel(sends(*pieces), serve) == (b"ab", b"c")


def test_reading_until_a_mark_beyond_the_limit_reads_on_and_keeps_nothing():
    async def serve(one):
        return await one.read_until(b"--", 3), await one.read_exactly(1)

    assert channel(sends(b"abc", b"def--g"), serve) == (None, b"g")


def test_input_can_be_put_back_looked_at_and_forgotten():
    async def serve(one):
        line = await one.read_line()
        one.push_back(b"again\r\n")
        assert one.has_input
        second = await one.read_line()
        await asyncio.sleep(1)
        one.discard_input()
        assert not one.has_input
        return line, second

    assert channel(sends(b"a\r\n", b"rest\r\n"), serve) == (b"a\r\n", b"again\r\n")


def test_a_fast_writer_is_held_back_and_nothing_is_lost():
    async def serve(one):
        await asyncio.sleep(5)
        assert len(one._inbox) < 1_000_000
        return len(await one.read_exactly(5_000_000))

    async def client(_reader, writer):
        for _ in range(500):
            writer.write(b"x" * 10_000)
            await writer.drain()

    assert channel(client, serve) == 5_000_000


def test_an_interrupt_ends_the_read_that_waits_or_the_next_one():
    async def serve(one):
        asyncio.get_running_loop().call_later(3, one.interrupt, "enough")
        with pytest.raises(Interrupted, match="enough"):
            await one.read_line()
        one.interrupt("first")
        one.interrupt("second")
        with pytest.raises(Interrupted, match="first"):
            one.check()
        one.check()

    async def client(_reader, _writer):
        await asyncio.sleep(10)

    channel(client, serve)


def test_writes_after_the_end_are_a_hangup():
    async def serve(one):
        await asyncio.sleep(1)
        one.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        one.write(b"x")
        with pytest.raises(Hangup):
            one.check()
        with pytest.raises(Hangup):
            await one.drain()

    channel(sends(b""), serve)


def test_a_peer_that_does_not_read_does_not_keep_a_channel_open():
    async def serve(one):
        one.write(b"x" * 10_000_000)

    async def client(reader, writer):
        writer.transport.pause_reading()
        await asyncio.sleep(5)

    channel(client, serve)


def test_a_transport_is_closed_once():
    """Closed twice, the TLS transport of Debian 12's Python 3.11.2 raises AttributeError when it is then aborted."""
    closed = []

    async def serve(one):
        transport = one._transport
        close = transport.close
        transport.close = lambda: (closed.append(transport), close())
        await one.close()

    channel(sends(b""), serve)
    assert len(closed) == 1


def test_replies_in_a_shape():
    async def serve(one):
        one.write(b"abcdef")
        await one.drain()

    async def client(reader, _writer):
        loop = asyncio.get_running_loop()
        assert await reader.read(100) == b"abc"
        assert loop.time() == pytest.approx(2)
        assert await reader.read(100) == b"def"

    channel(client, serve, shape=Shape(latency=2, segment=3))


def test_a_slow_line_holds_the_writer_back():
    async def serve(one):
        for _ in range(10):
            one.write(b"x" * 100_000)
            await one.drain()
        return asyncio.get_running_loop().time()

    async def client(reader, _writer):
        while await reader.read(1 << 20):
            pass

    assert channel(client, serve, shape=Shape(bandwidth=100_000)) > 5


@pytest.mark.parametrize("fault", [Fault("bye", text="BYE"), Fault("garbage", data=b"BYE\r\n")])
def test_what_a_fault_says_stands_where_the_cut_is(fault):
    action = fault.action

    async def serve(one):
        one.cut_reply(3, fault)
        one.write(b"ab")
        one.write(b"cdef")
        one.write(b"gh")
        one.end_cuts()
        await asyncio.sleep(1)

    seen = []

    async def client(reader, _writer):
        seen.append(await reader.read())

    channel(client, serve)
    assert seen == [b"abcBYE\r\n" + (b"defgh" if action == "garbage" else b"")]


def test_only_a_cut_that_was_reached_is_told():
    async def serve(one):
        fault = Fault("garbage")
        one.cut_reply(100, fault)
        one.cut_request(100, fault)
        one.write(b"ab")
        await one.read_exactly(1)
        assert one.end_cuts() is None
        one.cut_reply(1, fault)
        one.write(b"ab")
        assert one.end_cuts() is fault
        assert one.end_cuts() is None

    channel(sends(b"x"), serve)
