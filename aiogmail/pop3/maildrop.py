"""What does a user of POP3 hold? A maildrop that is looked into, retrieved from and changed, on sessions that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Self

from aiogmail.errors import ConfigurationError
from aiogmail.ports import Effect, Keeper
from aiogmail.settings import Limits

from .arrivals import Arrivals
from .committing import Commits, Open
from .download import PopDownload
from .models import PopStat
from .session import Pop3Session
from .wire import check_uidl

__all__ = ["Maildrop"]


class Maildrop:
    """An account's mail as POP3 shows it: an async context manager, made by :meth:`aiogmail.Gmail.pop3`.

    Messages are named by their UIDL, which stays the same from session to session; message numbers are not shown. On Gmail a session shows a
    window of the oldest 250 messages or so that were not popped yet.

    Leaving ``async with`` commits: QUIT, upon which deletions happen and Gmail counts what was retrieved as popped. Leaving it by an
    exception does not: the connection is dropped, and what was not committed before is shown again.

    Args:
        connect: opens a session.
        keep: makes the keeper that opens sessions and runs work on them.
        limits: bounds.
        recent: the sessions are of Gmail's recent mode.
    """

    def __init__(self, *, connect: Open, keep: Callable[[Open], Keeper[Pop3Session]], limits: Limits, recent: bool = False) -> None:
        self._commits = Commits(connect, keep, recent=recent)
        self._keeper = self._commits.keeper
        self._runner = self._commits.runner
        self._limits = limits
        self._recent = recent
        self._opened = False

    # -- life --------------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the first session.

        Raises:
            AccessDenied: POP is switched off, which Gmail says only after the login.
            ConnectFailed, AuthError, Unavailable: see :meth:`.session.Pop3Session.open`.
        """
        await self._keeper.open()
        self._opened = True
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            await self.aclose()
        else:
            await self.drop()

    async def aclose(self, timeout: float | None = None) -> None:
        """Commit what there is to commit, and close.

        Args:
            timeout: seconds for that; then the connection is dropped.

        Raises:
            OutcomeUnknown, TransportError, CommandError: see :meth:`commit`. It is closed all the same.
            TimeoutError: not done within ``timeout``.

        Cancelled, it drops the connection at once: what was not committed is not.
        """
        commits = self._commits
        if commits.is_closing:
            await self._keeper.aclose()
            return
        commits.is_closing = True
        try:
            if self._opened and commits.has_work:
                async with asyncio.timeout(timeout):
                    await commits.finish()
        finally:
            await self._keeper.aclose()

    async def drop(self) -> None:
        """Close without committing: nothing is deleted and nothing counts as popped since the last :meth:`commit`."""
        self._commits.is_closing = True
        self._commits.drop()
        await self._keeper.aclose()

    # -- looking -----------------------------------------------------------------------------------------------------------

    async def stat(self) -> PopStat:
        """How many messages there are, and their size: of the session's window, without those marked for deletion."""
        return await self._runner.run(Pop3Session.ask_stat, Effect.PURE)

    async def uidl(self) -> tuple[str, ...]:
        """The UIDLs of the messages, oldest first, as the session listed them when it began; :meth:`commit` begins another."""
        return tuple(await self.list())

    async def list(self) -> dict[str, int]:
        """UIDL → size in octets as the server counts them, oldest first; see :meth:`uidl`."""

        async def work(session: Pop3Session) -> dict[str, int]:
            return {uidl: session.sizes[uidl] for uidl in session.uidls}

        return await self._runner.run(work, Effect.PURE)

    async def top(self, uidl: str, lines: int = 0) -> bytes:
        """The header of a message and the first lines of its body.

        Args:
            uidl: which.
            lines: of the body; 0: the header alone.

        Raises:
            ConfigurationError: arguments that are none; before anything is sent.
            CommandError: there is no such message in this session, or the server has no TOP.
        """
        check_uidl(uidl)
        if isinstance(lines, bool) or not isinstance(lines, int) or not 0 <= lines < 10**9:
            raise ConfigurationError(f"lines: expected a number of lines from 0, got {lines!r}")
        return await self._runner.run(lambda session: session.top(uidl, lines), Effect.PURE)

    async def retrieve(self, uidl: str) -> bytes:
        """A whole message, dots unstuffed. On Gmail it counts as popped once the session ends well (:meth:`commit`).

        Raises:
            ConfigurationError: no UIDL.
            CommandError: there is no such message in this session.
            LimitExceeded: it is larger than ``Limits.literal``.
        """
        check_uidl(uidl)
        return await self._runner.run(lambda session: session.retrieve(uidl), Effect.PURE)

    def download(self, uidl: str) -> PopDownload:
        """The octets of a message as they arrive, for what is too large to hold.

        Returns:
            An async iterator of ``bytes``, and an async context manager.

        Raises:
            ConfigurationError: no UIDL.
        """
        return PopDownload(self._runner, check_uidl(uidl))

    def retrieve_new(self, seen: Collection[str] = ()) -> Arrivals:
        """The messages that are new, oldest first, each once: window after window, to the last.

        ::

            async for mail in pop.retrieve_new(seen=stored):
                save(mail)  # and mail.uidl with it
                stored.add(mail.uidl)

        A message is committed (Gmail counts it as popped and does not show it again) only after the loop has come back for the next one. So
        after a crash at any point those that were not saved are shown again, and those that were are in ``seen``: nothing is lost, and for
        who stores UIDLs nothing comes twice.

        Args:
            seen: UIDLs that need not come; asked with ``in`` as the listing is read, so it may grow meanwhile.

        Returns:
            An async iterator of :class:`PopMail`, and an async context manager.

        Raises:
            ConfigurationError: ``seen`` is no collection of UIDLs.
        """
        if isinstance(seen, str | bytes) or not hasattr(type(seen), "__contains__"):
            raise ConfigurationError(f"seen: expected a collection of UIDLs, got {type(seen).__name__}")
        return Arrivals(self._runner, self._commits, seen, self._limits.buffer)

    # -- changing ----------------------------------------------------------------------------------------------------------

    async def delete(self, *uidls: str) -> None:
        """Mark messages for deletion. They go when the session is committed, also after a reconnect in between.

        What a deletion does on Gmail is the account's setting ("When messages are accessed with POP").

        Raises:
            ConfigurationError: no UIDL.
            CommandError: there is no such message in this session; the others are marked. ``outcome`` is NOT_APPLIED.

        Cancelled, it costs the connection, and marks nothing.
        """
        if not uidls:
            raise ConfigurationError("uidls: expected at least one UIDL")
        await self._commits.mark([check_uidl(uidl) for uidl in uidls])

    async def reset(self) -> None:
        """Nothing is marked for deletion any more."""
        await self._commits.unmark()

    async def noop(self) -> None:
        """Ask for nothing: whether the session still lives, and that it may."""
        await self._runner.run(Pop3Session.noop, Effect.PURE)

    async def commit(self) -> tuple[str, ...]:
        """QUIT, and a new session: what is marked for deletion is deleted, what was retrieved counts as popped on Gmail.

        Where the answer to QUIT is lost, the next session's listing tells what became of it, and what is left is done again.

        Returns:
            The UIDLs that were marked and are gone.

        Raises:
            CommandError: the server refused; ``outcome`` says whether it is known that nothing was done.
            TransportError: no session could be opened within ``Timeouts.recover``; ``outcome`` is NOT_APPLIED.
            OutcomeUnknown: the answer to QUIT was lost, and so was the way to look what became of it.

        Cancelled, it drops the connection; the next :meth:`commit` finds out.
        """
        return await self._commits.commit()

    def __repr__(self) -> str:
        return f"Maildrop({len(self._commits.deletes)} to be deleted, {len(self._commits.journal)} to be popped)"
