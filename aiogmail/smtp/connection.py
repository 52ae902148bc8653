"""One connection's bytes: commands out, and in exactly the replies that they ask for; anything else ends it.

Commands may be pipelined: each :class:`Exchange` says how many replies it has coming, and gets them in its turn. A reply that nobody has
asked for ends the connection, and what came with it is not believed either.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from typing import Any, cast

from aiogmail.errors import Disconnected, GmailError, ProtocolError, TimedOut
from aiogmail.settings import Timeouts
from aiogmail.tcp import keep_alive

from .failures import CLOSING, farewell
from .wire import Reply, ReplyReader

__all__ = ["Exchange", "SmtpConnection"]

log = logging.getLogger("aiogmail.smtp")


class Exchange:
    """Commands that were written together, and their replies.

    Attributes:
        stage: what errors say was going on.
        replies: those that have come.
        done: done with all of them, or failed with why they do not come. Whoever does not await it need not.
    """

    __slots__ = ("count", "done", "patience", "replies", "stage")

    def __init__(self, loop: asyncio.AbstractEventLoop, stage: str, count: int, patience: float) -> None:
        self.stage = stage
        self.count = count
        self.patience = patience
        self.replies: list[Reply] = []
        self.done: asyncio.Future[list[Reply]] = loop.create_future()
        self.done.add_done_callback(_heard)


def _heard(future: asyncio.Future[list[Reply]]) -> None:
    if not future.cancelled():
        future.exception()  # nobody may wait for it any more


class SmtpConnection(asyncio.Protocol):
    """One SMTP connection after its EHLO.

    Args:
        loop: the running loop.
        name: what errors call it, such as ``"smtp.gmail.com:465"``.
        timeouts: deadlines.

    Attributes:
        closed: done with the reason once the connection is gone.
        sent: bytes that were handed to the transport.
        taken: messages that the server took on it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, name: str, timeouts: Timeouts) -> None:
        self._loop = loop
        self.name = name
        self.timeouts = timeouts
        self.transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[GmailError] = loop.create_future()
        self.sent = 0
        self.taken = 0
        self._reader = ReplyReader()
        self._waiting: deque[Exchange] = deque()
        self._late: asyncio.TimerHandle | None = None
        self._writable: asyncio.Future[None] | None = None
        self._condemned: GmailError | None = None

    # -- the transport calls ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a transport over, whoever has used it until now."""
        self.transport = cast("asyncio.Transport", transport)
        # Whoever waits for room waits until all is gone: the end of a message is handed over behind nothing. Python's TLS pauses at the
        # limit already, not beyond it: with 0 it would pause for ever.
        self.transport.set_write_buffer_limits(high=0 if transport.get_extra_info("ssl_object") is None else 1, low=0)
        keep_alive(transport.get_extra_info("socket"), self.timeouts)

    def data_received(self, data: bytes) -> None:
        if self.closed.done():
            return
        try:
            replies = self._reader.feed(data)
        except ProtocolError as error:
            self.fail(type(error)(f"{self.name}: {error}"))
            return
        self._hand_out(replies)

    def eof_received(self) -> bool:
        where = " in the middle of a reply" if self._reader.mid_reply else ""
        self.fail(Disconnected(f"{self.name}: the server closed the connection{where}"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(Disconnected(f"{self.name}: connection lost: {exc or 'closed'}"))

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    # -- out ---------------------------------------------------------------------------------------------------------------

    def request(self, data: bytes, stage: str, count: int = 1, patience: float | None = None) -> Exchange:
        """Write commands; their replies come to what is returned.

        Args:
            data: the commands; may be empty, when they are written by :meth:`write`.
            stage: what errors say was going on.
            count: how many replies they ask for.
            patience: seconds for all of them, from the reply before them on; default ``Timeouts.command``; infinite: until :meth:`hurry`.

        Raises:
            GmailError: the connection is gone, or is given up; nothing was written.
        """
        self.check()
        if log.isEnabledFor(logging.DEBUG):
            _show(self.name, data, stage)
        exchange = Exchange(self._loop, stage, count, self.timeouts.command if patience is None else patience)
        self._waiting.append(exchange)
        if len(self._waiting) == 1:
            self._watch()
        if data:
            self.write(data)
        return exchange

    def write(self, data: bytes | memoryview) -> None:
        """Hand bytes to the transport."""
        if self.transport is not None and not self.closed.done() and data:
            self.sent += len(data)
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until all that was written has left.

        Raises:
            TimedOut: 64 KiB did not leave within ``Timeouts.append_block``; the connection was aborted.
            GmailError: the connection is gone.
        """
        while self._writable is not None and not self.closed.done():
            try:
                async with asyncio.timeout(self.timeouts.append_block):
                    waits: list[asyncio.Future[Any]] = [self._writable, self.closed]
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            except TimeoutError:
                self.fail(TimedOut(f"{self.name}: the server took nothing for {self.timeouts.append_block:g} s"))
        if self.closed.done():
            raise self.closed.result().replica()

    async def usable(self) -> None:
        """Wait for the end of a connection that is given up; elsewhere it is at once.

        Raises:
            GmailError: the connection is gone.
        """
        if self._condemned is not None:
            await asyncio.wait([self.closed])
        self.check()

    def hurry(self, exchange: Exchange, patience: float) -> None:
        """From now on its replies have to come within so many seconds."""
        exchange.patience = patience
        self._watch()

    def check(self) -> None:
        """Raise why nothing may be written, if it may not.

        Raises:
            GmailError: the connection is gone, or is given up.
        """
        if self._reader.mid_reply and not self._waiting:
            self.fail(Disconnected(f"{self.name}: the server began to say what nobody had asked for"))
        if self.transport is not None and self.transport.is_closing():
            # A write has failed, and the loop says so later: until then it would drop what is written.
            self.fail(Disconnected(f"{self.name}: connection lost"))
        if self.closed.done():
            raise self.closed.result().replica()
        if self._condemned is not None:
            raise self._condemned.replica()

    def fail(self, error: GmailError) -> None:
        """End the connection for this reason: everything that waits hears it now. Nothing buffered is sent any more."""
        if self.closed.done():
            return
        log.debug("%s: %s", self.name, error)
        self.closed.set_result(error)
        if self._late is not None:
            self._late.cancel()
        if self.transport is not None:
            # Not from within its own callback: asyncio's TLS cannot be aborted while it hands on data or an end of file.
            self._loop.call_soon(self.transport.abort)
        self.resume_writing()
        waiting, self._waiting = self._waiting, deque()
        for exchange in waiting:
            if not exchange.done.done():
                exchange.done.set_exception(error.replica(stage=exchange.stage))

    def condemn(self, error: GmailError, until: Exchange | None) -> None:
        """End the connection as soon as a reply has come that another message waits for; nothing is written any more.

        Args:
            error: why.
            until: that exchange; ``None``, or one that is done: at once.
        """
        if until is None or until.done.done():
            self.fail(error)
            return
        self._condemned = self._condemned or error
        until.done.add_done_callback(lambda _: self.fail(error))

    # -- in ----------------------------------------------------------------------------------------------------------------

    def _hand_out(self, replies: list[Reply]) -> None:
        """Give replies to the exchanges they answer. Those that end with a surplus are not believed: none of them is."""
        complete: list[Exchange] = []
        ending: GmailError | None = None
        for reply in replies:
            log.debug("%s S: %s", self.name, reply)
            if ending is not None or not self._waiting:
                ending = ending or self._unasked(reply)
                break
            exchange = self._waiting[0]
            exchange.replies.append(reply)
            if reply.code == CLOSING:
                # It answers whatever was asked, and closes (RFC 5321 section 3.8): what was behind it has no reply.
                ending = farewell(self.name, reply, taken=self.taken)
                complete.append(self._waiting.popleft())
            elif len(exchange.replies) == exchange.count:
                complete.append(self._waiting.popleft())
        if isinstance(ending, ProtocolError) or (self._reader.mid_reply and not self._waiting and complete):
            ending = ending or self._unasked(None)
            self._waiting.extendleft(reversed(complete))
            self.fail(ending)
            return
        for exchange in complete:
            if not exchange.done.done():
                exchange.done.set_result(exchange.replies)
        if ending is not None:
            self.fail(ending)
        elif complete:
            self._watch()

    def _unasked(self, reply: Reply | None) -> GmailError:
        if reply is not None and reply.code in (CLOSING, 451):
            # What an idle connection is told before it is closed.
            return farewell(self.name, reply, taken=self.taken)
        return ProtocolError(f"{self.name}: the server said what nobody had asked for: {reply if reply is not None else '…'}")

    def _watch(self) -> None:
        """The deadline of the exchange whose turn it is now."""
        if self._late is not None:
            self._late.cancel()
            self._late = None
        if self._waiting and (head := self._waiting[0]).patience < math.inf:
            self._late = self._loop.call_later(head.patience, self._too_late, head)

    def _too_late(self, exchange: Exchange) -> None:
        self.fail(TimedOut(f"{self.name}: no answer within {exchange.patience:g} s ({exchange.stage})"))


def _show(name: str, data: bytes, stage: str) -> None:
    """Log commands. Those of AUTH are not even looked at, and what has no command is a message's body."""
    if stage == "AUTH" or not data:
        log.debug("%s C: %s", name, "AUTH '…'" if data else "the message")
        return
    for line in data.decode("utf-8", "replace").splitlines():
        log.debug("%s C: %s", name, line)
