"""The scripted server says what it is told, keeps what it hears, and does not hide a wrong script."""

from __future__ import annotations

import asyncio
import imaplib
from contextlib import closing

import pytest

from tests.support import ca
from tests.support.aio import run
from tests.support.scripted import Command, Connection, ScriptedImap, ScriptedServer


def stock_session(port: int, token: str) -> list[object]:
    client = imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=ca.client_context(), timeout=5)
    try:
        said = [client.authenticate("XOAUTH2", lambda _: f"user=me@example.org\x01auth=Bearer {token}\x01\x01".encode())[0]]
        said.append(client.select("INBOX"))
        said.append(client.uid("SEARCH", "ALL"))
        said.append(client.noop()[0])
        said.append(client.logout()[0])
        return said
    except imaplib.IMAP4.error:
        client.shutdown()
        raise


@pytest.mark.parametrize("uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_a_stock_client_is_content_with_the_default_answers(uvloop):
    async def main() -> None:
        async with ScriptedImap(tls=True) as server:
            server.messages = 3
            server.tokens = {"good"}
            server.reply("UID SEARCH", b"* SEARCH 1 2 3\r\n")
            assert await asyncio.to_thread(stock_session, server.port, "good") == [
                "OK",
                ("OK", [b"3"]),
                ("OK", [b"1 2 3"]),
                "OK",
                "BYE",
            ]
            assert server.names() == ["CAPABILITY", "AUTHENTICATE", "SELECT", "UID SEARCH", "NOOP", "LOGOUT"]
            assert server.commands[3].arguments == b"ALL"
            assert server.lines[-1].endswith(b" LOGOUT\r\n")
            with pytest.raises(imaplib.IMAP4.error, match="Invalid credentials"):
                await asyncio.to_thread(stock_session, server.port, "bad")

    run(main(), uvloop=uvloop)


def test_literals_of_the_client_are_asked_for_and_kept():
    async def main() -> None:
        async with ScriptedImap() as server:

            async def append(connection: Connection, command: Command) -> None:
                await connection.ok(command, "[APPENDUID 1 7] (Success)")

            server.on("APPEND", append)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            with closing(writer):
                await reader.readuntil(b"\n")
                writer.write(b'A1 APPEND "x" {5}\r\n')
                assert await reader.readuntil(b"\n") == b"+ go ahead\r\n"
                writer.write(b"ab\r\nc\r\nA2 APPEND y {2+}\r\nzz\r\n")
                assert await reader.readuntil(b"\n") == b"A1 OK [APPENDUID 1 7] (Success)\r\n"
                assert (await reader.readuntil(b"\n")).startswith(b"A2 OK")
            await writer.wait_closed()
            assert [command.arguments for command in server.commands] == [b'"x" {5}\r\nab\r\nc', b"y {2+}\r\nzz"]

    run(main())


def test_replies_go_out_in_the_segments_of_the_test():
    async def session(connection: Connection) -> None:
        await connection.send_split(b"0123456789", 1, 7, gap=0.02)
        assert await connection.silent(0.01)
        await connection.line()
        await connection.reset()

    async def main() -> None:
        async with ScriptedServer(session) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            assert [await reader.read(100) for _ in range(3)] == [b"0", b"123456", b"789"]
            await asyncio.sleep(0.05)  # past the pause after the last segment, and the silence
            writer.write(b"go\r\n")
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
            with pytest.raises(ConnectionResetError):
                await writer.wait_closed()
            assert server.lines == [b"go\r\n"]

    run(main())


def test_a_script_that_fails_fails_the_test():
    async def session(connection: Connection) -> None:
        raise AssertionError("the client should not have come")

    async def main() -> None:
        async with ScriptedServer(session) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    with pytest.raises(ExceptionGroup, match="the script failed"):
        run(main())


def test_a_client_that_is_still_there_at_the_end_is_cut_off():
    async def main() -> None:
        async with ScriptedImap(tls=True) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=ca.client_context())
            await reader.readuntil(b"\n")
            assert server.open == 1
        writer.transport.abort()
        assert server.open == 0

    run(main())
