"""Every call of the public face, cancelled after 0, 1, 2, … turns of the loop: it ends at once, doubles nothing, and the client goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from aiogmail import Gmail, TokenCache
from tests.faults.changing import CHANGING
from tests.faults.harness import LATER, Case, Operation, Verdict, Violation, World, in_loop, message, truthful, usable, world_of
from tests.faults.reading import READING
from tests.faults.test_append import APPEND

_MOST = 400  # turns; a call that takes more waits for a timer, and from then on time is let go on between two of them
_WITHIN = 30.0  # seconds in which a cancelled call must be over: the longest that a farewell may take


async def _open_mailbox(world: World) -> None:
    async with world.gmail.mailbox("Other") as other:
        assert other.state.exists == 0


async def _other(world: World) -> None:
    world.account.labels.create("Other", world.account.behaviour)


async def _first_row(world: World) -> Any:
    async with world.inbox.fetch("1:*", "raw") as rows:
        return await anext(rows)


async def _begin_watch(world: World) -> None:
    async with world.inbox.watch() as watch:
        await anext(watch)


async def _soon(world: World) -> None:
    asyncio.get_running_loop().call_later(3.0, lambda: world.account.deliver(message("watched")))


async def _account_watch(world: World) -> None:
    async with world.gmail.watch() as watch:
        await anext(watch)


async def _archive(world: World) -> None:
    await world.inbox.archive([2, 4])


async def _trash(world: World) -> None:
    await world.inbox.trash([2, 4])


async def _set_labels(world: World) -> None:
    await world.inbox.set_labels([2, 4], ["Other"])


async def _special(world: World) -> None:
    assert (await world.gmail.special("trash")).name


async def _close_mailbox(world: World) -> None:
    async with world.gmail.mailbox("Other") as other:
        await other.aclose(timeout=5.0)


async def _reconnect(world: World) -> Any:
    world.account.drop_sessions()
    return await world.inbox.search("SUBJECT letter5")


async def _refresh(world: World) -> Any:
    world.account.expire_tokens()
    world.account.drop_sessions()
    return await world.inbox.search("SUBJECT letter5")


async def _two_at_once(world: World) -> Any:
    """One of two that share a connection is cancelled with the other."""
    return await asyncio.gather(world.inbox.search("SUBJECT letter5"), world.inbox.search("SUBJECT letter6"))


async def _open_and_close_account(world: World) -> None:
    async with Gmail(world.gmail.address, world.credentials, settings=world.gmail.settings) as gmail, gmail.mailbox("INBOX") as inbox:
        await inbox.noop()


async def _token(world: World) -> None:
    async with TokenCache(clock=world.gmail.settings.clock) as tokens:
        await tokens.get(world.gmail.address, world.credentials)


_OTHERS = (
    Operation("account", "SELECT", _open_and_close_account, keepers=2),
    Operation("token", "TOKEN", _token),
    Operation("open", "SELECT", _open_mailbox, prepare=_other, keepers=2),
    Operation("close", "LOGOUT", _close_mailbox, prepare=_other, keepers=2),
    Operation("first-row", "UID FETCH", _first_row),
    Operation("watch", "IDLE", _begin_watch, prepare=_soon),
    Operation("watch-account", "IDLE", _account_watch, prepare=_soon, keepers=2),
    Operation("archive", "UID MOVE", _archive, keepers=2),
    Operation("trash", "UID MOVE", _trash, keepers=2),
    Operation("set-labels", "UID STORE", _set_labels, prepare=_other),
    Operation("special", "LIST", _special, keepers=2),
    Operation("reconnect", "UID SEARCH", _reconnect),
    Operation("refresh", "UID SEARCH", _refresh),
    Operation("two-searches", "UID SEARCH", _two_at_once),
)
_APPENDS = tuple({case.operation.name: case.operation for case in APPEND.cases}.values())
_SWEPT = {operation.name: operation for operation in (*READING, *CHANGING, *_APPENDS, *_OTHERS)}


def _run(operation: Operation, turns: int, first: bool = False) -> tuple[str, bool]:
    """Cancel the call after so many turns: how it came out, and whether it was over before."""
    case = Case(operation.name, f"after {turns}", operation, arm=lambda _world: None, first=first)

    async def main() -> tuple[str, bool]:
        async with world_of({"append_duplicate": "store"}) as world:
            await world.open()
            if operation.prepare is not None:
                await operation.prepare(world)
            task = asyncio.ensure_future(operation.call(world))
            over = await _turns(task, turns)
            task.cancel()
            await asyncio.wait([task], timeout=_WITHIN)
            if not task.done():
                raise Violation(f"I4 it was cancelled and did not end within {_WITHIN:g} s")
            verdict = Verdict.of(case, task)
            if over and verdict.outcome != "done":
                raise Violation(f"nothing went wrong, and it came out as {verdict.outcome}: {verdict.error}")
            if not over and verdict.outcome not in {"cancelled", "done"}:
                raise Violation(f"it was cancelled and came out as {verdict.outcome}: {verdict.error}")
            await usable(case, world, verdict)
            await asyncio.sleep(LATER)
            truthful(case, world, verdict)
            return verdict.outcome, over

    return in_loop(main(), f"{operation.name}/{turns}")


async def _turns(task: asyncio.Future[Any], turns: int) -> bool:
    for turn in range(turns):
        if task.done():
            return True
        await asyncio.sleep(0 if turn < _MOST else 1.0)
    return task.done()


@pytest.mark.slow
@pytest.mark.parametrize("name", _SWEPT)
def test_a_cancelled_call_ends_at_once_and_leaves_all_well(name: str, record_property: Callable[[str, object], None]) -> None:
    outcomes: Counter[str] = Counter()
    failures = []
    turns = 0
    over = False
    while not over:
        try:
            outcome, over = _run(_SWEPT[name], turns)
            outcomes[outcome] += 1
        except Exception as error:
            failures.append(f"{name}, cancelled after {turns} turns: {type(error).__name__}: {error}")
            over = len(failures) >= 5
        # Every turn at first; the long ones that only wait, or read many rows, are sampled.
        turns += 1 if turns < 60 else 7 if turns < _MOST else 20
    record_property("faults", {"family": "Cancel sweep", "cases": sum(outcomes.values()), "excluded": 0, "outcomes": dict(outcomes)})
    assert not failures, "\n".join(failures)
    assert outcomes["cancelled"], "it was never cancelled in the middle"
