"""How is an SMTP connection opened, and who are we on it? TCP, TLS, EHLO, AUTH; then message after message."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from aiogmail import sasl
from aiogmail.errors import AccessDenied, Disconnected, GmailError, ProtocolError, TimedOut, TokenRefused
from aiogmail.login import authenticate
from aiogmail.ports import Credential, CredentialSource
from aiogmail.secret import Secret
from aiogmail.settings import Settings

from .connection import Exchange, SmtpConnection
from .door import connect
from .failures import auth_error
from .models import Letter
from .transaction import Accepted, Envelope, transact
from .turns import Manners, Turns
from .wire import Reply

__all__ = ["SmtpSession"]

_MIN_TTL = 60.0


class SmtpSession:
    """One authenticated SMTP connection. Made by :meth:`open`.

    Attributes:
        extensions: what the server offers: keyword in capitals → parameters.
        credential: what it was opened with.
        connection: its bytes.
    """

    def __init__(self, address: str, settings: Settings, manners: Manners | None = None) -> None:
        self.address = address
        self.settings = settings
        self.extensions: Mapping[str, str] = MappingProxyType({})
        self.credential: Credential | None = None
        self.connection = SmtpConnection(asyncio.get_running_loop(), name=str(settings.smtp), timeouts=settings.timeouts)
        self._turns = Turns()
        self._manners = manners if manners is not None else Manners()

    @classmethod
    async def open(cls, address: str, credentials: CredentialSource, settings: Settings, manners: Manners | None = None) -> SmtpSession:
        """Connect and authenticate.

        Args:
            address: who logs in.
            credentials: where the credential comes from.
            settings: where to, and within which deadlines.
            manners: what is known of this server, shared by all sessions with it.

        Raises:
            ConnectFailed: no connection, in the system's or the TLS library's words; no STARTTLS where it is demanded.
            TokenRefused: the server refused the token, and a fresh one as well.
            LoginRequired, TokenEndpointError: there is no token.
            AccessDenied: the account is not let in.
            Throttled, Unavailable: the server has no place for us now.

        Cancelled, it leaves nothing open.
        """
        credential = await credentials.get(_MIN_TTL)
        self = cls(address, settings, manners)
        greeting, self.extensions = await connect(self.connection, settings.smtp, settings.timeouts.connect)
        self._turns.overlap = "PIPELINING" in self.extensions and settings.limits.pipeline > 1 and not _is_dovecot(greeting)
        try:
            await self._authenticate(credential, credentials)
        except BaseException as error:
            self.connection.fail(Disconnected(f"{settings.smtp}: given up: {type(error).__name__}"))
            raise
        return self

    @property
    def closed(self) -> asyncio.Future[GmailError]:
        """Done with the reason once the connection is gone."""
        return self.connection.closed

    @property
    def expires_at(self) -> float | None:
        """When the credential's life ends, as a reading of the clock of ``Settings``; ``None``: it does not."""
        return self.credential.expires_at if self.credential is not None else None

    async def probe(self, seconds: float) -> None:
        """See that the server still answers, within ``seconds``; while a message is on its way that has deadlines of its own.

        Raises:
            TimedOut: it does not; the connection was dropped.
            GmailError: the connection is gone.
        """
        last = self._turns.last
        if self._turns.lock.locked() or (last is not None and not last.done.done()):
            return
        async with self._turns.lock:
            await self.connection.usable()
            exchange = self.connection.request(b"NOOP\r\n", "NOOP", patience=seconds)
            try:
                await asyncio.shield(exchange.done)
            except asyncio.CancelledError:
                self.connection.fail(Disconnected(f"{self.settings.smtp}: given up during NOOP"))
                raise

    def abort(self) -> None:
        """Drop the connection at once; what is buffered is not sent."""
        self.connection.fail(Disconnected(f"{self.settings.smtp}: dropped by us"))

    async def aclose(self) -> None:
        """QUIT, within ``Timeouts.logout``; then the connection is dropped, whatever the server says.

        A message that is on its way is not sent: a QUIT would become part of it. One that waits for its reply may have it until then.

        Cancelled, it drops the connection at once.
        """
        turns = self._turns
        try:
            async with asyncio.timeout(self.settings.timeouts.logout):
                if turns.lock.locked():
                    self.connection.condemn(Disconnected(f"{self.settings.smtp}: dropped by us"), turns.last)
                    await asyncio.wait([self.closed])
                    return
                async with turns.lock:
                    await self._ask(b"QUIT\r\n", "QUIT")
        except (GmailError, TimeoutError):
            pass
        finally:
            self.abort()

    async def send(self, letter: Letter, envelope: Envelope | None = None, ready: asyncio.Future[Any] | None = None) -> Accepted:
        """Hand a message to the server.

        Args:
            letter: the message, measured.
            envelope: is told what the server says to the recipients, also if the rest of its answer is lost.
            ready: must be done, however, before the message's body is begun.

        Returns:
            What the server accepted.

        Raises:
            GmailError: it did not. ``stage`` says how far it came, and ``outcome`` whether the server may have taken it nevertheless:
                ``NOT_APPLIED`` until its last octet was handed over, ``UNKNOWN`` from then on until a reply came.

        Cancelled, it costs the connection, unless its turn had not come yet.
        """
        envelope = envelope if envelope is not None else Envelope()
        return await transact(self.connection, self._turns, self._manners, self.extensions, letter, envelope, ready)

    # -- opening -----------------------------------------------------------------------------------------------------------

    async def _authenticate(self, credential: Credential, credentials: CredentialSource) -> None:
        timeout = self.settings.timeouts.auth
        try:
            async with asyncio.timeout(timeout):
                self.credential, _ = await authenticate(self._sasl, credential, credentials, _MIN_TTL)
        except TimeoutError as error:
            if isinstance(error, GmailError):
                raise
            raise TimedOut(f"{self.settings.smtp}: not authenticated within {timeout:g} s") from error

    async def _sasl(self, credential: Credential, _before: TokenRefused | None) -> None:
        endpoint = self.settings.smtp
        mechanism = self._mechanism(credential.mechanism)
        message = sasl.initial_response(mechanism, self.address, credential.secret, endpoint.host, endpoint.port)
        self.connection.check()  # from here on nothing raises while a token is among its variables
        line = Secret(f"AUTH {mechanism} {base64.b64encode(message).decode('ascii')}\r\n")
        del message
        reply = await self._ask(line.reveal().encode("ascii"), "AUTH")
        status: str | None = None
        if reply.code == 334:
            # The server's words about a token that it refuses; it says 535 when they were answered (RFC 7628 section 3.2.3).
            status = sasl.read_challenge(_decoded(reply.lines[0])).status
            answer = base64.b64encode(sasl.failure_answer(mechanism)) + b"\r\n"
            reply = await self._ask(answer, "AUTH")
        if reply.code == 334:
            raise ProtocolError(f"{endpoint}: the server asks again and again during AUTH")
        if reply.code != 235:
            raise auth_error(str(endpoint), mechanism, reply, status)

    async def _ask(self, line: bytes, stage: str) -> Reply:
        """One command, one reply."""
        exchange: Exchange = self.connection.request(line, stage)
        del line  # it may hold a token
        replies = await exchange.done
        return replies[0]

    def _mechanism(self, wanted: str) -> str:
        offered = set(self.extensions.get("AUTH", "").upper().split())
        if wanted in offered:
            return wanted
        others = sorted({"XOAUTH2", "OAUTHBEARER"} & offered)
        if wanted == "PLAIN" or not others:
            words = ", ".join(sorted(offered)) or "nothing"
            raise AccessDenied(f"{self.settings.smtp}: the server does not offer AUTH {wanted}, only {words}")
        return others[-1]


def _decoded(text: str) -> bytes:
    with contextlib.suppress(binascii.Error, ValueError):
        return base64.b64decode(text.strip(), validate=True)
    return b""


def _is_dovecot(greeting: str) -> bool:
    """Dovecot 2.3's submission server offers PIPELINING, and dies of a command that comes in one read with the end of a message."""
    return "dovecot" in greeting.lower()
