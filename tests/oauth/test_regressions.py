"""What a stranger's review found, each as a claim that did not hold before."""

import asyncio
import contextlib
import functools
import json
import logging
import os
import sys
import threading
from base64 import b64encode, urlsafe_b64encode
from dataclasses import replace
from urllib.parse import quote, quote_plus

import pytest

from aiogmail.errors import ConfigurationError, GmailError, LoginRequired, TokenEndpointError
from aiogmail.oauth import (
    MAIL_SCOPE,
    FileTokenStore,
    MemoryTokenStore,
    ServiceAccountCredentials,
    StoredToken,
    StoreUnavailable,
    TokenCache,
    TokenProvider,
    UserCredentials,
    login,
    revoke,
)
from aiogmail.oauth.credentials import identity_of, key_of
from aiogmail.oauth.entry import Obtained
from aiogmail.oauth.failure import Answer, read_failure, scrub
from aiogmail.oauth.stores import file
from aiogmail.oauth.stores.base import fingerprint, from_json, to_json
from aiogmail.oauth.token import BadReply, Reply, read_lifetime
from aiogmail.secret import Secret

from . import site as sites
from .harness import Source, real, virtual
from .server import AuthServer
from .site import Site, client_context
from .test_login import Browser, client
from .test_refresh import ME, Fragile, cache, record, renewed, user


async def refused(tokens, credentials, kind=GmailError):
    with pytest.raises(kind) as caught:
        await tokens.get(ME, credentials)
    return caught.value


def test_a_token_file_that_names_another_endpoint_is_not_sent_the_stored_refresh_token():
    async def main():
        got = []

        def hostile(request):
            got.append(request.form.get("refresh_token"))
            return sites.Reply(400, {"error": "invalid_grant"})

        async with AuthServer() as server, Site(hostile) as other:
            store = MemoryTokenStore()
            async with cache(store) as tokens:
                await tokens.get(ME, user(server, server.new_grant(ME)))
            ((key, stored),) = store._records.items()
            store._records[key] = replace(stored, expires_at=0.0)
            async with cache(store) as tokens:
                await refused(tokens, UserCredentials("client-1", "x", "1//theirs", token_uri=other.token_uri), LoginRequired)
        assert got == ["1//theirs"]

    real(main)


def test_a_refresh_token_that_rotates_under_equal_credentials_is_kept():
    async def main():
        async with AuthServer(rotate=0.0, delay=0.2) as server:
            refresh_token = server.new_grant(ME)
            one, two = user(server, refresh_token), user(server, refresh_token)
            async with cache() as tokens:
                first = asyncio.create_task(tokens.get(ME, one))
                await asyncio.sleep(0.05)
                await tokens.get(ME, two)
                tokens.invalidate(ME, await first)
                await tokens.get(ME, one)
            assert [status for *_, status in server.ledger] == [200, 200]

    real(main)


@pytest.mark.parametrize("how", ["down", "flushed"])
def test_who_took_a_token_from_the_store_knows_its_refresh_token_when_the_store_is_gone(how):
    async def main():
        async with AuthServer(rotate=0.0) as server:
            credentials, store = user(server, server.new_grant(ME)), Fragile()
            async with cache(store) as second:
                async with cache(store) as first:
                    await first.get(ME, credentials)
                token = await second.get(ME, credentials)
                if how == "down":
                    store.broken["all"] = StoreUnavailable("down")
                else:
                    store._records.clear()
                second.invalidate(ME, token)
                assert (await second.get(ME, credentials)).access_token != token.access_token

    real(main)


@pytest.mark.slow
def test_a_start_while_the_store_is_down_does_not_call_for_a_login():
    async def main():
        async with AuthServer(rotate=0.0) as server:
            credentials, store = user(server, server.new_grant(ME)), Fragile()
            async with cache(store) as tokens:
                token = await tokens.get(ME, credentials)
            store.broken["all"] = StoreUnavailable("down")
            async with cache(store) as tokens:
                error = await refused(tokens, credentials, TokenEndpointError)
                assert "the token store is out of order (down)" in str(error)
                store.broken.clear()
                await asyncio.sleep(1.1)
                assert (await tokens.get(ME, credentials)).access_token == token.access_token

    real(main)


def test_a_refresh_token_kept_for_later_is_written_though_the_wall_clock_was_set_back():
    async def main(clock):
        store, alive = Fragile(), ["1//0"]

        async def refresh(credentials, refresh_token):
            if refresh_token.reveal() != alive[-1]:
                raise LoginRequired("dead", connection_lost=False)
            alive.append(f"1//{len(alive)}")
            return Reply(Secret(f"ya29.{len(alive)}"), 3600.0, Secret(alive[-1]))

        credentials = UserCredentials("c", "s", "1//0")
        async with TokenCache(store, clock=clock) as tokens:
            tokens._refresher._endpoint.refresh = refresh
            await tokens.get(ME, credentials)
            store.broken["save"] = StoreUnavailable("full")
            clock.skew = -7200
            await renewed(tokens, credentials)
            store.broken.clear()
        assert record(store).refresh_token.reveal() == alive[-1]

    virtual(main)


def test_a_life_counts_from_the_sending_of_the_request():
    async def main(clock):
        asleep = [7200.0, 100.0]

        async def refresh(credentials, refresh_token):
            clock.slept += asleep.pop(0)  # the reply is in the socket, and the lid is closed
            return Reply(Secret(f"ya29.{len(asleep)}"), 3600.0)

        store = MemoryTokenStore()
        async with TokenCache(store, clock=clock) as tokens:
            tokens._refresher._endpoint.refresh = refresh
            token = await tokens.get(ME, UserCredentials("c", "s", "1//r"))
            assert token.access_token.reveal() == "ya29.0"  # the first was dead when it came
            assert token.deadline - clock.now() == pytest.approx(3500, abs=1)
            assert token.expires_at.timestamp() - clock.wall() == pytest.approx(3500, abs=1)
            assert record(store).expires_at - clock.wall() == pytest.approx(3500, abs=1)

    virtual(main)


def test_a_token_that_is_dead_on_arrival_again_and_again_is_an_error():
    async def main(clock):
        async def refresh(credentials, refresh_token):
            clock.slept += 7200
            return Reply(Secret("ya29.dead"), 3600.0)

        async with TokenCache(clock=clock) as tokens:
            tokens._refresher._endpoint.refresh = refresh
            assert "died on its way" in str(await refused(tokens, UserCredentials("c", "s", "1//r"), TokenEndpointError))

    virtual(main)


def test_a_dead_endpoint_holds_up_nobody_who_asks_another():
    async def main(clock):
        async def hang():
            await asyncio.sleep(1e6)

        good = Source(clock)
        async with TokenCache(clock=clock) as tokens:

            async def bad(number):
                with contextlib.suppress(GmailError):
                    await tokens.get(f"u{number}@x.org", TokenProvider(hang))

            others = [asyncio.create_task(bad(number)) for number in range(100)]
            await asyncio.sleep(0.01)
            before = clock.now()
            await tokens.get(ME, TokenProvider(good.fetch))
            assert clock.now() == before
            await asyncio.gather(*others)

    virtual(main)


def test_identities_of_a_dead_endpoint_do_not_keep_others_from_being_refreshed_ahead():
    async def main(clock):
        good, bad = Source(clock), Source(clock)
        async with TokenCache(clock=clock) as tokens:
            healthy, others = TokenProvider(good.fetch), TokenProvider(bad.fetch)
            for number in range(100):
                await tokens.get(f"u{number}@x.org", others)
            await asyncio.sleep(40)
            first = await tokens.get(ME, healthy)
            await asyncio.sleep(3000)
            for number in range(100):
                await tokens.get(f"u{number}@x.org", others)
            bad.delay = 1e6
            while clock.now() < first.deadline + 100:
                before = clock.now()
                await tokens.get(ME, healthy)
                assert clock.now() == before
                await asyncio.sleep(1)
            assert len(good.granted) == 2

    virtual(main)


def test_many_that_are_due_at_once_are_refreshed_sixteen_at_a_time():
    async def main(clock):
        source = Source(clock, lifetime=3600.0)
        async with TokenCache(clock=clock, refresh_ahead=0.0) as tokens:
            for number in range(50):
                await tokens.get(f"u{number}@x.org", TokenProvider(source.fetch))
            source.delay = 1.0
            await asyncio.sleep(1700)
            for number in range(50):
                await tokens.get(f"u{number}@x.org", TokenProvider(source.fetch))
            await asyncio.sleep(1910)
            assert len(source.granted) == 100
            moments = source.asked[50:]
            for moment in moments:
                assert sum(moment <= other < moment + 1.0 for other in moments) <= 16

    virtual(main)


def test_the_refresh_of_an_old_login_does_not_replace_the_token_of_the_new_one():
    async def main(clock):
        old, new = UserCredentials("c", "s", "1//old"), UserCredentials("c", "s", "1//new")
        async with TokenCache(clock=clock) as tokens:

            async def obtain(entry, want):
                is_old = entry.credentials is old
                await asyncio.sleep(5 if is_old else 1)
                return Obtained(Secret("ya29.old" if is_old else "ya29.new"), 3600.0, 3600.0)

            tokens._refresher.obtain = obtain
            first = asyncio.create_task(tokens.get(ME, old))
            await asyncio.sleep(0.5)
            assert (await tokens.get(ME, new)).access_token.reveal() == "ya29.new"
            await first
            assert (await tokens.get(ME, new)).access_token.reveal() == "ya29.new"

    virtual(main)


def test_two_logins_of_one_account_that_alternate_do_not_undo_each_others_back_off():
    async def main():
        async with Site(lambda request: sites.Reply(503, b"")) as site:
            one, two = (UserCredentials("c", "s", text, token_uri=site.token_uri) for text in ("1//a", "1//b"))
            async with cache() as tokens:
                for _ in range(10):
                    await asyncio.gather(refused(tokens, one), refused(tokens, two))
            assert len(site.requests) == 2

    real(main)


def test_two_logins_that_alternate_keep_their_lines_of_refresh_tokens():
    async def main():
        async with AuthServer(rotate=0.0) as server:
            one, two = user(server, server.new_grant(ME)), user(server, server.new_grant(ME))
            async with cache() as tokens:
                for _ in range(3):
                    await renewed(tokens, one)
                    await renewed(tokens, two)
            assert {status for *_, status in server.ledger} == {200}

    real(main)


def test_a_token_in_its_margin_is_taken_by_one_who_starts_while_the_endpoint_is_down():
    async def main(clock):
        store, asked = MemoryTokenStore(), []

        async def refresh(credentials, refresh_token):
            asked.append(clock.now())
            if len(asked) > 1:
                raise TokenEndpointError("down")
            return Reply(Secret("ya29.x"), 3600.0)

        credentials = UserCredentials("c", "s", "1//r")
        async with TokenCache(store, clock=clock) as tokens:
            tokens._refresher._endpoint.refresh = refresh
            await tokens.get(ME, credentials)
        await asyncio.sleep(3300)
        async with TokenCache(store, clock=clock) as tokens:
            tokens._refresher._endpoint.refresh = refresh
            before = clock.now()
            assert (await tokens.get(ME, credentials)).access_token.reveal() == "ya29.x"
            assert clock.now() == before
            await asyncio.sleep(0.1)
            assert len(asked) == 2  # tried at once, and nobody waits for it
            assert (await tokens.get(ME, credentials)).access_token.reveal() == "ya29.x"

    virtual(main)


def test_the_patience_with_a_black_hole_is_one_for_each_refresh():
    async def main(clock):
        source = Source(clock)
        credentials = TokenProvider(source.fetch)
        async with TokenCache(clock=clock, timeout=60.0) as tokens:
            token = await tokens.get(ME, credentials)
            await asyncio.sleep(3200)
            await tokens.get(ME, credentials)
            source.delay = 1000.0
            await asyncio.sleep(3550 - (clock.now() - token.deadline + 3600))
            waited = 0.0
            for _ in range(20):
                before = clock.now()
                assert await tokens.get(ME, credentials) is token
                waited += clock.now() - before
                await asyncio.sleep(0.1)
            assert waited <= 2.01

    virtual(main)


@pytest.mark.parametrize("min_ttl", ["60", float("nan"), None, -1.0])
def test_a_wish_that_is_no_number_is_refused_while_the_token_lives_too(min_ttl):
    async def main(clock):
        credentials = TokenProvider(Source(clock).fetch)
        async with TokenCache(clock=clock) as tokens:
            await tokens.get(ME, credentials)
            with pytest.raises(ConfigurationError, match="min_ttl"):
                await tokens.get(ME, credentials, min_ttl)

    virtual(main)


def test_closing_lets_a_slow_exchange_of_a_refresh_token_finish():
    async def main(clock):
        async def refresh(credentials, refresh_token):
            await asyncio.sleep(12)
            return Reply(Secret("ya29.x"), 3600.0, Secret("1//next"))

        store = MemoryTokenStore()
        tokens = TokenCache(store, clock=clock)
        tokens._refresher._endpoint.refresh = refresh
        waiter = asyncio.create_task(tokens.get(ME, UserCredentials("c", "s", "1//r")))
        await asyncio.sleep(1)
        await tokens.aclose()
        assert record(store).refresh_token.reveal() == "1//next"
        with pytest.raises(GmailError):
            await waiter

    virtual(main)


def test_closing_begins_no_exchange_any_more():
    async def main(clock):
        source = Source(clock, delay=1.0)
        tokens = TokenCache(clock=clock)
        waiters = [asyncio.create_task(tokens.get(f"u{n}@x.org", TokenProvider(source.fetch))) for n in range(40)]
        await asyncio.sleep(0.5)
        await tokens.aclose()
        assert len(source.asked) == 16
        await asyncio.gather(*waiters, return_exceptions=True)

    virtual(main)


def test_a_slow_store_after_an_outage_does_not_delay_the_refresh_of_what_is_in_use():
    async def main(clock):
        class Slow(MemoryTokenStore):
            slow, fail = 0.0, False

            async def load(self, key):
                await asyncio.sleep(self.slow)
                return await super().load(key)

            async def save(self, key, token, *, replaces):
                if self.fail:
                    raise StoreUnavailable("down")
                await asyncio.sleep(self.slow)
                return await super().save(key, token, replaces=replaces)

        store, asked = Slow(), []

        async def refresh(credentials, refresh_token):
            if refresh_token.reveal() == "1//me":
                asked.append(clock.now())
            return Reply(Secret(f"ya29.{clock.now()}"), 3600.0)

        async with TokenCache(store, clock=clock) as tokens:
            tokens._refresher._endpoint.refresh = refresh
            me = UserCredentials("c", "s", "1//me")
            await tokens.get(ME, me)
            store.fail = True
            await asyncio.sleep(3200)
            for number in range(60):
                await tokens.get(f"u{number}@x.org", UserCredentials("c", "s", f"1//{number:05d}"))
            store.fail, store.slow = False, 4.0
            for _ in range(350):
                before = clock.now()
                await tokens.get(ME, me)
                assert clock.now() - before <= 2.01
                await asyncio.sleep(1)
            assert asked[1] - asked[0] < 3330
            store.slow = 0.0

    virtual(main)


def test_a_lease_is_renewed_before_each_refresh_token_that_is_tried():
    async def main(clock):
        store, extended = MemoryTokenStore(), []

        class Watched(MemoryTokenStore):
            async def extend(self, key, lease, ttl):
                extended.append(ttl)
                return await super().extend(key, lease, ttl)

        store = Watched()
        async with TokenCache(store, clock=clock) as tokens:

            async def refresh(credentials, refresh_token):
                if refresh_token.reveal() != "1//theirs":
                    raise LoginRequired("dead", connection_lost=False)
                return Reply(Secret("ya29.x"), 3600.0)

            tokens._refresher._endpoint.refresh = refresh
            credentials = UserCredentials("c", "s", "1//given")
            key = key_of(identity_of(ME, credentials))
            store._records[key] = StoredToken(1, "another login", Secret("1//theirs"), None, 0.0, 3600.0)
            await tokens.get(ME, credentials)
            assert extended == [25.5, 25.5]

    virtual(main)


def test_who_has_lost_its_lease_does_not_refresh_beside_the_new_holder():
    async def main(clock):
        class Lost(MemoryTokenStore):
            async def extend(self, key, lease, ttl):
                return False

        async with TokenCache(Lost(), clock=clock) as tokens:
            tokens._refresher._endpoint.refresh = None
            error = await refused(tokens, UserCredentials("c", "s", "1//given"), TokenEndpointError)
            assert "taken over" in str(error)

    virtual(main)


@pytest.mark.slow
def test_while_a_rotated_refresh_token_cannot_be_written_nobody_presents_its_predecessor():
    async def main():
        async with AuthServer(rotate=0.0) as server:
            credentials, store = user(server, server.new_grant(ME)), Fragile()
            store.broken["save"] = OSError(28, "No space left on device")
            async with cache(store, timeout=1.0) as first, cache(store, timeout=1.0) as second:
                token = await first.get(ME, credentials)
                error = await refused(second, credentials, TokenEndpointError)
                assert "another process" in str(error)
                first.invalidate(ME, token)
                token = await first.get(ME, credentials)  # the holder itself goes on
                await first._refresher.flush()  # extends what it holds
                store.broken.clear()
                await first._refresher.flush()
                await asyncio.sleep(1.1)
                assert (await second.get(ME, credentials)).access_token == token.access_token
            assert [status for *_, status in server.ledger] == [200, 200]
            assert store._leases == {}

    real(main)


def test_leases_that_are_held_for_a_store_out_of_order_are_given_back_at_the_end():
    async def main(clock):
        store = Fragile()
        store.broken["save"] = StoreUnavailable("full")
        async with TokenCache(store, clock=clock) as tokens:

            async def refresh(credentials, refresh_token):
                return Reply(Secret("ya29.x"), 3600.0)

            tokens._refresher._endpoint.refresh = refresh
            await tokens.get(ME, UserCredentials("c", "s", "1//given"))
            assert len(store._leases) == 1

            async def gone(key, lease, ttl):
                raise StoreUnavailable("gone")

            store.extend = gone
            assert not await tokens._refresher.flush()
        assert store._leases == {}

    virtual(main)


def test_revoking_reaches_the_newest_refresh_token_and_the_record_goes_with_it():
    async def main():
        async with AuthServer(rotate=0.0) as server:
            credentials, store = user(server, server.new_grant(ME)), MemoryTokenStore()
            async with cache(store) as tokens:
                await tokens.get(ME, credentials)
            newest = record(store).refresh_token.reveal()
            options = {"revoke_uri": f"{server.origin}/revoke", "ssl_context": client_context()}
            with pytest.raises(ConfigurationError, match="give both"):
                await revoke(credentials, store=store, **options)
            assert await revoke(credentials, address=ME, store=store, **options)
            assert any(grant.revoked for grant in server.grants.values() if grant.refresh_token == newest)
            assert store._records == {}
            assert isinstance(await revoke(credentials, address=ME, store=store, **options), bool)  # no record is no error

    real(main)


ECHOES = {
    "url": lambda text: quote(text, safe=""),
    "plus": quote_plus,
    "lower": lambda text: quote(text, safe="").lower(),
    "base64": lambda text: b64encode(text.encode()).decode(),
    "urlsafe": lambda text: urlsafe_b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
}


@pytest.mark.parametrize("name", ECHOES)
@pytest.mark.parametrize("secret", ["1//canary+/=token", "plainword", "a b/c+d&ö"])
def test_no_form_of_a_secret_is_quoted(name, secret):
    echo = ECHOES[name](secret)
    assert echo not in scrub(f"cannot parse token={echo}&x", [Secret(secret)])


def test_a_token_that_is_not_known_to_be_one_is_not_quoted_either():
    told = scrub("could not log eyJNEWSECRET0123456789 of https://www.googleapis.com/auth/gmail.readonly, see unauthorized_client")
    assert told == "could not log … of https://www.googleapis.com/auth/gmail.readonly, see unauthorized_client"


def test_nothing_that_a_server_echoes_is_in_the_logs_of_the_library_below(caplog):
    async def main():
        def redirect(request):
            return sites.Reply(302, b"", {"Location": "https://x.example/?" + request.body.decode()})

        async with Site(redirect) as site:
            async with cache() as tokens:
                error = await refused(tokens, UserCredentials("c", "s", "1//canary", token_uri=site.token_uri))
        assert "canary" not in str(error)

    with caplog.at_level(logging.DEBUG):
        real(main)
    assert "canary" not in caplog.text


def test_a_reply_without_a_status_line_is_not_quoted(caplog):
    async def main():
        async def raw(request, writer):
            writer.write(b'{"access_token":"eyJhbGciOi.NEW.sig","refresh_token":"0.NEW","token_type":"Bearer","expires_in":3599}\r\n\r\n')
            await writer.drain()

        async with Site(raw=raw) as site:
            async with cache() as tokens:
                error = await refused(tokens, UserCredentials("c", "s", "1//canary", token_uri=site.token_uri), TokenEndpointError)
        assert "NEW" not in str(error)

    with caplog.at_level(logging.DEBUG):
        real(main)
    assert "NEW" not in caplog.text


@pytest.mark.parametrize("expires_in", [10**400, -(10**400), 0.001, 0.999, 0])
def test_a_life_beyond_any_number_or_below_a_second_is_a_bad_reply(expires_in):
    with pytest.raises(BadReply):
        read_lifetime(expires_in)


def test_a_record_with_a_number_beyond_any_other_is_damaged():
    with pytest.raises(ValueError, match="no number"):
        from_json({**to_json(StoredToken(1, "", None, None, 0.0, 1.0)), "expires_at": 10**400})


def test_a_bug_is_logged_without_the_values_it_met(monkeypatch, caplog):
    async def main(clock):
        async with TokenCache(clock=clock) as tokens:

            async def obtain(entry, want):
                raise ZeroDivisionError("canary")

            monkeypatch.setattr(tokens._refresher, "obtain", obtain)
            await refused(tokens, UserCredentials("c", "s", "1//r"), TokenEndpointError)

    virtual(main)
    (told,) = [line for line in caplog.records if "unforeseen" in line.getMessage()]
    assert told.exc_info is None
    assert "ZeroDivisionError" in told.getMessage()
    assert "test_regressions.py" in told.getMessage()
    assert "'canary'" not in told.getMessage()


def test_a_provider_does_not_show_the_arguments_of_its_function():
    async def fetch(token):
        raise NotImplementedError

    assert "secret" not in repr(TokenProvider(functools.partial(fetch, "1//secret")))


def test_nothing_goes_in_clear_through_a_proxy():
    async def main():
        async with Site(lambda request: sites.issued(), tls=None) as proxy:
            async with TokenCache(proxy=proxy.origin) as tokens:
                error = await refused(tokens, UserCredentials("c", "s", "1//r", token_uri="http://127.0.0.1:9/token"), ConfigurationError)
            assert "in clear" in str(error)
            assert proxy.connections == 0

    real(main)


@pytest.mark.parametrize("kind", ["user", "service"])
def test_the_timeout_of_an_exchange_holds_where_no_thread_is_free(kind, service_account):
    async def main():
        end, loop = threading.Event(), asyncio.get_running_loop()
        work = [loop.run_in_executor(None, end.wait) for _ in range(40)]
        credentials = UserCredentials("c", "s", "1//r") if kind == "user" else service_account
        async with TokenCache(timeout=0.2) as tokens:
            before = loop.time()
            await refused(tokens, credentials, TokenEndpointError)
            assert loop.time() - before < 1.0
            end.set()
            await asyncio.gather(*work)

    real(main)


@pytest.fixture
def service_account():
    return ServiceAccountCredentials("robot@x.iam", "-----BEGIN PRIVATE KEY-----\nnone\n-----END PRIVATE KEY-----")


async def logged_in(server, open_browser, **options):
    shown = []
    await login(client(server), open_browser=open_browser, show=shown.append, ssl_context=client_context(), timeout=5, **options)
    return shown


def test_short_names_of_scopes_may_be_answered_by_their_long_ones():
    async def main():
        async with AuthServer(rotate=60.0) as server:
            server.clients["client-1"].scopes = (MAIL_SCOPE, "email", "openid")
            granted = f"{MAIL_SCOPE} openid https://www.googleapis.com/auth/userinfo.email"
            server.hook = lambda request: sites.issued(scope=granted, refresh_token="1//r") if request.path == "/token" else None
            await logged_in(server, Browser(), scopes=f"{MAIL_SCOPE} openid email")

    real(main)


def test_a_browser_in_the_foreground_is_not_waited_for():
    async def main():
        ended = threading.Event()

        def browser(url):
            Browser()(url)
            ended.wait(10)

        async with AuthServer(rotate=60.0) as server:
            await logged_in(server, browser)
            ended.set()
            await asyncio.sleep(0.05)

    real(main)


def test_where_no_browser_can_be_opened_the_page_is_still_there_for_another():
    async def main():
        async with AuthServer(rotate=60.0) as server:
            shown = []

            def show(text):
                shown.append(text)
                if text.startswith("No browser"):
                    asyncio.get_running_loop().run_in_executor(None, Browser(), shown[0].split()[-1])

            def broken(url):
                raise OSError("no display")

            await login(client(server), open_browser=broken, show=show, ssl_context=client_context(), timeout=5)
            assert "open that page yourself" in shown[1]

    real(main)


@pytest.mark.parametrize(
    "words", ["Invalid grant: account not found", "Invalid JWT: Failed audience check.", "java.security.SignatureException", ""]
)
def test_a_service_account_that_is_refused_calls_for_no_login(words):
    body = json.dumps({"error": "invalid_grant", "error_description": words}).encode()
    error = read_failure(Answer(400, body), "E", assertion=True)
    assert type(error) is ConfigurationError
    assert "delegation" in str(error)
    assert type(read_failure(Answer(400, body), "E")) is LoginRequired


@pytest.mark.slow
def test_a_login_stored_by_another_process_ends_a_remembered_refusal():
    async def main():
        async with AuthServer(rotate=60.0) as server:
            dead, store = user(server, "1//dead"), Fragile()
            async with cache(store) as tokens, cache(store) as other:
                await refused(tokens, dead, LoginRequired)
                store.broken["load"] = StoreUnavailable("down")
                await refused(tokens, dead, LoginRequired)
                store.broken.clear()
                token = await other.get(ME, user(server, server.new_grant(ME)))
                await refused(tokens, dead, LoginRequired)  # looked at a moment ago
                await asyncio.sleep(1.1)
                assert (await tokens.get(ME, dead)).access_token == token.access_token
            assert [status for *_, status in server.ledger] == [400, 200]

    real(main)


def test_without_a_store_a_refusal_stays_one():
    async def main():
        async with AuthServer() as server, cache() as tokens:
            for _ in range(3):
                await refused(tokens, user(server, "1//dead"), LoginRequired)
            assert len(server.ledger) == 1

    real(main)


def test_an_old_login_that_still_runs_goes_on_with_the_new_ones_line_and_does_not_overwrite_it():
    async def main():
        async with AuthServer(rotate=0.0) as server:
            old, new, store = user(server, server.new_grant(ME)), user(server, server.new_grant(ME)), MemoryTokenStore()
            async with cache(store) as running:
                await running.get(ME, old)
                async with cache(store) as started:
                    await renewed(started, new)
                    await renewed(started, new)
                    await renewed(running, old)
                    await renewed(running, old)
            key, stored = next(iter(store._records.items()))
            assert stored.origin == fingerprint(new.refresh_token)
            store._records[key] = replace(stored, expires_at=0.0)
            async with cache(store) as tokens:
                await tokens.get(ME, new)
            assert {status for *_, status in server.ledger} == {200}

    real(main)


def test_a_damaged_file_on_a_full_disk_leaves_no_names_behind(tmp_path, monkeypatch):
    async def main():
        path = tmp_path / "s" / "t.json"
        path.parent.mkdir(mode=0o700)
        path.write_text("damaged")
        path.chmod(0o600)

        def full(*_):
            raise OSError(28, "No space left on device")

        store = FileTokenStore(path)
        stored = StoredToken(1, "", None, None, 0.0, 1.0)
        with monkeypatch.context() as patch:
            patch.setattr(file, "write_private", full)
            for _ in range(3):
                with pytest.raises(OSError, match="No space"):
                    await store.save("k", stored, replaces=0)
        assert list(path.parent.glob("*damaged*")) == []
        assert path.read_text() == "damaged"
        assert await store.save("k", stored, replaces=0)
        assert [kept.read_text() for kept in path.parent.glob("*damaged*")] == ["damaged"]

    real(main)


def test_two_who_write_a_token_file_do_not_take_each_others_new_file_away(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(file, "write_private", lambda path, data, suffix="": seen.append(suffix))
    for _ in range(2):
        UserCredentials("c", "s", "1//r").to_authorized_user_file(tmp_path / "token.json")
    assert len(set(seen)) == 2
    assert "" not in seen


def test_other_spellings_of_an_address_do_not_stay_when_it_is_forgotten():
    async def main(clock):
        credentials = TokenProvider(Source(clock).fetch)
        async with TokenCache(clock=clock) as tokens:
            for spelling in ("me@gmail.com", "Me@gmail.com", "ME@gmail.com"):
                await tokens.get(spelling, credentials)
            await asyncio.sleep(50_000)
            assert (tokens._entries, tokens._recent) == ({}, {})

    virtual(main)


def test_a_child_process_does_not_keep_a_lease_that_its_parent_gave_back(tmp_path):
    async def main():
        store = FileTokenStore(tmp_path / "s" / "t.json")
        lease = await store.acquire("k", 30.0)
        inherited = os.dup(lease._fd)  # what a fork leaves the child with
        await store.release("k", lease)
        again = await store.acquire("k", 30.0)
        assert again is not None
        await store.release("k", again)
        os.close(inherited)

    real(main)


def test_a_line_that_has_only_begun_does_not_hold_the_loop(monkeypatch):
    async def main():
        read, write = os.pipe()
        with os.fdopen(read) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            waiting = asyncio.create_task(sys.modules["aiogmail.oauth.login"]._ask("Paste: "))
            await asyncio.sleep(0.01)
            os.write(write, b"http://127.")
            await asyncio.sleep(0.05)  # the loop goes on
            os.write(write, b"0.0.1/\n")
            assert await waiting == "http://127.0.0.1/\n"
            os.close(write)

    real(main)


def test_equal_credentials_that_are_not_the_same_object_are_quick_too():
    async def main(clock):
        one, two = (UserCredentials("c", "s", "1//r") for _ in range(2))
        async with TokenCache(clock=clock) as tokens:

            async def refresh(credentials, refresh_token):
                return Reply(Secret("ya29.x"), 3600.0)

            tokens._refresher._endpoint.refresh = refresh
            await tokens.get(ME, one)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("aiogmail.oauth.cache.identity_of", None)  # is not worked out again
                assert await tokens.get(ME, two) is await tokens.get(ME, one)

    virtual(main)


def test_machines_whose_clocks_are_seconds_apart_refresh_once_for_all():
    async def main(clock):
        class Skewed:
            def __init__(self, seconds):
                self.seconds = seconds
                self.now = clock.now

            def wall(self):
                return clock.wall() + self.seconds

        store, asked = MemoryTokenStore(), []

        async def refresh(credentials, refresh_token):
            asked.append(clock.now())
            await asyncio.sleep(0.2)
            return Reply(Secret(f"ya29.{len(asked)}"), 3600.0)

        credentials = UserCredentials("c", "s", "1//r")
        async with contextlib.AsyncExitStack() as stack:
            caches = [await stack.enter_async_context(TokenCache(store, clock=Skewed(-3.0 * n))) for n in range(4)]
            for tokens in caches:
                tokens._refresher._endpoint.refresh = refresh
            end = clock.now() + 3 * 3250
            while clock.now() < end:
                await asyncio.gather(*(tokens.get(ME, credentials) for tokens in caches))
                await asyncio.sleep(10)
        assert all(later - first > 3000 for first, later in zip(asked, asked[1:], strict=False))

    virtual(main)
