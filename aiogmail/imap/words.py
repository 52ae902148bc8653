"""What does a header field say? Encoded words (RFC 2047) and raw octets to text; nothing that stands there raises."""

from __future__ import annotations

import binascii
import re

from .charsets import decode

__all__ = ["decode_words"]

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


def _decode(raw: bytes) -> str:
    text, *words = _WORD.split(raw)
    parts = [text.decode("utf-8", "replace")]
    if not text.strip() and words:
        parts.clear()  # white space before the first word
    charset, octets = b"", bytearray()  # the words read last, which are not decoded yet
    for name, encoding, encoded, behind in zip(words[::4], words[1::4], words[2::4], words[3::4], strict=True):
        if octets and name.lower() != charset:
            parts.append(_text(octets, charset))
            octets.clear()
        charset = name.lower()
        octets += _octets(encoding, encoded)
        if behind and not behind.isspace():  # white space between two words belongs to neither
            parts += _text(octets, charset), behind.decode("utf-8", "replace")
            octets.clear()
    parts.append(_text(octets, charset))
    return "".join(parts)


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
