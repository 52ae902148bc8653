"""What does a user of POP3 hold? A maildrop on sessions that come and go, and what is to be committed to it.

POP3 commits by QUIT, and by nothing else: what was marked for deletion then goes, and Gmail then counts what was retrieved as popped and
shows the next window. Until then all of it is kept here, so that the session after a loss can be told again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from types import TracebackType
from typing import Self, TypeVar

from aiogmail.errors import CommandError, ConfigurationError, Disconnected, GmailError, OutcomeUnknown, StateError
from aiogmail.ports import Effect, Keeper, Outcome
from aiogmail.settings import Limits

from .arrivals import Arrivals
from .download import PopDownload
from .models import PopStat
from .session import Pop3Session
from .wire import check_uidl

__all__ = ["Maildrop"]

log = logging.getLogger("aiogmail.pop3")

_TRIES = 3

T = TypeVar("T")
Open = Callable[[], Awaitable[Pop3Session]]


class _Between:
    """Runs work between two commits: what comes while one is under way waits for the session after it."""

    def __init__(self, keeper: Keeper[Pop3Session], committing: asyncio.Lock) -> None:
        self._keeper = keeper
        self._committing = committing

    async def run(self, work: Callable[[Pop3Session], Awaitable[T]], effect: Effect) -> T:
        """See :meth:`aiogmail.ports.Runner.run`."""

        async def patient(session: Pop3Session) -> T:
            if self._committing.locked():
                # Else a walk or a download might ask for messages again before the QUIT, which would then pop what nobody took.
                async with self._committing:
                    pass
            if session.is_ending:
                await asyncio.wait([session.closed])
            return await work(session)

        return await self._keeper.run(patient, effect)

    async def pause(self, seconds: float) -> None:
        """See :meth:`aiogmail.ports.Runner.pause`."""
        await self._keeper.pause(seconds)


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
        self._connect = connect
        self._keeper = keep(self._open)
        self._committing = asyncio.Lock()
        self._runner = _Between(self._keeper, self._committing)
        self._limits = limits
        self._recent = recent
        self._session: Pop3Session | None = None
        self._deletes: dict[str, None] = {}
        self._journal: dict[str, None] = {}
        self._batch: int | None = None
        self._opened = self._closing = False

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
        if self._closing:
            await self._keeper.aclose()
            return
        self._closing = True
        try:
            if self._opened and self._has_work():
                async with asyncio.timeout(timeout):
                    await self._commit()
        finally:
            await self._keeper.aclose()

    async def drop(self) -> None:
        """Close without committing: nothing is deleted and nothing counts as popped since the last :meth:`commit`."""
        self._closing = True
        if self._session is not None and (self._session.retrieved or self._session.unclaimed or self._session.deleted):
            self._session.abort()
        await self._keeper.aclose()

    def _has_work(self) -> bool:
        session = self._session
        retrieved = session is not None and not session.closed.done() and (session.retrieved or session.deleted)
        return bool(self._deletes or self._journal or retrieved)

    async def _open(self) -> Pop3Session:
        """Open a session, and mark again what an earlier one had marked: its server has forgotten it (RFC 1939 section 6)."""
        session = await self._connect()
        self._learn(self._session)
        try:
            if marked := [uidl for uidl in self._deletes if uidl in session.sizes]:
                await session.delete(marked)
        except CommandError as error:
            log.info("marking again: %s", error)  # commit will try once more, and tell
        except BaseException:
            session.abort()
            raise
        self._session = session
        return session

    def _learn(self, before: Pop3Session | None) -> None:
        """How much is to be retrieved before it is committed: after a loss, half of what went well before it.

        A network that cuts every 100 messages would else let no window ever be committed.
        """
        if before is None:
            return
        if before.has_quit:
            if self._batch is not None:
                self._batch += max(1, self._batch // 8)
        elif before.retrieved:
            self._batch = max(1, len(before.retrieved) // 2)

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
        return Arrivals(self._runner, self, seen, self._limits.buffer)

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
        wanted = [check_uidl(uidl) for uidl in uidls]

        async def work(session: Pop3Session) -> None:
            try:
                await session.delete(wanted)
            except CommandError:
                self._marked(session, wanted)
                raise
            self._marked(session, wanted)  # also where the connection was lost right behind the last answer

        try:
            await self._runner.run(work, Effect.IDEMPOTENT)
        except GmailError as error:
            error.outcome, error.stage = Outcome.NOT_APPLIED, error.stage or "DELE"
            raise

    def _marked(self, session: Pop3Session, uidls: Collection[str]) -> None:
        """The caller is told that these of them are marked: from now on they are, whatever happens to the session."""
        self._deletes.update((uidl, None) for uidl in uidls if uidl in session.deleted)

    async def reset(self) -> None:
        """Nothing is marked for deletion any more."""
        before, self._deletes = self._deletes, {}
        try:
            await self._runner.run(Pop3Session.reset, Effect.PURE)
        except CommandError as error:
            self._deletes = before | self._deletes
            error.outcome, error.stage = Outcome.NOT_APPLIED, "RSET"
            raise

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
        if self._closing:
            raise StateError("the maildrop is closed")
        return await self._commit()

    # -- committing --------------------------------------------------------------------------------------------------------

    async def _commit(self) -> tuple[str, ...]:
        async with self._committing:
            wanted = tuple(self._deletes)
            tries = 0
            while True:
                try:
                    await self._keeper.run(self._quit, Effect.VERIFIABLE)
                except GmailError as error:
                    tries += 1
                    if not await self._is_settled(error, tries):
                        continue
                if not self._journal:
                    return wanted

    async def _quit(self, session: Pop3Session) -> None:
        """One session's commit: not more of the journal than is likely to succeed."""
        pops = self._pops(session)
        try:
            if pops and session.unclaimed:
                # Messages on the way to nobody would count as popped: that session must not end well.
                self._journal.update((uidl, None) for uidl in session.uidls if uidl in session.retrieved)
                self._session = None
                session.abort()
                raise Disconnected("the session has messages on the way that nobody took; committing in another")
            await session.delete(uidl for uidl in self._deletes if uidl in session.sizes)
            if pops:
                again = self._unpopped(session)[: self._batch]
                await session.retrieve_again(again)
                for uidl in again:
                    if uidl not in session.retrieved:
                        del self._journal[uidl]  # the server hands it out no more: nothing can pop it
        except GmailError as error:
            error.outcome, error.stage = Outcome.NOT_APPLIED, error.stage or "before QUIT"
            raise
        try:
            await session.quit()
        finally:
            if session.has_quit:  # also where the wait for it was cancelled
                self._committed(session)

    def _committed(self, session: Pop3Session) -> None:
        for uidl in session.deleted:
            self._deletes.pop(uidl, None)
        self._deletes = {uidl: None for uidl in self._deletes if uidl in session.sizes}
        left = frozenset(self._unpopped(session) if self._pops(session) else ())
        self._journal = {uidl: None for uidl in self._journal if uidl in left}
        if not self._closing or self._journal:
            session.abort()  # now its keeper opens the next

    async def _is_settled(self, error: GmailError, tries: int) -> bool:
        """Whether the QUIT that failed has done its work all the same. False: it has not, and may be said again."""
        if error.outcome is not Outcome.UNKNOWN:
            error.outcome, error.stage = Outcome.NOT_APPLIED, error.stage or "before QUIT"
            raise error
        if self._session is not None:
            self._session.abort()
        try:
            left = await self._keeper.run(self._left, Effect.PURE)
        except GmailError as blind:
            evidence = {"QUIT": str(error), "the session after it": str(blind)}
            raise OutcomeUnknown(
                f"the answer to QUIT was lost, and no session could be opened to look: {blind}", stage="QUIT", evidence=evidence
            ) from error
        if left and tries >= _TRIES:
            error.outcome = Outcome.NOT_APPLIED
            raise error
        return not left

    async def _left(self, session: Pop3Session) -> int:
        """What the listing of a new session says of what was to be committed; what is gone from it is done."""
        self._deletes = {uidl: None for uidl in self._deletes if uidl in session.sizes}
        left = frozenset(self._unpopped(session) if self._pops(session) else ())
        self._journal = {uidl: None for uidl in self._journal if uidl in left}
        return len(self._deletes) + len(self._journal)

    # -- for the walk over new messages ------------------------------------------------------------------------------------

    def _pops(self, session: Pop3Session) -> bool:
        return session.is_gmail and not self._recent

    def _unpopped(self, session: Pop3Session) -> tuple[str, ...]:
        """What was handed over in an earlier session and is still to be popped."""
        gone = session.retrieved | session.deleted
        return tuple(uidl for uidl in self._journal if uidl in session.sizes and uidl not in gone)

    def pops(self, session: Pop3Session) -> bool:
        """Whether what is retrieved in this session and committed is not shown again."""
        return self._pops(session)

    def is_behind(self, session: Pop3Session) -> bool:
        """Whether something handed over earlier must be committed first."""
        return self._pops(session) and bool(self._unpopped(session))

    def wants_commit(self, session: Pop3Session) -> bool:
        """Whether there is anything that a loss of this session would undo."""
        return self._pops(session) or bool(self._deletes)

    @property
    def batch(self) -> int | None:
        """How many messages to retrieve before they are committed; ``None``: as many as there are."""
        return self._batch

    def is_noted(self, uidl: str) -> bool:
        """Whether somebody has this message, and it is not popped yet."""
        return uidl in self._journal

    def note(self, uidl: str) -> None:
        """The journal: somebody has this message; it is to be popped."""
        self._journal[uidl] = None

    def __repr__(self) -> str:
        return f"Maildrop({len(self._deletes)} to be deleted, {len(self._journal)} to be popped)"
