"""What did a run cost? Wall time, memory above what the imports left, and how long the event loop stood still."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

__all__ = ["Hashes", "Meter"]

_TICK = 0.005
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class Meter:
    """Made after the imports: memory counts from here.

    Attributes:
        seconds: of :meth:`timed`.
        cpu_seconds: what the process computed in that time, and the system for it: on a machine that does other things the steadier figure.
        stall_ms: the worst delay of a task that ticks every 5 ms; ``None`` for a client without an event loop.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self.stall_ms: float | None = None
        gc.collect()  # what the imports left is not a run's to go through
        with contextlib.suppress(OSError):
            _CLEAR.write_text("5")  # the peak begins anew (proc(5))
        self._base = _memory("VmRSS")

    def peak_mib(self) -> float | None:
        """The most memory above the start; ``None`` where the system does not tell."""
        peak = _memory("VmHWM")
        return None if peak is None or self._base is None else round((peak - self._base) / 1024, 1)

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        began, computed = time.perf_counter(), time.process_time()
        yield
        self.seconds = time.perf_counter() - began
        self.cpu_seconds = time.process_time() - computed

    @contextlib.asynccontextmanager
    async def timed_loop(self) -> AsyncIterator[None]:
        """As :meth:`timed`, and watches the loop meanwhile."""
        watcher = asyncio.create_task(self._watch())
        await asyncio.sleep(2 * _TICK)
        self.stall_ms = 0.0
        with self.timed():
            yield
        watcher.cancel()
        await asyncio.wait([watcher])

    async def _watch(self) -> None:
        clock = time.perf_counter
        while True:
            began = clock()
            await asyncio.sleep(_TICK)
            self.stall_ms = max(self.stall_ms or 0.0, round((clock() - began - _TICK) * 1000, 1))


class Hashes:
    """Adds up the SHA-1 of bodies, in any order."""

    def __init__(self) -> None:
        self.sums = {"rows": 0, "uids": 0, "octets": 0, "digest": 0}

    def add(self, uid: int, body: bytes | bytearray | memoryview) -> None:
        self.add_hash(uid, hashlib.sha1(body), len(body))

    def add_hash(self, uid: int, sha1: hashlib._Hash, size: int) -> None:
        sums = self.sums
        sums["rows"] += 1
        sums["uids"] += uid
        sums["octets"] += size
        sums["digest"] = (sums["digest"] + int.from_bytes(sha1.digest()[:8], "big")) % 2**64


def _memory(name: str) -> int | None:
    """A line of /proc/self/status, in KiB."""
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
    return None
