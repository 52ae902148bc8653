"""How many round trips things take, counted by a forwarder that delays each way; never timed."""

import asyncio
import contextlib
import re
from dataclasses import replace

import pytest

from aiogmail import Endpoint, Gmail, TokenCache
from tests.support import ca
from tests.support.aio import run
from tests.support.endpoint import TokenEndpoint
from tests.support.flights import Flights

pytestmark = pytest.mark.real

DELAY = 0.02


def message(number):
    return f"Subject: {number}\r\nFrom: a@example.com\r\n\r\nbody {number}\r\n".encode()


@contextlib.asynccontextmanager
async def untold(port):
    """In front of a server, one that tells no capabilities in its greeting, as Gmail's: its port. It ends the TLS and begins another."""

    async def serve(reader, writer):
        far_reader, far_writer = await asyncio.open_connection("localhost", port, ssl=ca.client_context())
        greeting = await far_reader.readline()
        assert b"[CAPABILITY " in greeting
        writer.write(re.sub(rb"\[CAPABILITY [^]]*\] ", b"", greeting))
        carried = asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))
        with contextlib.suppress(OSError):
            await carried
        for one in (writer, far_writer):
            one.transport.abort()

    async def carry(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
        raise ConnectionResetError

    tasks = set()

    def accepted(reader, writer):
        tasks.add(asyncio.get_running_loop().create_task(serve(reader, writer), name="untold"))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=ca.server_context())
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def flown(dovecot, address, work, *, told=True):
    """The result of ``work(gmail, flights)`` over a forwarder that counts; ``told``: whether the greeting tells capabilities."""
    async with contextlib.AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(TokenEndpoint(dovecot.signer, tls=False))
        port = dovecot.ports["imaps"] if told else await stack.enter_async_context(untold(dovecot.ports["imaps"]))
        flights = await stack.enter_async_context(Flights(port, DELAY))
        credentials = endpoint.credentials(address)
        settings = replace(dovecot.settings, imap=Endpoint("localhost", flights.port, ssl_context=ca.client_context()))
        async with TokenCache() as tokens, Gmail(address, credentials, tokens=tokens, settings=settings) as gmail:
            await tokens.get(address, credentials)
            return await work(gmail, flights)


told_or_not = pytest.mark.parametrize("told", [True, False], ids=["capabilities in the greeting", "none, as Gmail"])


@told_or_not
@pytest.mark.parametrize("uids", ["1", "1:*", [1, 2, 3]])
def test_the_first_message_of_a_cold_connection_comes_in_five_round_trips(dovecot, address, uids, told):
    dovecot.deliver_many(address, [message(number) for number in range(1, 30)])

    async def work(gmail, flights):
        async with gmail.mailbox("INBOX") as inbox:
            first = await anext(inbox.fetch(uids, "raw"))
            assert first.raw == message(1)
            return [*flights.connections]

    # TCP, ClientHello, Finished with AUTHENTICATE, SELECT, FETCH.
    assert run(flown(dovecot, address, work, told=told)) == [5]


@told_or_not
def test_fifty_single_fetches_awaited_together_take_two_round_trips(dovecot, address, told):
    dovecot.deliver_many(address, [message(number) for number in range(1, 60)])

    async def one(inbox, uid):
        return [found.raw async for found in inbox.fetch(uid, "raw")]

    async def work(gmail, flights):
        async with gmail.mailbox("INBOX") as inbox:
            [before] = flights.connections
            bodies = await asyncio.gather(*(one(inbox, uid) for uid in range(1, 51)))
            assert bodies == [[message(number)] for number in range(1, 51)]
            return flights.connections[0] - before

    assert run(flown(dovecot, address, work, told=told)) == 2


def test_a_lost_session_gives_its_next_row_in_four_round_trips(dovecot, address):
    dovecot.deliver_many(address, [message(number) for number in range(1, 600)])

    async def work(gmail, flights):
        async with gmail.mailbox("INBOX") as inbox:
            await inbox.noop()
            await dovecot.kick(address)
            first = await anext(inbox.fetch("7", "raw"))
            assert first.raw == message(7)
            return [*flights.connections]

    # TCP, ClientHello, Finished with AUTHENTICATE, SELECT with FETCH behind it.
    assert run(flown(dovecot, address, work))[1:] == [4]
