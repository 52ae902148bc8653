"""What does a live token cost? ``TokenCache.get`` in µs, and memory an identity, beside Authlib's client and google-auth.

As a module it is the child: ``python -m benchmarks.tokens CLIENT CALLS IDENTITIES``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.metadata
import json
import statistics
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from .runner import Plan, Row

__all__ = ["CASE", "measure"]

CASE = "tokens"

_CLIENTS = {"aiogmail": "aiogmail", "authlib": "Authlib", "google-auth": "google-auth"}
_IDENTITIES = {"aiogmail": 10_000, "authlib": 200, "google-auth": 10_000}
"""Authlib has an HTTP client an identity: 10,000 of them are not made to be told that each is large."""


def measure(plan: Plan) -> list[Row]:
    """A row a client: ``seconds`` are those of one call."""
    rows = []
    calls = 20_000 if plan.quick else 200_000
    results: dict[str, list[dict[str, Any]]] = {client: [] for client in _CLIENTS}
    for _ in range(plan.rounds):
        for client, found in results.items():
            command = [sys.executable, "-m", __name__, client, str(calls), str(_IDENTITIES[client])]
            with contextlib.suppress(subprocess.SubprocessError, ValueError, IndexError):
                done = subprocess.run(command, capture_output=True, text=True, timeout=max(60.0, plan.limit), check=True)
                found.append(json.loads(done.stdout.splitlines()[-1]))
    for client, found in results.items():
        row = Row("tokens", _CLIENTS[client], ok=bool(found), note="" if found else "failed")
        if found:
            row.all_seconds = [result["seconds"] for result in found]
            row.seconds, row.runs = statistics.median(row.all_seconds), len(found)
            row.spread = max(row.all_seconds) - min(row.all_seconds)
            row.version = found[0]["version"]
            size = round(statistics.median(result["bytes"] for result in found))
            row.note = f"{row.seconds * 1e6:.2f} µs a call; {size} bytes an identity (of {_IDENTITIES[client]})"
        rows.append(row)
    return rows


async def _aiogmail(identities: int) -> tuple[Callable[[], Awaitable[Any]], Any]:
    from aiogmail import TokenCache, TokenProvider

    until = datetime.now(UTC) + timedelta(hours=1)

    def provider(number: int) -> TokenProvider:
        async def fetch() -> tuple[str, datetime]:
            return f"ya29.token-{number}-" + "x" * 150, until

        return TokenProvider(fetch)

    cache = TokenCache()
    made = [(f"user{number}@gmail.com", provider(number)) for number in range(identities)]
    for address, credentials in made:
        await cache.get(address, credentials)
    address, credentials = made[identities // 2]
    return lambda: cache.get(address, credentials), (cache, made)


async def _authlib(identities: int) -> tuple[Callable[[], Awaitable[Any]], Any]:
    import ssl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from authlib.integrations.httpx_client import AsyncOAuth2Client
    context = ssl.create_default_context()

    def token(number: int) -> dict[str, Any]:
        text = f"ya29.token-{number}-" + "x" * 150
        return {"access_token": text, "refresh_token": "1//r", "token_type": "Bearer", "expires_at": int(time.time()) + 3600}

    made = [
        AsyncOAuth2Client("id", "secret", token=token(number), token_endpoint="https://127.0.0.1/token", verify=context)
        for number in range(identities)
    ]
    one = made[identities // 2]
    return lambda: one.ensure_active_token(one.token), made


async def _google_auth(identities: int) -> tuple[Callable[[], Awaitable[Any]], Any]:
    from google.oauth2.credentials import Credentials

    until = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
    made = [
        Credentials(f"ya29.token-{number}-" + "x" * 150, refresh_token="1//r", token_uri="https://127.0.0.1/token", expiry=until)
        for number in range(identities)
    ]
    one = made[identities // 2]
    headers: dict[str, str] = {}

    async def use() -> None:
        one.before_request(None, "GET", "https://127.0.0.1/", headers)

    return use, made


_MAKERS = {"aiogmail": _aiogmail, "authlib": _authlib, "google-auth": _google_auth}


async def _child(client: str, calls: int, identities: int) -> None:
    make = _MAKERS[client]
    _, small = await make(10)  # imports, and what is made once
    gc.collect()
    tracemalloc.start()
    use, kept = await make(identities)
    gc.collect()
    size = tracemalloc.get_traced_memory()[0] / identities
    tracemalloc.stop()
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(calls // 5):
            await use()
        best = min(best, (time.perf_counter() - began) / (calls // 5))
    print(json.dumps({"seconds": best, "bytes": size, "version": importlib.metadata.version(client) if client != "aiogmail" else _ours()}))
    for maker_result in (small, kept):
        if client == "aiogmail":
            await maker_result[0].aclose()
        elif client == "authlib":
            for one in maker_result:
                await one.aclose()


def _ours() -> str:
    try:
        return importlib.metadata.version("aiogmail")
    except importlib.metadata.PackageNotFoundError:
        return "source"


if __name__ == "__main__":
    asyncio.run(_child(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
