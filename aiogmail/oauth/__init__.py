"""Tokens: credentials in, access tokens that are valid now out."""

from .address import check_address
from .cache import TokenCache
from .credentials import (
    MAIL_SCOPE,
    AppPassword,
    Credentials,
    GoogleAuthCredentials,
    ServiceAccountCredentials,
    TokenProvider,
    UserCredentials,
)
from .login import OAuthClient, login, revoke
from .stores import (
    Cipher,
    FileTokenStore,
    KeyringTokenStore,
    MemoryTokenStore,
    RedisTokenStore,
    StoredToken,
    StoreUnavailable,
    TokenStore,
)
from .token import Token

__all__ = [
    "MAIL_SCOPE",
    "AppPassword",
    "Cipher",
    "Credentials",
    "FileTokenStore",
    "GoogleAuthCredentials",
    "KeyringTokenStore",
    "MemoryTokenStore",
    "OAuthClient",
    "RedisTokenStore",
    "ServiceAccountCredentials",
    "StoreUnavailable",
    "StoredToken",
    "Token",
    "TokenCache",
    "TokenProvider",
    "TokenStore",
    "UserCredentials",
    "check_address",
    "login",
    "revoke",
]
