"""How do many mailboxes of an account share a few connections? By turns, and each where its mailbox is selected already.

A mailbox's keeper is a lease on the pool. Its work runs on the connection that has the mailbox selected; else on a new one, as long as
there may be more; else on the one that was idle longest, which selects this mailbox then. Where all are at work the lease waits for its
turn, first come first served; a connection that only waits in IDLE gives way, and its watcher waits for its own turn again.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from .errors import Disconnected, GmailError, MailboxChanged, MailboxNotFound, StateError, TimedOut, TooManyConnections
from .imap.selection import GaveWay, Selection
from .imap.session import ImapSession
from .ports import Effect
from .settings import Timeouts
from .supervisor import Supervisor
from .supervisor.policy import may_reopen

__all__ = ["Lease", "Pool", "reopens"]

T = TypeVar("T")

Prepare = Callable[[ImapSession], Awaitable[object]]

_FEWER_FOR = 600.0
"""Seconds for which the pool makes do with the connections it has, after the server refused another."""

_SLICE = 15.0
"""Seconds for which one mailbox waits in IDLE while others only wait to do the same."""

_working: contextvars.ContextVar[frozenset[int]] = contextvars.ContextVar("aiogmail_pool_working", default=frozenset())
"""The connections that the running work is on already: work within work must not wait for a turn that waits for it."""


def reopens(error: GmailError) -> bool:
    """Whether a connection that was lost like this is opened again: also where only one mailbox on it was the trouble."""
    return may_reopen(error) or isinstance(error, MailboxNotFound | MailboxChanged)


class Connection:
    """One of the pool's connections, kept open by a supervisor.

    Attributes:
        owner: the lease whose mailbox is selected, or is to be.
        users: pieces of the owner's work under way.
        guests: pieces of work under way that need no mailbox.
        used: the reading of the loop's time when it was last given back.
        fresh: it is not opened yet.
    """

    def __init__(self, connect: Callable[[], Awaitable[ImapSession]], owner: Lease | None) -> None:
        self.owner = owner
        self.users = 0
        self.guests = 0
        self.used = 0.0
        self.fresh = True
        self.supervisor: Supervisor[ImapSession]
        self._connect = connect

    async def open(self) -> ImapSession:
        """A session, with the owner's mailbox selected: what the supervisor opens, also after a loss and before an expiry."""
        session = await self._connect()
        owner = self.owner
        if owner is None or owner.closed:
            return session
        try:
            await owner.selected_on(session)
        except (MailboxNotFound, MailboxChanged):
            session.abort()
            if not owner.opened:
                raise
            # The owner will be told when it asks; the connection serves others.
            if self.owner is owner and not self.users:
                self.owner = None
            return await self._connect()
        except BaseException:
            session.abort()
            raise
        return session

    def disown(self, lease: Lease) -> None:
        """The lease is over, and the connection stays."""
        self.owner = None
        session = self.supervisor.session
        if session is not None and isinstance(session.selection, Selection) and session.selection.owner is lease:
            session.selection.end(lease.is_closed())

    def is_down(self) -> bool:
        """Whether it was lost, and is being opened again."""
        return not self.fresh and self.supervisor.session is None

    def is_idling(self) -> bool:
        """Whether it would give way."""
        session = self.supervisor.session
        return session is not None and session.protocol.queue.is_endless

    def give_way(self) -> None:
        """End the IDLE that goes on."""
        session = self.supervisor.session
        if session is not None and isinstance(session.selection, Selection):
            if self.owner is not None:
                self.owner.gave_way = True
            session.selection.give_way()


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
        supervise: makes the supervisor of one connection from what opens its sessions.
        most: connections at the same time, at most.
        timeouts: ``recover`` bounds how long work waits for its turn.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[ImapSession]],
        supervise: Callable[[Callable[[], Awaitable[ImapSession]]], Supervisor[ImapSession]],
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

    @property
    def connections(self) -> int:
        """How many there are now, those that are being opened among them."""
        return len(self._connections)

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

        async def as_guest(session: ImapSession) -> T:
            try:
                return await work(session)
            except MailboxChanged as error:
                # Of another's mailbox, whose connection this is: for work that needs none it was lost, and no more.
                raise Disconnected(str(error), outcome=error.outcome, stage=error.stage) from error

        connection.guests += 1
        try:
            return await connection.supervisor.run(as_guest, effect)
        except StateError:
            if self._closed or connection in self._connections:
                raise
        finally:
            connection.guests -= 1
            self._given_back(connection)
        return await self.run(work, effect)  # it was closed with its mailbox

    async def aclose(self, timeout: float | None = None) -> None:
        """Close every connection; work that needs no mailbox gets ``timeout`` seconds to end, none by default.

        Cancelled, it drops them.
        """
        self._closed = True
        self._refuse_waiting()
        connections, self._connections = self._connections, []
        await asyncio.gather(*(connection.supervisor.aclose(timeout) for connection in connections))

    # -- what leases call ----------------------------------------------------------------------------------------------------

    def has(self, connection: Connection) -> bool:
        """Whether it is one of the pool's still."""
        return self._closed or connection in self._connections

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
        connection = self._at_once(lease) or await self._turn(lease, patience)
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
        if not connection.fresh:
            return connection
        try:
            await self._open(connection)
        except TooManyConnections:
            if not self._connections:
                raise
            # The account's other programs have the rest: these are enough.
            self._fewer_until = asyncio.get_running_loop().time() + _FEWER_FOR
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
        raise TimedOut(
            f"{lease.name}: none of {len(self._connections)} connections was free within {self._timeouts.recover:g} s; "
            "raise Limits.connections",
            connection_lost=False,
        )

    def _forgo(self, turn: _Turn) -> None:
        """Who waited went away."""
        if turn in self._waiting:
            self._waiting.remove(turn)
        if not turn.granted.done():
            turn.granted.cancel()
        elif turn.granted.exception() is None:
            connection = turn.granted.result()
            connection.users -= 1
            if connection.fresh:
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
        connection = Connection(self._connect, lease)
        connection.supervisor = self._supervise(connection.open)
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
            if connection.owner is not None and connection.owner.opened and may_reopen(error) and not isinstance(error, TooManyConnections):
                return  # an outage, which is waited out where a mailbox is open already
            await self._discard(connection)
            raise
        except BaseException:
            await self._discard(connection)
            raise
        if self._closed:
            await self._discard(connection)
            raise StateError("the account is closed")

    async def _discard(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
        self._serve()
        await connection.supervisor.aclose()


class Lease:
    """What keeps a session for one mailbox: a :class:`aiogmail.ports.Keeper` that shares its connections with others.

    Attributes:
        name: the mailbox's.
        opened: whether its mailbox was selected once.
        closed: whether it is over.
        gave_way: whether an IDLE of its was ended for others.
    """

    def __init__(self, pool: Pool, name: str, prepare: Prepare) -> None:
        self.name = name
        self.opened = False
        self.closed = False
        self.gave_way = False
        self._pool = pool
        self._prepare = prepare
        self._void: GmailError | None = None
        self._running = 0
        self._idle: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Select the mailbox, on a connection that is opened for it or shared.

        Raises:
            GmailError: there is no such mailbox; there is no connection.

        Cancelled, it leaves nothing open.
        """
        if self.closed:
            raise self.is_closed()
        if self.opened:
            raise StateError(f"mailbox {self.name} is open already")
        self._pool.join(self)
        try:
            await self._run(_nothing, Effect.PURE)
        except BaseException:
            await self._pool.leave(self)
            raise
        if self.closed:
            raise self.is_closed()
        self.opened = True

    async def run(self, work: Callable[[ImapSession], Awaitable[T]], effect: Effect) -> T:
        """See :meth:`aiogmail.ports.Runner.run`."""
        if self.closed:
            raise self.is_closed()
        if not self.opened:
            raise StateError(f"mailbox {self.name} is not open; use it in 'async with'")
        if self._void is not None:
            raise self._void.replica()
        self._running += 1
        try:
            return await self._run(work, effect)
        except MailboxChanged as error:
            self._void = error  # for good: every UID is void, and no connection is spent on finding that out again
            raise
        finally:
            self._running -= 1
            if not self._running and self._idle is not None and not self._idle.done():
                self._idle.set_result(None)

    async def _run(self, work: Callable[[ImapSession], Awaitable[T]], effect: Effect) -> T:
        async def on_selection(session: ImapSession) -> T:
            return await work(await self.selected_on(session))

        # Whose IDLE was ended for others has had its time: it does not end theirs at once.
        patience, self.gave_way = _SLICE if self.gave_way else 0.0, False
        while True:
            async with self._pool.borrow(self, patience) as connection:
                try:
                    return await connection.supervisor.run(on_selection, effect)
                except GaveWay:
                    patience = _SLICE
                except StateError:
                    if self.closed or self._pool.has(connection):
                        raise  # else it was not opened, for somebody else

    async def selected_on(self, session: ImapSession) -> Selection:
        """The mailbox's time on this connection; begun, if another mailbox or none is selected there."""
        current = session.selection
        if isinstance(current, Selection) and current.owner is self and not current.closed.done():
            if not current.ready.done():
                await asyncio.wait([current.ready])
                if current.closed.done():
                    raise current.closed.result().replica()
            return current
        selection = Selection(session, self, self._pool.is_wanted)
        try:
            await self._prepare(selection)
        except GmailError as error:
            selection.end(error)
            raise
        except BaseException:
            selection.end(StateError(f"mailbox {self.name}: its opening was cancelled"))
            raise
        selection.ready.set_result(None)
        return selection

    async def aclose(self, timeout: float | None = None) -> None:
        """Give running work ``timeout`` seconds, none by default; then it fails, and the mailbox's connection goes unless others need it.

        Cancelled, it drops the connection.
        """
        if self._ended is not None:
            await asyncio.wait([self._ended])
            return
        ended = self._ended = asyncio.get_running_loop().create_future()
        try:
            if timeout and self._running:
                self._idle = asyncio.get_running_loop().create_future()
                await asyncio.wait([self._idle], timeout=timeout)
        finally:
            self.closed = True
            try:
                await self._pool.leave(self)
            finally:
                ended.set_result(None)

    def is_closed(self) -> StateError:
        """The error for who comes too late."""
        return StateError(f"mailbox {self.name} is closed")


async def _nothing(session: ImapSession) -> None:
    """Work that is done when the mailbox is selected."""
