"""What a command may be given: values that say how they are written, each checked where it is made.

Plain Python values need no wrapper: ``str`` and ``bytes`` are strings, ``int`` a number, ``None`` NIL, a list or tuple a parenthesised list,
an aware ``datetime`` a date-time, :class:`UidSet` a sequence set, and :class:`Secret` a string that logs do not show.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NoReturn

from aiogmail.errors import ConfigurationError

__all__ = ["AsIs", "Atom", "Flag", "Label", "Literal", "Mailbox", "Quoted", "Raw", "SearchDate"]

_ATOM = re.compile(r'[^\x00-\x20\x7f-\U0010ffff(){%*"\\\]]+')
_FLAG = re.compile(r'\\?[^\x00-\x20\x7f-\U0010ffff(){%*"\\]+')  # Gmail keeps keywords that hold brackets
_RAW = re.compile(r'(?:[^\x00-\x1f\x7f-\U0010ffff"\\{}]|"(?:[^\x00-\x1f\x7f-\U0010ffff"\\]|\\["\\])*")+')

_PARENTHESES = re.compile(r"[()]")
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_AS_IS = re.compile(r"[\x20-\x7e]+")
_ANNOUNCES = re.compile(r"\{[0-9]+[+-]?\}\Z")


def refuse(kind: object, expected: str, value: object) -> NoReturn:
    """The one way an argument is turned down."""
    shown = repr(value)
    if len(shown) > 60:
        shown = shown[:59] + "…"
    name = kind if isinstance(kind, str) else type(kind).__name__
    raise ConfigurationError(f"{name}: expected {expected}, got {shown}")


@dataclass(frozen=True, slots=True)
class Atom:
    """A word of the protocol, sent as it stands.

    Raises:
        ConfigurationError: a character that no atom may hold.
    """

    value: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, str) or not _ATOM.fullmatch(self.value):
            refuse(self, "a word without spaces, quotes, brackets or control characters", self.value)


@dataclass(frozen=True, slots=True)
class Flag:
    r"""A flag or keyword: ``\Seen``, ``$Forwarded``.

    Raises:
        ConfigurationError: a character that no flag may hold.
    """

    value: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, str) or not _FLAG.fullmatch(self.value):
            refuse(self, r"a flag such as \Seen or a keyword in ASCII without spaces, quotes or parentheses", self.value)


def _check_name(kind: object, name: object) -> None:
    if not isinstance(name, str) or any(character in name for character in "\r\n\0"):
        refuse(kind, "a name without CR, LF and NUL", name)
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        refuse(kind, "a name without lone surrogates", name)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The name of a mailbox, or a pattern of LIST; it is encoded in modified UTF-7, or UTF-8 once that is enabled.

    Raises:
        ConfigurationError: CR, LF, NUL or a lone surrogate in it.
    """

    name: str

    def __post_init__(self) -> None:
        _check_name(self, self.name)


@dataclass(frozen=True, slots=True)
class Label:
    r"""A Gmail label, ``\Inbox`` or ``Work``, encoded as mailbox names are.

    Raises:
        ConfigurationError: it is empty, or holds CR, LF, NUL or a lone surrogate.
    """

    name: str

    def __post_init__(self) -> None:
        _check_name(self, self.name)
        if not self.name:
            refuse(self, "a name", self.name)


@dataclass(frozen=True, slots=True)
class Quoted:
    """A string that is sent in quotes, for servers that want no atom there.

    Raises:
        ConfigurationError: CR, LF, NUL or a character above 127 in it.
    """

    value: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, str) or any(character in "\r\n\0" or character > "\x7f" for character in self.value):
            refuse(self, "ASCII text without CR, LF and NUL", self.value)


@dataclass(frozen=True, slots=True)
class Literal:
    """Octets that are sent as a literal: a message. Large ones are not copied, so they must not change until they are sent.

    Args:
        data: the octets.
        binary: as ``~{n}`` (RFC 3516), the only form that may hold NUL.

    Raises:
        ConfigurationError: no bytes, or a NUL in a literal that is not ``binary``.
    """

    data: bytes | bytearray | memoryview
    binary: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.data, bytes | bytearray | memoryview):
            refuse(self, "bytes", self.data)

    def __repr__(self) -> str:
        return f"Literal({len(self.data)} octets)"


@dataclass(frozen=True, slots=True)
class SearchDate:
    """A day in SEARCH: ``1-Feb-1994``. The server compares it in its own time zone, which is UTC on Gmail.

    Raises:
        ConfigurationError: no date; a ``datetime`` must be turned into one, because only its owner knows in which zone.
    """

    day: date

    def __post_init__(self) -> None:
        if not isinstance(self.day, date) or isinstance(self.day, datetime):
            refuse(self, "a date", self.day)


@dataclass(frozen=True, slots=True)
class Raw:
    """Protocol text that a command built from checked parts: fetch items, options.

    Raises:
        ConfigurationError: anything but printable ASCII, quotes or parentheses that do not match, braces, a space at either end.
    """

    text: str

    def __post_init__(self) -> None:
        text = self.text
        if not isinstance(text, str) or not _RAW.fullmatch(text) or text != text.strip() or not _balanced(text):
            refuse(self, "printable ASCII with matching quotes and parentheses, without braces", text)


@dataclass(frozen=True, slots=True)
class AsIs:
    """Protocol text that somebody else wrote and answers for, sent as it stands: a user of aioimaplib.

    Args:
        text: the text.
        hidden: it holds a secret: logs show ``'…'``.

    Raises:
        ConfigurationError: anything but printable ASCII, or an end that announces a literal: what follows would be taken for its octets.
    """

    text: str = field(repr=False)
    hidden: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not _AS_IS.fullmatch(self.text) or _ANNOUNCES.search(self.text):
            refuse(self, "printable ASCII that announces no literal", "…" if self.hidden else self.text)


def _balanced(text: str) -> bool:
    depth = 0
    for character in _PARENTHESES.findall(_STRINGS.sub("", text) if '"' in text else text):
        depth += 1 if character == "(" else -1
        if depth < 0:
            return False
    return depth == 0
