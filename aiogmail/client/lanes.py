"""Which connection takes the next message? A few warm ones, opened when they are needed and left when they are not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from aiogmail.errors import CommandError, GmailError, StateError, Throttled
from aiogmail.ports import Effect, Keeper, Outcome
from aiogmail.smtp import SmtpSession
from aiogmail.supervisor.policy import may_reopen

__all__ = ["Lanes"]

T = TypeVar("T")

DEPTH = 2
"""Messages on a connection at once: one whose end is on its way, and one whose envelope follows it."""
_IDLE = 240.0
"""Gmail ends a connection that is silent for some minutes: it is left before that."""
_REST = 10.0
_CLOSED = "closed: nothing is sent any more"


class _Kept(Keeper[SmtpSession], Protocol):
    """What keeps one session open."""

    def abort(self) -> None: ...


class _Lane:
    """One place for a connection."""

    def __init__(self) -> None:
        self.keeper: _Kept | None = None
        self.opening: _Kept | None = None
        self.load = 0
        self.lock = asyncio.Lock()
        self.idle: asyncio.TimerHandle | None = None
        self.rest_until = 0.0


class Lanes:
    """The connections of one sender.

    Args:
        make: makes what keeps one session open.
        size: how many at most.
        recover: seconds to wait out a server that has no place for us, once it has had one.
    """

    def __init__(self, make: Callable[[], _Kept], size: int, recover: float) -> None:
        self._make = make
        self._recover = recover
        self._was_open = False
        self._not_before = 0.0
        self._lanes = [_Lane() for _ in range(size)]
        self._room = asyncio.Semaphore(size * DEPTH)
        self._closed = False
        self._closing: asyncio.Future[None] | None = None
        self._closes_at = 0.0
        self._leaving: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open the first connection.

        Raises:
            GmailError: what that failed with.
        """
        await self._ready(self._lanes[0])
        self._rest(self._lanes[0])

    async def run(self, work: Callable[[SmtpSession], Awaitable[T]]) -> T:
        """Await ``work(session)`` on the connection with the least to do; again on another by the supervisor's policy.

        When the server asks one to slow down, all wait: its limits are the account's.

        Raises:
            GmailError: what the work, or the opening of a connection, failed with.
        """
        async with self._room:
            lane, keeper = await self._take()
            try:
                return await keeper.run(lambda session: self._paced(session, work), Effect.VERIFIABLE)
            finally:
                self._give_back(lane)

    async def aclose(self, timeout: float | None = None) -> None:
        """Close every connection; running work gets ``timeout`` seconds to end."""
        self._closed = True
        self._closes_at = asyncio.get_running_loop().time() + (timeout or 0.0)
        if self._closing is not None:
            self._closing.set_result(None)
            self._closing = None
        keepers = [keeper for lane in self._lanes for keeper in (lane.keeper, lane.opening) if keeper is not None]
        for lane in self._lanes:
            lane.keeper = None
            if lane.idle is not None:
                lane.idle.cancel()
        await asyncio.gather(*(keeper.aclose(timeout) for keeper in keepers), *self._leaving)

    def abort(self) -> None:
        """Drop every connection; closing takes no leave then."""
        for lane in self._lanes:
            if lane.keeper is not None:
                lane.keeper.abort()

    async def _paced(self, session: SmtpSession, work: Callable[[SmtpSession], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        while (left := self._not_before - loop.time()) > 0:
            await self._pause(left, begun=True)
        try:
            return await work(session)
        except Throttled as error:
            self._not_before = max(self._not_before, loop.time() + (error.retry_after or 0.0))
            raise

    async def _pause(self, seconds: float, *, begun: bool) -> None:
        """Wait, until closing ends it.

        Args:
            seconds: for how long.
            begun: it is for a connection that there is: what runs has its time to end, if the pause is over by then.

        Raises:
            StateError: closed before that.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            if self._closed and not (begun and until <= self._closes_at):
                raise StateError(_CLOSED, outcome=Outcome.NOT_APPLIED, stage="connect")
            if self._closing is None:
                self._closing = loop.create_future()
            await asyncio.wait([self._closing], timeout=left)

    async def _take(self) -> tuple[_Lane, _Kept]:
        """A lane with an open connection, loaded by one more.

        A lane that cannot be opened now (too many logins) rests, while there is another that is open; where there is none, it is
        waited for, unless none was open ever.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._recover
        while True:
            usable = [lane for lane in self._lanes if lane.rest_until <= loop.time()] or self._lanes[:1]
            lane = min(usable, key=lambda lane: (lane.load, lane.keeper is None))
            lane.load += 1
            if lane.idle is not None:
                lane.idle.cancel()
            try:
                return lane, await self._ready(lane)
            except GmailError as error:
                self._give_back(lane)
                others = any(other.keeper is not None for other in self._lanes if other is not lane)
                pause = (error.retry_after if isinstance(error, CommandError) else None) or _REST
                if self._closed or not may_reopen(error) or not (others or (self._was_open and loop.time() + pause < deadline)):
                    raise
                lane.rest_until = loop.time() + pause
                if not others:
                    await self._pause(pause, begun=False)
            except BaseException:
                self._give_back(lane)
                raise

    async def _ready(self, lane: _Lane) -> _Kept:
        async with lane.lock:
            if self._closed:
                raise StateError(_CLOSED)
            if lane.keeper is None:
                keeper = lane.opening = self._make()
                try:
                    await keeper.open()  # fails if it was closed meanwhile
                finally:
                    lane.opening = None
                lane.keeper, self._was_open = keeper, True
            return lane.keeper

    def _give_back(self, lane: _Lane) -> None:
        lane.load -= 1
        self._rest(lane)

    def _rest(self, lane: _Lane) -> None:
        if not lane.load and lane.keeper is not None and not self._closed:
            if lane.idle is not None:
                lane.idle.cancel()
            lane.idle = asyncio.get_running_loop().call_later(_IDLE, self._leave, lane)

    def _leave(self, lane: _Lane) -> None:
        """It was not used for long: take leave before the server does."""
        keeper, lane.keeper = lane.keeper, None
        if keeper is not None:
            task = asyncio.get_running_loop().create_task(keeper.aclose(), name="aiogmail: leaving an idle SMTP connection")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
