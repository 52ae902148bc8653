"""pytest fixtures: ``gmail_emulator``, ``gmail_account`` and ``gmail``.

An ``async def`` test that uses one of them needs no other plugin; with pytest-asyncio or anyio it runs as they run it. The test is wrapped in
``async with``, so whoever runs it opens emulator and client in its own loop. A plain test finds the emulator running in the background.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

__all__ = ["gmail", "gmail_account", "gmail_behaviour", "gmail_emulator"]

_FIXTURES = {"gmail_emulator", "gmail_account", "gmail"}
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

    emulator = GmailEmulator(behaviour=gmail_behaviour)
    if _is_async(request.node):
        emulator.bind(in_memory=request.node.get_closest_marker(_VIRTUAL) is not None)
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


def pytest_itemcollected(item: pytest.Item) -> None:
    """Wrap the async tests that use the fixtures."""
    test = getattr(item, "obj", None)
    if not isinstance(item, pytest.Function) or not inspect.iscoroutinefunction(test) or not _FIXTURES & set(item.fixturenames):
        return

    @functools.wraps(test)
    async def opened(*args: Any, **options: Any) -> Any:
        given: dict[str, Any] = item.funcargs
        async with given["gmail_emulator"]:
            client = given.get("gmail")
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
    marker = pyfuncitem.get_closest_marker(_VIRTUAL)
    if marker is not None:
        from .virtual import run_virtual

        run_virtual(pyfuncitem.obj(**options), **marker.kwargs)
    else:
        asyncio.run(pyfuncitem.obj(**options))
    return True
