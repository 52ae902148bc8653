"""Who listens and who is connected where there is no socket? Listeners, names and connections of one loop."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
import ssl
from collections.abc import Callable
from typing import Any

from .faults import Shape
from .transport import FakeSocket, MemoryTransport

__all__ = ["MemoryNetwork", "MemoryServer"]


class MemoryServer(asyncio.AbstractServer):
    """What ``create_server`` of a loop with a memory network gives."""

    def __init__(
        self, network: MemoryNetwork, address: tuple[str, int], factory: Callable[[], Any], context: ssl.SSLContext | None
    ) -> None:
        self._network = network
        self.address = address
        self.factory = factory
        self.context = context
        self.sockets = (FakeSocket(address),)

    def is_serving(self) -> bool:
        return self._network.listeners.get(self.address[1]) is self

    def close(self) -> None:
        if self.is_serving():
            del self._network.listeners[self.address[1]]

    async def wait_closed(self) -> None:
        """Nothing is left to wait for."""

    async def start_serving(self) -> None:
        """It serves already."""

    async def serve_forever(self) -> None:
        """Until it is cancelled."""
        await self._network.loop.create_future()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._network.loop


class MemoryNetwork:
    """The listeners and connections of one loop.

    Attributes:
        shape: how bytes travel, both ways, by the seed.
        names: host names that resolve; all others fail as in DNS.
        unreachable: ports whose SYN is lost: connecting hangs until it is given up.
        transports: the ends that are open.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seed: int) -> None:
        self.loop = loop
        self.rng = random.Random(f"{seed}/network")  # noqa: S311  one seed, one schedule
        self.shape = Shape()
        self.names = {"localhost"}
        self.unreachable: set[int] = set()
        self.listeners: dict[int, MemoryServer] = {}
        self.transports: set[MemoryTransport] = set()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._next_port = 40_000

    def new_port(self) -> int:
        """A port that nobody has."""
        self._next_port += 1
        return self._next_port

    def listen(self, factory: Callable[[], Any], host: str, port: int, context: ssl.SSLContext | None) -> MemoryServer:
        """Listen.

        Raises:
            OSError: somebody listens there already.
        """
        number = port or self.new_port()
        if number in self.listeners:
            raise OSError(errno.EADDRINUSE, "address already in use")
        server = self.listeners[number] = MemoryServer(self, (host, number), factory, context)
        return server

    def resolve(self, host: str) -> str:
        """The address of a name.

        Raises:
            socket.gaierror: it has none.
        """
        if host in self.names:
            return "127.0.0.1"
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
        except OSError:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
        return host

    async def connect(self, factory: Callable[[], Any], host: str, port: int, context: ssl.SSLContext | None, name: str | None) -> Any:
        """A connection to a listener: transport and protocol.

        Raises:
            OSError: nobody listens there.
        """
        address = self.resolve(host)
        if port in self.unreachable:
            await self.loop.create_future()
        await asyncio.sleep(2 * self.shape.latency)
        server = self.listeners.get(port)
        if server is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed ('{address}', {port})")
        own, theirs = ("127.0.0.1", self.new_port()), (address, port)
        client, served = MemoryTransport(self, own, theirs), MemoryTransport(self, theirs, own)
        client.peer, served.peer = served, client
        if server.context is None:
            self.loop.call_soon(served.start, server.factory())
        else:
            task = self.loop.create_task(self._serve_tls(served, server), name="memory TLS handshake")
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)
        protocol = factory()
        if context is None:
            client.start(protocol)
            return client, protocol
        return await self._upgrade(client, protocol, context, name or host), protocol

    async def _upgrade(self, raw: MemoryTransport, protocol: Any, context: ssl.SSLContext, name: str) -> Any:
        raw.start(asyncio.Protocol())
        transport = await self.loop.start_tls(raw, protocol, context, server_hostname=name)
        protocol.connection_made(transport)
        return transport

    async def _serve_tls(self, raw: MemoryTransport, server: MemoryServer) -> None:
        raw.start(asyncio.Protocol())
        protocol = server.factory()
        assert server.context is not None
        try:
            transport = await self.loop.start_tls(raw, protocol, server.context, server_side=True)
        except OSError:
            raw.abort()
        else:
            protocol.connection_made(transport)
