"""What does a header field say? Encoded words (RFC 2047) and raw octets to text; nothing that stands there raises."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from .charsets import decode

__all__ = ["decode_words", "word_defects"]

_WORD = re.compile(rb"=\?([A-Za-z0-9._:+\-]{1,40})(?:\*[A-Za-z0-9\-]*)?\?([BbQq])\?([^?]*)\?=")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_FOLD = re.compile(r"[\r\n]+[ \t]*")


def decode_words(raw: bytes) -> str:
    """The text of an unstructured field or a display name.

    Words next to each other in one charset are decoded together: characters are often cut between them. What cannot be decoded stands
    as it came; octets outside of words are UTF-8, bad ones replaced.
    """
    if b"=?" not in raw:
        text = raw.decode("utf-8", "replace")
    elif (only := _WORD.fullmatch(raw)) is not None:
        text = _text(_octets(only[2], only[3]), only[1].lower())
    else:
        text = _decode(raw)
    return _FOLD.sub(" ", text) if "\n" in text or "\r" in text else text


def word_defects(raw: bytes) -> Iterator[str]:
    """What of it could not be decoded."""
    for octets, charset in _pieces(raw):
        if charset is not None:
            _, defect = decode(octets, charset.decode("ascii"))
            if defect:
                yield defect
        elif "\ufffd" in octets.decode("utf-8", "replace"):
            yield "octets that are neither encoded nor UTF-8"


def _decode(raw: bytes) -> str:
    return "".join([octets.decode("utf-8", "replace") if charset is None else _text(octets, charset) for octets, charset in _pieces(raw)])


def _pieces(raw: bytes) -> Iterator[tuple[bytes | bytearray, bytes | None]]:
    """What stands between words, and the octets of words with their charset; words next to each other in one charset are one piece."""
    text, *words = _WORD.split(raw)
    if text.strip() or not words:  # white space before the first word is none
        yield text, None
    charset, octets = b"", bytearray()
    for name, encoding, encoded, behind in zip(words[::4], words[1::4], words[2::4], words[3::4], strict=True):
        if octets and name.lower() != charset:
            yield octets, charset
            octets = bytearray()
        charset = name.lower()
        octets += _octets(encoding, encoded)
        if behind and not behind.isspace():  # white space between two words belongs to neither
            yield octets, charset
            yield behind, None
            octets = bytearray()
    if octets:
        yield octets, charset


def _octets(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"Qq":
        return binascii.a2b_qp(text, header=True)
    digits = _NOT_BASE64.sub(b"", text)
    if len(digits) % 4 == 1:  # cut: the last digit says nothing
        digits = digits[:-1]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def _text(octets: bytes | bytearray, charset: bytes) -> str:
    if charset == b"utf-8":
        return octets.decode("utf-8", "replace")
    return decode(octets, charset.decode("ascii"))[0]
