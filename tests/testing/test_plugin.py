import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

import aiogmail

pytest_plugins = ["pytester"]

FIVE_LINES = """
async def test_hello(gmail, gmail_account):
    gmail_account.deliver("Subject: hello\\r\\n\\r\\nworld")
    async with gmail.mailbox("INBOX") as inbox:
        async for message in inbox.fetch("1:*", "raw"):
            assert message.raw.endswith(b"world")
"""

VIRTUAL = """
import asyncio, pytest, time
@pytest.mark.gmail_virtual_time(seed=5)
async def test_an_hour(gmail, gmail_account, gmail_emulator):
    start = time.perf_counter()
    await asyncio.sleep(3600)
    gmail_account.deliver("Subject: hello\\r\\n\\r\\nworld")
    async with gmail.mailbox("INBOX") as inbox:
        assert len([message async for message in inbox.fetch("1:*", "raw")]) == 1
    assert gmail_emulator.port("imap") == 993
    assert time.perf_counter() - start < 30
"""

SWITCHES = """
import pytest
from aiogmail.testing import Behaviour
@pytest.fixture
def gmail_behaviour():
    return Behaviour(locale="de")
async def test_german(gmail_account):
    assert gmail_account.trash.name == "[Google Mail]/Papierkorb"
"""

BLOCKING = """
import asyncio, imaplib
def test_blocking(gmail_emulator, gmail_account):
    gmail_account.deliver("Subject: hello\\r\\n\\r\\nworld")
    token = gmail_account.access_token()
    with imaplib.IMAP4_SSL("127.0.0.1", gmail_emulator.port("imap"), ssl_context=gmail_emulator.ssl_context) as client:
        client.authenticate("XOAUTH2", lambda _: f"user=me@gmail.com\\x01auth=Bearer {token}\\x01\\x01".encode())
        assert client.select() == ("OK", [b"1"])
def test_own_loop(gmail):
    async def main():
        async with gmail, gmail.mailbox("INBOX") as inbox:
            assert inbox.state.exists == 0
    asyncio.run(main())
"""

OTHERS = """
def test_plain():
    pass
class TestClass:
    async def test_method(self, gmail_account):
        assert gmail_account.address == "me@gmail.com"
"""


OWN = """
import pytest
@pytest.fixture
def gmail():
    return "the project's own"
async def test_own_client(gmail, gmail_account):
    assert gmail == "the project's own"
class TestOwnEmulator:
    @pytest.fixture
    def gmail_emulator(self):
        return "own"
    def test_own(self, gmail, gmail_emulator):
        assert gmail_emulator == "own"
"""

BEFORE = """
import pytest
@pytest.fixture
def stocked(gmail_account):
    return gmail_account.deliver("Subject: hello\\r\\n\\r\\nworld")
@pytest.mark.gmail_virtual_time(7)
async def test_delivered_at_the_beginning(gmail_emulator, stocked):
    assert stocked.internal_date == 1_767_225_600
    assert gmail_emulator.hub.seed == 7
"""

MARKED = """
import pytest
@pytest.mark.gmail_virtual_time
def test_sync(gmail_account):
    pass
@pytest.mark.gmail_virtual_time
def test_without_fixture():
    pass
@pytest.mark.gmail_virtual_time(1, 2)
async def test_too_much(gmail_account):
    pass
"""

OTHER_RUNNER = """
import asyncio, pytest
@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    asyncio.run(pyfuncitem.obj(gmail_account=pyfuncitem.funcargs["gmail_account"]))
    return True
"""


def run(pytester, *options, ini="", subprocess=False, **sources):
    pytester.makeini(f"[pytest]\nfilterwarnings = error\n{ini}")
    pytester.makepyfile(**sources)
    pytester._monkeypatch.setenv("PYTHONPATH", str(Path(aiogmail.__file__).parents[1]))
    installed = any(entry.value == "aiogmail.testing.plugin" for entry in importlib.metadata.entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "aiogmail.testing.plugin"]
    if "asyncio" not in ini and importlib.util.find_spec("pytest_asyncio"):
        plugin += ["-p", "no:asyncio"]
    run_it = pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess
    return run_it(*plugin, "-v", "-p", "no:cacheprovider", "--strict-markers", *options)


def test_async_tests_of_five_lines_virtual_time_switches_blocking_code_and_others_all_run(pytester):
    found = run(
        pytester,
        test_five=FIVE_LINES,
        test_failing=FIVE_LINES.replace('b"world"', 'b"moon"'),
        test_virtual=VIRTUAL,
        test_switches=SWITCHES,
        test_blocking=BLOCKING,
        test_others=OTHERS,
    )
    found.assert_outcomes(passed=7, failed=1)
    found.stdout.fnmatch_lines(["test_failing.py::test_hello FAILED*"])


def test_a_projects_own_fixtures_stay_its_own_and_what_is_made_before_the_loop_has_its_time(pytester):
    run(pytester, test_own=OWN, test_before=BEFORE).assert_outcomes(passed=3)


@pytest.mark.slow
def test_virtual_time_that_a_test_would_not_get_is_an_error(pytester):
    found = run(pytester, test_marked=MARKED)
    found.assert_outcomes(errors=3)
    found.stdout.fnmatch_lines(["*the test must be `async def` and use*", "*expected gmail_virtual_time(seed=0), got (1, 2) {}*"])
    pytester.makeconftest(OTHER_RUNNER)
    found = run(pytester, test_marked=MARKED.replace("\ndef", "\nasync def").replace("(1, 2)", ""), subprocess=True)
    found.stdout.fnmatch_lines(["*another plugin (pytest-asyncio, anyio) runs this test in real time*"])


def test_with_anyio_it_runs_as_anyio_runs_it(pytester):
    assert importlib.util.find_spec("anyio")
    source = "import pytest\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n@pytest.mark.anyio" + FIVE_LINES
    run(pytester, test_anyio=source).assert_outcomes(passed=1)


@pytest.mark.skipif(importlib.util.find_spec("pytest_asyncio") is None, reason="pytest-asyncio is not installed here")
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_with_pytest_asyncio_it_runs_as_that_runs_it(pytester, mode):
    mark = "import pytest\n@pytest.mark.asyncio" if mode == "strict" else ""
    ini = f"asyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\n"
    run(pytester, ini=ini, subprocess=True, test_asyncio=mark + FIVE_LINES).assert_outcomes(passed=1)


@pytest.mark.slow
def test_without_our_fixtures_no_certificate_is_thought_of(pytester):
    source = """
import sys
def test_light():
    assert not {"trustme", "aiogmail.testing.certificates"} & set(sys.modules)
"""
    run(pytester, subprocess=True, test_light=source).assert_outcomes(passed=1)
