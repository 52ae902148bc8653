"""What are the octets of a message object? Written by the email package, in steps that hold up nobody.

That package splits a whole body at its line ends in one call, which for 25 MB holds Python's lock, and with it the event loop, for a third of
a second, even from another thread. Here it goes a block at a time.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from email.errors import MessageError
from email.generator import BytesGenerator
from email.message import EmailMessage, Message
from io import BytesIO
from typing import Any

from aiogmail.errors import ConfigurationError

__all__ = ["flatten", "flattened_size"]

_BLOCK = 64 * 1024
_LINE_END = re.compile(r"\r\n|\r|\n")
_FOLDED = re.compile(r"\r\n?+(?![ \t])|(?<!\r)\n(?![ \t])")
_NO_NAME = re.compile(r"[^!-9;-~]|\A\Z")
_WITH_ADDRESSES = frozenset(
    {"from", "sender", "reply-to", "to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc"},
)


class _Generator(BytesGenerator):
    """The email package's, which writes a body block by block."""

    def _write_lines(self, lines: str) -> None:
        for block in _blocks(lines):
            self.write(_LINE_END.sub(self._NL, block))  # type: ignore[attr-defined]

    @classmethod
    def _make_boundary(cls, text: str | None = None) -> str:  # noqa: ARG003  19 digits need not be searched for in 25 MB
        boundary: str = super()._make_boundary()  # type: ignore[misc]
        return boundary


def _blocks(text: str) -> Iterator[str]:
    """Cut anywhere but between a CR and its LF."""
    start = 0
    while start < len(text):
        stop = start + _BLOCK
        if text[stop - 1 : stop + 1] == "\r\n":
            stop += 1
        yield text[start:stop]
        start = stop


def flatten(message: object) -> bytes:
    """The octets of a message object, of which nothing is changed.

    Raises:
        ConfigurationError: it is no message, or one that cannot be written.
    """
    if isinstance(message, bytes):
        return message
    if isinstance(message, bytearray | memoryview):
        return bytes(message)
    if not isinstance(message, Message):
        raise ConfigurationError(f"message: expected an EmailMessage, an email.message.Message or bytes, got {type(message).__name__}")
    for name, value in message.raw_items():
        if _NO_NAME.search(name.rstrip(" \t")):
            raise ConfigurationError(f"message: no name of a header field: {name!r}")
        if isinstance(value, str) and _FOLDED.search(value.rstrip("\r\n")):
            raise ConfigurationError(f"message: a line end in its {name} would begin another header field")
    out = BytesIO()
    try:
        # Writing sets missing boundaries: in a copy, whose payloads are shared.
        _Generator(out, mangle_from_=False, policy=_policy(message)).flatten(copy.deepcopy(message))
    except (MessageError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigurationError(f"message: cannot be written: {type(error).__name__}: {error}") from error
    return out.getvalue()


def flattened_size(message: object) -> int:
    """About how many octets :func:`flatten` has to write."""
    if not isinstance(message, Message):
        return 0
    parts = [part.get_payload() for part in message.walk()]
    return sum(len(part) for part in parts if isinstance(part, str | bytes))


def _policy(message: Message) -> Any:
    policy: Any = message.policy.clone(linesep="\r\n")
    if isinstance(message, EmailMessage):
        # The library would write an internationalised local part as an encoded word, which names nobody.
        fields = (value for name, value in message.items() if name.lower() in _WITH_ADDRESSES)
        addresses = (address.username for value in fields for address in getattr(value, "addresses", ()))
        policy = policy.clone(utf8=not all(name.isascii() for name in addresses))
    return policy
