"""What do the fields of a header say? Those that were fetched, decoded when they are touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aiogmail.errors import NotFetched

from .mime import iter_fields
from .words import decode_words

__all__ = ["Headers"]


class Headers(Mapping[str, str]):
    """The header of a message: a mapping from a field's name, in any case, to its value.

    Values are unfolded, and encoded words (RFC 2047) decoded; of a field that is there several times the first counts, and
    :meth:`get_all` gives all. A field that was not asked for raises :class:`~aiogmail.NotFetched`, one that the message has not
    ``KeyError``. Iteration gives names as they are written, each once. Frozen.
    """

    __slots__ = ("_asked", "_fields", "_names")

    def __init__(self, raw: bytes, asked: frozenset[str] | None = None) -> None:
        """Read a header.

        Args:
            raw: its octets.
            asked: names of the fields asked for, in lower case; ``None``: all.
        """
        self._asked = asked
        self._fields: dict[str, list[bytes]] = {}
        self._names: dict[str, str] = {}
        for name, value in iter_fields(raw, 0, len(raw)):
            written = name.decode("ascii")
            self._fields.setdefault(written.lower(), []).append(value)
            self._names.setdefault(written.lower(), written)

    def __getitem__(self, name: str) -> str:
        return decode_words(self._values(name)[0])

    def get_all(self, name: str) -> tuple[str, ...]:
        """The values of all fields of this name, in order; none: ``()``.

        Raises:
            NotFetched: it was not asked for.
        """
        try:
            return tuple(map(decode_words, self._values(name)))
        except KeyError:
            return ()

    def raw(self, name: str) -> tuple[bytes, ...]:
        """The same, unfolded and otherwise as they stand."""
        try:
            return tuple(self._values(name))
        except KeyError:
            return ()

    def iter_raw(self) -> Iterator[tuple[str, tuple[bytes, ...]]]:
        """The fields that are there: lower-case names and values as they stand."""
        return ((name, tuple(values)) for name, values in self._fields.items())

    def _values(self, name: str) -> list[bytes]:
        key = name.lower()
        if self._asked is not None and key not in self._asked:
            raise NotFetched(f"header:{key}")
        return self._fields[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names.values())

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"
