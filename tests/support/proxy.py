"""What does a bad network do to a connection? A TCP proxy on the loopback that does it on request, before any server.

Bytes pass through untouched, TLS too. With ``terminate=True`` it ends the client's TLS itself (with the run's authority's
certificate) and opens its own to the server, so that it reads the IMAP within and can say BYE between two responses.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from . import ca
from .listener import Listener

Direction = Literal["up", "down"]

BYE = b"* BYE Session expired, please login again.\r\n"
_CHUNK = 64 * 1024
_WINDOW = 4 * 1024 * 1024  # bytes on their way in one direction before reading stops: more than any bandwidth-delay here
_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


@dataclass(slots=True)
class Weather:
    """How bytes travel; change it while the proxy runs. It holds for bytes that arrive from then on.

    Attributes:
        delay: seconds one way; a round trip takes twice that. Throughput and order stay.
        bandwidth: bytes a second in each direction of each connection; ``None``: no limit.
        slice: the most bytes in one segment; ``None``: as they come.
        hold_up, hold_down: black hole: bytes of that direction stay where they are until this is False again.
    """

    delay: float = 0.0
    bandwidth: float | None = None
    slice: int | None = None
    hold_up: bool = False
    hold_down: bool = False


class Proxy(Listener):
    """``async with Proxy(port) as proxy``: connections to ``proxy.port`` are carried to ``port``.

    Args:
        port: the server's loopback port.
        terminate: read the TLS stream's content, for :meth:`bye` and :attr:`after_response`.
        weather: see :class:`Weather`.

    Attributes:
        accepted: connections accepted so far.
        refuse: how many of the next connections are reset as soon as they come.
        bytes_up, bytes_down: bytes read from clients and from the server, as they were on the wire (with ``terminate``: within TLS).
        after_response: called with each whole response (IMAP lines and their literals) of the server before it is passed on;
            what it returns is said to the client right after that response, and the connection is closed. ``terminate`` only.
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1", terminate: bool = False, weather: Weather | None = None) -> None:
        super().__init__()
        self.weather = weather or Weather()
        self.accepted = 0
        self.refuse = 0
        self.bytes_up = 0
        self.bytes_down = 0
        self.after_response: Callable[[bytes], bytes | None] | None = None
        self._target = (host, port)
        self._terminate = terminate
        self._cuts: list[tuple[Direction, int, bool]] = []
        self._links: set[Link] = set()

    def _context(self) -> ssl.SSLContext | None:
        return ca.server_context() if self._terminate else None

    def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        del tasks
        self.kill()

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._links)

    # -- faults -------------------------------------------------------------------------------------------------------

    def kill(self, *, reset: bool = True) -> int:
        """End all connections now, with RST or (``reset=False``) a clean end of file after what is on its way; how many."""
        links = list(self._links)
        for link in links:
            link.end(reset=reset)
        return len(links)

    def cut_after(self, number: int, direction: Direction = "down", *, reset: bool = False) -> None:
        """End a connection once ``number`` more bytes went in ``direction``: the connections open now, and the next one.

        Each call is used up by the first connection that reaches it.
        """
        cut = (direction, number, reset)
        self._cuts.append(cut)
        for link in self._links:
            link.arm(cut)

    def bye(self, text: bytes = BYE, *, close: bool = True) -> int:
        """Say ``text`` to every client between two responses of its server, at once where none is under way; how many.

        ``close=False`` leaves the connection open and its server reachable, as some servers do for a while.
        """
        assert self._terminate, "Proxy(terminate=True) reads what it carries"
        links = list(self._links)
        for link in links:
            link.say(text, close=close)
        return len(links)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refuse > 0:
            self.refuse -= 1
            _reset(writer)
            return
        link = Link(self, reader, writer)
        self._links.add(link)
        for cut in self._cuts:
            link.arm(cut)
        link.task = self._own(link.run(), "proxy connection")
        link.task.add_done_callback(lambda _: self._links.discard(link))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._target, ssl=ca.client_context() if self._terminate else None)

    def _used(self, cut: tuple[Direction, int, bool]) -> None:
        with contextlib.suppress(ValueError):
            self._cuts.remove(cut)
        for link in self._links:
            link.disarm(cut)


class Link:
    """One carried connection: a pump for each direction."""

    task: asyncio.Task[None]

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self._client = (reader, writer)
        self._writers = [writer]
        self._armed: list[tuple[tuple[Direction, int, bool], int]] = []
        self._counts: dict[Direction, int] = {"up": 0, "down": 0}
        self._down: Pump | None = None

    async def run(self) -> None:
        try:
            server = await self.proxy._connect()
            self._writers.append(server[1])
            self._down = Pump(self, server[0], self._client[1], "down")
            up = Pump(self, self._client[0], server[1], "up")
            async with asyncio.TaskGroup() as group:
                for pump in (self._down, up):
                    group.create_task(pump.read(), name=f"proxy {pump.direction} reader")
                    group.create_task(pump.write(), name=f"proxy {pump.direction} writer")
        except (OSError, ExceptionGroup):
            pass  # a connection that breaks is what a proxy is here to carry: the other side is broken below
        finally:
            for writer in self._writers:
                writer.transport.abort()
            with contextlib.suppress(OSError):
                await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    def end(self, *, reset: bool) -> None:
        if reset:
            for writer in self._writers:
                _reset(writer)
            self.task.cancel()
        elif self._down is not None:
            self._down.finish()
        else:
            self.task.cancel()

    def say(self, text: bytes, *, close: bool) -> None:
        if self._down is not None:
            self._down.say(text, close=close)

    def arm(self, cut: tuple[Direction, int, bool]) -> None:
        self._armed.append((cut, self._counts[cut[0]] + cut[1]))

    def disarm(self, cut: tuple[Direction, int, bool]) -> None:
        self._armed = [(armed, at) for armed, at in self._armed if armed is not cut]

    def count(self, direction: Direction, data: bytes) -> tuple[bytes, bool | None]:
        """What of ``data`` may pass, and how the connection ends after it: None not at all, True with a reset."""
        before = self._counts[direction]
        due = [(at, cut) for cut, at in self._armed if cut[0] == direction and at <= before + len(data)]
        ending = None
        if due:
            at, cut = min(due)
            data, ending = data[: at - before], cut[2]
            self.proxy._used(cut)
        self._counts[direction] += len(data)
        if direction == "up":
            self.proxy.bytes_up += len(data)
        else:
            self.proxy.bytes_down += len(data)
        return data, ending


class Pump:
    """One direction of one connection: a reader that notes when each chunk is due, and a writer that keeps to it."""

    def __init__(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        self.direction = direction
        self._link = link
        self._reader = reader
        self._writer = writer
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._changed = asyncio.Event()
        self._ended = False
        self._boundary = Boundary() if link.proxy._terminate and direction == "down" else None
        self._words: tuple[bytes, bool] | None = None

    async def read(self) -> None:
        """Take bytes in until they end; then let what is under way arrive."""
        while not self._ended:
            data = await self._reader.read(_CHUNK)
            if self._ended:
                return  # something else ended this direction: later bytes of the server are nobody's
            if not data:
                break
            data, ending = self._link.count(self.direction, data)
            self._put(data)
            if ending is not None:
                if ending:
                    self._link.end(reset=True)
                self.finish()
                return
            while self._size > _WINDOW:
                self._changed.clear()
                await self._changed.wait()
        self.finish()

    def _put(self, data: bytes) -> None:
        if self._boundary is None:
            self._push(data)
            return
        for piece, whole in self._boundary.split(data):
            self._push(piece)
            if whole is None:
                continue
            hook = self._link.proxy.after_response
            said = hook(whole) if hook is not None else None
            if said is not None:
                self._words = (said, True)
            if self._speak():
                return

    def _push(self, data: bytes) -> None:
        self._under_way.append((asyncio.get_running_loop().time() + self._link.proxy.weather.delay, data))
        self._size += len(data)
        self._changed.set()

    def say(self, text: bytes, *, close: bool) -> None:
        self._words = (text, close)
        if self._boundary is not None and self._boundary.between:
            self._speak()

    def _speak(self) -> bool:
        """Say what is to be said here; whether the connection ends by it."""
        if self._words is None:
            return False
        text, close = self._words
        self._words = None
        self._push(text)
        if close:
            self.finish()
        return close

    def finish(self) -> None:
        """No more bytes come in; what is under way still arrives, then the end."""
        self._ended = True
        self._changed.set()

    async def write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._under_way:
                if self._ended:
                    await self._close()
                    return
                self._changed.clear()
                await self._changed.wait()
            due, data = self._under_way.popleft()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            for segment in self._segments(data):
                while self._held():
                    await asyncio.sleep(0.005)
                self._writer.write(segment)
                await self._writer.drain()
                if self._link.proxy.weather.bandwidth:
                    await asyncio.sleep(len(segment) / self._link.proxy.weather.bandwidth)
                elif self._link.proxy.weather.slice:
                    await asyncio.sleep(0.0005)  # a moment of its own, so that the receiver reads each segment by itself
            self._size -= len(data)
            self._changed.set()

    def _held(self) -> bool:
        weather = self._link.proxy.weather
        return weather.hold_up if self.direction == "up" else weather.hold_down

    def _segments(self, data: bytes) -> Iterator[bytes]:
        weather = self._link.proxy.weather
        size = weather.slice or (max(1, int(weather.bandwidth / 100)) if weather.bandwidth else len(data)) or 1
        return (data[at : at + size] for at in range(0, len(data), size))

    async def _close(self) -> None:
        """Pass the end on. The server's end closes the whole connection, as the servers of mail do; a client's only its half."""
        with contextlib.suppress(OSError):
            await self._writer.drain()
            if self.direction == "up" and self._writer.can_write_eof():
                self._writer.write_eof()
                return
            self._writer.close()
            await self._writer.wait_closed()
        raise ConnectionResetError("done")  # ends the other direction, and with it the connection


class Boundary:
    """Where do responses of an IMAP server end? A line that announces no literal is the end of one."""

    def __init__(self) -> None:
        self._response = bytearray()
        self._line = 0  # where the current line begins in it
        self._literal = 0  # bytes of the current literal still to come

    @property
    def between(self) -> bool:
        """Whether no response is under way."""
        return not self._response

    def split(self, data: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        """``data`` in pieces, each with the whole response that it completes, or None."""
        at = 0
        while at < len(data):
            start = at
            if self._literal:
                at = min(len(data), at + self._literal)
                self._literal -= at - start
                self._response += data[start:at]
                self._line = len(self._response)
                yield data[start:at], None
                continue
            end = data.find(b"\n", at)
            at = len(data) if end < 0 else end + 1
            self._response += data[start:at]
            if end < 0:
                yield data[start:at], None
                continue
            announced = _LITERAL.search(self._response, max(self._line, len(self._response) - 24))
            self._line = len(self._response)
            if announced:
                self._literal = int(announced[1])
                yield data[start:at], None
            else:
                whole = bytes(self._response)
                self._response.clear()
                self._line = 0
                yield data[start:at], whole


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: what is buffered on either side is lost."""
    try:
        sock = writer.get_extra_info("socket")
    except AttributeError:  # asyncio's TLS transport of a connection that is gone cannot be asked any more
        return
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
