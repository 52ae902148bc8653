"""What does the server mean by 4xx or 5xx? A table from its codes and Gmail's words to errors.

The codes are Gmail's (https://support.google.com/a/answer/3726730) and RFC 3463's; where the words decide they are matched here and nowhere else.
"""

from __future__ import annotations

import re

from aiogmail.errors import (
    AccessDenied,
    CommandError,
    Disconnected,
    GmailError,
    MessageTooLarge,
    SendingLimitReached,
    SessionExpired,
    Throttled,
    TokenRefused,
    Unavailable,
)
from aiogmail.ports import Outcome

from .wire import Reply

__all__ = ["CLOSING", "auth_error", "farewell", "reply_error"]

CLOSING = 421
_LOGIN_PAUSE = 60.0
_RATE_PAUSE = 60.0
_DAILY = {"5.4.5", "5.7.28"}
_RATE = {"4.4.5", "4.7.28"}
_DENIED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"5\.7\.9|application-specific", re.IGNORECASE), "use OAuth, or an app password with AppPassword"),
    (re.compile(r"5\.7\.14|web browser|web login", re.IGNORECASE), "sign in once in a browser from this network, then try again"),
    (re.compile(r"5\.7\.0|authentication required", re.IGNORECASE), "the server wants a login that it did not get"),
)


def farewell(where: str, reply: Reply, *, taken: int = 0) -> GmailError:
    """Why a connection ends that the server ends with 421, or with the 451 of one that was idle; ``connection_lost`` is set.

    Gmail says 421 after some 70 to 100 messages on one connection: then another may be opened at once.
    """
    said = f"{where}: the server ended the connection: {reply}"
    words = reply.text.lower()
    if reply.enhanced in _RATE:
        return _told(Throttled, said, reply, retry_after=_RATE_PAUSE, connection_lost=True)
    if "connection expired" in words or "session expired" in words:
        return SessionExpired(said)
    if taken or reply.code != CLOSING or reply.enhanced == "4.4.2":
        return Disconnected(said)
    if reply.enhanced.startswith("4.3"):
        return _told(Unavailable, said, reply, connection_lost=True)
    return _told(Throttled, said, reply, connection_lost=True)


def reply_error(where: str, stage: str, reply: Reply, *, taken: int = 0) -> GmailError:
    """The error for a command that was refused. Nothing came of it: ``outcome`` says so."""
    error = _reply_error(where, stage, reply, taken)
    error.outcome, error.stage = Outcome.NOT_APPLIED, stage
    return error


def _reply_error(where: str, stage: str, reply: Reply, taken: int) -> GmailError:
    if reply.code == CLOSING or (reply.code == 451 and reply.enhanced == "4.4.2"):
        # An idle connection has been told so before, and it was not read until now.
        return farewell(where, reply, taken=taken)
    said = f"{where}: {stage}: the server said {reply}"
    if reply.code >= 500 and (reply.enhanced in _DAILY or "sending limit exceeded" in reply.text.lower()):
        return _told(SendingLimitReached, f"{said}: try again within 24 hours", reply)
    if reply.enhanced in _RATE:
        return _told(Throttled, said, reply, retry_after=_RATE_PAUSE)
    if reply.code == 552 and reply.enhanced in ("5.3.4", "5.2.3", ""):
        return _told(MessageTooLarge, said, reply)
    if reply.code in (530, 534, 535):
        return AccessDenied(said, connection_lost=False)
    if reply.code < 400:
        return _told(CommandError, f"{said}, which is no answer to it", reply)
    return _told(Unavailable if reply.code < 500 else CommandError, said, reply)


def auth_error(where: str, mechanism: str, reply: Reply, status: str | None) -> GmailError:
    """The error for an AUTH that was refused.

    Args:
        where: the server.
        mechanism: the SASL mechanism.
        reply: what the server said in the end.
        status: of the failure challenge; ``None``: there was none.
    """
    said = f"{where}: AUTH: the server said {reply}"
    if reply.code == CLOSING:
        return farewell(where, reply)
    if 400 <= reply.code < 500:
        if "too many login" in reply.text.lower():
            return _told(Throttled, said, reply, retry_after=_LOGIN_PAUSE)
        return _told(Unavailable, said, reply)
    if reply.code == 535 and mechanism != "PLAIN":
        because = f" (status {status})" if status else ""
        return TokenRefused(
            f"{said}{because}: the access token is expired, revoked, of another account, or lacks the scope https://mail.google.com/",
            status=status,
            connection_lost=False,
        )
    for pattern, advice in _DENIED:
        if pattern.search(f"{reply.enhanced} {reply.text}"):
            return AccessDenied(f"{said}: {advice}", connection_lost=False)
    if reply.code in (530, 534, 535):
        return AccessDenied(said, connection_lost=False)
    return _told(CommandError, said, reply)


def _told(
    kind: type[CommandError], message: str, reply: Reply, *, retry_after: float | None = None, connection_lost: bool | None = None
) -> CommandError:
    return kind(
        message, status=str(reply.code), code=reply.enhanced, text=reply.text, retry_after=retry_after, connection_lost=connection_lost
    )
