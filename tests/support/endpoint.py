"""A token endpoint: real HTTP on the loopback, tokens that a real Dovecot believes, and the failures a test asks for.

It speaks just enough HTTP/1.1 on plain asyncio streams, so that it shares no code with the client under test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import ca
from .canary import CANARIES
from .jwt import Signer
from .listener import Listener

REVOKED = (400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
SCOPE = "https://mail.google.com/"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in.

    Attributes:
        at: :func:`time.monotonic` when it was read.
        form: its decoded form fields.
        headers: with lower-case names.
        address: the account of the refresh token; ``None`` if there is no such token.
        status: the status that it was answered with, 0 when the connection was cut instead.
        token: the access token that was issued, if one was.
    """

    at: float
    method: str
    path: str
    form: dict[str, str]
    headers: dict[str, str]
    address: str | None
    status: int
    token: str | None


@dataclass(slots=True)
class Grant:
    """What an account's refresh token is worth; change it while the endpoint runs.

    Attributes:
        refresh_token: what the client must show.
        lifetime: seconds that a new access token lives, and what ``expires_in`` says.
        revoked: answer ``invalid_grant``.
        bad: issue tokens that no server believes.
        rotate: give a new refresh token with every access token; the old one is void at once.
    """

    refresh_token: str
    lifetime: float = 3600.0
    revoked: bool = False
    bad: bool = False
    rotate: bool = False


@dataclass(slots=True)
class Faults:
    """What is wrong with the endpoint itself; change it while it runs.

    Attributes:
        replies: answers to the next requests, each ``(status, body)`` or ``(status, body, headers)``; a body that is not
            bytes is sent as JSON. ``None`` among them: this request is answered as usual.
        down: answer every request with this status (``503``, say) for as long as it is set.
        delay: seconds before an answer.
        cut: close the connection instead of answering.
    """

    replies: list[tuple[Any, ...] | None] = field(default_factory=list)
    down: int | None = None
    delay: float = 0.0
    cut: bool = False


class TokenEndpoint(Listener):
    """``async with TokenEndpoint(signer) as endpoint``: grants ``refresh_token`` for the accounts added to it.

    Args:
        signer: signs the tokens: a Dovecot's own, or one that nobody asks.
        tls: https with the run's authority's certificate; ``False``: plain http.

    Attributes:
        requests: the ledger.
        faults: see :class:`Faults`.
        client_id, client_secret: what clients must show.
    """

    def __init__(self, signer: Signer | None = None, *, tls: bool = True) -> None:
        super().__init__()
        self.signer = signer or Signer()
        self.tls = tls
        self.requests: list[Request] = []
        self.faults = Faults()
        self.client_id = "client.apps.example.org"
        self.client_secret = CANARIES.secret("client-secret")
        self.connections = 0
        self._grants: dict[str, Grant] = {}
        self._forger = Signer()
        CANARIES.add("an access token", self.signer.prefix)
        CANARIES.add("a forged access token", self._forger.prefix)

    def _context(self) -> ssl.SSLContext | None:
        return ca.server_context() if self.tls else None

    @property
    def uri(self) -> str:
        """The token URI for credentials."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/token"

    def account(self, address: str, lifetime: float = 3600.0) -> Grant:
        """The grant of ``address``, made on first use."""
        if address not in self._grants:
            self._grants[address] = Grant(CANARIES.secret("1//refresh"), lifetime)
        return self._grants[address]

    def revoke(self, address: str) -> None:
        """From now on: ``invalid_grant``, "Token has been expired or revoked."."""
        self.account(address).revoked = True

    def credentials(self, address: str, lifetime: float | None = None) -> Any:
        """:class:`aiogmail.oauth.UserCredentials` for ``address`` at this endpoint."""
        from aiogmail.oauth import UserCredentials

        grant = self.account(address)
        if lifetime is not None:
            grant.lifetime = lifetime
        return UserCredentials(self.client_id, self.client_secret, grant.refresh_token, token_uri=self.uri, scopes=(SCOPE,))

    def authorized_user_info(self, address: str) -> dict[str, str]:
        """The same as the content of Google's ``token.json``."""
        return {
            "type": "authorized_user",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.account(address).refresh_token,
            "token_uri": self.uri,
        }

    def issued(self, address: str) -> list[Request]:
        """The requests of ``address`` that were answered with a token."""
        return [request for request in self.requests if request.address == address and request.token is not None]

    # -- HTTP ---------------------------------------------------------------------------------------------------------

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._own(self._serve(reader, writer), "token endpoint connection")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._exchange(reader, writer):
                    pass
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        at = time.monotonic()
        form = dict(urllib.parse.parse_qsl(body.decode()))
        address, (status, content, more) = self._answer(form)
        token = content.get("access_token") if isinstance(content, dict) and status == 200 else None
        cut = self.faults.cut
        self.requests.append(Request(at, method, path, form, headers, address, 0 if cut else status, None if cut else token))
        if self.faults.delay:
            await asyncio.sleep(self.faults.delay)
        if cut:
            return False
        payload = content if isinstance(content, bytes) else json.dumps(content).encode()
        fields = {
            "Content-Type": "application/json; charset=utf-8",
            "Content-Length": str(len(payload)),
            "Cache-Control": "no-store",
        } | more
        reply = "".join([f"HTTP/1.1 {status} Said\r\n", *(f"{name}: {value}\r\n" for name, value in fields.items()), "\r\n"])
        writer.write(reply.encode("latin-1") + payload)
        await writer.drain()
        return headers.get("connection", "").lower() != "close"

    def _answer(self, form: dict[str, str]) -> tuple[str | None, tuple[int, Any, dict[str, str]]]:
        """Whose request it is and what to say to it."""
        shown = form.get("refresh_token")
        address = next((name for name, grant in self._grants.items() if grant.refresh_token == shown), None)
        planned = self.faults.replies.pop(0) if self.faults.replies else None
        if planned is not None:
            status, content, *more = planned
            return address, (status, content, more[0] if more else {})
        if self.faults.down is not None:
            return address, (self.faults.down, {"error": "backend_error", "error_description": "Backend Error"}, {})
        if form.get("grant_type") != "refresh_token":
            return address, (400, {"error": "unsupported_grant_type"}, {})
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            return address, (401, {"error": "invalid_client", "error_description": "The OAuth client was not found."}, {})
        if address is None:
            return None, (400, {"error": "invalid_grant", "error_description": "Bad Request"}, {})
        return address, self._grant(address)

    def _grant(self, address: str) -> tuple[int, Any, dict[str, str]]:
        grant = self._grants[address]
        if grant.revoked:
            return (*REVOKED, {})
        issue: Callable[..., str] = (self._forger if grant.bad else self.signer).token
        content = {
            "access_token": issue(address, grant.lifetime),
            "expires_in": int(grant.lifetime),
            "scope": SCOPE,
            "token_type": "Bearer",
        }
        if grant.rotate:
            grant.refresh_token = content["refresh_token"] = CANARIES.secret("1//refresh")
        return (200, content, {})
