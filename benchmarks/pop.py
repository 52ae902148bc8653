"""How fast is a POP3 mailbox read, beside poplib? 20,000 messages of 4 KB on the loopback, retrieved and hashed.

A replay server in a process of its own answers with one slice of one buffer, however many RETRs came in one segment, so that it is never
the server that is measured. Clients take turns, each run a process of its own. As a module it is the server, or one client:
``python -m benchmarks.pop serve COUNT`` · ``python -m benchmarks.pop CLIENT COUNT PORT``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import platform
import poplib
import socket
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from .listener import Listener
from .measure import Hashes, Meter
from .report import Target
from .rows import make
from .runner import Plan, Row

__all__ = ["CASE", "CLIENTS", "measure", "targets"]

CASE = "pop"
COUNT, QUICK = 20_000, 4_000
LIMIT = 0.5
"""Of poplib's time."""
CLIENTS = ("raw", "aiogmail", "poplib")
_AHEAD = 100


# -- the measuring side ----------------------------------------------------------------------------------------------------


def measure(plan: Plan) -> list[Row]:
    """A row a client; the raw drain first."""
    count = QUICK if plan.quick else COUNT
    rows = [Row("pop", client) for client in CLIENTS if not plan.clients or client in plan.clients or client == "raw"]
    memory: dict[str, list[float]] = {client: [] for client in CLIENTS}
    stalls: dict[str, list[float]] = {client: [] for client in CLIENTS}
    with _serving(count) as (port, sums):
        for _ in range(plan.rounds):
            for row in rows:
                if row.ok is False:
                    continue
                result = _once(row, count, port, sums, plan.limit)
                if result is None:
                    continue
                row.all_seconds.append(round(result["seconds"], 4))
                row.version, row.note, row.ok = result["version"], result["note"], True
                memory[row.client] += [result["peak_rss_mib"]] if result["peak_rss_mib"] is not None else []
                stalls[row.client] += [result["stall_ms"]] if result["stall_ms"] is not None else []
    floor = statistics.median(rows[0].all_seconds) if rows[0].all_seconds else None
    for row in rows:
        if row.all_seconds:
            row.seconds, row.runs = round(statistics.median(row.all_seconds), 4), len(row.all_seconds)
            row.spread = round(max(row.all_seconds) - min(row.all_seconds), 4)
            row.ratio = round(row.seconds / floor, 2) if floor else None
            row.peak_rss_mib = max(memory[row.client], default=None)
            row.stall_ms = statistics.median(stalls[row.client]) if stalls[row.client] else None
    return rows


def targets(rows: list[Row]) -> list[Target]:
    """At most half of poplib's time, by the median of the ratios of runs that took turns."""
    ours, theirs = ([row for row in rows if (row.case, row.client) == (CASE, client) and row.ok] for client in ("aiogmail", "poplib"))
    if not ours or not theirs:
        return []
    pairs = zip(ours[0].all_seconds, theirs[0].all_seconds, strict=False)
    return [Target("pop: time ÷ poplib's", round(statistics.median(one / other for one, other in pairs), 3), LIMIT)]


def _once(row: Row, count: int, port: int, sums: dict[str, int], limit: float) -> dict[str, Any] | None:
    command = [sys.executable, "-m", "benchmarks.pop", row.client, str(count), str(port)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=True)
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        row.ok, row.note = False, f"not done within {limit:g} s"
        return None
    except (subprocess.CalledProcessError, ValueError, IndexError) as error:
        row.ok, row.note = False, f"failed: {str(getattr(error, 'stderr', '') or error).strip().splitlines()[-1][:160]}"
        return None
    if any(value != sums[name] for name, value in result["sums"].items()):
        row.ok, row.note = False, f"wrong values: {result['sums']} instead of {sums}"
        return None
    return result


@contextlib.contextmanager
def _serving(count: int) -> Iterator[tuple[int, dict[str, int]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.pop", "serve", str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        yield told["port"], told["sums"]
    finally:
        process.communicate()  # closes its input, upon which it ends


# -- the server ------------------------------------------------------------------------------------------------------------


class Replay(Listener):
    """One maildrop of messages made before, served to whoever connects, a thread each."""

    def __init__(self, count: int) -> None:
        corpus = make("bodies", count)
        self.sums = {name: corpus.sums[name] for name in ("rows", "octets", "digest")}
        replies, self._ends = bytearray(), [0]
        uidl, sizes = bytearray(b"+OK UIDs follow\r\n"), bytearray(b"+OK message sizes follow\r\n")
        for number, (start, stop) in enumerate(corpus.bodies[1:], 1):
            replies += b"+OK message follows\r\n" + corpus.rows[start:stop].replace(b"\r\n.", b"\r\n..") + b".\r\n"
            self._ends.append(len(replies))
            uidl += b"%d GmailId%016x\r\n" % (number, number)
            sizes += b"%d %d\r\n" % (number, stop - start)
        self._replies = memoryview(bytes(replies))
        self._said = {
            b"CAPA": b"+OK\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nSASL PLAIN XOAUTH2\r\n.\r\n",
            b"STAT": b"+OK %d %d\r\n" % (count, corpus.sums["octets"]),
            b"UIDL": bytes(uidl + b".\r\n"),
            b"LIST": bytes(sizes + b".\r\n"),
        }
        super().__init__()

    def _converse(self, connection: socket.socket) -> None:
        connection.sendall(b"+OK replay ready\r\n")
        rest = b""
        while data := connection.recv(65536):
            *lines, rest = (rest + data).split(b"\r\n")
            if not self._answer(connection, lines):
                return

    def _answer(self, connection: socket.socket, lines: list[bytes]) -> bool:
        first = last = 0  # a run of messages in order is one slice
        for line in [*lines, b""]:
            number = int(line[5:]) if line[:5] == b"RETR " else 0
            if number and number == last + 1 and first:
                last = number
                continue
            if first:
                connection.sendall(self._replies[self._ends[first - 1] : self._ends[last]])
            first = last = number
            if line and not number:
                connection.sendall(self._said.get(line, b"+OK\r\n"))
                if line == b"QUIT":
                    return False
        return True


def _serve(count: int) -> None:
    server = Replay(count)
    print(json.dumps({"port": server.port, "sums": server.sums}), flush=True)
    threading.Thread(target=server.serve, daemon=True).start()
    sys.stdin.read()


# -- the clients -----------------------------------------------------------------------------------------------------------


def _raw(count: int, port: int, meter: Meter) -> dict[str, int]:
    """The floor: all of it asked for in runs, taken off the socket and hashed as one; nothing parsed."""
    import hashlib

    sha1, view = hashlib.sha1(), memoryview(bytearray(256 * 1024))
    with socket.create_connection(("127.0.0.1", port)) as sock, meter.timed():
        sock.recv(65536)
        for start in range(1, count + 1, _AHEAD):
            numbers = range(start, min(start + _AHEAD, count + 1))
            sock.sendall(b"".join(b"RETR %d\r\n" % number for number in numbers) + b"NOOP\r\n")
            tail = b""
            while not tail.endswith(b".\r\n+OK\r\n"):
                size = sock.recv_into(view)
                sha1.update(view[:size])
                tail = (tail + bytes(view[max(0, size - 16) : size]))[-16:]
    return {"rows": count}


def _poplib(count: int, port: int, meter: Meter) -> dict[str, int]:
    hashes = Hashes()
    client = poplib.POP3("127.0.0.1", port)
    client._shortcmd("AUTH XOAUTH2 eA==")  # type: ignore[attr-defined]  # noqa: SLF001  it has no AUTH of its own
    client.uidl()
    with meter.timed():
        for number in range(1, count + 1):
            _, lines, _ = client.retr(number)
            hashes.add(number, b"\r\n".join(lines) + b"\r\n")
    client.quit()
    return hashes.sums


def _aiogmail(count: int, port: int, meter: Meter) -> dict[str, int]:
    return asyncio.run(_ours(port, meter))


async def _ours(port: int, meter: Meter) -> dict[str, int]:
    from aiogmail import Pop3Client, TokenProvider
    from aiogmail.settings import Endpoint, Settings

    async def token() -> tuple[str, datetime]:
        return "ya29.benchmark-token", datetime.now(UTC) + timedelta(hours=1)

    hashes = Hashes()
    settings = Settings(pop3=Endpoint("127.0.0.1", port, security="plaintext"))
    async with Pop3Client("me@gmail.com", TokenProvider(token), settings=settings) as pop, meter.timed_loop():
        async for mail in pop.retrieve_new():
            hashes.add(int(mail.uidl[7:], 16), mail.raw)
    return hashes.sums


def _run(client: str, count: int, port: int) -> None:
    if client == "aiogmail":
        import aiogmail

        version, note = aiogmail.__version__, ""
    else:
        version = platform.python_version()
        note = "drains the socket, parses nothing" if client == "raw" else "a round trip and 50 lines a message"
    meter = Meter()
    sums = {"raw": _raw, "aiogmail": _aiogmail, "poplib": _poplib}[client](count, port, meter)
    sums.pop("uids", None)
    found = {"seconds": meter.seconds, "peak_rss_mib": meter.peak_mib(), "stall_ms": meter.stall_ms}
    print(json.dumps({**found, "sums": sums, "note": note, "version": version}))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(int(sys.argv[2]))
    else:
        _run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
