"""How do bytes travel without a socket? Pairs of transports in one loop, with flow control, half-close, abort and reset as TCP has them."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .network import MemoryNetwork

__all__ = ["FakeSocket", "MemoryTransport"]

_KERNEL = 64 * 1024
_EOF = object()
_RESET = object()


class FakeSocket:
    """As much of a socket as transports are asked for."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, own: tuple[str, int], peer: tuple[str, int] | None = None) -> None:
        self.own = own
        self.peer = peer
        self.options: dict[tuple[int, int], Any] = {}

    def getsockname(self) -> tuple[str, int]:
        return self.own

    def getpeername(self) -> tuple[str, int]:
        if self.peer is None:
            raise OSError(errno.ENOTCONN, "not connected")
        return self.peer

    def fileno(self) -> int:
        return -1

    def setsockopt(self, level: int, option: int, value: Any, _size: int = 0) -> None:
        self.options[level, option] = value

    def getsockopt(self, level: int, option: int, _size: int = 0) -> Any:
        return self.options.get((level, option), 0)


class MemoryTransport(asyncio.Transport):
    """One end of a connection in memory."""

    _start_tls_compatible = True

    def __init__(self, network: MemoryNetwork, own: tuple[str, int], peer_name: tuple[str, int]) -> None:
        self._socket = FakeSocket(own, peer_name)
        super().__init__({"socket": self._socket, "sockname": own, "peername": peer_name})
        self._network = network
        self._loop = network.loop
        self._protocol: asyncio.BaseProtocol | None = None
        self.peer: MemoryTransport | None = None
        self._inbound: deque[tuple[float, Any]] = deque()
        self._due = 0.0
        self._handle: asyncio.Handle | None = None
        self._in_flight = 0
        self._high, self._low = _KERNEL, _KERNEL // 4
        self._writing_paused = self._reading_paused = self._closing = self._wrote_eof = self._gone = False

    # Protocol and state

    def start(self, protocol: asyncio.BaseProtocol) -> None:
        """The connection is up."""
        self._protocol = protocol
        self._network.transports.add(self)
        protocol.connection_made(self)
        self._schedule()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return not self._reading_paused and not self._closing

    def pause_reading(self) -> None:
        self._reading_paused = True
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def resume_reading(self) -> None:
        if self._reading_paused and not self._closing:
            self._reading_paused = False
            self._schedule()

    def get_write_buffer_size(self) -> int:
        return self._in_flight

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high if high is not None else (4 * low if low is not None else _KERNEL)
        self._low = low if low is not None else self._high // 4

    # Writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._wrote_eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or not data or self.peer is None:
            return
        raw = bytes(data)
        if self.peer._gone:  # noqa: SLF001  both ends are of one class
            self._loop.call_soon(self._lose, ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
            return
        for piece in self._network.shape.pieces(raw, self._network.rng):
            self._in_flight += len(piece)
            self.peer._receive(self._arrival(len(piece)), piece)  # noqa: SLF001
        if self._in_flight > self._high and not self._writing_paused and self._protocol is not None:
            self._writing_paused = True
            self._protocol.pause_writing()

    def _arrival(self, size: int) -> float:
        self._due = self._network.shape.due(self._loop.time(), self._due, size, self._network.rng)
        return self._due

    def write_eof(self) -> None:
        if not self._wrote_eof and not self._closing and self.peer is not None:
            self._wrote_eof = True
            self.peer._receive(self._arrival(0), _EOF)  # noqa: SLF001

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        """What was written arrives all the same, in the background, as with TCP."""
        if self._closing:
            return
        if not self._wrote_eof and self.peer is not None:
            self.peer._receive(self._arrival(0), _EOF)  # noqa: SLF001
        self._closing = True
        self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """What the peer has not been able to take, beyond what a kernel would hold, never arrives."""
        if self._gone:
            return
        peer = self.peer
        if peer is not None and not self._closing:
            peer._forget_unsent()  # noqa: SLF001
            linger = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER)
            hard = isinstance(linger, bytes) and struct.unpack("ii", linger)[0] == 1
            if hard:
                peer._receive(self._loop.time(), _RESET)  # noqa: SLF001
            elif not self._wrote_eof:
                peer._receive(self._arrival(0), _EOF)  # noqa: SLF001
        self._closing = True
        self._loop.call_soon(self._lose, None)

    def _force_close(self, error: BaseException | None) -> None:
        """What asyncio's TLS calls when a handshake fails."""
        del error
        self.abort()

    def _forget_unsent(self) -> None:
        kept, size = deque[tuple[float, Any]](), 0
        for due, piece in self._inbound:
            if isinstance(piece, bytes):
                size += len(piece)
                if size > _KERNEL:
                    break
            kept.append((due, piece))
        self._inbound = kept

    # Reading

    def _receive(self, due: float, piece: Any) -> None:
        if not self._gone:
            self._inbound.append((due, piece))
            self._schedule()

    def _schedule(self) -> None:
        if self._handle is None and self._inbound and not self._reading_paused and self._protocol is not None and not self._gone:
            due = self._inbound[0][0]
            if due <= self._loop.time():
                self._handle = self._loop.call_soon(self._deliver)
            else:
                self._handle = self._loop.call_at(due, self._deliver)

    def _deliver(self) -> None:
        """One piece a turn of the loop, so that a schedule depends on nothing but the seed."""
        self._handle = None
        if not self._inbound or self._gone:
            return
        _, piece = self._inbound.popleft()
        if piece is _RESET:
            self._lose(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
            return
        if piece is _EOF:
            if not self._closing and not self._protocol_eof():
                self.close()
        elif not self._closing:
            self._hand_over(piece)
        if isinstance(piece, bytes) and self.peer is not None:
            self.peer._taken(len(piece))  # noqa: SLF001
        self._schedule()

    def _protocol_eof(self) -> bool:
        protocol = self._protocol
        assert isinstance(protocol, asyncio.Protocol | asyncio.BufferedProtocol)
        return bool(protocol.eof_received())

    def _hand_over(self, piece: bytes) -> None:
        protocol = self._protocol
        if not isinstance(protocol, asyncio.BufferedProtocol):
            assert isinstance(protocol, asyncio.Protocol)
            protocol.data_received(piece)
            return
        view = memoryview(piece)
        while view and not self._closing:
            buffer = memoryview(protocol.get_buffer(len(view)))
            size = min(len(buffer), len(view))
            buffer[:size] = view[:size]
            protocol.buffer_updated(size)
            view = view[size:]

    def _taken(self, size: int) -> None:
        self._in_flight -= size
        if self._writing_paused and self._in_flight <= self._low:
            self._writing_paused = False
            if self._protocol is not None and not self._gone:
                self._protocol.resume_writing()

    def _lose(self, error: Exception | None) -> None:
        if self._gone:
            return
        self._gone = self._closing = True
        self._inbound.clear()
        if self._handle is not None:
            self._handle.cancel()
        self._network.transports.discard(self)
        if self._protocol is not None:
            self._protocol.connection_lost(error)
