"""How does a session get its credential? From the token cache that all clients of an account share."""

from __future__ import annotations

import contextlib

from aiogmail.errors import AccessDenied, StateError
from aiogmail.oauth import AppPassword, Credentials, TokenCache
from aiogmail.ports import Credential

__all__ = ["AccountCredentials"]


_MAIL = {"https://mail.google.com/", "https://www.googleapis.com/auth/gmail.imap_admin"}
"""Scopes that let a client in (https://developers.google.com/gmail/imap/xoauth2-protocol). The server's refusal does not tell them apart."""


class AccountCredentials:
    """The :class:`~aiogmail.ports.CredentialSource` of one account.

    Args:
        address: whose.
        credentials: what the tokens are made from.
        tokens: the cache.
        mechanism: how a token is presented: ``"XOAUTH2"`` or ``"OAUTHBEARER"``. An app password goes by PLAIN.
    """

    def __init__(self, address: str, credentials: Credentials, tokens: TokenCache, mechanism: str) -> None:
        self._address = address
        self._credentials = credentials
        self._tokens = tokens
        self._mechanism = mechanism
        self._refused = False

    async def get(self, min_ttl: float) -> Credential:
        """See :meth:`aiogmail.ports.CredentialSource.get`.

        Raises:
            AccessDenied: a token was refused, and is of no scope that lets a client in.
        """
        if isinstance(self._credentials, AppPassword):
            return Credential("PLAIN", self._credentials.password)
        token = await self._tokens.get(self._address, self._credentials, min_ttl)
        if self._refused and token.scopes and not _MAIL & set(token.scopes):
            raise AccessDenied(
                f"{self._address}: the server refused the access token, which is for {' '.join(token.scopes)} alone: "
                "ask consent for the scope https://mail.google.com/"
            )
        return Credential(self._mechanism, token.access_token, token.deadline)

    def refused(self, credential: Credential) -> None:
        """See :meth:`aiogmail.ports.CredentialSource.refused`."""
        self._refused = True
        if credential.mechanism != "PLAIN":
            with contextlib.suppress(StateError):  # closed meanwhile: it hands out no token any more, and the refusal is the news
                self._tokens.invalidate(self._address, credential.secret)
