"""What is to be told, in which order, and where does each event leave the cursor? Pure: one comparison of a mailbox with a cursor."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, replace

from .cursor import Cursor
from .events import Arrived, Changed, Event, Gone
from .uidset import UidSet

__all__ = ["WINDOW", "Comparison", "Plan", "Row"]

WINDOW = 256
"""Messages whose rows are held at once."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a message has now.

    Attributes:
        modseq: 0 on servers without CONDSTORE.
        flags, labels, gmail_id, thread_id: as in :class:`.events.Arrived`.
    """

    modseq: int
    flags: frozenset[str]
    labels: frozenset[str]
    gmail_id: int | None
    thread_id: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a mailbox has that a cursor does not, and the other way round.

    Attributes:
        highest: the mailbox's highest mod-sequence from before anybody looked; 0 on servers without CONDSTORE.
        seen: the highest mod-sequence among what was looked at. Every change up to the lower of the two is among ``changed``:
            what the server counts may be ahead of what it shows, and what it shows may be newer than the count.
        gone: messages of the cursor that are no longer there.
        changed: messages of the cursor that may have changed.
        arrived: messages that the cursor does not know.
        uidnext: every message below this UID is known, or among them; 0: there are more than those.
        rows: what some of them have now.
    """

    highest: int
    seen: int
    gone: UidSet
    changed: UidSet
    arrived: UidSet
    uidnext: int
    rows: dict[int, Row]


class Plan:
    """Events to be told, one by one: who is gone, what changed, who arrived, each by ascending UID.

    Args:
        cursor: up to where all was told.
        found: what there is to tell.

    Attributes:
        cursor: up to where all is told by now.
        wanted: UIDs whose rows are needed before anything more can be told; empty: none are.
        is_done: everything was told.
    """

    def __init__(self, cursor: Cursor, found: Comparison) -> None:
        self.cursor = cursor
        self.wanted = UidSet()
        self.is_done = False
        changed, arrived = found.changed - found.gone, found.arrived
        self._uidnext = found.uidnext
        self._scanned = max(cursor.highestmodseq, min(found.highest, found.seen))
        if cursor.scan is not None:
            # A plan that was cut in the middle of its changes is told to its end first. What is newer is for the next one, and so are
            # arrivals, behind which the cursor would say that all changes were told.
            self._scanned, to = cursor.scan
            changed -= UidSet(range(1, to + 1)) if to else UidSet()
            arrived, self._uidnext = UidSet(), 0
        # Who knows no message has missed no change; else what an arrival's row tells may be ahead of what was looked at.
        self._at_most = self._scanned if cursor.uids else found.highest
        self._last_changed = changed.last
        self._rows = found.rows
        self._gone = iter(found.gone)
        self._windows = itertools.chain(
            ((False, window) for window in changed.batches(WINDOW)), ((True, window) for window in arrived.batches(WINDOW))
        )
        self._todo: deque[int] = deque()
        self._arriving = False

    def provide(self, rows: dict[int, Row]) -> None:
        """What was found of the UIDs that were :attr:`wanted`: those without a row are gone by now."""
        self._rows.update(rows)
        self.wanted = UidSet()

    def next(self) -> Event | None:
        """The next event; ``None`` when rows are wanted, or all is told."""
        while not self.is_done:
            uid = next(self._gone, None)
            if uid is not None:
                self.cursor = self.cursor.after_gone(uid)
                return Gone(uid=uid, cursor=self.cursor)
            if self.wanted:
                return None
            if not self._todo:
                self._next_window()
            elif event := self._of(self._todo.popleft()):
                return event
        return None

    def _next_window(self) -> None:
        arriving, window = next(self._windows, (True, UidSet()))
        if arriving and not self._arriving:
            self._arriving = True
            self.cursor = self.cursor.settled(self._scanned)
        self._todo.extend(window)
        if not window:
            self.cursor = replace(self.cursor, uidnext=max(self.cursor.uidnext, self._uidnext))
            self.is_done = True
        self.wanted = UidSet([uid for uid in window if uid not in self._rows])

    def _of(self, uid: int) -> Event | None:
        row = self._rows.pop(uid, None)
        if row is None:
            return None
        if self._arriving:
            self.cursor = self.cursor.after_arrived(uid, row.modseq, self._at_most)
            return _event(Arrived, uid, row, self.cursor)
        if row.modseq and self.cursor.was_told(uid, row.modseq):
            return None
        self.cursor = self.cursor.after_changed(uid, row.modseq, self._scanned)
        if uid == self._last_changed:
            self.cursor = self.cursor.settled(self._scanned)
        return _event(Changed, uid, row, self.cursor)


def _event(kind: type[Arrived | Changed], uid: int, row: Row, cursor: Cursor) -> Event:
    return kind(
        uid=uid, cursor=cursor, gmail_id=row.gmail_id, thread_id=row.thread_id, flags=row.flags, labels=row.labels, modseq=row.modseq
    )
