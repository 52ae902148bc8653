"""How long until the next try? Full jitter between nothing and a doubling bound, never below what the cause demands."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Delays of successive tries, in seconds.

    The first delay after :meth:`reset` is the floor alone: one lost session comes back at once. From then on it is a random
    share of ``base``, ``2 × base``, … up to ``cap`` ("full jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    Args:
        base: the bound of the first random delay.
        cap: the highest bound.
        uniform: a source of numbers in [0, 1).
    """

    __slots__ = ("_base", "_cap", "_tries", "_uniform")

    def __init__(self, base: float = 1.0, cap: float = 60.0, uniform: Callable[[], float] = random.random) -> None:
        self._base = base
        self._cap = cap
        self._uniform = uniform
        self._tries = 0

    @property
    def tries(self) -> int:
        """Delays handed out since the last reset."""
        return self._tries

    def another(self) -> Backoff:
        """One of the same kind, at its beginning."""
        return Backoff(self._base, self._cap, self._uniform)

    def reset(self) -> None:
        """A session lived: the next loss is a new story."""
        self._tries = 0

    def uniform(self) -> float:
        """A random number in [0, 1) from this object's source."""
        return self._uniform()

    def next(self, floor: float = 0.0) -> float:
        """The delay before the next try, at least ``floor``."""
        tries, self._tries = self._tries, self._tries + 1
        if tries == 0:
            return floor
        bound = min(self._cap, self._base * 2.0 ** min(tries - 1, 30))
        return floor + bound * self._uniform()
