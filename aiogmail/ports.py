"""By what do the blind wings meet? A few protocols and enums, and nothing that does I/O."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from .secret import Secret

__all__ = ["Credential", "CredentialSource", "Effect", "Keeper", "Outcome", "Runner", "Settler"]

S_contra = TypeVar("S_contra", contravariant=True)
S_co = TypeVar("S_co", covariant=True)
T = TypeVar("T")


class Effect(enum.Enum):
    """What running a piece of work twice would do; the supervisor replays by it."""

    PURE = "pure"
    """Changes nothing: run it again."""
    IDEMPOTENT = "idempotent"
    """A second run ends where the first did, on the same UIDVALIDITY: run it again after that check."""
    VERIFIABLE = "verifiable"
    """A second run might double: the work itself asks the server what happened before it repeats anything."""
    NEVER = "never"
    """Never run again once a byte of it may have left."""


class Outcome(enum.Enum):
    """What is known about the effect of a call that failed."""

    NOT_APPLIED = "not applied"
    APPLIED = "applied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a session authenticates with, valid at the moment it was handed out.

    Attributes:
        mechanism: the SASL mechanism: ``"XOAUTH2"``, ``"OAUTHBEARER"`` or ``"PLAIN"``.
        secret: the access token or the app password.
        expires_at: when the secret dies, as a reading of :meth:`aiogmail.clock.Clock.now`; ``None``: it does not.
    """

    mechanism: str
    secret: Secret
    expires_at: float | None = None


class CredentialSource(Protocol):
    """Where a session gets its credential; ``client/`` makes one over the token cache."""

    async def get(self, min_ttl: float) -> Credential:
        """A credential with at least ``min_ttl`` seconds of life (at most half the lifetime is ever demanded)."""
        ...

    def refused(self, credential: Credential) -> None:
        """The server refused this credential: do not hand it out again."""
        ...


class Runner(Protocol[S_co]):
    """Runs work on a session, and again on the next one where the error and the effect allow it."""

    async def run(self, work: Callable[[S_co], Awaitable[T]], effect: Effect) -> T:
        """Await ``work(session)``; replay it by ``effect`` when the session is lost on the way."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait between two runs, a turn of the loop at least. Closing ends it, and it raises what a run would: nobody waits for what cannot come."""
        ...


class Keeper(Runner[S_co], Protocol[S_co]):
    """A runner that is opened and closed: what keeps a session for a mailbox."""

    async def open(self) -> None:
        """Open the first session."""
        ...

    async def aclose(self, timeout: float | None = None) -> None:
        """End running work within ``timeout`` seconds, then close the session."""
        ...

    def busy(self) -> AbstractContextManager[None]:
        """What is several runs, and counts as running from the first to the last."""
        ...


class Settler(Protocol[S_contra]):
    """Finds out what became of an operation whose reply was lost."""

    async def settle(self, operation: S_contra, timeout: float) -> Outcome | Any:
        """Ask the server within ``timeout`` seconds; ``Outcome.UNKNOWN`` when it cannot be known."""
        ...
