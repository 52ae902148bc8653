"""UID FETCH of a UID and all above it: what came since (RFC 9051 section 6.4.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiogmail.imap.uidset import UidsFrom
from aiogmail.imap.wire import Fetch, Raw, Response, Tagged

from .base import Command
from .fetch import reply_name

__all__ = ["RowsFrom"]


class RowsFrom(Command[list[Fetch]]):
    """UID FETCH of a UID and all above it (``n:*``), alone on the wire. The result has the rows from ``first`` on, ascending.

    Args:
        first: the lowest UID wanted; the server names the mailbox's last message even where that is below.
        items: fetch items in wire form; ``UID`` comes by itself.
    """

    name = "UID FETCH"
    bulk = True
    waits = True
    blocks = True

    def __init__(self, first: int, items: Sequence[str]) -> None:
        self._first = first
        self._items = tuple(items)
        self._wanted = frozenset(map(reply_name, items))
        self._rows: dict[int, Fetch] = {}

    def arguments(self) -> Sequence[Any]:
        return (UidsFrom(self._first), Raw("(" + " ".join(("UID", *self._items)) + ")"))

    def take(self, response: Response) -> bool:
        if not isinstance(response, Fetch) or response.uid is None or self._wanted.isdisjoint(response.names()):
            return False  # news of flags that nobody asked for
        if response.uid >= self._first:
            self._rows[response.uid] = response
        return True

    def finish(self, tagged: Tagged) -> list[Fetch]:
        return [self._rows[uid] for uid in sorted(self._rows)]
