"""The figures that the issue asks for. Each bound leaves room for a busy machine; what was measured is printed with ``-s``."""

import asyncio
import time
import tracemalloc

import pytest

from aiogmail.testing import GmailEmulator, run_virtual
from tests.testing.support import ME, Wire, message

COUNT = 100_000


def best(measure, enough, tries=5):
    """The best of a few tries: other programs on the machine only ever make it slower."""
    results = []
    for _ in range(tries):
        results.append(measure())
        if results[-1] < enough:
            break
    return min(results)


@pytest.mark.nightly  # timed: a machine that is busy with something else proves nothing
def test_a_hundred_thousand_flag_rows_take_less_than_a_second_over_tls():
    async def main():
        async with GmailEmulator() as server:
            me = server.add_account(ME)
            for _ in range(COUNT):
                me.deliver(b"\r\n")
            async with Wire(server) as wire:
                await wire.login()
                await wire.cmd("SELECT INBOX")

                async def fetch():
                    wire.send("F UID FETCH 1:* (FLAGS)\r\n")
                    size = 0
                    while not (chunk := await wire.reader.read(1 << 20)).endswith(b"F OK Success\r\n"):
                        size += len(chunk)
                    return size

                times = []
                for _ in range(5):
                    start = time.perf_counter()
                    assert await fetch() > 25 * COUNT
                    times.append(time.perf_counter() - start)
                    if times[-1] < 1:
                        break
                return min(times)

    seconds = asyncio.run(main())
    print(f"{COUNT / seconds:,.0f} rows a second")
    assert seconds < 1


@pytest.mark.parametrize("count", [pytest.param(20_000, marks=pytest.mark.slow), pytest.param(COUNT, marks=pytest.mark.nightly)])
def test_each_of_many_messages_takes_less_than_a_kibibyte_beyond_its_bytes(count):
    account = GmailEmulator().add_account(ME)
    raws = [message(Message_ID=f"<{number}.abcdefghij@mail.example.org>") for number in range(count)]
    tracemalloc.start()
    for raw in raws:
        account.deliver(raw)
    each = tracemalloc.get_traced_memory()[0] / len(raws)
    tracemalloc.stop()
    print(f"{each:.0f} bytes a message")
    assert each < 1024


@pytest.mark.nightly
def test_in_memory_it_starts_and_stops_in_under_five_milliseconds():
    async def once():
        start = time.perf_counter()
        async with GmailEmulator():
            pass
        return time.perf_counter() - start

    seconds = best(lambda: run_virtual(once()), 0.005)
    print(f"{seconds * 1000:.2f} ms")
    assert seconds < 0.005


@pytest.mark.nightly
def test_over_tls_it_starts_and_stops_in_under_a_tenth_of_a_second():
    async def once():
        start = time.perf_counter()
        async with GmailEmulator() as server, Wire(server) as wire:
            await wire.line()
        return time.perf_counter() - start

    seconds = best(lambda: asyncio.run(once()), 0.1)
    print(f"{seconds * 1000:.2f} ms")
    assert seconds < 0.1
