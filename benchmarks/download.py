"""One large attachment at 40 ms round trip: how long until it is decoded and there?

The emulator and a proxy that delays every byte by half a round trip are one process; each client is another.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from . import imapflow
from .measure import Meter
from .runner import Plan, Row

__all__ = ["CASE", "measure"]

CASE = "download"

SIZE, QUICK = 25_000_000, 5_000_000
ROUND_TRIP = 0.040
SCRIPT = Path(__file__).parent / "clients" / "download.mjs"
ADDRESS = "me@gmail.com"


def measure(plan: Plan) -> list[Row]:
    """Rows ``download`` of aiogmail and imapflow, in turn."""
    rows = [Row("download", client) for client in ("aiogmail", "imapflow") if not plan.clients or client in plan.clients]
    with _server(QUICK if plan.quick else SIZE) as told:
        for number in range(min(plan.rounds, 3)):
            for row in rows:
                if not (number and not row.all_seconds):  # it failed or was left out
                    _once(row, told, plan)
    for row in rows:
        if row.all_seconds:
            row.seconds, row.runs = round(statistics.median(row.all_seconds), 4), len(row.all_seconds)
            row.spread = round(max(row.all_seconds) - min(row.all_seconds), 4)
            row.ok = row.ok is not False
    return rows


@contextlib.contextmanager
def _server(size: int) -> Iterator[dict[str, Any]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.download", "serve", str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.communicate()  # closes its input, upon which it ends


def _once(row: Row, told: dict[str, Any], plan: Plan) -> None:
    command = [sys.executable, "-m", "benchmarks.download", "run"]
    if row.client == "imapflow":
        try:
            command = ["node", str(SCRIPT), str(imapflow.folder())]
        except imapflow.Unavailable as reason:
            row.note = f"left out: {reason}"
            return
    try:
        arguments = [*command, str(told["port"]), told["token"]]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=max(plan.limit, 60.0), check=False)
        result = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
        row.ok, row.note = False, f"failed: {type(error).__name__}"
        return
    if result["digest"] != told["digest"]:
        row.ok, row.note = False, "wrong octets"
        return
    row.all_seconds.append(round(result["seconds"], 4))
    row.version, row.note = result["version"], result["note"]
    row.peak_rss_mib, row.stall_ms = result["peak_rss_mib"], result["stall_ms"]


# -- the server ------------------------------------------------------------------------------------------------------------


async def _serve(size: int) -> None:
    from aiogmail.testing import FaultProxy, GmailEmulator, Shape

    content = random.Random(1).randbytes(size)
    letter = EmailMessage()
    letter["Subject"] = "large"
    letter.set_content("see attachment\n")
    letter.add_attachment(content, maintype="application", subtype="octet-stream", filename="large.bin")
    delay = Shape(latency=ROUND_TRIP / 2)
    async with GmailEmulator(tls=False) as server, FaultProxy(("127.0.0.1", server.port("imap")), requests=delay, replies=delay) as proxy:
        account = server.add_account(ADDRESS)
        account.deliver(letter)
        told = {"port": proxy.port, "token": account.access_token(), "digest": hashlib.sha1(content).hexdigest()}
        print(json.dumps(told), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


# -- aiogmail --------------------------------------------------------------------------------------------------------------


async def _run(port: int, token: str, meter: Meter) -> dict[str, Any]:
    from aiogmail import Endpoint, Gmail, Settings, TokenProvider, __version__

    async def fetch() -> tuple[str, datetime]:
        return token, datetime.now(UTC) + timedelta(hours=1)

    settings = replace(Settings(), imap=Endpoint("127.0.0.1", port, security="plaintext"))
    sha1 = hashlib.sha1()
    async with (
        Gmail(ADDRESS, TokenProvider(fetch), settings=settings) as gmail,
        gmail.mailbox("INBOX") as inbox,
        meter.timed_loop(),
        inbox.download(1, "2") as chunks,
    ):
        async for chunk in chunks:
            sha1.update(chunk)
    return {
        "seconds": meter.seconds,
        "digest": sha1.hexdigest(),
        "peak_rss_mib": meter.peak_mib(),
        "stall_ms": meter.stall_ms,
        "note": "windows of 2 MiB, two on the way",
        "version": __version__,
    }


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(_serve(int(sys.argv[2])))
    else:
        import aiogmail  # noqa: F401  before memory counts

        print(json.dumps(asyncio.run(_run(int(sys.argv[2]), sys.argv[3], Meter()))))
