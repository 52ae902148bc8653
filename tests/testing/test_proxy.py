import asyncio

import pytest

from aiogmail.testing import FaultProxy, GmailEmulator, Shape, run_virtual
from aiogmail.testing.certificates import client_context, server_context
from tests.testing.support import ME, Wire, message, quiet, xoauth2


class Through(Wire):
    """A wire that goes through a proxy."""

    def __init__(self, server, proxy, ssl=None):
        super().__init__(server)
        self.proxy = proxy
        self.ssl = ssl

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.proxy.port, ssl=self.ssl, limit=1 << 26)
        return self


def proxied(test, **options):
    async def main():
        async with GmailEmulator() as server:
            server.add_account(ME)
            async with FaultProxy(("127.0.0.1", server.port("imap")), **options) as proxy:
                await test(server, proxy)
        await quiet()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


def test_it_passes_a_session_on():
    async def test(server, proxy):
        async with Through(server, proxy) as wire:
            await wire.login()
            assert (await wire.cmd("NOOP"))[0].startswith("OK Success")
            assert len(proxy.links) == 1
        await quiet()
        assert not proxy.links
        assert proxy.connections == 1

    proxied(test)


@pytest.mark.parametrize("action", ["close", "reset", "blackhole", "mute", "garbage", "bye"])
def test_replies_are_cut_at_a_byte(action):
    async def test(server, proxy):
        proxy.cut(action, at=10, data=b"!\r\n" if action in {"garbage", "bye"} else b"")
        async with Through(server, proxy) as wire:
            expected = b"* OK Gimap"
            assert await wire.reader.readexactly(10) == expected
            if action == "reset":
                with pytest.raises(ConnectionResetError):
                    await wire.reader.readexactly(1)
            elif action in {"blackhole", "mute"}:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(10):
                        await wire.reader.readexactly(1)
            elif action == "close":
                assert await wire.rest() == b""
            elif action == "bye":
                assert await wire.rest() == b"!\r\n"
            else:
                assert await wire.line() == "!"
        assert proxy.cuts_made == 1

    proxied(test)


def test_requests_are_cut_at_a_byte_and_on_so_many_connections():
    async def test(server, proxy):
        proxy.cut("close", at=3, point="request", times=2)
        for _ in range(2):
            async with Through(server, proxy) as wire:
                await wire.line()
                wire.send("A NOOP\r\n")
                assert await wire.rest() == b""
        async with Through(server, proxy) as wire:
            await wire.line()
            assert (await wire.cmd("NOOP"))[0].startswith("OK Success")
        assert server.ledger.verbs() == ["NOOP"]
        proxy.cut("close", at=0, times=None)
        for _ in range(3):
            async with Through(server, proxy) as wire:
                assert await wire.rest() == b""

    proxied(test)


def test_shapes_hold_for_both_directions():
    async def test(server, proxy):
        async with Through(server, proxy) as wire:
            await wire.line()
            start = asyncio.get_running_loop().time()
            await wire.cmd("NOOP")
            assert asyncio.get_running_loop().time() - start == pytest.approx(5)
            wire.send("A LOGOUT\r\n")
            assert b"A OK 73 good day (Success) " in await wire.rest()

    proxied(test, requests=Shape(latency=2), replies=Shape(latency=3, segment=7))


def test_last_words_and_silence():
    async def test(server, proxy):
        async with Through(server, proxy) as wire:
            await wire.line()
            assert proxy.drop(last_words=b"* BYE Session expired, please login again.\r\n") == 1
            assert await wire.line() == "* BYE Session expired, please login again."
            assert await wire.line() is None
        async with Through(server, proxy) as wire:
            await wire.line()
            proxy.mute()
            wire.send("A NOOP\r\n")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(10):
                    await wire.line()

    proxied(test)


def test_pausing_refuses_and_an_absent_server_is_a_reset():
    async def test(server, proxy):
        await proxy.pause()
        await proxy.pause()
        with pytest.raises(ConnectionRefusedError):
            await Through(server, proxy).open()
        await proxy.resume()
        await server.pause("imap")
        async with Through(server, proxy) as wire:
            with pytest.raises(ConnectionResetError):
                await wire.line()
        await server.resume("imap")
        async with Through(server, proxy) as wire:
            assert (await wire.line()).startswith("* OK")

    proxied(test)


def test_a_slow_reader_holds_the_server_back():
    async def test(server, proxy):
        me = server.account(ME)
        me.deliver(message(body="x" * 3_000_000))
        async with Through(server, proxy) as wire:
            await wire.login()
            await wire.cmd("SELECT INBOX")
            wire.reader._limit = 1 << 16
            wire.send("A FETCH 1 BODY.PEEK[]\r\n")
            await asyncio.sleep(10)
            assert server.ledger.connections[0].sent < 1_000_000
            size = 0
            while size < 3_000_000:
                size += len(await wire.reader.read(1 << 16))

    proxied(test)


def test_what_is_sent_before_the_server_answers_waits():
    async def test(server, proxy):
        async with Through(server, proxy) as wire:
            wire.send("A NOOP\r\n")
            assert (await wire.line()).startswith("* OK")
            assert (await wire.line()).startswith("A OK Success ")

    proxied(test)


def test_it_ends_tls_on_both_sides_on_real_sockets():
    async def main():
        async with GmailEmulator() as server:
            me = server.add_account(ME)
            me.deliver(message())
            listen = server_context("localhost", "127.0.0.1")
            async with FaultProxy(("127.0.0.1", server.port("imap")), listen_ssl=listen, target_ssl=client_context()) as proxy:
                async with Through(server, proxy, client_context()) as wire:
                    await wire.line()
                    assert (await wire.cmd("AUTHENTICATE XOAUTH2 " + xoauth2(me.access_token())))[-1].startswith("OK")
                    proxy.drop(last_words=b"* BYE now\r\n")
                    assert await wire.line() == "* BYE now"
                async with Through(server, proxy, client_context()) as wire:
                    await wire.line()
                    proxy.drop(reset=True)
                    with pytest.raises(ConnectionError):
                        await wire.line()
                # A connection that is open when the proxy ends.
                other = await Through(server, proxy, client_context()).open()
                await other.line()
            await other.close()

    asyncio.run(main())


def test_garbage_is_put_between_and_nothing_is_lost():
    async def main():
        async with GmailEmulator() as server, FaultProxy((server.host, server.port("imap"))) as proxy:
            server.add_account(ME)
            proxy.cut("garbage", at=10, data=b"!", times=None)
            proxy.cut("garbage", at=12, data=b"?", times=None)
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
                greeting = await reader.readline()
                assert greeting.startswith(b"* OK Gimap! r?eady")
                assert greeting.endswith(b"\r\n")
                writer.close()
                await writer.wait_closed()

    run_virtual(main())


@pytest.mark.parametrize("action", ["answer", "delay", "truncate", "bye_open"])
def test_what_a_proxy_cannot_do_it_refuses(action):
    with pytest.raises(ValueError, match="expected one of"):
        FaultProxy(("127.0.0.1", 1)).cut(action, at=1)
    with pytest.raises(ValueError, match="expected one of"):
        FaultProxy(("127.0.0.1", 1)).cut("close", at=1, point="answer")


def test_a_slow_proxy_says_everything_before_it_closes():
    async def main():
        async with GmailEmulator() as server, FaultProxy((server.host, server.port("imap")), replies=Shape(latency=1)) as proxy:
            proxy.cut("bye", at=10, data=b"BYE")
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            assert await reader.read() == b"* OK GimapBYE"
            writer.close()

    run_virtual(main())
