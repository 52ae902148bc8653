"""How many exchanges may be under way with one token endpoint? Each has its own lane: a dead one holds nobody up but its own."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from .credentials import Credentials, ServiceAccountCredentials, UserCredentials

__all__ = ["Gate", "Lane", "lane_of"]


def lane_of(credentials: Credentials) -> Hashable:
    """What is asked for these credentials' tokens."""
    if isinstance(credentials, UserCredentials | ServiceAccountCredentials):
        return credentials.token_uri
    return getattr(credentials, "fetch", "google-auth")


class Lane:
    """The exchanges with one endpoint: those under way, and those who wait for one of them to end."""

    __slots__ = ("users", "width")

    def __init__(self, width: int) -> None:
        self.users = 0
        self.width = asyncio.Semaphore(width)


class Gate:
    """A lane for each endpoint in use, none for others.

    Args:
        width: exchanges at the same time in each.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._lanes: dict[Hashable, Lane] = {}

    def has_room(self, name: Hashable) -> bool:
        """Whether who enters now has not to wait."""
        lane = self._lanes.get(name)
        return lane is None or lane.users < self._width

    def enter(self, name: Hashable) -> Lane:
        """Join the lane; its ``width`` is then to be held during the exchange, and :meth:`leave` called at the end."""
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(self._width)
        lane.users += 1
        return lane

    def leave(self, name: Hashable, lane: Lane) -> None:
        """Give the place back."""
        lane.users -= 1
        if lane.users == 0:
            self._lanes.pop(name, None)
