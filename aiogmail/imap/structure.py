"""Of what parts is a message made? A tree of values that are decoded, whether a server told it or the message itself."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from aiogmail.errors import ConfigurationError

from . import wire
from .envelope import Envelope
from .params import decode_params
from .words import decode_words

__all__ = ["BodyPart", "body_part", "part_number"]

_NUMBER = re.compile(r"[1-9][0-9]{0,4}(?:\.[1-9][0-9]{0,4}){0,99}")
_NO_PARAMS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class BodyPart:
    """One part of a message (RFC 9051 section 7.5.2, RFC 2045), and all below it.

    Attributes:
        number: what fetches it: ``"1"``, ``"2.1"``. ``""`` for a multipart that is the whole message, ``"2.TEXT"`` for one that is the
            body of the message in part 2: neither is fetched by number.
        type, subtype: in lower case, such as ``"text"`` and ``"plain"``; ``""`` where the server told none.
        params: of Content-Type, by lower-case name, decoded (RFC 2231, RFC 2047).
        encoding: Content-Transfer-Encoding in lower case; ``""`` for a multipart.
        size: octets as transferred, encoded; ``None`` for a multipart.
        lines: of text and messages; else ``None``.
        disposition: ``"attachment"``, ``"inline"``, another word in lower case, or ``""``; ``disposition_params`` its parameters.
        id: Content-ID with its angle brackets; ``description``, ``location`` (Content-Location), ``md5``: ``""`` where missing.
        language: the tags of Content-Language.
        children: the parts of a multipart; of a message its body.
        envelope: of a part that is a message (``message/rfc822``); else ``None``.
        defects: what of this part's description could not be decoded.
    """

    number: str
    type: str
    subtype: str
    params: Mapping[str, str] = field(default_factory=lambda: _NO_PARAMS, hash=False)
    encoding: str = ""
    size: int | None = None
    lines: int | None = None
    disposition: str = ""
    disposition_params: Mapping[str, str] = field(default_factory=lambda: _NO_PARAMS, hash=False)
    id: str = ""
    description: str = ""
    location: str = ""
    md5: str = ""
    language: tuple[str, ...] = ()
    children: tuple[BodyPart, ...] = ()
    envelope: Envelope | None = None
    defects: tuple[str, ...] = ()

    @property
    def content_type(self) -> str:
        """``type/subtype``, such as ``"image/png"``."""
        return f"{self.type}/{self.subtype}"

    @property
    def is_multipart(self) -> bool:
        """Whether it is but a frame around other parts. Gmail tells some multiparts without their children."""
        return self.type == "multipart"

    @property
    def charset(self) -> str:
        """The charset that is declared; ``""`` if none is."""
        return self.params.get("charset", "")

    @property
    def filename(self) -> str:
        """The name that its sender gave it; ``""`` if none. It may hold anything: never take it for a path as it stands."""
        return (self.disposition_params.get("filename") or self.params.get("name", "")).strip()

    @property
    def is_attachment(self) -> bool:
        """Whether its disposition says so. :attr:`.Message.attachments` holds more: whatever is not shown as the message's text."""
        return self.disposition == "attachment"

    @property
    def parts(self) -> tuple[BodyPart, ...]:
        """This part and all below it, also those within messages, in the order of their numbers."""
        return tuple(self._walk())

    def _walk(self) -> Iterator[BodyPart]:
        yield self
        for child in self.children:
            yield from child._walk()  # noqa: SLF001  of its own class

    def find(self, number: str) -> BodyPart | None:
        """The part with this number, of those at or below this one."""
        return next((part for part in self._walk() if part.number == number), None)

    def leaves(self) -> Iterator[BodyPart]:
        """The parts at or below this one that are no multiparts; an attached message counts as one, closed."""
        if not self.is_multipart:
            yield self
            return
        for child in self.children:
            yield from child.leaves()

    def body(self, subtype: str) -> BodyPart | None:
        """The part that is the text of the message: ``"plain"`` or ``"html"``. As ``email.message.EmailMessage.get_body`` finds it."""
        if self.is_attachment:
            return None
        if self.type == "text":
            return self if self.subtype == subtype else None
        if not self.is_multipart:
            return None
        children = self.children
        if self.subtype == "related" and children:
            start = self.params.get("start")
            children = (next((child for child in children if start and child.id == start), children[0]),)
        return next((found for child in children if (found := child.body(subtype)) is not None), None)

    def __repr__(self) -> str:
        shown = [f"BodyPart({self.number!r}, {self.content_type!r}"]
        shown += [f"{name}={value!r}" for name in ("filename", "size", "disposition") if (value := getattr(self, name))]
        shown += [f"children={len(self.children)}"] if self.children else []
        return ", ".join(shown) + ")"


def body_part(part: wire.Part) -> BodyPart:
    """The decoded form of a tree as a server told it, or as :mod:`.mime` read it; its depth is bounded by whoever made it."""
    params, defects = _params(part.params)
    disposition_params, more = _params(part.disposition_params)
    return BodyPart(
        part.section,
        part.type.lower(),
        part.subtype.lower(),
        params,
        encoding=_transfer_encoding(part.encoding or ""),
        size=part.size,
        lines=part.lines,
        disposition=(part.disposition or "").lower(),
        disposition_params=disposition_params,
        id=_text(part.id),
        description=decode_words(part.description or b""),
        location=_text(part.location),
        md5=_text(part.md5),
        language=tuple(_text(tag) for tag in part.language),
        children=tuple(map(body_part, part.children)),
        envelope=None if part.envelope is None else Envelope(part.envelope),
        defects=defects + more,
    )


def _params(raw: Mapping[str, bytes]) -> tuple[Mapping[str, str], tuple[str, ...]]:
    if not raw:
        return _NO_PARAMS, ()
    params, defects = decode_params(raw)
    return MappingProxyType(params), defects


@functools.lru_cache(256)
def _transfer_encoding(encoding: str) -> str:
    return encoding.strip().lower()


def _text(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode("utf-8", "replace").strip()


def part_number(part: object, argument: str = "part") -> str:
    """The number of a part that can be fetched.

    Raises:
        ConfigurationError: neither a number such as ``"1.2"`` nor a :class:`BodyPart` that has one.
    """
    number = part.number if isinstance(part, BodyPart) else part
    if not isinstance(number, str) or not _NUMBER.fullmatch(number):
        raise ConfigurationError(
            f"{argument}: expected the number of a part such as '1' or '2.1', or a BodyPart that has one; got {part!r}"
        )
    return number
