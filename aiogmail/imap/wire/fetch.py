"""What the server says of one message: ``* n FETCH (…)``.

A mailbox is read through these, so they have a road of their own: one regular expression takes a whole row, whatever the order of its
attributes, checks its structure and finds every value; values are made when they are touched. Rows of an unusual shape are walked
attribute by attribute, with the same result.
"""

from __future__ import annotations

import functools
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from .attributes import KNOWN, decode_date, decode_labels, decode_value, read_attributes
from .envelope import ENVELOPE, Envelope
from .responses import Response
from .scanner import FLAT_DEPTH, LITERAL, NIL, NUMBER, QUOTED, STRING, Scanner, nested, unquote

__all__ = ["Fetch", "FetchReader", "sizes_on_the_wire", "tells_all"]

_UID = rb"[1-9][0-9]{0,9}+"
_MEMO = 4096
_MEMO_SIZE = 256
_ANY_STRING = rb"(?:" + NIL + rb"|" + STRING + rb")"
_UNKNOWN = b"(?!(?:" + b"|".join(re.escape(name.encode()) for name in KNOWN) + rb")[ \[])[A-Z][A-Z0-9.\-]*+"

# Names of the groups of a row, in order. ENVELOPE has ten of its own.
_GROUPS: Final = {
    "UID": 2,
    "FLAGS": 3,
    "MODSEQ": 4,
    "X-GM-THRID": 5,
    "X-GM-MSGID": 6,
    "X-GM-LABELS": 7,
    "RFC822.SIZE": 8,
    "INTERNALDATE": 9,
    "ENVELOPE": 10,
    "BODYSTRUCTURE": 20,
}
_SECTION = 21
_BODY = 22
_ENVELOPE = _GROUPS["ENVELOPE"]
_QUOTE = 0x22
_LF = 0x0A
_ABSENT: Final = object()
_RAW = operator.attrgetter("raw")
_LITERALS = operator.attrgetter("literals")


@functools.cache
def _row(depth: int) -> re.Pattern[bytes]:
    """The pattern of a row; ``depth`` bounds the lists within its parentheses.

    An attribute whose value begins in its known shape and goes on in another fits no other alternative, so that nothing is to be
    found by going back: the repetition is possessive, which also spares remembering where that would be.
    """
    if depth < 3:  # an envelope's own
        return re.compile(rb"(?!)")
    any_list = nested(min(depth, FLAT_DEPTH))
    other = rb"(?:[^()\"{~\x00-\x20\x7f][^()\"{\x00-\x20\x7f]*+|" + STRING + rb"|" + any_list + rb")"
    attributes = rb"|".join(
        (
            rb"UID (" + _UID + rb")",
            rb'FLAGS \(([^()"{\x00-\x1f\x7f]*+)\)',
            rb"MODSEQ \((" + NUMBER + rb")\)",
            rb"X-GM-(?:THRID (" + NUMBER + rb")|MSGID (" + NUMBER + rb")|LABELS (" + nested(1) + rb"))",
            rb"RFC822\.SIZE (" + NUMBER + rb")",
            rb"INTERNALDATE (" + QUOTED + rb"|" + LITERAL + rb")",
            rb"ENVELOPE " + ENVELOPE,
            rb"BODYSTRUCTURE (" + any_list + rb")",
            # one section a row: the second makes the row unusual
            rb"(?(%d)(?!)|BODY(\[[A-Za-z0-9.\- ()]*+\](?:<[0-9]{1,20}+>)?+) (" % _SECTION + _ANY_STRING + rb"))",
            _UNKNOWN + rb" " + other,
        )
    )
    return re.compile(rb"\* (" + _UID + rb") FETCH \((?:(?:" + attributes + rb")(?: |(?=\)))){1,64}+\)")


class Fetch(Response):
    """A ``FETCH`` response.

    Attributes:
        uid: ``None`` where the server did not tell it.
        flags: ``None`` likewise.

    Every other attribute is read by :meth:`get` and decoded when it is touched. Names are in upper case, header names in a
    section without quotes: ``BODY[HEADER.FIELDS (DATE FROM)]``, ``BODY[1]<0>``. Values by name: UID, RFC822.SIZE, MODSEQ, X-GM-MSGID and
    X-GM-THRID ``int``; FLAGS and X-GM-LABELS ``frozenset[str]``; INTERNALDATE an aware ``datetime``, ``None`` if unreadable; ENVELOPE an
    :class:`Envelope`; BODYSTRUCTURE and BODY a :class:`Part`; ``BODY[…]``, ``BINARY[…]``, RFC822, RFC822.HEADER and RFC822.TEXT ``bytes``
    or ``None``; any other the value that stood there.
    """

    __slots__ = ("_match", "_values", "flags", "literals", "raw", "uid")
    _utf8 = False

    def __init__(
        self,
        raw: bytes,
        literals: tuple[bytes, ...],
        uid: int | None,
        flags: frozenset[str] | None,
        match: re.Match[bytes] | None,
        values: dict[str, object] | None = None,
    ) -> None:
        self.raw = raw
        self.literals = literals
        self.uid = uid
        self.flags = flags
        self._match = match  # of the row's pattern; None once ``_values`` holds every attribute
        self._values = values

    @property
    def seq(self) -> int:
        """The message's number in the mailbox at this moment; an EXPUNGE moves it."""
        return int(self.raw[2 : self.raw.index(b" ", 2)])

    def get(self, name: str, default: object = None) -> object:
        """The value of an attribute by its canonical name; ``default`` where the response has no such attribute."""
        match = self._match
        if match is None:
            return default if self._values is None else self._values.get(name, default)
        known = _READERS.get(name)
        if known is not None:
            group, read = known
            text = match[group]
            return default if text is None else read(self, match, text)
        section = match[_SECTION]
        if section is not None and name.startswith("BODY["):
            return self._body(match) if name[4:] == section.decode("ascii").upper() else default
        return self.attributes.get(name, default)

    def number(self, name: str) -> int | None:
        """A number by its canonical name, decoded each time it is asked for; ``None`` where the response does not tell it."""
        match = self._match
        if match is not None:
            text = match[_GROUPS[name]]
            return None if text is None else int(text)
        value = self.attributes.get(name)
        return value if isinstance(value, int) else None

    def __contains__(self, name: str) -> bool:
        return self.get(name, _ABSENT) is not _ABSENT

    def names(self) -> tuple[str, ...]:
        """The canonical names of what the response tells, in its order."""
        return tuple(self.attributes)

    @property
    def attributes(self) -> dict[str, object]:
        """All of it, decoded."""
        values = self._values
        if self._match is not None or values is None:
            scanner = Scanner(self.raw, self.literals, self.raw.index(b"("), len(self.raw))  # its depth was checked
            values = self._values = read_attributes(scanner, self._utf8)
            self._match = None
        return values

    def _body(self, match: re.Match[bytes]) -> bytes | None:
        token = match[_BODY]
        if token[0] == _QUOTE:
            return unquote(token)
        if token[-1] == _LF:
            return self.literals[self.raw.count(b"\r\n", 0, match.start(_BODY))]
        return None

    def __repr__(self) -> str:
        return f"<Fetch {self.seq} uid={self.uid} {' '.join(self.names())}>"

    def __eq__(self, other: object) -> bool:
        return (self.raw, self.literals) == (other.raw, other.literals) if isinstance(other, Fetch) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.raw, self.literals))


def _number(_row: Fetch, _match: re.Match[bytes], text: bytes) -> int:
    return int(text)


def _flags(row: Fetch, _match: re.Match[bytes], _text: bytes) -> object:
    return row.flags


def _labels(row: Fetch, match: re.Match[bytes], text: bytes) -> object:
    if len(text) <= _MEMO_SIZE and (not row.literals or b"{" not in text):
        return decode_labels(text, row._utf8)  # noqa: SLF001  of this file, as below
    return _scanned("X-GM-LABELS", row, match)


def _date(row: Fetch, match: re.Match[bytes], text: bytes) -> object:
    return decode_date(text[1:-1]) if text[0] == _QUOTE else _scanned("INTERNALDATE", row, match)


def _envelope(row: Fetch, match: re.Match[bytes], _text: bytes) -> Envelope:
    return Envelope(match, _ENVELOPE, row.literals)


def _structure(row: Fetch, match: re.Match[bytes], _text: bytes) -> object:
    """The one value that is costly enough to be kept."""
    if row._values is None:  # noqa: SLF001
        row._values = {"BODYSTRUCTURE": _scanned("BODYSTRUCTURE", row, match)}  # noqa: SLF001
    return row._values["BODYSTRUCTURE"]  # noqa: SLF001


def _scanned(name: str, row: Fetch, match: re.Match[bytes]) -> object:
    scanner = Scanner(row.raw, row.literals, match.start(_GROUPS[name]), len(row.raw))  # its depth was checked
    return decode_value(name, scanner, row._utf8)  # noqa: SLF001


_READERS: Final[dict[str, tuple[int, Callable[[Fetch, re.Match[bytes], bytes], object]]]] = {
    name: (_GROUPS[name], read)
    for name, read in {
        "UID": _number,
        "FLAGS": _flags,
        "MODSEQ": _number,
        "X-GM-THRID": _number,
        "X-GM-MSGID": _number,
        "X-GM-LABELS": _labels,
        "RFC822.SIZE": _number,
        "INTERNALDATE": _date,
        "ENVELOPE": _envelope,
        "BODYSTRUCTURE": _structure,
    }.items()
}


def sizes_on_the_wire(rows: Sequence[Fetch]) -> int:
    """How many bytes these took together."""
    lines = sum(map(len, map(_RAW, rows))) + 2 * len(rows)
    return lines + sum(map(len, itertools.chain.from_iterable(map(_LITERALS, rows))))


def tells_all(names: Iterable[str]) -> Callable[[Fetch], bool]:
    """A function that says whether a response tells all of these attributes, by their canonical names. It decodes none of them."""
    return _tells_all(tuple(names))


@functools.lru_cache(256)
def _tells_all(names: tuple[str, ...]) -> Callable[[Fetch], bool]:
    others = tuple(name for name in names if name not in _GROUPS)
    only = others[0][4:].encode() if len(others) == 1 and others[0].startswith("BODY[") else None
    # the message's number, which is always there, twice: of a single group there comes no tuple
    groups = (1, 1, *(_GROUPS[name] for name in names if name in _GROUPS), *(() if only is None else (_SECTION,)))

    def told(row: Fetch) -> bool:
        match = row._match  # noqa: SLF001  of this file
        if match is None:
            return all(name in row for name in names)
        found = match.group(*groups)
        if not others:
            return None not in found
        if None not in found and found[-1] == only:
            return True
        return all(name in row for name in names)  # header names may be written in other ways

    return told


class _FetchUtf8(Fetch):
    """After ENABLE UTF8=ACCEPT, when labels are plain UTF-8."""

    __slots__ = ()
    _utf8 = True


class FetchReader:
    """Makes :class:`Fetch` objects of responses, and shares flag sets between them.

    Attributes:
        row: matches the whole text of a response of the usual shape; its groups 2 and 3 are UID and flags.
        kind: the class to make.
        flag_sets: what :meth:`flags` made, by its text.
    """

    def __init__(self, depth: int) -> None:
        self.row = _row(depth - 1).fullmatch
        self.kind: type[Fetch] = Fetch
        self.flag_sets: dict[bytes | None, frozenset[str] | None] = {}

    def use_utf8(self, utf8: bool) -> None:
        self.kind = _FetchUtf8 if utf8 else Fetch

    def flags(self, text: bytes | None) -> frozenset[str] | None:
        if text is None:
            return None
        flags = frozenset(text.decode("utf-8", "replace").split(" ")) - {""}
        if len(text) <= _MEMO_SIZE and len(self.flag_sets) < _MEMO:
            self.flag_sets[text] = flags
        return flags

    def walk(self, scanner: Scanner) -> Fetch:
        """A response of unusual shape; the scanner stands after the word FETCH and its depth is what is left below that.

        Raises:
            ProtocolError, LimitExceeded: it is no FETCH response.
        """
        values = read_attributes(scanner, self.kind is _FetchUtf8)
        uid, flags = values.get("UID"), values.get("FLAGS")
        return self.kind(
            scanner.text,
            scanner.literals,
            uid if isinstance(uid, int) else None,
            flags if isinstance(flags, frozenset) else None,
            None,
            values,
        )
