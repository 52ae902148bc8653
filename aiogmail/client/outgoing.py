"""What does one send with? The part of an account that is about sending."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterable, Iterable
from email.message import Message

from aiogmail.errors import StateError
from aiogmail.ports import Outcome
from aiogmail.smtp import SendResult

from .outbox import SendStream
from .sending import OnUnknown, Options, Sender

__all__ = ["Outgoing"]


class Outgoing(abc.ABC):
    """``send``, ``send_many`` and ``resolve`` of a :class:`~aiogmail.Gmail`."""

    @abc.abstractmethod
    def _outgoing(self) -> Sender:
        """What sends.

        Raises:
            StateError: the account is not open.
        """

    def _to_send(self) -> Sender:
        """What sends; where it is not open nothing was sent, and the error says so as any other."""
        try:
            return self._outgoing()
        except StateError as error:
            error.outcome, error.stage = Outcome.NOT_APPLIED, "connect"
            raise

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

        A Message-ID of your own should be this message's alone (RFC 5322 section 3.6.4): what is looked up goes by it. A copy from before
        does not count; where no IMAP connection is open when the message is sent, one of the last five minutes may.

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
        return await self._to_send().send(message, Options(recipients, sender, split, settle_timeout, on_unknown))

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
            GmailError: Sent could not be looked into: no connection, no login, or IMAP is off.
        """
        return await self._outgoing().resolve(message_id)
