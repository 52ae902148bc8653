"""How may a store block? In the event loop's default executor, one call after another, in one thread of it at most.

A keyring that waits for a person, or a file system that hangs, keeps its one thread, and no more: the executor also resolves
the names of the whole application. While a call hangs, others are told at once.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from .base import StoreUnavailable

__all__ = ["Worker"]

T = TypeVar("T")
PATIENCE = 5.0
"""A call that has been running for so many seconds hangs."""


class Worker:
    """Runs the blocking calls of one store. It may be used from several event loops.

    Args:
        name: of the store, for the error.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._busy = False
        self._since: float | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """The result of ``work()``. Cancelling it does not end a call that runs, and takes one that waits out of the queue.

        Raises:
            StoreUnavailable: an earlier call hangs.
        """
        if self._pid != os.getpid():
            self._reset()  # the thread did not come along in the fork
        done: Future[T] = Future()
        with self._lock:
            if self._since is not None and time.monotonic() - self._since > PATIENCE:
                raise StoreUnavailable(f"{self._name}: an earlier call has been hanging for more than {PATIENCE:g} s")
            self._waiting.append((work, done))
            start, self._busy = not self._busy, True
        if start:
            asyncio.get_running_loop().run_in_executor(None, self._work)
        return await asyncio.wrap_future(done)

    def _work(self) -> None:
        """In the executor, until nothing is left to do."""
        while True:
            with self._lock:
                self._since = None
                if not self._waiting:
                    self._busy = False
                    return
                work, done = self._waiting.popleft()
                self._since = time.monotonic()
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(work())
                except BaseException as error:  # noqa: BLE001 - it is the caller's
                    done.set_exception(error)
            del work, done
