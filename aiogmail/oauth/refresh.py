"""How does one identity get its next token, alone or among many processes? One call, made by one task at a time.

With a store: become the one who refreshes (a lease), look whether another has done it meanwhile, exchange, write the new record
through before anybody uses it. Without one, or while it is out of order: exchange, and keep what could not be written.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable
from dataclasses import replace
from typing import TypeVar

from aiogmail.clock import Clock
from aiogmail.errors import ConfigurationError, GmailError, LoginRequired, TokenEndpointError

from .credentials import GoogleAuthCredentials, TokenProvider, UserCredentials, key_of
from .entry import FLOOR, Entry, Obtained
from .exchange import Answer, Exchangeable, ask, obtained, origin_of, remember
from .http import TokenEndpoint
from .provided import provided
from .stores.base import StoredToken, StoreUnavailable, TokenStore

__all__ = ["Refresher"]

_log = logging.getLogger("aiogmail.oauth")
T = TypeVar("T")

_STORE_TIMEOUT = 5.0


class Refresher:
    """Gets tokens from where the credentials say.

    Args:
        endpoint: the door to token endpoints.
        store: where records are shared and kept, or ``None``.
        clock: the cache's.
        refresh_ahead: seconds before expiry from which a token counts as due.
        timeout: seconds for one exchange.
    """

    def __init__(self, endpoint: TokenEndpoint, store: TokenStore | None, clock: Clock, refresh_ahead: float, timeout: float) -> None:
        self._endpoint = endpoint
        self._store = store
        self._clock = clock
        self._ahead = refresh_ahead
        self._timeout = timeout
        self._lease_ttl = 1.25 * timeout + 0.5  # longer than any exchange, or two would be at it
        self.unsaved: dict[str, StoredToken] = {}
        self._held: dict[str, object] = {}  # leases of those: nobody else may refresh with what the server has replaced

    async def obtain(self, entry: Entry, want: float) -> Obtained:
        """A token with at least ``want`` seconds of life (or half of what tokens live here), other than the refused one.

        Raises:
            GmailError: by :mod:`aiogmail.oauth.failure`.
        """
        credentials = entry.credentials
        if isinstance(credentials, TokenProvider | GoogleAuthCredentials):
            return await provided(credentials, self._clock, self._timeout)
        assert isinstance(credentials, Exchangeable)
        if self._store is None:
            answer = await ask(self._endpoint, self._clock, entry, credentials, None)
            remember(entry, credentials, answer.reply.refresh_token, entry.version)
            return obtained(answer, credentials)
        try:
            return await self._shared(self._store, entry, credentials, want)
        except StoreUnavailable as trouble:
            _log.warning("token store out of order, going on without it: %s", trouble)
            why = str(trouble)
        return await self._alone(entry, credentials, why)

    async def has_changed(self, entry: Entry) -> bool:
        """Whether the store has another record than the one that was of no use."""
        if self._store is None:
            return False
        try:
            stored = await _bounded(self._store.load(store_key(entry)))
        except (StoreUnavailable, ConfigurationError):
            return False
        return stored is not None and stored.version != entry.seen

    # With a store

    async def _shared(self, store: TokenStore, entry: Entry, credentials: Exchangeable, want: float) -> Obtained:
        key = store_key(entry)
        give_up = self._clock.now() + self._lease_ttl + self._timeout
        pause = 0.02
        while (lease := await self._acquire(store, key)) is None:
            adopted = self._adopt(await _bounded(store.load(key)), entry, want)
            if adopted is not None:
                return adopted
            if self._clock.now() > give_up:
                raise TokenEndpointError("another process has been refreshing this token for too long; it will be tried again")
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
            pause = min(pause * 1.5, 0.25)
        try:
            await self._write_late(store, key)
            stored = await _bounded(store.load(key))
            adopted = self._adopt(stored, entry, want)
            if adopted is not None:
                return adopted
            return await self._exchange(store, key, entry, credentials, stored, lease)
        finally:
            if key in self.unsaved:
                self._held[key] = lease
            else:
                await self._release(store, key, lease)

    async def _acquire(self, store: TokenStore, key: str) -> object | None:
        lease = self._held.pop(key, None)
        if lease is not None and await _bounded(store.extend(key, lease, self._lease_ttl)):
            return lease
        return await _bounded(store.acquire(key, self._lease_ttl))

    async def _release(self, store: TokenStore, key: str, lease: object) -> None:
        try:
            await _bounded(store.release(key, lease))
        except (StoreUnavailable, ConfigurationError) as trouble:
            _log.debug("a lease could not be given back, it will run out: %s", trouble)

    def _adopt(self, stored: StoredToken | None, entry: Entry, want: float) -> Obtained | None:
        """The stored token, if it is what is wanted: not the one we have, not refused, and not due itself.

        Where we have none at all one that is due is taken too, to be refreshed at once: nobody shall wait for an endpoint that
        may be down while a good token lies in the store.
        """
        if stored is None or stored.access_token is None or stored.access_token == entry.rejected:
            return None
        left = stored.left(self._clock.wall())
        due = left <= entry.margin(self._ahead, stored.lifetime)
        if left <= min(max(want, FLOOR), stored.lifetime / 2) or (due and entry.token is not None):
            return None
        if entry.token is not None and stored.access_token == entry.token.access_token:
            return None
        _note(entry, stored)
        return Obtained(stored.access_token, left, stored.lifetime, stored.scopes, stored.token_type, self._clock.now(), due)

    async def _exchange(
        self,
        store: TokenStore,
        key: str,
        entry: Entry,
        credentials: Exchangeable,
        stored: StoredToken | None,
        lease: object,
    ) -> Obtained:
        async def keep() -> None:
            if not await _bounded(store.extend(key, lease, self._lease_ttl)):
                raise TokenEndpointError("another process has taken over the refreshing of this token; it will be tried again")

        try:
            answer = await ask(self._endpoint, self._clock, entry, credentials, stored, keep)
        except LoginRequired:
            # A process that was stopped in between may have outlived its lease: then the line went on without it.
            newer = await _bounded(store.load(key))
            if newer is None or (stored is not None and newer.version <= stored.version):
                _note(entry, stored)
                raise
            if (adopted := self._adopt(newer, entry, 0.0)) is not None:
                return adopted
            stored = newer
            answer = await ask(self._endpoint, self._clock, entry, credentials, stored, keep)
        except GmailError:
            _note(entry, stored)
            raise
        there = 0 if stored is None else stored.version
        # A line keeps the name of the login that it stems from, whoever goes on with it.
        origin = origin_of(credentials)
        if stored is not None and answer.used is not None and answer.used == stored.refresh_token:
            origin = stored.origin
        record = _record(answer, origin, max(there, entry.version) + 1)
        try:
            for _attempt in range(3):
                if await _bounded(store.save(key, record, replaces=there)):
                    self.unsaved.pop(key, None)
                    break
                # Our lease ran out, and another has written since. The line that went further stays.
                theirs = await _bounded(store.load(key))
                if theirs is not None and not _newer(record, theirs) and (adopted := self._adopt(theirs, entry, 0.0)):
                    return adopted
                there = 0 if theirs is None else theirs.version
                record = replace(record, version=there + 1)
            else:
                self._keep(key, record, StoreUnavailable("others wrote each time in between"))
        except (StoreUnavailable, ConfigurationError) as trouble:
            self._keep(key, record, trouble)
        remember(entry, credentials, record.refresh_token, record.version)
        return obtained(answer, credentials)

    async def _alone(self, entry: Entry, credentials: Exchangeable, why: str) -> Obtained:
        """The store is out of order: the newest refresh token we know, and the record for later."""
        try:
            answer = await ask(self._endpoint, self._clock, entry, credentials, self.unsaved.get(store_key(entry)))
        except LoginRequired as refusal:
            # Its successor may lie in the store, where another process or an earlier life of this one has put it.
            told = TokenEndpointError(
                f"the token store is out of order ({why}), and without it the refresh token is refused: {refusal} "
                "It will be tried again: bring the store back first."
            )
        else:
            record = _record(answer, origin_of(credentials), entry.version + 1)
            self._keep(store_key(entry), record, None)
            remember(entry, credentials, record.refresh_token, record.version)
            return obtained(answer, credentials)
        raise told

    def _keep(self, key: str, record: StoredToken, trouble: Exception | None) -> None:
        self.unsaved[key] = record
        if trouble is not None:
            _log.warning("a new token could not be stored; it is used, kept in memory and will be written later: %s", trouble)

    async def flush(self, most: int | None = None) -> bool:
        """Write what could not be written, ``most`` records if given; ``False``: the store does not take it now."""
        for key in tuple(self.unsaved)[:most]:
            assert self._store is not None  # else nothing is kept for it
            try:
                await self._write_late(self._store, key)
            except (StoreUnavailable, ConfigurationError) as trouble:
                _log.debug("token store still out of order: %s", trouble)
                await self._hold(self._store)
                return False
        return True

    async def _hold(self, store: TokenStore) -> None:
        """Let the leases of what could not be written not run out."""
        for key, lease in tuple(self._held.items()):
            try:
                await _bounded(store.extend(key, lease, self._lease_ttl))
            except (StoreUnavailable, ConfigurationError):
                return

    async def aclose(self) -> None:
        """Write what could not be written, and give everything back."""
        if self._store is None:
            return
        await self.flush()
        for key in tuple(self._held):
            await self._release(self._store, key, self._held.pop(key))
        await self._store.aclose()

    async def _write_late(self, store: TokenStore, key: str) -> None:
        record = self.unsaved.get(key)
        if record is None:
            return
        stored = await _bounded(store.load(key))
        if stored is None or _newer(record, stored):
            there = 0 if stored is None else stored.version
            newer = replace(record, version=max(record.version, there + 1))
            if not await _bounded(store.save(key, newer, replaces=there)):
                if self.unsaved.get(key) is record:
                    self.unsaved[key] = self.unsaved.pop(key)  # another was faster: looked at again, after the others
                return
        if self.unsaved.get(key) is record:
            del self.unsaved[key]
            if (lease := self._held.pop(key, None)) is not None:
                await self._release(store, key, lease)


def _note(entry: Entry, stored: StoredToken | None) -> None:
    """The newest refresh token of our line is remembered, for the store may be gone when it is needed."""
    credentials = entry.credentials
    entry.seen = 0 if stored is None else stored.version
    if not isinstance(credentials, UserCredentials) or stored is None or stored.origin != origin_of(credentials):
        return
    if stored.version > entry.version:
        remember(entry, credentials, stored.refresh_token, stored.version)


def _record(answer: Answer, origin: str, version: int) -> StoredToken:
    reply, expires_at = answer.reply, answer.wall + answer.reply.lifetime
    refresh_token = reply.refresh_token or answer.used
    return StoredToken(version, origin, refresh_token, reply.access_token, expires_at, reply.lifetime, reply.scopes, reply.token_type)


def _newer(one: StoredToken, other: StoredToken) -> bool:
    """Whose line went further. Not by the clock, which may have been set back; it decides between two that forked."""
    return (one.version, one.expires_at) > (other.version, other.expires_at)


def store_key(entry: Entry) -> str:
    """What names an identity in a store."""
    return key_of(entry.identity)


async def _bounded(operation: Awaitable[T]) -> T:
    """A call of a store, in time, and with one error for all that can go wrong; no frame of the store is in its traceback."""
    try:
        async with asyncio.timeout(_STORE_TIMEOUT):
            return await operation
    except ConfigurationError as error:
        trouble: Exception = error.with_traceback(None)
    except TimeoutError:
        trouble = StoreUnavailable(f"the store did not answer within {_STORE_TIMEOUT:g} s")
    except StoreUnavailable as error:
        trouble = StoreUnavailable(str(error))
    except Exception as error:  # noqa: BLE001 - stores may be of any making
        trouble = StoreUnavailable(f"{type(error).__name__}: {error}")
    raise trouble
