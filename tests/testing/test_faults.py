import asyncio
import random

import pytest

from aiogmail.testing import Fault, Faults, Shape, run_virtual
from aiogmail.testing.faults import Pump


def test_a_fault_waits_for_its_place_and_is_counted():
    faults = Faults()
    fault = faults.add(Fault("close", "NOOP", protocol="imap", skip=1, times=2))
    assert faults.match("smtp", "NOOP", None) is None
    assert faults.match("imap", "FETCH", None) is None
    assert [faults.match("imap", "NOOP", None) for _ in range(5)] == [None, fault, fault, None, None]
    assert faults.hit == [fault, fault]
    assert faults.waiting == ()


def test_faults_for_ever_are_cleared():
    faults = Faults()
    fault = faults.add(Fault("close", "NOOP", times=None))
    faults.shape = Shape(latency=1)
    assert all(faults.match("imap", "NOOP", None) is fault for _ in range(10))
    assert faults.waiting == (fault,)
    faults.clear()
    assert faults.match("imap", "NOOP", None) is None
    assert faults.shape == Shape()


def test_a_fault_for_any_command_does_not_hit_the_greeting():
    faults = Faults()
    faults.add(Fault("close"))
    assert faults.match("imap", "CONNECT", None) is None
    assert faults.match("imap", "ANYTHING", None)


def test_a_fault_for_an_account_hits_its_sessions_alone():
    faults = Faults()
    faults.add(Fault("close", address="me@gmail.com"))
    assert faults.match("imap", "NOOP", "you@gmail.com") is None
    assert faults.match("imap", "NOOP", "me@gmail.com")


def test_segments_are_of_the_size_asked_or_random_by_the_seed():
    assert Shape().is_plain()
    assert Shape(segment=3).pieces(b"abcdefgh", random.Random(0)) == [b"abc", b"def", b"gh"]
    shape = Shape(segment=3, random_segments=True)
    first, second = (shape.pieces(b"x" * 100, random.Random(7)) for _ in range(2))
    assert first == second
    assert len({len(piece) for piece in first}) > 1
    assert not shape.is_plain()


def arrivals(shape, *sizes):
    async def main():
        loop = asyncio.get_running_loop()
        seen = []
        done = []
        pump = Pump(shape, lambda data: seen.append((round(loop.time(), 6), len(data))), random.Random(0), lambda: done.append(loop.time()))
        for size in sizes:
            pump.put(b"x" * size)
        assert pump.queued == sum(sizes)
        await pump.flush()
        assert pump.queued == 0
        assert len(done) == 1
        return seen

    return run_virtual(main())


def test_latency_delays_and_bandwidth_spreads():
    assert arrivals(Shape(latency=2), 10, 10) == [(2, 10), (2, 10)]
    assert arrivals(Shape(bandwidth=10), 10, 20) == [(1, 10), (3, 20)]
    assert arrivals(Shape(segment=5, bandwidth=10), 10) == [(0.5, 5), (1, 5)]


def test_jitter_keeps_the_order():
    times = [time for time, _ in arrivals(Shape(jitter=5), *[1] * 50)]
    assert times == sorted(times)
    assert times[-1] > 0


def test_a_stall_and_a_cancelled_pump():
    async def main():
        loop = asyncio.get_running_loop()
        seen = []
        pump = Pump(Shape(segment=1), seen.append, random.Random(0))
        pump.stall(10)
        pump.put(b"ab")
        await pump.flush()
        assert loop.time() == pytest.approx(10)
        pump.stall(10)
        pump.put(b"cd")
        await asyncio.sleep(1)
        pump.cancel()
        await pump.flush()
        assert seen == [b"a", b"b"]
        Pump(Shape(), seen.append, random.Random(0)).cancel()

    run_virtual(main())
