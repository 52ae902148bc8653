import pytest

from aiogmail.oauth import MemoryTokenStore
from tests.oauth.harness import real

from .contract import CLAIMS


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_memory_store(claim):
    real(lambda: claim(MemoryTokenStore()))


def test_it_shows_no_secret():
    async def main():
        store = MemoryTokenStore()
        await CLAIMS[0](store)
        assert repr(store) == "MemoryTokenStore(1 identities)"

    real(main)
