"""Openings and commands, shared out: by turns, by rate, and without a gap where somebody went away."""

import asyncio
import gc
import itertools

import pytest

from aiogmail import Budget, ConfigurationError, Settings
from aiogmail.budget import Pace
from aiogmail.testing import run_virtual


@pytest.mark.parametrize(
    "arguments",
    [
        {"handshakes": 0},
        {"handshakes": 1.5},
        {"handshakes": True},
        {"rate": 0},
        {"rate": "20"},
        {"rate": True},
        {"rate": float("nan")},
        {"rate": float("inf")},
        {"connections": -1},
        {"connections": None},
    ],
)
def test_a_number_that_is_none_is_named(arguments):
    with pytest.raises(ConfigurationError, match=rf"Budget\.{next(iter(arguments))}"):
        Budget(**arguments)


def test_settings_take_a_budget_and_nothing_else():
    budget = Budget()
    assert Settings(budget=budget).budget is budget
    assert repr(budget) == "Budget(handshakes=2, rate=20, connections=15)"
    with pytest.raises(ConfigurationError, match=r"Settings\.budget"):
        Settings(budget=20)


def open_all(budget, accounts, takes=0.0):
    """Open for each of the accounts at once; when each began, and the most that one account had under way."""

    async def main():
        loop = asyncio.get_running_loop()
        begun, under_way, most = [], dict.fromkeys(accounts, 0), 0

        async def one(account):
            nonlocal most
            async with budget.handshake(account):
                begun.append((loop.time(), account))
                under_way[account] += 1
                most = max(most, under_way[account])
                await asyncio.sleep(takes)
                under_way[account] -= 1

        await asyncio.gather(*(one(account) for account in accounts))
        assert not budget._here().lanes
        return begun, most

    return run_virtual(main())


def test_two_openings_of_an_account_are_under_way_at_once():
    begun, most = open_all(Budget(), ["me"] * 9, takes=1.0)
    assert most == 2
    assert [round(time, 6) for time, _ in begun] == [0, 0, 1, 1, 2, 2, 3, 3, 4]


def test_no_second_has_more_openings_than_the_rate():
    begun, _ = open_all(Budget(rate=20), [f"a{number}" for number in range(101)])
    times = [time for time, _ in begun]
    assert all(later - earlier >= 1.0 - 1e-6 for earlier, later in zip(times, times[20:], strict=False))
    assert times[-1] == pytest.approx(5.0)
    assert [account for _, account in begun] == [f"a{number}" for number in range(101)], "first come, first served"


def test_a_rate_below_one_a_second():
    begun, _ = open_all(Budget(rate=0.5), ["a", "b", "c"])
    assert [round(time, 6) for time, _ in begun] == [0, 2, 4]


def test_one_opening_waits_for_nothing():
    async def main():
        async with Budget().handshake("me"):
            return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 0.0


@pytest.mark.parametrize("goes_away", range(1, 8))
def test_who_goes_away_while_waiting_takes_nobodys_turn(goes_away):
    async def main():
        budget = Budget(rate=2)
        loop, begun = asyncio.get_running_loop(), []

        async def one(number):
            async with budget.handshake("me" if number % 2 else f"a{number}"):
                begun.append((number, loop.time()))

        tasks = [asyncio.create_task(one(number)) for number in range(8)]
        await asyncio.sleep(0.3)
        tasks[goes_away].cancel()
        await asyncio.wait(tasks)
        assert not budget._here().lanes
        return begun

    begun = run_virtual(main())
    assert len(begun) == (8 if goes_away < 2 else 7)
    assert begun[-1][1] == pytest.approx(3.0)


def test_an_opening_that_fails_gives_its_turn_back():
    async def main():
        budget = Budget(handshakes=1)
        for _ in range(3):
            with pytest.raises(OSError):
                async with budget.handshake("me"):
                    raise OSError
        assert not budget._here().lanes

    run_virtual(main())


def test_connections_are_counted_by_account():
    async def main():
        budget = Budget(connections=2)
        assert [budget.enter("me") for _ in range(3)] == [True, True, False]
        assert budget.enter("you")
        budget.leave("me")
        assert budget.enter("me")
        for account in ("me", "me", "you"):
            budget.leave(account)
        assert not budget._here().open

    run_virtual(main())


def test_one_loss_comes_back_at_once_and_a_crowd_within_five_seconds():
    async def main():
        numbers = itertools.cycle([0.1, 0.5, 0.9])
        budget = Budget(uniform=lambda: next(numbers))
        assert budget.lost() == 0.0
        delays = [budget.lost() for _ in range(20)]
        assert delays[:9] == [0.0] * 9
        assert delays[9:12] == [0.5, 2.5, 4.5]
        await asyncio.sleep(1.1)
        assert budget.lost() == 0.0

    run_virtual(main())


def test_a_budget_belongs_to_no_event_loop():
    budget = Budget(connections=1)

    async def main():
        async with budget.handshake("me"):
            return budget.enter("me")

    assert [run_virtual(main()) for _ in range(3)] == [True] * 3
    gc.collect()
    assert not budget._books


def test_the_sessions_of_an_account_have_one_pace():
    async def main():
        budget = Budget()
        pace = budget.pace("me")
        assert budget.pace("me") is pace
        assert budget.pace("you") is not pace

    run_virtual(main())


def test_the_pace_doubles_while_the_server_says_throttled_and_eases_when_it_does_not():
    pace, now = Pace(), 100.0
    assert pace.wait(now) == 0.0
    assert pace.throttled(now)
    assert pace.gap == 0.05
    assert pace.wait(now) == pytest.approx(0.05)
    assert not pace.throttled(now + 0.1), "replies to what was on its way count once"
    gaps = []
    for _ in range(12):
        now += 1.0
        pace.throttled(now)
        gaps.append(pace.gap)
    assert gaps[:3] == [0.1, 0.2, 0.4]
    assert gaps[-1] == 16.0
    pace.sent(now)
    assert pace.wait(now + 6.0) == 10.0
    pace.eased(now + 1.0)
    assert pace.gap == 16.0, "not by every reply"
    for _ in range(60):
        now += 20.0
        pace.eased(now)
    assert pace.gap == 0.0
    assert pace.wait(now) == 0.0
    pace.eased(now)
