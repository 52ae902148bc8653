"""The account: where the wings meet."""

from __future__ import annotations

from .account import Gmail
from .pop import Pop3Client
from .single import ImapClient

__all__ = ["Gmail", "ImapClient", "Pop3Client"]
