"""What goes wrong at the door is told at once, in the server's or the system's own words, and leaves nothing open."""

import asyncio
import re
from dataclasses import replace

import pytest

from aiogmail import Gmail, errors
from aiogmail.settings import Endpoint
from tests.support import ca
from tests.support.aio import run
from tests.support.endpoint import TokenEndpoint
from tests.support.ports import free_ports

pytestmark = pytest.mark.real


async def attempt(address, credentials, settings, mailbox="INBOX"):
    """The error of opening a mailbox, and the seconds it took."""
    began = asyncio.get_running_loop().time()
    with pytest.raises(errors.GmailError) as caught:
        async with Gmail(address, credentials, settings=settings) as gmail, gmail.mailbox(mailbox):
            raise AssertionError("it opened")
    return caught.value, asyncio.get_running_loop().time() - began


def test_a_token_that_the_server_does_not_believe(dovecot, address):
    async def main():
        async with TokenEndpoint(dovecot.signer, tls=False) as endpoint:
            credentials = endpoint.credentials(address)
            endpoint.account(address).bad = True
            took = []
            for tries in (1, 2, 3):  # half of the time is Dovecot's: a busy machine is given three chances to show the rest
                error, seconds = await attempt(address, credentials, dovecot.settings)
                assert type(error) is errors.TokenRefused
                assert "Authentication failed" in str(error)
                assert error.status == "401"
                assert error.connection_lost
                assert len(endpoint.issued(address)) == 2 * tries, "refreshed once, and not again"
                assert await dovecot.sessions(address) == 0
                took.append(seconds)
                if seconds < 1:
                    break
            # Dovecot holds every NO back for half a second; the second refusal is known before that.
            assert min(took) < 1

    run(main())


def test_a_refresh_token_that_was_revoked(dovecot, address):
    async def main():
        async with TokenEndpoint(dovecot.signer, tls=False) as endpoint:
            credentials = endpoint.credentials(address)
            endpoint.revoke(address)
            error, took = await attempt(address, credentials, dovecot.settings)
            assert type(error) is errors.LoginRequired
            assert "Token has been expired or revoked." in str(error)
            assert took < 1

    run(main())


def test_a_mailbox_that_is_not_there(dovecot, address):
    async def main():
        async with TokenEndpoint(dovecot.signer, tls=False) as endpoint:
            error, took = await attempt(address, endpoint.credentials(address), dovecot.settings, "Nowhere")
            assert type(error) is errors.MailboxNotFound
            assert "Mailbox doesn't exist: Nowhere" in str(error)
            assert took < 1
            for _ in range(50):
                if not await dovecot.sessions(address):
                    break
            assert await dovecot.sessions(address) == 0

    run(main())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda port: Endpoint("127.0.0.1", port), "refused|Connect call failed"),
        (lambda port: Endpoint("no-such-host.invalid", port), "Name or service not known|No address|failure in name"),
    ],
)
def test_a_door_that_is_not_there(dovecot, address, make, words):
    async def main():
        async with TokenEndpoint(dovecot.signer, tls=False) as endpoint:
            settings = replace(dovecot.settings, imap=make(*free_ports(1)))
            error, took = await attempt(address, endpoint.credentials(address), settings)
            assert type(error) is errors.ConnectFailed
            assert re.search(words, str(error))
            assert took < 1

    run(main())


def test_a_certificate_for_another_name_is_tried_once(dovecot, address):
    async def main():
        async with TokenEndpoint(dovecot.signer, tls=False) as endpoint:
            accepted = 0

            async def accept(reader, writer):
                nonlocal accepted
                accepted += 1
                writer.close()

            server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=ca.server_context("other.example"))
            async with server:
                port = server.sockets[0].getsockname()[1]
                settings = replace(dovecot.settings, imap=Endpoint("localhost", port, ssl_context=ca.client_context()))
                error, took = await attempt(address, endpoint.credentials(address), settings)
            assert type(error) is errors.ConnectFailed
            assert error.permanent
            assert "not valid for 'localhost'" in str(error)
            assert accepted == 0, "no server saw a finished handshake"
            assert took < 1

    run(main())


def test_a_certificate_of_an_authority_nobody_knows(dovecot, address):
    async def main():
        async with TokenEndpoint(dovecot.signer, tls=False) as endpoint:
            settings = replace(dovecot.settings, imap=Endpoint("localhost", dovecot.ports["imaps"]))
            error, took = await attempt(address, endpoint.credentials(address), settings)
            assert type(error) is errors.ConnectFailed
            assert error.permanent
            assert took < 1

    run(main())


def test_a_server_that_is_none(dovecot, address):
    async def main():
        async def hello(reader, writer):
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(hello, "127.0.0.1", 0)
        async with server, TokenEndpoint(dovecot.signer, tls=False) as endpoint:
            settings = replace(dovecot.settings, imap=Endpoint("127.0.0.1", server.sockets[0].getsockname()[1], "plaintext"))
            error, took = await attempt(address, endpoint.credentials(address), settings)
            assert isinstance(error, errors.ProtocolError)
            assert took < 1

    run(main())
