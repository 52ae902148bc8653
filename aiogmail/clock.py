"""What time is it, on a machine that may be suspended for an hour?

Ages of tokens and sessions are read from a clock that goes on while the machine sleeps; the wall clock serves only what
is stored or shown. Timeouts and sleeps are the event loop's own.
"""

from __future__ import annotations

import time
from typing import Protocol, runtime_checkable

__all__ = ["Clock", "SystemClock"]


@runtime_checkable
class Clock(Protocol):
    """Two readings, both in seconds."""

    def now(self) -> float:
        """Seconds since an arbitrary start; never goes back and goes on during suspend."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch, as the machine believes it."""
        ...


class SystemClock:
    """``CLOCK_BOOTTIME`` where the system has it; elsewhere the larger of monotonic and wall progress."""

    __slots__ = ("_boot", "_monotonic_start", "_wall_start")

    def __init__(self) -> None:
        self._boot: int | None = getattr(time, "CLOCK_BOOTTIME", None)
        self._monotonic_start = time.monotonic()
        self._wall_start = time.time()

    def now(self) -> float:
        """See :meth:`Clock.now`."""
        if self._boot is not None:
            return time.clock_gettime(self._boot)
        monotonic = time.monotonic()
        # macOS and Windows stop the monotonic clock in suspend: then the wall clock has run ahead of it.
        self._monotonic_start -= max(0.0, (time.time() - self._wall_start) - (monotonic - self._monotonic_start))
        return monotonic - self._monotonic_start

    def wall(self) -> float:
        """See :meth:`Clock.wall`."""
        return time.time()
