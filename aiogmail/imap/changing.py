"""What can be done to messages of an open mailbox? Each call is done once, whatever becomes of the connection (:mod:`.changes`)."""

from __future__ import annotations

import abc
import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from email.message import EmailMessage

from aiogmail.errors import ConfigurationError, GmailError, StateError
from aiogmail.ports import Effect, Keeper, Outcome, Runner

from .changes import FLAGS, LABELS, Appending, Bulk, Change, ChangeResult, Expunge, Place, Store, Transfer
from .changes.archive import archive, remove_labels
from .changes.arguments import check_date, check_flags, check_modseq, check_settle_timeout, message_octets
from .labels import check_labels
from .names import check_mailbox_name
from .session import ImapSession
from .uidset import UidSet
from .which import Uids

__all__ = ["Changing"]
"""Which messages: UIDs in any form, or a search."""


class Changing(abc.ABC):
    """The part of :class:`.mailbox.Mailbox` that changes messages."""

    name: str
    readonly: bool
    _keeper: Keeper[ImapSession]
    _known_place: Place | None = None
    _appending: asyncio.Lock | None = None

    @abc.abstractmethod
    def _question(self, uids: Uids) -> tuple[UidSet, Callable[[ImapSession], Awaitable[UidSet]]]:
        """The UIDs that are named, none if it is a search, and how to find out which messages are meant."""

    @abc.abstractmethod
    def _visit(self, mailbox: str) -> AbstractAsyncContextManager[Runner[ImapSession]]:
        """Another mailbox of the account, to look only, on a connection of its own."""

    async def add_flags(self, uids: Uids, *flags: str | Iterable[str]) -> ChangeResult:
        r"""Add flags.

        Args:
            uids: as in :meth:`fetch`.
            flags: such as ``r"\Seen"``, ``r"\Flagged"`` or a keyword; or lists of them. With ``r"\Deleted"`` Gmail takes a message out of the
                mailbox at once, unless the account's setting is another.

        Returns:
            What became of each message: all are done, or gone.

        Raises:
            ConfigurationError: no flag, or none that a client can set; nothing was sent.
            StateError: the mailbox is open for reading only.
            OutcomeUnknown: the connection was lost, and it could not be found out what became of some; ``result`` says of which.
            GmailError: some were not changed; ``result`` says which, and ``outcome`` is theirs.

        A batch whose reply is lost is asked about before anything is repeated. Cancelled, it may have changed some of them.
        """
        return await self._change(uids, Store(self._place, FLAGS, "+", check_flags(flags)))

    async def remove_flags(self, uids: Uids, *flags: str | Iterable[str]) -> ChangeResult:
        """Remove flags; arguments, result and errors as those of :meth:`add_flags`."""
        return await self._change(uids, Store(self._place, FLAGS, "-", check_flags(flags)))

    async def set_flags(self, uids: Uids, flags: str | Iterable[str], *, unchanged_since: int | None = None) -> ChangeResult:
        """Replace all flags by these, none if ``flags`` is empty.

        Args:
            uids: as in :meth:`fetch`.
            flags: all that the messages shall have.
            unchanged_since: the mod-sequence that was seen (:attr:`Message.modseq`): a message with a higher one is left alone. Without
                it, what changes while this call is under way is left alone, on servers with CONDSTORE.

        Raises:
            Conflict: another client changed some of them first; ``result.unchanged`` says which, the others are done.
            ConfigurationError: also: ``unchanged_since`` on a server without CONDSTORE.

        Other errors, result and cancellation as those of :meth:`add_flags`. A replacement is never repeated blindly.
        """
        check_modseq(unchanged_since)
        return await self._change(uids, Store(self._place, FLAGS, "", check_flags([flags], some=False), unchanged_since=unchanged_since))

    async def add_labels(self, uids: Uids, *labels: str | Iterable[str]) -> ChangeResult:
        r"""Add Gmail labels; those that do not exist are made.

        Args:
            uids: as in :meth:`fetch`.
            labels: names such as ``"Work/2026"``, or :class:`Label` constants; or lists of them. ``Label.TRASH`` and ``Label.SPAM`` take the
                message out of every other mailbox: see :meth:`trash`.

        Raises:
            ConfigurationError: no label, or none that can be sent; nothing was sent.
            CommandError: also: the server has no labels (X-GM-EXT-1), or does not allow this one.

        Result, other errors and cancellation as those of :meth:`add_flags`. Google: https://developers.google.com/gmail/imap/imap-extensions
        """
        return await self._change(uids, Store(self._place, LABELS, "+", check_labels(labels)))

    async def remove_labels(self, uids: Uids, *labels: str | Iterable[str]) -> ChangeResult:
        r"""Remove Gmail labels; arguments, result and errors as those of :meth:`add_labels`.

        The label of this mailbox itself is removed by a move to All Mail: Gmail says OK to its removal here and does nothing. The
        messages are then in this mailbox no more.
        """
        names = check_labels(labels)
        return await self._with_uids(uids, lambda those: remove_labels(self._place, those, names))

    async def set_labels(self, uids: Uids, labels: str | Iterable[str], *, unchanged_since: int | None = None) -> ChangeResult:
        """Replace all Gmail labels but this mailbox's own; arguments and errors as those of :meth:`set_flags`."""
        check_modseq(unchanged_since)
        names = check_labels([labels], some=False)
        return await self._change(uids, Store(self._place, LABELS, "", names, unchanged_since=unchanged_since))

    async def copy(self, uids: Uids, mailbox: str) -> ChangeResult:
        """Copy messages to another mailbox: on Gmail, they get its label.

        Returns:
            What became of each message; ``copies`` has the UIDs there.

        Raises:
            MailboxNotFound: there is no such mailbox. Nothing was copied.

        Other errors and cancellation as those of :meth:`add_flags`.
        """
        return await self._change(uids, Transfer(self._place, check_mailbox_name(mailbox), move=False), writes=False)

    async def move(self, uids: Uids, mailbox: str) -> ChangeResult:
        """Move messages to another mailbox (RFC 6851): on Gmail, they get its label and lose this mailbox's.

        Raises:
            ConfigurationError: it is this mailbox.
            MailboxNotFound: there is no such mailbox. Nothing was moved.
            OutcomeUnknown: also: messages are gone from here, and are not there.

        Result, other errors and cancellation as those of :meth:`copy`.
        """
        if self._place.is_here(check_mailbox_name(mailbox)):
            raise ConfigurationError(f"mailbox: the messages are in {mailbox} already")
        return await self._change(uids, Transfer(self._place, mailbox, move=True))

    async def archive(self, uids: Uids) -> ChangeResult:
        r"""Take messages out of the inbox and keep them.

        On Gmail they lose the label ``\Inbox``: from INBOX, Trash and Spam by a move to All Mail, elsewhere by the label. Other servers: a
        move to the mailbox with the special use ``\Archive``.

        Raises:
            MailboxNotFound: there is no such mailbox, or it is hidden from IMAP. Nothing was changed.

        Result, other errors and cancellation as those of :meth:`move`.
        """
        return await self._with_uids(uids, lambda those: archive(self._place, those))

    async def trash(self, uids: Uids) -> ChangeResult:
        r"""Move messages to the bin: the mailbox with the special use ``\Trash``, whatever it is called. On Gmail they lose every label.

        Raises:
            MailboxNotFound: there is none, or it is hidden from IMAP. Nothing was changed.
            ConfigurationError: this mailbox is the bin.

        Result, other errors and cancellation as those of :meth:`move`.
        """
        self._check_writable()
        try:
            with self._keeper.busy():
                name = await self._keeper.run(lambda session: self._place.find(session, "trash"), Effect.PURE)
                return await self.move(uids, name)
        except GmailError as error:
            _stamp(error)
            raise

    async def expunge(self, uids: Uids) -> ChangeResult:
        r"""Take out of the mailbox those of these messages that are marked ``\Deleted`` (UID EXPUNGE), and no others.

        Gmail archives them, or what the account's setting says; what is expunged from Trash and Spam is gone for ever.

        Raises:
            CommandError: some are still there, because they are not marked; ``result.unchanged`` says which.

        Result, other errors and cancellation as those of :meth:`add_flags`.
        """
        return await self._change(uids, Expunge(self._place))

    async def append(
        self,
        message: bytes | EmailMessage,
        flags: str | Iterable[str] = (),
        date: dt.datetime | None = None,
        *,
        settle_timeout: float = 120.0,
    ) -> int:
        r"""Store a message in this mailbox.

        Args:
            message: RFC 5322 octets, or an ``EmailMessage``; line ends become CRLF.
            flags: such as ``r"\Seen"``.
            date: its INTERNALDATE, with a time zone; ``None``: now.
            settle_timeout: seconds to look for it where the reply was lost; below 60 it is never sent again after that.

        Returns:
            Its UID. On Gmail a message of the same Message-ID, Date and subject that is there already is that message.

        Raises:
            ConfigurationError: no message, flag or date that can be sent; nothing was sent.
            MessageTooLarge: more octets than the server takes (APPENDLIMIT).
            OverQuota: the account's storage is full.
            OutcomeUnknown: the reply was lost, and the mailbox did not say what became of it.
            MailboxChanged: UIDVALIDITY became another; ``outcome`` says what is known.

        It is sent again, three times at most, only when it is known that it was not stored. Cancelled, it may or may not have been stored.
        """
        octets = message_octets(message)
        names, when = check_flags([flags], some=False), check_date(date)
        check_settle_timeout(settle_timeout)
        if self._appending is None:
            self._appending = asyncio.Lock()
        async with self._appending:  # else two of one content could each be taken for the other
            with self._keeper.busy():
                return await Appending(self._place, octets, names, when, settle_timeout).run()

    @property
    def _place(self) -> Place:
        """Made when it is first needed: only then is the name known for sure."""
        if self._known_place is None or self._known_place.name != self.name:
            self._known_place = Place(self.name, self._keeper, self._visit)
        return self._known_place

    async def _change(self, uids: Uids, change: Change, *, writes: bool = True) -> ChangeResult:
        return await self._with_uids(uids, Bulk(change).run, writes=writes)

    async def _with_uids(self, uids: Uids, change: Callable[[UidSet], Awaitable[ChangeResult]], *, writes: bool = True) -> ChangeResult:
        """Run a change over the messages that are meant: a query is asked once, and a large set for what of it is there."""
        if writes:
            self._check_writable()
        asked, resolve = self._question(uids)
        missing = ChangeResult()
        try:
            with self._keeper.busy():
                found = await self._keeper.run(resolve, Effect.PURE)
                missing = ChangeResult(gone=asked - found)
                return missing.joined(await change(found)) if found else missing
        except GmailError as error:
            _stamp(error)
            if error.result is not None:
                error.result = missing.joined(error.result)
            raise

    def _check_writable(self) -> None:
        if self.readonly:
            raise StateError(f"mailbox {self.name}: open for reading only; open it with mailbox(name) to change it")


def _stamp(error: GmailError) -> None:
    """What fails without an outcome failed before anything was written that changes something."""
    error.outcome = error.outcome or Outcome.NOT_APPLIED
    error.stage = error.stage or "not sent"
