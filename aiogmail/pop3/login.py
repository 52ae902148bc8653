"""Who are we on a connection? AUTH with the initial response (RFC 5034), and once more where the token is refused."""

from __future__ import annotations

import asyncio
import base64

from aiogmail import sasl
from aiogmail.errors import AccessDenied, CommandError, Disconnected, GmailError, TimedOut, TokenRefused
from aiogmail.login import authenticate
from aiogmail.ports import Credential, CredentialSource
from aiogmail.settings import Settings

from .connection import Connection
from .exchange import Exchange
from .failures import auth_error, seems_empty
from .wire import SEEMS, Expect, read_capabilities

__all__ = ["ask_capabilities", "log_in"]

_MIN_TTL = 60.0
_TOKENS = ("XOAUTH2", "OAUTHBEARER")


async def log_in(address: str, credentials: CredentialSource, settings: Settings, *, recent: bool) -> Connection:
    """Connect and authenticate; see :meth:`.session.Pop3Session.open` for the arguments and the errors.

    Cancelled, it leaves nothing open.
    """
    credential = await credentials.get(_MIN_TTL)
    login = _Login(f"recent:{address}" if recent else address, settings, await _connect(settings))
    try:
        await login.run(credential, credentials)
    except BaseException as error:
        login.connection.fail(error if isinstance(error, GmailError) else Disconnected(f"{settings.pop3}: given up while opening"))
        raise
    return login.connection


def ask_capabilities() -> Exchange:
    """CAPA."""
    return Exchange("CAPA", b"CAPA", Expect.LINES, table=True)


async def _connect(settings: Settings) -> Connection:
    return await Connection.open(settings.pop3, settings.limits, settings.timeouts)


class _Login:
    """One user's way in. The connection is another one at its end where the server hung up after a refusal."""

    def __init__(self, user: str, settings: Settings, connection: Connection) -> None:
        self.connection = connection
        self._user = user
        self._settings = settings

    async def run(self, credential: Credential, credentials: CredentialSource) -> None:
        """Log in; where the token is refused, once more with a fresh one."""
        await authenticate(self._attempt, credential, credentials, _MIN_TTL)

    async def _attempt(self, credential: Credential, before: TokenRefused | None) -> None:
        """On the same connection, or the second time on a new one if that is gone."""
        try:
            await self._try(credential)
        except (Disconnected, TimedOut):
            if before is None:
                raise
            # The server closed after the refusal, as some do.
            self.connection = await _connect(self._settings)
            await self._try(credential)

    async def _try(self, credential: Credential) -> None:
        endpoint, timeouts = self._settings.pop3, self._settings.timeouts
        mechanism = credential.mechanism
        try:
            async with asyncio.timeout(timeouts.auth):
                try:
                    await self._auth(mechanism, credential)
                except CommandError as error:
                    if error.retryable or error.code:
                        raise
                    other = await self._other_mechanism(mechanism)
                    if other is None:
                        raise
                    await self._auth(other, credential)
        except TimeoutError as error:
            if isinstance(error, GmailError):
                raise
            raise TimedOut(f"{endpoint}: not authenticated within {timeouts.auth:g} s") from error

    async def _auth(self, mechanism: str, credential: Credential) -> None:
        """AUTH; a failure challenge is read and answered."""
        endpoint, told = self._settings.pop3, []

        def answer(challenge: bytes) -> bytes:
            told.append(sasl.read_challenge(challenge))
            return base64.b64encode(sasl.failure_answer(mechanism))

        what = f"{endpoint}: AUTH"
        exchange = Exchange(
            "AUTH",
            _auth_line(self._user, mechanism, credential, endpoint.host, endpoint.port),
            Expect.AUTH,
            patience=self._settings.timeouts.auth,
            on_challenge=answer,
        )
        status = await self.connection.execute(exchange)
        if not status.ok:
            raise auth_error(what, mechanism, status, told[0] if told else None)
        if status.code == SEEMS:
            raise seems_empty(what, status)

    async def _other_mechanism(self, mechanism: str) -> str | None:
        """What the server offers instead of a mechanism that it does not know; ``None`` if that was not the reason."""
        capa = ask_capabilities()
        status = await self.connection.execute(capa)
        offered = read_capabilities(capa.body).get("SASL", ()) if status.ok else ()
        if not offered or mechanism in offered:
            return None
        if mechanism in _TOKENS:
            for other in _TOKENS:
                if other in offered:
                    return other
        raise AccessDenied(f"{self._settings.pop3}: the server does not offer {mechanism}, only {', '.join(offered)}")


def _auth_line(user: str, mechanism: str, credential: Credential, host: str, port: int) -> bytes:
    message = base64.b64encode(sasl.initial_response(mechanism, user, credential.secret, host, port))
    return b"AUTH " + mechanism.encode("ascii") + b" " + message
