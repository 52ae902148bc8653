"""How is something changed so that it is done once, whatever becomes of the connection? One family of changes a file."""

from __future__ import annotations

from .append import Appending
from .arguments import check_date, check_flags, message_octets
from .bulk import Bulk, Change
from .expunge import Expunge
from .place import Place
from .result import ChangeResult
from .store import FLAGS, LABELS, Store
from .transfer import Transfer

__all__ = [
    "FLAGS",
    "LABELS",
    "Appending",
    "Bulk",
    "Change",
    "ChangeResult",
    "Expunge",
    "Place",
    "Store",
    "Transfer",
    "check_date",
    "check_flags",
    "message_octets",
]
