"""What do all streams have in common? They are iterated over, and entered, and closed when that is left."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, TypeVar

__all__ = ["Stream"]

T_co = TypeVar("T_co", covariant=True)


class Stream(AsyncIterator[T_co]):
    """An async iterator and an async context manager, whose ``__anext__`` and ``aclose`` are a subclass's."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    @abc.abstractmethod
    async def aclose(self) -> None:
        """End it: it gives nothing more."""
