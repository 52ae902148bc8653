"""What does one do with a mailbox? Search it and fetch from it, on a connection that is always there."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Self, TypeVar

from aiogmail.errors import CommandError, ConfigurationError, GmailError, StateError
from aiogmail.ports import Effect, Keeper, Runner
from aiogmail.settings import Limits

from .changes import FLAGS, LABELS, Appending, Bulk, Change, ChangeResult, Expunge, Place, Store, Transfer
from .changes.archive import archive, remove_labels
from .changes.arguments import check_date, check_flags, check_modseq, check_settle_timeout, message_octets
from .commands import Command, MailboxState, Noop, UidSearch
from .download import Download
from .fetch import FetchStream
from .labels import check_labels
from .models import wire_items
from .query import Q, Query, criteria, uids_from
from .session import ImapSession
from .uidset import UidSet

__all__ = ["Mailbox"]

T = TypeVar("T")

Uids = UidSet | str | int | Iterable[int] | Query
"""Which messages: UIDs in any form, or a search."""
_AS_IT_STANDS = 1000
_GUESSED = 4
_Resolve = Callable[[ImapSession], Coroutine[Any, Any, UidSet]]
_Guess = Callable[[MailboxState], UidSet]
_STAR = re.compile(r"(?:([0-9]{1,10}):)?\*")


class Mailbox:
    """A selected mailbox, as ``Gmail.mailbox(name)`` gives it: an async context manager.

    Its UIDs hold as long as UIDVALIDITY does. Should that change while it is open, every call raises
    :class:`~aiogmail.MailboxChanged` until it is opened anew: nothing is done to a message that was not meant.
    """

    def __init__(
        self,
        name: str,
        *,
        readonly: bool,
        connect: Callable[[], Awaitable[ImapSession]],
        keep: Callable[[Callable[[], Awaitable[ImapSession]]], Keeper[ImapSession]],
        limits: Limits,
    ) -> None:
        self.name = check_mailbox_name(name)
        self.readonly = readonly
        self._connect = connect
        self._keep = keep
        self._keeper = keep(self._open)
        self._place = Place(name, self._keeper, self._visit)
        self._appending = asyncio.Lock()
        self._limits = limits
        self._session: ImapSession | None = None
        self._state: MailboxState | None = None
        self._trusting = False
        """Whether the latest SELECT succeeded."""

    async def __aenter__(self) -> Self:
        """Open a connection and select the mailbox.

        Raises:
            MailboxNotFound: there is none of that name, or it is hidden from IMAP.
            ConnectFailed, AuthError: see :meth:`.session.ImapSession.open`.
        """
        await self._keeper.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self, timeout: float | None = None) -> None:
        """Log out and close. Running work gets ``timeout`` seconds to end, none by default.

        Cancelled, it drops the connection at once.
        """
        await self._keeper.aclose(timeout)

    @property
    def state(self) -> MailboxState:
        """What the server last said of the mailbox.

        Raises:
            StateError: it was never open.
        """
        if self._session is not None and self._session.state.uidvalidity:
            self._state = self._session.state
        if self._state is None:
            raise StateError(f"mailbox {self.name}: not open; use it in 'async with'")
        return self._state

    # -- reading -----------------------------------------------------------------------------------------------------------

    async def search(self, query: Query | str = Q.all) -> UidSet:
        """The UIDs of the messages that match, ascending.

        Args:
            query: a value made by :class:`Q`, or search keys already written (RFC 9051 section 6.4.4), such as ``"UNSEEN"``.

        Raises:
            ConfigurationError: it is neither.
            CommandError: the server refused the search.
        """
        keys, charset = criteria(query)
        return await self._keeper.run(lambda session: _search(session, keys, charset), Effect.PURE)

    def fetch(self, uids: UidSet | str | int | Iterable[int] | Query, *items: str) -> FetchStream:
        r"""The messages of a set of UIDs or of a search, ascending, each exactly once.

        Args:
            uids: a :class:`UidSet`, what makes one (``5``, ``"1:3,7"``, ``[1, 2, 9]``), ``"7:*"``, or a query made by
                :class:`Q`.
            items: what of each message: ``"uid"``, ``"flags"``, ``"internal_date"``, ``"size"``, ``"modseq"``, ``"labels"``,
                ``"gmail_id"``, ``"thread_id"``, ``"envelope"``, ``"structure"``, ``"raw"``. None given: flags, internal_date and size. Nothing sets \Seen.

        Returns:
            An async iterator of :class:`Message`, and an async context manager. UIDs that are gone are left out.

        Raises:
            ConfigurationError: UID 0, a control character, an unknown item: at once, before anything is sent.
        """
        wire = wire_items(items)
        resolve, guess = _resolution(uids)
        return FetchStream(self._keeper, resolve, wire, budget=self._limits.buffer, guess=guess)

    def download(self, uid: int) -> Download:
        r"""The octets of one message as it is on the server, in parts of twice ``Limits.buffer``. Does not set \Seen.

        For what is too large for ``fetch(uid, "raw")`` to hold: never more than two parts are in memory, and after a cut it goes on
        at the octet where it stood.

        Returns:
            An async iterator of ``bytes``, and an async context manager.

        Raises:
            ConfigurationError: no UID.
        """
        if isinstance(uid, bool) or not isinstance(uid, int) or not 0 < uid < 2**32:
            raise ConfigurationError(f"uid: expected a number from 1 to {2**32 - 1}, got {uid!r}")
        return Download(self._keeper, uid, 2 * self._limits.buffer)

    async def noop(self) -> None:
        """Give the server an occasion to tell what is new; :attr:`state` shows it."""
        await self._run(Noop)

    # -- changing ----------------------------------------------------------------------------------------------------------

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
        name = await self._keeper.run(lambda session: self._place.find(session, "trash"), Effect.PURE)
        return await self.move(uids, name)

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
        async with self._appending:  # else two of one content could each be taken for the other
            return await Appending(self._place, octets, names, when, settle_timeout).run()

    async def _change(self, uids: Uids, change: Change, *, writes: bool = True) -> ChangeResult:
        return await self._with_uids(uids, Bulk(change).run, writes=writes)

    async def _with_uids(self, uids: Uids, change: Callable[[UidSet], Awaitable[ChangeResult]], *, writes: bool = True) -> ChangeResult:
        """Run a change over the messages that are meant: a query is asked once, and a large set for what of it is there."""
        if writes:
            self._check_writable()
        resolve, _ = _resolution(uids)
        asked = UidSet() if isinstance(uids, Query) or (isinstance(uids, str) and _STAR.fullmatch(uids)) else _uid_set(uids)
        found = await self._keeper.run(resolve, Effect.PURE)
        missing = ChangeResult(gone=asked - found)
        if not found:
            return missing
        try:
            return missing.joined(await change(found))
        except GmailError as error:
            if error.result is not None:
                error.result = missing.joined(error.result)
            raise

    def _check_writable(self) -> None:
        if self.readonly:
            raise StateError(f"mailbox {self.name}: open for reading only; open it with mailbox(name) to change it")

    @contextlib.asynccontextmanager
    async def _visit(self, mailbox: str) -> AsyncIterator[Runner[ImapSession]]:
        """Another mailbox of the account, to look only, on a connection of its own."""
        async with Mailbox(mailbox, readonly=True, connect=self._connect, keep=self._keep, limits=self._limits) as other:
            yield other._keeper

    # -- the connection ----------------------------------------------------------------------------------------------------

    async def _run(self, command: Callable[[], Command[T]]) -> T:
        made = command()
        effect = made.effect

        async def work(session: ImapSession) -> T:
            return await session.execute(command())

        return await self._keeper.run(work, effect)

    async def _open(self) -> ImapSession:
        """A session with this mailbox selected.

        After a session that lived, SELECT and what comes behind it travel together. After a SELECT that failed it is awaited:
        then it is the opening that fails, and an outage behind the login is waited out like any other.
        """
        session = await self._connect()
        known, trusting = self._state, self._trusting
        self._trusting = False
        try:
            selected = session.select(self.name, readonly=self.readonly, uidvalidity=known.uidvalidity if known else None)
            selected.future.add_done_callback(self._selected)
            if known is None or not trusting:
                self._state = await selected.future
        except BaseException:
            session.abort()
            raise
        self._session = session
        return session

    def _selected(self, future: asyncio.Future[MailboxState]) -> None:
        self._trusting = not future.cancelled() and future.exception() is None


async def _search(session: ImapSession, keys: tuple[Any, ...], charset: bool) -> UidSet:
    esearch = "ESEARCH" in session.capabilities
    try:
        return await session.execute(UidSearch(keys, esearch=esearch, charset=charset))
    except CommandError as error:
        # One report has Gmail refuse RETURN in some form: the plain form says the same.
        if not esearch or error.status != "BAD" or error.connection_lost:
            raise
        session.capabilities -= {"ESEARCH"}
        return await session.execute(UidSearch(keys, esearch=False, charset=charset))


def _those_there(uids: UidSet) -> _Resolve:
    """What of a set to fetch: all of a small one; of a large one, which may be mostly holes, what the server has."""

    async def resolve(session: ImapSession) -> UidSet:
        if len(uids) <= _AS_IT_STANDS:
            return uids
        span = UidSet(f"{uids.ranges[0][0]}:{uids.ranges[-1][1]}")
        return uids & await _search(session, criteria(Q.uid(span))[0], charset=False)

    return resolve


def check_mailbox_name(name: object) -> str:
    """A mailbox name that can be sent.

    Raises:
        ConfigurationError: empty, not a text, or with CR, LF, NUL or a lone surrogate.
    """
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"mailbox: expected a name such as 'INBOX', got {name!r}")
    bad = next((char for char in name if char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff"), None)
    if bad is not None:
        raise ConfigurationError(f"mailbox: control characters and lone surrogates cannot be in a name, got {bad!r} in {name!r}")
    return name


def _resolution(uids: UidSet | str | int | Iterable[int] | Query) -> tuple[_Resolve, _Guess | None]:
    """How to find out which UIDs a fetch is of, and what can be asked for meanwhile.

    Raises:
        ConfigurationError: what is given is no set of UIDs.
    """
    if isinstance(uids, Query):
        return _found_by(uids), _from_first(1) if uids is Q.all else None
    if isinstance(uids, str) and (match := _STAR.fullmatch(uids)):
        # "n:*" always holds the last message, so the highest UID there can be names it alone (RFC 9051 section 6.4.8).
        first = int(match[1]) if match[1] else 2**32 - 1
        return _found_by(uids_from(first)), _from_first(first)
    return _those_there(_uid_set(uids)), None


def _found_by(query: Query) -> _Resolve:
    keys, charset = criteria(query)

    async def resolve(session: ImapSession) -> UidSet:
        return await _search(session, keys, charset)

    return resolve


def _from_first(first: int) -> _Guess:
    """The first few UIDs of a mailbox that has few holes: their rows come a round trip earlier."""

    def guess(state: MailboxState) -> UidSet:
        last = (state.uidnext or 1) - 1
        if last < first or state.exists * 4 < last:
            return UidSet()
        return UidSet(range(first, min(last, first + _GUESSED - 1) + 1))

    return guess


def _uid_set(uids: UidSet | str | int | Iterable[int] | Query) -> UidSet:
    if isinstance(uids, UidSet):
        return uids
    if isinstance(uids, str | int | Iterable):
        return UidSet(uids)
    raise ConfigurationError(f"uids: expected UIDs or a query made by Q, got {type(uids).__name__}")
