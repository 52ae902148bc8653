"""Every fault of a token endpoint, met by one consumer, by fifty, and by fifty whose first is cancelled; and the cases A01 of Authlib's client."""

import asyncio
import time

import pytest

from aiogmail.errors import LoginRequired, TokenEndpointError
from aiogmail.oauth import TokenCache, UserCredentials

from .harness import real
from .server import AuthServer
from .site import Reply, Site, client_context, issued, server_context

ME = "me@example.org"


async def drip(request, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


FAULTS = {
    "DNS": "https://nowhere.invalid/token",
    "connect": "https://127.0.0.1:1/token",
    "TLS": {"handler": lambda request: issued(), "tls": ("other.example",)},
    "503": {"handler": lambda request: Reply(503, b"busy")},
    "429 with Retry-After": {"handler": lambda request: Reply(429, {}, {"Retry-After": "20"})},
    "invalid_grant": {
        "handler": lambda request: Reply(400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
    },
    "200 {}": {"handler": lambda request: Reply(200, {})},
    "no expires_in": {"handler": lambda request: Reply(200, {"access_token": "NEW", "token_type": "Bearer"})},
    "negative": {"handler": lambda request: issued(expires_in=-5)},
    "truncated": {"handler": lambda request: Reply(200, b'{"access_token": "NEW", "tok')},
    "2 MiB": {"handler": lambda request: Reply(200, b" " * 2 * 1024 * 1024)},
    "redirect": {"handler": lambda request: Reply(302, b"", {"Location": "/elsewhere"})},
    "slow drip": {"raw": drip},
}


@pytest.mark.parametrize("waiters", ["one", "fifty", "fifty, the first cancelled"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_request_one_error_for_all_and_no_lasting_harm(fault, waiters):
    async def main():
        what = FAULTS[fault]
        if isinstance(what, str):
            async with Site(lambda request: issued()) as healthy:
                await meet(healthy, what)
        else:
            tls = server_context(*what["tls"]) if "tls" in what else True
            async with Site(what.get("handler"), raw=what.get("raw"), tls=tls) as site:
                await meet(site, site.token_uri)

    async def meet(site, token_uri):
        credentials = UserCredentials("c", "s", "1//r", token_uri=token_uri)
        async with TokenCache(ssl_context=client_context(), timeout=0.3) as tokens:
            start = time.perf_counter()
            tasks = [asyncio.create_task(tokens.get(ME, credentials)) for _ in range(1 if waiters == "one" else 50)]
            if waiters.endswith("cancelled"):
                await asyncio.sleep(0.001)
                tasks[0].cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert time.perf_counter() - start < 2
            errors = outcomes[1:] if waiters.endswith("cancelled") else outcomes
            kind = LoginRequired if fault == "invalid_grant" else TokenEndpointError
            assert {type(error) for error in errors} == {kind}
            assert len({str(error) for error in errors}) == 1
            assert len(site.requests) <= 1
            with pytest.raises(kind):  # remembered: nobody is asked again at once
                await tokens.get(ME, credentials)
            assert len(site.requests) <= 1
            if fault == "429 with Retry-After":
                assert 15 < errors[-1].retry_after <= 20

    real(main)


def count(site, n, **options):
    """``n`` consumers at once; gives what each got, and how many requests that took."""

    async def ask():
        async with TokenCache(ssl_context=client_context(), **options) as tokens:
            credentials = UserCredentials("c", "s", "1//r", token_uri=site.token_uri)
            outcomes = await asyncio.gather(*(tokens.get(ME, credentials) for _ in range(n)), return_exceptions=True)
            again = await asyncio.gather(*(tokens.get(ME, credentials) for _ in range(n)), return_exceptions=True)
        return outcomes + again, len(site.requests)

    return ask()


def test_a01b_a_hundred_waiters_and_a_failing_endpoint_make_one_request():
    async def main():
        async with Site(lambda request: Reply(503, {"e": 1})) as site:
            outcomes, requests = await count(site, 100)
            assert requests == 1
            assert {type(outcome) for outcome in outcomes} == {TokenEndpointError}

    real(main)


def test_a01b_a_life_shorter_than_any_leeway_makes_no_stampede():
    async def main():
        async with Site(lambda request: issued(expires_in=30)) as site:
            outcomes, requests = await count(site, 100)
            assert requests == 1
            assert {outcome.access_token.reveal() for outcome in outcomes} == {"ya29.token-1"}

    real(main)


def test_a01d_a_cancelled_leader_does_not_cost_a_rotated_refresh_token():
    async def main():
        async with AuthServer(rotate=0.0, delay=0.2) as server:
            credentials = UserCredentials("client-1", "secret-1", server.new_grant(ME), token_uri=server.token_uri)
            async with TokenCache(ssl_context=client_context()) as tokens:
                tasks = [asyncio.create_task(tokens.get(ME, credentials)) for _ in range(5)]
                while not server.ledger:
                    await asyncio.sleep(0.005)
                tasks[0].cancel()  # the server has rotated, and the answer is on its way
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
                assert [type(outcome).__name__ for outcome in outcomes] == ["CancelledError"] + ["Token"] * 4
                tokens.invalidate(ME, outcomes[1])
                await tokens.get(ME, credentials)
            assert [status for *_, status in server.ledger] == [200, 200]

    real(main)


def test_ten_thousand_tasks_and_one_expired_token_make_one_request():
    async def main():
        async with AuthServer(delay=0.1) as server:
            credentials = UserCredentials("client-1", "secret-1", server.new_grant(ME), token_uri=server.token_uri)
            async with TokenCache(ssl_context=client_context()) as tokens:
                for expected in (1, 2):
                    got = await asyncio.gather(*(tokens.get(ME, credentials) for _ in range(10_000)))
                    assert len({token.access_token for token in got}) == 1
                    assert len(server.ledger) == expected
                    tokens.invalidate(ME, got[0])

    real(main)
