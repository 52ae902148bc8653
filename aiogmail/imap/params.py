"""What stands in Content-Type and Content-Disposition behind the first word? Parameters, split, continued, encoded and mangled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .charsets import decode
from .words import decode_words

__all__ = ["decode_params", "split_value"]

_PARAM = re.compile(rb';\s*+([^=;\s]*+)\s*+(?:=\s*+("(?:[^"\\]|\\.)*+"?|[^;]*+))?[^;]*+', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_COMMENT = re.compile(rb"\s*\([^()]*\)\s*\Z")
_FREE = (b"NAME", b"FILENAME")
_SECTION = re.compile(r"(.+?)\*(?:([0-9]{1,4})(\*)?)?")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")


def split_value(value: bytes) -> tuple[bytes, dict[str, bytes]]:
    """The first word of a structured field, as it stands, and its parameters, raw, by upper-case name; the first of a name counts."""
    head, semicolon, tail = value.partition(b";")
    params: dict[str, bytes] = {}
    for match in _PARAM.finditer(semicolon + tail):
        name, text = match[1].upper(), match[2] or b""
        if not name:
            continue
        if text.startswith(b'"'):
            text = _ESCAPED.sub(rb"\1", text[1:-1] if len(text) > 1 and text.endswith(b'"') else text[1:])
        else:  # a file's name may have parentheses where no quotes are; in any other value they are a comment
            text = text.strip() if name.startswith(_FREE) else _COMMENT.sub(b"", text).strip()
        params.setdefault(name.decode("ascii", "replace"), text)
    return _COMMENT.sub(b"", head).strip(), params


def decode_params(raw: Mapping[str, bytes]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Parameters as text by lower-case name, and what could not be decoded.

    Values that were split over ``name*0``, ``name*1``… are joined and their charset and percent signs decoded (RFC 2231); encoded words
    (RFC 2047), which have no place here and are common, are decoded too; so are octets beyond ASCII.
    """
    plain: dict[str, bytes] = {}
    pieces: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for name, value in raw.items():
        match = _SECTION.fullmatch(name)
        if match is None:
            plain[name.lower()] = value
        else:
            encoded = match[2] is None or match[3] is not None
            pieces.setdefault(match[1].lower(), {}).setdefault(int(match[2] or 0), (value, encoded))
    params: dict[str, str] = {}
    defects: list[str] = []
    for name, value in plain.items():
        if name not in pieces:
            text, defect = (decode_words(value), "") if b"=?" in value and value.isascii() else decode(value, None)
            params[name] = text.replace("\r\n", "")
            _tell(defects, name, defect)
    for name, numbered in pieces.items():
        params[name], defect = _joined(numbered[number] for number in sorted(numbered))
        _tell(defects, name, defect)
    return params, tuple(defects)


def _joined(pieces: Iterable[tuple[bytes, bool]]) -> tuple[str, str]:
    charset: str | None = None
    octets = bytearray()
    for number, (value, encoded) in enumerate(pieces):
        text = value
        if encoded:
            if number == 0 and text.count(b"'") >= 2:
                declared, _, text = text.split(b"'", 2)
                charset = declared.decode("ascii", "replace") or None
            text = _PERCENT.sub(lambda match: bytes((int(match[1], 16),)), text)
        octets += text
    return decode(octets, charset)


def _tell(defects: list[str], name: str, defect: str) -> None:
    if defect:
        defects.append(f"parameter {name}: {defect}")
