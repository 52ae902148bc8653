"""How does a session log in with a token that may have died? Where it is refused, once more with a fresh one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from .errors import TokenRefused
from .ports import Credential, CredentialSource

__all__ = ["authenticate"]

T = TypeVar("T")


async def authenticate(
    attempt: Callable[[Credential, TokenRefused | None], Awaitable[T]],
    credential: Credential,
    credentials: CredentialSource,
    min_ttl: float,
) -> tuple[Credential, T]:
    """Await ``attempt(credential, None)``; where that is refused, ``attempt(fresh, refusal)`` on the same connection.

    Args:
        attempt: one AUTHENTICATE or AUTH; given the refusal of the one before it, if there was one.
        credential: the first to be tried.
        credentials: told of every refusal, and asked for another credential.
        min_ttl: seconds of life wanted of that.

    Returns:
        The credential that was taken, and what its attempt returned.

    Raises:
        TokenRefused: no credential was taken, or there is no other. The session is of no use then, and the error says so.
    """
    try:
        return credential, await attempt(credential, None)
    except TokenRefused as refusal:
        _refused(credential, credentials, refusal)
        fresh = await credentials.get(min_ttl)
        if fresh.secret == credential.secret:
            raise
        try:
            return fresh, await attempt(fresh, refusal)
        except TokenRefused as again:
            _refused(fresh, credentials, again)
            raise


def _refused(credential: Credential, credentials: CredentialSource, refusal: TokenRefused) -> None:
    credentials.refused(credential)
    refusal.connection_lost = True
