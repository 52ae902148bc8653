"""poplib and curl read from the emulator what we read; and how many round trips ours takes, in virtual time."""

import asyncio
import base64
import poplib
import shutil
import subprocess

import pytest

from aiogmail import Gmail
from aiogmail.testing import GmailEmulator, Shape, transport
from tests.pop3.support import ME, letter, on_emulator
from tests.support.aio import run

ODD = [
    b"Subject: empty body\r\n\r\n",
    b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n\r\n.\r\n",
    b".starts: with a dot\r\n\r\nx\r\n",
    b"Subject: 8 bit\r\n\r\n\xff\xfe\x80\r\n",
    b"Subject: looks like a reply\r\n\r\n-ERR no\r\n+OK yes\r\n",
    b"Subject: long line\r\n\r\n" + b"x" * 100_000 + b"\r\n",
]


def stock(server, account):
    """What poplib reads: sizes and messages by UIDL. Nothing is popped by it."""
    client = poplib.POP3_SSL(server.host, server.port("pop3"), context=server.ssl_context, timeout=10)
    blob = base64.b64encode(f"user={ME}\x01auth=Bearer {account.access_token()}\x01\x01".encode()).decode()
    client._shortcmd(f"AUTH XOAUTH2 {blob}")
    poplib._MAXLINE = 200_000
    uidls = {line.split()[1].decode(): int(line.split()[0]) for line in client.uidl()[1]}
    sizes = {int(line.split()[0]): int(line.split()[1]) for line in client.list()[1]}
    bodies = {uidl: b"\r\n".join(client.retr(number)[1]) + b"\r\n" for uidl, number in uidls.items()}
    heads = {uidl: b"\r\n".join(client.top(number, 1)[1]) + b"\r\n" for uidl, number in uidls.items()}
    stat = client.stat()
    client.close()
    return {uidl: sizes[number] for uidl, number in uidls.items()}, bodies, heads, stat


def test_poplib_and_curl_and_the_model_agree_with_us(monkeypatch, tmp_path):
    monkeypatch.setattr(poplib, "_MAXLINE", 2048)

    async def main():
        async with GmailEmulator(tls=True) as server:
            me = server.add_account(ME)
            for raw in [*ODD, *(letter(number) for number in range(20))]:
                me.deliver(raw)
            sizes, bodies, heads, stat = await asyncio.to_thread(stock, server, me)
            (tmp_path / "ca.pem").write_text(server.ca_pem)
            curled = None
            if shutil.which("curl"):  # where it is not, poplib is the witness
                url = f"pop3s://{server.host}:{server.port('pop3')}/7"
                command = ["curl", "-sS", "--cacert", str(tmp_path / "ca.pem"), "--oauth2-bearer", me.access_token(), "-u", f"{ME}:", url]
                curled = (await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=20, check=True)).stdout
            async with Gmail(ME, me.credentials(), settings=server.settings) as gmail, gmail.pop3(recent=True) as pop:
                assert await pop.list() == sizes
                assert {mail.uidl: mail.raw async for mail in pop.retrieve_new()} == bodies
                assert {uidl: await pop.top(uidl, 1) for uidl in sizes} == heads
                assert ((await pop.stat()).count, (await pop.stat()).size) == stat
                assert bodies == {f"GmailId{stored.gmail_id:016x}": stored.raw for stored in me.messages}
                assert curled in (None, await pop.retrieve((await pop.uidl())[6]))

    run(main())


def test_two_hundred_messages_at_forty_milliseconds_take_ten_round_trips_at_most(monkeypatch):
    """poplib takes 200 for the messages alone. What the client waits for is counted, not how fast a TCP window opens."""
    monkeypatch.setattr(transport, "_KERNEL", 4 * 1024 * 1024)

    @on_emulator(200, size=3900)
    async def test(server, me, gmail):
        loop = asyncio.get_running_loop()
        await gmail._tokens.get(gmail.address, gmail._credentials)
        loop.network.shape = Shape(latency=0.02)
        began = loop.time()
        async with gmail.pop3() as pop:
            new = pop.retrieve_new()
            for _ in range(200):
                await anext(new)
            await pop.commit()
            trips = (loop.time() - began) / 0.04
            assert trips + 3 <= 10  # the network in memory has no handshakes: TCP takes one more, TLS one or two
            assert all(stored.popped for stored in me.messages)

    test()


@pytest.mark.parametrize("uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_it_works_on_both_loops_over_tls(uvloop):
    async def main():
        async with GmailEmulator(tls=True) as server:
            me = server.add_account(ME)
            for number in range(300):
                me.deliver(letter(number, 2000))
            async with Gmail(ME, me.credentials(), settings=server.settings) as gmail, gmail.pop3() as pop:
                assert [mail.raw async for mail in pop.retrieve_new()] == [stored.raw for stored in me.messages]
            assert all(stored.popped for stored in me.messages)

    run(main(), uvloop=uvloop)
