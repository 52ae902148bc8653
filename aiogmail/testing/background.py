"""How does a test without an event loop use the emulator? It runs in a thread of its own, and every look at it happens there.

For blocking clients such as imaplib only; whoever has a loop opens the emulator in that.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from .emulated import EmulatedAccount
from .emulator import GmailEmulator

__all__ = ["BackgroundEmulator"]


class _There:
    """An object of the emulator's thread: attributes are read and set, and methods run, over there."""

    _home: BackgroundEmulator
    _target: Any

    def __init__(self, home: BackgroundEmulator, target: Any) -> None:
        object.__setattr__(self, "_home", home)
        object.__setattr__(self, "_target", target)

    def __setattr__(self, name: str, value: Any) -> None:
        self._home.call(lambda: setattr(self._target, name, value))

    def __getattr__(self, name: str) -> Any:
        value = self._home.call(lambda: getattr(self._target, name))
        if not callable(value) or isinstance(value, type):
            return self._home.shown(value)
        return lambda *args, **options: self._home.shown(self._home.call(lambda: value(*args, **options)))

    def __repr__(self) -> str:
        return f"<in the background: {self._target!r}>"


class BackgroundEmulator:
    """``with BackgroundEmulator() as gmail_server``: everything :class:`GmailEmulator` offers, for blocking code.

    Args:
        emulator: one that was not started.
        options: for a new :class:`GmailEmulator`.
    """

    def __init__(self, emulator: GmailEmulator | None = None, **options: Any) -> None:
        self._emulator = emulator or GmailEmulator(**options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="gmail emulator", daemon=True)

    def __enter__(self) -> BackgroundEmulator:
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            await self._emulator.start()
        except BaseException as error:  # noqa: BLE001  it is raised again where it is waited for
            self._error = error
            self._ready.set()
            return
        self._ready.set()
        await self._stop.wait()
        try:
            await self._emulator.aclose()
        except ExceptionGroup as crashes:
            self._error = crashes

    def call(self, function: Callable[[], Any]) -> Any:
        """Run a function in the emulator's thread; a coroutine that it returns is awaited there."""
        if self._loop is None or self._loop.is_closed():
            return function()
        if threading.current_thread() is self._thread:
            return function()

        async def there() -> Any:
            result = function()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(there(), self._loop).result()

    def shown(self, value: Any) -> Any:
        """Accounts are handed out as something that acts in the emulator's thread."""
        return _There(self, value) if isinstance(value, EmulatedAccount) else value

    def __getattr__(self, name: str) -> Any:
        return getattr(_There(self, self._emulator), name)
