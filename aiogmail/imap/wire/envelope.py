"""Who wrote to whom about what: ENVELOPE, as raw bytes, each field read when it is touched.

Words encoded by RFC 2047 stay as they came; the models decode them. What Gmail sends in the wrong shape is read as far as it makes sense.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from .scanner import LITERAL, NIL, QUOTED, Value, unquote

__all__ = ["ENVELOPE", "Address", "Envelope", "read_addresses"]

_NSTRING = rb"(?:" + QUOTED + rb"|" + NIL + rb"|~?+" + LITERAL + rb")"  # the most frequent first
_ADDRESS = rb"\(" + rb" ".join([_NSTRING] * 4) + rb"\)"
_ADDRESSES = rb"(?:\((?:" + _ADDRESS + rb" ?+)++\)|" + NIL + rb")"
_SAME = rb"(?>(?P=from)(?= )|" + _ADDRESSES + rb")"  # servers repeat the author where the message names no other (RFC 9051 section 7.5.2)
_FIELDS = (
    *[rb"(" + _NSTRING + rb")"] * 2,
    rb"(?P<from>" + _ADDRESSES + rb")",
    *[rb"(" + _SAME + rb")"] * 2,
    *[rb"(" + _ADDRESSES + rb")"] * 3,
    *[rb"(" + _NSTRING + rb")"] * 2,
)
# the ten fields as ten groups, in the shape that RFC 9051 wants; other shapes are read by the way of values
ENVELOPE = rb"\(" + rb" ".join(_FIELDS) + rb"\)"
_STRINGS = re.compile(_NSTRING)
_tuple = tuple.__new__
_SHORT = 256
_NO_LITERALS: Iterator[bytes] = iter(())
_QUOTE = 0x22
_LF = 0x0A


class Address(NamedTuple):
    """One address of an envelope, raw. On Gmail a missing host is no group start, and name and mailbox may be swapped."""

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


class Envelope:
    """The header fields that a list of messages shows (RFC 9051 section 7.5.2).

    Strings are ``bytes``, ``None`` for NIL; address fields are tuples of :class:`Address`.
    """

    __slots__ = ("_base", "_literals", "_match", "_values")

    def __init__(self, match: re.Match[bytes] | None, base: int, literals: tuple[bytes, ...], values: tuple[Value, ...] = ()) -> None:
        self._match = match  # its ten groups from ``base`` on are the fields
        self._base = base
        self._literals = literals
        self._values = values

    @classmethod
    def from_value(cls, value: Value) -> Envelope | None:
        """From a list of whatever stood there; ``None`` where no list did."""
        return cls(None, 0, (), value) if isinstance(value, tuple) else None

    @property
    def date(self) -> bytes | None:
        return self._string(0)

    @property
    def subject(self) -> bytes | None:
        return self._string(1)

    @property
    def from_(self) -> tuple[Address, ...]:
        return self.addresses(2)

    @property
    def sender(self) -> tuple[Address, ...]:
        return self.addresses(3)

    @property
    def reply_to(self) -> tuple[Address, ...]:
        return self.addresses(4)

    @property
    def to(self) -> tuple[Address, ...]:
        return self.addresses(5)

    @property
    def cc(self) -> tuple[Address, ...]:
        return self.addresses(6)

    @property
    def bcc(self) -> tuple[Address, ...]:
        return self.addresses(7)

    @property
    def in_reply_to(self) -> bytes | None:
        return self._string(8)

    @property
    def message_id(self) -> bytes | None:
        return self._string(9)

    def _string(self, index: int) -> bytes | None:
        match = self._match
        if match is None:
            return _bytes(self._values, index)
        group = self._base + index
        token = match[group]
        if token[0] == _QUOTE:
            return unquote(token) if b"\\" in token else token[1:-1]
        return self._literals[match.string.count(b"\r\n", 0, match.start(group))] if token[-1] == _LF else None

    def _literals_from(self, match: re.Match[bytes], group: int) -> Iterator[bytes]:
        """The literals from the first in this group on."""
        return itertools.islice(self._literals, match.string.count(b"\r\n", 0, match.start(group)), None) if self._literals else iter(())

    def addresses(self, index: int) -> tuple[Address, ...]:
        """The address field at this place, from 2 (from) to 7 (bcc)."""
        match = self._match
        if match is None:
            return _addresses_of(self._values[index]) if index < len(self._values) else ()
        return read_addresses(match[self._base + index], self._literals_from(match, self._base + index))

    def key(self, index: int) -> tuple[bytes, tuple[bytes, ...]] | None:
        """What stood on the wire for a field, by its place from 0 (date) to 9 (message-id), and its literals; ``None`` if that is long.

        What is made of it may be remembered by it: few people write most of the messages.
        """
        match = self._match
        if match is None:
            return None
        text = match[self._base + index]
        if len(text) > _SHORT:
            return None
        if b"{" not in text:
            return text, ()
        first = match.string.count(b"\r\n", 0, match.start(self._base + index))
        literals = self._literals[first : first + text.count(b"\r\n")]
        return (text, literals) if sum(map(len, literals)) <= _SHORT else None

    def _fields(self) -> tuple[object, ...]:
        strings, addresses = self._string, self.addresses
        return (strings(0), strings(1), *map(addresses, range(2, 8)), strings(8), strings(9))

    def __eq__(self, other: object) -> bool:
        return self._fields() == other._fields() if isinstance(other, Envelope) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        return f"Envelope(date={self.date!r}, subject={self.subject!r}, from_={self.from_!r}, message_id={self.message_id!r})"


def _string_of(token: bytes, literals: Iterator[bytes]) -> bytes | None:
    """The value of a string's token; the next literal where it stands for one."""
    if token[0] == _QUOTE:
        return unquote(token)
    return next(literals) if token[-1] == _LF else None


def read_addresses(text: bytes, literals: Iterator[bytes] = _NO_LITERALS) -> tuple[Address, ...]:
    """A list of addresses, which the pattern of an envelope took; the literals are those from its first on."""
    tokens = _STRINGS.findall(text)
    values = iter([token[1:-1] if token[0] == _QUOTE and b"\\" not in token else _string_of(token, literals) for token in tokens])
    return tuple([_tuple(Address, four) for four in zip(values, values, values, values, strict=False)])  # NIL for the list is one


def _bytes(values: tuple[Value, ...], index: int) -> bytes | None:
    """A string by its place in a list of the wrong shape: an atom counts as one, a list does not."""
    value = values[index] if index < len(values) else None
    if value is None or isinstance(value, bytes):
        return value
    return None if isinstance(value, tuple) else str(value).encode()


def _addresses_of(value: Value) -> tuple[Address, ...]:
    if not isinstance(value, tuple) or not value:
        return ()
    if not any(isinstance(item, tuple) for item in value):  # one address without the list around it
        return (_address_of(value),)
    return tuple(_address_of(item) for item in value if isinstance(item, tuple))


def _address_of(value: tuple[Value, ...]) -> Address:
    return Address(_bytes(value, 0), _bytes(value, 1), _bytes(value, 2), _bytes(value, 3))
