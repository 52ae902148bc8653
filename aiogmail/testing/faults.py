"""What goes wrong, where, and how often? Faults are values; a registry hands each to the first place that fits it."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Action", "Fault", "Faults", "Pump", "Shape"]

Action = Literal["close", "reset", "blackhole", "mute", "bye", "bye_open", "garbage", "answer", "delay", "truncate"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong at one place.

    Attributes:
        action: ``"close"`` ends the connection cleanly, ``"truncate"`` without TLS's goodbye, ``"reset"`` by RST; ``"blackhole"`` leaves it open and silent, reading nothing;
            ``"mute"`` executes commands and withholds replies; ``"bye"`` says ``text`` (an IMAP BYE, an SMTP 421, a POP3 -ERR) and
            closes, ``"bye_open"`` says it and leaves the connection open; ``"garbage"`` sends ``data`` (``{tag}`` in it is the IMAP command's tag, ``{tag+1}`` the next); ``"answer"`` gives ``text`` as this
            command's whole reply, and the session goes on; ``"delay"`` waits ``seconds``.
        command: the command it waits for, such as ``"UID FETCH"``, ``"APPEND"``, ``"DATA"``, ``"MESSAGE"`` (SMTP's final dot or last
            BDAT), ``"RETR"``, ``"TOKEN"``; ``"CONNECT"`` is the greeting; ``None``: any command.
        protocol: ``"imap"``, ``"smtp"``, ``"pop3"``, ``"http"`` or ``None``: any.
        point: ``"request"``: before the command takes effect; ``"reply"``: after it; ``"tagged"``: after it and after all of IMAP's reply
            but the tagged line (an ``"answer"`` stands in its place).
        byte: at which byte of the request or the reply; ``None``, or a byte beyond its end: after the whole request, or after the whole reply for ``"reply"``.
            What asks for more of a command (``+ go ahead``, ``334``) is no part of its reply; a ``"answer"`` is always whole.
            ``point="reply", byte=0`` is the command done and nothing heard of it.
        skip: so many fitting commands pass first.
        times: so many are hit; ``None``: all.
        address: only sessions of this account.
        data: what ``"garbage"`` sends; any other action but ``"answer"`` and ``"delay"`` sends it first.
        only: of the messages that STORE, COPY, MOVE or UID EXPUNGE is about only so many, from the first, are changed.
        call: called, without arguments, at the moment when it happens.
    """

    action: Action
    command: str | None = None
    protocol: str | None = None
    point: Literal["request", "reply", "tagged"] = "request"
    byte: int | None = None
    skip: int = 0
    times: int | None = 1
    address: str | None = None
    text: str = ""
    data: bytes = b""
    seconds: float = 0.0
    only: int | None = None
    call: Callable[[], object] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Shape:
    """How slowly and in what pieces bytes travel.

    Attributes:
        latency: seconds before a piece leaves.
        jitter: up to so many seconds more, by the seed; pieces keep their order.
        bandwidth: bytes a second; ``None``: any number.
        segment: no piece is larger; with ``random_segments`` it is of 1 to so many bytes, by the seed.
    """

    latency: float = 0.0
    jitter: float = 0.0
    bandwidth: float | None = None
    segment: int | None = None
    random_segments: bool = False

    def is_plain(self) -> bool:
        """Whether bytes may travel as they are."""
        return not (self.latency or self.jitter or self.bandwidth or self.segment)

    def pieces(self, data: bytes, rng: random.Random) -> list[bytes]:
        """The data cut into segments."""
        if self.segment is None:
            return [data]
        pieces, position = [], 0
        while position < len(data):
            size = rng.randint(1, self.segment) if self.random_segments else self.segment
            pieces.append(data[position : position + size])
            position += size
        return pieces

    def due(self, now: float, last: float, size: int, rng: random.Random) -> float:
        """When a piece of this size arrives, if the one before it did at ``last``."""
        when = max(last, now + self.latency + (rng.random() * self.jitter if self.jitter else 0.0))
        return when + (size / self.bandwidth if self.bandwidth else 0.0)


class Pump:
    """Sends bytes on in the pieces and at the times that a shape gives, in order; one task while there is something to send."""

    def __init__(self, shape: Shape, send: Callable[[bytes], None], rng: random.Random, done: Callable[[], None] | None = None) -> None:
        self.shape = shape
        self._send = send
        self._rng = rng
        self._done = done
        self._queue: deque[tuple[float, bytes]] = deque()
        self._last = 0.0
        self._task: asyncio.Task[None] | None = None
        self.queued = 0

    def put(self, data: bytes) -> None:
        """Queue bytes."""
        now = asyncio.get_running_loop().time()
        for piece in self.shape.pieces(data, self._rng):
            self._last = self.shape.due(now, self._last, len(piece), self._rng)
            self._queue.append((self._last, piece))
            self.queued += len(piece)
        self._start()

    def stall(self, seconds: float) -> None:
        """Nothing leaves for so long."""
        self._last = max(self._last, asyncio.get_running_loop().time()) + seconds

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="emulator pump")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            due, piece = self._queue.popleft()
            # Even without a delay the loop turns between two pieces, so that they leave as two.
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.queued -= len(piece)
            self._send(piece)
        if self._done is not None:
            self._done()

    def when_empty(self, call: Callable[[], None]) -> None:
        """Call something once everything queued has left."""
        self._done = call

    async def flush(self) -> None:
        """Wait until everything queued has left."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    def cancel(self) -> None:
        """Send nothing more."""
        self._queue.clear()
        self.queued = 0
        if self._task is not None:
            self._task.cancel()


class Faults:
    """The faults that are waiting, and those that happened.

    Attributes:
        hit: the faults that happened, in order.
        shape: how replies of all servers travel on connections made from now on.
    """

    def __init__(self) -> None:
        self._waiting: list[list[object]] = []
        self.hit: list[Fault] = []
        self.shape = Shape()

    def add(self, fault: Fault) -> Fault:
        """Let it wait for its place."""
        self._waiting.append([fault, fault.skip, fault.times])
        return fault

    def clear(self) -> None:
        """Forget all that wait."""
        self._waiting.clear()
        self.shape = Shape()

    @property
    def waiting(self) -> tuple[Fault, ...]:
        """Those that have not happened as often as they are to."""
        return tuple(entry[0] for entry in self._waiting if isinstance(entry[0], Fault))

    def match(self, protocol: str, command: str, address: str | None) -> Fault | None:
        """The fault that hits this command now, if any; it is counted."""
        for entry in self._waiting:
            fault, skip, times = entry
            assert isinstance(fault, Fault)
            assert isinstance(skip, int)
            if fault.command is None and command == "CONNECT":
                continue
            if fault.protocol not in {None, protocol} or fault.command not in {None, command} or fault.address not in {None, address}:
                continue
            if skip > 0:
                entry[1] = skip - 1
                continue
            if isinstance(times, int):
                entry[2] = times - 1
                if times <= 1:
                    self._waiting.remove(entry)
            self.hit.append(fault)
            return fault
        return None
