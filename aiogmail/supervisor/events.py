"""What happens to an account's connections, for people and programs that want to watch? Typed events, in bounded streams.

An event holds no secret: the words of ``reason`` are those of an error's message, which never has one.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar

from aiogmail.clock import Clock
from aiogmail.stream import Stream

__all__ = [
    "Connected",
    "ConnectionEvent",
    "EventStream",
    "Events",
    "Expiring",
    "Failed",
    "Lost",
    "Replayed",
    "Retrying",
    "Rotated",
    "Throttling",
    "wall_time",
]

MOST = 1000
"""Events that wait for one listener; then the oldest go, and are counted."""


@dataclass(frozen=True, slots=True)
class ConnectionEvent:
    """Something happened to a connection; the classes below say what.

    Attributes:
        kind: the same in one word, for logs and metrics.
        when: the time, aware, in UTC, by the machine's wall clock.
        address: the account.
        what: which of its connections: a mailbox's name, or a protocol.
        reason: why, in the server's or the system's words; ``""`` where there is nothing to say.
    """

    kind: ClassVar[str] = ""

    when: dt.datetime
    address: str
    what: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Connected(ConnectionEvent):
    """A session is open: the first, or the next after a loss.

    Attributes:
        session: its number, from 1.
    """

    kind: ClassVar[str] = "connected"

    session: int = 0


@dataclass(frozen=True, slots=True)
class Expiring(ConnectionEvent):
    """The session's end is near: a successor is opened.

    Attributes:
        left: seconds until its token, or Gmail's limit on a session, ends it.
    """

    kind: ClassVar[str] = "expiring"

    left: float = 0.0


@dataclass(frozen=True, slots=True)
class Rotated(ConnectionEvent):
    """A successor took over before the session expired: nobody waited.

    Attributes:
        session: the successor's number.
    """

    kind: ClassVar[str] = "rotated"

    session: int = 0


@dataclass(frozen=True, slots=True)
class Lost(ConnectionEvent):
    """The session is gone; the next one is being opened.

    Attributes:
        lived: how long it was open, in seconds.
    """

    kind: ClassVar[str] = "lost"

    lived: float = 0.0


@dataclass(frozen=True, slots=True)
class Retrying(ConnectionEvent):
    """An opening failed; there will be another.

    Attributes:
        delay: seconds until then.
    """

    kind: ClassVar[str] = "retrying"

    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Replayed(ConnectionEvent):
    """Work whose session was lost is run again, on the next one.

    Attributes:
        effect: what the work declared that a second run does, such as ``"pure"``.
    """

    kind: ClassVar[str] = "replayed"

    effect: str = ""


@dataclass(frozen=True, slots=True)
class Throttling(ConnectionEvent):
    """The server asks to slow down: the account's commands are spaced.

    Attributes:
        pace: seconds between two commands from now on.
    """

    kind: ClassVar[str] = "throttled"

    pace: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed(ConnectionEvent):
    """No session can be opened until a person changes something; it is tried again when somebody wants one."""

    kind: ClassVar[str] = "failed"


def wall_time(clock: Clock) -> dt.datetime:
    """Now, as an event's ``when``."""
    return dt.datetime.fromtimestamp(clock.wall(), dt.UTC)


class EventStream(Stream[ConnectionEvent]):
    """The events from now on: an async iterator, and an async context manager. It ends when the account is closed.

    Attributes:
        dropped: events that this listener was too slow for.

    Cancelling an ``__anext__`` loses no event. A stream that was left by ``break`` and forgotten costs nothing.
    """

    def __init__(self, most: int = MOST) -> None:
        self.dropped = 0
        self._waiting: deque[ConnectionEvent] = deque()
        self._most = most
        self._ended = False
        self._wake: asyncio.Future[None] | None = None

    async def __anext__(self) -> ConnectionEvent:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            if self._wake is None or self._wake.done():
                self._wake = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._wake])
        return self._waiting.popleft()

    async def aclose(self) -> None:
        """End it: what waits is forgotten."""
        self._waiting.clear()
        self.end()

    def put(self, event: ConnectionEvent) -> None:
        """Let it wait for the listener."""
        if self._ended:
            return
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(event)
        self._ring()

    def end(self) -> None:
        """Nothing comes any more behind what waits."""
        self._ended = True
        self._ring()

    def _ring(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


@dataclass(slots=True, eq=False)
class Events:
    """Hands every event to every listener. It knows them weakly."""

    ended: bool = False
    _streams: weakref.WeakSet[EventStream] = field(default_factory=weakref.WeakSet)

    def listen(self, most: int = MOST) -> EventStream:
        """A stream of the events from now on; one that is over already when the account is."""
        stream = EventStream(most)
        if self.ended:
            stream.end()
        else:
            self._streams.add(stream)
        return stream

    def tell(self, event: ConnectionEvent) -> None:
        """Something happened."""
        for stream in list(self._streams):
            stream.put(event)

    def end(self) -> None:
        """The account is closed."""
        self.ended = True
        for stream in list(self._streams):
            stream.end()
