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
import gc
import random
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from aiogmail import Gmail, TokenProvider
from aiogmail.errors import GmailError, LoginRequired
from aiogmail.ports import Outcome
from aiogmail.settings import Limits, Settings, Timeouts
from aiogmail.testing import Behaviour, Fault, GmailEmulator, VirtualLoop
from tests.support.canary import CANARIES

__all__ = [
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
]

ME = "me@gmail.com"
LATER = 600.0  # at +10 minutes what was "not applied" must not have happened after all
_OUTAGE = 700.0  # the longest floor, and a little
BY = 1500.0  # the latest end of a call: an outage waited out, and the longest floor


class Violation(AssertionError):
    """An invariant does not hold."""


def message(subject: str, body: str = "body\r\n", message_id: str | None = None) -> bytes:
    """A message whose Message-ID is its subject's, unless another is given."""
    head = f"From: Ada <ada@example.org>\r\nTo: {ME}\r\nDate: Mon, 05 Jan 2026 08:00:00 +0000\r\nSubject: {subject}\r\n"
    return f"{head}Message-ID: {message_id or f'<{subject}.abcdefghij@mail.example.org>'}\r\n\r\n{body}".encode()


# What is tried


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fault strikes.

    Attributes:
        name: in the case's id.
        command: the verb as :class:`aiogmail.testing.Fault` has it.
        point, byte, skip, protocol: the fault's.
        at_line: where ``point`` and ``byte`` lie within a line: the nearest place before it at which a line of the server's own may stand.
        clean: a line of the server's own may stand here, so that last bytes before an end make sense.
    """

    name: str
    command: str
    point: str = "request"
    byte: int | None = None
    skip: int = 0
    protocol: str = "imap"
    at_line: tuple[str, int | None] | None = None

    @property
    def clean(self) -> bool:
        return self.at_line is None

    def fault(self, action: str, *, line: bool = False, **more: Any) -> Fault:
        """A fault at this place; ``line``: it sends lines, which want the beginning of one."""
        point, byte = self.at_line if line and self.at_line is not None else (self.point, self.byte)
        if action == "answer":
            byte = None
        return Fault(action, self.command, protocol=self.protocol, point=point, byte=byte, skip=self.skip, **more)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Operation:
    """One call.

    Attributes:
        name: in the case's id.
        command: the command of it that is hit.
        call: makes it.
        right: raises :class:`AssertionError` where what it returned is not what the account holds.
        applied: how often its effect is in the account, by the ledger; ``None``: it changes nothing.
        prepare: what must be there before, after the world is open.
    """

    name: str
    command: str
    call: Callable[[World], Awaitable[Any]]
    right: Callable[[World, Any], None] = lambda _world, _result: None
    applied: Callable[[World], int] | None = None
    prepare: Callable[[World], Awaitable[None]] | None = None


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


# The world of a case


class World:
    """An emulator, an account and a client.

    Attributes:
        server, account: the emulator's side, where everything can be looked up.
        gmail, inbox: the client's.
        caller: the task that makes the call.
        fetched: how often the client asked for a token.
        notes: for operations: what they need to remember.
        real: whether this world has TCP, TLS and real time.
    """

    def __init__(self, server: GmailEmulator, *, real: bool = False, pipeline: int = 4) -> None:
        self.server = server
        self.account = server.add_account(ME)
        self.real = real
        self.caller: asyncio.Task[Any] | None = None
        self.fetched = 0
        self.revoked = False
        self.notes: dict[str, Any] = {}
        server.hub.tokens.word = lambda prefix, _size=40: CANARIES.secret(prefix)  # type: ignore[method-assign]
        self.gmail = Gmail(ME, TokenProvider(self._token), settings=self._settings(pipeline))
        self.inbox: Any = None

    def _settings(self, pipeline: int) -> Settings:
        settings = self.server.settings
        limits = Limits(line=64 * 1024, literal=1024 * 1024, response=2 * 1024 * 1024, pipeline=pipeline)
        if self.real:
            timeouts = Timeouts(connect=1.0, auth=0.5, command=0.5, first_byte=0.5, progress=0.3, recover=5.0, logout=0.2, idle_done=0.3)
            return replace(settings, limits=limits, timeouts=timeouts)
        imap = replace(settings.imap, host="localhost")  # a name, so that it can be one that does not resolve
        return replace(settings, imap=imap, limits=limits)

    async def _token(self) -> tuple[str, datetime]:
        self.fetched += 1
        if self.revoked:
            raise LoginRequired("Token has been expired or revoked.")
        token = self.account.access_token()
        return token, datetime.fromtimestamp(self.server.hub.wall() + self.account.behaviour.token_lifetime, UTC)

    async def open(self) -> None:
        """Open the client and its INBOX."""
        await self.gmail.__aenter__()
        self.inbox = self.gmail.mailbox("INBOX")
        await self.inbox.__aenter__()

    async def close(self) -> None:
        """Close what was opened."""
        await self.gmail.aclose()

    def seconds(self, virtual: float, real: float) -> float:
        """So long in virtual time, and in real."""
        return real if self.real else virtual

    # What kinds do

    def cancel(self) -> None:
        """Cancel the call."""
        assert self.caller is not None
        self.caller.cancel()

    def revoke(self) -> None:
        """The person withdraws consent: every token is dead and there is no other."""
        self.revoked = True
        self.account.revoke()

    def refuse_connections(self, seconds: float) -> None:
        """Nobody listens for IMAP for so long."""
        loop = asyncio.get_running_loop()
        listener = self.server._servers.pop("imap")
        listener.close()
        again = loop.call_later(seconds, lambda: tasks.append(loop.create_task(self.server.resume("imap"))))
        tasks: list[asyncio.Task[None]] = []
        self.notes["refusing"] = again, tasks  # kept, so that it is not collected while it runs

    def forget_name(self, seconds: float) -> None:
        """The server's name does not resolve for so long."""
        loop = asyncio.get_running_loop()
        names = loop.network.names  # type: ignore[attr-defined]
        names.discard("localhost")
        loop.call_later(seconds, names.add, "localhost")

    # What the ledger says

    def connections(self, protocol: str = "imap") -> list[Any]:
        """All connections of a protocol, ever."""
        return [entry for entry in self.server.ledger.connections if entry.protocol == protocol]

    def at_once(self, protocol: str = "imap") -> int:
        """The most connections of a protocol that were open at one time and logged in."""
        moments = []
        for entry in self.connections(protocol):
            if entry.authenticated_at is not None:
                moments += [(entry.authenticated_at, 1), (entry.closed_at if entry.closed_at is not None else float("inf"), -1)]
        most = now = 0
        for _, step in sorted(moments):
            now += step
            most = max(most, now)
        return most


# Running and judging


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


def in_loop(main: Coroutine[Any, Any, Verdict], name: str, *, seed: int = 0, real: bool = False) -> Verdict:
    """Run a case's coroutine in a loop of its own, virtual unless ``real``; the loop must have nothing to complain of, and nothing left."""
    random.seed(name)  # back-off's jitter
    complaints: list[str] = []
    factory = asyncio.SelectorEventLoop if real else lambda: VirtualLoop(seed)
    with asyncio.Runner(loop_factory=factory) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(f"{context.get('message')}: {context.get('exception')!r}"))
        verdict = runner.run(_leaving_nothing(main))
    gc.collect(0)
    if complaints:
        raise Violation(f"I5 the loop's exception handler heard: {complaints}")
    return verdict


async def _leaving_nothing(main: Coroutine[Any, Any, Verdict]) -> Verdict:
    verdict = await main
    for _ in range(20):
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        raise Violation(f"I4 tasks left: {sorted(task.get_name() for task in left)}")
    timers = [handle for handle in getattr(asyncio.get_running_loop(), "_scheduled", ()) if not handle.cancelled()]
    if timers:
        raise Violation(f"I5 timers left: {timers}")
    return verdict


async def _in_world(case: Case, seed: int, real: bool) -> Verdict:
    reached: set[tuple[str, int]] = set()
    if not real:
        _watch_connections(reached)
    async with GmailEmulator(behaviour=Behaviour(**dict(case.behaviour)), seed=seed, tls=None) as server:
        world = World(server, real=real, pipeline=1 if case.queued else 4)
        _stock(world)
        try:
            if case.first:
                await world.gmail.__aenter__()
            else:
                await world.open()
            if case.operation.prepare is not None:
                await case.operation.prepare(world)
            verdict = await _struck(case, world)
            if case.usable:
                await _usable(case, world, verdict)
            await asyncio.sleep(world.seconds(LATER, 0.0))
            _judge(case, world, verdict)
        finally:
            await world.close()
        await _ended(world)
    _allowed_hosts(server, reached)
    return verdict


def _stock(world: World) -> None:
    for number in range(1, 9):
        world.account.deliver(message(f"letter{number}"), flags=["\\Seen"] if number % 2 else [])


async def _struck(case: Case, world: World) -> Verdict:
    """Make the call under the fault."""
    loop = asyncio.get_running_loop()
    hits = len(world.server.faults.hit)
    case.arm(world)
    start = loop.time()
    occupant = None
    if case.queued:
        occupant = asyncio.create_task(world.inbox.noop(), name="occupant")
        await asyncio.sleep(0)
    world.caller = asyncio.create_task(_call(case.operation, world), name="call")
    done, _ = await asyncio.wait([world.caller], timeout=world.seconds(BY, 20.0))
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


async def _call(operation: Operation, world: World) -> Any:
    return await operation.call(world)


async def _usable(case: Case, world: World, verdict: Verdict) -> None:
    """The client goes on: a search for something that only it asks for finds just that. What a failed call told of gets its time to end."""
    world.server.faults.clear()
    if verdict.error is not None:
        await asyncio.sleep(world.seconds(_OUTAGE, 0.4))
    wanted = world.account.deliver(message("afterwards"))
    inbox = world.inbox
    if case.first and verdict.outcome != "done":
        inbox = world.inbox = world.gmail.mailbox("INBOX")
        await inbox.__aenter__()
    async with asyncio.timeout(world.seconds(BY, 20.0)):
        await inbox.noop()  # Gmail shows new mail to a session at its next command
        found = await inbox.search('SUBJECT "afterwards"')
    if list(found) != [world.account.inbox.uid_of[wanted]]:
        raise Violation(f"I7 a search after the fault found {list(found)}, expected {world.account.inbox.uid_of[wanted]}")


def _judge(case: Case, world: World, verdict: Verdict) -> None:
    if verdict.outcome not in case.outcomes:
        raise Violation(f"came out as {verdict.outcome}, expected {' or '.join(sorted(case.outcomes))}: {verdict.error}") from verdict.error
    if verdict.error is not None:
        no_secret(verdict.error)
    _truthful(case, world, verdict)
    # A session that the server does not see end, because it is deaf, counts with those that took its place.
    deaf = sum(fault.action in {"blackhole", "delay"} for fault in world.server.faults.hit)
    if world.at_once() > 2 + deaf:
        raise Violation(f"I8 {world.at_once()} sessions at once for one mailbox")
    tries = len(world.connections())
    if tries > 12:
        raise Violation(f"I8 {tries} connections for one fault")
    if world.fetched > 1 + case.tokens:
        raise Violation(f"I9 {world.fetched} tokens were asked for, there is reason for {1 + case.tokens}")


def _truthful(case: Case, world: World, verdict: Verdict) -> None:
    """I2 and I3, of calls that change something."""
    if case.operation.applied is None:
        return
    count = case.operation.applied(world)
    if count > 1:
        raise Violation(f"I2 applied {count} times")
    if verdict.outcome == "done" and count != 1:
        raise Violation("I3 the call returned, and its effect is not there")
    if verdict.error is None:
        return
    outcome = getattr(verdict.error, "outcome", None)
    if outcome is None:
        raise Violation(f"I3 {verdict.outcome} says nothing of the outcome") from verdict.error
    if outcome is Outcome.NOT_APPLIED and count:
        raise Violation(f"I3 {verdict.outcome} says not applied, and it is") from verdict.error
    if outcome is Outcome.APPLIED and not count:
        raise Violation(f"I3 {verdict.outcome} says applied, and it is not") from verdict.error
    if outcome is Outcome.UNKNOWN and not case.ambiguous:
        raise Violation(f"I3 {verdict.outcome} does not know the outcome, which could be known") from verdict.error


def no_secret(error: BaseException) -> None:
    """I6: neither the words of an error nor the locals of our frames show a token."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    words = []
    while shown is not None:
        words.append(str(shown))
        words += [
            f"{frame.name} {frame.locals}" for frame in shown.stack if "/aiogmail/" in frame.filename and "/testing/" not in frame.filename
        ]
        shown = shown.__cause__ or shown.__context__  # type: ignore[assignment]
    if CANARIES.found_in("\n".join(words)):
        raise Violation("I6 an error shows a token")


async def _ended(world: World) -> None:
    """Every session is gone once the client is closed; the emulator needs a moment to see it."""
    for _ in range(50):
        if not world.server.ledger.open_connections():
            return
        await asyncio.sleep(world.seconds(1.0, 0.02))
    held = [entry for entry in world.server.ledger.open_connections() if not world.server.faults.hit]
    if held:
        raise Violation(f"I5 connections left open: {held}")


def _watch_connections(reached: set[tuple[str, int]]) -> None:
    """I11: write down whom the client calls."""
    network = asyncio.get_running_loop().network  # type: ignore[attr-defined]
    connect = network.connect

    async def watched(factory: Any, host: str, port: int, *rest: Any) -> Any:
        reached.add((host, port))
        return await connect(factory, host, port, *rest)

    network.connect = watched


def _allowed_hosts(server: GmailEmulator, reached: set[tuple[str, int]]) -> None:
    allowed = {(host, port) for host in ("localhost", "127.0.0.1") for port in server._ports.values()}
    if reached - allowed:
        raise Violation(f"I11 connected to {reached - allowed}")


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
