"""One identity's next token: alone, among others, and with a store that is out of order."""

import asyncio
import contextlib
import logging
from dataclasses import replace

import pytest

from aiogmail.clock import SystemClock
from aiogmail.errors import ConfigurationError, TokenEndpointError
from aiogmail.oauth import FileTokenStore, MemoryTokenStore, StoredToken, StoreUnavailable, TokenCache, UserCredentials
from aiogmail.oauth.entry import Entry, Obtained
from aiogmail.oauth.refresh import store_key
from aiogmail.oauth.token import Reply
from aiogmail.secret import Secret

from .harness import real, virtual
from .line import ME, STORED, line
from .server import AuthServer
from .site import client_context


class Wall(SystemClock):
    """A clock whose wall may be set."""

    skew = 0.0

    def wall(self):
        return super().wall() + self.skew


class Fragile(MemoryTokenStore):
    """A memory store that can be out of order, wholly or in one of its methods."""

    def __init__(self):
        super().__init__()
        self.broken = {}
        self.closed = 0

    def _maybe(self, name):
        if (error := self.broken.get(name) or self.broken.get("all")) is not None:
            raise error

    async def load(self, key):
        self._maybe("load")
        return await super().load(key)

    async def save(self, key, token, *, replaces):
        self._maybe("save")
        return await super().save(key, token, replaces=replaces)

    async def acquire(self, key, ttl):
        self._maybe("acquire")
        return await super().acquire(key, ttl)

    async def release(self, key, lease):
        await super().release(key, lease)
        self._maybe("release")

    async def aclose(self):
        self.closed += 1


def cache(store=None, **options):
    return TokenCache(store, ssl_context=client_context(), **options)


def user(server, refresh_token):
    return UserCredentials("client-1", "secret-1", refresh_token, token_uri=server.token_uri)


def record(store):
    (found,) = store._records.values()
    return found


async def renewed(tokens, credentials):
    """The next token, as if the server had refused the last."""
    tokens.invalidate(ME, await tokens.get(ME, credentials))
    return await tokens.get(ME, credentials)


def test_without_a_store_a_rotating_refresh_token_is_followed_in_memory():
    async def main():
        async with AuthServer(rotate=0.0) as server:  # strict: the predecessor is dead at once
            credentials = user(server, server.new_grant(ME))
            async with cache() as tokens:
                await tokens.get(ME, credentials)
                for _ in range(5):
                    await renewed(tokens, credentials)
            assert [status for *_, status in server.ledger] == [200] * 6

    real(main)


def test_a_rotated_refresh_token_is_written_through_and_the_next_process_goes_on_with_it(tmp_path):
    async def main():
        async with AuthServer(rotate=0.0) as server:
            credentials = user(server, server.new_grant(ME))
            for _ in range(3):
                async with cache(FileTokenStore(tmp_path / "s" / "t.json")) as tokens:
                    await renewed(tokens, credentials)
            assert [status for *_, status in server.ledger] == [200] * 4  # a new process takes what is stored

    real(main)


def test_a_good_token_in_the_store_needs_no_request():
    async def main():
        async with AuthServer() as server:
            credentials, store = user(server, server.new_grant(ME)), Fragile()
            async with cache(store) as one, cache(store) as two:
                first, second = await one.get(ME, credentials), await two.get(ME, credentials)
                assert first.access_token == second.access_token
                assert first.scopes == second.scopes
                assert second.deadline == pytest.approx(first.deadline, abs=0.5)
            assert len(server.ledger) == 1
            assert store.closed == 2

    real(main)


def test_a_refused_token_is_not_taken_from_the_store_but_a_newer_one_is():
    async def main():
        async with AuthServer() as server:
            credentials, store = user(server, server.new_grant(ME)), MemoryTokenStore()
            async with cache(store) as one, cache(store) as two:
                token = await one.get(ME, credentials)
                await two.get(ME, credentials)
                one.invalidate(ME, token)
                two.invalidate(ME, token)
                assert (await one.get(ME, credentials)).access_token == (await two.get(ME, credentials)).access_token != token.access_token
            assert len(server.ledger) == 2

    real(main)


def test_many_caches_that_need_a_token_at_once_make_one_request():
    async def main():
        async with AuthServer(delay=0.2) as server:
            credentials, store = user(server, server.new_grant(ME)), MemoryTokenStore()
            async with contextlib.AsyncExitStack() as stack:
                caches = [await stack.enter_async_context(cache(store)) for _ in range(20)]
                got = await asyncio.gather(*(tokens.get(ME, credentials) for tokens in caches))
            assert len({token.access_token for token in got}) == 1
            assert len(server.ledger) == 1

    real(main)


def test_a_token_that_is_about_to_die_or_dead_by_the_wall_is_not_taken_from_the_store():
    async def main():
        async with AuthServer() as server:
            credentials, store = user(server, server.new_grant(ME)), MemoryTokenStore()
            async with cache(store) as tokens:
                await tokens.get(ME, credentials)
            clock = Wall()
            for skew, requests in ((3200, 1), (3595, 2), (-7200, 3), (0, 4)):
                clock.skew = skew
                async with cache(store, clock=clock) as tokens:
                    token = await tokens.get(ME, credentials)
                    assert token.deadline > clock.now() + 300
                assert len(server.ledger) == requests, skew

    real(main)


@pytest.mark.parametrize("broken", ["all", "load", "acquire", "save", "release"])
@pytest.mark.parametrize("error", [StoreUnavailable("down"), OSError(28, "No space left on device"), RuntimeError("a bug of the store's")])
def test_a_store_out_of_order_stops_nobody_and_loses_nothing(broken, error, caplog):
    async def main():
        async with AuthServer(rotate=0.0) as server:
            credentials, store = user(server, server.new_grant(ME)), Fragile()
            async with cache(store) as tokens:
                store.broken[broken] = error
                await tokens.get(ME, credentials)
                for _ in range(3):
                    await renewed(tokens, credentials)
                store.broken.clear()  # it is back: closing writes what was kept
            assert [status for *_, status in server.ledger] == [200] * 4
            async with cache(store) as tokens:
                await renewed(tokens, credentials)
            assert [status for *_, status in server.ledger] == [200] * 5

    with caplog.at_level(logging.WARNING):
        real(main)
    if broken != "release":
        assert "store" in caplog.text
        assert "going on without it" in caplog.text or "written later" in caplog.text


def test_a_store_that_stays_broken_is_told_at_the_end(caplog):
    async def main():
        async with AuthServer(rotate=60.0) as server:
            store = Fragile()
            store.broken["all"] = StoreUnavailable("down")
            async with cache(store) as tokens:
                await tokens.get(ME, user(server, server.new_grant(ME)))

    with caplog.at_level(logging.ERROR):
        real(main)
    assert "1 tokens could not be stored before the cache was closed" in caplog.text


def test_what_could_not_be_written_is_written_when_the_store_is_back():
    async def main(clock):
        store = Fragile()
        async with TokenCache(store, clock=clock) as tokens:
            answers = iter(range(1000))

            async def refresh(credentials, refresh_token):
                n = next(answers)
                return Reply(Secret(f"ya29.{n}"), 3600.0, Secret(f"1//{n}"))

            tokens._refresher._endpoint.refresh = refresh
            store.broken["all"] = StoreUnavailable("down")
            await tokens.get(ME, UserCredentials("c", "s", "1//first"))
            await asyncio.sleep(20)
            assert store._records == {}
            assert len(tokens._refresher.unsaved) == 1
            store.broken.clear()
            await asyncio.sleep(6)
            assert record(store).refresh_token.reveal() == "1//0"
            assert tokens._refresher.unsaved == {}

    virtual(main)


def test_a_store_that_does_not_answer_counts_as_out_of_order():
    async def main(clock):
        class Hanging(MemoryTokenStore):
            async def acquire(self, key, ttl):
                await asyncio.sleep(1000)

        async with TokenCache(Hanging(), clock=clock) as tokens:

            async def refresh(credentials, refresh_token):
                return Reply(Secret("ya29.x"), 3600.0)

            tokens._refresher._endpoint.refresh = refresh
            before = clock.now()
            await tokens.get(ME, UserCredentials("c", "s", "1//first"))
            assert clock.now() - before == pytest.approx(5.0)

    virtual(main)


def test_a_store_that_a_person_must_mend_is_told_but_stops_nobody_whose_token_is_good():
    async def main(clock):
        store = Fragile()
        async with TokenCache(store, clock=clock) as tokens:

            async def refresh(credentials, refresh_token):
                return Reply(Secret(f"ya29.{clock.now()}"), 3600.0)

            tokens._refresher._endpoint.refresh = refresh
            credentials = UserCredentials("c", "s", "1//first")
            first = await tokens.get(ME, credentials)
            store.broken["load"] = ConfigurationError("others may use the file: chmod 600")
            await asyncio.sleep(3590)
            assert await tokens.get(ME, credentials) is first
            await asyncio.sleep(10)
            with pytest.raises(ConfigurationError, match="chmod 600"):
                await tokens.get(ME, credentials)

    virtual(main)


def test_waiting_for_another_process_that_never_ends_is_given_up():
    async def main(clock):
        store = MemoryTokenStore()
        async with TokenCache(store, clock=clock, timeout=4.0) as tokens:
            entry = Entry(("user", ME, "c", "s"), ME, UserCredentials("c", "s", "r"))
            await store.acquire(store_key(entry), 1.0)
            before = clock.now()
            with pytest.raises(TokenEndpointError, match="another process has been refreshing"):
                await tokens._refresher.obtain(entry, 60.0)
            assert clock.now() - before == pytest.approx(9.5, abs=0.5)

    virtual(main)


def test_a_holder_that_outlived_its_lease_takes_the_newer_token_of_the_other():
    async def main(clock):
        async with line(clock, "1//given") as at:

            async def other():
                newer = StoredToken(1, "x", Secret("1//theirs"), Secret("ya29.theirs"), clock.wall() + 3600.5, 3600.5)
                assert await at.store.save(at.key, newer, replaces=0)

            at.ledger.before = other
            got = await at.obtain()
            assert isinstance(got, Obtained)
            assert got.access_token.reveal() == "ya29.theirs"
            assert at.record().refresh_token.reveal() == "1//theirs"

    virtual(main)


def test_a_holder_that_outlived_its_lease_replaces_what_is_older_than_its_own():
    async def main(clock):
        async with line(clock, "1//given") as at:

            async def other():
                older = StoredToken(1, "x", Secret("1//theirs"), Secret("ya29.theirs"), clock.wall() + 5, 3600.0)
                assert await at.store.save(at.key, older, replaces=0)

            at.ledger.before = other
            assert (await at.obtain()).access_token.reveal() == "ya29.1"
            assert at.record().version == 2
            assert at.record().refresh_token.reveal() == "1//next1"

    virtual(main)


def test_a_holder_that_was_stopped_while_the_line_went_on_takes_what_the_others_have():
    async def main(clock):
        fresh = StoredToken(6, "x", Secret("1//later"), Secret("ya29.later"), clock.wall() + 3600, 3600.0)
        for later, asked, token in (
            (fresh, ["1//stored", "1//given"], "ya29.later"),  # their token
            (replace(fresh, expires_at=1.0), ["1//stored", "1//given", "1//given", "1//later"], "ya29.4"),  # dead too: their refresh token
        ):
            async with line(clock, "1//later", stored=STORED) as at:

                async def meanwhile(at=at, later=later):
                    at.store._records[at.key] = later

                at.ledger.before = meanwhile
                assert (await at.obtain()).access_token.reveal() == token
                assert at.ledger.asked == asked

    virtual(main)


def test_a_record_that_others_overwrite_each_time_is_kept_for_later():
    async def main(clock):
        async with line(clock, "1//given") as at:
            save = at.store.save

            async def lose(key, token, *, replaces):
                return False

            at.store.save = lose
            assert (await at.obtain()).access_token.reveal() == "ya29.1"
            assert len(at.tokens._refresher.unsaved) == 1
            at.store.save = save
            await at.tokens._refresher.flush()
            assert at.record().refresh_token.reveal() == "1//next1"

    virtual(main)


def test_a_token_that_another_process_got_is_taken_while_it_still_holds_the_lease():
    async def main(clock):
        async with line(clock, "1//given") as at:
            await at.store.acquire(at.key, 1.0)
            obtaining = asyncio.create_task(at.obtain())
            await asyncio.sleep(1)
            at.store._records[at.key] = StoredToken(1, "x", Secret("1//theirs"), Secret("ya29.theirs"), clock.wall() + 3600, 3600.0)
            assert (await obtaining).access_token.reveal() == "ya29.theirs"
            assert at.ledger.asked == []

    virtual(main)


def test_closing_does_not_wait_for_a_store_that_hangs(caplog):
    async def main(clock):
        class Hanging(MemoryTokenStore):
            async def aclose(self):
                await asyncio.sleep(1000)

        tokens = TokenCache(Hanging(), clock=clock)
        await tokens.__aenter__()
        before = clock.now()
        await tokens.aclose()
        assert clock.now() - before == pytest.approx(5.0)

    with caplog.at_level(logging.WARNING):
        virtual(main)
    assert "could not be closed" in caplog.text


def test_a_record_that_vanishes_while_it_is_replaced_is_written_anew():
    async def main(clock):
        async with line(clock, "1//stored", stored=STORED) as at:

            async def failover():
                del at.store._records[at.key]

            at.ledger.before = failover
            await at.obtain()
            assert at.record().version == 1

    virtual(main)


def test_what_was_kept_gives_way_to_a_newer_record_of_another_process():
    async def main(clock):
        store = Fragile()
        async with TokenCache(store, clock=clock) as tokens:
            refresher = tokens._refresher
            kept = StoredToken(2, "x", Secret("1//kept"), Secret("ya29.kept"), 100.0, 3600.0)
            refresher.unsaved["k"] = kept
            store._records["k"] = replace(kept, version=7, expires_at=200.0, refresh_token=Secret("1//newer"))
            await refresher.flush()
            assert refresher.unsaved == {}
            assert store._records["k"].refresh_token.reveal() == "1//newer"
            # A fork: the later one stays. And a line that went further stays, whatever clocks say.
            refresher.unsaved["k"] = replace(kept, version=7, expires_at=300.0)
            await refresher.flush()
            assert store._records["k"].version == 8
            assert store._records["k"].refresh_token.reveal() == "1//kept"
            refresher.unsaved["k"] = replace(kept, version=10, expires_at=1.0)
            await refresher.flush()
            assert store._records["k"].version == 10
            # Another process is faster: it stays for the next time.
            refresher.unsaved["k"] = replace(kept, version=11)
            save = store.save

            async def lose(key, token, *, replaces):
                return False

            store.save = lose
            await refresher.flush()
            assert "k" in refresher.unsaved
            store.save = save
            await refresher.flush()
            assert refresher.unsaved == {}

    virtual(main)


def test_a_new_login_during_a_refresh_does_not_inherit_its_refresh_token():
    async def main(clock):
        async with line(clock, "1//given", "1//new", shared=False) as at:

            async def login():
                at.entry.renew(UserCredentials("c", "s", "1//new"))

            at.ledger.before = login
            await at.obtain()
            assert at.entry.refresh_token is None

    virtual(main)


def test_an_identity_whose_only_copy_of_a_rotated_token_is_here_is_never_forgotten():
    async def main(clock):
        async with line(clock, "1//given", shared=False) as at:
            credentials = at.entry.credentials
            await at.tokens.get(ME, credentials)
            at.ledger.alive = {"1//next1"}
            await asyncio.sleep(3400)  # ahead, for it was in use
            at.ledger.alive = {"1//next2"}
            await asyncio.sleep(100_000)
            await at.tokens.get(ME, credentials)
            assert at.ledger.asked == ["1//given", "1//next1", "1//next2"]

    virtual(main)


def test_the_endpoint_that_does_not_rotate_leaves_the_stored_refresh_token():
    async def main():
        async with AuthServer() as server:
            refresh_token, store = server.new_grant(ME), MemoryTokenStore()
            async with cache(store) as tokens:
                await renewed(tokens, user(server, refresh_token))
            assert record(store).refresh_token.reveal() == refresh_token
            assert record(store).version == 2

    real(main)
