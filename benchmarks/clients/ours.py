"""aiogmail, by its public face."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from aiogmail import Gmail, TokenProvider
from aiogmail.settings import Endpoint, Settings
from benchmarks.measure import Hashes, Meter

from .wire import ADDRESS, PARTS, TOKEN, context

__all__ = ["NOTES", "run"]

NOTES: dict[str, str] = {}


async def _token() -> tuple[str, datetime]:
    return TOKEN, datetime.now(UTC) + timedelta(hours=1)


def run(case: str, port: int, count: int, ca: str, meter: Meter) -> dict[str, int]:
    trust = context(ca)
    endpoint = Endpoint("localhost", port, ssl_context=trust) if trust else Endpoint("127.0.0.1", port, security="plaintext")
    return asyncio.run(_run(case, count, Settings(imap=endpoint), meter))


async def _run(case: str, count: int, settings: Settings, meter: Meter) -> dict[str, int]:
    sums: dict[str, int] = {}
    async with Gmail(ADDRESS, TokenProvider(_token), settings=settings) as gmail, gmail.mailbox("INBOX") as inbox, meter.timed_loop():
        for uids, kind in PARTS(case, count):
            for name, value in (await _READERS[kind](inbox, uids)).items():
                sums[name] = sums.get(name, 0) + value
    return sums


async def _flags(inbox: Any, uids: str) -> dict[str, int]:
    rows = total = flags = ids = modseqs = 0
    async for message in inbox.fetch(uids, "flags", "gmail_id", "thread_id", "modseq"):
        rows += 1
        total += message.uid
        flags += len(message.flags)
        ids += message.gmail_id + message.thread_id
        modseqs += message.modseq
    return {"rows": rows, "uids": total, "flags": flags, "ids": ids, "modseqs": modseqs}


async def _envelope(inbox: Any, uids: str) -> dict[str, int]:
    rows = total = flags = labels = sizes = dates = subjects = senders = 0
    async for message in inbox.fetch(uids, "flags", "labels", "size", "internal_date", "envelope"):
        rows += 1
        total += message.uid
        flags += len(message.flags)
        labels += len(message.labels)
        sizes += message.size
        dates += message.internal_date.minute
        envelope = message.envelope
        subjects += len(envelope.subject)
        sender = envelope.from_[0]
        senders += len(sender.name) + len(sender.address)
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


async def _bodies(inbox: Any, uids: str) -> dict[str, int]:
    hashes = Hashes()
    async for message in inbox.fetch(uids, "raw"):
        hashes.add(message.uid, message.raw)
    return hashes.sums


async def _huge(inbox: Any, uids: str) -> dict[str, int]:
    hashes = Hashes()
    for uid in await inbox.search():
        sha1, size = hashlib.sha1(), 0
        async with inbox.download(uid) as chunks:
            async for chunk in chunks:
                sha1.update(chunk)
                size += len(chunk)
        hashes.add_hash(uid, sha1, size)
    return hashes.sums


_READERS = {"flags": _flags, "envelope": _envelope, "bodies": _bodies, "large": _bodies, "huge": _huge}
