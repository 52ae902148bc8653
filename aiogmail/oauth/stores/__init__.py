"""Where tokens are kept between processes and between their lives."""

from .base import Cipher, StoredToken, StoreUnavailable, TokenStore
from .memory import MemoryTokenStore

__all__ = ["Cipher", "MemoryTokenStore", "StoreUnavailable", "StoredToken", "TokenStore"]
