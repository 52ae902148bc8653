"""How does a test run a coroutine so that nothing it leaves behind goes unnoticed?"""

from __future__ import annotations

import asyncio
import gc
import io
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aiogmail.testing import VirtualLoop

T = TypeVar("T")
LoopFactory = Callable[[], asyncio.AbstractEventLoop]

GRACE_TURNS = 10  # loop turns for what an abort() has scheduled: connection_lost, the end of a TLS handshake's timer


_late: list[str] = []


class LeftBehind(AssertionError):
    """The coroutine ended, but not all that it began."""


def run(
    coro: Coroutine[Any, Any, T], *, debug: bool = False, timeout: float = 30.0, uvloop: bool = False, loop: LoopFactory | None = None
) -> T:
    """Run ``coro`` in a fresh event loop and return what it returns.

    Args:
        coro: what to run, usually ``main()``.
        debug: the loop's debug mode.
        timeout: seconds; then ``coro`` is cancelled, and the error shows where every task stood.
        uvloop: on uvloop's event loop instead of asyncio's.
        loop: what makes the loop, instead.

    Raises:
        LeftBehind: another task or a timer was left, or the loop's exception handler was called, also for a task or future
            whose exception was never retrieved.
        TimeoutError: it took longer than ``timeout``.
    """
    complaints: list[str] = []
    heard = [complaints]
    with asyncio.Runner(debug=debug, loop_factory=loop or loop_factory(uvloop)) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: heard[-1].append(_describe(context)))
        result = runner.run(_watched(coro, timeout, complaints))
    # "exception was never retrieved" comes when the task is collected. The young generations are enough for most and cost
    # little in a test that runs thousands of loops; what comes later is found when the test ends.
    gc.collect(1)
    heard.append(_late)
    if complaints:
        raise LeftBehind("\n".join(complaints))
    return result


def virtual(coro: Coroutine[Any, Any, T], seed: int = 0, *, timeout: float = 1e7) -> T:
    """:func:`run` in virtual time, with connections in memory: however busy the machine is, a second is a second."""
    return run(coro, timeout=timeout, loop=lambda: VirtualLoop(seed))


def take_late() -> list[str]:
    """What exception handlers of loops heard after their :func:`run` had ended."""
    late = _late[:]
    _late.clear()
    return late


def loop_factory(uvloop: bool) -> LoopFactory:
    """What makes the loop: parametrise a test with ``uvloop`` in ``(False, True)`` to run it on both."""
    if uvloop:
        import uvloop as library

        return library.new_event_loop
    return asyncio.new_event_loop


async def _watched(coro: Coroutine[Any, Any, T], timeout: float, complaints: list[str]) -> T:
    loop = asyncio.get_running_loop()
    task = loop.create_task(coro, name="test")
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout)
        if not done:
            raise TimeoutError(f"not done after {timeout} s; tasks:\n{_stacks(asyncio.current_task())}")
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=5.0)
    result = task.result()  # its own error goes first: what it left behind is its consequence
    left = asyncio.all_tasks() - {asyncio.current_task()}
    complaints.extend(f"task left: {task!r}" for task in left)
    for _ in range(GRACE_TURNS):
        if not _timers(loop):
            break
        await asyncio.sleep(0)
    else:
        complaints.extend(f"timer left: {handle!r}" for handle in _timers(loop))
    return result


def _timers(loop: asyncio.AbstractEventLoop) -> list[asyncio.TimerHandle]:
    """Timers that are still to fire; uvloop does not show its own."""
    return [handle for handle in getattr(loop, "_scheduled", ()) if not handle.cancelled()]


def _describe(context: dict[str, Any]) -> str:
    said = f"loop exception handler: {context.get('message')}"
    if "exception" in context:
        said += f": {context['exception']!r}"
    for key in ("task", "future", "handle", "protocol"):
        if key in context:
            said += f" ({key} {context[key]!r})"
    return said


def _stacks(own: asyncio.Task[Any] | None) -> str:
    shown = io.StringIO()
    for task in asyncio.all_tasks():
        if task is not own:
            task.print_stack(file=shown)
    return shown.getvalue()
