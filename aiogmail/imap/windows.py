"""Which UIDs are asked for next, and how many at once? Pure: what a fetch still has to do."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from .uidset import UidSet

__all__ = ["Windows"]

_FIRST_ROWS = 256
_MOST_ROWS = 4096
_BLIND_ROWS = 1
_PROBE_ROWS = 1000
_MOST_RANGES = 500
"""A range takes 22 characters at most: so a window's command line stays below ``Limits.command_line``."""


class Windows:
    """Which UIDs are still to be asked for, and how many at once?

    Where bodies are fetched the sizes are asked for first, a thousand UIDs at a time and one step ahead, so that a window
    is no larger than half the budget unless it is a single message: what is on its way may have to be taken in whole when a
    command waits behind it. The very first message is asked for together with the sizes.
    """

    def __init__(self, uids: UidSet, budget: int, *, bodies: bool) -> None:
        self._seen_to = uids.ranges[-1][1] if uids else 0
        self._ranges = deque(uids.ranges)
        self._again: deque[UidSet] = deque()
        self._budget = budget
        self._bodies = bodies
        self._blind = bodies
        self._sizes: dict[int, int] = {}
        self._known_to = 0
        self._single = budget
        """The size of the single message of the latest window; the budget, if it is not known."""
        self._probing = False

    def extend(self, uids: UidSet) -> None:
        """It has turned out what there is: ask for what lies above what was asked for on a guess."""
        rest = uids - UidSet(range(1, self._seen_to + 1)) if self._seen_to else uids
        self._ranges.extend(rest.ranges)
        self._blind = self._bodies

    @property
    def is_empty(self) -> bool:
        """Whether everything was asked for."""
        return not self._ranges and not self._again

    # -- sizes -------------------------------------------------------------------------------------------------------------

    def next_probe(self) -> UidSet:
        """UIDs whose sizes to ask for now; empty: none."""
        if not self._bodies or self._blind or self._probing or len(self._sizes) > _PROBE_ROWS // 2:
            return UidSet()
        chosen: list[range] = []
        count = 0
        for first, last in self._ranges:
            start = max(first, self._known_to + 1)
            if start <= last:
                stop = min(last, start + _PROBE_ROWS - count - 1)
                chosen.append(range(start, stop + 1))
                count += stop - start + 1
                if count >= _PROBE_ROWS or len(chosen) >= _MOST_RANGES:
                    break
        self._probing = bool(chosen)
        return UidSet(chosen)

    def note_size(self, uid: int, size: int) -> None:
        """A size that was asked for."""
        self._sizes[uid] = size

    def probed(self, last: int = 0) -> None:
        """All sizes up to this UID have come; 0: the asking came to nothing."""
        self._probing = False
        if last:
            self._known_to = last
        else:
            self._sizes = {uid: size for uid, size in self._sizes.items() if uid <= self._known_to}

    # -- windows -----------------------------------------------------------------------------------------------------------

    def next_window(self, mean: float | None) -> UidSet:
        """UIDs to ask for next, in ascending order; empty: none are left, or their sizes are not known yet."""
        if self._again:
            return self._again.popleft()
        if self._blind:
            self._blind = False
            window = UidSet(self._take(_BLIND_ROWS))
            self._known_to = window.ranges[-1][1] if window else 0
            return window
        if self._bodies:
            return UidSet(self._take_sized())
        rows = _FIRST_ROWS if mean is None else int(self._budget / 2 / max(1.0, mean))
        return UidSet(self._take(max(16, min(_MOST_ROWS, rows))))

    def _take(self, count: int) -> list[range]:
        taken: list[range] = []
        while count and self._ranges and len(taken) < _MOST_RANGES:
            first, last = self._ranges.popleft()
            stop = min(last, first + count - 1)
            taken.append(range(first, stop + 1))
            count -= stop - first + 1
            if stop < last:
                self._ranges.appendleft((stop + 1, last))
        return taken

    def _take_sized(self) -> list[range]:
        """As many as fit the budget, of those whose sizes are known; one at least."""
        taken: list[range] = []
        count = total = 0
        while self._ranges and len(taken) < _MOST_RANGES:
            first, last = self._ranges[0]
            stop = first  # behind the last one taken
            for uid in range(first, min(last, self._known_to) + 1):
                size = self._sizes.get(uid, self._budget)
                total += size
                if count and (total > self._budget // 2 or count >= _MOST_ROWS):
                    break
                self._sizes.pop(uid, None)
                self._single = size
                count += 1
                stop = uid + 1
            if stop > first:
                taken.append(range(first, stop))
                self._ranges.popleft()
                if stop <= last:
                    self._ranges.appendleft((stop, last))
            if stop <= last:
                break
        return taken

    def is_small(self, window: UidSet) -> bool:
        """Whether the rows of the latest window are little enough to be read and dropped: all but a large message are."""
        return not self._bodies or len(window) > 1 or self._single < self._budget

    def asks_again_below(self, uid: int) -> bool:
        """Whether something below this UID is to be asked for again."""
        return bool(self._again) and self._again[0].ranges[0] < (uid, uid)

    def put_back(self, uids: Iterable[int]) -> None:
        """Ask for these again, before anything else."""
        self._insert(UidSet(uids))

    def put_back_halved(self, uids: Iterable[int]) -> bool:
        """Ask for these again in two halves. False: there is but one."""
        again = UidSet(uids)
        if len(again) < 2:
            return False
        for half in again.batches((len(again) + 1) // 2):
            self._insert(half)
        return True

    def _insert(self, again: UidSet) -> None:
        if again:
            self._again = deque(sorted((*self._again, again), key=lambda window: window.ranges[0]))
