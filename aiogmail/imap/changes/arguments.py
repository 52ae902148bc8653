"""Can this be sent? Flags, dates and messages, checked before anything is written."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from email.message import EmailMessage

from aiogmail.errors import ConfigurationError
from aiogmail.imap.wire import Flag

__all__ = ["check_date", "check_flags", "check_modseq", "check_settle_timeout", "message_octets", "read_message_id"]

_SYSTEM = {flag.lower(): flag for flag in ("\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen")}
_BARE_LF = re.compile(rb"(?<!\r)\n")
_HEADER_END = re.compile(rb"\r\n\r\n|\Z")
_MESSAGE_ID = re.compile(rb"^message-id[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.IGNORECASE | re.MULTILINE)


def check_flags(flags: Iterable[object], *, some: bool = True) -> tuple[str, ...]:
    r"""Flags that can be stored, each once, in their order; system flags in RFC 9051's letters. An item may be a list itself.

    Args:
        flags: ``\Seen``, ``\Answered``, ``\Flagged``, ``\Deleted``, ``\Draft``, and keywords such as ``$Forwarded``.
        some: at least one is needed.

    Raises:
        ConfigurationError: ``\Recent`` or another flag that clients cannot set, or what is no flag.
    """
    found: dict[str, None] = {}
    for item in flags:
        if isinstance(item, str):
            found[_flag(item)] = None
        elif isinstance(item, Iterable) and not isinstance(item, bytes | bytearray):
            found.update(dict.fromkeys(check_flags(item, some=False)))
        else:
            raise ConfigurationError(rf"flags: expected \Seen or a keyword such as $Forwarded, got {item!r}")
    if some and not found:
        raise ConfigurationError("flags: expected at least one, got none")
    return tuple(found)


def _flag(flag: str) -> str:
    if flag.startswith("\\"):
        known = _SYSTEM.get(flag.lower())
        if known is None:
            raise ConfigurationError(f"flags: expected {', '.join(_SYSTEM.values())} or a keyword without backslash, got {flag!r}")
        return known
    try:
        return Flag(flag).value
    except ConfigurationError:
        raise ConfigurationError(f"flags: a keyword is ASCII without spaces, quotes and parentheses, got {flag!r}") from None


def check_date(date: object) -> dt.datetime | None:
    """An INTERNALDATE that can be sent; ``None``: the server's now.

    Raises:
        ConfigurationError: no datetime, one without a time zone, or one before the year 1.
    """
    if date is None:
        return None
    if not isinstance(date, dt.datetime) or date.utcoffset() is None:
        raise ConfigurationError(f"date: expected a datetime with a time zone, such as datetime.now(UTC), got {date!r}")
    try:
        date.astimezone(dt.UTC)
    except OverflowError:
        raise ConfigurationError(f"date: beyond what UTC can say: {date!r}") from None
    return date


def check_modseq(value: object) -> None:
    """A mod-sequence, or ``None``.

    Raises:
        ConfigurationError: neither.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63):
        raise ConfigurationError(f"unchanged_since: expected a mod-sequence, 0 to 2**63-1, got {value!r}")


def check_settle_timeout(value: object) -> None:
    """Seconds, 0 or more.

    Raises:
        ConfigurationError: something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ConfigurationError(f"settle_timeout: expected seconds, 0 or more, got {value!r}")


def message_octets(message: object) -> bytes:
    """A message as it is stored: RFC 5322 octets whose lines end in CRLF.

    Raises:
        ConfigurationError: neither bytes nor an ``EmailMessage``, empty, or with NUL, which no IMAP message may hold.
    """
    if isinstance(message, EmailMessage):
        octets = message.as_bytes(policy=message.policy.clone(linesep="\r\n"))
    elif isinstance(message, bytes | bytearray | memoryview):
        octets = bytes(message)
    else:
        raise ConfigurationError(f"message: expected bytes or an email.message.EmailMessage, got {type(message).__name__}")
    if not octets.strip():
        raise ConfigurationError("message: expected a message, got nothing")
    if b"\0" in octets:
        raise ConfigurationError("message: NUL cannot be in a message (RFC 9051 section 4.3); encode that part as base64")
    return _BARE_LF.sub(b"\r\n", octets)


def read_message_id(octets: bytes) -> str:
    """The Message-ID of a message, with its angle brackets, without white space; ``""`` if it has none."""
    end = _HEADER_END.search(octets)
    found = _MESSAGE_ID.search(octets, 0, end.start() if end is not None else len(octets))
    return "" if found is None else "".join(found[1].decode("utf-8", "replace").split())
