import asyncio

from aiogmail.oauth import GoogleAuthCredentials, TokenProvider, UserCredentials
from aiogmail.oauth.gate import Gate, lane_of

from .harness import virtual


async def fetch():
    raise NotImplementedError


class Odd:
    def refresh(self, request):
        raise NotImplementedError


def test_each_endpoint_has_its_own_lane_only_while_it_is_used():
    async def main(clock):
        gate = Gate(2)
        one, two = gate.enter("a"), gate.enter("a")
        assert one is two
        assert not gate.has_room("a")
        assert gate.has_room("b")
        async with one.width, two.width:
            third = gate.enter("a")
            waiting = asyncio.create_task(third.width.acquire())
            await asyncio.sleep(10)
            assert not waiting.done()
        assert await waiting
        for lane in (one, two, third):
            gate.leave("a", lane)
        assert gate._lanes == {}

    virtual(main)


def test_a_lane_is_named_by_what_is_asked():
    assert lane_of(UserCredentials("c", "s", "r", token_uri="https://a.example/t")) == "https://a.example/t"
    assert lane_of(TokenProvider(fetch)) is fetch
    assert lane_of(GoogleAuthCredentials(Odd())) == "google-auth"
