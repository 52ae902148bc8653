"""Whose message is next on a connection, and how close may it follow the one before?"""

from __future__ import annotations

import asyncio

from .connection import Exchange

__all__ = ["Manners", "Turns"]


class Turns:
    """Whose envelope is next on a connection.

    Attributes:
        lock: held from a message's first command until its last octet was handed over.
        last: where the reply to the message before will come.
        reset: where the reply to a RSET will come, which a refused message has left behind.
        overlap: whether an envelope may follow the end of the message before it at once.
        followed: the message behind whose end an envelope was written before its reply came.
    """

    def __init__(self) -> None:
        self.overlap = True
        self.followed: Exchange | None = None
        self.lock = asyncio.Lock()
        self.last: Exchange | None = None
        self.reset: Exchange | None = None


class Manners:
    """What is known of a server: whether it bears an envelope behind the end of a message. A loss there is held against it only until it did."""

    def __init__(self) -> None:
        self._proven = False
        self._refused = False

    @property
    def may_overlap(self) -> bool:
        """Whether it is worth trying."""
        return not self._refused

    def bore(self) -> None:
        """It answered a message that was followed."""
        self._proven = True

    def lost(self) -> None:
        """The connection went where an answer to one was due."""
        self._refused = self._refused or not self._proven
