"""What stands in a message's header, and how is a field added or taken away? On the octets themselves: all else stays as it was."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiogmail.errors import ConfigurationError

from .body import with_crlf

__all__ = ["Field", "Header", "split_message"]

_END = re.compile(rb"(?>\r\n|\r|\n)(?:\r\n|\r|\n)")  # a CRLF is never taken for two line ends
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
_FOLD = re.compile(r"[\r\n]+(?=[ \t])")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name in lower case, and its octets with the CRLF that ends it."""

    name: str
    raw: bytes

    @property
    def value(self) -> str:
        """What stands behind the colon, unfolded. An octet that is no UTF-8 becomes U+FFFD, which no address may hold."""
        text = self.raw.partition(b":")[2].decode("utf-8", "replace")
        return _FOLD.sub("", text).strip()


class Header:
    """The fields of a header, in order.

    Args:
        raw: its octets, by CRLF, without the empty line.

    Raises:
        ConfigurationError: a line of it is no field.
    """

    def __init__(self, raw: bytes) -> None:
        self.fields: list[Field] = []
        lines: list[bytes] = []
        for number, line in enumerate(raw.split(b"\r\n"), 1):
            if line[:1] in (b" ", b"\t") and lines:
                lines.append(line)
                continue
            self._add(lines)
            if line and _NAME.match(line) is None:
                raise ConfigurationError(f"message: line {number} of its header is no field: {line[:60]!r}")
            lines = [line] if line else []
        self._add(lines)

    def _add(self, lines: Sequence[bytes]) -> None:
        if lines:
            match = _NAME.match(lines[0])
            assert match is not None
            self.fields.append(Field(match[1].decode("ascii").lower(), b"\r\n".join(lines) + b"\r\n"))

    def all(self, *names: str) -> list[Field]:
        """The fields of these names, in order."""
        return [field for field in self.fields if field.name in names]

    def first(self, name: str) -> str:
        """The value of the first field of this name, ``""`` where there is none."""
        return next((field.value for field in self.fields if field.name == name), "")

    def remove(self, *names: str) -> None:
        """Take away every field of these names."""
        self.fields = [field for field in self.fields if field.name not in names]

    def add(self, name: str, value: str) -> None:
        """Put a field on top.

        Raises:
            ConfigurationError: a line end in the value.
        """
        if "\r" in value or "\n" in value:
            raise ConfigurationError(f"{name}: a line end in {value!r}")
        self.fields.insert(0, Field(name.lower(), f"{name}: {value}\r\n".encode()))

    def __bytes__(self) -> bytes:
        """The octets, with the empty line that ends them."""
        return b"".join(field.raw for field in self.fields) + b"\r\n"


def split_message(raw: bytes) -> tuple[Header, int]:
    """The header, and where in ``raw`` the body begins (at its end where there is none).

    Raises:
        ConfigurationError: there is no header.
    """
    if raw[:1] in (b"\r", b"\n"):
        return Header(b""), 2 if raw[:2] == b"\r\n" else 1
    match = _END.search(raw)
    end = len(raw) if match is None else match.start()
    header = Header(with_crlf(raw[:end]))
    if not header.fields:
        raise ConfigurationError("message: is empty")
    return header, len(raw) if match is None else match.end()
