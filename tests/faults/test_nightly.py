"""Every night: pairs of faults, the second while we recover from the first, and a cut at every byte of what was said either way.

``FAULTS_SEED`` and ``FAULTS_PAIRS`` choose which pairs and how many, ``FAULTS_STRIDE`` every how many bytes there is a cut.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from aiogmail import errors
from aiogmail.testing.channel import Channel
from tests.faults.changing import CHANGING
from tests.faults.harness import Case, Family, Operation, Place, World, run_case
from tests.faults.kinds import KINDS
from tests.faults.reading import READING
from tests.faults.test_append import APPEND
from tests.faults.test_commands import COMMANDS
from tests.faults.test_connect import CONNECT
from tests.faults.test_idle import IDLE

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3000)]

_SEED = int(os.environ.get("FAULTS_SEED", int(time.time()) // 86_400))
_PAIRS = int(os.environ.get("FAULTS_PAIRS", "40000"))
_STRIDE = int(os.environ.get("FAULTS_STRIDE", "1"))
_LOTS = 20

# Pairs

_FAMILIES = (CONNECT, COMMANDS, APPEND, IDLE)
_ANY = frozenset(name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.GmailError))
_RECOVERY = (
    Place("greeting", "CONNECT"),
    Place("authenticate", "AUTHENTICATE"),
    Place("select", "SELECT", "reply", 40, at_line=("reply", 0)),
    Place("select-tagged", "SELECT", "tagged"),
    Place("fetch", "UID FETCH"),
    Place("fetch-reply", "UID FETCH", "reply", 12, at_line=("reply", 0)),
    Place("status", "STATUS"),
    Place("noop", "NOOP"),
    Place("list", "LIST", "reply", 12, at_line=("reply", 0)),
)
# What says no to the question what came of a change leaves that unknown.
_MUTE = {"bad", "no-overquota", "no-alert", "no-unavailable", "no-throttled", "refused-capacity", "limit-line", "limit-literal"}


def _pair(rng: random.Random) -> Case:
    family = rng.choices(_FAMILIES, [len(family.cases) for family in _FAMILIES])[0]
    first: Case = rng.choice(family.cases)
    place, kind = rng.choice(_RECOVERY), KINDS[rng.choice(list(KINDS))]
    if rng.random() < 0.3:  # the same again
        place = replace(place, name="again", command=first.operation.command)
        if first.operation.applied is not None and (kind.name == "bad" or kind.name.startswith("no-")):
            place = Place("again", first.operation.command)  # NO to what was done all the same would be a lie: see the families

    def arm(world: World) -> None:
        first.arm(world)
        kind.arm(world, place)

    outcomes = first.outcomes | kind.outcomes | {"done"}
    refused = kind.name in _MUTE or first.kind in _MUTE
    if first.first:
        outcomes = _ANY | outcomes  # the first opening makes two tries: these were two
    if first.kind.startswith("limit"):
        outcomes |= {"Disconnected", "SessionExpired", "TimedOut", "ProtocolError"}  # it is asked what came of it, and that is lost too
    if refused:
        outcomes |= {"OutcomeUnknown", "OverQuota", "TooManyConnections", "Unavailable", "Throttled", "CommandError", "LimitExceeded"}
    return replace(
        first,
        point=f"{family.name}/{first.point}+{place.name}",
        kind=f"{first.kind}+{kind.name}",
        arm=arm,
        outcomes=outcomes | ({"OutcomeUnknown"} if kind.shuts else set()),
        ambiguous=first.ambiguous or kind.shuts or refused,
        # The rest of a reply that nobody waits for any more may still come, and go beyond a limit: that ends the session for all who wait.
        usable=first.usable and kind.usable and kind.name != "cancel" and not (first.kind == "cancel" and kind.name.startswith("limit")),
        tokens=first.tokens + kind.tokens + 1,
    )


@pytest.mark.parametrize("lot", range(_LOTS))
def test_two_faults_lead_to_no_lie(lot: int, record_property: Callable[[str, object], None]) -> None:
    rng = random.Random(f"{_SEED}/{lot}")
    pairs = Family("Pairs", lambda: (_pair(rng) for _ in range(_PAIRS // _LOTS)))
    outcomes, failures = pairs.run(pairs.cases, seed=_SEED)
    record_property("faults", {"family": "Pairs of faults", "cases": len(pairs.cases), "excluded": 0, "outcomes": dict(outcomes)})
    print(f"FAULTS_SEED={_SEED}")
    assert not failures, f"FAULTS_SEED={_SEED}, {len(failures)} of {len(pairs.cases)}:\n" + "\n".join(failures[:50])


# Every byte

_SCENARIOS = {operation.name: operation for operation in (*READING, *CHANGING, *(case.operation for case in APPEND.cases))}
_LONG = {"download": 997, "large": 97, "anonymous": 97}  # of long bodies a cut here and there


class _Cut:
    """The connection that is open ends after so many bytes from now on, of what the server sends or of what it receives."""

    def __init__(self, after: int, way: str) -> None:
        self.left = after
        self.way = way
        self.channel: Channel | None = None
        self.struck = False

    def arm(self, world: World) -> None:
        self.channel = next(channel for record, channel in world.account.sessions.values() if record.protocol == "imap")
        if self.left == 0:
            self._strike(self.channel)

    def passed(self, channel: Channel, data: Any) -> Any:
        """What of these bytes gets through."""
        if channel is not self.channel:
            return data
        if len(data) < self.left:
            self.left -= len(data)
            return data
        data = data[: self.left]
        self.left = 0
        return data

    def _strike(self, channel: Channel) -> None:
        self.struck = True
        transport = channel._transport
        assert transport is not None
        transport.close()

    def patched(self) -> Any:
        real_send, real_receive = Channel._send, Channel.data_received

        def send(channel: Channel, data: Any) -> None:
            through = self.passed(channel, data) if self.way == "sent" and not self.struck else data
            real_send(channel, through)
            if channel is self.channel and self.left == 0 and not self.struck:
                self._strike(channel)

        def receive(channel: Channel, data: Any) -> None:
            through = self.passed(channel, data) if self.way == "received" and not self.struck else data
            real_receive(channel, through)
            if channel is self.channel and self.left == 0 and not self.struck:
                self._strike(channel)

        return mock.patch.multiple(Channel, _send=send, data_received=receive)


def _cuts(operation: Operation, way: str) -> Iterator[tuple[int, Case]]:
    """A case for each offset, until the cut lies behind all that is said."""
    after = 0
    while True:
        cut = _Cut(after, way)

        def arm(world: World, cut: _Cut = cut) -> None:
            # That it strikes is seen from `struck`; the harness wants a fault that was hit.
            world.server.faults.hit.append(Place("cut", "*").fault("close"))
            cut.arm(world)

        case = Case(f"{operation.name}/{way}", str(after), operation, arm, behaviour=(("append_duplicate", "store"),))
        with cut.patched():
            yield after, case
        if not cut.struck:
            return
        after += _STRIDE * _LONG.get(operation.name, 1)


@pytest.mark.parametrize("way", ["sent", "received"])
@pytest.mark.parametrize("name", _SCENARIOS)
def test_a_cut_at_any_byte_is_not_noticed(name: str, way: str, record_property: Callable[[str, object], None]) -> None:
    outcomes: Counter[str] = Counter()
    failures = []
    for after, case in _cuts(_SCENARIOS[name], way):
        try:
            outcomes[run_case(case).outcome] += 1
        except Exception as error:
            failures.append(f"{name}, after {after} bytes {way}: {type(error).__name__}: {error}")
    record_property("faults", {"family": "Cut at every byte", "cases": sum(outcomes.values()), "excluded": 0, "outcomes": dict(outcomes)})
    assert not failures, f"{len(failures)}:\n" + "\n".join(failures[:50])
