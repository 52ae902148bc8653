"""One protocol by itself, for those who want just that: no supervisor, one connection, which ends when the server says so."""

from __future__ import annotations

from collections.abc import Iterable
from email.message import Message
from typing import Self

from aiogmail.errors import StateError
from aiogmail.imap.compat import Imap4
from aiogmail.imap.session import ImapSession
from aiogmail.ports import Outcome
from aiogmail.smtp import Manners, SendResult, SmtpSession
from aiogmail.supervisor import Supervisor

from .base import Client
from .lanes import Lanes
from .sending import OnUnknown, Options, Sender
from .sent import NobodyToAsk
from .tokens import AccountCredentials

__all__ = ["ImapClient", "SmtpClient"]


class ImapClient(Client):
    """One authenticated IMAP connection, with nothing selected: an async context manager.

    ::

        async with ImapClient("me@gmail.com", credentials) as client:
            imap = client.aioimaplib
            await imap.select("INBOX")
            result, lines = await imap.uid_search("UNSEEN")

    It is not opened again when it is lost: :class:`~aiogmail.Gmail` does that.

    Args:
        address: the account's address.
        credentials: what access tokens are made from, such as :class:`~aiogmail.UserCredentials`.
        tokens: a cache shared with other clients; without it the client has its own.
        settings: servers, deadlines and bounds; the default is Gmail.

    Raises:
        ConfigurationError: an address that is none, credentials that are none; at once, before any I/O.
    """

    _session: ImapSession | None = None
    _aioimaplib: Imap4 | None = None

    async def __aenter__(self) -> Self:
        """Connect and authenticate.

        Raises:
            GmailError: what :meth:`aiogmail.imap.session.ImapSession.open` raises.

        Cancelled, it leaves nothing open.
        """
        async with self._opening() as credentials:
            self._session = await ImapSession.open(self.address, credentials, self.settings)
        return self

    async def aclose(self) -> None:
        """LOGOUT within ``Timeouts.logout``, then drop the connection, and close the token cache unless that was given.

        Cancelled, it drops the connection at once.
        """
        session = self._session
        try:
            if session is not None and not session.closed.done():
                await session.aclose()
        finally:
            await self._close_tokens()

    @property
    def aioimaplib(self) -> Imap4:
        """The connection as an ``aioimaplib.IMAP4``, always the same one: greeted, logged in, in the state AUTH.

        Its ``timeout`` is ``Timeouts.command`` and may be set. What the server tells unasked from the first use on comes out of its
        ``wait_server_push``.

        Raises:
            StateError: the client is not open.
        """
        if self._session is None:
            raise StateError(f"{self.address}: not open; use it in 'async with ImapClient(…) as client'")
        if self._aioimaplib is None:
            self._aioimaplib = Imap4(timeout=self.settings.timeouts.command, protocol=self._session.protocol)
        return self._aioimaplib


class SmtpClient(Client):
    """Sending alone, for an account or a server without IMAP: an async context manager with one connection.

    ::

        async with SmtpClient("me@gmail.com", credentials) as client:
            result = await client.send(message)

    The connection is opened again when it is lost before a message's last octet. If the server's reply behind it is lost there is nobody
    to ask whether the message went: :class:`~aiogmail.OutcomeUnknown` says so at once. :class:`~aiogmail.Gmail` looks in Sent.

    Args:
        address: the account's address.
        credentials: what access tokens are made from, such as :class:`~aiogmail.UserCredentials`.
        tokens: a cache shared with other clients; without it the client has its own.
        settings: servers, deadlines and bounds; the default is Gmail.

    Raises:
        ConfigurationError: an address that is none, credentials that are none; at once, before any I/O.
    """

    _sender: Sender | None = None

    async def __aenter__(self) -> Self:
        """Connect and authenticate.

        Raises:
            GmailError: what :meth:`aiogmail.smtp.SmtpSession.open` raises.

        Cancelled, it leaves nothing open.
        """
        async with self._opening() as credentials:
            sender = Sender(self.address, self._lane(credentials), NobodyToAsk(), self.settings.clock, 1)
            await sender.open()
        self._sender = sender
        return self

    async def aclose(self, timeout: float | None = None) -> None:
        """QUIT and close, and close the token cache unless that was given. What is being sent gets ``timeout`` seconds to end.

        Cancelled, it drops the connection at once.
        """
        try:
            if self._sender is not None:
                await self._sender.aclose(timeout)
        finally:
            await self._close_tokens()

    def _lane(self, credentials: AccountCredentials) -> Lanes:
        manners = Manners()

        def make() -> Supervisor[SmtpSession]:
            return Supervisor(
                lambda: SmtpSession.open(self.address, credentials, self.settings, manners),
                name=f"{self.address} SMTP",
                timeouts=self.settings.timeouts,
                clock=self.settings.clock,
                budget=self.settings.budget,
                account=self.address,
                what="SMTP",
                rotate=self.settings.rotate,
            )

        return Lanes(make, 1, self.settings.timeouts.recover)

    def _abort(self) -> None:
        if self._sender is not None:
            self._sender.abort()

    async def send(
        self,
        message: Message | bytes,
        *,
        recipients: Iterable[str] | str | None = None,
        sender: str | None = None,
        split: bool = False,
        on_unknown: OnUnknown = "raise",
    ) -> SendResult:
        """As :meth:`aiogmail.Gmail.send`, but nobody is asked when the reply is lost.

        Raises:
            StateError: the client is not open.
            OutcomeUnknown: the reply was lost.
        """
        if self._sender is None:
            words = f"{self.address}: not open; use it in 'async with SmtpClient(…) as client'"
            raise StateError(words, outcome=Outcome.NOT_APPLIED, stage="connect")
        return await self._sender.send(message, Options(recipients, sender, split, 0.0, on_unknown))
