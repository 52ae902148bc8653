"""Of what parts is a message made? Read from its octets, with the numbers that an IMAP server gives the parts (RFC 2045, RFC 9051).

Each octet is looked at once for each level of nesting, and levels are bounded. Whatever the message got wrong is told in
``defects``; nothing raises.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from email.utils import getaddresses

from .params import decode_params, split_value
from .wire import Envelope, Part

__all__ = ["Mime", "body_start", "header_fields", "iter_fields", "read_envelope", "read_mime"]

_MOST_LEVELS = 50
_MOST_PARTS = 10_000
_LONGEST = 1000  # white space behind a boundary: no line is searched to its end again and again
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
_TYPE = re.compile(rb"[^\s/;\"()<>@,\\]+/[^\s/;\"()<>@,\\]+")
_TAG = re.compile(rb"[A-Za-z0-9-]+")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_OPEN = frozenset({"", "7BIT", "8BIT", "BINARY"})
_Fields = dict[bytes, bytes]
_LENIENT: dict[str, bool] = {"strict": False} if "strict" in inspect.signature(getaddresses).parameters else {}
"""Newer Pythons' strict reading gives nobody where one address of many is a domain literal: a mail program shows them all."""


class Mime:
    """What :func:`read_mime` found.

    Attributes:
        raw: the octets it was read from.
        root: the message's parts, as a server would tell them in BODYSTRUCTURE.
        spans: where in ``raw`` the octets of each part are, by section number, as ``BODY[1.2]`` would give them.
        defects: what is wrong with the message's composition.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.spans: dict[str, tuple[int, int]] = {}
        self.defects: list[str] = []
        self._count = 0
        fields, body = header_fields(raw)
        self.root = self._part(fields, body, len(raw), "", "", 0, b"text/plain")

    def octets(self, section: str) -> bytes | None:
        """The octets of a part; ``None`` where there is none of that number."""
        span = self.spans.get(section)
        return None if span is None else self.raw[span[0] : span[1]]

    def _part(self, fields: _Fields, start: int, end: int, section: str, prefix: str, level: int, default: bytes) -> Part:
        """A part whose header was read: ``prefix`` is that of its children's numbers, ``section`` its own if it is a multipart."""
        self._count += 1
        main, params = split_value(fields.get(b"content-type", default))
        if not _TYPE.fullmatch(main):
            if main:
                self._tell(section or "1", f"the content type {main[:40]!r} is none")
            main = b"text/plain" if b"content-type" in fields else default
        kind, _, subtype = main.decode("ascii", "replace").upper().partition("/")
        if kind == "MULTIPART":
            children = self._children(_boundary(params), start, end, prefix, level, subtype, section)
            if children:
                self.spans[section] = (start, end)
                return self._make(section, kind, subtype, params, fields, start, end, children)
            kind, subtype = "TEXT", "PLAIN"  # so that what stands there can be read
        number = section if section and not section.endswith(".TEXT") else f"{prefix}1"
        self.spans[number] = (start, end)
        if kind == "MESSAGE" and subtype in ("RFC822", "GLOBAL") and _encoding(fields) in _OPEN and level < _MOST_LEVELS:
            return self._message(number, subtype, params, fields, start, end, level)
        return self._make(number, kind, subtype, params, fields, start, end, ())

    def _message(self, number: str, subtype: str, params: dict[str, bytes], fields: _Fields, start: int, end: int, level: int) -> Part:
        inner, body = header_fields(self.raw, start, end)
        child = self._part(inner, body, end, f"{number}.TEXT", f"{number}.", level + 1, b"text/plain")
        unread: list[str] = []
        envelope = read_envelope(inner, unread)
        for name in unread:
            self._tell(number, f"the addresses in its header {name} cannot be read")
        return self._make(number, "MESSAGE", subtype, params, fields, start, end, (child,), envelope)

    def _children(self, boundary: bytes, start: int, end: int, prefix: str, level: int, subtype: str, section: str) -> tuple[Part, ...]:
        where = section or "the message"
        boundary = boundary.rstrip()
        if not boundary:
            self._tell(where, "a multipart without a boundary")
            return ()
        if level >= _MOST_LEVELS:
            self._tell(where, f"parts nested in more than {_MOST_LEVELS} levels are not read")
            return ()
        default = b"message/rfc822" if subtype == "DIGEST" else b"text/plain"
        children = []
        for number, (first, last, closed) in enumerate(_slices(self.raw, boundary, start, end), 1):
            if not closed:
                self._tell(where, "the closing boundary is missing")
            if self._count >= _MOST_PARTS:
                self._tell(where, f"more than {_MOST_PARTS} parts are not read")
                break
            fields, body = header_fields(self.raw, first, last)
            own = f"{prefix}{number}"
            children.append(self._part(fields, body, last, own, f"{own}.", level + 1, default))
        if not children:
            self._tell(where, "its boundary is not found")
        return tuple(children)

    def _make(
        self,
        section: str,
        kind: str,
        subtype: str,
        params: dict[str, bytes],
        fields: _Fields,
        start: int,
        end: int,
        children: tuple[Part, ...],
        envelope: Envelope | None = None,
    ) -> Part:
        disposition, disposition_params = split_value(fields.get(b"content-disposition", b""))
        multipart = kind == "MULTIPART"
        return Part(
            section,
            kind,
            subtype,
            params=params,
            id=fields.get(b"content-id"),
            description=fields.get(b"content-description"),
            encoding=None if multipart else _encoding(fields) or "7BIT",
            size=None if multipart else end - start,
            lines=self.raw.count(b"\n", start, end) if kind == "TEXT" or envelope is not None else None,
            md5=fields.get(b"content-md5"),
            disposition=disposition.decode("ascii", "replace").upper() or None,
            disposition_params=disposition_params,
            language=tuple(_TAG.findall(fields.get(b"content-language", b""))),
            location=fields.get(b"content-location"),
            children=children,
            envelope=envelope,
        )

    def _tell(self, where: str, defect: str) -> None:
        self.defects.append(f"part {where}: {defect}" if where != "the message" else f"the message: {defect}")


def read_mime(raw: bytes) -> Mime:
    """Read a whole message."""
    return Mime(raw)


def header_fields(raw: bytes, start: int = 0, end: int | None = None) -> tuple[_Fields, int]:
    """The fields of the header at ``start``, unfolded, the first of each by lower-case name; and where its body begins."""
    fields: _Fields = {}
    stop = body_start(raw, start, end)
    for name, value in iter_fields(raw, start, stop):
        fields.setdefault(name.lower(), value)
    return fields, stop


def body_start(raw: bytes, start: int = 0, end: int | None = None) -> int:
    """Where the header at ``start`` ends: behind the first empty line, or before the first line that is none of a header."""
    end = len(raw) if end is None else end
    position = start
    while position < end:
        stop = raw.find(b"\n", position, end)
        following = end if stop < 0 else stop + 1
        first = raw[position]
        if first in b"\r\n" and not raw[position:following].strip(b"\r\n"):
            return following
        is_mbox = position == start and raw.startswith(b"From ", position, end)  # the line that an mbox has before each message
        if first not in b" \t" and not is_mbox and not _NAME.match(raw, position, following):
            return position
        position = following
    return end


def iter_fields(raw: bytes, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of the fields in a header, in order; values unfolded and without white space around."""
    name: bytes | None = None
    lines: list[bytes] = []
    for line in raw[start:end].split(b"\n"):
        if line[:1] in (b" ", b"\t"):
            lines.append(line.rstrip(b"\r"))
            continue
        if name is not None:
            yield name, b"".join(lines).strip()
        match = _NAME.match(line)
        name = match[1] if match else None
        lines = [line[match.end() :].rstrip(b"\r")] if match else []
    if name is not None:
        yield name, b"".join(lines).strip()


def _slices(raw: bytes, boundary: bytes, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Where the parts between boundaries begin and end, and whether a boundary ended them."""
    mark = b"--" + boundary
    begun = -1
    position = start
    while (position := raw.find(mark, position, end)) >= 0:
        behind = position + len(mark)
        near = min(end, behind + _LONGEST)
        line_end = raw.find(b"\n", behind, near)
        following = near if line_end < 0 else line_end + 1
        rest = raw[behind:following]
        closing = rest.startswith(b"--")
        if (position > start and raw[position - 1] != 0x0A) or (rest[2:] if closing else rest).strip(b" \t\r\n") or len(rest) == _LONGEST:
            position = behind
            continue
        if begun >= 0:
            stop = position - 1 if position > begun else begun
            if stop > begun and raw[stop - 1] == 0x0D:
                stop -= 1
            yield begun, max(begun, stop), True
        if closing:
            return
        begun = position = following
    if begun >= 0:
        yield begun, end, False


def _boundary(params: dict[str, bytes]) -> bytes:
    """As it stands, or from a parameter that is continued (RFC 2231)."""
    raw = params.get("BOUNDARY")
    return decode_params(params)[0].get("boundary", "").encode("ascii", "replace") if raw is None else raw


def _encoding(fields: _Fields) -> str:
    value = fields.get(b"content-transfer-encoding", b"")
    return split_value(value)[0].decode("ascii", "replace").upper()


def read_envelope(fields: _Fields, unread: list[str] | None = None) -> Envelope | None:
    """The envelope that a server would make of a header; ``unread`` gets the names of fields whose addresses cannot be read."""
    people = []
    for name in (b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"):
        try:
            people.append(_addresses(fields.get(name, b"")))
        except (ValueError, LookupError, TypeError, RecursionError):  # what the email package raises where it is at its wit's end
            people.append(())
            if unread is not None:
                unread.append(name.decode("ascii"))
    texts = [fields.get(name) for name in (b"date", b"subject", b"in-reply-to", b"message-id")]
    return Envelope.from_value((*texts[:2], people[0], people[1] or people[0], people[2] or people[0], *people[3:], *texts[2:]))


def _addresses(value: bytes) -> tuple[tuple[bytes | None, ...], ...]:
    if not value:
        return ()
    found = []
    people = getaddresses([value.decode("utf-8", "surrogateescape")], **_LENIENT)
    for name, address in people:
        mailbox, _, host = address.rpartition("@") if "@" in address else (address, "", "")
        if len(mailbox) > 1 and mailbox.startswith('"') and mailbox.endswith('"'):
            mailbox = _QUOTED_PAIR.sub(r"\1", mailbox[1:-1])
        texts = (name, "", mailbox, host)
        found.append(tuple(text.encode("utf-8", "surrogateescape") or None for text in texts))
    return tuple(found)
