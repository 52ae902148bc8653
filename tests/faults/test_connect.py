"""From connecting to SELECT: what goes wrong while a session is opened, the first time and after one was lost."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from aiogmail.testing import Fault
from tests.faults.harness import Case, Excluded, Family, Operation, Place, World
from tests.faults.kinds import DONE, Kind, crossed
from tests.faults.reading import READING

_SEARCH = next(operation for operation in READING if operation.name == "search")


async def _open_and_search(world: World) -> object:
    world.inbox = world.gmail.mailbox("INBOX")
    await world.inbox.__aenter__()
    return await _SEARCH.call(world)


async def _lose_and_search(world: World) -> object:
    return await _SEARCH.call(world)


_FIRST = Operation("open", "CONNECT", _open_and_search, _SEARCH.right)
_AGAIN = Operation("reopen", "CONNECT", _lose_and_search, _SEARCH.right)

_PLACES = (
    Place("greeting", "CONNECT", "request"),
    Place("greeting-cut", "CONNECT", "reply", 9, at_line=("reply", 0)),
    Place("capability", "CAPABILITY"),
    Place("authenticate", "AUTHENTICATE"),
    Place("challenge", "AUTHENTICATE", "reply", 9, at_line=("reply", 0)),
    Place("id", "ID"),
    Place("select-untagged", "SELECT", "reply", 40, at_line=("reply", 0)),
    Place("select-tagged", "SELECT", "tagged"),
)


_LIGHT = {"capability", "id"}
# The first opening makes two tries, and none where the cause is known to last.
_AT_THE_DOOR = {
    "no-unavailable": frozenset({"Unavailable"}),
    "no-overquota": frozenset({"OverQuota"}),
    "no-throttled": frozenset({"Unavailable", "Throttled"}),
    "no-alert": frozenset({"OverQuota"}),
    "refused-capacity": frozenset({"TooManyConnections"}),
    "refused-connect": frozenset({"ConnectFailed"}),
    "dns": frozenset({"ConnectFailed"}),
    "uidvalidity": DONE,  # nobody has UIDs yet
}


def _armed(operation: Operation, place: Place, kind: Kind) -> Callable[[World], None]:
    def arm(world: World) -> None:
        if place.name == "challenge":
            world.account.expire_tokens()
        kind.arm(world, place)
        if operation is _AGAIN:
            # Lost while nobody spoke: EOF, as Gmail often does.
            world.server.faults.add(Fault("close", "UID SEARCH", protocol="imap"))

    return arm


def _outcomes(operation: Operation, place: Place, kind: Kind) -> frozenset[str] | str:
    """What may come of it, or why the cell is none."""
    if place.command == "CONNECT" and kind.name.startswith("forged"):
        return "no command is on the wire, and none was: there is no tag to forge"
    if place.command == "CONNECT" and kind.name == "bad":
        return "a greeting is never BAD"
    if place.name in _LIGHT and kind.name == "bad":
        return DONE  # we can do without the answer
    if not _at_fault(place, kind):
        return DONE  # a greeting or an answer that we can do without
    if operation is _FIRST:
        return _AT_THE_DOOR.get(kind.name, kind.outcomes)
    if place.name == "challenge" and kind.name in {"bad", "no-overquota", "no-alert"}:
        return DONE  # the challenge has told that the token is stale; a fresh one is let in on the same connection
    return kind.outcomes


def _at_fault(place: Place, kind: Kind) -> bool:
    """Whether a refusal of this place's command is one of the session."""
    return not kind.name.startswith("no-") or (place.name not in _LIGHT and place.command != "CONNECT")


def _cells() -> Iterator[Case | Excluded]:
    for operation in (_FIRST, _AGAIN):
        yield from crossed(
            operation,
            _PLACES,
            functools.partial(_outcomes, operation),
            arm=functools.partial(_armed, operation),
            first=lambda _place, _kind, operation=operation: operation is _FIRST,
            tokens=lambda place, kind: kind.tokens + (place.name == "challenge"),
        )


CONNECT = Family("IMAP connect to SELECT", _cells)
test_a_session_is_opened_or_the_call_says_why_not = CONNECT.test()
