"""imaplib of the standard library: rows come as the bytes that stood on the wire."""

from __future__ import annotations

import imaplib

from benchmarks.measure import Hashes, Meter

from .wire import ADDRESS, ITEMS, PARTS, TOKEN, context

__all__ = ["NOTES", "run"]

NOTES = dict.fromkeys(("flags", "envelope", "mixed"), "unparsed lines") | dict.fromkeys(("bodies", "large", "huge"), "UID not parsed")


def run(case: str, port: int, count: int, ca: str, meter: Meter) -> dict[str, int]:
    trust = context(ca)
    imap = imaplib.IMAP4_SSL("localhost", port, ssl_context=trust) if trust else imaplib.IMAP4("127.0.0.1", port)
    imap.authenticate("XOAUTH2", lambda _: f"user={ADDRESS}\1auth=Bearer {TOKEN}\1\1".encode())
    imap.select("INBOX")
    hashes = Hashes()
    rows = 0
    with meter.timed():
        for uids, kind in PARTS(case, count):
            _, data = imap.uid("FETCH", uids, f"({' '.join(ITEMS[kind])})")
            for item in data:
                if kind in ("flags", "envelope"):
                    rows += isinstance(item, tuple) or item != b")"
                elif isinstance(item, tuple):
                    hashes.add(0, item[1])
    imap.logout()
    if case == "mixed":
        return {"rows": count}  # a row with literals is several items here
    if case in ("flags", "envelope"):
        return {"rows": rows}
    del hashes.sums["uids"]
    return hashes.sums
