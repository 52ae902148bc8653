"""A tenth of the matrix again, over real TCP and TLS and in real time: what memory and virtual time show holds outside as well.

Which tenth, the day says; ``FAULTS_SEED`` gives another, or the same again.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.faults.test_append import APPEND
from tests.faults.test_commands import COMMANDS
from tests.faults.test_connect import CONNECT
from tests.faults.test_idle import IDLE

_FAMILIES = (CONNECT, COMMANDS, APPEND, IDLE)
_PARTS = 4
_SEED = int(os.environ.get("FAULTS_SEED", int(time.time()) // 86_400))
_SHARE = 0.06  # of all cases; a good third of them cannot be tried in real time, and says why


@pytest.mark.slow
@pytest.mark.parametrize("part", range(_PARTS))
def test_a_sample_holds_over_tcp_and_tls(part: int, record_property: Callable[[str, object], None]) -> None:
    rng = random.Random(_SEED)
    chosen = [(family, case) for family in _FAMILIES for case in family.cases if not case.real and rng.random() < _SHARE]
    print(f"FAULTS_SEED={_SEED}: {len(chosen)} cases")
    outcomes: Counter[str] = Counter()
    failures = []
    for family, case in chosen[part::_PARTS]:
        came, failed = family.run([case], real=True, seed=_SEED)
        outcomes.update(came)
        failures += failed
    record_property(
        "faults", {"family": "Sample over TCP and TLS", "cases": sum(outcomes.values()), "excluded": 0, "outcomes": dict(outcomes)}
    )
    assert not failures, f"FAULTS_SEED={_SEED}\n" + "\n".join(failures)
