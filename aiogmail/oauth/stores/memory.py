"""Tokens shared by several caches of one process, and gone with it."""

from __future__ import annotations

from .base import StoredToken

__all__ = ["MemoryTokenStore"]


class MemoryTokenStore:
    """Shares tokens between caches of one process: of several event loops, or of one after another.

    Guarantees: compare-and-set and leases within the process. Nothing outlives it; where the server rotates refresh tokens,
    use a store that does.
    """

    def __init__(self) -> None:
        self._records: dict[str, StoredToken] = {}
        self._leases: dict[str, object] = {}

    def __repr__(self) -> str:
        return f"MemoryTokenStore({len(self._records)} identities)"

    async def load(self, key: str) -> StoredToken | None:
        """See :class:`TokenStore`."""
        return self._records.get(key)

    async def save(self, key: str, token: StoredToken, *, replaces: int) -> bool:
        """See :class:`TokenStore`."""
        current = self._records.get(key)
        if (current.version if current is not None else 0) != replaces:
            return False
        self._records[key] = token
        return True

    async def acquire(self, key: str, ttl: float) -> object | None:  # noqa: ARG002 - a dead process has no memory to hold one in
        """See :class:`TokenStore`. The lease ends by :meth:`release` only, which the cache calls whatever happens."""
        lease = object()
        return lease if self._leases.setdefault(key, lease) is lease else None

    async def release(self, key: str, lease: object) -> None:
        """See :class:`TokenStore`."""
        if self._leases.get(key) is lease:
            del self._leases[key]

    async def extend(self, key: str, lease: object, ttl: float) -> bool:  # noqa: ARG002 - as above
        """See :class:`TokenStore`."""
        return self._leases.get(key) is lease

    async def delete(self, key: str) -> None:
        """See :class:`TokenStore`."""
        self._records.pop(key, None)

    async def aclose(self) -> None:
        """Nothing to give up: the records stay."""
