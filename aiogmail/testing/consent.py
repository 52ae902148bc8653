"""Who has consented to what? Credentials of persons, and service accounts with delegation over everybody."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .oauth import CLIENT_ID
from .tokens import GMAIL_SCOPE

if TYPE_CHECKING:
    from .hub import Hub
    from .oauth import OAuthEndpoints

__all__ = ["Consent"]


class Consent:
    """The credentials that an emulator has given out."""

    def __init__(self, hub: Hub, oauth: OAuthEndpoints) -> None:
        self._hub = hub
        self._oauth = oauth
        self._given: dict[str, Any] = {}

    def credentials(self, address: str, token_uri: str) -> Any:
        """A consenting person's :class:`aiogmail.UserCredentials`; the same until they are revoked."""
        from aiogmail.oauth.credentials import UserCredentials

        known = self._given.get(address)
        if known is not None and self._hub.tokens.is_alive(known[0]):
            return known[1]
        behaviour = self._hub.accounts[address].behaviour
        lifetime, limit = behaviour.refresh_token_lifetime, behaviour.refresh_tokens_per_client
        grant = self._hub.tokens.grant(address, CLIENT_ID, GMAIL_SCOPE, lifetime, limit)
        secret = self._oauth.clients[CLIENT_ID]
        made = UserCredentials(CLIENT_ID, secret, grant.refresh_token, token_uri=token_uri, scopes=(GMAIL_SCOPE,))
        self._given[address] = grant, made
        return made

    def service_account(self, address: str, token_uri: str) -> dict[str, str]:
        """A service account: what its JSON key file would hold."""
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        key = rsa.generate_private_key(65537, 2048)
        self._oauth.service_accounts[address] = key.public_key()
        return {
            "type": "service_account",
            "client_email": address,
            "client_id": "100000000000000000000",
            "private_key_id": f"{int(time.time()):x}",
            "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii"),
            "token_uri": token_uri,
        }
