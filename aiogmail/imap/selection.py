"""What is one mailbox's time on a connection? A session of its own, which ends when the connection goes or is given to another mailbox.

So whatever was written for a session holds when mailboxes share connections: a selection that is over is a session that is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from aiogmail.errors import Disconnected, GmailError
from aiogmail.ports import Outcome

from .commands import Command
from .pending import Pending
from .session import ImapSession

__all__ = ["GaveWay", "Selection"]

T = TypeVar("T")


class GaveWay(GmailError):
    """Others wait for the connection: what would go on for ever is not begun. Never seen by users: it is waited, and run again."""


class Selection(ImapSession):
    """A connection, while one mailbox is selected on it.

    Args:
        connection: what it is on. The selection that was there before is over.
        owner: whose it is.
        is_wanted: whether somebody else waits for the connection.

    Attributes:
        ready: done when the mailbox is selected, or could not be.
    """

    def __init__(self, connection: ImapSession, owner: object, is_wanted: Callable[[], bool]) -> None:
        super().__init__(connection.address, connection.settings)
        self.connection = connection
        self.owner = owner
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed: asyncio.Future[GmailError] = asyncio.get_running_loop().create_future()
        self._is_wanted = is_wanted
        self.protocol = connection.protocol
        self.capabilities = connection.capabilities
        self.credential = connection.credential
        self.expires_at = connection.expires_at
        if isinstance(connection.selection, Selection):
            connection.selection.end(Disconnected(f"{connection.settings.imap}: the connection was given to another mailbox"))
        connection.selection = self
        # The first to be called when the connection goes, before any command of it fails: who looks at the session finds it closed.
        connection.closed.add_done_callback(self._lost)

    @property
    def closed(self) -> asyncio.Future[GmailError]:
        """Done with the reason once the connection is gone, or given to another mailbox."""
        return self._closed

    def end(self, reason: GmailError) -> None:
        """It is over. What is on the wire still comes; nothing more is sent."""
        if not self._closed.done():
            self._closed.set_result(reason)
            self.connection.closed.remove_done_callback(self._lost)
        if not self.ready.done():
            self.ready.set_result(None)

    def _lost(self, closed: asyncio.Future[GmailError]) -> None:
        self.end(closed.result())

    def abort(self) -> None:
        """Drop the connection at once."""
        self.connection.abort()

    async def aclose(self) -> None:
        """LOGOUT, and drop the connection."""
        await self.connection.aclose()

    async def execute(self, command: Command[T]) -> T:
        """Run a command; see :meth:`.queue.CommandQueue.execute`."""
        self._check_current()
        return await super().execute(command)

    def submit(self, command: Command[T]) -> Pending[T]:
        """Put a command on its way; see :meth:`.session.ImapSession.submit`."""
        self._check_current()
        return super().submit(command)

    def give_way(self) -> None:
        """Another mailbox waits: IDLE is ended with DONE, and who waits for news looks for them."""
        self.protocol.queue.end_endless(GaveWay(f"{self.settings.imap}: another mailbox waits for the connection"))
        if self._next_news is not None:
            self._next_news.set_result(None)
            self._next_news = None

    def _check_current(self) -> None:
        if self._closed.done():
            raise self._closed.result().replica(outcome=Outcome.NOT_APPLIED, stage="not sent")

    def _check_retired(self, command: Command[Any]) -> None:
        self.retired = self.connection.retired
        super()._check_retired(command)
        if command.endless and self._is_wanted():
            raise GaveWay(f"{self.settings.imap}: another mailbox waits for the connection")
