"""The proxy does to a connection what it says, and otherwise nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from tests.support import ca
from tests.support.aio import run
from tests.support.proxy import BYE, Boundary, Proxy, Weather
from tests.support.scripted import Connection, ScriptedImap, ScriptedServer

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(connection: Connection) -> None:
    while data := await connection.reader.read(65536):
        await connection.send(data)


@contextlib.asynccontextmanager
async def through(proxy: Proxy, *, tls: bool = False) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, ssl=ca.client_context() if tls else None)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.mark.parametrize("uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_bytes_go_through_unchanged_and_are_counted(uvloop):
    async def main() -> None:
        sent = bytes(range(256)) * 1000
        async with ScriptedServer(echo) as server, Proxy(server.port) as proxy, through(proxy) as (reader, writer):
            writer.write(sent)
            assert await reader.readexactly(len(sent)) == sent
            assert (proxy.accepted, proxy.open, proxy.bytes_up, proxy.bytes_down) == (1, 1, len(sent), len(sent))
            writer.write_eof()
            assert await reader.read() == b""

    run(main(), uvloop=uvloop)


def test_tls_goes_through_and_a_clean_end_of_the_server_arrives_as_one():
    async def greet(connection: Connection) -> None:
        await connection.send(b"hello\r\n")

    async def main() -> None:
        async with ScriptedServer(greet, tls=True) as server, Proxy(server.port) as proxy, through(proxy, tls=True) as (reader, _):
            assert await reader.read() == b"hello\r\n"

    run(main())


def test_latency_delays_every_byte_but_not_the_throughput():
    async def main() -> None:
        async with (
            ScriptedServer(echo) as server,
            Proxy(server.port, weather=Weather(delay=0.05)) as proxy,
            through(proxy) as (reader, writer),
        ):
            began = time.monotonic()
            writer.write(b"x")
            await reader.readexactly(1)
            assert 0.1 <= time.monotonic() - began < 0.5
            began = time.monotonic()
            blocks = [bytes([number % 256]) * 65536 for number in range(64)]
            writer.writelines(blocks)
            assert await reader.readexactly(64 * 65536) == b"".join(blocks), "in order"
            assert time.monotonic() - began < 1.5, "64 blocks one after the other would take 6.4 s"

    run(main())


def test_bandwidth_is_limited():
    async def main() -> None:
        async with (
            ScriptedServer(echo) as server,
            Proxy(server.port, weather=Weather(bandwidth=100_000)) as proxy,
            through(proxy) as (reader, writer),
        ):
            began = time.monotonic()
            writer.write(b"x" * 20_000)
            await reader.readexactly(20_000)
            assert 0.19 <= time.monotonic() - began < 2  # the last of 20 segments is not waited out

    run(main())


def test_slices_arrive_by_themselves():
    async def main() -> None:
        async with (
            ScriptedServer(echo) as server,
            Proxy(server.port, weather=Weather(slice=3)) as proxy,
            through(proxy) as (reader, writer),
        ):
            writer.write(b"0123456789")
            pieces: list[bytes] = []
            while sum(map(len, pieces)) < 10:
                pieces.append(await reader.read(100))
            assert b"".join(pieces) == b"0123456789"
            assert len(pieces) >= 3

    run(main())


@pytest.mark.parametrize("reset", [False, True], ids=["end of file", "reset"])
def test_a_connection_is_cut_after_so_many_bytes_and_the_next_is_not(reset):
    async def main() -> None:
        async with ScriptedServer(echo) as server, Proxy(server.port) as proxy:
            proxy.cut_after(5, "down", reset=reset)
            async with through(proxy) as (reader, writer):
                writer.write(b"0123456789")
                if reset:
                    with pytest.raises(ConnectionResetError):
                        await reader.readexactly(10)
                else:
                    assert await reader.read() == b"01234"
            async with through(proxy) as (reader, writer):
                writer.write(b"0123456789")
                assert await reader.readexactly(10) == b"0123456789"

    run(main())


def test_bytes_of_the_client_can_be_cut_too():
    async def main() -> None:
        async with ScriptedServer(echo) as server, Proxy(server.port) as proxy, through(proxy) as (reader, writer):
            writer.write(b"ab")
            await reader.readexactly(2)
            proxy.cut_after(3, "up")
            writer.write(b"0123456789")
            assert await reader.read() == b"012"

    run(main())


@pytest.mark.parametrize("reset", [False, True])
def test_all_connections_end_at_once_on_request(reset):
    async def main() -> None:
        async with ScriptedServer(echo) as server, Proxy(server.port) as proxy, through(proxy) as one, through(proxy) as two:
            for reader, writer in (one, two):
                writer.write(b"x")
                await reader.readexactly(1)
            assert proxy.kill(reset=reset) == 2
            for reader, _ in (one, two):
                if reset:
                    with pytest.raises(ConnectionResetError):
                        await reader.read()
                else:
                    assert await reader.read() == b""
            async with asyncio.timeout(2):
                while proxy.open or server.open:
                    await asyncio.sleep(0.005)

    run(main())


def test_a_black_hole_swallows_and_gives_back():
    async def main() -> None:
        async with ScriptedServer(echo) as server, Proxy(server.port) as proxy, through(proxy) as (reader, writer):
            proxy.weather.hold_down = True
            writer.write(b"still there")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.readexactly(1)
            assert proxy.bytes_down == 11, "the server has answered"
            proxy.weather.hold_down = False
            assert await reader.readexactly(11) == b"still there"

    run(main())


def test_connections_are_refused_as_often_as_told():
    async def main() -> None:
        async with ScriptedServer(echo) as server, Proxy(server.port) as proxy:
            proxy.refuse = 1
            async with through(proxy) as (reader, _):
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            async with through(proxy) as (reader, writer):
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
            assert proxy.accepted == 2

    run(main())


def test_a_server_that_is_not_there_is_a_closed_connection():
    async def main() -> None:
        async with ScriptedServer(echo) as server:
            port = server.port
        async with Proxy(port) as proxy, through(proxy) as (reader, _):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""

    run(main())


def test_bye_comes_at_once_when_nothing_is_under_way_and_never_inside_a_response():
    response = b"* 1 FETCH (BODY[] {12}\r\n" + b"* BYE fake\r\n" + b")\r\n"

    async def main() -> None:
        async with ScriptedImap(tls=True) as server, Proxy(server.port, terminate=True) as proxy:
            halfway = asyncio.Event()
            go_on = asyncio.Event()

            async def fetch(connection: Connection, command: object) -> None:
                await connection.send(response[:30])
                halfway.set()
                await go_on.wait()
                await connection.send(response[30:], b"* 2 FETCH (UID 2)\r\n")

            server.on("UID FETCH", fetch)
            async with through(proxy, tls=True) as (reader, writer):
                await reader.readuntil(b"\n")
                writer.write(b"A1 UID FETCH 1:* BODY[]\r\n")
                await halfway.wait()
                assert await reader.readexactly(30) == response[:30]
                assert proxy.bye() == 1
                go_on.set()
                assert await reader.read() == response[30:] + BYE
            async with through(proxy, tls=True) as (reader, writer):
                await reader.readuntil(b"\n")
                proxy.bye(b"* BYE System Error\r\n", close=False)
                assert await reader.readuntil(b"\n") == b"* BYE System Error\r\n"
                writer.write(b"A1 NOOP\r\n")
                assert await reader.readuntil(b"\n") == b"A1 OK Success\r\n", "the connection was left open"

    run(main())


def test_a_hook_sees_whole_responses_and_may_end_the_connection_after_one():
    seen: list[bytes] = []

    def hook(response: bytes) -> bytes | None:
        seen.append(response)
        return BYE if len(seen) == 3 else None

    async def main() -> None:
        async with ScriptedImap(tls=True) as server, Proxy(server.port, terminate=True) as proxy:
            proxy.after_response = hook
            server.reply("UID FETCH", b"* 1 FETCH (BODY[] {4}\r\n{1}\n)\r\n", b"* 2 FETCH (UID 2)\r\n", b"* 3 FETCH (UID 3)\r\n")
            async with through(proxy, tls=True) as (reader, writer):
                writer.write(b"A1 UID FETCH 1:* BODY[]\r\n")
                assert (await reader.read()).endswith(b"* 2 FETCH (UID 2)\r\n" + BYE)

    run(main())
    assert seen[1] == b"* 1 FETCH (BODY[] {4}\r\n{1}\n)\r\n"


def test_response_boundaries_do_not_depend_on_segments():
    stream = b"* OK {3} words\r\n* 1 FETCH (BODY[1] {5}\r\n{2}\r\n BODY[2] {0}\r\n)\r\n* LIST () NIL {3}\r\na\r\n\r\nA1 OK done\r\n"

    def responses(size: int) -> list[bytes]:
        boundary = Boundary()
        pieces = [piece for at in range(0, len(stream), size) for piece in boundary.split(stream[at : at + size])]
        assert b"".join(piece for piece, _ in pieces) == stream
        assert boundary.between
        return [whole for _, whole in pieces if whole is not None]

    assert len(responses(len(stream))) == 4
    assert all(responses(size) == responses(len(stream)) for size in range(1, 40))
