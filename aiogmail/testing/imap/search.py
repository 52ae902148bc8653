"""SEARCH: which messages of the selected mailbox answer to these keys?"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Callable
from datetime import date
from email.utils import parsedate_tz
from typing import TYPE_CHECKING

from aiogmail.testing import mime, text
from aiogmail.testing.gmailquery import QuerySyntax, compile_query

from .syntax import Args, Bad, No, compress

if TYPE_CHECKING:
    from aiogmail.testing.message import StoredMessage

    from .session import ImapSession

__all__ = ["parse_date", "search"]

Predicate = Callable[[int, "StoredMessage"], bool]

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(r"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})")
_FLAGS = {"ANSWERED": "\\Answered", "DRAFT": "\\Draft", "FLAGGED": "\\Flagged", "SEEN": "\\Seen"}
_FIELDS = {"BCC": b"bcc", "CC": b"cc", "FROM": b"from", "SUBJECT": b"subject", "TO": b"to"}
_PLAIN_ID = re.compile(r"[A-Za-z0-9<>@._+=$/-]*")
_MAX_DEPTH = 30
_DAY = 86_400


def parse_date(word: str) -> int:
    """The first second (UTC) of a date such as ``1-Feb-1994``."""
    match = _DATE.fullmatch(word)
    if match is None or match[2].lower() not in _MONTHS:
        raise Bad
    day, month, year = int(match[1]), _MONTHS.index(match[2].lower()) + 1, int(match[3])
    try:
        return timegm(date(year, month, day).timetuple())
    except ValueError:
        raise Bad from None


def _sent_day(message: StoredMessage) -> int | None:
    parsed = parsedate_tz((mime.header_value(message.raw, b"date") or b"").decode("latin-1"))
    if parsed is None:
        return None
    try:
        # SENTON and its kin disregard time and zone (RFC 9051 section 6.4.4).
        return timegm((*parsed[:3], 0, 0, 0)) // _DAY
    except (ValueError, OverflowError):
        return None  # the year 99999


class _Keys:
    """Reads search keys into one predicate."""

    def __init__(self, session: ImapSession, args: Args) -> None:
        self.session = session
        self.account = session.account
        self.mailbox = session.mailbox
        self.args = args
        self.uses_modseq = False

    def all_of(self, depth: int, closing: bytes = b"") -> Predicate:
        keys = [self.key(depth)]
        while True:
            if closing and self.args.take(closing):
                break
            if not closing and self.args.at_end():
                break
            self.args.space()
            keys.append(self.key(depth))
        return keys[0] if len(keys) == 1 else lambda uid, message: all(key(uid, message) for key in keys)

    def key(self, depth: int) -> Predicate:
        args = self.args
        if depth > _MAX_DEPTH:
            raise Bad
        if args.take(b"("):
            return self.all_of(depth + 1, b")")
        if args.peek().isdigit() or args.peek() == b"*":
            view = self.session.view
            wanted = {view[number - 1] for number in args.sequence_set().resolve(range(1, len(view) + 1))}
            return lambda uid, _message: uid in wanted
        return self.named(args.keyword(), depth)

    def named(self, name: str, depth: int) -> Predicate:
        args, mailbox = self.args, self.mailbox
        bare = name.removeprefix("UN")
        if bare in _FLAGS:
            flag, wanted = _FLAGS[bare], name == bare
            return lambda _uid, message: (flag in message.flags) is wanted
        if bare == "DELETED":
            return lambda _uid, message: (message in mailbox.deleted) is (name == bare)
        if name in {"ALL", "OLD"}:
            return lambda _uid, _message: True
        if name in {"NEW", "RECENT"}:
            return lambda _uid, _message: False  # RECENT is always 0 on Gmail
        if name in {"NOT", "OR"}:
            args.space()
            first = self.key(depth + 1)
            if name == "NOT":
                return lambda uid, message: not first(uid, message)
            args.space()
            second = self.key(depth + 1)
            return lambda uid, message: first(uid, message) or second(uid, message)
        args.space()
        return self.with_value(name)

    def with_value(self, name: str) -> Predicate:
        args = self.args
        if name in _FIELDS:
            return self._field(_FIELDS[name], self._value())
        match name:
            case "BODY" | "TEXT":
                return self._text(name, self._value())
            case "HEADER":
                field = args.astring().lower()
                args.space()
                return self._header(field, self._value())
            case "KEYWORD" | "UNKEYWORD":
                flag = args.flag()
                return lambda _uid, message: (flag in message.flags) is (name == "KEYWORD")
            case "LARGER" | "SMALLER":
                size = args.number()
                return lambda _uid, message: message.size > size if name == "LARGER" else message.size < size
            case "BEFORE" | "ON" | "SINCE" | "SENTBEFORE" | "SENTON" | "SENTSINCE":
                return _dated(name, parse_date(args.astring().decode("ascii", "replace")) // _DAY)
            case "UID":
                wanted = set(args.sequence_set().resolve(self.session.view))
                return lambda uid, _message: uid in wanted
            case "MODSEQ":
                return self._modseq()
            case _:
                return self._gmail(name)

    def _value(self) -> str:
        value = self.args.text_value()
        if self.args.utf8 and self.account.behaviour.utf8_search_refused and not value.isascii():
            raise Bad
        return value

    def _gmail(self, name: str) -> Predicate:
        args = self.args
        match name:
            case "X-GM-MSGID":
                number = args.number()
                return lambda _uid, message: message.gmail_id == number
            case "X-GM-THRID":
                number = args.number()
                return lambda _uid, message: message.thread_id == number
            case "X-GM-LABELS":
                box = self.account.labels.resolve(args.label())
                return lambda _uid, message: box is not None and message in box
            case "X-GM-RAW":
                try:
                    query = compile_query(self._value(), self.account, self.session.hub.wall())
                except QuerySyntax:
                    raise Bad from None
                return lambda _uid, message: self._indexed(message) and query(message)
            case _:
                raise Bad

    def _modseq(self) -> Predicate:
        if self.args.peek() == b'"':
            self.args.string()
            self.args.space()
            self.args.atom()
            self.args.space()
        number = self.args.number()
        self.uses_modseq = True
        return lambda _uid, message: message.modseq >= number

    def _indexed(self, message: StoredMessage) -> bool:
        """Gmail's index lags behind arrival."""
        delay = self.account.behaviour.search_delay
        return not delay or message.internal_date + delay <= self.session.hub.wall()

    def _field(self, field: bytes, value: str) -> Predicate:
        return lambda _uid, message: self._indexed(message) and text.contains(text.field_words(message.raw, field) or "  ", value)

    def _text(self, name: str, value: str) -> Predicate:
        def found(_uid: int, message: StoredMessage) -> bool:
            if not self._indexed(message):
                return False
            in_header = name == "TEXT" and text.contains(text.header_words(message.raw), value)
            return in_header or text.contains(text.body_words(message.raw), value)

        return found

    def _header(self, field: bytes, value: str) -> Predicate:
        if field == b"message-id" and value:
            odd = self.account.behaviour.misses_odd_message_ids and not _PLAIN_ID.fullmatch(value)
            wanted = value.strip("<> ")
            return lambda _uid, message: not odd and self._indexed(message) and message.message_id.strip("<>") == wanted
        if not value:
            return lambda _uid, message: text.field_words(message.raw, field) is not None
        return self._field(field, value)


def _dated(name: str, day: int) -> Predicate:
    compare = name.removeprefix("SENT")

    def found(_uid: int, message: StoredMessage) -> bool:
        own = _sent_day(message) if name != compare else message.internal_date // _DAY
        if own is None:
            return False
        return {"BEFORE": own < day, "ON": own == day, "SINCE": own >= day}[compare]

    return found


def _return_options(args: Args) -> list[str] | None:
    if not args.take(b"RETURN "):
        return None
    options = [str(option) for option in args.parenthesised(args.keyword)]
    if not set(options) <= {"MIN", "MAX", "ALL", "COUNT"}:
        raise Bad
    args.space()
    return options or ["ALL"]


async def search(session: ImapSession, args: Args, uid: bool) -> None:
    """``SEARCH [RETURN (…)] [CHARSET …] keys`` (RFC 9051 section 6.4.4, RFC 4731)."""
    args.space()
    options = _return_options(args)
    if args.take(b"CHARSET "):
        charset = args.astring().decode("ascii", "replace").upper()
        if session.utf8:
            raise Bad  # RFC 6855 section 3
        if charset not in {"UTF-8", "US-ASCII"}:
            raise No("[BADCHARSET (UTF-8 US-ASCII)] Unsupported charset (Failure)")
        args.space()
    keys = _Keys(session, args)
    predicate = keys.all_of(0)
    args.end()
    by_uid = session.mailbox.by_uid
    found: list[tuple[int, int]] = []
    for position, number in enumerate(session.view, 1):
        message = by_uid.get(number)
        if message is not None and predicate(number, message):
            found.append((position, number))
        if position % 2000 == 0:
            await session.breathe()
    numbers = [number if uid else position for position, number in found]
    modseq = 0
    if keys.uses_modseq:
        session.condstore = True
        modseq = max((by_uid[number].modseq for _, number in found if number in by_uid), default=0)
    session.channel.write(_reply(session.tag, numbers, options, uid, modseq))
    # Numbers must not move while a client holds the ones it was just given (RFC 9051 section 7.5.1).
    session.tell_news(expunges=uid)
    await session.finish("OK", "SEARCH completed (Success)")


def _reply(tag: str, numbers: list[int], options: list[str] | None, uid: bool, modseq: int) -> bytes:
    if options is None:
        suffix = f" (MODSEQ {modseq})" if modseq else ""
        return ("* SEARCH" + "".join(f" {number}" for number in numbers) + suffix + "\r\n").encode()
    parts = [f'* ESEARCH (TAG "{tag}")'] + (["UID"] if uid else [])
    if numbers and "MIN" in options:
        parts.append(f"MIN {numbers[0]}")
    if numbers and "MAX" in options:
        parts.append(f"MAX {numbers[-1]}")
    if "COUNT" in options:
        parts.append(f"COUNT {len(numbers)}")
    if numbers and "ALL" in options:
        parts.append(f"ALL {compress(numbers)}")
    if modseq:
        parts.append(f"MODSEQ {modseq}")
    return (" ".join(parts) + "\r\n").encode()
