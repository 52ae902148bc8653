"""A thousand accounts watched in one process: what does each cost in memory, what do they cost while nothing happens, and how soon
is mail seen?

``python -m benchmarks.watchers [COUNT] [whole] [small]`` prints one line of JSON. The emulator is in a process of its own, over TLS.
With ``whole`` it is whole accounts, and with ``small`` asyncio's TLS is given a receive buffer of 32 KiB for a connection instead of 256:
an attribute of the standard library's that nobody promises, so only here, to show what it would save.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gc
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aiogmail import Endpoint, Gmail, Settings, Timeouts, TokenCache, TokenProvider, Watch

from .report import Target
from .runner import Plan, Row

__all__ = ["CASE", "Figures", "figures", "measure", "targets"]

CASE = "watchers"
COUNT, QUICK = 1000, 50
LIMITS = {"kib_each": 350.0, "idle_percent": 2.0, "seen_seconds": 2.0}
AT_ONCE = 20
WARM_UP = 20
_LETTER = "Subject: {}\r\nMessage-ID: <{}@x.example>\r\n\r\nbody\r\n"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured.

    Attributes:
        count: accounts watched.
        whole: whole accounts, not INBOX.
        kib_each: resident memory of a watcher, connection and all.
        tls_kib_each: of that, the buffer that asyncio's TLS keeps for each connection.
        connect_seconds: to have them all.
        idle_percent: of one core, while nothing happens: ``quiet_percent``, and what the renewals of IDLE cost, every five minutes or
            (whole accounts) every minute.
        quiet_percent: of one core, between two renewals.
        renewal_ms: of one core, for one watcher to end its IDLE, look and idle again.
        seen_seconds: from the first of ``count`` deliveries, one to each account, to the last one seen.
        cpu_seconds: of this process for that.
        looks: commands that a delivery took, in the mean.
    """

    count: int
    whole: bool
    kib_each: float
    tls_kib_each: float
    connect_seconds: float
    idle_percent: float
    quiet_percent: float
    renewal_ms: float
    seen_seconds: float
    cpu_seconds: float
    looks: float


# -- the case ------------------------------------------------------------------------------------------------------------------


def measure(plan: Plan) -> list[Row]:
    """INBOXes, then whole accounts; the time is until the last of as many deliveries is seen, the rest stands in the note."""
    rows = []
    for client, more in (("aiogmail", ()), ("aiogmail, whole accounts", ("whole",))):
        row = Row(CASE, client)
        rows.append(row)
        if plan.clients and "aiogmail" not in plan.clients:
            continue
        count = (str(QUICK), "quick") if plan.quick else (str(COUNT),)
        command = [sys.executable, "-m", "benchmarks.watchers", *count, *more]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=max(plan.limit, 120.0), check=True)
            found = json.loads(done.stdout.splitlines()[-1])
        except (subprocess.SubprocessError, ValueError, IndexError) as error:
            row.ok, row.note = False, f"failed: {str(getattr(error, 'stderr', '') or error).strip()[-160:]}"
            continue
        row.all_seconds, row.seconds, row.runs, row.ok = [found["seen_seconds"]], found["seen_seconds"], 1, True
        row.note = ", ".join(f"{name} {found[name]}" for name in ("count", *LIMITS))
    return rows


def targets(rows: list[Row]) -> list[Target]:
    """What a thousand watchers may take."""
    found = []
    for row in rows:
        if row.case == CASE and row.ok and row.note.startswith(f"count {COUNT},"):
            told = dict(pair.split() for pair in row.note.split(", "))
            found += [Target(f"{row.client}: {name}", float(told[name]), limit) for name, limit in LIMITS.items()]
    return found


# -- the server ----------------------------------------------------------------------------------------------------------------


async def _serve(count: int) -> None:
    """An emulator with so many accounts, which does what standard input says."""
    from aiogmail.testing import Behaviour, GmailEmulator

    behaviour = Behaviour(session_lifetime=None, session_ends_with_token=False)
    async with GmailEmulator(tls=True, behaviour=behaviour) as server:
        accounts = [server.add_account(_address(number)) for number in range(count)]
        for account in accounts:
            account.deliver(_LETTER.format("there", "there"))
        tokens = [account.access_token(36_000) for account in accounts]
        gc.collect()
        gc.freeze()
        print(json.dumps({"port": server.port("imap"), "ca": server.ca_pem, "tokens": tokens}), flush=True)
        while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
            if line.startswith("deliver"):
                before = len(server.ledger.commands)
                for account in accounts:
                    account.deliver(_LETTER.format(line.strip(), line.strip()))
                print(json.dumps({"commands": before}), flush=True)
            else:
                print(json.dumps({"commands": len(server.ledger.commands)}), flush=True)


def _address(number: int) -> str:
    return f"user{number}@gmail.com"


class _Server:
    """The emulator in its own process."""

    def __init__(self, process: asyncio.subprocess.Process, told: dict[str, Any]) -> None:
        self._process = process
        self.port: int = told["port"]
        self.ca: str = told["ca"]
        self.tokens: list[str] = told["tokens"]

    async def ask(self, words: str) -> int:
        """Commands seen so far; with ``deliver NAME`` after a delivery to every account."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(words.encode() + b"\n")
        return int(json.loads(await self._process.stdout.readline())["commands"])


@contextlib.asynccontextmanager
async def _server(count: int) -> AsyncIterator[_Server]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.watchers", "serve", str(count)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield _Server(process, json.loads(await process.stdout.readline()))
    finally:
        process.stdin.close()
        await process.wait()


# -- the watchers --------------------------------------------------------------------------------------------------------------


class _Crowd:
    """Watchers, and what they have seen."""

    def __init__(self, server: _Server, tokens: TokenCache, settings: Settings, *, whole: bool) -> None:
        self._server = server
        self._tokens = tokens
        self._settings = settings
        self._whole = whole
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._tasks: list[asyncio.Task[None]] = []
        self._ready = 0
        self.seen = 0
        self._changed = asyncio.Event()

    async def grow(self, count: int) -> None:
        """Have so many in all, each in IDLE."""
        for number in range(len(self._tasks), count):
            self._tasks.append(asyncio.create_task(self._watch(number), name=_address(number)))
        await self.wait(lambda: self._ready == count)
        await asyncio.sleep(0.5)

    async def wait(self, until: Any) -> None:
        while not until():
            self._changed.clear()
            if failed := next((task for task in self._tasks if task.done()), None):
                failed.result()
            await self._changed.wait()

    async def _watch(self, number: int) -> None:
        token = self._server.tokens[number]

        async def fetch() -> tuple[str, dt.datetime]:
            return token, dt.datetime.now(dt.UTC) + dt.timedelta(hours=9)

        async with contextlib.AsyncExitStack() as stack:
            async with self._gate:
                account = Gmail(_address(number), TokenProvider(fetch), tokens=self._tokens, settings=self._settings)
                gmail = await stack.enter_async_context(account)
                watch: Watch
                if self._whole:
                    watch = gmail.watch()
                else:
                    watch = (await stack.enter_async_context(gmail.mailbox("INBOX"))).watch()
                await stack.enter_async_context(watch)
            self._ready += 1
            self._changed.set()
            async for _ in watch:
                self.seen += 1
                self._changed.set()

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)


def _rss() -> int:
    gc.collect()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("the system does not tell how much memory is resident")


async def _cpu_of(seconds: float) -> float:
    began = time.process_time()
    await asyncio.sleep(seconds)
    return time.process_time() - began


async def figures(count: int, *, whole: bool = False, quiet: float = 10.0, renewing: float = 15.0) -> Figures:
    """Watch so many accounts, for ``quiet`` and then ``renewing`` seconds of nothing, then with a delivery to each."""
    from ssl import create_default_context

    async with _server(count) as server:
        context = create_default_context(cadata=server.ca)
        endpoint = Endpoint("127.0.0.1", server.port, ssl_context=context)
        settings = Settings(imap=endpoint)
        async with TokenCache() as tokens:
            crowd = _Crowd(server, tokens, settings, whole=whole)
            try:
                await crowd.grow(min(WARM_UP, count // 2))
                before, began = _rss(), time.perf_counter()
                await crowd.grow(count)
                connected = time.perf_counter() - began
                kib = (_rss() - before) / (count - min(WARM_UP, count // 2))
                resting = await _cpu_of(quiet) / quiet
                asked = await server.ask("commands")
                cpu, began = time.process_time(), time.perf_counter()
                await server.ask("deliver one")
                await crowd.wait(lambda: crowd.seen == count)
                seen, cpu = time.perf_counter() - began, time.process_time() - cpu
                await asyncio.sleep(1.0)
                looks = (await server.ask("commands") - asked) / count
            finally:
                await crowd.aclose()
            renewal = await _renewal(
                server, tokens, replace(settings, timeouts=Timeouts(idle_renew=renewing / 3)), whole, min(count, 200), renewing
            )
    renewals = renewal * count / settings.timeouts.idle_renew * (1 if not whole else settings.timeouts.idle_renew / 60.0)
    return Figures(
        count=count,
        whole=whole,
        kib_each=round(kib, 1),
        tls_kib_each=round(_tls_buffer(), 1),
        connect_seconds=round(connected, 2),
        idle_percent=round(100 * (resting + renewals), 2),
        quiet_percent=round(100 * resting, 2),
        renewal_ms=round(1000 * renewal, 3),
        seen_seconds=round(seen, 2),
        cpu_seconds=round(cpu, 2),
        looks=round(looks, 1),
    )


async def _renewal(server: _Server, tokens: TokenCache, settings: Settings, whole: bool, count: int, seconds: float) -> float:
    """Seconds of one core that one renewal takes one watcher."""
    crowd = _Crowd(server, tokens, settings, whole=whole)
    try:
        await crowd.grow(count)
        before = await server.ask("commands")
        cpu = await _cpu_of(seconds)
        return cpu / max(1, (await server.ask("commands") - before) / 2)  # STATUS and IDLE
    finally:
        await crowd.aclose()


def _tls_buffer() -> float:
    from asyncio.sslproto import SSLProtocol

    return float(SSLProtocol.max_size) / 1024


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["serve"]:
        asyncio.run(_serve(int(arguments[1])))
        return
    count = int(arguments[0]) if arguments else 1000
    if "small" in arguments:
        from asyncio.sslproto import SSLProtocol

        SSLProtocol.max_size = 32 * 1024  # type: ignore[misc]  # it is not Final, only undocumented
    rest = (1.0, 3.0) if "quick" in arguments else (10.0, 15.0)
    print(json.dumps(asdict(asyncio.run(figures(count, whole="whole" in arguments, quiet=rest[0], renewing=rest[1])))))


if __name__ == "__main__":
    main(sys.argv[1:])
