"""What holds for every test: nothing is left behind, no secret is logged, real servers are there or the run says that they are not."""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
import os
import sys
import warnings
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.summary import pytest_terminal_summary  # noqa: F401  the count of cases by family
from tests.support import install
from tests.support.aio import take_late
from tests.support.canary import CANARIES, Watch
from tests.support.leaks import Snapshot

if TYPE_CHECKING:
    from tests.dovecot.server import Dovecot

_failed = pytest.StashKey[bool]()
_log_start = pytest.StashKey[int]()
_watch = Watch(CANARIES)
_numbers = itertools.count(1)


# -- secrets in logs --------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", default="1/1", metavar="K/N", help="only every Nth test file, from the Kth on, by a hash of its name")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The files of other parts are not even read."""
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    return None if _is_of_part(config, collection_path.relative_to(config.rootpath).as_posix()) else True


def _is_of_part(config: pytest.Config, name: str) -> bool:
    part, parts = map(int, config.getoption("--part").split("/"))
    return zlib.crc32(name.encode()) % parts == part - 1


def pytest_configure(config: pytest.Config) -> None:
    logging.getLogger().addHandler(_watch)
    logging.getLogger().setLevel(logging.DEBUG)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What was logged between tests, or after the last, counts too."""
    if late := _watch.take():
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["secrets_logged"] = late
        else:
            _fail_for_secrets(session, late)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object, error: object) -> None:
    if late := getattr(node, "workeroutput", {}).get("secrets_logged"):
        _fail_for_secrets(node.config.pluginmanager.getplugin("dsession")._session, late)  # type: ignore[attr-defined]


def _fail_for_secrets(session: pytest.Session, lines: list[str]) -> None:
    session.config.get_terminal_writer().line("\n".join(["", "SECRETS IN LOGS outside any test:", *lines]), red=True)
    session.exitstatus = session.testsfailed or pytest.ExitCode.TESTS_FAILED


# -- nothing left behind ----------------------------------------------------------------------------------------------


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take what the imports made out of the collector's sight: a full collection after each test then costs a millisecond."""
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.new_event_loop().close()  # libuv keeps one pair of pipes for the whole process from its first loop on
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _clean(request: pytest.FixtureRequest) -> Iterator[None]:
    before = Snapshot.take()
    yield
    shown = _watch.take()
    if request.node.stash.get(_failed, False):
        _forget_failure()
        return  # a failed test may leave anything; its failure is what to read
    if shown:
        pytest.fail("a secret was logged: " + "; ".join(shown), pytrace=False)
    if leaked := before.leaked() + take_late():
        pytest.fail("left behind: " + "; ".join(leaked), pytrace=False)


def _forget_failure() -> None:
    """Let go of what a failed test left, here and not in the next test, whose warnings it would become."""
    for name in ("last_exc", "last_type", "last_value", "last_traceback"):
        sys.__dict__.pop(name, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
    take_late()


# -- real servers -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def real_servers() -> None:
    """The Debian packages with real servers are installed; a test that needs one asks for this or for :func:`dovecot`."""
    if not install.wanted():
        pytest.skip(f"{install.SWITCH}=0: no real servers in this run")
    if packages := install.missing():
        pytest.fail(install.advice(packages, "nox installs them"), pytrace=False)


@pytest.fixture(scope="session")
def _dovecot(real_servers: None) -> Iterator[Dovecot]:
    from tests.dovecot.server import Dovecot, DovecotFailed

    server = Dovecot()
    try:
        server.start()
    except DovecotFailed as error:
        pytest.fail(str(error), pytrace=False)
    yield server
    server.stop()


@pytest.fixture
def dovecot(_dovecot: Dovecot, request: pytest.FixtureRequest) -> Dovecot:
    """The run's Dovecot (one for each worker); use an address of your own, such as :func:`address`."""
    request.node.stash[_log_start] = _dovecot.log_mark()
    return _dovecot


@pytest.fixture
def address() -> str:
    """An account that no other test has."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return f"user{next(_numbers)}.{worker}@example.org"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and item.path.parent.name != "cli":
            item.add_marker("unmeasured")
        if {"dovecot", "real_servers"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("real")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_failed] = True
        server = getattr(item, "funcargs", {}).get("dovecot")
        if server is not None:
            report.sections.append(("Dovecot's log of this test", server.log(item.stash.get(_log_start, 0))))
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    """The run's last line says what it did without."""
    if not install.wanted() and not hasattr(config, "workerinput") and not config.option.collectonly:
        config.get_terminal_writer().line(install.WITHOUT, yellow=True)
