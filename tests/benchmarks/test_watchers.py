"""Many accounts watched in one process, over TLS, the emulator in a process of its own.

Memory is judged everywhere. Times are judged at night, on a machine that does nothing else.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.runner import Row
from benchmarks.watchers import Figures, targets

MOST_KIB = 350


def measured(*arguments, timeout):
    """In a process of its own: what a test run keeps of a thousand connections' log is not theirs."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.watchers", *arguments],
        cwd=Path(__file__).parents[2],
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Figures(**json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), pytest.param(("whole",), marks=pytest.mark.nightly)])
def test_fifty_watchers_take_little_memory_each_and_see_their_mail(more):
    found = measured("50", "quick", *more, timeout=55)
    assert found.kib_each <= MOST_KIB
    assert found.looks <= 3, "a delivery costs STATUS, UID FETCH and IDLE"
    assert found.seen_seconds < 20


@pytest.mark.nightly
@pytest.mark.timeout(300)
@pytest.mark.parametrize("more", [(), ("whole",)])
def test_a_thousand_accounts_are_watched_in_one_process(more):
    found = measured("1000", *more, timeout=280)
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
