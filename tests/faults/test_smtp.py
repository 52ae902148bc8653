"""The SMTP stages × what goes wrong × two sets of recipients: one copy, or none, and the client says which.

Each case is a world of its own: an emulator in memory, an account, and one message that is sent (the second of its connection where the stage
says so). The emulator's ledger judges, at the end and ten virtual minutes later:

* I2: never two copies. I3: a result means one copy, to just the recipients that it names; an error with ``NOT_APPLIED`` means none;
  ``OutcomeUnknown`` comes only from the stages whose end nobody can know, and only where no copy was filed in Sent in time.
* I4, I5: every call ends by its deadline, and no task, timer or connection is left. I6: no error shows a token.
"""

from __future__ import annotations

import asyncio
import functools
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from aiogmail import Gmail, OutcomeUnknown, TokenProvider
from aiogmail.errors import GmailError
from aiogmail.ports import Outcome
from aiogmail.testing import Behaviour, Fault, GmailEmulator, smtp
from tests.faults.harness import Named, tally
from tests.faults.world import in_loop
from tests.support.canary import CANARIES

ME, BAD = "me@gmail.com", "bad@example.org"
HANDED_OVER = ("withheld", "late", "cut line")
"""What a server does in the middle of a body while it still takes the rest of it: by then the client may have handed over the end."""
BY = 3000.0
BODY = b"a line of the message that is neither short nor long\r\n" * 4000
ID = "<matrix.case@mail.example.org>"


@dataclass(frozen=True)
class Stage:
    """Where a fault strikes.

    Attributes:
        command, point, byte, skip: the fault's.
        chunking: whether the server has CHUNKING; without it there is DATA.
        second: whether it is the second message of its connection.
        doubtful: whether nobody can know what became of a message that is lost here.
        done: whether the server has taken it by then.
    """

    command: str
    point: str = "request"
    byte: int | None = None
    skip: int = 0
    chunking: bool = True
    second: bool = False
    doubtful: bool = False
    done: bool = False


STAGES = {
    "greeting": Stage("CONNECT"),
    "EHLO": Stage("EHLO"),
    "AUTH": Stage("AUTH"),
    "MAIL": Stage("MAIL"),
    "first RCPT": Stage("RCPT"),
    "last RCPT": Stage("RCPT", skip=2),
    "DATA": Stage("DATA", chunking=False),
    "body of BDAT": Stage("MESSAGE", byte=len(BODY) // 2),
    "body of DATA": Stage("MESSAGE", byte=len(BODY) // 2, chunking=False),
    "end, not taken": Stage("MESSAGE", doubtful=True),
    "end, taken": Stage("MESSAGE", "reply", 0, doubtful=True, done=True),
    "end of DATA, taken": Stage("MESSAGE", "reply", 0, chunking=False, doubtful=True, done=True),
    "second message": Stage("MAIL", second=True),
    "QUIT": Stage("QUIT"),
}


@dataclass(frozen=True)
class Kind:
    """One way to go wrong. ``outcomes``: what may come of it before the end of the message, beside being sent; ``opening``: while the first
    connection is opened; ``answer``: it is said instead of the reply."""

    name: str
    arm: Callable[[GmailEmulator, Callable[..., Fault]], None]
    outcomes: frozenset[str] = frozenset({"sent"})
    opening: frozenset[str] = frozenset({"sent"})
    answer: bool = False


def add(action: str, **more: object) -> Callable[[GmailEmulator, Callable[..., Fault]], None]:
    return lambda server, fault: server.faults.add(fault(action, **more))


def expired(server: GmailEmulator, fault: Callable[..., Fault]) -> None:
    """The connection is lost, and the token with it."""
    server.faults.add(fault("close", call=server.account(ME).expire_tokens))


def refusing(server: GmailEmulator, fault: Callable[..., Fault]) -> None:
    """The connection is lost, and the next three are as well."""
    server.faults.add(fault("close"))
    server.faults.add(Fault("close", "CONNECT", "smtp", skip=1, times=3))


LOGIN = "454 4.7.0 Too many login attempts, please try again later."


def capacity(server: GmailEmulator, fault: Callable[..., Fault]) -> None:
    """The connection is lost, and the next logins are too many."""
    server.faults.add(fault("reset"))
    server.faults.add(Fault("answer", "AUTH", "smtp", skip=1, times=2, text=LOGIN))


def names(*kinds: str) -> frozenset[str]:
    return frozenset(kinds)


FAREWELL = "421 4.7.0 Try again later, closing connection. (EHLO)"
KINDS = (
    Kind("eof", add("close")),
    Kind("rst", add("reset")),
    Kind("tls-truncated", add("truncate")),
    Kind("421", add("bye", text=FAREWELL), opening=names("sent", "Throttled")),
    Kind("421 and open", add("bye_open", text=FAREWELL), opening=names("sent", "Throttled")),
    Kind("blackhole", add("blackhole")),
    Kind("withheld", add("mute")),
    Kind("late", add("delay", seconds=700.0)),
    Kind("cut line", add("close", data=b"250 2.0")),
    Kind("surplus", add("garbage", data=b"250 2.0.0 OK\r\n250 2.0.0 OK\r\n250 2.0.0 OK\r\n250 2.0.0 OK\r\n250 2.0.0 OK\r\n")),
    Kind("garbage", add("garbage", data=b"\xff\xfe\0\x80 nonsense\r\n")),
    Kind("bare LF", add("garbage", data=b"250 OK\n")),
    Kind("limit", add("garbage", data=b"250-" + b"x" * 70_000), names("sent", "LimitExceeded"), names("sent", "LimitExceeded")),
    Kind(
        "451", add("answer", text="451 4.3.0 Temporary System Problem. Try again later."), opening=names("Unavailable", "sent"), answer=True
    ),
    Kind(
        "550",
        add("answer", text="550 5.7.1 no"),
        names("CommandError", "RecipientsRefused", "sent"),
        names("CommandError", "ProtocolError"),
        answer=True,
    ),
    Kind("token expired", expired),
    Kind("refusing connections", refusing, opening=names("Disconnected", "ConnectFailed", "sent")),
    Kind("too many logins", capacity, opening=names("Throttled", "sent")),
    Kind("cancel", add("delay", seconds=5.0), names("cancelled"), names("cancelled")),
)
RECIPIENTS = {"all good": ("a@example.org", "b@example.org", "c@example.org"), "one refused": ("a@example.org", BAD, "c@example.org")}
COPIES = {"copy at 20 s": 20.0, "no copy": None}


def cells() -> list[tuple[str, str, str, Kind]]:
    found = []
    for name, stage in STAGES.items():
        for to in RECIPIENTS:
            for copy in COPIES:
                for kind in KINDS:
                    if not stage.doubtful and copy != "copy at 20 s":
                        continue  # what was not sent, or was heard of, is not looked up
                    if stage.done and kind.answer:
                        continue  # a server that takes a message and says it did not: no client could tell
                    found.append((name, to, copy, kind))
    return found


async def live(stage: Stage, to: str, copy: str, kind: Kind) -> str:
    """One case in its world. How the call came out."""

    def fault(action: str, **more: object) -> Fault:
        where = {"point": stage.point, "byte": stage.byte} if action != "answer" else {}
        return Fault(action, stage.command, "smtp", skip=stage.skip, **{**where, **more})  # type: ignore[arg-type]

    filed = COPIES[copy]
    behaviour = Behaviour(sent_copy=filed is not None, sent_copy_delay=filed or 0.0, smtp_idle_timeout=None)
    async with GmailEmulator(behaviour=behaviour) as server:
        me = server.add_account(ME)
        server.hub.refused_recipients[BAD] = "550 5.1.1 The email account that you tried to reach does not exist."
        server.hub.tokens.word = lambda prefix, _size=40: CANARIES.secret(prefix)  # type: ignore[method-assign]

        async def token() -> tuple[str, datetime]:
            return me.access_token(), datetime.fromtimestamp(server.hub.wall() + 3599, UTC)

        async with Gmail(ME, TokenProvider(token), settings=server.settings) as gmail:
            if stage.second:
                await gmail.send(b"To: a@example.org\r\n\r\nfirst\r\n")
            kind.arm(server, fault)
            raw = f"Message-ID: {ID}\r\nSubject: matrix\r\n\r\n".encode() + (BODY if stage.byte else b"short\r\n")
            call = asyncio.create_task(gmail.send(raw, recipients=RECIPIENTS[to]))
            if kind.name == "cancel":
                while not server.faults.hit and not call.done():
                    await asyncio.sleep(0.01)
                call.cancel()
            done, _ = await asyncio.wait([call], timeout=BY)
            assert done, f"I4 the call did not end within {BY:g} s"
            if stage.command == "QUIT":
                await gmail.aclose()
            assert server.faults.hit, "the fault did not strike: the case proves nothing"
            await asyncio.sleep(600.0)
            outcome = judge(call, stage, copy, kind, [one for one in me.ledger.submissions if ID.encode() in one.raw])
            server.faults.clear()
            if stage.command != "QUIT":
                async with asyncio.timeout(BY):
                    await gmail.send(b"To: a@example.org\r\nSubject: usable\r\n\r\nstill\r\n")
        await asyncio.sleep(1.0)
        left = server.ledger.open_connections()
        assert not left or kind.name in ("blackhole", "withheld", "late", "421 and open"), f"I5 connections left open: {left}"
    return outcome


def judge(call: asyncio.Task, stage: Stage, copy: str, kind: Kind, ledger: list) -> str:
    assert len(ledger) <= 1, f"I2 {len(ledger)} copies"
    if call.cancelled():
        return "cancelled"
    error = call.exception()
    if error is None:
        result = call.result()
        assert ledger, "I3 told as sent, and the server has nothing"
        assert result.accepted == ledger[0].recipients, f"I3 {result.accepted} told, {ledger[0].recipients} taken"
        assert not set(result.refused) & set(result.accepted)
        assert result.confirmed_by == "reply" or is_doubtful(stage, kind)
        return "sent"
    if not isinstance(error, GmailError):
        raise error
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    shown = "".join(traceback.format_exception(error)) + repr(error)
    shown += str([frame.locals for frame in frames if "/smtp/" in frame.filename or "/client/" in frame.filename])
    assert not CANARIES.found_in(shown), "I6 an error shows a token"
    assert error.stage
    if isinstance(error, OutcomeUnknown):
        assert is_doubtful(stage, kind), "I3 unknown, before the message was handed over"
        assert not stage.done or COPIES[copy] is None, "I3 unknown, though there is a copy in Sent"
        return "unknown"
    assert error.outcome is Outcome.NOT_APPLIED, f"I3 {error!r} has the outcome {error.outcome}"
    assert not ledger, f"I3 {error!r} says that it was not sent"
    return type(error).__name__


def is_doubtful(stage: Stage, kind: Kind) -> bool:
    return stage.doubtful or (stage.byte is not None and kind.name in HANDED_OVER)


def expected(stage: Stage, kind: Kind) -> frozenset[str]:
    if stage.command in ("CONNECT", "EHLO", "AUTH"):
        return kind.opening
    if stage.command == "QUIT":
        return frozenset({"sent"})
    if is_doubtful(stage, kind) and kind.name not in ("451", "550", "cancel"):
        return frozenset({"sent", "unknown"})
    return kind.outcomes


def cases_at(name: str) -> Iterator[Named]:
    for where, to, copy, kind in cells():
        if where == name:
            stage = STAGES[name]
            yield f"{name}/{to}/{copy}/{kind.name}", functools.partial(in_a_world, stage, to, copy, kind), expected(stage, kind)


def in_a_world(stage: Stage, to: str, copy: str, kind: Kind, name: str) -> str:
    with pytest.MonkeyPatch.context() as monkeypatch:
        if not stage.chunking:
            monkeypatch.setattr(smtp, "_EXTENSIONS", tuple(one for one in smtp._EXTENSIONS if one != "CHUNKING"))
        return in_loop(live(stage, to, copy, kind), name)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", STAGES)
def test_one_copy_or_none_whatever_goes_wrong(name, record_property):
    outcomes, failures, count = tally(cases_at(name))
    whole = len(RECIPIENTS) * len(COPIES) * len(KINDS)
    record_property("faults", {"family": "SMTP", "cases": count, "excluded": whole - count, "outcomes": dict(outcomes)})
    assert not failures, f"{len(failures)} of {count}:\n" + "\n".join(failures)
