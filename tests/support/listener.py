"""A server on a free port of the loopback, and the tasks of its connections, which end with it."""

from __future__ import annotations

import abc
import asyncio
import ssl
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, ClassVar, Self

__all__ = ["Listener"]


class Listener(abc.ABC):
    """What the servers of the tests have in common: an async context manager, with its ``port``."""

    limit: ClassVar[int] = 2**16
    """Bytes that a reader of a connection holds."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @abc.abstractmethod
    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Somebody has connected."""

    def _context(self) -> ssl.SSLContext | None:
        """For TLS from the first byte."""
        return None

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task that ends with the server."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._context(), limit=self.limit)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._tasks)
        self._end(tasks)
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        """Make them end."""
        for task in tasks:
            task.cancel()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port
