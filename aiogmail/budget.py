"""How many connections may be opened, how fast, and how fast may commands follow? One object that clients share."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import weakref
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable

from .errors import ConfigurationError

__all__ = ["Budget", "Pace"]

_CROWD = 10
_SPREAD = 5.0

_PACE_FIRST = 0.05
_PACE_MOST = 16.0
_PACE_STEP = 0.5


class Budget:
    """How many connections are opened, and how fast: shared by all clients that are given the same one.

    ::

        budget = Budget()
        settings = Settings(budget=budget)
        async with Gmail(one, …, settings=settings) as first, Gmail(other, …, settings=settings) as second: ...

    It belongs to no event loop: in each that it is used in, it counts what that loop opens. It has no task.

    Args:
        handshakes: openings of one account under way at the same time; the others wait for their turn.
        rate: openings a second, of all accounts; the others wait for their turn.
        connections: connections of one account that are open at the same time. Where that is reached, another is refused
            as :class:`~aiogmail.TooManyConnections`, and a session is not rotated. Gmail refuses the 16th itself.

    Raises:
        ConfigurationError: a number that is none.
    """

    __slots__ = ("_books", "_uniform", "connections", "handshakes", "rate")

    def __init__(
        self, *, handshakes: int = 2, rate: float = 20.0, connections: int = 15, uniform: Callable[[], float] = random.random
    ) -> None:
        self.handshakes = handshakes
        self.rate = rate
        self.connections = connections
        for name, count in (("handshakes", handshakes), ("connections", connections)):
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ConfigurationError(f"Budget.{name}: expected a whole number above 0, got {count!r}")
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
            raise ConfigurationError(f"Budget.rate: expected openings a second, above 0, got {rate!r}")
        self._uniform = uniform
        self._books: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Books] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"Budget(handshakes={self.handshakes}, rate={self.rate:g}, connections={self.connections})"

    def _here(self) -> _Books:
        loop = asyncio.get_running_loop()
        books = self._books.get(loop)
        if books is None:
            books = self._books[loop] = _Books(max(1, int(self.rate)))
        return books

    @contextlib.asynccontextmanager
    async def handshake(self, account: str) -> AsyncIterator[None]:
        """One opening of this account is under way: entered when it is its turn, first come first served.

        Cancelled while waiting, it takes nobody's turn.
        """
        books = self._here()
        lane = books.lanes.setdefault(account, _Lane(self.handshakes))
        lane.users += 1
        try:
            async with lane.places:
                async with books.line:
                    await self._wait_for_the_rate(books)
                yield
        finally:
            lane.users -= 1
            if not lane.users:
                books.lanes.pop(account, None)

    async def _wait_for_the_rate(self, books: _Books) -> None:
        loop, begun = asyncio.get_running_loop(), books.begun
        if len(begun) == begun.maxlen:
            wait = begun[0] + len(begun) / self.rate - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
        begun.append(loop.time())

    def enter(self, account: str) -> bool:
        """Take one of the account's connections, to be given back by :meth:`leave`; whether there was one."""
        taken = self._here().open
        if taken[account] >= self.connections:
            return False
        taken[account] += 1
        return True

    def leave(self, account: str) -> None:
        """A connection of the account is gone."""
        taken = self._here().open
        taken[account] -= 1
        if taken[account] <= 0:
            del taken[account]

    def lost(self) -> float:
        """A session was lost: seconds to wait before it is opened again.

        Nothing for one, or a few. Beyond ten within a second it is a crowd, which is spread over five seconds.
        """
        losses, now = self._here().losses, asyncio.get_running_loop().time()
        losses.append(now)
        while losses[0] < now - 1.0:
            losses.popleft()
        return _SPREAD * self._uniform() if len(losses) > _CROWD else 0.0

    def pace(self, account: str) -> Pace:
        """How the account's commands are spaced: the same object for all its sessions."""
        paces = self._here().paces
        pace = paces.get(account)
        if pace is None:
            pace = paces[account] = Pace()
        return pace


class _Lane:
    """The openings of one account."""

    __slots__ = ("places", "users")

    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.users = 0


class _Books:
    """What a budget has given out in one event loop."""

    __slots__ = ("begun", "lanes", "line", "losses", "open", "paces")

    def __init__(self, burst: int) -> None:
        self.lanes: dict[str, _Lane] = {}
        self.line = asyncio.Lock()
        self.begun: deque[float] = deque(maxlen=burst)
        self.losses: deque[float] = deque()
        self.open: Counter[str] = Counter()
        self.paces: weakref.WeakValueDictionary[str, Pace] = weakref.WeakValueDictionary()


class Pace:
    """How far apart the commands of an account are sent, all its sessions together. Times are readings of the loop's.

    Nothing, until the server says ``[THROTTLED]``. Then the gap begins at 50 ms and doubles with every half second in which
    that is said again, up to 16 s; while it is not, the gap shrinks by a quarter every half second.
    """

    __slots__ = ("__weakref__", "_changed", "_next", "gap")

    def __init__(self) -> None:
        self.gap = 0.0
        self._changed = -math.inf
        self._next = -math.inf

    def wait(self, now: float) -> float:
        """Seconds until the next command may be sent."""
        return max(0.0, self._next - now) if self.gap else 0.0

    def sent(self, now: float) -> None:
        """A command is sent."""
        self._next = now + self.gap

    def throttled(self, now: float) -> bool:
        """The server said so; whether the gap has grown."""
        if now - self._changed < _PACE_STEP and self.gap:
            return False
        self.gap = min(max(_PACE_FIRST, 2.0 * self.gap), _PACE_MOST)
        self._changed = now
        self._next = now + self.gap
        return True

    def eased(self, now: float) -> None:
        """The server answered without a word of it."""
        if self.gap and now - self._changed >= max(_PACE_STEP, self.gap):
            self.gap = 0.75 * self.gap if self.gap > _PACE_FIRST else 0.0
            self._changed = now
