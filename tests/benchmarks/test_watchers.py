"""Many accounts watched in one process, over TLS, the emulator in a process of its own.

Memory is judged everywhere. Times are judged at night, on a machine that does nothing else.
"""

import pytest

from benchmarks.runner import Row
from benchmarks.watchers import figures, targets
from tests.support.aio import run

MOST_KIB = 350


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True])
def test_fifty_watchers_take_little_memory_each_and_see_their_mail(whole):
    found = run(figures(50, whole=whole, quiet=0.5, renewing=1.5), timeout=50)
    assert found.kib_each <= MOST_KIB
    assert found.looks <= 3, "a delivery costs STATUS, UID FETCH and IDLE"
    assert found.seen_seconds < 20


@pytest.mark.nightly
@pytest.mark.timeout(300)
@pytest.mark.parametrize("whole", [False, True])
def test_a_thousand_accounts_are_watched_in_one_process(whole):
    found = run(figures(1000, whole=whole), timeout=280)
    print(found)
    assert found.kib_each <= MOST_KIB
    assert found.idle_percent < 2
    assert found.seen_seconds <= 2


def test_asyncio_keeps_the_buffer_that_the_figures_name():
    """What small buffers would save rests on an attribute that nobody promises."""
    from asyncio.sslproto import SSLProtocol

    assert SSLProtocol.max_size == 256 * 1024


def test_a_thousand_are_held_against_what_is_promised():
    row = Row("watchers", "aiogmail", ok=True, note="count 1000, kib_each 400.5, idle_percent 0.4, seen_seconds 1.2")
    assert [(target.figure, target.met) for target in targets([row])] == [(400.5, False), (0.4, True), (1.2, True)]
    assert targets([Row("watchers", "aiogmail", ok=True, note="count 50, kib_each 400.5")]) == []
