"""A server that says exactly what a test tells it to: IMAP by default, any line protocol by a session of one's own.

It shares no code with the package. Lines are raw bytes; a reply goes out in the segments the test chooses.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aiogmail.settings import Endpoint, Settings, Timeouts

from . import ca
from .listener import Listener

GREETING = b"* OK Gimap ready for requests from 127.0.0.1 u21mb183888216edq\r\n"
BEFORE_AUTH = "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR AUTH=XOAUTH2 AUTH=PLAIN AUTH=OAUTHBEARER"
AFTER_AUTH = (
    "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS COMPRESS=DEFLATE ENABLE MOVE CONDSTORE "
    "ESEARCH UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE APPENDLIMIT=35651584"
)
CHALLENGE = base64.b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}')
_ANY_LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r\n\Z")


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it came.

    Attributes:
        tag: ``b"A1"``.
        name: in capitals, with UID: ``"UID FETCH"``.
        arguments: what follows the name, without the line end; literals stand in it as they came, ``{n}`` and CRLF included.
        raw: all of it.
    """

    tag: bytes
    name: str
    arguments: bytes
    raw: bytes


class Connection:
    """One client of a scripted server.

    Attributes:
        number: 0 for the first connection, 1 for the next.
        lines: every line received, with its line end.
        selected: the mailbox that the default handlers have selected.
        authenticated: set by the default AUTHENTICATE.
    """

    def __init__(self, server: ScriptedServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.number = number
        self.lines: list[bytes] = []
        self.selected: bytes | None = None
        self.authenticated = False

    async def send(self, *data: bytes) -> None:
        """Write ``data`` in one go."""
        self.writer.write(b"".join(data))
        await self.writer.drain()

    async def send_segments(self, segments: Iterable[bytes], gap: float = 0.002) -> None:
        """Write each segment by itself, with a pause after it so that the client reads it by itself."""
        for segment in segments:
            self.writer.write(segment)
            await self.writer.drain()
            await asyncio.sleep(gap)

    async def send_split(self, data: bytes, *at: int, gap: float = 0.002) -> None:
        """Write ``data`` cut at the given positions."""
        edges = [0, *at, len(data)]
        await self.send_segments([data[a:b] for a, b in zip(edges, edges[1:], strict=False)], gap)

    async def ok(self, command: Command, text: str = "Success", *, status: str = "OK") -> None:
        """The tagged response."""
        await self.send(command.tag, f" {status} {text}\r\n".encode())

    async def no(self, command: Command, text: str) -> None:
        await self.ok(command, text, status="NO")

    async def bad(self, command: Command, text: str) -> None:
        await self.ok(command, text, status="BAD")

    async def line(self) -> bytes:
        """The client's next line, with its line end; noted in the ledgers.

        Raises:
            asyncio.IncompleteReadError: the client closed the connection.
        """
        line = await self.reader.readuntil(b"\n")
        self.lines.append(line)
        self.server.lines.append(line)
        return line

    async def exactly(self, number: int) -> bytes:
        """The client's next ``number`` bytes: a literal."""
        return await self.reader.readexactly(number)

    async def silent(self, seconds: float) -> bool:
        """Whether the client says nothing for so long. What it says instead is not lost."""
        try:
            async with asyncio.timeout(seconds):
                while not self.reader._buffer and not self.reader.at_eof():  # type: ignore[attr-defined]
                    await asyncio.sleep(0.001)
        except TimeoutError:
            return True
        return False

    async def close(self) -> None:
        """A clean end (TLS close and FIN), and the end of this handler."""
        self.writer.close()
        raise Closed

    async def reset(self) -> None:
        """RST, and the end of this handler."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        raise Closed

    async def hang(self) -> None:
        """Say nothing more and keep the socket open until the client goes or the server ends."""
        while await self.reader.read(65536):
            pass
        raise Closed


class Closed(Exception):
    """The handler has ended its connection."""


Handler = Callable[[Any, Command], Awaitable[None]]  # (Connection, Command)
Session = Callable[[Connection], Awaitable[None]]


class ScriptedServer(Listener):
    """``async with ScriptedServer(session) as server``: ``await session(connection)`` for every client.

    An exception of a session (other than the client's going away) is raised where the server's context ends: a wrong script
    must not look like a wrong client.

    Args:
        session: the conversation.
        tls: with the run's authority's certificate.
        names: names in that certificate instead of the loopback's.

    Attributes:
        connections: all of them, in order.
        lines: every line of every client, in order of arrival.
    """

    limit = 2**24

    def __init__(self, session: Session | None = None, *, tls: bool = False, names: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.tls = tls
        self.connections: list[Connection] = []
        self.lines: list[bytes] = []
        self._session = session
        self._names = names
        self._errors: list[Exception] = []

    async def session(self, connection: Connection) -> None:
        """What is done with a client."""
        assert self._session is not None
        await self._session(connection)

    def _context(self) -> ssl.SSLContext | None:
        return ca.server_context(*self._names) if self.tls else None

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await super().__aexit__(kind, error, trace)
        if self._errors and error is None:
            raise ExceptionGroup("the script failed", self._errors)
        for failure in self._errors:
            assert error is not None
            error.add_note(f"and the script failed: {failure!r}")

    @property
    def open(self) -> int:
        """Connections that are still served."""
        return len(self._tasks)

    @property
    def endpoint(self) -> Endpoint:
        if self.tls:
            return Endpoint("127.0.0.1", self.port, ssl_context=ca.client_context())
        return Endpoint("127.0.0.1", self.port, "plaintext")

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer, len(self.connections))
        self.connections.append(connection)
        self._own(self._serve(connection), f"scripted connection {connection.number}")

    async def _serve(self, connection: Connection) -> None:
        try:
            await self.session(connection)
            connection.writer.close()
        except (Closed, asyncio.IncompleteReadError, ConnectionError):
            pass
        except Exception as error:
            self._errors.append(error)
        finally:
            if not connection.writer.is_closing():
                connection.writer.transport.abort()
            with contextlib.suppress(OSError):
                try:
                    await connection.writer.wait_closed()
                finally:
                    connection.writer.transport.abort()


class ScriptedImap(ScriptedServer):
    """An IMAP server with sensible answers to CAPABILITY, AUTHENTICATE, ID, SELECT, EXAMINE, NOOP, IDLE and LOGOUT.

    Anything else gets ``BAD Unknown command`` until a test says ``server.on("UID FETCH", handler)``; ``await handler(connection,
    command)`` then answers it, tagged response included. Client literals are read (and asked for) before a handler is called,
    save for the commands named in ``raw_literals``, whose handlers get the line up to the first ``{n}``.

    Attributes:
        greeting: ``None``: silence.
        before_auth, after_auth: capability lists.
        tokens: access tokens that AUTHENTICATE takes; ``None``: any. Others get the failure challenge.
        commands: every command of every client, in order of arrival.
        messages: what SELECT says EXISTS; uidvalidity, uidnext: what it says of those.
        mailboxes: names that SELECT knows; ``None``: any.
    """

    def __init__(self, *, tls: bool = False, names: tuple[str, ...] = ()) -> None:
        super().__init__(tls=tls, names=names)
        self.greeting: bytes | None = GREETING
        self.before_auth = BEFORE_AUTH
        self.after_auth = AFTER_AUTH
        self.tokens: set[str] | None = None
        self.commands: list[Command] = []
        self.messages = 0
        self.uidvalidity = 1
        self.uidnext = 1
        self.mailboxes: set[bytes] | None = None
        self.raw_literals: set[str] = set()
        self._handlers: dict[str, Handler] = {
            "CAPABILITY": self._capability,
            "AUTHENTICATE": self._authenticate,
            "ID": self._id,
            "SELECT": self._select,
            "EXAMINE": self._select,
            "UNSELECT": self._unselect,
            "NOOP": self._noop,
            "IDLE": self._idle,
            "LOGOUT": self._logout,
        }

    def on(self, name: str, handler: Handler) -> None:
        """Answer ``name`` (``"UID FETCH"``) with ``handler`` from now on."""
        self._handlers[name.upper()] = handler

    def reply(self, name: str, *untagged: bytes, tagged: str = "OK Success") -> None:
        """Answer ``name`` with these whole lines and this tagged response."""

        async def handler(connection: Connection, command: Command) -> None:
            await connection.send(*untagged, command.tag, f" {tagged}\r\n".encode())

        self.on(name, handler)

    def names(self) -> list[str]:
        """The names of all commands so far."""
        return [command.name for command in self.commands]

    @property
    def settings(self) -> Settings:
        """Settings whose IMAP server this is, with deadlines of a few seconds."""
        timeouts = Timeouts(connect=5.0, auth=5.0, command=5.0, first_byte=5.0, progress=5.0, idle_done=2.0, logout=1.0, recover=10.0)
        return Settings(imap=self.endpoint, timeouts=timeouts)

    async def session(self, connection: Connection) -> None:
        if self.greeting is not None:
            await connection.send(self.greeting)
        while True:
            command = await self._command(connection)
            self.commands.append(command)
            await self._handlers.get(command.name, self._unknown)(connection, command)

    async def _command(self, connection: Connection) -> Command:
        raw = await connection.line()
        words = raw.split(maxsplit=3)
        tag = words[0] if words else b""
        name = words[1].upper() if len(words) > 1 else b""
        if name == b"UID" and len(words) > 2:
            name += b" " + words[2].upper()
        spelled = name.decode("ascii", "replace")
        while spelled not in self.raw_literals and (literal := _ANY_LITERAL.search(raw)):
            if not literal[2]:
                await connection.send(b"+ go ahead\r\n")
            raw += await connection.exactly(int(literal[1])) + await connection.line()
        arguments = raw[len(tag) + 1 + len(name) + 1 :].removesuffix(b"\r\n")
        return Command(tag, spelled, arguments, raw)

    # -- default answers ----------------------------------------------------------------------------------------------

    async def _unknown(self, connection: Connection, command: Command) -> None:
        await connection.bad(command, f"Unknown command: {command.name}")

    async def _capability(self, connection: Connection, command: Command) -> None:
        offered = self.after_auth if connection.authenticated else self.before_auth
        await connection.send(f"* CAPABILITY {offered}\r\n".encode())
        await connection.ok(command, "Success" if connection.authenticated else "Thats all she wrote! u21mb183888216edq")

    async def _authenticate(self, connection: Connection, command: Command) -> None:
        _, _, initial = command.arguments.partition(b" ")
        if not initial:
            await connection.send(b"+ \r\n")
            initial = (await connection.line()).strip()
        token = base64.b64decode(initial).partition(b"auth=Bearer ")[2].partition(b"\x01")[0].decode()
        if self.tokens is not None and token not in self.tokens:
            await connection.send(b"+ " + CHALLENGE + b"\r\n")
            await connection.line()
            await connection.no(command, "[AUTHENTICATIONFAILED] Invalid credentials (Failure)")
            return
        connection.authenticated = True
        await connection.send(f"* CAPABILITY {self.after_auth}\r\n".encode())
        await connection.ok(command, "me@example.org authenticated (Success)")

    async def _id(self, connection: Connection, command: Command) -> None:
        await connection.send(b'* ID ("name" "GImap" "vendor" "Google, Inc." "version" "gmail_imap_200428.12_p0")\r\n')
        await connection.ok(command)

    async def _select(self, connection: Connection, command: Command) -> None:
        name = command.arguments.partition(b" (")[0].strip(b'"')
        if self.mailboxes is not None and name not in self.mailboxes:
            connection.selected = None
            await connection.no(command, f"[NONEXISTENT] Unknown Mailbox: {name.decode('ascii', 'replace')} (Failure)")
            return
        connection.selected = name
        await connection.send(
            b"* FLAGS (\\Answered \\Flagged \\Draft \\Deleted \\Seen $NotPhishing $Phishing)\r\n",
            b"* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Draft \\Deleted \\Seen $NotPhishing $Phishing \\*)] Flags permitted.\r\n",
            f"* OK [UIDVALIDITY {self.uidvalidity}] UIDs valid.\r\n* {self.messages} EXISTS\r\n* 0 RECENT\r\n".encode(),
            f"* OK [UIDNEXT {self.uidnext}] Predicted next UID.\r\n* OK [HIGHESTMODSEQ 1]\r\n".encode(),
        )
        mode = "READ-ONLY" if command.name == "EXAMINE" else "READ-WRITE"
        await connection.ok(command, f"[{mode}] {name.decode('ascii', 'replace')} selected. (Success)")

    async def _unselect(self, connection: Connection, command: Command) -> None:
        connection.selected = None
        await connection.ok(command, "Returned to authenticated state. (Success)")

    async def _noop(self, connection: Connection, command: Command) -> None:
        await connection.ok(command)

    async def _idle(self, connection: Connection, command: Command) -> None:
        await connection.send(b"+ idling\r\n")
        while (await connection.line()).strip().upper() != b"DONE":
            await connection.bad(command, "Could not parse command")
        await connection.ok(command, "IDLE terminated (Success)")

    async def _logout(self, connection: Connection, command: Command) -> None:
        await connection.send(b"* BYE LOGOUT Requested\r\n")
        await connection.ok(command, "73 good day (Success)")
        await connection.close()
