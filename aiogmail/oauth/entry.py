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

__all__ = ["FLOOR", "Entry", "Flight", "Obtained", "again", "dated"]

FLOOR = 1.0
"""A token with less left, in seconds, is dead: on its way to the server it would die."""

_RETRY_FIRST, _RETRY_MOST = 1.0, 60.0
_REFUSED_FIRST, _REFUSED_MOST = 10.0, 900.0
_JITTER = 0.1
_LOGINS = 4
"""So many former logins of an identity are remembered."""


@dataclass(frozen=True, slots=True)
class Obtained:
    """A token as it was got, not yet dated.

    Attributes:
        access_token, scopes, token_type: as in :class:`Token`.
        left: how long it lives from now, in seconds.
        lifetime: how long it lived in all, where that is known; else the same as ``left``.
        since: the reading of the cache's clock that ``left`` counts from: when the request was sent. A machine that was suspended
            while the reply was under way must not believe in that time. ``None``: now.
        borrowed: it was taken though it is due itself, because nothing else was at hand: to be refreshed at once, by nobody waited for.
    """

    access_token: Secret
    left: float
    lifetime: float
    scopes: tuple[str, ...] = ()
    token_type: str = "Bearer"  # noqa: S105 - no password
    since: float | None = None
    borrowed: bool = False


@dataclass(slots=True, eq=False)
class Flight:
    """One refresh under way, owned by the cache. Its waiters share ``done``; it is never cancelled through one of them.

    Attributes:
        want: the life in seconds that was asked for.
        done: the new token, or the error as a value.
        started: the reading of the cache's clock.
        task: who does it.
    """

    want: float
    done: asyncio.Future[Token | GmailError]
    started: float = 0.0
    task: asyncio.Task[None] | None = None


class _Login:
    """What belongs to one set of credentials of an identity: its refresh under way, its line of refresh tokens, its last failure."""

    __slots__ = ("credentials", "failure", "flight", "refresh_token", "retry_at", "seen", "tries", "version")

    credentials: Credentials
    flight: Flight | None
    failure: GmailError | None
    tries: int
    retry_at: float
    refresh_token: Secret | None
    version: int
    seen: int

    def begin(self, credentials: Credentials) -> None:
        """Nothing has happened yet."""
        self.credentials = credentials
        self.flight = None
        self.failure, self.tries, self.retry_at = None, 0, -math.inf
        self.refresh_token = None  # the newest of a rotating line, where this process knows one
        self.version = 0  # of the stored record that it stands in
        self.seen = 0  # the version of the stored record that was looked at in vain

    def take(self, other: _Login) -> None:
        """Become a copy of another."""
        for name in _Login.__slots__:
            setattr(self, name, getattr(other, name))

    def fail(self, error: GmailError, now: float, spread: float) -> None:
        """Remember a failed refresh; ``spread`` is a random number from 0 to 1."""
        self.failure = error.with_traceback(None)
        first, most = (_RETRY_FIRST, _RETRY_MOST) if error.retryable else (_REFUSED_FIRST, _REFUSED_MOST)
        delay = min(first * 2.0 ** min(self.tries, 20), most) * (0.75 + 0.25 * spread)
        self.tries += 1
        self.retry_at = now + max(delay, getattr(error, "retry_after", None) or 0.0)


class Entry(_Login):
    """One identity: its token, and the login that is in use."""

    __slots__ = ("address", "deadline", "due", "half", "identity", "look_at", "others", "rejected", "token", "used")

    def __init__(self, identity: tuple[Hashable, ...], address: str, credentials: Credentials) -> None:
        self.identity = identity
        self.address = address
        self.begin(credentials)
        self.others: tuple[_Login, ...] = ()  # logins that were in use before, the latest first
        self.token: Token | None = None
        self.deadline = -math.inf
        self.half = math.inf  # half of the token's life: the most that any min_ttl demands
        self.used = -math.inf
        self.look_at = -math.inf  # when a refusal is compared with the store next
        self.due = math.inf  # when the scheduler looks at it next
        self.rejected: Secret | None = None  # an access token that the server refused

    def __repr__(self) -> str:
        return f"<Entry {self.address} deadline={self.deadline:.0f} tries={self.tries}>"

    def enough(self, now: float, min_ttl: float) -> bool:
        """Whether the token has ``min_ttl`` seconds left, which counts as at most half of its life."""
        left = self.deadline - now
        return left > min_ttl >= 0 or left > self.half

    def renew(self, credentials: Credentials) -> None:
        """Other credentials for the same identity, after a new login: what the old ones were refused for is over.

        The old login is not forgotten: two consumers may use one each, and its failures and its refresh tokens are its own.
        """
        old = _Login()
        old.take(self)
        again = next((login for login in self.others if login.credentials == credentials), None)
        rest = [login for login in self.others if login is not again]
        self.others = (old, *rest)[:_LOGINS]
        if again is not None:
            self.take(again)
        else:
            self.begin(credentials)  # the refresh under way ends by itself, for those who wait for it

    def login_of(self, credentials: Credentials) -> _Login | None:
        """What belongs to these credentials, compared by value."""
        if self.credentials == credentials:
            return self
        return next((login for login in self.others if login.credentials == credentials), None)

    def login_with(self, flight: Flight) -> _Login | None:
        """The login that a refresh belongs to."""
        return next((login for login in (self, *self.others) if login.flight is flight), None)

    def replace(self, got: Obtained, now: float, wall: float) -> Token:
        """Take a new token."""
        token = self.token = dated(got, now, wall)
        self.deadline, self.half = token.deadline, got.lifetime / 2
        self.failure, self.tries, self.retry_at, self.rejected = None, 0, -math.inf, None
        return token

    def drop(self) -> None:
        """Forget the token."""
        self.token, self.deadline, self.half = None, -math.inf, math.inf

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


def dated(got: Obtained, now: float, wall: float) -> Token:
    """The token, with the end of its life by both clocks."""
    left = got.left - (0.0 if got.since is None else now - got.since)
    return Token(got.access_token, datetime.fromtimestamp(wall + left, UTC), now + left, got.scopes, got.token_type)


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
