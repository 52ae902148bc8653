"""``python -m benchmarks [--quick] [--json FILE] [CASE…]``: measure, print a table, and hold the figures against the targets."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from . import registry, report
from .runner import CLIENTS, Plan, Row


def main(arguments: list[str] | None = None) -> int:
    cases = registry.cases()
    names = sorted({name for clients in CLIENTS.values() for name in clients})
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"out of {', '.join(cases)}; all by default")
    parser.add_argument("--quick", action="store_true", help="smaller mailboxes, fewer rounds: under a minute, for a first look")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows there as a JSON list")
    parser.add_argument("--rounds", type=int, help="rounds of each case")
    parser.add_argument("--limit", type=float, help="seconds that one run may take")
    parser.add_argument("--tls", action="store_true", help="over TLS instead of plain TCP (needs trustme)")
    parser.add_argument("--client", action="append", default=[], choices=names, help="only this client and the raw drain; repeatable")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target was missed")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.cases) - set(cases):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    plan = Plan(
        rounds=chosen.rounds or (2 if chosen.quick else 7),
        limit=chosen.limit or (5.0 if chosen.quick else 150.0),
        quick=chosen.quick,
        tls=chosen.tls,
        clients=tuple(chosen.client),
    )
    began = time.perf_counter()
    rows: list[Row] = []
    for case in chosen.cases or cases:
        print(f"{case} …", file=sys.stderr, flush=True)
        rows += registry.run(case, plan)
        if chosen.json:
            chosen.json.write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
    print(report.table(rows))
    targets = [*report.targets(rows), *registry.targets(rows)]
    print(report.target_table(targets))
    print(f"{time.perf_counter() - began:.0f} s in all")
    return 1 if chosen.check and not all(target.met for target in targets) else 0


if __name__ == "__main__":
    sys.exit(main())
