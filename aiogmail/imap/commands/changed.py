"""UID FETCH … (CHANGEDSINCE …) (RFC 7162 section 3.1.4): the messages that changed, some of them whole and the rest by UID."""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Fetch, Raw, Response, Tagged
from aiogmail.imap.wire.fetch import tells_all

from .base import Command

__all__ = ["ChangedMessages", "UidFetchChanged"]

_EVERY = Raw("1:*")


@functools.lru_cache(64)
def _list(items: tuple[str, ...]) -> Raw:
    return Raw(f"(UID {' '.join(items)})")


@dataclass(slots=True)
class ChangedMessages:
    """What changed.

    Attributes:
        rows: the first of them, by UID.
        uids: all of them.
        highest: the highest mod-sequence among them.
        exists: how many messages the mailbox had by then.
    """

    rows: dict[int, Fetch]
    uids: UidSet = field(default_factory=UidSet)
    highest: int = 0
    exists: int = 0


class UidFetchChanged(Command[ChangedMessages]):
    """UID FETCH of every message that changed. No other fetch is on the wire meanwhile: whatever is told of a message is news.

    Args:
        items: fetch items in wire form, MODSEQ among them.
        since: a mod-sequence: what changed after it.
        most: rows that are kept; of the others, and of those that come in pieces, only the UID.
        exists: tells how many messages the mailbox has.
    """

    name = "UID FETCH"
    bulk = True
    blocks = True

    def __init__(self, items: Sequence[str], since: int, *, most: int, exists: Callable[[], int]) -> None:
        self._items = tuple(items)
        self._tells_all = tells_all(frozenset(items))
        self._since = since
        self._most = most
        self._exists = exists
        self._uids = array("I")
        self._found = ChangedMessages({})

    def clashes(self, other: Command[Any]) -> bool:
        return other.bulk

    def arguments(self) -> Sequence[Any]:
        return (_EVERY, _list(self._items), Raw(f"(CHANGEDSINCE {max(1, self._since)})"))

    def take(self, response: Response) -> bool:
        if not isinstance(response, Fetch) or response.uid is None:
            return False
        found = self._found
        found.rows.pop(response.uid, None)
        if len(found.rows) < self._most and self._tells_all(response):
            found.rows[response.uid] = response
        self._uids.append(response.uid)
        found.highest = max(found.highest, response.number("MODSEQ") or 0)
        return True

    def finish(self, tagged: Tagged) -> ChangedMessages:
        self._found.uids = UidSet(self._uids.tolist())
        self._found.exists = self._exists()
        return self._found
