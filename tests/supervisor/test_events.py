"""Streams of events: every listener gets all, none can fill the memory, and they end."""

import asyncio
import datetime as dt
import gc

from aiogmail.supervisor.events import MOST, Connected, Events, Lost
from tests.support.aio import run

WHEN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def connected(number):
    return Connected(WHEN, "me@gmail.com", "INBOX", session=number)


def test_every_listener_gets_every_event_from_when_it_listens():
    async def main():
        events = Events()
        first = events.listen()
        events.tell(connected(1))
        second = events.listen()
        events.tell(connected(2))
        events.end()
        assert [event.session async for event in first] == [1, 2]
        assert [event.session async for event in second] == [2]
        assert [event async for event in events.listen()] == []

    run(main())


def test_a_listener_that_is_too_slow_loses_the_oldest_and_is_told_how_many():
    async def main():
        events = Events()
        stream = events.listen()
        for number in range(MOST + 5):
            events.tell(connected(number))
        events.end()
        events.tell(connected(-1))
        assert [event.session async for event in stream] == list(range(5, MOST + 5))
        assert stream.dropped == 5

    run(main())


def test_who_waits_is_woken_and_cancelling_the_wait_loses_nothing():
    async def main():
        events = Events()
        async with events.listen() as stream:
            waiting = asyncio.create_task(anext(stream))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            waiting = asyncio.create_task(anext(stream))
            await asyncio.sleep(0)
            events.tell(connected(1))
            assert (await waiting).session == 1
            waiting = asyncio.create_task(anext(stream, None))
            await asyncio.sleep(0)
            await stream.aclose()
            assert await waiting is None
        events.tell(connected(2))
        assert await anext(stream, None) is None

    run(main())


def test_a_stream_that_was_forgotten_is_no_listener():
    async def main():
        events = Events()
        events.listen()
        gc.collect(0)
        assert not events._streams

    run(main())


def test_an_event_says_what_it_is():
    event = Lost(WHEN, "me@gmail.com", "INBOX", "BYE Session expired", lived=3.0)
    assert event.kind == "lost"
    assert repr(event) == (
        "Lost(when=datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezone.utc), "
        "address='me@gmail.com', what='INBOX', reason='BYE Session expired', lived=3.0)"
    )
