"""What Gmail says of an account's state, and what it makes of the account's commands, by the emulator's ledger."""

import asyncio
from dataclasses import replace

import pytest

from aiogmail import AccessDenied, Gmail, OverQuota
from aiogmail.testing import Behaviour, Fault, GmailEmulator, run_virtual

ADDRESS = "me@gmail.com"


def emulated(test, **behaviour):
    async def main():
        async with GmailEmulator(behaviour=Behaviour(**behaviour)) as server:
            account = server.add_account(ADDRESS)
            account.deliver(b"Subject: 1\r\n\r\nbody\r\n")
            await test(server, account)

    run_virtual(main())


def gaps(server, verb="NOOP"):
    times = [command.at for command in server.ledger.commands if command.verb == verb]
    return [later - earlier for earlier, later in zip(times, times[1:], strict=False)]


def test_throttling_spaces_the_commands_of_all_the_accounts_sessions_until_it_is_over():
    async def test(server, account):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail:
            stream = gmail.events()
            async with gmail.mailbox("INBOX") as inbox, gmail.mailbox("[Gmail]/All Mail") as other:
                await inbox.noop()
                server.configure(throttled=True)
                for _ in range(20):
                    await asyncio.gather(inbox.noop(), other.noop())
                slowed = gaps(server)[-4:]
                assert min(slowed) >= 0.0499
                assert max(gaps(server)) >= 0.0999
                server.configure(throttled=False)
                for _ in range(30):
                    await asyncio.sleep(1.0)
                    await inbox.noop()
                await inbox.noop()
                await inbox.noop()
                assert gaps(server)[-1] == 0.0
            told = [event async for event in stream if event.kind == "throttled"] if await gmail.aclose() is None else []
        assert told
        assert all(event.pace >= 0.05 and event.reason.endswith("[THROTTLED]") for event in told)

    emulated(test)


def test_a_session_that_is_paced_can_be_lost_and_closed():
    async def test(server, account):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
            server.configure(throttled=True)
            for _ in range(8):
                await inbox.noop()
            waiting = asyncio.create_task(inbox.noop())
            await asyncio.sleep(0.01)
            account.drop_sessions()
            await waiting
            await inbox._session.probe(1.0)

    emulated(test)


def test_over_quota_is_not_tried_again_for_ten_minutes():
    async def test(server, account):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
            said = "* BYE [OVERQUOTA] Account exceeded command or bandwidth limits."
            server.faults.add(Fault("bye", "NOOP", protocol="imap", text=said))
            with pytest.raises(OverQuota, match="2500 MB"):
                await inbox.noop()
            await asyncio.sleep(900)
            await inbox.noop()
        times = [one.at for one in server.ledger.connections if one.protocol == "imap"]
        assert times[1] - times[0] >= 600

    emulated(test)


def test_too_many_connections_are_waited_out():
    async def test(server, account):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
            server.faults.add(Fault("answer", "AUTHENTICATE", text="NO [ALERT] Too many simultaneous connections. (Failure)"))
            account.expire_sessions()
            await inbox.noop()
        times = [one.at for one in server.ledger.connections if one.protocol == "imap"]
        assert len(times) == 3
        assert times[2] - times[1] >= 30

    emulated(test)


def test_a_token_of_another_scope_is_told_as_that():
    async def test(server, account):
        scope = "https://www.googleapis.com/auth/gmail.readonly"
        grant = server.hub.tokens.grant(ADDRESS, account.credentials().client_id, scope)
        narrow = replace(account.credentials(), refresh_token=grant.refresh_token, scopes=(scope,))
        async with Gmail(ADDRESS, narrow, settings=server.settings) as gmail:
            with pytest.raises(AccessDenied, match=r"gmail\.readonly alone: ask consent for the scope https://mail\.google\.com/"):
                async with gmail.mailbox("INBOX"):
                    pass

    emulated(test)


@pytest.mark.parametrize(
    ("switch", "words"),
    [({"imap_enabled": False}, "switch IMAP on"), ({"domain_imap_enabled": False}, "Workspace administrator")],
)
def test_an_account_that_lets_no_client_in_is_asked_once(switch, words):
    async def test(server, account):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail:
            with pytest.raises(AccessDenied, match=words):
                async with gmail.mailbox("INBOX"):
                    pass
        assert len([one for one in server.ledger.connections if one.protocol == "imap"]) == 1

    emulated(test, **switch)
