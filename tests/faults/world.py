"""In what world is a case tried? An emulator, one account and one client, in a loop of their own, of which nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from aiogmail import Gmail, TokenProvider
from aiogmail.errors import LoginRequired
from aiogmail.settings import Limits, Settings, Timeouts
from aiogmail.testing import Behaviour, GmailEmulator, VirtualLoop
from tests.support.canary import CANARIES

__all__ = ["ME", "Violation", "World", "in_loop", "message", "world_of"]

T = TypeVar("T")

ME = "me@gmail.com"


class Violation(AssertionError):
    """An invariant does not hold."""


def message(subject: str, body: str = "body\r\n", message_id: str | None = None) -> bytes:
    """A message whose Message-ID is its subject's, unless another is given."""
    head = f"From: Ada <ada@example.org>\r\nTo: {ME}\r\nDate: Mon, 05 Jan 2026 08:00:00 +0000\r\nSubject: {subject}\r\n"
    return f"{head}Message-ID: {message_id or f'<{subject}.abcdefghij@mail.example.org>'}\r\n\r\n{body}".encode()


class World:
    """An emulator, an account and a client.

    Attributes:
        server, account: the emulator's side, where everything can be looked up.
        gmail, inbox, credentials: the client's.
        caller: the task that makes the call.
        fetched: how often the client asked for a token.
        notes: for operations: what they need to remember.
        real: whether this world has TCP, TLS and real time.
    """

    def __init__(self, server: GmailEmulator, *, real: bool = False, pipeline: int = 4) -> None:
        self.server = server
        self.account = server.add_account(ME)
        self.real = real
        self.caller: asyncio.Task[Any] | None = None
        self.fetched = 0
        self.revoked = False
        self.notes: dict[str, Any] = {}
        server.hub.tokens.word = lambda prefix, _size=40: CANARIES.secret(prefix)  # type: ignore[method-assign]
        self.credentials = TokenProvider(self._token)
        self.gmail = Gmail(ME, self.credentials, settings=self._settings(pipeline))
        self.inbox: Any = None

    def _settings(self, pipeline: int) -> Settings:
        settings = self.server.settings
        limits = Limits(line=64 * 1024, literal=1024 * 1024, response=2 * 1024 * 1024, pipeline=pipeline)
        if self.real:
            timeouts = Timeouts(
                connect=1.0,
                auth=0.4,
                command=0.4,
                first_byte=0.4,
                progress=0.3,
                recover=5.0,
                logout=0.2,
                idle_done=0.3,
                idle_renew=0.5,
                idle_max=1.0,
            )
            return replace(settings, limits=limits, timeouts=timeouts)
        imap = replace(settings.imap, host="localhost")  # a name, so that it can be one that does not resolve
        return replace(settings, imap=imap, limits=limits)

    async def _token(self) -> tuple[str, datetime]:
        self.fetched += 1
        if self.revoked:
            raise LoginRequired("Token has been expired or revoked.")
        token = self.account.access_token()
        return token, datetime.fromtimestamp(self.server.hub.wall() + self.account.behaviour.token_lifetime, UTC)

    async def open(self) -> None:
        """Open the client and its INBOX."""
        await self.gmail.__aenter__()
        self.inbox = self.gmail.mailbox("INBOX")
        await self.inbox.__aenter__()

    async def close(self) -> None:
        """Close what was opened."""
        await self.gmail.aclose()

    def seconds(self, virtual: float, real: float) -> float:
        """So long in virtual time, and in real."""
        return real if self.real else virtual

    # What kinds do

    def cancel(self) -> None:
        """Cancel the call."""
        assert self.caller is not None
        self.caller.cancel()

    def revoke(self) -> None:
        """The person withdraws consent: every token is dead and there is no other."""
        self.revoked = True
        self.account.revoke()

    def refuse_connections(self, seconds: float) -> None:
        """Nobody listens for IMAP for so long."""
        loop = asyncio.get_running_loop()
        listener = self.server._servers.pop("imap")
        listener.close()
        again = loop.call_later(seconds, lambda: tasks.append(loop.create_task(self.server.resume("imap"))))
        tasks: list[asyncio.Task[None]] = []
        self.notes["refusing"] = again, tasks  # kept, so that it is not collected while it runs

    def forget_name(self, seconds: float) -> None:
        """The server's name does not resolve for so long."""
        loop = asyncio.get_running_loop()
        names = loop.network.names  # type: ignore[attr-defined]
        names.discard("localhost")
        loop.call_later(seconds, names.add, "localhost")

    # What the ledger says

    def connections(self, protocol: str = "imap") -> list[Any]:
        """All connections of a protocol, ever."""
        return [entry for entry in self.server.ledger.connections if entry.protocol == protocol]

    def at_once(self, protocol: str = "imap") -> int:
        """The most connections of a protocol that were open at one time and logged in."""
        moments = []
        for entry in self.connections(protocol):
            if entry.authenticated_at is not None:
                moments += [(entry.authenticated_at, 1), (entry.closed_at if entry.closed_at is not None else float("inf"), -1)]
        most = now = 0
        for _, step in sorted(moments):
            now += step
            most = max(most, now)
        return most


@contextlib.asynccontextmanager
async def world_of(
    behaviour: Mapping[str, Any] | None = None, *, seed: int = 0, real: bool = False, pipeline: int = 4
) -> AsyncIterator[World]:
    """A world with eight letters in its INBOX; nothing of the client is open yet.

    Raises:
        Violation: the client connected elsewhere (I11), or left a connection open (I5).
    """
    reached: set[tuple[str, int]] = set()
    if not real:
        _watch_connections(reached)
    async with GmailEmulator(behaviour=Behaviour(**dict(behaviour or {})), seed=seed) as server:
        world = World(server, real=real, pipeline=pipeline)
        _stock(world)
        try:
            yield world
        finally:
            await world.close()
        await _ended(world)
    _allowed_hosts(server, reached)


def _stock(world: World) -> None:
    for number in range(1, 9):
        world.account.deliver(message(f"letter{number}"), flags=["\\Seen"] if number % 2 else [])


async def _ended(world: World) -> None:
    """Every session is gone once the client is closed; the emulator needs a moment to see it."""
    deaf = any(fault.action in {"blackhole", "delay"} for fault in world.server.faults.hit)
    for _ in range(50):
        if not world.server.ledger.open_connections() or (deaf and world.real):
            return
        await asyncio.sleep(world.seconds(1.0, 0.02))
    held = [entry for entry in world.server.ledger.open_connections() if not world.server.faults.hit]
    if held:
        raise Violation(f"I5 connections left open: {held}")


def _watch_connections(reached: set[tuple[str, int]]) -> None:
    """I11: write down whom the client calls."""
    network = asyncio.get_running_loop().network  # type: ignore[attr-defined]
    connect = network.connect

    async def watched(factory: Any, host: str, port: int, *rest: Any) -> Any:
        reached.add((host, port))
        return await connect(factory, host, port, *rest)

    network.connect = watched


def _allowed_hosts(server: GmailEmulator, reached: set[tuple[str, int]]) -> None:
    allowed = {(host, port) for host in ("localhost", "127.0.0.1") for port in server._ports.values()}
    if reached - allowed:
        raise Violation(f"I11 connected to {reached - allowed}")


def in_loop(main: Coroutine[Any, Any, T], name: str, *, seed: int = 0, real: bool = False) -> T:
    """Run a case's coroutine in a loop of its own, virtual unless ``real``; the loop must have nothing to complain of, and nothing left."""
    random.seed(name)  # back-off's jitter
    complaints: list[str] = []
    factory = asyncio.SelectorEventLoop if real else lambda: VirtualLoop(seed)
    with asyncio.Runner(loop_factory=factory) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(f"{context.get('message')}: {context.get('exception')!r}"))
        result = runner.run(_leaving_nothing(main))
    gc.collect(0)
    if complaints:
        raise Violation(f"I5 the loop's exception handler heard: {complaints}")
    return result


async def _leaving_nothing(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    for _ in range(20):
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        raise Violation(f"I4 tasks left: {sorted(task.get_name() for task in left)}")
    timers = [handle for handle in getattr(asyncio.get_running_loop(), "_scheduled", ()) if not handle.cancelled()]
    if timers:
        raise Violation(f"I5 timers left: {timers}")
    return result
