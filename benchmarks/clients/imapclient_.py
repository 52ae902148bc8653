"""IMAPClient: a dictionary of all rows."""

from __future__ import annotations

from email.header import decode_header, make_header
from typing import Any

from imapclient import IMAPClient

from benchmarks.measure import Hashes, Meter

from .wire import ADDRESS, ITEMS, PARTS, TOKEN, context

__all__ = ["NOTES", "run"]

NOTES: dict[str, str] = {}


def run(case: str, port: int, count: int, ca: str, meter: Meter) -> dict[str, int]:
    trust = context(ca)
    client = IMAPClient("localhost", port, ssl_context=trust) if trust else IMAPClient("127.0.0.1", port, ssl=False)
    client.normalise_times = False  # aware dates
    client.oauth2_login(ADDRESS, TOKEN)
    client.select_folder("INBOX")
    sums: dict[str, int] = {}
    hashes = Hashes()
    with meter.timed():
        for uids, kind in PARTS(case, count):
            first, _, last = uids.partition(":")
            rows = client.fetch(range(int(first), int(last) + 1), [item for item in ITEMS[kind] if item != "UID"])
            if kind in ("flags", "envelope"):
                for name, value in (_flags if kind == "flags" else _envelope)(rows).items():
                    sums[name] = sums.get(name, 0) + value
            else:
                for uid, row in rows.items():
                    hashes.add(uid, row[b"BODY[]"])
    client.logout()
    return sums or hashes.sums


def _flags(messages: dict[int, dict[bytes, Any]]) -> dict[str, int]:
    rows = total = flags = ids = modseqs = 0
    for uid, row in messages.items():
        rows += 1
        total += uid
        flags += len(row[b"FLAGS"])
        ids += row[b"X-GM-MSGID"] + row[b"X-GM-THRID"]
        modseqs += row[b"MODSEQ"][0]
    return {"rows": rows, "uids": total, "flags": flags, "ids": ids, "modseqs": modseqs}


def _envelope(messages: dict[int, dict[bytes, Any]]) -> dict[str, int]:
    rows = total = flags = labels = sizes = dates = subjects = senders = 0
    for uid, row in messages.items():
        rows += 1
        total += uid
        flags += len(row[b"FLAGS"])
        labels += len(row[b"X-GM-LABELS"])
        sizes += row[b"RFC822.SIZE"]
        dates += row[b"INTERNALDATE"].minute
        envelope = row[b"ENVELOPE"]
        subjects += len(_decoded(envelope.subject))
        sender = envelope.from_[0]
        senders += len(_decoded(sender.name)) + len(f"{sender.mailbox.decode()}@{sender.host.decode()}")
    return {
        "rows": rows,
        "uids": total,
        "flags": flags,
        "labels": labels,
        "sizes": sizes,
        "dates": dates,
        "subjects": subjects,
        "senders": senders,
    }


def _decoded(text: bytes | None) -> str:
    if not text:
        return ""
    return str(make_header(decode_header(text.decode()))) if b"=?" in text else text.decode()
