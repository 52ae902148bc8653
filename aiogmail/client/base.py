"""What do all clients have in common? An address, its credentials, and a cache of tokens: one that they were given, or their own."""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType

from aiogmail.errors import StateError
from aiogmail.oauth import Credentials, TokenCache
from aiogmail.settings import Settings

from .arguments import check_client
from .tokens import AccountCredentials

__all__ = ["Client"]


class Client(abc.ABC):
    """A client of one account, of whatever protocol: an async context manager that is opened once. Its arguments are those of every client."""

    def __init__(
        self, address: str, credentials: Credentials, *, tokens: TokenCache | None = None, settings: Settings | None = None
    ) -> None:
        self.settings = check_client(address, credentials, tokens, settings)
        self.address = address
        self._credentials = credentials
        self._given_tokens = tokens
        self._tokens: TokenCache | None = None
        self._was_opened = False

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, asyncio.CancelledError):
            self._abort()
        await self.aclose()

    def _abort(self) -> None:  # noqa: B027  most have nothing of the kind
        """Drop what would wait for a server's goodbye: who cancels does not want to."""

    @abc.abstractmethod
    async def aclose(self) -> None:
        """Close what is open, and the token cache unless that was given."""

    def _open_tokens(self) -> None:
        """From now on it has tokens.

        Raises:
            StateError: it was opened before.
        """
        if self._was_opened:
            raise StateError(f"{self.address}: already opened once; make another {type(self).__name__}")
        self._was_opened = True
        self._tokens = self._given_tokens or TokenCache(clock=self.settings.clock)

    async def _close_tokens(self) -> None:
        """From now on it has none; its own cache is closed."""
        tokens, self._tokens = self._tokens, None
        if tokens is not None and self._given_tokens is None:
            await tokens.aclose()

    @contextlib.asynccontextmanager
    async def _opening(self) -> AsyncIterator[AccountCredentials]:
        """Its credentials, for what is opened within. Where that fails it has no tokens any more.

        Raises:
            StateError: it was opened before.
        """
        self._open_tokens()
        try:
            yield self._account_credentials()
        except BaseException:
            await self._close_tokens()
            raise

    def _account_credentials(self) -> AccountCredentials:
        """What a session logs in with.

        Raises:
            StateError: it is closed.
        """
        if self._tokens is None:
            raise StateError(f"{self.address}: closed")
        return AccountCredentials(self.address, self._credentials, self._tokens, self.settings.mechanism)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"
