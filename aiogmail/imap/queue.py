"""Which command may be written now, and whose reply is this? The rules of one connection, without its socket.

One command is being written at a time. Reads go out ahead of their predecessors' replies, to a small depth; what changes
something goes alone. A tagged reply completes only a command that was wholly written; anything else fails the connection.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from aiogmail.budget import Pace
from aiogmail.errors import Disconnected, GmailError, LimitExceeded, ProtocolError, StateError
from aiogmail.ports import Effect, Outcome
from aiogmail.settings import Limits, Timeouts

from .commands import Command, bye_error, is_throttled
from .deadline import Deadline
from .pending import Link, Pending
from .wire import Continuation, LiteralMode, Response, Status, Tagged, encode_command

__all__ = ["CommandQueue"]

log = logging.getLogger("aiogmail.imap")

T = TypeVar("T")

_BLOCK = 64 * 1024


class CommandQueue:
    """The commands of one connection.

    Args:
        loop: where futures and the deadline live.
        link: the connection.
        name: what errors call it, such as ``"imap.gmail.com:993"``.
        limits: ``queue``, ``pipeline`` and ``command_line`` count here.
        timeouts: how long the oldest command on the wire may take.
        new_tag: makes tags.
        on_unsolicited: takes the responses that belong to no command.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        link: Link,
        *,
        name: str,
        limits: Limits,
        timeouts: Timeouts,
        new_tag: Callable[[], str],
        on_unsolicited: Callable[[Response], None],
    ) -> None:
        self._loop = loop
        self._link = link
        self._name = name
        self._limits = limits
        self._timeouts = timeouts
        self._new_tag = new_tag
        self._on_unsolicited = on_unsolicited
        self._waiting: deque[Pending[Any]] = deque()
        self._flight: dict[str, Pending[Any]] = {}
        self._rivals = False
        """Whether two commands on the wire could take the same response."""
        self._writer: Pending[Any] | None = None
        self._blocks: deque[bytes | memoryview] = deque()
        self._write_paused = False
        self._error: GmailError | None = None
        self._deadline = Deadline(loop, link, name, timeouts)
        self._pacing: asyncio.TimerHandle | None = None
        self.pace: Pace | None = None
        """How far apart the account's commands are sent, once the server has said [THROTTLED]."""
        self.on_throttled: Callable[[str], None] | None = None
        """Called with the server's words when the pace has slowed down."""
        self.literal_mode = LiteralMode.SYNC
        self.utf8 = False

    @property
    def error(self) -> GmailError | None:
        """Why the connection is gone; ``None`` while it lives."""
        return self._error

    @property
    def in_flight(self) -> int:
        """Commands on the wire."""
        return len(self._flight)

    @property
    def is_contended(self) -> bool:
        """Whether a command waits for its turn."""
        return bool(self._waiting)

    @property
    def may_be_held_back(self) -> bool:
        """Whether nobody waits for anything but rows that its consumer is too slow to take."""
        return bool(self._flight) and not self._waiting and all(pending.command.patient for pending in self._flight.values())

    # -- from above ------------------------------------------------------------------------------------------------------

    def submit(self, command: Command[T]) -> Pending[T]:
        """Put a command into the queue; it is written at once if it may be. Who does not await its future need not.

        Raises:
            StateError: too many commands wait already.
            GmailError: the connection is gone; nothing of the command was sent.
        """
        if self._error is not None:
            raise self._error.replica(outcome=Outcome.NOT_APPLIED, stage="not sent")
        if len(self._waiting) >= self._limits.queue:
            raise StateError(f"{self._name}: more than {self._limits.queue} commands wait (Limits.queue)")
        pending = Pending(command, self._loop.create_future())
        pending.future.add_done_callback(_retrieved)
        self._waiting.append(pending)
        self._pump()
        self._link.regulate()
        return pending

    async def execute(self, command: Command[T]) -> T:
        """Submit a command and await its result.

        Cancelling is safe: a command not yet written is forgotten; a read whose reply is small is read and dropped; anything
        else costs the connection, because the server may act on half of it.
        """
        pending = self.submit(command)
        try:
            return await pending.future
        except asyncio.CancelledError:
            self.cancel(pending)
            raise

    def cancel(self, pending: Pending[Any]) -> None:
        """The caller of this command went away."""
        pending.future.cancel()
        leader = self._flight.get(pending.tag)
        if leader is not None and (leader is pending or pending in leader.riders):
            self._leave(pending, leader)
        elif pending in self._waiting:
            self._waiting.remove(pending)

    def _leave(self, pending: Pending[Any], leader: Pending[Any]) -> None:
        """Somebody who waited for this run went away: it goes on for those who still do."""
        pending.command.forget()
        group = (leader, *leader.riders)
        if not all(one.future.done() for one in group):
            return
        if leader is not self._writer and not leader.left and all(one.command.is_droppable() for one in group):
            self._say_interrupt(leader)
        else:
            self._link.fail(Disconnected(f"{self._name}: connection dropped because {pending.command.name} was cancelled on the wire"))

    def cut(self, text: bytes, octets: bytes) -> None:
        """The connection goes in the middle of a literal: whoever can use the octets that came of it may have them."""
        for pending in self._flight.values():
            for one in (pending, *pending.riders):
                one.command.take_cut(text, octets)

    def fail(self, error: GmailError) -> None:
        """The connection is gone: every command fails now, with this as the cause."""
        if self._error is not None:
            return
        self._error = error
        self._deadline.stop()
        if self._pacing is not None:
            self._pacing.cancel()
        flight, self._flight = list(self._flight.values()), {}
        waiting, self._waiting = list(self._waiting), deque()
        writer, self._writer = self._writer, None
        unsent = bool(self._blocks)
        self._blocks.clear()
        for pending in flight:
            changes = pending.command.effect is not Effect.PURE
            # A literal that was not wholly handed over cannot have been taken, because the connection is aborted.
            whole = pending is not writer or not (unsent or pending.left)
            outcome = (Outcome.UNKNOWN if whole else Outcome.NOT_APPLIED) if changes else None
            for one in (pending, *pending.riders):
                self._reject(one, error.replica(outcome=outcome, stage=f"{one.command.name} on the wire"))
        # Nobody was told anything too large because of what was not sent: that may be tried again.
        unsent_error = Disconnected(str(error)) if isinstance(error, LimitExceeded) else error
        for pending in waiting:
            self._reject(pending, unsent_error.replica(outcome=Outcome.NOT_APPLIED, stage=f"{pending.command.name} not sent"))

    # -- from below ------------------------------------------------------------------------------------------------------

    def process(self, responses: Sequence[Response]) -> None:
        """Take what the server said, in order."""
        position = 0
        while position < len(responses) and self._error is None:
            response = responses[position]
            if type(response) is Tagged:
                self._tagged(response)
                position += 1
            elif type(response) is Continuation:
                self._continuation(response)
                position += 1
            else:
                position += self._untagged(responses, position)

    def _untagged(self, responses: Sequence[Response], position: int) -> int:
        """Hand on the response at this position, and those behind it that go the same way. How many."""
        response = responses[position]
        for pending in self._likeliest(response) if self._rivals else self._flight.values():
            if self._rivals or pending.riders:
                if pending.take(response):
                    return 1
            elif taken := pending.command.take_run(responses, position):
                return taken
        if isinstance(response, Status) and response.status == "BYE":
            self._link.fail(bye_error(self._name, response))
        else:
            self._on_unsolicited(response)
        return 1

    def _likeliest(self, response: Response) -> list[Pending[Any]]:
        """The commands on the wire, oldest first, but for one that asked for just this: servers may work on several at once."""
        return sorted(self._flight.values(), key=lambda pending: not pending.fits(response))

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """The transport takes more."""
        self._write_paused = False
        self._write_blocks()
        self._pump()

    # -- writing ---------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        while self._waiting and self._may_start(self._waiting[0].command) and not self._is_paced():
            self._start(self._waiting.popleft())
        if self._waiting:
            self._interrupt()

    def _may_start(self, command: Command[Any]) -> bool:
        if self._error is not None or self._writer is not None or self._write_paused:
            return False
        if not self._flight:
            return True
        if command.waits or len(self._flight) >= self._limits.pipeline:
            return False
        return not any(pending.command.blocks or command.clashes(pending.command) for pending in self._flight.values())

    def _is_paced(self) -> bool:
        """Whether the next command must wait because the server asked for less haste."""
        if self.pace is None or not self.pace.gap:
            return False
        now = self._loop.time()
        wait = self.pace.wait(now)
        if wait <= 0:
            self.pace.sent(now)
            return False
        if self._pacing is None:
            self._pacing = self._loop.call_later(wait, self._paced)
        return True

    def _paced(self) -> None:
        self._pacing = None
        self._pump()

    def _note_pace(self, text: str) -> None:
        assert self.pace is not None
        if not is_throttled(text):
            self.pace.eased(self._loop.time())
        elif self.pace.throttled(self._loop.time()) and self.on_throttled is not None:
            self.on_throttled(text)

    def _start(self, pending: Pending[Any]) -> None:
        command = pending.command
        pending.tag = command.tag = self._new_tag()
        try:
            self._take_along(pending)
            encoded = encode_command(
                pending.tag, command.name, *command.arguments(), literal=self.literal_mode, utf8=self.utf8, limits=self._limits
            )
        except Exception as error:  # noqa: BLE001  # whatever a command's own code raises, who waits for it must hear of it
            for one in (pending, *pending.riders):
                self._reject(one, error)
            return
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s C: %s", self._name, encoded.redacted)
        pending.left.extend(encoded.segments)
        self._rivals = self._rivals or any(command.rivals(other.command) for other in self._flight.values())
        self._flight[pending.tag] = pending
        if len(self._flight) == 1:
            self._deadline.begin(self._oldest())
        self._write_segment(pending)

    def _take_along(self, pending: Pending[Any]) -> None:
        """Those that can be done in the same run as this one."""
        if self._waiting:
            room = self._limits.command_line - len(pending.tag)
            for _ in range(pending.command.join([other.command for other in self._waiting], room)):
                rider = self._waiting.popleft()
                rider.tag = pending.tag
                pending.riders.append(rider)

    def _write_segment(self, pending: Pending[Any]) -> None:
        """Hand over one segment; the writer is released when the last one is out."""
        segment = pending.left.popleft()
        pending.handed = True
        self._writer = pending
        for buffer in segment:
            if len(buffer) <= _BLOCK:
                self._blocks.append(buffer)
            else:
                view = memoryview(buffer)
                self._blocks.extend(view[start : start + _BLOCK] for start in range(0, len(view), _BLOCK))
        self._write_blocks()

    def _write_blocks(self) -> None:
        while self._blocks and not self._write_paused:
            self._link.write(self._blocks.popleft())
            if self._blocks:
                self._renew(self._writer, self._timeouts.append_block)
        pending = self._writer
        if pending is not None and not self._blocks:
            if pending.left:
                pending.waiting = True
                self._renew(pending, self._timeouts.command)
            else:
                self._writer = None
                self._renew(pending, pending.command.patience(self._timeouts))

    def _interrupt(self) -> None:
        """Others wait: a command that would go on for ever (IDLE) ends itself."""
        for pending in list(self._flight.values()):
            self._say_interrupt(pending)

    def interrupt(self, pending: Pending[Any]) -> None:
        """End a command that would go on for ever, such as IDLE; its future is done when the server has said so."""
        if self._flight.get(pending.tag) is pending:
            self._say_interrupt(pending)
        elif pending in self._waiting:
            self.cancel(pending)

    @property
    def is_endless(self) -> bool:
        """Whether what is on the wire, or waits for its turn, goes on until it is interrupted."""
        return any(pending.command.endless for pending in (*self._flight.values(), *self._waiting))

    def end_endless(self, error: GmailError) -> None:
        """End what would go on for ever, and fail what would begin to; nothing else is touched."""
        self._interrupt()
        for pending in [one for one in self._waiting if one.command.endless]:
            self._waiting.remove(pending)
            self._reject(pending, error.replica())

    def _say_interrupt(self, pending: Pending[Any]) -> None:
        line = pending.command.interrupt()
        if line is not None:
            self._link.write(line + b"\r\n")
            self._deadline.begin(self._oldest())
            self._link.regulate()

    def _oldest(self) -> Pending[Any] | None:
        """Whose turn with the server it is."""
        return next(iter(self._flight.values()), None)

    def _renew(self, pending: Pending[Any] | None, patience: float | None) -> None:
        if pending is not None and pending is self._oldest():
            self._deadline.renew(pending, patience)

    # -- replies -----------------------------------------------------------------------------------------------------------

    def _continuation(self, response: Continuation) -> None:
        writer = self._writer
        if writer is not None and writer.waiting:
            writer.waiting = False
            self._write_segment(writer)
            self._pump()
            return
        for pending in self._flight.values():
            if pending is not writer and (answer := pending.command.answer(response)) is not False:
                if isinstance(answer, bytes):
                    self._link.write(answer + b"\r\n")
                else:
                    self._deadline.begin(self._oldest())
                return
        self._link.fail(ProtocolError(f"{self._name}: the server asked for more (+) and no command waits for that"))

    def _tagged(self, response: Tagged) -> None:
        pending = self._flight.get(response.tag)
        if pending is None:
            self._link.fail(ProtocolError(f"{self._name}: a tagged reply to no command on the wire ({response.tag[:32]!r})"))
            return
        if pending is self._writer and response.status == "OK":
            self._link.fail(ProtocolError(f"{self._name}: {pending.command.name} was answered before it was wholly sent"))
            return
        cut = pending is self._writer and not pending.waiting
        if pending is self._writer:  # NO or BAD instead of the continuation, or in the middle: the literal is not wanted
            self._writer = None
        oldest = next(iter(self._flight.values())) is pending
        del self._flight[response.tag]
        if self._rivals:
            pairs = itertools.combinations(self._flight.values(), 2)
            self._rivals = any(one.command.rivals(other.command) for one, other in pairs)
        if oldest:  # the others' time begins when their turn with the server comes
            self._deadline.begin(self._oldest())
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s S: %s %s %s", self._name, response.tag, response.status, response.text)
        if self.pace is not None:
            self._note_pace(response.text)
        if response.status == "OK" and pending.command.utf8:
            self.utf8 = True
        self._settle(pending, response, cut=cut)
        if cut:
            # Who refuses a literal that need not wait reads the rest of it or does not (RFC 7888): what is next may be taken for either.
            self._link.fail(Disconnected(f"{self._name}: connection dropped because {pending.command.name} was refused while it was sent"))
        self._pump()

    def _settle(self, pending: Pending[Any], response: Tagged, *, cut: bool = False) -> None:
        for rider in pending.riders:
            self._settle(rider, response)
        try:
            result = pending.command.settle(response)
        except GmailError as error:
            lost = error.connection_lost
            error.connection_lost = lost or cut
            self._reject(pending, error)
            if lost:
                self._link.fail(error)
        else:
            if not pending.future.done():
                pending.future.set_result(result)

    @staticmethod
    def _reject(pending: Pending[Any], error: Exception) -> None:
        if not pending.future.done():
            pending.future.set_exception(error)


def _retrieved(future: asyncio.Future[Any]) -> None:
    """What nobody awaits is no news: a failed connection tells everybody who does."""
    if not future.cancelled():
        future.exception()
