"""Where tokens are kept between processes and between their lives."""

from .base import Cipher, StoredToken, StoreUnavailable, TokenStore
from .file import FileTokenStore
from .keyring import KeyringTokenStore
from .memory import MemoryTokenStore
from .redis import RedisTokenStore

__all__ = [
    "Cipher",
    "FileTokenStore",
    "KeyringTokenStore",
    "MemoryTokenStore",
    "RedisTokenStore",
    "StoreUnavailable",
    "StoredToken",
    "TokenStore",
]
