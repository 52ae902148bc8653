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
from datetime import datetime
from typing import TypeVar

from aiogmail.clock import Clock
from aiogmail.errors import ConfigurationError, GmailError, LoginRequired, TokenEndpointError
from aiogmail.secret import Secret

from .credentials import GoogleAuthCredentials, ServiceAccountCredentials, TokenProvider, UserCredentials
from .entry import Entry, Obtained
from .failure import scrub
from .googleauth import refresh_google
from .http import TokenEndpoint
from .stores.base import StoredToken, StoreUnavailable, TokenStore, fingerprint
from .token import MAX_LIFETIME, Reply, is_token_text

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
            reply, _ = await self._ask(entry, credentials, None)
            _remember(entry, credentials, reply.refresh_token, entry.version)
            return _obtained(reply, credentials)
        try:
            return await self._shared(self._store, entry, credentials, want)
        except StoreUnavailable as trouble:
            _log.warning("token store out of order, going on without it: %s", trouble)
        return await self._alone(entry, credentials)

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
        while True:
            lease = await _bounded(store.acquire(key, self._lease_ttl))
            if lease is not None:
                break
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
            return await self._exchange(store, key, entry, credentials, stored)
        finally:
            try:
                await _bounded(store.release(key, lease))
            except (StoreUnavailable, ConfigurationError) as trouble:
                _log.debug("a lease could not be given back, it will run out: %s", trouble)

    def _adopt(self, stored: StoredToken | None, entry: Entry, want: float) -> Obtained | None:
        """The stored token, if it is what is wanted: not the one we have, not refused, and not due itself."""
        if stored is None or stored.access_token is None or stored.access_token == entry.rejected:
            return None
        left = stored.left(self._clock.wall())
        if left <= max(entry.margin(self._ahead, stored.lifetime), min(want, stored.lifetime / 2)):
            return None
        if entry.token is not None and stored.access_token == entry.token.access_token:
            return None
        if stored.version > entry.version:
            entry.refresh_token, entry.version = None, stored.version  # the stored one is newer than ours
        return Obtained(stored.access_token, left, stored.lifetime, stored.scopes, stored.token_type)

    async def _exchange(
        self,
        store: TokenStore,
        key: str,
        entry: Entry,
        credentials: UserCredentials | ServiceAccountCredentials,
        stored: StoredToken | None,
    ) -> Obtained:
        try:
            reply, used = await self._ask(entry, credentials, stored)
        except LoginRequired:
            # A process that was stopped in between may have outlived its lease: then the line went on without it.
            newer = await _bounded(store.load(key))
            if newer is None or (stored is not None and newer.version <= stored.version):
                raise
            if (adopted := self._adopt(newer, entry, 0.0)) is not None:
                return adopted
            stored = newer
            reply, used = await self._ask(entry, credentials, stored)
        there = 0 if stored is None else stored.version
        record = self._record(reply, used, _origin(credentials), max(there, entry.version) + 1)
        try:
            for _attempt in range(3):
                if await _bounded(store.save(key, record, replaces=there)):
                    self.unsaved.pop(key, None)
                    break
                # Our lease ran out, and another has written since. The token that lives longer stays.
                theirs = await _bounded(store.load(key))
                if theirs is not None and theirs.expires_at >= record.expires_at and (adopted := self._adopt(theirs, entry, 0.0)):
                    return adopted
                there = 0 if theirs is None else theirs.version
                record = replace(record, version=there + 1)
            else:
                self._keep(key, record, StoreUnavailable("others wrote each time in between"))
        except (StoreUnavailable, ConfigurationError) as trouble:
            self._keep(key, record, trouble)
        _remember(entry, credentials, record.refresh_token, record.version)
        return _obtained(reply, credentials)

    async def _alone(self, entry: Entry, credentials: UserCredentials | ServiceAccountCredentials) -> Obtained:
        """The store is out of order: the newest refresh token we know, and the record for later."""
        reply, used = await self._ask(entry, credentials, self.unsaved.get(store_key(entry)))
        record = self._record(reply, used, _origin(credentials), entry.version + 1)
        self._keep(store_key(entry), record, None)
        _remember(entry, credentials, record.refresh_token, record.version)
        return _obtained(reply, credentials)

    def _record(self, reply: Reply, used: Secret | None, origin: str, version: int) -> StoredToken:
        return StoredToken(
            version,
            origin,
            reply.refresh_token or used,
            reply.access_token,
            self._clock.wall() + reply.lifetime,
            reply.lifetime,
            reply.scopes,
            reply.token_type,
        )

    def _keep(self, key: str, record: StoredToken, trouble: Exception | None) -> None:
        self.unsaved[key] = record
        if trouble is not None:
            _log.warning("a new token could not be stored; it is used, kept in memory and will be written later: %s", trouble)

    async def flush(self) -> None:
        """Write what could not be written, as far as the store takes it now."""
        if self._store is None:
            return
        for key in tuple(self.unsaved):
            try:
                await self._write_late(self._store, key)
            except (StoreUnavailable, ConfigurationError) as trouble:
                _log.debug("token store still out of order: %s", trouble)
                return

    async def _write_late(self, store: TokenStore, key: str) -> None:
        record = self.unsaved.get(key)
        if record is None:
            return
        stored = await _bounded(store.load(key))
        if stored is None or stored.expires_at < record.expires_at:
            there = 0 if stored is None else stored.version
            newer = replace(record, version=there + 1)
            if not await _bounded(store.save(key, newer, replaces=there)):
                return  # another was faster: looked at again next time
        if self.unsaved.get(key) is record:
            del self.unsaved[key]

    # The exchange itself

    async def _ask(
        self, entry: Entry, credentials: UserCredentials | ServiceAccountCredentials, stored: StoredToken | None
    ) -> tuple[Reply, Secret | None]:
        """The reply, and the refresh token that it was got with."""
        if isinstance(credentials, ServiceAccountCredentials):
            return await self._endpoint.assert_identity(credentials, credentials.subject or entry.address), None
        first: LoginRequired | None = None
        for refresh_token in _candidates(entry, credentials, stored):
            try:
                return await self._endpoint.refresh(credentials, refresh_token), refresh_token
            except LoginRequired as error:
                first = first or error
        assert first is not None
        raise first


def _candidates(entry: Entry, credentials: UserCredentials, stored: StoredToken | None) -> list[Secret]:
    """Refresh tokens in the order in which they are likely to live. The later ones are tried where the first is refused."""
    given = credentials.refresh_token
    ours = entry.refresh_token or given
    theirs = stored.refresh_token if stored is not None and stored.version >= entry.version else None
    if theirs is None:
        order = [ours, given]
    elif stored is not None and stored.origin == fingerprint(given):
        order = [theirs, ours, given]
    else:  # it stems from another login: an older one if the person has just logged in again, a newer one if somebody else has
        order = [ours, theirs]
    return list(dict.fromkeys(order))


def _origin(credentials: UserCredentials | ServiceAccountCredentials) -> str:
    return fingerprint(credentials.refresh_token) if isinstance(credentials, UserCredentials) else ""


def _remember(entry: Entry, credentials: UserCredentials | ServiceAccountCredentials, refresh_token: Secret | None, version: int) -> None:
    if entry.credentials is credentials and refresh_token is not None:  # else a new login came meanwhile
        entry.refresh_token, entry.version = refresh_token, version


def _obtained(reply: Reply, credentials: UserCredentials | ServiceAccountCredentials) -> Obtained:
    missing = [scope for scope in credentials.scopes if scope not in reply.scopes] if reply.scopes else []
    if missing:  # a mail server's refusal will not say why: https://developers.google.com/gmail/imap/xoauth2-protocol
        _log.warning("the token endpoint granted %s, but not %s: log in again if servers refuse the token", reply.scopes, missing)
    return Obtained(reply.access_token, reply.lifetime, reply.lifetime, reply.scopes or credentials.scopes, reply.token_type)


def store_key(entry: Entry) -> str:
    """What names an identity in a store: kind, address, client, scopes. Nothing secret."""
    return " ".join(str(part) for part in entry.identity)


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
