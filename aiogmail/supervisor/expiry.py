"""When is a session's successor due, and has the machine been asleep? Pure: every reading of time is given."""

from __future__ import annotations

import math

__all__ = ["AHEAD", "Drift", "due_at"]

AHEAD = 300.0
"""Sessions ask for a token with so many seconds left; a successor is opened when less is left, so that it gets another token."""

_JUMP = 5.0


def due_at(expires_at: float | None, now: float, spread: float) -> float:
    """When a session's successor is to be opened, as a reading of the clock; ``inf``: never.

    It is at 60 to 90 % of :data:`AHEAD` before its end, or of half of its life where that is shorter: then a token cache, which
    counts a wish for seconds of life as at most half of the token's, gives another token than the old.

    Args:
        expires_at: when the session ends, as a reading of the clock; ``None``: it does not.
        now: the reading of the clock when it was opened.
        spread: a random number from 0 to 1: what was opened together is not rotated at once.
    """
    if expires_at is None:
        return math.inf
    ahead = min(AHEAD, max(0.0, expires_at - now) / 2)
    return expires_at - ahead * (0.6 + 0.3 * spread)


class Drift:
    """Tells whether a clock that goes on during suspend has run ahead of the event loop's, which does not."""

    __slots__ = ("_offset",)

    def __init__(self, clock: float, loop: float) -> None:
        self._offset = clock - loop

    def jumped(self, clock: float, loop: float) -> bool:
        """Whether the machine was asleep since this last said so."""
        offset = clock - loop
        if offset - self._offset <= _JUMP:
            self._offset = min(offset, self._offset)
            return False
        self._offset = offset
        return True
