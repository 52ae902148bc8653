"""A server's ear: reads one command from segments as strictly as RFC 9051 lets a server be. It shares no code with what it judges.

It works octet by octet from the formal syntax (section 9), and knows nothing of what any command means:

    command = tag SP word *(SP argument) CRLF
    argument = atom / quoted / literal / "(" [argument *(SP argument)] ")"

A segment is what a client writes without waiting. A synchronising literal must therefore begin exactly where a segment begins, and no
segment may end anywhere else.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass


class Refused(Exception):
    """A strict server would answer BAD, or misunderstand."""


@dataclass(frozen=True)
class Atom:
    octets: bytes


@dataclass(frozen=True)
class String:
    octets: bytes
    form: str


CONTROLS = bytes(range(0x20)) + b"\x7f"
SPECIALS = b'(){ %*"\\]' + CONTROLS
DIGITS = b"0123456789"


class Ear:
    def __init__(self, segments, mode: str = "", utf8: bool = False) -> None:
        self.octets = b"".join(bytes(buffer) for segment in segments for buffer in segment)
        ends, total = [], 0
        for segment in segments:
            total += sum(len(bytes(buffer)) for buffer in segment)
            ends.append(total)
        self.waits = ends[:-1]
        self.mode = mode
        self.utf8 = utf8
        self.at = 0

    def peek(self) -> bytes:
        return self.octets[self.at : self.at + 1]

    def take(self, expected: bytes) -> None:
        if self.octets[self.at : self.at + len(expected)] != expected:
            raise Refused(f"expected {expected!r} at {self.at}, got {self.octets[self.at : self.at + 20]!r}")
        self.at += len(expected)

    def command(self):
        tag = self.run(lambda c: c not in SPECIALS and c != b"+" and c < b"\x80")
        words = []
        while self.peek() == b" ":
            self.at += 1
            words.append(self.argument())
        self.take(b"\r\n")
        if self.at != len(self.octets):
            raise Refused(f"more than one command: {self.octets[self.at :][:60]!r}")
        if self.waits:
            raise Refused("waits where no literal begins")
        if not words:
            raise Refused("no command")
        return tag, words

    def run(self, allowed) -> bytes:
        start = self.at
        while self.peek() and allowed(self.peek()):
            self.at += 1
        if self.at == start:
            raise Refused(f"expected a word at {start}, got {self.octets[start : start + 20]!r}")
        return self.octets[start : self.at]

    def argument(self):
        first = self.peek()
        if first == b"(":
            return self.list()
        if first == b'"':
            return self.quoted()
        if first == b"{" or self.octets[self.at : self.at + 2] == b"~{":
            return self.literal()
        return self.atom()

    def list(self):
        self.take(b"(")
        items = []
        if self.peek() != b")":
            items.append(self.argument())
            while self.peek() == b" ":
                self.at += 1
                items.append(self.argument())
        self.take(b")")
        return items

    def quoted(self) -> String:
        self.take(b'"')
        value = bytearray()
        while self.peek() != b'"':
            octet = self.peek()
            if not octet or octet in b"\r\n\0" or (octet >= b"\x80" and not self.utf8):
                raise Refused(f"{octet!r} in a quoted string")
            if octet == b"\\":
                self.at += 1
                octet = self.peek()
                if octet not in (b"\\", b'"'):
                    raise Refused(f"backslash before {octet!r}")
            value += octet
            self.at += 1
        self.take(b'"')
        if self.utf8:
            bytes(value).decode("utf-8")
        return String(bytes(value), "quoted")

    def literal(self) -> String:
        binary = self.peek() == b"~"
        self.at += binary
        self.take(b"{")
        size = int(self.run(lambda c: c in DIGITS))
        waits = self.peek() != b"+"
        self.at += not waits
        self.take(b"}\r\n")
        if waits:
            if not self.waits or self.waits.pop(0) != self.at:
                raise Refused("a synchronising literal whose octets were sent without waiting")
        elif self.mode == "" or (self.mode == "LITERAL-" and size > 4096):
            raise Refused("a literal that this server does not take without waiting")
        octets = self.octets[self.at : self.at + size]
        if len(octets) != size or (b"\0" in octets and not binary):
            raise Refused("a literal cut short, or NUL in one")
        if any(self.at < wait < self.at + size for wait in self.waits):
            raise Refused("waits within a literal")
        self.at += size
        return String(octets, "literal8" if binary else "literal")

    def atom(self) -> Atom:
        """An atom, flag, sequence set, or fetch item with its section and partial."""
        start = self.at
        self.at += self.peek() == b"\\"
        while octet := self.peek():
            if octet == b"[":
                self.section()
                continue
            if octet == b"*" and self.octets[self.at - 1 : self.at] not in (b":", b",", b" "):
                raise Refused("a star that is not the end of a sequence set")
            if octet >= b"\x7f" or (octet in SPECIALS and octet not in b"]*"):
                break
            self.at += 1
        text = self.octets[start : self.at]
        if text in (b"", b"\\"):
            raise Refused(f"expected an argument at {start}, got {self.octets[start : start + 20]!r}")
        return Atom(text)

    def section(self) -> None:
        """``[HEADER.FIELDS (DATE FROM)]``; a bracket in a keyword is only a character."""
        end = self.octets.find(b"]", self.at)
        inside = self.octets[self.at + 1 : end] if end > 0 else b""
        if end > 0 and not any(octet in inside for octet in CONTROLS + b'{"\\') and inside.count(b"(") == inside.count(b")"):
            self.at = end + 1
        else:
            self.at += 1


def mailbox_name(octets: bytes) -> str:
    """Modified UTF-7, strictly (RFC 3501 section 5.1.3)."""
    name, rest = "", octets.decode("ascii")
    while rest:
        before, shift, rest = rest.partition("&")
        if any(not " " <= character <= "~" for character in before):
            raise Refused(f"control character in {octets!r}")
        name += before
        if shift:
            encoded, end, rest = rest.partition("-")
            if not end:
                raise Refused(f"open shift in {octets!r}")
            units = base64.b64decode(encoded.replace(",", "/") + "=" * (-len(encoded) % 4), validate=True)
            shifted = units.decode("utf-16-be") if encoded else "&"
            if encoded and any(" " <= character <= "~" for character in shifted):
                raise Refused(f"printable ASCII in a shift in {octets!r}")
            name += shifted
    return name
