"""What is an access token, and is this reply of a token endpoint one? Pure.

The reply is checked before anything is replaced or stored: one page of a bad gateway must not poison a shared store.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiogmail.secret import Secret

__all__ = ["BadReply", "Reply", "Token", "is_token_text", "parse_object", "read_reply"]

MAX_LIFETIME = 86_400.0
"""No access token is believed to live longer than a day: 86,400 seconds."""

MAX_TOKEN = 16 * 1024
"""The longest token taken, in characters. Google reserves up to 2,048 bytes; signed JWTs of others are longer."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, valid when it was handed out.

    Attributes:
        access_token: the token itself.
        expires_at: when it dies, aware, by the wall clock: to show and to log.
        deadline: when it dies, as a reading of :meth:`aiogmail.clock.Clock.now` of the cache's clock: to compute with.
        scopes: what it opens, as granted; as requested where the server did not say.
        token_type: always ``"Bearer"`` so far.
    """

    access_token: Secret
    expires_at: datetime
    deadline: float
    scopes: tuple[str, ...] = ()
    token_type: str = "Bearer"  # noqa: S105 - no password


@dataclass(frozen=True, slots=True)
class Reply:
    """A token endpoint's answer that passed the schema.

    Attributes:
        access_token: the new token.
        lifetime: how long it lives from now, in seconds; at least 1, at most 86,400.
        refresh_token: the next refresh token where the server rotates them, else ``None``.
        scopes: as granted; ``()`` where the server did not say.
        token_type: as the server wrote it.
    """

    access_token: Secret
    lifetime: float
    refresh_token: Secret | None = None
    scopes: tuple[str, ...] = ()
    token_type: str = "Bearer"  # noqa: S105 - no password


class BadReply(ValueError):
    """The reply is not a token. The text says what was expected, and never holds what was received."""


def is_token_text(value: object) -> bool:
    """Whether a value can be a token: visible ASCII (RFC 6749 appendix A.12), neither empty nor beyond bounds."""
    return isinstance(value, str) and 0 < len(value) <= MAX_TOKEN and value.isascii() and all("!" <= char <= "~" for char in value)


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        BadReply: no JSON, or another kind of value.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadReply("the reply is not a JSON object")
    return value


def read_reply(body: bytes) -> Reply:
    """Read the body of a successful reply (RFC 6749 section 5.1).

    Raises:
        BadReply: a member is missing or is not what the RFC says.
    """
    data = parse_object(body)
    access_token, refresh_token, token_type = data.get("access_token"), data.get("refresh_token"), data.get("token_type")
    if not is_token_text(access_token):
        raise BadReply("the reply has no usable access_token")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise BadReply("the reply's token_type is not Bearer")
    if refresh_token is not None and not is_token_text(refresh_token):
        raise BadReply("the reply's refresh_token is not a token")
    scope = data.get("scope")
    if scope is not None and not isinstance(scope, str):
        raise BadReply("the reply's scope is not a string")
    return Reply(
        Secret(str(access_token)),
        read_lifetime(data.get("expires_in")),
        None if refresh_token is None else Secret(str(refresh_token)),
        tuple((scope or "").split()),
        token_type,
    )


def read_lifetime(value: object) -> float:
    """``expires_in`` in seconds.

    Raises:
        BadReply: missing (it would never be refreshed), not a number, below one second, or beyond a day.
    """
    # Some servers quote the number.
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 6:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - a NaN
        raise BadReply("the reply has no usable expires_in")
    # Below a second it would be refreshed in a circle. Compared before it is converted: an int may be beyond any float.
    if not 1 <= value <= MAX_LIFETIME:
        raise BadReply(f"the reply's expires_in is not between 1 and {MAX_LIFETIME:.0f} seconds")
    return float(value)
