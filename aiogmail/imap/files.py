"""How does a stream become a file that is either complete or not there?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterable, Callable
from pathlib import Path
from typing import TypeVar

__all__ = ["write_file"]

T = TypeVar("T")

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


async def write_file(path: str | os.PathLike[str], chunks: AsyncIterable[bytes]) -> int:
    """Write ``chunks`` into a file beside ``path`` that is renamed to it when all are on the disk. How many octets that were.

    The writing is done in the loop's executor. Failed or cancelled, it leaves nothing; cancelled in the very last instant, it may leave the
    whole file.

    Raises:
        OSError: as the operating system says.
    """
    file = _File(Path(path))
    try:
        await _blocking(file.create)
        async for chunk in chunks:
            file.chunk = chunk
            await _blocking(file.write)
        await _blocking(file.finish)
    except BaseException:
        await _blocking(file.discard)
        raise
    return file.written


class _File:
    """The file on its way. Its methods block."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.part")  # 255 octets at most
        self._descriptor = -1
        self._created = False
        self.chunk = b""
        self.written = 0

    def create(self) -> None:
        self._descriptor = os.open(self._temporary, _FLAGS, 0o666)
        self._created = True

    def write(self) -> None:
        view = memoryview(self.chunk)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self.written += len(self.chunk)
        self.chunk = b""

    def finish(self) -> None:
        os.fsync(self._descriptor)
        self._close()
        self._temporary.replace(self._target)
        with contextlib.suppress(OSError):  # Windows opens no folder; there renaming is safe by itself
            folder = os.open(self._target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def discard(self) -> None:
        self._close()
        if self._created:
            self._temporary.unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


async def _blocking(call: Callable[[], T]) -> T:
    """The result of a call in the executor. Cancelled, it waits for the call's end: nobody may touch its file before."""
    future = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # it was seen
        raise
