"""A real authorisation server: Authlib's server half behind a real HTTPS port, with a ledger of all that it granted and refused."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Error, OAuth2Request, TokenMixin, grants
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7523 import JWTBearerGrant
from authlib.oauth2.rfc7636 import CodeChallenge

from .site import Reply, Request, Site

MAIL = "https://mail.google.com/"
METHODS = ["client_secret_basic", "client_secret_post", "none"]


@dataclass
class Client(ClientMixin):
    client_id: str
    secret: str | None = None
    scopes: tuple[str, ...] = (MAIL, "mail")
    public_key: Any = None
    may_act_for: tuple[str, ...] = ()

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return " ".join(word for word in (scope or " ".join(self.scopes)).split() if word in self.scopes)

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri.startswith(("http://127.0.0.1:", "http://127.0.0.1/", "http://[::1]:"))

    def check_client_secret(self, client_secret):
        return self.secret is not None and secrets.compare_digest(self.secret, client_secret)

    def check_endpoint_auth_method(self, method, endpoint):
        return method in (("client_secret_post", "client_secret_basic") if self.secret else ("none",))

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return True


@dataclass
class Grant(TokenMixin):
    """One refresh token, with the line it belongs to."""

    refresh_token: str
    client_id: str
    user: str
    scope: str
    superseded_at: float | None = None
    revoked: bool = False
    access_tokens: list[str] = field(default_factory=list)

    def check_client(self, client):
        return client.client_id == self.client_id

    def get_scope(self):
        return self.scope

    def get_expires_in(self):
        return 0

    def is_expired(self):
        return False

    def is_revoked(self):
        return self.revoked

    def get_user(self):
        return self.user


@dataclass
class Code:
    code: str
    client_id: str
    user: str
    scope: str
    redirect_uri: str
    code_challenge: str | None
    code_challenge_method: str | None

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope


class _Request(OAuth2Request):
    def __init__(self, request: Request, origin: str):
        super().__init__(request.method, f"{origin}{request.path}", headers={k.title(): v for k, v in request.headers.items()})
        self._form, self._args = request.form, request.query
        self.payload = BasicOAuth2Payload({**request.query, **request.form})

    @property
    def form(self):
        return self._form

    @property
    def args(self):
        return self._args


class _CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def save_authorization_code(self, code, request):
        data = request.payload.data
        self.server.site.codes[code] = Code(
            code,
            request.client.client_id,
            request.user,
            request.scope or "",
            request.payload.redirect_uri,
            data.get("code_challenge"),
            data.get("code_challenge_method"),
        )

    def query_authorization_code(self, code, client):
        found = self.server.site.codes.get(code)
        return found if found is not None and found.client_id == client.client_id else None

    def delete_authorization_code(self, authorization_code):
        del self.server.site.codes[authorization_code.code]

    def authenticate_user(self, authorization_code):
        return authorization_code.user


class _RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    @property
    def INCLUDE_NEW_REFRESH_TOKEN(self):
        return self.server.site.rotate is not None

    def authenticate_refresh_token(self, refresh_token):
        site = self.server.site
        grant = site.grants.get(refresh_token)
        if grant is None or grant.revoked:
            return None
        if grant.superseded_at is not None and time.monotonic() - grant.superseded_at > (site.rotate or 0.0):
            return None
        return grant

    def authenticate_user(self, refresh_token):
        return refresh_token.user

    def revoke_old_credential(self, refresh_token):
        if self.server.site.rotate is not None and refresh_token.superseded_at is None:
            refresh_token.superseded_at = time.monotonic()


class _JwtGrant(JWTBearerGrant):
    def resolve_issuer_client(self, issuer):
        return self.server.site.clients.get(issuer)

    def resolve_client_public_key(self, client):
        return client.public_key

    def authenticate_user(self, subject):
        return subject

    def get_audiences(self):
        return [self.server.site.token_uri]

    def has_granted_permission(self, client, user):
        return user in client.may_act_for


class _Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = METHODS

    def query_token(self, token_string, token_type_hint):
        return self.server.site.grants.get(token_string)

    def revoke_token(self, token, request):
        token.revoked = True


class _Server(AuthorizationServer):
    def __init__(self, site):
        super().__init__()
        self.site = site
        self.register_token_generator(
            "default", BearerTokenGenerator(self._access, self._refresh, lambda client, grant_type: site.lifetime)
        )
        self.register_grant(_CodeGrant, [CodeChallenge(required=True)])
        self.register_grant(_RefreshGrant)
        self.register_grant(_JwtGrant)
        self.register_endpoint(_Revocation)

    def _access(self, client, grant_type, user, scope):
        return self.site.new_access_token(user)

    def _refresh(self, client, grant_type, user, scope):
        return f"1//{secrets.token_urlsafe(48)}"

    def query_client(self, client_id):
        return self.site.clients.get(client_id)

    def save_token(self, token, request):
        self.site.save(token, request)

    def send_signal(self, name, *args, **kwargs):
        pass

    def create_oauth2_request(self, request):
        return _Request(request, self.site.origin)

    def handle_response(self, status, body, headers):
        return Reply(status, body if body != "" else b"", dict(headers))


class AuthServer(Site):
    """``async with AuthServer() as server``.

    Attributes:
        lifetime: of access tokens, in seconds.
        rotate: ``None``: refresh tokens stay; else each refresh gives a new one, and the old is honoured this many seconds more.
        delay: seconds before an answer.
        ledger: one line per answer of the token endpoint: (monotonic time, address, grant type, status).
    """

    def __init__(self, *, lifetime: float = 3599, rotate: float | None = None, delay: float = 0.0, **site: Any):
        super().__init__(self._serve, **site)
        self.lifetime = lifetime
        self.rotate = rotate
        self.delay = delay
        self.clients: dict[str, Client] = {"client-1": Client("client-1", "secret-1")}
        self.grants: dict[str, Grant] = {}
        self.codes: dict[str, Code] = {}
        self.access_tokens: dict[str, float] = {}
        self.ledger: list[tuple[float, str, str, int]] = []
        self.granted: dict[str, int] = defaultdict(int)
        self.consent: str | None = "me@example.org"
        self.hook: Any = None
        self._oauth = _Server(self)

    def new_grant(self, user: str = "me@example.org", client_id: str = "client-1", scope: str = MAIL) -> str:
        """A refresh token, as if somebody had logged in."""
        refresh_token = f"1//{secrets.token_urlsafe(48)}"
        self.grants[refresh_token] = Grant(refresh_token, client_id, user, scope)
        return refresh_token

    def new_access_token(self, user: str) -> str:
        token = f"ya29.{secrets.token_urlsafe(160)}"
        self.access_tokens[token] = time.monotonic() + self.lifetime
        return token

    def save(self, token: dict[str, Any], request: Any) -> None:
        user = request.user if isinstance(request.user, str) else "nobody"
        self.granted[user] += 1
        if "refresh_token" in token:
            self.grants[token["refresh_token"]] = Grant(token["refresh_token"], request.client.client_id, user, token.get("scope") or MAIL)

    async def _serve(self, request: Request) -> Reply:
        import asyncio

        if self.hook is not None:
            reply = self.hook(request)
            if reply is not None:
                return reply
        if request.path == "/auth":
            return self._authorize(request)
        if request.path == "/revoke":
            return self._oauth.create_endpoint_response("revocation", request)
        if self.delay:
            await asyncio.sleep(self.delay / 2)
        reply = self._oauth.create_token_response(request)
        self.ledger.append((time.monotonic(), request.form.get("client_id", ""), request.form.get("grant_type", ""), reply.status))
        if self.delay:
            await asyncio.sleep(self.delay / 2)
        return reply

    def _authorize(self, request: Request) -> Reply:
        if self.consent is None:
            query = urlencode({"error": "access_denied", "state": request.query.get("state", "")})
            return Reply(302, b"", {"Location": f"{request.query['redirect_uri']}?{query}"})
        try:
            grant = self._oauth.get_consent_grant(request, end_user=self.consent)
        except OAuth2Error as error:
            return Reply(400, dict(error.get_body()))
        return self._oauth.create_authorization_response(request, grant_user=self.consent, grant=grant)
