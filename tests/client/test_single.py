"""One IMAP connection by itself: what it refuses, what it opens, what it leaves behind."""

import asyncio

import pytest

from aiogmail import ConfigurationError, StateError, TokenCache, TokenRefused, UserCredentials
from aiogmail.client.single import ImapClient
from aiogmail.imap.compat import Imap4
from aiogmail.testing import GmailEmulator
from tests.support.aio import run

ADDRESS = "me@gmail.com"
CREDENTIALS = UserCredentials("id", "secret", "refresh")


def emulated(test):
    async def main():
        async with GmailEmulator() as server:
            account = server.add_account(ADDRESS)
            for number in range(1, 6):
                account.deliver(b"Subject: %d\r\n\r\nbody\r\n" % number)
            await test(server, account)
            async with asyncio.timeout(2):
                while server.ledger.open_connections():
                    await asyncio.sleep(0.01)

    run(main())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("nobody", CREDENTIALS), "address"),
        ((ADDRESS, "secret"), "credentials"),
    ],
)
def test_what_cannot_work_is_refused_at_once(arguments, named):
    with pytest.raises(ConfigurationError, match=named):
        ImapClient(*arguments)


@pytest.mark.parametrize("named", ["tokens", "settings"])
def test_so_are_the_others(named):
    with pytest.raises(ConfigurationError, match=f"^{named}: expected"):
        ImapClient(ADDRESS, CREDENTIALS, **{named: object()})


def test_it_is_one_session_in_aioimaplibs_words_and_ends_politely():
    async def test(server, account):
        async with ImapClient(ADDRESS, server.credentials(ADDRESS), settings=server.settings) as client:
            imap = client.aioimaplib
            assert isinstance(imap, Imap4)
            assert client.aioimaplib is imap
            assert imap.get_state() == "AUTH"
            assert imap.has_capability("X-GM-EXT-1")
            assert (await imap.select("INBOX")).result == "OK"
            assert (await imap.uid_search("ALL")).lines[0] == b"1 2 3 4 5"
            result, lines = await imap.uid("fetch", "1:2", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            assert result == "OK"
            assert [bytes(line) for line in lines[1::3]] == [b"Subject: 1\r\n\r\n", b"Subject: 2\r\n\r\n"]
            idle = await imap.idle_start(20)
            account.deliver(b"Subject: new\r\n\r\nbody\r\n")
            assert b"6 EXISTS" in await imap.wait_server_push(2)
            imap.idle_done()
            assert (await idle).result == "OK"
            assert repr(client) == "ImapClient('me@gmail.com')"
        assert server.ledger.verbs("imap")[-1] == "LOGOUT"

    emulated(test)


def test_the_user_may_log_out_and_it_may_be_closed_twice():
    async def test(server, account):
        client = ImapClient(ADDRESS, server.credentials(ADDRESS), settings=server.settings)
        async with client:
            assert (await client.aioimaplib.logout()).result == "OK"
        await client.aclose()

    emulated(test)


def test_a_cache_that_was_given_is_shared_and_left_open():
    async def test(server, account):
        credentials = server.credentials(ADDRESS)
        async with TokenCache() as tokens:
            for _ in range(2):
                async with ImapClient(ADDRESS, credentials, tokens=tokens, settings=server.settings):
                    pass
            await tokens.get(ADDRESS, credentials)
        assert len(server.ledger.refreshes()) == 1

    emulated(test)


def test_it_is_used_while_it_is_open_and_once():
    async def test(server, account):
        client = ImapClient(ADDRESS, server.credentials(ADDRESS), settings=server.settings)
        with pytest.raises(StateError, match="not open"):
            _ = client.aioimaplib
        await client.aclose()
        async with client:
            with pytest.raises(StateError, match="opened once"):
                await client.__aenter__()
        with pytest.raises(StateError, match="opened once"):
            await client.__aenter__()

    emulated(test)


def test_an_opening_that_fails_leaves_nothing():
    async def test(server, account):
        credentials = server.credentials(ADDRESS)
        account.configure(token_lifetime=3600)
        client = ImapClient("you@gmail.com", credentials, settings=server.settings)
        with pytest.raises(Exception) as failed:
            async with client:
                pass
        assert failed.type.__module__ == TokenRefused.__module__

    emulated(test)
