"""The count of cases by family, at the end of every run."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    for status in ("passed", "failed"):
        for report in terminalreporter.stats.get(status, ()):
            for name, value in getattr(report, "user_properties", ()):
                if name == "faults":
                    counts[value["family"]].update(cases=value["cases"], excluded=value["excluded"])
                    outcomes[value["family"]].update(value["outcomes"])
    if not counts:
        return
    terminalreporter.section("faults: cases by family")
    for family, count in sorted(counts.items()):
        shown = ", ".join(f"{name} {number}" for name, number in outcomes[family].most_common())
        terminalreporter.write_line(f"{family:32} {count['cases']:5} cases ({shown}); {count['excluded']} cells out of scope")
    total = sum(count["cases"] for count in counts.values())
    terminalreporter.write_line(f"{'all families':32} {total:5} cases")
