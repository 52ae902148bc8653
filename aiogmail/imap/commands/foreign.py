"""A command in aioimaplib's words: sent as its user wrote it, answered with the lines its user expects.

A line is ``bytes`` without ``* `` and CRLF; the octets of a literal are a ``bytearray`` between two of them; the last line is the
text of the tagged reply. A refusal is a result, not an error. Which lines a command gets is aioimaplib's rule: some commands get
every untagged response, the others those of their own name, without that name where it comes first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from aiogmail.errors import ConfigurationError
from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Capability, Continuation, Enabled, Fetch, Literal, Response, Status, Tagged
from aiogmail.ports import Effect
from aiogmail.settings import Timeouts

from .base import Command
from .idle import Idle
from .wording import spoken

__all__ = ["Foreign", "ForeignIdle", "Line", "Reply", "lines_of"]

Line = bytes | bytearray
Reply = tuple[str, list[Line]]

READS = frozenset(
    [
        "CAPABILITY",
        "FETCH",
        "GETACL",
        "GETQUOTA",
        "GETQUOTAROOT",
        "ID",
        "LIST",
        "LSUB",
        "MYRIGHTS",
        "NAMESPACE",
        "SEARCH",
        "SORT",
        "STATUS",
        "THREAD",
    ]
)
"""They may be on the wire together, but two of a kind not: their lines could not be told apart."""

_BY_NUMBER = frozenset(["FETCH", "SEARCH", "SORT", "THREAD"])
_HARMLESS = READS | {"AUTHENTICATE", "CHECK", "ENABLE", "EXAMINE", "LOGIN", "LOGOUT", "NOOP", "SELECT"}
_ALSO = {"EXPUNGE": (b"VANISHED",), "QUOTA": (b"QUOTAROOT",), "SEARCH": (b"ESEARCH",)}
_NUMBERED = re.compile(rb"[0-9]+ (FETCH|EXPUNGE)\b", re.IGNORECASE)
_BODY = re.compile(r"BODY(\.PEEK)?\[|BINARY(\.PEEK)?\[|RFC822(?!\.(SIZE|HEADER))", re.IGNORECASE)
_SMALL = 1000  # messages


def lines_of(response: Response, skip: int = 2) -> list[Line]:
    """The response as lines, without its first ``skip`` octets."""
    first, *rest = response.wire_lines()
    lines: list[Line] = [first[skip:]]
    for place, line in enumerate(rest):
        if place % 2 == 0:
            lines.append(bytearray(line))
        elif line:
            lines.append(line)
    return lines


class Foreign(Command[Reply]):
    """Any command of aioimaplib but IDLE.

    Args:
        verb: the command word, without UID.
        arguments: as aioimaplib is given them: texts, which :func:`.wording.spoken` makes fit to be sent.
        values: values for the encoder instead of those.
        uid: the command is UID ``verb``.
        wants: the name of the untagged responses it gets; ``None``: all that come.
        literal: the message of an APPEND.
        on_settled: called with the command and its tagged reply before anybody else hears of it.

    Attributes:
        lane: two of the same are not on the wire together.
        capabilities: those that came with the reply, as they were written; ``None`` if none came.
        lines: of the result.
    """

    def __init__(
        self,
        verb: str,
        arguments: Sequence[object] = (),
        *,
        values: Sequence[Any] | None = None,
        uid: bool = False,
        wants: str | None = None,
        literal: bytes | bytearray | memoryview | None = None,
        on_settled: Callable[[Foreign, Tagged], None] | None = None,
    ) -> None:
        self.verb = verb
        self.name = f"UID {verb}" if uid else verb
        self.effect = Effect.PURE if verb in _HARMLESS else Effect.NEVER
        self.blocks = verb not in READS
        # A message number is sure only while nothing is on the wire that may be answered with EXPUNGE (RFC 9051 section 5.5).
        self.waits = self.blocks or (verb in _BY_NUMBER and not uid)
        self.lane = wants or verb
        self.bulk = verb in ("APPEND", "FETCH", "SEARCH", "SORT", "THREAD", "LIST", "LSUB")
        self.droppable = _is_small(verb, arguments)
        self.lines: list[Line] = []
        self.capabilities: list[str] | None = None
        self._values = spoken(verb, arguments) if values is None else list(values)
        if literal is not None:
            self._values.append(Literal(literal))
        self._wants = None if wants is None else frozenset((wants.encode("ascii"), *_ALSO.get(wants, ())))
        self._last: list[Line] = []
        self.on_settled = on_settled

    def arguments(self) -> Sequence[Any]:
        return self._values

    def clashes(self, other: Command[Any]) -> bool:
        return isinstance(other, Foreign) and other.lane == self.lane

    def take(self, response: Response) -> bool:
        kind = type(response)
        if kind is Status and response.status == "BYE" and self.verb != "LOGOUT":  # type: ignore[attr-defined]  # it is a Status
            return False
        if not self._keep(response, is_row=issubclass(kind, Fetch)):
            return False
        if isinstance(response, Capability):
            self.capabilities = response.raw.decode("ascii", "replace").split()[2:]
        elif isinstance(response, Enabled):
            self.utf8 = "UTF8=ACCEPT" in response.names
        return True

    def _keep(self, response: Response, *, is_row: bool) -> bool:
        wants = self._wants
        if wants is None:
            self.lines += lines_of(response)
            return True
        raw = response.raw
        numbered = None if is_row else _NUMBERED.match(raw, 2)
        if is_row or numbered is not None:
            name = b"FETCH" if numbered is None else numbered[1].upper()
            if name in wants:
                self.lines += lines_of(response)
            return name in wants
        name, _, _ = raw[2:].partition(b" ")
        name = name.upper()
        if name not in wants:
            return False
        if name == b"QUOTAROOT":  # behind the QUOTA lines, and named, because users read those by their place
            self._last += lines_of(response)
        else:
            self.lines += lines_of(response, len(name) + 3)
        return True

    def answer(self, continuation: Continuation) -> bytes | bool:
        if self.verb != "AUTHENTICATE":
            return False
        # A token that is refused: the server tells why, and wants an empty line before it says NO (Google's XOAUTH2).
        self.lines.append(continuation.raw)
        return b""

    def settle(self, tagged: Tagged) -> Reply:
        self.lines += self._last
        self.lines.append(_words(tagged))
        if tagged.code is not None and tagged.code.name == "CAPABILITY":
            self.capabilities = tagged.code.text.split()
        if self.on_settled is not None:
            self.on_settled(self, tagged)
        return tagged.status, self.lines

    def patience(self, timeouts: Timeouts) -> float | None:
        special = {"APPEND": timeouts.append_final, "AUTHENTICATE": timeouts.auth, "LOGIN": timeouts.auth, "LOGOUT": timeouts.logout}
        return special.get(self.verb) or super().patience(timeouts)


class ForeignIdle(Idle):
    """IDLE whose lines go to a queue as they come, and whose result is the text of the tagged reply.

    Args:
        on_start: called when the server idles.
        on_push: called with the lines of each untagged response.
        on_settled: called with the tagged reply before anybody else hears of it.
    """

    def __init__(self, on_start: Callable[[], None], on_push: Callable[[list[Line]], None], on_settled: Callable[[Tagged], None]) -> None:
        super().__init__(on_start)
        self._on_push = on_push
        self._on_settled = on_settled

    @property
    def patient(self) -> bool:  # type: ignore[override]  # it changes once
        """A consumer that is too slow holds back the socket, while the server idles: not when its ``+`` or its answer to DONE is awaited."""
        return self._begun and not self._done

    def take(self, response: Response) -> bool:
        if isinstance(response, Status) and response.status == "BYE":
            return False
        self._on_push(lines_of(response))
        return True

    def settle(self, tagged: Tagged) -> Reply:  # type: ignore[override]  # its result is aioimaplib's
        self._on_settled(tagged)
        return tagged.status, [_words(tagged)]


def _words(tagged: Tagged) -> bytes:
    """What follows the status of a tagged reply."""
    return tagged.raw.split(b" ", 2)[2] if tagged.raw.count(b" ") > 1 else b""


def _is_small(verb: str, arguments: Sequence[object]) -> bool:
    """Whether the reply may be read and dropped when its caller goes away; a command that changes something never is."""
    if verb in ("NOOP", "CHECK"):
        return True
    if verb != "FETCH":
        return verb in READS
    messages, *items = map(str, arguments)
    try:
        return len(UidSet(messages)) <= _SMALL and not any(map(_BODY.search, items))
    except ConfigurationError:
        return False  # 1:* and the like
