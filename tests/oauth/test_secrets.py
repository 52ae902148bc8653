"""Invariant I6 for this wing: no secret in a log at DEBUG, a repr, a pickle, an exception or a traceback's locals, nor in a file of a wrong mode."""

import asyncio
import contextlib
import itertools
import logging
import pickle
import stat
import traceback
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from aiogmail.clock import SystemClock
from aiogmail.errors import GmailError
from aiogmail.oauth import (
    AppPassword,
    FileTokenStore,
    KeyringTokenStore,
    MemoryTokenStore,
    OAuthClient,
    RedisTokenStore,
    ServiceAccountCredentials,
    StoreUnavailable,
    TokenCache,
    TokenProvider,
    UserCredentials,
    login,
    revoke,
)
from aiogmail.oauth.http import TokenEndpoint
from aiogmail.secret import Secret
from tests.support.canary import forms

from .harness import real
from .site import Reply, Site, client_context
from .stores.test_keyring import Fake
from .test_http import rsa_key
from .test_login import Browser

ME = "me@example.org"
REFRESH = "1//canary-refresh+/=token-0123456789"
SECRET = "GOCSPX-canary+client-secret-0123456789"
ACCESS = "ya29.canary-access-token-0123456789-0123456789"
NEXT = "1//canary-next-refresh-token-0123456789"
PASSWORD = "canary app password"
CODE = "4/canary-authorisation-code-0123456789"
TESTS = str(Path(__file__).parent)


class Canary(logging.Handler):
    """Hears every logger, and reads every text that it is given, for every form of every secret."""

    def __init__(self, *more):
        super().__init__(logging.NOTSET)
        self.forms = {form for secret in (REFRESH, SECRET, ACCESS, NEXT, PASSWORD, CODE, *more) for form in forms(secret)}
        self.found = []
        self.looked = 0

    def emit(self, record):
        self.look(self.format(record), f"log {record.name}")

    def look(self, text, where):
        self.looked += 1
        self.found += [(where, form) for form in self.forms if form in text]

    def look_at_error(self, error, where):
        """The whole chain, also what is suppressed; texts, attributes, and the locals of all frames that are not a test's."""
        queue, seen = [error], set()
        while queue:
            current = queue.pop()
            if current is None or id(current) in seen:
                continue
            seen.add(id(current))
            queue += [current.__cause__, current.__context__, *getattr(current, "exceptions", ())]
            self.look(f"{current} {current!r} {current.args!r} {vars(current)!r}", f"{where}: {type(current).__name__}")
            self.look("".join(traceback.format_exception(current)), f"{where}: printed")
            for frame, line in traceback.walk_tb(current.__traceback__):
                if not frame.f_code.co_filename.startswith(TESTS):
                    for name, value in frame.f_locals.items():
                        self.look(repr(value), f"{where}: {frame.f_code.co_filename}:{line} {name}")


@contextlib.contextmanager
def canary(*more):
    watch, root = Canary(*more), logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(watch)
    try:
        yield watch
    finally:
        root.removeHandler(watch)
        root.setLevel(level)
    assert watch.looked > 5
    assert not watch.found, watch.found[:3]


def user(site):
    return UserCredentials("client-1", SECRET, REFRESH, token_uri=site.token_uri)


def good(**more):
    return Reply(200, {"access_token": ACCESS, "token_type": "Bearer", "expires_in": 3599, **more})


BAD_REPLIES = {
    "refused": Reply(400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}),
    "echo": Reply(400, {"error": "invalid_grant", "error_description": f"no token {REFRESH} of client {SECRET}"}),
    "redirect": Reply(302, REFRESH.encode(), {"Location": "https://evil.example/"}),
    "no expiry": Reply(200, {"access_token": ACCESS, "token_type": "Bearer", "refresh_token": NEXT}),
    "bad refresh token": good(refresh_token=f"{NEXT} with a blank"),
    "bad json": Reply(200, f'{{"access_token": "{ACCESS}",'.encode()),
    "html": Reply(503, f"<html>{ACCESS}</html>".encode()),
    "too long": Reply(200, ACCESS.encode() * 3000),
    "unknown client": Reply(401, {"error": "invalid_client"}),
    "length that lies": Reply(200, good().body, {"Content-Length": "5000"}),
}


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_no_refusal_shows_a_secret(name):
    async def main(watch):
        async with Site(lambda request: BAD_REPLIES[name]) as site, TokenCache(ssl_context=client_context(), timeout=2) as tokens:
            for _ in range(2):  # the refresh itself, and what is remembered of it
                with pytest.raises(GmailError) as caught:
                    await tokens.get(ME, user(site))
                watch.look_at_error(caught.value, name)

    with canary() as watch:
        real(lambda: main(watch))


def test_no_network_failure_shows_a_secret():
    async def main(watch):
        async def hang(request, writer):
            await asyncio.sleep(30)

        async def reset(request, writer):
            writer.transport.abort()

        async with Site(raw=hang) as slow, Site(raw=reset) as broken:
            uris = {"refused": "https://127.0.0.1:1/token", "no such name": "https://nowhere.invalid/token"}
            uris |= {"timeout": slow.token_uri, "reset": broken.token_uri}
            for name, uri in uris.items():
                async with TokenCache(ssl_context=client_context(), timeout=0.2) as tokens:
                    with pytest.raises(GmailError) as caught:
                        await tokens.get(ME, UserCredentials("client-1", SECRET, REFRESH, token_uri=uri))
                    watch.look_at_error(caught.value, name)
            door = TokenEndpoint(clock=SystemClock(), ssl_context=client_context())
            task = asyncio.create_task(door.refresh(user(slow), Secret(REFRESH)))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await task
            watch.look_at_error(cancelled.value, "cancelled")

    with canary() as watch:
        real(lambda: main(watch))


def test_nothing_that_is_held_shows_a_secret_nor_lets_itself_be_pickled():
    pem, _ = rsa_key()

    async def main(watch):
        store = MemoryTokenStore()
        n = itertools.count()

        def answer(request):
            return good(access_token=f"{ACCESS}{next(n)}", refresh_token=NEXT)

        async with Site(answer) as site, TokenCache(store, ssl_context=client_context()) as tokens:
            token = await tokens.get(ME, user(site))
            tokens.invalidate(ME, token)
            token = await tokens.get(ME, user(site))
            (entry,) = tokens._entries.values()
            (record,) = store._records.values()
            robot = ServiceAccountCredentials("robot@x", pem, token_uri=site.token_uri)
            await tokens.get(ME, robot)

            async def fetch():
                raise NotImplementedError

            things = [
                token, entry, record, store, tokens, tokens._refresher, tokens._refresher._endpoint, tokens._refresher._endpoint._keys,
                user(site), robot, AppPassword(PASSWORD), TokenProvider(fetch), OAuthClient("client-1", SECRET), Secret(ACCESS),
                RedisTokenStore(f"redis://:{SECRET}@localhost"), KeyringTokenStore(backend=Fake()), FileTokenStore("x"),
            ]  # fmt: skip
            for thing in things:
                for text in (repr(thing), str(thing), f"{thing}", repr([thing])):
                    watch.look(text, type(thing).__name__)
                slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
                watch.look(repr([getattr(thing, name, None) for name in slots if name != "_value"]), f"slots of {type(thing).__name__}")
                watch.look(repr(getattr(thing, "__dict__", {})), f"dict of {type(thing).__name__}")
                with contextlib.suppress(Exception):
                    watch.look(repr(pickle.dumps(thing)), f"pickle of {type(thing).__name__}")

    with canary(pem.split("\n")[3]) as watch:
        real(lambda: main(watch))


def test_no_store_in_trouble_shows_a_secret(tmp_path):
    async def main(watch):
        async with Site(lambda request: good(refresh_token=NEXT)) as site:
            path = tmp_path / "s" / "tokens.json"
            broken = Fake()
            broken.fail = StoreUnavailable("locked")
            path.parent.mkdir(mode=0o700)
            path.write_text(f'{{"{REFRESH}": "{ACCESS}"')
            path.chmod(0o600)
            for store in (FileTokenStore(path), KeyringTokenStore(backend=broken), RedisTokenStore(f"redis://:{SECRET}@127.0.0.1:1/0")):
                async with TokenCache(store, ssl_context=client_context()) as tokens:
                    await tokens.get(ME, user(site))
            for entry in path.parent.iterdir():
                assert stat.S_IMODE(entry.stat().st_mode) == 0o600
                watch.look(entry.name, "file name")
            assert ACCESS in path.read_text()
            path.chmod(0o644)
            async with TokenCache(FileTokenStore(path), ssl_context=client_context()) as tokens:
                with pytest.raises(GmailError) as caught:
                    await tokens.get(ME, user(site))
                watch.look_at_error(caught.value, "wrong mode")
            redis = RedisTokenStore(f"redis://:{SECRET}@127.0.0.1:1/0")
            with pytest.raises(StoreUnavailable) as unavailable:
                await redis.load("key")
            watch.look(str(unavailable.value), "redis")
            await redis.aclose()

    with canary() as watch:
        real(lambda: main(watch))


def test_no_login_shows_a_secret():
    async def main(watch):
        def answer(request):
            if request.path == "/auth":
                return Reply(302, b"", {"Location": f"{request.query['redirect_uri']}?code={CODE}&state={request.query['state']}"})
            return site.answers.pop(0)

        async with Site(answer) as site:
            client = OAuthClient("client-1", SECRET, auth_uri=f"{site.origin}/auth", token_uri=site.token_uri)
            site.answers = [good(refresh_token=NEXT, scope="https://mail.google.com/"), good(refresh_token=NEXT, scope="other"), good()]
            site.answers += [*BAD_REPLIES.values()]
            for _ in range(len(site.answers)):
                try:
                    credentials = await login(
                        client, open_browser=Browser(), show=lambda text: None, ssl_context=client_context(), timeout=5
                    )
                    watch.look(repr(credentials), "credentials")
                except GmailError as error:
                    watch.look_at_error(error, "login")
            site.answers = [Reply(503, NEXT.encode())]
            with pytest.raises(GmailError) as caught:
                await revoke(user(site), revoke_uri=f"{site.origin}/revoke", ssl_context=client_context())
            watch.look_at_error(caught.value, "revoke")

    with canary() as watch:
        real(lambda: main(watch))


def test_the_canary_hears_and_sees():
    def show():
        with canary() as watch:
            watches.append(watch)
            for _ in range(6):
                logging.getLogger("any.logger").debug("token %s", ACCESS)

    watches = []
    with pytest.raises(AssertionError):
        show()
    (watch,) = watches
    assert watch.found[0][0] == "log any.logger"
    for text in (ACCESS.encode().hex(), f"user%3D{quote(REFRESH, safe='')}", b64encode(b"x=" + NEXT.encode()).decode()):
        watch.found.clear()
        watch.look(text, "x")
        assert watch.found
