"""What do Google's OAuth endpoints answer? Consent page, token, revocation: pure, with every error in Google's words."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from .ledger import TokenAnswer
from .tokens import GMAIL_SCOPE, IMAP_ADMIN_SCOPE, Code, Grant

if TYPE_CHECKING:
    from .hub import Hub

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "OAuthEndpoints", "Reply"]

CLIENT_ID = "407408718192-emulator.apps.googleusercontent.com"
CLIENT_SECRET = "GOCSPX-emulator"  # noqa: S105  not a secret: every emulator has it
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TIMEFRAME = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."
_UNAUTHORIZED = (
    "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: a body that is JSON unless it is text."""

    status: int
    body: Mapping[str, Any] | str
    headers: Mapping[str, str] = field(default_factory=dict)


class _Error(Exception):
    def __init__(self, status: int, error: str, description: str = "", subtype: str = "") -> None:
        super().__init__(error)
        words = {"error": error, "error_description": description, "error_subtype": subtype}
        self.error = error
        self.reply = Reply(status, {key: value for key, value in words.items() if value})


class OAuthEndpoints:
    """The endpoints over one hub.

    Attributes:
        clients: client id → secret.
        service_accounts: address → public key (of the ``cryptography`` package).
        consent: what the person does on the consent page: ``"grant"``, or an error such as ``"access_denied"``.
        token_uris: under which addresses the token endpoint answers, for the ``aud`` of assertions.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.clients = {CLIENT_ID: CLIENT_SECRET}
        self.service_accounts: dict[str, Any] = {}
        self.consent = "grant"
        self.token_uris: set[str] = {"https://oauth2.googleapis.com/token"}

    def handle(self, verb: str, method: str, query: Mapping[str, str], form: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        """Answer a request."""
        wanted = "GET" if verb == "AUTH" else "POST"
        if verb not in {"AUTH", "TOKEN", "REVOKE", "/device/code"}:
            return Reply(404, "<html><title>Error 404 (Not Found)</title></html>")
        if method != wanted:
            return Reply(405, {"error": "invalid_request", "error_description": "Method not allowed"})
        if verb == "AUTH":
            return self._auth(query)
        if verb == "REVOKE":
            return self._revoke(form.get("token") or query.get("token", ""))
        if verb == "/device/code":
            scope = form.get("scope", "")
            return Reply(400, {"error": "invalid_scope", "error_description": f"Invalid device flow scope: {scope}"})
        grant_type = form.get("grant_type", "")
        try:
            address, words = self._token(grant_type, _with_basic(form, headers))
        except _Error as error:
            self.note(grant_type, self._whose(form), error.reply.status, error.error)
            return error.reply
        self.note(grant_type, address, 200, "", words["expires_in"])
        return Reply(200, words)

    def note(self, grant_type: str, address: str | None, status: int, error: str, expires_in: float = 0.0) -> None:
        """Write an answer of the token endpoint into the ledgers."""
        answer = TokenAnswer(self.hub.wall(), grant_type, address, status, error, expires_in)
        self.hub.ledger_of(address).add(answer)

    def _whose(self, form: Mapping[str, str]) -> str | None:
        grant = self.hub.tokens.grants.get(form.get("refresh_token", ""))
        return None if grant is None else grant.address

    # Token

    def _token(self, grant_type: str, form: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        match grant_type:
            case "refresh_token":
                self._check_client(form)
                return self._refresh(form)
            case "authorization_code":
                self._check_client(form)
                return self._exchange(form)
            case "urn:ietf:params:oauth:grant-type:jwt-bearer":
                return self._assertion(form.get("assertion", ""))
            case _:
                raise _Error(400, "unsupported_grant_type", f"Invalid grant_type: {grant_type}")

    def _check_client(self, form: Mapping[str, str]) -> None:
        client_id = form.get("client_id", "")
        if client_id not in self.clients:
            raise _Error(401, "invalid_client", "The OAuth client was not found.")
        if self.clients[client_id] and form.get("client_secret", "") != self.clients[client_id]:
            raise _Error(401, "invalid_client", "Unauthorized")

    def _answer(self, address: str, scope: str, grant: Grant | None) -> dict[str, Any]:
        account = self.hub.accounts.get(address)
        behaviour = self.hub.behaviour if account is None else account.behaviour
        token = self.hub.tokens.issue(address, behaviour.token_lifetime, scope, grant)
        return {
            "access_token": token.value,
            "expires_in": max(1, int(behaviour.token_lifetime)),
            "scope": scope,
            "token_type": "Bearer",
        }

    def _refresh(self, form: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        tokens = self.hub.tokens
        grant = tokens.grants.get(form.get("refresh_token", ""))
        if grant is None or grant.client_id != form.get("client_id"):
            raise _Error(400, "invalid_grant", "Bad Request")
        if not tokens.is_alive(grant):
            subtype = "invalid_rapt" if "rapt" in grant.dead else ""
            raise _Error(400, "invalid_grant", grant.dead, subtype)
        wanted = form.get("scope", "").split()
        if not set(wanted) <= set(grant.scope.split()):
            raise _Error(400, "invalid_scope", "Some requested scopes were invalid.")
        words = self._answer(grant.address, " ".join(wanted) or grant.scope, grant)
        account = self.hub.accounts.get(grant.address)
        behaviour = self.hub.behaviour if account is None else account.behaviour
        if behaviour.rotate_refresh_tokens:
            fresh = tokens.grant(grant.address, grant.client_id, grant.scope, behaviour.refresh_token_lifetime)
            grant.dead = "Token has been expired or revoked."
            for issued in tokens.access.values():
                if issued.grant is grant:
                    issued.grant = fresh  # it is one consent: who revokes it by either token ends both
            words["refresh_token"] = fresh.refresh_token
        words.update(self._grant_life(grant))
        return grant.address, words

    def _grant_life(self, grant: Grant) -> dict[str, int]:
        return {} if grant.expires_at is None else {"refresh_token_expires_in": int(grant.expires_at - self.hub.now())}

    def _exchange(self, form: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        tokens = self.hub.tokens
        code = tokens.codes.get(form.get("code", ""))
        if code is None:
            raise _Error(400, "invalid_grant", "Malformed auth code.")
        if code.used or code.expires_at <= self.hub.now() or code.client_id != form.get("client_id"):
            raise _Error(400, "invalid_grant", "Bad Request")
        if code.redirect_uri != form.get("redirect_uri"):
            raise _Error(400, "redirect_uri_mismatch", "Bad Request")
        if code.challenge:
            verifier = form.get("code_verifier", "")
            if not verifier:
                raise _Error(400, "invalid_grant", "Missing code verifier.")
            if _challenge(verifier, code.method) != code.challenge:
                raise _Error(400, "invalid_grant", "Invalid code verifier.")
        code.used = True
        account = self.hub.accounts[code.address]
        behaviour = account.behaviour
        grant = None
        if code.offline:
            lifetime, limit = behaviour.refresh_token_lifetime, behaviour.refresh_tokens_per_client
            grant = tokens.grant(code.address, code.client_id, code.scope, lifetime, limit)
        words = self._answer(code.address, code.scope, grant)
        if grant is not None:
            words["refresh_token"] = grant.refresh_token
            words.update(self._grant_life(grant))
        return code.address, words

    def _assertion(self, assertion: str) -> tuple[str, dict[str, Any]]:
        """A service account's signed JWT: RS256, an hour at most, ``sub`` the user it acts for."""
        claims = self._verified(assertion)
        now = self.hub.wall()
        try:
            issued, expires = float(claims.get("iat", 0)), float(claims.get("exp", 0))
        except (TypeError, ValueError, OverflowError):
            raise _Error(400, "invalid_grant", _TIMEFRAME) from None
        if not (issued <= now + 300 and now < expires <= issued + 3600):
            raise _Error(400, "invalid_grant", _TIMEFRAME)
        if claims.get("aud") not in self.token_uris:
            raise _Error(400, "invalid_grant", "Invalid JWT: Failed audience check.")
        subject = str(claims.get("sub", claims["iss"])).lower()
        if "@" not in subject:
            raise _Error(400, "invalid_grant", "Not a valid email")
        if subject not in self.hub.accounts:
            raise _Error(400, "invalid_grant", "Invalid email or User ID")
        scope = str(claims.get("scope", ""))
        if not scope or not set(scope.split()) <= {GMAIL_SCOPE, IMAP_ADMIN_SCOPE}:
            raise _Error(401, "unauthorized_client", _UNAUTHORIZED)
        return subject, self._answer(subject, scope, None)

    def _verified(self, assertion: str) -> dict[str, Any]:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            head, body, signature = assertion.split(".")
            header, claims = json.loads(_unpad(head)), json.loads(_unpad(body))
            key = self.service_accounts[claims["iss"]]
            if header.get("alg") != "RS256":
                raise ValueError("algorithm")
            key.verify(_unpad(signature), f"{head}.{body}".encode(), PKCS1v15(), SHA256())
        except KeyError:
            raise _Error(400, "invalid_grant", "Invalid grant: account not found") from None
        except (ValueError, TypeError, AttributeError, RecursionError, InvalidSignature):
            raise _Error(400, "invalid_grant", "Invalid JWT Signature.") from None
        return dict(claims)

    # Consent and revocation

    def _auth(self, query: Mapping[str, str]) -> Reply:
        """The person's browser: who is asked consents (or not) at once, and is sent back to the program."""
        redirect = query.get("redirect_uri", "")
        if query.get("client_id", "") not in self.clients:
            return Reply(401, "<html><title>Error 401: invalid_client</title>The OAuth client was not found.</html>")
        if not _is_loopback(redirect):
            return Reply(400, "<html><title>Error 400: redirect_uri_mismatch</title></html>")
        if query.get("response_type") != "code":
            return Reply(400, "<html><title>Error 400: invalid_request</title></html>")
        answer = {"state": query["state"]} if "state" in query else {}
        address = query.get("login_hint", "").lower() or next(iter(self.hub.accounts), "")
        if self.consent != "grant" or address not in self.hub.accounts:
            answer["error"] = "access_denied" if self.consent == "grant" else self.consent
        else:
            known = self.hub.tokens.has_consented(address, query["client_id"])
            # A refresh token comes with the first consent, and with one that is asked for again.
            offline = query.get("access_type") == "offline" and (not known or "consent" in query.get("prompt", "").split())
            code = Code(
                self.hub.tokens.word("4/0A"), address, query["client_id"], redirect, query.get("scope", ""), query.get("code_challenge", ""),
                query.get("code_challenge_method", "plain"), offline, self.hub.now() + 600,
            )  # fmt: skip
            self.hub.tokens.codes[code.value] = code
            answer.update(code=code.value, scope=code.scope)
        return Reply(302, "", {"Location": f"{redirect}{'&' if '?' in redirect else '?'}{urlencode(answer)}"})

    def _revoke(self, token: str) -> Reply:
        tokens = self.hub.tokens
        access = tokens.access.get(token)
        grant = tokens.grants.get(token) or (access.grant if access else None)
        if (grant is None and access is None) or (grant is not None and grant.dead):
            return Reply(400, {"error": "invalid_token", "error_description": "Token expired or revoked"})
        if access is not None:
            access.revoked = True
        if grant is not None:
            grant.dead = "Token has been expired or revoked."
            for issued in tokens.access.values():
                issued.revoked = issued.revoked or issued.grant is grant
        return Reply(200, {})


def _is_loopback(redirect: str) -> bool:
    try:
        host = urlsplit(redirect).hostname
    except ValueError:
        return False
    # A line end in it would be a header of the client's choice.
    return redirect.isprintable() and host in {"127.0.0.1", "localhost", "::1"}


def _unpad(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _challenge(verifier: str, method: str) -> str:
    if method != "S256":
        return verifier
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode("ascii")


def _with_basic(form: Mapping[str, str], headers: Mapping[str, str]) -> Mapping[str, str]:
    """The form with the client's id and secret of HTTP Basic, where they came that way."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form
    try:
        client_id, _, secret = base64.b64decode(value).decode().partition(":")
    except ValueError:
        return form
    return {**form, "client_id": client_id, "client_secret": secret}
