"""The token endpoint: thirteen ways to fail, met by one consumer, by fifty, and by fifty whose first is cancelled.

(tests/oauth/test_faults.py meets them over real TCP and TLS.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from aiogmail import LoginRequired, TokenCache, TokenEndpointError
from aiogmail.testing import Behaviour, Fault, GmailEmulator
from tests.faults.harness import ME, Family, Verdict, Violation, in_loop, no_secret
from tests.support.canary import CANARIES

_WAITERS = {"one": 1, "fifty": 50, "leader-cancelled": 50}
_HEALED = 1000.0  # longer than any back-off that one failure leads to


@dataclass(frozen=True, slots=True)
class TokenCase:
    """One failure of the endpoint, and who meets it."""

    point: str
    kind: str
    arm: Callable[[GmailEmulator], None]
    error: type[Exception] = TokenEndpointError
    tls: bool = False
    heals: bool = True


def _answer(text: str, data: bytes = b"") -> Callable[[GmailEmulator], None]:
    return lambda server: server.faults.add(Fault("answer", "TOKEN", protocol="http", text=text, data=data))  # type: ignore[func-returns-value]


def _no_name(_server: GmailEmulator) -> None:
    loop = asyncio.get_running_loop()
    loop.network.names.discard("localhost")  # type: ignore[attr-defined]
    loop.call_later(60.0, loop.network.names.add, "localhost")  # type: ignore[attr-defined]


def _no_listener(server: GmailEmulator) -> None:
    listener = server._servers.pop("http")
    listener.close()
    asyncio.get_running_loop().call_later(60.0, lambda: asyncio.ensure_future(server.resume("http")))


def _drip(server: GmailEmulator) -> None:
    server.faults.add(Fault("delay", "TOKEN", protocol="http", point="reply", byte=5, seconds=400.0))


_FAILURES: dict[str, tuple[Callable[[GmailEmulator], None], type[Exception]]] = {
    "dns": (_no_name, TokenEndpointError),
    "connect": (_no_listener, TokenEndpointError),
    "tls": (lambda _server: None, TokenEndpointError),
    "5xx": (_answer("503 busy"), TokenEndpointError),
    "429": (_answer('429 {"error": "rate_limit_exceeded"}', b"Retry-After: 20\r\n"), TokenEndpointError),
    "invalid-grant": (lambda server: server.account(ME).revoke(), LoginRequired),
    "empty": (_answer("200 {}"), TokenEndpointError),
    "no-expiry": (_answer('200 {"access_token": "ya29.never", "token_type": "Bearer"}'), TokenEndpointError),
    "negative-expiry": (_answer('200 {"access_token": "ya29.never", "token_type": "Bearer", "expires_in": -5}'), TokenEndpointError),
    "truncated": (_answer('200 {"access_token": "ya29.never", "tok'), TokenEndpointError),
    "two-mebibytes": (_answer("200 " + " " * 2 * 1024 * 1024), TokenEndpointError),
    "redirect": (_answer("302 ", b"Location: http://localhost/elsewhere\r\n"), TokenEndpointError),
    "slow-drip": (_drip, TokenEndpointError),
}


def _cells() -> Iterator[TokenCase]:
    for point, (arm, error) in _FAILURES.items():
        for kind in _WAITERS:
            yield TokenCase(point, kind, arm, error, tls=point == "tls", heals=point not in {"tls", "invalid-grant"})


def run_token_case(case: TokenCase, *, seed: int = 0, real: bool = False) -> Verdict:
    """Run a case and judge it."""
    assert not real
    return in_loop(_met(case), f"{case.point}/{case.kind}", seed=seed)


async def _met(case: TokenCase) -> Verdict:
    options = {"tls": True, "certificate_for": ("other.example",)} if case.tls else {}
    # An endpoint that rotates and whose answer is lost leaves a dead refresh token: then only a person can help, and no client.
    behaviour = Behaviour(rotate_refresh_tokens=case.point != "slow-drip")
    async with GmailEmulator(behaviour=behaviour, **options) as server:
        server.hub.tokens.word = lambda prefix, _size=40: CANARIES.secret(prefix)  # type: ignore[method-assign]
        account = server.add_account(ME)
        uri = server.url("/token", "https") if case.tls else f"http://localhost:{server.port('http')}/token"
        server.oauth.token_uris.add(uri)
        credentials = replace(account.credentials(), token_uri=uri)
        loop = asyncio.get_running_loop()
        async with TokenCache(clock=loop.clock, ssl_context=server.ssl_context) as tokens:  # type: ignore[attr-defined]
            case.arm(server)
            tasks = [asyncio.create_task(tokens.get(ME, credentials)) for _ in range(_WAITERS[case.kind])]
            first = tasks[0]
            if case.kind == "leader-cancelled":
                for _ in range(3):
                    await asyncio.sleep(0)
                first.cancel()
            await asyncio.wait(tasks, timeout=100)
            if not all(task.done() for task in tasks):
                raise Violation("I4 a consumer was still waiting after 100 s")
            verdicts = [Verdict.of(case, task, loop.time()) for task in tasks]
            _judge(case, server, verdicts)
            if case.heals:
                await asyncio.sleep(_HEALED)
                server.faults.clear()
                got = await tokens.get(ME, credentials)
                if got.access_token.reveal() not in server.hub.tokens.access:
                    raise Violation("I9 a token that the endpoint never gave")
                if len(account.ledger.refreshes()) > 2:  # a reply that was lost on its way may have been a token; then one more
                    raise Violation(f"I9 {len(account.ledger.refreshes())} refreshes")
    return verdicts[-1]


def _judge(case: TokenCase, server: GmailEmulator, verdicts: list[Verdict]) -> None:
    others = verdicts
    if case.kind == "leader-cancelled":
        if verdicts[0].outcome != "cancelled":
            raise Violation(f"the first was cancelled and came out as {verdicts[0].outcome}")
        others = verdicts[1:]
    if {verdict.outcome for verdict in others} != {case.error.__name__}:
        raise Violation(f"expected {case.error.__name__} for all, got { {verdict.outcome for verdict in others} }")
    for error in {str(verdict.error): verdict.error for verdict in others}.values():
        assert error is not None
        no_secret(error)
    asked = server.ledger.verbs("http").count("TOKEN")
    if asked > 1:
        raise Violation(f"I9 {asked} requests for one failure")


TOKENS = Family("Token endpoint", _cells, run_token_case)
test_a_failing_endpoint_is_asked_once_and_told_to_all = TOKENS.test()
