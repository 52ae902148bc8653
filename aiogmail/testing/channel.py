"""What can go wrong on a server's connection, and at which byte? A request cut as it arrives, a reply cut as it leaves, or replaced."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from .duplex import Begun, Duplex, Ending, Hangup, Interrupted, LineTooLong
from .faults import Fault, Pump, Shape

__all__ = ["Begun", "Channel", "Ending", "Hangup", "Interrupted", "LineTooLong"]

_ENDINGS = frozenset({"close", "reset", "blackhole", "bye", "truncate"})


class Channel(Duplex):
    """One connection of which a fault can cut what is read or written at any byte. The arguments are those of :class:`Duplex`."""

    def __init__(
        self,
        serve: Callable[[Any], Awaitable[None]],
        shape: Shape | None = None,
        seed: int = 0,
        crashed: Callable[[Exception], None] | None = None,
    ) -> None:
        super().__init__(serve, shape, seed, crashed)
        self._request_left: tuple[int, Fault] | None = None
        self._reply_left: tuple[int, Fault] | None = None
        self._fired: Fault | None = None
        self._replacing = False
        self._last: tuple[Fault, bytes] | None = None

    # What is read and written

    async def _reading(self, size: int, *, taken: bool) -> None:
        if self._request_left is None:
            return
        left, fault = self._request_left
        if size >= left:
            self._request_left, self._fired = None, fault
            await self.enact(fault)
        elif taken:
            self._request_left = left - size, fault

    def push_back(self, data: bytes) -> None:
        """Put bytes before those that wait to be read."""
        super().push_back(data)
        if self._request_left is not None:
            self._request_left = self._request_left[0] + len(data), self._request_left[1]  # they were counted when they came

    def check(self) -> None:
        """Raise what a read would raise.

        Raises:
            Hangup, Interrupted.
        """
        try:
            super().check()
        except Interrupted:
            self._replacing = False  # the server's last words are no command's reply
            raise

    def write(self, data: bytes | memoryview) -> None:
        """Queue bytes. After a cut they are dropped: what the command does, it does all the same."""
        if self._replacing:
            return
        if self._reply_left is not None:
            left, fault = self._reply_left
            if len(data) >= left:
                self._reply_left, self._fired = None, fault
                self._outbox += data[:left]
                rest = data[left:]
                self._enact_in_reply(fault)
                data = rest
            else:
                self._reply_left = left - len(data), fault
        super().write(data)

    def write_last(self, data: bytes) -> None:
        """Queue the line that ends a command's reply, or what a fault says in its place."""
        last, self._last = self._last, None
        if last is not None:
            fault, instead = last
            if fault.action == "answer":
                self._fired = fault
                data = instead
            else:
                self._reply_left = 0, fault
        self.write(data)

    def prompt(self, data: bytes) -> None:
        """Queue bytes that ask for more of a command: they are no part of its reply, neither cut nor replaced."""
        cut, replacing = self._reply_left, self._replacing
        self._reply_left, self._replacing = None, False
        self.write(data)
        self._reply_left, self._replacing = cut, replacing

    def invite(self, data: bytes) -> None:
        """Queue bytes that a client waits for before it goes on: they are cut like a reply, but not replaced."""
        if self._replacing:
            self.prompt(data)
        else:
            self.write(data)

    # Faults

    def cut_request(self, left: int, fault: Fault) -> None:
        """Let a fault happen when so many more bytes have been read."""
        self._request_left = left, fault

    def cut_reply(self, left: int, fault: Fault) -> None:
        """Let a fault happen when so many more bytes have been written."""
        self._reply_left = left, fault

    def cut_last(self, fault: Fault, instead: bytes) -> None:
        """Let a fault happen when :meth:`write_last` is about to write; an ``"answer"`` writes ``instead``."""
        self._last = fault, instead

    def replace_reply(self) -> None:
        """Drop what is written until :meth:`end_cuts`: something else will be the command's reply."""
        self._replacing = True

    async def end_request(self) -> None:
        """The whole command was read: a fault that it was too short for happens now, before the effect.

        Raises:
            Hangup: it ended the connection.
        """
        if self._request_left is not None:
            fault = self._fired = self._request_left[1]
            self._request_left = None
            await self.enact(fault)

    def end_cuts(self) -> Fault | None:
        """The command is over; the fault that fell into its request or its reply, if any."""
        fired, self._fired = self._fired, None
        self._request_left = self._reply_left = self._last = None
        self._replacing = False
        return fired

    async def enact(self, fault: Fault) -> None:
        """Let a fault happen here.

        Raises:
            Hangup: it ended the connection.
        """
        if fault.action == "delay":
            self.flush()
            if fault.call is not None:
                fault.call()
            await asyncio.sleep(fault.seconds)
            return
        self._enact_in_reply(fault)
        await self.settle(fault)

    async def settle(self, fault: Fault) -> None:
        """What a fault that happened leaves of the connection.

        Raises:
            Hangup: nothing.
        """
        if fault.action == "blackhole":
            assert self._closed is not None
            await asyncio.shield(self._closed)
        if fault.action in _ENDINGS:
            raise Hangup

    def _enact_in_reply(self, fault: Fault) -> None:
        transport = self._transport
        assert transport is not None
        if fault.call is not None:
            fault.call()
        if fault.action != "delay":
            self._outbox += fault.data
        if fault.action in {"bye", "bye_open"}:
            self._outbox += fault.text.encode() + b"\r\n"
        elif fault.action == "garbage":
            return
        elif fault.action == "delay":
            self.flush()
            if self._pump is None:
                self._pump = Pump(self._shape, self._send, self._rng, self._wake_writer)
            self._pump.stall(fault.seconds)
            return
        self.flush()
        self._muted = True
        if fault.action == "reset":
            self.reset()
        elif fault.action == "truncate":
            transport.abort()
        elif fault.action in {"close", "bye"}:
            self._close_transport()
        elif fault.action == "blackhole":
            self._deaf = True
            transport.pause_reading()

    def reset(self) -> None:
        """End the connection by RST."""
        transport = self._transport
        assert transport is not None
        raw = transport.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
