"""A Gmail that fits in a test suite: IMAP, SMTP, POP3 and OAuth on loopback ports, over accounts in memory."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import weakref
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any

from aiogmail.errors import StateError
from aiogmail.settings import Endpoint, Settings

from . import text
from .behaviour import Behaviour
from .channel import Channel
from .consent import Consent
from .emulated import EmulatedAccount
from .faults import Faults
from .hub import Hub
from .imap import serve_imap
from .ledger import Ledger
from .oauth import OAuthEndpoints
from .pop3 import serve_pop3
from .smtp import serve_smtp
from .virtual import EPOCH
from .web import serve_http

__all__ = ["GmailEmulator"]

_PORTS = {"imap": 993, "smtp": 465, "submission": 587, "pop3": 995, "http": 80, "https": 443}

Serve = Callable[[Channel], Awaitable[None]]


class GmailEmulator:
    """Gmail's servers, as ``async with GmailEmulator() as gmail_server``.

    It runs in the event loop it was opened in. On an ordinary loop it listens on real TCP ports with TLS; on a
    :class:`~aiogmail.testing.VirtualLoop` its connections are in memory and its time is the loop's, which is virtual.

    Args:
        behaviour: the switches of its accounts.
        seed: ids, random segments and jitter come from it: one seed is one schedule.
        tls: TLS on the mail ports; the default is TLS on real TCP and none in memory.
        host: the loopback address to listen at.
        certificate_for: the names in the servers' certificate.
        ports: server name → port; the others are free ones.

    Attributes:
        faults: what goes wrong: :meth:`Faults.add <aiogmail.testing.Faults.add>`.
        ledger: what happened on all servers.
    """

    def __init__(
        self,
        *,
        behaviour: Behaviour | None = None,
        seed: int = 0,
        tls: bool | None = None,
        host: str = "127.0.0.1",
        certificate_for: tuple[str, ...] = ("localhost", "127.0.0.1"),
        ports: Mapping[str, int] | None = None,
    ) -> None:
        self.hub = Hub(behaviour or Behaviour(), seed)
        self.hub.make_credentials = self.credentials
        self.oauth = OAuthEndpoints(self.hub)
        self._consent = Consent(self.hub, self.oauth)
        self._tls = tls
        self._host = host
        self._names = certificate_for
        self._servers: dict[str, asyncio.Server] = {}
        self._channels: weakref.WeakSet[Channel] = weakref.WeakSet()
        self._ports: dict[str, int] = dict(ports or {})
        self._bound: dict[str, socket.socket] = {}
        self._in_memory: bool | None = None
        self._client_context: ssl.SSLContext | None = None
        self._clock: Any = None

    # Life

    async def __aenter__(self) -> GmailEmulator:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            await self.aclose()
        except ExceptionGroup as crashes:
            if error is None:
                raise
            error.add_note(f"{crashes}: {crashes.exceptions!r}")

    def bind(self, *, in_memory: bool = False) -> None:
        """Take the ports before there is a loop, so that :attr:`settings` can be asked for; :meth:`start` does it otherwise.

        Args:
            in_memory: for a :class:`~aiogmail.testing.VirtualLoop`: Gmail's own ports, and no socket.
        """
        if self._in_memory is not None:
            return
        self._tls = not in_memory if self._tls is None else self._tls
        if self._tls:
            from .certificates import client_context

            self._client_context = client_context()
        ports = dict(self._ports)
        try:
            for name in self._plan():
                if in_memory:
                    ports.setdefault(name, _PORTS[name])
                else:
                    self._bound[name] = bound = _listening(self._host, ports.get(name, 0))
                    ports[name] = bound.getsockname()[1]
        except (OSError, OverflowError):
            self.unbind()
            raise
        if in_memory:
            # What is delivered before the loop runs is delivered at its beginning.
            self.hub.clockless = (lambda: 0.0), (lambda: EPOCH)
        self._in_memory, self._ports = in_memory, ports

    async def start(self) -> None:
        """Listen.

        Raises:
            StateError: it listens already, or was bound for another kind of loop.
        """
        if self._servers:
            raise StateError("GmailEmulator: already started")
        loop = asyncio.get_running_loop()
        in_memory = hasattr(loop, "network")
        self.bind(in_memory=in_memory)
        if self._in_memory is not in_memory:
            raise StateError(
                "GmailEmulator: bound in memory, but this loop has real time" if self._in_memory else "GmailEmulator: bound to sockets"
            )
        self._clock = getattr(loop, "clock", None)
        try:
            for name in self._plan():
                await self.resume(name)
        except BaseException:
            await self.aclose()
            raise
        self.oauth.token_uris.add(self.token_uri)
        if self._tls:
            self.oauth.token_uris.add(self.url("/token", "https"))

    def _plan(self) -> dict[str, tuple[Serve, bool]]:
        """Which servers there are, and which of them begin with TLS."""
        assert self._tls is not None
        http = partial(serve_http, self.hub, self.oauth)
        plan: dict[str, tuple[Serve, bool]] = {
            "imap": (partial(serve_imap, self.hub), self._tls),
            "smtp": (partial(serve_smtp, self.hub, None, True), self._tls),
            "pop3": (partial(serve_pop3, self.hub), self._tls),
            "http": (http, False),
        }
        if self._tls:
            from .certificates import server_context

            plan["https"] = http, True
            plan["submission"] = partial(serve_smtp, self.hub, server_context(*self._names), False), False
        return plan

    async def resume(self, name: str) -> None:
        """Let a server (``"imap"``, ``"smtp"``, ``"submission"``, ``"pop3"``, ``"http"``, ``"https"``) listen, again after :meth:`pause`."""
        if name in self._servers:
            return
        serve, tls = self._plan()[name]
        context = None
        if tls:
            from .certificates import server_context

            context = server_context(*self._names)
        loop = asyncio.get_running_loop()
        factory = partial(self._channel, serve)
        bound = self._bound.pop(name, None)
        if bound is not None:
            self._servers[name] = await loop.create_server(factory, sock=bound, ssl=context, backlog=1024)
        else:
            self._servers[name] = await loop.create_server(factory, self._host, self._ports[name], ssl=context, backlog=1024)

    async def pause(self, name: str) -> None:
        """Let a server listen no longer: new connections are refused, those that are open stay."""
        server = self._servers.pop(name, None)
        if server is not None:
            server.close()

    def _channel(self, serve: Serve) -> Channel:
        channel = Channel(serve, self.hub.faults.shape, self.hub.random.getrandbits(32), self.hub.crashed)
        self._channels.add(channel)
        return channel

    async def aclose(self) -> None:
        """End every connection and stop listening. What happened stays in the ledgers.

        Raises:
            ExceptionGroup: commands ran into exceptions that nobody foresaw: faults of the emulator's own.
        """
        servers, self._servers = list(self._servers.values()), {}
        for server in servers:
            server.close()
        self.unbind()
        await self.hub.stop()
        # Connections that the hub has taken off its list already may still be closing.
        tasks = [channel.task for channel in self._channels if channel.task is not None and not channel.task.done()]
        if tasks:
            await asyncio.wait(tasks)
        for server in servers:
            await server.wait_closed()
        text.forget()
        crashes, self.hub.crashes = self.hub.crashes, []
        if crashes:
            raise ExceptionGroup("GmailEmulator: commands crashed", crashes)

    def unbind(self) -> None:
        """Give back ports that were taken by :meth:`bind` and never served."""
        for bound in self._bound.values():
            bound.close()
        self._bound.clear()

    # Accounts

    def add_account(self, address: str, *, behaviour: Behaviour | None = None, app_password: str = "") -> EmulatedAccount:
        """Make an account.

        Args:
            address: its address, any letters, one ``@``.
            behaviour: its switches, if they differ from the emulator's.
            app_password: what PLAIN and LOGIN take; ``""``: nothing.

        Raises:
            ValueError: no address, or one that exists.
        """
        key = address.lower()
        if key.count("@") != 1 or key.strip("@") != key or any(char.isspace() or not char.isprintable() for char in key):
            raise ValueError(f"add_account: expected an address, got {address!r}")
        if key in self.hub.accounts:
            raise ValueError(f"add_account: {address} exists already")
        account = self.hub.accounts[key] = EmulatedAccount(self.hub, key, behaviour or self.hub.behaviour, app_password)
        return account

    def account(self, address: str) -> EmulatedAccount:
        """An account by its address.

        Raises:
            KeyError: there is none.
        """
        return self.hub.accounts[address.lower()]

    @property
    def accounts(self) -> tuple[EmulatedAccount, ...]:
        """All accounts."""
        return tuple(self.hub.accounts.values())

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        return self.hub.faults

    @property
    def ledger(self) -> Ledger:
        """What happened."""
        return self.hub.ledger

    @property
    def behaviour(self) -> Behaviour:
        """The switches."""
        return self.hub.behaviour

    def configure(self, **changes: Any) -> None:
        """Change switches of :class:`~aiogmail.testing.Behaviour`, for all accounts."""
        self.hub.configure(**changes)

    # How clients get there

    @property
    def host(self) -> str:
        """Where it listens."""
        return self._host

    def port(self, name: str) -> int:
        """The port of ``"imap"``, ``"smtp"`` (implicit TLS), ``"submission"`` (STARTTLS), ``"pop3"``, ``"http"`` or ``"https"``.

        Raises:
            StateError: not started.
        """
        if self._in_memory is None:
            raise StateError("GmailEmulator: not started; open it with `async with`")
        return self._ports[name]

    @property
    def ssl_context(self) -> ssl.SSLContext | None:
        """A client's context that trusts the emulator, or ``None`` without TLS."""
        return self._client_context

    @property
    def ca_pem(self) -> str:
        """The certificate authority, as PEM text for clients that want a file."""
        from .certificates import ca_pem

        return ca_pem()

    @property
    def settings(self) -> Settings:
        """For ``Gmail(…, settings=…)``.

        Raises:
            StateError: not started.
        """
        clock = {} if self._clock is None else {"clock": self._clock}
        return Settings(imap=self._endpoint("imap"), smtp=self._endpoint("smtp"), pop3=self._endpoint("pop3"), **clock)

    @property
    def starttls_settings(self) -> Settings:
        """The same, with submission by STARTTLS on the emulator's 587."""
        endpoint = Endpoint(self._host, self.port("submission"), "starttls", self._client_context)
        return replace(self.settings, smtp=endpoint)

    def _endpoint(self, name: str) -> Endpoint:
        return Endpoint(self._host, self.port(name), "tls" if self._tls else "plaintext", self._client_context)

    def url(self, path: str, scheme: str = "http") -> str:
        """The address of one of the OAuth endpoints: ``/token``, ``/revoke``, ``/o/oauth2/v2/auth``."""
        return f"{scheme}://{self._host}:{self.port(scheme)}{path}"

    @property
    def token_uri(self) -> str:
        """The token endpoint, in plain HTTP at a loopback address, so that any ``TokenCache()`` can use it."""
        return self.url("/token")

    def credentials(self, address: str) -> Any:
        """A consenting person's :class:`aiogmail.UserCredentials`; the same until they are revoked.

        Raises:
            KeyError: there is no such account.
        """
        return self._consent.credentials(self.account(address).address, self.token_uri)

    def access_token(self, address: str, lifetime: float | None = None) -> str:
        """An access token for clients that bring no OAuth of their own."""
        return self.account(address).access_token(lifetime)

    def add_service_account(self, address: str = "robot@project.iam.gserviceaccount.com") -> dict[str, str]:
        """A service account with domain-wide delegation over every account: what its JSON key file would hold."""
        return self._consent.service_account(address, self.token_uri)


def _listening(host: str, port: int) -> socket.socket:
    """A listening socket that knows it is TCP: asyncio sets TCP_NODELAY only on those, and Nagle costs 40 ms a reply."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # on Windows it would let two programs share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1024)
    except (OSError, OverflowError):
        sock.close()
        raise
    return sock
