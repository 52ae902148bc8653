"""The judge is not asleep: what each invariant forbids, done on purpose, is found."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiogmail import ChangeResult, CommandError, Disconnected, OutcomeUnknown
from aiogmail.imap.uidset import UidSet
from aiogmail.ports import Outcome
from aiogmail.testing import Fault
from tests.faults.harness import Case, Family, Operation, Violation, World, message, run_case

_LETTER = message("lie")


def _stored(world: World) -> dict[str, int]:
    return {"message": sum(stored.raw == _LETTER for stored in world.account.messages)}


def _flagged(world: World) -> dict[int, int]:
    by_uid = world.account.inbox.by_uid
    return {uid: sum(entry.message is by_uid[uid] for entry in world.account.ledger.flags) for uid in (2, 4)}


async def _noop_and(world: World, then: Any) -> Any:
    await world.inbox.noop()
    result = then(world)
    if isinstance(result, BaseException):
        raise result
    return result


def _case(then: Any, *, applied: Any = None, right: Any = lambda _world, _result: None, **more: Any) -> Case:
    """A call that does what it likes after a NOOP that was delayed, which is the fault."""
    operation = Operation("lie", "NOOP", lambda world: _noop_and(world, then), right, applied)
    more.setdefault("outcomes", frozenset({"done", "Disconnected", "CommandError", "OutcomeUnknown"}))
    return Case("lie", "lie", operation, lambda world: world.server.faults.add(Fault("delay", "NOOP", seconds=1.0)), **more)


def _store(world: World, times: int = 1) -> None:
    for _ in range(times):
        world.account.deliver(_LETTER)


def _and_fail(error: BaseException, times: int = 1) -> Any:
    def then(world: World) -> BaseException:
        _store(world, times)
        return error

    return then


def _leave_task(_world: World) -> None:
    _kept.append(asyncio.ensure_future(asyncio.sleep(1e9)))


def _leave_timer(_world: World) -> None:
    asyncio.get_running_loop().call_later(1e9, print)


def _complain(_world: World) -> None:
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)


async def _elsewhere() -> None:
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, "203.0.113.7", 993)
    transport.abort()


def _call_elsewhere(_world: World) -> None:
    _kept.append(asyncio.ensure_future(_elsewhere()))


def _show_token(world: World) -> BaseException:
    return CommandError(f"NO {next(iter(world.server.hub.tokens.access))}")


def _later(world: World) -> BaseException:
    asyncio.get_running_loop().call_later(300.0, _store, world)
    return Disconnected("lost", outcome=Outcome.NOT_APPLIED)


def _partly(world: World) -> BaseException:
    world.account.set_flags(world.account.inbox.by_uid[2], {"$x"})
    error = CommandError("NO", outcome=Outcome.NOT_APPLIED)
    error.result = ChangeResult(applied=UidSet([4]), unchanged=UidSet([2]))
    return error


def _wrong(_world: World, result: Any) -> None:
    assert result == "right", "another's"


_kept: list[Any] = []


def _lies() -> dict[str, Case]:
    gone = Disconnected("lost", outcome=Outcome.NOT_APPLIED)
    return {
        "I2 applied more than once": _case(lambda world: _store(world, 2), applied=_stored),
        "I3 the call returned, and its effect is not there": _case(lambda _world: None, applied=_stored),
        "I3 Disconnected says not applied, and it is": _case(_and_fail(gone), applied=_stored),
        "I3 Disconnected says not applied, and it is: {'message'}": _case(_later, applied=_stored),
        "I3 Disconnected says applied, and it is not": _case(lambda _: Disconnected("lost", outcome=Outcome.APPLIED), applied=_stored),
        "I3 Disconnected says nothing of the outcome": _case(lambda _: Disconnected("lost"), applied=_stored),
        "I3 OutcomeUnknown does not know the outcome, which": _case(lambda _: OutcomeUnknown("?", stage="x"), applied=_stored),
        "I3 CommandError says not applied, and it is: {2}": _case(_partly, applied=_flagged),
        "I4 tasks left": _case(_leave_task),
        "I5 timers left": _case(_leave_timer),
        "I5 the loop's exception handler heard": _case(_complain),
        "I6 an error shows a token": _case(_show_token),
        "another's": _case(lambda _world: "wrong", right=_wrong),
        "I9 5 tokens were asked for": _case(lambda world: setattr(world, "fetched", 5)),
        "I11 connected to": _case(_call_elsewhere),
        "came out as done, expected Disconnected": _case(lambda _world: None, outcomes=frozenset({"Disconnected"})),
        "ValueError is none of our errors": _case(lambda _world: ValueError("ours?")),
    }


@pytest.mark.parametrize("words", _lies())
def test_what_an_invariant_forbids_is_found(words: str) -> None:
    case = _lies()[words]
    with pytest.raises(AssertionError) as found:
        run_case(case)
    assert words in str(found.value)
    _kept.clear()


def test_a_call_that_does_not_end_is_found() -> None:
    async def call(world: World) -> None:
        await world.inbox.noop()
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Violation, match="I4 the call did not end"):
        run_case(_never(call))


def _never(call: Any) -> Case:
    return Case("lie", "lie", Operation("lie", "NOOP", call), lambda world: world.server.faults.add(Fault("delay", "NOOP", seconds=1.0)))


def test_a_fault_that_does_not_strike_proves_nothing() -> None:
    case = Case("lie", "lie", Operation("lie", "NOOP", lambda world: world.inbox.noop()), lambda _world: None)
    with pytest.raises(Violation, match="the fault did not strike"):
        run_case(case)


def test_a_family_shows_all_that_failed_with_their_ids() -> None:
    family = Family("Lies", lambda: iter(_lies().values()))
    outcomes, failures = family.run(family.cases)
    assert not outcomes
    assert len(failures) == len(_lies())
    assert all(failure.startswith("Lies/lie/lie: ") for failure in failures)
