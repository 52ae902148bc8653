"""What is known of one identity's token, and when is something to be done about it? Pure: every reading of time is given."""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiogmail.errors import GmailError, TokenEndpointError
from aiogmail.secret import Secret

from .credentials import Credentials
from .token import Token

__all__ = ["FLOOR", "Entry", "Flight", "Obtained", "again"]

FLOOR = 1.0
"""A token with less left, in seconds, is dead: on its way to the server it would die."""

_RETRY_FIRST, _RETRY_MOST = 1.0, 60.0
_REFUSED_FIRST, _REFUSED_MOST = 10.0, 900.0
_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Obtained:
    """A token as it was got, not yet dated.

    Attributes:
        access_token, scopes, token_type: as in :class:`Token`.
        left: how long it lives from now, in seconds.
        lifetime: how long it lived in all, where that is known; else the same as ``left``.
    """

    access_token: Secret
    left: float
    lifetime: float
    scopes: tuple[str, ...] = ()
    token_type: str = "Bearer"  # noqa: S105 - no password


@dataclass(slots=True, eq=False)
class Flight:
    """One refresh under way, owned by the cache. Its waiters share ``done``; it is never cancelled through one of them.

    Attributes:
        want: the life in seconds that was asked for.
        done: the new token, or the error as a value.
        task: who does it.
    """

    want: float
    done: asyncio.Future[Token | GmailError]
    task: asyncio.Task[None] | None = None


class Entry:
    """One identity: its token, its refresh under way, its last failure."""

    __slots__ = (
        "address",
        "credentials",
        "deadline",
        "due",
        "failure",
        "flight",
        "half",
        "identity",
        "refresh_token",
        "rejected",
        "retry_at",
        "token",
        "tries",
        "used",
        "version",
    )

    def __init__(self, identity: tuple[Hashable, ...], address: str, credentials: Credentials) -> None:
        self.identity = identity
        self.address = address
        self.credentials = credentials
        self.token: Token | None = None
        self.deadline = -math.inf
        self.half = math.inf  # half of the token's life: the most that any min_ttl demands
        self.used = -math.inf
        self.flight: Flight | None = None
        self.failure: GmailError | None = None
        self.tries = 0
        self.retry_at = -math.inf
        self.due = math.inf  # when the scheduler looks at it next
        self.rejected: Secret | None = None  # an access token that the server refused
        self.refresh_token: Secret | None = None  # the newest of a rotating line, where this process knows one
        self.version = 0  # of the stored record that it stands in

    def __repr__(self) -> str:
        return f"<Entry {self.address} deadline={self.deadline:.0f} tries={self.tries}>"

    def enough(self, now: float, min_ttl: float) -> bool:
        """Whether the token has ``min_ttl`` seconds left, which counts as at most half of its life."""
        left = self.deadline - now
        return left > min_ttl >= 0 or left > self.half

    def renew(self, credentials: Credentials) -> None:
        """Other credentials for the same identity, after a new login: what the old ones were refused for is over."""
        self.credentials = credentials
        self.flight = None  # it ends by itself, for those who wait for it
        self.refresh_token, self.version = None, 0
        self.failure, self.tries, self.retry_at = None, 0, -math.inf

    def replace(self, got: Obtained, now: float, wall: float) -> Token:
        """Take a new token."""
        self.token = Token(got.access_token, datetime.fromtimestamp(wall + got.left, UTC), now + got.left, got.scopes, got.token_type)
        self.deadline, self.half = now + got.left, got.lifetime / 2
        self.failure, self.tries, self.retry_at, self.rejected = None, 0, -math.inf, None
        return self.token

    def drop(self) -> None:
        """Forget the token."""
        self.token, self.deadline, self.half = None, -math.inf, math.inf

    def fail(self, error: GmailError, now: float, spread: float) -> None:
        """Remember a failed refresh; ``spread`` is a random number from 0 to 1."""
        self.failure = error.with_traceback(None)
        first, most = (_RETRY_FIRST, _RETRY_MOST) if error.retryable else (_REFUSED_FIRST, _REFUSED_MOST)
        delay = min(first * 2.0 ** min(self.tries, 20), most) * (0.75 + 0.25 * spread)
        self.tries += 1
        self.retry_at = now + max(delay, getattr(error, "retry_after", None) or 0.0)

    def plan(self, now: float, refresh_ahead: float, spread: float) -> float:
        """When the token is to be refreshed ahead: at most at half of its life, spread so that many do not come at once."""
        left = self.deadline - now
        ahead = min(refresh_ahead, self.half) * (1.0 + _JITTER * spread)
        # A source that hands out the same token until its end is asked at half of what is left, not in a circle.
        self.due = now + max(left - ahead, 0.45 * left, 0.5)
        return self.due

    def margin(self, refresh_ahead: float, lifetime: float) -> float:
        """A token of somebody else's making is taken if it has more left than this: none that is due itself."""
        return min(refresh_ahead, lifetime / 2) * (1.0 + _JITTER)

    def in_use(self, now: float) -> bool:
        """Whether anybody asked within the last lifetime (five minutes where tokens live shorter)."""
        return now - self.used <= max(self.half * 2 if math.isfinite(self.half) else 0.0, 300.0)


def again(error: GmailError, wait: float) -> GmailError:
    """A copy of a remembered error, to be raised: each waiter needs its own traceback.

    ``wait`` is how long it is still remembered, in seconds: asking sooner gives the same.
    """
    copied = copy.copy(error)
    copied.__cause__ = error.__cause__
    copied.__suppress_context__ = True
    if isinstance(copied, TokenEndpointError) and wait > 0:
        copied.retry_after = wait
    return copied
