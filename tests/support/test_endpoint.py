"""The token endpoint speaks HTTP that a stock client understands, and fails in the ways a test asks for."""

from __future__ import annotations

import asyncio
import http.client
import json
import urllib.parse

import pytest

from tests.support import ca
from tests.support.aio import run
from tests.support.endpoint import TokenEndpoint
from tests.support.jwt import Signer


def post(endpoint: TokenEndpoint, address: str, **changes: str) -> tuple[int, object]:
    """Refresh as a client would; the status and the decoded answer."""
    info = endpoint.authorized_user_info(address)
    form = {"grant_type": "refresh_token", **{name: info[name] for name in ("client_id", "client_secret", "refresh_token")}, **changes}
    if endpoint.tls:
        connection = http.client.HTTPSConnection("127.0.0.1", endpoint.port, context=ca.client_context(), timeout=5)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=5)
    try:
        connection.request("POST", "/token", urllib.parse.urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        body = response.read()
        return response.status, json.loads(body) if body.startswith(b"{") else body
    finally:
        connection.close()


@pytest.mark.parametrize("tls", [True, False], ids=["https", "http"])
@pytest.mark.parametrize("uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_a_refresh_token_buys_access_tokens_with_the_lifetime_that_was_asked_for(tls, uvloop):
    async def main() -> None:
        async with TokenEndpoint(tls=tls) as endpoint:
            endpoint.account("a@example.org", lifetime=5)
            answers = [await asyncio.to_thread(post, endpoint, "a@example.org") for _ in range(2)]
            assert [(status, answer["expires_in"], answer["token_type"]) for status, answer in answers] == [(200, 5, "Bearer")] * 2
            assert answers[0][1]["access_token"] != answers[1][1]["access_token"]
            assert [request.token for request in endpoint.issued("a@example.org")] == [answer["access_token"] for _, answer in answers]
            assert endpoint.requests[0].form["client_id"] == endpoint.client_id

    run(main(), uvloop=uvloop)


def test_who_shows_the_wrong_thing_gets_the_errors_of_google():
    async def main() -> None:
        async with TokenEndpoint() as endpoint:

            async def answer(**changes: str) -> tuple[int, str]:
                status, content = await asyncio.to_thread(post, endpoint, "a@example.org", **changes)
                return status, content["error"]

            assert await answer(client_secret="wrong") == (401, "invalid_client")
            assert await answer(refresh_token="wrong") == (400, "invalid_grant")
            assert await answer(grant_type="password") == (400, "unsupported_grant_type")
            endpoint.revoke("a@example.org")
            assert await answer() == (400, "invalid_grant")
            endpoint.faults.down = 503
            assert await answer() == (503, "backend_error")
            assert [request.status for request in endpoint.requests] == [401, 400, 400, 400, 503]
            assert endpoint.issued("a@example.org") == []

    run(main())


def test_planned_answers_come_once_in_order_and_slowly_if_asked():
    async def main() -> None:
        async with TokenEndpoint() as endpoint:
            endpoint.faults.replies = [(200, b"<html>"), (429, {"message": "slow"}, {"Retry-After": "3"}), None]
            assert await asyncio.to_thread(post, endpoint, "a@example.org") == (200, b"<html>")
            assert await asyncio.to_thread(post, endpoint, "a@example.org") == (429, {"message": "slow"})
            endpoint.faults.delay = 0.1
            began = asyncio.get_running_loop().time()
            assert (await asyncio.to_thread(post, endpoint, "a@example.org"))[0] == 200
            assert asyncio.get_running_loop().time() - began >= 0.1
            endpoint.faults.cut = True
            with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
                await asyncio.to_thread(post, endpoint, "a@example.org")
            assert [request.status for request in endpoint.requests] == [200, 429, 200, 0]

    run(main())


def test_a_bad_token_is_signed_by_nobody_and_a_rotating_one_is_good_once():
    async def main() -> None:
        signer = Signer()
        async with TokenEndpoint(signer) as endpoint:
            grant = endpoint.account("a@example.org")
            grant.bad = True
            _, answer = await asyncio.to_thread(post, endpoint, "a@example.org")
            assert not answer["access_token"].startswith(signer.prefix)
            grant.bad, grant.rotate, old = False, True, grant.refresh_token
            _, answer = await asyncio.to_thread(post, endpoint, "a@example.org")
            assert answer["access_token"].startswith(signer.prefix)
            assert answer["refresh_token"] == grant.refresh_token != old
            status, answer = await asyncio.to_thread(post, endpoint, "a@example.org", refresh_token=old)
            assert (status, answer["error"]) == (400, "invalid_grant")

    run(main())
