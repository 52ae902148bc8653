"""Which connection is an account's own work done on? One that no mailbox is selected on, opened when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiogmail.errors import StateError
from aiogmail.imap.session import ImapSession
from aiogmail.ports import Effect, Keeper

__all__ = ["Shared"]

T = TypeVar("T")


class Shared:
    """A runner on one session for all who ask.

    Args:
        make: what keeps the session; called again if it could not be opened.
    """

    def __init__(self, make: Callable[[], Keeper[ImapSession]]) -> None:
        self._make = make
        self._keeper: Keeper[ImapSession] | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def run(self, work: Callable[[ImapSession], Awaitable[T]], effect: Effect) -> T:
        """As :meth:`aiogmail.ports.Runner.run`; the first who asks opens the session, with the errors of that."""
        async with self._opening:
            if self._closed:
                raise StateError("the account is closed")
            if self._keeper is None:
                keeper = self._keeper = self._make()
                try:
                    await keeper.open()
                except BaseException:
                    self._keeper = None
                    raise
            keeper = self._keeper
        return await keeper.run(work, effect)

    async def aclose(self, timeout: float | None = None) -> None:
        """Close the session, if one was opened; nothing is run any more."""
        self._closed = True
        if self._keeper is not None:
            await self._keeper.aclose(timeout)
