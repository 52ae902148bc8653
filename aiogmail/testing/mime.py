"""Where in a message are its headers and parts? Spans of bytes; nothing is decoded before somebody asks.

Written for the emulator alone, so that it can disagree with the library's own reading.
"""

from __future__ import annotations

import quopri
import re
from base64 import b64decode
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header
from functools import lru_cache

__all__ = [
    "Part",
    "body_start",
    "decoded_header",
    "decoded_text",
    "find",
    "header_fields",
    "header_value",
    "parameters",
    "parse",
    "unfold",
    "with_crlf",
]

MAX_DEPTH = 20
MAX_PARTS = 1000

_BARE_LF = re.compile(rb"(?<!\r)\n")
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;]*)', re.DOTALL)


@dataclass(slots=True)
class Part:
    """A message or a part of one. Spans are offsets into the whole message: ``start`` of the header, ``body``, ``end``.

    Attributes:
        kind, subtype: upper case, such as ``b"TEXT"``, ``b"PLAIN"``.
        params: of Content-Type, in order, names upper case.
        children: the parts of a multipart; for message/rfc822, the one message inside.
    """

    start: int
    body: int
    end: int
    fields: list[tuple[bytes, bytes]]
    kind: bytes = b"TEXT"
    subtype: bytes = b"PLAIN"
    params: list[tuple[bytes, bytes]] = field(default_factory=list)
    children: list[Part] = field(default_factory=list)

    def value(self, name: bytes) -> bytes | None:
        """The unfolded value of the first field of this (lower-case) name."""
        for field_name, raw in self.fields:
            if field_name == name:
                return unfold(raw)
        return None

    @property
    def is_message(self) -> bool:
        """Whether it is a message/rfc822 whose inner message was read."""
        return self.kind == b"MESSAGE" and bool(self.children)


def with_crlf(raw: bytes) -> bytes:
    """The message with every line ended by CRLF."""
    return raw if raw.count(b"\n") == raw.count(b"\r\n") else _BARE_LF.sub(b"\r\n", raw)


def body_start(raw: bytes, start: int = 0, end: int | None = None) -> int:
    """Where the body begins: after the blank line, or the end where there is none."""
    stop = len(raw) if end is None else end
    if raw.startswith(b"\r\n", start, stop):
        return start + 2
    blank = raw.find(b"\r\n\r\n", start, stop)
    return stop if blank < 0 else blank + 4


def header_fields(raw: bytes, start: int, body: int) -> list[tuple[bytes, bytes]]:
    """The fields between two offsets: lower-case name, raw field with its CRLF."""
    fields: list[tuple[bytes, bytes]] = []
    for line in raw[start:body].splitlines(keepends=True):
        if line[:1] in b" \t" and fields and line.strip():
            name, old = fields[-1]
            fields[-1] = name, old + line
        elif b":" in line:
            fields.append((line.split(b":", 1)[0].strip().lower(), line))
    return fields


def unfold(field_line: bytes) -> bytes:
    """The value of a raw field on one line."""
    return field_line.split(b":", 1)[1].replace(b"\r\n", b"").strip()


@lru_cache(maxsize=256)
def _field(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?im)^" + re.escape(name) + rb"[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)")


def header_value(raw: bytes, name: bytes) -> bytes | None:
    """The unfolded value of one field of a message, without reading the others. ``name`` is lower case."""
    match = _field(name).search(raw[: body_start(raw)])
    return None if match is None else match[1].replace(b"\r\n", b"").strip()


def parameters(value: bytes) -> list[tuple[bytes, bytes]]:
    """The parameters of a field such as Content-Type: upper-case name, unquoted value."""
    found = []
    for name, text in _PARAMETER.findall(value):
        if text[:1] == b'"':
            text = re.sub(rb"\\(.)", rb"\1", text[1:-1])  # noqa: PLW2901  the unquoted form of the same value
        found.append((name.upper(), text))
    return found


def _new_part(raw: bytes, start: int, end: int, *, in_digest: bool = False) -> Part:
    body = body_start(raw, start, end)
    part = Part(start, body, end, header_fields(raw, start, body))
    content_type = part.value(b"content-type")
    if content_type is not None:
        name, slash, rest = content_type.partition(b";")[0].strip().upper().partition(b"/")
        if slash and name and rest:
            part.kind, part.subtype = name, rest
            part.params = parameters(content_type)
    elif in_digest:
        part.kind, part.subtype = b"MESSAGE", b"RFC822"  # RFC 2046 section 5.1.5
    return part


def _child_spans(raw: bytes, part: Part) -> list[tuple[int, int]]:
    """Where the parts between a multipart's delimiter lines are (RFC 2046 section 5.1.1)."""
    boundary = next((value for name, value in part.params if name == b"BOUNDARY"), b"")
    if not boundary:
        return []
    delimiter = re.compile(rb"\r\n--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r\n|\Z)")
    spans: list[tuple[int, int]] = []
    open_at: int | None = None
    # The CRLF that ends the header also begins the first delimiter.
    position = max(part.body - 2, 0)
    while len(spans) < MAX_PARTS:
        match = delimiter.search(raw, position, part.end)
        if match is None:
            break
        if open_at is not None:
            spans.append((open_at, max(match.start(), open_at)))
            open_at = None
        if match[1]:
            break
        open_at = match.end()
        position = open_at - 2
    if open_at is not None and len(spans) < MAX_PARTS:
        spans.append((open_at, part.end))
    return spans


def parse(raw: bytes) -> Part:
    """The tree of a message's parts. What nests deeper than ``MAX_DEPTH`` is left whole."""
    root = _new_part(raw, 0, len(raw))
    todo = [(root, 0)]
    while todo:
        part, depth = todo.pop()
        if depth >= MAX_DEPTH:
            continue
        if part.kind == b"MULTIPART":
            in_digest = part.subtype == b"DIGEST"
            part.children = [_new_part(raw, start, end, in_digest=in_digest) for start, end in _child_spans(raw, part)]
        elif part.kind == b"MESSAGE" and part.subtype == b"RFC822" and _encoding(part) not in {b"BASE64", b"QUOTED-PRINTABLE"}:
            part.children = [_new_part(raw, part.body, part.end)]
        todo.extend((child, depth + 1) for child in part.children)
    return root


def find(root: Part, path: tuple[int, ...]) -> Part | None:
    """The part that a section such as ``1.2`` names (RFC 9051 section 6.4.5.1). Part 1 of a message that is no multipart is its own body."""
    container, is_message, part = root, True, root
    for depth, number in enumerate(path):
        if depth:
            is_message = part.is_message
            container = part.children[0] if is_message else part
        if container.kind == b"MULTIPART" and container.children:
            if not 0 < number <= len(container.children):
                return None
            part = container.children[number - 1]
        elif number == 1 and is_message:
            part = container
        else:
            return None
    return part


def _encoding(part: Part) -> bytes:
    return (part.value(b"content-transfer-encoding") or b"7BIT").strip().upper()


def _decode_body(raw: bytes, part: Part) -> str:
    body = raw[part.body : part.end]
    encoding = _encoding(part)
    if encoding == b"BASE64":
        clean = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
        whole = len(clean) - (len(clean) % 4 == 1)
        body = b64decode(clean[:whole] + b"=" * (-whole % 4))
    elif encoding == b"QUOTED-PRINTABLE":
        body = quopri.decodestring(body)
    charset = next((value for name, value in part.params if name == b"CHARSET"), b"utf-8")
    try:
        return body.decode(charset.decode("ascii"), "replace")
    except (LookupError, ValueError):  # a charset may refuse ("undefined", "idna"), and its name may hold anything
        return body.decode("latin-1")


def decoded_text(raw: bytes, root: Part) -> str:
    """The text of all text parts, one after another, as a search sees it."""
    pieces, todo = [], [root]
    while todo:
        part = todo.pop()
        if part.kind == b"TEXT":
            text = _decode_body(raw, part)
            pieces.append(re.sub(r"<[^<>]*>", " ", text) if part.subtype == b"HTML" else text)
        todo.extend(reversed(part.children))
    return "\n".join(pieces)


def decoded_header(value: bytes) -> str:
    """A field's value with its encoded words decoded (RFC 2047); what cannot be decoded is left as it stands."""
    text = value.decode("utf-8", "replace")
    if "=?" not in text:
        return text
    try:
        pieces = decode_header(text)
        return "".join(piece if isinstance(piece, str) else piece.decode(charset or "latin-1", "replace") for piece, charset in pieces)
    except (LookupError, ValueError, HeaderParseError):
        return text
