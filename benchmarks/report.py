"""The figures as a table, and which of the project's targets they meet."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from .runner import Row

__all__ = ["Target", "table", "target_table", "targets"]


@dataclass(frozen=True)
class Target:
    """One promise: a figure and the most it may be. ``by_cpu``: the figure by what was computed, which a busy machine changes less."""

    claim: str
    figure: float
    limit: float
    by_cpu: float | None = None

    @property
    def met(self) -> bool:
        return self.figure <= self.limit


_AGAINST = (
    ("flags", 1.2, "imaplib"),
    ("flags", 0.25, "imapflow"),
    ("envelope", 0.25, "imapflow"),
    ("envelope", 0.1, "IMAPClient"),
    ("bodies", 1.2, "imaplib"),
    ("bodies", 0.5, "imapflow"),
    ("large", 1.2, "imaplib"),
    ("huge", 1.5, "raw"),
    ("download", 0.2, "imapflow"),
)


def targets(rows: list[Row]) -> list[Target]:
    """What can be judged from these rows."""
    by_name = {(row.case, row.client): row for row in rows if row.seconds and row.ok}
    found = []
    for case, limit, other in _AGAINST:
        ours, theirs = by_name.get((case, "aiogmail")), by_name.get((case, other))
        if ours and theirs:
            found.append(Target(f"{case}: time ÷ {other}'s", _ratio(ours, theirs), limit, _cpu_ratio(ours, theirs)))
    mixed, plain = by_name.get(("mixed", "aiogmail")), by_name.get(("mixed:plain", "aiogmail"))
    if mixed and plain:
        found.append(Target("mixed: time ÷ that of its plain cousins", _ratio(mixed, plain), 1.5, _cpu_ratio(mixed, plain)))
    for row in rows:
        if row.client != "aiogmail":
            continue
        if row.case.startswith("scaling") and row.ratio:
            found.append(Target(f"{row.case}: time for 2n ÷ n", row.ratio, 2.2))
        if row.peak_rss_mib is not None:
            found.append(Target(f"{row.case}: MiB above the start", row.peak_rss_mib, 16.0))
        if row.stall_ms is not None:
            found.append(Target(f"{row.case}: worst stall of the loop, ms", row.stall_ms, 50.0))
    return found


def _ratio(ours: Row, theirs: Row) -> float:
    """The median of the ratios of runs that took turns: what else the machine did at the time weighs on both."""
    return round(statistics.median(one / other for one, other in zip(ours.all_seconds, theirs.all_seconds, strict=False)), 3)


def _cpu_ratio(ours: Row, theirs: Row) -> float | None:
    pairs = list(zip(ours.all_cpu_seconds, theirs.all_cpu_seconds, strict=False))
    return round(statistics.median(one / other for one, other in pairs if other), 3) if any(other for _, other in pairs) else None


def table(rows: list[Row]) -> str:
    """All rows, aligned."""
    head = ("case", "client", "version", "seconds", "spread", "cpu s", "÷ raw", "MiB", "stall ms", "ok", "note")
    return _aligned([head, *map(_line, rows)])


def _line(row: Row) -> tuple[str, ...]:
    return (
        row.case,
        row.client,
        row.version,
        _number(row.seconds, ".3f" if row.seconds and row.seconds > 1e-4 else ".1e"),
        _number(row.spread, ".3f"),
        _number(row.cpu_seconds, ".3f"),
        _number(row.ratio, ".2f"),
        _number(row.peak_rss_mib, ".1f"),
        _number(row.stall_ms, ".1f"),
        {True: "yes", False: "NO", None: "-"}[row.ok],
        row.note,
    )


def target_table(found: list[Target]) -> str:
    """Each target with its figure."""
    head = ("target", "figure", "at most", "met", "by CPU")
    return _aligned([head, *((t.claim, f"{t.figure:g}", f"{t.limit:g}", "yes" if t.met else "NO", _number(t.by_cpu, "g")) for t in found)])


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _aligned(lines: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n" + "\n".join((shown[0], "  ".join("-" * width for width in widths), *shown[1:]))
