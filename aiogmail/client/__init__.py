"""The account: where the wings meet."""

from __future__ import annotations

from .account import Gmail

__all__ = ["Gmail"]
