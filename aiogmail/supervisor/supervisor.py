"""Who runs work on a session that comes and goes? Each piece on the session there is, and again on the next where that is right.

Replay is a loop, not a ledger: work is a coroutine function of a session, called again on the next session when the error
and the work's declared effect allow it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from aiogmail.errors import GmailError, StateError, TimedOut
from aiogmail.ports import Effect

from . import events
from .keeping import Keeping
from .opening import Session
from .policy import decide
from .states import State

__all__ = ["Session", "Supervisor"]

S = TypeVar("S", bound=Session)
T = TypeVar("T")


class Supervisor(Keeping[S]):
    """Keeps one session open and runs work on it.

    Arguments as those of :class:`.keeping.Keeping`.
    """

    @property
    def running(self) -> int:
        """Pieces of work under way, those that wait for a session among them."""
        return self._running.total()

    async def run(self, work: Callable[[S], Awaitable[T]], effect: Effect) -> T:
        """Await ``work(session)``; again on the next session where error and effect allow it (:func:`.policy.decide`).

        Raises:
            GmailError: what the work failed with, when it may not or cannot be run again; what the last opening failed with,
                when no session came within ``Timeouts.recover``.
            StateError: the supervisor is closed.

        Cancelling it cancels the work; what that leaves on the connection is the session's to say.
        """
        loop = asyncio.get_running_loop()
        replays = 0
        deadline: float | None = None
        while True:
            session = self.session
            if session is None or session.closed.done() or self._was_asleep():
                deadline = deadline or loop.time() + self._timeouts.recover
                session = await self._wait_for_session(deadline)
            began = loop.time()
            try:
                return await self._run_on(session, work)
            except GmailError as error:
                if loop.time() - began >= self._timeouts.recover:
                    replays, deadline = 0, None  # it worked for long: this is a new story
                superseded = id(session) == self._superseded_id
                decision = decide(error, effect, 0 if superseded else replays)
                deadline = deadline or loop.time() + self._timeouts.recover
                if not decision.again or loop.time() + decision.delay > deadline:
                    raise
                failed = error
                self._tell(events.Replayed, str(error), effect=effect.value)
            if superseded:
                deadline = None
            else:
                replays += 1
            if decision.delay:
                with self.busy():
                    await self.pause(decision.delay, failed)
            del failed  # else it would live until a garbage collection

    async def _run_on(self, session: S, work: Callable[[S], Awaitable[T]]) -> T:
        with self._counted(id(session)):
            result = await work(session)
        if session is self._session:
            self._useful = True
        return result

    async def pause(self, seconds: float, failed: GmailError | None = None) -> None:
        """See :meth:`aiogmail.ports.Runner.pause`. What is closing lets a pause end that is over before running work has to end.

        Raises:
            StateError: it is closed, or closing; ``outcome`` and ``stage`` are those of ``failed``, which the pause is for.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        await asyncio.sleep(0)  # also where it is for no time at all, what just failed comes to its end
        while (left := until - loop.time()) > 0:
            if failed is not None and until > self._closes_at:
                words = f"{self._name} was closed while this waited to be tried again"
                raise StateError(words, outcome=failed.outcome, stage=failed.stage) from failed
            self._check_open()
            await self._wait_for_change(left)
        self._check_open()

    def busy(self) -> contextlib.AbstractContextManager[None]:
        """See :meth:`aiogmail.ports.Keeper.busy`."""
        return self._counted(0)

    @contextlib.contextmanager
    def _counted(self, where: int) -> Iterator[None]:
        self._running[where] += 1
        try:
            yield
        finally:
            self._running[where] -= 1
            if not self._running[where]:
                del self._running[where]
            self._notify()

    def _check_open(self) -> None:
        if self._state in (State.NEW, State.CLOSING, State.CLOSED):
            raise StateError(f"{self._name} is not open" if self._state is State.NEW else f"{self._name} is closed")

    async def aclose(self, timeout: float | None = None) -> None:
        """End it: give running work ``timeout`` seconds (none by default), then close the session.

        Cancelled, it aborts the session instead and raises.
        """
        if self._ended is not None:
            await asyncio.wait([self._ended])
            return
        loop = asyncio.get_running_loop()
        ended = self._ended = loop.create_future()
        self._closes_at = loop.time() + (timeout or 0.0)
        self._notify()
        try:
            await self._close(timeout)
        finally:
            ended.set_result(None)

    async def _close(self, timeout: float | None) -> None:
        try:
            if timeout and self.running:
                await self._wait_for_work(timeout)
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            await self._end()

    # -- waiting ----------------------------------------------------------------------------------------------------------

    async def _wait_for_session(self, deadline: float) -> S:
        loop = asyncio.get_running_loop()
        self._revive()
        with self.busy():
            while True:
                self._check_open()
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

    async def _wait_for_work(self, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self.running and (left := deadline - loop.time()) > 0:
            await self._wait_for_change(left)
