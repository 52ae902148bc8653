"""When is a token refreshed, and what becomes of it? One task looks ahead; each refresh is a flight of its own."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import math
import random
import traceback
from asyncio import get_running_loop
from collections import deque
from collections.abc import Callable, Hashable

from aiogmail.clock import Clock
from aiogmail.errors import GmailError, TokenEndpointError, TokenRefused

from .credentials import UserCredentials
from .entry import Entry, Flight, Obtained, dated
from .gate import Gate, Lane, lane_of
from .refresh import Refresher
from .token import Token

__all__ = ["Flights"]

_log = logging.getLogger("aiogmail.oauth")

_LOOK = 30.0
"""The scheduler never sleeps longer: a machine that was suspended wakes with timers that have not counted."""
_AT_ONCE = 16
"""Exchanges under way at the same time with one endpoint."""
_CLOSE = 5.0
"""How long :meth:`TokenCache.aclose` lets refreshes finish that can hold no new refresh token."""
_FLUSH = 5.0


class Flights:
    """The refreshes of one cache.

    Args:
        refresher: gets tokens.
        clock: the cache's.
        ahead: seconds before expiry at which the token of an identity in use is refreshed.
        timeout: seconds for one exchange with a token endpoint.
        forget: is told of entries that nobody asked for during a token's whole life.
    """

    def __init__(self, refresher: Refresher, clock: Clock, *, ahead: float, timeout: float, forget: Callable[[Entry], None]) -> None:
        self._refresher = refresher
        self._clock = clock
        self._now = clock.now
        self._ahead = ahead
        self._timeout = timeout
        self._forget = forget
        self._heap: list[tuple[float, int, Entry]] = []
        self._order = itertools.count()
        self._running: set[asyncio.Task[None]] = set()
        self._rotating: set[asyncio.Task[None]] = set()  # those that may bring the next refresh token
        self._gate = Gate(_AT_ONCE)
        self._backlog: dict[Hashable, deque[Entry]] = {}  # due, and waiting for a place in the endpoint's lane
        self._wake = asyncio.Event()
        self._scheduler: asyncio.Task[None] | None = None
        self._flush_at = 0.0
        self._closed = False

    async def aclose(self) -> None:
        """Begin none any more, wait for those under way as long as is worth it, and close the store. Cancelled, it cancels them."""
        self._closed = True
        try:
            if self._scheduler is not None:
                self._scheduler.cancel()
                await asyncio.wait({self._scheduler})
            if self._running:
                await asyncio.wait(self._running, timeout=min(_CLOSE, self._timeout))
            if rotating := {task for task in self._running if task in self._rotating}:
                await asyncio.wait(rotating, timeout=max(self._timeout - _CLOSE, 0.0) + _FLUSH)
        finally:
            left = set(self._running)
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)
        try:
            async with asyncio.timeout(_FLUSH):
                await self._refresher.aclose()
        except (TimeoutError, OSError) as error:
            _log.warning("token store could not be closed: %s", error)
        if self._refresher.unsaved:
            _log.error("%d tokens could not be stored before the cache was closed", len(self._refresher.unsaved))

    def start(self, entry: Entry, want: float) -> Flight:
        """Refresh: get a token with so many seconds of life."""
        loop = get_running_loop()
        flight = entry.flight = Flight(want, loop.create_future(), self._now())
        lane = self._gate.enter(lane_of(entry.credentials))
        flight.task = loop.create_task(self._fly(entry, flight, lane), name=f"aiogmail token of {entry.address}")
        self._running.add(flight.task)
        flight.task.add_done_callback(self._running.discard)
        if isinstance(entry.credentials, UserCredentials):
            self._rotating.add(flight.task)
            flight.task.add_done_callback(self._rotating.discard)
        if self._scheduler is None:
            self._scheduler = loop.create_task(self._schedule(), name="aiogmail token scheduler")
        return flight

    async def _fly(self, entry: Entry, flight: Flight, lane: Lane) -> None:
        """One refresh. Its outcome, good or bad, is a value that every waiter reads."""
        name = lane_of(entry.credentials)
        outcome: Token | GmailError = TokenEndpointError("refreshing ended without an outcome")
        try:
            async with lane.width:
                if not self._closed:  # else begin nothing any more
                    got = await self._refresher.obtain(entry, flight.want)
                    if dated(got, self._now(), self._clock.wall()).deadline <= self._now():  # suspended in between
                        got = await self._refresher.obtain(entry, flight.want)
                    outcome = self._land(entry, flight, got)
        except GmailError as error:
            outcome = self._crash(entry, flight, error)
        except Exception as error:  # noqa: BLE001 - a bug of ours must reach the waiters, not the void
            where = "".join(traceback.format_tb(error.__traceback__))  # lines only: neither values nor the error's own words
            _log.error("refreshing the token of %s failed in an unforeseen way: %s\n%s", entry.address, type(error).__name__, where)
            outcome = self._crash(entry, flight, TokenEndpointError(f"refreshing failed: {type(error).__name__}"))
        except asyncio.CancelledError:
            # Of this very task when the cache is closed; else what a provider awaits was cancelled, and only it.
            outcome = self._crash(entry, flight, TokenEndpointError("refreshing was cancelled"))
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
        finally:
            login = entry.login_with(flight)
            if login is not None:
                login.flight = None
            self._gate.leave(name, lane)
            self._wake.set()
            if not flight.done.done():
                flight.done.set_result(outcome)

    def _land(self, entry: Entry, flight: Flight, got: Obtained) -> Token | GmailError:
        if got.access_token == entry.rejected:
            entry.rejected = None  # the next attempt takes whatever comes
            return self._crash(entry, flight, TokenRefused("the server refused this token, and a refresh gave the same one again"))
        now, wall = self._now(), self._clock.wall()
        token = dated(got, now, wall)
        if token.deadline <= now:
            return self._crash(entry, flight, TokenEndpointError("the new token died on its way here; it will be tried again"))
        if entry.flight is not flight:
            return token  # a new login came meanwhile: for those who asked with the old one, and nobody else
        entry.replace(got, now, wall)
        due = entry.plan(now, self._ahead, random.random())  # noqa: S311 - jitter, no secret
        if got.borrowed:
            due = entry.due = now
        heapq.heappush(self._heap, (due, next(self._order), entry))
        _log.debug("token of %s: valid for %.0f s", entry.address, token.deadline - now)
        return entry.token or token

    def _crash(self, entry: Entry, flight: Flight, error: GmailError) -> GmailError:
        now, login = self._now(), entry.login_with(flight)
        if login is not None:
            login.fail(error, now, random.random())  # noqa: S311 - jitter, no secret
        if login is entry:  # else a new login came meanwhile: this failure is not its own
            entry.due = entry.retry_at
            heapq.heappush(self._heap, (entry.due, next(self._order), entry))
            level = logging.WARNING if error.retryable else logging.ERROR
            _log.log(level, "token of %s could not be refreshed (next try in %.0f s): %s", entry.address, entry.retry_at - now, error)
        return error

    # The one task

    async def _schedule(self) -> None:
        while True:
            self._wake.clear()
            now = self._now()
            self._look(now)
            # One at a time: a slow store must not hold up the refreshing of tokens.
            if self._refresher.unsaved and now >= self._flush_at and not await self._refresher.flush(1):
                self._flush_at = self._now() + _FLUSH
            delay = max(self._heap[0][0] - now, 0.01) if self._heap else _LOOK
            if self._refresher.unsaved:
                delay = min(delay, max(self._flush_at - now, 0.01))
            try:
                async with asyncio.timeout(min(delay, _LOOK)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _look(self, now: float) -> None:
        """Start what is due, as far as its endpoint has room; forget what nobody asked for."""
        while self._heap and self._heap[0][0] <= now:
            due, _, entry = heapq.heappop(self._heap)
            if due != entry.due or entry.flight is not None:
                continue  # planned anew since
            if entry.in_use(now):
                entry.due = math.inf  # until it is started, and planned anew
                self._backlog.setdefault(lane_of(entry.credentials), deque()).append(entry)
            elif entry.deadline > now:
                entry.due = entry.deadline
                heapq.heappush(self._heap, (entry.due, next(self._order), entry))
            else:
                self._forget(entry)

        for name, entries in tuple(self._backlog.items()):
            while entries and self._gate.has_room(name):
                entry = entries.popleft()
                if entry.due == math.inf and entry.flight is None:
                    self.start(entry, 0.0)
            if not entries:
                del self._backlog[name]
