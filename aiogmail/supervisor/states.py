"""What can a supervised connection be, and what may happen to it?

The machine is the table; the supervisor asks it before it acts, so that a happening in a state where it has no business
is a bug that shows at once.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from aiogmail.errors import StateError

__all__ = ["OPEN_STATES", "TABLE", "Happening", "State", "next_state"]


class State(enum.Enum):
    """Where a supervisor stands."""

    NEW = "new"
    CONNECTING = "connecting"
    READY = "ready"
    EXPIRING = "expiring"
    """The session works, and its end is near: a successor is wanted."""
    ROTATING = "rotating"
    """The session works, and its successor is being opened."""
    BACKOFF = "back-off"
    FAILED = "failed"
    CLOSING = "closing"
    CLOSED = "closed"


class Happening(enum.Enum):
    """What moves it."""

    OPEN = "open"
    """Somebody wants a session."""
    CONNECTED = "connected"
    EXPIRES = "expires"
    """The session's end is near."""
    ROTATE = "rotate"
    """A successor is being opened."""
    LOST = "lost"
    """The session is gone."""
    REFUSED = "refused"
    """An opening failed and another may succeed."""
    RETRY = "retry"
    """The back-off is over."""
    GAVE_UP = "gave up"
    """An opening failed and no other can succeed until somebody changes something."""
    BROKE = "broke"
    """What was not foreseen: a defect of ours."""
    CLOSE = "close"
    ENDED = "ended"
    """Everything is closed."""


OPEN_STATES = frozenset({State.READY, State.EXPIRING, State.ROTATING})
"""Those in which there is a session to work on."""


def _table() -> Mapping[tuple[State, Happening], State]:
    s, h = State, Happening
    table = {
        (s.NEW, h.OPEN): s.CONNECTING,
        (s.CONNECTING, h.CONNECTED): s.READY,
        (s.CONNECTING, h.REFUSED): s.BACKOFF,
        (s.CONNECTING, h.GAVE_UP): s.FAILED,
        (s.READY, h.EXPIRES): s.EXPIRING,
        (s.READY, h.LOST): s.BACKOFF,
        (s.EXPIRING, h.ROTATE): s.ROTATING,
        (s.EXPIRING, h.LOST): s.BACKOFF,
        (s.ROTATING, h.CONNECTED): s.READY,
        (s.ROTATING, h.REFUSED): s.EXPIRING,
        (s.ROTATING, h.LOST): s.CONNECTING,  # the opening that is under way anyway is the reconnection
        (s.BACKOFF, h.RETRY): s.CONNECTING,
        (s.BACKOFF, h.GAVE_UP): s.FAILED,
        (s.FAILED, h.OPEN): s.CONNECTING,
        (s.CLOSING, h.ENDED): s.CLOSED,
    }
    for state in (s.NEW, s.CONNECTING, s.READY, s.EXPIRING, s.ROTATING, s.BACKOFF, s.FAILED):
        table[state, h.CLOSE] = s.CLOSING
    for state in (*OPEN_STATES, s.CONNECTING, s.BACKOFF, s.FAILED):
        table[state, h.BROKE] = s.FAILED
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
