"""One connection's bytes: in, to the responses and the commands they answer; out, as the command queue says; and its end.

asyncio fills the framer's buffers itself (``get_buffer``/``buffer_updated``); uvloop calls ``data_received``. Both lead into
one parser. What came is worked off in steps, and the loop has its turn between two of them: a flood of tiny lines must not
stop everybody else. Meanwhile nothing is read, so that order and bounds stay what they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import cast

from aiogmail.errors import Disconnected, GmailError, ProtocolError
from aiogmail.settings import Limits, Timeouts
from aiogmail.tcp import keep_alive

from .commands import bye_error
from .queue import CommandQueue
from .wire import Response, ResponseParser, Status

__all__ = ["Connection"]

log = logging.getLogger("aiogmail.imap")

_STEP = 640
"""Responses that are worked off at once: 2 ms of rows. 64 KiB, what one read brings, holds fewer of all but tiny ones."""
_TURN = 64 * 1024
"""Bytes in one turn of the loop after which the next is awaited. uvloop goes on reading within a turn as long as there is something."""


class Connection(asyncio.BufferedProtocol):
    """One IMAP connection: bytes in, responses to the commands on the wire, bytes out.

    Args:
        loop: the running loop.
        name: what errors call it, such as ``"imap.gmail.com:993"``.
        limits: bounds on what the server may make us hold.
        timeouts: deadlines of commands.
        new_tag: makes tags.
        on_unsolicited: takes the responses that belong to no command; none may be missed.

    Attributes:
        queue: the commands.
        greeting: done with the greeting, or failed with why there was none.
        closed: done with the reason once the connection is gone.
        sent: bytes that were handed to the transport.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        name: str,
        limits: Limits,
        timeouts: Timeouts,
        new_tag: Callable[[], str],
        on_unsolicited: Callable[[Response], None],
    ) -> None:
        self._loop = loop
        self.name = name
        self.transport: asyncio.Transport | None = None
        self.greeting: asyncio.Future[Status] = loop.create_future()
        self.closed: asyncio.Future[GmailError] = loop.create_future()
        self.queue = CommandQueue(
            loop,
            self,
            name=name,
            limits=limits,
            timeouts=timeouts,
            new_tag=new_tag,
            on_unsolicited=on_unsolicited,
        )
        self.sent = 0
        self._timeouts = timeouts
        self._limit = limits.buffer
        self._parser = ResponseParser(limits)
        self._held = 0
        self._starving = 0
        self._paused = False  # whether the transport is
        self._held_back = False  # whether that is for a slow consumer, and whether it was
        self._was_held_back = False
        self._resting = False  # whether the rest of what came is to be worked off in the next turn
        self._turn = 0  # bytes that came in this one
        self._ended: GmailError | None = None  # and then the end of the connection

    # -- the transport calls ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.closed.done():
            self._loop.call_soon(self.transport.abort)
            return
        keep_alive(transport.get_extra_info("socket"), self._timeouts)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._parser.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        try:
            responses = self._parser.buffer_updated(nbytes, 0 if self._resting else _STEP)
        except ProtocolError:
            responses = []  # the parser keeps the error
        self._process(responses)
        if self._parser.has_more:
            self._rest()

    def data_received(self, data: bytes) -> None:
        if not self._turn:
            self._loop.call_soon(self._next_turn)
        self._turn += len(data)
        try:
            responses = self._parser.feed(data, 0 if self._resting else _STEP)
        except ProtocolError:
            responses = []
        self._process(responses)
        if self._turn > _TURN or self._parser.has_more:
            self._rest()

    def eof_received(self) -> bool:
        where = " in the middle of a response" if self._parser.mid_response else ""
        self._end(Disconnected(f"{self.name}: the server closed the connection{where}"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Disconnected(f"{self.name}: connection lost: {exc or 'closed'}"))

    def _end(self, error: GmailError) -> None:
        """The server is gone; what it said before is worked off first."""
        if self._resting:
            self._ended = self._ended or error
        else:
            self.fail(error)

    def _next_turn(self) -> None:
        self._turn = 0

    def _rest(self) -> None:
        """Go on in the next turn of the loop; nothing is read before."""
        if not self._resting and not self.closed.done():
            self._resting = True
            self._loop.call_soon(self._go_on)
            self.regulate()

    def _go_on(self) -> None:
        try:
            responses = self._parser.more(_STEP) if self._parser.has_more else []
        except ProtocolError:
            responses = []
        self._process(responses)
        if self._parser.has_more:
            self._loop.call_soon(self._go_on)
            return
        self._resting = False
        if self._ended is not None:
            self.fail(self._ended)
        else:
            self.regulate()

    def pause_writing(self) -> None:
        self.queue.pause_writing()

    def resume_writing(self) -> None:
        self.queue.resume_writing()

    # -- the queue calls ---------------------------------------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> None:
        """Hand bytes to the transport."""
        if self.transport is not None and self._ended is None and not self.closed.done():
            self.sent += len(data)
            self.transport.write(data)

    def fail(self, error: GmailError) -> None:
        """End the connection for this reason: everything that waits hears it now. Nothing buffered is sent any more."""
        if self.closed.done():
            return
        log.debug("%s: %s", self.name, error)
        self.closed.set_result(error)
        if (cut := self._parser.cut()) is not None:
            self.queue.cut(*cut)
        self._parser.feed_eof()
        if self.transport is not None:
            # Not from within its own callback: asyncio's TLS cannot be aborted while it hands on data or an end of file.
            # Nothing is written any more meanwhile.
            self._loop.call_soon(self.transport.abort)
        if not self.greeting.done():
            self.greeting.set_exception(error)
            self.greeting.exception()
        self.queue.fail(error)

    def received(self) -> int:
        """Bytes that have arrived so far."""
        return self._parser.received

    def was_reading_paused(self) -> bool:
        """Whether a slow consumer held back the socket at any time since this was last asked."""
        was, self._was_held_back = self._was_held_back or self._held_back, self._held_back
        return was

    # -- back-pressure -----------------------------------------------------------------------------------------------------

    def hold(self, size: int) -> None:
        """A row of this many bytes waits for its consumer."""
        self._held += size

    def release(self, size: int) -> None:
        """A row of this many bytes was taken."""
        self._held -= size
        if self._held_back and self._held <= self._limit // 2:
            self.regulate()

    @contextlib.contextmanager
    def starving(self) -> Iterator[None]:
        """While a consumer waits for rows, the socket is not held back for another that is slow."""
        self._starving += 1
        self.regulate()
        try:
            yield
        finally:
            self._starving -= 1

    def is_holding(self) -> bool:
        """Whether as much as ``Limits.buffer`` waits for consumers."""
        return self._held > self._limit

    def may_hold_back(self) -> bool:
        """Whether too much that is held would hold back the socket: not while somebody waits for what comes behind it."""
        return not self._starving and self.queue.may_be_held_back

    def regulate(self) -> None:
        """Pause reading while too much is held, unless somebody waits for what comes behind the rows: then they are taken in.

        What is taken in is bounded by the windows that a fetch has on the wire. Nothing is read either while there is a rest.
        """
        self._held_back = self._held > self._limit and self.may_hold_back()
        self._was_held_back = self._was_held_back or self._held_back
        pause = self._held_back or self._resting
        if pause is self._paused or self.transport is None or self._ended is not None or self.closed.done():
            return
        self._paused = pause
        if pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    # -- responses ---------------------------------------------------------------------------------------------------------

    def _process(self, responses: list[Response]) -> None:
        if self.closed.done():
            return
        if responses and not self.greeting.done():
            self._greet(responses.pop(0))
        self.queue.process(responses)
        if self._parser.error is not None:
            self.fail(type(self._parser.error)(f"{self.name}: {self._parser.error}"))
        elif self._held > self._limit:
            self.regulate()
        if not self.queue.in_flight:
            self._parser.slim()

    def _greet(self, response: Response) -> None:
        if not isinstance(response, Status) or response.status not in ("OK", "PREAUTH", "BYE"):
            self.fail(ProtocolError(f"{self.name}: not an IMAP server: its first line is no greeting"))
        elif response.status == "BYE":
            self.fail(bye_error(self.name, response))
        else:
            self.greeting.set_result(response)
