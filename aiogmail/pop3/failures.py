"""What does the server mean by -ERR? A table from its codes (RFC 2449, RFC 3206) and Gmail's words to errors."""

from __future__ import annotations

import re

from aiogmail.errors import (
    AccessDenied,
    CommandError,
    Disconnected,
    GmailError,
    OverQuota,
    SessionExpired,
    Throttled,
    TokenRefused,
    TooManyConnections,
    Unavailable,
)
from aiogmail.sasl import Challenge

from .wire import Status

__all__ = ["auth_error", "command_error", "farewell", "seems_empty"]

_LOCKED = 5.0
_TOO_SOON = 30.0

_BY_CODE: dict[str, tuple[type[CommandError], float | None]] = {
    "SYS/TEMP": (Unavailable, None),
    "IN-USE": (Unavailable, _LOCKED),  # another session holds the mailbox, perhaps one of ours that the server has not missed yet
    "LOGIN-DELAY": (Throttled, _TOO_SOON),
}

_BY_WORDS: tuple[tuple[re.Pattern[str], type[CommandError]], ...] = (
    (re.compile(r"exceeded .*\blimits?\b", re.IGNORECASE), OverQuota),
    (re.compile(r"too many (simultaneous )?connections|maximum number of connections", re.IGNORECASE), TooManyConnections),
    (re.compile(r"temporary system (problem|error)|try again later", re.IGNORECASE), Unavailable),
)

_DENIED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"not enabled for POP", re.IGNORECASE), "switch POP on in Gmail's settings, under Forwarding and POP/IMAP"),
    (re.compile(r"disabled for your domain", re.IGNORECASE), "ask the Workspace administrator to allow POP"),
    (re.compile(r"web (browser|login)", re.IGNORECASE), "sign in once in a browser from this network, then try again"),
    (re.compile(r"application-specific password", re.IGNORECASE), "use OAuth, or an app password with AppPassword"),
    (re.compile(r"insufficient (scope|permission)", re.IGNORECASE), "ask consent for the scope https://mail.google.com/"),
)


def _expired(text: str) -> bool:
    return "session expired" in text.lower()


def command_error(what: str, status: Status) -> GmailError:
    """The error for a command that was answered with ``-ERR``.

    Args:
        what: the command, such as ``"pop.gmail.com:995: RETR"``.
        status: the answer.
    """
    said = f"{what}: the server said {status}"
    if _expired(status.text):
        return SessionExpired(said)
    for pattern, advice in _DENIED:
        if pattern.search(status.text):
            return AccessDenied(f"{said}: {advice}")
    kind, retry_after = _BY_CODE.get(status.code, (None, None))
    if kind is None:
        kind = next((k for pattern, k in _BY_WORDS if pattern.search(status.text)), CommandError)
    return kind(said, status="-ERR", code=status.code, text=status.text, retry_after=retry_after)


def seems_empty(what: str, status: Status) -> Unavailable:
    """The treacherous success ``+OK [SYS/TEMP] … this mailbox will seem empty``: it must not be taken for an empty mailbox."""
    return Unavailable(f"{what}: the server said {status}", status="+OK", code=status.code, text=status.text)


def auth_error(what: str, mechanism: str, status: Status, challenge: Challenge | None) -> GmailError:
    """The error for an AUTH that was answered with ``-ERR``.

    Args:
        what: the command.
        mechanism: the SASL mechanism.
        status: the answer.
        challenge: what the server had said of the token before; ``None``: it had not.
    """
    error = command_error(what, status)
    refused = challenge is not None or status.code in ("AUTH", "AUTHENTICATIONFAILED")
    if not refused or type(error) is not CommandError:
        return error
    if mechanism == "PLAIN":
        return AccessDenied(f"{what}: the server refused the password: {status}", connection_lost=False)
    words = f"{what}: the server refused the access token: {status}"
    if challenge is not None and challenge.status:
        words += f" (status {challenge.status})"
    return TokenRefused(
        f"{words}: it is expired, revoked, of another account, or lacks the scope https://mail.google.com/",
        status=challenge.status if challenge is not None else None,
        connection_lost=False,
    )


def farewell(where: str, status: Status) -> GmailError:
    """The error for a ``-ERR`` that answers no command: the server's last words."""
    said = f"{where}: the server ended the session: {status}"
    if _expired(status.text):
        return SessionExpired(said)
    error = command_error(where, status)
    if isinstance(error, CommandError) and error.retryable:
        return type(error)(said, status="-ERR", code=status.code, text=status.text, retry_after=error.retry_after, connection_lost=True)
    return Disconnected(said)
