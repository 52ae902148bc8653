"""Who runs what, how often, and in which order: each run a process of its own, clients in turn, medians of several rounds."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import imapflow
from .rows import SPECS

__all__ = ["CLIENTS", "Plan", "Row", "Server", "measure", "replay_once"]

CLIENTS = {
    "flags": ("raw", "aiogmail", "imaplib", "imap-tools", "imapflow", "IMAPClient", "aioimaplib"),
    "envelope": ("raw", "aiogmail", "imaplib", "imapflow", "IMAPClient", "aioimaplib"),
    "bodies": ("raw", "aiogmail", "imaplib", "imapflow", "imap-tools", "IMAPClient", "aioimaplib"),
    "large": ("raw", "aiogmail", "imaplib", "imapflow", "imap-tools", "IMAPClient", "aioimaplib"),
    "huge": ("raw", "aiogmail", "imaplib", "imapflow"),
    "mixed": ("raw", "aiogmail", "imaplib", "imapflow", "IMAPClient"),
}
_LONG = 15.0
"""After so many seconds of runs in all, a client is run no more."""
_BESIDE = ("imap-tools", "IMAPClient", "aioimaplib")
"""Clients that no target but one is measured by: once is enough for a first look."""


@dataclass
class Plan:
    """What was asked for on the command line."""

    rounds: int
    limit: float
    quick: bool = False
    tls: bool = False
    clients: tuple[str, ...] = ()

    def count(self, case: str) -> int:
        return SPECS[case].quick if self.quick else SPECS[case].count


@dataclass
class Row:
    """One line of the result. ``ok``: every row was read and its values are right; ``None`` for a client that was left out.

    ``seconds`` is the median, ``spread`` the largest less the smallest; ``ratio`` is to the raw drain of the same bytes. ``cpu_seconds`` is
    the median of what the client's process computed in that time; ``None`` where a case does not tell.
    """

    case: str
    client: str
    version: str = ""
    seconds: float | None = None
    spread: float | None = None
    peak_rss_mib: float | None = None
    stall_ms: float | None = None
    ok: bool | None = None
    note: str = ""
    ratio: float | None = None
    runs: int = 0
    all_seconds: list[float] = field(default_factory=list)
    cpu_seconds: float | None = None
    all_cpu_seconds: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Server:
    """A replay server that runs."""

    port: int
    sums: dict[str, int]
    ca: str = ""


@contextlib.contextmanager
def replay(case: str, count: int, tls: bool) -> Iterator[Server]:
    """A replay server in a process of its own, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        ca, chain = "", []
        if tls:
            ca, chain = _certificates(Path(folder))
        command = [sys.executable, "-m", "benchmarks.server", case, str(count), *chain]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            yield Server(told["port"], told["sums"], ca)
        finally:
            process.communicate()  # closes its input, upon which it ends


def _certificates(folder: Path) -> tuple[str, list[str]]:
    import trustme

    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return str(folder / "ca.pem"), [str(folder / "server.pem")]


def measure(case: str, plan: Plan, count: int | None = None, clients: tuple[str, ...] | None = None) -> list[Row]:
    """The rows of one case, the raw drain first."""
    count = plan.count(case) if count is None else count
    chosen = clients or tuple(client for client in CLIENTS[case] if not plan.clients or client in plan.clients or client == "raw")
    rows = {client: Row(case, client) for client in chosen}
    results: dict[str, list[dict[str, Any]]] = {client: [] for client in chosen}
    with contextlib.ExitStack() as servers:
        server = servers.enter_context(replay(case, count, plan.tls))
        cousins = _Cousins(servers, plan, count // 2) if case == "mixed" and "aiogmail" in chosen else None
        for number in range(plan.rounds):
            if cousins is not None:
                cousins.run()
            for client in chosen:
                row = rows[client]
                if number and (sum(row.all_seconds) > _LONG or row.note or (plan.quick and client in _BESIDE)):
                    continue  # it failed, was left out, or is known to be slow
                _once(row, results[client], count, server, plan)
    for client, row in rows.items():
        _sum_up(row, results[client], rows["raw"].all_seconds if "raw" in rows else [])
    return [*rows.values(), *([] if cousins is None else [cousins.row()])]


class _Cousins:
    """The plain cases whose rows ``mixed`` mixes, run in turn with it: only so can the two be compared."""

    def __init__(self, servers: contextlib.ExitStack, plan: Plan, count: int) -> None:
        self._plan, self._count = plan, count
        self._rows = [Row(case, "aiogmail") for case in ("flags", "envelope")]
        self._results: list[list[dict[str, Any]]] = [[], []]
        self._servers = [servers.enter_context(replay(row.case, count, plan.tls)) for row in self._rows]

    def run(self) -> None:
        for row, results, server in zip(self._rows, self._results, self._servers, strict=True):
            _once(row, results, self._count, server, self._plan)

    def row(self) -> Row:
        """Both together."""
        both = Row("mixed:plain", "aiogmail", note="flags and envelope, in turn with mixed")
        both.all_seconds = [round(sum(pair), 4) for pair in zip(*(row.all_seconds for row in self._rows), strict=False)]
        both.all_cpu_seconds = [round(sum(pair), 4) for pair in zip(*(row.all_cpu_seconds for row in self._rows), strict=False)]
        for row, results in zip(self._rows, self._results, strict=True):
            _sum_up(row, results, [])
        both.ok = all(row.ok for row in self._rows)
        if both.all_seconds:
            both.seconds, both.runs = round(statistics.median(both.all_seconds), 4), len(both.all_seconds)
            both.spread = round(max(both.all_seconds) - min(both.all_seconds), 4)
            both.cpu_seconds = round(statistics.median(both.all_cpu_seconds), 4)
            both.version = self._rows[0].version
        return both


def replay_once(case: str, plan: Plan, counts: tuple[int, ...]) -> list[Row]:
    """aiogmail's row of one case for several sizes, which take turns."""
    rows = [Row(case, "aiogmail") for _ in counts]
    results: list[list[dict[str, Any]]] = [[] for _ in counts]
    with contextlib.ExitStack() as servers:
        running = [servers.enter_context(replay(case, count, plan.tls)) for count in counts]
        for _ in range(plan.rounds):
            for row, result, count, server in zip(rows, results, counts, running, strict=True):
                _once(row, result, count, server, plan)
    for row, result in zip(rows, results, strict=True):
        _sum_up(row, result, [])
    return rows


def _once(row: Row, results: list[dict[str, Any]], count: int, server: Server, plan: Plan) -> None:
    try:
        command = _command(row.client)
    except imapflow.Unavailable as reason:
        row.note = f"left out: {reason}"
        return
    arguments = [row.case, str(count), str(server.port), *([server.ca] if server.ca else [])]
    try:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=plan.limit, check=False)
    except subprocess.TimeoutExpired:
        row.ok, row.note = False, f"not done within {plan.limit:g} s"
        return
    try:
        result = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        lines = done.stderr.strip().splitlines() or ["without a word"]
        row.ok, row.note = False, "failed: " + next((line for line in reversed(lines) if "Error" in line), lines[-1])[:160]
        return
    wrong = {name: (int(value), server.sums[name]) for name, value in result["sums"].items() if int(value) != server.sums[name]}
    if wrong or int(result["sums"]["rows"]) != count:
        row.ok, row.note = False, f"wrong values: {wrong}"
        return
    results.append(result)
    row.all_seconds.append(round(result["seconds"], 4))
    row.all_cpu_seconds.append(round(result["cpu_seconds"], 4))


def _command(client: str) -> list[str]:
    if client == "imapflow":
        return ["node", str(imapflow.SCRIPT), str(imapflow.folder())]
    return [sys.executable, "-m", "benchmarks.child", client]


def _sum_up(row: Row, results: list[dict[str, Any]], raw: list[float]) -> None:
    if not results:
        return
    row.seconds = round(statistics.median(row.all_seconds), 4)
    row.spread = round(max(row.all_seconds) - min(row.all_seconds), 4)
    row.cpu_seconds = round(statistics.median(row.all_cpu_seconds), 4)
    row.runs = len(results)
    row.version = str(results[-1]["version"])
    row.ok = row.ok is not False
    row.note = row.note or results[-1]["note"]
    row.ratio = round(row.seconds / statistics.median(raw), 2) if raw else None
    for name in ("peak_rss_mib", "stall_ms"):
        values = [result[name] for result in results if result[name] is not None]
        if values:
            setattr(row, name, max(values) if name == "peak_rss_mib" else statistics.median(values))
