"""Many messages: what has become of each, as it becomes known?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any

from aiogmail.errors import AuthError, GmailError, SendingLimitReached, StateError
from aiogmail.ports import Outcome
from aiogmail.smtp import SendResult
from aiogmail.stream import Stream

__all__ = ["SendReport", "SendStream"]

_HOPELESS = (SendingLimitReached, AuthError, StateError)
"""Errors that the messages behind would meet as well."""


@dataclass(frozen=True, slots=True)
class SendReport:
    """What became of one message of many.

    Attributes:
        index: its place among the messages, from 0.
        result: if it was sent.
        error: if it was not, or if that is unknown.
        done: how many have been reported, this one among them.
        total: how many there are, if that is known.
    """

    index: int
    result: SendResult | None
    error: GmailError | None
    done: int
    total: int | None

    def unwrap(self) -> SendResult:
        """The result.

        Raises:
            GmailError: the error, if there is one.
        """
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


class SendStream(Stream[SendReport]):
    """Reports of many messages: an async iterator, and an async context manager.

    A message is begun when there is room for it: at most ``concurrency`` are under way or wait to be taken by the loop. Leaving the loop
    early begins no more; those under way go on, and :meth:`aclose` waits for them.
    """

    def __init__(
        self,
        send: Callable[[Any], Awaitable[SendResult]],
        messages: Iterable[Any] | AsyncIterable[Any],
        *,
        ordered: bool,
        concurrency: int,
        ended: Callable[[SendStream], object],
    ) -> None:
        self._send = send
        self._total = len(messages) if isinstance(messages, Sized) else None
        self._source: Iterator[Any] | AsyncIterator[Any] | None = aiter(messages) if isinstance(messages, AsyncIterable) else iter(messages)
        self._ordered = ordered
        self._concurrency = concurrency
        self._ended = ended
        self._tasks: dict[asyncio.Task[SendResult], int] = {}
        self._pulling: asyncio.Task[Any] | None = None
        self._begun = 0
        self._done = 0
        self._hopeless: GmailError | None = None
        self._broken: Exception | None = None

    async def __anext__(self) -> SendReport:
        """The next report.

        Raises:
            StopAsyncIteration: all have been reported.
            Exception: what the messages' source raised, once those that were begun have been reported.

        Cancelled, it can be called again; nothing is lost.
        """
        while True:
            self._fill()
            task = self._ready()
            if task is not None:
                return self._report(task)
            waits: list[asyncio.Task[Any]] = [task for task in self._tasks if not task.done()]
            if self._pulling is not None:
                waits.append(self._pulling)
            if not waits:
                self._ended(self)
                if self._broken is not None:
                    broken, self._broken = self._broken, None
                    raise broken
                raise StopAsyncIteration
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)

    async def aclose(self) -> None:
        """Begin no more, and wait for what is under way. Cancelled, it cancels that, and what becomes of it is not known."""
        self._source = None
        tasks: list[asyncio.Task[Any]] = list(self._tasks)
        if self._pulling is not None:
            self._pulling.cancel()
            tasks.append(self._pulling)
            self._pulling = None
        try:
            if tasks:
                await asyncio.wait(tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        finally:
            for task in tasks:
                if not task.cancelled():
                    task.exception()
            self._tasks.clear()
            self._ended(self)

    def _fill(self) -> None:
        """Begin as many as there is room for."""
        while self._source is not None and len(self._tasks) < self._concurrency:
            try:
                item = self._next(self._source)
            except Exception as error:  # noqa: BLE001  # it is the caller's own, and is raised when its turn comes
                self._broken, item = error, _END
            if item is _PENDING:
                return
            if item is _END:
                self._source = None
                return
            self._begin(item)

    def _next(self, source: Iterator[Any] | AsyncIterator[Any]) -> Any:
        """The next message, ``_END``, or ``_PENDING`` while it is waited for."""
        if not isinstance(source, AsyncIterator):
            return next(source, _END)
        if self._pulling is None:
            self._pulling = asyncio.get_running_loop().create_task(_pull(source), name="aiogmail: next message")
        if not self._pulling.done():
            return _PENDING
        pulling, self._pulling = self._pulling, None
        return pulling.result()

    def _begin(self, message: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._attempt(message), name=f"aiogmail: message {self._begun}")
        self._tasks[task] = self._begun
        self._begun += 1

    async def _attempt(self, message: Any) -> SendResult:
        if self._hopeless is not None:
            raise self._hopeless.replica(outcome=Outcome.NOT_APPLIED, stage="not tried")
        return await self._send(message)

    def _ready(self) -> asyncio.Task[SendResult] | None:
        for task in self._tasks:
            if task.done():
                return task
            if self._ordered:
                return None
        return None

    def _report(self, task: asyncio.Task[SendResult]) -> SendReport:
        index = self._tasks.pop(task)
        self._done += 1
        error = task.exception()
        if error is None:
            return SendReport(index, task.result(), None, self._done, self._total)
        if not isinstance(error, GmailError):
            raise error
        if isinstance(error, _HOPELESS):
            self._hopeless = self._hopeless or error
        return SendReport(index, None, error, self._done, self._total)


_END, _PENDING = object(), object()


async def _pull(source: AsyncIterator[Any]) -> Any:
    return await anext(source, _END)
