"""Who gets which token, and what nobody waits for."""

import asyncio
import contextlib
import time
import traceback

import pytest

from aiogmail.errors import ConfigurationError, LoginRequired, StateError, TokenEndpointError
from aiogmail.oauth import AppPassword, TokenCache, TokenProvider, UserCredentials
from aiogmail.oauth.entry import Obtained
from aiogmail.secret import Secret

from .harness import ME, Source, cached, real, virtual


@cached
async def test_a_live_token_is_handed_out_without_asking_again(clock, tokens, source, credentials):
    first = await tokens.get(ME, credentials)
    assert first.access_token.reveal() == "ya29.n1"
    assert first.deadline == pytest.approx(clock.now() + 3600)
    assert first.expires_at.timestamp() == pytest.approx(clock.wall() + 3600)
    assert all([await tokens.get(ME, credentials) is first for _ in range(100)])
    assert len(source.asked) == 1


@cached
async def test_ten_thousand_waiters_cause_one_request(clock, tokens, source, credentials):
    source.delay = 1.0
    got = await asyncio.gather(*(tokens.get(ME, credentials) for _ in range(10_000)))
    assert len(set(map(id, got))) == 1
    assert len(source.asked) == 1


@cached
async def test_get_returns_without_a_turn_of_the_loop_while_the_token_lives(clock, tokens, source, credentials):
    first = await tokens.get(ME, credentials)
    get = tokens.get(ME, credentials)
    with pytest.raises(StopIteration) as stopped:
        get.send(None)
    assert stopped.value.value is first


@cached
async def test_min_ttl_asks_for_a_fresher_token_but_never_for_more_than_half_a_life(clock, tokens, source, credentials):
    first = await tokens.get(ME, credentials)
    await asyncio.sleep(1000)
    assert await tokens.get(ME, credentials, min_ttl=2500) is first  # 2,600 left
    assert await tokens.get(ME, credentials, min_ttl=1e9) is first  # more than half left
    await asyncio.sleep(1000)
    second = await tokens.get(ME, credentials, min_ttl=1e9)
    assert second is not first
    assert len(source.asked) == 2


@cached
async def test_a_black_hole_for_the_whole_margin_delays_a_consumer_by_two_seconds_at_most(clock, tokens, source, credentials):
    first = await tokens.get(ME, credentials)
    await asyncio.sleep(3200)
    source.delay = 1000.0  # the cache gives up after 20 s
    while clock.now() < first.deadline - 5:
        before = clock.now()
        assert await tokens.get(ME, credentials) is first
        assert clock.now() - before <= 2.01
        await asyncio.sleep(3)


@cached
async def test_when_the_old_token_is_dead_every_waiter_gets_the_same_error(clock, tokens, source, credentials):
    source.fail, source.delay = TokenEndpointError("no route to host"), 0.5
    errors = await asyncio.gather(*(tokens.get(ME, credentials) for _ in range(100)), return_exceptions=True)
    assert len(source.asked) == 1
    assert {str(error) for error in errors} == {"no route to host"}
    assert len(set(map(id, errors))) == 100
    assert all(0.7 <= error.retry_after <= 1.0 for error in errors)


@cached
async def test_a_refusal_while_the_old_token_lives_reaches_nobody_until_it_dies(clock, tokens, source, credentials):
    first = await tokens.get(ME, credentials)
    source.fail = LoginRequired("revoked", connection_lost=False)
    await asyncio.sleep(3590)
    assert await tokens.get(ME, credentials) is first
    await asyncio.sleep(10)
    with pytest.raises(LoginRequired, match="revoked"):
        await tokens.get(ME, credentials)


@cached
async def test_cancelling_the_one_who_came_first_cancels_nobody_else_nor_the_refresh(clock, tokens, source, credentials):
    source.delay = 1.0
    waiters = [asyncio.create_task(tokens.get(ME, credentials)) for _ in range(5)]
    await asyncio.sleep(0.5)
    waiters[0].cancel()
    waiters[3].cancel()
    got = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(one).__name__ for one in got] == ["CancelledError", "Token", "Token", "CancelledError", "Token"]
    assert len(source.asked) == 1


@cached
async def test_when_all_waiters_are_cancelled_the_refresh_is_still_for_the_next(clock, tokens, source, credentials):
    source.delay = 1.0
    waiter = asyncio.create_task(tokens.get(ME, credentials))
    await asyncio.sleep(0.5)
    waiter.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiter
    await asyncio.sleep(1)
    await tokens.get(ME, credentials)
    assert len(source.asked) == 1


def test_get_may_be_cancelled_at_any_of_its_awaits():
    async def main(clock):
        for steps in range(12):
            source = Source(clock, delay=0.0)
            async with TokenCache(clock=clock) as tokens:
                task = asyncio.create_task(tokens.get(ME, TokenProvider(source.fetch)))
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                assert (await tokens.get(ME, TokenProvider(source.fetch))).access_token.reveal() == "ya29.n1"
                assert len(source.asked) == 1

    virtual(main)


@cached
async def test_a_refused_token_is_not_handed_out_again_and_is_refreshed_once(clock, tokens, source, credentials):
    first = await tokens.get(ME, credentials)
    for _ in range(5):  # five sessions tell of the same one
        tokens.invalidate(ME, first)
    second = await tokens.get(ME, credentials)
    assert second.access_token.reveal() == "ya29.n2"
    tokens.invalidate(ME.upper(), first.access_token)  # a late sixth
    assert await tokens.get(ME, credentials) is second
    tokens.invalidate("other@gmail.com", second)
    tokens.invalidate("nobody@gmail.com", Secret("x"))
    assert await tokens.get(ME, credentials) is second
    assert len(source.asked) == 2


@cached
async def test_a_dead_token_is_no_way_out_when_the_refresh_fails(clock, tokens, source, credentials):
    await tokens.get(ME, credentials)
    clock.slept += 7200  # it died with nobody looking
    source.fail = TokenEndpointError("down")
    with pytest.raises(TokenEndpointError, match="down"):
        await tokens.get(ME, credentials)


@cached
async def test_a_token_refused_while_a_better_one_is_awaited_is_not_handed_out_in_the_end(clock, tokens, source, credentials):
    first = await tokens.get(ME, credentials)
    await asyncio.sleep(2000)
    source.delay = 5.0
    waiting = asyncio.create_task(tokens.get(ME, credentials, min_ttl=1800))
    await asyncio.sleep(1)
    tokens.invalidate(ME, first)
    assert (await waiting).access_token.reveal() == "ya29.n2"
    assert len(source.asked) == 2


@cached
async def test_a01e_setting_the_wall_clock_changes_no_age(clock, tokens, source, credentials):
    first = await tokens.get(ME, credentials)
    for skew in (-7200, 7200):
        clock.skew = skew
        assert await tokens.get(ME, credentials) is first
    await asyncio.sleep(3601)
    assert await tokens.get(ME, credentials) is not first


def test_new_credentials_after_a_login_are_tried_at_once():
    async def main():
        async with TokenCache() as tokens:
            old, new, same = (UserCredentials("c", "s", text, token_uri="https://127.0.0.1:1/token") for text in ("dead", "new", "new"))
            for credentials, tries in ((old, 1), (old, 1), (new, 1), (same, 1)):
                with pytest.raises(TokenEndpointError):
                    await tokens.get(ME, credentials)
                (entry,) = tokens._entries.values()
                assert entry.credentials is credentials
                assert entry.tries == tries
                if credentials is new:
                    retry_at = entry.retry_at
            assert entry.retry_at == retry_at  # equal credentials are no new login

    real(main)


@pytest.mark.parametrize("also_new", [True, False])
def test_a_login_while_the_old_refresh_is_under_way_is_not_failed_by_it(monkeypatch, also_new):
    async def main(clock):
        async def obtain(entry, want):
            is_old = entry.credentials is old
            await asyncio.sleep(1 if is_old else 2)
            if is_old:
                raise LoginRequired("the old one is dead")
            return Obtained(Secret("ya29.new"), 100.0, 100.0)

        old, new = UserCredentials("c", "s", "old"), UserCredentials("c", "s", "new")
        async with TokenCache(clock=clock) as tokens:
            monkeypatch.setattr(tokens._refresher, "obtain", obtain)
            first = asyncio.create_task(tokens.get(ME, old))
            await asyncio.sleep(0.5)
            if also_new:
                second = asyncio.create_task(tokens.get(ME, new))
                assert (await second).access_token.reveal() == "ya29.new"
                assert (await first).access_token.reveal() == "ya29.new"  # its own failed; the new login's serves it too
            else:
                tokens._entry_of(ME, new)  # known, and nobody has asked with it yet
                with pytest.raises(LoginRequired):
                    await first
            assert next(iter(tokens._entries.values())).failure is None

    virtual(main)


def test_a_waiter_with_a_greater_wish_is_not_put_off_with_a_lesser_token(monkeypatch):
    async def main(clock):
        wishes = []

        async def obtain(entry, want):
            wishes.append(want)
            await asyncio.sleep(1)
            return Obtained(Secret(f"ya29.{len(wishes)}"), 400.0 if len(wishes) == 1 else 3600.0, 3600.0)

        async with TokenCache(clock=clock) as tokens:
            monkeypatch.setattr(tokens._refresher, "obtain", obtain)
            credentials = TokenProvider(Source(clock).fetch)
            modest, greedy = await asyncio.gather(tokens.get(ME, credentials, 60), tokens.get(ME, credentials, 1000))
            assert modest.deadline - clock.now() < 400
            assert greedy.deadline - clock.now() == pytest.approx(3600)
            assert wishes == [60, 1000]

    virtual(main)


@cached
async def test_identities_do_not_share_tokens(clock, tokens, source, credentials):
    other = Source(clock)
    other.text = "ya29.other{}"
    one, two = await tokens.get(ME, credentials), await tokens.get("you@gmail.com", credentials)
    three = await tokens.get(ME, TokenProvider(other.fetch))
    assert len({one.access_token, two.access_token, three.access_token}) == 3
    assert await tokens.get(ME, credentials) is one  # and back, with the fast path's memory on the other
    await tokens.get(ME, TokenProvider(other.fetch))
    await asyncio.sleep(50_000)  # all are forgotten, also the one that is not the address's last
    assert tokens._entries == {}
    assert await tokens.get(ME, credentials) is not one


@pytest.mark.parametrize("min_ttl", [-1, float("nan"), "60", None, True])
def test_a_wish_that_is_no_number_is_refused(min_ttl):
    async def main(clock):
        async with TokenCache(clock=clock) as tokens:
            with pytest.raises(ConfigurationError, match="min_ttl: expected seconds"):
                await tokens.get(ME, TokenProvider(Source(clock).fetch), min_ttl)

    virtual(main)


@pytest.mark.parametrize("arguments", [{"refresh_ahead": -1}, {"refresh_ahead": "x"}, {"timeout": 0}, {"timeout": -1}, {"timeout": True}])
def test_a_setting_that_is_no_number_is_refused(arguments):
    with pytest.raises(ConfigurationError, match=f"{next(iter(arguments))}: expected seconds"):
        TokenCache(**arguments)


@cached
async def test_bad_input_is_refused_before_anything_is_asked(clock, tokens, source, credentials):
    for address in ("nobody", "", "a b@c", None):
        with pytest.raises(ConfigurationError, match="address: expected an email address"):
            await tokens.get(address, credentials)
    with pytest.raises(ConfigurationError, match="app password needs no token"):
        await tokens.get(ME, AppPassword("abcd"))
    with pytest.raises(ConfigurationError, match="credentials: expected"):
        await tokens.get(ME, None)
    assert source.asked == []


def test_a_closed_cache_says_so_and_leaves_nothing():
    async def main(clock):
        source = Source(clock)
        credentials = TokenProvider(source.fetch)
        tokens = TokenCache(clock=clock)
        async with tokens:
            token = await tokens.get(ME, credentials)
            assert "open" in repr(tokens)
        assert "closed" in repr(tokens)
        await tokens.aclose()
        for use in (lambda: tokens.get(ME, credentials), tokens.__aenter__):
            with pytest.raises(StateError, match="closed"):
                await use()
        with pytest.raises(StateError, match="closed"):
            tokens.invalidate(ME, token)

    virtual(main)


def test_a_cache_belongs_to_the_loop_it_was_first_used_in():
    class Clock:
        now = staticmethod(time.monotonic)
        wall = staticmethod(time.time)

    tokens = TokenCache(clock=Clock())
    credentials = TokenProvider(Source(Clock()).fetch)
    with asyncio.Runner() as first:
        token = first.run(tokens.get(ME, credentials))
        with asyncio.Runner() as second:
            for use in (lambda: tokens.get(ME, credentials), tokens.__aenter__, tokens.aclose):
                with pytest.raises(StateError, match="another event loop"):
                    second.run(use())

            async def invalidate():
                tokens.invalidate(ME, token)

            with pytest.raises(StateError, match="another event loop"):
                second.run(invalidate())
        first.run(tokens.aclose())


def test_opening_and_closing_unused_does_nothing():
    async def main(clock):
        async with TokenCache(clock=clock):
            assert len(asyncio.all_tasks()) == 1
        await TokenCache(clock=clock).aclose()

    virtual(main)


@pytest.mark.nightly  # timed: a machine that is busy with something else proves nothing
def test_get_on_a_live_token_takes_less_than_three_microseconds():
    async def main(clock):
        from aiogmail.clock import SystemClock

        async with TokenCache() as tokens:
            credentials = TokenProvider(Source(SystemClock()).fetch)
            await tokens.get(ME, credentials)
            best = float("inf")
            for _ in range(20):
                start = time.perf_counter()
                for _ in range(2000):
                    await tokens.get(ME, credentials)
                best = min(best, (time.perf_counter() - start) / 2000)
            assert best < 3e-6

    virtual(main)


@cached
async def test_an_error_holds_no_frame_of_the_refresh(clock, tokens, source, credentials):
    source.fail = TokenEndpointError("down")
    with pytest.raises(TokenEndpointError) as caught:
        await tokens.get(ME, credentials)
    assert [frame.name for frame in traceback.extract_tb(caught.tb)][1:] == ["get", "_get"]


def test_waiters_that_nobody_awaits_any_more_leave_no_warning():
    async def main(clock):
        source = Source(clock, delay=1.0)
        source.fail = TokenEndpointError("down")
        async with TokenCache(clock=clock) as tokens:
            task = asyncio.create_task(tokens.get(ME, TokenProvider(source.fetch)))
            await asyncio.sleep(0.5)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await asyncio.sleep(1)

    virtual(main)
