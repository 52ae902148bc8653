"""Who wrote to whom about what? The envelope of a message, decoded when it is touched."""

from __future__ import annotations

import datetime as dt
import functools
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from . import wire
from .wire.envelope import read_addresses
from .words import decode_words

__all__ = ["EMPTY_ENVELOPE", "Address", "Envelope"]

_MEMO_SIZE = 320
"""Characters of an address, as RFC 5321 allows: longer ones are not remembered."""
_DOT_ATOM = re.compile(r"[^\x00-\x20\x7f()<>@,:;\\\".\[\]]+(?:\.[^\x00-\x20\x7f()<>@,:;\\\".\[\]]+)*")


@dataclass(frozen=True, slots=True)
class Address:
    """Somebody in an envelope.

    Attributes:
        name: the display name, decoded; ``""`` if there is none.
        mailbox: what stands before the ``@``.
        host: what stands behind it; ``""`` for what has none, such as the name of a group.
    """

    name: str
    mailbox: str
    host: str

    @property
    def address(self) -> str:
        """``mailbox@host``, as far as there is either; the first in quotes where RFC 5322 wants them."""
        short = len(self.mailbox) + len(self.host) <= _MEMO_SIZE
        return (_joined if short else _join)(self.mailbox, self.host)

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address


def _join(mailbox: str, host: str) -> str:
    if not host:
        return mailbox
    if mailbox and not _DOT_ATOM.fullmatch(mailbox):
        escaped = mailbox.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"@{host}'
    return f"{mailbox}@{host}"


_joined = functools.lru_cache(4096)(_join)


class Envelope:
    """The header fields that a list of messages shows (RFC 9051 section 7.5.2), decoded when they are touched.

    Encoded words (RFC 2047) are decoded. Nothing in it raises, whatever the message or the server got wrong: what cannot be read is
    ``""``, ``()`` or ``None``. Frozen.
    """

    __slots__ = ("_fields",)
    _fields: wire.Envelope

    def __init__(self, fields: wire.Envelope) -> None:
        _set_fields(self, fields)

    @property
    def date(self) -> dt.datetime | None:
        """The Date field, aware; ``None`` where it is missing or no date. Without a zone, or with ``-0000``, it counts as UTC."""
        raw = self._fields.date
        return None if raw is None else _read_date(raw)

    @property
    def subject(self) -> str:
        """The Subject field."""
        raw = self._fields.subject
        return "" if raw is None else decode_words(raw)

    @property
    def from_(self) -> tuple[Address, ...]:
        """Who wrote it."""
        return _people(self._fields, 2)

    @property
    def sender(self) -> tuple[Address, ...]:
        """Who sent it; the same as :attr:`from_` unless the message says otherwise."""
        return _people(self._fields, 3)

    @property
    def reply_to(self) -> tuple[Address, ...]:
        """Where replies go; the same as :attr:`from_` unless the message says otherwise."""
        return _people(self._fields, 4)

    @property
    def to(self) -> tuple[Address, ...]:
        """The To field."""
        return _people(self._fields, 5)

    @property
    def cc(self) -> tuple[Address, ...]:
        """The Cc field."""
        return _people(self._fields, 6)

    @property
    def bcc(self) -> tuple[Address, ...]:
        """The Bcc field, which is there in what one sent oneself."""
        return _people(self._fields, 7)

    @property
    def in_reply_to(self) -> str:
        """The In-Reply-To field as it stands: one id, or several, or on Gmail whatever stood there."""
        raw = self._fields.in_reply_to
        return "" if raw is None else raw.decode("utf-8", "replace").strip()

    @property
    def message_id(self) -> str:
        """The Message-ID field, with its angle brackets."""
        raw = self._fields.message_id
        return "" if raw is None else raw.decode("utf-8", "replace").strip()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an Envelope is frozen: {name} cannot be set")

    def __eq__(self, other: object) -> bool:
        return self._fields == other._fields if isinstance(other, Envelope) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return f"Envelope(subject={self.subject!r}, from_={self.from_!r}, message_id={self.message_id!r})"


_set_fields = Envelope.__dict__["_fields"].__set__
EMPTY_ENVELOPE = wire.Envelope(None, 0, ())
_ANGLED = re.compile(rb"\s*(.*?)\s*<([^<>\s]+)>\s*", re.DOTALL)


def _people(fields: wire.Envelope, index: int) -> tuple[Address, ...]:
    """The addresses in a field, by its place in the envelope."""
    key = fields.key(index)
    return _addresses(fields.addresses(index)) if key is None else _remembered(*key)


@functools.lru_cache(4096)
def _remembered(text: bytes, literals: tuple[bytes, ...]) -> tuple[Address, ...]:
    """Few people write most of the messages."""
    return _recognised(read_addresses(text, iter(literals)))


@functools.lru_cache(4096)
def _recognised(found: tuple[wire.Address, ...]) -> tuple[Address, ...]:
    """The same people may be written in many ways, each part as a quoted string or as a literal."""
    return _addresses(found)


def _addresses(found: tuple[wire.Address, ...]) -> tuple[Address, ...]:
    return tuple([_address(*one) for one in found if any(one)])


def _address(name: bytes | None, _route: bytes | None, mailbox: bytes | None, host: bytes | None) -> Address:
    if host is None and name is not None and (swapped := _ANGLED.fullmatch(name)):
        # Gmail on headers that it does not understand: the address stands as the name, and the name as the mailbox.
        name = swapped[1] or mailbox
        before, _, behind = swapped[2].rpartition(b"@")
        mailbox, host = (before, behind) if before else (behind, b"")
    return Address(
        decode_words(name) if name else "",
        mailbox.decode("utf-8", "replace") if mailbox else "",
        host.decode("utf-8", "replace") if host else "",
    )


def _read_date(raw: bytes) -> dt.datetime | None:
    try:
        date = parsedate_to_datetime(raw.decode("ascii", "replace"))
        return date if date.tzinfo is not None else date.replace(tzinfo=dt.UTC)
    except (ValueError, TypeError, IndexError, OverflowError):  # all that older versions of the email package raise
        return None
