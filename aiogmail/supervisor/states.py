"""What can a supervised connection be, and what may happen to it?

The machine is the table; the supervisor asks it before it acts, so that a happening in a state where it has no business
is a bug that shows at once.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from aiogmail.errors import StateError

__all__ = ["TABLE", "Happening", "State", "next_state"]


class State(enum.Enum):
    """Where a supervisor stands."""

    NEW = "new"
    CONNECTING = "connecting"
    READY = "ready"
    BACKOFF = "back-off"
    FAILED = "failed"
    CLOSING = "closing"
    CLOSED = "closed"


class Happening(enum.Enum):
    """What moves it."""

    OPEN = "open"
    """Somebody wants a session."""
    CONNECTED = "connected"
    LOST = "lost"
    """The session is gone."""
    REFUSED = "refused"
    """An opening failed and another may succeed."""
    RETRY = "retry"
    """The back-off is over."""
    GAVE_UP = "gave up"
    """An opening failed and no other can succeed until somebody changes something."""
    CLOSE = "close"
    ENDED = "ended"
    """Everything is closed."""


def _table() -> Mapping[tuple[State, Happening], State]:
    s, h = State, Happening
    table = {
        (s.NEW, h.OPEN): s.CONNECTING,
        (s.CONNECTING, h.CONNECTED): s.READY,
        (s.CONNECTING, h.REFUSED): s.BACKOFF,
        (s.CONNECTING, h.GAVE_UP): s.FAILED,
        (s.READY, h.LOST): s.BACKOFF,
        (s.BACKOFF, h.RETRY): s.CONNECTING,
        (s.BACKOFF, h.GAVE_UP): s.FAILED,
        (s.FAILED, h.OPEN): s.CONNECTING,
        (s.CLOSING, h.ENDED): s.CLOSED,
    }
    for state in (s.NEW, s.CONNECTING, s.READY, s.BACKOFF, s.FAILED):
        table[state, h.CLOSE] = s.CLOSING
    return MappingProxyType(table)


TABLE = _table()


def next_state(state: State, happening: Happening) -> State:
    """The state that follows.

    Raises:
        StateError: the table has no such cell.
    """
    try:
        return TABLE[state, happening]
    except KeyError:
        raise StateError(f"a connection that is {state.value} cannot be {happening.value!r}") from None
