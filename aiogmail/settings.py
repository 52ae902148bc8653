"""Where are the servers, how long may things take, how much may a peer make us hold?

Frozen values with Gmail's defaults. Gmail's hosts and ports live here alone.
"""

from __future__ import annotations

import functools
import ipaddress
import ssl
from dataclasses import dataclass, field
from typing import Literal

from .budget import Budget
from .clock import Clock, SystemClock
from .errors import ConfigurationError

__all__ = ["Budget", "Endpoint", "Limits", "Settings", "Timeouts", "is_loopback"]

Security = Literal["tls", "starttls", "plaintext"]


def is_loopback(host: str) -> bool:
    """Whether a host name or address literal can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    """Whether it can be looked up at all: asyncio would raise a UnicodeError for what cannot."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return True
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return "[" not in host and ":" not in host


def _positive(owner: object, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ConfigurationError(f"{type(owner).__name__}.{name}: expected a number above 0, got {value!r}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server to connect to.

    Args:
        host: its name; the certificate must be for it.
        port: its TCP port, 1 to 65535.
        security: ``"tls"`` (implicit), ``"starttls"`` (submission only; then required) or ``"plaintext"``, which is refused
            for anything but a loopback address.
        ssl_context: a context of your own, for a private CA. It must verify: ``CERT_REQUIRED`` and ``check_hostname``.

    Raises:
        ConfigurationError: a port out of range, plain text to another machine, a context that does not verify.
    """

    host: str
    port: int
    security: Security = "tls"
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.host, str) or not self.host or any(c <= " " or c == "\x7f" for c in self.host):
            raise ConfigurationError(f"Endpoint.host: expected a host name or address, got {self.host!r}")
        if not _is_host(self.host):
            raise ConfigurationError(f"Endpoint.host: expected a host name or an address without brackets, got {self.host!r}")
        if isinstance(self.port, bool) or not isinstance(self.port, int) or not 0 < self.port < 65536:
            raise ConfigurationError(f"Endpoint.port: expected 1 to 65535, got {self.port!r}")
        if self.security not in ("tls", "starttls", "plaintext"):
            raise ConfigurationError(f"Endpoint.security: expected 'tls', 'starttls' or 'plaintext', got {self.security!r}")
        if self.security == "plaintext" and not is_loopback(self.host):
            raise ConfigurationError(f"Endpoint.security: plain text would show the token on the way to {self.host}; use 'tls'")
        context = self.ssl_context
        if context is not None and (context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname):
            raise ConfigurationError(
                "Endpoint.ssl_context: must verify (CERT_REQUIRED and check_hostname); load a private CA into it instead"
            )

    def context(self) -> ssl.SSLContext:
        """The TLS context to connect with: the given one, or one that trusts what this machine trusts, shared by all."""
        return self.ssl_context if self.ssl_context is not None else _default_context()

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@functools.cache
def _default_context() -> ssl.SSLContext:
    """Made once: reading the machine's certificates takes tens of milliseconds."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Deadlines in seconds. One deadline covers a whole operation; none is renewed by a drip of bytes.

    Attributes:
        connect: TCP, TLS and greeting together.
        auth: AUTHENTICATE with its challenge, and once more after a refresh.
        command: a command with a small reply, from its turn on the wire to its tagged reply.
        first_byte: the first byte of a reply that carries bodies or many rows.
        progress: between two arrivals of such a reply.
        min_rate: bytes a second such a reply must keep up, once ``progress`` has passed.
        append_block: a 64 KiB block of an APPEND or of message data to be taken by the server.
        append_final: from the last byte of a message to the server's reply.
        idle_renew: an IDLE is ended and begun anew after so long (up to a tenth less, so that not all do at once): what lies
            between forgets silent connections, and Gmail ends them.
        idle_max: no IDLE lasts longer, whatever the jitter or the delay; Gmail drops one after some ten minutes.
        idle_done: the answer to DONE.
        probe: the answer to a NOOP that asks whether a session still lives: after the machine was suspended, and before a
            successor takes over.
        logout: a polite LOGOUT or QUIT when closing; then the connection is aborted.
        recover: how long work waits out an outage before its error reaches the caller.
        keepalive_idle, keepalive_interval, keepalive_count: TCP keep-alive probes.
        user_timeout: how long sent data may stay unacknowledged (``TCP_USER_TIMEOUT``, Linux).
    """

    connect: float = 20.0
    auth: float = 20.0
    command: float = 60.0
    first_byte: float = 60.0
    progress: float = 30.0
    min_rate: float = 1024.0
    append_block: float = 180.0
    append_final: float = 600.0
    idle_renew: float = 300.0
    idle_max: float = 540.0
    idle_done: float = 20.0
    probe: float = 5.0
    logout: float = 5.0
    recover: float = 300.0
    keepalive_idle: int = 60
    keepalive_interval: int = 20
    keepalive_count: int = 3
    user_timeout: float = 90.0

    def __post_init__(self) -> None:
        _positive(self, *self.__slots__)
        if self.idle_renew > self.idle_max:
            raise ConfigurationError(f"Timeouts.idle_renew: expected at most idle_max ({self.idle_max:g}), got {self.idle_renew:g}")


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a peer or a mailbox can make this process hold. Sizes in bytes.

    Attributes:
        line: one line of a response, without its literals.
        literal: one literal. Gmail takes messages of 35 882 577 bytes.
        response: one whole response with its literals.
        depth: nested parentheses in a response, 200 at most. Of a message whose parts nest deeper the structure is told as far as that
            goes, and :attr:`.Message.defects` says so.
        command_line: one command line sent (Gmail takes at least 16 KiB).
        buffer: fetched rows waiting for a slow consumer, before reading from the socket is paused; also what a window of a
            ``fetch`` is sized for.
        queue: commands waiting for their turn on a connection.
        pipeline: commands on the wire at once. Gmail answers deep pipelining with throttling.
        connections: IMAP connections that one ``Gmail`` opens at most, beside one for a moment while a session is rotated.
            Gmail allows an account 15, over all its programs and devices.
        smtp_connections: connections that one account sends on at most. With a ``pipeline`` of 1 each sends one message after another;
            otherwise the envelope of the next follows the end of this one.
    """

    line: int = 16 * 1024 * 1024
    literal: int = 64 * 1024 * 1024
    response: int = 96 * 1024 * 1024
    depth: int = 100
    command_line: int = 16 * 1024
    buffer: int = 1024 * 1024
    queue: int = 10_000
    pipeline: int = 4
    connections: int = 5
    smtp_connections: int = 2

    def __post_init__(self) -> None:
        _positive(self, *self.__slots__)
        for name in self.__slots__:
            if not isinstance(getattr(self, name), int):
                raise ConfigurationError(f"Limits.{name}: expected a whole number, got {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about an account's servers that is not a credential. The default is Gmail.

    Attributes:
        imap, smtp, pop3: the three servers.
        timeouts: deadlines.
        limits: bounds.
        mechanism: how an access token is presented, ``"XOAUTH2"`` or ``"OAUTHBEARER"``.
        client_name: what the IMAP ID command says of this program; ``""`` sends no ID.
        rotate: open a session's successor before its token expires, so that nobody meets the end of a session.
        budget: how many connections are opened, and how fast; clients share one by being given the same. ``None``: each
            client has its own.
        clock: what ages are read from.
    """

    imap: Endpoint = Endpoint("imap.gmail.com", 993)
    smtp: Endpoint = Endpoint("smtp.gmail.com", 465)
    pop3: Endpoint = Endpoint("pop.gmail.com", 995)
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    mechanism: Literal["XOAUTH2", "OAUTHBEARER"] = "XOAUTH2"
    client_name: str = "aiogmail"
    rotate: bool = True
    budget: Budget | None = field(default=None, compare=False)
    clock: Clock = field(default_factory=SystemClock, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.mechanism not in ("XOAUTH2", "OAUTHBEARER"):
            raise ConfigurationError(f"Settings.mechanism: expected 'XOAUTH2' or 'OAUTHBEARER', got {self.mechanism!r}")
        if self.budget is not None and not isinstance(self.budget, Budget):
            raise ConfigurationError(f"Settings.budget: expected a Budget or None, got {self.budget!r}")
        for name in ("imap", "pop3"):
            if getattr(self, name).security == "starttls":
                raise ConfigurationError(f"Settings.{name}: STARTTLS is for submission only; use 'tls'")
