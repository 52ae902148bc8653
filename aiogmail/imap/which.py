"""Which messages are meant? UIDs as a caller names them, or a search that finds them; and what can be asked for while it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from aiogmail.errors import ConfigurationError

from .commands import MailboxState
from .query import Q, Query, criteria, uids_from
from .searching import search
from .session import ImapSession
from .uidset import UidSet

__all__ = ["Guess", "Resolve", "Uids", "check_uid", "named", "resolution"]

_AS_IT_STANDS = 1000
_GUESSED = 4
_STAR = re.compile(r"(?:([0-9]{1,10}):)?\*")

Uids = UidSet | str | int | Iterable[int] | Query
"""What a caller names messages by."""
Resolve = Callable[[ImapSession], Coroutine[Any, Any, UidSet]]
"""Finds out which UIDs are meant."""
Guess = Callable[[MailboxState], UidSet]
"""Some of them, before that is known."""


def resolution(uids: Uids) -> tuple[Resolve, Guess | None]:
    """How to find out which UIDs a fetch is of, and what can be asked for meanwhile.

    Raises:
        ConfigurationError: what is given is no set of UIDs.
    """
    if isinstance(uids, Query):
        return _found_by(uids), _from_first(1) if uids is Q.all else None
    if isinstance(uids, str) and (match := _STAR.fullmatch(uids)):
        # "n:*" always holds the last message, so the highest UID there can be names it alone (RFC 9051 section 6.4.8).
        first = int(match[1]) if match[1] else 2**32 - 1
        return _found_by(uids_from(first)), _from_first(first)
    return _those_there(_uid_set(uids)), None


def named(uids: Uids) -> UidSet:
    """The UIDs that are named; none if it is a search.

    Raises:
        ConfigurationError: what is given is no set of UIDs.
    """
    if isinstance(uids, Query) or (isinstance(uids, str) and _STAR.fullmatch(uids)):
        return UidSet()
    return _uid_set(uids)


def check_uid(uid: object) -> int:
    """A UID.

    Raises:
        ConfigurationError: it is none.
    """
    if isinstance(uid, bool) or not isinstance(uid, int) or not 0 < uid < 2**32:
        raise ConfigurationError(f"uid: expected a number from 1 to {2**32 - 1}, got {uid!r}")
    return uid


def _those_there(uids: UidSet) -> Resolve:
    """What of a set to fetch: all of a small one; of a large one, which may be mostly holes, what the server has."""

    async def resolve(session: ImapSession) -> UidSet:
        if len(uids) <= _AS_IT_STANDS:
            return uids
        span = UidSet(f"{uids.ranges[0][0]}:{uids.ranges[-1][1]}")
        return uids & await search(session, criteria(Q.uid(span))[0], charset=False)

    return resolve


def _found_by(query: Query) -> Resolve:
    keys, charset = criteria(query)

    async def resolve(session: ImapSession) -> UidSet:
        return await search(session, keys, charset)

    return resolve


def _from_first(first: int) -> Guess:
    """The first few UIDs of a mailbox that has few holes: their rows come a round trip earlier."""

    def guess(state: MailboxState) -> UidSet:
        last = (state.uidnext or 1) - 1
        if last < first or state.exists * 4 < last:
            return UidSet()
        return UidSet(range(first, min(last, first + _GUESSED - 1) + 1))

    return guess


def _uid_set(uids: Uids) -> UidSet:
    if isinstance(uids, UidSet):
        return uids
    if isinstance(uids, str | int | Iterable):
        return UidSet(uids)
    raise ConfigurationError(f"uids: expected UIDs or a query made by Q, got {type(uids).__name__}")
