"""Where does what the server tells unasked wait for its reader? In aioimaplib's ``idle_queue``, bounded, and ended with the connection."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from .commands.foreign import Line

__all__ = ["Pushes"]

log = logging.getLogger("aiogmail.imap")

News = list[Line]

_END: News = []
_OVERHEAD = 64  # what a line costs beside its octets


class Pushes(asyncio.Queue[News]):
    """Lists of lines, one for each arrival.

    Args:
        most: bytes kept while nothing holds the server back; then the oldest go.
        hold, release: told the size of what waits and of what was taken, so that the socket can be held back.
        is_held_back: whether the server will be, by that: it is while it idles, not before nor once DONE was said.
    """

    def __init__(self, most: int, hold: Callable[[int], None], release: Callable[[int], None], is_held_back: Callable[[], bool]) -> None:
        super().__init__()
        self._most = most
        self._hold = hold
        self._release = release
        self._is_held_back = is_held_back
        self._size = 0
        self._waiting = 0
        self._why: Callable[[], Exception] | None = None

    def _init(self, maxsize: int) -> None:  # noqa: ARG002  # the queue's own signature
        self._queue: deque[News] = deque()

    def _put(self, item: News) -> None:
        self._queue.append(item)
        self._size += _size(item)
        self._hold(_size(item))
        if self._size > self._most and not self._is_held_back():
            log.warning("more than %d bytes wait for wait_server_push (half of Limits.buffer): the oldest are dropped", self._most)
            while self._size > self._most and len(self._queue) > 1:
                self._take()

    def _get(self) -> News:
        if self._queue[0] is _END:
            assert self._why is not None
            raise self._why()
        return self._take()

    def _take(self) -> News:
        item = self._queue.popleft()
        self._size -= _size(item)
        self._release(_size(item))
        return item

    async def get(self) -> News:
        """The oldest list; waits for one.

        Raises:
            ConnectionLost: none is left, and none will come.
        """
        self._waiting += 1
        try:
            return await super().get()
        finally:
            self._waiting -= 1

    def discard(self, marker: News) -> None:
        """Remove every ``marker``: it meant an IDLE that is over."""
        kept = [item for item in self._queue if item != marker]
        gone = _size(marker) * (len(self._queue) - len(kept))
        self._queue = deque(kept)
        self._size -= gone
        self._release(gone)

    def end(self, why: Callable[[], Exception]) -> None:
        """Nothing comes any more: who waits, or will, gets what ``why`` makes once all else is read."""
        self._why = why
        for _ in range(self._waiting + 1):  # each wakes one of those who wait
            self.put_nowait(_END)


def _size(item: News) -> int:
    return sum(map(len, item)) + _OVERHEAD * len(item)
