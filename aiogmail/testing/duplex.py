"""How does a server of the emulator read and write one connection?

A protocol, not a stream: replies leave in large writes with back-pressure and turns for other tasks, and a pending read can be interrupted
when a session is to end. It does not know what travels over it, nor what may go wrong: see :mod:`aiogmail.testing.channel`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any, cast

from .faults import Pump, Shape
from .ledger import Connection

__all__ = ["Begun", "Duplex", "Ending", "Hangup", "Interrupted", "LineTooLong"]

_CHUNK = 64 * 1024
_READ_AHEAD = 256 * 1024

Begun = Callable[[bytes], Awaitable[bool]]


class Ending(Exception):
    """The session is over."""


class Hangup(Ending):
    """The connection is gone, by the peer or by a fault."""


class Interrupted(Ending):
    """The session is to end now; the text says why, in the server's words."""


class LineTooLong(Ending):
    """A line longer than the server takes."""

    def __init__(self) -> None:
        super().__init__("line too long")


class Duplex(asyncio.Protocol):
    """One connection: lines and blocks in, bytes out.

    Args:
        serve: what talks over it; runs as a task until it returns or the connection ends.
        shape: how replies travel.
        seed: for random segments.
        crashed: is told of an exception that nobody foresaw.
    """

    def __init__(
        self,
        serve: Callable[[Any], Awaitable[None]],
        shape: Shape | None = None,
        seed: int = 0,
        crashed: Callable[[Exception], None] | None = None,
    ) -> None:
        self._crashed = crashed
        self._serve = serve
        self._shape = shape or Shape()
        self._rng = random.Random(seed)  # noqa: S311  segments, not secrets
        self._transport: asyncio.Transport | None = None
        self._inbox = bytearray()
        self._scanned = 0
        self._outbox = bytearray()
        self._unyielded = 0
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] | None = None
        self._ending: Interrupted | None = None
        self._eof = self._lost = self._deaf = self._muted = self._paused_reading = False
        self._pump: Pump | None = None
        self.task: asyncio.Task[None] | None = None
        self.record: Connection | None = None
        self.written = 0
        self.peer = "127.0.0.1"

    # From the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        loop = asyncio.get_running_loop()
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if peer else self.peer
        if self._closed is not None:
            return  # TLS came up on a connection that is already served
        self._closed = loop.create_future()
        if not self._shape.is_plain():
            self._pump = Pump(self._shape, self._send, self._rng, self._wake_writer)
        self.task = loop.create_task(self._run(), name="emulator connection")

    def data_received(self, data: bytes) -> None:
        if self.record is not None:
            self.record.received += len(data)
        if self._deaf:
            return
        self._inbox += data
        if len(self._inbox) > _READ_AHEAD and self._transport is not None and not self._paused_reading:
            self._paused_reading = True
            self._transport.pause_reading()
        self._wake(self._waiter)

    def eof_received(self) -> bool:
        self._eof = True
        self._wake(self._waiter)
        return self._deaf

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self._eof = self._lost = True
        if self._pump is not None:
            self._pump.cancel()
        self._wake(self._waiter)
        self._wake(self._writable)
        self._wake(self._closed)

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        self._wake(self._writable)
        self._writable = None

    @staticmethod
    def _wake(future: asyncio.Future[None] | None) -> None:
        if future is not None and not future.done():
            future.set_result(None)

    def _wake_writer(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._wake(self._writable)

    # Reading

    async def read_line(self, limit: int = 128 * 1024, begun: Begun | None = None) -> bytes:
        """The next line with its end.

        Args:
            limit: bytes; a longer line is an error.
            begun: is given what has come of a line that is not whole yet, until it says that this was enough.

        Raises:
            Hangup, Interrupted, LineTooLong.
        """
        while True:
            self.check()
            end = self._inbox.find(b"\n", self._scanned)
            if 0 <= end < limit:
                self._scanned = 0
                return await self._take(end + 1)
            self._scanned = len(self._inbox)
            if end >= 0 or self._scanned >= limit:
                raise LineTooLong
            if begun is not None and await begun(bytes(self._inbox)):
                begun = None
            await self._more()

    async def read_exactly(self, size: int) -> bytes:
        """The next ``size`` bytes.

        Raises:
            Hangup, Interrupted.
        """
        pieces = []
        self._scanned = 0
        while size:
            self.check()
            if self._inbox:
                pieces.append(await self._take(min(size, len(self._inbox))))
                size -= len(pieces[-1])
            else:
                await self._more()
        return b"".join(pieces)

    async def read_until(self, mark: bytes, limit: int) -> bytes | None:
        """Everything before ``mark``, which is dropped; ``None`` where that is more than ``limit`` bytes (they are read all the same).

        Raises:
            Hangup, Interrupted.
        """
        pieces, size = [], 0
        self._scanned = 0
        while True:
            self.check()
            at = self._inbox.find(mark)
            ready = at if at >= 0 else len(self._inbox) - len(mark) + 1
            if ready > 0:
                piece = await self._take(ready)
                size += ready
                if size <= limit:
                    pieces.append(piece)
                else:
                    pieces.clear()
            if at >= 0:
                await self._take(len(mark))
                return b"".join(pieces) if size <= limit else None
            await self._more()

    async def _take(self, size: int) -> bytes:
        await self._reading(size, taken=True)
        taken = bytes(self._inbox[:size])
        del self._inbox[:size]
        if self._paused_reading and len(self._inbox) <= _CHUNK and self._transport is not None and not self._deaf:
            self._paused_reading = False
            with contextlib.suppress(RuntimeError):
                self._transport.resume_reading()
        return taken

    async def _more(self) -> None:
        self.flush()
        await self._reading(len(self._inbox), taken=False)
        if self._eof:
            raise Hangup
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def _reading(self, size: int, *, taken: bool) -> None:
        """So many bytes are here and more are wanted, or are ``taken``; a subclass may let something happen at one of them."""

    @property
    def has_input(self) -> bool:
        """Whether bytes that nobody has read are here."""
        return bool(self._inbox)

    def push_back(self, data: bytes) -> None:
        """Put bytes before those that wait to be read."""
        self._inbox[:0] = data
        self._scanned = 0

    def discard_input(self) -> None:
        """Forget them: what came before STARTTLS must not count after it."""
        self._inbox.clear()
        self._scanned = 0

    def interrupt(self, text: str) -> None:
        """Let the session end: the read that waits now, or the next one, raises :class:`Interrupted`."""
        self._ending = self._ending or Interrupted(text)
        self._wake(self._waiter)

    def check(self) -> None:
        """Raise what a read would raise.

        Raises:
            Hangup, Interrupted.
        """
        if self._ending is not None:
            ending, self._ending = self._ending, None
            raise ending
        if self._lost:
            raise Hangup

    # Writing

    def write(self, data: bytes | memoryview) -> None:
        """Queue bytes; :meth:`drain` lets them go."""
        if self._muted or self._lost:
            return
        self._outbox += data
        self.written += len(data)
        if len(self._outbox) >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        """Hand what was written to the transport, without waiting."""
        if self._outbox:
            # A new buffer, so that the transport may keep the old one without a copy.
            data, self._outbox = self._outbox, bytearray()
            self._unyielded += len(data)
            if self._pump is not None:
                self._pump.put(bytes(data))
            else:
                self._send(data)

    def _send(self, data: bytes | bytearray) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            if self.record is not None:
                self.record.sent += len(data)

    @property
    def wants_drain(self) -> bool:
        """Whether a long reply should stop for a :meth:`drain`."""
        return self._unyielded >= _CHUNK or self._writable is not None

    async def drain(self) -> None:
        """Let what was written go, wait while the peer is slow, and give other tasks a turn every 64 KiB.

        Raises:
            Hangup: nobody reads any more.
        """
        self.flush()
        if self._unyielded >= _CHUNK:
            self._unyielded = 0
            await asyncio.sleep(0)
        while self._pump is not None and self._pump.queued > 4 * _CHUNK:
            await self._pump.flush()
        while self._writable is not None and not self._lost:
            await asyncio.shield(self._writable)
        if self._lost:
            raise Hangup

    # Life

    def _close_transport(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return  # asyncio's TLS transport, closed twice, cannot be aborted any more: on Python 3.11.2 (Debian 12) that raises
        if self._pump is not None and self._pump.queued:
            self._pump.when_empty(self._transport.close)
        else:
            self._transport.close()

    async def start_tls(self, context: object) -> None:
        """Go on over TLS, as the server; what was read before is forgotten."""
        import ssl

        assert isinstance(context, ssl.SSLContext)
        assert self._transport is not None
        await self.drain()
        self.discard_input()
        loop = asyncio.get_running_loop()
        try:
            upgraded = await loop.start_tls(self._transport, self, context, server_side=True, ssl_shutdown_timeout=1.0)
        except (OSError, ssl.SSLError) as error:
            raise Hangup from error
        if upgraded is None:
            raise Hangup
        self._transport = upgraded

    async def close(self) -> None:
        """Let everything written go, then close; a peer that does not take it within a second is cut off."""
        self.flush()
        if self._pump is not None:
            await self._pump.flush()
        self._close_transport()
        await self.wait_closed()
        self.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone, for a second at most."""
        if self._closed is not None and not self._closed.done():
            await asyncio.wait([self._closed], timeout=1.0)

    def abort(self) -> None:
        """Cut the connection off."""
        if self._pump is not None:
            self._pump.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _run(self) -> None:
        try:
            await self._serve(self)
        except (Hangup, Interrupted, LineTooLong):
            pass
        except Exception as error:
            if self._crashed is None:
                raise
            self._crashed(error)
        finally:
            with contextlib.suppress(Exception):
                await self.close()
            self.abort()
