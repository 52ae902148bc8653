"""APPEND, hit at each of its stages: a message is stored once, or the call says that it is not, or that it cannot be known."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from tests.faults.harness import Case, Excluded, Family, Operation, Place, World, message
from tests.faults.kinds import Kind, crossed

_LARGE = message("appended", "0123456789abcdef\r\n" * 600)  # beyond LITERAL-: it waits for "+ go ahead"
_SMALL = message("appended")  # within: it follows its line at once
_ANONYMOUS = _LARGE.replace(b"Message-ID: <appended.abcdefghij@mail.example.org>\r\n", b"")
_STORES = (("append_duplicate", "store"),)  # an emulator that stores what comes twice twice shows what comes twice


def _append(octets: bytes) -> Any:
    async def call(world: World) -> Any:
        return await world.inbox.append(octets)

    return call


def _stored(octets: bytes) -> Any:
    return lambda world: {"message": sum(stored.raw == octets for stored in world.account.messages)}


def _right(octets: bytes) -> Any:
    def right(world: World, uid: Any) -> None:
        assert world.account.inbox.by_uid[uid].raw == octets, f"append: UID {uid} is another message"

    return right


_OPERATIONS = tuple(
    Operation(name, "APPEND", _append(octets), _right(octets), _stored(octets), keepers=2)
    for name, octets in (("large", _LARGE), ("small", _SMALL), ("anonymous", _ANONYMOUS))
)
# The command line has some forty bytes.
_PLACES = (
    Place("queued", "NOOP"),
    Place("before-plus", "APPEND", byte=1),
    Place("after-plus", "APPEND", byte=60),
    Place("mid-body", "APPEND", byte=200),
    Place("all-sent", "APPEND"),
    Place("unheard", "APPEND", "reply", 0),
    Place("mid-reply", "APPEND", "reply", 6, at_line=("reply", 0)),
    Place("tagged", "APPEND", "tagged"),
)
_UNFINISHED = {"before-plus", "after-plus", "mid-body"}
_STORED = {"unheard", "mid-reply", "tagged"}


def _outcomes(operation: Operation, place: Place, kind: Kind) -> frozenset[str] | str:
    if place.name == "queued":
        return kind.elsewhere
    if place.name in _UNFINISHED and (kind.name.startswith("no-") or kind.name == "bad"):
        return "the emulator answers when it has read the whole request: the same as all-sent"
    if place.name == "before-plus" and operation.name == "small":
        return "a small message follows its line at once: the same as after-plus"
    if place.name in _STORED and (kind.name.startswith("no-") or kind.name == "bad"):
        return "NO or BAD to a single APPEND says that nothing was stored; a server that has stored it lies"
    found = {"done"} if kind.name.startswith("limit") else set()
    unknown = {"OutcomeUnknown"} if kind.shuts or kind.name.startswith("limit") else set()
    return kind.outcomes | found | unknown


def _ambiguous(place: Place, kind: Kind) -> bool:
    """Whether nobody can be asked, and it is not clear by itself: from the first octet of the message on nobody knows how many arrived."""
    return kind.shuts and place.name not in {"queued", "before-plus"}


def _settles(place: Place, kind: Kind) -> str:
    at_once = place.name in {"queued", "before-plus"} or kind.name in {"surplus", "garbage-lf", "cancel", "bad"}
    return "" if at_once else "before it is sent again it is looked for, for a minute of real time"


def _cells() -> Iterator[Case | Excluded]:
    for operation in _OPERATIONS:
        yield from crossed(
            operation,
            _PLACES,
            functools.partial(_outcomes, operation),
            ambiguous=_ambiguous,
            queued=lambda place, _: place.name == "queued",
            behaviour=lambda _place, _kind: _STORES,
            real=lambda place, kind: kind.real or _settles(place, kind),
        )


APPEND = Family("IMAP APPEND", _cells)
test_a_message_is_stored_once_or_the_call_tells = APPEND.test()
