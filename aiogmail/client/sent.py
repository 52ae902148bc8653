r"""Did it go? A message whose reply was lost is looked for in the Sent mailbox over IMAP, with the same token.

Gmail files a copy of what it takes by SMTP in the mailbox of the special use ``\Sent``, up to a minute or more later. Headers are fetched, not
searched for, because Gmail's header search misses some Message-IDs and its index lags; the search in All Mail is the second opinion.

What is from before is no proof. A Message-ID that was made here is in no other message. For one that the caller made UIDNEXT is noted before
the message's body is begun, while its envelope is on its way, if an IMAP connection is open (none is opened for that: every first
send would cost a login). Otherwise a copy counts if Gmail filed it after the sending began, by clocks that may differ by five minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol

from aiogmail.errors import CommandError, GmailError, MailboxNotFound, TimedOut
from aiogmail.imap.commands import List, Noop, UidSearch, reply_name
from aiogmail.imap.commands.since import RowsFrom
from aiogmail.imap.lookup import Mark, fetch_rows, note_on, pauses
from aiogmail.imap.query import Q, criteria
from aiogmail.imap.session import ImapSession
from aiogmail.imap.wire import Fetch
from aiogmail.ports import Effect, Keeper, Outcome, Runner
from aiogmail.supervisor.policy import floor_of, may_reopen

__all__ = ["Lost", "Marks", "NobodyToAsk", "SentSettler", "Verdict", "marks_of"]

_Prepare = Callable[[ImapSession], Awaitable[ImapSession]]
_Keep = Callable[[str], Callable[[_Prepare], Keeper[ImapSession]]]

log = logging.getLogger("aiogmail.smtp")

_HEADERS = "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID X-GOOGLE-ORIGINAL-MESSAGE-ID)]"
_NEWEST = 2500
"""So many UIDs back the first look goes: more than Gmail lets an account send in a day."""
_SKEW = 300.0
"""Seconds that this machine's clock may be ahead of Gmail's."""
_GRACE = 15.0
_NOTE_WITHIN = 2.0
"""Seconds that noting UIDNEXT may hold up a message at most."""
_NOTED_FOR = 10.0
"""A note serves what is sent so soon after; another program's copy may be filed later than that anyway."""
_BLIND_FOR = 60.0
_Look = Callable[[ImapSession, "Lost", int], Awaitable[tuple[bool, int, bool]]]

_SENT, _ALL = "\\Sent", "\\All"


Marks = Mapping[str, Mark]
_NOT_NOTED: Marks = MappingProxyType({})


class _Account(Runner[ImapSession], Protocol):
    """The account's IMAP connections, whatever they have selected."""

    @property
    def is_open(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Lost:
    """A message whose reply was lost.

    Attributes:
        message_id: with its angle brackets.
        began: when its sending began, in seconds since the epoch; 0: any copy counts, because nothing else has that Message-ID.
        marks: special use → where that mailbox stood before, if it was noted.
        knowable: whether a copy in Sent would say anything: it does not where another part of the same message has been taken.
    """

    message_id: str
    began: float = 0.0
    knowable: bool = True
    marks: Marks = field(default_factory=lambda: _NOT_NOTED)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a lookup came to.

    Attributes:
        outcome: ``APPLIED``, or ``UNKNOWN``; absence is no proof, so never ``NOT_APPLIED``.
        evidence: what was looked at, as short sentences by subject.
        error: why it could not be looked up, in the end.
    """

    outcome: Outcome
    evidence: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    error: GmailError | None = None


_CLOSED = Verdict(Outcome.UNKNOWN, {"lookup": "the account was closed"})


class NobodyToAsk:
    """The :class:`~aiogmail.ports.Settler` of a client that has no IMAP side."""

    def note(self, *, afresh: bool) -> None:
        """There is nowhere to note anything."""

    async def settle(self, operation: Lost, timeout: float) -> Verdict:  # noqa: ARG002  a Settler's signature
        """It cannot be known, and that is said at once."""
        return Verdict(Outcome.UNKNOWN, {"lookup": "this client has no IMAP side to look in Sent; aiogmail.Gmail has"})

    async def aclose(self) -> None:
        """Nothing is open."""


class SentSettler:
    r"""The :class:`~aiogmail.ports.Settler` of an account: looks in ``\Sent``, again and again until the copy is there.

    Args:
        keep: what keeps a session for a mailbox.
        account: runs work that needs no mailbox.
    """

    def __init__(self, keep: _Keep, account: _Account) -> None:
        self._keep = keep
        self._account = account
        self._noting: asyncio.Task[Marks] | None = None
        self._note_again = 0.0
        self._open: dict[str, tuple[Keeper[ImapSession], list[None]]] = {}
        self._opening = asyncio.Lock()
        self._names: dict[str, str] = {}
        self._closed = False
        self._tasks: set[asyncio.Task[Verdict]] = set()

    def note(self, *, afresh: bool) -> asyncio.Task[Marks] | None:
        """Begin to note where Sent stands; ``None`` where that would cost a login. It ends soon, and is never an error.

        Args:
            afresh: a note of some seconds ago does not do.
        """
        if self._closed or not self._account.is_open:
            return None
        loop = asyncio.get_running_loop()
        noted = self._noting
        if noted is None or (noted.done() and (loop.time() >= self._note_again or (afresh and marks_of(noted)))):
            self._note_again = loop.time() + _NOTED_FOR
            self._noting = loop.create_task(self._note(), name="aiogmail: noting where Sent stands")
        return self._noting

    async def settle(self, operation: Lost, timeout: float) -> Verdict:
        """Look for it for ``timeout`` seconds; 0: one look.

        Cancelled, it leaves nothing open.
        """
        if not operation.knowable:
            return Verdict(
                Outcome.UNKNOWN,
                {"lookup": "another part of this message, or another of this Message-ID, was sent: a copy in Sent says nothing"},
            )
        if self._closed:
            return _CLOSED
        task = asyncio.get_running_loop().create_task(self._settle(operation, timeout), name="aiogmail: looking for a sent message")
        self._tasks.add(task)
        try:
            await asyncio.wait([task])
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            self._tasks.discard(task)
        return _CLOSED if task.cancelled() else task.result()

    async def aclose(self) -> None:
        """Nothing is looked up any more: who waits for a verdict gets ``UNKNOWN``. What is open is closed."""
        self._closed = True
        tasks: list[asyncio.Task[Any]] = [*self._tasks, *([self._noting] if self._noting is not None else ())]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _settle(self, operation: Lost, timeout: float) -> Verdict:
        evidence: dict[str, str] = {}
        error: GmailError | None = None
        found = False
        try:
            async with asyncio.timeout(timeout + _GRACE):
                found, error = await self._persist(operation, timeout, evidence)
        except TimeoutError:
            error = TimedOut(f"not done within {timeout + _GRACE:g} s")
        if error is not None:
            evidence["lookup"] = str(error)
        return Verdict(Outcome.APPLIED if found else Outcome.UNKNOWN, MappingProxyType(evidence), error)

    async def _persist(self, operation: Lost, timeout: float, evidence: dict[str, str]) -> tuple[bool, GmailError | None]:
        """Look, and again where IMAP cannot be asked for now: what took the reply away may be an outage. And why it could not, in the end."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        again = pauses(timeout)
        next(again)  # which is at once
        while True:
            try:
                return await self._found(operation, max(0.0, until - loop.time()), evidence), None
            except GmailError as error:
                left = until - loop.time()
                if not may_reopen(error) or left <= floor_of(error):
                    return False, error
                log.info("%s: cannot be looked up yet: %s", operation.message_id, error)
                await asyncio.sleep(max(min(next(again, left), left), floor_of(error)))

    async def _found(self, operation: Lost, timeout: float, evidence: dict[str, str]) -> bool:
        try:
            found, whole = await self._in(_SENT, _look, operation, timeout, evidence)
        except MailboxNotFound as error:
            evidence["sent"] = str(error)  # hidden from IMAP: All Mail has it too
            return await self._in_all(operation, timeout, evidence)
        # Where all that came to Sent since the mark was seen, a search could only find what is from before it.
        return found or (not whole and await self._in_all(operation, 0.0, evidence))

    async def _note(self) -> Marks:
        try:
            async with asyncio.timeout(_NOTE_WITHIN):
                return await self._account.run(self._marks, Effect.PURE)
        except (GmailError, TimeoutError) as error:
            log.debug("not noted where Sent stands: %r", error)
            self._note_again = asyncio.get_running_loop().time() + _BLIND_FOR
            return _NOT_NOTED

    async def _marks(self, session: ImapSession) -> Marks:
        if not self._names:
            await self._find_names(session)
        use = next((use for use in (_SENT, _ALL) if use in self._names), None)  # one STATUS, as long as an envelope takes
        return {use: await note_on(session, self._names[use])} if use is not None else _NOT_NOTED

    async def _in_all(self, operation: Lost, timeout: float, evidence: dict[str, str]) -> bool:
        """The second opinion: Gmail's own search for the Message-ID. What bears no Sent label may be a draft, or have come from outside."""
        bare = operation.message_id.strip("<>")
        if '"' in bare or "\\" in bare:
            return False
        try:
            return (await self._in(_ALL, _search, operation, timeout, evidence))[0]
        except (MailboxNotFound, CommandError) as error:
            evidence["all"] = str(error)
            return False

    async def _in(self, use: str, look: _Look, operation: Lost, timeout: float, evidence: dict[str, str]) -> tuple[bool, bool]:
        """Whether it is in the mailbox of this use, looked at until ``timeout`` seconds have passed; and whether a mark told what is new."""
        first, marked = 0, False
        async with self._mailbox(use) as keeper:
            for looks, pause in enumerate(pauses(timeout), 1):
                await asyncio.sleep(pause)

                async def once(session: ImapSession, first: int = first) -> tuple[bool, int, bool]:
                    return await look(session, operation, first)

                found, first, marked = await keeper.run(once, Effect.PURE)
                told = "found" if found else f"not found in {looks} looks within {timeout:g} s"
                evidence[use.removeprefix("\\").lower()] = f"{self._names[use]}: {told}"
                if found:
                    return True, marked
        return False, marked

    @contextlib.asynccontextmanager
    async def _mailbox(self, use: str) -> AsyncIterator[Keeper[ImapSession]]:
        """A session with the mailbox of this special use selected; those who look at the same time share it."""
        async with self._opening:
            if use not in self._open:
                keeper = self._keep(use.removeprefix("\\"))(lambda session: self._select(use, session))
                await keeper.open()
                self._open[use] = keeper, []
            keeper, users = self._open[use]
            users.append(None)
        try:
            yield keeper
        finally:
            users.pop()
            if not users:
                del self._open[use]
                await keeper.aclose()

    async def _select(self, use: str, session: ImapSession) -> ImapSession:
        if use not in self._names:
            await self._find_names(session)
        if use not in self._names:
            raise MailboxNotFound(f"no mailbox of the special use {use}: is it shown in IMAP? (Gmail's settings, under Labels)")
        await session.select(self._names[use], readonly=True).future
        return session

    async def _find_names(self, session: ImapSession) -> None:
        for one in await session.execute(List()):
            self._names |= {use: one.name for use in (_SENT, _ALL) if use in one.attributes}


def marks_of(noting: asyncio.Task[Marks] | None) -> Marks:
    """What was noted."""
    if noting is None or not noting.done() or noting.cancelled():
        return _NOT_NOTED
    return noting.result()


async def _look(session: ImapSession, operation: Lost, first: int) -> tuple[bool, int, bool]:
    """Whether it is among the messages from UID ``first`` on; where the next look begins; whether a mark says what is new.

    With ``first`` 0 it looks at what came since the mark, or at the newest.
    """
    await session.execute(Noop())  # Gmail tells of what is new then, not before
    mark = _mark(session, operation, _SENT)
    first = first or (mark.uidnext if mark is not None else max(1, (session.state.uidnext or 1) - _NEWEST))
    rows = await session.execute(RowsFrom(first, ("INTERNALDATE", _HEADERS)))
    found = any(_is_it(row, operation, mark) for row in rows)
    return found, max((row.uid + 1 for row in rows if row.uid is not None), default=first), mark is not None


async def _search(session: ImapSession, operation: Lost, first: int) -> tuple[bool, int, bool]:
    """Whether Gmail's search finds it."""
    keys, charset = criteria(Q.gmail(f"rfc822msgid:{operation.message_id.strip('<>')}"))
    uids = await session.execute(UidSearch(keys, esearch=False, charset=charset))
    rows = await fetch_rows(session, uids, ("X-GM-LABELS", "INTERNALDATE", _HEADERS))
    mark = _mark(session, operation, _ALL)
    return any(_SENT in _labels(row) and _is_it(row, operation, mark) for row in rows), first, mark is not None


def _mark(session: ImapSession, operation: Lost, use: str) -> Mark | None:
    """Where the selected mailbox stood before, if that was noted and still means something."""
    mark = operation.marks.get(use)
    return mark if mark is not None and session.state.uidvalidity == mark.uidvalidity else None


def _ids(row: Fetch) -> list[str]:
    """Its Message-ID, and the one it had before Gmail gave it another."""
    header = row.get(reply_name(_HEADERS))
    if not isinstance(header, bytes):
        return []
    lines = header.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(b"\r\n")
    return ["".join(line.partition(b":")[2].decode("utf-8", "replace").split()) for line in lines if line]


def _labels(row: Fetch) -> Collection[object]:
    labels = row.get("X-GM-LABELS")
    return labels if isinstance(labels, Collection) else ()


def _is_it(row: Fetch, operation: Lost, mark: Mark | None) -> bool:
    """Whether it has that Message-ID, whatever a search may have found, and is not from before."""
    if mark is not None:
        late_enough = row.uid is not None and row.uid >= mark.uidnext
    else:
        filed = row.get("INTERNALDATE")
        late_enough = not operation.began or (isinstance(filed, datetime) and filed.timestamp() >= operation.began - _SKEW)
    return late_enough and "".join(operation.message_id.split()) in _ids(row)
