"""The case `send` runs and is judged by what it promises. No time is judged here."""

import pytest

from benchmarks import send
from benchmarks.registry import cases
from benchmarks.runner import Plan, Row


def test_it_is_a_case():
    assert "send" in cases()


@pytest.mark.slow
def test_a_quick_run_of_ours_counts_what_the_server_took():
    rows = send.measure(Plan(rounds=1, limit=30.0, quick=True, clients=("aiogmail",)))
    assert [(row.case, row.client, row.ok) for row in rows] == [("send", "aiogmail", True), ("send:large", "aiogmail", True)]
    assert "round trips" in rows[0].note
    assert rows[1].stall_ms is not None


def test_its_targets():
    rows = [
        Row("send", "aiogmail", seconds=1.0, ok=True),
        Row("send", "aiosmtplib", seconds=4.0, ok=True),
        Row("send", "nodemailer", seconds=1.5, ok=True),
        Row("send:large", "aiogmail", seconds=0.3, ok=True, stall_ms=3.0, peak_rss_mib=5.0),
    ]
    assert {target.claim: target.met for target in send.targets(rows)} == {
        "send: time ÷ aiosmtplib's": True,
        "send: time ÷ nodemailer's": False,
        "send:large: worst stall of the loop, ms": True,
        "send:large: MiB above the message": False,
    }
    assert send.targets([]) == []
