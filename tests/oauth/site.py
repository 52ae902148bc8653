"""A small real HTTPS server on a loopback port, with a certificate of its own CA, that answers what a test's handler says."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import trustme


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def server_context(*names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority().issue_cert(*(names or ("localhost", "127.0.0.1"))).configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    """Trusts the sites' CA and nothing else."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    form: dict[str, str]


@dataclass
class Reply:
    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close", **self.headers}
        lines = [f"HTTP/1.1 {self.status} X", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode() + body


Handler = Callable[[Request], "Reply | Awaitable[Reply]"]


class Site:
    """``async with Site(handler) as site``. A handler may also take the stream itself and write what it likes: ``raw``."""

    def __init__(
        self, handler: Handler | None = None, *, raw: Any = None, tls: ssl.SSLContext | None | bool = True, host: str = "127.0.0.1"
    ):
        self.handler = handler
        self.raw = raw
        self.tls = server_context() if tls is True else tls or None
        self.host = host
        self.requests: list[Request] = []
        self.connections = 0

    @property
    def origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def token_uri(self) -> str:
        return f"{self.origin}/token"

    async def __aenter__(self):
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        while self._tasks:
            await asyncio.sleep(0.001)
        await self._server.wait_closed()

    async def _accept(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            await self._answer(reader, writer)
            if not writer.is_closing():  # closed twice, Python 3.11.2's TLS cannot be aborted
                writer.close()
            async with asyncio.timeout(1):
                await writer.wait_closed()
        except (ConnectionError, ssl.SSLError, TimeoutError, asyncio.CancelledError):
            pass  # a task of asyncio's streams must not end as cancelled: 3.11 complains of it
        finally:
            writer.transport.abort()

    async def _answer(self, reader, writer):
        request = await self._read(reader)
        if request is None:
            return
        self.requests.append(request)
        if self.raw is not None:
            await self.raw(request, writer)
            return
        reply = self.handler(request)
        if inspect.isawaitable(reply):
            reply = await reply
        writer.write(reply.encode())
        await writer.drain()

    async def _read(self, reader):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except asyncio.IncompleteReadError:
            return None
        method, target, _ = head[0].split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        parts = urlsplit(target)
        form = dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True))
        return Request(method, parts.path, dict(parse_qsl(parts.query)), headers, body, form)


def issued(n: int = 1, *, expires_in: Any = 3599, **more: Any) -> Reply:
    """A token endpoint's good answer."""
    return Reply(200, {"access_token": f"ya29.token-{n}", "token_type": "Bearer", "expires_in": expires_in, **more})
