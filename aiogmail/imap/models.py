"""What is a message, as far as it was fetched?"""

from __future__ import annotations

import datetime as dt
from typing import Any

from aiogmail.errors import ConfigurationError, NotFetched

from .wire import Fetch

__all__ = ["ITEMS", "Message", "wire_items"]

ITEMS = {
    "uid": "",
    "flags": "FLAGS",
    "internal_date": "INTERNALDATE",
    "size": "RFC822.SIZE",
    "modseq": "MODSEQ",
    "labels": "X-GM-LABELS",
    "gmail_id": "X-GM-MSGID",
    "thread_id": "X-GM-THRID",
    "raw": "BODY.PEEK[]",
}
"""Items of ``fetch`` → the fetch item on the wire. None of them sets \\Seen."""

DEFAULT_ITEMS = ("flags", "internal_date", "size")


def wire_items(items: tuple[str, ...]) -> tuple[str, ...]:
    """The wire form of the items of a ``fetch``, each once, in the order of :data:`ITEMS`.

    Raises:
        ConfigurationError: an item that does not exist.
    """
    for item in items:
        if not isinstance(item, str) or item not in ITEMS:
            raise ConfigurationError(f"items: expected names out of {', '.join(ITEMS)}; got {item!r}")
    chosen = items or DEFAULT_ITEMS
    return tuple(wire for name, wire in ITEMS.items() if name in chosen and wire)


class Message:
    """A message of a mailbox, with the items that were asked for; decoded when they are touched.

    An item that was not asked for raises :class:`aiogmail.errors.NotFetched` with its name. Frozen: it does not change
    when the mailbox does.
    """

    __slots__ = ("_fetch",)
    _fetch: Fetch

    def __init__(self, fetch: Fetch) -> None:
        object.__setattr__(self, "_fetch", fetch)

    def _item(self, name: str) -> Any:
        fetch = self._fetch
        wire = ITEMS[name] if name != "raw" else "BODY[]"
        if wire not in fetch:
            raise NotFetched(name)
        return fetch.get(wire)

    @property
    def uid(self) -> int:
        """Its UID: names it in its mailbox as long as UIDVALIDITY stays."""
        uid = self._fetch.uid
        assert uid is not None, "a row without UID belongs to no fetch"
        return uid

    @property
    def flags(self) -> frozenset[str]:
        r"""Its flags, such as ``"\Seen"``."""
        flags: frozenset[str] | None = self._fetch.flags
        if flags is None:
            raise NotFetched("flags")
        return flags

    @property
    def internal_date(self) -> dt.datetime | None:
        """When the server received it (INTERNALDATE), aware; ``None`` where the server's date is unreadable."""
        date: dt.datetime | None = self._item("internal_date")
        return date

    @property
    def size(self) -> int:
        """Octets of the whole message (RFC822.SIZE)."""
        size: int = self._item("size")
        return size

    @property
    def modseq(self) -> int:
        """Its mod-sequence (RFC 7162)."""
        modseq: int = self._item("modseq")
        return modseq

    @property
    def labels(self) -> frozenset[str]:
        """Its Gmail labels (X-GM-LABELS), without the selected mailbox's own."""
        labels: frozenset[str] = self._item("labels")
        return labels

    @property
    def gmail_id(self) -> int:
        """X-GM-MSGID: names it in the account for ever."""
        gmail_id: int = self._item("gmail_id")
        return gmail_id

    @property
    def thread_id(self) -> int:
        """X-GM-THRID: names its thread."""
        thread_id: int = self._item("thread_id")
        return thread_id

    @property
    def raw(self) -> bytes:
        """The whole message as it is on the server (RFC 5322 octets)."""
        raw: bytes | None = self._item("raw")
        return raw if raw is not None else b""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Message is frozen: {name} cannot be set")

    def __repr__(self) -> str:
        return f"Message(uid={self.uid}, items={', '.join(self._fetch.names())})"
