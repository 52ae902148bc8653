"""How is one fault tried, and who judges what came of it?

The fault matrix is a table: **points × kinds → the outcomes that are right**. A *point* is a call and the place where its command is hit; a
*kind* says what goes wrong there and what may come of it; the emulator's ledger judges, never the client. Each case is a world of its own: an
emulator in memory, one account, one client, virtual time.

To hang a family of cases here:

1. Write its :class:`Operation` values: the call, which command of it is hit, whether its result is right, how often its effect is in the account.
2. Name its places: :class:`Place`, one for each position.
3. Choose its kinds: :mod:`tests.faults.kinds` has those of semantics.md section 3; ``Kind.arm(world, place)`` sets them up.
4. ``family = Family("IMAP commands", cases)``, where ``cases`` yields :class:`Case` values and, for each cell that does not exist or is out of
   scope, a :class:`Excluded` with its reason. Nothing is left out silently.
5. One test: ``@family.test()`` parametrises it over the points; its cases are run and judged, all failures are shown together, and the run's
   summary prints the family's count (summary.py).

One case alone: ``python -m tests.faults 'IMAP commands/search/written/eof'``; a prefix runs all cases under it.

What is judged, of the invariants of semantics.md:

* I1, I3: ``Operation.right`` compares a result with the model; ``Operation.applied`` counts effects, at the end and ten virtual minutes later:
  an ``APPLIED`` or a returned call means 1, ``NOT_APPLIED`` means 0, unknown is only allowed where the case says so.
* I2: no effect is there twice. I4: the call ends by its deadline, and afterwards no task is left but the test's.
* I5: no timer, no exception for the loop's handler, no connection left. (Descriptors, threads and warnings: tests/conftest.py, for each test.)
* I6: log records, error texts and the locals of our frames in tracebacks show no token (tests/conftest.py and :func:`no_secret`).
* I7: every call asks for something that no other asks for, so that another's reply would be a wrong result.
* I8: connections at once, tries, and bytes sent twice stay within the case's politeness.
* I9: no more tokens than the case has reasons for. I11: nothing connects elsewhere.
* I10 (stalls) is measured where time is real: tests/imap and the nightly load tests; virtual time has none.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from aiogmail.errors import GmailError
from aiogmail.testing import Fault
from tests.faults.judge import BY, judge, no_secret, truthful, usable
from tests.faults.world import ME, Violation, World, in_loop, message, world_of

__all__ = [
    "BY",
    "ME",
    "Case",
    "Excluded",
    "Family",
    "Operation",
    "Place",
    "Verdict",
    "Violation",
    "World",
    "in_loop",
    "message",
    "no_secret",
    "run_case",
    "truthful",
    "usable",
    "world_of",
]

LATER = 600.0  # at +10 minutes what was "not applied" must not have happened after all


# What is tried


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fault strikes.

    Attributes:
        name: in the case's id.
        command: the verb as :class:`aiogmail.testing.Fault` has it.
        point, byte, skip, protocol: the fault's.
        only: the fault's too: of so many messages the command is done.
        at_line: where ``point`` and ``byte`` lie within a line: the nearest place before it at which a line of the server's own may stand.
        clean: a line of the server's own may stand here, so that last bytes before an end make sense.
    """

    name: str
    command: str
    point: str = "request"
    byte: int | None = None
    skip: int = 0
    protocol: str = "imap"
    only: int | None = None
    at_line: tuple[str, int | None] | None = None

    @property
    def clean(self) -> bool:
        return self.at_line is None

    def fault(self, action: str, *, line: bool = False, **more: Any) -> Fault:
        """A fault at this place; ``line``: it sends lines, which want the beginning of one."""
        point, byte = self.at_line if line and self.at_line is not None else (self.point, self.byte)
        if action == "answer":
            byte = None
        return Fault(action, self.command, protocol=self.protocol, point=point, byte=byte, skip=self.skip, only=self.only, **more)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Operation:
    """One call.

    Attributes:
        name: in the case's id.
        command: the command of it that is hit.
        call: makes it.
        right: raises :class:`AssertionError` where what it returned is not what the account holds.
        applied: by the ledger, how often each of its effects happened, by UID or by name; ``None``: it changes nothing.
        prepare: what must be there before, after the world is open.
        occupant: the call behind which it waits where it is queued, on the same connection; ``occupied`` is that one's command.
        keepers: how many connections it needs: each may have a successor beside it.
        afterwards: a call that works once the fault is over, if not a search in the INBOX.
        protocol: whose connections are counted.
    """

    name: str
    command: str
    call: Callable[[World], Awaitable[Any]]
    right: Callable[[World, Any], None] = lambda _world, _result: None
    applied: Callable[[World], dict[Any, int]] | None = None
    prepare: Callable[[World], Awaitable[None]] | None = None
    occupant: Callable[[World], Awaitable[Any]] = lambda world: world.inbox.noop()
    occupied: str = "NOOP"
    keepers: int = 1
    afterwards: Callable[[World], Awaitable[None]] | None = None
    protocol: str = "imap"


@dataclass(frozen=True, slots=True)
class Case:
    """One fault at one point.

    Attributes:
        point: such as ``"search/written"``; the test is parametrised over these.
        kind: the name of the kind.
        operation: the call that is made.
        arm: lets the fault wait for its place; called with the open world, just before the call.
        outcomes: what may come of the call: ``"done"``, ``"cancelled"`` or names of error classes.
        ambiguous: whether the call may say that its outcome is unknown.
        first: the fault hits the first opening: the world's client is not open yet.
        queued: the call waits behind a NOOP, which is what the fault hits.
        behaviour: switches of the emulator.
        real: why it is not in the sample over TCP and TLS; ``""``: it may be.
        usable: whether the client works afterwards.
        tokens: reasons for a new token, beside the first.
    """

    point: str
    kind: str
    operation: Operation
    arm: Callable[[World], None]
    outcomes: frozenset[str] = frozenset({"done"})
    ambiguous: bool = False
    first: bool = False
    queued: bool = False
    behaviour: tuple[tuple[str, Any], ...] = ()
    real: str = ""
    usable: bool = True
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Excluded:
    """A cell of the table that is no case, and why."""

    point: str
    kind: str
    reason: str


# Running


@dataclass(slots=True)
class Verdict:
    """What came of a case."""

    case: Any
    outcome: str
    error: BaseException | None = None
    seconds: float = 0.0

    @classmethod
    def of(cls, case: Any, task: asyncio.Task[Any], seconds: float = 0.0) -> Verdict:
        """How a task that is done came out.

        Raises:
            Violation: an exception that is none of ours.
        """
        if task.cancelled():
            return cls(case, "cancelled", None, seconds)
        error = task.exception()
        if error is None:
            return cls(case, "done", None, seconds)
        if not isinstance(error, GmailError):
            raise Violation(f"{type(error).__name__} is none of our errors: {error}") from error
        return cls(case, type(error).__name__, error, seconds)


def run_case(case: Case, *, seed: int = 0, real: bool = False) -> Verdict:
    """Run a case in a world of its own and judge it.

    Raises:
        Violation: an invariant does not hold.
    """
    return in_loop(_in_world(case, seed, real), f"{seed}/{case.point}/{case.kind}", seed=seed, real=real)


async def _in_world(case: Case, seed: int, real: bool) -> Verdict:
    async with world_of(dict(case.behaviour), seed=seed, real=real, pipeline=1 if case.queued else 4) as world:
        if case.first:
            await world.gmail.__aenter__()
        else:
            await world.open()
        if case.operation.prepare is not None:
            await case.operation.prepare(world)
        verdict = await _struck(case, world)
        if case.usable:
            await usable(case, world, verdict)
        await asyncio.sleep(world.seconds(LATER, 0.0))
        judge(case, world, verdict)
    return verdict


async def _struck(case: Case, world: World) -> Verdict:
    """Make the call under the fault."""
    loop = asyncio.get_running_loop()
    hits = len(world.server.faults.hit)
    case.arm(world)
    start = loop.time()
    occupant = None
    if case.queued:
        occupant = asyncio.create_task(_await(case.operation.occupant(world)), name="occupant")
        await asyncio.sleep(0)
    world.caller = asyncio.create_task(_await(case.operation.call(world)), name="call")
    done, _ = await asyncio.wait([world.caller], timeout=world.seconds(BY, 10.0))
    if not done:
        world.caller.cancel()
        await asyncio.wait([world.caller], timeout=1)
        raise Violation(f"I4 the call did not end within {BY:g} s")
    if occupant is not None:
        await asyncio.wait([occupant], timeout=world.seconds(BY, 20.0))
        if not occupant.done():
            occupant.cancel()
            raise Violation("I4 the call before it did not end")
        if not occupant.cancelled():
            occupant.exception()
    if len(world.server.faults.hit) == hits:
        raise Violation("the fault did not strike: the case proves nothing")
    seconds = loop.time() - start
    verdict = Verdict.of(case, world.caller, seconds)
    if verdict.outcome == "done":
        case.operation.right(world, world.caller.result())
    return verdict


async def _await(call: Awaitable[Any]) -> Any:
    return await call


# Families


@dataclass(slots=True)
class Family:
    """A table of cases under one name.

    Args:
        name: as the summary prints it, and the first word of its cases' ids.
        cells: what there is: cases, and cells without one.
        runner: runs one case and judges it; a family whose world is another has a runner of its own, and cases of its own with a
            ``point`` and a ``kind``.
    """

    name: str
    cells: Callable[[], Iterator[Any]]
    runner: Callable[..., Verdict] = run_case
    _cases: list[Any] = field(default_factory=list)
    _excluded: list[Excluded] = field(default_factory=list)

    def __post_init__(self) -> None:
        for cell in self.cells():
            (self._excluded if isinstance(cell, Excluded) else self._cases).append(cell)

    @property
    def cases(self) -> list[Any]:
        """All cases."""
        return self._cases

    @property
    def excluded(self) -> list[Excluded]:
        """The cells that are none."""
        return self._excluded

    def points(self) -> list[str]:
        """Their points, in order."""
        return list(dict.fromkeys(cell.point for cell in [*self._cases, *self._excluded]))

    def test(self) -> Callable[[], None]:
        """The test of the family: one run for each operation, which shows every failure."""
        groups = list(dict.fromkeys(point.rpartition("/")[0] or point for point in self.points()))

        @pytest.mark.slow
        @pytest.mark.parametrize("group", groups)
        def run(group: str, record_property: Callable[[str, object], None]) -> None:
            def within(point: str) -> bool:
                return (point.rpartition("/")[0] or point) == group

            cases = [case for case in self._cases if within(case.point)]
            excluded = [cell for cell in self._excluded if within(cell.point)]
            outcomes, failures = self.run(cases)
            record_property("faults", {"family": self.name, "cases": len(cases), "excluded": len(excluded), "outcomes": dict(outcomes)})
            assert not failures, f"{len(failures)} of {len(cases)} cases:\n" + "\n".join(failures)

        return run

    def run(self, cases: Iterable[Any], *, real: bool = False, seed: int = 0) -> tuple[Counter[str], list[str]]:
        """Run cases; how they came out, and the failures with their ids."""
        outcomes: Counter[str] = Counter()
        failures = []
        for case in cases:
            try:
                outcomes[self.runner(case, real=real, seed=seed).outcome] += 1
            except AssertionError as error:
                failures.append(f"{self.name}/{case.point}/{case.kind}: {error}")
            except Exception as error:
                failures.append(f"{self.name}/{case.point}/{case.kind}: {type(error).__name__}: {error}")
        return outcomes, failures


# Families whose worlds have nothing in common with these

Named = tuple[str, Callable[[str], str], frozenset[str]]
"""A case's name, what runs it under that name and says what came of it, and what may come of it."""


def tally(cases: Iterable[Named]) -> tuple[Counter[str], list[str], int]:
    """Run cases; how they came out, the failures with their names, and how many there were."""
    outcomes: Counter[str] = Counter()
    failures, count = [], 0
    for name, run, wanted in cases:
        count += 1
        try:
            outcome = run(name)
            assert outcome in wanted, f"came out as {outcome}, expected {' or '.join(sorted(wanted))}"
            outcomes[outcome] += 1
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__}: {error}")
    return outcomes, failures, count
