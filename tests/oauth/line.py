"""One identity's line of refresh tokens: its entry, the store that it lies in, and a token endpoint that is a function."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from aiogmail.errors import LoginRequired
from aiogmail.oauth import MemoryTokenStore, StoredToken, TokenCache, UserCredentials
from aiogmail.oauth.entry import Entry
from aiogmail.oauth.refresh import store_key
from aiogmail.oauth.stores.base import fingerprint
from aiogmail.oauth.token import Reply
from aiogmail.secret import Secret

ME = "me@example.org"
STORED = StoredToken(5, fingerprint(Secret("1//given")), Secret("1//stored"), Secret("ya29.dead"), 0.0, 3600.0)


class Ledger:
    """A token endpoint as a function: which refresh tokens live, and what was asked."""

    def __init__(self, *alive):
        self.alive = set(alive)
        self.asked = []
        self.before = None

    async def refresh(self, credentials, refresh_token):
        self.asked.append(refresh_token.reveal())
        if self.before is not None:
            await self.before()
        if refresh_token.reveal() not in self.alive:
            raise LoginRequired(f"{refresh_token.reveal()} is dead", connection_lost=False)
        n = len(self.asked)
        return Reply(Secret(f"ya29.{n}"), 3600.0, Secret(f"1//next{n}"))


@dataclass
class Line:
    """What a test holds: the cache and what it stands on."""

    tokens: TokenCache
    ledger: Ledger
    entry: Entry
    store: MemoryTokenStore | None

    @property
    def key(self):
        """What names the identity in the store."""
        return store_key(self.entry)

    async def obtain(self):
        """The identity's next token."""
        return await self.tokens._refresher.obtain(self.entry, 60.0)

    def record(self):
        """What the store has; nothing but this line's."""
        (found,) = self.store._records.values()
        return found


@contextlib.asynccontextmanager
async def line(clock, *alive, stored=None, shared=True):
    """A cache whose endpoint knows the refresh tokens that are ``alive``. The identity logged in with ``1//given``."""
    store, ledger = MemoryTokenStore() if shared else None, Ledger(*alive)
    async with TokenCache(store, clock=clock) as tokens:
        tokens._refresher._endpoint.refresh = ledger.refresh
        at = Line(tokens, ledger, Entry(("user", ME, "c", "s"), ME, UserCredentials("c", "s", "1//given")), store)
        if stored is not None:
            store._records[at.key] = stored
        yield at
