"""The supervisor: the only loop of the library that sleeps and tries again."""

from __future__ import annotations

from .backoff import Backoff
from .policy import Decision, decide
from .states import Happening, State, next_state
from .supervisor import Session, Supervisor

__all__ = ["Backoff", "Decision", "Happening", "Session", "State", "Supervisor", "decide", "next_state"]
