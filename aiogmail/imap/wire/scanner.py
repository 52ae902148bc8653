"""How one response is read: the tokens of RFC 9051 section 9 as regular expressions, and a cursor over them.

The text of a response holds ``{n}`` CRLF where a literal stood; its octets are kept beside it, in order. CR occurs nowhere else in the text,
so that nothing can pass for a literal. The classes are wider than the RFC's where servers are known to be: a quoted string may hold
8-bit bytes, bare LF and control characters, a backslash in it makes any character plain. CR and NUL stand in none.

Every pattern is linear: alternatives differ in their first byte, and runs are possessive.
"""

from __future__ import annotations

import re
from typing import NoReturn

from aiogmail.errors import LimitExceeded, ProtocolError

__all__ = ["FLAT_DEPTH", "LITERAL", "NIL", "NUMBER", "QUOTED", "STRING", "Scanner", "Value", "excerpt", "nested", "unquote"]

# number, atom, NIL, string or list of these; a list nests, which no type says without costing every reader a cast
Value = int | str | bytes | tuple["Value", ...] | None

NUMBER = rb"[0-9]{1,20}+"
QUOTED = rb'"[^"\\\r\0]*+(?:"|(?:\\[^\r\0][^"\\\r\0]*+)++")'
LITERAL = rb"\{[0-9]{1,20}+\}\r\n"
STRING = rb"(?:" + QUOTED + rb"|~?" + LITERAL + rb")"
NIL = rb"[Nn][Ii][Ll]"
BETWEEN = rb'[^()"{\x00-\x1f\x7f]++'  # atoms, numbers and spaces in a list

_ATOM = re.compile(rb'[^()"{\x00-\x20\x7f]++')
_SECTION_ATOM = re.compile(rb'[^()"{\x00-\x20\x7f\[\]]++')
_NUMBER = re.compile(NUMBER + rb"(?![0-9])")
_STRING = re.compile(rb"(" + QUOTED + rb")|~?" + LITERAL)
_WORD = rb'(?:[^()"{~\x00-\x20\x7f]|~(?!\{))[^()"{\x00-\x20\x7f]*+'  # a tilde before a literal belongs to that
_TOKEN = re.compile(rb" *+(?:(\()|(\))|(" + _WORD + rb')|(~?+\{|"))')
_TOKENS = re.compile(rb"[()]|" + QUOTED + rb"|" + _WORD + rb"|~?" + LITERAL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_OPEN, _CLOSE, _QUOTE, _LF = b'()"\n'


def nested(depth: int) -> bytes:
    """The pattern of a parenthesised list with at most ``depth`` lists in each other."""
    pattern = b""
    for _ in range(depth):
        inner = b"|" + pattern if pattern else b""
        pattern = rb"\((?:" + BETWEEN + b"|" + QUOTED + b"|" + LITERAL + inner + rb")*+\)"
    return pattern


FLAT_DEPTH = 9
"""Lists that are no deeper are taken whole by a pattern; patterns cannot recurse, deeper ones are walked."""
_LIST = re.compile(nested(FLAT_DEPTH))


def unquote(quoted: bytes) -> bytes:
    """The value of a quoted string, given with its quotes."""
    value = quoted[1:-1]
    if b"\\" not in value:
        return value
    return _ESCAPE.sub(rb"\1", value) if b"\\\\" in value else value.replace(b"\\", b"")


def excerpt(text: bytes, position: int) -> str:
    """Where something went wrong, short enough for a log line."""
    start = max(0, position - 20)
    shown = ascii(text[start : position + 20].decode("latin-1"))[1:-1]
    return f"{'…' if start else ''}{shown}{'…' if position + 20 < len(text) else ''} at byte {position}"


class Scanner:
    """A cursor over the text of one response.

    Each method takes one token where the cursor stands and moves past it, or raises.

    Raises:
        ProtocolError: something else stands there.
        LimitExceeded: lists nest deeper than ``depth``, and are not to be pruned.
    """

    __slots__ = ("_literal", "depth", "literals", "position", "text")

    def __init__(self, text: bytes, literals: tuple[bytes, ...] = (), position: int = 0, depth: int = 25) -> None:
        self.text = text
        self.literals = literals
        self.position = position
        self.depth = depth
        self._literal = text.count(b"\r\n", 0, position) if literals else 0

    def fail(self, expected: str) -> NoReturn:
        raise ProtocolError(f"the server broke the IMAP grammar: expected {expected}, got {excerpt(self.text, self.position)}")

    def skip(self, token: bytes) -> bool:
        """Takes exactly this token if it stands here."""
        if self.text.startswith(token, self.position):
            self.position += len(token)
            return True
        return False

    def expect(self, token: bytes) -> None:
        if not self.skip(token):
            self.fail(repr(token.decode("latin-1")))

    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def end(self) -> None:
        """Takes the end of the response; spaces before it are forgiven."""
        if self.text[self.position :].strip(b" "):
            self.fail("the end of the line")

    def spaces(self) -> None:
        while self.skip(b" "):
            pass

    def atom(self) -> bytes:
        match = _ATOM.match(self.text, self.position)
        if match is None:
            self.fail("an atom")
        self.position = match.end()
        return match[0]

    def section_atom(self) -> bytes:
        """An atom that ends at a bracket."""
        match = _SECTION_ATOM.match(self.text, self.position)
        if match is None:
            self.fail("an atom")
        self.position = match.end()
        return match[0]

    def number(self) -> int:
        match = _NUMBER.match(self.text, self.position)
        if match is None:
            self.fail("a number of at most 20 digits")
        self.position = match.end()
        return int(match[0])

    def string(self) -> bytes:
        value = self.optional_string()
        if value is None:
            self.fail("a string")
        return value

    def optional_string(self) -> bytes | None:
        """A quoted string or a literal; ``None`` where neither stands."""
        match = _STRING.match(self.text, self.position)
        if match is None:
            return None
        self.position = match.end()
        quoted = match[1]
        if quoted is not None:
            return unquote(quoted)
        self._literal += 1
        return self.literals[self._literal - 1]

    def nil(self) -> bool:
        """Takes NIL if it stands here."""
        if self.text[self.position : self.position + 3].upper() != b"NIL":
            return False
        self.position += 3
        return True

    def nstring(self) -> bytes | None:
        value = self.optional_string()
        if value is None and not self.nil():
            self.fail("a string or NIL")
        return value

    def astring(self) -> bytes:
        value = self.optional_string()
        return self.atom() if value is None else value

    def value(self, *, prune: bool = False) -> Value:
        """Anything: number → int, atom → str, NIL → None, string → bytes, list → tuple.

        Args:
            prune: a list that is nested too deep is read and becomes ``()``, where else it is an error: for what senders of mail nest.
        """
        if self.depth >= FLAT_DEPTH:
            match = _LIST.match(self.text, self.position)
            if match is not None:
                self.position = match.end()
                return self._flat_list(_TOKENS.findall(self.text, match.start(), match.end()))
        return self._deep_value(prune)

    def _flat_list(self, tokens: list[bytes]) -> Value:
        """A list that a pattern took: its tokens need no further check."""
        stack: list[list[Value]] = []
        values: list[Value] = []
        for token in tokens:
            first = token[0]
            if first == _QUOTE:
                values.append(unquote(token) if b"\\" in token else token[1:-1])
            elif first == _OPEN:
                stack.append(values)
                values = []
            elif first == _CLOSE:
                complete = tuple(values)
                values = stack.pop()
                values.append(complete)
            elif token[-1] == _LF:
                values.append(self.literals[self._literal])
                self._literal += 1
            else:
                values.append(None if token == b"NIL" else _plain(token))
        return values[0]

    def _deep_value(self, prune: bool) -> Value:
        stack: list[list[Value]] = []
        below = 0  # lists open that are too deep to be kept
        while True:
            match = _TOKEN.match(self.text, self.position)
            if match is None:
                self.fail("a value")
            kind = match.lastindex
            value: Value
            if kind == 1:
                if len(stack) < self.depth:
                    stack.append([])
                elif prune:
                    below += 1
                else:
                    raise LimitExceeded(f"the server nests lists deeper than Limits.depth ({self.depth}) allows")
                self.position = match.end()
                continue
            if kind == 2:
                if not stack and not below:
                    self.fail("a value")
                below, value = (below - 1, ()) if below else (0, tuple(stack.pop()))
                self.position = match.end()
            elif kind == 3:
                value = _plain(match[3])
                self.position = match.end()
            else:
                self.position = match.start(4)
                value = self.string()
            if below:
                continue
            if not stack:
                return value
            stack[-1].append(value)


def _plain(atom: bytes) -> int | str | None:
    if atom.isdigit() and len(atom) <= 20:
        return int(atom)
    if atom.upper() == b"NIL":
        return None
    return atom.decode("utf-8", "replace")
