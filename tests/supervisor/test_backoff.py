import pytest

from aiogmail.supervisor.backoff import Backoff


def test_the_first_try_after_a_reset_waits_for_the_floor_alone():
    backoff = Backoff(uniform=lambda: 0.999)
    assert backoff.next() == 0
    assert backoff.next() > 0
    backoff.reset()
    assert backoff.tries == 0
    assert backoff.next(floor=30.0) == 30.0


def test_delays_double_up_to_the_cap():
    backoff = Backoff(base=1.0, cap=60.0, uniform=lambda: 1.0)
    assert [backoff.next() for _ in range(9)] == [0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_jitter_is_full():
    backoff = Backoff(base=4.0, uniform=lambda: 0.0)
    backoff.next()
    assert backoff.next() == 0.0
    assert backoff.next(floor=5.0) == 5.0


def test_a_thousand_tries_do_not_overflow():
    backoff = Backoff(uniform=lambda: 1.0)
    for _ in range(2000):
        delay = backoff.next()
    assert delay == pytest.approx(60.0)
    assert 0 <= Backoff().uniform() < 1
