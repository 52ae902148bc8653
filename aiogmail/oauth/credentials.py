"""By what right may an account be opened? Five kinds of credentials, frozen, and Google's own file formats.

Nothing here does more I/O than reading the one file that it was named.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeAlias

from aiogmail.errors import ConfigurationError
from aiogmail.secret import Secret

from .address import check_address
from .values import MAIL_SCOPE, check_endpoint, check_scopes, check_secret, check_text, member, read_json_file

__all__ = [
    "GOOGLE_AUTH_URI",
    "GOOGLE_TOKEN_URI",
    "MAIL_SCOPE",
    "AppPassword",
    "Credentials",
    "GoogleAuthCredentials",
    "ServiceAccountCredentials",
    "TokenProvider",
    "UserCredentials",
    "identity_of",
    "key_of",
]

GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - no password
GOOGLE_AUTH_URI = "https://accounts.google.com/o/oauth2/v2/auth"


@dataclass(frozen=True, slots=True, init=False)
class UserCredentials:
    """A person's consent: a refresh token and the OAuth client it was issued to.

    Args:
        client_id, client_secret: of the OAuth client; a client without a secret gives ``None``.
        refresh_token: as issued. Where a server rotates it, the cache keeps its successors.
        token_uri: where refresh tokens are exchanged; https, or http to a loopback address.
        scopes: what is asked for at each refresh; must be covered by the consent.

    Raises:
        ConfigurationError: a value that is none of these.
    """

    client_id: str
    client_secret: Secret | None
    refresh_token: Secret
    token_uri: str
    scopes: tuple[str, ...]

    def __init__(
        self,
        client_id: str,
        client_secret: str | Secret | None,
        refresh_token: str | Secret,
        *,
        token_uri: str = GOOGLE_TOKEN_URI,
        scopes: str | Iterable[str] = (MAIL_SCOPE,),
    ) -> None:
        put = object.__setattr__
        put(self, "client_id", check_text("client_id", client_id))
        put(self, "client_secret", check_secret("client_secret", client_secret) if client_secret is not None else None)
        put(self, "refresh_token", check_secret("refresh_token", refresh_token))
        put(self, "token_uri", check_endpoint("token_uri", token_uri))
        put(self, "scopes", check_scopes(scopes))

    @classmethod
    def from_authorized_user_info(cls, info: Mapping[str, Any]) -> UserCredentials:
        """From the content of Google's ``authorized_user`` file: of ``aiogmail login``, google-auth's ``to_json()`` or gcloud.

        Raises:
            ConfigurationError: a member is missing or is not what it should be.
        """
        return cls._from("info", info)

    @classmethod
    def from_authorized_user_file(cls, path: str | os.PathLike[str]) -> UserCredentials:
        """From such a file. It is read once, at this call.

        Raises:
            ConfigurationError: it cannot be read, is not JSON, or a member is missing; names ``path`` and the file.
        """
        return cls._from(f"path {str(path)!r}", read_json_file("path", path))

    @classmethod
    def _from(cls, argument: str, info: Mapping[str, Any]) -> UserCredentials:
        client_id, refresh_token = member(argument, info, "client_id"), member(argument, info, "refresh_token")
        return cls(
            client_id,
            info.get("client_secret") or None,
            refresh_token,
            token_uri=info.get("token_uri") or GOOGLE_TOKEN_URI,
            scopes=info.get("scopes") or info.get("scope") or (MAIL_SCOPE,),
        )

    def to_authorized_user_info(self) -> dict[str, Any]:
        """The content of Google's ``authorized_user`` file, **with the secrets in it**."""
        return {
            "type": "authorized_user",
            "client_id": self.client_id,
            "client_secret": self.client_secret.reveal() if self.client_secret is not None else "",
            "refresh_token": self.refresh_token.reveal(),
            "token_uri": self.token_uri,
            "scopes": list(self.scopes),
        }

    def to_authorized_user_file(self, path: str | os.PathLike[str]) -> None:
        """Write such a file, whole or not at all, readable by its owner only (mode 0600).

        Raises:
            ConfigurationError: it cannot be written; names ``path`` and the file.
        """
        from .stores.file import write_private

        try:
            write_private(Path(path), json.dumps(self.to_authorized_user_info(), indent=1).encode(), f".{token_hex(8)}")
        except OSError as error:
            raise ConfigurationError(f"path: cannot write {str(path)!r}: {error}") from None


@dataclass(frozen=True, slots=True, init=False)
class ServiceAccountCredentials:
    """A service account with domain-wide delegation: it signs for itself and acts as ``subject``.

    Args:
        client_email: the service account's own address.
        private_key: its RSA key in PEM form.
        private_key_id: the key's id, ``""`` if unknown.
        subject: the mailbox to act for; ``None``: the address that the client is opened for.
        token_uri: where the signed assertion is exchanged.
        scopes: what is asked for; the domain's administrator must have granted exactly these to the client id.

    Raises:
        ConfigurationError: a value that is none of these.
    """

    client_email: str
    private_key: Secret
    private_key_id: str
    subject: str | None
    token_uri: str
    scopes: tuple[str, ...]

    def __init__(
        self,
        client_email: str,
        private_key: str | Secret,
        *,
        private_key_id: str = "",
        subject: str | None = None,
        token_uri: str = GOOGLE_TOKEN_URI,
        scopes: str | Iterable[str] = (MAIL_SCOPE,),
    ) -> None:
        key = private_key if isinstance(private_key, Secret) else Secret(private_key if isinstance(private_key, str) else "")
        if "PRIVATE KEY-----" not in key.reveal():
            raise ConfigurationError("private_key: expected a private key in PEM form")
        put = object.__setattr__
        put(self, "client_email", check_text("client_email", client_email))
        put(self, "private_key", key)
        put(self, "private_key_id", check_text("private_key_id", private_key_id) if private_key_id else "")
        put(self, "subject", None if subject is None else check_address(subject))
        put(self, "token_uri", check_endpoint("token_uri", token_uri))
        put(self, "scopes", check_scopes(scopes))

    @classmethod
    def from_service_account_info(
        cls, info: Mapping[str, Any], *, subject: str | None = None, scopes: str | Iterable[str] = (MAIL_SCOPE,)
    ) -> ServiceAccountCredentials:
        """From the content of the key file that the Google Cloud console makes.

        Raises:
            ConfigurationError: a member is missing or is not what it should be.
        """
        return cls._from("info", info, subject, scopes)

    @classmethod
    def from_service_account_file(
        cls, path: str | os.PathLike[str], *, subject: str | None = None, scopes: str | Iterable[str] = (MAIL_SCOPE,)
    ) -> ServiceAccountCredentials:
        """From such a file. It is read once, at this call.

        Raises:
            ConfigurationError: it cannot be read, is not JSON, or a member is missing; names ``path`` and the file.
        """
        return cls._from(f"path {str(path)!r}", read_json_file("path", path), subject, scopes)

    @classmethod
    def _from(cls, argument: str, info: Mapping[str, Any], subject: str | None, scopes: str | Iterable[str]) -> ServiceAccountCredentials:
        client_email, private_key = member(argument, info, "client_email"), member(argument, info, "private_key")
        return cls(
            client_email,
            private_key,
            private_key_id=info.get("private_key_id") or "",
            subject=subject,
            token_uri=info.get("token_uri") or GOOGLE_TOKEN_URI,
            scopes=scopes,
        )


@dataclass(frozen=True, slots=True)
class TokenProvider:
    """Tokens made elsewhere.

    Args:
        fetch: ``async fetch() -> (token, expires_at)``: a new access token each time, and when it dies, as an aware datetime.
            It is called by one task at a time, ahead of expiry; it may raise an error of :mod:`aiogmail.errors` to say what
            is wrong, any other counts as :class:`~aiogmail.errors.TokenEndpointError`.
    """

    fetch: Callable[[], Awaitable[tuple[str | Secret, datetime]]] = field(repr=False)  # a partial would show its arguments

    def __post_init__(self) -> None:
        if not callable(self.fetch):
            raise ConfigurationError(f"fetch: expected an async function, got {type(self.fetch).__name__}")


@dataclass(frozen=True, slots=True, init=False)
class AppPassword:
    """An app password (https://support.google.com/accounts/answer/185833): no token, SASL PLAIN over TLS.

    Args:
        password: as Google shows it; the blanks between its groups of letters are dropped.

    Raises:
        ConfigurationError: empty, or with control characters.
    """

    password: Secret

    def __init__(self, password: str | Secret) -> None:
        text = password.reveal() if isinstance(password, Secret) else password
        if not isinstance(text, str) or not text.strip() or not text.isprintable():
            raise ConfigurationError("password: expected an app password of printable characters")
        # Google shows 16 letters in four groups, and takes them with or without the blanks.
        letters = "".join(text.split())
        object.__setattr__(self, "password", Secret(letters if len(letters) == 16 and letters.isalpha() else text))


@dataclass(frozen=True, slots=True)
class GoogleAuthCredentials:
    """A ``Credentials`` object of google-auth, refreshed in the event loop's default executor.

    Args:
        credentials: the object; nobody else should refresh it meanwhile.
        request: google-auth's transport, such as ``google.auth.transport.requests.Request()``; ``None`` makes one of those,
            which looks at no proxy of the environment, follows no redirect, and sends to https or a loopback address only.
    """

    credentials: Any = field(repr=False)
    request: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not callable(getattr(self.credentials, "refresh", None)):
            raise ConfigurationError(f"credentials: expected google-auth credentials, got {type(self.credentials).__name__}")


Credentials: TypeAlias = UserCredentials | ServiceAccountCredentials | TokenProvider | AppPassword | GoogleAuthCredentials


def identity_of(address: str, credentials: Credentials) -> tuple[Hashable, ...]:
    """What one cached token stands for: address, client, scopes and token endpoint. No secret is part of it.

    The endpoint belongs to it because what is stored under an identity is sent there: a token file from elsewhere that names
    the same client must not have our refresh token sent to its own endpoint.

    Raises:
        ConfigurationError: ``credentials`` is of no kind that gives tokens.
    """
    who = address.lower()
    match credentials:
        case UserCredentials(client_id=client, scopes=scopes):
            return ("user", who, client, " ".join(sorted(scopes)), *_elsewhere(credentials.token_uri))
        case ServiceAccountCredentials(client_email=client, scopes=scopes, subject=subject):
            return ("service", who, client, subject or "", " ".join(sorted(scopes)), *_elsewhere(credentials.token_uri))
        case TokenProvider(fetch=fetch):
            return ("provider", who, fetch)
        case GoogleAuthCredentials(credentials=inner):
            return ("google-auth", who, id(inner))
        case AppPassword():
            raise ConfigurationError("credentials: an app password needs no token; give it to the client itself")
        case _:
            raise ConfigurationError(
                f"credentials: expected UserCredentials or another kind of aiogmail's, got {type(credentials).__name__}"
            )


def key_of(identity: tuple[Hashable, ...]) -> str:
    """What names an identity in a store: kind, address, client, scopes, endpoint if it is not Google's. Nothing secret."""
    return " ".join(str(part) for part in identity)


def _elsewhere(token_uri: str) -> tuple[str, ...]:
    """Google's endpoint goes without saying. The blank makes two of them in a store's key, where scopes have one between them."""
    return () if token_uri == GOOGLE_TOKEN_URI else (f" {token_uri}",)
