"""How is an IMAP command read? A strict tokenizer of the emulator's own: what RFC 9051's grammar does not allow is BAD."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiogmail.testing.names import decode_utf7, encode_utf7

__all__ = ["Args", "Bad", "No", "SequenceSet", "compress", "quote", "quote_name"]

_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_PATTERN = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]+')
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\]+')
_NUMBER = re.compile(rb"[0-9]{1,20}")
_QUOTED = re.compile(rb'"((?:[^\r\n\x00"\\]|\\["\\])*)"')
_LITERAL = re.compile(rb"~?\{[0-9]+\+?\}\r\n")
_SET = re.compile(rb"(?:[1-9][0-9]{0,9}|\*)(?::(?:[1-9][0-9]{0,9}|\*))?(?:,(?:[1-9][0-9]{0,9}|\*)(?::(?:[1-9][0-9]{0,9}|\*))?)*")

COULD_NOT_PARSE = "Could not parse command"


class Bad(Exception):
    """The tagged reply is BAD with this text."""

    def __init__(self, text: str = COULD_NOT_PARSE) -> None:
        super().__init__(text)
        self.text = text


class No(Exception):
    """The tagged reply is NO with this text, response code included."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Message numbers or UIDs as they were asked for; ``None`` stands for ``*``."""

    ranges: tuple[tuple[int | None, int | None], ...]

    def resolve(self, order: Sequence[int]) -> list[int]:
        """Those of the ascending numbers in ``order`` that are meant, ascending. ``*`` is the last one."""
        if not order:
            return []
        last = order[-1]
        chosen: list[Iterable[int]] = []
        for first, second in self.ranges:
            low, high = sorted((last if first is None else first, last if second is None else second))
            chosen.append(order[bisect_left(order, low) : bisect_right(order, high)])
        if len(chosen) == 1:
            return list(chosen[0])
        return sorted({number for part in chosen for number in part})


def compress(numbers: Iterable[int]) -> str:
    """Numbers as a set, runs of consecutive ones joined, in the order given."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(low) if low == high else f"{low}:{high}" for low, high in runs)


def quote(raw: bytes) -> bytes:
    """A quoted string; the caller knows that it holds no CR, LF or NUL."""
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def quote_name(name: str, utf8: bool) -> bytes:
    """A mailbox name as LIST has it: modified UTF-7, or UTF-8 once that was enabled."""
    raw = name.encode() if utf8 else encode_utf7(name)
    # A leading plus sign has been seen as a bare atom, so that clients must take both.
    return raw if name.startswith("+") and _ATOM.fullmatch(raw) else quote(raw)


class Args:
    """A cursor over a command's text after its tag. Literals were read already and wait in order.

    Attributes:
        utf8: whether UTF8=ACCEPT is enabled.
    """

    def __init__(self, text: bytes, literals: Iterable[bytes] = (), utf8: bool = False) -> None:
        self.text = text
        self.position = 0
        self.literals = deque(literals)
        self.utf8 = utf8

    def peek(self) -> bytes:
        """The next byte, or nothing at the end."""
        return self.text[self.position : self.position + 1]

    def end(self) -> None:
        """Nothing may follow: a trailing space is BAD on Gmail."""
        if self.position != len(self.text):
            raise Bad

    def at_end(self) -> bool:
        """Whether nothing follows."""
        return self.position == len(self.text)

    def take(self, token: bytes) -> bool:
        """Step over these bytes (in any case) if they come next."""
        if self.text[self.position : self.position + len(token)].upper() == token:
            self.position += len(token)
            return True
        return False

    def need(self, token: bytes) -> None:
        """Step over these bytes, which must come next."""
        if not self.take(token):
            raise Bad

    def space(self) -> None:
        """One space."""
        self.need(b" ")

    def _match(self, pattern: re.Pattern[bytes]) -> bytes:
        match = pattern.match(self.text, self.position)
        if match is None:
            raise Bad
        self.position = match.end()
        return match[0]

    def atom(self) -> bytes:
        """An atom."""
        return self._match(_ATOM)

    def keyword(self) -> str:
        """An atom, upper case."""
        return self.atom().decode("ascii").upper()

    def number(self) -> int:
        """A number of at most 20 digits."""
        return int(self._match(_NUMBER))

    def string(self) -> bytes:
        """A quoted string or a literal. 8-bit in quotes is BAD unless UTF8=ACCEPT is enabled."""
        if self.peek() == b'"':
            match = _QUOTED.match(self.text, self.position)
            if match is None:
                raise Bad
            self.position = match.end()
            value = re.sub(rb"\\(.)", rb"\1", match[1])
            if not value.isascii() and not self.utf8:
                raise Bad
            return value
        self._match(_LITERAL)
        if not self.literals:
            raise Bad
        return self.literals.popleft()

    def astring(self) -> bytes:
        """An atom, a quoted string or a literal."""
        return self.string() if self.peek() in {b'"', b"{", b"~"} else self._match(_ASTRING)

    def text_value(self) -> str:
        """The same as text."""
        try:
            return self.astring().decode("utf-8")
        except UnicodeDecodeError:
            raise Bad from None

    def mailbox(self) -> str:
        """A mailbox name, decoded."""
        return self._name(self.astring())

    def pattern(self) -> str:
        """A LIST pattern, decoded."""
        raw = self.string() if self.peek() in {b'"', b"{"} else self._match(_PATTERN)
        return self._name(raw)

    def _name(self, raw: bytes) -> str:
        try:
            name = raw.decode("utf-8") if self.utf8 else decode_utf7(raw)
        except ValueError:
            if not raw.isascii():
                raise Bad from None
            name = raw.decode("ascii")  # an "&" that shifts nothing: Gmail takes it as it stands
        if any(char < " " or char == "\x7f" for char in name):
            raise Bad  # replies echo it: a line end in it would be a response of the client's choice
        return name

    def sequence_set(self) -> SequenceSet:
        """A set of numbers. 0 is BAD."""
        text = self._match(_SET).decode("ascii")
        if self.peek() not in {b"", b" ", b")"}:
            raise Bad
        ranges = []
        for part in text.split(","):
            first, _, second = part.partition(":")
            low, high = (None if word == "*" else int(word) for word in (first, second or first))
            ranges.append((low, high))
        return SequenceSet(tuple(ranges))

    def flag(self) -> str:
        """A system flag or keyword; known ones in their usual writing."""
        flag = self._match(_FLAG).decode("ascii")
        known = {"\\seen": "\\Seen", "\\answered": "\\Answered", "\\flagged": "\\Flagged", "\\draft": "\\Draft", "\\deleted": "\\Deleted"}
        if flag.startswith("\\") and flag.lower() not in known:
            raise Bad
        return known.get(flag.lower(), flag)

    def parenthesised(self, read: object) -> list[object]:
        """A list in parentheses of what ``read`` reads, possibly empty."""
        assert callable(read)
        self.need(b"(")
        items: list[object] = []
        while not self.take(b")"):
            if items:
                self.space()
            items.append(read())
        return items

    def flags(self) -> frozenset[str]:
        """Flags, in parentheses or (as STORE allows) without."""
        if self.peek() == b"(":
            return frozenset(str(flag) for flag in self.parenthesised(self.flag))
        found = {self.flag()}
        while self.take(b" "):
            found.add(self.flag())
        return frozenset(found)

    def label(self) -> str:
        r"""A label of X-GM-LABELS: ``\Inbox`` bare or quoted, or a name in modified UTF-7."""
        if self.peek() == b"\\":
            return self._match(_FLAG).decode("ascii")
        return self.mailbox()
