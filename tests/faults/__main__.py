"""``python -m tests.faults [PREFIX]``: run the cases whose id begins so, each by itself, and say what came of it."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time

import tests.faults
from tests.faults.harness import Family


def main(prefix: str) -> int:
    failed = count = 0
    seen: set[int] = set()  # a test module may import another's family
    for module in pkgutil.iter_modules(tests.faults.__path__, "tests.faults."):
        if not module.name.rpartition(".")[2].startswith("test_"):
            continue
        for family in vars(importlib.import_module(module.name)).values():
            if not isinstance(family, Family) or id(family) in seen:
                continue
            seen.add(id(family))
            for case in family.cases:
                name = f"{family.name}/{case.point}/{case.kind}"
                if not name.startswith(prefix):
                    continue
                count += 1
                start = time.perf_counter()
                try:
                    verdict = family.runner(case)
                    print(f"{name}: {verdict.outcome} after {verdict.seconds:.2f} virtual s, {1000 * (time.perf_counter() - start):.1f} ms")
                except Exception as error:
                    failed += 1
                    print(f"{name}: FAILED {error!r}")
                    if count == 1 and prefix == name:
                        raise
    print(f"{count} cases, {failed} failed")
    return failed


sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "") > 0)
