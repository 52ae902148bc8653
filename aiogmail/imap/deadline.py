"""How long may the server take? The deadline of the oldest command on the wire: the others wait for their turn with the server."""

from __future__ import annotations

import asyncio
from typing import Any

from aiogmail.errors import TimedOut
from aiogmail.settings import Timeouts

from .pending import Link, Pending

__all__ = ["Deadline"]


class Deadline:
    """One at a time; when it has passed the connection fails.

    A command with a small reply has one that covers it all. A bulky reply is held to its first byte, then to a least rate, for as long
    as it was not we who held back the socket.

    Args:
        loop: where the timer lives.
        link: the connection.
        name: what errors call it.
        timeouts: ``progress`` and ``min_rate`` count here; how long a command is waited for is its own to say.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, link: Link, name: str, timeouts: Timeouts) -> None:
        self._loop = loop
        self._link = link
        self._name = name
        self._timeouts = timeouts
        self._timer: asyncio.TimerHandle | None = None
        self._mark = 0  # bytes that had come when the rate was last looked at
        self._first_byte = True

    def begin(self, pending: Pending[Any] | None) -> None:
        """It is this command's turn with the server; ``None``: nobody's."""
        self.stop()
        if pending is None:
            return
        self._mark = self._link.received()
        self._first_byte = True
        self.renew(pending, pending.command.patience(self._timeouts))

    def renew(self, pending: Pending[Any], patience: float | None) -> None:
        """A part of the command was handed over: its deadline begins anew, if it has one."""
        if patience is not None:
            self.stop()
            self._timer = self._loop.call_later(patience, self._expired, pending, patience)

    def stop(self) -> None:
        """Nothing is waited for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self, pending: Pending[Any], waited: float) -> None:
        self._timer = None
        if pending.command.bulk and self._goes_on(waited):
            self.renew(pending, self._timeouts.progress)
            return
        self._link.fail(TimedOut(f"{self._name}: {pending.command.name} was not answered within {waited:g} s; the connection was dropped"))

    def _goes_on(self, waited: float) -> bool:
        """Whether enough has come meanwhile, or would have if we had read it."""
        received = self._link.received()
        came, self._mark = received - self._mark, received
        enough = came > 0 if self._first_byte else came >= self._timeouts.min_rate * waited
        self._first_byte = False
        return self._link.was_reading_paused() or enough
