"""pytest fixtures: ``gmail_emulator``, ``gmail_account`` and ``gmail``.

An ``async def`` test that uses one of them needs no other plugin; with pytest-asyncio or anyio it runs as they run it. The test is wrapped in
``async with``, so whoever runs it opens emulator and client in its own loop. A plain test finds the emulator running in the background.
Fixtures of the test's own are set up before that: a plain one may deliver to ``gmail_account``, but an ``async`` one of another plugin finds
nothing that listens yet; there, open ``GmailEmulator`` yourself. Virtual time (the mark ``gmail_virtual_time``) is for tests that no other plugin runs.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

__all__ = ["gmail", "gmail_account", "gmail_behaviour", "gmail_emulator"]

_VIRTUAL = "gmail_virtual_time"
_WRAPPED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{_VIRTUAL}(seed=0): the test runs in virtual time, its connections in memory: an hour passes in a millisecond"
    )


@pytest.fixture
def gmail_behaviour() -> Any:
    """The emulator's switches. Override it to return your own :class:`aiogmail.testing.Behaviour`."""
    from .behaviour import Behaviour

    return Behaviour()


@pytest.fixture
def gmail_emulator(request: pytest.FixtureRequest, gmail_behaviour: Any) -> Iterator[Any]:
    """A :class:`aiogmail.testing.GmailEmulator` that runs while the test does."""
    from .background import BackgroundEmulator
    from .emulator import GmailEmulator

    seed = _seed(request.node)
    emulator = GmailEmulator(behaviour=gmail_behaviour, seed=seed or 0)
    if _is_async(request.node):
        emulator.bind(in_memory=seed is not None)
        yield emulator
        emulator.unbind()
    else:
        with BackgroundEmulator(emulator) as running:
            yield running


@pytest.fixture
def gmail_account(gmail_emulator: Any) -> Any:
    """An account ``me@gmail.com`` on it."""
    return gmail_emulator.add_account("me@gmail.com")


@pytest.fixture
def gmail(gmail_emulator: Any, gmail_account: Any) -> Any:
    """A :class:`aiogmail.Gmail` of that account: open in an ``async def`` test, else to be opened with ``async with``."""
    from aiogmail import Gmail  # type: ignore[attr-defined, unused-ignore]

    return Gmail(gmail_account.address, gmail_emulator.credentials(gmail_account.address), settings=gmail_emulator.settings)


def _is_async(item: Any) -> bool:
    return bool(item.stash.get(_WRAPPED, False))


def _seed(item: Any) -> int | None:
    """The seed of the test's virtual time; ``None`` where its time is real."""
    marker = item.get_closest_marker(_VIRTUAL)
    if marker is None:
        return None
    if len(marker.args) > 1 or set(marker.kwargs) - {"seed"} or (marker.args and marker.kwargs):
        raise pytest.UsageError(f"{item.nodeid}: expected {_VIRTUAL}(seed=0), got {marker.args} {marker.kwargs}")
    return int(marker.args[0] if marker.args else marker.kwargs.get("seed", 0))


def _is_ours(item: pytest.Function, name: str) -> bool:
    """Whether the fixture of this name, as the test sees it, is the one of this file: a project may have its own ``gmail``."""
    definitions = item._fixtureinfo.name2fixturedefs.get(name)  # noqa: SLF001  pytest tells it nowhere else
    return definitions is not None and definitions[-1].func.__module__ == __name__


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Virtual time that a test asks for and would not get is an error."""
    if item.get_closest_marker(_VIRTUAL) is not None and not _is_async(item):
        pytest.fail(f"{_VIRTUAL}: the test must be `async def` and use the fixture gmail_emulator, gmail_account or gmail", pytrace=False)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Wrap the async tests that use the fixtures."""
    test = getattr(item, "obj", None)
    # Whoever uses gmail_account or gmail uses gmail_emulator.
    if not isinstance(item, pytest.Function) or not inspect.iscoroutinefunction(test) or not _is_ours(item, "gmail_emulator"):
        return

    @functools.wraps(test)
    async def opened(*args: Any, **options: Any) -> Any:
        given: dict[str, Any] = item.funcargs
        if _seed(item) is not None and not hasattr(asyncio.get_running_loop(), "network"):
            pytest.fail(
                f"{_VIRTUAL}: another plugin (pytest-asyncio, anyio) runs this test in real time; take its mark away", pytrace=False
            )
        async with given["gmail_emulator"]:
            client = given.get("gmail") if _is_ours(item, "gmail") else None
            if client is None:
                return await test(*args, **options)
            async with client:
                return await test(*args, **options)

    item.obj = opened
    item.stash[_WRAPPED] = True


@pytest.hookimpl
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a wrapped test that no other plugin has taken."""
    if not _is_async(pyfuncitem) or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    options = {name: value for name, value in pyfuncitem.funcargs.items() if name in wanted}
    seed = _seed(pyfuncitem)
    if seed is not None:
        from .virtual import run_virtual

        run_virtual(pyfuncitem.obj(**options), seed=seed)
    else:
        asyncio.run(pyfuncitem.obj(**options))
    return True
