"""Tokens in Redis, shared by processes and machines. The door to the redis library."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Awaitable
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiogmail.errors import ConfigurationError
from aiogmail.secret import Secret
from aiogmail.settings import is_loopback

from .base import Cipher, StoredToken, StoreUnavailable, from_json, to_json

__all__ = ["RedisTokenStore"]

_log = logging.getLogger("aiogmail.oauth")

# The version is a field of its own, so that the script compares it without reading the record.
_SAVE = """
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'data', ARGV[3])
return 1
"""
# By its very bytes: another process may have set it aside and written a good one meanwhile.
_SET_ASIDE = """
if redis.call('TYPE', KEYS[1])['ok'] == 'hash' and (redis.call('HGET', KEYS[1], 'data') or '') ~= ARGV[1] then return 0 end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('RENAME', KEYS[1], KEYS[2])
return 1
"""
_EXTEND = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisTokenStore:
    """Keeps tokens in Redis: one refresh in a whole fleet, whoever needs it first.

    Guarantees: compare-and-set (a script on the server) and a lease with a time limit, so that one process refreshes while the
    others wait for its result; the lease of a process that was killed runs out. A holder that outlives its lease cannot
    overwrite a newer record. What Redis itself loses is lost here: where the token server rotates refresh tokens, let Redis
    persist (``appendfsync always`` is the strict choice) and never evict. Records hold refresh tokens: guard that Redis like a
    password file, or give a ``cipher``.

    Args:
        url: ``rediss://…`` (TLS), ``unix://…``, or ``redis://`` to a loopback address. A private CA: ``?ssl_ca_certs=FILE``.
        prefix: of its keys; the rest is a hash of address, client and scopes.
        cipher: encrypts the records, such as ``cryptography.fernet.Fernet(key)``.
        timeout: seconds for one answer of Redis.

    Raises:
        ConfigurationError: the extra ``redis`` is not installed, or the URL would send tokens in clear or unverified.
    """

    def __init__(self, url: str, *, prefix: str = "aiogmail:", cipher: Cipher | None = None, timeout: float = 2.0) -> None:
        self._url = Secret(_check_url(url))  # it may hold a password
        try:
            self._redis: Any = import_module("redis")
            self._redis_asyncio: Any = import_module("redis.asyncio")
        except ImportError as error:
            raise ConfigurationError(f"RedisTokenStore needs redis: pip install 'aiogmail[redis]' ({error})") from None
        self._prefix = prefix
        self._cipher = cipher
        self._timeout = timeout
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"RedisTokenStore(prefix={self._prefix!r})"

    async def load(self, key: str) -> StoredToken | None:
        """See :class:`TokenStore`."""
        name = self._name(key)
        try:
            version, data = await self._ask(self._open().hmget(name, "version", "data"))
        except _WrongTypeError:
            version, data = b"", b""
        if version is None and data is None:
            return None
        plain = self._unseal(data)
        try:
            record = from_json(plain)
            if str(record.version).encode() != version:
                raise ValueError("its two versions differ")
        except ValueError as error:
            aside = f"{name}:damaged-{time.time_ns()}"
            if await self._ask(self._open().eval(_SET_ASIDE, 2, name, aside, data or b"")):
                _log.error("redis: the record of %r is damaged (%s); it counts as none, and is kept under another name", key, error)
            return None
        return record

    async def save(self, key: str, token: StoredToken, *, replaces: int) -> bool:
        """See :class:`TokenStore`."""
        data = json.dumps(to_json(token), separators=(",", ":")).encode()
        sealed = data if self._cipher is None else self._cipher.encrypt(data)
        return bool(await self._ask(self._open().eval(_SAVE, 1, self._name(key), str(replaces), str(token.version), sealed)))

    async def acquire(self, key: str, ttl: float) -> object | None:
        """See :class:`TokenStore`."""
        lease = secrets.token_hex(16)
        taken = await self._ask(self._open().set(f"{self._name(key)}:lease", lease, nx=True, px=max(1, round(ttl * 1000))))
        return lease if taken else None

    async def release(self, key: str, lease: object) -> None:
        """See :class:`TokenStore`."""
        await self._ask(self._open().eval(_RELEASE, 1, f"{self._name(key)}:lease", str(lease)))

    async def extend(self, key: str, lease: object, ttl: float) -> bool:
        """See :class:`TokenStore`."""
        return bool(await self._ask(self._open().eval(_EXTEND, 1, f"{self._name(key)}:lease", str(lease), max(1, round(ttl * 1000)))))

    async def delete(self, key: str) -> None:
        """See :class:`TokenStore`."""
        await self._ask(self._open().delete(self._name(key)))

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    def _name(self, key: str) -> str:
        return f"{self._prefix}{hashlib.sha256(key.encode()).hexdigest()[:40]}"

    def _unseal(self, data: bytes | None) -> bytes | None:
        if self._cipher is None or not data:
            return data
        try:
            return self._cipher.decrypt(data)
        except Exception:  # noqa: BLE001 - every cipher has its own errors
            unreadable = ConfigurationError("cipher: cannot decrypt a record in Redis; is it the key that it was written with?")
        raise unreadable

    def _open(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            retry = import_module("redis.asyncio.retry").Retry(import_module("redis.backoff").NoBackoff(), 1)
            self._client = self._redis_asyncio.Redis.from_url(
                self._url.reveal(),
                socket_timeout=self._timeout,
                socket_connect_timeout=self._timeout,
                retry=retry,  # once, for a connection that died idle; a store out of order is the cache's to wait for
            )
            self._loop = loop
        return self._client

    async def _ask(self, answer: Awaitable[Any]) -> Any:
        """One command; the library's errors become ours, without its frames."""
        try:
            return await answer
        except self._redis.ResponseError as error:
            trouble: Exception = _WrongTypeError() if str(error).startswith("WRONGTYPE") else StoreUnavailable(f"redis: {error}")
        except (self._redis.RedisError, OSError) as error:
            trouble = StoreUnavailable(f"redis: {type(error).__name__}: {error}")
        raise trouble


class _WrongTypeError(StoreUnavailable):
    """Something else is stored under our name."""


def _check_url(url: str) -> str:
    # Never shown: it may hold a password.
    try:
        parts = urlsplit(url)
        host, query = parts.hostname or "", parse_qs(parts.query)
    except (ValueError, AttributeError, TypeError):
        raise ConfigurationError("url: expected rediss://…, unix://… or redis:// to a loopback address") from None
    if parts.scheme == "redis" and not is_loopback(host or "localhost"):
        raise ConfigurationError(f"url: redis:// would send tokens to {host} in clear; use rediss://")
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ConfigurationError("url: expected rediss://…, unix://… or redis:// to a loopback address")
    if "host" in query:  # the library would connect there
        raise ConfigurationError("url: the host belongs before the path, not into the query")
    for option, needed in (("ssl_cert_reqs", "required"), ("ssl_check_hostname", "true")):
        if any(value.lower() != needed for value in query.get(option, [])):
            raise ConfigurationError(f"url: {option} must be {needed!r}; give a private CA with ?ssl_ca_certs=FILE instead")
    return url
