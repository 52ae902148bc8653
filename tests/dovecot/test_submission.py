"""Sending through a real submission server: Dovecot's, in front of a relay (aiosmtpd), over TLS with a signed token."""

import asyncio
import contextlib
import datetime as dt
from dataclasses import replace

import pytest

from aiogmail import AccessDenied, Gmail, Outcome, OutcomeUnknown, RecipientsRefused, SmtpClient, TokenProvider, TokenRefused, Unavailable
from aiogmail.settings import Endpoint
from tests.support import ca
from tests.support.aio import run
from tests.support.flights import Flights
from tests.support.proxy import Proxy

pytestmark = pytest.mark.real

RAW = b"To: you@example.org\r\nSubject: over\r\nMessage-ID: <one@example.org>\r\n\r\n.dot\r\n..two\r\nbody\nbare\r\n"


def provider(dovecot, address, lifetime=3600):
    async def fetch():
        return dovecot.token(address, lifetime), dt.datetime.now(dt.UTC) + dt.timedelta(seconds=max(lifetime, 60))

    return TokenProvider(fetch)


def starttls(dovecot):
    return replace(
        dovecot.settings, smtp=Endpoint("localhost", dovecot.ports["submission"], security="starttls", ssl_context=ca.client_context())
    )


@pytest.mark.parametrize("port", ["submissions", "submission"])
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_message_goes_through_to_the_relay(dovecot, address, port, mechanism):
    settings = replace(dovecot.settings if port == "submissions" else starttls(dovecot), mechanism=mechanism)

    async def main():
        async with dovecot.relay() as relay, SmtpClient(address, provider(dovecot, address), settings=settings) as client:
            result = await client.send(RAW, recipients=["a@example.org", "b@example.org"])
            assert result.status == "sent"
            assert result.accepted == ("a@example.org", "b@example.org")
            [message] = relay.submitted
        assert message.sender == address
        assert message.recipients == ("a@example.org", "b@example.org")
        assert message.content.endswith(b"\r\n\r\n.dot\r\n..two\r\nbody\r\nbare\r\n")
        assert b"Message-ID: <one@example.org>\r\n" in message.content

    run(main())


def test_refusals_of_the_relay_come_through_and_the_connection_goes_on(dovecot, address):
    async def main():
        async with dovecot.relay() as relay, SmtpClient(address, provider(dovecot, address), settings=dovecot.settings) as client:
            relay.refuse["bad@example.org"] = "550 5.1.1 No such user"
            result = await client.send(RAW, recipients=["bad@example.org", "good@example.org"])
            assert result.accepted == ("good@example.org",)
            assert result.refused["bad@example.org"][0].startswith("550 5.")  # Dovecot makes the relay's code its own
            with pytest.raises(RecipientsRefused) as caught:
                await client.send(RAW, recipients=["bad@example.org"])
            assert caught.value.outcome is Outcome.NOT_APPLIED
            await client.send(RAW, recipients=["good@example.org"])
            assert len(relay.submitted) == 2

    run(main())


def test_a_temporary_refusal_of_the_message_is_tried_again_and_then_told(dovecot, address, monkeypatch):
    monkeypatch.setattr(Unavailable, "retry_after", 0.05)

    async def main():
        async with dovecot.relay() as relay, SmtpClient(address, provider(dovecot, address), settings=dovecot.settings) as client:
            relay.after_data = "451 4.3.0 Not now"
            with pytest.raises(Unavailable) as caught:
                await client.send(RAW)
            assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "reply")
            assert not relay.submitted

    run(main())


def test_forty_messages_and_a_large_one(dovecot, address):
    async def main():
        async with dovecot.relay() as relay, Gmail(address, provider(dovecot, address), settings=dovecot.settings) as gmail:
            reports = [report async for report in gmail.send_many([RAW] * 40)]
            assert all(report.error is None for report in reports)
            big = RAW + b".a line that begins with a dot\r\n" * 4_000
            await gmail.send(big)
            assert len(relay.submitted) == 41
            assert relay.submitted[-1].content.endswith(big[len(RAW) :])

    run(main(), timeout=60.0)


def test_a_session_that_is_dropped_between_two_messages_costs_neither(dovecot, address):
    async def main():
        async with dovecot.relay() as relay, SmtpClient(address, provider(dovecot, address), settings=dovecot.settings) as client:
            await client.send(RAW)
            assert await dovecot.kick(address)
            await client.send(RAW)
            assert len(relay.submitted) == 2

    run(main())


def test_a_token_that_the_server_refuses(dovecot, address):
    async def main():
        for credentials, kind in (
            (provider(dovecot, address, -10), TokenRefused),
            (provider(dovecot, "other@example.org"), (TokenRefused, AccessDenied)),
        ):
            with pytest.raises(kind):
                async with SmtpClient(address, credentials, settings=dovecot.settings):
                    pass

    run(main())


@contextlib.asynccontextmanager
async def cutting(dovecot, address, filed):
    """An account whose submission connection is cut when the relay has taken a message, before it is told; ``filed`` puts a copy in Sent."""
    async with dovecot.relay() as relay, Proxy(dovecot.ports["submissions"]) as proxy:
        taken = relay.handle_DATA

        async def cut(*arguments):
            reply = await taken(*arguments)
            if filed:
                dovecot.deliver_many(address, [relay.submitted[-1].content], "Sent")
            proxy.kill()
            return reply

        relay.handle_DATA = cut
        settings = replace(dovecot.settings, smtp=Endpoint("localhost", proxy.port, ssl_context=ca.client_context()))
        async with Gmail(address, provider(dovecot, address), settings=settings) as gmail:
            async with gmail.mailbox("Sent"):
                pass  # the first login makes it
            yield gmail, relay
        await asyncio.sleep(0.05)


def test_a_reply_that_is_lost_is_unknown_and_the_relay_has_one_copy(dovecot, address):
    """Dovecot files no copy in Sent: nobody can know."""

    async def main():
        async with cutting(dovecot, address, False) as (gmail, relay):
            with pytest.raises(OutcomeUnknown) as caught:
                await gmail.send(RAW, settle_timeout=0.5)
            assert "not found" in caught.value.evidence["sent"]
            assert await gmail.resolve("<one@example.org>") is Outcome.UNKNOWN
            assert len(relay.submitted) == 1

    run(main())


def test_a_copy_that_somebody_filed_in_sent_confirms_it(dovecot, address):
    async def main():
        async with cutting(dovecot, address, True) as (gmail, relay):
            result = await gmail.send(RAW)
            assert result.confirmed_by == "lookup"
            assert await gmail.resolve("<one@example.org>") is Outcome.APPLIED
            assert len(relay.submitted) == 1

    run(main())


def test_a_hundred_recipients_take_two_round_trips_on_a_warm_connection(dovecot, address):
    """Counted by a forwarder that holds every byte back: the envelope, and the message with its end."""

    async def main():
        async with dovecot.relay(), Flights(dovecot.ports["submissions"], 0.04) as flights:
            settings = replace(dovecot.settings, smtp=Endpoint("localhost", flights.port, ssl_context=ca.client_context()))
            async with SmtpClient(address, provider(dovecot, address), settings=settings) as client:
                await client.send(RAW)
                [before] = flights.connections
                await client.send(RAW, recipients=[f"u{number}@example.org" for number in range(100)])
                assert flights.connections[0] - before == 2

    run(main())
