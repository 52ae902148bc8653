"""One connection's bytes: in, to the replies of the commands on the wire; out, in order; its deadlines, its back-pressure and its end.

POP3 has no tags: the k-th reply is the k-th command's. So nothing is ever taken back: a command that is given up costs the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Self, cast

from aiogmail.errors import ConnectFailed, Disconnected, GmailError, ProtocolError, StateError, TimedOut
from aiogmail.settings import Endpoint, Limits, Timeouts
from aiogmail.tcp import connect_failed, keep_alive, tls_options

from .exchange import Exchange
from .failures import farewell, seems_empty
from .wire import END, SEEMS, Challenge, Event, Expect, ReplyParser, Status

__all__ = ["DEPTH", "Connection"]

log = logging.getLogger("aiogmail.pop3")

DEPTH = 100
"""Commands on the wire at once, where the server takes pipelining (RFC 2449 section 6.6)."""


class Connection(asyncio.Protocol):
    """One POP3 connection.

    Args:
        endpoint: where to; names it in errors.
        limits: bounds on what the server may make us hold.
        timeouts: deadlines.

    Attributes:
        closed: done with the reason once the connection is gone.
        greeting: done with the greeting, or failed with why there was none.
        depth: commands on the wire at once: 1 until the server is known to take more.
        on_closed: called once with the reason, at the moment the connection is gone.
    """

    def __init__(self, endpoint: Endpoint, limits: Limits, timeouts: Timeouts) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self.name = str(endpoint)
        self.closed: asyncio.Future[GmailError] = loop.create_future()
        self.greeting: asyncio.Future[Status] = loop.create_future()
        self.depth = 1
        self.on_closed: Callable[[GmailError], None] = _ignored
        self._timeouts = timeouts
        self._buffer_limit = limits.buffer
        self._queue_limit = limits.queue
        self._parser = ReplyParser(limits)
        self._parser.expect(Expect.LINE)
        self._transport: asyncio.Transport | None = None
        self._on_wire: deque[Exchange] = deque()
        self._waiting: deque[Exchange] = deque()
        self._held = 0
        self._paused = False
        self._watchdog: asyncio.TimerHandle | None = None
        self._begun = self._arrived = 0.0  # of the reply that is due: when it became so, when something last came

    @classmethod
    async def open(cls, endpoint: Endpoint, limits: Limits, timeouts: Timeouts) -> Self:
        """Connect, and wait for the greeting.

        Raises:
            ConnectFailed: no connection or no greeting within ``Timeouts.connect``.
            GmailError: what the greeting says instead of ``+OK``.

        Cancelled, it leaves nothing open.
        """
        self = cls(endpoint, limits, timeouts)
        tls = tls_options(endpoint)
        try:
            async with asyncio.timeout(timeouts.connect):
                await self._loop.create_connection(lambda: self, endpoint.host, endpoint.port, **tls)
                await asyncio.wait([self.greeting])
        except BaseException as error:
            failure = _connect_failed(self.name, error, timeouts.connect)
            self.fail(failure or Disconnected(f"{self.name}: given up while connecting"))
            if failure is None or failure is error:
                raise
            raise failure from error
        greeting = self.greeting.result()
        if not greeting.ok or greeting.code == SEEMS:
            refusal = seems_empty(self.name, greeting) if greeting.ok else farewell(self.name, greeting)
            refusal.connection_lost = True
            self.fail(refusal)
            raise refusal
        return self

    # -- the transport calls -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self.closed.done():
            self._loop.call_soon(self._transport.abort)
            return
        keep_alive(transport.get_extra_info("socket"), self._timeouts)

    def data_received(self, data: bytes) -> None:
        if self.closed.done():
            return
        self._arrived = self._loop.time()
        for event in self._parser.feed(data):
            self._take(event)
            if self.closed.done():
                return
        if self._parser.error is not None:
            self.fail(type(self._parser.error)(f"{self.name}: {self._parser.error}"))
            return
        if self._on_wire and self._on_wire[0].status is not None:
            self._watch_by(self._arrived + self._timeouts.progress)
        if self._waiting:
            self._write_waiting()

    def eof_received(self) -> bool:
        where = " in the middle of a reply" if self._parser.mid_reply else ""
        self.fail(Disconnected(f"{self.name}: the server closed the connection{where}"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(Disconnected(f"{self.name}: connection lost: {exc or 'closed'}"))

    # -- commands ----------------------------------------------------------------------------------------------------------

    def submit(self, *exchanges: Exchange) -> None:
        """Put commands on their way, in one write where they may be pipelined.

        Raises:
            GmailError: the connection is gone, or too many commands wait already.
        """
        if self.closed.done():
            raise self.closed.result().replica()
        if len(self._waiting) + len(exchanges) > max(self._queue_limit, DEPTH):
            raise StateError(f"{self.name}: more than Limits.queue ({self._queue_limit}) commands wait")
        self._waiting.extend(exchanges)
        self._write_waiting()
        self.regulate()

    async def execute(self, exchange: Exchange) -> Status:
        """Run one command to the end of its reply, whatever that says.

        Raises:
            GmailError: the connection is gone.

        Cancelled, it aborts the connection: nothing else could tell its reply from the next one's.
        """
        self.submit(exchange)
        return await self.settle(exchange)

    async def settle(self, exchange: Exchange) -> Status:
        """Wait for a command that was submitted; see :meth:`execute`."""
        try:
            await asyncio.wait([exchange.future])
        except asyncio.CancelledError:
            # Also where the reply is here already: whoever was to note what it changed is gone.
            self.fail(Disconnected(f"{self.name}: {exchange.name} was cancelled"))
            raise
        error = exchange.future.exception()
        if error is not None:
            raise error.replica() if isinstance(error, GmailError) else error
        return exchange.future.result()

    def _write_waiting(self) -> None:
        """Write what may be on the wire."""
        lines = []
        while self._waiting and len(self._on_wire) < self.depth:
            exchange = self._waiting.popleft()
            if log.isEnabledFor(logging.DEBUG):
                shown = "AUTH '…'" if exchange.expect is Expect.AUTH else exchange.line.decode("ascii", "replace")
                log.debug("%s C: %s", self.name, shown)
            lines.append(exchange.line + b"\r\n")
            exchange.line = b""
            self._parser.expect(exchange.expect, table=exchange.table)
            self._on_wire.append(exchange)
            if len(self._on_wire) == 1:
                self._due()
        if lines:
            self._write(b"".join(lines))

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self.closed.done():
            self._transport.write(data)

    # -- replies -----------------------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        if not self._on_wire:
            self._take_greeting(event)
            return
        exchange = self._on_wire[0]
        if isinstance(event, bytes):
            exchange.size += len(event)
            if exchange.on_octets is not None:
                exchange.on_octets(event)
            else:
                exchange.pieces.append(event)
        elif event is END:
            assert exchange.status is not None
            self._complete(exchange, exchange.status)
        elif isinstance(event, Challenge):
            if exchange.on_challenge is None:
                self.fail(ProtocolError(f"{self.name}: {exchange.name}: the server asks again and again"))
                return
            answer, exchange.on_challenge = exchange.on_challenge, None
            self._write(answer(event.data) + b"\r\n")
        elif isinstance(event, Status):
            exchange.status = event
            if exchange.expect is not Expect.LINES or not event.ok:
                self._complete(exchange, event)

    def _take_greeting(self, event: Event) -> None:
        """A line that no command asked for: the first, or the server's last words."""
        assert isinstance(event, Status)
        if not self.greeting.done():
            self.greeting.set_result(event)
        else:
            self.fail(farewell(self.name, event))

    def _complete(self, exchange: Exchange, status: Status) -> None:
        self._on_wire.popleft()
        log.debug("%s S: %s", self.name, status)
        if self._on_wire:
            self._due()
        if not exchange.future.done():
            exchange.future.set_result(status)

    # -- deadlines ---------------------------------------------------------------------------------------------------------

    def _due(self) -> None:
        """Another reply is the next to come."""
        self._begun = self._arrived = self._loop.time()
        patience = self._on_wire[0].patience
        self._watch_by(self._begun + (self._timeouts.first_byte if patience is None else patience))

    def _watch_by(self, when: float) -> None:
        """Look then at the latest."""
        if self._watchdog is not None:
            if self._watchdog.when() <= when:
                return
            self._watchdog.cancel()
        self._watch()

    def _watch(self) -> None:
        """Look again when the reply that is due may be overdue. One timer serves all replies."""
        self._watchdog = None
        if not self._on_wire or self._paused or self.closed.done():
            return
        exchange = self._on_wire[0]
        now, left, why = self._loop.time(), *self._left(exchange)
        if left <= 0:
            self.fail(TimedOut(f"{self.name}: {exchange.name}: {why}"))
        else:
            self._watchdog = self._loop.call_at(now + left, self._watch)

    def _left(self, exchange: Exchange) -> tuple[float, str]:
        """Seconds until a reply is overdue as it stands, and what it will be then."""
        timeouts, now = self._timeouts, self._loop.time()
        if exchange.patience is not None:
            return self._begun + exchange.patience - now, f"no reply within {exchange.patience:g} s"
        if exchange.status is None:
            return self._begun + timeouts.first_byte - now, f"no reply within {timeouts.first_byte:g} s"
        silence = self._arrived + timeouts.progress - now
        if silence <= 0:
            return silence, f"nothing came for {timeouts.progress:g} s"
        elapsed = now - self._begun
        if elapsed > timeouts.progress and exchange.size < timeouts.min_rate * elapsed:
            return 0.0, f"fewer than {timeouts.min_rate:g} bytes a second"
        return min(silence, timeouts.progress), ""

    # -- back-pressure -----------------------------------------------------------------------------------------------------

    def hold(self, size: int) -> None:
        """So many octets wait for their consumer."""
        self._held += size
        self.regulate()

    def release(self, size: int) -> None:
        """So many octets were taken."""
        self._held -= size
        self.regulate()

    def regulate(self) -> None:
        """Pause reading while too much is held, unless a command waits behind the body that is: then the rest of it is taken in."""
        behind = len(self._on_wire) + len(self._waiting) > 1
        pause = not behind and self._held > (self._buffer_limit // 2 if self._paused else self._buffer_limit)
        if pause is self._paused or self._transport is None or self.closed.done():
            return
        self._paused = pause
        if pause:
            self._transport.pause_reading()
            return
        self._transport.resume_reading()
        if self._on_wire:
            self._due()  # what we held back ourselves is not the server's silence

    # -- the end -----------------------------------------------------------------------------------------------------------

    def fail(self, error: GmailError) -> None:
        """End the connection for this reason: everything that waits hears it now. Nothing buffered is sent any more."""
        if self.closed.done():
            return
        log.debug("%s: %s", self.name, error)
        self.closed.set_result(error)
        self.on_closed(error)
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        if self._transport is not None:
            # Not from within its own callback: asyncio's TLS cannot be aborted while it hands on data or an end of file.
            self._loop.call_soon(self._transport.abort)
        if not self.greeting.done():
            self.greeting.set_exception(error)
            self.greeting.exception()
        exchanges = [*self._on_wire, *self._waiting]
        self._on_wire.clear()
        self._waiting.clear()
        for exchange in exchanges:
            exchange.fail(error)


def _ignored(error: GmailError) -> None:
    """Nobody has asked to be told."""


def _connect_failed(where: str, error: BaseException, within: float) -> GmailError | None:
    """What to raise; ``None`` for what is no failure to connect."""
    if isinstance(error, GmailError):
        return error
    if isinstance(error, TimeoutError):
        return ConnectFailed(f"{where}: no connection or no greeting within {within:g} s")
    return connect_failed(where, error) if isinstance(error, OSError) else None
