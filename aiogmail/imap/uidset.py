"""Which messages: a set of UIDs, as ranges.

A million consecutive UIDs cost one range, a million scattered ones eight bytes each.
"""

from __future__ import annotations

import itertools
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NoReturn, cast, final

from aiogmail.errors import ConfigurationError

__all__ = ["UidSet", "UidsFrom"]

if TYPE_CHECKING:
    _Uids = array[int]
else:
    _Uids = array  # Python 3.11 cannot subscript it, which typing.get_type_hints would

MAX_UID = 0xFFFF_FFFF
_NONE: _Uids = array("I")
_TEXT = re.compile(r"(?:[1-9][0-9]{0,9}+(?::[1-9][0-9]{0,9}+)?+(?:,|\Z))*+")


def _refuse(value: object, argument: str) -> NoReturn:
    shown = repr(value)
    if len(shown) > 60:
        shown = shown[:59] + "…"
    raise ConfigurationError(f"{argument}: expected UIDs from 1 to {MAX_UID}, as ints, ranges or text like '1:3,5', got {shown}")


def _check_text(text: str, argument: str) -> None:
    if not text or text[-1] == "," or not _TEXT.fullmatch(text):
        _refuse(text, argument)


def _text_ranges(text: str, argument: str) -> list[tuple[int, int]]:
    _check_text(text, argument)
    pairs = []
    for item in text.split(","):
        first, colon, last = item.partition(":")
        low = int(first)
        high = int(last) if colon else low
        if low > MAX_UID or high > MAX_UID:
            _refuse(item, argument)
        pairs.append((low, high) if low <= high else (high, low))
    return pairs


def _uid(value: object, argument: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_UID:
        _refuse(value, argument)
    return value


def _range_ranges(numbers: range, argument: str) -> Iterator[tuple[int, int]]:
    if not numbers:
        return
    low, high = (numbers[0], numbers[-1]) if numbers.step > 0 else (numbers[-1], numbers[0])
    if low < 1 or high > MAX_UID:
        _refuse(numbers, argument)
    if abs(numbers.step) == 1:
        yield low, high
    else:
        yield from ((number, number) for number in numbers)


def _ranges(value: object, argument: str) -> Iterator[tuple[int, int]]:
    """One item of what a set is built from, as (first, last) pairs in any order."""
    if isinstance(value, UidSet):
        yield from value.iter_ranges()
    elif isinstance(value, str):
        yield from _text_ranges(value, argument)
    elif isinstance(value, range):
        yield from _range_ranges(value, argument)
    else:
        uid = _uid(value, argument)
        yield uid, uid


@final
class UidSet:
    """An immutable set of UIDs: sorted, disjoint, and never adjacent ranges.

    Args:
        uids: an int, text such as ``"1:3,5"`` (either end of a range first), a ``range``, another set, or an iterable of these.
        argument: what an error calls the argument.

    Iteration is ascending. ``str()`` is the shortest IMAP form; that of the empty set is ``""``, which no command may carry. RFC 9051 sequence-set.

    Raises:
        ConfigurationError: 0, a negative number, more than 2**32-1, or anything that is no UID; it names the argument.
    """

    __slots__ = ("_count", "_firsts", "_lasts")
    _firsts: _Uids
    _lasts: _Uids
    _count: int

    def __init__(self, uids: int | str | range | UidSet | Iterable[int | str | range | UidSet] = (), *, argument: str = "uids") -> None:
        if isinstance(uids, UidSet):
            self._set(uids._firsts, uids._lasts)  # noqa: SLF001 - of its own class
            return
        if isinstance(uids, tuple | list) and not uids:  # watchers make thousands of these a second
            self._set(_NONE, _NONE)
            return
        if isinstance(uids, str) and self._fill_ascending(uids, argument):
            return
        if isinstance(uids, int | str | range):
            pairs = sorted(_ranges(uids, argument))
        elif isinstance(uids, bytes | bytearray | memoryview) or not isinstance(uids, Iterable):
            _refuse(uids, argument)
        else:
            items = uids if isinstance(uids, list | tuple | set | frozenset) else list(uids)
            if set(map(type, items)) == {int}:  # the usual and the largest case: no pair for each
                self._fill_numbers(sorted(cast("Iterable[int]", items)), argument)
                return
            pairs = sorted(pair for item in items for pair in _ranges(item, argument))
        self._fill(pairs)

    def _fill_ascending(self, text: str, argument: str) -> bool:
        """From text as servers send it, with no pair made for each item; whether it was ascending and as short as can be."""
        _check_text(text, argument)
        firsts, lasts = array("I"), array("I")
        end = -1
        for item in text.split(","):
            low, high = map(int, item.split(":")) if ":" in item else (int(item), 0)
            high = high or low
            if low <= end + 1 or high < low or high > MAX_UID:
                return False
            firsts.append(low)
            lasts.append(high)
            end = high
        self._set(firsts, lasts)
        return True

    def _fill_numbers(self, numbers: list[int], argument: str) -> None:
        if numbers[0] < 1 or numbers[-1] > MAX_UID:
            _refuse(numbers[0] if numbers[0] < 1 else numbers[-1], argument)
        firsts, lasts = array("I"), array("I")
        if numbers[-1] - numbers[0] == len(numbers) - 1 and len(set(numbers)) == len(numbers):
            firsts.append(numbers[0])
        else:
            previous = -1
            for number in numbers:
                if number - previous > 1:
                    if previous > 0:
                        lasts.append(previous)
                    firsts.append(number)
                previous = number
        lasts.append(numbers[-1])
        self._set(firsts, lasts)

    def _fill(self, pairs: Iterable[tuple[int, int]]) -> None:
        """From pairs in ascending order of their first number, which may overlap."""
        firsts, lasts = array("I"), array("I")
        end = -1
        for first, last in pairs:
            if end < 0 or first > end + 1:
                firsts.append(first)
                lasts.append(last)
                end = last
            elif last > end:
                lasts[-1] = end = last
        self._set(firsts, lasts)

    def _set(self, firsts: _Uids, lasts: _Uids) -> None:
        self._firsts = firsts
        self._lasts = lasts
        self._count = sum(lasts) - sum(firsts) + len(firsts)

    @classmethod
    def _of(cls, pairs: Iterable[tuple[int, int]]) -> UidSet:
        new = cls.__new__(cls)
        new._fill(pairs)  # noqa: SLF001 - of its own class
        return new

    def iter_ranges(self) -> Iterator[tuple[int, int]]:
        """The ranges as ``(first, last)``, both inclusive, one by one."""
        return zip(self._firsts, self._lasts, strict=True)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The ranges as ``(first, last)``, both inclusive."""
        return tuple(self.iter_ranges())

    @property
    def first(self) -> int | None:
        """The lowest UID, ``None`` if empty."""
        return self._firsts[0] if self._count else None

    @property
    def last(self) -> int | None:
        """The highest UID, ``None`` if empty."""
        return self._lasts[-1] if self._count else None

    def split(self, max_chars: int) -> Iterator[UidSet]:
        """The same UIDs as sets whose text is at most ``max_chars`` long each, ascending; nothing for the empty set.

        Raises:
            ConfigurationError: ``max_chars`` is below 21, the length of the longest single range.
        """
        if max_chars < 21:
            raise ConfigurationError(f"max_chars: expected at least 21, got {max_chars!r}")
        return self._split(max_chars)

    def _split(self, max_chars: int) -> Iterator[UidSet]:
        part: list[tuple[int, int]] = []
        used = 0
        for pair in self.iter_ranges():
            needed = len(_range_text(*pair)) + 1
            if used + needed > max_chars + 1:
                yield UidSet._of(part)
                part, used = [], 0
            part.append(pair)
            used += needed
        if part:
            yield UidSet._of(part)

    def batches(self, count: int) -> Iterator[UidSet]:
        """The same UIDs as sets of at most ``count`` UIDs each, ascending; nothing for the empty set."""
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigurationError(f"count: expected a number of 1 or more, got {count!r}")
        return self._batches(count)

    def _batches(self, count: int) -> Iterator[UidSet]:
        part: list[tuple[int, int]] = []
        room = count
        for first, last in self.iter_ranges():
            start = first
            while last - start + 1 >= room:
                part.append((start, start + room - 1))
                start += room
                yield UidSet._of(part)
                part, room = [], count
            if start <= last:
                part.append((start, last))
                room -= last - start + 1
        if part:
            yield UidSet._of(part)

    def including(self, uid: int) -> UidSet:
        """This set and one UID more: a copy of two arrays, however many ranges they hold.

        Raises:
            ConfigurationError: no UID.
        """
        if _uid(uid, "uid") in self:
            return self
        index = bisect_right(self._firsts, uid)
        firsts, lasts = self._firsts[:], self._lasts[:]
        after = index < len(firsts) and firsts[index] == uid + 1
        if index and lasts[index - 1] == uid - 1:
            lasts[index - 1] = lasts.pop(index) if after else uid
            if after:
                del firsts[index]
        elif after:
            firsts[index] = uid
        else:
            firsts.insert(index, uid)
            lasts.insert(index, uid)
        return UidSet._made(firsts, lasts, self._count + 1)

    def excluding(self, uid: int) -> UidSet:
        """This set without one UID: a copy of two arrays, however many ranges they hold."""
        if uid not in self:
            return self
        index = bisect_right(self._firsts, uid) - 1
        firsts, lasts = self._firsts[:], self._lasts[:]
        first, last = firsts[index], lasts[index]
        if first == last:
            del firsts[index], lasts[index]
        elif uid == first:
            firsts[index] = uid + 1
        elif uid == last:
            lasts[index] = uid - 1
        else:
            firsts.insert(index + 1, uid + 1)
            lasts.insert(index, uid - 1)
        return UidSet._made(firsts, lasts, self._count - 1)

    @classmethod
    def _made(cls, firsts: _Uids, lasts: _Uids, count: int) -> UidSet:
        new = cls.__new__(cls)
        new._firsts, new._lasts, new._count = firsts, lasts, count  # noqa: SLF001 - of its own class
        return new

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return bool(self._count)

    def __iter__(self) -> Iterator[int]:
        return itertools.chain.from_iterable(range(first, last + 1) for first, last in self.iter_ranges())

    def __reversed__(self) -> Iterator[int]:
        pairs = zip(reversed(self._firsts), reversed(self._lasts), strict=True)
        return itertools.chain.from_iterable(range(last, first - 1, -1) for first, last in pairs)

    def __contains__(self, uid: object) -> bool:
        if not isinstance(uid, int):
            return False
        index = bisect_right(self._firsts, uid) - 1
        return index >= 0 and uid <= self._lasts[index]

    def __or__(self, other: UidSet) -> UidSet:
        if not isinstance(other, UidSet):
            return NotImplemented
        if not self._count or not other._count:
            return self if self._count else other
        return UidSet._of(sorted((*self.iter_ranges(), *other.iter_ranges())))

    def __and__(self, other: UidSet) -> UidSet:
        if not isinstance(other, UidSet):
            return NotImplemented
        if not self._count or not other._count:
            return other if self._count else self
        return UidSet._of(self._common(other))

    def _common(self, other: UidSet) -> Iterator[tuple[int, int]]:
        mine, theirs = 0, 0
        while mine < len(self._firsts) and theirs < len(other._firsts):
            first = max(self._firsts[mine], other._firsts[theirs])
            last = min(self._lasts[mine], other._lasts[theirs])
            if first <= last:
                yield first, last
            if self._lasts[mine] == last or self._lasts[mine] < other._lasts[theirs]:
                mine += 1
            else:
                theirs += 1

    def __sub__(self, other: UidSet) -> UidSet:
        if not isinstance(other, UidSet):
            return NotImplemented
        if not self._count or not other._count:
            return self
        return UidSet._of(self._without(other))

    def _without(self, other: UidSet) -> Iterator[tuple[int, int]]:
        theirs = 0
        for first, last in self.iter_ranges():
            start = first
            while theirs < len(other._firsts) and other._lasts[theirs] < start:
                theirs += 1
            cut = theirs
            while cut < len(other._firsts) and other._firsts[cut] <= last:
                if other._firsts[cut] > start:
                    yield start, other._firsts[cut] - 1
                start = other._lasts[cut] + 1
                cut += 1
            theirs = max(theirs, cut - 1)  # the last one may reach into the next range
            if start <= last:
                yield start, last

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UidSet):
            return NotImplemented
        return self._firsts == other._firsts and self._lasts == other._lasts

    def __hash__(self) -> int:
        return hash((self._firsts.tobytes(), self._lasts.tobytes()))

    def __str__(self) -> str:
        return ",".join(itertools.starmap(_range_text, self.iter_ranges()))

    def __repr__(self) -> str:
        text = str(self)
        if len(text) > 60:
            text = text[:59] + "…"
        return f"UidSet({text!r})"


def _range_text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}:{last}"


@final
class UidsFrom:
    """Every UID from ``uid`` on, as a command may name it: ``n:*``.

    It is no set: nobody knows its members, and the server always answers with the mailbox's last message, even where that is below ``uid``.

    Raises:
        ConfigurationError: not a UID.
    """

    __slots__ = ("uid",)
    uid: int

    def __init__(self, uid: int) -> None:
        self.uid = _uid(uid, "uid")

    def __str__(self) -> str:
        return f"{self.uid}:*"

    def __repr__(self) -> str:
        return f"UidsFrom({self.uid})"

    def __eq__(self, other: object) -> bool:
        return self.uid == other.uid if isinstance(other, UidsFrom) else NotImplemented

    def __hash__(self) -> int:
        return hash((UidsFrom, self.uid))
