"""What is in a mailbox that a cursor does not know? One look, in as few round trips as the server allows.

STATUS counts, UID FETCH … (CHANGEDSINCE …) tells what changed and what arrived. Only where the count of messages does not add up is the
server asked for every UID: Gmail has no QRESYNC, so that is how a message is found to be gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiogmail.errors import Disconnected
from aiogmail.ports import Outcome

from .commands import ChangedMessages, Noop, StatusCommand, UidFetch, UidFetchChanged
from .cursor import Cursor
from .plan import WINDOW, Comparison, Row
from .query import Q, criteria
from .searching import search
from .session import ImapSession
from .uidset import UidSet
from .wire import Fetch, Tagged

__all__ = ["Look", "Looked", "baseline", "rows_of"]

_MOST_ARRIVED = 16 * WINDOW
"""Arrivals told by one comparison. The rest is for the next, so that a cursor within need not list many changes made meanwhile."""
_FLAGS_AT_ONCE = 4096
_FEW = 1000
_RECENT = frozenset({"\\Recent"})


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found: ``found`` is ``None`` where there is nothing to tell."""

    uidvalidity: int
    found: Comparison | None = None


class Look:
    """What is remembered from one look to the next.

    Attributes:
        is_incomplete: there is more to be told than the last comparison has.
    """

    def __init__(self) -> None:
        self.is_incomplete = False
        self._heard = -1
        self._counts: tuple[Any, ...] = ()
        self._flags: dict[int, frozenset[str]] | None = None

    def begin(self, counts: tuple[Any, ...], heard: int) -> None:
        """A cursor was made of what is there; so much news had been heard by then."""
        self._counts = counts
        self._heard = heard

    def renew(self) -> None:
        """The session is another: nothing that was heard on the last one counts."""
        self._heard = -1

    def is_hinted(self, session: ImapSession) -> bool:
        """Whether the server told of a change since the last look."""
        return session.news != self._heard

    async def compare(self, session: ImapSession, mailbox: str, cursor: Cursor) -> Looked:
        """Compare the mailbox with a cursor."""
        condstore = "CONDSTORE" in session.capabilities
        hinted = self.is_hinted(session)
        if "IDLE" not in session.capabilities:
            await session.execute(Noop())  # an occasion to tell what is new: some servers show it, or count it, no sooner
        changes: ChangedMessages | None = None
        status_command = _Counts(mailbox, session, condstore=condstore)
        if hinted and condstore and cursor.uids:
            status, changes = await _both(session, status_command, _changes(session, cursor))
        else:
            status = await session.execute(status_command)
        uidvalidity = _uidvalidity(session, status)
        counts = _counted(status)
        if uidvalidity != cursor.uidvalidity:
            self._flags = None
            return Looked(uidvalidity)
        if changes is None and condstore and counts == self._counts and not self.is_incomplete:
            self._heard = status_command.news
            return Looked(uidvalidity)
        if not hinted:
            await session.execute(Noop())  # as above: what is counted may not be shown yet
        if not condstore:
            found = await self._compare_flags(session, cursor)
        else:
            found = await _compare_changes(session, cursor, changes, status)
        self._heard, self._counts = status_command.news, counts
        arrived = next(found.arrived.batches(_MOST_ARRIVED), UidSet())
        self.is_incomplete = len(arrived) < len(found.arrived) or cursor.scan is not None
        if len(arrived) < len(found.arrived):
            found = replace(found, arrived=arrived, uidnext=0)
        return Looked(uidvalidity, found)

    async def _compare_flags(self, session: ImapSession, cursor: Cursor) -> Comparison:
        """Without CONDSTORE: every UID and all flags are asked for, and kept in memory. The first time nothing is known of the flags."""
        current = await _everything(session)
        before, now = self._flags, dict[int, frozenset[str]]()
        for window in current.batches(_FLAGS_AT_ONCE):
            now.update(await _flags_of(session, window))
        self._flags = now
        changed = [uid for uid, flags in now.items() if uid in cursor.uids and before.get(uid, flags) != flags] if before else []
        return Comparison(0, 0, cursor.uids - current, UidSet(changed), current - cursor.uids, 0, {})


async def baseline(session: ImapSession, look: Look, mailbox: str, account: str, name: str) -> Cursor:
    """A cursor at this moment: what is there now is known, what comes is not."""
    command = _Counts(mailbox, session, condstore="CONDSTORE" in session.capabilities)
    status = await session.execute(command)
    uidvalidity = _uidvalidity(session, status)
    there = await _everything(session)
    uidnext = int(status.get("UIDNEXT") or (there.last or 0) + 1)
    if there and (there.last or 0) >= uidnext:
        there &= UidSet(range(1, uidnext))  # what arrived between the two questions is news
    look.begin(_counted(status), command.news)
    return Cursor(account, name, uidvalidity, uidnext, int(status.get("HIGHESTMODSEQ") or 0), there)


async def rows_of(session: ImapSession, uids: UidSet) -> dict[int, Row]:
    """What these messages have now; those that are gone are left out."""
    found: list[Fetch] = []
    await session.execute(UidFetch(uids, _items(session), found.extend))
    return {row.uid: _row(row) for row in found if row.uid is not None}


# -- questions -----------------------------------------------------------------------------------------------------------------


async def _compare_changes(session: ImapSession, cursor: Cursor, changes: ChangedMessages | None, status: Mapping[str, Any]) -> Comparison:
    highest, uidnext = int(status.get("HIGHESTMODSEQ") or 0), int(status.get("UIDNEXT") or 0)
    if not cursor.uids:
        return Comparison(highest, 0, UidSet(), UidSet(), await _everything(session), uidnext, {})
    if changes is None:
        changes = await session.execute(_changes(session, cursor))
    known = _common(changes.uids, cursor.uids)
    arrived, gone = changes.uids - known, UidSet()
    # Every arrival changes the mailbox and so is among the changes; where UIDs or the count say that something is missing, all are listed.
    fresh = UidSet(range(cursor.uidnext, uidnext)) if uidnext > cursor.uidnext else UidSet()
    if fresh - arrived or len(cursor.uids) + len(arrived) != changes.exists:
        there = await _everything(session)
        arrived = there - cursor.uids
        await asyncio.sleep(0)  # each takes 30 ms where there are fifty thousand gaps
        gone = cursor.uids - there
    rows = {uid: _row(row) for uid, row in changes.rows.items()}
    return Comparison(highest, changes.highest, gone, known, arrived, uidnext, rows)


def _counted(status: Mapping[str, Any]) -> tuple[Any, ...]:
    """What is another as soon as anything changed, on Gmail anything in the account."""
    return tuple(status.get(item) for item in ("UIDVALIDITY", "HIGHESTMODSEQ", "UIDNEXT", "MESSAGES"))


def _changes(session: ImapSession, cursor: Cursor) -> UidFetchChanged:
    return UidFetchChanged(_items(session), cursor.highestmodseq, most=WINDOW, exists=lambda: session.state.exists)


async def _everything(session: ImapSession) -> UidSet:
    return await search(session, *criteria(Q.all))


async def _flags_of(session: ImapSession, uids: UidSet) -> dict[int, frozenset[str]]:
    found: dict[int, frozenset[str]] = {}

    def take(rows: list[Fetch]) -> None:
        found.update((row.uid, _lasting(row.flags)) for row in rows if row.uid is not None)

    await session.execute(UidFetch(uids, ("FLAGS",), take))
    return found


class _Counts(StatusCommand):
    """STATUS of the mailbox that is selected, and how much news had been heard when it was answered."""

    def __init__(self, mailbox: str, session: ImapSession, *, condstore: bool) -> None:
        items = ("MESSAGES", "UIDNEXT", "UIDVALIDITY")
        super().__init__(mailbox, (*items, "HIGHESTMODSEQ") if condstore else items)
        self._session = session
        self.news = 0

    def finish(self, tagged: Tagged) -> Mapping[str, Any]:
        self.news = self._session.news
        return super().finish(tagged)


async def _both(session: ImapSession, status: _Counts, changes: UidFetchChanged) -> tuple[Mapping[str, Any], ChangedMessages]:
    """Two questions in one round trip."""
    first, second = session.submit(status), session.submit(changes)
    try:
        return await first.future, await second.future
    except asyncio.CancelledError:
        session.protocol.queue.cancel(second)
        session.protocol.queue.cancel(first)
        raise


def _uidvalidity(session: ImapSession, status: Mapping[str, Any]) -> int:
    """That of the mailbox, which must be that of the session too: a mailbox of the same name may have taken its place."""
    told = status.get("UIDVALIDITY")
    selected = session.state.uidvalidity
    if told is not None and told != selected:
        session.abort()
        raise Disconnected("watch: the mailbox was deleted and made anew; it is selected again", outcome=Outcome.NOT_APPLIED)
    return selected


def _common(few: UidSet, many: UidSet) -> UidSet:
    """Those in both; a small set is looked up, so that a mailbox of a million messages costs nothing."""
    return UidSet([uid for uid in few if uid in many]) if len(few) < _FEW else few & many


def _items(session: ImapSession) -> Sequence[str]:
    items = ["FLAGS"]
    if "CONDSTORE" in session.capabilities:
        items.append("MODSEQ")
    if "X-GM-EXT-1" in session.capabilities:
        items += ["X-GM-THRID", "X-GM-MSGID", "X-GM-LABELS"]
    return items


def _lasting(flags: frozenset[str] | None) -> frozenset[str]:
    r"""Those that are the message's: ``\Recent`` is a session's (RFC 3501 section 2.3.2)."""
    if flags is None:
        return frozenset()
    return flags - _RECENT if flags >= _RECENT else flags


def _row(row: Fetch) -> Row:
    labels = row.get("X-GM-LABELS")
    return Row(
        row.number("MODSEQ") or 0,
        _lasting(row.flags),
        labels if isinstance(labels, frozenset) else frozenset(),
        row.number("X-GM-MSGID"),
        row.number("X-GM-THRID"),
    )
