"""How does one identity get its next token, alone or among many processes? One call, made by one task at a time.

With a store: become the one who refreshes (a lease), look whether another has done it meanwhile, exchange, write the new record
through before anybody uses it. Without one, or while it is out of order: exchange, and keep what could not be written.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from aiogmail.clock import Clock
from aiogmail.errors import ConfigurationError, GmailError, LoginRequired, TokenEndpointError
from aiogmail.secret import Secret

from .credentials import GoogleAuthCredentials, ServiceAccountCredentials, TokenProvider, UserCredentials, key_of
from .entry import FLOOR, Entry, Obtained
from .failure import scrub
from .googleauth import refresh_google
from .http import TokenEndpoint
from .stores.base import StoredToken, StoreUnavailable, TokenStore, fingerprint
from .token import MAX_LIFETIME, Reply, is_token_text

__all__ = ["Refresher"]

_log = logging.getLogger("aiogmail.oauth")
T = TypeVar("T")

_STORE_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class _Answer:
    """A reply, the refresh token that it was got with, and both clocks when the request was sent: its life counts from there."""

    reply: Reply
    used: Secret | None
    now: float
    wall: float


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
        if isinstance(credentials, TokenProvider):
            return await self._provided(credentials)
        if isinstance(credentials, GoogleAuthCredentials):
            token, expires_at = await refresh_google(credentials, self._timeout)
            return self._dated("google-auth", token, expires_at)
        assert isinstance(credentials, UserCredentials | ServiceAccountCredentials)
        if self._store is None:
            answer = await self._ask(entry, credentials, None)
            _remember(entry, credentials, answer.reply.refresh_token, entry.version)
            return _obtained(answer, credentials)
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

    # Tokens made elsewhere

    async def _provided(self, credentials: TokenProvider) -> Obtained:
        try:
            async with asyncio.timeout(self._timeout):
                answer = await credentials.fetch()
        except GmailError:
            raise
        except TimeoutError:
            raise TokenEndpointError(f"TokenProvider.fetch gave no token within {self._timeout:g} s") from None
        except Exception as error:  # noqa: BLE001 - any code of the user's
            told = TokenEndpointError(f"TokenProvider.fetch failed: {type(error).__name__}: {scrub(str(error))}")
        else:
            try:
                token, expires_at = answer
            except (TypeError, ValueError):
                raise ConfigurationError(f"TokenProvider.fetch: expected (token, expires_at), got {type(answer).__name__}") from None
            return self._dated("TokenProvider.fetch", token, expires_at)
        raise told

    def _dated(self, source: str, token: str | Secret, expires_at: datetime) -> Obtained:
        text = token.reveal() if isinstance(token, Secret) else token
        if not is_token_text(text):
            raise ConfigurationError(f"{source}: expected (token, expires_at) with a token of visible ASCII characters")
        if not isinstance(expires_at, datetime) or expires_at.utcoffset() is None:
            raise ConfigurationError(f"{source}: expected (token, expires_at) with an aware datetime, got {expires_at!r}")
        left = min(expires_at.timestamp() - self._clock.wall(), MAX_LIFETIME)
        if left <= 0:
            raise TokenEndpointError(f"{source} gave a token that expired {abs(left):.0f} s ago")
        return Obtained(Secret(text), left, left)

    # With a store

    async def _shared(
        self, store: TokenStore, entry: Entry, credentials: UserCredentials | ServiceAccountCredentials, want: float
    ) -> Obtained:
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
        credentials: UserCredentials | ServiceAccountCredentials,
        stored: StoredToken | None,
        lease: object,
    ) -> Obtained:
        async def keep() -> None:
            if not await _bounded(store.extend(key, lease, self._lease_ttl)):
                raise TokenEndpointError("another process has taken over the refreshing of this token; it will be tried again")

        try:
            answer = await self._ask(entry, credentials, stored, keep)
        except LoginRequired:
            # A process that was stopped in between may have outlived its lease: then the line went on without it.
            newer = await _bounded(store.load(key))
            if newer is None or (stored is not None and newer.version <= stored.version):
                _note(entry, stored)
                raise
            if (adopted := self._adopt(newer, entry, 0.0)) is not None:
                return adopted
            stored = newer
            answer = await self._ask(entry, credentials, stored, keep)
        except GmailError:
            _note(entry, stored)
            raise
        there = 0 if stored is None else stored.version
        # A line keeps the name of the login that it stems from, whoever goes on with it.
        origin = _origin(credentials)
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
        _remember(entry, credentials, record.refresh_token, record.version)
        return _obtained(answer, credentials)

    async def _alone(self, entry: Entry, credentials: UserCredentials | ServiceAccountCredentials, why: str) -> Obtained:
        """The store is out of order: the newest refresh token we know, and the record for later."""
        try:
            answer = await self._ask(entry, credentials, self.unsaved.get(store_key(entry)))
        except LoginRequired as refusal:
            # Its successor may lie in the store, where another process or an earlier life of this one has put it.
            told = TokenEndpointError(
                f"the token store is out of order ({why}), and without it the refresh token is refused: {refusal} "
                "It will be tried again: bring the store back first."
            )
        else:
            record = _record(answer, _origin(credentials), entry.version + 1)
            self._keep(store_key(entry), record, None)
            _remember(entry, credentials, record.refresh_token, record.version)
            return _obtained(answer, credentials)
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

    # The exchange itself

    async def _ask(
        self,
        entry: Entry,
        credentials: UserCredentials | ServiceAccountCredentials,
        stored: StoredToken | None,
        keep: Callable[[], Awaitable[None]] | None = None,
    ) -> _Answer:
        """``keep`` renews the lease, which is to outlast each single exchange."""
        if keep is not None:
            await keep()
        if isinstance(credentials, ServiceAccountCredentials):
            now, wall = self._clock.now(), self._clock.wall()
            reply = await self._endpoint.assert_identity(credentials, credentials.subject or entry.address)
            return _Answer(reply, None, now, wall)
        first: LoginRequired | None = None
        for refresh_token in _candidates(entry, credentials, stored):
            if keep is not None and first is not None:
                await keep()
            now, wall = self._clock.now(), self._clock.wall()
            try:
                return _Answer(await self._endpoint.refresh(credentials, refresh_token), refresh_token, now, wall)
            except LoginRequired as error:
                first = first or error
        assert first is not None
        raise first


def _candidates(entry: Entry, credentials: UserCredentials, stored: StoredToken | None) -> list[Secret]:
    """Refresh tokens in the order in which they are likely to live. The later ones are tried where the first is refused."""
    given, login = credentials.refresh_token, entry.login_of(credentials)
    ours = (login.refresh_token if login is not None else None) or given
    theirs = stored.refresh_token if stored is not None and (login is None or stored.version >= login.version) else None
    if theirs is None:
        order = [ours, given]
    elif stored is not None and stored.origin == fingerprint(given):
        order = [theirs, ours, given]
    elif login is not None and login.version:  # it took the place of ours: somebody has logged in anew
        order = [theirs, ours]
    else:  # it stems from another login: an older one if the person has just logged in again, a newer one if somebody else has
        order = [ours, theirs]
    return list(dict.fromkeys(order))


def _origin(credentials: UserCredentials | ServiceAccountCredentials) -> str:
    return fingerprint(credentials.refresh_token) if isinstance(credentials, UserCredentials) else ""


def _remember(entry: Entry, credentials: UserCredentials | ServiceAccountCredentials, refresh_token: Secret | None, version: int) -> None:
    login = entry.login_of(credentials)  # a new login may have come meanwhile: it has its own
    if login is not None and refresh_token is not None:
        login.refresh_token, login.version = refresh_token, version


def _note(entry: Entry, stored: StoredToken | None) -> None:
    """The newest refresh token of our line is remembered, for the store may be gone when it is needed."""
    credentials = entry.credentials
    entry.seen = 0 if stored is None else stored.version
    if not isinstance(credentials, UserCredentials) or stored is None or stored.origin != _origin(credentials):
        return
    if stored.version > entry.version:
        _remember(entry, credentials, stored.refresh_token, stored.version)


def _record(answer: _Answer, origin: str, version: int) -> StoredToken:
    reply, expires_at = answer.reply, answer.wall + answer.reply.lifetime
    refresh_token = reply.refresh_token or answer.used
    return StoredToken(version, origin, refresh_token, reply.access_token, expires_at, reply.lifetime, reply.scopes, reply.token_type)


def _newer(one: StoredToken, other: StoredToken) -> bool:
    """Whose line went further. Not by the clock, which may have been set back; it decides between two that forked."""
    return (one.version, one.expires_at) > (other.version, other.expires_at)


def _obtained(answer: _Answer, credentials: UserCredentials | ServiceAccountCredentials) -> Obtained:
    reply = answer.reply
    missing = [scope for scope in credentials.scopes if reply.scopes and "://" in scope and scope not in reply.scopes]
    if missing:  # a mail server's refusal will not say why: https://developers.google.com/gmail/imap/xoauth2-protocol
        _log.warning("the token endpoint granted %s, but not %s: log in again if servers refuse the token", reply.scopes, missing)
    scopes = reply.scopes or credentials.scopes
    return Obtained(reply.access_token, reply.lifetime, reply.lifetime, scopes, reply.token_type, answer.now)


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
