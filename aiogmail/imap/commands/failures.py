"""What does the server mean by NO, BAD or BYE? A table from its codes and Gmail's words to errors.

Gmail puts most reasons into the human text, behind ``[ALERT]``: those texts are matched here and nowhere else.
"""

from __future__ import annotations

import re

from aiogmail.errors import (
    AccessDenied,
    CommandError,
    Conflict,
    Disconnected,
    GmailError,
    MailboxNotFound,
    MessageTooLarge,
    OverQuota,
    SessionExpired,
    Throttled,
    TooManyConnections,
    Unavailable,
)
from aiogmail.imap.wire import ResponseCode, Status, Tagged

__all__ = ["bye_error", "command_error"]

_BY_CODE: dict[str, type[CommandError]] = {
    "NONEXISTENT": MailboxNotFound,
    "TRYCREATE": MailboxNotFound,
    "ALREADYEXISTS": Conflict,
    "TOOBIG": MessageTooLarge,
    "OVERQUOTA": OverQuota,
    "THROTTLED": Throttled,
    "UNAVAILABLE": Unavailable,
    "INUSE": Unavailable,
    "LIMIT": Throttled,
}

_BY_WORDS: tuple[tuple[re.Pattern[str], type[CommandError]], ...] = (
    (re.compile(r"mailbox doesn't exist|unknown mailbox", re.IGNORECASE), MailboxNotFound),  # Dovecot 2.3 gives no code
    (re.compile(r"too many simultaneous connections", re.IGNORECASE), TooManyConnections),
    (re.compile(r"maximum number of connections", re.IGNORECASE), TooManyConnections),
    (re.compile(r"exceeded (command or )?bandwidth limits|exceeded command", re.IGNORECASE), OverQuota),
    (re.compile(r"temporary system (problem|error)|system error", re.IGNORECASE), Unavailable),
)

_DENIED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"not enabled for IMAP", re.IGNORECASE), "switch IMAP on in Gmail's settings, under Forwarding and POP/IMAP"),
    (re.compile(r"disabled for your domain", re.IGNORECASE), "ask the Workspace administrator to allow IMAP"),
    (re.compile(r"web (browser|login)", re.IGNORECASE), "sign in once in a browser from this network, then try again"),
    (re.compile(r"application-specific password", re.IGNORECASE), "use OAuth, or an app password with AppPassword"),
    (re.compile(r"insufficient (scope|permission)", re.IGNORECASE), "ask consent for the scope https://mail.google.com/"),
)


def _words(code: ResponseCode | None, text: str) -> tuple[str, str]:
    name = code.name if code is not None else ""
    return name, (f"[{name}] {text}" if name else text)


def command_error(command: str, tagged: Tagged | Status) -> GmailError:
    """The error for a command that was answered with NO or BAD."""
    code, said = _words(tagged.code, tagged.text)
    for pattern, advice in _DENIED:
        if pattern.search(tagged.text):
            return AccessDenied(f"{command}: the server said {tagged.status} {said}: {advice}")
    kind = _BY_CODE.get(code)
    if kind is None:
        kind = next((k for pattern, k in _BY_WORDS if pattern.search(tagged.text)), CommandError)
    return kind(f"{command}: the server said {tagged.status} {said}", status=tagged.status, code=code, text=tagged.text)


def bye_error(where: str, bye: Status) -> GmailError:
    """The error for a connection that the server ended with BYE; ``connection_lost`` is set."""
    code, said = _words(bye.code, bye.text)
    message = f"{where}: the server said BYE {said}"
    if "session expired" in bye.text.lower():
        return SessionExpired(message)
    kind = _BY_CODE.get(code) or next((k for pattern, k in _BY_WORDS if pattern.search(bye.text)), None)
    if kind is not None and kind.retryable:
        return kind(message, status="BYE", code=code, text=bye.text, connection_lost=True)
    return Disconnected(message)
