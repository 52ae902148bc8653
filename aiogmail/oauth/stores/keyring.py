"""Tokens in the desktop's keyring: Keychain, Credential Locker, Secret Service. The door to the keyring library."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

from aiogmail.errors import ConfigurationError

from .base import StoredToken, StoreUnavailable, from_json, to_json
from .worker import Worker

__all__ = ["KeyringTokenStore"]

_log = logging.getLogger("aiogmail.oauth")
T = TypeVar("T")

# Windows takes 2,560 bytes of UTF-16 for one secret.
_MOST = 1200


class KeyringTokenStore:
    """Keeps tokens in the keyring of the person who is logged in to the desktop.

    Guarantees: what the keyring guarantees for each single record; compare-and-set and leases within this object only. Two
    processes may refresh at the same time: with Google that costs one request, with a server that rotates refresh tokens use
    :class:`FileTokenStore`. An access token too long for a keyring is left out; it is refreshed at the next start.

    A keyring may ask the person to unlock it; its calls run in one thread of the event loop's default executor, one at a time.
    While one takes longer than five seconds the keyring counts as out of order.

    Args:
        service: the name under which the keyring lists the records.
        backend: a ``keyring.backend.KeyringBackend``; ``None``: the one that keyring chooses.

    Raises:
        ConfigurationError: the extra ``keyring`` is not installed; from its methods: there is no keyring on this machine.
    """

    def __init__(self, service: str = "aiogmail", *, backend: Any = None) -> None:
        try:
            self._keyring: Any = backend if backend is not None else import_module("keyring")
            self._errors: Any = import_module("keyring.errors")
        except ImportError as error:
            raise ConfigurationError(f"KeyringTokenStore needs keyring: pip install 'aiogmail[keyring]' ({error})") from None
        if not isinstance(service, str) or not service:
            raise ConfigurationError(f"service: expected a name, got {service!r}")
        self._service = service
        self._worker = Worker("keyring")
        self._leases: dict[str, object] = {}

    def __repr__(self) -> str:
        return f"KeyringTokenStore({self._service!r})"

    async def load(self, key: str) -> StoredToken | None:
        """See :class:`TokenStore`."""
        return await self._run(partial(self._load, key))

    async def save(self, key: str, token: StoredToken, *, replaces: int) -> bool:
        """See :class:`TokenStore`."""
        return await self._run(partial(self._save, key, token, replaces))

    async def acquire(self, key: str, ttl: float) -> object | None:  # noqa: ARG002 - known in this process only
        """See :class:`TokenStore`."""
        lease = object()
        return lease if self._leases.setdefault(key, lease) is lease else None

    async def release(self, key: str, lease: object) -> None:
        """See :class:`TokenStore`."""
        if self._leases.get(key) is lease:
            del self._leases[key]

    async def extend(self, key: str, lease: object, ttl: float) -> bool:  # noqa: ARG002 - leases of this process have no end
        """See :class:`TokenStore`."""
        return self._leases.get(key) is lease

    async def delete(self, key: str) -> None:
        """See :class:`TokenStore`."""
        await self._run(partial(self._delete, key))

    async def aclose(self) -> None:
        """Nothing is kept open."""

    async def _run(self, work: Callable[[], T]) -> T:
        outcome = await self._worker.run(partial(self._guarded, work))
        if isinstance(outcome, ConfigurationError | StoreUnavailable):
            raise outcome
        return outcome

    # In the executor

    def _guarded(self, work: Callable[[], T]) -> T | ConfigurationError | StoreUnavailable:
        """Errors are values, so that no frame of a keyring is in anybody's traceback."""
        try:
            return work()
        except self._errors.NoKeyringError:
            return ConfigurationError("KeyringTokenStore: this machine has no keyring; use FileTokenStore(path)")
        except Exception as error:  # noqa: BLE001 - backends raise what they like
            return StoreUnavailable(f"keyring: {type(error).__name__}: {error}")

    def _delete(self, key: str) -> None:
        if self._keyring.get_password(self._service, key) is not None:
            self._keyring.delete_password(self._service, key)

    def _load(self, key: str) -> StoredToken | None:
        text = self._keyring.get_password(self._service, key)
        if text is None:
            return None
        try:
            return from_json(text)
        except ValueError as error:
            _log.error("keyring: the record of %r is damaged (%s); it counts as none", key, error)
            self._keyring.set_password(self._service, f"{key} (damaged)", text)
            return None

    def _save(self, key: str, token: StoredToken, replaces: int) -> bool:
        current = self._load(key)
        if (0 if current is None else current.version) != replaces:
            return False
        text = json.dumps(to_json(token), separators=(",", ":"))
        if len(text) > _MOST:
            text = json.dumps(to_json(replace(token, access_token=None)), separators=(",", ":"))
        self._keyring.set_password(self._service, key, text)
        if self._keyring.get_password(self._service, key) != text:  # keyring's null backend, for one, keeps nothing
            raise StoreUnavailable("it does not give back what was stored in it")
        return True
