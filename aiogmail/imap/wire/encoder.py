"""Values in, segments out: the one place that chooses between atom, quoted string and literal, and that can break a command line.

The line for logs is made beside the real one, so that a secret cannot be forgotten in it.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from aiogmail.errors import ConfigurationError
from aiogmail.imap.uidset import UidSet, UidsFrom
from aiogmail.secret import Secret
from aiogmail.settings import Limits

from . import utf7
from .arguments import AsIs, Atom, Flag, Label, Literal, Mailbox, Quoted, Raw, SearchDate, refuse

__all__ = ["EncodedCommand", "LiteralMode", "Segment", "encode_command"]

Segment = tuple[bytes | memoryview, ...]
"""Buffers to be written one after the other without waiting."""

_TAG = re.compile(r"[A-Za-z0-9]{1,32}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]*(?: [A-Za-z0-9][A-Za-z0-9.\-]*)*")
_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\[\]]+')  # brackets are legal, and not every server thinks so
_QUOTABLE = re.compile(rb"[\x20-\x7e]*")
_QUOTABLE_UTF8 = re.compile(rb"[^\x00-\x1f\x7f]*")
_MAX_QUOTED = 1024  # longer strings are literals: no server's line buffer is tried
_DEFAULT_LIMITS = Limits()
_MAX_DEPTH = 25
_MINUS_SIZE = 4096  # RFC 7888: a larger literal waits for the server all the same
_BIG = 64 * 1024  # a literal of this size is not copied
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class LiteralMode(enum.Enum):
    """Which literals may be sent without waiting for the server: none, those up to 4096 octets, all (RFC 7888)."""

    SYNC = ""
    MINUS = "LITERAL-"
    PLUS = "LITERAL+"


@dataclass(frozen=True, slots=True)
class EncodedCommand:
    """One command, ready to be written.

    Attributes:
        segments: each a tuple of buffers for ``transport.writelines``. After each but the last a synchronising literal begins: wait for
            ``+`` before the next. The last ends in CRLF.
        redacted: the command on one line for logs: secrets as ``'…'``, literals as ``{n}``.
    """

    segments: tuple[Segment, ...] = field(repr=False)
    redacted: str

    @property
    def size(self) -> int:
        """Octets in all."""
        return sum(len(buffer) for segment in self.segments for buffer in segment)


def encode_command(
    tag: str,
    name: str,
    *args: object,
    literal: LiteralMode = LiteralMode.SYNC,
    utf8: bool = False,
    limits: Limits = _DEFAULT_LIMITS,
) -> EncodedCommand:
    """A command as it is sent.

    Args:
        tag: letters and digits.
        name: the command, such as ``"UID FETCH"``.
        args: values as :mod:`aiogmail.imap.wire.arguments` describes them.
        literal: which literals need not wait.
        utf8: UTF8=ACCEPT is enabled: names and strings may be sent in UTF-8 quotes.
        limits: ``command_line`` bounds the line without its literals, ``literal`` each of these.

    Raises:
        ConfigurationError: an argument that cannot be sent as it is, by its place in ``args`` from 1; nothing was sent.
    """
    if not isinstance(tag, str) or not _TAG.fullmatch(tag):
        refuse("tag", "letters and digits", tag)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        refuse("name", "the words of a command", name)
    writer = _Writer(name, literal, limits, utf8=utf8)
    writer.text(f"{tag} {name}".encode("ascii"))
    for place, value in enumerate(args, 1):
        writer.text(b" ")
        refused = ""
        try:
            writer.value(value)
        except ConfigurationError as error:
            refused = str(error)
        if refused:  # raised here, so that no frame that held a secret hangs on the error
            raise ConfigurationError(f"{name}, argument {place}: {refused}")
    return writer.finish()


class _Writer:
    """Collects the line, breaks it where a literal must wait, and writes the line for logs beside it."""

    def __init__(self, name: str, mode: LiteralMode, limits: Limits, *, utf8: bool) -> None:
        self.utf8 = utf8
        self._name = name
        self._mode = mode
        self._limits = limits
        self._line = bytearray()
        self._buffers: list[bytes | memoryview] = []
        self._segments: list[Segment] = []
        self._shown: list[str] = []
        self._line_size = 0
        self._depth = 0

    def text(self, octets: bytes, shown: str | None = None) -> None:
        self._line += octets
        self._line_size += len(octets)
        self._shown.append(octets.decode("utf-8") if shown is None else shown)

    def finish(self) -> EncodedCommand:
        if self._line_size > self._limits.command_line:
            raise ConfigurationError(
                f"{self._name}: the command line has {self._line_size} octets, more than Limits.command_line ({self._limits.command_line}); "
                "split its UIDs or shorten its arguments"
            )
        self._line += b"\r\n"
        self._end_segment()
        return EncodedCommand(tuple(self._segments), "".join(self._shown))

    def _end_segment(self) -> None:
        self._flush()
        self._segments.append(tuple(self._buffers))
        self._buffers = []

    def _flush(self) -> None:
        if self._line:
            self._buffers.append(bytes(self._line))
            self._line.clear()

    def value(self, value: object) -> None:
        if value is None:
            self.text(b"NIL")
        elif isinstance(value, list | tuple):
            self._list(value)
        else:
            write = _WRITERS.get(type(value)) or next((w for kind, w in _WRITERS.items() if isinstance(value, kind)), None)
            if write is None:
                refuse("value", "one of the types that aiogmail.imap.wire.arguments describes", value)
            write(self, value)

    def _list(self, values: list[Any] | tuple[Any, ...]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ConfigurationError(f"list: expected at most {_MAX_DEPTH} lists in each other")
        self.text(b"(")
        for place, value in enumerate(values):
            if place:
                self.text(b" ")
            self.value(value)
        self.text(b")")
        self._depth -= 1

    def string(self, octets: bytes, *, secret: bool = False) -> None:
        """An astring: an atom where that is safe, in quotes where it is printable, else a literal."""
        if _ASTRING.fullmatch(octets) and octets.upper() != b"NIL":
            self.text(octets, "'…'" if secret else None)
        elif len(octets) <= _MAX_QUOTED and (_QUOTABLE_UTF8 if self.utf8 and _is_utf8(octets) else _QUOTABLE).fullmatch(octets):
            quoted = b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
            self.text(quoted, "'…'" if secret else None)
        else:
            self.literal(octets)

    def literal(self, octets: bytes | bytearray | memoryview, *, binary: bool = False) -> None:
        view = memoryview(octets).cast("B")
        size = len(view)
        if size > self._limits.literal:
            raise ConfigurationError(f"literal: expected at most Limits.literal ({self._limits.literal}) octets, got {size}")
        if not binary and b"\0" in (octets if isinstance(octets, bytes | bytearray) else bytes(view)):
            raise ConfigurationError("literal: expected octets without NUL; only a binary literal may hold it")
        waits = self._mode is LiteralMode.SYNC or (self._mode is LiteralMode.MINUS and size > _MINUS_SIZE)
        self.text(b"%s{%d%s}" % (b"~" if binary else b"", size, b"" if waits else b"+"))
        self._line += b"\r\n"
        if waits:
            self._end_segment()
        if size < _BIG:
            self._line += view
        else:
            self._flush()
            self._buffers.append(view.toreadonly())


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        refuse("str", "text without lone surrogates", text)


def _write_bool(_writer: _Writer, value: bool) -> None:
    refuse("int", "a number", value)


def _write_int(writer: _Writer, value: int) -> None:
    if not 0 <= value < 1 << 64:
        refuse("int", "a number from 0 to 2**64-1", value)
    writer.text(b"%d" % value)


def _write_str(writer: _Writer, value: str) -> None:
    writer.string(_utf8(value))


def _write_bytes(writer: _Writer, value: bytes) -> None:
    writer.string(value)


def _write_secret(writer: _Writer, value: Secret) -> None:
    try:
        octets = value.reveal().encode("utf-8")
    except UnicodeEncodeError:
        refuse("Secret", "text without lone surrogates", value)
    writer.string(octets, secret=True)


def _write_name(writer: _Writer, value: Mailbox | Label) -> None:
    writer.string(_utf8(value.name) if writer.utf8 else utf7.encode(value.name))


def _write_atom(writer: _Writer, value: Atom | Flag) -> None:
    writer.text(value.value.encode("ascii"))


def _write_raw(writer: _Writer, value: Raw) -> None:
    writer.text(value.text.encode("ascii"))


def _write_as_is(writer: _Writer, value: AsIs) -> None:
    writer.text(value.text.encode("ascii"), "'…'" if value.hidden else None)


def _write_quoted(writer: _Writer, value: Quoted) -> None:
    escaped = value.value.replace("\\", "\\\\").replace('"', '\\"')
    writer.text(f'"{escaped}"'.encode("ascii"))


def _write_literal(writer: _Writer, value: Literal) -> None:
    writer.literal(value.data, binary=value.binary)


def _write_uids(writer: _Writer, value: UidSet | UidsFrom) -> None:
    text = str(value)
    if not text:
        refuse("UidSet", "at least one UID", value)
    writer.text(text.encode("ascii"))


def _write_datetime(writer: _Writer, value: datetime) -> None:
    offset = value.utcoffset()
    if offset is None:
        refuse("datetime", "a time zone", value)
    if offset % timedelta(minutes=1):  # IMAP knows no seconds in a zone
        value, offset = value.astimezone(UTC), timedelta()
    minutes = abs(offset) // timedelta(minutes=1)
    zone = f"{'-' if offset < timedelta() else '+'}{minutes // 60:02}{minutes % 60:02}"
    writer.text(f'"{value.day:2}-{_MONTHS[value.month - 1]}-{value.year:04} {value:%H:%M:%S} {zone}"'.encode("ascii"))


def _write_search_date(writer: _Writer, value: SearchDate) -> None:
    day: date = value.day
    writer.text(f"{day.day}-{_MONTHS[day.month - 1]}-{day.year:04}".encode("ascii"))


_WRITERS: dict[type[Any], Callable[[_Writer, Any], None]] = {
    bool: _write_bool,
    str: _write_str,
    bytes: _write_bytes,
    int: _write_int,
    datetime: _write_datetime,
    Secret: _write_secret,
    Mailbox: _write_name,
    Label: _write_name,
    Atom: _write_atom,
    Flag: _write_atom,
    Raw: _write_raw,
    AsIs: _write_as_is,
    Quoted: _write_quoted,
    Literal: _write_literal,
    UidSet: _write_uids,
    UidsFrom: _write_uids,
    SearchDate: _write_search_date,
}
