"""How does what a user of aioimaplib wrote get onto the wire? As it stands where that is safe; else mended.

aioimaplib joins its arguments with spaces and sends them: its users quote for themselves, or forget to. What they quoted or what needs
no quotes goes out unchanged. A mailbox name with spaces gets its quotes, one with letters beyond ASCII its modified UTF-7 (RFC 3501
section 5.1.3), and text beyond ASCII becomes a literal. CR, LF, NUL and the announcement of a literal are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from aiogmail.errors import ConfigurationError
from aiogmail.imap.wire import AsIs, Mailbox

__all__ = ["mailbox", "spoken", "text"]

_QUOTED = re.compile(r'"(?:[^"\\]|\\["\\])*"')
_PLAIN = re.compile(r'[^\x00-\x20\x7f-\U0010ffff"(){}%*\\]+')
_PATTERN = re.compile(r'[^\x00-\x20\x7f-\U0010ffff"(){}\\]+')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s"()]+|[()]|"')
_ESCAPED = re.compile(r"\\(.)")

# Which arguments of a command are mailbox names, by their place (from the end where negative); in LIST's, % and * are wildcards.
_MAILBOXES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("APPEND", "CREATE", "DELETE", "DELETEACL", "EXAMINE", "GETACL", "GETQUOTAROOT", "MYRIGHTS"), (0,)),
    **dict.fromkeys(("SELECT", "SETACL", "STATUS", "SUBSCRIBE", "UNSUBSCRIBE"), (0,)),
    **dict.fromkeys(("LIST", "LSUB", "RENAME"), (0, 1)),
    **dict.fromkeys(("COPY", "MOVE"), (-1,)),
}
_WILD = frozenset({"LIST", "LSUB"})


def spoken(verb: str, arguments: Sequence[object]) -> list[Any]:
    """The values for the encoder of a command as aioimaplib is given it; ``None`` among the arguments counts as not given.

    Raises:
        ConfigurationError: what cannot be sent as one command.
    """
    words = [_checked(verb, str(word)) for word in arguments if word is not None]
    places = {place % len(words) for place in _MAILBOXES.get(verb, ()) if place < len(words)} if words else set()
    values: list[Any] = []
    others: list[str] = []
    for place, word in enumerate(words):
        if place in places:
            values += _rest(verb, others)
            others = []
            values.append(mailbox(word, wild=verb in _WILD))
        else:
            others.append(word)
    return values + _rest(verb, others)


def _checked(verb: str, word: str) -> str:
    if any(character in "\r\n\0" for character in word):
        raise ConfigurationError(f"{verb}: NUL, CR and LF are not allowed in arguments: each would begin another command")
    return word


def _rest(verb: str, words: list[str]) -> list[Any]:
    joined = " ".join(stripped for word in words if (stripped := word.strip(" ")))  # Gmail says BAD to a space at the end
    if not joined:
        return []
    # STORE's strings are Gmail's labels, which are encoded as mailbox names are; all others are text.
    return text(joined, Mailbox if verb == "STORE" else _octets)


def mailbox(name: str, *, wild: bool = False) -> AsIs | Mailbox:
    r"""A mailbox name, or a pattern of LIST if ``wild``.

    A name that is quoted already, or that needs no quotes, stays as it is: ``"[Gmail]/All Mail"`` with its quotes, ``INBOX``, and
    ``Entw&APw-rfe``, which somebody has encoded. Others are quoted, and encoded where they hold letters beyond ASCII.
    """
    if name.isascii():
        if _QUOTED.fullmatch(name) or (_PATTERN if wild else _PLAIN).fullmatch(name):
            return AsIs(name)
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return AsIs(f'"{escaped}"')
    return Mailbox(_unquoted(name))


def text(words: str, beyond: Callable[[str], object]) -> list[Any]:
    """Protocol text: unchanged if it is ASCII; else the same words and lists, whose strings beyond ASCII ``beyond`` makes."""
    if words.isascii():
        return [AsIs(words)]
    stack: list[list[Any]] = [[]]
    for word in _TOKEN.findall(words):
        if word == "(":
            stack.append([])
        elif word == ")" and len(stack) > 1:
            closed = stack.pop()
            stack[-1].append(closed)
        else:
            stack[-1].append(AsIs(word) if word.isascii() else beyond(_unquoted(word)))
    if len(stack) > 1:
        raise ConfigurationError(f"parentheses do not match in {words[:60]!r}")
    return stack[0]


def _unquoted(word: str) -> str:
    return _ESCAPED.sub(r"\1", word[1:-1]) if _QUOTED.fullmatch(word) else word


def _octets(word: str) -> bytes:
    return word.encode("utf-8")
