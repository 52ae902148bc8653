"""A session that a successor took over from, and one that is asked whether it lives."""

import asyncio

import pytest

from aiogmail import errors
from aiogmail.imap.commands import Noop
from aiogmail.imap.commands.idle import Idle
from aiogmail.imap.session import ImapSession
from aiogmail.ports import Outcome
from aiogmail.secret import Secret
from aiogmail.testing import Behaviour, Fault, GmailEmulator, run_virtual


class Source:
    def __init__(self, account):
        self.account = account

    async def get(self, min_ttl):
        from aiogmail.ports import Credential

        return Credential("XOAUTH2", Secret(self.account.access_token()), asyncio.get_running_loop().time() + 3599)

    def refused(self, credential):
        raise AssertionError("the token is good")


def on_a_session(test, **behaviour):
    async def main():
        async with GmailEmulator(behaviour=Behaviour(**behaviour)) as server:
            account = server.add_account("me@gmail.com")
            account.deliver(b"Subject: 1\r\n\r\nbody\r\n")
            session = await ImapSession.open("me@gmail.com", Source(account), server.settings)
            await session.select("INBOX", readonly=False).future
            try:
                await test(server, account, session)
            finally:
                session.abort()

    run_virtual(main())


def verbs(server):
    return server.ledger.verbs("imap")[3:]


def test_a_session_says_when_its_token_or_its_day_ends():
    async def test(server, account, session):
        assert session.expires_at == asyncio.get_running_loop().time() + 3599

    on_a_session(test)


def test_the_idle_of_a_retired_session_ends_by_done_and_none_is_begun():
    async def test(server, account, session):
        first = session.submit(Idle())
        await asyncio.sleep(1)
        session.retire()
        await first.future
        with pytest.raises(errors.Disconnected, match="another session took over") as caught:
            await session.execute(Idle())
        assert not caught.value.connection_lost
        assert caught.value.outcome is Outcome.NOT_APPLIED
        with pytest.raises(errors.Disconnected, match="another session took over"):
            session.submit(Idle())
        await session.execute(Noop())
        assert verbs(server) == ["SELECT", "IDLE", "NOOP"]

    on_a_session(test)


def test_an_idle_that_waits_for_its_turn_fails_when_its_session_is_retired():
    async def test(server, account, session):
        server.faults.add(Fault("delay", "NOOP", seconds=5))
        noop, idle, again = session.submit(Noop()), session.submit(Idle()), session.submit(Noop())
        session.retire()
        with pytest.raises(errors.Disconnected, match="took over"):
            await idle.future
        await noop.future
        await again.future

    on_a_session(test)


def test_a_session_that_answers_lives():
    async def test(server, account, session):
        await session.probe(5)
        assert verbs(server)[-1] == "NOOP"

    on_a_session(test)


def test_a_session_that_is_silent_is_dropped():
    async def test(server, account, session):
        server.faults.add(Fault("blackhole", "NOOP"))
        began = asyncio.get_running_loop().time()
        with pytest.raises(errors.TimedOut, match="no answer to NOOP within 5 s"):
            await session.probe(5)
        assert asyncio.get_running_loop().time() - began == 5
        assert isinstance(session.closed.result(), errors.TimedOut)
        with pytest.raises(errors.TimedOut):
            await session.probe(5)

    on_a_session(test)


def test_whatever_arrives_shows_that_a_session_lives():
    async def test(server, account, session):
        server.faults.add(Fault("delay", "NOOP", seconds=20, point="reply"))
        server.faults.add(Fault("delay", "NOOP", seconds=6))
        first = session.submit(Noop())
        asyncio.get_running_loop().call_later(3, session.protocol.data_received, b"* 1 EXISTS\r\n")
        await session.probe(5)
        assert not session.closed.done()
        await first.future

    on_a_session(test)


def test_a_probe_that_is_cancelled_leaves_the_session_at_work():
    async def test(server, account, session):
        server.faults.add(Fault("delay", "NOOP", seconds=3))
        probing = asyncio.create_task(session.probe(5))
        await asyncio.sleep(1)
        probing.cancel()
        await asyncio.wait([probing])
        assert probing.cancelled()
        await session.execute(Noop())

    on_a_session(test)
