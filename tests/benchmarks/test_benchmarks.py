"""The benchmarks run and tell what they say they tell. No time is judged here: that is what they are for."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import benchmarks as benchmarks_package
from benchmarks import registry, report
from benchmarks.rows import SPECS, make
from benchmarks.runner import Plan, Row

ROOT = Path(__file__).parents[2]
FIELDS = {"case", "client", "version", "seconds", "spread", "peak_rss_mib", "stall_ms", "ok", "note"}


def benchmarks(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.slow
def test_a_quick_run_writes_its_rows_and_prints_a_table(tmp_path):
    file = tmp_path / "rows.json"
    clients = ("--client", "aiogmail", "--client", "imaplib")
    done = benchmarks("--quick", "--rounds", "1", "--limit", "30", "--json", str(file), *clients, "envelope", "large")
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text())
    assert [(row["case"], row["client"]) for row in rows] == [
        (case, client) for case in ("envelope", "large") for client in ("raw", "aiogmail", "imaplib")
    ]
    for row in rows:
        assert set(row) >= FIELDS
        assert row["ok"] is True, row
        assert row["seconds"] > 0
        assert 0 < row["cpu_seconds"] <= row["seconds"] + 0.1
        assert row["client"] in done.stdout
    [ours] = [row for row in rows if row["client"] == "aiogmail" and row["case"] == "envelope"]
    assert ours["stall_ms"] is not None
    assert [row["note"] for row in rows if row["client"] == "imaplib"] == ["unparsed lines", "UID not parsed"]
    assert "envelope: MiB above the start" in done.stdout


@pytest.mark.slow
def test_a_download_at_40_ms_is_measured(tmp_path):
    file = tmp_path / "rows.json"
    done = benchmarks("--quick", "--rounds", "1", "--limit", "30", "--json", str(file), "--client", "aiogmail", "download")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(file.read_text())
    assert (row["case"], row["client"], row["ok"]) == ("download", "aiogmail", True)
    assert row["seconds"] > 0.04, "not faster than light"


def test_a_client_that_is_not_there_is_left_out_and_says_so(tmp_path):
    """Without node on the path."""
    file = tmp_path / "rows.json"
    done = benchmarks("--quick", "--rounds", "1", "--limit", "30", "--json", str(file), "--client", "imapflow", "huge", PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    [raw, imapflow] = json.loads(file.read_text())
    assert raw["ok"] is True
    assert (imapflow["ok"], imapflow["seconds"], imapflow["note"]) == (None, None, "left out: node is not installed")


def test_an_unknown_case_is_refused():
    done = benchmarks("speed")
    assert done.returncode == 2
    assert "no such case: speed" in done.stderr


@pytest.mark.parametrize("case", SPECS)
def test_rows_are_whole_and_the_same_every_time(case):
    count = 1 if case == "huge" else 10
    corpus = make(case, count)
    assert corpus.sums["rows"] == count == len(corpus.ends) - 1
    assert corpus.rows == make(case, count).rows
    for start, end in zip(corpus.ends, corpus.ends[1:]):
        assert corpus.rows[start : start + 2] == b"* "
        assert corpus.rows[end - 3 : end] == b")\r\n"


def test_targets_are_judged_by_the_rows():
    rows = [
        Row("flags", "imaplib", seconds=0.1, ok=True, all_seconds=[0.1, 0.1, 0.4], all_cpu_seconds=[0.1, 0.1, 0.1]),
        Row(
            "flags",
            "aiogmail",
            seconds=0.13,
            ok=True,
            peak_rss_mib=17.0,
            stall_ms=50.0,
            all_seconds=[0.13, 0.12, 0.52],
            all_cpu_seconds=[0.11, 0.11, 0.12],
        ),
        Row("flags", "imapflow", seconds=0.1, ok=False),
        Row("scaling:flags", "aiogmail", seconds=0.2, ok=True, ratio=2.0),
    ]
    found = {target.claim: target.met for target in report.targets(rows)}
    assert found == {
        "flags: time ÷ imaplib's": False,
        "flags: MiB above the start": False,
        "flags: worst stall of the loop, ms": True,
        "scaling:flags: time for 2n ÷ n": True,
    }
    assert [target.by_cpu for target in report.targets(rows) if target.by_cpu] == [1.1]
    assert "NO" in report.target_table(report.targets(rows))
    assert "0.130" in report.table(rows)


def test_a_module_with_a_case_is_found_run_and_judged(monkeypatch):
    made = [Row("send_", "aiogmail", seconds=1.0, ok=True)]
    module = types.ModuleType("benchmarks.send_")
    module.CASE = "send_"
    module.measure = lambda plan: made * plan.rounds
    module.targets = lambda rows: [report.Target("send_: seconds", rows[0].seconds, 2.0)] if rows else []
    monkeypatch.setitem(sys.modules, "benchmarks.send_", module)
    listed = list(registry.pkgutil.iter_modules(benchmarks_package.__path__))
    monkeypatch.setattr(registry.pkgutil, "iter_modules", lambda _: [*listed, types.SimpleNamespace(name="send_")])
    assert registry.cases()[: len(SPECS)] == tuple(SPECS)
    assert {"scaling", "tokens", "send_"} <= set(registry.cases())
    assert registry.run("send_", Plan(rounds=2, limit=1.0)) == made * 2
    assert report.Target("send_: seconds", 1.0, 2.0) in registry.targets(made)
