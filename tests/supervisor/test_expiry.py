"""When a successor is due, and whether the machine slept: every number given."""

import math

import pytest

from aiogmail.supervisor.expiry import AHEAD, Drift, due_at


def test_a_session_without_an_end_is_never_due():
    assert due_at(None, 5.0, 0.5) == math.inf


@pytest.mark.parametrize("spread", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("life", [86_400.0, 3_599.0, 600.0, 300.0, 20.0, 1.0])
def test_a_successor_is_due_when_a_token_cache_would_give_another_token(life, spread):
    left = life - due_at(1000.0 + life, 1000.0, spread) + 1000.0
    assert 0 < left < AHEAD
    assert left < life / 2, "a wish for seconds of life counts as at most half of the token's"


def test_what_was_opened_together_is_not_rotated_at_once():
    assert due_at(3600.0, 0.0, 0.0) - due_at(3600.0, 0.0, 1.0) == pytest.approx(90.0)


def test_a_session_that_is_over_already_is_due():
    assert due_at(10.0, 20.0, 0.0) <= 20.0


def test_a_clock_that_ran_ahead_of_the_loop_was_asleep_once():
    drift = Drift(100.0, 7.0)
    assert not drift.jumped(200.0, 107.0)
    assert not drift.jumped(204.0, 107.0)
    assert drift.jumped(3800.0, 108.0)
    assert not drift.jumped(3801.0, 109.0)


def test_a_clock_that_was_behind_is_measured_from_there():
    drift = Drift(100.0, 0.0)
    assert not drift.jumped(100.0, 50.0)
    assert drift.jumped(156.0, 100.0)
