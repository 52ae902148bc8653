"""Which cases are there? Those of the replay server, and every module of this package that is one.

A module ``benchmarks/NAME.py`` is the case NAME if it has ``measure(plan: Plan) -> list[Row]`` and a line in which it says so::

    CASE = "send"

and may have ``targets(rows: list[Row]) -> list[Target]`` for promises of its own; what is promised of every case (memory and stalls of rows whose
client is aiogmail) is judged without. Nothing else need be told of it. Modules of cases import the libraries they measure in their
children alone, so that a case can be chosen where those of another are missing.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType

from .report import Target
from .rows import SPECS
from .runner import Plan, Row, measure

__all__ = ["cases", "run", "targets"]

_NO_CASES = frozenset({"__main__", "child", "server"})


def _modules() -> dict[str, ModuleType]:
    """By the name of the case."""
    names = [found.name for found in pkgutil.iter_modules(importlib.import_module(__package__).__path__)]
    modules = [importlib.import_module(f".{name}", __package__) for name in sorted(names) if name not in _NO_CASES]
    return {module.CASE: module for module in modules if hasattr(module, "CASE")}


def cases() -> tuple[str, ...]:
    """The names, those of the replay server first."""
    return (*SPECS, *_modules())


def run(case: str, plan: Plan) -> list[Row]:
    """The rows of one case."""
    module = _modules().get(case)
    if module is None:
        return measure(case, plan)
    run_it: Callable[[Plan], list[Row]] = module.measure
    return run_it(plan)


def targets(rows: list[Row]) -> list[Target]:
    """What the modules of cases promise beside what all do."""
    found: list[Target] = []
    for module in _modules().values():
        if hasattr(module, "targets"):
            found += module.targets(rows)
    return found
