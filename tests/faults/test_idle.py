"""IDLE, hit at each of its stages, under a watch: what arrived meanwhile is told, once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from aiogmail import Arrived, MailboxReset
from tests.faults.harness import Case, Excluded, Family, Operation, Place, World, message
from tests.faults.kinds import Kind, crossed

_ARRIVE = (2.0, 40.0)  # seconds after the watch began: while IDLE waits, and after it was renewed or lost


async def _watch(world: World) -> list[Any]:
    """Everything that is told until both letters have arrived, under the numbers that hold in the end."""
    loop = asyncio.get_running_loop()
    told: list[Any] = []
    async with world.inbox.watch() as watch, contextlib.AsyncExitStack() as stack:
        for number, seconds in enumerate(_ARRIVE):
            arrival = loop.call_later(
                world.seconds(seconds, seconds / 40), lambda number=number: world.account.deliver(message(f"new{number}"))
            )
            stack.callback(arrival.cancel)
        wanted = {"new0", "new1"}
        async for event in watch:
            told.append(event)
            if isinstance(event, Arrived):
                stored = world.account.by_gmail_id(event.gmail_id)
                assert stored is not None
                wanted.discard(stored.header("Subject"))
            if not wanted:
                world.inbox = watch.mailbox
                break
        return told


def _told(world: World, told: list[Any]) -> None:
    """I1 and I2: each arrival once by its key, and nothing else but what a renumbering tells anew."""
    keys = [event.key for event in told]
    assert len(keys) == len(set(keys)), f"I2 told twice: {keys}"
    order = world.account.inbox.order
    resets = [event for event in told if isinstance(event, MailboxReset)]
    uids = [event.uid for event in told if isinstance(event, Arrived) and event.uidvalidity == world.account.inbox.uidvalidity]
    assert uids == list(order if resets else order[-2:]), f"I1 told {uids}, there are {list(order)}"


_OPERATION = Operation("watch", "IDLE", _watch, _told, keepers=2)
_PLACES = (
    Place("before-plus", "IDLE"),
    Place("quiet", "IDLE", "reply", 10),
    Place("mid-push", "IDLE", "reply", 14, at_line=("reply", 10)),
    Place("done-sent", "IDLE", "tagged"),
    Place("after", "IDLE", "reply", None),
)


def _outcomes(place: Place, kind: Kind) -> frozenset[str] | str:
    if kind.name == "uidvalidity":
        return frozenset({"done"})  # a reset is an event
    if kind.name in {"bad", "no-overquota", "no-alert"}:
        return kind.outcomes | {"done"}  # a watch without IDLE asks from time to time
    return kind.outcomes


def _cells() -> Iterator[Case | Excluded]:
    return crossed(_OPERATION, _PLACES, _outcomes)


IDLE = Family("IMAP IDLE", _cells)
test_what_arrives_is_told_whatever_hits_idle = IDLE.test()
