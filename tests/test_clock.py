import time

import pytest

from aiogmail.clock import Clock, SystemClock


def test_the_system_clock_is_a_clock():
    clock = SystemClock()
    assert isinstance(clock, Clock)
    assert clock.wall() == pytest.approx(time.time(), abs=1)
    first = clock.now()
    assert first <= clock.now()


def test_without_boottime_a_suspend_is_seen_by_the_wall_clock(monkeypatch):
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    monotonic, wall = 100.0, 1_000_000.0
    monkeypatch.setattr(time, "monotonic", lambda: monotonic)
    monkeypatch.setattr(time, "time", lambda: wall)
    clock = SystemClock()
    before = clock.now()
    monotonic += 10
    wall += 10
    assert clock.now() - before == pytest.approx(10)
    wall += 3600  # the machine slept: the monotonic clock did not notice
    assert clock.now() - before == pytest.approx(3610)
    wall -= 7200  # somebody set the clock back: ages do not shrink
    monotonic += 5
    assert clock.now() - before == pytest.approx(3615)


def test_with_boottime_that_is_the_clock(monkeypatch):
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", 7, raising=False)
    monkeypatch.setattr(time, "clock_gettime", lambda clock: 42.0 + clock, raising=False)
    assert SystemClock().now() == 49.0
