"""Many accounts watched in one process, over TLS, the emulator in a process of its own.

Memory is judged everywhere. Times are judged at night, on a machine that does nothing else.
"""

import asyncio

import pytest

from benchmarks.watchers import measure
from tests.support.aio import run

MOST_KIB = 350


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True])
def test_fifty_watchers_take_little_memory_each_and_see_their_mail(whole):
    figures = run(measure(50, whole=whole, quiet=0.5, renewing=1.5), timeout=50)
    assert figures.kib_each <= MOST_KIB
    assert figures.looks <= 3, "a delivery costs STATUS, UID FETCH and IDLE"
    assert figures.seen_seconds < 20


@pytest.mark.nightly
@pytest.mark.timeout(300)
@pytest.mark.parametrize("whole", [False, True])
def test_a_thousand_accounts_are_watched_in_one_process(whole):
    figures = run(measure(1000, whole=whole), timeout=280)
    print(figures)
    assert figures.kib_each <= MOST_KIB
    assert figures.idle_percent < 2
    assert figures.seen_seconds <= 2


def test_asyncio_keeps_the_buffer_that_the_figures_name():
    """What small buffers would save rests on an attribute that nobody promises."""
    from asyncio.sslproto import SSLProtocol

    assert SSLProtocol.max_size == 256 * 1024
    assert asyncio.iscoroutinefunction(measure)
