"""UID FETCH (RFC 9051 section 6.4.5), its rows handed on as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Fetch, Raw, Response, Tagged
from aiogmail.imap.wire.fetch import tells_all

from .base import Command

__all__ = ["UidFetch", "merged", "reply_name"]


def reply_name(item: str) -> str:
    """The attribute under which the reply carries a fetch item: ``BODY.PEEK[]<0.100>`` comes as ``BODY[]<0>``."""
    name = item.upper().replace("BODY.PEEK[", "BODY[", 1)
    if name.endswith(">") and "." in name[name.rfind("<") :]:
        name = name[: name.rindex(".")] + ">"
    return name


_MOST_RANGES = 500
_NEWS = frozenset({"FLAGS", "MODSEQ"})
_UNINVITED = frozenset({"MODSEQ"})
_RANGE = len(",4294967295:4294967295")
_AROUND = len(" UID FETCH  ")


class UidFetch(Command[UidSet]):
    """UID FETCH. The result is the set of UIDs whose rows did not come: they are gone from the mailbox.

    A row is handed on once all the items asked for are there: servers may split a message's data over several FETCH
    responses, and may tell of flags nobody asked for in between. A row that lacks an item to the end (a mailbox without
    mod-sequences has none to tell) is handed on without it.

    Args:
        uids: what to fetch; no more than a window, since each is kept track of.
        items: fetch items in wire form, such as ``"FLAGS"`` and ``"BODY.PEEK[]"``; ``UID`` comes by itself.
        on_rows: called with complete rows, in their order, from within the arrival of their bytes. The list is its own to keep.
        small: the reply is small enough to be read and dropped when the caller is cancelled.
    """

    name = "UID FETCH"
    bulk = True
    concurrent = True

    def __init__(self, uids: UidSet, items: Sequence[str], on_rows: Callable[[list[Fetch]], None], *, small: bool = True) -> None:
        self.left = set(uids)
        """UIDs whose rows have not been handed on."""
        self.uids = uids
        self.items = tuple(items)
        self._wanted = frozenset(reply_name(item) for item in items)
        self._tells_all = tells_all(self._wanted)
        self._on_rows = on_rows
        self.small = small
        self._partial: dict[int, Fetch] = {}
        self.together = uids

    def join(self, others: Sequence[Command[Any]], room: int) -> int:
        """Ask for the rows of as many of these fetches as go with this one, in one command; how many, from the first on.

        A large one takes no small ones along, nor the other way: who cancels the one shall not have to wait for the other.
        """
        joined = 0
        room -= _AROUND + len(self._asked())
        for other in others:
            if not isinstance(other, UidFetch) or other.items != self.items or other.small is not self.small:
                break
            together = self.together | other.uids
            ranges = len(together.ranges)
            if ranges > _MOST_RANGES or (ranges * _RANGE > room and len(str(together)) > room):
                break
            self.together = together
            joined += 1
        return joined

    def forget(self) -> None:
        self._on_rows = list.clear

    def _asked(self) -> str:
        return "(" + " ".join(("UID", *self.items)) + ")"

    def arguments(self) -> Sequence[Any]:
        return (self.together, Raw(self._asked()))

    def clashes(self, other: Command[Any]) -> bool:
        # Each row could be either's: one would get both, and the other end without, as if the message were gone.
        return isinstance(other, UidFetch) and self._wanted ^ other._wanted <= _UNINVITED and self.rivals(other)  # noqa: SLF001  of its own class

    def rivals(self, other: Command[Any]) -> bool:
        if not isinstance(other, UidFetch):
            return super().rivals(other)
        mine, theirs = self.together, other.together
        if not mine or not theirs or mine.ranges[-1][1] < theirs.ranges[0][0] or theirs.ranges[-1][1] < mine.ranges[0][0]:
            return False
        return bool(mine & theirs)

    def fits(self, response: Response) -> bool:
        if not isinstance(response, Fetch) or response.uid not in self.left:
            return False
        told = frozenset(response.names()) - {"UID"}
        # MODSEQ comes uninvited with every row once CONDSTORE is enabled (RFC 7162 section 3.2).
        return self._wanted in (told, told - {"MODSEQ"})

    def take(self, response: Response) -> bool:
        return self.take_run((response,), 0) == 1

    def take_run(self, responses: Sequence[Response], start: int) -> int:
        left, tells_all, partial = self.left, self._tells_all, self._partial
        complete: list[Fetch] = []
        taken = 0
        for position in range(start, len(responses)):
            response = responses[position]
            if not isinstance(response, Fetch):
                break
            uid = response.uid
            if uid is None or uid not in left:
                break  # news about a message that was not asked for, or whose row was handed on
            if not (partial and uid in partial) and tells_all(response):
                left.discard(uid)
                complete.append(response)
            elif not self._take_part(uid, response, complete):
                break
            taken += 1
        if complete:
            self._on_rows(complete)
        return taken

    def _take_part(self, uid: int, row: Fetch, complete: list[Fetch]) -> bool:
        """A row that does not tell all by itself: whether it has to do with what was asked for."""
        before = self._partial.pop(uid, None)
        if before is not None:
            row = merged(before, row)
        if self._tells_all(row):
            self.left.discard(uid)
            complete.append(row)
            return True
        names = set(row.names()) - {"UID"}
        if before is None and names and self._wanted.isdisjoint(names):
            return False
        self._partial[uid] = row
        return True

    def finish(self, tagged: Tagged) -> UidSet:
        # The server ended without an item it was asked for: hand on what it has, unless that is but a change of flags.
        rows = {uid: row for uid, row in self._partial.items() if not self._is_news(row)}
        if rows:
            self.left.difference_update(rows)
            self._on_rows(list(rows.values()))
        return UidSet(self.left)

    def _is_news(self, row: Fetch) -> bool:
        """Whether a row is what servers tell unasked, and less than what was asked for."""
        told = set(row.names()) - {"UID"}
        return bool(told) and told <= _NEWS and not self._wanted <= _NEWS

    def is_droppable(self) -> bool:
        return self.small


def merged(first: Fetch, second: Fetch) -> Fetch:
    """One row out of two responses about the same message."""
    flags = first.flags if second.flags is None else second.flags
    values = {**first.attributes, **second.attributes}
    return type(first)(first.raw + b"\r\n" + second.raw, first.literals + second.literals, first.uid, flags, None, values)
