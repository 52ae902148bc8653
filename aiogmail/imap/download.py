"""How does a message come that is too large to be held? In parts, each asked for by its offset, so that a cut costs one part."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from itertools import takewhile
from types import TracebackType
from typing import Self

from aiogmail.errors import CommandError, ProtocolError, StateError
from aiogmail.ports import Effect, Runner

from .commands import UidFetch
from .pending import Pending
from .session import ImapSession
from .uidset import UidSet
from .wire import Fetch

__all__ = ["Download"]

_AHEAD = 2
"""Parts on the way, or waiting here, at once: while one is consumed the next arrives."""


class Download(AsyncIterator[bytes]):
    """The octets of one message, in order and each exactly once, whatever happens to the connection on the way.

    An async iterator and an async context manager. Commands are legal inside the loop. At most two parts are held, however slow the
    consumer and however large the message. Leaving the loop early needs no clean-up.

    Raises, from ``__anext__``:
        CommandError: there is no such message, or no more; the server will not hand it out.
        MailboxChanged: UIDVALIDITY became another: what came so far is of another message than what would follow.
        ProtocolError: more or fewer octets came than the server had announced (RFC822.SIZE).
        GmailError: what could not be recovered within ``Timeouts.recover``.

    Cancelling an ``__anext__`` loses nothing: the next one goes on where it stood.

    Args:
        runner: runs work on the mailbox's session.
        uid: of the message.
        window: octets of a part.
    """

    def __init__(self, runner: Runner[ImapSession], uid: int, window: int) -> None:
        self._runner = runner
        self._uid = uid
        self._window = window
        self._session: ImapSession | None = None
        self._parts: deque[_Part] = deque()
        self._asked = 0
        self._offset = 0
        self._size: int | None = None
        self._done = False
        self._consuming = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._done:
            raise StopAsyncIteration
        if self._consuming:
            raise StateError("download: two tasks iterate over the same download; give each its own")
        self._consuming = True
        try:
            chunk = await self._runner.run(self._advance, Effect.PURE)
        finally:
            self._consuming = False
        self._offset += len(chunk)
        if not self._done:
            self._check(chunk)
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def _check(self, chunk: bytes) -> None:
        """Whether this was the last part, and whether the sum is what was announced."""
        assert self._size is not None, "the first part comes with the size"
        if self._offset == self._size:
            self._end()
        elif not chunk or self._offset > self._size:
            self._end()
            raise ProtocolError(
                f"UID {self._uid}: the server announced {self._size} octets and sent {'only ' if not chunk else ''}{self._offset}",
                connection_lost=False,
            )

    async def aclose(self) -> None:
        """End it. What is still to come of the parts asked for is read and dropped."""
        self._end()

    def _end(self) -> None:
        self._done = True
        self._drop(keep=0)
        self._session = None

    # -- parts -------------------------------------------------------------------------------------------------------------

    async def _advance(self, session: ImapSession) -> bytes:
        """The next part; asks for those behind it."""
        if session is not self._session:
            self._drop(keep=sum(1 for _ in takewhile(_Part.has_come, self._parts)))
            self._session = session
        while not self._done:
            self._fill(session)
            part = self._parts[0]
            await asyncio.wait([part.pending.future])  # which a cancelled wait leaves alone
            if self._parts and self._parts[0] is part:
                return self._take(part)
        return b""

    def _fill(self, session: ImapSession) -> None:
        """Ask for the next parts: the first alone, since it tells how many there are."""
        while len(self._parts) < _AHEAD and (self._size is None or self._asked < self._size):
            if self._parts and (self._size is None or session.protocol.queue.is_contended):
                return
            self._parts.append(_Part(session, self._uid, self._asked, self._window, with_size=self._size is None))
            self._asked += self._window

    def _take(self, part: _Part) -> bytes:
        try:
            chunk = part.octets()
        except BaseException:
            self._drop(keep=0)
            raise
        self._parts.popleft()
        if self._size is None:
            self._size = part.size
        if len(chunk) != part.length and part.offset + len(chunk) != self._size:
            # Less than was asked for and not the end: what was asked for behind it does not join on.
            self._drop(keep=0)
            self._asked = part.offset + len(chunk)
        return chunk

    def _drop(self, keep: int) -> None:
        """Forget all parts but the first few."""
        while len(self._parts) > keep:
            part = self._parts.pop()
            self._asked = part.offset
            part.abandon()


class _Part:
    """One part that was asked for."""

    def __init__(self, session: ImapSession, uid: int, offset: int, length: int, *, with_size: bool) -> None:
        self.offset = offset
        self.length = length
        self.size: int | None = None
        self._with_size = with_size
        self._uid = uid
        self._rows: list[Fetch] = []
        self._session = session
        items = (*(("RFC822.SIZE",) if with_size else ()), f"BODY.PEEK[]<{offset}.{length}>")
        self.pending: Pending[UidSet] = session.submit(UidFetch(UidSet(uid), items, self._rows.extend))

    def has_come(self) -> bool:
        future = self.pending.future
        return future.done() and not future.cancelled() and future.exception() is None

    def octets(self) -> bytes:
        """What came.

        Raises:
            CommandError: nothing did, for there is no such message.
            ProtocolError: the size was not told.
            GmailError: what the command failed with.
        """
        self.pending.future.result()
        if not self._rows:
            raise CommandError(f"there is no message with UID {self._uid} in the mailbox", status="OK", text="no FETCH response")
        row = self._rows[-1]
        self.size = row.number("RFC822.SIZE")
        if self._with_size and self.size is None:
            raise ProtocolError(f"UID {self._uid}: the server did not tell the size of the message", connection_lost=False)
        octets = row.get(f"BODY[]<{self.offset}>")
        return octets if isinstance(octets, bytes) else b""

    def abandon(self) -> None:
        if not self.pending.future.done() and not self._session.closed.done():
            self._session.protocol.queue.cancel(self.pending)
