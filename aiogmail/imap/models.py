"""What is a message, as far as it was fetched?"""

from __future__ import annotations

import datetime as dt
import functools
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from aiogmail.errors import ConfigurationError, NotFetched

from . import wire
from .wire.envelope import read_addresses
from .words import decode_words

__all__ = ["ITEMS", "Address", "Envelope", "Message", "wire_items"]

ITEMS = {
    "uid": "",
    "flags": "FLAGS",
    "internal_date": "INTERNALDATE",
    "size": "RFC822.SIZE",
    "modseq": "MODSEQ",
    "labels": "X-GM-LABELS",
    "gmail_id": "X-GM-MSGID",
    "thread_id": "X-GM-THRID",
    "envelope": "ENVELOPE",
    "structure": "BODYSTRUCTURE",
    "raw": "BODY.PEEK[]",
}
"""Items of ``fetch`` → the fetch item on the wire. None of them sets \\Seen."""

DEFAULT_ITEMS = ("flags", "internal_date", "size")


def wire_items(items: tuple[str, ...]) -> tuple[str, ...]:
    """The wire form of the items of a ``fetch``, each once, in the order of :data:`ITEMS`.

    Raises:
        ConfigurationError: an item that does not exist.
    """
    for item in items:
        if not isinstance(item, str) or item not in ITEMS:
            raise ConfigurationError(f"items: expected names out of {', '.join(ITEMS)}; got {item!r}")
    chosen = items or DEFAULT_ITEMS
    return tuple(wire for name, wire in ITEMS.items() if name in chosen and wire)


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
        """``mailbox@host``, as far as there is either."""
        return f"{self.mailbox}@{self.host}" if self.host else self.mailbox

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address


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
_EMPTY = wire.Envelope(None, 0, ())
_ANGLED = re.compile(rb"\s*(.*?)\s*<([^<>\s]+)>\s*", re.DOTALL)


def _people(fields: wire.Envelope, index: int) -> tuple[Address, ...]:
    """The addresses in a field, by its place in the envelope."""
    key = fields.key(index)
    return _addresses(fields.addresses(index)) if key is None else _remembered(*key)


@functools.lru_cache(4096)
def _remembered(text: bytes, literals: tuple[bytes, ...]) -> tuple[Address, ...]:
    """Few people write most of the messages."""
    return _addresses(read_addresses(text, iter(literals)))


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


class Message:
    """A message of a mailbox, with the items that were asked for; decoded when they are touched.

    An item that was not asked for raises :class:`aiogmail.errors.NotFetched` with its name. Frozen: it does not change
    when the mailbox does.
    """

    __slots__ = ("_fetch",)
    _fetch: wire.Fetch

    def __init__(self, fetch: wire.Fetch) -> None:
        _set_fetch(self, fetch)

    @property
    def uid(self) -> int:
        """Its UID: names it in its mailbox as long as UIDVALIDITY stays."""
        uid = self._fetch.uid
        assert uid is not None, "a row without UID belongs to no fetch"
        return uid

    @property
    def flags(self) -> frozenset[str]:
        r"""Its flags, such as ``"\Seen"``."""
        flags = self._fetch.flags
        if flags is None:
            raise NotFetched("flags")
        return flags

    @property
    def internal_date(self) -> dt.datetime | None:
        """When the server received it (INTERNALDATE), aware; ``None`` where the server's date is unreadable."""
        date = self._fetch.get("INTERNALDATE", _ABSENT)
        if date is _ABSENT:
            raise NotFetched("internal_date")
        return date if isinstance(date, dt.datetime) else None

    @property
    def size(self) -> int:
        """Octets of the whole message (RFC822.SIZE)."""
        size = self._fetch.number("RFC822.SIZE")
        if size is None:
            raise NotFetched("size")
        return size

    @property
    def modseq(self) -> int:
        """Its mod-sequence (RFC 7162)."""
        modseq = self._fetch.number("MODSEQ")
        if modseq is None:
            raise NotFetched("modseq")
        return modseq

    @property
    def labels(self) -> frozenset[str]:
        """Its Gmail labels (X-GM-LABELS), without the selected mailbox's own."""
        labels = self._fetch.get("X-GM-LABELS")
        if not isinstance(labels, frozenset):
            raise NotFetched("labels")
        return labels

    @property
    def gmail_id(self) -> int:
        """X-GM-MSGID: names it in the account for ever."""
        gmail_id = self._fetch.number("X-GM-MSGID")
        if gmail_id is None:
            raise NotFetched("gmail_id")
        return gmail_id

    @property
    def thread_id(self) -> int:
        """X-GM-THRID: names its thread."""
        thread_id = self._fetch.number("X-GM-THRID")
        if thread_id is None:
            raise NotFetched("thread_id")
        return thread_id

    @property
    def envelope(self) -> Envelope:
        """Its subject, date, addresses and ids (ENVELOPE); empty where the server told none."""
        envelope = self._fetch.get("ENVELOPE", _ABSENT)
        if envelope is _ABSENT:
            raise NotFetched("envelope")
        return Envelope(envelope if isinstance(envelope, wire.Envelope) else _EMPTY)

    @property
    def structure(self) -> wire.Part | None:
        """Of what parts it is made (BODYSTRUCTURE), nothing decoded; ``None`` where the server could not tell."""
        structure = self._fetch.get("BODYSTRUCTURE", _ABSENT)
        if structure is _ABSENT:
            raise NotFetched("structure")
        return structure if isinstance(structure, wire.Part) else None

    @property
    def raw(self) -> bytes:
        """The whole message as it is on the server (RFC 5322 octets)."""
        raw = self._fetch.get("BODY[]", _ABSENT)
        if raw is _ABSENT:
            raise NotFetched("raw")
        return raw if isinstance(raw, bytes) else b""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Message is frozen: {name} cannot be set")

    def __repr__(self) -> str:
        return f"Message(uid={self.uid}, items={', '.join(self._fetch.names())})"


_set_fetch = Message.__dict__["_fetch"].__set__
_ABSENT = object()
