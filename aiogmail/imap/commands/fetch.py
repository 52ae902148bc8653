"""UID FETCH (RFC 9051 section 6.4.5), its rows handed on as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Fetch, Raw, Response, Tagged

from .base import Command

__all__ = ["UidFetch", "reply_name"]


def reply_name(item: str) -> str:
    """The attribute under which the reply carries a fetch item: ``BODY.PEEK[]<0.100>`` comes as ``BODY[]<0>``."""
    name = item.upper().replace("BODY.PEEK[", "BODY[", 1)
    if name.endswith(">") and "." in name[name.rfind("<") :]:
        name = name[: name.rindex(".")] + ">"
    return name


_MOST_RANGES = 500
"""A range takes 22 characters at most: the command line stays below 16 KiB."""


class UidFetch(Command[UidSet]):
    """UID FETCH. The result is the set of UIDs whose rows did not come: they are gone from the mailbox.

    A row is handed on once all the items asked for are there: servers may split a message's data over several FETCH
    responses, and may tell of flags nobody asked for in between.

    Args:
        uids: what to fetch; no more than a window, since each is kept track of.
        items: fetch items in wire form, such as ``"FLAGS"`` and ``"BODY.PEEK[]"``; ``UID`` comes by itself.
        on_row: called with each complete row, from within the arrival of its bytes.
        small: the reply is small enough to be read and dropped when the caller is cancelled.
    """

    name = "UID FETCH"
    bulk = True
    patient = True

    def __init__(self, uids: UidSet, items: Sequence[str], on_row: Callable[[Fetch], None], *, small: bool = True) -> None:
        self.left = set(uids)
        """UIDs whose rows have not been handed on."""
        self.uids = uids
        self.items = tuple(items)
        self._wanted = frozenset(reply_name(item) for item in items)
        self._on_row = on_row
        self._small = small
        self._partial: dict[int, Fetch] = {}
        self._together = uids

    def join(self, others: Sequence[Command[Any]]) -> int:
        """Ask for the rows of as many of these fetches as go with this one, in one command; how many, from the first on."""
        joined = 0
        for other in others:
            if not isinstance(other, UidFetch) or other.items != self.items:
                break
            together = self._together | other.uids
            if len(together.ranges) > _MOST_RANGES:
                break
            self._together = together
            joined += 1
        return joined

    def arguments(self) -> Sequence[Any]:
        return (self._together, Raw("(" + " ".join(("UID", *self.items)) + ")"))

    def take(self, response: Response) -> bool:
        if type(response) is not Fetch:
            return False
        uid = response.uid
        if uid not in self.left or uid is None:
            return False  # news about a message that was not asked for, or whose row was handed on
        if self._partial and uid in self._partial:
            response = _merged(self._partial.pop(uid), response)
        for name in self._wanted:
            if name not in response:
                break
        else:
            self.left.discard(uid)
            self._on_row(response)
            return True
        if self._wanted.isdisjoint(response.names()):
            return False
        self._partial[uid] = response
        return True

    def finish(self, tagged: Tagged) -> UidSet:
        for uid, row in self._partial.items():
            # The server ended without an item it was asked for: hand on what it has, unless that is but a change of flags.
            if set(row.names()) - {"UID", "FLAGS", "MODSEQ"}:
                self.left.discard(uid)
                self._on_row(row)
        return UidSet(self.left)

    def is_droppable(self) -> bool:
        return self._small


def _merged(first: Fetch, second: Fetch) -> Fetch:
    """One row out of two responses about the same message."""
    flags = first.flags if second.flags is None else second.flags
    values = {**first.attributes, **second.attributes}
    return Fetch(first.raw + b"\r\n" + second.raw, first.literals + second.literals, first.uid, flags, None, values)
