import asyncio
import sys
import threading
import time
import types
from datetime import UTC, datetime, timedelta

import pytest
from google.auth.exceptions import ReauthFailError, RefreshError, TransportError
from google.oauth2.credentials import Credentials

from aiogmail.errors import AccessDenied, ConfigurationError, LoginRequired, TokenEndpointError
from aiogmail.oauth import GoogleAuthCredentials, TokenCache

from .harness import real

ME = "me@gmail.com"


class Request:
    """google-auth's transport, with the answers of a test; blocking, as they are."""

    def __init__(self, status=200, body=b'{"access_token": "ya29.google", "expires_in": 3599, "token_type": "Bearer"}', delay=0.0):
        self.answer = status, body
        self.delay = delay
        self.calls = []

    def __call__(self, url, method="GET", body=None, headers=None, timeout=None, **more):
        self.calls.append((url, method, timeout, threading.current_thread()))
        time.sleep(self.delay)

        class Response:
            status, data = self.answer
            headers = {}

        return Response


def google(**more):
    return Credentials(
        None, refresh_token="1//r", client_id="c", client_secret="s", token_uri="https://oauth2.googleapis.com/token", **more
    )


async def get(credentials, request, **options):
    async with TokenCache(**options) as tokens:
        return await tokens.get(ME, GoogleAuthCredentials(credentials, request))


def test_google_auths_credentials_are_refreshed_off_the_loops_thread():
    async def main():
        request = Request(delay=0.1)
        async with TokenCache() as tokens:
            credentials = GoogleAuthCredentials(google(), request)
            got = await asyncio.gather(*(tokens.get(ME, credentials) for _ in range(10)))
            assert {token.access_token.reveal() for token in got} == {"ya29.google"}
            assert abs(got[0].expires_at - datetime.now(UTC) - timedelta(seconds=3599)) < timedelta(seconds=5)
            ((url, method, timeout, thread),) = request.calls
            assert (url, method, timeout) == ("https://oauth2.googleapis.com/token", "POST", 20.0)
            assert thread is not threading.main_thread()

    real(main)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, b'{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}', LoginRequired, "revoked"),
        (401, b'{"error": "invalid_client", "error_description": "Unauthorized"}', ConfigurationError, "client_secret"),
        (400, b'{"error": "access_denied"}', AccessDenied, "does not let"),
        (400, b"nonsense", TokenEndpointError, "could not refresh: RefreshError"),
    ],
)
def test_what_google_auth_raises_is_told_by_the_same_table(status, body, kind, words):
    async def main():
        with pytest.raises(kind, match=words):
            await get(google(), Request(status, body))

    real(main)


class Odd:
    """Credentials of another make."""

    def __init__(self, error=None, token="t", expiry=None):
        self.error, self.token, self.expiry = error, token, expiry

    def refresh(self, request):
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    ("credentials", "kind", "words"),
    [
        (Odd(TransportError("no route")), TokenEndpointError, "TransportError: no route"),
        (Odd(RefreshError()), TokenEndpointError, "RefreshError: RefreshError"),
        (Odd(RefreshError("x", {"error": object()})), TokenEndpointError, "RefreshError: x"),
        (Odd(token=None, expiry=datetime.now(UTC)), ConfigurationError, "gave no token with an expiry"),
        (Odd(expiry=None), ConfigurationError, "gave no token with an expiry"),
        (Odd(expiry=datetime(2000, 1, 1)), TokenEndpointError, "google-auth gave a token that expired"),
    ],
)
def test_credentials_that_do_not_do_what_they_should_are_told(credentials, kind, words):
    async def main():
        with pytest.raises(kind, match=words):
            await get(credentials, Request())

    real(main)


def test_an_aware_expiry_is_taken_as_it_is():
    async def main():
        token = await get(Odd(expiry=datetime.now(UTC) + timedelta(hours=1)), Request())
        assert token.expires_at - datetime.now(UTC) > timedelta(minutes=59)

    real(main)


def test_a_refresh_that_blocks_too_long_fails_here():
    async def main():
        with pytest.raises(TokenEndpointError, match=r"google-auth gave no token within 0.1 s"):
            await get(google(), Request(delay=0.4), timeout=0.1)

    real(main)


def test_without_a_transport_the_extra_is_named(monkeypatch):
    async def main():
        monkeypatch.setitem(sys.modules, "google.auth.transport.requests", None)
        with pytest.raises(ConfigurationError, match=r"pip install 'google-auth\[requests\]'"):
            await get(google(), None)

    real(main)


class Requests:
    """The library of that name, as far as it is used."""

    def __init__(self):
        self.trust_env, self.max_redirects = True, 30


@pytest.fixture
def transport(monkeypatch):
    request = Request()

    def make(session):
        request.session = session
        return request

    monkeypatch.setitem(sys.modules, "google.auth.transport.requests", types.SimpleNamespace(Request=make))
    monkeypatch.setitem(sys.modules, "requests", types.SimpleNamespace(Session=Requests))
    return request


def test_google_auths_own_transport_is_the_default_without_the_environments_proxies_and_redirects(transport):
    async def main():
        assert (await get(google(), None)).access_token.reveal() == "ya29.google"
        assert len(transport.calls) == 1
        assert (transport.session.trust_env, transport.session.max_redirects) == (False, 0)

    real(main)


def test_by_default_nothing_goes_to_an_endpoint_in_clear(transport):
    async def main():
        credentials = Credentials(None, refresh_token="1//r", client_id="c", client_secret="s", token_uri="http://idp.example/token")
        with pytest.raises(ConfigurationError, match="would send secrets in clear"):
            await get(credentials, None)
        assert transport.calls == []

    real(main)


@pytest.mark.parametrize(
    ("credentials", "kind", "words"),
    [
        (Credentials("x"), ConfigurationError, "necessary fields"),
        (Odd(ReauthFailError("Reauthentication is needed.")), LoginRequired, "sign in again: Reauthentication"),
    ],
)
def test_what_a_person_must_mend_is_not_tried_again(credentials, kind, words):
    async def main():
        with pytest.raises(kind, match=words):
            await get(credentials, Request())

    real(main)
