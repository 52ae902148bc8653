"""What may be asked for of each message, and how is it written on the wire?"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiogmail.errors import ConfigurationError

from .structure import BodyPart, part_number

__all__ = ["ITEMS", "Items", "read_items", "section_name", "wire_items"]

ITEMS = {
    "uid": "",
    "flags": "FLAGS",
    "internal_date": "INTERNALDATE",
    "size": "RFC822.SIZE",
    "modseq": "MODSEQ",
    "labels": "X-GM-LABELS",
    "gmail_id": "X-GM-MSGID",
    "thread_id": "X-GM-THRID",
    "envelope": "ENVELOPE",
    "structure": "BODYSTRUCTURE",
    "raw": "BODY.PEEK[]",
    "headers": "BODY.PEEK[HEADER]",
}
"""Items of ``fetch`` → the fetch item on the wire. None of them sets \\Seen."""

TEXTS = {"text": "plain", "html": "html"}
"""Items whose part is known once the structure is: they are fetched in a second step."""

DEFAULT_ITEMS = ("flags", "internal_date", "size")

_FIELD = re.compile(r"[!#$%&'+\-.0-9A-Z^_`a-z|~]{1,200}")
_EXPECTED = f"names out of {', '.join((*ITEMS, *TEXTS))}, 'header:NAME' or 'part:NUMBER'"


@dataclass(frozen=True, slots=True)
class Items:
    """What a ``fetch`` asks for.

    Attributes:
        wire: the fetch items, each once.
        texts: subtypes of the text parts to fetch in a second step: ``"plain"``, ``"html"``.
    """

    wire: tuple[str, ...]
    texts: tuple[str, ...] = ()


def read_items(items: tuple[str | BodyPart, ...]) -> Items:
    """The items of a ``fetch``, whose names may be in any case.

    Raises:
        ConfigurationError: an item that does not exist.
    """
    names: list[str] = []
    fields: list[str] = []
    parts: list[str] = []
    for item in items or DEFAULT_ITEMS:
        name, colon, rest = item.partition(":") if isinstance(item, str) else ("", "", "")
        name = name.strip().lower()
        if not colon and (name in ITEMS or name in TEXTS):
            names.append(name)
        elif colon and name == "header" and _FIELD.fullmatch(rest.strip()):
            fields.append(rest.strip().upper())
        elif colon and name == "part":
            parts.append(part_number(rest.strip(), "items"))
        else:
            raise ConfigurationError(f"items: expected {_EXPECTED}; got {item!r}")
    texts = tuple(subtype for name, subtype in TEXTS.items() if name in names and "raw" not in names)
    if texts or parts:
        names.append("structure")  # says how the parts are encoded
    wire = [on_wire for name, on_wire in ITEMS.items() if name in names and on_wire]
    if fields and "headers" not in names:
        wire.append(f"BODY.PEEK[HEADER.FIELDS ({' '.join(dict.fromkeys(fields))})]")
    wire += [f"BODY.PEEK[{number}]" for number in dict.fromkeys(parts)]
    return Items(tuple(wire), texts)


def wire_items(items: tuple[str, ...]) -> tuple[str, ...]:
    """The wire form of the items of a ``fetch`` that is done in one step.

    Raises:
        ConfigurationError: an item that does not exist, or one that needs a second step: ``"text"``, ``"html"``.
    """
    read = read_items(items)
    if read.texts:
        raise ConfigurationError(f"items: 'text' and 'html' are for fetch; got {items!r}")
    return read.wire


def section_name(number: str) -> str:
    """The attribute in which a part comes."""
    return f"BODY[{number}]"
