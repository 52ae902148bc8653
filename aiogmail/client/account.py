"""What is an account? An address, its credentials, and connections that are always there."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from email.message import Message
from types import TracebackType
from typing import Self

from aiogmail.errors import Disconnected, ProtocolError, StateError
from aiogmail.imap.mailbox import Mailbox
from aiogmail.imap.session import ImapSession
from aiogmail.oauth import Credentials, TokenCache
from aiogmail.ports import Keeper, Outcome
from aiogmail.settings import Settings
from aiogmail.smtp import Manners, SendResult, SmtpSession
from aiogmail.supervisor import Supervisor

from .arguments import check_client
from .lanes import Lanes
from .outbox import SendStream
from .sending import OnUnknown, Options, Sender
from .sent import SentSettler
from .tokens import AccountCredentials

__all__ = ["Gmail"]


class Gmail:
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
        self._sender: Sender | None = None
        self._manners = Manners()

    async def __aenter__(self) -> Self:
        """Make it ready. Connections are opened by what needs them."""
        if self._closed or self._loop is not None:
            raise StateError(f"{self.address}: {'closed' if self._closed else 'already open'}; make another Gmail")
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._tokens = self._given_tokens or TokenCache(clock=self.settings.clock)
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
            closing = [mailbox.aclose(timeout) for mailbox in self._mailboxes]
            if self._sender is not None:
                closing.append(self._sender.aclose(timeout))
            await asyncio.gather(*closing)
        finally:
            ended.set_result(None)
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
        mailbox = Mailbox(name, readonly=readonly, connect=self._imap, keep=self._keep(name), limits=self.settings.limits)
        self._mailboxes.add(mailbox)
        return mailbox

    async def send(
        self,
        message: Message | bytes,
        *,
        recipients: Iterable[str] | str | None = None,
        sender: str | None = None,
        split: bool = False,
        settle_timeout: float = 120.0,
        on_unknown: OnUnknown = "raise",
    ) -> SendResult:
        """Send a message by SMTP: at most once, with a truthful outcome.

        A failure before the message's last octet is repaired on another connection. If the server's reply behind it is lost, nobody can
        know at once whether it took the message (RFC 1047): then the Sent mailbox is looked into over IMAP. A copy found there makes
        ``confirmed_by="lookup"``; without one :class:`~aiogmail.OutcomeUnknown` says so truthfully, and nothing was sent twice. With
        ``on_unknown="resend"`` the message is then given to the server again, with the same Message-ID: it is sent at least once, and Gmail
        shows its users one copy where others may see two.

        Args:
            message: an ``EmailMessage``, an ``email.message.Message``, or its octets; a large one is best given as ``bytes``. It is not
                changed: Bcc is taken out, Date and Message-ID put in where they are missing, on the way.
            recipients: to whom, each address by itself; default: whom To, Cc and Bcc name, or the Resent- fields. An address that
                cannot be read is refused by name, and nothing is sent.
            sender: the envelope's sender; default: the account.
            split: send to more than 100 recipients, which is the most that Gmail takes, in several messages.
            settle_timeout: seconds to look for a message whose reply was lost; 0: one look.
            on_unknown: ``"raise"``, or ``"resend"``.

        Raises:
            ConfigurationError: an argument or the message is wrong; the message says which. Nothing was sent.
            RecipientsRefused: the server accepted none of them.
            SendingLimitReached: the account's daily limit; ``retry_after`` says when to try again, in seconds.
            MessageTooLarge, Throttled, Unavailable, CommandError: the server did not take it.
            OutcomeUnknown: it was handed over, its reply was lost, and it is not in Sent (yet). :meth:`resolve` asks again.
            TransportError, AuthError: no connection, or no login, within ``Timeouts.recover``.

        Every error carries ``outcome`` and ``stage``. Cancelled before the message's last octet it was not sent; behind that nobody knows.
        """
        return await self._outgoing().send(message, Options(recipients, sender, split, settle_timeout, on_unknown))

    def send_many(
        self,
        messages: Iterable[Message | bytes] | AsyncIterable[Message | bytes],
        *,
        ordered: bool = False,
        concurrency: int | None = None,
        settle_timeout: float = 120.0,
        on_unknown: OnUnknown = "raise",
    ) -> SendStream:
        """Send many messages, and report each as it becomes known.

        Args:
            messages: what :meth:`send` takes; asked for one by one, as there is room.
            ordered: report them in their order; by default as they come. What Gmail takes first is not fixed either way.
            concurrency: how many are under way at most; default: two for each of ``Limits.smtp_connections``.
            settle_timeout: see :meth:`send`.
            on_unknown: see :meth:`send`.

        Returns:
            An async iterator of :class:`~aiogmail.SendReport`, and an async context manager. Errors stand in the reports. After one that all
            others would meet (the daily limit, no login) the rest is reported without being tried.

        Raises:
            ConfigurationError: an argument is wrong.
            StateError: the account is not open.
        """
        options = Options(settle_timeout=settle_timeout, on_unknown=on_unknown)
        return self._outgoing().send_many(messages, options, ordered=ordered, concurrency=concurrency)

    async def resolve(self, message_id: str) -> Outcome:
        """Did it go? Looks for a message in Sent by its Message-ID, once.

        Args:
            message_id: as ``SendResult.message_id`` or an :class:`~aiogmail.OutcomeUnknown` names it.

        Returns:
            ``Outcome.APPLIED``: it was sent. ``Outcome.UNKNOWN``: there is no copy of it (yet), which proves nothing.

        Raises:
            ConfigurationError: no Message-ID.
            StateError: the account is not open.
        """
        return await self._outgoing().resolve(message_id)

    # -- wiring ------------------------------------------------------------------------------------------------------------

    def _keep(self, mailbox: str) -> Callable[[Callable[[], Awaitable[ImapSession]]], Keeper[ImapSession]]:
        def keep(open_session: Callable[[], Awaitable[ImapSession]]) -> Keeper[ImapSession]:
            return Supervisor(open_session, name=f"{self.address} {mailbox}", timeouts=self.settings.timeouts)

        return keep

    def _outgoing(self) -> Sender:
        self._check_open()
        if self._sender is None:
            size = self.settings.limits.smtp_connections
            settler = SentSettler(self._imap, self._keep)
            self._sender = Sender(
                self.address, Lanes(self._keep_smtp, size, self.settings.timeouts.recover), settler, self.settings.clock, size
            )
        return self._sender

    def _keep_smtp(self) -> Keeper[SmtpSession]:
        return Supervisor(self._smtp, name=f"{self.address} SMTP", timeouts=self.settings.timeouts)

    async def _smtp(self) -> SmtpSession:
        return await SmtpSession.open(self.address, self._account_credentials(), self.settings, self._manners)

    def _account_credentials(self) -> AccountCredentials:
        if self._tokens is None:
            raise StateError(f"{self.address}: closed")
        return AccountCredentials(self.address, self._credentials, self._tokens, self.settings.mechanism)

    async def _imap(self) -> ImapSession:
        credentials = self._account_credentials()
        try:
            return await ImapSession.open(self.address, credentials, self.settings, eager=self._eager)
        except (Disconnected, ProtocolError):
            self._eager = False  # perhaps a server that minds being spoken to before its greeting
            raise

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
