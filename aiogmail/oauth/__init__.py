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
from .stores import Cipher, MemoryTokenStore, StoredToken, StoreUnavailable, TokenStore
from .token import Token

__all__ = [
    "MAIL_SCOPE",
    "AppPassword",
    "Cipher",
    "Credentials",
    "GoogleAuthCredentials",
    "MemoryTokenStore",
    "ServiceAccountCredentials",
    "StoreUnavailable",
    "StoredToken",
    "Token",
    "TokenCache",
    "TokenProvider",
    "TokenStore",
    "UserCredentials",
    "check_address",
]
