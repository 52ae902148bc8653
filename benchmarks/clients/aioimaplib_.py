"""aioimaplib: lists of lines, unparsed."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import aioimaplib

from benchmarks.measure import Hashes, Meter

from .wire import ADDRESS, ITEMS, PARTS, TOKEN, context

__all__ = ["NOTES", "run"]

NOTES = dict.fromkeys(("flags", "envelope", "mixed"), "unparsed lines") | dict.fromkeys(("bodies", "large", "huge"), "UID not parsed")


def run(case: str, port: int, count: int, ca: str, meter: Meter) -> dict[str, int]:
    return asyncio.run(_run(case, port, count, ca, meter))


async def _run(case: str, port: int, count: int, ca: str, meter: Meter) -> dict[str, int]:
    asyncio.get_running_loop().set_exception_handler(_fatal)  # its callers would wait for ever
    trust = context(ca)
    if trust is not None:
        imap = aioimaplib.IMAP4_SSL("localhost", port, timeout=600, ssl_context=trust)
    else:
        imap = aioimaplib.IMAP4("127.0.0.1", port, timeout=600)
    await imap.wait_hello_from_server()
    await imap.xoauth2(ADDRESS, TOKEN)
    await imap.select("INBOX")
    hashes = Hashes()
    rows = 0
    async with meter.timed_loop():
        for uids, kind in PARTS(case, count):
            response = await imap.uid("fetch", uids, f"({' '.join(ITEMS[kind])})")
            for line in response.lines:
                if isinstance(line, bytearray):
                    hashes.add(0, line)
                elif b" FETCH " in line:
                    rows += 1
    await imap.logout()
    if kind in ("flags", "envelope"):
        return {"rows": rows}
    del hashes.sums["uids"]
    return hashes.sums


def _fatal(_: asyncio.AbstractEventLoop, happening: dict[str, Any]) -> None:
    print(f"{happening['message'].splitlines()[0]} {type(happening.get('exception')).__name__}", file=sys.stderr, flush=True)
    os._exit(1)
