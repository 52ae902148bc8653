"""UID SEARCH, with RETURN (ALL) where the server has ESEARCH (RFC 9051 section 6.4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Atom, Esearch, Response, Search, Tagged

from .base import Command

__all__ = ["UidSearch"]


class UidSearch(Command[UidSet]):
    """UID SEARCH. The result is the set of UIDs that match.

    Args:
        criteria: the search keys as values for the encoder (:meth:`..query.Query.arguments`).
        esearch: ask for ``RETURN (ALL)``: the reply is compressed ranges instead of a list of every UID.
        charset: name ``UTF-8`` as the charset of the strings in ``criteria``.
    """

    name = "UID SEARCH"
    bulk = True
    takes_rows = False

    def __init__(self, criteria: Sequence[Any], *, esearch: bool, charset: bool = False) -> None:
        self._criteria = tuple(criteria)
        self._esearch = esearch
        self._charset = charset
        self._numbers: list[int] = []
        self._ranges: list[range] = []

    @property
    def concurrent(self) -> bool:  # type: ignore[override]  # an ESEARCH names its command, a SEARCH does not
        return self._esearch

    def arguments(self) -> Sequence[Any]:
        head: tuple[Any, ...] = ()
        if self._esearch:
            head += (Atom("RETURN"), (Atom("ALL"),))
        if self._charset:
            head += (Atom("CHARSET"), Atom("UTF-8"))
        return head + self._criteria

    def take(self, response: Response) -> bool:
        if isinstance(response, Search):
            # Servers may answer in several SEARCH lines: they add up (RFC 9051 section 7.3.4 obsoletes, does not forbid).
            self._numbers.extend(response.numbers)
            return True
        if isinstance(response, Esearch) and response.tag in (None, self.tag):
            found = response.items.get("ALL")
            if isinstance(found, UidSet):
                self._ranges.extend(range(first, last + 1) for first, last in found.ranges)
            return True
        return False

    def finish(self, tagged: Tagged) -> UidSet:
        return UidSet([*self._numbers, *self._ranges])
