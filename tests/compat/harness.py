"""A scripted server and a client of it in aioimaplib's words, by either way that there is to one."""

import asyncio
import contextlib
import datetime as dt

import pytest

from aiogmail import TokenProvider
from aiogmail.client.single import ImapClient
from aiogmail.imap.compat import Imap4
from aiogmail.imap.session import ImapSession
from aiogmail.ports import Credential
from aiogmail.secret import Secret
from tests.support.aio import run
from tests.support.canary import CANARIES
from tests.support.scripted import ScriptedImap

ADDRESS = "me@example.org"
TOKEN = CANARIES.secret("token")

both = pytest.mark.parametrize("kind", ["alone", "live"])
"""As an ``aioimaplib.IMAP4`` that connects by itself, and as what ``ImapClient.aioimaplib`` gives."""


@contextlib.asynccontextmanager
async def connected(server, kind="alone", *, timeout=5.0, mailbox="INBOX"):
    """A client that is logged in, with ``mailbox`` selected unless that is ``None``."""
    async with contextlib.AsyncExitStack() as stack:
        if kind == "alone":
            imap = Imap4("127.0.0.1", server.port, timeout=timeout)
            stack.callback(imap.abort)
            await imap.wait_hello_from_server()
            assert (await imap.xoauth2(ADDRESS, TOKEN)).result == "OK"
        else:
            client = ImapClient(ADDRESS, TokenProvider(_fetch), settings=server.settings)
            imap = (await stack.enter_async_context(client)).aioimaplib
            imap.timeout = timeout
        if mailbox is not None:
            assert (await imap.select(mailbox)).result == "OK"
        yield imap


async def _fetch():
    return TOKEN, dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)


class Source:
    """A credential source for sessions of ours."""

    async def get(self, min_ttl):
        return Credential("XOAUTH2", Secret(TOKEN))

    def refused(self, credential):
        pass


@contextlib.asynccontextmanager
async def session_of(server):
    """A session of our own API."""
    session = await ImapSession.open(ADDRESS, Source(), server.settings)
    try:
        yield session
    finally:
        session.abort()


def scripted(test, *, tls=False, **attributes):
    """Run ``await test(server)``."""

    async def main():
        async with ScriptedImap(tls=tls) as server:
            for name, value in attributes.items():
                setattr(server, name, value)
            await test(server)
            await asyncio.sleep(0)

    run(main())


async def outcome(work, *, within=2.0):
    """What became of an await: its result, or its error; nothing may hang."""
    async with asyncio.timeout(within):
        try:
            return await work
        except Exception as error:
            return error


async def outcomes(*works, within=2.0):
    return await asyncio.gather(*(outcome(work, within=within) for work in works))


async def until(condition, *, within=2.0):
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.002)
