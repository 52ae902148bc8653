"""Was it right, what came of a case? The ledger says, by the invariants of semantics.md."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

from aiogmail.ports import Outcome
from tests.faults.world import Violation, World, message
from tests.support.canary import CANARIES

if TYPE_CHECKING:
    from tests.faults.harness import Case, Verdict

__all__ = ["BY", "judge", "no_secret", "truthful", "usable"]

BY = 1500.0  # the latest end of a call: an outage waited out, and the longest floor
_OUTAGE = 700.0  # the longest floor, and a little


async def usable(case: Case, world: World, verdict: Verdict) -> None:
    """The client goes on: a search for something that only it asks for finds just that. What a failed call told of gets its time to end."""
    world.server.faults.clear()
    if verdict.error is not None:
        await asyncio.sleep(world.seconds(_OUTAGE, 0.4))
    if case.operation.afterwards is not None:
        async with asyncio.timeout(world.seconds(BY, 20.0)):
            await case.operation.afterwards(world)
        return
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


def judge(case: Case, world: World, verdict: Verdict) -> None:
    if verdict.outcome not in case.outcomes:
        raise Violation(f"came out as {verdict.outcome}, expected {' or '.join(sorted(case.outcomes))}: {verdict.error}") from verdict.error
    if verdict.error is not None:
        no_secret(verdict.error)
    truthful(case, world, verdict)
    # A session that the server does not see end, because it is deaf, counts with those that took its place.
    deaf = sum(fault.action in {"blackhole", "delay"} for fault in world.server.faults.hit)
    at_once, most = world.at_once(case.operation.protocol), 1 + case.operation.keepers + deaf
    if at_once > most:
        raise Violation(f"I8 {at_once} sessions at once, expected {most} at most")
    tries = len(world.connections(case.operation.protocol))
    if tries > 12:
        raise Violation(f"I8 {tries} connections for one fault")
    if world.fetched > 1 + case.tokens:
        raise Violation(f"I9 {world.fetched} tokens were asked for, there is reason for {1 + case.tokens}")


def truthful(case: Case, world: World, verdict: Verdict) -> None:
    """I2 and I3, of calls that change something."""
    if case.operation.applied is None:
        return
    counts = case.operation.applied(world)
    if any(count > 1 for count in counts.values()):
        raise Violation(f"I2 applied more than once: {counts}")
    if verdict.outcome == "done" and not all(counts.values()):
        raise Violation(f"I3 the call returned, and its effect is not there: {counts}")
    if verdict.error is None:
        return
    outcome, result = getattr(verdict.error, "outcome", None), getattr(verdict.error, "result", None)
    if outcome is None:
        raise Violation(f"I3 {verdict.outcome} says nothing of the outcome") from verdict.error
    if outcome is Outcome.UNKNOWN and not case.ambiguous:
        raise Violation(f"I3 {verdict.outcome} does not know the outcome, which could be known") from verdict.error
    # What is said of each of many counts for each; else the one outcome for all.
    done = set(result.applied) if result is not None else set(counts) if outcome is Outcome.APPLIED else set()
    not_done = set(result.unchanged) if result is not None else set(counts) if outcome is Outcome.NOT_APPLIED else set()
    if lies := {what for what in not_done if counts.get(what)}:
        raise Violation(f"I3 {verdict.outcome} says not applied, and it is: {lies}") from verdict.error
    if lies := {what for what in done if not counts.get(what)}:
        raise Violation(f"I3 {verdict.outcome} says applied, and it is not: {lies}") from verdict.error


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
