"""How is a query asked that does not fit into one line? In several commands, whose results are joined as the query joins its keys.

A query is a formula over sets of UIDs, and so is its answer: what is ORed is united, what is ANDed intersected, what is negated taken from
all. Only what is too long is taken apart; everything else is asked as it stands, in one command.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from aiogmail.errors import CommandError

from .commands import UidSearch
from .session import ImapSession
from .uidset import UidSet
from .wire import Atom, Flag, Label, Raw
from .wire.utf7 import encode

__all__ = ["search"]

_ARGUMENTS = dict.fromkeys(
    ("ALL", "ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN", "UNANSWERED", "UNDELETED", "UNDRAFT", "UNFLAGGED", "UNSEEN"), 0
) | {"HEADER": 2}
"""How many values follow a key; one where nothing is said."""
_MOST_PARTS = 32
"""Into so many commands a set is split; a larger one is compared with what the server finds in its span."""
_ALL = (Atom("ALL"),)
_OR = Atom("OR")
_BETWEEN = 3
"""Octets that join a key to another: an OR."""


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

    @property
    def length(self) -> int:
        return _length(self.tokens)

    def flat(self) -> Iterator[_Key]:
        for key in self.keys:
            yield from key.flat() if isinstance(key, _Formula) else (key,)


@dataclass(frozen=True, slots=True)
class _Key:
    """One search key. ``of`` is the operand of NOT, or the operands of OR: all of them where one OR stands in another; ``uids`` the set of UID."""

    tokens: tuple[Any, ...]
    of: tuple[_Formula, ...] = ()
    uids: UidSet | None = None

    @property
    def length(self) -> int:
        return _length(self.tokens)


def _formulas(tokens: Iterator[Any]) -> Iterator[_Key | _Formula]:
    """The keys that these values spell: Polish notation, parentheses as tuples."""
    for token in tokens:
        yield _formula(token, tokens)


def _formula(token: Any, behind: Iterator[Any]) -> _Key | _Formula:
    if isinstance(token, tuple):
        return _Formula(tuple(_formulas(iter(token))))
    name = token.value if isinstance(token, Atom) else ""
    if name == "NOT":
        operand = _Formula((_formula(next(behind), behind),))
        return _Key((token, *operand.tokens), (operand,))
    if name == "OR":
        first, *others = _operands(behind)
        return _Key(_either([one.tokens for one in (first, *others)]), (first, *others)) if others else first
    arguments = tuple(next(behind) for _ in range(_ARGUMENTS.get(name, 1) if name else 0))
    uids = arguments[0] if name == "UID" and isinstance(arguments[0], UidSet) else None
    return _Key((token, *arguments), uids=uids)


def _operands(behind: Iterator[Any]) -> Iterator[_Formula]:
    """What an OR joins, and the ORs among that; those that are sets of UIDs as one set."""
    uids: list[range] = []
    missing = 2
    while missing:
        token = next(behind)
        if token == _OR:
            missing += 1
            continue
        key = _formula(token, behind)
        missing -= 1
        if isinstance(key, _Key) and key.uids is not None:
            uids += [range(first, last + 1) for first, last in key.uids.ranges]
        else:
            yield _Formula((key,))
    if uids:
        one = UidSet(uids)
        yield _Formula((_Key((Atom("UID"), one), uids=one),))


def _either(operands: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Any of these: a tree as flat as can be, for servers bound its depth."""
    if len(operands) == 1:
        return operands[0]
    half = (len(operands) + 1) // 2
    return (_OR, *_either(operands[:half]), *_either(operands[half:]))


def _length(tokens: Iterable[Any]) -> int:
    """Octets of these in a command's line, about."""
    return sum(map(_size, tokens))


def _size(token: Any) -> int:
    match token:
        case tuple():
            return 2 + _length(token)
        case Atom(value=text) | Flag(value=text) | Raw(text=text):
            return 1 + len(text)
        case Label(name=text):
            return 3 + len(encode(text))
        case str():
            return 3 + len(token) + token.count('"') + token.count("\\")
    return 1 + len(str(token))


_Part = TypeVar("_Part", _Key, _Formula)


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
        room = self.room // 2 if among else self.room
        groups = self._together((key for key in keys if key.uids is None and _excluded(key) is None), room)
        if among:
            short = groups and sum(key.length for key in groups[0]) <= room
            rest = tuple(token for key in groups.pop(0) for token in key.tokens) if short else ()
            found = await self._among(functools.reduce(operator.and_, among), rest)
        elif groups:
            found = await self._all_of(groups.pop(0))
        else:
            found = await self.ask(_ALL)
        for group in groups:
            if found:
                found &= await self._all_of(group)
        return functools.reduce(operator.sub, without, found)

    @staticmethod
    def _together(parts: Iterable[_Part], room: int) -> list[list[_Part]]:
        """In groups of which each fits, or is a single one that does not; those that fit come first."""
        fitting: list[list[_Part]] = []
        alone: list[list[_Part]] = []
        left = 0
        for part in parts:
            size = part.length + _BETWEEN
            if size > room:
                alone.append([part])
                continue
            if size > left or not fitting:
                fitting.append([])
                left = room
            fitting[-1].append(part)
            left -= size
        return fitting + alone

    async def _all_of(self, keys: list[_Key]) -> UidSet:
        """What matches each of these, which fit into one command or are one key."""
        if sum(key.length for key in keys) <= self.room or not keys[0].of:
            return await self.ask(tuple(token for key in keys for token in key.tokens))
        of = keys[0].of
        if len(of) == 1:
            return await self.ask(_ALL) - await self.evaluate(of[0])
        found = UidSet()
        for group in self._together(of, self.room):
            found |= await (self.evaluate(group[0]) if len(group) == 1 else self.ask(_either([one.tokens for one in group])))
        return found

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
