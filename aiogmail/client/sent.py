r"""Did it go? A message whose reply was lost is looked for in the Sent mailbox over IMAP, with the same token.

Gmail files a copy of what it takes by SMTP in the mailbox of the special use ``\Sent``, up to a minute or more later. Nothing is noted before
the message is sent: a UIDNEXT would cost every first send an IMAP login. It is not needed either: a Message-ID that was made here is
in no other message, and for one that the caller made a copy counts only if Gmail filed it after the sending began. Headers are fetched,
not searched for, because Gmail's header search misses some Message-IDs and its index lags; the search in All Mail is the second opinion.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from aiogmail.errors import CommandError, GmailError, MailboxNotFound
from aiogmail.imap.commands import List, Noop, UidSearch, reply_name
from aiogmail.imap.commands.since import RowsFrom
from aiogmail.imap.lookup import fetch_rows, pauses
from aiogmail.imap.query import Q, criteria
from aiogmail.imap.session import ImapSession
from aiogmail.imap.wire import Fetch
from aiogmail.ports import Effect, Keeper, Outcome

__all__ = ["Lost", "NobodyToAsk", "SentSettler", "Verdict"]

_Prepare = Callable[[ImapSession], Awaitable[ImapSession]]
_Keep = Callable[[str], Callable[[_Prepare], Keeper[ImapSession]]]

_HEADERS = "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID X-GOOGLE-ORIGINAL-MESSAGE-ID)]"
_NEWEST = 2500
"""So many UIDs back the first look goes: more than Gmail lets an account send in a day."""
_SKEW = 300.0
"""Seconds that this machine's clock may be ahead of Gmail's."""
_GRACE = 15.0
_SENT, _ALL = "\\Sent", "\\All"


@dataclass(frozen=True, slots=True)
class Lost:
    """A message whose reply was lost.

    Attributes:
        message_id: with its angle brackets.
        began: when its sending began, in seconds since the epoch; 0: any copy counts, because nothing else has that Message-ID.
        knowable: whether a copy in Sent would say anything: it does not where another part of the same message has been taken.
    """

    message_id: str
    began: float = 0.0
    knowable: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a lookup came to: ``APPLIED``, or ``UNKNOWN``; absence is no proof, so never ``NOT_APPLIED``."""

    outcome: Outcome
    evidence: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


_CLOSED = Verdict(Outcome.UNKNOWN, {"lookup": "the account was closed"})


class NobodyToAsk:
    """The :class:`~aiogmail.ports.Settler` of a client that has no IMAP side."""

    async def settle(self, operation: Lost, timeout: float) -> Verdict:  # noqa: ARG002  a Settler's signature
        """It cannot be known, and that is said at once."""
        return Verdict(Outcome.UNKNOWN, {"lookup": "this client has no IMAP side to look in Sent; aiogmail.Gmail has"})

    async def aclose(self) -> None:
        """Nothing is open."""


class SentSettler:
    r"""The :class:`~aiogmail.ports.Settler` of an account: looks in ``\Sent``, again and again until the copy is there.

    Args:
        keep: what keeps a session for a mailbox.
    """

    def __init__(self, keep: _Keep) -> None:
        self._keep = keep
        self._open: dict[str, tuple[Keeper[ImapSession], list[None]]] = {}
        self._opening = asyncio.Lock()
        self._names: dict[str, str] = {}
        self._closed = False
        self._tasks: set[asyncio.Task[Verdict]] = set()

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
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _settle(self, operation: Lost, timeout: float) -> Verdict:
        evidence: dict[str, str] = {}
        found = False
        try:
            async with asyncio.timeout(timeout + _GRACE):
                found = await self._in_sent(operation, timeout, evidence) or await self._in_all(operation, evidence)
        except GmailError as error:
            evidence["lookup"] = str(error)
        except TimeoutError:
            evidence["lookup"] = f"not done within {timeout + _GRACE:g} s"
        return Verdict(Outcome.APPLIED if found else Outcome.UNKNOWN, MappingProxyType(evidence))

    async def _in_sent(self, operation: Lost, timeout: float, evidence: dict[str, str]) -> bool:
        first = 0
        async with self._mailbox(_SENT) as keeper:
            for looks, pause in enumerate(pauses(timeout), 1):
                await asyncio.sleep(pause)

                async def look(session: ImapSession, first: int = first) -> tuple[bool, int]:
                    return await _look(session, operation, first)

                found, first = await keeper.run(look, Effect.PURE)
                evidence["sent"] = f"{self._names[_SENT]}: " + ("found" if found else f"not found in {looks} looks within {timeout:g} s")
                if found:
                    return True
        return False

    async def _in_all(self, operation: Lost, evidence: dict[str, str]) -> bool:
        """The second opinion: Gmail's own search for the Message-ID. What bears no Sent label may be a draft, or have come from outside."""
        bare = operation.message_id.strip("<>")
        if '"' in bare or "\\" in bare:
            return False

        async def look(session: ImapSession) -> bool:
            keys, charset = criteria(Q.gmail(f"rfc822msgid:{bare}"))
            uids = await session.execute(UidSearch(keys, esearch=False, charset=charset))
            rows = await fetch_rows(session, uids, ("X-GM-LABELS", "INTERNALDATE", _HEADERS))
            return any(_SENT in _labels(row) and _is_it(row, operation) for row in rows)

        try:
            async with self._mailbox(_ALL) as keeper:
                found = await keeper.run(look, Effect.PURE)
        except (MailboxNotFound, CommandError) as error:
            evidence["all"] = str(error)
            return False
        evidence["all"] = f"{self._names[_ALL]}: " + ("found by its Message-ID" if found else "not found by its Message-ID")
        return found

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
            listed = await session.execute(List())
            name = next((one.name for one in listed if use in one.attributes), None)
            if name is None:
                raise MailboxNotFound(f"no mailbox of the special use {use}: is it shown in IMAP? (Gmail's settings, under Labels)")
            self._names[use] = name
        await session.select(self._names[use], readonly=True).future
        return session


async def _look(session: ImapSession, operation: Lost, first: int) -> tuple[bool, int]:
    """Whether it is among the messages from UID ``first`` on (0: among the newest), and where the next look begins."""
    await session.execute(Noop())  # Gmail tells of what is new then, not before
    first = first or max(1, (session.state.uidnext or 1) - _NEWEST)
    rows = await session.execute(RowsFrom(first, ("INTERNALDATE", _HEADERS)))
    found = any(_is_it(row, operation) for row in rows)
    return found, max((row.uid + 1 for row in rows if row.uid is not None), default=first)


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


def _is_it(row: Fetch, operation: Lost) -> bool:
    """Whether it has that Message-ID, whatever a search may have found, and is not from before."""
    filed = row.get("INTERNALDATE")
    late_enough = not operation.began or (isinstance(filed, datetime) and filed.timestamp() >= operation.began - _SKEW)
    return late_enough and "".join(operation.message_id.split()) in _ids(row)
