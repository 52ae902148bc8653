"""Who may come in? Grants, access tokens and authorisation codes of the emulated Google."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["GMAIL_SCOPE", "IMAP_ADMIN_SCOPE", "AccessToken", "Code", "Grant", "TokenAuthority"]

GMAIL_SCOPE = "https://mail.google.com/"
IMAP_ADMIN_SCOPE = "https://www.googleapis.com/auth/gmail.imap_admin"


@dataclass(slots=True)
class Grant:
    """A person's consent: the refresh token, and why it is dead (``""`` while it lives)."""

    address: str
    client_id: str
    refresh_token: str = field(repr=False)
    scope: str
    issued_at: float
    expires_at: float | None = None
    dead: str = ""


@dataclass(slots=True)
class AccessToken:
    """An access token; times are seconds of the emulator's own clock."""

    value: str = field(repr=False)
    address: str
    scope: str
    issued_at: float
    expires_at: float
    grant: Grant | None = None
    revoked: bool = False


@dataclass(slots=True)
class Code:
    """An authorisation code on its way from the consent page to the token endpoint."""

    value: str = field(repr=False)
    address: str
    client_id: str
    redirect_uri: str
    scope: str
    challenge: str
    method: str
    offline: bool
    expires_at: float
    used: bool = False


class TokenAuthority:
    """All grants and tokens, with the emulator's monotonic clock passed in."""

    def __init__(self, now: Callable[[], float], seed: int = 0) -> None:
        self.now = now
        self._random = random.Random(f"{seed}/tokens")  # noqa: S311  of an emulator: one seed, one schedule
        self.grants: dict[str, Grant] = {}
        self.access: dict[str, AccessToken] = {}
        self.codes: dict[str, Code] = {}

    def word(self, prefix: str, size: int = 40) -> str:
        """A new unguessable-looking word."""
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        return prefix + "".join(self._random.choices(alphabet, k=size))

    def grant(self, address: str, client_id: str, scope: str = GMAIL_SCOPE, lifetime: float | None = None, limit: int = 100) -> Grant:
        """A new refresh token; above ``limit`` live ones of the account and client the oldest dies silently."""
        now = self.now()
        grant = Grant(address, client_id, self.word("1//0e"), scope, now, None if lifetime is None else now + lifetime)
        live = [old for old in self.grants.values() if (old.address, old.client_id, old.dead) == (address, client_id, "")]
        for old in live[: max(0, len(live) + 1 - limit)]:
            old.dead = "Token has been expired or revoked."
        self.grants[grant.refresh_token] = grant
        return grant

    def has_consented(self, address: str, client_id: str) -> bool:
        """Whether the person has let this client in before, and not taken it back."""
        return any((grant.address, grant.client_id) == (address, client_id) and self.is_alive(grant) for grant in self.grants.values())

    def issue(self, address: str, lifetime: float, scope: str = GMAIL_SCOPE, grant: Grant | None = None) -> AccessToken:
        """A new access token."""
        now = self.now()
        token = AccessToken(self.word("ya29.a0"), address, scope, now, now + lifetime, grant)
        self.access[token.value] = token
        return token

    def is_alive(self, grant: Grant) -> bool:
        """Whether a refresh token still works."""
        if not grant.dead and grant.expires_at is not None and grant.expires_at <= self.now():
            grant.dead = "Token has been expired or revoked."
        return not grant.dead

    def valid(self, address: str, value: str) -> AccessToken | None:
        """The token, if it opens this account's mail now. Gmail does not say what is wrong with one that does not."""
        token = self.access.get(value)
        if token is None or token.revoked or token.expires_at <= self.now() or token.address != address.lower():
            return None
        scopes = token.scope.split()
        return token if GMAIL_SCOPE in scopes or IMAP_ADMIN_SCOPE in scopes else None

    def revoke(self, address: str, reason: str) -> None:
        """Kill every grant and token of an account."""
        for grant in self.grants.values():
            if grant.address == address:
                grant.dead = grant.dead or reason
        for token in self.access.values():
            if token.address == address:
                token.revoked = True
