"""What did an SMTP server say, and how is a command written? Bytes in, replies out; no I/O.

A reply is one or more lines that begin with the same three digits (RFC 5321 section 4.2); everything else ends the connection:
nothing behind a line that could not be read is ever taken for the answer to a later command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from aiogmail.errors import ConfigurationError, LimitExceeded, ProtocolError

__all__ = ["Reply", "ReplyReader", "command", "parse_extensions"]

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:\s+|$)")
_LINE_LIMIT = 4096
_REPLY_LIMIT = 64 * 1024
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply.

    Attributes:
        code: 200 to 599.
        lines: the text of each line, without the code and without an enhanced status code.
        enhanced: the enhanced status code (RFC 2034) such as ``"5.1.1"``, ``""`` if there is none.
    """

    code: int
    lines: tuple[str, ...] = ("",)
    enhanced: str = ""

    @property
    def text(self) -> str:
        """The lines as one."""
        return " ".join(line for line in (line.strip() for line in self.lines) if line)

    @property
    def is_positive(self) -> bool:
        """Whether the command was done, or asks for more of it."""
        return self.code < 400

    def __str__(self) -> str:
        return " ".join(word for word in (str(self.code), self.enhanced, self.text) if word)


class ReplyReader:
    """Reads replies out of a stream of bytes, however that is cut.

    Attributes:
        error: why it reads no more, once it does not.
    """

    def __init__(self, *, line_limit: int = _LINE_LIMIT, reply_limit: int = _REPLY_LIMIT) -> None:
        self._line_limit = line_limit
        self._reply_limit = reply_limit
        self._buffer = bytearray()
        self._scanned = 0
        self._code = 0
        self._lines: list[bytes] = []
        self._size = 0
        self.error: ProtocolError | None = None

    @property
    def mid_reply(self) -> bool:
        """Whether a reply has begun and not ended."""
        return bool(self._buffer or self._lines)

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that these bytes complete.

        Raises:
            ProtocolError: what stands there is no reply.
            LimitExceeded: a line or a reply longer than any server needs.

        After an error it reads nothing any more.
        """
        if self.error is not None:
            raise self.error
        self._buffer += data
        try:
            return self._replies()
        except ProtocolError as error:
            self.error = error
            self._buffer.clear()
            self._lines.clear()
            raise

    def _replies(self) -> list[Reply]:
        found: list[Reply] = []
        start = 0
        while (end := self._buffer.find(b"\n", max(start, self._scanned))) >= 0:
            self._check_length(end - start)
            reply = self._line(bytes(self._buffer[start : end + 1]))
            if reply is not None:
                found.append(reply)
            start = end + 1
        del self._buffer[:start]
        self._scanned = len(self._buffer)
        self._check_length(self._scanned)
        return found

    def _check_length(self, length: int) -> None:
        if length > self._line_limit:
            raise LimitExceeded(f"a reply line of more than {self._line_limit} bytes")

    def _line(self, line: bytes) -> Reply | None:
        """Take one line; the reply, if it was its last."""
        match = _LINE.fullmatch(line[:-2]) if line.endswith(b"\r\n") else None
        if match is None or _CONTROL.search(line, 0, len(line) - 2):
            raise ProtocolError(f"not an SMTP reply: {_shown(line)}")
        code = int(match[1])
        if self._lines and code != self._code:
            raise ProtocolError(f"a reply whose lines begin with {self._code} and {code}")
        self._code = code
        self._size += len(line)
        if self._size > self._reply_limit:
            raise LimitExceeded(f"a reply of more than {self._reply_limit} bytes")
        self._lines.append(match[3] or b"")
        if match[2] == b"-":
            return None
        lines, self._lines, self._size = self._lines, [], 0
        return _reply(code, [text.decode("utf-8", "replace") for text in lines])


def _reply(code: int, lines: list[str]) -> Reply:
    """Take an enhanced status code off each line; servers repeat it."""
    match = _ENHANCED.match(lines[0])
    if match is None or match[1][0] != str(code)[0]:
        return Reply(code, tuple(_UNPRINTABLE.sub("?", line) for line in lines))
    enhanced = match[1]
    bare = []
    for line in lines:
        again = _ENHANCED.match(line)
        bare.append(_UNPRINTABLE.sub("?", line[again.end() :] if again is not None and again[1] == enhanced else line))
    return Reply(code, tuple(bare), enhanced)


def _shown(line: bytes) -> str:
    return repr(line[:80])[1:]


def command(verb: str, *words: str) -> bytes:
    """A command line.

    Raises:
        ConfigurationError: a word with a control character, which could end the line and begin another.
    """
    line = " ".join((verb, *words))
    if _UNPRINTABLE.search(line):
        raise ConfigurationError(f"{verb}: a control character in an argument")
    try:
        return line.encode() + b"\r\n"
    except UnicodeEncodeError:
        raise ConfigurationError(f"{verb}: a lone surrogate in an argument") from None


def parse_extensions(lines: tuple[str, ...]) -> Mapping[str, str]:
    """What EHLO offers: keyword in capitals → its parameters (RFC 5321 section 4.1.1.1). The first line is the server's name."""
    found: dict[str, str] = {}
    for line in lines[1:]:
        keyword, _, parameters = line.strip().partition(" ")
        if keyword.upper().startswith("AUTH="):  # before RFC 2554 was settled
            keyword, parameters = "AUTH", keyword[5:] + " " + parameters
        if keyword:
            found[keyword.upper()] = parameters.strip()
    return MappingProxyType(found)
