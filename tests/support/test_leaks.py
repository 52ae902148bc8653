"""The check that ends every test sees what it is there to see. (Each test here would itself fail if it left something.)"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from tests.support import leaks
from tests.support.leaks import Snapshot

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(leaks, "_SETTLE", 0.02)


def test_an_open_socket_is_a_leak_and_a_closed_one_is_not():
    before = Snapshot.take()
    sock = socket.socket()
    (leak,) = before.leaked()
    assert leak == f"file descriptor {sock.fileno()}: socket:[{os.fstat(sock.fileno()).st_ino}]"
    sock.close()
    assert before.leaked() == []


def test_a_descriptor_reopened_onto_the_same_file_is_no_leak(tmp_path):
    path = tmp_path / "log"
    first = path.open("w")
    before = Snapshot.take()
    second = path.open("w")
    first.close()
    assert before.leaked() == []
    second.close()


def test_a_running_thread_is_a_leak():
    before = Snapshot.take()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="straggler")
    thread.start()
    assert before.leaked() == ["thread 'straggler'"]
    stop.set()
    thread.join()
    assert before.leaked() == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("import socket; keep.append(socket.socket())", "left behind: file descriptor", id="socket"),
        pytest.param("import socket; socket.socket()", "ResourceWarning", id="unclosed and collected"),
        pytest.param(
            "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()", "left behind: thread", id="thread"
        ),
        pytest.param("import asyncio; asyncio.sleep(1)", "was never awaited", id="coroutine"),
        pytest.param("import logging; logging.getLogger('loud').debug('%s', CANARIES.secret('x'))", "logger 'loud'", id="secret"),
        pytest.param("run(forget())", "never retrieved: LookupError", id="unretrieved exception, collected late"),
        pytest.param("pass", None, id="nothing"),
    ],
)
@pytest.mark.slow
def test_a_test_that_leaves_something_fails_and_says_what(tmp_path, body, said):
    """A run of its own, with this repository's conftest, over a test that does ``body``."""
    (tmp_path / "test_it.py").write_text(
        textwrap.dedent(
            f"""
            import asyncio, gc
            from tests.support import leaks
            from tests.support.aio import run
            from tests.support.canary import CANARIES
            leaks._SETTLE = 0.05
            keep = []
            async def fail():
                raise LookupError
            async def forget():
                keep.append(asyncio.create_task(fail()))
                await asyncio.sleep(0)
            def test_it():
                {body}
                if {body!r}.startswith("run"):
                    keep.clear()
            """
        )
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "--rootdir", str(ROOT)]
    options = ["-c", str(ROOT / "pyproject.toml"), str(tmp_path / "test_it.py")]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_", "COVERAGE_"))}
    done = subprocess.run([*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=50, check=False)
    if said is None:
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        assert done.returncode == 1, done.stdout + done.stderr
        assert said in done.stdout


def test_every_logger_is_watched_at_debug():
    assert logging.getLogger("any.logger.at.all").isEnabledFor(logging.DEBUG)
