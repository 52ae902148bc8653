"""``run`` lets a clean coroutine pass and names what another leaves behind."""

from __future__ import annotations

import asyncio
import gc

import pytest

from tests.support.aio import LeftBehind, run

both_loops = pytest.mark.parametrize("uvloop", [False, True], ids=["asyncio", "uvloop"])


@both_loops
def test_it_returns_what_the_coroutine_returns_and_raises_what_it_raises(uvloop):
    async def give() -> str:
        await asyncio.sleep(0)
        return type(asyncio.get_running_loop()).__module__

    async def fail() -> None:
        raise LookupError("its own")

    assert run(give(), uvloop=uvloop).startswith("uvloop") is uvloop
    with pytest.raises(LookupError, match="its own"):
        run(fail(), uvloop=uvloop)


@both_loops
def test_a_task_that_was_left_is_named(uvloop):
    async def main() -> None:
        main.task = asyncio.create_task(asyncio.sleep(60), name="forgotten")

    with pytest.raises(LeftBehind, match="task left: .*forgotten"):
        run(main(), uvloop=uvloop)
    assert main.task.cancelled(), "and does not live on"


def test_a_timer_that_was_left_is_named():
    async def main() -> None:
        asyncio.get_running_loop().call_later(60, print)

    async def cancelled() -> None:
        asyncio.get_running_loop().call_later(60, print).cancel()

    with pytest.raises(LeftBehind, match="timer left: .*print"):
        run(main())
    run(cancelled())


@both_loops
def test_an_exception_that_nobody_retrieved_is_named(uvloop):
    async def fail() -> None:
        raise LookupError("unseen")

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(0.01)
        del task

    with pytest.raises(LeftBehind, match=r"never retrieved: LookupError\('unseen'\)"):
        run(main(), uvloop=uvloop)


@both_loops
def test_an_exception_in_a_callback_is_named(uvloop):
    async def main() -> None:
        asyncio.get_running_loop().call_soon(int, "seven")
        await asyncio.sleep(0.01)

    with pytest.raises(LeftBehind, match="invalid literal"):
        run(main(), uvloop=uvloop)


def test_a_coroutine_that_hangs_is_cancelled_and_shown_where_it_stood():
    ended: list[str] = []

    async def wait_for_nothing() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("cleaned up")

    with pytest.raises(TimeoutError, match=r"(?s)not done after 0\.05 s.*wait_for_nothing"):
        run(wait_for_nothing(), timeout=0.05)
    assert ended == ["cleaned up"]


def test_debug_mode_is_the_loops():
    async def main() -> bool:
        return asyncio.get_running_loop().get_debug()

    assert run(main(), debug=True)
    assert not run(main())
    gc.collect()
