"""How does a message or a part come that is too large to be held? In windows, each asked for by its offset, so that a cut costs nothing."""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import Callable

from aiogmail.errors import CommandError, GmailError, ProtocolError, StateError
from aiogmail.ports import Effect, Runner
from aiogmail.stream import Stream

from . import wire
from .commands import UidFetch
from .files import write_file
from .pending import Pending
from .session import ImapSession
from .structure import body_part
from .transfer import Decoder, decoder_for
from .uidset import UidSet
from .wire import Fetch

__all__ = ["Download", "Progress"]

_AHEAD = 2
"""Windows on the way, or waiting here, at once: while one is consumed the next arrives."""
_LEAST = 64 * 1024
"""Where connections are cut again and again windows become no smaller than this."""
_PIECE = 256 * 1024
"""So much is decoded at once: the loop must not stand still for long."""
_FAREWELL = re.compile(rb"(?:\r\n|\r)?(?:\*(?: (?:B(?:Y(?:E.*)?)?)?)?)?\Z", re.DOTALL)
"""A server that ends a session may say so in the middle of a literal. What looks like it, or its beginning, is fetched again."""
_LONGEST_FAREWELL = 1000

Progress = Callable[[int, int | None], None]
"""Called with the octets received so far and how many there are, as transferred; ``None`` where the server did not say."""


class Download(Stream[bytes]):
    """The octets of one message, or of one part of it, in order and each exactly once, whatever happens to the connection on the way.

    An async iterator and an async context manager. Commands are legal inside the loop. At most two windows are held, however slow the
    consumer and however large the message. After a cut it goes on behind the last octet that came. Leaving the loop early needs no clean-up.

    Raises, from ``__anext__``:
        CommandError: there is no such message or part, or no more; the server will not hand it out.
        MailboxChanged: UIDVALIDITY became another: what came so far is of another message than what would follow.
        ProtocolError: more or fewer octets of a whole message came than the server had announced (RFC822.SIZE).
        GmailError: what could not be recovered within ``Timeouts.recover``.

    Cancelling an ``__anext__`` loses nothing: the next one goes on where it stood.

    Args:
        runner: runs work on the mailbox's session.
        uid: of the message.
        window: octets of a window, at most.
        part: the number of a part; ``""``: the whole message.
        decode: a part's transfer encoding (base64, quoted-printable) is decoded on the way.
        progress: called before octets are handed on; it must not raise.
    """

    def __init__(
        self,
        runner: Runner[ImapSession],
        uid: int,
        window: int,
        *,
        part: str = "",
        decode: bool = True,
        progress: Progress | None = None,
    ) -> None:
        self._runner = runner
        self._uid = uid
        self._part = part
        self._most = self._window = window
        self._decodes = decode and bool(part)
        self._decoder = Decoder()
        self._progress = progress
        self._session: ImapSession | None = None
        self._windows: deque[_Window] = deque()
        self._described = False
        self._asked = 0
        self._offset = 0
        self._size: int | None = None
        self._announcement: tuple[str, ...] = ()
        self._encoded = b""
        """Octets received and not handed on yet."""
        self._place = 0
        self._is_last = False
        self._done = False
        self._consuming = False

    @property
    def received(self) -> int:
        """Octets received and decoded so far, as transferred: encoded."""
        return self._offset - max(0, len(self._encoded) - self._place)

    @property
    def size(self) -> int | None:
        """How many there are, as transferred; ``None``: the server did not say, or nothing came yet."""
        return self._size

    @property
    def defects(self) -> tuple[str, ...]:
        """What could not be decoded so far."""
        return (*self._announcement, *self._decoder.defects)

    async def __anext__(self) -> bytes:
        if self._consuming:
            raise StateError("download: two tasks iterate over the same download; give each its own")
        self._consuming = True
        try:
            while self._encoded or not self._done:
                if self._encoded:
                    await asyncio.sleep(0)  # others get their turn between two pieces
                else:
                    await self._receive()
                if piece := self._decode():
                    return piece
        finally:
            self._consuming = False
        raise StopAsyncIteration

    async def _receive(self) -> None:
        """The next octets, still encoded."""
        chunk, is_short = await self._runner.run(self._advance, Effect.PURE)
        if self._session is None:
            return  # closed meanwhile
        self._offset += len(chunk)
        self._is_last = self._check(chunk, is_short=is_short)
        self._encoded = chunk
        if self._is_last:
            self._end()

    def _decode(self) -> bytes:
        """What the next piece stands for, and at the end what the decoder still holds."""
        if not self._encoded and not self._is_last:
            return b""
        size = _PIECE if self._decodes else len(self._encoded)
        piece = self._encoded[self._place : self._place + size]
        self._place += size
        if self._place >= len(self._encoded):
            self._encoded, self._place = b"", 0
        if self._progress is not None and piece:
            self._progress(self.received, self._size)
        piece = self._decoder.feed(piece)
        if self._is_last and not self._encoded:
            self._is_last = False
            piece += self._decoder.finish()
        return piece

    async def to_file(self, path: str | os.PathLike[str]) -> int:
        """Write what is still to come into a file, which is there only once it is complete, and then replaces what was there.

        Meanwhile it has another name beside that one, and is synchronised with the disk before it gets its own. Where this fails or is
        cancelled nothing is left of it.

        Returns:
            The octets written.

        Raises:
            OSError: the file cannot be written.
            GmailError: as the iteration.
        """
        async with self:
            return await write_file(path, self)

    def _check(self, chunk: bytes, *, is_short: bool) -> bool:
        """Whether this was the last window.

        Raises:
            ProtocolError: the sum is not what was announced.
        """
        size = self._size
        if self._part:
            # What BODYSTRUCTURE says of a part's size is not to be relied on: it ends where the server has no more.
            if chunk and not (is_short and size is not None and self._offset >= size):
                return False
            if size is not None and self._offset != size:
                self._announcement = (f"the server announced {size} octets of part {self._part} and sent {self._offset}",)
            return True
        assert size is not None, "the first window comes with the size"
        if self._offset > size or (not chunk and self._offset != size):
            self._end()
            raise ProtocolError(
                f"UID {self._uid}: the server announced {size} octets and sent {'only ' if not chunk else ''}{self._offset}",
                connection_lost=False,
            )
        return self._offset == size

    async def aclose(self) -> None:
        """End it. What is still to come of the windows asked for is read and dropped."""
        self._encoded = b""
        self._end()

    def _end(self) -> None:
        self._done = True
        self._drop(keep=0)
        self._session = None

    # -- windows -----------------------------------------------------------------------------------------------------------

    async def _advance(self, session: ImapSession) -> tuple[bytes, bool]:
        """The next octets, and whether the server had fewer than were asked for; asks for those behind them."""
        if session is not self._session:
            self._take_over(session)
        while not self._done:
            if self._windows and self._windows[0].is_cut and not self._described:
                self._describe(await _fetched(session, self._uid, self._description))
            self._fill(session)
            window = self._windows[0]
            await asyncio.wait([window.pending.future])  # which a cancelled wait leaves alone
            if self._windows and self._windows[0] is window:
                return self._take(window)
        return b"", False

    def _take_over(self, session: ImapSession) -> None:
        """A new connection: what came is kept, to the last octet; what is behind that is asked for again."""
        kept = 0
        for window in self._windows:
            if window.has_come():
                kept += 1
            elif window.accept_cut():
                kept += 1
                self._window = max(min(_LEAST, self._most), self._window // 2)
                break
            else:
                break
        self._drop(kept)
        if kept and self._windows[-1].is_cut:
            self._asked = self._windows[-1].end
        self._session = session

    @property
    def _description(self) -> tuple[str, ...]:
        """The item that tells how much there is, and how it is encoded."""
        return ("BODYSTRUCTURE",) if self._part else ("RFC822.SIZE",)

    def _describe(self, row: Fetch) -> None:
        if not self._part:
            self._size = row.number("RFC822.SIZE")
            if self._size is None:
                raise ProtocolError(f"UID {self._uid}: the server did not tell the size of the message", connection_lost=False)
        else:
            told = row.get("BODYSTRUCTURE")
            found = body_part(told).find(self._part) if isinstance(told, wire.Part) else None
            if found is not None:
                self._size = found.size
                self._decoder = decoder_for(found.encoding) if self._decodes else self._decoder
            elif row.get(f"BODY[{self._part}]<0>"):
                self._announcement = (f"the server told nothing of part {self._part}: it is handed on as it came",)
            elif "BODYSTRUCTURE" in row:
                raise CommandError(
                    f"the message with UID {self._uid} has no part {self._part}", status="OK", text="no such part in BODYSTRUCTURE"
                )
        self._described = True

    def _fill(self, session: ImapSession) -> None:
        """Ask for the next windows: the first alone, since it tells how many there are."""
        while len(self._windows) < _AHEAD:
            if self._windows and (not self._described or session.protocol.queue.is_contended or not self._is_more_to_ask()):
                return
            items = () if self._described else self._description
            self._windows.append(_Window(session, self._uid, self._part, self._asked, self._window, items))
            self._asked += self._window

    def _is_more_to_ask(self) -> bool:
        """Of a part one window begins where the announced end is: there its end is seen."""
        return self._size is not None and self._asked < self._size + bool(self._part)

    def _take(self, window: _Window) -> tuple[bytes, bool]:
        try:
            chunk = window.octets()
            if not self._described:
                self._describe(window.row())
        except GmailError as error:
            if not error.connection_lost:  # else what came before that is of use on the next one
                self._drop(keep=0)
            raise
        self._windows.popleft()
        is_short = len(chunk) != window.length and not window.is_cut
        if is_short and window.offset + len(chunk) != self._size:
            # Less than was asked for and not the end: what was asked for behind it does not join on.
            self._drop(keep=0)
            self._asked = window.offset + len(chunk)
        elif not window.is_cut:
            self._window = min(self._most, self._window * 2)
        return chunk, is_short

    def _drop(self, keep: int) -> None:
        """Forget all windows but the first few."""
        while len(self._windows) > keep:
            window = self._windows.pop()
            self._asked = window.offset
            window.abandon()


async def _fetched(session: ImapSession, uid: int, items: tuple[str, ...]) -> Fetch:
    rows: list[Fetch] = []
    await session.execute(UidFetch(UidSet(uid), items, rows.extend))
    return _one(rows, uid)


def _one(rows: list[Fetch], uid: int) -> Fetch:
    if not rows:
        raise CommandError(f"there is no message with UID {uid} in the mailbox", status="OK", text="no FETCH response")
    return rows[-1]


class _Window:
    """One window that was asked for."""

    def __init__(self, session: ImapSession, uid: int, part: str, offset: int, length: int, items: tuple[str, ...]) -> None:
        self.offset = offset
        self.length = length
        self.is_cut = False
        """Whether its connection went in the middle of it, and what came is to be used."""
        self._name = f"BODY[{part}]<{offset}>"
        self._uid = uid
        self._rows: list[Fetch] = []
        self._session = session
        self._command = _PartialFetch(uid, (*items, f"BODY.PEEK[{part}]<{offset}.{length}>"), self._rows.extend, self._name)
        self.pending: Pending[UidSet] = session.submit(self._command)

    @property
    def end(self) -> int:
        """Where the octets that came end."""
        return self.offset + len(self._command.cut)

    def has_come(self) -> bool:
        """Wholly, or as far as it is to be used."""
        future = self.pending.future
        return self.is_cut or (future.done() and not future.cancelled() and future.exception() is None)

    def accept_cut(self) -> bool:
        """Use what came before its connection went; whether anything did."""
        self.is_cut = bool(self._command.cut)
        return self.is_cut

    def row(self) -> Fetch:
        """What the server said.

        Raises:
            CommandError: nothing, for there is no such message.
            GmailError: what the command failed with.
        """
        self.pending.future.result()
        return _one(self._rows, self._uid)

    def octets(self) -> bytes:
        """What came; raises as :meth:`row`."""
        if self.is_cut:
            return self._command.cut
        octets = self.row().get(self._name)
        return octets if isinstance(octets, bytes) else b""

    def abandon(self) -> None:
        if not self.pending.future.done() and not self._session.closed.done():
            self._session.protocol.queue.cancel(self.pending)


class _PartialFetch(UidFetch):
    """A fetch of some octets, which keeps those that came before its connection went."""

    def __init__(self, uid: int, items: tuple[str, ...], on_rows: Callable[[list[Fetch]], None], name: str) -> None:
        super().__init__(UidSet(uid), items, on_rows)
        self.cut = b""
        # a text, and compiled when it is needed: no two windows have the same, and few are cut
        self._announced = rb"\* [0-9]+ FETCH \((?:[A-Z0-9.\-]+ (?:[0-9]+|\([0-9]+\)) )*?UID %d .*?%s \{[0-9]+\}" % (
            uid,
            re.escape(name.encode()),
        )

    def take_cut(self, text: bytes, octets: bytes) -> None:
        if re.fullmatch(self._announced, text, re.DOTALL | re.IGNORECASE):
            farewell = _FAREWELL.search(octets, max(0, len(octets) - _LONGEST_FAREWELL))
            self.cut = octets[: farewell.start()] if farewell else octets
