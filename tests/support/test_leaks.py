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
from xml.etree import ElementTree as ET

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


LEAVING = {  # what a test leaves, by name: what it does, and what is said of it
    "socket": ("import socket; keep.append(socket.socket())", "left behind: file descriptor"),
    "unclosed_and_collected": ("import socket; socket.socket()", "ResourceWarning"),
    "thread": ("import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()", "left behind: thread"),
    "coroutine": ("import asyncio; asyncio.sleep(1)", "was never awaited"),
    "secret": ("import logging; logging.getLogger('loud').debug('%s', CANARIES.secret('x'))", "logger 'loud'"),
    "unretrieved_exception_collected_late": ("run(forget()); forgotten.clear()", "never retrieved: LookupError"),
    "nothing": ("pass", None),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A run of its own, with this repository's conftest, over a test for each of :data:`LEAVING`: what was said of each, by name."""
    folder = tmp_path_factory.mktemp("leaving")
    head = """
        import asyncio, gc
        from tests.support import leaks
        from tests.support.aio import run
        from tests.support.canary import CANARIES
        leaks._SETTLE = 0.05
        keep, forgotten = [], []
        async def fail():
            raise LookupError
        async def forget():
            forgotten.append(asyncio.create_task(fail()))
            await asyncio.sleep(0)
    """
    tests = "".join(f"def test_{name}():\n    {body}\n" for name, (body, _) in LEAVING.items())
    (folder / "test_it.py").write_text(textwrap.dedent(head) + tests)
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "--rootdir", str(ROOT)]
    options = ["-c", str(ROOT / "pyproject.toml"), f"--junit-xml={report}", str(folder / "test_it.py")]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_", "COVERAGE_"))}
    done = subprocess.run([*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    said: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):
        name = case.attrib["name"].removeprefix("test_")
        said[name] = said.get(name, "") + "".join("".join([one.attrib.get("message", ""), one.text or ""]) for one in case)
    assert said.keys() == LEAVING.keys(), "each was run"
    return said


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAVING)
def test_a_test_that_leaves_something_fails_and_says_what(told, name):
    _, expected = LEAVING[name]
    if expected is None:
        assert told[name] == ""
    else:
        assert expected in told[name]


def test_every_logger_is_watched_at_debug():
    assert logging.getLogger("any.logger.at.all").isEnabledFor(logging.DEBUG)
