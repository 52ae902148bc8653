"""5,000 messages through a connection that is cut every 100: each exactly once, contents equal; deletions exactly those asked for."""

import hashlib

import pytest

from aiogmail.testing import Fault
from tests.pop3.support import deletions, every, on_emulator, raws, sessions


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("recent", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["popping", "recent"])
def test_five_thousand_messages_through_a_cut_every_hundred(recent, monkeypatch):
    deleted = deletions(monkeypatch)

    @on_emulator(5000, size=300, pop_window=5000 if recent else 250)
    async def test(server, me, gmail):
        stop = every(server, 100, Fault("reset", "RETR", "pop3", point="reply", byte=200))
        got, marked = {}, set()
        async with gmail.pop3(recent=recent) as pop:
            async for mail in pop.retrieve_new():
                assert mail.uidl not in got
                got[mail.uidl] = hashlib.sha256(mail.raw).digest()
                if mail.gmail_id % 3 == 0 and not recent:
                    await pop.delete(mail.uidl)
                    marked.add(mail.uidl)
            stop()
        assert list(got.values()) == [hashlib.sha256(raw).digest() for raw in raws(me)]
        assert len(server.faults.hit) >= 50
        assert len(sessions(server)) >= 50
        if not recent:
            assert marked
            assert deleted == marked
            assert all(stored.popped for stored in me.messages)
            retrieved = server.ledger.verbs("pop3").count("RETR")
            assert retrieved < 3 * 5000  # what is asked for again and again is bounded

    test()
