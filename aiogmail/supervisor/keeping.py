"""Who keeps a session open? One task that waits for its end and opens the next one: ahead of that end, where it is known."""

from __future__ import annotations

import asyncio
import logging
import math
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from aiogmail.clock import Clock, SystemClock
from aiogmail.errors import GmailError, StateError
from aiogmail.settings import Budget, Timeouts

from . import events
from .backoff import Backoff
from .expiry import Drift, due_at
from .opening import Opening, Session, Turn, ask, expiry_of, retire
from .policy import floor_of, may_reopen
from .states import OPEN_STATES, Happening, State, next_state

__all__ = ["Keeping"]

log = logging.getLogger("aiogmail.supervisor")

S = TypeVar("S", bound=Session)

_PATIENCE_AT_THE_DOOR = 1.0
_LIVED = 10.0
_SECOND_TRY_WITHIN = 0.2
_LOOK = 30.0
"""The task never sleeps longer: timers do not count while the machine is suspended."""
_SHORTEST = 0.01
_LINGER = 60.0
"""How long after its end is due a session that was superseded may work on."""


class Keeping(Generic[S]):
    """Keeps one session open. What runs on it is :class:`.supervisor.Supervisor`'s.

    Args:
        open_session: opens, authenticates and prepares a session; called again after every loss, and before every expiry.
        name: what log lines call it.
        timeouts: ``recover`` bounds how long work waits out an outage, ``probe`` the answer to a probe.
        backoff: delays between openings that fail.
        clock: what ``expires_at`` of sessions is a reading of.
        budget: when a session may be opened; without it, one of its own.
        account: what the budget counts by, and whose events these are.
        what: what its events say that it is: a mailbox, or a protocol.
        rotate: whether a session's successor is opened before it expires.
        turn: shared by supervisors that are not to rotate at the same time.
        reopens: whether a session that was lost with this error can be opened again.
        on_event: called with what happens.
    """

    def __init__(
        self,
        open_session: Callable[[], Awaitable[S]],
        *,
        name: str,
        timeouts: Timeouts,
        backoff: Backoff | None = None,
        clock: Clock | None = None,
        budget: Budget | None = None,
        account: str = "",
        what: str = "",
        rotate: bool = True,
        turn: Turn | None = None,
        reopens: Callable[[GmailError], bool] = may_reopen,
        on_event: Callable[[events.ConnectionEvent], None] | None = None,
    ) -> None:
        self._budget = budget if budget is not None else Budget()
        self._opening: Opening[S] = Opening(open_session, self._budget, account)
        self._name = name
        self._account = account
        self.what = what
        self._timeouts = timeouts
        self._backoff = backoff if backoff is not None else Backoff()
        self._rotations = self._backoff.another()
        self._clock = clock if clock is not None else SystemClock()
        self._rotate_ahead = rotate
        self._turn = turn if turn is not None else Turn()
        self._reopens = reopens
        self._on_event = on_event
        self._state = State.NEW
        self._session: S | None = None
        self._opened_at = 0.0
        self._due_at = math.inf
        self._not_before = 0.0
        self._useful = False
        self._doubted = False
        self._drift: Drift | None = None
        self._error: GmailError | None = None
        self._task: asyncio.Task[Any] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._superseded: S | None = None
        self._superseded_id = 0
        self._change: asyncio.Future[None] | None = None
        self._attention: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None
        self._closes_at = math.inf
        """When running work has to end, once it is being closed."""
        self._running: Counter[int] = Counter()
        """Pieces of work under way by the identity of the session that they run on; 0: those that wait for one."""
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
        """The session that is open now and can be relied on, if one is."""
        return self._session if self._state in OPEN_STATES and not self._doubted else None

    @property
    def error(self) -> GmailError | None:
        """Why there is no session, while there is none."""
        return self._error

    async def open(self) -> None:
        """Open the first session: at most two tries, and one where another cannot help.

        Raises:
            GmailError: what the last try failed with.
            StateError: it was closed meanwhile.

        Cancelled, it leaves nothing open.
        """
        self._move(Happening.OPEN)
        first = asyncio.create_task(self._first_session(), name=f"aiogmail supervisor of {self._name}: first")
        self._task = first  # who closes it meanwhile ends it
        try:
            await asyncio.wait([first])
        except asyncio.CancelledError:
            first.cancel()
            await asyncio.wait([first])
            _drop(first)
            self._not_opened(StateError(f"{self._name}: its opening was cancelled"))
            raise
        if first.cancelled():
            raise self._closed_early()
        try:
            session = first.result()
        except BaseException as error:
            self._not_opened(error if isinstance(error, GmailError) else StateError(f"{self._name}: its opening failed"))
            raise
        finally:
            del first  # else an error of its would live until a garbage collection
        self._connected(session)
        self._start()

    def _not_opened(self, error: GmailError) -> None:
        self._error = error
        if self._state is State.CONNECTING:
            self._task = None
            self._move(Happening.GAVE_UP)

    def _closed_early(self) -> StateError:
        return StateError(f"{self._name} was closed while it was being opened")

    async def _first_session(self) -> S:
        try:
            return await self._opening.open()
        except GmailError as error:
            if not may_reopen(error) or floor_of(error) > _PATIENCE_AT_THE_DOOR or self._state is not State.CONNECTING:
                raise
            log.info("%s: first try failed (%s), trying once more", self._name, error)
        await asyncio.sleep(_SECOND_TRY_WITHIN * self._backoff.uniform())
        return await self._opening.open()

    def abort(self) -> None:
        """Drop the session at once, before ``aclose``, which then takes no leave."""
        for session in (self._session, self._superseded):
            if session is not None:
                session.abort()

    async def _end(self) -> None:
        """Close whatever is open, and end the tasks that open it."""
        self._move(Happening.CLOSE)
        self._notify()
        sessions = [one for one in (self._session, self._superseded) if one is not None]
        tasks = [task for task in (self._task, self._leaving) if task is not None]
        self._session = self._superseded = self._task = None
        try:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            await asyncio.gather(*(session.aclose() for session in sessions if not session.closed.done()))
        finally:
            for session in sessions:
                session.abort()
            self._move(Happening.ENDED)

    def _revive(self) -> None:
        """Somebody wants a session: where none can be had until somebody changes something, perhaps somebody has."""
        if self._state is State.FAILED and (self._task is None or self._task.done()):
            self._backoff.reset()
            self._not_before = 0.0
            self._move(Happening.OPEN)
            self._move(Happening.REFUSED)
            self._start()

    # -- the supervising task ------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._task = asyncio.create_task(self._supervise(), name=f"aiogmail supervisor of {self._name}")

    async def _supervise(self) -> None:
        try:
            await self._keep()
        except Exception as error:
            if self._state in (State.CLOSING, State.CLOSED):
                raise
            where = "".join(traceback.format_tb(error.__traceback__))  # lines only: neither values nor the error's own words
            log.error("%s: the supervisor broke: %s\n%s", self._name, type(error).__name__, where)  # noqa: TRY400  see above
            self._broke(GmailError(f"{self._name}: the supervisor broke: {type(error).__name__}"))

    async def _keep(self) -> None:
        while self._state is not State.FAILED:
            session = self._session
            if session is None:
                await self._reopen()
                continue
            await self._doze(session)
            if session.closed.done():
                self._lost(session)
            elif self._doubted or self._was_asleep():
                await self._probe(session)
            elif self._clock.now() >= self._due_at:
                await self._rotate(session)

    async def _doze(self, session: S) -> None:
        """Until the session is lost, its successor is due, somebody doubts it, or it is time to look at the clock."""
        if self._doubted:
            return  # since it was last looked at: while a successor was opened
        loop = asyncio.get_running_loop()
        until = self._due_at - self._clock.now()
        if self._state is State.EXPIRING:
            until = self._not_before - loop.time()
        attention = self._attention = loop.create_future()
        waits: list[asyncio.Future[Any]] = [session.closed, attention]
        if self._leaving is not None:
            until = _LOOK
            waits.append(self._leaving)
        await asyncio.wait(waits, timeout=max(_SHORTEST, min(_LOOK, until)), return_when=asyncio.FIRST_COMPLETED)
        if self._leaving is not None and self._leaving.done():
            self._leaving = None

    def _lost(self, session: S) -> None:
        """The session is gone. If nobody but a person can help, that is the end of it."""
        reason = session.closed.result()
        self._session = None
        lived = asyncio.get_running_loop().time() - self._opened_at
        if self._useful or lived >= _LIVED:
            self._backoff.reset()
        self._error = reason
        self._move(Happening.LOST)
        session.abort()
        self._tell(events.Lost, str(reason), lived=lived)
        if self._reopens(reason):
            self._not_before = asyncio.get_running_loop().time() + self._budget.lost()
        else:
            self._gave_up(reason)

    async def _reopen(self) -> None:
        """Open sessions until one stands, or nobody but a person can help."""
        loop = asyncio.get_running_loop()
        while True:
            error = self._error
            delay = max(self._backoff.next(floor_of(error) if error is not None else 0.0), self._not_before - loop.time())
            if delay > 0:
                self._tell(events.Retrying, str(error or ""), delay=delay)
                await asyncio.sleep(delay)
            self._move(Happening.RETRY)
            try:
                session = await self._opening.open()
            except GmailError as failure:
                if not self._refused(failure):
                    return
            else:
                self._connected(session)
                return

    def _refused(self, failure: GmailError) -> bool:
        """An opening failed while there was no session; whether another is to be tried."""
        self._error = failure
        if not self._reopens(failure):
            self._gave_up(failure)
            return False
        self._move(Happening.REFUSED)
        return True

    def _gave_up(self, reason: GmailError) -> None:
        self._move(Happening.GAVE_UP)
        self._tell(events.Failed, str(reason))
        self._notify()

    def _broke(self, reason: GmailError) -> None:
        """What nobody foresaw must reach who waits for a session, not the void."""
        session, self._session = self._session, None
        if session is not None:
            session.abort()
        self._error = reason
        self._move(Happening.BROKE)
        self._tell(events.Failed, str(reason))
        self._notify()

    def _connected(self, session: S) -> None:
        if self._state not in (State.CONNECTING, State.ROTATING):
            session.abort()
            raise self._closed_early()
        loop = asyncio.get_running_loop()
        rotated = self._state is State.ROTATING
        self._session = session
        if id(session) == self._superseded_id:
            self._superseded_id = 0
        self._opened_at = loop.time()
        self._useful = self._doubted = False
        now = self._clock.now()
        self._drift = Drift(now, loop.time())
        self._due_at = due_at(expiry_of(session), now, self._backoff.uniform()) if self._rotate_ahead else math.inf
        self._not_before = 0.0
        self._sessions += 1
        self._rotations.reset()
        self._move(Happening.CONNECTED)
        self._error = None
        self._tell(events.Rotated if rotated else events.Connected, session=self._sessions)
        self._notify()

    # -- rotation, and waking up -------------------------------------------------------------------------------------------

    async def _rotate(self, old: S) -> None:
        """Open the successor while the old session works on. If that fails, the old one serves to its end."""
        loop = asyncio.get_running_loop()
        if self._state is State.READY:
            self._move(Happening.EXPIRES)
            self._tell(events.Expiring, left=max(0.0, (expiry_of(old) or 0.0) - self._clock.now()))
        if loop.time() < self._not_before or self._leaving is not None:
            return
        if not self._turn.take(self, loop.time()):
            self._not_before = loop.time() + 1.0 + self._backoff.uniform()
            return
        self._move(Happening.ROTATE)
        successor = asyncio.create_task(
            self._opening.successor(old, self._timeouts.probe), name=f"aiogmail supervisor of {self._name}: successor"
        )
        either: list[asyncio.Future[Any]] = [successor, old.closed]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if old.closed.done():
                self._lost(old)  # what is being opened is the reconnection
                if self._state is State.CONNECTING:
                    await asyncio.wait([successor])
        finally:
            if not successor.done():
                successor.cancel()
                await asyncio.wait([successor])
            if self._state not in (State.ROTATING, State.CONNECTING):
                _drop(successor)
                self._turn.give(self)
        self._took_over(old, successor)
        if self._leaving is None:
            self._turn.give(self)

    def _took_over(self, old: S, successor: asyncio.Task[S]) -> None:
        if self._state not in (State.ROTATING, State.CONNECTING):
            return
        alive = self._state is State.ROTATING
        try:
            session = successor.result()
        except GmailError as failure:
            if not alive:
                self._refused(failure)
                return
            self._move(Happening.REFUSED)
            delay = self._rotations.next(max(1.0, floor_of(failure)))
            self._not_before = asyncio.get_running_loop().time() + delay
            self._tell(events.Retrying, str(failure), delay=delay)
            return
        self._connected(session)
        if alive:
            self._superseded, self._superseded_id = old, id(old)
            retire(old)
            self._leaving = asyncio.create_task(self._see_off(old), name=f"aiogmail supervisor of {self._name}: leave")
            self._leaving.add_done_callback(lambda _: self._turn.give(self))

    async def _see_off(self, old: S) -> None:
        """Let what runs on the old session end, then log it out."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + max(0.0, (expiry_of(old) or 0.0) - self._clock.now()) + _LINGER
        try:
            while self._running[id(old)] and not old.closed.done() and (left := deadline - loop.time()) > 0:
                await self._wait_for_change(left, old.closed)
            if not old.closed.done():
                await old.aclose()
        except asyncio.CancelledError:
            if self._state is not State.CLOSING:  # which takes leave of it
                old.abort()
            raise
        old.abort()
        self._superseded = None

    def _was_asleep(self) -> bool:
        """Whether the machine was suspended: then the session must be asked before it is trusted."""
        if self._drift is None or not self._drift.jumped(self._clock.now(), asyncio.get_running_loop().time()):
            return False
        if self._session is not None and self._state in OPEN_STATES:
            self._doubted = True
            if self._attention is not None and not self._attention.done():
                self._attention.set_result(None)
        return True

    async def _probe(self, session: S) -> None:
        try:
            await ask(session, self._timeouts.probe)
        except GmailError:
            session.abort()
        finally:
            self._doubted = False
            self._notify()

    # -- waiting ---------------------------------------------------------------------------------------------------------

    async def _wait_for_change(self, timeout: float, *others: asyncio.Future[Any]) -> None:
        if self._change is None or self._change.done():
            self._change = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._change, *others], timeout=max(0.0, timeout), return_when=asyncio.FIRST_COMPLETED)

    def _notify(self) -> None:
        if self._change is not None and not self._change.done():
            self._change.set_result(None)

    def _move(self, happening: Happening) -> None:
        self._state = next_state(self._state, happening)

    def _tell(self, kind: type[events.ConnectionEvent], reason: str = "", **said: Any) -> None:
        told = ", ".join(f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}" for name, value in said.items())
        level = logging.WARNING if kind is events.Failed else logging.INFO
        log.log(
            level,
            "%s: %s%s%s",
            f"{self._name} {self.what}".rstrip(),
            kind.kind,
            f" ({told})" if told else "",
            f": {reason}" if reason else "",
        )
        if self._on_event is not None:
            self._on_event(kind(events.wall_time(self._clock), self._account, self.what, reason, **said))


def _drop(successor: asyncio.Task[S]) -> None:
    """A session that came too late."""
    if not successor.cancelled() and successor.exception() is None:
        successor.result().abort()
