"""The door to Authlib and httpx: one exchange with a token endpoint, told as a checked reply or one of our errors.

Where ``httpx2`` (the maintained continuation of httpx) is installed Authlib uses it, and so does this file. Nothing of either
library leaves it: no type, no exception, and no frame that ever held a secret.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import warnings
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import authlib.deprecate as _deprecate  # type: ignore[import-untyped]

with warnings.catch_warnings():
    # Authlib warns where only httpx is installed. That choice is documented; it is nothing to tell every user at every start.
    warnings.simplefilter("ignore", _deprecate.AuthlibDeprecationWarning)
    from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]
    from authlib.oauth2.rfc7523 import JWTBearerGrant  # type: ignore[import-untyped]
    from joserfc.jwk import RSAKey  # Authlib's own JOSE: what its signing takes

from aiogmail.clock import Clock
from aiogmail.errors import ConfigurationError, GmailError, TokenEndpointError
from aiogmail.secret import Secret

from .credentials import ServiceAccountCredentials, UserCredentials
from .failure import Answer, read_failure, scrub
from .token import BadReply, Reply, read_reply

H: Any
try:  # the order of Authlib itself, so that both mean the same library
    H = import_module("httpx2")
    import_module("httpcore2")
except ImportError:
    H = import_module("httpx")
    import_module("httpcore")
# httpx leaves these to the first request, which would then hold the event loop for a fifth of a second.
import_module("anyio._backends._asyncio")

__all__ = ["REPLY_LIMIT", "TokenEndpoint", "authorization_url"]

REPLY_LIMIT = 64 * 1024
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_JWT_LIFETIME = 3600


_ours: ContextVar[bool] = ContextVar("aiogmail exchange", default=False)


def _is_not_ours(_record: logging.LogRecord) -> bool:
    """A filter: httpcore logs a reply's headers and its unreadable bytes at DEBUG, where a server may have echoed what was sent."""
    return not _ours.get()


for _name in ("http11", "proxy", "connection"):
    logging.getLogger(f"{H.__name__.replace('httpx', 'httpcore')}.{_name}").addFilter(_is_not_ours)


class _Unreadable(Exception):
    """A reply that will not be read any further. The text says why."""


class _Bounded(H.AsyncBaseTransport):  # type: ignore[misc]
    """Reads a reply of at most :data:`REPLY_LIMIT` bytes, and nothing compressed, which could unfold to anything."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def handle_async_request(self, request: Any) -> Any:
        response = await self._inner.handle_async_request(request)
        body = bytearray()
        try:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise _Unreadable("a compressed reply, which was not asked for")
            async for chunk in response.stream:
                body += chunk
                if len(body) > REPLY_LIMIT:
                    raise _Unreadable(f"a reply longer than {REPLY_LIMIT // 1024} KiB")
        finally:
            await response.aclose()
        return H.Response(response.status_code, headers=response.headers, content=bytes(body))


class _Client(AsyncOAuth2Client):  # type: ignore[misc]
    """Authlib's client, which writes the request; the reply is judged by our own schema instead (A01a, A01e)."""

    answers: list[Answer]

    def parse_response_token(self, resp: Any) -> dict[str, Any]:
        header = resp.headers.get
        answer = Answer(
            resp.status_code,
            resp.content,
            header("retry-after", ""),
            header("date", ""),
            header("location", ""),
        )
        self.answers.append(answer)
        return {"refresh_token": None}  # Authlib would add the old one to what it keeps: it keeps nothing


_NOWHERE = H.MockTransport(lambda _request: H.Response(503))  # for a client that is only to write an address


def _anonymous(_client: Any, _method: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
    """No client authentication: a signed assertion speaks for itself."""
    return uri, headers, body


class TokenEndpoint:
    """Exchanges with token endpoints. No connection outlives its exchange, so there is nothing to close.

    Args:
        clock: for the times in signed assertions, and to tell a wrong clock.
        timeout: seconds for a whole exchange.
        ssl_context: of your own, for a private CA; must verify.
        proxy: the address of an HTTP proxy; the environment's are not looked at.
    """

    def __init__(self, *, clock: Clock, timeout: float = 20.0, ssl_context: ssl.SSLContext | None = None, proxy: str | None = None) -> None:
        if ssl_context is not None and (ssl_context.verify_mode is not ssl.CERT_REQUIRED or not ssl_context.check_hostname):
            raise ConfigurationError("ssl_context: must verify (CERT_REQUIRED and check_hostname); load a private CA into it instead")
        self._clock = clock
        self._timeout = timeout
        self._ssl_context = ssl_context
        self._proxy = _check_proxy(proxy)
        self._transport: Any = None
        self._keys: dict[Secret, Any] = {}
        self._opening = asyncio.Lock()

    async def refresh(self, credentials: UserCredentials, refresh_token: Secret) -> Reply:
        """Exchange a refresh token for an access token (RFC 6749 section 6).

        Raises:
            LoginRequired, AccessDenied, ConfigurationError, TokenEndpointError: by :mod:`aiogmail.oauth.failure`.
        """

        def ask(client: Any) -> Awaitable[Any]:
            request: Awaitable[Any] = client.refresh_token(credentials.token_uri, refresh_token=refresh_token.reveal())
            return request

        secrets = (refresh_token, credentials.client_secret or Secret(""))
        scope = " ".join(credentials.scopes)
        return _judged(await self._exchange(credentials.token_uri, ask, secrets, credentials.client_id, credentials.client_secret, scope))

    async def redeem(
        self, client_id: str, client_secret: Secret | None, token_uri: str, code: Secret, verifier: Secret, redirect_uri: str
    ) -> Reply:
        """Exchange an authorisation code for tokens (RFC 6749 section 4.1.3, with RFC 7636's verifier).

        Raises:
            LoginRequired, AccessDenied, ConfigurationError, TokenEndpointError: by :mod:`aiogmail.oauth.failure`.
        """

        def ask(client: Any) -> Awaitable[Any]:
            request: Awaitable[Any] = client.fetch_token(
                token_uri,
                grant_type="authorization_code",
                code=code.reveal(),
                code_verifier=verifier.reveal(),
                redirect_uri=redirect_uri,
            )
            return request

        secrets = (code, verifier, client_secret or Secret(""))
        return _judged(await self._exchange(token_uri, ask, secrets, client_id, client_secret))

    async def assert_identity(self, credentials: ServiceAccountCredentials, subject: str) -> Reply:
        """Exchange a signed assertion for an access token (RFC 7523; Google's domain-wide delegation).

        Raises:
            LoginRequired, AccessDenied, ConfigurationError, TokenEndpointError: by :mod:`aiogmail.oauth.failure`.
        """
        assertion = self._sign(credentials, subject, await self._key(credentials.private_key))

        def ask(client: Any) -> Awaitable[Any]:
            request: Awaitable[Any] = client.fetch_token(credentials.token_uri, grant_type=_JWT_BEARER, assertion=assertion.reveal())
            return request

        secrets = (assertion,)
        judge = partial(_judge, where=credentials.token_uri, secrets=secrets, now=self._clock.wall(), assertion=True)
        return _judged(await self._exchange(credentials.token_uri, ask, secrets, judge=judge))

    async def revoke(self, revoke_uri: str, token: Secret, client_id: str | None = None, client_secret: Secret | None = None) -> bool:
        """Revoke a token (RFC 7009). ``False``: the server did not know it (any more).

        Raises:
            TokenEndpointError: unreachable, or refused for another reason.
        """

        def ask(client: Any) -> Awaitable[Any]:
            request: Awaitable[Any] = client.revoke_token(revoke_uri, token=token.reveal())
            return request

        secrets = (token, client_secret or Secret(""))
        outcome = await self._exchange(revoke_uri, ask, secrets, client_id, client_secret, judge=lambda answer: answer)
        if isinstance(outcome, Answer):
            if outcome.status == 200:
                return True
            if outcome.status == 400 and b"invalid_token" in outcome.body:
                return False
            outcome = read_failure(outcome, revoke_uri, secrets)
        raise outcome

    def _sign(self, credentials: ServiceAccountCredentials, subject: str, key: Any) -> Secret:
        now = int(self._clock.wall())
        header = {"alg": "RS256", "typ": "JWT"}
        if credentials.private_key_id:
            header["kid"] = credentials.private_key_id
        text: str = JWTBearerGrant.sign(
            key,
            issuer=credentials.client_email,
            audience=credentials.token_uri,
            subject=subject,
            issued_at=now,
            expires_at=now + _JWT_LIFETIME,
            claims={"scope": " ".join(credentials.scopes)},
            header=header,
        )
        return Secret(text)

    async def _key(self, private_key: Secret) -> Any:
        """The parsed key. Parsing checks its primes, which takes tens of milliseconds: not on the event loop, and once."""
        key = self._keys.get(private_key)
        if key is None:
            try:
                async with asyncio.timeout(self._timeout):
                    key = await asyncio.get_running_loop().run_in_executor(None, _import_key, private_key)
            except TimeoutError:
                raise TokenEndpointError(f"no thread was free for {self._timeout:g} s to read the private key") from None
            if key is None:
                raise ConfigurationError("private_key: expected an RSA private key in PEM form, without a passphrase")
            self._keys[private_key] = key
        return key

    async def _exchange(
        self,
        uri: str,
        ask: Callable[[Any], Awaitable[Any]],
        secrets: tuple[Secret, ...],
        client_id: str | None = None,
        client_secret: Secret | None = None,
        scope: str | None = None,
        *,
        judge: Callable[[Answer], Any] | None = None,
    ) -> Any:
        """One request: the judged reply, or the error *as a value*, so that no frame below is in anybody's traceback."""
        if self._proxy is not None and urlsplit(uri).scheme == "http":
            return ConfigurationError(f"proxy: {uri} would be sent through it in clear; use https:// or no proxy")
        auth = _anonymous if client_id is None else "none" if client_secret is None else "client_secret_post"
        mark = _ours.set(True)
        try:
            async with asyncio.timeout(self._timeout):
                client = _Client(
                    client_id,
                    client_secret and client_secret.reveal(),
                    token_endpoint_auth_method=auth,
                    revocation_endpoint_auth_method=auth,
                    scope=scope,
                    transport=await self._open(),
                    headers={"Accept-Encoding": "identity", "User-Agent": "aiogmail"},
                    timeout=None,
                    follow_redirects=False,
                    trust_env=False,
                )
                client.answers = []
                response = await ask(client)
            if not client.answers:  # revocation, which Authlib does not parse
                client.parse_response_token(response)
        except asyncio.CancelledError as cancelled:
            raise cancelled.with_traceback(None) from None
        except TimeoutError:
            return TokenEndpointError(f"{uri} did not answer within {self._timeout:g} s; it will be tried again.")
        except Exception as error:  # noqa: BLE001 - whatever the two libraries raise, a secret may be in its frames
            return _unreachable(uri, error, secrets)
        finally:
            _ours.reset(mark)
        return (judge or partial(_judge, where=uri, secrets=secrets, now=self._clock.wall()))(client.answers[0])

    async def _open(self) -> Any:
        async with self._opening:
            if self._transport is None:
                if self._ssl_context is None:  # reads the system's CA file
                    self._ssl_context = await asyncio.get_running_loop().run_in_executor(None, ssl.create_default_context)
                # No connection is kept: one that has died of idleness would be found out only when a token is needed.
                limits = H.Limits(max_connections=None, max_keepalive_connections=0)
                proxy = None if self._proxy is None else H.Proxy(self._proxy.reveal())
                self._transport = _Bounded(H.AsyncHTTPTransport(verify=self._ssl_context, trust_env=False, limits=limits, proxy=proxy))
        return self._transport


def authorization_url(
    auth_uri: str, client_id: str, redirect_uri: str, scopes: tuple[str, ...], state: str, verifier: Secret, login_hint: str | None
) -> str:
    """The address of the consent page, with RFC 7636's challenge. ``prompt=consent`` makes Google give a refresh token again."""
    client = _Client(client_id, scope=" ".join(scopes), redirect_uri=redirect_uri, code_challenge_method="S256", transport=_NOWHERE)
    more = {"access_type": "offline", "prompt": "consent"} | ({"login_hint": login_hint} if login_hint else {})
    url, _ = client.create_authorization_url(auth_uri, state=state, code_verifier=verifier.reveal(), **more)
    return str(url)


def _check_proxy(proxy: str | None) -> Secret | None:
    if proxy is None:
        return None
    if not isinstance(proxy, str) or not proxy.startswith(("http://", "https://")):
        raise ConfigurationError("proxy: expected the http:// address of a proxy")  # not shown: it may hold a password
    return Secret(proxy)


def _import_key(private_key: Secret) -> Any:
    try:
        return RSAKey.import_key(private_key.reveal())
    except Exception:  # noqa: BLE001 - the parsers' errors quote the key
        return None


def _judge(answer: Answer, where: str, secrets: tuple[Secret, ...], now: float, *, assertion: bool = False) -> Reply | GmailError:
    if answer.status != 200:
        return read_failure(answer, where, secrets, now=now, assertion=assertion)
    try:
        return read_reply(answer.body)
    except BadReply as bad:
        words = str(bad)
    failure = read_failure(answer, where, secrets, now=now, assertion=assertion)
    # Some servers say 200 and then an error.
    return failure if not isinstance(failure, TokenEndpointError) else TokenEndpointError(f"{where} answered HTTP 200, but {words}.")


def _judged(outcome: Reply | GmailError) -> Reply:
    if isinstance(outcome, GmailError):
        raise outcome
    return outcome


def _unreachable(uri: str, error: Exception, secrets: tuple[Secret, ...]) -> TokenEndpointError:
    """The system's own words, found at the bottom of what two libraries wrapped around them."""
    root = _root_of(error)
    if isinstance(root, OSError):
        told = TokenEndpointError(f"{uri} cannot be reached: {scrub(str(root), secrets) or type(root).__name__}")
        root.__traceback__ = root.__context__ = root.__cause__ = None
        told.__cause__ = root
    elif isinstance(root, _Unreadable | H.HTTPError):
        # Up to where the reply itself may be quoted: it can hold new tokens.
        words = re.split(r"[:('\"\[{<]", str(root))[0].strip()
        told = TokenEndpointError(f"{uri} gave no reply that can be read: {scrub(words, secrets) or type(root).__name__}")
    else:  # its text may quote the request
        told = TokenEndpointError(f"{uri} could not be asked: {type(root).__name__}")
    return told


def _root_of(error: BaseException) -> BaseException:
    """The first ``OSError`` below an exception, deepest first; else the exception itself."""
    found, seen, queue = error, {id(error)}, [error]
    while queue:
        current = queue.pop(0)
        if isinstance(current, OSError) and (current.errno is not None or isinstance(current, ssl.SSLError)):
            found = current
        below = current.exceptions if isinstance(current, BaseExceptionGroup) else ()
        for inner in (current.__cause__, current.__context__, *below):
            if inner is not None and id(inner) not in seen:
                seen.add(id(inner))
                queue.append(inner)
    return found
