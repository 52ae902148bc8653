"""This went wrong: again, later, or not at all? Decided from what every error carries and from the work's effect."""

from __future__ import annotations

from dataclasses import dataclass

from aiogmail.errors import CommandError, ConnectFailed, GmailError, TokenEndpointError
from aiogmail.ports import Effect, Outcome

__all__ = ["MAX_REPLAYS", "Decision", "decide", "floor_of", "may_reopen"]

MAX_REPLAYS = 3
"""A piece of work that makes no progress is run again this often at most (semantics.md, replay preconditions)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to run again, and after how many seconds at least."""

    again: bool
    delay: float = 0.0


_NO = Decision(again=False)


def decide(error: GmailError, effect: Effect, replays: int) -> Decision:
    """What to do with work that failed.

    Args:
        error: how it failed. ``retryable`` says whether trying again can help at all, ``outcome`` what is known of its effect.
        effect: what the work declared that a second run would do.
        replays: how often this work was run again already, without progress.
    """
    if not error.retryable or replays >= MAX_REPLAYS:
        return _NO
    untouched = error.outcome is Outcome.NOT_APPLIED
    if effect in (Effect.VERIFIABLE, Effect.NEVER) and not untouched:
        # A verifiable work settles its own unknown outcomes: what still leaves it must reach the caller.
        return _NO
    return Decision(again=True, delay=floor_of(error))


def may_reopen(error: GmailError) -> bool:
    """Whether opening a session again can succeed without anybody changing anything."""
    if isinstance(error, ConnectFailed):
        return not error.permanent
    return error.retryable


def floor_of(error: GmailError) -> float:
    """Seconds that the cause of an error is known to last."""
    if isinstance(error, CommandError | TokenEndpointError):
        return error.retry_after or 0.0
    return 0.0
