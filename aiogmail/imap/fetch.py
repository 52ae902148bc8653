"""How does a fetch go on when its connection does not? Windows of UIDs, each asked for until every row has come.

There is no task behind it: rows arrive with the bytes of the connection, and the consumer's own await asks for more. So a
fetch that is left by ``break`` leaves nothing running, and one that waits for its consumer holds back the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from aiogmail.errors import GmailError, StateError
from aiogmail.ports import Effect, Runner
from aiogmail.stream import Stream

from .commands import MailboxState, UidFetch
from .connection import Connection
from .models import Message
from .pending import Pending
from .session import ImapSession
from .uidset import UidSet
from .windows import Windows
from .wire import Fetch, Response
from .wire.fetch import sizes_on_the_wire

__all__ = ["FetchStream"]

_AHEAD = 2
"""Windows on the way at once: while one is consumed the next arrives."""


class FetchStream(Stream[Message]):
    """The messages of a fetch, each exactly once, whatever happens to the connection on the way.

    An async iterator and an async context manager. Commands are legal inside the loop. Leaving the loop early needs no
    clean-up; ``async with`` or :meth:`aclose` ends it at a time of your choosing.

    Raises, from ``__anext__``:
        MailboxChanged: UIDVALIDITY became another; nothing of the new mailbox is handed on.
        GmailError: what could not be recovered within ``Timeouts.recover``.

    Cancelling an ``__anext__`` loses no message: the next one gets it.
    """

    def __init__(
        self,
        runner: Runner[ImapSession],
        resolve: Callable[[ImapSession], Coroutine[Any, Any, UidSet]],
        items: tuple[str, ...],
        *,
        budget: int,
        guess: Callable[[MailboxState], UidSet] | None = None,
    ) -> None:
        self._runner = runner
        self._resolve = resolve
        self._guess = guess
        self._items = items
        self._budget = budget
        self._bodies = any(item.startswith("BODY.PEEK[") and "[HEADER" not in item for item in items)
        self._ready: list[Fetch] = []
        """The rows to hand on next, the first of them last."""
        self._batches: deque[_Batch] = deque()
        """Rows behind those, as they arrived."""
        self._todo: Windows | None = None
        self._resolved = False
        self._session: ImapSession | None = None
        self._windows: dict[Pending[UidSet], UidFetch] = {}
        self._front: _Window | None = None
        self._wake: asyncio.Future[None] | None = None
        self._failure: GmailError | None = None
        self._unfetchable: GmailError | None = None
        self._taken = 0
        self._taken_bytes = 0
        self._consuming = False
        self._closed = False
        self._done = False

    async def __anext__(self) -> Message:
        if not self._ready:
            await self._refill()
        return Message(self._ready.pop())

    async def _refill(self) -> None:
        """Take the next batch, once there is one.

        A batch is what one read of the socket brought. Between two of them the loop gets its turn, however many are there:
        others must not wait for a whole window to be worked off.
        """
        if self._consuming:
            raise StateError("fetch: two tasks iterate over the same fetch; give each its own")
        self._consuming = True
        try:
            if self._batches:
                await asyncio.sleep(0)
            while not self._batches or self._closed:
                if self._done:
                    self._tell_unfetchable()
                    raise StopAsyncIteration
                await self._runner.run(self._advance, Effect.PURE)
        finally:
            self._consuming = False
        batch = self._batches.popleft()
        batch.link.release(batch.size)
        batch.rows.reverse()
        self._ready = batch.rows
        if not self._windows and self._session is not None and self._todo is not None:  # nothing was asked for while too much was held
            with contextlib.suppress(GmailError):  # the next step will meet it
                self._fill(self._session, self._todo)

    def _tell_unfetchable(self) -> None:
        if self._unfetchable is not None:
            failure, self._unfetchable = self._unfetchable, None
            raise failure

    async def aclose(self) -> None:
        """End it: it gives no more messages.

        What is still to come is read and dropped where it is known to be no more than ``Limits.buffer``; otherwise it costs
        the connection.
        """
        self._abandon()

    def __del__(self) -> None:
        self._abandon()

    def _abandon(self) -> None:
        self._closed = self._done = True
        self._front = None
        windows, self._windows = self._windows, {}
        session, self._session = self._session, None
        batches, self._batches = self._batches, deque()
        self._ready = []
        for batch in batches:
            batch.link.release(batch.size)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)  # a step that waits ends
        if session is not None and not session.closed.done():
            for pending in windows:
                session.protocol.queue.cancel(pending)

    # -- one step: until there is a row, or nothing is left ---------------------------------------------------------------

    async def _advance(self, session: ImapSession) -> None:
        if self._todo is None:
            first = self._guess(session.state) if self._guess is not None else UidSet()
            self._todo = Windows(first, self._budget, bodies=self._bodies)
        if session is not self._session:
            self._take_over(session)
        if not self._resolved:
            self._fill(session, self._todo)  # what is guessed travels with the question
            self._todo.extend(await self._resolve(session))
            self._resolved = True
        while not self._batches and not self._closed:
            self._tell_failure()
            self._fill(session, self._todo)
            if not self._windows:
                if session.closed.done():
                    raise session.closed.result().replica()
                assert self._todo.is_empty, "a fetch must not end while there is something to ask for"
                self._done = True
                return
            self._wake = asyncio.get_running_loop().create_future()
            try:
                with session.protocol.starving():
                    await self._wake
            finally:
                self._wake = None
        if not self._closed:
            self._fill(session, self._todo)

    def _tell_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # an error that is caught in its own frame lives until a garbage collection

    def _take_over(self, session: ImapSession) -> None:
        """A new connection: whatever was on its way on the old one is asked for again, but for the rows that came."""
        assert self._todo is not None
        for command in self._windows.values():
            self._put_back(command)
        self._windows.clear()
        self._front = None
        self._session = session
        self._failure = None

    def _fill(self, session: ImapSession, todo: Windows) -> None:
        """Keep the pipe full: two windows on the way, unless a command waits for its turn or enough rows wait here."""
        while len(self._windows) < _AHEAD and not session.closed.done():
            if (self._windows or self._batches) and (session.protocol.queue.is_contended or session.protocol.is_holding()):
                return  # also while a command in the consumer's loop keeps the socket open: what it holds must not grow meanwhile
            probe = todo.next_probe()
            if probe:
                self._submit(session, _Probe(probe, todo.note_size))
                continue
            window = todo.next_window(self._taken_bytes / self._taken if self._taken else None)
            if not window:
                return
            self._submit(session, _Window(self, window, self._items, small=todo.is_small(window)))

    def _submit(self, session: ImapSession, command: UidFetch) -> None:
        try:
            pending = session.submit(command)
        except GmailError:
            self._put_back(command)
            raise
        self._windows[pending] = command
        self._advance_front()
        pending.future.add_done_callback(_completion(self, pending))

    def _arrived(self, window: _Window, rows: list[Fetch]) -> None:
        if window is not self._front:
            # Dovecot works on several fetches at once: what comes early waits, and is not counted against the consumer.
            window.early.append(rows)
            return
        self._keep(rows)
        wake = self._wake
        if wake is not None and not wake.done():
            wake.set_result(None)

    def _keep(self, rows: list[Fetch]) -> None:
        assert self._session is not None
        size = sizes_on_the_wire(rows)
        self._batches.append(_Batch(rows, size, self._session.protocol))
        self._taken += len(rows)
        self._taken_bytes += size
        self._session.protocol.hold(size)

    def _advance_front(self) -> None:
        """Rows are handed on as they come from the lowest window alone, while nothing below it is still to be asked for."""
        assert self._todo is not None
        while True:
            lowest: tuple[Pending[UidSet], _Window] | None = None
            for pending, command in self._windows.items():
                if isinstance(command, _Window) and (lowest is None or command.first < lowest[1].first):
                    lowest = pending, command
            if lowest is None or self._todo.asks_again_below(lowest[1].first):
                self._front = None
                return
            pending, window = lowest
            self._front = window
            for rows in window.early:
                self._keep(rows)
            window.early.clear()
            if not window.done:
                return
            del self._windows[pending]

    def _completed(self, pending: Pending[UidSet]) -> None:
        command = self._windows.get(pending)
        if command is None or self._todo is None or pending.future.cancelled():
            return
        error = pending.future.exception()
        if isinstance(error, GmailError):
            del self._windows[pending]
            self._failed(command, error)
        elif isinstance(command, _Window):
            command.done = True
        else:
            del self._windows[pending]
            self._todo.probed(command.uids.ranges[-1][1])
        self._advance_front()
        if self._session is not None and self._failure is None:
            try:
                self._fill(self._session, self._todo)
            except GmailError as failure:  # this is a callback: the consumer must hear of it
                self._failure = failure
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _failed(self, command: UidFetch, error: GmailError) -> None:
        assert self._todo is not None
        refused = not (error.connection_lost or error.retryable) and getattr(error, "status", "") == "NO"
        if refused and not isinstance(command, _Probe) and command.left:
            # "Some messages could not be FETCHed": the good ones came first; find the bad ones.
            if not self._todo.put_back_halved(command.left):
                self._unfetchable = self._unfetchable or error
            return
        if refused:
            self._todo.probed(command.uids.ranges[-1][1])  # what has no known size is asked for by itself
            return
        self._put_back(command)
        self._failure = self._failure or error

    def _put_back(self, command: UidFetch) -> None:
        assert self._todo is not None
        if isinstance(command, _Probe):
            self._todo.probed()
            return
        early = [row.uid for rows in command.early for row in rows if row.uid is not None] if isinstance(command, _Window) else []
        self._todo.put_back({*command.left, *early})


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows that arrived together, and the connection that holds back its socket on their account."""

    rows: list[Fetch]
    size: int
    link: Connection


class _Probe(UidFetch):
    """Asks for sizes, ahead of the bodies."""

    patient = True

    def __init__(self, uids: UidSet, note: Callable[[int, int], None]) -> None:
        super().__init__(uids, ("RFC822.SIZE",), list[Fetch].clear)
        self._note = note

    def take_run(self, responses: Sequence[Response], start: int) -> int:
        left, note = self.left, self._note
        taken = 0
        for position in range(start, len(responses)):
            row = responses[position]
            if not isinstance(row, Fetch):
                break
            uid, size = row.uid, row.number("RFC822.SIZE")
            if uid is None or uid not in left or size is None:
                break
            left.discard(uid)
            note(uid, size)
            taken += 1
        return taken


class _Window(UidFetch):
    """Asks for some of the rows. It knows its stream weakly: one that was left by ``break`` is forgotten."""

    patient = True

    def __init__(self, stream: FetchStream, uids: UidSet, items: tuple[str, ...], *, small: bool) -> None:
        super().__init__(uids, items, self._hand_on, small=small)
        self.first = uids.ranges[0][0]
        self.early: list[list[Fetch]] = []
        self.done = False
        self._stream = weakref.ref(stream)

    def _hand_on(self, rows: list[Fetch]) -> None:
        stream = self._stream()
        if stream is not None:
            stream._arrived(self, rows)  # noqa: SLF001  two halves of one thing


def _completion(stream: FetchStream, pending: Pending[UidSet]) -> Callable[[asyncio.Future[UidSet]], None]:
    reference = weakref.ref(stream)

    def completed(_: asyncio.Future[UidSet]) -> None:
        alive = reference()
        if alive is not None:
            alive._completed(pending)  # noqa: SLF001  two halves of one thing

    return completed
