"""The IMAP commands × where their fault strikes × what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.harness import Case, Excluded, Family, Operation, Place
from tests.faults.kinds import KINDS, Kind
from tests.faults.reading import READING

_OPERATIONS = READING


def _places(operation: Operation) -> tuple[Place, ...]:
    """Queued behind another command, written and not yet obeyed, in the middle of its reply, just before the tagged line."""
    verb = operation.command
    return (
        Place("queued", "NOOP"),
        Place("written", verb),
        Place("mid-reply", verb, "reply", 12, at_line=("reply", 0)),
        Place("tagged", verb, "tagged"),
    )


def _cell(operation: Operation, place: Place, kind: Kind) -> Case | Excluded:
    point = f"{operation.name}/{place.name}"
    queued = place.name == "queued"
    outcomes = kind.elsewhere if queued else kind.outcomes
    if (operation.name, kind.name) == ("search", "bad"):
        outcomes = frozenset({"done"})  # without RETURN it is asked again: one report has Gmail refuse that
    return Case(
        point,
        kind.name,
        operation,
        arm=lambda world: kind.arm(world, place),
        outcomes=outcomes,
        queued=queued,
        usable=kind.usable,
        tokens=kind.tokens,
        real=kind.real,
    )


def _cells() -> Iterator[Case | Excluded]:
    for operation in _OPERATIONS:
        for place in _places(operation):
            for kind in KINDS.values():
                yield _cell(operation, place, kind)


COMMANDS = Family("IMAP commands", _cells)
test_every_call_ends_truthfully_whatever_hits_its_command = COMMANDS.test()
