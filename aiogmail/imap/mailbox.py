"""What does one do with a mailbox? Search it and fetch from it, on a connection that is always there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self, TypeVar

from aiogmail.errors import CommandError, StateError
from aiogmail.ports import Effect, Keeper, Runner
from aiogmail.settings import Limits, Timeouts

from .changing import Changing
from .commands import Command, MailboxState, Noop
from .cursor import Cursor
from .download import Download, Progress
from .fetch import FetchStream
from .items import read_items
from .models import Message
from .names import check_mailbox_name
from .query import Q, Query, criteria
from .searching import search
from .session import ImapSession
from .structure import BodyPart, part_number
from .texts import TextStream
from .threads import ThreadStream
from .uidset import UidSet
from .watch import Watch, check_watch
from .which import Resolve, Uids, check_uid, named, resolution

__all__ = ["Mailbox"]

T = TypeVar("T")


class Mailbox(Changing):
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
        keep: Callable[[Callable[[ImapSession], Awaitable[ImapSession]]], Keeper[ImapSession]],
        limits: Limits,
        timeouts: Timeouts | None = None,
        account: str = "",
        find: Callable[[ImapSession], Awaitable[str]] | None = None,
    ) -> None:
        self.name = check_mailbox_name(name)
        self.readonly = readonly
        self._connect = connect
        self._keep = keep
        self._visited: set[Mailbox] = set()
        self._keeper = keep(self._open)
        self._limits = limits
        self._account = account
        self._find = find
        """Finds out its name, where that differs from account to account."""
        self._heirs: list[Mailbox] = []
        self.timeouts = timeouts or Timeouts()
        self._session: ImapSession | None = None
        self._before: weakref.ref[ImapSession] | None = None
        """The session that this one is to succeed."""
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
        for other in list(self._visited):
            await other.aclose()
        while self._heirs:
            await self._heirs.pop().aclose(timeout)

    @property
    def state(self) -> MailboxState:
        """What the server last said of the mailbox.

        Raises:
            StateError: it was never open.
        """
        before = self._before() if self._before is not None else None
        if self._session is not None and self._session.closed.done() and before is not None and not before.closed.done():
            self._session = before  # its successor was not taken, and it goes on
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
        return await self._keeper.run(lambda session: search(session, keys, charset), Effect.PURE)

    def fetch(self, uids: UidSet | str | int | Iterable[int] | Query, *items: str) -> FetchStream:
        r"""The messages of a set of UIDs or of a search, ascending, each exactly once.

        Args:
            uids: a :class:`UidSet`, what makes one (``5``, ``"1:3,7"``, ``[1, 2, 9]``), ``"7:*"``, or a query made by
                :class:`Q`.
            items: what of each message, names in any case. ``"uid"``, ``"flags"``, ``"internal_date"``, ``"size"``, ``"modseq"``, ``"labels"``,
                ``"gmail_id"``, ``"thread_id"``, ``"envelope"``, ``"structure"``; ``"headers"`` or single fields, ``"header:subject"``;
                ``"text"`` and ``"html"``: the text parts without the rest; ``"part:1.2"``: one part; ``"raw"``: everything. None given:
                flags, internal_date and size. Nothing sets \Seen.

        Returns:
            An async iterator of :class:`Message`, and an async context manager. UIDs that are gone are left out.

        Raises:
            ConfigurationError: UID 0, a control character, an unknown item: at once, before anything is sent.
        """
        read = read_items(items)
        resolve, guess = resolution(uids)
        if read.texts:
            return TextStream(self._keeper, resolve, read.wire, budget=self._limits.buffer, guess=guess, texts=read.texts)
        return FetchStream(self._keeper, resolve, read.wire, budget=self._limits.buffer, guess=guess)

    async def fetch_one(self, uid: int, *items: str) -> Message:
        """One message. Several of these awaited at the same time travel as one command.

        Args:
            uid: its UID.
            items: as for :meth:`fetch`.

        Raises:
            ConfigurationError: no UID, an unknown item.
            CommandError: there is no such message (any more).
        """
        async with self.fetch(check_uid(uid), *items) as stream:
            async for message in stream:
                return message
        raise CommandError(f"there is no message with UID {uid} in {self.name}", status="OK", text="no FETCH response")

    def thread(self, thread_id: int, *items: str) -> FetchStream:
        """The messages of a Gmail thread that are in this mailbox, ascending; in "All Mail" that is all of it.

        Args:
            thread_id: X-GM-THRID, as :attr:`Message.thread_id` tells it.
            items: as for :meth:`fetch`.

        Raises:
            ConfigurationError: no such number, an unknown item.
        """
        return self.fetch(Q.thread(thread_id), *items)

    def threads(self, uids: UidSet | str | int | Iterable[int] | Query = Q.all, *items: str) -> ThreadStream:
        """The messages of a set of UIDs or of a search, grouped by thread (X-GM-THRID), in the order of the threads' first messages.

        Args:
            uids: as for :meth:`fetch`.
            items: as for :meth:`fetch`, but without bodies and texts.

        Returns:
            An async iterator of :class:`Thread`, and an async context manager.

        Raises:
            ConfigurationError: as :meth:`fetch`, or an item that holds bodies.
        """
        resolve, _ = resolution(uids)
        return ThreadStream(self._keeper, resolve, read_items(items), budget=self._limits.buffer)

    def download(self, uid: int, part: str | BodyPart | None = None, *, decode: bool = True, progress: Progress | None = None) -> Download:
        r"""The octets of a message, or of one part of it, in windows of at most twice ``Limits.buffer``. Does not set \Seen.

        For what is too large for ``fetch`` to hold: never more than two windows are in memory, and after a cut it goes on behind the last
        octet that came.

        Args:
            uid: of the message.
            part: the number of a part (``"2"``, ``"1.2"``) or a :class:`BodyPart`, as :attr:`Message.attachments` has them; ``None``: the
                whole message as it is on the server.
            decode: of a part, decode its base64 or quoted-printable; what cannot be decoded is told in ``defects``.
            progress: called with the octets received so far and their number in all (``None``: unknown), as transferred.

        Returns:
            An async iterator of ``bytes``, and an async context manager, with ``received``, ``size``, ``defects`` and ``to_file(path)``.

        Raises:
            ConfigurationError: no UID, no part.
        """
        check_uid(uid)
        number = "" if part is None else part_number(part)
        return Download(self._keeper, uid, 2 * self._limits.buffer, part=number, decode=decode, progress=progress)

    async def save(
        self,
        uid: int,
        path: str | os.PathLike[str],
        part: str | BodyPart | None = None,
        *,
        decode: bool = True,
        progress: Progress | None = None,
    ) -> int:
        """Download a message, or one part of it, into a file: complete, or not there at all; see :meth:`.download.Download.to_file`.

        Returns:
            The octets written.

        Raises:
            OSError: the file cannot be written.
            GmailError: as :meth:`download`.
        """
        return await self.download(uid, part, decode=decode, progress=progress).to_file(path)

    def watch(self, cursor: Cursor | None = None, *, poll: float | None = None) -> Watch:
        """What happens in the mailbox from now on, or from a cursor on: who arrived, who is gone, whose flags or labels changed.

        ::

            async with inbox.watch(Cursor.from_json(saved) if saved else None) as watch:
                async for event in watch:
                    if isinstance(event, Arrived):
                        ...
                    save(event.cursor.to_json())

        The mailbox's other calls work meanwhile, also within the loop.

        Args:
            cursor: where to go on: of an event, or from :meth:`Cursor.from_json`. ``None``: what is there now is not told, what comes is.
                :meth:`Cursor.beginning` tells everything that is there as arrived, first.
            poll: seconds after which the server is asked even though it told nothing; at most, and by default, ``Timeouts.idle_renew``. Gmail
                does not tell of changed labels by itself.

        Returns:
            An async iterator of :class:`Event`, and an async context manager. A message that came and went between two looks is not told of.

        Cost: a look is two or three small commands; where messages are gone it asks for every UID. Without CONDSTORE it asks for the flags of
        every message each time, keeps them in memory, and a new watch cannot know what flags changed before it began.

        Raises:
            ConfigurationError: no cursor, or one of another account or mailbox.
        """
        started = check_watch(cursor, poll, self._account, self.name)
        return Watch(self, started, account=self._account, name=self.name, poll=poll)

    async def noop(self) -> None:
        """Give the server an occasion to tell what is new; :attr:`state` shows it."""
        await self._run(Noop)

    # -- the connection ----------------------------------------------------------------------------------------------------

    @property
    def runner(self) -> Runner[ImapSession]:
        """What runs work on a session that has this mailbox selected."""
        return self._keeper

    async def renewed(self) -> Mailbox:
        """The same mailbox, opened anew because this one's UIDs are void; closed with this one at the latest."""
        heir = Mailbox(
            self.name,
            readonly=self.readonly,
            connect=self._connect,
            keep=self._keep,
            limits=self._limits,
            timeouts=self.timeouts,
            account=self._account,
            find=self._find,
        )
        self._heirs.append(heir)  # before it is open: who closes this one meanwhile closes both
        try:
            await heir.__aenter__()
        except BaseException:
            if heir in self._heirs:
                self._heirs.remove(heir)
            raise
        return heir

    async def _run(self, command: Callable[[], Command[T]]) -> T:
        made = command()
        effect = made.effect

        async def work(session: ImapSession) -> T:
            return await session.execute(command())

        return await self._keeper.run(work, effect)

    def _question(self, uids: Uids) -> tuple[UidSet, Resolve]:
        return named(uids), resolution(uids)[0]

    @contextlib.asynccontextmanager
    async def _visit(self, mailbox: str) -> AsyncIterator[Runner[ImapSession]]:
        """Another mailbox of the account, to look only, on a connection of its own."""
        async with Mailbox(mailbox, readonly=True, connect=self._connect, keep=self._keep, limits=self._limits) as other:
            self._visited.add(other)
            try:
                yield other._keeper
            finally:
                self._visited.discard(other)

    async def _open(self, session: ImapSession | None = None) -> ImapSession:
        """A session with this mailbox selected: the one that is given, or a new one.

        After a session that lived, SELECT and what comes behind it travel together. After a SELECT that failed it is awaited:
        then it is the opening that fails, and an outage behind the login is waited out like any other.
        """
        if session is None:
            session = await self._connect()
        known, trusting = self._state, self._trusting
        self._trusting = False
        try:
            if self._find is not None and not trusting:
                self.name = await self._find(session)
            selected = session.select(self.name, readonly=self.readonly, uidvalidity=known.uidvalidity if known else None)
            selected.future.add_done_callback(self._selected)
            if known is None or not trusting:
                self._state = await selected.future
        except BaseException:
            session.abort()
            raise
        if self._session is not None and not self._session.closed.done():
            self._before = weakref.ref(self._session)
        self._session = session
        return session

    def _selected(self, future: asyncio.Future[MailboxState]) -> None:
        self._trusting = not future.cancelled() and future.exception() is None
