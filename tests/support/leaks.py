"""What does a test leave behind that was not there before it: file descriptors, threads?"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass

_SETTLE = 2.0  # seconds for threads and kernel objects that are on their way out


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What this process holds at one moment."""

    descriptors: dict[int, str]
    threads: frozenset[threading.Thread]

    @classmethod
    def take(cls) -> Snapshot:
        return cls(_descriptors(), frozenset(threading.enumerate()))

    def leaked(self) -> list[str]:
        """What is there now and was not then, once what is unreachable has been collected; empty when all is well."""
        deadline = time.monotonic() + _SETTLE
        gc.collect()
        while (found := self._compare()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return found

    def _compare(self) -> list[str]:
        now = Snapshot.take()
        # Compared as counts of what they lead to: a descriptor that was closed and opened again is none the more.
        more = Counter(now.descriptors.values()) - Counter(self.descriptors.values())
        new = {number: target for number, target in now.descriptors.items() if self.descriptors.get(number) != target}
        found = [f"file descriptor {number}: {target}" for number, target in new.items() if more[target] > 0]
        return found + [f"thread {thread.name!r}" for thread in now.threads - self.threads if thread.is_alive()]


def _descriptors() -> dict[int, str]:
    """Open descriptors to what they lead to; empty where the system has no /proc."""
    found: dict[int, str] = {}
    try:
        entries = os.listdir("/proc/self/fd")
    except FileNotFoundError:
        return found
    for entry in entries:
        try:
            found[int(entry)] = os.readlink(f"/proc/self/fd/{entry}")
        except FileNotFoundError:
            continue  # the one that the listing itself used
    return found
