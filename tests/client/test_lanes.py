"""The connections that messages take: closing ends what waits, and says truthfully what became of it."""

import asyncio

import pytest

from aiogmail import GmailError, Outcome, OutcomeUnknown, StateError
from aiogmail.testing import Fault
from tests.client.test_sending import mail, on_gmail, sent

RATE = "4.7.28 Our system has detected an unusual rate of mail."


def now():
    return asyncio.get_running_loop().time()


async def ended(task, within=0.1):
    """The error of a send that closing has ended: at once."""
    began = now()
    with pytest.raises(StateError) as caught:
        await task
    assert now() - began < within
    return caught.value


@pytest.mark.parametrize("timeout", [None, 20.0])
@pytest.mark.parametrize("way", ["bye", "answer"])
def test_closing_ends_a_pause_for_a_rate_that_is_too_high(way, timeout):
    """The first waits to be tried again, the second on the account's other connection."""

    @on_gmail()
    async def test(gmail, me, server):
        server.faults.add(Fault(way, command="MAIL", protocol="smtp", text=f"{421 if way == 'bye' else 450} {RATE}"))
        await gmail._outgoing().open()
        first = asyncio.ensure_future(gmail.send(mail()))
        await asyncio.sleep(5.0)
        second = asyncio.ensure_future(gmail.send(mail()))
        await asyncio.sleep(5.0)
        began = now()
        await gmail.aclose(timeout)
        for task, stage in ((first, "MAIL"), (second, "connect")):
            error = await ended(task)
            assert (error.outcome, error.stage) == (Outcome.NOT_APPLIED, stage)
        assert now() - began < 1.0
        assert not me.ledger.submissions

    test()


@on_gmail()
async def test_closing_with_time_enough_lets_a_pause_end_and_the_message_go(gmail, me, server):
    server.faults.add(Fault("answer", command="MAIL", protocol="smtp", text=f"450 {RATE}"))
    await gmail._outgoing().open()
    first = asyncio.ensure_future(gmail.send(mail()))
    await asyncio.sleep(5.0)
    second = asyncio.ensure_future(gmail.send(mail()))
    await asyncio.sleep(5.0)
    await gmail.aclose(timeout=120.0)
    assert {(await first).status, (await second).status} == {"sent"}
    assert len(me.ledger.submissions) == 2


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_closing_ends_the_wait_for_a_login_rate(timeout):
    @on_gmail(login_rate=1, login_window=100.0)
    async def test(gmail, me, server):
        await gmail.send(mail())
        gmail._sender._lanes._leave(gmail._sender._lanes._lanes[0])
        await asyncio.sleep(1.0)
        task = asyncio.ensure_future(gmail.send(mail()))
        await asyncio.sleep(5.0)
        assert not task.done()
        began = now()
        await gmail.aclose(timeout)
        error = await ended(task)
        assert (error.outcome, error.stage) == (Outcome.NOT_APPLIED, "connect")
        assert now() - began < 1.0
        assert len(me.ledger.submissions) == 1

    test()


@on_gmail()
async def test_closing_ends_a_stream_whose_messages_wait(gmail, me, server):
    server.faults.add(Fault("answer", command="MAIL", protocol="smtp", text=f"450 {RATE}", times=2))
    reports = []

    async def read():
        reports.extend([report async for report in gmail.send_many([mail(subject=f"n {number}") for number in range(8)])])

    task = asyncio.ensure_future(read())
    await asyncio.sleep(5.0)
    began = now()
    await gmail.aclose()
    await task
    assert now() - began < 1.0
    assert all(report.result or report.error.outcome is Outcome.NOT_APPLIED for report in reports)
    assert sum(report.result is not None for report in reports) == len(me.ledger.submissions) < 8


def test_closing_with_time_enough_lets_a_lookup_end():
    @on_gmail(sent_copy_delay=20.0)
    async def test(gmail, me, server):
        server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
        task = asyncio.ensure_future(gmail.send(mail()))
        await asyncio.sleep(5.0)
        began = now()
        await gmail.aclose(timeout=60.0)
        assert (await task).confirmed_by == "lookup"
        assert now() - began < 30.0

    test()


@on_gmail(sent_copy=False)
async def test_closing_waits_for_a_lookup_no_longer_than_its_timeout(gmail, me, server):
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    task = asyncio.ensure_future(gmail.send(mail()))
    await asyncio.sleep(5.0)
    began = now()
    await gmail.aclose(timeout=10.0)
    with pytest.raises(OutcomeUnknown):
        await task
    assert 10.0 <= now() - began < 17.0  # and taking leave


@on_gmail()
async def test_a_closing_that_is_cancelled_drops_what_is_open_at_once(gmail, me, server):
    """It has given a message time to end, and somebody does not want to wait for that."""
    server.faults.add(Fault("delay", command="MESSAGE", protocol="smtp", seconds=4.0))
    task = asyncio.ensure_future(gmail.send(mail()))
    await asyncio.sleep(1.0)
    began = now()
    closing = asyncio.ensure_future(gmail.aclose(timeout=60.0))
    await asyncio.sleep(0.1)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(OutcomeUnknown):
        await task
    assert now() - began < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("timeout", [None, 0.5, 30.0])
def test_closing_at_any_turn_of_the_loop_tells_the_truth(timeout):
    """Three messages at once, the second envelope behind the first message's end: what is told as not sent is not there ten minutes later."""
    outcomes = set()

    def case(steps):
        @on_gmail()
        async def test(gmail, me, server):
            if steps % 2:
                await gmail.send(mail(subject="warm"))
            texts = [b"one", b"two", b"three"]
            tasks = [asyncio.ensure_future(gmail.send(mail(subject=text.decode()), settle_timeout=1.0)) for text in texts]
            for _ in range(steps // 2):
                await asyncio.sleep(0)
            await gmail.aclose(timeout)
            done, pending = await asyncio.wait(tasks, timeout=60.0)
            assert not pending
            await asyncio.sleep(600.0)
            for text, task in zip(texts, tasks, strict=True):
                copies = len(sent(me, b"Subject: " + text))
                error = task.exception()
                outcomes.add(type(error).__name__)
                if error is None:
                    assert copies == 1, (steps, text)
                else:
                    assert isinstance(error, GmailError)
                    assert error.stage, (steps, error)
                    assert copies <= (error.outcome is Outcome.UNKNOWN), (steps, text, error)

        test()

    for steps in range(0, 240, 9):
        case(steps)
    assert "NoneType" in outcomes
    assert len(outcomes) > 1 or timeout == 30.0
