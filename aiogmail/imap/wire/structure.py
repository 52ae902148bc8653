"""Of what parts a message is made: BODYSTRUCTURE and BODY as a tree.

Gmail sends multiparts without children, basic parts that call themselves message/rfc822, and lists that end early: whatever can be told is
told, and nothing raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .envelope import Envelope
from .scanner import Value

__all__ = ["Part", "read_structure"]

_Values = tuple[Value, ...]
# A first word that is one of these begins a single part even where the subtype is missing; any other without a subtype is that of a
# multipart that lost its children.
_TYPES = frozenset({"APPLICATION", "AUDIO", "FONT", "IMAGE", "MESSAGE", "MODEL", "TEXT", "VIDEO"})


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message (RFC 9051 section 7.5.2).

    Attributes:
        section: its number for ``BODY[…]``: ``"1"``, ``"2.1"``; ``""`` for a multipart that is the whole message, ``"2.TEXT"`` for one
            that is the body of the message in part 2.
        type, subtype: in upper case; ``""`` where missing. A multipart's type is ``"MULTIPART"``.
        params: of Content-Type, by upper-case name, raw.
        id, description, location: raw, ``None`` for NIL.
        encoding: Content-Transfer-Encoding in upper case.
        size: octets as transferred; ``lines`` of text and messages.
        disposition: in upper case, such as ``"ATTACHMENT"``, with its ``disposition_params``.
        language: raw tags.
        children: of a multipart its parts, of a message its body.
        envelope: of a message.
    """

    section: str
    type: str
    subtype: str
    params: Mapping[str, bytes] = field(default_factory=dict)
    id: bytes | None = None
    description: bytes | None = None
    encoding: str | None = None
    size: int | None = None
    lines: int | None = None
    md5: bytes | None = None
    disposition: str | None = None
    disposition_params: Mapping[str, bytes] = field(default_factory=dict)
    language: tuple[bytes, ...] = ()
    location: bytes | None = None
    children: tuple[Part, ...] = ()
    envelope: Envelope | None = None

    def walk(self) -> Iterator[Part]:
        """This part and all below it, in the order of their section numbers."""
        yield self
        for child in self.children:
            yield from child.walk()


def read_structure(value: Value) -> Part | None:
    """The tree of a parsed BODYSTRUCTURE; ``None`` where it is no list."""
    if not isinstance(value, tuple):
        return None
    return _multipart(value, "", "") if _is_multipart(value) else _single(value, "1")


def _is_multipart(body: _Values) -> bool:
    first = _at(body, 0)
    if isinstance(first, tuple):
        return True
    second = _at(body, 1)
    return _upper(first) not in _TYPES and not isinstance(second, bytes | str)


def _multipart(body: _Values, section: str, prefix: str) -> Part:
    count = 0
    while isinstance(_at(body, count), tuple):
        count += 1
    children = tuple(_part(child, f"{prefix}{number}") for number, child in enumerate(body[:count], 1) if isinstance(child, tuple))
    disposition, disposition_params = _disposition(_at(body, count + 2))
    return Part(
        section,
        "MULTIPART",
        _upper(_at(body, count)) or "",
        params=_params(_at(body, count + 1)),
        disposition=disposition,
        disposition_params=disposition_params,
        language=_language(_at(body, count + 3)),
        location=_bytes(_at(body, count + 4)),
        children=children,
    )


def _part(body: _Values, section: str) -> Part:
    return _multipart(body, section, f"{section}.") if _is_multipart(body) else _single(body, section)


def _single(body: _Values, section: str) -> Part:
    kind, subtype = _upper(_at(body, 0)) or "", _upper(_at(body, 1)) or ""
    following = 7
    lines = None
    envelope = None
    children: tuple[Part, ...] = ()
    if kind == "MESSAGE" and _holds_message(body):
        following = 10
        envelope = Envelope.from_value(_at(body, 7))
        lines = _number(_at(body, 9))
        inner = _at(body, 8)
        if isinstance(inner, tuple):
            children = (_inner(inner, section),)
    elif kind == "TEXT":
        following = 8
        lines = _number(_at(body, 7))
    disposition, disposition_params = _disposition(_at(body, following + 1))
    return Part(
        section,
        kind,
        subtype,
        params=_params(_at(body, 2)),
        id=_bytes(_at(body, 3)),
        description=_bytes(_at(body, 4)),
        encoding=_upper(_at(body, 5)),
        size=_number(_at(body, 6)),
        lines=lines,
        md5=_bytes(_at(body, following)),
        disposition=disposition,
        disposition_params=disposition_params,
        language=_language(_at(body, following + 2)),
        location=_bytes(_at(body, following + 3)),
        children=children,
        envelope=envelope,
    )


def _holds_message(body: _Values) -> bool:
    """Gmail gives a message/rfc822 that is encoded in base64 in the form of a basic part: without envelope, body and lines."""
    return isinstance(_at(body, 7), tuple) or isinstance(_at(body, 9), int)


def _inner(body: _Values, section: str) -> Part:
    if _is_multipart(body):
        return _multipart(body, f"{section}.TEXT", f"{section}.")
    return _single(body, f"{section}.1")


def _at(body: _Values, index: int) -> Value:
    return body[index] if index < len(body) else None


def _bytes(value: Value) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return None if isinstance(value, tuple) else str(value).encode()


def _upper(value: Value) -> str | None:
    raw = _bytes(value)
    return None if raw is None else raw.decode("utf-8", "replace").upper()


def _number(value: Value) -> int | None:
    return value if isinstance(value, int) else None


def _params(value: Value) -> dict[str, bytes]:
    if not isinstance(value, tuple):
        return {}
    pairs = zip(value[::2], value[1::2], strict=False)
    return {name: _bytes(item) or b"" for key, item in pairs if (name := _upper(key)) is not None}


def _disposition(value: Value) -> tuple[str | None, dict[str, bytes]]:
    if isinstance(value, tuple):
        return _upper(_at(value, 0)), _params(_at(value, 1))
    return _upper(value), {}


def _language(value: Value) -> tuple[bytes, ...]:
    tags = value if isinstance(value, tuple) else (value,)
    return tuple(tag for item in tags if (tag := _bytes(item)) is not None)
