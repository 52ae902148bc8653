"""What a stranger's review found, each as a claim that did not hold before."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from aiogmail.errors import ConfigurationError, GmailError, LoginRequired, TokenEndpointError
from aiogmail.oauth import MemoryTokenStore, StoreUnavailable, TokenCache, TokenProvider, UserCredentials
from aiogmail.oauth.entry import Obtained
from aiogmail.oauth.token import Reply
from aiogmail.secret import Secret

from . import site as sites
from .harness import Source, real, virtual
from .server import AuthServer
from .site import Site
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
