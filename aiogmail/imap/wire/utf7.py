"""Modified UTF-7, in which IMAP writes mailbox names (RFC 3501 section 5.1.3)."""

from __future__ import annotations

import binascii
import re

from aiogmail.errors import ConfigurationError

__all__ = ["decode", "encode"]

_PLAIN = re.compile(r"[\x20-\x25\x27-\x7e]+|&+|[^\x20-\x7e]+")
_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")


def encode(name: str) -> bytes:
    """A name as it is sent: printable ASCII as it stands, ``&`` as ``&-``, the rest in shifted base64 of UTF-16.

    Raises:
        ConfigurationError: a lone surrogate, which no encoding can carry.
    """
    return b"".join(map(_encode_run, _PLAIN.findall(name)))


def _encode_run(run: str) -> bytes:
    if " " <= run[0] <= "~":
        return run.encode("ascii").replace(b"&", b"&-")
    try:
        units = run.encode("utf-16-be")
    except UnicodeEncodeError:
        raise ConfigurationError(f"mailbox name: expected text, got a lone surrogate in {run!r}") from None
    return b"&" + binascii.b2a_base64(units, newline=False).rstrip(b"=").replace(b"/", b",") + b"-"


def decode(name: bytes) -> str:
    """A name as a person reads it. Whatever is no modified UTF-7 stays as it stands; bytes above 127 are read as UTF-8.

    It never raises. Where ``encode(decode(name)) != name``, only the raw name selects the mailbox.
    """
    if b"&" in name:
        parts: list[str] = []
        end = 0
        for match in _SHIFTED.finditer(name):
            parts += _text(name[end : match.start()]), _decode_run(match)
            end = match.end()
        parts.append(_text(name[end:]))
        return "".join(parts)
    return _text(name)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _decode_run(match: re.Match[bytes]) -> str:
    run = match[1]
    if not run:
        return "&"
    try:
        units = binascii.a2b_base64(run.replace(b",", b"/") + b"=" * (-len(run) % 4))
        return units.decode("utf-16-be")
    except ValueError:  # of base64 or of UTF-16: UnicodeDecodeError is one
        return _text(match[0])
