"""Bytes in, responses out, no I/O: the reading half of an IMAP connection."""

from __future__ import annotations

import re
from typing import Literal, cast

from aiogmail.errors import ProtocolError
from aiogmail.settings import Limits

from .codes import read_text
from .fetch import FetchReader
from .framer import Frame, Framer
from .responses import Continuation, Enabled, Expunge, Response, Status, Tagged, Unknown
from .scanner import Scanner, excerpt
from .untagged import NUMBERED, PLAIN

__all__ = ["ResponseParser"]

_UNTAGGED = re.compile(rb'\* (?:([0-9]{1,20}+) )?([^\x00-\x20\x7f()"{0-9][^\x00-\x20\x7f()"{]*+)(?: |\Z)')
_TAGGED = re.compile(rb'([^\x00-\x20\x7f-\xff(){%*"\\+]++) ([A-Za-z]++)(?: |\Z)')
_TAGGED_STATUS = frozenset({"OK", "NO", "BAD"})
_STATUS = frozenset({"OK", "NO", "BAD", "BYE", "PREAUTH"})
_DEFAULT_LIMITS = Limits()
_MAX_DEPTH = 200  # values nest as tuples, and what compares or prints them recurses


class ResponseParser:
    """Turns what a server sends into responses; any segmentation gives the same ones.

    After the first byte that breaks the grammar or a limit nothing more is read: :attr:`error` is set, and responses that were complete
    before it are still delivered by the call that met it. Where that call has none to deliver it raises the error, and so does every
    later call. So a caller hands on what it is given and then looks at :attr:`error`.

    Args:
        limits: ``line``, ``literal``, ``response`` and ``depth`` are used.

    Attributes:
        error: why nothing more comes; ``None`` while all is well.
    """

    def __init__(self, limits: Limits = _DEFAULT_LIMITS) -> None:
        depth = min(limits.depth, _MAX_DEPTH)
        self._framer = Framer(limits)
        self._fetch = FetchReader(depth)
        self._depth = depth
        self._utf8 = False
        self._waiting: list[Frame] = []
        self.error: ProtocolError | None = None

    @property
    def utf8(self) -> bool:
        """Whether UTF8=ACCEPT is enabled on the connection: then names and labels are UTF-8 and ``&`` is a plain character.

        It is from the ENABLED response on that says so (RFC 6855 section 3), wherever in the stream that stands.
        """
        return self._utf8

    @utf8.setter
    def utf8(self, utf8: bool) -> None:
        self._utf8 = utf8
        self._fetch.use_utf8(utf8)

    @property
    def received(self) -> int:
        """Bytes so far."""
        return self._framer.received

    @property
    def pending(self) -> int:
        """Bytes so far of the response that is not complete."""
        return self._framer.pending

    @property
    def mid_response(self) -> bool:
        """Whether a response has begun and is not complete."""
        return self._framer.mid_response

    @property
    def has_more(self) -> bool:
        """Whether responses are complete that were not delivered yet: :meth:`more` does."""
        return bool(self._waiting)

    def feed(self, data: bytes | bytearray | memoryview, most: int | None = None) -> list[Response]:
        """The responses that these bytes complete.

        Args:
            data: bytes as they came.
            most: deliver no more than so many at once; :meth:`more` gives the next.

        Raises:
            ProtocolError: the server broke the grammar, now or in an earlier call.
            LimitExceeded: it sent or announced more than the limits allow.
        """
        self._raise_error()
        return self._deliver(self._framer.feed(data if isinstance(data, bytes) else bytes(data)), most)

    def get_buffer(self, _sizehint: int = -1) -> memoryview:
        """Where to receive the next bytes: for ``asyncio.BufferedProtocol``. Valid until :meth:`buffer_updated`."""
        return self._framer.get_buffer()

    def buffer_updated(self, count: int, most: int | None = None) -> list[Response]:
        """``count`` bytes were received into the buffer; otherwise as :meth:`feed`."""
        self._raise_error()
        return self._deliver(self._framer.buffer_updated(count), most)

    def more(self, most: int | None = None) -> list[Response]:
        """The next responses of what was fed before; otherwise as :meth:`feed`."""
        self._raise_error()
        return self._deliver([], most)

    def cut(self) -> tuple[bytes, bytes] | None:
        """What came of a response that stands within a literal: its text, literals left out, and the octets of the last one."""
        return self._framer.cut()

    def feed_eof(self) -> bool:
        """The connection ended. Whether that cut a response, whose bytes are dropped."""
        cut = self._framer.mid_response
        self._framer.drop()
        self._waiting = []
        return cut

    def slim(self) -> None:
        """Give back memory that is only kept for speed: nothing large is expected now."""
        self._framer.slim()

    def _raise_error(self) -> None:
        if self.error is not None:
            raise self.error

    def _deliver(self, frames: list[Frame], most: int | None) -> list[Response]:
        if self._waiting:
            self._waiting += frames
            frames = self._waiting
        if most is None or len(frames) <= most:
            self._waiting = []
        elif most:
            self._waiting, frames = frames[most:], frames[:most]
        else:
            self._waiting, frames = frames, []
        responses: list[Response] = []
        try:
            self._parse_all(frames, responses)
            if not self._waiting:
                self.error = self._framer.error
        except ProtocolError as error:
            self.error = error
            self._waiting = []
        if not responses:
            self._raise_error()
        return responses

    def _parse_all(self, frames: list[Frame], responses: list[Response]) -> None:
        """The loop that everything passes: rows of FETCH are made here, without a call for each."""
        match_row = self._fetch.row
        kind = self._fetch.kind
        flag_sets = self._fetch.flag_sets
        append = responses.append
        literals: tuple[bytes, ...]
        for frame in frames:
            if isinstance(frame, bytes):
                text, literals = frame, ()
            else:
                text, literals = frame
            row = match_row(text)
            if row is None:
                append(self._parse(text, literals))
                kind = self._fetch.kind  # ENABLED changes it
                continue
            number, words = row.group(2, 3)
            uid = None if number is None else int(number)
            if uid is not None and uid > 0xFFFFFFFF:
                raise ProtocolError(f"the server broke the IMAP grammar: UID {uid} has more than 32 bits")
            flags = flag_sets.get(words)
            if flags is None:
                flags = self._fetch.flags(words)
            append(kind(text, literals, uid, flags, row))

    def _parse(self, text: bytes, literals: tuple[bytes, ...]) -> Response:
        """One response of any kind."""
        if text.count(b"\r") != len(literals) or b"\0" in text:
            bad = re.search(rb"\0|\r(?!\n)", text)
            raise ProtocolError(f"the server broke the IMAP grammar: a bare CR or NUL, in {excerpt(text, bad.start() if bad else 0)}")
        if text.startswith(b"* "):
            return self._untagged(text, literals)
        if text.startswith(b"+"):
            return self._continuation(text)
        match = _TAGGED.match(text)
        status = match[2].decode("ascii").upper() if match is not None else ""
        if match is None or status not in _TAGGED_STATUS:
            raise ProtocolError(f"the server broke the IMAP grammar: expected a response, got {excerpt(text, 0)}")
        code, words = read_text(Scanner(text, (), match.end(), self._depth))
        return Tagged(match[1].decode("ascii"), cast("Literal['OK', 'NO', 'BAD']", status), code, words, raw=text)

    def _continuation(self, text: bytes) -> Response:
        if len(text) > 1 and text[1] != 0x20:
            raise ProtocolError(f"the server broke the IMAP grammar: expected '+ ', got {excerpt(text, 0)}")
        code, words = read_text(Scanner(text, (), 2, self._depth))
        return Continuation(code, words, text[2:], raw=text)

    def _untagged(self, text: bytes, literals: tuple[bytes, ...]) -> Response:
        match = _UNTAGGED.match(text)
        if match is None:
            raise ProtocolError(f"the server broke the IMAP grammar: expected a response, got {excerpt(text, 0)}")
        name = match[2].decode("utf-8", "replace").upper()
        if match[1] is not None:
            return self._numbered(int(match[1]), name, text, literals, match.end())
        if name in _STATUS:
            code, words = read_text(Scanner(text, (), match.end(), self._depth))
            return Status(cast("Literal['OK', 'NO', 'BAD', 'BYE', 'PREAUTH']", name), code, words, raw=text)
        read = PLAIN.get(name)
        if read is None:
            return Unknown(name, text[match.end() :], None, raw=text, literals=literals)
        scanner = Scanner(text, literals, match.end(), self._depth)
        response = read(scanner, name, self._utf8)
        scanner.end()
        if isinstance(response, Enabled) and "UTF8=ACCEPT" in response.names:
            self.utf8 = True  # what follows, in the same segment too, is written that way
        return response

    def _numbered(self, number: int, name: str, text: bytes, literals: tuple[bytes, ...], position: int) -> Response:
        """``* n WORD``, read up to after the word."""
        kind = NUMBERED.get(name)
        if kind is None and name != "FETCH":
            return Unknown(name, text[position:], number, raw=text, literals=literals)
        scanner = Scanner(text, literals, position, self._depth - 1)  # FETCH's own list is the first
        if number < 1 and (kind is None or kind is Expunge):
            scanner.fail("a message number of 1 or more before this place")
        if kind is None:
            return self._fetch.walk(scanner)
        scanner.end()
        return kind(number, raw=text)
