"""How does a person let this program in? Authorisation code with PKCE over a loopback redirect (RFC 8252, RFC 7636).

Google's page: https://developers.google.com/identity/protocols/oauth2/native-app
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import sys
import webbrowser
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiogmail.clock import SystemClock
from aiogmail.errors import AccessDenied, ConfigurationError, GmailError, LoginRequired, TokenEndpointError
from aiogmail.secret import Secret

from .address import check_address
from .credentials import GOOGLE_AUTH_URI, GOOGLE_TOKEN_URI, MAIL_SCOPE, UserCredentials, identity_of, key_of
from .failure import Answer, read_failure
from .http import TokenEndpoint, authorization_url
from .stores.base import TokenStore
from .values import check_endpoint, check_scopes, check_secret, check_text, read_json_file

__all__ = ["GOOGLE_REVOKE_URI", "OAuthClient", "login", "revoke"]

GOOGLE_REVOKE_URI = "https://oauth2.googleapis.com/revoke"
_GOOGLE_HOSTS = frozenset({"oauth2.googleapis.com", "accounts.google.com", "www.googleapis.com"})
_REQUEST_LIMIT = 16 * 1024
_PAGE = "<!doctype html><meta charset=utf-8><title>aiogmail</title><p>{}"


@dataclass(frozen=True, slots=True, init=False)
class OAuthClient:
    """An OAuth client of the type "Desktop app", as the Google Cloud console makes it.

    Args:
        client_id, client_secret: as shown there (the secret of a desktop client is none, yet the token endpoint wants it).
        auth_uri: the page where a person consents.
        token_uri: where the code is exchanged.

    Raises:
        ConfigurationError: a value that is none of these.
    """

    client_id: str
    client_secret: Secret | None
    auth_uri: str
    token_uri: str

    def __init__(
        self,
        client_id: str,
        client_secret: str | Secret | None = None,
        *,
        auth_uri: str = GOOGLE_AUTH_URI,
        token_uri: str = GOOGLE_TOKEN_URI,
    ) -> None:
        put = object.__setattr__
        put(self, "client_id", check_text("client_id", client_id))
        put(self, "client_secret", None if client_secret is None else check_secret("client_secret", client_secret))
        put(self, "auth_uri", check_endpoint("auth_uri", auth_uri))
        put(self, "token_uri", check_endpoint("token_uri", token_uri))

    @classmethod
    def from_client_secrets_file(cls, path: Any) -> OAuthClient:
        """From the ``client_secret_….json`` that the Google Cloud console offers for download.

        Raises:
            ConfigurationError: it cannot be read, is not JSON, or is of another kind; names ``path`` and the file.
        """
        return cls._from(f"path {str(path)!r}", read_json_file("path", path))

    @classmethod
    def from_client_secrets_info(cls, info: Mapping[str, Any]) -> OAuthClient:
        """From the content of such a file.

        Raises:
            ConfigurationError: a member is missing, or it is of another kind.
        """
        return cls._from("info", info)

    @classmethod
    def _from(cls, argument: str, info: Mapping[str, Any]) -> OAuthClient:
        inner = info.get("installed") if isinstance(info, Mapping) else None
        if not isinstance(inner, Mapping):
            raise ConfigurationError(f"{argument}: expected the secrets of an OAuth client of the type 'Desktop app' (member 'installed')")
        return cls(
            inner.get("client_id", ""),
            inner.get("client_secret") or None,
            auth_uri=inner.get("auth_uri") or GOOGLE_AUTH_URI,
            token_uri=inner.get("token_uri") or GOOGLE_TOKEN_URI,
        )


def _show(text: str) -> None:
    sys.stderr.write(f"{text}\n")


async def _ask(prompt: str) -> str:
    """A line from stdin, cancellable where the event loop can watch it: a thread in ``input()`` would hold the program open."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    try:
        stdin = sys.stdin.fileno()
        loop.add_reader(stdin, _resolve, readable)
    except (OSError, ValueError, AttributeError, NotImplementedError):  # a regular file, Windows, no stdin of the system's
        return await loop.run_in_executor(None, sys.stdin.readline)
    try:
        await readable
    finally:
        loop.remove_reader(stdin)
    # Not here: the rest of a line that has only begun may take its time.
    return await loop.run_in_executor(None, sys.stdin.readline)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def login(
    client: OAuthClient,
    *,
    address: str | None = None,
    scopes: str | Iterable[str] = (MAIL_SCOPE,),
    browser: bool = True,
    port: int = 0,
    timeout: float = 300.0,
    show: Callable[[str], object] = _show,
    ask: Callable[[str], Awaitable[str]] = _ask,
    open_browser: Callable[[str], object] = webbrowser.open,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
) -> UserCredentials:
    """Let a person consent, and return the credentials; save them with ``to_authorized_user_file``.

    With ``browser`` the consent page is opened on this machine and its redirect is caught on a loopback port. Without, the
    page's address is shown; it may be opened on any machine, and the address to which the browser is sent in the end (a page
    that cannot be loaded) is to be pasted back.

    Args:
        client: the OAuth client.
        address: preselects the account on the page.
        scopes: what to ask for.
        browser: whether this machine has one.
        port: of the loopback redirect; 0: any free one.
        timeout: seconds for the person.
        show: is given each line meant for the person; by default written to stderr.
        ask: ``await ask(prompt)`` gives what the person pasted; by default read from stdin.
        open_browser: called with the address, in the default executor; it may return at once or when the browser ends.
        ssl_context: for a token endpoint with a private CA; must verify.
        proxy: the address of an HTTP proxy for the token endpoint.

    Raises:
        AccessDenied: the person declined, or did not tick the box for Gmail; or an administrator does not allow the client.
        LoginRequired: nobody answered in time, or the code was too old.
        ConfigurationError: an argument is wrong, the client is unknown or of another type.
        TokenEndpointError: the token endpoint cannot be reached.
    """
    words = check_scopes(scopes)
    endpoint = TokenEndpoint(clock=SystemClock(), ssl_context=ssl_context, proxy=proxy)
    hint = None if address is None else check_address(address)
    state, verifier = secrets.token_urlsafe(32), Secret(secrets.token_urlsafe(64))
    try:
        async with asyncio.timeout(timeout):
            if browser:
                async with _Redirect(state, port) as redirect:
                    url = authorization_url(client.auth_uri, client.client_id, redirect.uri, words, state, verifier, hint)
                    show(f"Open this page to let aiogmail in (it should open by itself):\n{url}")
                    _begin(open_browser, url, show)
                    code = await redirect.code()
            else:
                # Nothing listens there: the browser may be on another machine.
                redirect = _Redirect(state, port or 49152 + secrets.randbelow(16384))
                url = authorization_url(client.auth_uri, client.client_id, redirect.uri, words, state, verifier, hint)
                show(f"Open this page in any browser:\n{url}\nIn the end it shows a page that cannot be loaded.")
                code = await _pasted(redirect, show, ask)
    except TimeoutError:
        raise LoginRequired(f"nobody consented within {timeout:g} s: log in again", connection_lost=False) from None
    reply = await endpoint.redeem(client.client_id, client.client_secret, client.token_uri, code, verifier, redirect.uri)
    # Short names such as "email" are answered by their long ones; those of mail are URLs, and come back as they are.
    missing = [word for word in words if reply.scopes and "://" in word and word not in reply.scopes]
    if missing:
        raise AccessDenied(
            f"consent was given, but not for {' '.join(missing)}: log in again and tick the box for Gmail on the page",
            connection_lost=False,
        )
    if reply.refresh_token is None:
        raise LoginRequired(
            "the server gave no refresh token: remove this app's access in the account, then log in again", connection_lost=False
        )
    return UserCredentials(client.client_id, client.client_secret, reply.refresh_token, token_uri=client.token_uri, scopes=words)


async def revoke(
    credentials: UserCredentials,
    *,
    address: str | None = None,
    store: TokenStore | None = None,
    revoke_uri: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
) -> bool:
    """Give the access back: the refresh token and all access tokens of its line die.

    Args:
        credentials: whose refresh token is revoked.
        address: the mailbox; to be given with ``store``.
        store: where the account's tokens are kept. Where the server rotates refresh tokens the newest is there: it is revoked as
            well, and the record deleted. Close the clients of the account first.
        revoke_uri: where; ``None`` for Google's, if the credentials are Google's.
        ssl_context: for an endpoint with a private CA; must verify.
        proxy: the address of an HTTP proxy.

    Returns:
        ``True``: it is revoked; ``False``: the server did not know it (any more).

    Raises:
        ConfigurationError: no ``revoke_uri`` for credentials that are not Google's: their token goes nowhere else.
        TokenEndpointError: the endpoint cannot be reached.
        StoreUnavailable: the store cannot be read.
    """
    if (address is None) is not (store is None):
        raise ConfigurationError("address, store: give both, or none")
    google = urlsplit(credentials.token_uri).hostname in _GOOGLE_HOSTS
    if revoke_uri is None and not google:
        raise ConfigurationError(f"revoke_uri: needed, for these credentials belong to {credentials.token_uri!r}")
    uri = GOOGLE_REVOKE_URI if revoke_uri is None else check_endpoint("revoke_uri", revoke_uri)
    endpoint = TokenEndpoint(clock=SystemClock(), ssl_context=ssl_context, proxy=proxy)
    # RFC 7009 wants the client to authenticate; Google's endpoint takes the token alone.
    client_id, client_secret = (None, None) if google else (credentials.client_id, credentials.client_secret)
    if store is None or address is None:
        return await endpoint.revoke(uri, credentials.refresh_token, client_id, client_secret)
    key = key_of(identity_of(check_address(address), credentials))
    stored = await store.load(key)
    newest = stored.refresh_token if stored is not None else None
    known = dict.fromkeys((newest or credentials.refresh_token, credentials.refresh_token))
    done = [await endpoint.revoke(uri, token, client_id, client_secret) for token in known]
    await store.delete(key)
    return any(done)


def _begin(open_browser: Callable[[str], object], url: str, show: Callable[[str], object]) -> None:
    """Open the page, without waiting for the browser: one without windows runs in the foreground until it is left."""

    def work() -> bool:
        try:
            return open_browser(url) is not False
        except Exception:  # noqa: BLE001 - a person can open the page that was shown
            return False

    def ended(opening: asyncio.Future[bool]) -> None:
        if not opening.cancelled() and not opening.result():
            show("No browser could be opened: open that page yourself.")

    asyncio.get_running_loop().run_in_executor(None, work).add_done_callback(ended)


class _Redirect:
    """The loopback address that the browser comes back to, and what it brings."""

    def __init__(self, state: str, port: int) -> None:
        self._state = state
        self._port = port
        self._code: asyncio.Future[Secret | GmailError] = asyncio.get_running_loop().create_future()
        self._server: asyncio.Server | None = None
        self._visits: dict[asyncio.Task[Any], asyncio.WriteTransport] = {}

    @property
    def uri(self) -> str:
        # RFC 8252 section 8.3: the literal, for "localhost" may be anything.
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> _Redirect:
        try:
            self._server = await asyncio.start_server(self._visit, "127.0.0.1", self._port, limit=_REQUEST_LIMIT)
        except OSError as error:
            raise ConfigurationError(f"port: cannot listen on 127.0.0.1:{self._port}: {error}") from None
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        try:
            if self._visits:  # the page that says it is done is still on its way
                await asyncio.wait(self._visits, timeout=1.0)
        finally:
            for transport in self._visits.values():
                transport.abort()  # ends its task; one that is cancelled makes asyncio's streams complain on Python 3.11
        if self._visits:
            await asyncio.wait(self._visits)
        await self._server.wait_closed()

    async def code(self) -> Secret:
        outcome = await asyncio.shield(self._code)
        if isinstance(outcome, GmailError):
            raise outcome
        return outcome

    def read(self, url: str) -> Secret | GmailError | None:
        """The code in a redirect, the refusal in it, or ``None``: it is not the answer to our question."""
        try:
            query = parse_qs(urlsplit(url.strip()).query)
        except ValueError:
            return None
        state, code, error = (query.get(name, [""])[0] for name in ("state", "code", "error"))
        if not secrets.compare_digest(state.encode(), self._state.encode()):
            return None
        if error:
            return _refusal(error, query.get("error_description", [""])[0])
        return Secret(code) if code else None

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._visits[task] = writer.transport
        task.add_done_callback(self._visits.pop)
        try:
            async with asyncio.timeout(10):
                head = await reader.readuntil(b"\r\n\r\n")
                method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
                outcome = self.read(rest.partition(" ")[0]) if method == "GET" else None
                if outcome is None:  # a favicon, a stray link, or somebody who guesses
                    status, text = "404 Not Found", "Nothing here. Use the page that aiogmail opened."
                elif isinstance(outcome, GmailError):
                    status, text = "200 OK", "aiogmail was not let in. You may close this page."
                else:
                    status, text = "200 OK", "aiogmail is let in. You may close this page."
                page = _PAGE.format(text).encode()
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close\r\n"
                    f"Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\r\n".encode()
                    + page
                )
                if outcome is not None and not self._code.done():
                    self._code.set_result(outcome)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _pasted(redirect: _Redirect, show: Callable[[str], object], ask: Callable[[str], Awaitable[str]]) -> Secret:
    for _attempt in range(3):
        outcome = redirect.read(await ask("Paste the address of that page here: "))
        if isinstance(outcome, GmailError):
            raise outcome
        if outcome is not None:
            return outcome
        show(f"That is not it: it begins with {redirect.uri} and holds a code and the state of this login.")
    raise ConfigurationError("the pasted address: expected the one that the browser was sent to, whole and from this login")


def _refusal(error: str, description: str) -> GmailError:
    if error == "access_denied":
        return AccessDenied("consent was declined on the page: log in again and allow access to Gmail", connection_lost=False)
    body = json.dumps({"error": error, "error_description": description}).encode()
    failure = read_failure(Answer(400, body), "the consent page")
    if isinstance(failure, TokenEndpointError):  # a page that says no, in words we do not know
        return AccessDenied(failure.message, connection_lost=False)
    return failure
