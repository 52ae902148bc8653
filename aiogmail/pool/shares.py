"""Whose turn is it, on which connection? First come first served; a connection that waits in IDLE gives way."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from aiogmail.errors import Disconnected, GmailError, MailboxChanged, MailboxNotFound, StateError, TimedOut, TooManyConnections
from aiogmail.imap.session import ImapSession
from aiogmail.ports import Effect
from aiogmail.settings import Timeouts
from aiogmail.supervisor import Supervisor
from aiogmail.supervisor.policy import may_reopen

from .connection import Connection
from .lease import Lease, Prepare

__all__ = ["Pool"]

T = TypeVar("T")

_FEWER_FOR = 600.0
"""Seconds for which the pool makes do with the connections it has, after the server refused another."""

_working: contextvars.ContextVar[frozenset[int]] = contextvars.ContextVar("aiogmail_pool_working", default=frozenset())
"""The connections that the running work is on already: work within work must not wait for a turn that waits for it."""


@dataclass(slots=True, eq=False)
class _Turn:
    """A lease that waits for a connection.

    Attributes:
        lease: whose.
        due: the reading of the loop's time from which on an IDLE is ended for it.
        granted: done with the connection.
    """

    lease: Lease
    due: float
    granted: asyncio.Future[Connection]


class Pool:
    """The IMAP connections of one account.

    Args:
        connect: opens a session with nothing selected.
        supervise: makes the supervisor of one connection from what opens its sessions, and what says after which errors it does so again.
        most: connections at the same time, at most.
        timeouts: ``recover`` bounds how long work waits for its turn.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[ImapSession]],
        supervise: Callable[[Callable[[], Awaitable[ImapSession]], Callable[[GmailError], bool]], Supervisor[ImapSession]],
        *,
        most: int,
        timeouts: Timeouts,
    ) -> None:
        self._connect = connect
        self._supervise = supervise
        self._most = most
        self._fewer_until = float("-inf")
        self._timeouts = timeouts
        self._connections: list[Connection] = []
        self._leases: set[Lease] = set()
        self._waiting: list[_Turn] = []
        self._closed = False
        self._over: asyncio.Future[None] | None = None

    @property
    def connections(self) -> int:
        """How many there are now, those that are being opened among them."""
        return len(self._connections)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that stands now."""
        return not self._closed and any(not one.fresh and not one.is_down() for one in self._connections)

    def is_wanted(self) -> bool:
        """Whether a lease waits for its turn, and not only to go on with IDLE."""
        if not self._waiting:
            return False
        now = asyncio.get_running_loop().time()
        return any(turn.due <= now for turn in self._waiting)

    def lease(self, name: str, prepare: Prepare) -> Lease:
        """What keeps a session for a mailbox.

        Args:
            name: the mailbox's, for events.
            prepare: selects it on a session that it is given.
        """
        return Lease(self, name, prepare)

    async def run(self, work: Callable[[ImapSession], Awaitable[T]], effect: Effect) -> T:
        """Run work that needs no mailbox, on whatever connection there is; see :meth:`aiogmail.ports.Runner.run`."""
        if self._closed:
            raise StateError("the account is closed")
        connection = min(self._connections, key=lambda one: (one.is_down(), one.users > 0, one.guests, one.used), default=None)
        if connection is None:
            connection = self._make(None)
            await self._open(connection)
        if connection.fresh:  # made for a mailbox that waited, which opens it in its next turn of the loop
            await asyncio.sleep(0)
            return await self.run(work, effect)

        async def as_guest(session: ImapSession) -> T:
            try:
                return await work(session)
            except (MailboxChanged, MailboxNotFound) as error:
                if not error.connection_lost:
                    raise
                # Of another's mailbox, whose connection this is: for work that needs none it was lost, and no more.
                raise Disconnected(str(error), outcome=error.outcome, stage=error.stage) from error

        connection.guests += 1
        try:
            return await connection.supervisor.run(as_guest, effect)
        except StateError:
            if self._closed or connection in self._connections:
                raise
        except TooManyConnections:
            if not await self.spared(connection):
                raise
        finally:
            connection.guests -= 1
            self._given_back(connection)
        return await self.run(work, effect)  # it was closed with its mailbox

    async def pause(self, seconds: float) -> None:
        """See :meth:`aiogmail.ports.Runner.pause`."""
        if not self._closed:
            if self._over is None:
                self._over = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._over], timeout=max(0.0, seconds))
        if self._closed:
            raise StateError("the account is closed")

    async def aclose(self, timeout: float | None = None) -> None:
        """Close every connection; work that needs no mailbox gets ``timeout`` seconds to end, none by default.

        Cancelled, it drops them.
        """
        self._closed = True
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
        self._refuse_waiting()
        connections, self._connections = self._connections, []
        await asyncio.gather(*(connection.supervisor.aclose(timeout) for connection in connections))

    # -- what leases call ----------------------------------------------------------------------------------------------------

    def has(self, connection: Connection) -> bool:
        """Whether it is one of the pool's still."""
        return self._closed or connection in self._connections

    async def spared(self, connection: Connection) -> bool:
        """Whether it is given up, because the account has no room for it, and others serve from now on."""
        if self.has(connection):
            if not connection.has_failed() or not self._is_spare(connection):
                return False
            self._make_do()
            await self._discard(connection)
        return not self._closed

    def join(self, lease: Lease) -> None:
        """A mailbox is being opened."""
        self._leases.add(lease)

    async def leave(self, lease: Lease) -> None:
        """A mailbox is closed. Its connection goes with it, unless others need it."""
        self._leases.discard(lease)
        for turn in self._waiting:
            if turn.lease is lease and not turn.granted.done():
                turn.granted.set_exception(lease.is_closed())
        own = next((one for one in self._connections if one.owner is lease), None)
        if own is None:
            return
        if own.users or (not own.guests and len(self._connections) > len(self._leases)):
            await self._discard(own)
        else:
            own.disown(lease)

    @contextlib.asynccontextmanager
    async def borrow(self, lease: Lease, patience: float = 0.0) -> AsyncIterator[Connection]:
        """A connection that has, or may have, the lease's mailbox selected, for one piece of work.

        Args:
            lease: whose work.
            patience: seconds before an IDLE is ended for it.
        """
        connection = self._at_once(lease)
        if connection is None:
            connection = await self._turn(lease, patience)
        elif connection.fresh:  # made for other work of this mailbox, which has not had its turn of the loop yet
            connection = await self._opened(connection, lease, patience)
        token = _working.set(_working.get() | {id(connection)})
        try:
            yield connection
        finally:
            with contextlib.suppress(ValueError):  # closed from another task's context: nothing is to be put back there
                _working.reset(token)
            connection.users -= 1
            self._given_back(connection)

    # -- turns -----------------------------------------------------------------------------------------------------------------

    def _given_back(self, connection: Connection) -> None:
        connection.used = asyncio.get_running_loop().time()
        if self._waiting:
            self._serve()

    def _at_once(self, lease: Lease) -> Connection | None:
        """Its own connection, or one that is idle. With others waiting, only work within work goes first."""
        wanted = self.is_wanted()
        own = next((one for one in self._connections if one.owner is lease), None)
        if own is not None and (not wanted or id(own) in _working.get()):
            own.users += 1
            return own
        return None if wanted else self._taken(lease)

    def _taken(self, lease: Lease) -> Connection | None:
        """A connection for the lease, if there is one that is its own or idle and that may not be spared for a new one."""
        own = next((one for one in self._connections if one.owner is lease), None)
        if own is None:
            free = [one for one in self._connections if one.owner is None]
            if not free and self._may_grow():
                return None
            idle = free or [one for one in self._connections if not one.users]
            own = min(idle, key=lambda one: (one.is_down(), one.used), default=None)
        if own is None:
            return None
        own.owner = lease
        own.users += 1
        own.supervisor.what = lease.name
        return own

    def _may_grow(self) -> bool:
        if asyncio.get_running_loop().time() < self._fewer_until:
            return not self._connections
        return len(self._connections) < self._most

    async def _turn(self, lease: Lease, patience: float) -> Connection:
        """Another connection, where there may be one; else wait for a turn."""
        if not self._waiting and self._may_grow():
            connection = self._make(lease)
        else:
            connection = await self._wait(lease, patience)
        return await self._opened(connection, lease, patience) if connection.fresh else connection

    async def _opened(self, connection: Connection, lease: Lease, patience: float) -> Connection:
        try:
            await self._open(connection)
        except TooManyConnections:
            if not self._connections:
                raise
            return self._at_once(lease) or await self._turn(lease, patience)
        return connection

    async def _wait(self, lease: Lease, patience: float) -> Connection:
        loop = asyncio.get_running_loop()
        turn = _Turn(lease, loop.time() + patience, loop.create_future())
        self._waiting.append(turn)
        self._serve()
        timer = loop.call_later(patience + 0.01, self._serve) if patience else None
        try:
            await asyncio.wait([turn.granted], timeout=patience + self._timeouts.recover)
        except asyncio.CancelledError:
            self._forgo(turn)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if turn.granted.done():
            return turn.granted.result()
        self._forgo(turn)
        if (outage := self._outage()) is not None:
            raise outage
        raise TimedOut(
            f"{lease.name}: none of {len(self._connections)} connections was free within {self._timeouts.recover:g} s; "
            "raise Limits.connections",
            connection_lost=False,
        )

    def _outage(self) -> GmailError | None:
        """Why there is no connection at all, where there is none."""
        if any(not one.is_down() for one in self._connections):
            return None
        return next((error.replica() for one in self._connections if (error := one.supervisor.error) is not None), None)

    def _forgo(self, turn: _Turn) -> None:
        """Who waited went away."""
        if turn in self._waiting:
            self._waiting.remove(turn)
        if not turn.granted.done():
            turn.granted.cancel()
        elif turn.granted.exception() is None:
            connection = turn.granted.result()
            connection.users -= 1
            if connection.fresh and not connection.users:
                self._connections.remove(connection)
            self._given_back(connection)
        self._serve()

    def _serve(self) -> None:
        """Give those who wait what is free, first come first served; ask an idling connection to give way to the next.

        Those who wait only to go on with IDLE come after all others.
        """
        self._waiting = [turn for turn in self._waiting if not turn.granted.done()]
        now = asyncio.get_running_loop().time()
        while self._waiting:
            turn = next((turn for turn in self._waiting if turn.due <= now), self._waiting[0])
            connection = self._taken(turn.lease)
            if connection is None and self._may_grow():
                connection = self._make(turn.lease)
            if connection is None:
                idling = [one for one in self._connections if one.is_idling()]
                if idling and turn.due <= now:
                    min(idling, key=lambda one: one.used).give_way()
                return
            self._waiting.remove(turn)
            turn.granted.set_result(connection)

    def _refuse_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            if not turn.granted.done():
                turn.granted.set_exception(turn.lease.is_closed())

    def _make(self, lease: Lease | None) -> Connection:
        """Another connection, which is to be opened by who asked for it."""
        connection = Connection(self._connect, lease, self._is_spare)
        connection.supervisor = self._supervise(connection.open, connection.reopens)
        if lease is not None:
            connection.supervisor.what = lease.name
            connection.users += 1
        self._connections.append(connection)
        return connection

    async def _open(self, connection: Connection) -> None:
        connection.fresh = False
        try:
            await connection.supervisor.open()
        except GmailError as error:
            if isinstance(error, TooManyConnections):
                if len(self._connections) > 1:
                    self._make_do()
            elif connection.owner is not None and connection.owner.opened and may_reopen(error):
                return  # an outage, which is waited out where a mailbox is open already
            await self._discard(connection)
            raise
        except BaseException:
            await self._discard(connection)
            raise
        if self._closed:
            await self._discard(connection)
            raise StateError("the account is closed")

    def _make_do(self) -> None:
        """The account's other programs have the rest: the other connections are enough, also for those who wait."""
        self._fewer_until = asyncio.get_running_loop().time() + _FEWER_FOR

    def _is_spare(self, connection: Connection) -> bool:
        return any(not one.is_down() for one in self._connections if one is not connection)

    async def _discard(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
        self._serve()
        await connection.supervisor.aclose()
