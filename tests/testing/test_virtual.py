import asyncio
import socket
import ssl
import time

import pytest

from aiogmail.testing import Deadlock, GmailEmulator, Shape, VirtualLoop, run_virtual
from aiogmail.testing.virtual import EPOCH


def test_sleeps_and_timeouts_obey_virtual_time():
    async def main():
        loop = asyncio.get_running_loop()
        await asyncio.sleep(3600)
        assert loop.time() == pytest.approx(3600)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.sleep(61)
        assert loop.clock.now() == loop.time() == pytest.approx(3660)
        assert loop.clock.wall() == loop.wall() == pytest.approx(EPOCH + 3660)
        loop.clock.offset = -7200
        assert loop.clock.wall() == pytest.approx(EPOCH + 3660 - 7200)

    start = time.perf_counter()
    run_virtual(main())
    assert time.perf_counter() - start < 1


def test_a_timer_for_now_is_due_after_any_time():
    async def main():
        await asyncio.sleep(100 * 365 * 86_400)
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(0, done.set)
        await done.wait()

    run_virtual(main())


def test_waiting_for_nothing_is_a_deadlock():
    async def main():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run_virtual(main())


def test_time_stands_still_while_a_thread_works():
    async def main():
        loop = asyncio.get_running_loop()
        asyncio.get_running_loop().call_later(5, lambda: None)
        assert await asyncio.to_thread(lambda: time.sleep(0.05) or 7) == 7
        assert loop.time() == 0
        await asyncio.sleep(5)

    run_virtual(main())


def test_names_resolve_in_the_memory_network_alone():
    async def main():
        loop = asyncio.get_running_loop()
        assert (await loop.getaddrinfo("localhost", 80))[0][4] == ("127.0.0.1", 80)
        assert (await loop.getaddrinfo(b"::1", None))[0][4] == ("::1", 0)
        for host in ("imap.gmail.com", "no such host"):
            with pytest.raises(socket.gaierror):
                await asyncio.open_connection(host, 993)
        loop.network.names.add("imap.gmail.com")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("imap.gmail.com", 993)

    run_virtual(main())


def test_a_connection_can_hang_and_be_given_up():
    async def main():
        loop = asyncio.get_running_loop()
        loop.network.unreachable.add(993)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20):
                await asyncio.open_connection("127.0.0.1", 993)
        assert loop.time() == pytest.approx(20)

    run_virtual(main())


def test_a_given_socket_is_used_as_it_is():
    async def main():
        first, second = socket.socketpair()
        first.setblocking(False)
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=first)
        assert transport.get_extra_info("socket").fileno() == first.fileno()
        transport.close()
        second.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    run_virtual(main())


def test_tls_in_memory_verifies_the_certificate():
    async def main():
        async with GmailEmulator(tls=True) as server:
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection("127.0.0.1", server.port("imap"), ssl=True)
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection("127.0.0.1", server.port("imap"), ssl=server.ssl_context, server_hostname="other")
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port("imap"), ssl=server.ssl_context)
            assert (await reader.readline()).startswith(b"* OK Gimap")
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(1)

    run_virtual(main())


def trace(seed):
    """What a client sees, and when, on a slow and fragmented line."""

    async def main():
        loop = asyncio.get_running_loop()
        loop.network.shape = Shape(latency=0.05, jitter=0.1, segment=20, random_segments=True)
        seen = []
        async with GmailEmulator(seed=seed) as server:
            account = server.add_account("me@gmail.com")
            account.deliver("Subject: x\r\n\r\n" + "y" * 500)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port("imap"))
            writer.write(b"A LOGIN a b\r\nB CAPABILITY\r\nC LOGOUT\r\n")
            while data := await reader.read(1000):
                seen.append((loop.time(), data))
            writer.close()
        return seen

    return run_virtual(main(), seed=seed)


def test_one_seed_is_one_schedule():
    assert trace(1) == trace(1)
    assert trace(1) != trace(2)


def test_an_hour_of_a_session_passes_in_milliseconds():
    async def main():
        async with GmailEmulator() as server:
            server.add_account("me@gmail.com")
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port("imap"))
            await reader.readline()
            server.configure(unauthenticated_timeout=3600)
            await reader.read()
            writer.close()

    start = time.perf_counter()
    run_virtual(main())
    assert time.perf_counter() - start < 0.5


def test_a_loop_is_closed_like_any_other():
    loop = VirtualLoop(seed=3)
    loop.run_until_complete(asyncio.sleep(5))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    assert loop.is_closed()
