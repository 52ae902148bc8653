"""The attributes of a FETCH response one by one: what stands behind each name, and what it means."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import datetime

from . import utf7
from .codes import flags
from .envelope import Envelope
from .scanner import Scanner
from .structure import read_structure

__all__ = ["KNOWN", "decode_date", "decode_labels", "decode_value", "read_attributes"]

_MAX_UID = 0xFFFF_FFFF
_DAY = re.compile(rb" ?([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4}) ")
_ZONE = re.compile(rb" ([+-][0-9]{2})([0-9]{2})")
_TIME = len("16:51:37")
_BEHIND_TIME = len(" +0000")
_COLON = 0x3A
_MONTHS = {
    name: f"{number:02}"
    for number, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1)
}
_PARTIAL = re.compile(rb"<([0-9]{1,20}+)>")


def read_attributes(scanner: Scanner, utf8: bool) -> dict[str, object]:
    """The list of names and values where the scanner stands, to the end of the response.

    Raises:
        ProtocolError, LimitExceeded: it is no such list.
    """
    values: dict[str, object] = {}
    scanner.expect(b"(")
    while not scanner.skip(b")"):
        name = _name(scanner)
        scanner.expect(b" ")
        values[name] = decode_value(name, scanner, utf8)
        if not scanner.skip(b" ") and not scanner.text.startswith(b")", scanner.position):
            scanner.fail("a space or ')'")
    scanner.end()
    return values


def _name(scanner: Scanner) -> str:
    name = scanner.section_atom().upper()
    if scanner.skip(b"["):
        name += b"[" + _section(scanner) + b"]"
        partial = _PARTIAL.match(scanner.text, scanner.position)
        if partial is not None:
            scanner.position = partial.end()
            name += partial[0]
    return name.decode("utf-8", "replace")


def _section(scanner: Scanner) -> bytes:
    """What stands in the brackets: header names may be quoted or literals."""
    parts = []
    while not scanner.skip(b"]"):
        text = scanner.optional_string()
        if text is None:
            text = next((token for token in (b" ", b"(", b")") if scanner.skip(token)), b"") or scanner.section_atom()
        parts.append(text.upper())
    return b"".join(parts)


def decode_value(name: str, scanner: Scanner, utf8: bool) -> object:
    """The value of the attribute ``name`` where the scanner stands."""
    if name == "X-GM-LABELS":
        return _labels(scanner, utf8)
    decode = _DECODERS.get(name)
    if decode is not None:
        return decode(scanner)
    if name.startswith(("BODY[", "BINARY[")):
        return scanner.nstring()
    return scanner.value()


def _uid(scanner: Scanner) -> int:
    uid = scanner.number()
    if not 0 < uid <= _MAX_UID:
        scanner.fail("a UID before this place")
    return uid


def _optional(scanner: Scanner) -> int | None:
    """A number, or NIL from a server that has none to tell."""
    return None if scanner.nil() else scanner.number()


def _modseq(scanner: Scanner) -> int | None:
    if scanner.nil():
        return None
    scanner.expect(b"(")
    number = scanner.number()
    scanner.expect(b")")
    return number


def _labels(scanner: Scanner, utf8: bool) -> frozenset[str]:
    r"""``("\\Inbox" \Sent Work NIL)``: Gmail quotes its own labels or does not, and has been seen to send NIL among them."""
    labels = set()
    if scanner.nil():
        return frozenset()
    scanner.expect(b"(")
    while not scanner.skip(b")"):
        if scanner.skip(b" "):
            continue
        label = scanner.optional_string()
        if label is None:
            label = scanner.atom()
            if label.upper() == b"NIL":
                continue
        labels.add(label.decode("utf-8", "replace") if utf8 else utf7.decode(label))
    return frozenset(labels)


@functools.lru_cache(1024)
def decode_labels(text: bytes, utf8: bool) -> frozenset[str]:
    """A list of labels without literals, which the pattern of a row took: most messages share theirs with others."""
    return _labels(Scanner(text), utf8)


def _date(scanner: Scanner) -> datetime | None:
    text = scanner.nstring()
    return None if text is None else decode_date(text)


def decode_date(text: bytes) -> datetime | None:
    """``06-Feb-1992 16:51:37 +0000``; ``None`` for what is no date."""
    behind = len(text) - _BEHIND_TIME
    before = behind - _TIME
    if before < 0 or text[before + 2] != _COLON or text[before + 5] != _COLON:
        return None
    day, zone = _day(text[:before]), _zone(text[behind:])
    if day is None or zone is None:
        return None
    try:
        return datetime.fromisoformat(f"{day}T{text[before:behind].decode('ascii')}{zone}")
    except ValueError:
        return None


@functools.lru_cache(2048)
def _day(text: bytes) -> str | None:
    """``06-Feb-1992`` and a space as ISO 8601 writes it. The days of a mailbox are few."""
    match = _DAY.fullmatch(text)
    if match is None:
        return None
    day, name, year = (part.decode("ascii") for part in match.groups())
    month = _MONTHS.get(name.title())
    return None if month is None else f"{year}-{month}-{day:0>2}"


@functools.lru_cache(256)
def _zone(text: bytes) -> str | None:
    match = _ZONE.fullmatch(text)
    return None if match is None else f"{match[1].decode('ascii')}:{match[2].decode('ascii')}"


_DECODERS: dict[str, Callable[[Scanner], object]] = {
    "UID": _uid,
    "FLAGS": flags,
    "MODSEQ": _modseq,
    "X-GM-THRID": _optional,
    "X-GM-MSGID": _optional,
    "RFC822.SIZE": _optional,
    "INTERNALDATE": _date,
    "ENVELOPE": lambda scanner: Envelope.from_value(scanner.value()),
    # How deep parts nest is up to whoever sends mail, and must not end the connection.
    "BODYSTRUCTURE": lambda scanner: read_structure(scanner.value(prune=True)),
    "BODY": lambda scanner: read_structure(scanner.value(prune=True)),
    "RFC822": Scanner.nstring,
    "RFC822.HEADER": Scanner.nstring,
    "RFC822.TEXT": Scanner.nstring,
}

KNOWN = ("X-GM-LABELS", *_DECODERS)
"""Attributes whose values have a shape of their own; every other may hold any value."""
