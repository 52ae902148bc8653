"""Who keeps a session open? One task that waits for its end, and opens the next one.

Replay is a loop, not a ledger: work is a coroutine function of a session, called again on the next session when the error
and the work's declared effect allow it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from aiogmail.errors import GmailError, StateError, TimedOut
from aiogmail.ports import Effect
from aiogmail.settings import Timeouts

from .backoff import Backoff
from .policy import decide, floor_of, may_reopen
from .states import Happening, State, next_state

__all__ = ["Session", "Supervisor"]

log = logging.getLogger("aiogmail.supervisor")

T = TypeVar("T")

_PATIENCE_AT_THE_DOOR = 1.0
_LIVED = 10.0
_SECOND_TRY_WITHIN = 0.2


class Session(Protocol):
    """What a supervisor needs to know of the sessions it opens."""

    @property
    def closed(self) -> asyncio.Future[GmailError]:
        """Done with the reason once the connection is gone. Never cancelled, never an exception."""
        ...

    def abort(self) -> None:
        """Drop the connection at once; what is buffered is not sent."""
        ...

    async def aclose(self) -> None:
        """Take leave politely, within the session's own deadline, then drop the connection."""
        ...


S = TypeVar("S", bound=Session)


class Supervisor(Generic[S]):
    """Keeps one session open and runs work on it.

    Args:
        open_session: opens, authenticates and prepares a session; called again after every loss.
        name: what log lines call it.
        timeouts: ``recover`` bounds how long work waits out an outage.
        backoff: delays between openings that fail.
    """

    def __init__(self, open_session: Callable[[], Awaitable[S]], *, name: str, timeouts: Timeouts, backoff: Backoff | None = None) -> None:
        self._open_session = open_session
        self._name = name
        self._timeouts = timeouts
        self._backoff = backoff if backoff is not None else Backoff()
        self._state = State.NEW
        self._session: S | None = None
        self._opened_at = 0.0
        self._useful = False
        self._error: GmailError | None = None
        self._task: asyncio.Task[None] | None = None
        self._change: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None
        self._running = 0
        self._sessions = 0

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._state

    @property
    def sessions(self) -> int:
        """Sessions opened so far."""
        return self._sessions

    @property
    def session(self) -> S | None:
        """The session that is open now, if one is."""
        return self._session if self._state is State.READY else None

    async def open(self) -> None:
        """Open the first session: at most two tries, and one where another cannot help.

        Raises:
            GmailError: what the last try failed with.

        Cancelled, it leaves nothing open.
        """
        self._move(Happening.OPEN)
        try:
            session = await self._first_session()
        except BaseException as error:
            self._error = error if isinstance(error, GmailError) else StateError(f"{self._name}: its opening was cancelled")
            if self._state is State.CONNECTING:
                self._move(Happening.GAVE_UP)
            raise
        self._connected(session)
        self._task = asyncio.create_task(self._supervise(), name=f"aiogmail supervisor of {self._name}")

    async def _first_session(self) -> S:
        try:
            return await self._open_session()
        except GmailError as error:
            if not may_reopen(error) or floor_of(error) > _PATIENCE_AT_THE_DOOR or self._state is not State.CONNECTING:
                raise
            log.info("%s: first try failed (%s), trying once more", self._name, error)
        await asyncio.sleep(_SECOND_TRY_WITHIN * self._backoff.uniform())
        return await self._open_session()

    async def run(self, work: Callable[[S], Awaitable[T]], effect: Effect) -> T:
        """Await ``work(session)``; again on the next session where error and effect allow it (:func:`.policy.decide`).

        Raises:
            GmailError: what the work failed with, when it may not or cannot be run again; what the last opening failed with,
                when no session came within ``Timeouts.recover``.
            StateError: the supervisor is closed.

        Cancelling it cancels the work; what that leaves on the connection is the session's to say.
        """
        replays = 0
        deadline: float | None = None
        self._running += 1
        try:
            while True:
                session = self.session
                if session is None or session.closed.done():
                    if deadline is None:
                        deadline = asyncio.get_running_loop().time() + self._timeouts.recover
                    session = await self._wait_for_session(deadline)
                try:
                    result = await work(session)
                except GmailError as error:
                    decision = decide(error, effect, replays)
                    if not decision.again:
                        raise
                    log.info("%s: again after %s", self._name, error)
                else:
                    if session is self._session:
                        self._useful = True
                    return result
                replays += 1
                if deadline is None:
                    deadline = asyncio.get_running_loop().time() + self._timeouts.recover
                if decision.delay:
                    await asyncio.sleep(decision.delay)
        finally:
            self._running -= 1
            self._notify()

    async def aclose(self, timeout: float | None = None) -> None:
        """End it: give running work ``timeout`` seconds (none by default), then close the session.

        Cancelled, it aborts the session instead and raises.
        """
        if self._ended is not None:
            await asyncio.wait([self._ended])
            return
        ended = self._ended = asyncio.get_running_loop().create_future()
        try:
            await self._close(timeout)
        finally:
            ended.set_result(None)

    async def _close(self, timeout: float | None) -> None:
        try:
            if timeout and self._running:
                await self._wait_for_work(timeout)
        finally:
            self._move(Happening.CLOSE)
            self._notify()
            session, self._session = self._session, None
            task, self._task = self._task, None
            try:
                if task is not None:
                    task.cancel()
                    await asyncio.wait([task])
                if session is not None and not session.closed.done():
                    await session.aclose()
            finally:
                if session is not None:
                    session.abort()
                self._move(Happening.ENDED)

    # -- the supervising task ------------------------------------------------------------------------------------------

    async def _supervise(self) -> None:
        while True:
            session = self._session
            assert session is not None
            await asyncio.wait([session.closed])
            reason = session.closed.result()
            self._lost(reason)
            if not may_reopen(reason):
                self._gave_up(reason)
                return
            if not await self._reopen():
                return

    def _lost(self, reason: GmailError) -> None:
        session, self._session = self._session, None
        lived = asyncio.get_running_loop().time() - self._opened_at
        if self._useful or lived >= _LIVED:
            self._backoff.reset()
        self._error = reason
        self._move(Happening.LOST)
        log.info("%s: session lost after %.1f s: %s", self._name, lived, reason)
        if session is not None:
            session.abort()

    async def _reopen(self) -> bool:
        """Open sessions until one stands. False: nobody but a person can help."""
        while True:
            error = self._error
            delay = self._backoff.next(floor_of(error) if error is not None else 0.0)
            if delay:
                log.info("%s: next try in %.1f s", self._name, delay)
                await asyncio.sleep(delay)
            self._move(Happening.RETRY)
            try:
                session = await self._open_session()
            except GmailError as failure:
                self._error = failure
                if not may_reopen(failure):
                    self._gave_up(failure)
                    return False
                self._move(Happening.REFUSED)
                log.info("%s: reconnecting failed: %s", self._name, failure)
            else:
                self._connected(session)
                return True

    def _gave_up(self, reason: GmailError) -> None:
        log.warning("%s: cannot reconnect: %s", self._name, reason)
        self._move(Happening.GAVE_UP)
        self._notify()

    def _connected(self, session: S) -> None:
        if self._state is not State.CONNECTING:
            session.abort()
            raise StateError(f"{self._name} was closed while it was being opened")
        self._session = session
        self._opened_at = asyncio.get_running_loop().time()
        self._useful = False
        self._sessions += 1
        self._move(Happening.CONNECTED)
        self._error = None
        log.info("%s: session %d opened", self._name, self._sessions)
        self._notify()

    async def _start_again(self) -> None:
        """The task of a supervisor that had given up: somebody wants a session again."""
        if await self._reopen():
            await self._supervise()

    # -- waiting ---------------------------------------------------------------------------------------------------------

    async def _wait_for_session(self, deadline: float) -> S:
        loop = asyncio.get_running_loop()
        if self._state is State.FAILED and (self._task is None or self._task.done()):
            self._backoff.reset()
            self._move(Happening.OPEN)
            self._move(Happening.REFUSED)
            self._task = asyncio.create_task(self._start_again(), name=f"aiogmail supervisor of {self._name}")
        while True:
            if self._state in (State.NEW, State.CLOSING, State.CLOSED):
                raise StateError(f"{self._name} is not open" if self._state is State.NEW else f"{self._name} is closed")
            if self._state is State.FAILED:
                assert self._error is not None
                raise self._error.replica()
            session = self.session
            if session is not None and not session.closed.done():
                return session
            await self._wait_for_change(deadline - loop.time())
            if loop.time() >= deadline and self.session is None:
                raise self._outage()

    def _outage(self) -> GmailError:
        waited = self._timeouts.recover
        if self._error is not None:
            return self._error.replica()
        return TimedOut(f"{self._name}: no session within {waited:g} s; raise Timeouts.recover to wait longer")

    async def _wait_for_change(self, timeout: float) -> None:
        if self._change is None or self._change.done():
            self._change = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._change], timeout=max(0.0, timeout))

    async def _wait_for_work(self, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self._running and (left := deadline - loop.time()) > 0:
            await self._wait_for_change(left)

    def _notify(self) -> None:
        if self._change is not None and not self._change.done():
            self._change.set_result(None)

    def _move(self, happening: Happening) -> None:
        self._state = next_state(self._state, happening)
