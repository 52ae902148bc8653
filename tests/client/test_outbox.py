"""Many messages: reports as they come or in order, room for so many, and nothing left behind."""

import asyncio

import pytest

from aiogmail import Gmail, LoginRequired, Unavailable
from aiogmail.client.outbox import SendReport, SendStream
from aiogmail.ports import Outcome
from aiogmail.smtp import SendResult
from aiogmail.testing import Fault, GmailEmulator
from tests.client.test_sending import ME, mail, on_gmail
from tests.support.aio import virtual


class Slow:
    """Takes so many seconds for each message, which is a number; what is below 0 fails."""

    def __init__(self):
        self.begun, self.running, self.most = [], 0, 0

    async def __call__(self, seconds):
        self.begun.append(seconds)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(abs(seconds))
        finally:
            self.running -= 1
        if seconds < 0:
            raise Unavailable("not now", outcome=Outcome.NOT_APPLIED, stage="MAIL")
        return SendResult("sent", f"<{seconds}@x>", ())


def stream(messages, *, ordered=False, concurrency=3):
    send, ended = Slow(), []
    return SendStream(send, messages, ordered=ordered, concurrency=concurrency, ended=ended.append), send, ended


def test_reports_come_as_they_come_with_progress():
    async def main():
        one, send, ended = stream([3, 1, 2, 1])
        reports = [report async for report in one]
        assert [report.index for report in reports] == [1, 2, 3, 0]
        assert [(report.done, report.total) for report in reports] == [(1, 4), (2, 4), (3, 4), (4, 4)]
        assert send.most == 3
        assert ended == [one]

    virtual(main())


def test_or_in_order():
    async def main():
        one, send, _ = stream([3, 1, 2, 1], ordered=True)
        assert [report.index async for report in one] == [0, 1, 2, 3]
        assert send.most == 3

    virtual(main())


def test_an_error_stands_in_its_report():
    async def main():
        one, _, _ = stream([1, -2, 3])
        reports = [report async for report in one]
        assert [report.error is None for report in reports] == [True, False, True]
        assert reports[0].unwrap().message_id == "<1@x>"
        with pytest.raises(Unavailable):
            reports[1].unwrap()

    virtual(main())


@pytest.mark.parametrize("ordered", [False, True])
def test_messages_are_asked_for_as_there_is_room(ordered):
    asked = []

    def some():
        for number in range(100):
            asked.append(number)
            yield 1

    async def main():
        one, _, _ = stream(some(), ordered=ordered, concurrency=4)
        async with one:
            count = 0
            async for report in one:
                assert report.total is None
                count += 1
                assert len(asked) <= count + 4
                await asyncio.sleep(10.0)
                if count == 10:
                    break
        assert len(asked) <= 14

    virtual(main())


def test_an_async_source_is_waited_for_while_messages_are_under_way():
    async def some():
        for number in range(5):
            await asyncio.sleep(1.0)
            yield number

    async def main():
        one, send, _ = stream(some())
        assert [report.index async for report in one] == [0, 1, 2, 3, 4]
        assert send.begun == [0, 1, 2, 3, 4]

    virtual(main())


def test_leaving_early_waits_for_what_is_under_way_and_begins_no_more():
    async def endless():
        while True:
            await asyncio.sleep(0.1)
            yield 5

    async def main():
        for messages in ([5] * 50, endless()):
            one, send, ended = stream(messages)
            async with one:
                async for _ in one:
                    break
            assert send.running == 0
            assert len(send.begun) <= 6
            assert ended == [one]
            with pytest.raises(StopAsyncIteration):
                await anext(one)

    virtual(main())


def test_cancelling_the_end_cancels_what_is_under_way():
    async def main():
        one, send, _ = stream([1000] * 5)
        waiting = asyncio.ensure_future(anext(one))
        await asyncio.sleep(1.0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert send.running == 3
        closing = asyncio.ensure_future(one.aclose())
        await asyncio.sleep(1.0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert send.running == 0

    virtual(main())


def test_what_nobody_foresaw_is_raised():
    async def main():
        async def fail(_):
            raise ZeroDivisionError

        one = SendStream(fail, [1], ordered=False, concurrency=1, ended=lambda _: None)
        with pytest.raises(ZeroDivisionError):
            await anext(one)
        await one.aclose()

        def broken():
            yield 1
            raise KeyError("source")

        one, _, _ = stream(broken())
        with pytest.raises(KeyError, match="source"):
            [report async for report in one]
        await one.aclose()

    virtual(main())


def test_a_hopeless_error_is_reported_for_the_rest_without_trying():
    async def main():
        tried = []

        async def refuse(message):
            tried.append(message)
            await asyncio.sleep(1.0)
            raise LoginRequired("consent again")

        one = SendStream(refuse, range(50), ordered=False, concurrency=2, ended=lambda _: None)
        reports = [report async for report in one]
        assert len(reports) == 50
        assert len(tried) <= 4
        assert all(isinstance(report.error, LoginRequired) for report in reports)
        assert reports[-1].error.stage == "not tried"
        assert reports[-1].error.outcome is Outcome.NOT_APPLIED

    virtual(main())


@on_gmail()
async def test_many_messages_through_gmail_with_faults_on_the_way(gmail, me, server):
    for number in range(6):
        server.faults.add(Fault("reset", command=("MAIL", "RCPT", "MESSAGE")[number % 3], protocol="smtp", skip=7 * number))
    count = 0
    async for report in gmail.send_many((mail(subject=f"number {number}") for number in range(100)), settle_timeout=5.0):
        count += report.error is None
    subjects = [one.raw for one in me.ledger.submissions]
    assert len(subjects) == len({one.message_id for one in me.ledger.submissions})
    assert count <= len(subjects) <= count + 2
    assert count >= 98


def test_closing_the_account_ends_a_stream_that_was_left():
    async def main():
        async with GmailEmulator() as server:
            me = server.add_account(ME)
            async with Gmail(ME, me.credentials(), settings=server.settings) as gmail:
                stream = gmail.send_many([mail() for _ in range(50)])
                async for _ in stream:
                    break
                del stream
            assert len(me.ledger.submissions) <= 6
            await asyncio.sleep(0.1)

    virtual(main())


def test_a_report_of_nothing_is_no_result():
    assert SendReport(0, SendResult("sent", "<a@b>", ()), None, 1, 1).unwrap().status == "sent"


def test_closing_a_stream_that_pulls_cancels_the_pull():
    async def endless():
        await asyncio.sleep(1e6)
        yield 1

    async def main():
        one, send, _ = stream(endless())
        waiting = asyncio.ensure_future(anext(one))
        await asyncio.sleep(1.0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await one.aclose()
        assert send.begun == []

    virtual(main())


@pytest.mark.parametrize("kind", ["iterable", "async iterable"])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_source_that_fails_costs_no_report_of_those_that_were_begun(kind, ordered):
    """They were sent, and their caller is told."""

    def messages():
        yield 0.2
        yield 0.1
        raise KeyError("source")

    async def asynchronously():
        for message in messages():
            yield message

    async def main():
        reports, send, ended = stream(messages() if kind == "iterable" else asynchronously(), ordered=ordered)
        seen = []
        with pytest.raises(KeyError, match="source"):
            async for report in reports:
                seen.append(report)  # noqa: PERF401
        assert sorted(report.index for report in seen) == [0, 1]
        assert send.begun == [0.2, 0.1]
        assert ended
        with pytest.raises(StopAsyncIteration):
            await anext(reports)

    virtual(main())
