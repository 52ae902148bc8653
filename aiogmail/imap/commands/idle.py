"""IDLE (RFC 2177): wait for news until somebody needs the connection."""

from __future__ import annotations

from collections.abc import Callable

from aiogmail.imap.wire import Continuation, Tagged
from aiogmail.settings import Timeouts

from .base import Command

__all__ = ["Idle"]


class Idle(Command[None]):
    """IDLE. It takes no untagged response: what comes belongs to the mailbox, in any command.

    Args:
        on_start: called when the server says that it idles.
    """

    name = "IDLE"
    endless = True
    waits = True
    blocks = True

    def __init__(self, on_start: Callable[[], None] | None = None) -> None:
        self._on_start = on_start
        self._begun = False
        self._wanted_done = False
        self._done = False

    def answer(self, continuation: Continuation) -> bytes | bool:
        if self._begun:
            return False
        self._begun = True
        if self._on_start is not None:
            self._on_start()
        return (self._wanted_done and self.interrupt()) or True

    def interrupt(self) -> bytes | None:
        """DONE, once; what is asked for before the server idles is said when it does (Gmail answers BAD to anything else)."""
        if not self._begun:
            self._wanted_done = True
            return None
        if self._done:
            return None
        self._done = True
        return b"DONE"

    def finish(self, tagged: Tagged) -> None:
        return None

    def patience(self, timeouts: Timeouts) -> float | None:
        if not self._begun:
            return timeouts.command
        return timeouts.idle_done if self._done else None
