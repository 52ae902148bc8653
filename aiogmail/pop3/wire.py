"""Where does a POP3 reply end, and what does it say? Bytes in, events out; commands as lines; no I/O (RFC 1939, 2449, 5034).

POP3 has neither tags nor marks: whether more than a status line follows depends on the command. So the parser is told what it is to
expect, in the order of the commands, and what arrives when nothing is expected is an error. Lines end at CRLF and nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import enum
import functools
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from aiogmail.errors import ConfigurationError, LimitExceeded, ProtocolError
from aiogmail.settings import Limits

__all__ = [
    "END",
    "SEEMS",
    "Challenge",
    "End",
    "Event",
    "Expect",
    "ReplyParser",
    "Status",
    "check_uidl",
    "read_capabilities",
    "read_pairs",
    "read_status",
]

SEEMS = "SYS/TEMP"
"""The code of Gmail's treacherous success: ``+OK [SYS/TEMP] … this mailbox will seem empty``."""
_LINE = 64 * 1024
"""A status line or a row of a table: RFC 2449 allows 512 octets, a failure challenge is longer."""
_CRLF = b"\r\n"
_TERMINATOR = b"\r\n.\r\n"
_CODE = re.compile(r"\[([!-\\^-\x7f]+)\] ?")
_UIDL = re.compile(r"[!-~]{1,250}")


class Expect(enum.Enum):
    """What a command is answered with."""

    LINE = "line"
    """A status line."""
    LINES = "lines"
    """A status line and, if that is ``+OK``, lines up to one with just a dot."""
    AUTH = "auth"
    """A status line, before which the server may ask for more with ``+ ``."""


@dataclass(frozen=True, slots=True)
class Status:
    """A status line.

    Attributes:
        ok: ``+OK``, not ``-ERR``.
        code: the response code without brackets, upper-case, such as ``"SYS/TEMP"`` (RFC 2449 section 8); ``""`` if none.
        text: what follows.
    """

    ok: bool
    code: str
    text: str

    def __str__(self) -> str:
        return " ".join(filter(None, ("+OK" if self.ok else "-ERR", f"[{self.code}]" if self.code else "", self.text)))


@dataclass(frozen=True, slots=True)
class Challenge:
    """``+ `` and what the server said behind it, decoded; ``b""`` where that is no base64."""

    data: bytes


class End(enum.Enum):
    """The line with just a dot."""

    END = "end"


END = End.END

Event = Status | Challenge | bytes | End
"""``bytes`` are the octets of a multi-line reply, dots unstuffed: pieces whose sum is the same for any segmentation."""


@functools.lru_cache(64)
def read_status(line: bytes) -> Status:
    """A status line without its CRLF.

    Raises:
        ProtocolError: it is none.
    """
    if not line.startswith((b"+OK", b"-ERR")):
        raise ProtocolError(f"the server broke the POP3 grammar: neither +OK nor -ERR: {line[:80]!r}")
    ok = line.startswith(b"+")
    rest = line[3:] if ok else line[4:]
    if rest and not rest.startswith(b" "):
        raise ProtocolError(f"the server broke the POP3 grammar: no space behind the status: {line[:80]!r}")
    if b"\r" in rest or b"\0" in rest:
        raise ProtocolError("the server broke the POP3 grammar: a control character in a status line")
    text = rest[1:].decode("utf-8", "replace")
    match = _CODE.match(text)
    return Status(ok, match[1].upper(), text[match.end() :]) if match else Status(ok, "", text)


class ReplyParser:
    """Cuts a stream into the replies that are expected; any segmentation gives the same.

    Attributes:
        error: why nothing more will come out, once the stream broke the grammar or a limit.
    """

    def __init__(self, limits: Limits) -> None:
        self._line_limit = min(limits.line, _LINE)
        self._expected: deque[tuple[Expect, int]] = deque()
        self._body_limit = limits.literal
        self._table_limit = limits.response
        self._line = bytearray()  # of a status line that is not complete yet
        self._in_body = False
        self._held = b""  # the last bytes of a body that may be the beginning of its end
        self._virtual = 0  # bytes of that which were never sent: the line end before the body
        self._left = 0  # how much more of it may come
        self.error: ProtocolError | None = None

    @property
    def mid_reply(self) -> bool:
        """Whether a reply has begun and not ended."""
        return self._in_body or bool(self._line)

    def expect(self, reply: Expect, *, table: bool = False) -> None:
        """One more reply will come, after those expected already. ``table``: its lines are a list, not a message."""
        self._expected.append((reply, self._table_limit if table else self._body_limit))

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes complete; nothing after an error."""
        events: list[Event] = []
        if self.error is None:
            try:
                self._feed(data, events)
            except ProtocolError as error:
                self.error = error
                self._line, self._held = bytearray(), b""
        return events

    def _feed(self, data: bytes, events: list[Event]) -> None:
        position, size = 0, len(data)
        while position < size:
            if self._in_body:
                position = self._body(data, position, events)
                continue
            end = data.find(b"\n", position)
            if end < 0:
                self._line += data[position:]
                self._check_line(len(self._line))
                return
            line = data[position : end + 1]
            if self._line:
                line, self._line = bytes(self._line + line), bytearray()
            position = self._status(data, end + 1, line, events)

    def _status(self, data: bytes, position: int, line: bytes, events: list[Event]) -> int:
        """A whole line that is none of a body; the body behind it too, if it is here. Where to go on."""
        self._check_line(len(line))
        if not line.endswith(_CRLF):
            raise ProtocolError("the server broke the POP3 grammar: a line that does not end in CRLF")
        if not self._expected:
            if not line.startswith(b"-ERR"):
                raise ProtocolError(f"the server broke the POP3 grammar: a reply that no command has asked for: {line[:80]!r}")
            events.append(read_status(line[:-2]))  # its last words
            return position
        expected, limit = self._expected[0]
        if expected is Expect.AUTH and (line.startswith(b"+ ") or line == b"+\r\n"):
            events.append(Challenge(_decoded(line[1:].strip())))
            return position
        status = read_status(line[:-2])
        self._expected.popleft()
        events.append(status)
        if expected is not Expect.LINES or not status.ok:
            return position
        # As most messages come: all of it is here, and the line end before it too.
        end = data.find(_TERMINATOR, position - 2) if position >= 2 else -1
        if end < 0:
            self._in_body, self._held, self._virtual, self._left = True, _CRLF, 2, limit
            return position
        if end > position - 2:
            body = data[position - 2 : end + 2]
            if b"\r\n." in body:
                body = body.replace(b"\r\n.", _CRLF)
            self._left = limit
            self._emit(body[2:], events)
        events.append(END)
        return end + 5

    def _body(self, data: bytes, position: int, events: list[Event]) -> int:
        """More of a body. Where to go on."""
        buffer = self._held + (data[position:] if position else data)
        before = len(self._held)
        end = buffer.find(_TERMINATOR)
        stop = end + 2 if end >= 0 else len(buffer) - _could_be_end(buffer)
        virtual, piece = self._virtual, buffer[:stop]
        if b"\r\n." in piece:
            piece = piece.replace(b"\r\n.", _CRLF)
        taken = piece[virtual:]
        if taken:
            self._virtual = 0
            self._emit(taken, events)
        elif stop:
            self._virtual = max(0, virtual - stop)
        if end >= 0:
            self._in_body, self._held = False, b""
            events.append(END)
            return position + end + 5 - before
        self._held = buffer[stop:]
        return len(data)

    def _emit(self, octets: bytes, events: list[Event]) -> None:
        left = self._left
        self._left -= len(octets)
        events.append(octets[:left] if self._left < 0 else octets)
        if self._left < 0:
            raise LimitExceeded("the server sent a message or a table larger than Limits.literal or Limits.response allows")

    def _check_line(self, size: int) -> None:
        if size > self._line_limit:
            raise LimitExceeded(f"the server sent a line longer than {self._line_limit} bytes")


def _could_be_end(buffer: bytes) -> int:
    """How many of the last bytes may be the beginning of CRLF "." CRLF, or of a line that begins with a dot."""
    for size in (4, 3, 2, 1):
        if buffer.endswith(_TERMINATOR[:size]):
            return size
    return 0


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


# -- tables ----------------------------------------------------------------------------------------------------------------


def _rows(table: bytes) -> Iterator[bytes]:
    return (line for line in table.split(_CRLF) if line)


def read_pairs(table: bytes) -> dict[int, str]:
    """The rows of UIDL or LIST: message number → unique-id, or size in octets, as text.

    Raises:
        ProtocolError: a row that is none, or a number that comes twice.
    """
    found: dict[int, str] = {}
    for row in _rows(table):
        words = row.split(None, 2)
        if len(words) < 2 or len(words[0]) > 10 or not words[0].isdigit():
            raise ProtocolError(f"the server broke the POP3 grammar: not a row of UIDL or LIST: {row[:80]!r}")
        number = int(words[0])
        if number in found:
            raise ProtocolError(f"the server broke the POP3 grammar: message {number} is listed twice")
        found[number] = words[1].decode("latin-1")
    return found


def read_capabilities(table: bytes) -> dict[str, tuple[str, ...]]:
    """The lines of CAPA: name, upper-case → its arguments, as they came."""
    found = {}
    for row in _rows(table):
        words = row.decode("utf-8", "replace").split()
        if words:
            found[words[0].upper()] = tuple(words[1:])
    return found


def check_uidl(uidl: object) -> str:
    """A unique-id: characters from ``!`` to ``~``. RFC 1939 section 7 allows 70 of them; some servers use more.

    Raises:
        ConfigurationError: it is none.
    """
    if not isinstance(uidl, str) or not _UIDL.fullmatch(uidl):
        raise ConfigurationError(f"uidl: expected a unique-id as uidl() gives it (printable characters, no space), got {uidl!r}")
    return uidl
