"""The connection is cut, at every stage and byte: what was sent, and what is said of it? The ledger is asked, never the client."""

import asyncio
import collections
import contextlib
import math
import random

import pytest

from aiogmail import Gmail, GmailError, Outcome, OutcomeUnknown
from aiogmail.testing import Behaviour, Fault, GmailEmulator, Shape, smtp
from tests.support.aio import virtual

ME, YOU = "me@gmail.com", "you@gmail.com"

STAGES = ("CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT", *["MESSAGE"] * 8)
ACTIONS = ("close", "reset", "truncate", "blackhole", "mute", "bye", "bye_open", "garbage", "delay")


def behaviour(copy):
    return Behaviour(sent_copy=copy is not None, sent_copy_delay=copy or 0.0, smtp_idle_timeout=None)


def fault_of(rng, stage):
    """A cut somewhere in the request or the reply of a stage: at its first byte, within, at its end, behind it."""
    point = rng.choice(("request", "reply"))
    byte = rng.choice((0, 1, 2, 3, 5, 17, rng.randrange(1, 400), None))
    action = rng.choice(ACTIONS)
    return Fault(
        action,
        command=stage,
        protocol="smtp",
        point=point,
        byte=byte,
        skip=rng.choice((0, 0, 0, 1)),
        text="421 4.7.0 Try again later, closing connection.",
        data=rng.choice((b"250 2.0.0 OK surplus\r\n", b"<html>\r\n", b"\xff\xfe\r\n", b"2")) if action == "garbage" else b"",
        seconds=rng.choice((1.0, 30.0, 700.0)),
    )


def message(number, size):
    body = (b"line %d\r\n.dotted\r\n" % number) * size
    return b"To: you@gmail.com, other@gmail.com\r\nSubject: %d\r\nMessage-ID: <m%d@mail.example.org>\r\n\r\n" % (number, number) + body


@contextlib.asynccontextmanager
async def _scoped(context):
    with context:
        yield


def closing_of(seed, share):
    """When the client is closed while it sends, and with how much patience; ``None``: it is not."""
    rng = random.Random(f"closing {seed}")
    if rng.random() >= share:
        return None
    return rng.choice((0.0, rng.uniform(0.0, 0.2), rng.uniform(0.0, 2.0), rng.uniform(0.0, 130.0))), rng.choice((None, 0.01, 1.0, 200.0))


async def case(seed, *, on_unknown="raise", faults=1, cut=None, closes=0.0):
    """One seeded run: what the client said, and what the ledger says ten minutes later.

    Args:
        seed: of everything that is drawn.
        on_unknown: as the client is asked.
        faults: how many.
        cut: one fault instead of the seed's.
        closes: the share of runs in which the client is closed while it sends.
    """
    rng = random.Random(f"sending {seed}")
    copy = rng.choice((0.0, rng.uniform(0.0, 90.0), 90.0, 300.0, None))
    stage = rng.choice(STAGES)
    extensions = rng.choice((("PIPELINING", "CHUNKING", "SMTPUTF8"), ("PIPELINING", "SMTPUTF8"), ("SMTPUTF8",)))
    async with GmailEmulator(behaviour=behaviour(copy), seed=seed) as server, _scoped(offering(*extensions)):
        me = server.add_account(ME)
        server.add_account(YOU)
        fault = fault_of(rng, stage)
        closing = closing_of(seed, closes)
        if closing is not None:
            asyncio.get_running_loop().network.shape = Shape(latency=rng.choice((0.0, 0.02)))
        async with Gmail(ME, me.credentials(), settings=server.settings) as gmail:
            if rng.random() < 0.3 and cut is None:
                await gmail.send(message(0, 1))
            for each in [cut] if cut is not None else [fault, *(fault_of(rng, rng.choice(STAGES)) for _ in range(faults - 1))]:
                server.faults.add(each)
            raw = message(1, rng.choice((1, 1, 40, 5000)) if cut is None else 1)
            sending = asyncio.ensure_future(gmail.send(raw, on_unknown=on_unknown))
            if closing is not None:
                await asyncio.wait([sending], timeout=closing[0])
                began = asyncio.get_running_loop().time()
                await gmail.aclose(closing[1])
                await asyncio.wait([sending], timeout=0.1)
                assert sending.done(), f"seed {seed}: closed, and the send goes on"
                assert asyncio.get_running_loop().time() - began < (closing[1] or 0.0) + 30.0, f"seed {seed}: closing took too long"
            result = error = None
            try:
                result = await sending
            except GmailError as caught:
                error = caught
            told = server.hub.wall()
            await asyncio.sleep(600.0)
            taken = [one.at for one in me.ledger.submissions if b"<m1@mail.example.org>" in one.raw]
            if closing is None:
                later = await gmail.resolve("<m1@mail.example.org>")
        if closing is not None:
            async with Gmail(ME, me.credentials(), settings=server.settings) as gmail:
                later = await gmail.resolve("<m1@mail.example.org>")
    filed = taken[0] + copy if taken and copy is not None else math.inf
    return cut or fault, len(taken), result, error, filed - told, later, list(server.faults.hit), closing


@contextlib.contextmanager
def offering(*extensions):
    """The emulator's SMTP as of a server that has no others."""
    own, smtp._EXTENSIONS = smtp._EXTENSIONS, extensions
    try:
        yield
    finally:
        smtp._EXTENSIONS = own


def judge(seed, fault, copies, result, error, late, later, hit, closing=None, *, resend=False):
    told = f"seed {seed}: {fault}, closing {closing}, filed {late} s after the answer: ledger {copies}, {result or repr(error)}"
    most = 1 if not resend else 4
    assert copies <= most, told  # I2
    if result is not None:
        assert copies >= 1, told  # I3
        assert result.confirmed_by == "reply" or late < 0.01, told
        return "lookup" if result.confirmed_by == "lookup" else "sent"
    assert error.outcome is not None, told
    assert error.stage, told
    if isinstance(error, OutcomeUnknown):
        assert hit or closing, told
        assert late > 0.0 or closing, told  # a lookup can know only of a copy that was filed while it looked
        if late < 600.0:
            assert later is Outcome.APPLIED, told
        return "unknown"
    assert error.outcome is Outcome.NOT_APPLIED, told
    assert copies == 0, told
    return "not sent"


def runs(seeds, **options):
    counts = collections.Counter()
    for seed in seeds:
        fault, *seen = virtual(case(seed, **options), seed)
        counts[judge(seed, fault, *seen, resend=options.get("on_unknown") == "resend")] += 1
    return counts


def test_a_cut_anywhere_leaves_one_copy_or_none_and_the_client_says_which():
    counts = runs(range(24))
    assert counts["sent"] > 10
    assert counts["lookup"] + counts["unknown"] > 2


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_thousand_cuts():
    counts = runs(range(1000, 2000))
    print(counts)
    assert sum(counts.values()) == 1000
    assert counts["lookup"] > 100


def test_closing_while_a_message_is_sent_leaves_one_copy_or_none_and_the_client_says_which():
    counts = runs(range(7000, 7024), closes=1.0)
    assert counts["sent"] > 3
    assert counts["not sent"] > 3


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_thousand_cuts_and_closings():
    counts = runs(range(8000, 9000), closes=1.0)
    print(counts)
    assert sum(counts.values()) == 1000
    assert min(counts.values()) > 20


@pytest.mark.slow
def test_resending_an_unknown_outcome_sends_at_least_once_with_one_message_id():
    counts = runs(range(3000, 3040), on_unknown="resend")
    assert counts["unknown"] == 0


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_pairs_of_faults():
    """The second in the recovery from the first, or beside it."""
    counts = runs(range(5000, 5400), faults=2)
    print(counts)
    assert sum(counts.values()) == 400


SIZES = {"MAIL": 40, "RCPT": 26, "MESSAGE": 180, "EHLO": 20, "AUTH": 30, "DATA": 6, "QUIT": 6}


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("action", ["close", "reset"])
def test_a_cut_at_every_byte(action):
    """Of every command and of every reply of a transaction."""
    counts = collections.Counter()
    for command, size in SIZES.items():
        for point in ("request", "reply"):
            for byte in range(size):
                cut = Fault(action, command=command, protocol="smtp", point=point, byte=byte)
                fault, *seen = virtual(case(byte, cut=cut), byte)
                counts[judge(byte, fault, *seen)] += 1
    print(counts)
    assert counts["not sent"] == 0
