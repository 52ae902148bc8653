"""One cache of tokens for every client, that nobody ever waits for.

While a token lives, :meth:`TokenCache.get` returns at once. Tokens of identities in use are refreshed ahead of expiry by one
task, whoever asks and however many they are; while that goes wrong, the old token serves to its end.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import math
import random
import ssl
import traceback
from asyncio import get_running_loop
from collections import deque
from collections.abc import Hashable
from types import TracebackType
from typing import Self

from aiogmail.clock import Clock, SystemClock
from aiogmail.errors import ConfigurationError, GmailError, LoginRequired, StateError, TokenEndpointError, TokenRefused
from aiogmail.secret import Secret

from .address import check_address
from .credentials import Credentials, UserCredentials, identity_of
from .entry import FLOOR, Entry, Flight, Obtained, again, dated
from .gate import Gate, Lane, lane_of
from .http import TokenEndpoint
from .refresh import Refresher
from .stores.base import TokenStore
from .token import Token

__all__ = ["TokenCache"]

_log = logging.getLogger("aiogmail.oauth")

_PATIENCE = 2.0
"""How long, at most, a consumer is held for a better token while the old one lives; in seconds."""
_LOOK = 30.0
"""The scheduler never sleeps longer: a machine that was suspended wakes with timers that have not counted."""
_AT_ONCE = 16
"""Exchanges under way at the same time with one endpoint."""
_CLOSE = 5.0
"""How long :meth:`TokenCache.aclose` lets refreshes finish that can hold no new refresh token."""
_FLUSH = 5.0
_SECOND_LOOK = 1.0
"""How often, at most, the store is looked at before a remembered refusal is told again."""


class TokenCache:
    """Hands out access tokens that live, and refreshes them ahead of expiry: once, whoever asks.

    A cache belongs to the event loop it is first used in. It may serve any number of accounts and clients; opening it does no
    I/O, and its one task starts with the first token.

    Args:
        store: shares tokens with other processes and keeps refresh tokens that rotate; ``None``: this cache's memory.
        refresh_ahead: seconds before expiry at which the token of an identity in use is refreshed; counts as at most half of
            the token's life. An identity that nobody asked for during a token's whole life is not refreshed any more.
        clock: what ages are read from.
        timeout: seconds for one exchange with a token endpoint.
        ssl_context: for a token endpoint with a private CA; must verify.
        proxy: the address of an HTTP proxy for token endpoints. The environment's proxies are not looked at.

    Raises:
        ConfigurationError: a number that is none, a context that does not verify.
    """

    def __init__(
        self,
        store: TokenStore | None = None,
        *,
        refresh_ahead: float = 300.0,
        clock: Clock | None = None,
        timeout: float = 20.0,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        _check_seconds("refresh_ahead", refresh_ahead)
        _check_seconds("timeout", timeout)
        if timeout == 0:
            raise ConfigurationError("timeout: expected seconds above 0, got 0")
        self._clock = clock if clock is not None else SystemClock()
        self._now = self._clock.now
        self._store = store
        self._ahead = refresh_ahead
        endpoint = TokenEndpoint(clock=self._clock, timeout=timeout, ssl_context=ssl_context, proxy=proxy)
        self._refresher = Refresher(endpoint, store, self._clock, refresh_ahead, timeout)
        self._entries: dict[tuple[Hashable, ...], Entry] = {}
        self._recent: dict[str, Entry] = {}  # by address, the entry last asked for: the fast path of get()
        self._heap: list[tuple[float, int, Entry]] = []
        self._order = itertools.count()
        self._flights: set[asyncio.Task[None]] = set()
        self._rotating: set[asyncio.Task[None]] = set()  # those that may bring the next refresh token
        self._gate = Gate(_AT_ONCE)
        self._backlog: dict[Hashable, deque[Entry]] = {}  # due, and waiting for a place in the endpoint's lane
        self._timeout = timeout
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduler: asyncio.Task[None] | None = None
        self._flush_at = 0.0
        self._closed = False

    def __repr__(self) -> str:
        return f"<TokenCache {'closed' if self._closed else 'open'} identities={len(self._entries)} store={self._store!r}>"

    async def __aenter__(self) -> Self:
        """Bind the cache to this event loop. No I/O."""
        self._check()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def get(self, address: str, credentials: Credentials, min_ttl: float = 60.0) -> Token:
        """A token of this address that is valid now.

        Returns at once while the cached token has ``min_ttl`` seconds left. Otherwise it waits for one refresh, which all who
        wait share; while the old token still lives it waits two seconds at most, and then gives the old one.
        Cancelling it cancels nobody else's wait, nor the refresh.

        Args:
            address: the mailbox.
            credentials: by what right. Others than before for the same identity mean a new login.
            min_ttl: seconds of life wanted; counts as at most half of the token's whole life.

        Raises:
            ConfigurationError: an argument is wrong; or the token endpoint refused the client, the key or the clock.
            LoginRequired: the refresh token is dead; the message says why, as far as known.
            AccessDenied: the account or its administrator does not let this client in.
            TokenEndpointError: no token could be had now; a failure is remembered for a while (``retry_after`` says how long).
            StateError: the cache is closed, or belongs to another event loop.
        """
        entry = self._recent.get(address)
        if entry is not None and entry.credentials is credentials and self._loop is get_running_loop():
            now = self._now()
            left = entry.deadline - now
            try:
                if left > min_ttl >= 0 or (left > entry.half and min_ttl >= 0):
                    entry.used = now
                    return entry.token  # type: ignore[return-value] # an entry with a deadline has a token
            except TypeError:
                pass  # no number: told below
        return await self._get(address, credentials, min_ttl)

    def invalidate(self, address: str, token: Token | Secret) -> None:
        """The server refused this token: do not hand it out again. The next :meth:`get` refreshes.

        A token that has been replaced meanwhile, or was told before, changes nothing: many sessions may tell of the same one.

        Raises:
            StateError: the cache is closed, or belongs to another event loop.
        """
        self._check()
        secret = token.access_token if isinstance(token, Token) else token
        who = address.lower()
        for entry in self._entries.values():
            if entry.identity[1] == who and entry.token is not None and entry.token.access_token == secret:
                entry.rejected = secret
                entry.drop()

    async def aclose(self) -> None:
        """End the cache: its waiters get :class:`~aiogmail.errors.StateError`, no task is left.

        A refresh under way may finish: one with a refresh token until the timeout of the exchange, for its reply may hold the only
        copy of the next refresh token; another for five seconds. Cancelling it cuts that short. A second call does nothing.
        """
        if self._closed:
            return
        if self._loop is not None:
            self._check()
        self._closed = True
        self._recent.clear()
        for entry in self._entries.values():
            if entry.flight is not None and not entry.flight.done.done():
                entry.flight.done.set_result(StateError("this TokenCache was closed"))
        try:
            if self._scheduler is not None:
                self._scheduler.cancel()
                await asyncio.wait({self._scheduler})
            if self._flights:
                await asyncio.wait(self._flights, timeout=min(_CLOSE, self._timeout))
            if rotating := {task for task in self._flights if task in self._rotating}:
                await asyncio.wait(rotating, timeout=max(self._timeout - _CLOSE, 0.0) + _FLUSH)
        finally:
            running = set(self._flights)
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)
        try:
            async with asyncio.timeout(_FLUSH):
                await self._refresher.aclose()
        except (TimeoutError, OSError) as error:
            _log.warning("token store could not be closed: %s", error)
        if self._refresher.unsaved:
            _log.error("%d tokens could not be stored before the cache was closed", len(self._refresher.unsaved))

    # The slow path of get()

    def _check(self) -> None:
        if self._closed:
            raise StateError("this TokenCache is closed: make a new one")
        loop = get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise StateError("this TokenCache belongs to another event loop (or process): make one for each")

    async def _get(self, address: str, credentials: Credentials, min_ttl: float) -> Token:
        self._check()
        _check_seconds("min_ttl", min_ttl)
        entry = self._entry_of(address, credentials)
        while True:
            now = entry.used = self._now()
            if entry.token is not None and entry.enough(now, min_ttl):
                return entry.token
            flight, old, left = entry.flight, entry.token, entry.deadline - now
            if flight is None:
                if entry.failure is not None and now < entry.retry_at:
                    if old is not None and left > FLOOR:
                        return old
                    if not await self._mended(entry, now):
                        raise again(entry.failure, entry.retry_at - now)
                    entry.retry_at = now
                    continue
                flight = self._start(entry, min_ttl)
            outcome = await _join(flight, left, now)
            if isinstance(outcome, StateError):
                raise again(outcome, 0.0)
            if isinstance(outcome, Token):
                # Somebody else's flight may have settled for less than is wanted here: then once more, with our wish.
                if flight.want >= min_ttl or entry.enough(self._now(), min_ttl):
                    return outcome
            elif entry.flight is not None and entry.flight is not flight:
                continue  # a new login came meanwhile, and its refresh is under way
            elif old is not None and entry.token is old and entry.deadline - self._now() > FLOOR:
                return old
            elif outcome is not None:
                raise again(outcome, entry.retry_at - self._now())

    async def _mended(self, entry: Entry, now: float) -> bool:
        """Whether a remembered refusal is out of date: a person has logged in meanwhile, and another process has stored it."""
        if not isinstance(entry.failure, LoginRequired) or now < entry.look_at:
            return False
        entry.look_at = now + _SECOND_LOOK
        return await self._refresher.has_changed(entry)

    def _entry_of(self, address: str, credentials: Credentials) -> Entry:
        entry = self._recent.get(address)
        if entry is not None and type(entry.credentials) is type(credentials) and entry.credentials == credentials:
            entry.credentials = credentials  # the next comparison is quicker
            return entry
        identity = identity_of(check_address(address), credentials)
        entry = self._entries.get(identity)
        if entry is None:
            entry = self._entries[identity] = Entry(identity, address, credentials)
        elif entry.credentials is not credentials:
            if entry.credentials == credentials:
                entry.credentials = credentials
            else:
                entry.renew(credentials)
        if address == entry.address:  # other spellings would stay when the entry is forgotten
            self._recent[address] = entry
        return entry

    # Refreshing

    def _start(self, entry: Entry, want: float) -> Flight:
        loop = get_running_loop()
        flight = entry.flight = Flight(want, loop.create_future(), self._now())
        lane = self._gate.enter(lane_of(entry.credentials))
        flight.task = loop.create_task(self._fly(entry, flight, lane), name=f"aiogmail token of {entry.address}")
        self._flights.add(flight.task)
        flight.task.add_done_callback(self._flights.discard)
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
                    self._start(entry, 0.0)
            if not entries:
                del self._backlog[name]

    def _forget(self, entry: Entry) -> None:
        entry.drop()
        # Without a store, this is the only place where a rotated refresh token is.
        if self._store is not None or entry.refresh_token is None:
            self._entries.pop(entry.identity, None)
            if self._recent.get(entry.address) is entry:
                del self._recent[entry.address]


async def _join(flight: Flight, left: float, now: float) -> Token | GmailError | None:
    """Wait for a flight; where ``left`` seconds of the old token remain, not to their end, and then ``None``.

    The patience with a flight is one, however many wait for it one after another.
    """
    if left <= FLOOR:
        return await asyncio.shield(flight.done)
    try:
        async with asyncio.timeout(min(left - FLOOR, max(flight.started + _PATIENCE - now, 0.0))):
            return await asyncio.shield(flight.done)
    except TimeoutError:
        return None


def _check_seconds(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ConfigurationError(f"{name}: expected seconds, 0 or more, got {value!r}")
