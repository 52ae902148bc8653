"""What is new? Window after window of a maildrop, asked for ahead, handed over one by one, committed behind the consumer's back.

Two things are never done: a message is not committed before the consumer has come back for the next one, and none is handed over twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from aiogmail.errors import CommandError, GmailError, StateError
from aiogmail.ports import Effect, Runner
from aiogmail.stream import Stream

from .connection import DEPTH
from .exchange import Exchange
from .models import PopMail
from .session import Pop3Session

__all__ = ["Arrivals", "Committer"]

log = logging.getLogger("aiogmail.pop3")

_UNKNOWN_SIZE = 64 * 1024


class Committer(Protocol):
    """What the walk needs of its maildrop."""

    @property
    def batch(self) -> int | None: ...

    def pops(self, session: Pop3Session) -> bool: ...

    def is_behind(self, session: Pop3Session) -> bool: ...

    def wants_commit(self, session: Pop3Session) -> bool: ...

    def is_noted(self, uidl: str) -> bool: ...

    def note(self, uidl: str) -> None: ...

    async def commit(self) -> tuple[str, ...]: ...


@dataclass(slots=True, eq=False)
class _Asked:
    """A message that was asked for."""

    uidl: str
    size: int
    exchange: Exchange
    session: Pop3Session


class Arrivals(Stream[PopMail]):
    """The new messages of a maildrop, oldest first (but for one that the server had no time for), each exactly once, whatever happens to the connection on the way.

    An async iterator and an async context manager; made by :meth:`.maildrop.Maildrop.retrieve_new`. Commands are legal inside the loop. So
    many messages are asked for ahead as ``Limits.buffer`` holds, at least one and at most 100. Leaving the loop early needs no clean-up.

    Raises, from ``__anext__``:
        CommandError: at the end, when everything else was handed over: the server refused a message; ``refused`` has them all.
        OutcomeUnknown: the answer to a QUIT was lost, and so was the way to look what became of it.
        GmailError: what could not be recovered within ``Timeouts.recover``.

    Cancelling an ``__anext__`` loses nothing: the next one goes on where it stood.

    Attributes:
        refused: UIDL → the error, of messages that the server would not hand out.
        vanished: UIDLs that were asked for, did not arrive before the connection was lost, and are not listed any more: somebody else
            took them, or the server counts a message as popped before it has arrived. ``gmail.pop3(recent=True)`` shows them.
    """

    def __init__(self, runner: Runner[Pop3Session], committer: Committer, seen: Collection[str], budget: int) -> None:
        self.refused: dict[str, CommandError] = {}
        self.vanished: set[str] = set()
        self._runner = runner
        self._committer = committer
        self._seen = seen
        self._budget = budget
        self._session: Pop3Session | None = None
        self._todo: deque[str] = deque()
        self._asked: deque[_Asked] = deque()
        self._asked_size = 0
        self._asked_here = 0
        self._handed: set[str] = set()
        self._done = False
        self._consuming = False

    async def aclose(self) -> None:
        """End it. What was asked for ahead is not handed over, and is not committed."""
        self._done = True
        self._todo.clear()
        self._asked.clear()

    async def __anext__(self) -> PopMail:
        if self._consuming:
            raise StateError("retrieve_new: two tasks iterate over the same messages; give each its own")
        mail = self._ready()
        if mail is not None:
            return mail
        self._consuming = True
        try:
            while not self._done:
                mail = await self._runner.run(self._advance, Effect.PURE)
                if mail is not None:
                    return mail
                if not self._done:
                    await self._committer.commit()
        finally:
            self._consuming = False
        if self.refused:
            error = next(iter(self.refused.values()))
            self.refused, refused = {}, self.refused
            raise _refusal(error, refused)
        raise StopAsyncIteration

    # -- handing over ------------------------------------------------------------------------------------------------------

    def _ready(self) -> PopMail | None:
        """The next message, if it is here already."""
        if not self._asked or not self._asked[0].exchange.is_granted:
            return None
        mail = self._hand_over(self._asked[0])
        session = self._session
        if self._todo and session is not None and len(self._asked) <= DEPTH // 2 and not session.closed.done():
            self._fill(session)
        return mail

    async def _advance(self, session: Pop3Session) -> PopMail | None:
        """The next message; ``None``: nothing more before a commit, or at all."""
        if session is not self._session:
            self._begin(session)
        while not self._done:
            self._fill(session)
            if not self._asked:
                break
            head = self._asked[0]
            await asyncio.wait([head.exchange.future])  # which a cancelled wait leaves alone
            if self._asked and self._asked[0] is head and (mail := self._take(head)) is not None:
                return mail
        if not self._todo and not (self._committer.pops(session) and (self._asked_here or self._committer.is_behind(session))):
            self._done = True
        return None

    def _take(self, head: _Asked) -> PopMail | None:
        """What became of the oldest that was asked for; ``None``: the server refused it."""
        error = head.exchange.future.exception()
        if isinstance(error, GmailError):
            raise error.replica()
        try:
            return self._hand_over(head)
        except CommandError as refusal:
            self._asked.popleft()
            self._asked_size -= head.size
            if refusal.retryable:
                self._todo.appendleft(head.uidl)
                raise
            log.warning("%s was refused: %s", head.uidl, refusal)
            self.refused[head.uidl] = refusal
            self._handed.add(head.uidl)
            return None

    def _hand_over(self, head: _Asked) -> PopMail:
        exchange, uidl = head.exchange, head.uidl
        head.session.check_retr(uidl, exchange, exchange.future.result())
        self._asked.popleft()
        self._asked_size -= head.size
        self._handed.add(uidl)
        if self._committer.pops(head.session):
            self._committer.note(uidl)
        return PopMail(uidl, head.size, exchange.body)

    # -- asking ------------------------------------------------------------------------------------------------------------

    def _begin(self, session: Pop3Session) -> None:
        """Another session: what has come stays, what was on its way is asked for anew, by its UIDL."""
        self._session = session
        kept: deque[_Asked] = deque()
        while self._asked and self._asked[0].exchange.is_granted:
            kept.append(self._asked.popleft())
        for lost in self._asked:
            if lost.uidl not in session.sizes:
                log.warning("%s was on its way when the connection was lost, and is not listed any more", lost.uidl)
                self.vanished.add(lost.uidl)
        self._asked = kept
        self._asked_size = sum(asked.size for asked in kept)
        self._asked_here = 0
        here = {asked.uidl for asked in kept}
        self._todo = deque(uidl for uidl in session.uidls if uidl not in here and self._is_new(uidl, session))

    def _is_new(self, uidl: str, session: Pop3Session) -> bool:
        if uidl in self._handed or self._committer.is_noted(uidl):
            return False
        if uidl not in self._seen:
            return True
        if self._committer.pops(session):
            # The consumer has it from a run that ended before its QUIT: it would stay in the window for ever.
            self._committer.note(uidl)
        self._handed.add(uidl)
        return False

    def _fill(self, session: Pop3Session) -> None:
        """Ask for the next messages, as many as may be on their way or waiting here."""
        if not self._todo or len(self._asked) > DEPTH // 2 or self._committer.is_behind(session):
            return
        batch = self._committer.batch if self._committer.wants_commit(session) else None
        new = []
        while self._todo and len(self._asked) < DEPTH and (batch is None or self._asked_here < batch):
            uidl = self._todo[0]
            size = session.sizes[uidl]
            if self._asked and self._asked_size + (size or _UNKNOWN_SIZE) > self._budget:
                break
            self._todo.popleft()
            if uidl in session.deleted:
                continue
            asked = _Asked(uidl, size, session.retr(uidl), session)
            session.unclaimed.add(uidl)
            self._asked.append(asked)
            self._asked_size += size
            self._asked_here += 1
            new.append(asked.exchange)
        if new:
            session.ask(new)


def _refusal(first: CommandError, refused: dict[str, CommandError]) -> CommandError:
    error = first.replica()
    error.message = f"{len(refused)} of the messages were refused by the server, among them {next(iter(refused))}: {first}"
    return error
