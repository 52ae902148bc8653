"""Sessions that end every hour, for days: with rotation nobody meets an end; without it, somebody does."""

import asyncio
import datetime as dt
from dataclasses import replace

import pytest

from aiogmail import AppPassword, Budget, Gmail, Settings, TokenProvider
from aiogmail.supervisor import events
from aiogmail.testing import Behaviour, Fault, GmailEmulator, Shape, run_virtual

ADDRESS = "me@gmail.com"
LATENCY = 0.04


def most_at_once(connections):
    """The most connections that were open at the same time, by the ledger."""
    changes = sorted(
        [(one.at, 1) for one in connections] + [(one.closed_at, -1) for one in connections if one.closed_at is not None],
        key=lambda change: (change[0], change[1]),
    )
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def living(test, **behaviour):
    async def main():
        async with GmailEmulator(behaviour=Behaviour(**behaviour)) as server:
            account = server.add_account(ADDRESS, app_password="abcd efgh ijkl mnop")
            for number in range(1, 11):
                account.deliver(b"Subject: %d\r\nMessage-ID: <%d@x>\r\n\r\nbody\r\n" % (number, number))
            await test(server, account)

    return run_virtual(main())


async def slowest_command(server, account, seconds, *, rotate):
    """The longest that a command took, of several a second."""
    loop = asyncio.get_running_loop()
    server.faults.shape = Shape(latency=LATENCY)
    settings = replace(server.settings, rotate=rotate)
    slowest = 0.0
    async with Gmail(ADDRESS, account.credentials(), settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
        end = loop.time() + seconds
        while loop.time() < end:
            began = loop.time()
            await inbox.noop()
            slowest = max(slowest, loop.time() - began)
            await asyncio.sleep(0.05)
        imap = [one for one in server.ledger.connections if one.protocol == "imap"]
        expired = [one for one in imap if "expired" in one.reason]
    return slowest, imap, expired


@pytest.mark.unmeasured
@pytest.mark.parametrize("rotate", [True, False])
def test_nobody_waits_for_a_session_that_is_replaced_before_its_token_ends(rotate):
    async def test(server, account):
        slowest, imap, expired = await slowest_command(server, account, 150, rotate=rotate)
        print(f"rotation {'on' if rotate else 'off'}: largest delay of a command around expiry {slowest * 1000:.0f} ms")
        if rotate:
            assert slowest == pytest.approx(LATENCY, abs=0.001)  # one: the emulator delays replies alone
            assert not expired
            assert {one.reason for one in imap} == {"logout"}
            assert most_at_once(imap) == 2
        else:
            assert slowest > 1.5 * LATENCY
            assert len(expired) >= 2
            assert most_at_once(imap) == 1

    living(test, token_lifetime=60)


def test_a_session_without_a_token_is_replaced_before_its_day_is_over():
    async def test(server, account):
        password = AppPassword("abcd efgh ijkl mnop")
        async with Gmail(ADDRESS, password, settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
            await asyncio.sleep(3 * 86_400)
            await inbox.noop()
        assert [one.reason for one in server.ledger.connections if one.protocol == "imap"] == ["logout"] * 4

    living(test)


def test_a_successor_that_cannot_be_opened_leaves_the_old_session_at_work():
    async def test(server, account):
        heard = []
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
            stream = gmail.events()
            await asyncio.sleep(3000)
            server.faults.add(Fault("close", "CONNECT", protocol="imap", times=4))
            while not [event for event in heard if event.kind == "rotated"]:
                heard.append(await anext(stream))
                await inbox.noop()
        kinds = [event.kind for event in heard]
        assert kinds == ["expiring"] + ["retrying"] * 4 + ["rotated"]
        assert [one.reason for one in server.ledger.connections if one.protocol == "imap" and one.authenticated_at] == ["logout"] * 2
        delays = [event.delay for event in heard if isinstance(event, events.Retrying)]
        assert all(delay >= 1 for delay in delays)

    living(test)


def test_a_fetch_goes_on_over_a_rotation_and_gives_every_message_once():
    async def test(server, account):
        for number in range(11, 501):
            account.deliver(b"Subject: %d\r\nMessage-ID: <%d@x>\r\n\r\nbody\r\n" % (number, number))
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
            seen = []
            async for message in inbox.fetch("1:*", "flags"):
                seen.append(message.uid)
                await asyncio.sleep(30)  # 500 rows: more than four hours
        assert seen == list(range(1, 501))
        assert not [one for one in server.ledger.connections if "expired" in one.reason]

    living(test)


def test_a_rotation_waits_where_the_account_has_no_connection_left():
    async def test(server, account):
        settings = replace(server.settings, budget=Budget(connections=2))
        async with Gmail(ADDRESS, account.credentials(), settings=settings) as gmail:
            async with gmail.mailbox("INBOX") as inbox, gmail.mailbox("[Gmail]/All Mail") as other:
                async with gmail.mailbox("[Gmail]/Trash") as third:
                    assert third.state.exists == 0  # on a connection that it shares
                for _ in range(300):
                    await asyncio.sleep(60)
                    await inbox.noop()
                    await other.noop()
        imap = [one for one in server.ledger.connections if one.protocol == "imap"]
        assert most_at_once(imap) == 2
        assert [one for one in imap if "expired" in one.reason], "the end that comes anyway is waited for"

    living(test)


def test_idle_is_ended_with_done_when_a_successor_takes_over():
    async def test(server, account):
        from aiogmail.imap.commands.idle import Idle
        from aiogmail.ports import Effect

        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
            idled_on = []

            async def idle(session):
                idled_on.append(session)
                await session.execute(Idle())
                await session.execute(Idle())  # not begun again on a session that is left

            waiting = asyncio.create_task(inbox._keeper.run(idle, Effect.PURE))
            await asyncio.sleep(2 * 3600)
            assert not waiting.done()
            assert len(set(idled_on)) == len(idled_on) >= 2
            waiting.cancel()
            await asyncio.wait([waiting])
        lines = [command.verb for command in server.ledger.commands if command.protocol == "imap"]
        assert lines.count("IDLE") == len(idled_on)
        reasons = [one.reason for one in server.ledger.connections if one.protocol == "imap"]
        assert reasons[:-1] == ["logout"] * (len(reasons) - 1)

    living(test)


def test_tokens_that_live_seconds_are_outrun():
    async def test(server, account):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
            for _ in range(600):
                await inbox.noop()
                await asyncio.sleep(0.5)
        imap = [one for one in server.ledger.connections if one.protocol == "imap"]
        assert not [one for one in imap if "expired" in one.reason]
        assert len(imap) > 20
        assert most_at_once(imap) <= 2

    living(test, token_lifetime=20)


def test_rotation_is_on_unless_it_is_switched_off():
    assert Settings().rotate


def test_where_the_successor_is_refused_the_mailbox_goes_on_to_tell_what_is_there():
    async def main():
        async with GmailEmulator() as server:
            account = server.add_account("me@gmail.com")
            ends = server.hub.wall() + 3600
            token = account.access_token(3600)

            async def always_the_same():
                return token, dt.datetime.fromtimestamp(ends, dt.UTC)

            async with Gmail("me@gmail.com", TokenProvider(always_the_same), settings=server.settings) as gmail:
                stream = gmail.events()
                async with gmail.mailbox("INBOX") as inbox:
                    await asyncio.sleep(3300)
                    for number in range(1, 29):
                        account.deliver(b"Subject: news\r\n\r\n")
                        await inbox.noop()
                        assert inbox.state.exists == number
                        await asyncio.sleep(10)
            kinds = [event.kind async for event in stream]
            assert "retrying" in kinds
            assert "lost" not in kinds

    run_virtual(main())
