"""How are the texts of messages fetched without the rest? In a second step, once the structures say which parts they are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiogmail.errors import CommandError, GmailError, StateError
from aiogmail.ports import Effect

from . import wire
from .commands import UidFetch
from .commands.fetch import merged
from .fetch import FetchStream
from .items import section_name
from .session import ImapSession
from .structure import body_part
from .uidset import UidSet
from .wire import Fetch

__all__ = ["TextStream"]

_MOST_ROWS = 200


class TextStream(FetchStream):
    """A fetch whose rows get the octets of their text parts before they are handed on; otherwise as :class:`FetchStream`."""

    def __init__(self, *args: Any, texts: Sequence[str], **kw: Any) -> None:
        super().__init__(*args, **kw)
        self._texts = tuple(texts)
        self._bare: list[Fetch] = []
        """Rows whose texts are still to be fetched, the first of them last."""
        self._fetching = False

    async def _refill(self) -> None:
        while not self._ready:
            if self._fetching:
                raise StateError("fetch: two tasks iterate over the same fetch; give each its own")
            if not self._bare:
                await super()._refill()
                self._bare, self._ready = self._ready, []
            self._fetching = True
            try:
                portion = self._portion()
                complete = await self._runner.run(lambda session: self._complete(session, portion), Effect.PURE)  # noqa: B023  awaited here
            finally:
                self._fetching = False
            del self._bare[len(self._bare) - len(portion) :]
            self._ready = complete[::-1]

    def _abandon(self) -> None:
        super()._abandon()
        self._bare = []

    def _portion(self) -> list[tuple[Fetch, tuple[str, ...]]]:
        """The next rows with the numbers of their text parts, as many as fit the budget; one at least."""
        portion: list[tuple[Fetch, tuple[str, ...]]] = []
        total = 0
        for row in reversed(self._bare[-_MOST_ROWS:]):
            told = row.get("BODYSTRUCTURE")
            root = body_part(told) if isinstance(told, wire.Part) else None
            found = [] if root is None else [part for subtype in self._texts if (part := root.body(subtype)) is not None]
            total += sum(part.size or 0 for part in found)
            if portion and total > self._budget:
                break
            portion.append((row, tuple(part.number for part in found)))
        return portion

    async def _complete(self, session: ImapSession, portion: list[tuple[Fetch, tuple[str, ...]]]) -> list[Fetch]:
        """The rows with their texts; those of messages that are gone meanwhile are left out."""
        wanted: dict[tuple[str, ...], list[int]] = {}
        for row, numbers in portion:
            if numbers and row.uid is not None:
                wanted.setdefault(numbers, []).append(row.uid)
        texts: dict[int, Fetch] = {}
        refused = await _fetch_parts(session, [(numbers, UidSet(uids)) for numbers, uids in wanted.items()], texts)
        if refused:  # "Some messages could not be FETCHed": find out which
            singly = [(numbers, UidSet(uid)) for numbers, uids, _ in refused for uid in uids if uid not in texts]
            refused = await _fetch_parts(session, singly, texts)
            self._unfetchable = self._unfetchable or next((error for _, _, error in refused), None)
        complete = []
        for row, numbers in portion:
            text = texts.get(row.uid or 0)
            if not numbers:
                complete.append(row)
            elif text is not None:
                complete.append(merged(row, text))
        return complete


async def _fetch_parts(
    session: ImapSession, groups: list[tuple[tuple[str, ...], UidSet]], texts: dict[int, Fetch]
) -> list[tuple[tuple[str, ...], UidSet, CommandError]]:
    """Fetch parts of messages into ``texts``, all on their way at once. The groups that the server refused."""

    def take(rows: list[Fetch]) -> None:
        texts.update((row.uid, row) for row in rows if row.uid is not None)

    pending = []
    try:
        for numbers, uids in groups:
            items = tuple(section_name(number).replace("BODY[", "BODY.PEEK[") for number in numbers)
            pending.append(session.submit(UidFetch(uids, items, take)))
        if pending:
            await asyncio.wait([one.future for one in pending])
    except (asyncio.CancelledError, GmailError):
        for one in pending:
            if not one.future.done():
                session.protocol.queue.cancel(one)
        raise
    refused = []
    for (numbers, uids), one in zip(groups, pending, strict=True):
        error = one.future.exception()
        if isinstance(error, CommandError) and error.status == "NO" and not (error.retryable or error.connection_lost):
            refused.append((numbers, uids, error))
        elif error is not None:
            raise error
    return refused
