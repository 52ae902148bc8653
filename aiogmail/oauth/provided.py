"""What does a token come to that was made elsewhere? Fetched from google-auth or the user's own code, and checked."""

from __future__ import annotations

import asyncio
from datetime import datetime

from aiogmail.clock import Clock
from aiogmail.errors import ConfigurationError, GmailError, TokenEndpointError
from aiogmail.secret import Secret

from .credentials import GoogleAuthCredentials, TokenProvider
from .entry import Obtained
from .failure import scrub
from .googleauth import refresh_google
from .token import MAX_LIFETIME, is_token_text

__all__ = ["provided"]


async def provided(credentials: TokenProvider | GoogleAuthCredentials, clock: Clock, timeout: float) -> Obtained:
    """A token that somebody else got, within so many seconds.

    Raises:
        ConfigurationError: what was given is no token with a time at which it ends.
        GmailError: none was given.
    """
    if isinstance(credentials, TokenProvider):
        return await _fetched(credentials, clock, timeout)
    token, expires_at = await refresh_google(credentials, timeout)
    return _checked("google-auth", token, expires_at, clock)


async def _fetched(credentials: TokenProvider, clock: Clock, timeout: float) -> Obtained:
    try:
        async with asyncio.timeout(timeout):
            answer = await credentials.fetch()
    except GmailError:
        raise
    except TimeoutError:
        raise TokenEndpointError(f"TokenProvider.fetch gave no token within {timeout:g} s") from None
    except Exception as error:  # noqa: BLE001 - any code of the user's
        told = TokenEndpointError(f"TokenProvider.fetch failed: {type(error).__name__}: {scrub(str(error))}")
    else:
        try:
            token, expires_at = answer
        except (TypeError, ValueError):
            raise ConfigurationError(f"TokenProvider.fetch: expected (token, expires_at), got {type(answer).__name__}") from None
        return _checked("TokenProvider.fetch", token, expires_at, clock)
    raise told


def _checked(source: str, token: str | Secret, expires_at: datetime, clock: Clock) -> Obtained:
    text = token.reveal() if isinstance(token, Secret) else token
    if not is_token_text(text):
        raise ConfigurationError(f"{source}: expected (token, expires_at) with a token of visible ASCII characters")
    if not isinstance(expires_at, datetime) or expires_at.utcoffset() is None:
        raise ConfigurationError(f"{source}: expected (token, expires_at) with an aware datetime, got {expires_at!r}")
    left = min(expires_at.timestamp() - clock.wall(), MAX_LIFETIME)
    if left <= 0:
        raise TokenEndpointError(f"{source} gave a token that expired {abs(left):.0f} s ago")
    return Obtained(Secret(text), left, left)
