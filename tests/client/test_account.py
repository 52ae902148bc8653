"""The account: what it refuses before any byte is sent, and what it leaves behind."""

import asyncio
import datetime as dt
import os

import pytest

from aiogmail import (
    AppPassword,
    ConfigurationError,
    Gmail,
    LoginRequired,
    MailboxNotFound,
    Q,
    StateError,
    TokenCache,
    TokenProvider,
    TokenRefused,
    UserCredentials,
)
from aiogmail.client.tokens import AccountCredentials
from aiogmail.secret import Secret
from aiogmail.testing import Fault, GmailEmulator
from tests.support.aio import run
from tests.support.scripted import ScriptedImap

ADDRESS = "me@gmail.com"
CREDENTIALS = UserCredentials("id", "secret", "refresh")


def imap_connections(server):
    return [connection for connection in server.ledger.connections if connection.protocol == "imap"]


def emulated(test):
    async def main():
        async with GmailEmulator() as server:
            account = server.add_account(ADDRESS)
            for number in range(1, 6):
                account.deliver(b"Subject: %d\r\n\r\nbody\r\n" % number)
            await test(server, account)
            for _ in range(100):
                if not server.ledger.open_connections():
                    break
                await asyncio.sleep(0.01)
            assert not server.ledger.open_connections()

    run(main())


@pytest.mark.parametrize("address", ["", "me", "me@", "@gmail.com", "a b@x.com", "a@b\r\nc.com", None, 5])
def test_an_address_that_is_none(address):
    with pytest.raises(ConfigurationError, match="address"):
        Gmail(address, CREDENTIALS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"credentials": "token"}, "credentials: expected"),
        ({"credentials": CREDENTIALS, "settings": {}}, "settings: expected"),
        ({"credentials": CREDENTIALS, "tokens": {}}, "tokens: expected"),
    ],
)
def test_arguments_of_the_wrong_kind(arguments, words):
    with pytest.raises(ConfigurationError, match=words):
        Gmail(ADDRESS, **arguments)


@pytest.mark.parametrize("content", ["", "not json", "[]", "{}", '{"client_id": "x"}', "\x00"])
def test_a_token_file_that_is_none(tmp_path, content):
    path = tmp_path / "token.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"token\.json"):
        UserCredentials.from_authorized_user_file(path)
    with pytest.raises(ConfigurationError, match="nowhere"):
        UserCredentials.from_authorized_user_file(tmp_path / "nowhere")


BAD_UIDS = ["١:*", "0", "1:0", "1,0", "-1", "a", "1\r\n", "1 2", "\x00", "4294967296", 0, -3, [0], [1, 0], ["x"], 1.5, None, b"1"]


def test_bad_input_is_refused_before_any_byte_is_sent():
    async def test(server, account):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail:
            for name in ("", "a\rb", "a\nb", "a\0b", "\ud800", None, 7):
                with pytest.raises(ConfigurationError, match="mailbox"):
                    gmail.mailbox(name)
            assert not server.ledger.connections
            async with gmail.mailbox("INBOX") as inbox:
                before = len(server.ledger.commands)
                for uids in BAD_UIDS:
                    with pytest.raises(ConfigurationError):
                        inbox.fetch(uids, "flags")
                for items in (("nothing",), ("FLAG",), ("flags", "\r\n"), (3,), (["flags"],)):
                    with pytest.raises(ConfigurationError, match="items"):
                        inbox.fetch(1, *items)
                for query in ("", "ALL\r\nA1 LOGOUT", "ALL\0", 5, None):
                    with pytest.raises(ConfigurationError, match="query"):
                        await inbox.search(query)
                assert len(server.ledger.commands) == before

    emulated(test)


def test_used_in_the_wrong_state():
    async def test(server, account):
        gmail = Gmail(ADDRESS, account.credentials(), settings=server.settings)
        assert repr(gmail) == "Gmail('me@gmail.com')"
        with pytest.raises(StateError, match="not open"):
            gmail.mailbox("INBOX")
        async with gmail:
            with pytest.raises(StateError, match="already open"):
                await gmail.__aenter__()
            inbox = gmail.mailbox("INBOX")
            with pytest.raises(StateError, match="not open"):
                _ = inbox.state
            with pytest.raises(StateError, match="not open"):
                await inbox.search(Q.all)
            with pytest.raises(StateError, match="not open"):
                await anext(inbox.fetch(1, "flags"))
            async with inbox:
                pass
            with pytest.raises(StateError, match="closed"):
                await inbox.search(Q.all)
        with pytest.raises(StateError, match="closed"):
            gmail.mailbox("INBOX")
        with pytest.raises(StateError, match="closed"):
            await gmail.__aenter__()
        await gmail.aclose()
        assert not [command for command in server.ledger.commands if command.verb == "UID SEARCH"]

    emulated(test)


def test_another_loop_and_another_process_are_refused(monkeypatch):
    async def test(server, account):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail:
            loop = gmail._loop
            gmail._loop = object()
            with pytest.raises(StateError, match="another event loop"):
                gmail.mailbox("INBOX")
            gmail._loop = loop
            await asyncio.get_running_loop().run_in_executor(None, gmail.mailbox, "INBOX")  # building one needs no loop
            with monkeypatch.context() as patch:
                patch.setattr(os, "getpid", lambda: -1)
                with pytest.raises(StateError, match="another process"):
                    gmail.mailbox("INBOX")

    emulated(test)


def test_closing_the_account_closes_its_mailboxes():
    async def test(server, account):
        gmail = Gmail(ADDRESS, account.credentials(), settings=server.settings)
        await gmail.__aenter__()
        inbox, everything = gmail.mailbox("INBOX"), gmail.mailbox("[Gmail]/All Mail", readonly=True)
        await inbox.__aenter__()
        await everything.__aenter__()
        assert everything.state.readonly
        assert not inbox.state.readonly
        await gmail.aclose(timeout=1.0)
        with pytest.raises(StateError):
            await inbox.search()
        assert [command.verb for command in server.ledger.commands].count("LOGOUT") == 2

    emulated(test)


def test_clients_share_a_cache_that_outlives_them():
    async def test(server, account):
        async with TokenCache() as tokens:
            for _ in range(3):
                async with Gmail(ADDRESS, account.credentials(), tokens=tokens, settings=server.settings) as gmail:
                    async with gmail.mailbox("INBOX") as inbox:
                        assert len(await inbox.search()) == 5
            assert len(account.tokens) == 1
            assert await tokens.get(ADDRESS, account.credentials())

    emulated(test)


def test_search_takes_queries_and_written_keys():
    async def test(server, account):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
            assert str(await inbox.search()) == "1:5"
            assert str(await inbox.search("UID 2:3")) == "2:3"
            assert str(await inbox.search(Q.uid("1,4") | Q.uid(5))) == "1,4:5"
            assert not await inbox.search(Q.seen)
            assert not await inbox.search(Q.subject("Grüße"))
            account.deliver(b"Subject: 6\r\n\r\n")
            await inbox.noop()
            assert inbox.state.exists == 6
            assert [message.uid async for message in inbox.fetch("5:*", "uid")] == [5, 6]
            assert [message.uid async for message in inbox.fetch("*", "uid")] == [6]
            with pytest.raises(ConfigurationError, match="UIDs begin at 1"):
                inbox.fetch("0:*")

    emulated(test)


def test_a_server_that_refuses_esearch_is_asked_plainly():
    async def test(server, account):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
            server.faults.add(Fault("answer", "UID SEARCH", text="BAD Could not parse command", times=1))
            assert str(await inbox.search()) == "1:5"
            assert str(await inbox.search()) == "1:5"
            lines = [command.line for command in server.ledger.commands if command.verb == "UID SEARCH"]
            assert ["RETURN" in line for line in lines] == [True, False, False]

    emulated(test)


def test_errors_at_the_door_of_the_emulator():
    async def test(server, account):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail:
            with pytest.raises(MailboxNotFound, match=r"\[NONEXISTENT\] Unknown Mailbox: Nope"):
                async with gmail.mailbox("Nope"):
                    pass
        account.revoke()
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail:
            pass
        account.revoke("The person withdrew consent.")

    emulated(test)


def test_a_consent_withdrawn_in_the_middle_reaches_the_caller():
    async def test(server, account):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
            account.revoke(end_sessions=True)
            with pytest.raises((LoginRequired, TokenRefused), match="revoked|refused"):
                await inbox.search(Q.all)

    emulated(test)


def test_tokens_made_elsewhere_and_app_passwords_open_sessions():
    async def main():
        async with GmailEmulator() as server:
            account = server.add_account(ADDRESS, app_password="abcd efgh ijkl mnop")
            account.deliver(b"Subject: 1\r\n\r\n")

            async def fetch():
                return account.access_token(), dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)

            for credentials in (TokenProvider(fetch), AppPassword("abcd efgh ijkl mnop")):
                async with Gmail(ADDRESS, credentials, settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
                    assert inbox.state.exists == 1

    run(main())


def test_a_refused_password_invalidates_no_token():
    async def main():
        async with TokenCache() as tokens:
            source = AccountCredentials(ADDRESS, AppPassword("x"), tokens, "XOAUTH2")
            credential = await source.get(60)
            assert credential.mechanism == "PLAIN"
            assert credential.secret == Secret("x")
            source.refused(credential)

    run(main())


def test_an_account_closed_while_a_mailbox_opens_leaves_no_session():
    async def main():
        async with ScriptedImap() as server:

            async def select(connection, command):
                await asyncio.sleep(0.1)
                await connection.send(b"* OK [UIDVALIDITY 1] x\r\n")
                await connection.ok(command)

            server.on("SELECT", select)

            async def token():
                return "token", dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)

            gmail = Gmail(ADDRESS, TokenProvider(token), settings=server.settings)
            await gmail.__aenter__()
            inbox = gmail.mailbox("INBOX")
            opening = asyncio.create_task(inbox.__aenter__())
            while "SELECT" not in server.names():
                await asyncio.sleep(0)
            await gmail.aclose()
            with pytest.raises(StateError, match="closed"):
                await opening
            await asyncio.sleep(0.2)  # the server hears it once it has answered
            assert server.open == 0

    run(main())


def test_work_may_reconnect_while_the_account_is_closing_and_closing_twice_waits_twice():
    async def test(server, account):
        gmail = Gmail(ADDRESS, account.credentials(), settings=server.settings)
        await gmail.__aenter__()
        inbox = gmail.mailbox("INBOX")
        await inbox.__aenter__()
        server.faults.add(Fault("bye", "UID SEARCH", point="request", times=1))
        search = asyncio.create_task(inbox.search(Q.all))
        await asyncio.sleep(0)
        closing = asyncio.create_task(gmail.aclose(timeout=5))
        await asyncio.sleep(0)
        await gmail.aclose()
        assert closing.done() or not [one for one in imap_connections(server) if one.closed_at is None]
        assert str(await search) == "1:5"
        await closing

    emulated(test)


@pytest.mark.parametrize("said", ["* BYE Server is restarting", "NO [UNAVAILABLE] Temporary System Problem. Try again later (Failure)"])
def test_an_outage_behind_the_login_is_waited_out(said, monkeypatch):
    """SELECT fails ten times; the work that waits is not blamed for it."""
    monkeypatch.setattr("aiogmail.supervisor.backoff.Backoff.next", lambda self, floor=0.0: 0.01)
    monkeypatch.setattr("aiogmail.errors.Unavailable.retry_after", 0.01)

    async def main():
        async with ScriptedImap() as server:
            ok = server._handlers["SELECT"]
            selects = 0

            async def select(connection, command):
                nonlocal selects
                selects += 1
                if selects == 1 or selects > 11:
                    await ok(connection, command)
                elif said.startswith("*"):
                    await connection.send(said.encode() + b"\r\n")
                    await connection.close()
                else:
                    await connection.no(command, said.removeprefix("NO "))

            server.on("SELECT", select)
            server.reply("UID SEARCH", b"* ESEARCH UID ALL 1:5\r\n")

            async def token():
                return "token", dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)

            async with Gmail(ADDRESS, TokenProvider(token), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
                inbox._session.abort()
                assert str(await inbox.search(Q.all)) == "1:5"
                assert selects == 12

    run(main())
