"""A queue that is bounded, and that ends."""

import asyncio

import pytest

from aiogmail.imap.pushes import Pushes
from tests.support.aio import run


class Made:
    def __init__(self, most=1000):
        self.held = 0
        self.is_held_back = False
        self.queue = Pushes(most, self.hold, self.release, lambda: self.is_held_back)

    def hold(self, size):
        self.held += size

    def release(self, size):
        self.held -= size


def test_lists_come_out_in_order_and_what_they_cost_is_given_back():
    async def main():
        made = Made()
        for item in ([b"1 EXISTS"], [b"2 EXISTS", b"3 EXISTS"]):
            made.queue.put_nowait(item)
        assert made.held == 3 * (8 + 64)
        assert [await made.queue.get(), await made.queue.get()] == [[b"1 EXISTS"], [b"2 EXISTS", b"3 EXISTS"]]
        assert made.held == 0

    run(main())


@pytest.mark.parametrize("is_held_back", [True, False])
def test_the_oldest_go_unless_the_server_is_held_back(is_held_back):
    async def main():
        made = Made()
        made.is_held_back = is_held_back
        for number in range(100):
            made.queue.put_nowait([b"%d" % number])
        assert made.queue.qsize() == (100 if is_held_back else 15)
        assert await made.queue.get() == ([b"0"] if is_held_back else [b"85"])
        made.queue.put_nowait([b"x" * 5000])
        assert made.queue.qsize() == (100 if is_held_back else 1)

    run(main())


def test_a_marker_that_is_void_is_taken_out_wherever_it_stands():
    async def main():
        made = Made()
        for item in ([b"stop"], [b"1"], [b"stop"], [b"2"]):
            made.queue.put_nowait(item)
        made.queue.discard([b"stop"])
        assert made.held == 2 * 65
        assert [await made.queue.get(), await made.queue.get()] == [[b"1"], [b"2"]]

    run(main())


@pytest.mark.parametrize("waiting", [0, 1, 3])
def test_the_end_comes_behind_what_is_there_and_everybody_hears_it(waiting):
    async def main():
        made = Made()
        tasks = [asyncio.ensure_future(made.queue.get()) for _ in range(waiting)]
        await asyncio.sleep(0)
        made.queue.put_nowait([b"last"])
        made.queue.end(lambda: ConnectionError("over"))
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert done[:1] in ([], [[b"last"]])
        assert all(isinstance(error, ConnectionError) for error in done[1:])
        if not waiting:
            assert await made.queue.get() == [b"last"]
        for _ in range(2):
            with pytest.raises(ConnectionError, match="over"):
                await made.queue.get()

    run(main())
