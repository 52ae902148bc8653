"""What all streams have in common: iterated over, entered, and closed when that is left."""

import pytest

from aiogmail.stream import Stream
from tests.support import aio


class Countdown(Stream[int]):
    def __init__(self, left):
        self.left = left
        self.closed = 0

    async def __anext__(self):
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return self.left

    async def aclose(self):
        self.closed += 1
        self.left = 0


def test_it_is_its_own_iterator():
    stream = Countdown(3)
    assert aiter(stream) is stream

    async def main():
        assert [number async for number in stream] == [2, 1, 0]

    aio.run(main())


@pytest.mark.parametrize("how", ["to its end", "by break", "by an exception"])
def test_leaving_async_with_closes_it_however_it_is_left(how):
    async def main():
        stream = Countdown(2)
        try:
            async with stream as entered:
                assert entered is stream
                async for _ in stream:
                    if how == "by break":
                        break
                    if how == "by an exception":
                        raise LookupError
        except LookupError:
            assert how == "by an exception"
        assert (stream.closed, stream.left) == (1, 0)

    aio.run(main())


def test_a_stream_that_cannot_be_closed_cannot_be_made():
    class Endless(Stream[int]):
        async def __anext__(self):
            return 1

    with pytest.raises(TypeError, match="aclose"):
        Endless()
