"""Several processes share one account: one refresh in each expiry window, whoever is killed, and the refresh token is never lost."""

import asyncio
import contextlib
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from aiogmail.oauth import UserCredentials

from .harness import real
from .server import AuthServer
from .site import authority

pytestmark = pytest.mark.slow  # on one Python: see noxfile.py

ME = "me@example.org"
ROOT = Path(__file__).parents[2]


class Fleet:
    """``size`` processes on one store, whose deaths and words are recorded."""

    def __init__(self, server, store, folder, size=4):
        self.server, self.store, self.folder, self.size = server, store, folder, size
        self.lines, self.kills, self.lost = [], [], []
        self.processes = {}
        self.readers = set()

    def log_in(self):
        """What a person does: a new grant, in the file that the processes read at their start."""
        refresh_token = self.server.new_grant(ME)
        UserCredentials("client-1", "secret-1", refresh_token, token_uri=self.server.token_uri).to_authorized_user_file(
            self.folder / "token.json"
        )

    async def start_one(self):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.oauth.fleetchild", self.store, str(self.folder / "token.json"), str(self.folder / "ca.pem"),
            stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        self.processes[process.pid] = process
        reader = asyncio.create_task(self._read(process))
        self.readers.add(reader)
        reader.add_done_callback(self.readers.discard)

    async def _read(self, process):
        async for line in process.stdout:
            self.lines.append((time.monotonic(), process.pid, line.decode().strip()))
        if await process.wait() == 3:
            self.lost.append(time.monotonic())
        self.processes.pop(process.pid, None)

    def kill(self, pid):
        self.kills.append(time.monotonic())
        self.processes[pid].send_signal(signal.SIGKILL)

    async def __aenter__(self):
        authority().cert_pem.write_to_path(self.folder / "ca.pem")
        self.log_in()
        await asyncio.gather(*(self.start_one() for _ in range(self.size)))
        return self

    async def __aexit__(self, *_):
        for process in list(self.processes.values()):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        while self.readers:
            await asyncio.sleep(0.01)

    def successes(self):
        return [moment for moment, _, _, status in self.server.ledger if status == 200]

    async def until(self, condition, seconds=15.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not in {seconds} s; the last words: {self.lines[-5:]}"
            await asyncio.sleep(0.005)

    def errors(self):
        return [line for _, _, line in self.lines if not line.startswith("token")]


def check_windows(fleet, lifetime, since=0.0):
    """No two refreshes in one window, unless a process was killed in the middle of the first."""
    moments, kills = [moment for moment in fleet.successes() if moment >= since], list(fleet.kills)
    for first, second in zip(moments, moments[1:], strict=False):
        if second - first < 0.35 * lifetime:
            excuse = next((kill for kill in kills if first - 1.0 <= kill <= second), None)
            assert excuse is not None, f"two refreshes {second - first:.3f} s apart, and nobody was killed"
            kills.remove(excuse)  # each excuses one
    # In all: one for each window (the last half of a life, with its jitter), and one for each process that was killed.
    assert len(moments) <= (moments[-1] - moments[0]) / (0.44 * lifetime) + 1 + len(fleet.kills)


async def storm(server, store, folder, windows, kills, seed, lifetime):
    """Random kills over so many windows; gives what happened."""
    chance = random.Random(seed)
    async with Fleet(server, store, folder) as fleet:
        await fleet.until(lambda: len({pid for _, pid, _ in fleet.lines}) == fleet.size)
        begun, start = len(fleet.successes()), time.monotonic()
        due = sorted(chance.uniform(0.0, windows) for _ in range(kills))
        while (passed := len(fleet.successes()) - begun) < windows:
            if fleet.lost:
                await renew(fleet)
            if due and passed >= due[0] and fleet.processes:
                due.pop(0)
                await asyncio.sleep(chance.uniform(0.0, 0.5 * lifetime))
                fleet.kill(chance.choice(list(fleet.processes)))
                await fleet.start_one()
            assert time.monotonic() - start < windows * lifetime * 2 + kills * 5 + 20, fleet.lines[-5:]
            await asyncio.sleep(0.005)
        return fleet


async def renew(fleet):
    """The refresh token was lost, and said to be: a person logs in, and the processes start again."""
    for pid in list(fleet.processes):
        with contextlib.suppress(ProcessLookupError):
            fleet.processes[pid].kill()
    while fleet.readers:
        await asyncio.sleep(0.01)
    fleet.renewals = [*getattr(fleet, "renewals", []), len(fleet.kills)]
    fleet.lost.clear()
    fleet.log_in()
    await asyncio.gather(*(fleet.start_one() for _ in range(fleet.size)))


def place(kind, request, tmp_path):
    return request.getfixturevalue("redis_server").url if kind == "redis" else str(tmp_path / "store" / "tokens.json")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "redis"])
def test_four_processes_refresh_once_per_window_though_some_are_killed(kind, request, tmp_path):
    store, lifetime = place(kind, request, tmp_path), 1.0

    async def main():
        async with AuthServer(lifetime=lifetime, rotate=60.0, delay=0.05) as server:
            fleet = await storm(server, store, tmp_path, windows=10, kills=3, seed=7, lifetime=lifetime)
            check_windows(fleet, lifetime)
            assert fleet.errors() == []
            assert {status for *_, status in server.ledger} == {200}

    real(main)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["file", "redis"])
@pytest.mark.parametrize("rotate", [60.0, 0.0], ids=["grace", "strict"])
def test_two_hundred_windows_with_kills(kind, rotate, request, tmp_path):
    store, lifetime = place(kind, request, tmp_path), 1.0
    seed = random.randrange(10_000)
    print("seed", seed)

    async def main():
        async with AuthServer(lifetime=lifetime, rotate=rotate, delay=0.05) as server:
            fleet = await storm(server, store, tmp_path, windows=200, kills=60, seed=seed, lifetime=lifetime)
            check_windows(fleet, lifetime)
            renewals = getattr(fleet, "renewals", [])
            print(f"{len(fleet.successes())} refreshes, {len(fleet.kills)} kills, {len(renewals)} refresh tokens lost and told")
            if rotate:
                assert fleet.errors() == []
            else:
                assert all(line.startswith("LoginRequired") for line in fleet.errors())
                assert len(renewals) <= len(fleet.kills)
                assert 0 not in renewals  # none was lost before anybody was killed

    real(main)


@pytest.mark.parametrize("kind", ["file", "redis"])
@pytest.mark.parametrize("rotate", [60.0, 0.0], ids=["grace", "strict"])
def test_a_process_killed_between_the_servers_answer_and_the_store(kind, rotate, request, tmp_path):
    """The worst moment: the server has rotated, and nobody has heard of it."""
    store = place(kind, request, tmp_path)

    async def main():
        async with AuthServer(lifetime=3600.0, rotate=rotate, delay=1.0) as server, Fleet(server, store, tmp_path, size=1) as fleet:
            await fleet.until(lambda: len(server.ledger) == 1)  # decided, and not yet sent
            fleet.kill(next(iter(fleet.processes)))
            server.delay = 0.0
            await fleet.start_one()
            await fleet.until(lambda: len(fleet.lines) == 1)
            (line,) = [line for _, _, line in fleet.lines]
            if rotate:
                assert line.startswith("token")
                assert [status for *_, status in server.ledger] == [200, 200]  # one, and one for the process that was killed
            else:
                assert line.startswith("LoginRequired")
                assert "Log in again" in line
                await fleet.until(lambda: fleet.lost)
                await renew(fleet)
                await fleet.until(lambda: len(fleet.lines) == 2)
                assert fleet.lines[-1][2].startswith("token")

    real(main)
