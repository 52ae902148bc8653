"""Does twice the mailbox take twice the time?"""

from __future__ import annotations

import statistics

from .runner import Plan, Row, replay_once

__all__ = ["CASE", "measure"]

CASE = "scaling"

_CASES = ("flags", "envelope", "bodies")


def measure(plan: Plan) -> list[Row]:
    """Rows ``scaling:CASE`` of aiogmail: ``seconds`` for 2n, ``ratio`` to those for n."""
    rows = []
    for case in _CASES:
        count = plan.count(case)
        single, double = replay_once(case, plan, (count, 2 * count))
        row = Row(f"scaling:{case}", "aiogmail", double.version, double.seconds, double.spread, double.peak_rss_mib, double.stall_ms)
        row.ok = bool(single.ok and double.ok)
        row.note = single.note or double.note or f"ratio: 2n to n; n = {count}: {single.seconds} s"
        row.runs, row.all_seconds = double.runs, double.all_seconds
        if single.all_seconds and double.all_seconds:
            row.ratio = round(statistics.median(double.all_seconds) / statistics.median(single.all_seconds), 2)
        rows.append(row)
    return rows
