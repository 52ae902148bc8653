"""What is one of the connections that mailboxes share? A supervised session, whose mailbox is selected on it whenever it is opened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiogmail.errors import GmailError, MailboxChanged, MailboxNotFound, TooManyConnections
from aiogmail.imap.selection import Selection
from aiogmail.imap.session import ImapSession
from aiogmail.supervisor import State, Supervisor
from aiogmail.supervisor.policy import may_reopen

if TYPE_CHECKING:
    from .lease import Lease

__all__ = ["Connection"]


class Connection:
    """One of the pool's connections, kept open by a supervisor.

    Args:
        connect: opens a session with nothing selected.
        owner: whose mailbox it is opened for; ``None``: for work that needs none.
        is_spare: whether others serve where there is no room for this one.

    Attributes:
        owner: the lease whose mailbox is selected, or is to be.
        users: pieces of the owner's work under way.
        guests: pieces of work under way that need no mailbox.
        used: the reading of the loop's time when it was last given back.
        fresh: it is not opened yet.
    """

    def __init__(self, connect: Callable[[], Awaitable[ImapSession]], owner: Lease | None, is_spare: Callable[[Connection], bool]) -> None:
        self.owner = owner
        self.users = 0
        self.guests = 0
        self.used = 0.0
        self.fresh = True
        self.supervisor: Supervisor[ImapSession]
        self._connect = connect
        self._is_spare = is_spare

    async def open(self) -> ImapSession:
        """A session, with the owner's mailbox selected: what the supervisor opens, also after a loss and before an expiry."""
        session = await self._connect()
        owner = self.owner
        if owner is None or owner.closed:
            return session
        try:
            await owner.selected_on(session)
        except (MailboxNotFound, MailboxChanged):
            session.abort()
            if not owner.opened:
                raise
            # The owner will be told when it asks; the connection serves others.
            if self.owner is owner and not self.users:
                self.owner = None
            return await self._connect()
        except BaseException:
            session.abort()
            raise
        return session

    def reopens(self, error: GmailError) -> bool:
        """Whether it is opened again after this error: also where only one mailbox on it was the trouble, not where others can serve instead."""
        if isinstance(error, TooManyConnections) and self._is_spare(self):
            return False
        return may_reopen(error) or isinstance(error, MailboxNotFound | MailboxChanged)

    def disown(self, lease: Lease) -> None:
        """The lease is over, and the connection stays."""
        self.owner = None
        session = self.supervisor.session
        if session is not None and isinstance(session.selection, Selection) and session.selection.owner is lease:
            session.selection.end(lease.is_closed())

    def is_down(self) -> bool:
        """Whether it was lost, and is being opened again."""
        return self.supervisor.session is None

    def has_failed(self) -> bool:
        """Whether it is not opened again by itself."""
        return self.supervisor.state is State.FAILED

    def is_idling(self) -> bool:
        """Whether it would give way."""
        session = self.supervisor.session
        return session is not None and session.protocol.queue.is_endless

    def give_way(self) -> None:
        """End the IDLE that goes on."""
        session = self.supervisor.session
        if session is not None and isinstance(session.selection, Selection):
            if self.owner is not None:
                self.owner.gave_way = True
            session.selection.give_way()
