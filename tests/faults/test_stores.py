"""Token stores: thirteen things that go wrong with a file or a Redis, met by one consumer, by fifty, and by fifty whose first is cancelled.

Whatever happens to its store, a cache hands out tokens; and once the store is well again, another process finds the refresh token there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from aiogmail import FileTokenStore, RedisTokenStore, TokenCache
from aiogmail.testing import Behaviour, GmailEmulator
from tests.faults.harness import ME, Family, Verdict, Violation, in_loop, no_secret
from tests.oauth.redisserver import RedisServer
from tests.support.canary import CANARIES

_WAITERS = {"one": 1, "fifty": 50, "leader-cancelled": 50}
_REDIS: list[RedisServer] = []


@dataclass(slots=True)
class Place:
    """A store, and what must be undone before it is well again."""

    make: Callable[[], Any]
    path: Path | None = None
    redis: RedisServer | None = None
    mend: ExitStack = field(default_factory=ExitStack)


@dataclass(frozen=True, slots=True)
class StoreCase:
    """One fault of a store, and who meets it."""

    point: str
    kind: str
    arm: Callable[[Place], Awaitable[None]]
    outcome: str = "done"
    blind: bool = False  # what the store holds is lost, or cannot be read while it lasts
    redis: bool = False


# What goes wrong with a file


async def _no_space(place: Place) -> None:
    place.mend.enter_context(
        mock.patch("aiogmail.oauth.stores.file.os.fsync", side_effect=OSError(errno.ENOSPC, "No space left on device"))
    )


async def _no_access(place: Place) -> None:
    real = os.open

    def refused(path: Any, *args: Any, **options: Any) -> int:
        if str(path).startswith(str(place.path)):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *args, **options)

    place.mend.enter_context(mock.patch("aiogmail.oauth.stores.file.os.open", refused))


async def _killed(place: Place) -> None:
    """Between write and rename: a whole new file beside the old one, and a lock file that nobody holds."""
    assert place.path is not None
    place.path.with_name(place.path.name + ".tmp").write_bytes(place.path.read_bytes()[:-20])
    place.path.with_name(place.path.name + ".lock").touch(mode=0o600)


async def _corrupt(place: Place) -> None:
    assert place.path is not None
    place.path.write_bytes(place.path.read_bytes()[:40] + b"\x00garbage")


async def _symlink(place: Place) -> None:
    path = place.path
    assert path is not None
    moved = path.with_name("elsewhere.json")
    path.rename(moved)
    path.symlink_to(moved)

    def undo() -> None:
        path.unlink()
        moved.rename(path)

    place.mend.callback(undo)


async def _wrong_mode(place: Place) -> None:
    assert place.path is not None
    place.path.chmod(0o644)
    place.mend.callback(place.path.chmod, 0o600)


async def _locked(place: Place) -> None:
    """Another process refreshes, and hangs."""
    assert place.path is not None
    for lock in place.path.parent.glob("*.lock"):
        held = os.open(lock, os.O_RDWR)
        fcntl.flock(held, fcntl.LOCK_EX)
        place.mend.callback(os.close, held)


# What goes wrong with a Redis


def _server(place: Place) -> RedisServer:
    assert place.redis is not None
    return place.redis


async def _down(place: Place) -> None:
    server = _server(place)
    server.stop()
    place.mend.callback(server.start)


async def _slow(place: Place) -> None:
    await _say(_server(place), "DEBUG", "SLEEP", "0.3", wait=False)


async def _lost_lease(place: Place) -> None:
    """Every lease is gone as soon as it was given."""
    real = RedisTokenStore.acquire

    async def acquire(self: RedisTokenStore, key: str, ttl: float) -> object | None:
        lease = await real(self, key, ttl)
        if lease is not None:
            await real_release(self, key, lease)
        return lease

    real_release = RedisTokenStore.release
    place.mend.enter_context(mock.patch.object(RedisTokenStore, "acquire", acquire))


async def _failover(place: Place) -> None:
    """The replica that took over had heard of nothing yet."""
    await _say(_server(place), "FLUSHALL")


async def _wrong_type(place: Place) -> None:
    server = _server(place)
    for key in (await _say(server, "KEYS", "*")).split():
        await _say(server, "DEL", key)
        await _say(server, "LPUSH", key, "something else")


async def _race(place: Place) -> None:
    """Another process has a cache on the same store, and starts at the same moment."""


async def _say(server: RedisServer, *words: str, wait: bool = True) -> str:
    from redis.asyncio import Redis

    client = Redis.from_url(server.url, decode_responses=True)
    try:
        if not wait:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words))
            await writer.drain()
            writer.transport.abort()
            return ""
        answer = await client.execute_command(*words)
        return " ".join(answer) if isinstance(answer, list) else str(answer)
    finally:
        await client.aclose()


_FAULTS: dict[str, tuple[Callable[[Place], Awaitable[None]], dict[str, Any]]] = {
    "file-no-space": (_no_space, {}),
    "file-no-access": (_no_access, {"blind": True}),
    "file-killed": (_killed, {}),
    "file-corrupt": (_corrupt, {"blind": True}),
    "file-symlink": (_symlink, {"outcome": "ConfigurationError"}),
    "file-wrong-mode": (_wrong_mode, {"outcome": "ConfigurationError"}),
    "file-locked": (_locked, {"outcome": "TokenEndpointError"}),
    "redis-down": (_down, {"redis": True, "blind": True}),
    "redis-slow": (_slow, {"redis": True}),
    "redis-lost-lease": (_lost_lease, {"redis": True, "outcome": "TokenEndpointError"}),
    "redis-failover": (_failover, {"redis": True, "blind": True}),
    "redis-wrong-type": (_wrong_type, {"redis": True, "blind": True}),
    "redis-race": (_race, {"redis": True}),
}


def _cells() -> Iterator[StoreCase]:
    for point, (arm, options) in _FAULTS.items():
        for kind in _WAITERS:
            yield StoreCase(point, kind, arm, **options)


def run_store_case(case: StoreCase, *, seed: int = 0, real: bool = False) -> Verdict:
    """Run a case and judge it: a file's in virtual time, a Redis's in real time."""
    assert not real
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tokens", "tokens.json")
        if case.redis:
            server = _running_redis()
            place = Place(lambda: RedisTokenStore(server.url, timeout=1.0), redis=server)
        else:
            place = Place(lambda: FileTokenStore(path), path)
        return in_loop(_met(case, place), f"{case.point}/{case.kind}", seed=seed, real=case.redis)


def _running_redis() -> RedisServer:
    if not _REDIS:
        raise Violation("no Redis is running: run this family under pytest")
    return _REDIS[0]


async def _met(case: StoreCase, place: Place) -> Verdict:
    if place.redis is not None:
        await _say(place.redis, "FLUSHALL")
    # Where a store cannot be read, a refresh token that was rotated cannot be known: no client could then go on.
    async with GmailEmulator(behaviour=Behaviour(rotate_refresh_tokens=not case.blind), tls=False) as server:
        server.hub.tokens.word = lambda prefix, _size=40: CANARIES.secret(prefix)  # type: ignore[method-assign]
        account = server.add_account(ME)
        credentials = replace(account.credentials(), token_uri=server.token_uri)
        clock = getattr(asyncio.get_running_loop(), "clock", None)
        async with TokenCache(place.make(), clock=clock) as before:
            await before.get(ME, credentials)
        account.expire_tokens()
        await _forget_access(place)
        with place.mend:
            await case.arm(place)
            async with TokenCache(place.make(), clock=clock) as tokens:
                verdicts = await _ask(case, tokens, credentials, place)
                place.mend.close()  # what could not be written meanwhile is written now, at the latest when the cache is closed
        _judge(case, verdicts, len(account.ledger.refreshes()))
        async with TokenCache(place.make(), clock=clock) as after:
            token = await after.get(ME, credentials)
            if server.hub.tokens.valid(ME, token.access_token.reveal()) is None:
                raise Violation("I9 once the store was well, the next process got a token that is dead")
    return verdicts[-1]


async def _forget_access(place: Place) -> None:
    """What is stored is old: the access token in it is dead, and said to be."""
    if place.path is not None:
        record = json.loads(place.path.read_text())
        for token in record["tokens"].values():
            token["expires_at"] = 1.0
        place.path.write_text(json.dumps(record))
    else:
        assert place.redis is not None
        for key in (await _say(place.redis, "KEYS", "*")).split():
            record = json.loads(await _say(place.redis, "HGET", key, "data"))
            record["expires_at"] = 1.0
            await _say(place.redis, "HSET", key, "data", json.dumps(record))


async def _ask(case: StoreCase, tokens: TokenCache, credentials: Any, place: Place) -> list[Verdict]:
    async with contextlib.AsyncExitStack() as stack:
        caches = [tokens]
        if case.point == "redis-race":
            caches.append(await stack.enter_async_context(TokenCache(place.make())))
        tasks = [asyncio.create_task(caches[number % len(caches)].get(ME, credentials)) for number in range(_WAITERS[case.kind])]
        if case.kind == "leader-cancelled":
            for _ in range(3):
                await asyncio.sleep(0)
            tasks[0].cancel()
        await asyncio.wait(tasks, timeout=200)
        if not all(task.done() for task in tasks):
            raise Violation("I4 a consumer was still waiting after 200 s")
        return [Verdict.of(case, task) for task in tasks]


def _judge(case: StoreCase, verdicts: list[Verdict], refreshes: int) -> None:
    others = verdicts
    if case.kind == "leader-cancelled":
        if verdicts[0].outcome != "cancelled":
            raise Violation(f"the first was cancelled and came out as {verdicts[0].outcome}")
        others = verdicts[1:]
    if {verdict.outcome for verdict in others} != {case.outcome}:
        raise Violation(f"expected {case.outcome} for all, got { {verdict.outcome for verdict in others} }: {others[-1].error}")
    if others[-1].error is not None:
        no_secret(others[-1].error)
    if refreshes > 2:  # one when the store was filled, one now
        raise Violation(f"I9 {refreshes} refreshes, there is reason for 2")


STORES = Family("Stores", _cells, run_store_case)


@pytest.fixture(autouse=True, scope="module")
def _redis(real_servers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with RedisServer(tmp_path_factory.mktemp("redis"), "--enable-debug-command", "local") as server:
        _REDIS.append(server)
        yield
        _REDIS.clear()


test_a_store_out_of_order_costs_nobody_a_token = STORES.test()
