"""What is an account? An address, its credentials, and connections that are always there."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiogmail.budget import Pace
from aiogmail.errors import Disconnected, ProtocolError, StateError
from aiogmail.imap.cursor import Cursor
from aiogmail.imap.directory import Directory
from aiogmail.imap.mailbox import Mailbox
from aiogmail.imap.session import ImapSession
from aiogmail.imap.watch import ALL_MAIL, Watch, check_watch, find_all_mail
from aiogmail.oauth import Credentials, TokenCache
from aiogmail.pool import Pool, reopens
from aiogmail.ports import Keeper
from aiogmail.settings import Budget, Settings
from aiogmail.supervisor import Events, EventStream, Supervisor
from aiogmail.supervisor.events import Throttling, wall_time
from aiogmail.supervisor.opening import Turn

from .arguments import check_client
from .listing import Listing
from .tokens import AccountCredentials

__all__ = ["Gmail"]


class Gmail(Listing):
    """A Gmail account: an async context manager, bound to the event loop and the process it is opened in.

    Args:
        address: the account's address.
        credentials: what access tokens are made from, such as :class:`~aiogmail.UserCredentials`.
        tokens: a cache shared with other clients; without it the account has its own.
        settings: servers, deadlines and bounds; the default is Gmail.

    Raises:
        ConfigurationError: an address that is none, credentials that are none; at once, before any I/O.
    """

    def __init__(
        self, address: str, credentials: Credentials, *, tokens: TokenCache | None = None, settings: Settings | None = None
    ) -> None:
        self.settings = check_client(address, credentials, tokens, settings)
        self.address = address
        self._credentials = credentials
        self._given_tokens = tokens
        self._tokens: TokenCache | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._closed = False
        self._ended: asyncio.Future[None] | None = None
        self._eager = True
        self._mailboxes: weakref.WeakSet[Mailbox] = weakref.WeakSet()
        self._budget = self.settings.budget or Budget()
        self._pace: Pace | None = None
        self._events = Events()
        self._turn = Turn()
        self._pool = Pool(self._imap, self._supervise, most=self.settings.limits.connections, timeouts=self.settings.timeouts)

    async def __aenter__(self) -> Self:
        """Make it ready. Connections are opened by what needs them."""
        if self._closed or self._loop is not None:
            raise StateError(f"{self.address}: {'closed' if self._closed else 'already open'}; make another Gmail")
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._tokens = self._given_tokens or TokenCache(clock=self.settings.clock)
        self._pace = self._budget.pace(self.address)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self, timeout: float | None = None) -> None:
        """Close every connection of the account, and its token cache unless that was given.

        Args:
            timeout: seconds to let running work end; by default what runs fails at once.

        Cancelled, it drops what is open and raises.
        """
        if self._ended is not None:
            await asyncio.wait([self._ended])
            return
        self._closed = True  # nothing new is begun; what runs may still reconnect
        ended = self._ended = asyncio.get_running_loop().create_future()
        try:
            await asyncio.gather(*(mailbox.aclose(timeout) for mailbox in self._mailboxes))
        finally:
            await self._pool.aclose(timeout)
            ended.set_result(None)
            self._events.end()
            tokens, self._tokens = self._tokens, None
            if tokens is not None and self._given_tokens is None:
                await tokens.aclose()

    def mailbox(self, name: str, readonly: bool = False) -> Mailbox:
        """A mailbox by its name, such as ``"INBOX"`` or ``"[Gmail]/All Mail"``; enter it with ``async with``.

        Args:
            name: in Unicode; nested labels are separated by ``/``.
            readonly: flags and labels are neither changed nor changeable.

        Raises:
            ConfigurationError: a name with CR, LF or NUL.
            StateError: the account is not open.
        """
        self._check_open()
        return self._mailbox(name, readonly)

    def watch(self, cursor: Cursor | None = None, *, poll: float | None = 60.0) -> Watch:
        r"""What happens in the whole account: every message outside Spam and Trash, wherever it is, with its labels.

        It watches All Mail, on a connection of its own, which is opened when it is entered or first asked and closed with it. What goes to
        Trash or Spam is told as gone, what comes back from there as arrived (under another UID, with the same ``gmail_id``): watch
        ``gmail.mailbox(…)`` of those two as well if what is in them matters. UIDs are All Mail's: ``watch.mailbox`` takes them.

        Args:
            cursor: as in :meth:`Mailbox.watch <aiogmail.Mailbox.watch>`, of a watch of a whole account.
            poll: seconds after which Gmail is asked even though it told nothing: it does not tell by itself of labels that change. A
                minute by default; ``None`` leaves it at ``Timeouts.idle_renew``.

        Raises:
            ConfigurationError: no cursor, or one of another account or mailbox.
            StateError: the account is not open.
            MailboxNotFound: once it runs: All Mail is hidden; let Gmail's settings show it in IMAP.
        """
        self._check_open()
        started = check_watch(cursor, poll, self.address, ALL_MAIL)
        mailbox = self._mailbox("[Gmail]/All Mail", readonly=False, find=find_all_mail)
        return Watch(mailbox, started, account=self.address, name=ALL_MAIL, poll=poll, owned=True)

    def events(self) -> EventStream:
        """What happens to the account's connections from now on: connected, expiring, rotated, lost, replayed, throttled, failed.

        Any number of listeners may listen. One that is too slow loses the oldest of a thousand events, which are counted in
        its ``dropped``. The stream ends when the account is closed.

        Returns:
            An async iterator of :class:`~aiogmail.supervisor.events.ConnectionEvent`, and an async context manager.

        Raises:
            StateError: the account is not open.
        """
        self._check_open()
        return self._events.listen()

    def _directory(self) -> Directory:
        self._check_open()
        return Directory(self._pool)

    # -- wiring ------------------------------------------------------------------------------------------------------------

    def _mailbox(self, name: str, readonly: bool, find: Callable[[ImapSession], Awaitable[str]] | None = None) -> Mailbox:
        mailbox = Mailbox(
            name,
            readonly=readonly,
            connect=self._imap,
            keep=self._keep(name),
            limits=self.settings.limits,
            timeouts=self.settings.timeouts,
            account=self.address,
            find=find,
        )
        self._mailboxes.add(mailbox)
        return mailbox

    def _keep(self, mailbox: str) -> Callable[[Callable[[ImapSession], Awaitable[ImapSession]]], Keeper[ImapSession]]:
        def keep(prepare: Callable[[ImapSession], Awaitable[ImapSession]]) -> Keeper[ImapSession]:
            return self._pool.lease(mailbox, prepare)

        return keep

    def _supervise(self, open_session: Callable[[], Awaitable[ImapSession]]) -> Supervisor[ImapSession]:
        return Supervisor(
            open_session,
            name=self.address,
            timeouts=self.settings.timeouts,
            clock=self.settings.clock,
            budget=self._budget,
            account=self.address,
            what="imap",
            rotate=self.settings.rotate,
            turn=self._turn,
            reopens=reopens,
            on_event=self._events.tell,
        )

    async def _imap(self) -> ImapSession:
        if self._tokens is None:
            raise StateError(f"{self.address}: closed")
        credentials = AccountCredentials(self.address, self._credentials, self._tokens, self.settings.mechanism)
        try:
            return await ImapSession.open(
                self.address, credentials, self.settings, eager=self._eager, pace=self._pace, on_throttled=self._throttled
            )
        except (Disconnected, ProtocolError):
            self._eager = False  # perhaps a server that minds being spoken to before its greeting
            raise

    def _throttled(self, said: str) -> None:
        gap = self._pace.gap if self._pace is not None else 0.0
        self._events.tell(Throttling(wall_time(self.settings.clock), self.address, "imap", said, pace=gap))

    def _check_open(self) -> None:
        if self._closed:
            raise StateError(f"{self.address}: closed")
        if self._loop is None:
            raise StateError(f"{self.address}: not open; use it in 'async with Gmail(…) as gmail'")
        if self._pid != os.getpid():
            raise StateError(f"{self.address}: opened in another process; a connection cannot be shared by fork")
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = True  # asked from outside a loop: what needs one will say so
        if not here:
            raise StateError(f"{self.address}: opened in another event loop; make a Gmail in each")

    def __repr__(self) -> str:
        return f"Gmail({self.address!r})"
