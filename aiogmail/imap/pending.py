"""What is a command on its way, and what does its queue need of the connection below it?"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Generic, Protocol, TypeVar

from aiogmail.errors import GmailError

from .commands import Command
from .wire import Response

__all__ = ["Link", "Pending"]

T = TypeVar("T")


class Link(Protocol):
    """What the queue needs of the connection below it."""

    def write(self, data: bytes | memoryview) -> None:
        """Hand bytes to the transport."""
        ...

    def fail(self, error: GmailError) -> None:
        """Abort the connection for this reason, and call :meth:`CommandQueue.fail` with it."""
        ...

    def regulate(self) -> None:
        """Decide anew whether to hold back the socket: somebody else waits now."""
        ...

    def received(self) -> int:
        """Bytes that have arrived so far."""
        ...

    def was_reading_paused(self) -> bool:
        """Whether we ourselves held back the socket at any time since this was last asked."""
        ...


class Pending(Generic[T]):
    """A command with its place in the queue and the future of its result."""

    __slots__ = ("command", "future", "handed", "left", "riders", "tag", "waiting")

    def __init__(self, command: Command[T], future: asyncio.Future[T]) -> None:
        self.command = command
        self.future = future
        self.tag = ""
        self.left: deque[tuple[bytes | memoryview, ...]] = deque()
        """Segments not handed to the transport yet; between two of them the server says ``+``."""
        self.waiting = False
        """For that ``+``."""
        self.handed = False
        """Whether a byte of it was handed to the transport."""
        self.riders: list[Pending[Any]] = []
        """Commands that are done in the same run as this one, and get their share of its rows."""

    def fits(self, response: Response) -> bool:
        """Whether the response is just what this command, or one of its riders, asked for."""
        return self.command.fits(response) or any(rider.command.fits(response) for rider in self.riders)

    def take(self, response: Response) -> bool:
        """Whether the response is this command's, or one of its riders'; each gets what it asked for."""
        taken = self.command.take(response)
        for rider in self.riders:
            taken = rider.command.take(response) or taken
        return taken
