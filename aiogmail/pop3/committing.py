"""What is to be committed, and was it? Deletions and pops, kept from session to session until a QUIT has done them.

POP3 commits by QUIT, and by nothing else: what was marked for deletion then goes, and Gmail then counts what was retrieved as popped and
shows the next window. Until then all of it is kept here, so that the session after a loss can be told again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from aiogmail.errors import CommandError, Disconnected, GmailError, OutcomeUnknown, StateError
from aiogmail.ports import Effect, Keeper, Outcome

from .session import Pop3Session

__all__ = ["Commits", "Open"]

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


class Commits:
    """What one maildrop is to commit, on sessions that come and go.

    Args:
        connect: opens a session.
        keep: makes the keeper that opens sessions and runs work on them.
        recent: the sessions are of Gmail's recent mode: nothing is popped.

    Attributes:
        keeper: keeps the session.
        runner: runs work on it, between two commits.
        deletes: the UIDLs that are marked for deletion.
        journal: those that somebody has, and that are still to be popped.
        batch: how many messages to retrieve before they are committed; ``None``: as many as there are.
        is_closing: no session is wanted behind the next commit, and no commit but :meth:`finish`.
    """

    def __init__(self, connect: Open, keep: Callable[[Open], Keeper[Pop3Session]], *, recent: bool) -> None:
        self._connect = connect
        self._committing = asyncio.Lock()
        self._recent = recent
        self._session: Pop3Session | None = None
        self.keeper = keep(self._open)
        self.runner = _Between(self.keeper, self._committing)
        self.deletes: dict[str, None] = {}
        self.journal: dict[str, None] = {}
        self.batch: int | None = None
        self.is_closing = False

    # -- sessions ----------------------------------------------------------------------------------------------------------

    async def _open(self) -> Pop3Session:
        """Open a session, and mark again what an earlier one had marked: its server has forgotten it (RFC 1939 section 6)."""
        session = await self._connect()
        self._learn(self._session)
        try:
            if marked := [uidl for uidl in self.deletes if uidl in session.sizes]:
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
            if self.batch is not None:
                self.batch += max(1, self.batch // 8)
        elif before.retrieved:
            self.batch = max(1, len(before.retrieved) // 2)

    def drop(self) -> None:
        """The session must not end well: what is uncommitted stays so."""
        session = self._session
        if session is not None and (session.retrieved or session.unclaimed or session.deleted):
            session.abort()

    # -- marking -----------------------------------------------------------------------------------------------------------

    async def mark(self, uidls: Collection[str]) -> None:
        """Mark messages for deletion; see :meth:`.maildrop.Maildrop.delete`."""

        async def work(session: Pop3Session) -> None:
            try:
                await session.delete(uidls)
            except CommandError:
                self._marked(session, uidls)
                raise
            self._marked(session, uidls)  # also where the connection was lost right behind the last answer

        try:
            await self.runner.run(work, Effect.IDEMPOTENT)
        except GmailError as error:
            error.outcome, error.stage = Outcome.NOT_APPLIED, error.stage or "DELE"
            raise

    def _marked(self, session: Pop3Session, uidls: Collection[str]) -> None:
        """The caller is told that these of them are marked: from now on they are, whatever happens to the session."""
        self.deletes.update((uidl, None) for uidl in uidls if uidl in session.deleted)

    async def unmark(self) -> None:
        """Nothing is marked for deletion any more."""
        before, self.deletes = self.deletes, {}
        try:
            await self.runner.run(Pop3Session.reset, Effect.PURE)
        except CommandError as error:
            self.deletes = before | self.deletes
            error.outcome, error.stage = Outcome.NOT_APPLIED, "RSET"
            raise

    # -- committing --------------------------------------------------------------------------------------------------------

    @property
    def has_work(self) -> bool:
        """Whether there is anything to commit."""
        session = self._session
        retrieved = session is not None and not session.closed.done() and (session.retrieved or session.deleted)
        return bool(self.deletes or self.journal or retrieved)

    async def commit(self) -> tuple[str, ...]:
        """QUIT, and a new session; see :meth:`.maildrop.Maildrop.commit`."""
        if self.is_closing:
            raise StateError("the maildrop is closed")
        return await self.finish()

    async def finish(self) -> tuple[str, ...]:
        """As :meth:`commit`, also while the maildrop is closed."""
        async with self._committing:
            wanted = tuple(self.deletes)
            tries = 0
            while True:
                try:
                    await self.keeper.run(self._quit, Effect.VERIFIABLE)
                except GmailError as error:
                    tries += 1
                    if not await self._is_settled(error, tries):
                        continue
                if not self.journal:
                    return wanted

    async def _quit(self, session: Pop3Session) -> None:
        """One session's commit: not more of the journal than is likely to succeed."""
        pops = self.pops(session)
        try:
            if pops and session.unclaimed:
                # Messages on the way to nobody would count as popped: that session must not end well.
                self.journal.update((uidl, None) for uidl in session.uidls if uidl in session.retrieved)
                self._session = None
                session.abort()
                raise Disconnected("the session has messages on the way that nobody took; committing in another")
            await session.delete(uidl for uidl in self.deletes if uidl in session.sizes)
            if pops:
                again = self._unpopped(session)[: self.batch]
                await session.retrieve_again(again)
                for uidl in again:
                    if uidl not in session.retrieved:
                        del self.journal[uidl]  # the server hands it out no more: nothing can pop it
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
            self.deletes.pop(uidl, None)
        self._strike(session)
        if not self.is_closing or self.journal:
            session.abort()  # now its keeper opens the next

    async def _is_settled(self, error: GmailError, tries: int) -> bool:
        """Whether the QUIT that failed has done its work all the same. False: it has not, and may be said again."""
        if error.outcome is not Outcome.UNKNOWN:
            error.outcome, error.stage = Outcome.NOT_APPLIED, error.stage or "before QUIT"
            raise error
        if self._session is not None:
            self._session.abort()
        try:
            left = await self.keeper.run(self._left, Effect.PURE)
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
        """What the listing of a new session says of what was to be committed: how much is left."""
        self._strike(session)
        return len(self.deletes) + len(self.journal)

    def _strike(self, session: Pop3Session) -> None:
        """What a session does not show any more is done."""
        self.deletes = {uidl: None for uidl in self.deletes if uidl in session.sizes}
        left = frozenset(self._unpopped(session) if self.pops(session) else ())
        self.journal = {uidl: None for uidl in self.journal if uidl in left}

    # -- for the walk over new messages ------------------------------------------------------------------------------------

    def _unpopped(self, session: Pop3Session) -> tuple[str, ...]:
        """What was handed over in an earlier session and is still to be popped."""
        gone = session.retrieved | session.deleted
        return tuple(uidl for uidl in self.journal if uidl in session.sizes and uidl not in gone)

    def pops(self, session: Pop3Session) -> bool:
        """Whether what is retrieved in this session and committed is not shown again."""
        return session.is_gmail and not self._recent

    def is_behind(self, session: Pop3Session) -> bool:
        """Whether something handed over earlier must be committed first."""
        return self.pops(session) and bool(self._unpopped(session))

    def wants_commit(self, session: Pop3Session) -> bool:
        """Whether there is anything that a loss of this session would undo."""
        return self.pops(session) or bool(self.deletes)

    def is_noted(self, uidl: str) -> bool:
        """Whether somebody has this message, and it is not popped yet."""
        return uidl in self.journal

    def note(self, uidl: str) -> None:
        """The journal: somebody has this message; it is to be popped."""
        self.journal[uidl] = None
