"""The supervisor: the only loop of the library that sleeps and tries again."""

from __future__ import annotations

from .backoff import Backoff
from .events import ConnectionEvent, Events, EventStream
from .expiry import AHEAD
from .opening import Session
from .policy import Decision, decide
from .states import Happening, State, next_state
from .supervisor import Supervisor

__all__ = [
    "AHEAD",
    "Backoff",
    "ConnectionEvent",
    "Decision",
    "EventStream",
    "Events",
    "Happening",
    "Session",
    "State",
    "Supervisor",
    "decide",
    "next_state",
]
