"""Where does a response end?

Bytes in, whole responses out: lines end at CRLF and nowhere else, and a data line that ends in ``{n}`` goes on after n octets. The text of
a status response is a person's words and never announces a literal. Framing comes before parsing, so that a malformed response cannot move
the start of the next one, and every size is charged before its bytes arrive.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
from operator import length_hint

from aiogmail.errors import LimitExceeded, ProtocolError
from aiogmail.settings import Limits

__all__ = ["SCRATCH", "Frame", "Framer"]

Frame = bytes | tuple[bytes, tuple[bytes, ...]]
"""A response without its last CRLF; with its literals where it has any: see :class:`aiogmail.imap.wire.responses.Response`."""

SCRATCH = 64 * 1024
"""What is read at once: lines of so many bytes are worked off in a moment."""
_WIDE = 256 * 1024
"""And while bodies flow, each of which is one step: the fewer turns of the loop, the better."""
_BLOCK = 2 * 1024 * 1024
_LARGE_PIECE = 1024
_ROW_SIZE = 1200
"""No line that the pattern of a row takes is longer."""
_NOTHING = memoryview(b"")
_CRLF = b"\r\n"
_END_OF_ROW = memoryview(b")\r\n")
_LITERAL_OVERHEAD = 64  # an octets object of Python's: a flood of tiny literals must not cost more memory than the limit says
_ROW = re.compile(rb"\* [0-9]{1,20}+ [^\r{]{0,1000}+\{([0-9]{1,9}+)\}\r\n")
"""Data, not a status, with a literal at its end and no brace before."""
_SIZES = {b"{%d}" % size: size for size in range(1024)}
"""Header fields are short."""
_SHORT_SIZE = len("{1023")
_NUMBERED = frozenset(b"* %d" % digit for digit in range(10))
"""How a line begins that is data and no status."""
_MOST_LINES = 500
"""Cut at once: what comes behind them may be of another kind."""
_DATA_LINE = re.compile(rb"\* (?!(?:OK|NO|BAD|BYE|PREAUTH)(?![^ \r]))", re.IGNORECASE)


class _Shared(threading.local):
    """One scratch buffer for all connections of a thread, that is, of an event loop.

    Nothing runs between :meth:`Framer.get_buffer` and :meth:`Framer.buffer_updated`: of a thousand connections that wait, none needs its own.
    """

    def __init__(self) -> None:
        self.wide = memoryview(bytearray(_WIDE))
        self.scratch = self.wide[:SCRATCH]


_shared = _Shared()


class Framer:
    """Cuts a stream of bytes into responses; any segmentation gives the same.

    Attributes:
        error: why nothing more will come out, once the stream broke the grammar or a limit.
        received: bytes so far.
    """

    def __init__(self, limits: Limits) -> None:
        self._line_limit = min(limits.line, limits.response)
        self._literal_limit = limits.literal
        self._response_limit = limits.response
        # A response that is no larger, with what it costs to keep, breaks no limit; -1: not even one of the usual rows.
        self._row_limit = min(limits.line, limits.literal, limits.response) - _ROW_SIZE - _LITERAL_OVERHEAD
        self._row_limit = max(-1, self._row_limit)
        self.error: ProtocolError | None = None
        self.received = 0
        self._held = b""  # the last bytes of a segment that may be the start of "}" CRLF
        self._tail = bytearray()  # the incomplete line
        self._lines: list[bytes] = []  # the lines of this response that ended in a literal
        self._lines_size = 0
        self._literals: list[bytes] = []
        self._literals_size = 0
        self._pieces: list[bytearray | memoryview] = []  # of the incomplete literal
        self._missing = 0  # and how much of it is to come
        self._room = _NOTHING  # a block where that is received, and how much of the block is
        self._filled = 0
        self._reserve = _NOTHING  # a block for large literals, and whether this one is in it
        self._reserve_taken = False

    @property
    def pending(self) -> int:
        """Bytes of the response that is not complete yet."""
        announced = self._literals_size - _LITERAL_OVERHEAD * len(self._lines)
        return len(self._held) + len(self._tail) + self._lines_size + announced - self._missing

    @property
    def mid_response(self) -> bool:
        return bool(self._held or self._tail or self._lines)

    def get_buffer(self) -> memoryview:
        """Where the next bytes belong: a block of a large literal, else a scratch buffer."""
        if len(self._room) - self._filled < SCRATCH:
            self._end_block()
            if self._missing < SCRATCH:
                # While bodies flow more is read at once. Behind the rest of a large literal comes the next, which is better in its block.
                return _shared.wide if self._missing and not self._reserve_taken else _shared.scratch
            self._room = self._block()
        return self._room[self._filled :]

    def _end_block(self) -> None:
        """The block as one piece, in however many arrivals it came: a dripping server must not cost an object a drop."""
        if self._filled:
            self._pieces.append(self._room[: self._filled])
        self._room, self._filled = _NOTHING, 0

    def _block(self) -> memoryview:
        """A block for what is missing. One is kept from literal to literal: fresh memory costs more than what is received into it."""
        size = min(self._missing, _BLOCK)
        if self._reserve_taken:
            return memoryview(bytearray(size))
        if not self._reserve:
            self._reserve = memoryview(bytearray(_BLOCK))
        self._reserve_taken = True
        return self._reserve[:size]

    def slim(self) -> None:
        """Give back what is only kept for speed."""
        if not self._reserve_taken:
            self._reserve = _NOTHING

    def buffer_updated(self, count: int) -> list[Frame]:
        """``count`` bytes were written to what :meth:`get_buffer` gave."""
        if not self._room:
            if not self._missing or self._missing + 3 > count:
                return self.feed(bytes(_shared.wide[:count]))
            frames: list[Frame] = []
            position = self._take_rows(_shared.wide, count, frames)
            self.received += position
            frames += self.feed(bytes(_shared.wide[position:count]))
            return frames
        self.received += count
        self._filled += count
        self._missing -= count
        if not self._missing:
            self._end_literal()
        return []

    def feed(self, data: bytes) -> list[Frame]:
        """The responses that these bytes complete; none after an error."""
        frames: list[Frame] = []
        if self.error is not None:
            return frames
        self.received += len(data)
        if self._room:
            self._end_block()
        if self._held:
            data = self._held + data
            self._held = b""
        try:
            self._frame(data, frames)
        except ProtocolError as error:
            self.error = error
            self.drop()
        return frames

    def cut(self) -> tuple[bytes, bytes] | None:
        """The response that is not complete, where it stands within a literal: its text up to there, and what came of that literal."""
        if not self._missing:
            return None
        return _CRLF.join(self._lines), b"".join(self._pieces)

    def drop(self) -> None:
        """Nothing of what is held will ever be used."""
        self._held = b""
        self._tail = bytearray()
        self._lines, self._lines_size = [], 0
        self._literals, self._literals_size = [], 0
        self._pieces, self._missing = [], 0
        self._room, self._filled = _NOTHING, 0
        self._reserve, self._reserve_taken = _NOTHING, False

    def _frame(self, data: bytes, frames: list[Frame]) -> None:
        position = 0
        if self._missing:
            position = self._fill_literal(data, 0)
            if self._missing:
                return
            position = self._go_on(data, position, frames)
        while True:
            if not self._lines and not self._tail:
                position = self._frame_rows(data, position, frames)
            marker = data.find(b"}\r\n", position)
            if marker < 0:
                break
            if not self._lines and not self._tail and 0 < marker - data.rfind(b"{", position, marker) <= _SHORT_SIZE:
                further = self._split_rows(data, position, frames)
                if further > position:
                    position = further
                    continue
            last = data[position : marker + 1]
            position = marker + 3
            if self._tail or b"\r" in last:
                lines = last.split(_CRLF)
                self._join_tail(lines)
                last = lines.pop()
                if lines:
                    self._end_lines(lines, frames)
            size = self._announced(last)
            if size < 0:
                self._end_lines([last], frames)
                continue
            self._lines.append(last)
            end = position + size
            if end <= len(data):
                self._literals.append(data[position:end])
                position = self._go_on(data, end, frames)
            else:
                self._missing = size
                position = self._fill_literal(data, position)
        self._frame_rest(data[position:] if position else data, frames)

    def _frame_rows(self, data: bytes, position: int, frames: list[Frame]) -> int:
        """Data whose first line ends in a literal, one behind the other, as most rows with literals come. Where to go on."""
        total, limit = len(data), self._row_limit
        while (row := _ROW.match(data, position)) is not None:
            begin, size = row.end(), int(row[1])
            end = begin + size
            if size > limit or end > total:
                break
            if data.startswith(b")\r\n", end):  # a row with a body, and nothing else behind it
                frames.append((data[position:begin] + b")", (data[begin:end],)))
                position = end + 3
                continue
            if size < len(_SIZES):
                break
            self._lines.append(data[position : begin - 2])
            self._literals.append(data[begin:end])
            self._lines_size, self._literals_size = begin - position, size + _LITERAL_OVERHEAD
            position = self._go_on(data, end, frames)
            if self._lines:
                break
        return position

    def _split_rows(self, data: bytes, position: int, frames: list[Frame]) -> int:
        """Rows with short literals, many at once: cut at every CRLF, and joined again where a literal holds one. Where to go on.

        That is the first row that needs another way: it is not complete, its literals are long, or it is no row.
        """
        lines = data[position:].split(_CRLF, _MOST_LINES)
        rest_size = len(lines.pop())
        if len(data) - position - rest_size + len(lines) * _LITERAL_OVERHEAD > self._row_limit:
            return position
        left, rest = len(lines), iter(lines)
        sizes, join = _SIZES, _CRLF.join
        with contextlib.suppress(KeyError, StopIteration):
            for first in rest:
                if first[-1:] != b"}":
                    frames.append(first)
                else:
                    if first[:3] not in _NUMBERED:
                        break
                    line, texts, literals = first, [], []
                    while line[-1:] == b"}":
                        size = sizes[line[line.rfind(b"{") :]]
                        texts.append(line)
                        line = next(rest)
                        while len(line) < size:
                            line += _CRLF + next(rest)
                        literals.append(line[:size])
                        line = line[size:]
                    texts.append(line)
                    frames.append((join(texts), tuple(literals)))
                left = length_hint(rest)
        return len(data) - rest_size - sum(map(len, lines[len(lines) - left :])) - 2 * left

    def _take_rows(self, view: memoryview, count: int, frames: list[Frame]) -> int:
        """The rest of a body, and rows with bodies behind it, each copied once: from where it was received. Where to go on."""
        rest = self._missing
        if len(self._lines) != 1 or self._lines_size + self._literals_size > self._row_limit or view[rest : rest + 3] != _END_OF_ROW:
            return 0
        self._pieces.append(view[:rest])
        self._missing = 0
        self._end_literal()
        self._end_response(b")", frames)
        position = rest + 3
        while (row := _ROW.match(view, position, count)) is not None:
            begin = row.end()
            end = begin + int(row[1])
            if end - begin > self._row_limit or end + 3 > count or view[end : end + 3] != _END_OF_ROW:
                break
            frames.append((bytes(view[position:begin]) + b")", (bytes(view[begin:end]),)))
            position = end + 3
        return position

    def _go_on(self, data: bytes, position: int, frames: list[Frame]) -> int:
        """The lines and literals behind a literal, to the end of the response or of the data. Where to go on."""
        lines, literals = self._lines, self._literals
        while (end := data.find(_CRLF, position)) >= 0:
            line = data[position:end]
            position = end + 2
            size = self._announced(line) if line[-1:] == b"}" else -1
            if size < 0:
                self._end_response(line, frames)
                return position
            lines.append(line)
            end = position + size
            if end > len(data):
                self._missing = size
                return self._fill_literal(data, position)
            literals.append(data[position:end])
            position = end
        return position

    def _end_response(self, line: bytes, frames: list[Frame]) -> None:
        """The last line of a response with literals."""
        self._lines.append(line)
        text = _CRLF.join(self._lines)
        if len(text) > self._line_limit:
            self._check_line(len(text))
        self._check_response(len(line))
        frames.append((text, tuple(self._literals)))
        self._lines, self._lines_size = [], 0
        self._literals, self._literals_size = [], 0

    def _frame_rest(self, rest: bytes, frames: list[Frame]) -> None:
        """Bytes in which no literal begins."""
        lines = rest.split(_CRLF)
        tail = lines.pop()
        if lines:
            self._join_tail(lines)
            self._end_lines(lines, frames)
        if tail.endswith((b"\r", b"}")):
            held = -2 if tail.endswith(b"}\r") else -1
            tail, self._held = tail[:held], tail[held:]
        if tail:
            self._tail += tail
            self._check_line(self._lines_size + len(self._tail))

    def _join_tail(self, lines: list[bytes]) -> None:
        if self._tail:
            self._tail += lines[0]
            lines[0] = bytes(self._tail)
            self._tail.clear()

    def _end_lines(self, lines: list[bytes], frames: list[Frame]) -> None:
        """Whole lines that announce no literal, so that each ends a response."""
        if self._lines:
            self._end_response(lines[0], frames)
            if len(lines) == 1:
                return
            del lines[0]
        if max(map(len, lines)) > self._line_limit:
            frames.extend(itertools.takewhile(lambda line: len(line) <= self._line_limit, lines))
            self._check_line(self._line_limit + 1)
        frames.extend(lines)

    def _announced(self, line: bytes) -> int:
        """The size of the literal that this line ends in, charged; -1 where it ends in none."""
        brace = line.rfind(b"{")
        digits = line[brace + 1 : -1]
        if brace < 0 or not digits.isdigit() or not (self._lines or _DATA_LINE.match(line)):
            return -1
        lines = self._lines_size = self._lines_size + len(line) + 2
        if lines > self._line_limit:
            self._check_line(lines)
        if len(digits) > 20:
            raise ProtocolError("the server broke the IMAP grammar: it announced a literal with a size of more than 20 digits")
        size = int(digits)
        if size > self._literal_limit:
            raise LimitExceeded(f"the server announced a literal of {size} bytes, more than Limits.literal ({self._literal_limit}) allows")
        literals = self._literals_size = self._literals_size + size + _LITERAL_OVERHEAD
        if lines + literals > self._response_limit:
            self._check_response(0)
        return size

    def _fill_literal(self, data: bytes, position: int) -> int:
        """Takes what these bytes hold of it, large pieces without copying them. Returns where to go on."""
        piece = memoryview(data)[position : position + self._missing]
        if len(piece) >= _LARGE_PIECE:
            self._pieces.append(piece)
        elif self._pieces and isinstance(self._pieces[-1], bytearray):
            self._pieces[-1] += piece
        else:
            self._pieces.append(bytearray(piece))
        self._missing -= len(piece)
        if not self._missing:
            self._end_literal()
        return position + len(piece)

    def _end_literal(self) -> None:
        self._end_block()
        self._literals.append(b"".join(self._pieces))
        self._pieces = []
        self._reserve_taken = False

    def _check_line(self, size: int) -> None:
        if size > self._line_limit:
            raise LimitExceeded(f"the server sent a line longer than Limits.line ({self._line_limit}) allows")

    def _check_response(self, more: int) -> None:
        if self._lines_size + self._literals_size + more > self._response_limit:
            raise LimitExceeded(f"the server sent, or announced, a response larger than Limits.response ({self._response_limit}) allows")
