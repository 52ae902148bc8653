"""What keeps a session for one mailbox, when mailboxes share connections? A lease: its work waits for its turn, and finds its mailbox selected."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from aiogmail.errors import Disconnected, GmailError, MailboxChanged, StateError, TooManyConnections
from aiogmail.imap.selection import GaveWay, Selection
from aiogmail.imap.session import ImapSession
from aiogmail.ports import Effect, Outcome

if TYPE_CHECKING:
    from .shares import Pool

__all__ = ["Lease", "Prepare"]

T = TypeVar("T")

Prepare = Callable[[ImapSession], Awaitable[object]]

_SLICE = 15.0
"""Seconds for which one mailbox waits in IDLE while others only wait to do the same."""


class Lease:
    """What keeps a session for one mailbox: a :class:`aiogmail.ports.Keeper` that shares its connections with others.

    Attributes:
        name: the mailbox's.
        opened: whether its mailbox was selected once.
        closed: whether it is over.
        gave_way: whether an IDLE of its was ended for others.
    """

    def __init__(self, pool: Pool, name: str, prepare: Prepare) -> None:
        self.name = name
        self.opened = False
        self.closed = False
        self.gave_way = False
        self._pool = pool
        self._prepare = prepare
        self._void: GmailError | None = None
        self._running = 0
        self._idle: asyncio.Future[None] | None = None
        self._over: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Select the mailbox, on a connection that is opened for it or shared.

        Raises:
            GmailError: there is no such mailbox; there is no connection.

        Cancelled, it leaves nothing open.
        """
        if self.closed:
            raise self.is_closed()
        if self.opened:
            raise StateError(f"mailbox {self.name} is open already")
        self._pool.join(self)
        try:
            await self._run(_nothing, Effect.PURE)
        except BaseException:
            await self._pool.leave(self)
            raise
        if self.closed:
            raise self.is_closed()
        self.opened = True

    async def run(self, work: Callable[[ImapSession], Awaitable[T]], effect: Effect) -> T:
        """See :meth:`aiogmail.ports.Runner.run`."""
        if self.closed:
            raise self.is_closed()
        if not self.opened:
            raise StateError(f"mailbox {self.name} is not open; use it in 'async with'")
        if self._void is not None:
            raise self._void.replica()
        with self.busy():
            try:
                return await self._run(work, effect)
            except MailboxChanged as error:
                self._void = error  # for good: every UID is void, and no connection is spent on finding that out again
                raise

    async def pause(self, seconds: float) -> None:
        """See :meth:`aiogmail.ports.Runner.pause`."""
        if not self.closed:
            if self._over is None:
                self._over = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._over], timeout=max(0.0, seconds))
        if self.closed:
            raise self.is_closed()

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """See :meth:`aiogmail.ports.Keeper.busy`."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            if not self._running and self._idle is not None and not self._idle.done():
                self._idle.set_result(None)

    async def _run(self, work: Callable[[ImapSession], Awaitable[T]], effect: Effect) -> T:
        async def on_selection(session: ImapSession) -> T:
            try:
                selection = await self.selected_on(session)
            except GmailError as error:
                if effect is not Effect.PURE and error.outcome is None:
                    error.outcome = Outcome.NOT_APPLIED  # the work was not begun
                raise
            return await work(selection)

        # Whose IDLE was ended for others has had its time: it does not end theirs at once.
        patience, self.gave_way = _SLICE if self.gave_way else 0.0, False
        while True:
            async with self._pool.borrow(self, patience) as connection:
                try:
                    return await connection.supervisor.run(on_selection, effect)
                except GaveWay:
                    patience = _SLICE
                except TooManyConnections:
                    if self.closed or not await self._pool.spared(connection):
                        raise
                except StateError:
                    if self.closed or self._pool.has(connection):
                        raise  # else it was not opened, for somebody else

    async def selected_on(self, session: ImapSession) -> Selection:
        """The mailbox's time on this connection; begun, if another mailbox or none is selected there."""
        current = session.selection
        if isinstance(current, Selection) and current.owner is self and not current.closed.done():
            if not current.ready.done():
                await asyncio.wait([current.ready])
                if current.closed.done():
                    raise current.closed.result().replica()
            return current
        selection = Selection(session, self, self._pool.is_wanted)
        try:
            await self._prepare(selection)
        except GmailError as error:
            selection.end(error)
            raise
        except BaseException:
            # For others who wait for it the session is lost, and no more.
            selection.end(Disconnected(f"mailbox {self.name}: its opening was cancelled", outcome=Outcome.NOT_APPLIED, stage="not sent"))
            raise
        selection.ready.set_result(None)
        return selection

    async def aclose(self, timeout: float | None = None) -> None:
        """Give running work ``timeout`` seconds, none by default; then it fails, and the mailbox's connection goes unless others need it.

        Cancelled, it drops the connection.
        """
        if self._ended is not None:
            await asyncio.wait([self._ended])
            return
        ended = self._ended = asyncio.get_running_loop().create_future()
        try:
            if timeout:
                await self._wait_for_work(timeout)
        finally:
            self.closed = True
            if self._over is not None:
                self._over.set_result(None)
            try:
                await self._pool.leave(self)
            finally:
                ended.set_result(None)

    async def _wait_for_work(self, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self._running and (left := deadline - loop.time()) > 0:
            self._idle = loop.create_future()  # what goes on with its next run is running again by the time that this is heard
            await asyncio.wait([self._idle], timeout=left)

    def is_closed(self) -> StateError:
        """The error for who comes too late."""
        return StateError(f"mailbox {self.name} is closed")


async def _nothing(session: ImapSession) -> None:
    """Work that is done when the mailbox is selected."""
