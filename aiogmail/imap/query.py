"""What is looked for? A value that is combined with ``&``, ``|`` and ``~``, and rendered once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, final

from aiogmail.errors import ConfigurationError

from .labels import canonical
from .uidset import UidSet, UidsFrom
from .wire import Atom, Flag, Label, Raw, SearchDate

__all__ = ["Q", "Query", "criteria", "uids_from"]

_OR, _NOT = Atom("OR"), Atom("NOT")
_MOST_DEPTH = 20
"""Servers bound it, and so does the encoder."""


@dataclass(frozen=True, slots=True)
class Query:
    """A search condition, made by :class:`Q`. Combine with ``&`` (both), ``|`` (either) and ``~`` (not)."""

    keys: tuple[Any, ...]
    """The condition as values for the encoder, ANDed."""
    single: bool = True
    """Whether ``keys`` is one search key, which needs no parentheses inside OR and NOT."""
    depth: int = field(default=0, compare=False, repr=False)
    """How many parentheses there are in each other."""

    def __post_init__(self) -> None:
        if self.depth > _MOST_DEPTH:
            raise ConfigurationError(f"query: expected at most {_MOST_DEPTH} conditions made with '&' in each other, within '|' and '~'")

    def __and__(self, other: Query) -> Query:
        return Query(self.keys + _query(other).keys, single=False, depth=max(self.depth, other.depth))

    def __or__(self, other: Query) -> Query:
        return Query((_OR, *self._key(), *_query(other)._key()), depth=max(self._key_depth, other._key_depth))

    def __invert__(self) -> Query:
        if self.single and self.keys[:1] == (_NOT,):
            return Query(self.keys[1:], depth=self.depth)
        return Query((_NOT, *self._key()), depth=self._key_depth)

    def _key(self) -> tuple[Any, ...]:
        return self.keys if self.single else (self.keys,)

    @property
    def _key_depth(self) -> int:
        return self.depth + (not self.single)

    @property
    def needs_charset(self) -> bool:
        """Whether a string in it is not ASCII, so that the search names ``CHARSET UTF-8``."""
        return _not_ascii(self.keys)


def _query(value: object) -> Query:
    if not isinstance(value, Query):
        raise ConfigurationError(f"query: expected a Query made by Q, got {type(value).__name__}")
    return value


def _not_ascii(values: Iterable[Any]) -> bool:
    for value in values:
        if isinstance(value, tuple):
            if _not_ascii(value):
                return True
        elif type(value) is str and not value.isascii():
            return True
    return False


def _text(argument: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{argument}: expected a text to look for, got {value!r}")
    if any(char in "\r\n\0" or "\ud800" <= char <= "\udfff" for char in value):
        raise ConfigurationError(f"{argument}: CR, LF, NUL and lone surrogates cannot be searched for, got {value!r}")
    return value


def _number(argument: str, value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ConfigurationError(f"{argument}: expected a whole number from 0 to {most}, got {value!r}")
    return value


def _day(argument: str, value: object) -> SearchDate:
    if isinstance(value, dt.datetime):
        value = value.date()
    if not isinstance(value, dt.date):
        raise ConfigurationError(f"{argument}: expected a date, got {value!r}")
    return SearchDate(value)


def _word(name: str) -> Query:
    return Query((Atom(name),))


@final
class Q:
    """The search keys of RFC 9051 section 6.4.4 and Gmail's (https://developers.google.com/gmail/imap/imap-extensions).

    Gmail matches words, not parts of words. Days are as the server dates the message, without regard to time zones.
    """

    all = _word("ALL")
    answered = _word("ANSWERED")
    unanswered = _word("UNANSWERED")
    deleted = _word("DELETED")
    undeleted = _word("UNDELETED")
    draft = _word("DRAFT")
    undraft = _word("UNDRAFT")
    flagged = _word("FLAGGED")
    unflagged = _word("UNFLAGGED")
    seen = _word("SEEN")
    unseen = _word("UNSEEN")

    @staticmethod
    def from_(text: str) -> Query:
        """``text`` in the From header."""
        return Query((Atom("FROM"), _text("from_", text)))

    @staticmethod
    def to(text: str) -> Query:
        """``text`` in the To header."""
        return Query((Atom("TO"), _text("to", text)))

    @staticmethod
    def cc(text: str) -> Query:
        """``text`` in the Cc header."""
        return Query((Atom("CC"), _text("cc", text)))

    @staticmethod
    def bcc(text: str) -> Query:
        """``text`` in the Bcc header."""
        return Query((Atom("BCC"), _text("bcc", text)))

    @staticmethod
    def subject(text: str) -> Query:
        """``text`` in the subject."""
        return Query((Atom("SUBJECT"), _text("subject", text)))

    @staticmethod
    def body(text: str) -> Query:
        """``text`` in the body."""
        return Query((Atom("BODY"), _text("body", text)))

    @staticmethod
    def text(text: str) -> Query:
        """``text`` in the header or the body."""
        return Query((Atom("TEXT"), _text("text", text)))

    @staticmethod
    def header(name: str, text: str = "") -> Query:
        """``text`` in the header field ``name``; the field is there at all, if ``text`` is empty."""
        return Query((Atom("HEADER"), _text("name", name), _text("text", text) if text else ""))

    @staticmethod
    def since(day: dt.date) -> Query:
        """Arrived on this day or later."""
        return Query((Atom("SINCE"), _day("day", day)))

    @staticmethod
    def before(day: dt.date) -> Query:
        """Arrived before this day."""
        return Query((Atom("BEFORE"), _day("day", day)))

    @staticmethod
    def on(day: dt.date) -> Query:
        """Arrived on this day."""
        return Query((Atom("ON"), _day("day", day)))

    @staticmethod
    def sent_since(day: dt.date) -> Query:
        """Its Date header says this day or later."""
        return Query((Atom("SENTSINCE"), _day("day", day)))

    @staticmethod
    def sent_before(day: dt.date) -> Query:
        """Its Date header says a day before this one."""
        return Query((Atom("SENTBEFORE"), _day("day", day)))

    @staticmethod
    def sent_on(day: dt.date) -> Query:
        """Its Date header says this day."""
        return Query((Atom("SENTON"), _day("day", day)))

    @staticmethod
    def larger(octets: int) -> Query:
        """Larger than this many octets."""
        return Query((Atom("LARGER"), _number("octets", octets, 2**32 - 1)))

    @staticmethod
    def smaller(octets: int) -> Query:
        """Smaller than this many octets."""
        return Query((Atom("SMALLER"), _number("octets", octets, 2**32 - 1)))

    @staticmethod
    def keyword(name: str) -> Query:
        """Has this keyword, such as ``"$Forwarded"``."""
        return Query((Atom("KEYWORD"), Flag(name)))

    @staticmethod
    def unkeyword(name: str) -> Query:
        """Lacks this keyword."""
        return Query((Atom("UNKEYWORD"), Flag(name)))

    @staticmethod
    def uid(uids: UidSet | str | int | Iterable[int]) -> Query:
        """Is one of these UIDs."""
        found = uids if isinstance(uids, UidSet) else UidSet(uids)
        if not found:
            raise ConfigurationError("uids: expected at least one UID, got an empty set")
        return Query((Atom("UID"), found))

    @staticmethod
    def modseq(value: int) -> Query:
        """Changed since: its mod-sequence is this or higher (RFC 7162)."""
        return Query((Atom("MODSEQ"), _number("value", value, 2**63 - 1)))

    @staticmethod
    def label(name: str) -> Query:
        r"""Has this Gmail label (X-GM-LABELS), in any form that ``add_labels`` takes: ``INBOX`` is ``\Inbox``."""
        return Query((Atom("X-GM-LABELS"), Label(canonical(_text("name", name)))))

    @staticmethod
    def thread(thread_id: int) -> Query:
        """Belongs to this Gmail thread (X-GM-THRID)."""
        return Query((Atom("X-GM-THRID"), _number("thread_id", thread_id, 2**64 - 1)))

    @staticmethod
    def gmail_id(gmail_id: int) -> Query:
        """Is this message (X-GM-MSGID)."""
        return Query((Atom("X-GM-MSGID"), _number("gmail_id", gmail_id, 2**64 - 1)))

    @staticmethod
    def gmail(query: str) -> Query:
        """A query in the syntax of Gmail's search box (X-GM-RAW), such as ``"has:attachment newer_than:7d"``."""
        return Query((Atom("X-GM-RAW"), _text("query", query)))


def criteria(query: Query | str) -> tuple[tuple[Any, ...], bool]:
    """The encoder's values of a query, and whether they need ``CHARSET UTF-8``.

    A plain string is taken as search keys already written, such as ``"UNSEEN SINCE 1-Nov-2026"``.
    """
    if isinstance(query, str):
        return (Raw(_text("query", query)),), False
    return _query(query).keys, query.needs_charset


def uids_from(first: int) -> Query:
    """UID ``first`` and all above it; the last message comes in any case (``n:*``)."""
    if first < 1:
        raise ConfigurationError(f"uids: UIDs begin at 1, got {first}:*")
    return Query((Atom("UID"), UidsFrom(first)))
