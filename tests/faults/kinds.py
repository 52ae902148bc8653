"""What can go wrong at a place? The kinds of semantics.md section 3, and what may come of a call that meets them.

Each of the nineteen is here at least once; a kind that has several faces (forged tags, garbage, refusals) has a line for each.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from aiogmail.errors import GmailError
from tests.faults.harness import Case, Excluded, Operation, Place, World

__all__ = ["KINDS", "Kind", "crossed"]

DONE = frozenset({"done"})
_CAPACITY = "NO [ALERT] Too many simultaneous connections. (Failure)"
_BYE = "* BYE Session expired, please login again."


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to go wrong.

    Attributes:
        name: in the case's id.
        number: which of the nineteen of semantics.md.
        arm: sets it up at a place.
        outcomes: what may come of a call at whose command it strikes.
        elsewhere: what may come of a call that waits behind that command.
        usable: whether the client can go on.
        tokens: reasons for a token that it gives.
        shuts: whether nobody can be asked afterwards what became of a change.
        real: why it is not tried in real time; ``""``: it is.
        lines: it speaks in lines of the server's own.
    """

    name: str
    number: int
    arm: Callable[[World, Place], None]
    outcomes: frozenset[str] = DONE
    elsewhere: frozenset[str] = DONE
    usable: bool = True
    tokens: int = 0
    shuts: bool = False
    real: str = ""
    lines: bool = False


def _add(action: str, **more: object) -> Callable[[World, Place], None]:
    def arm(world: World, place: Place) -> None:
        world.server.faults.add(place.fault(action, **more))  # type: ignore[arg-type]

    return arm


def _late(world: World, place: Place) -> None:
    """Beyond the deadline of a command; and then, up to a minute after we have gone, it is obeyed all the same."""
    world.server.faults.add(place.fault("delay", seconds=world.seconds(110.0, 2.0)))


def _cut(data: bytes) -> Callable[[World, Place], None]:
    """An end in the middle of a line or a literal: the reply's own, or one begun for it."""

    def arm(world: World, place: Place) -> None:
        world.server.faults.add(place.fault("close", data=data if place.clean else b""))

    return arm


def _lost_and(call: Callable[[World], object]) -> Callable[[World, Place], None]:
    """The connection is lost, and something else happens at that moment."""

    def arm(world: World, place: Place) -> None:
        world.server.faults.add(place.fault("close", call=lambda: call(world)))

    return arm


def _capacity(world: World) -> None:
    from aiogmail.testing import Fault

    world.server.faults.add(Fault("answer", "AUTHENTICATE", protocol="imap", text=_CAPACITY, times=2))


def _cancelled(world: World, place: Place) -> None:
    world.server.faults.add(place.fault("delay", seconds=world.seconds(5.0, 0.1), call=world.cancel))


def _names(*kinds: type[GmailError] | str) -> frozenset[str]:
    return frozenset(kind if isinstance(kind, str) else kind.__name__ for kind in kinds)


_FLOOR = "its floor is real time"
_MEMORY = "what it does is done to the network in memory"

_ALL = (
    Kind("eof", 1, _add("close")),
    Kind("rst", 2, _add("reset")),
    Kind("bye", 3, _add("bye", line=True), lines=True),
    Kind("bye-open", 4, _add("bye_open", line=True, text=f"{_BYE}\r\n{_BYE}"), lines=True),
    Kind("blackhole", 5, _add("blackhole")),
    Kind("withheld", 6, _add("mute")),
    Kind("cut-line", 7, _cut(b"* 1 FETCH (FLAGS (\\Se")),
    Kind("cut-literal", 8, _cut(b"* 1 FETCH (UID 1 BODY[] {100}\r\nabc")),
    Kind("forged-unknown", 9, _add("garbage", line=True, data=b"ZZ99 OK forged\r\n"), lines=True),
    Kind("forged-queued", 9, _add("garbage", line=True, data=b"{tag+5} OK forged\r\n"), lines=True),
    Kind("forged-duplicate", 9, _add("garbage", line=True, data=b"{tag-1} OK forged\r\n"), lines=True),
    Kind("surplus", 10, _add("garbage", line=True, data=b"* OK [ALERT] by the way\r\n* NO a warning\r\n"), lines=True),
    Kind("late", 11, _late),
    Kind("no-unavailable", 12, _add("answer", text="NO [UNAVAILABLE] Temporary System Problem. Try again later (Failure)"), real=_FLOOR),
    Kind("no-overquota", 12, _add("answer", text="NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)"), _names("OverQuota"), real=_FLOOR),
    Kind("no-throttled", 12, _add("answer", text="NO System Error (Failure) [THROTTLED]"), real=_FLOOR),
    Kind("no-alert", 12, _add("answer", text="NO [ALERT] Account exceeded command or bandwidth limits. (Failure)"), _names("OverQuota"), real=_FLOOR),
    Kind("bad", 12, _add("answer", text="BAD Could not parse command"), _names("CommandError")),
    Kind("garbage-utf8", 13, _add("garbage", line=True, data=b"\xff\xfe\x80\r\n"), lines=True),
    Kind("garbage-lf", 13, _add("garbage", line=True, data=b"* OK bare\n* OK line feed\r\n"), lines=True),
    Kind("garbage-nul", 13, _add("garbage", line=True, data=b"* OK a\x00b\r\n"), lines=True),
    Kind("tls-truncated", 14, _add("truncate")),
    Kind("limit-line", 15, _add("garbage", line=True, data=b"* OK " + b"x" * 70_000), _names("LimitExceeded"), _names("done", "LimitExceeded"), lines=True),
    Kind("limit-literal", 15, _add("garbage", line=True, data=b"* 1 FETCH (BODY[] {999999999}\r\n"), _names("LimitExceeded"), _names("done", "LimitExceeded"), lines=True),
    Kind("refused-expired", 16, _lost_and(lambda world: world.account.expire_tokens()), tokens=1),
    Kind("refused-revoked", 16, _lost_and(World.revoke), _names("LoginRequired"), _names("LoginRequired"), usable=False, tokens=8, shuts=True),
    Kind("refused-capacity", 16, _lost_and(_capacity), real=_FLOOR),
    Kind("uidvalidity", 17, _lost_and(lambda world: world.account.change_uidvalidity("INBOX")), _names("MailboxChanged"), _names("MailboxChanged"), usable=False, shuts=True),
    Kind("refused-connect", 18, _lost_and(lambda world: world.refuse_connections(world.seconds(20.0, 0.3)))),
    Kind("dns", 18, _lost_and(lambda world: world.forget_name(20.0)), real=_MEMORY),
    Kind("cancel", 19, _cancelled, _names("cancelled"), _names("cancelled")),
)  # fmt: skip

KINDS = {kind.name: kind for kind in _ALL}


def crossed(
    operation: Operation,
    places: Iterable[Place],
    outcomes: Callable[[Place, Kind], frozenset[str] | str],
    **more: Callable[[Place, Kind], object],
) -> Iterator[Case | Excluded]:
    """Every kind at every place under one call.

    Args:
        operation: the call.
        places: where the kinds strike.
        outcomes: what may come of the call; or why the cell is no case.
        more: attributes of the case that are not just the kind's.
    """
    for place in places:
        for kind in KINDS.values():
            point, found = f"{operation.name}/{place.name}", outcomes(place, kind)
            if isinstance(found, str):
                yield Excluded(point, kind.name, found)
                continue
            given: dict[str, Any] = {
                "arm": functools.partial(_arm, place, kind),
                "usable": kind.usable,
                "tokens": kind.tokens,
                "real": kind.real,
                **{name: of(place, kind) for name, of in more.items()},
            }
            yield Case(point, kind.name, operation, outcomes=found, **given)


def _arm(place: Place, kind: Kind, world: World) -> None:
    kind.arm(world, place)
