import asyncio
import gzip
import socket
import ssl
import time

import pytest

from aiogmail.clock import SystemClock
from aiogmail.errors import AccessDenied, ConfigurationError, LoginRequired, TokenEndpointError
from aiogmail.oauth import ServiceAccountCredentials, TokenCache, UserCredentials
from aiogmail.oauth.http import REPLY_LIMIT, H, TokenEndpoint
from aiogmail.secret import Secret

from .harness import real
from .server import AuthServer, Client
from .site import Reply, Site, authority, client_context, issued, server_context

ME = "me@example.org"


def endpoint(**options):
    return TokenEndpoint(clock=SystemClock(), ssl_context=client_context(), **options)


def user(site, **more):
    return UserCredentials("client-1", "secret-1", "1//refresh", token_uri=site.token_uri, **more)


async def refresh(site, **options):
    return await endpoint(**options).refresh(user(site), Secret("1//refresh"))


def test_a_refresh_is_the_request_that_the_rfc_and_google_describe():
    async def main():
        async with Site(lambda request: issued(scope="https://mail.google.com/")) as site:
            reply = await refresh(site)
            assert reply.access_token.reveal() == "ya29.token-1"
            (request,) = site.requests
            assert (request.method, request.path) == ("POST", "/token")
            assert request.form == {
                "grant_type": "refresh_token",
                "refresh_token": "1//refresh",
                "client_id": "client-1",
                "client_secret": "secret-1",
                "scope": "https://mail.google.com/",
            }
            assert request.headers["content-type"].startswith("application/x-www-form-urlencoded")
            assert request.headers["accept-encoding"] == "identity"
            assert "authorization" not in request.headers

    real(main)


def test_a_client_without_a_secret_sends_its_id_alone():
    async def main():
        async with Site(lambda request: issued()) as site:
            await endpoint().refresh(UserCredentials("c+1 /?".replace(" ", ""), None, "r", token_uri=site.token_uri), Secret("a+b/c=&d"))
            assert site.requests[0].form["refresh_token"] == "a+b/c=&d"
            assert site.requests[0].form["client_id"] == "c+1/?"
            assert "client_secret" not in site.requests[0].form

    real(main)


def test_a_real_authorisation_server_gives_a_token():
    async def main():
        async with AuthServer() as server:
            refresh_token = server.new_grant(ME)
            credentials = UserCredentials("client-1", "secret-1", refresh_token, token_uri=server.token_uri)
            async with TokenCache(ssl_context=client_context()) as tokens:
                token = await tokens.get(ME, credentials)
            assert token.access_token.reveal() in server.access_tokens
            assert token.scopes == ("https://mail.google.com/",)
            assert token.deadline - SystemClock().now() == pytest.approx(3599, abs=5)

    real(main)


def test_a_real_authorisation_server_refuses_what_is_wrong():
    async def main():
        async with AuthServer() as server:
            good = server.new_grant(ME)
            server.grants[good].scope = "mail"
            revoked = server.new_grant(ME)
            server.grants[revoked].revoked = True
            for client, secret, refresh_token, kind in (
                ("client-1", "secret-1", revoked, LoginRequired),
                ("client-1", "secret-1", "1//unknown", LoginRequired),
                ("client-2", "secret-1", revoked, ConfigurationError),
                ("client-1", "wrong", revoked, ConfigurationError),
                ("client-1", "secret-1", good, AccessDenied),  # scope beyond the grant
            ):
                credentials = UserCredentials(client, secret, refresh_token, token_uri=server.token_uri)
                start = time.perf_counter()
                with pytest.raises(kind) as caught:
                    await endpoint().refresh(credentials, Secret(refresh_token))
                assert time.perf_counter() - start < 1
                assert type(caught.value) is kind

    real(main)


def rsa_key():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from joserfc.jwk import RSAKey

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem, RSAKey.import_key(public)


def test_a_service_account_acts_for_the_address_by_a_signed_assertion():
    async def main():
        pem, public = rsa_key()
        async with AuthServer() as server:
            robot = "robot@project.iam.gserviceaccount.com"
            server.clients[robot] = Client(robot, public_key=public, may_act_for=(ME,))
            info = {"client_email": robot, "private_key": pem, "private_key_id": "kid-1", "token_uri": server.token_uri}
            credentials = ServiceAccountCredentials.from_service_account_info(info)
            async with TokenCache(ssl_context=client_context()) as tokens:
                token = await tokens.get(ME, credentials)
                assert token.access_token.reveal() in server.access_tokens
                tokens.invalidate(ME, token)
                await tokens.get(ME, credentials)
            import json
            from base64 import urlsafe_b64decode

            header, claims = (json.loads(urlsafe_b64decode(part + "==")) for part in server.requests[0].form["assertion"].split(".")[:2])
            assert header == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}
            assert claims["sub"] == ME
            assert claims["iss"] == robot
            assert claims["aud"] == server.token_uri
            assert claims["scope"] == "https://mail.google.com/"
            assert claims["exp"] == claims["iat"] + 3600
            assert set(server.requests[0].form) == {"grant_type", "assertion"}
            # Not granted, and a key that the server does not know.
            other, _ = rsa_key()
            for subject, key, kind in (("you@example.org", pem, ConfigurationError), (ME, other, ConfigurationError)):
                wrong = ServiceAccountCredentials(robot, key, subject=subject, token_uri=server.token_uri)
                with pytest.raises(kind):
                    await endpoint().assert_identity(wrong, subject)

    real(main)


@pytest.mark.parametrize(
    "key", ["-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nx\n"]
)
def test_a_key_that_cannot_be_read_is_told_before_anything_is_sent(key):
    async def main():
        with pytest.raises(ConfigurationError, match="private_key: expected an RSA private key in PEM form"):
            await endpoint().assert_identity(ServiceAccountCredentials("robot@x", key, token_uri="https://127.0.0.1:1/"), ME)

    real(main)


def test_a_wrong_clock_is_told_with_its_distance():
    async def main():
        words = "Invalid JWT: Token must be a short-lived token (60 minutes). Check your iat and exp values in the JWT claim."
        reply = Reply(400, {"error": "invalid_grant", "error_description": words}, {"Date": "Wed, 21 Oct 2015 07:28:00 GMT"})
        async with Site(lambda request: reply) as site:
            with pytest.raises(ConfigurationError, match=r"clock of this machine is wrong.*ahead of the server's"):
                await refresh(site)

    real(main)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(200, {}), "HTTP 200, but the reply has no usable access_token"),
        (Reply(200, b"<html>"), "not a JSON object"),
        (Reply(200, b""), "not a JSON object"),
        (issued(expires_in=None), "expires_in"),
        (issued(expires_in=-5), "expires_in"),
        (issued(token_type="mac"), "token_type"),
        (Reply(429, {"message": "rate limited"}, {"Retry-After": "30"}), "HTTP 429"),
        (Reply(503, b"<html>busy</html>"), "HTTP 503"),
        (Reply(302, b"", {"Location": "https://evil.example/token"}), "not followed"),
        (Reply(307, b"", {"Location": "/token2"}), "not followed"),
        (Reply(200, gzip.compress(b'{"access_token": "x"}'), {"Content-Encoding": "gzip"}), "compressed"),
        (Reply(200, b" " * (REPLY_LIMIT + 1)), "longer than 64 KiB"),
        (Reply(200, b" " * (2 * 1024 * 1024)), "longer than 64 KiB"),
        (Reply(204, b""), "HTTP 204"),
        (Reply(404, b"not found"), "HTTP 404"),
    ],
)
def test_a01a_a_reply_that_is_no_token_replaces_nothing(reply, words):
    async def main():
        async with Site(lambda request: reply) as site:
            async with TokenCache(ssl_context=client_context()) as tokens:
                with pytest.raises(TokenEndpointError) as caught:
                    await tokens.get(ME, user(site))
                assert words in str(caught.value)
                assert site.token_uri in str(caught.value)
                assert caught.value.retryable
                site.handler = lambda request: issued()
                entry = next(iter(tokens._entries.values()))
                entry.retry_at = 0.0
                assert (await tokens.get(ME, user(site))).access_token.reveal() == "ya29.token-1"
            assert [request.form["refresh_token"] for request in site.requests] == ["1//refresh"] * 2

    real(main)


def test_an_error_that_comes_with_status_200_is_the_error_it_says():
    async def main():
        async with Site(
            lambda request: Reply(200, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."})
        ) as site:
            with pytest.raises(LoginRequired, match="expired or revoked"):
                await refresh(site)

    real(main)


def test_retry_after_reaches_the_caller():
    async def main():
        async with Site(lambda request: Reply(429, {}, {"Retry-After": "30"})) as site:
            with pytest.raises(TokenEndpointError) as caught:
                await refresh(site)
            assert caught.value.retry_after == 30

    real(main)


RAW = {
    "closed at once": b"",
    "no HTTP": b"hello\r\n\r\n",
    "cut in the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "cut in the body": b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"access',
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 1_000_000,
    "bad status": b"HTTP/1.1 abc OK\r\n\r\n",
}


@pytest.mark.parametrize("name", RAW)
def test_a_reply_that_is_no_http_is_a_retryable_error(name):
    async def main():
        async def raw(request, writer):
            writer.write(RAW[name])
            await writer.drain()

        async with Site(raw=raw) as site:
            with pytest.raises(TokenEndpointError, match="cannot be reached|gave no reply that can be read"):
                await refresh(site)

    real(main)


def test_a_slow_drip_ends_at_the_deadline_of_the_whole_exchange():
    async def main():
        async def raw(request, writer):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)

        async with Site(raw=raw) as site:
            start = time.perf_counter()
            with pytest.raises(TokenEndpointError, match=r"did not answer within 0.5 s"):
                await refresh(site, timeout=0.5)
            assert 0.4 < time.perf_counter() - start < 1.5

    real(main)


def test_a_refused_connection_is_told_at_once_in_the_systems_words():
    async def main():
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            uri = f"https://127.0.0.1:{unused.getsockname()[1]}/token"
            start = time.perf_counter()
            with pytest.raises(TokenEndpointError, match=r"cannot be reached: \[Errno \d+\] ") as caught:
                await endpoint().refresh(UserCredentials("c", "s", "r", token_uri=uri), Secret("r"))
            assert time.perf_counter() - start < 0.5
            assert isinstance(caught.value.__cause__, ConnectionRefusedError)
            assert uri in str(caught.value)

    real(main)


def test_a_name_that_does_not_resolve_is_told_in_the_systems_words():
    async def main():
        with pytest.raises(TokenEndpointError, match="nowhere.invalid.*cannot be reached: ") as caught:
            await endpoint().refresh(UserCredentials("c", "s", "r", token_uri="https://nowhere.invalid/token"), Secret("r"))
        assert isinstance(caught.value.__cause__, OSError)

    real(main)


def test_a_certificate_of_another_name_or_an_unknown_ca_gets_no_secret():
    async def main():
        async with Site(lambda request: issued(), tls=server_context("other.example")) as site:
            with pytest.raises(TokenEndpointError, match="certificate verify failed"):
                await refresh(site)
            assert site.requests == []
        async with Site(lambda request: issued()) as site:
            strange = TokenEndpoint(clock=SystemClock())  # the system's CAs
            with pytest.raises(TokenEndpointError, match="certificate verify failed") as caught:
                await strange.refresh(user(site), Secret("r"))
            assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
            assert site.requests == []

    real(main)


def test_a_context_that_does_not_verify_is_refused():
    lax = ssl.create_default_context()
    lax.check_hostname = False
    with pytest.raises(ConfigurationError, match="ssl_context: must verify"):
        TokenCache(ssl_context=lax)
    lax.verify_mode = ssl.CERT_NONE
    with pytest.raises(ConfigurationError, match="ssl_context: must verify"):
        TokenCache(ssl_context=lax)


def test_http_to_a_loopback_that_was_named_works():
    async def main():
        async with Site(lambda request: issued(), tls=None) as site:
            assert site.token_uri.startswith("http://127.0.0.1")
            await refresh(site)

    real(main)


def test_the_environments_proxies_are_not_looked_at(monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def main():
        async with Site(lambda request: issued()) as site:
            await refresh(site)

    real(main)


def test_a_proxy_that_is_asked_for_is_used():
    async def main():
        async def tunnel(request, writer):
            assert request.method == "CONNECT"
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        async with Site(lambda request: issued()) as site, Site(raw=tunnel, tls=None) as proxy:
            with pytest.raises(TokenEndpointError):
                await refresh(site, proxy=f"http://user:secret@127.0.0.1:{proxy.port}")
            assert len(proxy.requests) == 1
            assert site.requests == []

    real(main)
    for bad in ("socks5://h", 7, ""):
        with pytest.raises(ConfigurationError, match="proxy: expected") as caught:
            TokenCache(proxy=bad)
        assert "socks5" not in str(caught.value)


def test_no_connection_outlives_its_exchange():
    async def main():
        async with Site(lambda request: Reply(200, issued().body, {"Connection": "keep-alive"})) as site:
            door = endpoint()
            for _ in range(3):
                await door.refresh(user(site), Secret("r"))
            assert site.connections == 3

    real(main)


def test_an_exchange_that_is_cancelled_closes_its_connection():
    async def main():
        async def raw(request, writer):
            await asyncio.sleep(60)

        async with Site(raw=raw) as site:
            task = asyncio.create_task(refresh(site))
            while not site.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    real(main)


def test_a_revocation_is_the_request_that_google_describes():
    async def main():
        async with Site(lambda request: Reply(200, {})) as site:
            assert await endpoint().revoke(f"{site.origin}/revoke", Secret("1//r")) is True
            assert site.requests[0].form == {"token": "1//r"}
            site.handler = lambda request: Reply(400, {"error": "invalid_token", "error_description": "Token expired or revoked"})
            assert await endpoint().revoke(f"{site.origin}/revoke", Secret("1//r")) is False
            site.handler = lambda request: Reply(503, b"")
            with pytest.raises(TokenEndpointError):
                await endpoint().revoke(f"{site.origin}/revoke", Secret("1//r"))
        with pytest.raises(TokenEndpointError, match="cannot be reached"):
            await endpoint().revoke("https://127.0.0.1:1/revoke", Secret("1//r"))

    real(main)


def test_the_event_loop_is_not_held_by_the_first_exchange():
    async def main():
        async with Site(lambda request: issued()) as site:
            worst = 0.0

            async def tick():
                nonlocal worst
                while True:
                    before = time.perf_counter()
                    await asyncio.sleep(0.005)
                    worst = max(worst, time.perf_counter() - before - 0.005)

            client_context()
            ticker = asyncio.create_task(tick())
            await refresh(site)
            ticker.cancel()
            assert worst < 0.1  # it was 0.2 s when httpx loaded half of itself at the first request

    real(main)


def test_what_both_libraries_may_raise_beyond_their_promises_holds_no_secret(monkeypatch):
    async def main():
        door = endpoint()

        async def broken():
            raise RuntimeError("body was refresh_token=1//precious")

        monkeypatch.setattr(door, "_open", broken)
        with pytest.raises(TokenEndpointError, match="could not be asked: RuntimeError") as caught:
            await door.refresh(UserCredentials("c", "s", "1//precious", token_uri="https://127.0.0.1:1/"), Secret("1//precious"))
        assert "precious" not in str(caught.value)
        assert caught.value.__cause__ is None

    real(main)


def test_the_library_in_use_is_the_one_that_authlib_uses():
    from authlib.integrations.httpx_client import AsyncOAuth2Client

    assert issubclass(AsyncOAuth2Client, H.AsyncClient)
    assert authority() is authority()
