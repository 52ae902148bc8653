"""aioimaplib's own tests, on our engine: all pass but those that assert a defect, or reach into the engine that we replace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compat import upstream
from tests.support.ports import free_ports

pytestmark = pytest.mark.slow  # on one Python: see noxfile.py

ROOT = Path(__file__).parents[2]

_ENGINE = "asserts aioimaplib's private line splitter: it makes a protocol outside any event loop and replaces its _handle_line by a mock"
_LITERAL = (
    "sets the private literal_data to a body of another size than announced, to see what the test server says; that such a body can "
    "be sent at all is I07: the surplus would be executed as commands"
)

NOT_OURS = {
    **dict.fromkeys(
        (
            f"test_aioimaplib.py::TestAioimaplibUtils::{name}"
            for name in (
                "test_split_responses_no_data",
                "test_split_responses_regular_lines",
                "test_split_responses_with_message_data",
                "test_split_responses_with_two_messages_data",
                "test_split_responses_with_flag_fetch_message_data",
                "test_split_responses_with_message_data_expunge",
                "test_incomplete_line_with_literal_fetch",
                "test_incomplete_lines_during_literal",
                "test_incomplete_line_during_literal_no_cmd_found",
                "test_line_with_literal_no_cmd_found_no_AttributeError_thrown",
                "test_line_with_attachment_literals",
                "test_incomplete_line_followed_by_incomplete_literal",
                "test_incomplete_fetch_message_attributes_without_literal",
                "test_incomplete_fetch_with_incomplete_line",
            )
        ),
        _ENGINE,
    ),
    "test_aioimaplib.py::TestAioimaplibUtils::test_command_repr": (
        "only its setUp fails, which makes a protocol outside any event loop; Command is aioimaplib's own and is not replaced"
    ),
    "test_aioimaplib.py::TestDataReceived::test_when_idle_continuation_line_in_same_dataframe_as_status_update": (
        "puts a command into the engine's private slot, on a protocol outside any event loop; ours is in tests/imap/test_protocol.py"
    ),
    "test_aioimaplib.py::test_get_quotaroot": "asserts I15: that the QUOTAROOT line is dropped",
    "test_aioimaplib_clocked.py::test_idle_start__exits_queueget_with_keepalive_without_timeout_error": (
        "asserts I11: that the stop marker of one IDLE is the first push of the next"
    ),
    "test_imapserver_aioimaplib.py::test_append_too_long": _LITERAL,
    "test_imapserver_aioimaplib.py::test_append_too_short": _LITERAL,
}
SKIPPED = {"test_aioimaplib_capabilities.py::test_capabilities_server_not_compliant": "upstream skips it itself"}

# What aioimaplib's own client fails, here too: since Python 3.12 ``wait_for(task, 0)`` does not wait the turn that its timer needs.
THEIRS = {"test_aioimaplib_clocked.py::test_idle_start__exits_queue_get_without_timeout_error"} if sys.version_info >= (3, 12) else set()


def outcomes(mode, folder):
    """Run them; what became of each, by name, with the last line said."""
    [port] = free_ports(1)
    try:
        copied = upstream.copy(folder, port)
    except upstream.NotFetched as error:
        pytest.fail(str(error), pytrace=False)
    report = folder / "report"
    ours = {"AIOGMAIL_BRIDGE": mode, "AIOGMAIL_BRIDGE_TESTS": str(copied), "AIOGMAIL_BRIDGE_REPORT": str(report)}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV"))}
    if "COVERAGE_PROCESS_CONFIG" in os.environ:  # how the run measures the processes that it starts
        inherited["COVERAGE_PROCESS_CONFIG"] = os.environ["COVERAGE_PROCESS_CONFIG"]
    # An empty configuration: this project's turns warnings into errors, and aioimaplib's tests have many.
    (folder / "empty.ini").write_text("[pytest]\nmarkers = asyncio\n")
    options = [
        "-p",
        "tests.compat.bridge",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        "-q",
        "-c",
        str(folder / "empty.ini"),
        "--import-mode=importlib",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(str(copied / "aioimaplib" / "tests" / module) for module in upstream.MODULES)],
        cwd=ROOT,
        env={**inherited, **ours, "AIOGMAIL_BRIDGE_TMP": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert report.exists(), done.stdout + done.stderr
    lines = (line.rstrip("\n").split("\t") for line in report.read_text().splitlines(keepends=True))
    return {name: (outcome, said) for name, outcome, said in lines}


@pytest.mark.slow
def test_aioimaplib_itself_passes_all_of_them(tmp_path):
    seen = outcomes("", tmp_path)
    assert not {name: said for name, (outcome, said) in seen.items() if outcome == "failed" and name not in THEIRS}
    assert {name for name, (outcome, _) in seen.items() if outcome == "skipped"} == SKIPPED.keys()
    assert len(seen) >= 99


@pytest.mark.parametrize("mode", ["client", pytest.param("protocol", marks=pytest.mark.slow)])
def test_they_pass_on_our_engine_but_those_that_assert_a_defect_or_its_own_engine(mode, tmp_path):
    seen = outcomes(mode, tmp_path)
    assert not (NOT_OURS.keys() | SKIPPED.keys()) - seen.keys(), "named here, and no longer among aioimaplib's tests"
    failed = {name: said for name, (outcome, said) in seen.items() if outcome == "failed"}
    theirs = THEIRS if mode == "protocol" else set()  # with their own client
    assert not {name: said for name, said in failed.items() if name not in NOT_OURS and name not in theirs}
    assert not NOT_OURS.keys() - failed.keys(), "named here, and they pass all the same: strike them out"
    assert {name for name, (outcome, _) in seen.items() if outcome == "skipped"} == SKIPPED.keys()
    assert len(seen) >= 99
