"""What goes wrong between a client and any server? A proxy that slows, cuts, mutes and injects, before the emulator or a real server."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import struct
from types import TracebackType
from typing import cast

from .faults import Action, Pump, Shape

__all__ = ["FaultProxy"]


_ACTIONS = frozenset({"close", "reset", "blackhole", "mute", "garbage", "bye"})


class _End(asyncio.Protocol):
    """One of the two connections of a link."""

    def __init__(self, link: _Link, *, to_server: bool) -> None:
        self.link = link
        self.to_server = to_server
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        if not self.to_server:
            self.link.begin()

    def data_received(self, data: bytes) -> None:
        self.link.pass_on(data, request=not self.to_server)

    def eof_received(self) -> bool:
        self.link.ended(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.link.ended(self)

    def pause_writing(self) -> None:
        self.link.hold(self, hold=True)

    def resume_writing(self) -> None:
        self.link.hold(self, hold=False)


class _Link:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self.client = _End(self, to_server=False)
        self.server = _End(self, to_server=True)
        self.passed = {True: 0, False: 0}
        self.done: set[_Cut] = set()
        self.muted = self.over = False
        self.waiting = bytearray()
        self.pumps: dict[bool, Pump] = {}
        self.task: asyncio.Task[None] | None = None
        rng = random.Random(proxy.rng.random())  # noqa: S311  one seed, one schedule
        for request, shape in ((True, proxy.requests), (False, proxy.replies)):
            if not shape.is_plain():
                self.pumps[request] = Pump(shape, lambda data, request=request: self._send(data, request), rng)  # type: ignore[misc]

    def begin(self) -> None:
        self.proxy.links[self] = None
        self.task = asyncio.get_running_loop().create_task(self._connect(), name="fault proxy")

    async def _connect(self) -> None:
        proxy = self.proxy
        name = proxy.server_name if proxy.target_ssl else None
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: self.server, proxy.target[0], proxy.target[1], ssl=proxy.target_ssl, server_hostname=name
            )
        except OSError:
            self.end(reset=True)
            return
        early, self.waiting = bytes(self.waiting), bytearray()
        if early:
            self._forward(early, request=True)

    def pass_on(self, data: bytes, *, request: bool) -> None:
        if self.over or self.muted:
            return
        if request and self.server.transport is None:
            self.waiting += data
            return
        self._forward(data, request=request)

    def _forward(self, data: bytes, *, request: bool) -> None:
        while data and not (self.over or self.muted):
            cut = self.proxy.next_cut(self, request=request, passed=self.passed[request], size=len(data))
            size = len(data) if cut is None else max(0, cut.at - self.passed[request])
            now, data = data[:size], data[size:]
            self.passed[request] += size
            if now:
                self._put(now, request)
            if cut is not None:
                self.done.add(cut)
                self._cut(cut)

    def _put(self, data: bytes, request: bool) -> None:
        if request in self.pumps:
            self.pumps[request].put(data)
        else:
            self._send(data, request)

    def _send(self, data: bytes, request: bool) -> None:
        end = self.server if request else self.client
        if end.transport is not None and not end.transport.is_closing():
            end.transport.write(data)

    def _cut(self, cut: _Cut) -> None:
        self.proxy.cuts_made += 1
        if cut.data:
            self._put(cut.data, request=False)  # behind what is on its way
        if cut.action in {"blackhole", "mute"}:
            self.muted = True
        elif cut.action != "garbage":
            self._end_behind(self.pumps.get(cut.request) or self.pumps.get(False), reset=cut.action == "reset")

    def _end_behind(self, pump: Pump | None, *, reset: bool) -> None:
        """End once what passed before the cut has arrived."""
        if pump is None or not pump.queued:
            self.end(reset=reset)
        else:
            self.muted = True
            pump.when_empty(lambda: self.end(reset=reset))

    def hold(self, end: _End, *, hold: bool) -> None:
        """The one side is slow: read no more from the other."""
        other = self.client if end is self.server else self.server
        if other.transport is not None and not other.transport.is_closing():
            (other.transport.pause_reading if hold else other.transport.resume_reading)()

    def ended(self, end: _End) -> None:
        if not self.over and not (self.muted and end is self.server):
            request = end is self.client
            if request in self.pumps and self.pumps[request].queued:
                self.pumps[request].when_empty(lambda: self.end(reset=False))
            else:
                self.end(reset=False)

    def end(self, *, reset: bool) -> None:
        """Close both sides."""
        self.over = True
        self.proxy.links.pop(self, None)
        for pump in self.pumps.values():
            pump.cancel()
        for end in (self.client, self.server):
            transport = end.transport
            if transport is None:
                continue
            raw = transport.get_extra_info("socket")
            if reset and raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                transport.abort()
            else:
                transport.close()


class _Cut:
    def __init__(self, action: Action, request: bool, at: int, data: bytes, times: int | None) -> None:
        self.action = action
        self.request = request
        self.at = at
        self.data = data
        self.times = times


class FaultProxy:
    """Stands before a TCP server, as ``async with FaultProxy(("127.0.0.1", port)) as proxy``.

    Args:
        target: where the server is.
        requests, replies: how bytes travel towards the server and back.
        seed: of random segments and jitter.
        listen_ssl, target_ssl: TLS towards the client and the server; with both, what it injects is plain text inside TLS.
        server_name: whose certificate the server must show.

    Attributes:
        port: where it listens.
        links: the connections that are open.
        cuts_made: how many cuts happened.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        requests: Shape | None = None,
        replies: Shape | None = None,
        seed: int = 0,
        listen_ssl: ssl.SSLContext | None = None,
        target_ssl: ssl.SSLContext | None = None,
        server_name: str = "localhost",
        host: str = "127.0.0.1",
    ) -> None:
        self.target = target
        self.requests = requests or Shape()
        self.replies = replies or Shape()
        self.rng = random.Random(seed)  # noqa: S311
        self.listen_ssl = listen_ssl
        self.target_ssl = target_ssl
        self.server_name = server_name
        self.host = host
        self.port = 0
        self.links: dict[_Link, None] = {}  # in order: a set's is another one in every process
        self.connections = 0
        self.cuts_made = 0
        self._cuts: list[_Cut] = []
        self._server: asyncio.AbstractServer | None = None

    async def __aenter__(self) -> FaultProxy:
        await self.resume()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def resume(self) -> None:
        """Listen, again after :meth:`pause` on the same port."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._accept, self.host, self.port, ssl=self.listen_ssl)
        self._server = server
        self.port = server.sockets[0].getsockname()[1]

    async def pause(self) -> None:
        """Refuse new connections; those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def aclose(self) -> None:
        """End every connection and stop listening."""
        server = self._server
        await self.pause()
        tasks = [link.task for link in self.links if link.task is not None]
        self.drop()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if server is not None:
            await server.wait_closed()
        await asyncio.sleep(0)

    def _accept(self) -> asyncio.Protocol:
        self.connections += 1
        return _Link(self).client

    def cut(self, action: Action, *, at: int, point: str = "reply", data: bytes = b"", times: int | None = 1) -> None:
        """On the next connections, let something happen after so many bytes of requests or replies.

        Args:
            action: ``"close"``, ``"reset"``, ``"blackhole"`` or ``"mute"`` (nothing more gets through, the connection stays), ``"garbage"``
                or ``"bye"`` (``data`` goes to the client, which for ``"bye"`` is then closed).
            at: bytes that pass first, counted from the connection's beginning.
            point: ``"request"`` or ``"reply"``.
            data: sent to the client then.
            times: on so many connections; ``None``: all.

        Raises:
            ValueError: an action that a proxy, which knows no commands, cannot do.
        """
        if action not in _ACTIONS or point not in {"request", "reply"}:
            raise ValueError(f"FaultProxy.cut: expected one of {sorted(_ACTIONS)} in a request or reply, got {action!r} in {point!r}")
        self._cuts.append(_Cut(action, point == "request", at, data, times))

    def next_cut(self, link: _Link, *, request: bool, passed: int, size: int) -> _Cut | None:
        """The cut that falls into these bytes, counted."""
        for cut in self._cuts:
            if cut not in link.done and cut.request is request and passed <= cut.at < passed + size:
                if cut.times is not None:
                    cut.times -= 1
                    if cut.times <= 0:
                        self._cuts.remove(cut)
                return cut
        return None

    def drop(self, *, reset: bool = False, last_words: bytes = b"") -> int:
        """End every connection; ``last_words`` go to the clients first. Returns how many."""
        links = list(self.links)
        for link in links:
            if last_words and link.client.transport is not None:
                link.client.transport.write(last_words)
            link.end(reset=reset)
        return len(links)

    def mute(self, *, muted: bool = True) -> None:
        """Let nothing through on the connections that are open."""
        for link in self.links:
            link.muted = muted
