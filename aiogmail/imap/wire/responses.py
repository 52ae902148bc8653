"""What a server may say, one class a kind.

All but :class:`~aiogmail.imap.wire.fetch.Fetch`, which is read lazily, are frozen values. Two of them are equal when they mean the same:
the wire form is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiogmail.imap.uidset import UidSet

from .scanner import Value

__all__ = [
    "Capability",
    "Continuation",
    "Enabled",
    "Esearch",
    "Exists",
    "Expunge",
    "Flags",
    "Id",
    "MailboxList",
    "MailboxStatus",
    "Namespace",
    "NamespaceEntry",
    "Quota",
    "QuotaRoot",
    "Recent",
    "Response",
    "ResponseCode",
    "Search",
    "Status",
    "Tagged",
    "Unknown",
    "Vanished",
]


class Response:
    """Anything a server said.

    Attributes:
        raw: the line without its CRLF; where a literal stood, ``{n}`` CRLF is left and its octets are in ``literals``.
        literals: the octets of each literal, in order.
    """

    __slots__ = ()
    raw: bytes
    literals: tuple[bytes, ...]

    @property
    def wire_size(self) -> int:
        """How many bytes it took on the wire."""
        return len(self.raw) + 2 + sum(map(len, self.literals))

    def wire_lines(self) -> list[bytes]:
        """The response as it came: a line, the octets of its literal, the next line, … without CRLF after lines."""
        if not self.literals:
            return [self.raw]
        lines: list[bytes] = []
        for line, literal in zip(self.raw.split(b"\r\n"), (*self.literals, b""), strict=True):
            lines += line, literal
        return lines[:-1]


@dataclass(frozen=True, slots=True)
class _Parsed(Response):
    raw: bytes = field(default=b"", repr=False, compare=False, kw_only=True)
    literals: tuple[bytes, ...] = field(default=(), repr=False, compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class ResponseCode:
    """What stands in brackets before the text of a status response (RFC 9051 section 7.1).

    Attributes:
        name: in upper case.
        args: by name: APPENDUID ``(uidvalidity, UidSet)``; COPYUID ``(uidvalidity, UidSet, UidSet)``; UIDVALIDITY, UIDNEXT, UNSEEN,
            HIGHESTMODSEQ, APPENDLIMIT ``(int,)``; PERMANENTFLAGS ``(frozenset of flags,)``; CAPABILITY ``(frozenset of upper-case
            names,)``; MODIFIED ``(UidSet,)``; BADCHARSET ``(tuple of charsets,)``; any other ``(text,)``, or ``()`` where nothing stood.
        text: the arguments as they stood.
    """

    name: str
    args: tuple[object, ...] = ()
    text: str = ""

    def uid_pairs(self) -> Iterator[tuple[int, int]]:
        """Of COPYUID: each source UID with its UID in the destination, in the server's order. Nothing for other codes."""
        if self.name != "COPYUID":
            return iter(())
        _, sources, targets = self.text.split()
        return zip(_in_order(sources), _in_order(targets), strict=False)


def _in_order(text: str) -> Iterator[int]:
    for item in text.split(","):
        first, _, last = item.partition(":")
        yield from UidSet(f"{first}:{last or first}")


@dataclass(frozen=True, slots=True)
class Tagged(_Parsed):
    """The end of a command: ``A1 OK [READ-WRITE] INBOX selected. (Success)``."""

    tag: str
    status: Literal["OK", "NO", "BAD"]
    code: ResponseCode | None
    text: str


@dataclass(frozen=True, slots=True)
class Status(_Parsed):
    """A status that belongs to no command: a greeting, a warning, BYE, or one of SELECT's facts as a code."""

    status: Literal["OK", "NO", "BAD", "BYE", "PREAUTH"]
    code: ResponseCode | None
    text: str


@dataclass(frozen=True, slots=True)
class Continuation(_Parsed):
    """``+``: the server waits for the rest of a command.

    Attributes:
        challenge: every byte after ``+ ``, for SASL.
    """

    code: ResponseCode | None
    text: str
    challenge: bytes = b""


@dataclass(frozen=True, slots=True)
class Exists(_Parsed):
    """How many messages the selected mailbox holds."""

    number: int


@dataclass(frozen=True, slots=True)
class Recent(_Parsed):
    """How many are recent; always 0 on Gmail."""

    number: int


@dataclass(frozen=True, slots=True)
class Expunge(_Parsed):
    """The message of this sequence number is gone; those after it move down by one."""

    number: int


@dataclass(frozen=True, slots=True)
class Vanished(_Parsed):
    """Messages that are gone, by UID (RFC 7162). ``earlier``: before this session looked."""

    earlier: bool
    uids: UidSet


@dataclass(frozen=True, slots=True)
class Flags(_Parsed):
    """The flags that the mailbox knows."""

    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Capability(_Parsed):
    """What the server can do now; names in upper case."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Enabled(_Parsed):
    """Which extensions ENABLE switched on; names in upper case."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Search(_Parsed):
    """Numbers or UIDs that match, as the command was SEARCH or UID SEARCH. ``modseq``: the highest among them, if it was told."""

    numbers: tuple[int, ...]
    modseq: int | None = None


@dataclass(frozen=True, slots=True)
class Esearch(_Parsed):
    """The extended result of a search (RFC 4731).

    Attributes:
        tag: of the command it answers, ``None`` if not told.
        uid: whether the numbers are UIDs.
        items: ``MIN MAX COUNT MODSEQ`` as ints, ``ALL`` as a :class:`UidSet` (absent where nothing matched), others as values.
    """

    tag: str | None
    uid: bool
    items: Mapping[str, UidSet | Value]


@dataclass(frozen=True, slots=True)
class MailboxList(_Parsed):
    r"""One mailbox of LIST, LSUB or XLIST.

    Attributes:
        attributes: as the server wrote them, such as ``\HasNoChildren``; their order says nothing.
        delimiter: one character, ``None`` for a flat name.
        name: decoded.
        extended: LIST-EXTENDED's items by upper-case name.
        encoded: the name as it stood on the wire. Where it is no proper modified UTF-7, only this selects the mailbox.
    """

    kind: Literal["LIST", "LSUB", "XLIST"]
    attributes: frozenset[str]
    delimiter: str | None
    name: str
    extended: Mapping[str, Value] = field(default_factory=dict)
    encoded: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MailboxStatus(_Parsed):
    """Facts of a mailbox that need not be selected, by upper-case name."""

    name: str
    items: Mapping[str, Value]
    encoded: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class NamespaceEntry:
    """A prefix under which mailboxes live, and the character that separates levels below it."""

    prefix: str
    delimiter: str | None
    extensions: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Namespace(_Parsed):
    """Where one's own, other people's and shared mailboxes live (RFC 2342)."""

    personal: tuple[NamespaceEntry, ...]
    other: tuple[NamespaceEntry, ...]
    shared: tuple[NamespaceEntry, ...]


@dataclass(frozen=True, slots=True)
class Quota(_Parsed):
    """Use and limit of each resource of a quota root (RFC 9208); STORAGE is in KiB."""

    root: str
    resources: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class QuotaRoot(_Parsed):
    """The quota roots of a mailbox."""

    mailbox: str
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Id(_Parsed):
    """Who the server says it is (RFC 2971); names as it wrote them."""

    items: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Unknown(_Parsed):
    """A response of a kind that this library does not know: kept, never fatal.

    Attributes:
        name: its first word, in upper case.
        data: what follows it, in the form of ``raw``.
        number: the number before the word, if there was one.
    """

    name: str
    data: bytes
    number: int | None = None
