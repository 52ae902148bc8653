"""Parts, decoded on the way: what is cut, where it is cut, and what the server was asked for."""

import asyncio
import random
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage

import pytest

from aiogmail import ConfigurationError, Endpoint, Gmail, Limits, TokenProvider, errors
from aiogmail.testing import Fault, FaultProxy, GmailEmulator, run_virtual
from tests.support.aio import run
from tests.support.endpoint import TokenEndpoint
from tests.support.proxy import Proxy
from tests.support.scripted import ScriptedImap

from .test_fetch import ADDRESS

WINDOW = 40_000


def letter(content, *, encoding="base64", kind=("application", "octet-stream")):
    made = EmailMessage()
    made["Subject"], made["Message-ID"] = "with attachment", "<1@x.example>"
    made.set_content("see attachment\n")
    made.add_attachment(content, maintype=kind[0], subtype=kind[1], filename="a.bin", cte=encoding)
    return made


def octets(size, seed=0):
    return random.Random(seed).randbytes(size)


async def with_part(test, message, *, window=WINDOW, seed=0):
    async with GmailEmulator(seed=seed) as server:
        account = server.add_account(ADDRESS)
        account.deliver(message)
        settings = replace(server.settings, limits=Limits(buffer=window // 2))
        async with Gmail(ADDRESS, account.credentials(), settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
            return await test(server, account, inbox)


def asked(server):
    """``(offset, length)`` of the windows that were asked for."""
    found = [re.search(r"\[[0-9.]+\]<([0-9]+)\.([0-9]+)>", command.line) for command in server.ledger.commands]
    return [(int(match[1]), int(match[2])) for match in found if match]


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
@pytest.mark.parametrize("size", [0, 1, 1000, 29_230, 100_003])
def test_a_part_comes_decoded_whatever_the_windows_cut(encoding, size):
    content = octets(size)

    async def test(server, account, inbox):
        async with inbox.download(1, "2") as download:
            chunks = [chunk async for chunk in download]
        assert b"".join(chunks) == content
        assert all(chunks)
        [message] = [message async for message in inbox.fetch(1, "raw")]
        assert download.size == download.received == message.attachments[0].size
        assert download.defects == ()
        encoded = b"".join([chunk async for chunk in inbox.download(1, message.attachments[0], decode=False)])
        assert encoded in message.raw
        assert len(encoded) == download.size

    run(with_part(test, letter(content, encoding=encoding)))


def test_one_window_is_one_command():
    async def test(server, account, inbox):
        assert b"".join([chunk async for chunk in inbox.download(1, "2")]) == b"x" * 1000
        assert asked(server) == [(0, WINDOW)]
        [line] = [command.line for command in server.ledger.commands if "<0." in command.line]
        assert line == f"UID FETCH 1 (UID BODYSTRUCTURE BODY.PEEK[2]<0.{WINDOW}>)"
        assert account.messages[0].flags == frozenset()

    run(with_part(test, letter(b"x" * 1000)))


def test_a_part_that_ends_with_its_window_ends():
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/x\r\n\r\n" + b"z" * WINDOW + b"\r\n--b--\r\n"

    async def test(server, account, inbox):
        assert [len(chunk) async for chunk in inbox.download(1, "1")] == [WINDOW]
        assert asked(server) == [(0, WINDOW), (WINDOW, WINDOW)]

    run(with_part(test, raw))


def test_progress_is_told_in_octets_as_transferred():
    async def test(server, account, inbox):
        told = []
        download = inbox.download(1, "2", progress=lambda received, size: told.append((received, size)))
        assert (download.received, download.size) == (0, None)
        async for _ in download:
            assert told[-1] == (download.received, download.size)
        assert [received for received, _ in told] == sorted({received for received, _ in told})
        assert told[-1] == (download.size, download.size)
        assert len(told) == -(-download.size // WINDOW)

    run(with_part(test, letter(octets(100_000))))


@pytest.mark.parametrize("part", ["", "0", "1.", "1.0", "x", "1 LOGOUT", 1, "1.TEXT", True])
def test_what_is_no_part_is_refused_at_once(part):
    async def test(server, account, inbox):
        with pytest.raises(ConfigurationError, match="part: expected"):
            inbox.download(1, part)

    run(with_part(test, letter(b"x")))


def test_a_part_that_is_not_there_is_told():
    async def test(server, account, inbox):
        with pytest.raises(errors.CommandError, match="has no part 7"):
            await anext(inbox.download(1, "7"))
        with pytest.raises(errors.CommandError, match="no message with UID 9"):
            await anext(inbox.download(9, "1"))

    run(with_part(test, letter(b"x")))


def test_what_cannot_be_decoded_is_told():
    raw = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVs*bG8\r\n"
        b"--b\r\nContent-Transfer-Encoding: x-none\r\n\r\nas it stands\r\n--b--\r\n"
    )

    async def test(server, account, inbox):
        download = inbox.download(1, "1")
        assert b"".join([chunk async for chunk in download]) == b"Hello"
        assert download.defects == (
            "base64: characters that are not of its alphabet were left out",
            "base64: it was cut: its padding is missing",
        )
        download = inbox.download(1, "2")
        assert b"".join([chunk async for chunk in download]) == b"as it stands"
        assert download.defects == ("the transfer encoding 'x-none' is unknown",)

    run(with_part(test, raw))


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_cut_the_part_comes_intact(seed, monkeypatch):
    monkeypatch.setattr("aiogmail.supervisor.backoff.Backoff.next", lambda self, floor=0.0: floor)
    chance = random.Random(seed)
    content = octets(chance.randrange(200_000, 300_000), seed)

    async def test(server, account, inbox):
        for _ in range(4):
            action = chance.choice(["bye", "close", "reset"])
            server.faults.add(Fault(action, "UID FETCH", point="reply", byte=chance.randrange(0, WINDOW), skip=chance.randrange(0, 9)))
        received = bytearray()
        async for chunk in inbox.download(1, "2"):
            received += chunk
        assert received == content

    run(with_part(test, letter(content, encoding=chance.choice(["base64", "quoted-printable"])), seed=seed))


async def through_a_cut_every(count, content, *, limits=None):
    """Download the part through a proxy that cuts every connection after so many octets. What came, and what that cost."""
    async with GmailEmulator() as server:
        account = server.add_account(ADDRESS)
        account.deliver(letter(content))
        async with FaultProxy(("127.0.0.1", server.port("imap"))) as proxy:
            endpoint = Endpoint("127.0.0.1", proxy.port, security="plaintext")
            settings = replace(server.settings, imap=endpoint, limits=limits or Limits())
            async with Gmail(ADDRESS, account.credentials(), settings=settings) as gmail:
                async with gmail.mailbox("INBOX") as inbox:
                    [link] = proxy.links
                    overhead = link.passed[False]
                proxy.cut("close", at=count, times=None)
                async with gmail.mailbox("INBOX") as inbox:
                    download = inbox.download(1, "2")
                    received = b"".join([chunk async for chunk in download])
                    [link] = proxy.links
                    passed = proxy.cuts_made * count + link.passed[False] - (proxy.cuts_made + 1) * overhead
        return received, download, passed, proxy.cuts_made, server


def test_through_a_cut_every_16_kib_hardly_anything_is_fetched_twice():
    content = octets(400_000)
    received, download, passed, cuts, server = run_virtual(through_a_cut_every(16 * 1024, content, limits=Limits(buffer=64 * 1024)))
    assert received == content
    assert cuts > 30
    assert passed <= download.size + 128 * 1024
    assert min(length for _, length in asked(server)) == 64 * 1024, "windows shrink, to a least size"


@pytest.mark.slow
def test_25_mb_come_intact_through_a_cut_every_64_kib_with_less_than_one_window_fetched_twice():
    content = octets(25_000_000)
    received, download, passed, cuts, _ = run_virtual(through_a_cut_every(64 * 1024, content))
    assert received == content
    assert cuts > download.size // (64 * 1024)
    assert passed <= download.size + 2 * Limits().buffer


def test_a_cancelled_step_loses_nothing_of_a_decoded_part():
    content = octets(150_000)

    async def test(server, account, inbox):
        received = bytearray()
        download = inbox.download(1, "2")
        steps = 0
        while (chunk := await step(download, steps)) is not None:
            received += chunk
            steps += 1
        assert received == content

    async def step(download, steps):
        task = asyncio.ensure_future(anext(download, None))
        for _ in range(steps % 5):
            await asyncio.sleep(0)
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            return await anext(download, None)

    run(with_part(test, letter(content)))


def test_windows_are_decoded_piece_by_piece_and_the_loop_turns_between(monkeypatch):
    monkeypatch.setattr("aiogmail.imap.download._PIECE", 999)
    content = octets(50_000)

    async def test(server, account, inbox):
        turns = 0

        async def tick():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        ticker = asyncio.ensure_future(tick())
        chunks = [chunk async for chunk in inbox.download(1, "2")]
        ticker.cancel()
        assert b"".join(chunks) == content
        assert len(chunks) > 60
        assert turns > 60
        download = inbox.download(1, "2")
        await anext(download)
        await download.aclose()
        assert await anext(download, None) is None

    run(with_part(test, letter(content)))


async def scripted(told, parts, part="1"):
    """What a download of a part gives whose server tells ``told`` for its structure and hands out these octets."""
    left = list(parts)

    async def fetch(connection, command):
        offset = int(re.search(rb"<([0-9]+)[.]10>", command.arguments)[1])
        octets = left.pop(0) if left else b""
        structure = told if b"BODYSTRUCTURE" in command.arguments else b""
        await connection.send(b"* 1 FETCH (UID 1 %bBODY[%b]<%d> {%d}\r\n%b)\r\n" % (structure, part.encode(), offset, len(octets), octets))
        await connection.ok(command)

    async with ScriptedImap() as server:
        server.on("UID FETCH", fetch)
        settings = replace(server.settings, limits=Limits(buffer=5))
        async with Gmail(ADDRESS, TokenProvider(token), settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
            download = inbox.download(1, part)
            received = b"".join([chunk async for chunk in download])
            return received, download.size, download.defects


@pytest.mark.parametrize(
    ("told", "parts", "received", "size", "defects"),
    [
        (
            b"BODYSTRUCTURE NIL ",
            [b"x" * 10, b"yy"],
            b"x" * 10 + b"yy",
            None,
            ("the server told nothing of part 1: it is handed on as it came",),
        ),
        (b'BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 12 1) ', [b"x" * 10, b"yy"], b"x" * 10 + b"yy", 12, ()),
        (b'BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 12 1) ', [b"x" * 10, b"y", b"y"], b"x" * 10 + b"yy", 12, ()),
        (
            b'BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1) ',
            [b"x" * 10, b"y" * 10, b"z"],
            b"x" * 10 + b"y" * 10 + b"z",
            5,
            ("the server announced 5 octets of part 1 and sent 21",),
        ),
        (
            b'BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 30 1) ',
            [b"x" * 10, b"y"],
            b"x" * 10 + b"y",
            30,
            ("the server announced 30 octets of part 1 and sent 11",),
        ),
        (b'BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "BASE64" 12 1) ', [b"SGVsbG8gd2", b"9y"], b"Hello wor", 12, ()),
        (
            b'BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "BASE64" 11 1) ',
            [b"SGVsbG8gd2", b"9"],
            b"Hello wo",
            11,
            ("base64: it was cut: its padding is missing",),
        ),
    ],
)
def test_a_part_ends_where_the_server_has_no_more_whatever_its_structure_says(told, parts, received, size, defects):
    assert run(scripted(told, parts)) == (received, size, defects)


async def token():
    return "good", datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.real
@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_dovecot_hands_out_a_part_through_cuts(dovecot, address, encoding, tmp_path):
    """Over TLS, where a cut loses what was on its way; every connection is cut after 150 kB but the last."""
    content = octets(600_000)
    dovecot.deliver_many(address, [letter(content, encoding=encoding).as_bytes(policy=policy.SMTP)])

    async def main():
        async with TokenEndpoint(dovecot.signer, tls=False) as endpoint, Proxy(dovecot.ports["imaps"]) as proxy:
            for number in (150_000, 160_000, 170_000):
                proxy.cut_after(number)
            settings = dovecot.settings_at(imap=proxy.port, limits=Limits(buffer=100_000))
            async with Gmail(address, endpoint.credentials(address), settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
                assert await inbox.save(1, tmp_path / "a.bin", "2") == 600_000
                assert (tmp_path / "a.bin").read_bytes() == content
                [message] = [message async for message in inbox.fetch(1, "text", "structure")]
                assert message.text == "see attachment\r\n"
                assert message.attachments[0].filename == "a.bin"
                encoded = [chunk async for chunk in inbox.download(1, message.attachments[0], decode=False)]
                assert sum(map(len, encoded)) == message.attachments[0].size
                with pytest.raises(errors.CommandError, match="no part 7"):
                    await anext(inbox.download(1, "7"))
            assert proxy.accepted >= 4

    run(main())
