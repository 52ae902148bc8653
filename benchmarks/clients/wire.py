"""What the clients ask for: the same items for all, in wire form."""

from __future__ import annotations

import ssl

__all__ = ["ADDRESS", "ITEMS", "PARTS", "TOKEN", "context"]

ADDRESS = "me@gmail.com"
TOKEN = "ya29.benchmark-token"

ITEMS = {
    "flags": ("X-GM-THRID", "X-GM-MSGID", "UID", "MODSEQ", "FLAGS"),
    "envelope": ("X-GM-LABELS", "UID", "RFC822.SIZE", "INTERNALDATE", "FLAGS", "ENVELOPE"),
    "bodies": ("UID", "BODY.PEEK[]"),
    "large": ("UID", "BODY.PEEK[]"),
    "huge": ("UID", "BODY.PEEK[]"),
}


def PARTS(case: str, count: int) -> list[tuple[str, str]]:  # noqa: N802 - a table, if only it knew the count
    """The fetches of a case, as (UIDs, which items): ``mixed`` holds rows of ``flags``, then rows of ``envelope``."""
    if case == "mixed":
        return [(f"1:{count // 2}", "flags"), (f"{count // 2 + 1}:{count}", "envelope")]
    return [(f"1:{count}", case)]


def context(ca: str) -> ssl.SSLContext | None:
    """What trusts the replay server; ``None``: it speaks plain text."""
    return ssl.create_default_context(cafile=ca) if ca else None
