"""How fast does mail go out, 40 ms away from the server? 1,000 small messages over two connections, and one of 25 MB.

A server in a process of its own holds back every byte for 20 ms each way and answers at once: what is measured is how many round trips a
message costs. Clients take turns, each run a process of its own, with both connections open and used before the time begins. As a module it
is the server, or one client: ``python -m benchmarks.send serve`` · ``python -m benchmarks.send CLIENT COUNT PORT``.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from . import imapflow
from .measure import Meter
from .report import Target
from .runner import Plan, Row

__all__ = ["CASE", "CLIENTS", "measure", "targets"]

CASE = "send"
COUNT, QUICK = 1_000, 60
CLIENTS = ("aiogmail", "aiogmail DATA", "aiosmtplib", "nodemailer")
LARGE = ("aiogmail", "aiogmail DATA", "aiosmtplib")
TRIP = 0.04
SMALL = b"From: me@gmail.com\r\nTo: you@example.org\r\nMessage-ID: <b@example.org>\r\nSubject: small\r\n\r\n" + b"A line of text.\r\n" * 60
BIG = 25 * 1024 * 1024
_AGAINST = {"aiosmtplib": 3.0, "nodemailer": 1.8}
_STALL_MS, _MIB = 20.0, 4.0
_SCRIPT = Path(__file__).parent / "clients" / "nodemailer.mjs"
_ME, _YOU = "me@gmail.com", "you@example.org"


# -- the measuring side ----------------------------------------------------------------------------------------------------


def measure(plan: Plan) -> list[Row]:
    """A row a client and kind of message. Time is nearly all waiting: two rounds say it."""
    count, rounds = (QUICK, 1) if plan.quick else (COUNT, min(plan.rounds, 2))
    chosen = [client for client in CLIENTS if not plan.clients or client in plan.clients]
    rows = [Row("send", client) for client in chosen]
    rows += [Row("send:large", client) for client in LARGE if client in chosen]
    found: dict[int, list[dict[str, Any]]] = {id(row): [] for row in rows}
    with tempfile.TemporaryDirectory() as folder, _serving() as server:
        for row in [row for _ in range(rounds) for row in rows]:
            if row.ok is not False and not row.note.startswith("left out"):
                result = _once(row, 1 if row.case == "send:large" else count, server, Path(folder), plan)
                found[id(row)] += [result] if result else []
    for row in rows:
        _sum_up(row, found[id(row)], count)
    return rows


def targets(rows: list[Row]) -> list[Target]:
    """Three times as fast as aiosmtplib on as many connections, 1.8 times as nodemailer's pool; a large message is felt by nobody."""
    by_name = {(row.case, row.client): row for row in rows if row.seconds and row.ok}
    found = []
    ours = by_name.get(("send", "aiogmail"))
    for other, factor in _AGAINST.items():
        theirs = by_name.get(("send", other))
        if ours and theirs and ours.seconds and theirs.seconds:
            found.append(Target(f"send: time ÷ {other}'s", round(ours.seconds / theirs.seconds, 3), round(1 / factor, 3)))
    large = by_name.get(("send:large", "aiogmail"))
    if large and large.stall_ms is not None and large.peak_rss_mib is not None:
        found.append(Target("send:large: worst stall of the loop, ms", large.stall_ms, _STALL_MS))
        found.append(Target("send:large: MiB above the message", large.peak_rss_mib, _MIB))
    return found


def _sum_up(row: Row, results: list[dict[str, Any]], count: int) -> None:
    if not results:
        return
    row.all_seconds = [round(result["seconds"], 4) for result in results]
    row.seconds, row.runs = round(statistics.median(row.all_seconds), 4), len(results)
    row.spread = round(max(row.all_seconds) - min(row.all_seconds), 4)
    row.version, row.ok = results[-1]["version"], True
    for name in ("peak_rss_mib", "stall_ms"):
        values = [result[name] for result in results if result[name] is not None]
        if values:
            setattr(row, name, max(values))
    if row.case == "send":
        row.note = f"{row.seconds / count * 1000:.1f} ms a message, {row.seconds / count * 2 / TRIP:.2f} round trips on its connection"
    else:
        row.note = "25 MB, memory above the message"


def _once(row: Row, count: int, server: _Server, folder: Path, plan: Plan) -> dict[str, Any] | None:
    limit = max(plan.limit, 20.0 + count * TRIP * 6)
    large = row.case == "send:large"
    try:
        done = subprocess.run(
            [*_command(row.client, folder, large), *_arguments(row.client, count, server, folder)],
            capture_output=True,
            text=True,
            timeout=limit,
            check=True,
        )
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except imapflow.Unavailable as reason:
        row.note = f"left out: {reason}"
        return None
    except subprocess.TimeoutExpired:
        row.ok, row.note = False, f"not done within {limit:g} s"
        return None
    except (subprocess.CalledProcessError, ValueError, IndexError) as error:
        row.ok, row.note = False, f"failed: {str(getattr(error, 'stderr', '') or error).strip().splitlines()[-1][:160]}"
        return None
    taken = server.taken()
    if taken != count + (0 if large else 2):
        row.ok, row.note = False, f"the server took {taken} messages instead of {count}"
        return None
    return result


def _command(client: str, folder: Path, large: bool) -> list[str]:
    if client == "nodemailer":
        (folder / "message.eml").write_bytes(SMALL)
        return ["node", str(_SCRIPT), str(_nodemailer())]
    return [sys.executable, "-m", "benchmarks.send", client + (" large" if large else "")]


def _arguments(client: str, count: int, server: _Server, folder: Path) -> list[str]:
    port = server.ports["DATA" if client.endswith("DATA") else "BDAT"]
    return [str(count), str(port), *([str(folder / "message.eml")] if client == "nodemailer" else [])]


def _nodemailer() -> Path:
    """The folder whose ``node_modules`` holds nodemailer.

    Raises:
        Unavailable: it cannot be had.
    """
    folder = imapflow.folder()
    if not (folder / "node_modules" / "nodemailer").is_dir():
        command = ["npm", "install", "--no-audit", "--no-fund", "nodemailer@7"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode:
            raise imapflow.Unavailable(f"npm could not install it: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return folder


class _Server:
    """The server's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.ports: dict[str, int] = json.loads(process.stdout.readline())

    def taken(self) -> int:
        """How many messages it took since this was last asked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextlib.contextmanager
def _serving() -> Iterator[_Server]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.send", "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield _Server(process)
    finally:
        process.communicate()  # closes its input, upon which it ends


# -- the server ------------------------------------------------------------------------------------------------------------


class _Smtp(asyncio.Protocol):
    """Takes whatever it is sent, half a round trip late, and says so half a round trip later."""

    def __init__(self, chunking: bool, took: list[int]) -> None:
        self._ehlo = b"250-replay\r\n250-SIZE 99999999\r\n250-8BITMIME\r\n250-AUTH XOAUTH2\r\n250-PIPELINING\r\n"
        self._ehlo += b"250-CHUNKING\r\n250 SMTPUTF8\r\n" if chunking else b"250 SMTPUTF8\r\n"
        self._took = took
        self._late: deque[tuple[float, bytes, bool]] = deque()
        self._buffer = bytearray()
        self._in_data = False
        self._chunk = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._later(b"220 replay ready\r\n", out=True)

    def data_received(self, data: bytes) -> None:
        if self._chunk > len(data) or (self._in_data and len(data) > 16 * 1024 and not data.endswith(b".\r\n")):
            # The inside of a large message: there is nothing to hold back.
            self._take(data)
        else:
            self._later(data, out=False)

    def _later(self, data: bytes, out: bool) -> None:
        self._late.append((self._loop.time() + TRIP / 2, data, out))
        if len(self._late) == 1:
            self._loop.call_later(TRIP / 2, self._due)

    def _due(self) -> None:
        now = self._loop.time() + 1e-4
        while self._late and self._late[0][0] <= now:
            _, data, out = self._late.popleft()
            if out:
                self._transport.write(data)
            else:
                self._take(data)
        if self._late:
            self._loop.call_later(max(0.0, self._late[0][0] - self._loop.time()), self._due)

    def _take(self, data: bytes) -> None:
        self._buffer += data
        while self._buffer:
            if self._chunk:
                size = min(self._chunk, len(self._buffer))
                del self._buffer[:size]
                self._chunk -= size
                if not self._chunk:
                    self._accept()
            elif self._in_data:
                end = self._buffer.find(b"\r\n.\r\n")
                if end < 0:
                    del self._buffer[:-4]
                    return
                del self._buffer[: end + 5]
                self._in_data = False
                self._accept()
            else:
                end = self._buffer.find(b"\r\n")
                if end < 0:
                    return
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 2]
                self._answer(line)

    def _accept(self) -> None:
        self._took[0] += 1
        self._later(b"250 2.0.0 OK queued\r\n", out=True)

    def _answer(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"BDAT":
            self._chunk = int(line.split()[1])
        elif verb == b"DATA":
            self._in_data = True
            self._later(b"354 go\r\n", out=True)
        elif verb == b"EHLO":
            self._later(self._ehlo, out=True)
        elif verb == b"AUTH":
            self._later(b"235 2.7.0 Accepted\r\n", out=True)
        else:
            self._later(b"221 bye\r\n" if verb == b"QUIT" else b"250 2.1.0 OK\r\n", out=True)


async def _serve() -> None:
    took = [0]
    loop = asyncio.get_running_loop()
    ports = {}
    for name in ("BDAT", "DATA"):
        server = await loop.create_server(lambda name=name: _Smtp(name == "BDAT", took), "127.0.0.1", 0)  # type: ignore[misc]
        ports[name] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(took[0], flush=True)
        took[0] = 0


# -- the clients -----------------------------------------------------------------------------------------------------------


def _large() -> bytes:
    return SMALL + b"A line of seventy-eight characters, as many as a line of text should have..\r\n" * (BIG // 78)


async def _ours(count: int, port: int, large: bool) -> Meter:
    from aiogmail import Gmail, TokenProvider
    from aiogmail.settings import Endpoint, Settings

    async def token() -> tuple[str, datetime]:
        return "ya29.benchmark-token", datetime.now(UTC) + timedelta(hours=1)

    raw = _large() if large else SMALL
    settings = Settings(smtp=Endpoint("127.0.0.1", port, security="plaintext"))
    async with Gmail(_ME, TokenProvider(token), settings=settings) as gmail:
        if large:
            meter = Meter()
            async with meter.timed_loop():
                await gmail.send(raw)
            return meter
        await asyncio.gather(gmail.send(raw), gmail.send(raw))
        meter = Meter()
        async with meter.timed_loop():
            async for report in gmail.send_many([raw] * count):
                report.unwrap()
    return meter


async def _theirs(count: int, port: int, large: bool) -> Meter:
    import aiosmtplib

    raw = _large() if large else SMALL

    async def opened() -> aiosmtplib.SMTP:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, local_hostname="[127.0.0.1]")
        await client.connect()
        await client.auth_xoauth2(_ME, "ya29.benchmark-token")
        return client

    async def some(client: aiosmtplib.SMTP, number: int) -> None:
        for _ in range(number):
            await client.sendmail(_ME, [_YOU], raw)

    clients = [await opened() for _ in range(1 if large else 2)]
    if not large:
        await asyncio.gather(*(some(client, 1) for client in clients))
    meter = Meter()
    async with meter.timed_loop():
        await asyncio.gather(*(some(client, count // len(clients)) for client in clients))
    for client in clients:
        await client.quit()
    return meter


def _run(client: str, count: int, port: int) -> None:
    large = client.endswith(" large")
    client = client.removesuffix(" large")
    meter = asyncio.run((_theirs if client == "aiosmtplib" else _ours)(count, port, large))
    if client == "aiosmtplib":
        version = importlib.metadata.version(client)
    else:
        import aiogmail

        version = aiogmail.__version__
    print(json.dumps({"seconds": meter.seconds, "peak_rss_mib": meter.peak_mib(), "stall_ms": meter.stall_ms, "version": version}))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(_serve())
    else:
        _run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
