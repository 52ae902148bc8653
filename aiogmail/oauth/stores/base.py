"""What does a token store keep, and what must it promise? The protocol, and the record as JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

from aiogmail.oauth.token import MAX_LIFETIME, is_token_text
from aiogmail.secret import Secret

__all__ = ["Cipher", "StoreUnavailable", "StoredToken", "TokenStore", "fingerprint", "from_json", "to_json"]


_FAR = 1e12
"""Seconds since the epoch, some ten thousand years ahead. No NaN is below it, and no int beyond any float."""


_APART = 0.05
"""So far, as a part of a token's life, the wall clocks of machines that share a store may be apart: three minutes of an hour."""


class StoreUnavailable(OSError):
    """A store could not be reached, locked or written. The cache goes on without it and tries again later."""


class Cipher(Protocol):
    """Encrypts what a store writes. ``cryptography.fernet.Fernet(key)`` is one."""

    def encrypt(self, data: bytes) -> bytes:
        """The bytes to write; must be authenticated."""
        ...

    def decrypt(self, token: bytes) -> bytes:
        """The bytes that were given to :meth:`encrypt`; raises any exception for others."""
        ...


@dataclass(frozen=True, slots=True)
class StoredToken:
    """What one identity has between two processes, or between two lives of one.

    Attributes:
        version: 1 for the first record of an identity, and one more for each that replaces another.
        origin: :func:`fingerprint` of the refresh token that the person gave: shows whether the record descends from it.
        refresh_token: the newest of its line; ``None`` for service accounts.
        access_token: shared by all who use the store; ``None`` where it was left out.
        expires_at: when the access token dies, in seconds since the epoch.
        lifetime: its whole life, in seconds. Where a wall clock was set back, this bounds what is believed; machines that
            share a store may be a twentieth of it apart.
        scopes, token_type: as in :class:`~aiogmail.oauth.token.Token`.
    """

    version: int
    origin: str
    refresh_token: Secret | None
    access_token: Secret | None
    expires_at: float
    lifetime: float
    scopes: tuple[str, ...] = ()
    token_type: str = "Bearer"  # noqa: S105 - no password

    def left(self, wall: float) -> float:
        """Seconds the access token may still be believed in, by the wall clock; not above 0: it is dead."""
        left = self.expires_at - wall
        # Somewhat more left than its whole life: the clocks of two machines differ; it has its whole life at most. Much more: the
        # clock was set back since, and nothing is known.
        if self.access_token is None or left > self.lifetime + max(_APART * self.lifetime, 1.0):
            return 0.0
        return min(left, self.lifetime)


class TokenStore(Protocol):
    """Keeps one record per key. ``aiogmail.oauth.stores`` has four; a class of your own needs these seven methods.

    All may raise :class:`StoreUnavailable` (or any ``OSError``): the cache then goes on without the store, and what it could
    not write it keeps and writes later. :class:`~aiogmail.errors.ConfigurationError` says that a person must act. A record that
    cannot be read counts as none, but must not be destroyed.
    """

    async def load(self, key: str) -> StoredToken | None:
        """The record, or ``None``."""
        ...

    async def save(self, key: str, token: StoredToken, *, replaces: int) -> bool:
        """Write the record if the one there has the version ``replaces`` (0: none is there), and say whether it was written."""
        ...

    async def acquire(self, key: str, ttl: float) -> object | None:
        """Try to become the one who refreshes this key: a lease, or ``None`` while another has it. Never waits for the other.

        A lease ends by :meth:`release`, with the death of the process that holds it, or after ``ttl`` seconds: whichever of the
        latter two the store can see. A holder that outlives its lease is stopped by the version in :meth:`save`.
        """
        ...

    async def release(self, key: str, lease: object) -> None:
        """End a lease; one that has ended already is no error."""
        ...

    async def extend(self, key: str, lease: object, ttl: float) -> bool:
        """Let a lease end ``ttl`` seconds from now instead; ``False``: it has ended already, and another may have one."""
        ...

    async def delete(self, key: str) -> None:
        """Forget the record, after its tokens were revoked. None there is no error."""
        ...

    async def aclose(self) -> None:
        """Give up connections and the like. A later call of any method opens them again."""
        ...


def fingerprint(refresh_token: Secret | None) -> str:
    """Tells two refresh tokens apart and gives nothing away: they are long and random, and this is one half of a SHA-256."""
    return "" if refresh_token is None else hashlib.sha256(b"aiogmail\0" + refresh_token.reveal().encode()).hexdigest()[:32]


def to_json(token: StoredToken) -> dict[str, Any]:
    """The record as a JSON object, with its secrets."""
    return {
        "version": token.version,
        "origin": token.origin,
        "refresh_token": token.refresh_token and token.refresh_token.reveal(),
        "access_token": token.access_token and token.access_token.reveal(),
        "expires_at": token.expires_at,
        "lifetime": token.lifetime,
        "scopes": list(token.scopes),
        "token_type": token.token_type,
    }


def from_json(value: Any) -> StoredToken:
    """The record of a JSON object, or of its text.

    Raises:
        ValueError: it is no such record. The text never quotes it.
    """
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one error for every unreadable record
    version = value.get("version")
    scopes, origin, token_type = value.get("scopes"), value.get("origin"), value.get("token_type")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError("no version")
    lifetime, expires_at = _number(value.get("lifetime")), _number(value.get("expires_at"))
    if not 0 < lifetime <= MAX_LIFETIME:
        raise ValueError("no expiry")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise ValueError("no scopes")
    if not isinstance(origin, str) or not isinstance(token_type, str):
        raise ValueError("no origin or token_type")  # noqa: TRY004 - one error for every unreadable record
    refresh_token, access_token = _secret(value.get("refresh_token")), _secret(value.get("access_token"))
    return StoredToken(version, origin, refresh_token, access_token, expires_at, lifetime, tuple(scopes), token_type)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _FAR:
        raise ValueError("no number")
    return float(value)


def _secret(value: Any) -> Secret | None:
    if value is None:
        return None
    if not is_token_text(value):
        raise ValueError("a token that is none")
    return Secret(value)
