import asyncio
import errno
import socket
import struct

import pytest

from aiogmail.testing import Shape, run_virtual
from aiogmail.testing.transport import FakeSocket


class Recorder(asyncio.Protocol):
    def __init__(self, keep_open=False):
        self.events = []
        self.keep_open = keep_open

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def data_received(self, data):
        self.events.append(data)

    def eof_received(self):
        self.events.append("eof")
        return self.keep_open

    def connection_lost(self, exc):
        self.events.append(("lost", type(exc)))

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    @property
    def data(self):
        return b"".join(event for event in self.events if isinstance(event, bytes))


class Buffered(asyncio.BufferedProtocol):
    def __init__(self):
        self.room = bytearray(4)
        self.data = b""

    def get_buffer(self, sizehint):
        return self.room

    def buffer_updated(self, nbytes):
        self.data += self.room[:nbytes]


def pair(test, client=Recorder, **server_options):
    """Run ``test(client, server)`` with protocols whose transports are up."""

    async def main():
        loop = asyncio.get_running_loop()
        served = Recorder(**server_options)
        listener = await loop.create_server(lambda: served, "127.0.0.1", 7)
        _, protocol = await loop.create_connection(client, "127.0.0.1", 7)
        await asyncio.sleep(0.001)
        await test(protocol, served)
        listener.close()
        await listener.wait_closed()

    run_virtual(main())


def test_bytes_travel_both_ways_in_the_pieces_they_were_written_in():
    async def test(client, server):
        client.transport.write(b"ab")
        client.transport.writelines([b"c", b"d"])
        server.transport.write(memoryview(b"xy"))
        client.transport.write(b"")
        await asyncio.sleep(0.001)
        assert server.events == ["made", b"ab", b"cd"]
        assert client.events == ["made", b"xy"]

    pair(test)


def test_a_buffered_protocol_is_filled_piece_by_piece():
    async def main():
        loop = asyncio.get_running_loop()
        served = Recorder()
        await loop.create_server(lambda: served, "127.0.0.1", 7)
        transport, protocol = await loop.create_connection(Buffered, "127.0.0.1", 7)
        await asyncio.sleep(0.001)
        served.transport.write(b"0123456789")
        await asyncio.sleep(0.001)
        assert protocol.data == b"0123456789"
        transport.close()
        await asyncio.sleep(0.001)

    run_virtual(main())


def test_a_reader_that_pauses_makes_the_writer_wait():
    async def test(client, server):
        server.transport.pause_reading()
        assert not server.transport.is_reading()
        client.transport.write(b"x" * 100_000)
        assert client.events[-1] == "pause"
        assert client.transport.get_write_buffer_size() == 100_000
        await asyncio.sleep(1)
        assert server.data == b""
        server.transport.resume_reading()
        assert server.transport.is_reading()
        await asyncio.sleep(1)
        assert len(server.data) == 100_000
        assert client.events[-1] == "resume"
        client.transport.set_write_buffer_limits(high=10)
        assert client.transport.get_write_buffer_limits() == (2, 10)
        client.transport.set_write_buffer_limits(low=10)
        assert client.transport.get_write_buffer_limits() == (10, 40)
        client.transport.set_write_buffer_limits()
        assert client.transport.get_write_buffer_limits() == (16_384, 65_536)

    pair(test)


def test_close_lets_what_was_written_arrive_first():
    async def test(client, server):
        client.transport.write(b"x" * 200_000)
        client.transport.close()
        client.transport.close()
        assert client.transport.is_closing()
        client.transport.write(b"late")
        await asyncio.sleep(1)
        assert len(server.data) == 200_000
        assert server.events[-2:] == ["eof", ("lost", type(None))]
        assert client.events[-1] == ("lost", type(None))

    pair(test)


def test_abort_drops_what_a_kernel_would_not_hold_yet():
    async def test(client, server):
        server.transport.pause_reading()
        for _ in range(10):
            client.transport.write(b"x" * 20_000)
        client.transport.abort()
        client.transport.abort()
        await asyncio.sleep(1)
        server.transport.resume_reading()
        await asyncio.sleep(1)
        assert len(server.data) == 60_000

    pair(test)


def test_half_close_leaves_the_other_direction_open():
    async def test(client, server):
        assert client.transport.can_write_eof()
        client.transport.write_eof()
        client.transport.write_eof()
        await asyncio.sleep(0.001)
        server.transport.write(b"still here")
        await asyncio.sleep(0.001)
        assert server.events[-1] == "eof"
        assert client.data == b"still here"
        with pytest.raises(RuntimeError):
            client.transport.write(b"x")
        client.transport.abort()
        server.transport.close()
        await asyncio.sleep(0.001)

    pair(test, keep_open=True)


def test_a_reset_comes_as_one():
    async def test(client, server):
        raw = server.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.transport.write(b"last")
        server.transport.abort()
        await asyncio.sleep(1)
        assert client.events[-2:] == [b"last", ("lost", ConnectionResetError)]

    pair(test)


def test_writing_to_a_peer_that_is_gone_is_a_reset():
    async def test(client, server):
        client.keep_open = True
        server.transport.close()
        await asyncio.sleep(1)
        client.transport.write(b"x")
        await asyncio.sleep(1)
        assert client.events[-1] == ("lost", ConnectionResetError)

    pair(test)


def test_the_protocol_can_be_replaced():
    async def test(client, server):
        other = Recorder()
        client.transport.set_protocol(other)
        assert client.transport.get_protocol() is other
        server.transport.write(b"x")
        await asyncio.sleep(1)
        assert other.events == [b"x"]

    pair(test)


def test_names_of_both_ends_and_a_socket_that_takes_options():
    async def test(client, server):
        assert client.transport.get_extra_info("peername") == server.transport.get_extra_info("sockname") == ("127.0.0.1", 7)
        raw = client.transport.get_extra_info("socket")
        assert raw.getpeername() == ("127.0.0.1", 7)
        assert raw.getsockname()[0] == "127.0.0.1"
        assert raw.fileno() == -1
        raw.setsockopt(1, 2, 3)
        assert raw.getsockopt(1, 2) == 3

    pair(test)
    with pytest.raises(OSError, match="not connected"):
        FakeSocket(("127.0.0.1", 1)).getpeername()


def test_latency_and_segments_of_the_network():
    async def main():
        loop = asyncio.get_running_loop()
        loop.network.shape = Shape(latency=1, segment=2)
        served = Recorder()
        server = await loop.create_server(lambda: served, "127.0.0.1", 7)
        assert server.is_serving()
        assert server.get_loop() is loop
        await server.start_serving()
        transport, client = await loop.create_connection(Recorder, "127.0.0.1", 7)
        assert loop.time() == pytest.approx(2)
        transport.write(b"abc")
        transport.pause_reading()
        transport.resume_reading()
        await asyncio.sleep(0.5)
        client.transport.pause_reading()
        await asyncio.sleep(1)
        assert served.events == ["made", b"ab", b"c"]
        server.close()
        server.close()
        assert not server.is_serving()
        transport.abort()
        await asyncio.sleep(2)

    run_virtual(main())


def test_a_port_is_taken_once():
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recorder, "127.0.0.1", 7)
        with pytest.raises(OSError) as caught:
            await loop.create_server(Recorder, "127.0.0.1", 7)
        assert caught.value.errno == errno.EADDRINUSE
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(1)
        serving.cancel()
        await asyncio.wait([serving])

    run_virtual(main())
