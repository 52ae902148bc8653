"""Which messages belong together? A search grouped by X-GM-THRID, with no more than a few threads in memory."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiogmail.errors import ConfigurationError, StateError
from aiogmail.ports import Runner
from aiogmail.stream import Stream

from .fetch import FetchStream
from .items import Items
from .models import Message
from .session import ImapSession
from .uidset import UidSet

__all__ = ["Thread", "ThreadStream"]

if TYPE_CHECKING:
    _Uids = array[int]
else:
    _Uids = array  # Python 3.11 cannot subscript it, which typing.get_type_hints would

_THREAD_ID = "X-GM-THRID"
_MOST_ROWS = 200
"""Messages of whole threads that are fetched together."""


@dataclass(frozen=True, slots=True)
class Thread:
    """Messages of one conversation.

    Attributes:
        id: X-GM-THRID.
        messages: those that the search found, in ascending order of their UIDs; never none.
    """

    id: int
    messages: tuple[Message, ...]

    @property
    def uids(self) -> UidSet:
        """Their UIDs."""
        return UidSet([message.uid for message in self.messages])


class ThreadStream(Stream[Thread]):
    """The threads of a search, each once, in the order of their first messages.

    An async iterator and an async context manager. First the threads of all messages are asked for and kept as numbers, some tens of
    bytes for each message; then the messages of a few threads at a time are fetched. Errors and cancellation are as with ``fetch``.
    """

    def __init__(
        self,
        runner: Runner[ImapSession],
        resolve: Callable[[ImapSession], Coroutine[Any, Any, UidSet]],
        items: Items,
        *,
        budget: int,
    ) -> None:
        if items.texts or any(item.startswith("BODY.PEEK[") and "[HEADER" not in item for item in items.wire):
            raise ConfigurationError(
                "items: the messages of a thread come together, so bodies are not for threads(); fetch them with thread(id, 'raw')"
            )
        self._runner = runner
        self._budget = budget
        self._items = items.wire if _THREAD_ID in items.wire else (*items.wire, _THREAD_ID)
        self._members: dict[int, _Uids] | None = {}
        """UIDs by thread, while they are collected."""
        self._todo: deque[tuple[int, _Uids]] = deque()
        self._stream: FetchStream | None = FetchStream(runner, resolve, (_THREAD_ID,), budget=budget)
        self._batch: dict[int, list[Message]] = {}
        """Threads whose messages are being fetched, or wait to be handed on."""
        self._consuming = False

    async def __anext__(self) -> Thread:
        if self._consuming:
            raise StateError("threads: two tasks iterate over the same search; give each its own")
        self._consuming = True
        try:
            if self._members is not None:
                await self._collect(self._members)
            while True:
                await self._fill()
                if not self._batch:
                    raise StopAsyncIteration
                thread_id, messages = next(iter(self._batch.items()))
                del self._batch[thread_id]
                if messages:  # else they are gone meanwhile
                    return Thread(thread_id, tuple(messages))
        finally:
            self._consuming = False

    async def aclose(self) -> None:
        """End it: it gives no more threads."""
        stream, self._stream = self._stream, None
        self._members = None
        self._todo.clear()
        self._batch.clear()
        if stream is not None:
            await stream.aclose()

    async def _collect(self, members: dict[int, _Uids]) -> None:
        """The UIDs of every thread. Cancelled, it goes on where it stood."""
        assert self._stream is not None
        async for message in self._stream:
            members.setdefault(message.thread_id, array("I")).append(message.uid)
        if self._members is None:
            return  # closed meanwhile
        self._todo = deque(members.items())
        self._members = self._stream = None

    async def _fill(self) -> None:
        """Fetch the messages of the next few threads, unless some are there."""
        if self._stream is None and not self._batch and self._todo:
            uids = array("I")
            while self._todo and (not uids or len(uids) + len(self._todo[0][1]) <= _MOST_ROWS):
                thread_id, members = self._todo.popleft()
                self._batch[thread_id] = []
                uids.extend(members)
            self._stream = FetchStream(self._runner, _just(UidSet(uids.tolist())), self._items, budget=self._budget)
        if self._stream is not None:
            async for message in self._stream:
                if message.thread_id in self._batch:
                    self._batch[message.thread_id].append(message)
            self._stream = None


def _just(uids: UidSet) -> Callable[[ImapSession], Coroutine[Any, Any, UidSet]]:
    async def resolve(_session: ImapSession) -> UidSet:
        return uids

    return resolve
