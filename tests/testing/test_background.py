import asyncio
import imaplib
import threading

import pytest

from aiogmail.testing import GmailEmulator
from aiogmail.testing.background import BackgroundEmulator
from tests.testing.support import ME, message


def test_blocking_code_finds_a_running_server_and_acts_on_it():
    before = threading.active_count()
    with BackgroundEmulator(seed=3) as server:
        account = server.add_account(ME)
        assert account.deliver(message()).uids["INBOX"] == 1
        assert server.account(ME).messages[0].size == account.messages[0].size
        assert "in the background" in repr(account)
        token = account.access_token()
        with imaplib.IMAP4_SSL("127.0.0.1", server.port("imap"), ssl_context=server.ssl_context) as client:
            client.authenticate("XOAUTH2", lambda _: f"user={ME}\x01auth=Bearer {token}\x01\x01".encode())
            assert client.select()[1] == [b"1"]
            assert account.expire_sessions() == 1
            with pytest.raises(imaplib.IMAP4.abort, match="Session expired"):
                client.noop()
        server.call(lambda: server.pause("imap"))
        server.resume("imap")
        assert server.call(lambda: server.call(lambda: 5)) == 5
    assert threading.active_count() == before
    assert account.session_count() == 0


def test_a_start_that_fails_is_told():
    server = GmailEmulator()
    asyncio.run(_twice(server))
    with pytest.raises(Exception, match="already started"):
        BackgroundEmulator(server).__enter__()
    server._servers.clear()


async def _twice(server):
    await server.start()
    servers = dict(server._servers)
    await server.aclose()
    server._servers = servers


def test_attributes_are_set_over_there():
    with BackgroundEmulator() as server:
        account = server.add_account(ME)
        account.app_password = "secret"
        assert server.account(ME).app_password == "secret"


def test_a_crash_over_there_is_raised_here():
    with pytest.raises(ExceptionGroup, match="commands crashed"):
        with BackgroundEmulator() as server:
            server.hub.crashed(ValueError("broken"))
