"""APPEND: a message from the client, stored once however often it comes."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from aiogmail.testing.mime import with_crlf

from .mailboxes import visible
from .session import ImapSession
from .syntax import Args, Bad, No

__all__ = ["append"]

_DATE = re.compile(r"([ \d]\d)-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-]\d{4})")


def _date(word: bytes) -> float:
    text = word.decode("ascii", "replace")
    if not _DATE.fullmatch(text):
        raise Bad
    try:
        return datetime.strptime(text.strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC).timestamp()
    except (ValueError, OverflowError):  # beyond the year 9999, or before the first, in UTC
        raise Bad from None


async def append(session: ImapSession, args: Args) -> None:
    """``APPEND mailbox [(flags)] ["date"] literal``; with UTF8=ACCEPT also ``UTF8 (~{n}…)``."""
    args.space()
    name = args.mailbox()
    args.space()
    flags: frozenset[str] = frozenset()
    if args.peek() == b"(":
        flags = args.flags()
        args.space()
    date = None
    if args.peek() == b'"':
        date = _date(args.string())
        args.space()
    wrapped = args.take(b"UTF8 (")
    if args.peek() not in {b"{", b"~"}:
        raise Bad
    raw = args.string()
    if wrapped:
        args.need(b")")
    args.end()
    if not raw:
        raise No("Empty message. (Failure)")
    mailbox = visible(session, name)
    if mailbox is None:
        raise No(f"[TRYCREATE] No folder {name} (Failure)")
    uid = session.account.append(with_crlf(raw), mailbox, flags, date)
    await session.ok(f"[APPENDUID {mailbox.uidvalidity} {uid}] (Success)")
