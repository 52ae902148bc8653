"""How does a message come that is too large to be held? As it arrives, with the socket held back while the consumer is slow."""

from __future__ import annotations

import asyncio
import hashlib
import weakref
from collections import deque
from typing import Any

from aiogmail.errors import ProtocolError, StateError
from aiogmail.ports import Effect, Runner
from aiogmail.stream import Stream

from .exchange import Exchange
from .session import Pop3Session

__all__ = ["PopDownload"]


class PopDownload(Stream[bytes]):
    """The octets of one message, in order and each exactly once, whatever happens to the connection on the way.

    An async iterator and an async context manager; made by :meth:`.maildrop.Maildrop.download`. POP3 cannot begin in the middle: after a cut
    the message is asked for again, and what was handed over already is compared with it and left out. ``Limits.buffer`` octets wait for a
    slow consumer at most; a command inside the loop is answered behind the message, so the rest of that is then taken in.

    Raises, from ``__anext__``:
        CommandError: there is no such message in this session; the server will not hand it out.
        ProtocolError: after a cut the message was another.
        GmailError: what could not be recovered within ``Timeouts.recover``.

    Cancelling an ``__anext__`` loses nothing. Closing it before its end costs the connection; one that was left and forgotten is read to
    its end and dropped. Only what was taken to its end counts as popped by a commit.
    """

    def __init__(self, runner: Runner[Pop3Session], uidl: str) -> None:
        self._runner = runner
        self._uidl = uidl
        self._session: Pop3Session | None = None
        self._exchange: Exchange | None = None
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._news: asyncio.Future[None] | None = None
        self._given = hashlib.sha256()
        self._offset = 0
        self._skip = 0
        self._skipped = hashlib.sha256()
        self._is_another = False
        self._done = False
        self._consuming = False

    async def __anext__(self) -> bytes:
        if self._done:
            raise StopAsyncIteration
        if self._consuming:
            raise StateError("download: two tasks iterate over the same download; give each its own")
        self._consuming = True
        try:
            piece = await self._runner.run(self._advance, Effect.PURE)
        finally:
            self._consuming = False
        if self._is_another:
            self._end()
            raise ProtocolError(f"{self._uidl}: after a reconnect the message was not what it had been", connection_lost=False)
        if not piece:
            self._done = True
            raise StopAsyncIteration
        self._offset += len(piece)
        self._given.update(piece)
        return piece

    async def aclose(self) -> None:
        """End it. If the message has not arrived wholly, the connection is dropped: nothing less stops a POP3 server."""
        self._end()

    def _end(self) -> None:
        self._done = True
        exchange, session = self._exchange, self._session
        self._forget()
        if exchange is not None and session is not None and not exchange.future.done():
            session.abort()

    def __del__(self) -> None:
        self._forget()

    # -- octets ------------------------------------------------------------------------------------------------------------

    async def _advance(self, session: Pop3Session) -> bytes:
        """The next octets; none at the end."""
        if session is not self._session or self._exchange is None:
            self._restart(session)
        exchange = self._exchange
        assert exchange is not None
        while True:
            if self._pieces and not self._is_another:
                piece = self._pieces.popleft()
                self._size -= len(piece)
                session.connection.release(len(piece))
                if piece := self._unseen(piece):
                    return piece
                continue
            if exchange.future.done() or self._done or self._is_another:
                break
            self._news = asyncio.get_running_loop().create_future()
            awaited: list[asyncio.Future[Any]] = [exchange.future, self._news]
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        if self._done or self._is_another:
            return b""
        status = await session.connection.settle(exchange)
        self._is_another = bool(self._skip) and status.ok
        session.check_retr(self._uidl, exchange, status)
        return b""

    def _restart(self, session: Pop3Session) -> None:
        self._forget()
        self._session = session
        self._skip, self._skipped = self._offset, hashlib.sha256()
        exchange = session.retr(self._uidl, on_octets=_Sink(self))
        session.unclaimed.add(self._uidl)  # until its last octet was taken
        session.ask([exchange])
        self._exchange = exchange

    def take(self, octets: bytes) -> None:
        """Octets have arrived."""
        session = self._session
        assert session is not None
        self._pieces.append(octets)
        self._size += len(octets)
        session.connection.hold(len(octets))
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _unseen(self, piece: bytes) -> bytes:
        """What of it was not handed over before a cut."""
        if not self._skip:
            return piece
        before, rest = piece[: self._skip], piece[self._skip :]
        self._skip -= len(before)
        self._skipped.update(before)
        if not self._skip and self._skipped.digest() != self._given.digest():
            self._is_another = True
            return b""
        return rest

    def _forget(self) -> None:
        """Let go of what waits here, and of what is still to come."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.on_octets = _nowhere
        if self._session is not None and self._size:
            self._session.connection.release(self._size)
        self._pieces.clear()
        self._size = 0


class _Sink:
    """Where a reply's octets go: to a download, as long as it is there. It keeps none alive."""

    def __init__(self, download: PopDownload) -> None:
        self._download = weakref.ref(download)

    def __call__(self, octets: bytes) -> None:
        download = self._download()
        if download is not None:
            download.take(octets)


def _nowhere(octets: bytes) -> None:
    """Nobody waits for them any more."""
