"""Who gets which token, at once? One cache for every client, that nobody ever waits for.

While a token lives, :meth:`TokenCache.get` returns at once. Tokens of identities in use are refreshed ahead of expiry
(:mod:`.flights`), whoever asks and however many they are; while that goes wrong, the old token serves to its end.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import get_running_loop
from collections.abc import Hashable
from types import TracebackType
from typing import Self

from aiogmail.clock import Clock, SystemClock
from aiogmail.errors import ConfigurationError, GmailError, LoginRequired, StateError
from aiogmail.secret import Secret

from .address import check_address
from .credentials import Credentials, identity_of
from .entry import FLOOR, Entry, Flight, again
from .flights import Flights
from .http import TokenEndpoint
from .refresh import Refresher
from .stores.base import TokenStore
from .token import Token

__all__ = ["TokenCache"]

_PATIENCE = 2.0
"""How long, at most, a consumer is held for a better token while the old one lives; in seconds."""
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
        endpoint = TokenEndpoint(clock=self._clock, timeout=timeout, ssl_context=ssl_context, proxy=proxy)
        self._refresher = Refresher(endpoint, store, self._clock, refresh_ahead, timeout)
        self._entries: dict[tuple[Hashable, ...], Entry] = {}
        self._recent: dict[str, Entry] = {}  # by address, the entry last asked for: the fast path of get()
        self._flights = Flights(self._refresher, self._clock, ahead=refresh_ahead, timeout=timeout, forget=self._forget)
        self._loop: asyncio.AbstractEventLoop | None = None
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
        await self._flights.aclose()

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
                flight = self._flights.start(entry, min_ttl)
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
