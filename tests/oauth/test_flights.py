"""When a token is refreshed, and what becomes of it: ahead of expiry, after a failure, at the end."""

import asyncio
import gc
import logging
import tracemalloc

import pytest

from aiogmail.errors import StateError, TokenEndpointError, TokenRefused
from aiogmail.oauth import TokenCache, TokenProvider

from .harness import ME, Source, cached, virtual


@cached
async def test_an_identity_in_use_is_refreshed_ahead_and_nobody_waits(clock, tokens, source, credentials):
    source.delay = 1.0
    await tokens.get(ME, credentials)
    for _ in range(3600 * 3 // 10):
        await asyncio.sleep(10)
        before = clock.now()
        token = await tokens.get(ME, credentials)
        assert clock.now() == before
        assert token.deadline - clock.now() >= 60
    gaps = [b - a for a, b in zip(source.asked, source.asked[1:], strict=False)]
    assert len(gaps) == 3
    assert all(3260 < gap <= 3301 for gap in gaps)


@cached
async def test_an_identity_that_nobody_asks_for_is_not_refreshed_and_is_forgotten(clock, tokens, source, credentials):
    await tokens.get(ME, credentials)
    await asyncio.sleep(1)
    await asyncio.sleep(30_000)
    assert len(source.asked) == 2  # once ahead: it was asked for within the last lifetime
    assert tokens._entries == {}
    assert tokens._recent == {}
    assert tokens._flights._heap == []
    await tokens.get(ME, credentials)
    assert len(source.asked) == 3


@cached
async def test_a_short_lived_token_is_refreshed_once_per_half_life(clock, tokens, source, credentials):
    source.lifetime = 5.0
    end = clock.now() + 60
    while clock.now() < end:
        token = await tokens.get(ME, credentials)
        assert token.deadline - clock.now() > 2.3
        await asyncio.sleep(0.1)
    assert 23 <= len(source.asked) <= 28


@cached
async def test_endpoint_down_for_the_whole_margin_and_no_consumer_notices(clock, tokens, source, credentials):
    first = await tokens.get(ME, credentials)
    await asyncio.sleep(3200)
    source.fail = TokenEndpointError("down")
    while clock.now() < first.deadline - 1.5:
        before = clock.now()
        assert await tokens.get(ME, credentials) is first
        assert clock.now() == before
        await asyncio.sleep(0.5)
    assert 5 < len(source.asked) < 20  # with back-off
    source.fail = None
    await asyncio.sleep(61)
    assert (await tokens.get(ME, credentials)).access_token.reveal() == "ya29.n2"


@cached
async def test_a_failure_is_remembered_one_call_for_each_step_of_the_back_off(clock, tokens, source, credentials):
    source.fail = TokenEndpointError("down")
    end = clock.now() + 300
    while clock.now() < end:
        with pytest.raises(TokenEndpointError, match="down"):
            await tokens.get(ME, credentials)
        await asyncio.sleep(0.1)
    gaps = [b - a for a, b in zip(source.asked, source.asked[1:], strict=False)]
    for gap, step in zip(gaps, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=False):
        assert step * 0.74 < gap <= step + 0.2
    source.fail = None
    await asyncio.sleep(60)
    await tokens.get(ME, credentials)


@cached
async def test_retry_after_is_obeyed(clock, tokens, source, credentials):
    source.fail = TokenEndpointError("slow down", retry_after=100.0)
    with pytest.raises(TokenEndpointError) as caught:
        await tokens.get(ME, credentials)
    assert caught.value.retry_after == pytest.approx(100.0)
    await asyncio.sleep(99)
    with pytest.raises(TokenEndpointError) as caught:
        await tokens.get(ME, credentials)
    assert caught.value.retry_after == pytest.approx(1.0)
    assert len(source.asked) == 1


@cached
async def test_a_source_that_gives_the_refused_token_again_is_told_as_such_once(clock, tokens, source, credentials):
    source.text = "ya29.same"
    first = await tokens.get(ME, credentials)
    tokens.invalidate(ME, first)
    with pytest.raises(TokenRefused, match="the same one again"):
        await tokens.get(ME, credentials)
    await asyncio.sleep(61)
    assert (await tokens.get(ME, credentials)).access_token.reveal() == "ya29.same"  # whatever the server thought, it may be over


@cached
async def test_a_source_that_hands_out_one_token_until_its_end_is_not_asked_in_a_circle(clock, tokens, source, credentials):
    end = clock.now() + 600
    source.text = "ya29.same"
    while clock.now() < end - 5:
        source.lifetime = end - clock.now()
        await tokens.get(ME, credentials)
        await asyncio.sleep(0.5)
    assert len(source.asked) <= 12


@cached
async def test_a_suspended_machine_never_hands_out_a_token_that_died_meanwhile(clock, tokens, source, credentials):
    first = await tokens.get(ME, credentials)
    clock.slept += 7200
    second = await tokens.get(ME, credentials)
    assert second is not first
    assert second.deadline - clock.now() == pytest.approx(3600)
    clock.slept += 3400  # asleep into the margin: the scheduler sees it within half a minute, though its timer has not counted
    await asyncio.sleep(31)
    assert len(source.asked) == 3


def test_closing_frees_the_waiters_and_lets_the_refresh_finish():
    async def main(clock):
        source = Source(clock, delay=2.0)
        tokens = TokenCache(clock=clock)
        waiters = [asyncio.create_task(tokens.get(ME, TokenProvider(source.fetch))) for _ in range(3)]
        await asyncio.sleep(1)
        before = clock.now()
        await tokens.aclose()
        assert clock.now() - before == pytest.approx(1.0)
        assert len(source.granted) == 1  # its reply may have held a new refresh token
        for error in await asyncio.gather(*waiters, return_exceptions=True):
            assert type(error) is StateError

    virtual(main)


def test_closing_does_not_wait_for_an_endpoint_that_hangs():
    async def main(clock):
        source = Source(clock, delay=1000.0)
        tokens = TokenCache(clock=clock)
        waiter = asyncio.create_task(tokens.get(ME, TokenProvider(source.fetch)))
        await asyncio.sleep(1)
        before = clock.now()
        await tokens.aclose()
        assert clock.now() - before == pytest.approx(5.0)
        with pytest.raises(StateError):
            await waiter

    virtual(main)


def test_cancelling_the_closing_leaves_no_task():
    async def main(clock):
        source = Source(clock, delay=1000.0)
        tokens = TokenCache(clock=clock)
        waiter = asyncio.create_task(tokens.get(ME, TokenProvider(source.fetch)))
        await asyncio.sleep(1)
        closing = asyncio.create_task(tokens.aclose())
        await asyncio.sleep(1)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises(StateError):
            await waiter

    virtual(main)


@pytest.mark.slow
def test_ten_thousand_identities_have_one_task_and_little_memory(caplog):
    caplog.set_level(logging.WARNING)  # pytest would keep each line, and count it as ours

    async def main(clock):
        source = Source(clock)
        source.text = "ya29." + "x" * 205 + "{:010d}"
        credentials = [TokenProvider(source.fetch) for _ in range(1)]
        addresses = [f"user{n}@example.org" for n in range(10_000)]
        async with TokenCache(clock=clock) as tokens:
            await tokens.get(ME, credentials[0])
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            for address in addresses:
                await tokens.get(address, credentials[0])
            gc.collect()
            used = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            assert len(asyncio.all_tasks()) == 2
            assert used / len(addresses) <= 2048
            # All are in use, all are refreshed ahead, at most sixteen at once, and nobody waits.
            source.delay = 0.05
            await asyncio.sleep(3000)
            for address in addresses:
                await tokens.get(address, credentials[0])
            await asyncio.sleep(400)
            assert len(source.asked) == 20_002 or len(source.asked) == 20_001
            before = clock.now()
            for address in addresses:
                assert (await tokens.get(address, credentials[0])).deadline - clock.now() > 3000
            assert clock.now() == before

    virtual(main)


def test_a_bug_of_ours_reaches_the_waiters_and_not_the_void(monkeypatch, caplog):
    async def main(clock):
        async with TokenCache(clock=clock) as tokens:

            async def obtain(entry, want):
                raise ZeroDivisionError

            monkeypatch.setattr(tokens._refresher, "obtain", obtain)
            with pytest.raises(TokenEndpointError, match="refreshing failed: ZeroDivisionError"):
                await tokens.get(ME, TokenProvider(Source(clock).fetch))

    virtual(main)
    assert "unforeseen" in caplog.text


def test_failures_are_logged_once_each_and_say_what_to_do(caplog):
    async def main(clock):
        source = Source(clock)
        source.fail = TokenEndpointError("down")
        async with TokenCache(clock=clock) as tokens:
            for _ in range(5):
                with pytest.raises(TokenEndpointError):
                    await tokens.get(ME, TokenProvider(source.fetch))

    with caplog.at_level(logging.DEBUG, "aiogmail"):
        virtual(main)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("aiogmail")]
    assert len(lines) == 1
    assert "next try in 1 s" in lines[0]
    assert "down" in lines[0]


def test_a_provider_whose_own_task_was_cancelled_fails_the_refresh_and_hangs_nobody():
    async def main():
        async def fetch():
            inner = asyncio.ensure_future(asyncio.sleep(10))
            inner.cancel()
            await inner

        async with TokenCache() as tokens:
            async with asyncio.timeout(5):
                with pytest.raises(TokenEndpointError, match="cancelled"):
                    await tokens.get("me@gmail.com", TokenProvider(fetch))

    asyncio.run(main())
