"""Where does a response end?

Bytes in, whole responses out: lines end at CRLF and nowhere else, and a data line that ends in ``{n}`` goes on after n octets. The text of
a status response is a person's words and never announces a literal. Framing comes before parsing, so that a malformed response cannot move
the start of the next one, and every size is charged before its bytes arrive.
"""

from __future__ import annotations

import io
import re

from aiogmail.errors import LimitExceeded, ProtocolError
from aiogmail.settings import Limits

__all__ = ["SCRATCH", "Frame", "Framer"]

Frame = bytes | tuple[bytes, tuple[bytes, ...]]
"""A response without its last CRLF; with its literals where it has any: see :class:`aiogmail.imap.wire.responses.Response`."""

SCRATCH = 64 * 1024
_CRLF = b"\r\n"
_LITERAL_OVERHEAD = 64  # an octets object of Python's: a flood of tiny literals must not cost more memory than the limit says
_TEXT_LINE = re.compile(rb"(?!\* )|\* (?:OK|NO|BAD|BYE|PREAUTH)(?![^ \r])", re.IGNORECASE)
_NUMBER = re.compile(rb"\{([0-9]++)\}\Z")


class Framer:
    """Cuts a stream of bytes into responses; any segmentation gives the same.

    Attributes:
        error: why nothing more will come out, once the stream broke the grammar or a limit.
        received: bytes so far.
    """

    def __init__(self, limits: Limits) -> None:
        self._line_limit = min(limits.line, limits.response)
        self._limits = limits
        self.error: ProtocolError | None = None
        self.received = 0
        self._held = b""  # the last bytes of a segment that may be the start of "}" CRLF
        self._tail = bytearray()  # the incomplete line
        self._head = bytearray()  # the lines of this response that ended in a literal, each with its CRLF
        self._literals: list[bytes] = []
        self._charged = 0
        self._sink: io.BytesIO | None = None  # the incomplete literal
        self._view = memoryview(b"")
        self._filled = 0
        self._scratch = memoryview(bytearray(SCRATCH))

    @property
    def pending(self) -> int:
        """Bytes of the response that is not complete yet."""
        return len(self._held) + len(self._tail) + len(self._head) + sum(map(len, self._literals)) + self._filled

    @property
    def mid_response(self) -> bool:
        return bool(self._held or self._tail or self._head)

    def get_buffer(self) -> memoryview:
        """Where the next bytes belong: the rest of a large literal, else a scratch buffer."""
        rest = self._view[self._filled :]
        return rest if len(rest) >= SCRATCH else self._scratch

    def buffer_updated(self, count: int) -> list[Frame]:
        """``count`` bytes were written to what :meth:`get_buffer` gave."""
        if len(self._view) - self._filled < SCRATCH:
            return self.feed(bytes(self._scratch[:count]))
        self.received += count
        self._filled += count
        self._finish_literal()
        return []

    def feed(self, data: bytes) -> list[Frame]:
        """The responses that these bytes complete; none after an error."""
        frames: list[Frame] = []
        if self.error is not None:
            return frames
        self.received += len(data)
        if self._held:
            data = self._held + data
            self._held = b""
        try:
            self._frame(data, frames)
        except ProtocolError as error:
            self.error = error
            self._drop()
        return frames

    def _drop(self) -> None:
        self._sink, self._view, self._filled = None, memoryview(b""), 0
        self._held = b""
        self._tail, self._head, self._literals = bytearray(), bytearray(), []

    def _frame(self, data: bytes, frames: list[Frame]) -> None:
        position = 0
        while True:
            if self._sink is not None:
                position = self._fill_literal(data, position)
                if self._sink is not None:
                    return
            marker = data.find(b"}\r\n", position)
            if marker < 0:
                break
            lines = data[position : marker + 1].split(_CRLF)
            last = lines.pop()
            if lines:
                self._take_lines(lines, frames)
            position = self._take_marked(last, data, marker + 3, frames)
        self._take_rest(data[position:] if position else data, frames)

    def _take_rest(self, rest: bytes, frames: list[Frame]) -> None:
        """Bytes in which no literal begins."""
        lines = rest.split(_CRLF)
        tail = lines.pop()
        if lines:
            self._take_lines(lines, frames)
        if tail.endswith((b"\r", b"}")):
            kept = -2 if tail.endswith(b"}\r") else -1
            tail, self._held = tail[:kept], tail[kept:]
        if tail:
            self._tail += tail
            self._check_line(len(self._head) + len(self._tail))

    def _take_lines(self, lines: list[bytes], frames: list[Frame]) -> None:
        """Whole lines, the first of which may have begun earlier."""
        if self._tail or self._head:
            first = lines[0] = bytes(self._tail) + lines[0]
            self._tail.clear()
            if self._head:
                self._check_line(len(self._head) + len(first))
                self._charge(len(first))
                frames.append((bytes(self._head) + first, tuple(self._literals)))
                self._head.clear()
                self._literals.clear()
                self._charged = 0
                del lines[0]
        limit = self._line_limit
        if lines and max(map(len, lines)) > limit:
            for line in lines:
                self._check_line(len(line))
                frames.append(line)
        frames += lines

    def _take_marked(self, last: bytes, data: bytes, position: int, frames: list[Frame]) -> int:
        """A line that ends in ``}``: perhaps a literal follows. Returns where to go on."""
        line = bytes(self._tail) + last if self._tail else last
        number = None if not self._head and _TEXT_LINE.match(line) else _NUMBER.search(line, max(0, len(line) - 32))
        if number is None:
            self._take_lines([last], frames)
            return position
        self._tail.clear()
        self._check_line(len(self._head) + len(line))
        digits = number[1]
        if len(digits) > 20:
            raise ProtocolError("the server announced a literal with a size of more than 20 digits")
        size = int(digits)
        if size > self._limits.literal:
            raise LimitExceeded(f"the server announced a literal of {size} bytes, more than Limits.literal ({self._limits.literal}) allows")
        self._charge(len(line) + 2 + size + _LITERAL_OVERHEAD)
        self._head += line
        self._head += _CRLF
        end = position + size
        if end <= len(data):
            self._literals.append(data[position:end])
            return end
        self._sink = io.BytesIO(bytes(size))
        self._view = self._sink.getbuffer()
        return position

    def _fill_literal(self, data: bytes, position: int) -> int:
        count = min(len(data) - position, len(self._view) - self._filled)
        self._view[self._filled : self._filled + count] = memoryview(data)[position : position + count]
        self._filled += count
        self._finish_literal()
        return position + count

    def _finish_literal(self) -> None:
        if self._sink is not None and self._filled == len(self._view):
            # BytesIO gives its buffer itself, not a copy: the octets were received where they stay.
            self._literals.append(self._sink.getvalue())
            self._sink, self._view, self._filled = None, memoryview(b""), 0

    def _check_line(self, size: int) -> None:
        if size > self._line_limit:
            raise LimitExceeded(f"the server sent a line longer than Limits.line ({self._line_limit}) allows")

    def _charge(self, size: int) -> None:
        self._charged += size
        if self._charged > self._limits.response:
            raise LimitExceeded(f"the server sent, or announced, a response larger than Limits.response ({self._limits.response}) allows")
