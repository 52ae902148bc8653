"""How many round trips things take, counted by a forwarder that delays each way; never timed."""

import asyncio
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


async def flown(dovecot, address, work):
    """The result of ``work(gmail, flights)`` over a forwarder that counts."""
    async with TokenEndpoint(dovecot.signer, tls=False) as endpoint, Flights(dovecot.ports["imaps"], DELAY) as flights:
        credentials = endpoint.credentials(address)
        settings = replace(dovecot.settings, imap=Endpoint("localhost", flights.port, ssl_context=ca.client_context()))
        async with TokenCache() as tokens, Gmail(address, credentials, tokens=tokens, settings=settings) as gmail:
            await tokens.get(address, credentials)
            return await work(gmail, flights)


@pytest.mark.parametrize("uids", ["1", "1:*", [1, 2, 3]])
def test_the_first_message_of_a_cold_connection_comes_in_five_round_trips(dovecot, address, uids):
    dovecot.deliver_many(address, [message(number) for number in range(1, 30)])

    async def work(gmail, flights):
        async with gmail.mailbox("INBOX") as inbox:
            first = await anext(inbox.fetch(uids, "raw"))
            assert first.raw == message(1)
            return [*flights.connections]

    # TCP, ClientHello, Finished with AUTHENTICATE, SELECT, FETCH.
    assert run(flown(dovecot, address, work)) == [5]


def test_fifty_single_fetches_awaited_together_take_two_round_trips(dovecot, address):
    dovecot.deliver_many(address, [message(number) for number in range(1, 60)])

    async def one(inbox, uid):
        return [found.raw async for found in inbox.fetch(uid, "raw")]

    async def work(gmail, flights):
        async with gmail.mailbox("INBOX") as inbox:
            [before] = flights.connections
            bodies = await asyncio.gather(*(one(inbox, uid) for uid in range(1, 51)))
            assert bodies == [[message(number)] for number in range(1, 51)]
            return flights.connections[0] - before

    assert run(flown(dovecot, address, work)) == 2


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
