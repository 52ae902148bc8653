"""The POP3 stages × what goes wrong: a consumer that stores UIDLs has each message once, and what was to be deleted is.

Each case is a world of its own: an emulator in memory, a mailbox of two windows, and a consumer that walks it, looks at each header, deletes every
second message, and runs again if the fault reached it. The emulator's ledger judges:

* I1, I2: the consumer has every message once, with its octets; in the end all are popped.
* I3: an error's ``outcome`` is never UNKNOWN, since the listing of the next session can always be asked; a deletion happens only where it was asked for,
  and where the consumer's first run came to its end all of them have happened.
* I4, I5: every call ends by its deadline, and no task, timer or connection is left. I6: no error shows a token.
"""

from __future__ import annotations

import asyncio
import functools
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from aiogmail import Gmail, TokenProvider
from aiogmail.errors import GmailError
from aiogmail.ports import Outcome
from aiogmail.settings import Limits
from aiogmail.testing import Behaviour, Fault, GmailEmulator
from tests.faults.harness import Named, tally
from tests.faults.world import in_loop
from tests.pop3.support import deletions
from tests.support.canary import CANARIES

ME = "me@gmail.com"
LETTERS, WINDOW = 12, 7
BY = 2500.0

OPENING = ("CONNECT", "AUTH", "CAPA", "STAT", "UIDL", "LIST")
STAGES = (*OPENING, "TOP", "RETR", "DELE", "QUIT")
PLACES: dict[str, dict[str, object]] = {
    "before": {"point": "request"},
    "done, unheard": {"point": "reply", "byte": 0},
    "mid-reply": {"point": "reply", "byte": 3},
}
SESSIONS = {"first": 0, "second": 1}
"""Whether it hits the session that is opened first, or the one for the second window; for commands inside a session: how many pass first."""


@dataclass(frozen=True)
class Kind:
    """One way to go wrong. ``outcomes``: what may come of the consumer's first run; ``lines``: it speaks at the beginning of a line."""

    name: str
    arm: Callable[[GmailEmulator, Callable[..., Fault]], None]
    outcomes: frozenset[str] = frozenset({"done"})
    lines: bool = False


def add(action: str, **more: object) -> Callable[[GmailEmulator, Callable[..., Fault]], None]:
    return lambda server, fault: server.faults.add(fault(action, **more))


def expired(server: GmailEmulator, fault: Callable[..., Fault]) -> None:
    """The connection is lost, and the token with it."""
    server.faults.add(fault("close"))
    server.account(ME).expire_tokens()


def refusing(server: GmailEmulator, fault: Callable[..., Fault]) -> None:
    """The connection is lost, and the next three are as well."""
    server.faults.add(fault("close"))
    server.faults.add(Fault("close", "CONNECT", "pop3", skip=1, times=3))


def locked(server: GmailEmulator, fault: Callable[..., Fault]) -> None:
    """The connection is lost, and the server believes for a while that the session lives."""
    server.faults.add(fault("reset"))
    server.faults.add(Fault("answer", "AUTH", "pop3", skip=1, times=2, text="-ERR [IN-USE] Another session is using this mailbox."))


FLOOR = frozenset({"done", "Unavailable"})
KINDS = (
    Kind("eof", add("close")),
    Kind("rst", add("reset")),
    Kind("tls-truncated", add("truncate")),
    Kind("blackhole", add("blackhole")),
    Kind("withheld", add("mute")),
    Kind("bye", add("bye", text="-ERR Session expired, please login again."), lines=True),
    Kind("bye-open", add("bye_open", text="-ERR Session expired, please login again."), lines=True),
    Kind("late", add("delay", seconds=400.0)),
    Kind("err-temp", add("answer", text="-ERR [SYS/TEMP] Temporary system problem. Please try again later."), FLOOR),
    Kind("seems-empty", add("answer", text="+OK [SYS/TEMP] Due to a temporary system problem, this mailbox will seem empty."), FLOOR),
    Kind("err", add("answer", text="-ERR no"), frozenset({"done", "CommandError"})),
    Kind("garbage", add("garbage", data=b"\xff\xfe\0\x80 nonsense\r\n"), lines=True),
    Kind("bare-lf", add("garbage", data=b"+OK bare\n+OK line feed\n"), lines=True),
    Kind("limit", add("garbage", data=b"+OK " + b"x" * 70_000), frozenset({"done", "LimitExceeded"}), lines=True),
    Kind("refused-expired", expired),
    Kind("refused-connect", refusing, frozenset({"done", "Disconnected"})),
    Kind("locked", locked, FLOOR),
    Kind("cancel", add("delay", seconds=5.0), frozenset({"done", "cancelled"})),
)


def message(number: int) -> bytes:
    return f"Subject: letter {number}\r\nFrom: ann@example.com\r\n\r\n.dot\r\n..two {number}\r\n".encode()


@dataclass
class World:
    """One consumer and what it has stored."""

    server: GmailEmulator
    gmail: Gmail
    stored: dict[str, bytes]
    wanted: set[str]
    deleted: set[str]

    async def consume(self) -> None:
        async with self.gmail.pop3() as pop:
            async for mail in pop.retrieve_new(seen=self.stored):
                assert mail.uidl not in self.stored, "I2 handed over twice"
                self.stored[mail.uidl] = mail.raw
                head = await pop.top(mail.uidl)
                assert mail.raw.startswith(head), "I7 another message's header"
                if len(self.stored) % 2:
                    self.wanted.add(mail.uidl)
                    await pop.delete(mail.uidl)


async def live(stage: str, place: dict[str, object], passed: int, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> str:
    """One case in its world. How the consumer's first run came out."""

    def fault(action: str, **more: object) -> Fault:
        where = {} if action == "answer" else place
        return Fault(action, stage, "pop3", skip=passed, **{**where, **more})  # type: ignore[arg-type]

    async with GmailEmulator(behaviour=Behaviour(pop_window=WINDOW, pop_after="trash")) as server:
        me = server.add_account(ME)
        for number in range(LETTERS):
            me.deliver(message(number))
        server.hub.tokens.word = lambda prefix, _size=40: CANARIES.secret(prefix)  # type: ignore[method-assign]

        async def token() -> tuple[str, datetime]:
            return me.access_token(), datetime.fromtimestamp(server.hub.wall() + 3599, UTC)

        settings = replace(server.settings, limits=Limits(line=16 * 1024))
        async with Gmail(ME, TokenProvider(token), settings=settings) as gmail:
            world = World(server, gmail, {}, set(), deletions(monkeypatch))
            kind.arm(server, fault)
            run = asyncio.create_task(world.consume())
            if kind.name == "cancel":
                while not server.faults.hit and not run.done():
                    await asyncio.sleep(0.01)
                run.cancel()
            done, _ = await asyncio.wait([run], timeout=BY)
            assert done, f"I4 the consumer did not end within {BY:g} s"
            assert server.faults.hit, "the fault did not strike: the case proves nothing"
            outcome = judge_run(run)
            server.faults.clear()
            await asyncio.sleep(600.0)
            if outcome != "done":
                async with asyncio.timeout(BY):
                    await world.consume()
            await judge_world(world)
            if outcome == "done":
                assert world.deleted == world.wanted, f"I3 {len(world.deleted)} of {len(world.wanted)} deletions"
        await asyncio.sleep(1.0)
        left = [entry for entry in server.ledger.open_connections() if entry.protocol == "pop3"]
        assert not left or kind.name in ("blackhole", "withheld"), f"I5 connections left open: {left}"
    return outcome


def judge_run(run: asyncio.Task[None]) -> str:
    if run.cancelled():
        return "cancelled"
    error = run.exception()
    if error is None:
        return "done"
    if not isinstance(error, GmailError):
        raise error
    assert error.outcome is not Outcome.UNKNOWN, f"I3 unknown, where the listing could tell: {error}"
    shown = "".join(traceback.format_exception(error)) + repr(error)
    shown += str(
        [
            frame.locals
            for frame in traceback.TracebackException.from_exception(error, capture_locals=True).stack
            if "/pop3/" in frame.filename
        ]
    )
    assert not CANARIES.found_in(shown), "I6 an error shows a token"
    return type(error).__name__


async def judge_world(world: World) -> None:
    account = world.server.account(ME)
    expected = {f"GmailId{stored.gmail_id:016x}": stored.raw for stored in account.messages}
    assert world.stored == expected, f"I1 {len(world.stored)} of {len(expected)} messages"
    assert len(account.messages) == LETTERS
    assert all(stored.popped for stored in account.messages), "I1 some messages were not popped"
    assert world.deleted <= world.wanted, "I3 a deletion that nobody asked for"


def cells() -> list[tuple[str, str, str, Kind]]:
    found = []
    for stage in STAGES:
        for place in PLACES:
            for session in SESSIONS:
                for kind in KINDS:
                    if stage == "CONNECT" and place != "before":
                        continue  # a greeting answers nothing: it has one place
                    if kind.name in ("err", "err-temp", "seems-empty") and place != "before":
                        continue  # an answer is whole, wherever it is said to strike
                    if kind.lines and place == "mid-reply":
                        continue  # inside a line or a message these bytes are its content: no client could tell
                    if kind.name == "seems-empty" and stage in ("CAPA", "UIDL", "LIST", "TOP", "RETR"):
                        continue  # +OK to these announces lines: whatever comes next would be taken for them
                    found.append((stage, place, session, kind))
    return found


def excluded(stage: str) -> int:
    """How many cells of the table are no cases; cells() says why."""
    return len(PLACES) * len(SESSIONS) * len(KINDS) - sum(where == stage for where, *_ in cells())


def cases_at(stage: str) -> Iterator[Named]:
    for where, place, session, kind in cells():
        if where == stage:
            yield f"{stage}/{place}/{session}/{kind.name}", functools.partial(in_a_world, stage, place, session, kind), kind.outcomes


def in_a_world(stage: str, place: str, session: str, kind: Kind, name: str) -> str:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return in_loop(live(stage, PLACES[place], SESSIONS[session], kind, monkeypatch), name)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_consumer_has_every_message_once_whatever_goes_wrong_at(stage, record_property):
    outcomes, failures, count = tally(cases_at(stage))
    record_property("faults", {"family": "POP3", "cases": count, "excluded": excluded(stage), "outcomes": dict(outcomes)})
    assert not failures, f"{len(failures)} of {count} cases:\n" + "\n".join(failures)
