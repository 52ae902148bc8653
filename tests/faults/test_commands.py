"""The IMAP commands × where their fault strikes × what goes wrong."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from tests.faults.changing import CHANGING
from tests.faults.harness import Case, Excluded, Family, Operation, Place
from tests.faults.kinds import DONE, Kind, crossed
from tests.faults.reading import READING

_LYING = "BAD says that the command was not understood; a server that has obeyed it all the same cannot be told from one that has not"
_SINGLE = {"CREATE", "DELETE", "RENAME"}
_OF_THE_ACCOUNT = {*_SINGLE, "LIST", "GETQUOTAROOT"}


def _places(operation: Operation) -> tuple[Place, ...]:
    """Queued behind another command, written and not yet obeyed, in the middle of its reply, just before the tagged line.

    Commands that change something are hit in two places more: obeyed and nothing heard of it, and half obeyed.
    """
    verb = operation.command
    four = (
        Place("queued", operation.occupied),
        Place("written", verb),
        Place("mid-reply", verb, "reply", 12, at_line=("reply", 0)),
        Place("tagged", verb, "tagged"),
    )
    if operation.applied is None:
        return four
    halves = () if operation.command in _SINGLE else (Place("half-done", verb, "reply", 0, only=1),)
    return (*four, Place("unheard", verb, "reply", 0), *halves)


def _outcomes(operation: Operation, place: Place, kind: Kind) -> frozenset[str] | str:
    """What may come of the call, or why the cell is none."""
    if place.name == "queued":
        return DONE if kind.name == "uidvalidity" and operation.command in _OF_THE_ACCOUNT else kind.elsewhere
    if (operation.name, kind.name) == ("search", "bad"):
        return DONE  # without RETURN it is asked again: one report has Gmail refuse that
    if operation.applied is None:
        return DONE if kind.name == "uidvalidity" and operation.command in _OF_THE_ACCOUNT else kind.outcomes
    if kind.name == "bad" and place.name != "written":
        return _LYING
    if kind.name == "uidvalidity" and operation.command in _OF_THE_ACCOUNT:
        return DONE  # no UID is meant
    if operation.command in _SINGLE and kind.name in {"no-overquota", "no-alert"} and place.name != "written":
        return "NO to a single change says that it was not made; a server that has made it lies"
    if place.name == "half-done" and kind.name in {"surplus", "garbage-lf"}:
        return "the server goes on to say OK: one that says so has done the whole"
    # What has to be asked and cannot be, now that nobody is let in or the numbers are others, stays unknown.
    unknown = {"OutcomeUnknown"} if kind.shuts else set()
    # What the server has done, and refused or answered beyond all limits, is found out by asking on another connection.
    found = {"done"} if kind.name in {"no-overquota", "no-alert", "limit-line", "limit-literal"} else set()
    return kind.outcomes | unknown | found


def _cells() -> Iterator[Case | Excluded]:
    for operation in (*READING, *CHANGING):
        settles = "what was sent is given a minute to take effect" if operation.applied else ""
        yield from crossed(
            operation,
            _places(operation),
            functools.partial(_outcomes, operation),
            ambiguous=lambda place, kind: kind.shuts and place.name != "queued",
            queued=lambda place, _: place.name == "queued",
            real=lambda _, kind, settles=settles: kind.real or (settles if kind.name.startswith("limit") else ""),
        )


COMMANDS = Family("IMAP commands", _cells)
test_every_call_ends_truthfully_whatever_hits_its_command = COMMANDS.test()
