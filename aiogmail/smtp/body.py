"""How does a message travel? In blocks, every line ended by CRLF, dots doubled where the command asks for it; never a second copy.

A bare CR or LF is made a CRLF: a server that takes one for the end of a line would otherwise read another message than was meant
("SMTP smuggling", CVE-2023-51764).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aiogmail.errors import ConfigurationError

__all__ = ["Body", "with_crlf"]

_BLOCK = 64 * 1024
_LINE_END = re.compile(rb"\r\n|\r|\n")
_CR, _LF, _DOT = b"\r\n."


def with_crlf(text: bytes) -> bytes:
    """The text with every line ended by CRLF."""
    return _LINE_END.sub(b"\r\n", text)


class Body:
    """A message's octets: a header that is ready to travel, and a body that lies in a larger ``bytes`` from ``start`` on.

    Args:
        header: the header with the empty line that ends it, by CRLF.
        source: holds the body; it is not copied.
        start: where the body begins in it.

    Attributes:
        size: octets as they are sent, without doubled dots; known once :meth:`measure` has ended.
        eight_bit: whether there are octets above 127.
    """

    def __init__(self, header: bytes, source: bytes, start: int) -> None:
        self.header = header
        self._source = source
        self._start = start
        self.size = len(header)
        self.eight_bit = not header.isascii()
        self._is_clean = False

    def measure(self) -> Iterator[None]:
        """Go through the body once, a block at each step, so that a large one does not hold up others.

        Raises:
            ConfigurationError: a NUL, which cannot be sent without BINARYMIME.
        """
        source, clean = self._source, True
        if 0 in self.header:
            raise ConfigurationError("message: holds a NUL octet in its header, which cannot be sent")
        for start, stop in self._blocks():
            crlf, lines, returns = _count(source, start, stop)
            clean = clean and crlf == lines == returns
            self.size += stop - start + (lines - crlf) + (returns - crlf)
            block = source[start:stop]
            if 0 in block:
                raise ConfigurationError("message: holds a NUL octet, which cannot be sent; encode that part in base64")
            self.eight_bit = self.eight_bit or not block.isascii()
            yield
        self._is_clean = clean
        if self._start < len(source) and source[-1] not in (_CR, _LF):
            self.size += 2

    def pieces(self, *, stuffed: bool) -> Iterator[bytes | memoryview]:
        """The octets, in pieces, all but the CRLF at the very end.

        Args:
            stuffed: a dot that begins a line is doubled (RFC 5321 section 4.5.2), as DATA wants and BDAT does not.
        """
        source, view = self._source, memoryview(self._source)
        if self._start >= len(source):
            yield _stuff(self.header, True, self.header[:1] == b".")[:-2] if stuffed else self.header[:-2]
            return
        yield _stuff(self.header, True, self.header[:1] == b".") if stuffed else self.header
        at_line_start = True
        for start, stop in self._blocks():
            is_last = stop == len(source)
            clean = self._is_clean or len(set(_count(source, start, stop))) == 1
            ends = source[stop - 1] in (_CR, _LF)
            dotted = stuffed and (source.find(b".", start, stop) >= 0)
            if clean and not dotted:
                yield view[start : stop - 2 if is_last and ends else stop]
            else:
                block = source[start:stop] if clean else with_crlf(source[start:stop])
                if dotted:
                    block = _stuff(block, at_line_start, source[start] == _DOT)
                yield block[:-2] if is_last and ends else block
            at_line_start = ends

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Where to cut: never between a CR and its LF."""
        source, start = self._source, self._start
        while start < len(source):
            stop = min(start + _BLOCK, len(source))
            if source[stop - 1] == _CR and source[stop : stop + 1] == b"\n":
                stop += 1
            yield start, stop
            start = stop


def _count(source: bytes, start: int, stop: int) -> tuple[int, int, int]:
    """CRLFs, LFs and CRs."""
    return source.count(b"\r\n", start, stop), source.count(b"\n", start, stop), source.count(b"\r", start, stop)


def _stuff(block: bytes, at_line_start: bool, begins_with_dot: bool) -> bytes:
    block = block.replace(b"\r\n.", b"\r\n..")
    return b"." + block if at_line_start and begins_with_dot else block
