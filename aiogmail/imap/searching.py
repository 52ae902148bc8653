"""How is a query asked whose UIDs do not fit into one line? In several commands, whose results are joined as the query joins its keys.

A query is a formula over sets of UIDs, and so is its answer: what is ORed is united, what is ANDed intersected, what is negated taken from
all. Only what is too long is taken apart; everything else is asked as it stands, in one command.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from aiogmail.errors import CommandError

from .commands import UidSearch
from .session import ImapSession
from .uidset import UidSet
from .wire import Atom

__all__ = ["search"]

_ARGUMENTS = dict.fromkeys(
    ("ALL", "ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN", "UNANSWERED", "UNDELETED", "UNDRAFT", "UNFLAGGED", "UNSEEN"), 0
) | {"HEADER": 2}
"""How many values follow a key; one where nothing is said."""
_MOST_PARTS = 32
"""Into so many commands a set is split; a larger one is compared with what the server finds in its span."""
_ALL = (Atom("ALL"),)


async def search(session: ImapSession, keys: tuple[Any, ...], charset: bool) -> UidSet:
    """The UIDs that match.

    Args:
        session: with the mailbox selected.
        keys: values for the encoder, as :func:`.query.criteria` gives them.
        charset: a string in them is not ASCII.

    Raises:
        CommandError: the server refused the search.
    """
    asking = _Asking(session, charset, room=session.settings.limits.command_line * 3 // 4)
    if _length(keys) <= asking.room:
        return await asking.ask(keys)
    return await asking.evaluate(_Formula(tuple(_formulas(iter(keys)))))


@dataclass(frozen=True, slots=True)
class _Formula:
    """Search keys that are ANDed, each a formula: a key as it stands, ``NOT`` one, ``OR`` two, or an AND of its own."""

    keys: tuple[_Key | _Formula, ...]

    @property
    def tokens(self) -> tuple[Any, ...]:
        return tuple(token for key in self.keys for token in ((key.tokens,) if isinstance(key, _Formula) else key.tokens))

    def flat(self) -> Iterator[_Key]:
        for key in self.keys:
            yield from key.flat() if isinstance(key, _Formula) else (key,)


@dataclass(frozen=True, slots=True)
class _Key:
    """One search key. ``of`` are the operands of NOT and OR, ``uids`` the set of UID."""

    tokens: tuple[Any, ...]
    of: tuple[_Formula, ...] = ()
    uids: UidSet | None = None


def _formulas(tokens: Iterator[Any]) -> Iterator[_Key | _Formula]:
    """The keys that these values spell: Polish notation, parentheses as tuples."""
    for token in tokens:
        yield _formula(token, tokens)


def _formula(token: Any, behind: Iterator[Any]) -> _Key | _Formula:
    if isinstance(token, tuple):
        return _Formula(tuple(_formulas(iter(token))))
    name = token.value if isinstance(token, Atom) else ""
    if name in ("NOT", "OR"):
        of = tuple(_Formula((_formula(next(behind), behind),)) for _ in range(1 if name == "NOT" else 2))
        return _Key((token, *(part for one in of for part in one.tokens)), of)
    arguments = tuple(next(behind) for _ in range(_ARGUMENTS.get(name, 1) if name else 0))
    uids = arguments[0] if name == "UID" and isinstance(arguments[0], UidSet) else None
    return _Key((token, *arguments), uids=uids)


def _length(tokens: Iterable[Any]) -> int:
    """Characters of the sets of UIDs in them: nothing else grows without bound in a command's line."""
    return sum(_length(token) if isinstance(token, tuple) else len(str(token)) if isinstance(token, UidSet) else 0 for token in tokens)


class _Asking:
    """One search on one session."""

    def __init__(self, session: ImapSession, charset: bool, room: int) -> None:
        self._session = session
        self._charset = charset
        self.room = room

    async def ask(self, keys: tuple[Any, ...]) -> UidSet:
        """One command."""
        session = self._session
        esearch = "ESEARCH" in session.capabilities
        try:
            return await session.execute(UidSearch(keys, esearch=esearch, charset=self._charset))
        except CommandError as error:
            # One report has Gmail refuse RETURN in some form: the plain form says the same.
            if not esearch or error.status != "BAD" or error.connection_lost:
                raise
            session.capabilities -= {"ESEARCH"}
            return await session.execute(UidSearch(keys, esearch=False, charset=self._charset))

    async def evaluate(self, formula: _Formula) -> UidSet:
        """What matches all keys of the formula."""
        keys = list(formula.flat())
        among = [key.uids for key in keys if key.uids is not None]
        without = [excluded for key in keys if (excluded := _excluded(key)) is not None]
        large: list[_Key] = []
        rest: tuple[Any, ...] = ()
        for key in keys:
            if key.uids is None and _excluded(key) is None:
                if _length(rest) + _length(key.tokens) > self.room // 2:
                    large.append(key)
                else:
                    rest += key.tokens
        if among:
            found = await self._among(functools.reduce(operator.and_, among), rest)
        elif rest or not large:
            found = await self.ask(rest or _ALL)
        else:
            found = await self._operator(large.pop())
        for key in large:
            if found:
                found &= await self._operator(key)
        return functools.reduce(operator.sub, without, found)

    async def _operator(self, key: _Key) -> UidSet:
        """What matches a NOT or an OR that is too long for one command."""
        if _length(key.tokens) <= self.room:
            return await self.ask(key.tokens)
        first = await self.evaluate(key.of[0])
        if len(key.of) == 1:
            return await self.ask(_ALL) - first
        return first | await self.evaluate(key.of[1])

    async def _among(self, uids: UidSet, rest: tuple[Any, ...]) -> UidSet:
        """What of a set matches these keys, which are short."""
        if not uids:
            return uids
        room = max(100, self.room - _length(rest))
        parts = list(uids.split(room)) if rest else []
        if not 0 < len(parts) <= _MOST_PARTS:
            span = UidSet(range(uids.ranges[0][0], uids.ranges[-1][1] + 1))
            return uids & await self.ask((*rest, Atom("UID"), span))
        found = UidSet()
        for part in parts:
            found |= await self.ask((*rest, Atom("UID"), part))
        return found


def _excluded(key: _Key) -> UidSet | None:
    """The set that a ``NOT UID`` names."""
    if len(key.of) != 1:
        return None
    [operand] = key.of
    only = operand.keys[0] if len(operand.keys) == 1 else None
    return only.uids if isinstance(only, _Key) else None
