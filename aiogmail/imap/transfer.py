"""What octets does a transfer encoding stand for? Decoders that are fed in pieces: where the pieces are cut makes no difference.

What does not belong there is left out or left as it stands, and told in ``defects``. Nothing raises.
"""

from __future__ import annotations

import binascii
import re

__all__ = ["Decoder", "decode_transfer", "decoder_for"]

_SPACE = b" \t\r\n\v\f"
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_FOREIGN = bytes(set(range(256)) - set(_ALPHABET))
_PADDING = re.compile(rb"=+")
_BAD_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n)")


class Decoder:
    """Hands on what it is fed: ``7bit``, ``8bit``, ``binary``.

    Attributes:
        defects: what could not be decoded, in the order in which it was met; each kind once.
    """

    def __init__(self) -> None:
        self.defects: list[str] = []

    def feed(self, octets: bytes) -> bytes:
        """What these octets, behind those before, stand for; what is not complete waits for the next."""
        return octets

    def finish(self) -> bytes:
        """What is left at the end."""
        return b""

    def _tell(self, defect: str) -> None:
        if defect not in self.defects:
            self.defects.append(defect)


class _Base64(Decoder):
    """RFC 2045 section 6.8. What stands behind padding is read on: some senders join what they had encoded piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = b""
        self._padded = False

    def feed(self, octets: bytes) -> bytes:
        dense = octets.translate(None, _SPACE)
        digits = dense.translate(None, _FOREIGN)
        if len(digits) != len(dense):
            self._tell("base64: characters that are not of its alphabet were left out")
        if b"=" not in digits:
            return self._run(digits)
        *ended, last = _PADDING.split(digits)
        return b"".join([self._run(run) + self._end(padded=True) for run in ended]) + self._run(last)

    def _run(self, digits: bytes) -> bytes:
        if digits and self._padded:
            self._tell("base64: it goes on behind its padding")
            self._padded = False
        digits = self._rest + digits
        whole = len(digits) & ~3
        self._rest = digits[whole:]
        return binascii.a2b_base64(digits[:whole])

    def _end(self, *, padded: bool) -> bytes:
        rest, self._rest = self._rest, b""
        self._padded = self._padded or padded
        if len(rest) == 1:
            self._tell("base64: it was cut: the last digit says nothing")
            return b""
        if rest and not padded:
            self._tell("base64: it was cut: its padding is missing")
        return binascii.a2b_base64(rest + b"=" * (-len(rest) % 4))

    def finish(self) -> bytes:
        return self._end(padded=False)


class _QuotedPrintable(Decoder):
    """RFC 2045 section 6.7."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = b""

    def feed(self, octets: bytes) -> bytes:
        octets = self._rest + octets
        escape = octets.rfind(b"=", max(0, len(octets) - 2))
        self._rest = octets[escape:] if escape >= 0 else b""
        return self._decode(octets[: len(octets) - len(self._rest)])

    def _decode(self, octets: bytes) -> bytes:
        if _BAD_ESCAPE.search(octets):
            self._tell("quoted-printable: '=' without two hexadecimal digits behind it was left as it stands")
            octets = _BAD_ESCAPE.sub(b"=3D", octets)
        return binascii.a2b_qp(octets)

    def finish(self) -> bytes:
        rest, self._rest = self._rest, b""
        return b"" if rest in (b"=", b"=\r") else self._decode(rest)


class _Uuencode(Decoder):
    """What the old ``uuencode`` writes: lines between ``begin`` and ``end``."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = b""
        self._inside: bool | None = None

    def feed(self, octets: bytes) -> bytes:
        *lines, self._rest = (self._rest + octets).split(b"\n")
        return b"".join([self._line(line.rstrip(b"\r")) for line in lines])

    def _line(self, line: bytes) -> bytes:
        if self._inside is None:
            self._inside = True if line.startswith(b"begin ") else None
            return b""
        if not self._inside or not line:
            return b""
        if line == b"end":
            self._inside = False
            return b""
        try:
            return binascii.a2b_uu(line)
        except binascii.Error:
            pass
        try:  # as the standard library works around broken encoders: as much as the first character announces
            return binascii.a2b_uu(line[: (((line[0] - 32) & 63) * 4 + 5) // 3])
        except binascii.Error:
            self._tell("uuencode: a line that cannot be decoded was left out")
            return b""

    def finish(self) -> bytes:
        rest = self._line(self._rest) if self._rest else b""
        self._rest = b""
        if self._inside is not False:
            self._tell("uuencode: no 'begin'" if self._inside is None else "uuencode: no 'end'")
        return rest


_DECODERS: dict[str, type[Decoder]] = {
    "base64": _Base64,
    "quoted-printable": _QuotedPrintable,
    **dict.fromkeys(("", "7bit", "8bit", "binary"), Decoder),
    **dict.fromkeys(("x-uuencode", "uuencode", "uue", "x-uue"), _Uuencode),
}


def decoder_for(encoding: str) -> Decoder:
    """A decoder for a Content-Transfer-Encoding, in lower case; an unknown one is left as it is, and told."""
    kind = _DECODERS.get(encoding.strip())
    decoder = (kind or Decoder)()
    if kind is None:
        decoder.defects.append(f"the transfer encoding {encoding[:40]!r} is unknown")
    return decoder


def decode_transfer(octets: bytes, encoding: str) -> tuple[bytes, tuple[str, ...]]:
    """All of it at once, and what could not be decoded."""
    decoder = decoder_for(encoding)
    decoded = decoder.feed(octets)
    rest = decoder.finish()
    return decoded + rest if rest else decoded, tuple(decoder.defects)
