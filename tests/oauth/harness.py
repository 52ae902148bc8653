"""Runs a coroutine in real or in virtual time, and fails it for what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import os
from datetime import UTC, datetime

from aiogmail.oauth import TokenCache, TokenProvider

EPOCH = 1_800_000_000.0
ME = "me@gmail.com"


class VirtualLoop(asyncio.SelectorEventLoop):
    """Where nothing is ready, the time of the next timer comes at once."""

    def __init__(self):
        super().__init__()
        self._virtual = 1000.0
        select = self._selector.select

        def jump(timeout=None):
            events = select(0)
            if not events and timeout is None:
                raise RuntimeError("deadlock: nothing is ready and no timer is set")
            if not events and timeout > 0:
                self._virtual += timeout
            return events

        self._selector.select = jump

    def time(self):
        return self._virtual


class VirtualClock:
    """The loop's time as a clock. ``slept`` is what a suspended machine's timers did not count; ``skew`` moves the wall only."""

    def __init__(self, loop):
        self._loop = loop
        self.slept = 0.0
        self.skew = 0.0

    def now(self):
        return self._loop.time() + self.slept

    def wall(self):
        return EPOCH + self._loop.time() + self.slept + self.skew


def _fds():
    return set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()


def _others():
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


def _run(main, factory, *clock):
    complaints = []
    gc.collect()
    before = _fds()
    with asyncio.Runner(loop_factory=factory) as runner:
        loop = runner.get_loop()

        def hear(_loop, context):
            # In debug mode a server tells of each handshake that its client broke off; our clients do, and are tested for it.
            if context["message"] != "Error on transport creation for incoming connection":
                complaints.append(context)

        loop.set_exception_handler(hear)

        async def watched():
            await main(*(make(loop) for make in clock))
            await asyncio.sleep(0)
            left = _others()
            while left and all("_accept_connection2" in repr(task.get_coro()) for task in left):
                await asyncio.sleep(0.001)  # asyncio's own, of a test server's handshake that failed
                left = _others()
            assert not left, f"tasks left: {left}"

        runner.run(watched())
    gc.collect()
    assert not complaints, complaints
    assert len(_fds()) <= len(before), "descriptors left open"


def real(main):
    """``main()`` in real time."""
    _run(main, None)


def virtual(main):
    """``main(clock)`` in virtual time."""
    _run(main, VirtualLoop, VirtualClock)


class Source:
    """A token provider with a ledger; ``fail`` is raised, ``delay`` slept, ``lifetime`` given."""

    def __init__(self, clock, lifetime=3600.0, delay=0.0):
        self.clock = clock
        self.lifetime = lifetime
        self.delay = delay
        self.fail = None
        self.asked = []
        self.granted = []
        self.text = "ya29.n{}"

    async def fetch(self):
        self.asked.append(self.clock.now())
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.fail is not None:
            raise self.fail
        self.granted.append(self.clock.now())
        return self.text.format(len(self.granted)), datetime.fromtimestamp(self.clock.wall() + self.lifetime, UTC)


def cached(test):
    """Runs ``test(clock, tokens, source, credentials)`` in virtual time."""

    def run():
        async def main(clock):
            source = Source(clock)
            async with TokenCache(clock=clock) as tokens:
                await test(clock, tokens, source, TokenProvider(source.fetch))

        virtual(main)

    run.__name__ = test.__name__
    return run
