"""Who signs the access tokens that a test's server believes? HS256 JWTs by the standard library alone (RFC 7515, 7519)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time

SCOPE = "https://mail.google.com/"


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _compact(part: dict[str, object]) -> bytes:
    return json.dumps(part, separators=(",", ":")).encode()


class Signer:
    """One HS256 key. ``key`` is what a verifier needs."""

    def __init__(self, key: bytes | None = None) -> None:
        self.key = key or secrets.token_bytes(32)
        # The last member makes this signer's tokens recognisable; verifiers ignore header members they do not know.
        self._header: dict[str, object] = {"alg": "HS256", "typ": "JWT", "kid": "default", "run": secrets.token_hex(9)}

    @property
    def prefix(self) -> str:
        """What every token of this signer begins with: a canary for logs that covers them all."""
        return _b64url(_compact(self._header))

    def sign(self, claims: dict[str, object]) -> str:
        """The compact serialisation of ``claims``."""
        signed = ".".join(_b64url(_compact(part)) for part in (self._header, claims))
        return f"{signed}.{_b64url(hmac.digest(self.key, signed.encode(), hashlib.sha256))}"

    def token(self, address: str, lifetime: float = 3600.0, **claims: object) -> str:
        """An access token for ``address`` that dies after ``lifetime`` seconds (negative: it is dead already).

        Claims are whole seconds, so that it may die up to a second early, never late. No two tokens are alike.
        """
        now = time.time()
        dead = int(now + lifetime) - 1  # verifiers such as Dovecot still take it during the second that ``exp`` names
        born = int(min(now, now + lifetime)) - 1
        usual: dict[str, object] = {"email": address, "sub": address, "iat": born, "nbf": born, "exp": dead, "scope": SCOPE}
        return self.sign(usual | {"jti": secrets.token_hex(8)} | claims)
