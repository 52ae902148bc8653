"""How does an hour pass in a millisecond? An event loop whose time jumps to the next timer as soon as nothing is left to do."""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from .network import MemoryNetwork, MemoryServer

__all__ = ["Deadlock", "VirtualClock", "VirtualLoop", "run_virtual"]

T = TypeVar("T")

EPOCH = 1_767_225_600.0  # 2026-01-01 00:00:00 UTC


class Deadlock(RuntimeError):
    """Every task waits and no timer is set: nothing can ever happen again."""


class VirtualClock:
    """The loop's virtual time as an :class:`aiogmail.clock.Clock`; ``offset`` is a wall clock that was set wrong."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.offset = 0.0

    def now(self) -> float:
        """Virtual seconds."""
        return self._loop.time()

    def wall(self) -> float:
        """Virtual seconds since 1970, from the first of January 2026 on."""
        return self._loop.wall() + self.offset


class _Selector(selectors.BaseSelector):
    """Where the loop would wait, time jumps instead."""

    def __init__(self) -> None:
        self.real = selectors.DefaultSelector()
        self.time = 0.0
        self.threads = 0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self.real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self.real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self.real.get_map()

    def close(self) -> None:
        self.real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self.real.select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if self.threads:
            # Somebody works in a thread: real time, until that is done.
            return self.real.select(None)
        if timeout is None:
            raise Deadlock("VirtualLoop: every task waits and no timer is set")
        self.time += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with virtual time and connections in memory.

    ``time()``, timers, ``asyncio.sleep`` and ``asyncio.timeout`` follow the virtual time; ``create_server`` and ``create_connection``
    lead through :attr:`network`. While a thread of ``run_in_executor`` works, time stands still.

    Args:
        seed: with the same seed, the same program runs through the same schedule.

    Attributes:
        network: the memory network.
        clock: its time for ``Settings.clock`` and ``TokenCache(clock=…)``.
    """

    def __init__(self, seed: int = 0) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        # A timer is due if it is less than this ahead. After a year of virtual time asyncio's own nanosecond is less than the distance
        # between two floats, and a timer for "now" would never be due.
        self._clock_resolution = 1e-6
        self.network = MemoryNetwork(self, seed)
        self.clock = VirtualClock(self)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual.time

    def wall(self) -> float:
        """Virtual seconds since 1970."""
        return EPOCH + self._virtual.time

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """As always, and time stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._virtual.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _future: object) -> None:
        self._virtual.threads -= 1

    async def shutdown_default_executor(self, *args: Any) -> None:
        """As always; its helper thread counts as one that works."""
        self._virtual.threads += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._virtual.threads -= 1

    async def getaddrinfo(self, host: Any, port: Any, **_options: Any) -> Any:
        """Names of the memory network."""
        address = self.network.resolve(host.decode() if isinstance(host, bytes) else str(host))
        number = int(port or 0)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, number))]

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        """A connection in memory, unless a socket was given."""
        if options.get("sock") is not None:
            return await super().create_connection(protocol_factory, host, port, **options)
        context = options.get("ssl")
        if context is True:
            import ssl

            context = ssl.create_default_context()
        return await self.network.connect(protocol_factory, str(host), int(port), context, options.get("server_hostname"))

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> MemoryServer:
        """A listener in memory."""
        return self.network.listen(protocol_factory, str(host or "127.0.0.1"), int(port or 0), options.get("ssl"))


def run_virtual(main: Coroutine[Any, Any, T], *, seed: int = 0) -> T:
    """``asyncio.run`` on a :class:`VirtualLoop`.

    Raises:
        Deadlock: every task waited and no timer was set.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(seed)) as runner:
        return runner.run(main)
