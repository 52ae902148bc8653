import asyncio
import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest

from aiogmail.errors import AccessDenied, ConfigurationError, LoginRequired, TokenEndpointError
from aiogmail.oauth import OAuthClient, TokenCache, UserCredentials, login, revoke
from aiogmail.oauth import login as function
from aiogmail.secret import Secret

from .harness import real
from .server import AuthServer, Client
from .site import Reply, Site, client_context, issued

module = sys.modules["aiogmail.oauth.login"]
ME = "me@example.org"


def client(server, **more):
    return OAuthClient("client-1", "secret-1", auth_uri=f"{server.origin}/auth", token_uri=server.token_uri, **more)


class Browser:
    """Opens the page, follows its redirect to the loopback, and keeps what was seen. Called in the executor, like a real one."""

    def __init__(self, change=lambda location: location):
        self.change = change
        self.urls, self.pages = [], []

    def __call__(self, url):
        self.urls.append(url)
        location = fetch(url)[1]["location"]
        self.pages.append(fetch(self.change(location)))
        return True

    async def page(self):
        """What the browser shows at the end; login does not wait for the browser to have read it."""
        async with asyncio.timeout(5):
            while not self.pages:
                await asyncio.sleep(0.01)
        (page,) = self.pages
        return page


def fetch(url, method="GET"):
    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    opener = urllib.request.build_opener(NoRedirect, urllib.request.HTTPSHandler(context=client_context()), urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, method=method), timeout=5) as response:
            return response.status, {k.lower(): v for k, v in response.headers.items()}, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read().decode()


async def log_in(server, browser, **options):
    shown = []
    credentials = await login(client(server), open_browser=browser, show=shown.append, ssl_context=client_context(), timeout=5, **options)
    return credentials, shown


def test_a_person_consents_in_the_browser_and_the_credentials_work():
    async def main():
        async with AuthServer(rotate=60.0) as server:
            browser = Browser()
            credentials, shown = await log_in(server, browser, address=ME)
            assert credentials.client_id == "client-1"
            assert credentials.scopes == ("https://mail.google.com/",)
            query = {key: value for key, (value,) in parse_qs(urlsplit(browser.urls[0]).query).items()}
            assert query["access_type"] == "offline"
            assert query["prompt"] == "consent"
            assert query["login_hint"] == ME
            assert query["response_type"] == "code"
            assert query["code_challenge_method"] == "S256"
            assert len(query["code_challenge"]) == 43
            assert len(query["state"]) >= 40
            assert query["redirect_uri"].startswith("http://127.0.0.1:")
            assert browser.urls[0] in shown[0]
            page = await browser.page()
            assert page[0] == 200
            assert "let in" in page[2]
            assert page[1]["cache-control"] == "no-store"
            assert page[1]["referrer-policy"] == "no-referrer"
            redeemed = next(request for request in server.requests if request.path == "/token").form
            assert redeemed["grant_type"] == "authorization_code"
            assert redeemed["redirect_uri"] == query["redirect_uri"]
            assert redeemed["code_verifier"] not in browser.urls[0]
            async with TokenCache(ssl_context=client_context()) as tokens:
                assert (await tokens.get(ME, credentials)).access_token.reveal() in server.access_tokens

    real(main)


def test_the_server_checks_the_challenge_and_we_send_another_each_time():
    async def main():
        async with AuthServer(rotate=60.0) as server:
            one, two = Browser(), Browser()
            await log_in(server, one)
            await log_in(server, two)
            challenges = {
                parse_qs(urlsplit(browser.urls[0]).query)[name][0] for browser in (one, two) for name in ("code_challenge", "state")
            }
            assert len(challenges) == 4
            # The same server refuses a code whose verifier is another: PKCE is real here.
            from aiogmail.clock import SystemClock
            from aiogmail.oauth.http import TokenEndpoint, authorization_url

            url = authorization_url(
                f"{server.origin}/auth", "client-1", "http://127.0.0.1:1", ("https://mail.google.com/",), "s", Secret("v" * 64), None
            )
            location = (await asyncio.get_running_loop().run_in_executor(None, fetch, url))[1]["location"]
            code = Secret(parse_qs(urlsplit(location).query)["code"][0])
            door = TokenEndpoint(clock=SystemClock(), ssl_context=client_context())
            with pytest.raises(LoginRequired, match="challenge"):
                await door.redeem("client-1", Secret("secret-1"), server.token_uri, code, Secret("w" * 64), "http://127.0.0.1:1")

    real(main)


def test_a_client_without_a_secret_may_log_in():
    async def main():
        async with AuthServer(rotate=60.0) as server:
            server.clients["public"] = Client("public")
            browser = Browser()
            public = OAuthClient("public", auth_uri=f"{server.origin}/auth", token_uri=server.token_uri)
            credentials = await login(public, open_browser=browser, show=lambda text: None, ssl_context=client_context(), timeout=5)
            assert credentials.client_secret is None

    real(main)


def test_denied_consent_is_explained():
    async def main():
        async with AuthServer() as server:
            server.consent = None
            browser = Browser()
            with pytest.raises(AccessDenied, match="consent was declined"):
                await log_in(server, browser)
            assert "not let in" in (await browser.page())[2]
            assert not [request for request in server.requests if request.path == "/token"]

    real(main)


def test_a_consent_without_the_box_for_gmail_is_explained():
    async def main():
        async with AuthServer(rotate=60.0) as server:
            server.clients["client-1"].scopes = ("openid",)
            server.hook = lambda request: issued(scope="openid", refresh_token="1//r") if request.path == "/token" else None
            with pytest.raises(AccessDenied, match="tick the box for Gmail"):
                await log_in(server, Browser())

    real(main)


def test_an_answer_without_a_refresh_token_is_explained():
    async def main():
        async with AuthServer() as server:
            server.hook = lambda request: issued() if request.path == "/token" else None
            with pytest.raises(LoginRequired, match="no refresh token"):
                await log_in(server, Browser())

    real(main)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ("admin_policy_enforced", LoginRequired, "administrator"),
        ("org_internal", AccessDenied, "organisation"),
        ("invalid_scope", AccessDenied, "scopes"),
        ("something_new", AccessDenied, "something_new"),
        ("deleted_client", ConfigurationError, "deleted"),
    ],
)
def test_what_the_page_refuses_is_told_by_the_same_table(error, kind, words):
    async def main():
        async with AuthServer() as server:
            with pytest.raises(kind, match=words):
                await log_in(
                    server, Browser(lambda url: f"{url.partition('?')[0]}?error={error}&state={parse_qs(urlsplit(url).query)['state'][0]}")
                )

    real(main)


def test_what_is_not_the_answer_to_our_question_is_ignored():
    async def main():
        async with AuthServer(rotate=60.0) as server:
            seen = []

            def stray(location):
                base = location.partition("?")[0]
                for url in (
                    f"{base}/favicon.ico",
                    f"{base}?code=x",
                    f"{base}?code=x&state=guess",
                    f"{base}?error=access_denied&state=ä",
                    base,
                    f"{base}?state={parse_qs(urlsplit(location).query)['state'][0]}",
                ):
                    seen.append(fetch(url.replace("ä", "%C3%A4"))[0])
                seen.append(fetch(location, "POST")[0])
                return location

            credentials, _ = await log_in(server, Browser(stray))
            assert seen == [404] * 7
            assert credentials.refresh_token

    real(main)


@pytest.mark.slow
def test_visitors_that_break_http_or_never_finish_stop_nobody():
    async def main():
        async with AuthServer(rotate=60.0) as server:
            held = []

            def rude(location):
                import socket

                port = urlsplit(location).port
                for words in (b"", b"GET", b"\xff\r\n\r\n", b"x" * 50_000):
                    visitor = socket.create_connection(("127.0.0.1", port))
                    if words:
                        visitor.sendall(words)
                    held.append(visitor)
                return location

            await log_in(server, Browser(rude))
            for visitor in held:
                visitor.close()

    real(main)


def test_nobody_at_the_page_ends_at_the_timeout():
    async def main():
        async with AuthServer() as server:
            with pytest.raises(LoginRequired, match=r"nobody consented within 0.2 s"):
                await login(client(server), open_browser=lambda url: True, show=lambda text: None, timeout=0.2)

    real(main)


def test_cancelling_the_login_leaves_nothing():
    async def main():
        async with AuthServer() as server:
            task = asyncio.create_task(login(client(server), open_browser=lambda url: True, show=lambda text: None))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    real(main)


def test_a_port_in_use_is_told():
    async def main():
        async with AuthServer() as server:
            with pytest.raises(ConfigurationError, match=rf"port: cannot listen on 127.0.0.1:{server.port}"):
                await login(client(server), port=server.port, open_browser=lambda url: True, show=lambda text: None)

    real(main)


async def paste(server, answers, **options):
    shown, asked = [], []

    async def ask(prompt):
        asked.append(prompt)
        location = (await asyncio.get_running_loop().run_in_executor(None, fetch, shown[0].split("\n")[1]))[1]["location"]
        return answers(location, len(asked))

    credentials = await login(client(server), browser=False, ask=ask, show=shown.append, ssl_context=client_context(), timeout=5, **options)
    return credentials, shown, asked


def test_without_a_browser_the_redirect_is_pasted():
    async def main():
        async with AuthServer(rotate=60.0) as server:
            credentials, shown, asked = await paste(server, lambda location, n: f"  {location}\n")
            assert credentials.refresh_token.reveal() in server.grants
            assert len(asked) == 1
            assert "cannot be loaded" in shown[0]

    real(main)


def test_a_paste_that_is_not_it_is_asked_for_again_three_times_in_all():
    async def main():
        async with AuthServer(rotate=60.0) as server:
            _, shown, asked = await paste(server, lambda location, n: location if n == 3 else ["", "http://[::1", "just the code"][n])
            assert len(asked) == 3
            assert shown[1].startswith("That is not it: it begins with http://127.0.0.1:")
            with pytest.raises(ConfigurationError, match="the pasted address: expected"):
                await paste(server, lambda location, n: location.replace("state=", "state=x"))

    real(main)


def test_a_pasted_refusal_is_told():
    async def main():
        async with AuthServer() as server:
            server.consent = None
            with pytest.raises(AccessDenied, match="declined"):
                await paste(server, lambda location, n: location, port=8080)

    real(main)


def test_the_default_ask_reads_a_line_from_stdin_and_can_be_cancelled(monkeypatch, capsys):
    async def main():
        read, write = os.pipe()
        with os.fdopen(read) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            waiting = asyncio.create_task(module._ask("Paste: "))
            await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            waiting = asyncio.create_task(module._ask("Paste: "))
            await asyncio.sleep(0.01)
            os.write(write, b"http://127.0.0.1/?code=x\nmore")
            assert await waiting == "http://127.0.0.1/?code=x\n"
            os.close(write)

    real(main)
    assert capsys.readouterr().err.count("Paste: ") == 2


def test_where_stdin_cannot_be_watched_it_is_read_in_the_executor(monkeypatch, tmp_path, capsys):
    async def main():
        import io

        monkeypatch.setattr(sys, "stdin", io.StringIO("line\n"))
        assert await module._ask("Paste: ") == "line\n"

    real(main)
    module._show("hello")
    assert "hello" in capsys.readouterr().err


def test_a_second_wake_up_of_stdin_is_harmless():
    async def main():
        future = asyncio.get_running_loop().create_future()
        module._resolve(future)
        module._resolve(future)
        assert future.done()

    real(main)


def test_bad_input_is_refused_before_anything_is_shown():
    async def main():
        shown = []
        one = OAuthClient("c", "s")
        for options, words in (({"scopes": ""}, "scopes"), ({"address": "nobody"}, "address"), ({"proxy": "x"}, "proxy")):
            with pytest.raises(ConfigurationError, match=words):
                await login(one, show=shown.append, open_browser=shown.append, **options)
        lax = ssl.create_default_context()
        lax.check_hostname = False
        with pytest.raises(ConfigurationError, match="ssl_context"):
            await login(one, show=shown.append, ssl_context=lax)
        assert shown == []

    real(main)


SECRETS = {
    "installed": {
        "client_id": "c.apps.googleusercontent.com",
        "client_secret": "GOCSPX-1",
        "project_id": "p",
        "redirect_uris": ["http://localhost"],
    }
}


def test_googles_client_secrets_file_is_read(tmp_path):
    path = tmp_path / "client_secret.json"
    path.write_text(json.dumps(SECRETS))
    one = OAuthClient.from_client_secrets_file(path)
    assert one == OAuthClient.from_client_secrets_info(SECRETS)
    assert (one.client_id, one.client_secret.reveal()) == ("c.apps.googleusercontent.com", "GOCSPX-1")
    assert one.auth_uri == "https://accounts.google.com/o/oauth2/v2/auth"
    assert one.token_uri == "https://oauth2.googleapis.com/token"
    assert "GOCSPX" not in repr(one)
    path.write_text(json.dumps({"web": {"client_id": "c"}}))
    with pytest.raises(ConfigurationError, match="path .*client_secret.json.*Desktop app"):
        OAuthClient.from_client_secrets_file(path)
    path.write_text("{")
    with pytest.raises(ConfigurationError, match="path: expected a JSON object"):
        OAuthClient.from_client_secrets_file(path)
    for info in (None, {}, {"installed": "x"}):
        with pytest.raises(ConfigurationError, match="info: expected"):
            OAuthClient.from_client_secrets_info(info)
    with pytest.raises(ConfigurationError, match="client_id"):
        OAuthClient.from_client_secrets_info({"installed": {}})
    with pytest.raises(ConfigurationError, match="auth_uri"):
        OAuthClient("c", auth_uri="http://accounts.example/auth")


def test_revoking_kills_the_refresh_token():
    async def main():
        async with AuthServer() as server:
            refresh_token = server.new_grant(ME)
            credentials = UserCredentials("client-1", "secret-1", refresh_token, token_uri=server.token_uri)
            assert await revoke(credentials, revoke_uri=f"{server.origin}/revoke", ssl_context=client_context())
            assert server.grants[refresh_token].revoked
            async with TokenCache(ssl_context=client_context()) as tokens:
                with pytest.raises(LoginRequired):
                    await tokens.get(ME, credentials)

    real(main)


def test_a_refresh_token_is_only_revoked_where_it_belongs(monkeypatch):
    async def main():
        with pytest.raises(ConfigurationError, match="revoke_uri: needed"):
            await revoke(UserCredentials("c", "s", "1//r", token_uri="https://idp.example/token"))
        with pytest.raises(ConfigurationError, match="revoke_uri: "):
            await revoke(UserCredentials("c", "s", "1//r"), revoke_uri="http://idp.example/revoke")
        async with Site(lambda request: Reply(200, {})) as site:
            monkeypatch.setattr(module, "GOOGLE_REVOKE_URI", f"{site.origin}/revoke")
            assert await revoke(UserCredentials("c", "s", "1//r"), ssl_context=client_context())
            assert site.requests[0].form == {"token": "1//r"}  # Google's takes the token alone
        with pytest.raises(TokenEndpointError, match="cannot be reached"):
            await revoke(UserCredentials("c", "s", "1//r"), ssl_context=client_context())

    real(main)


def test_the_package_gives_the_function_its_name():
    assert function is module.login
