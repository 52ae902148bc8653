"""POP3 by itself, for those who want just that: a maildrop with its own tokens, on sessions that come and go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Self

from aiogmail.oauth import Credentials, TokenCache
from aiogmail.pop3.maildrop import Maildrop
from aiogmail.pop3.session import Pop3Session
from aiogmail.ports import Keeper
from aiogmail.settings import Settings
from aiogmail.supervisor import Supervisor

from .arguments import check_recent
from .base import Client

__all__ = ["Pop3Client"]


class Pop3Client(Maildrop, Client):
    """An account's mail as POP3 shows it: what :meth:`aiogmail.Gmail.pop3` gives, without a :class:`~aiogmail.Gmail` around it.

    ::

        async with Pop3Client("me@gmail.com", credentials) as pop:
            async for mail in pop.retrieve_new(seen=uidls):
                ...

    Args:
        address: the account's address.
        credentials: what access tokens are made from, such as :class:`~aiogmail.UserCredentials`.
        tokens: a cache shared with other clients; without it the client has its own.
        settings: servers, deadlines and bounds; the default is Gmail.
        recent: Gmail's recent mode: the last 30 days, also what was popped before.

    Raises:
        ConfigurationError: an address that is none, credentials that are none; at once, before any I/O.
    """

    def __init__(
        self,
        address: str,
        credentials: Credentials,
        *,
        tokens: TokenCache | None = None,
        settings: Settings | None = None,
        recent: bool = False,
    ) -> None:
        Client.__init__(self, address, credentials, tokens=tokens, settings=settings)
        check_recent(recent)
        Maildrop.__init__(self, connect=self._connect_pop3, keep=self._keep, limits=self.settings.limits, recent=recent)

    async def __aenter__(self) -> Self:
        """Open the first session; see :meth:`aiogmail.Maildrop.__aenter__`."""
        async with self._opening():
            return await super().__aenter__()

    async def aclose(self, timeout: float | None = None) -> None:
        """Commit, close, and close the token cache unless that was given; see :meth:`aiogmail.Maildrop.aclose`."""
        try:
            await super().aclose(timeout)
        finally:
            await self._close_tokens()

    async def drop(self) -> None:
        """Close without committing, and close the token cache unless that was given; see :meth:`aiogmail.Maildrop.drop`."""
        try:
            await super().drop()
        finally:
            await self._close_tokens()

    def _keep(self, open_session: Callable[[], Awaitable[Pop3Session]]) -> Keeper[Pop3Session]:
        return Supervisor(
            open_session,
            name=f"{self.address} POP3",
            timeouts=self.settings.timeouts,
            clock=self.settings.clock,
            budget=self.settings.budget,
            account=self.address,
            what="POP3",
        )

    async def _connect_pop3(self) -> Pop3Session:
        return await Pop3Session.open(self.address, self._account_credentials(), self.settings, recent=self._recent)

    def __repr__(self) -> str:
        return Client.__repr__(self)
