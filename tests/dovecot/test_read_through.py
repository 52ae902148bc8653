"""The first real job, on a real server: a mailbox read to its end through ten lost sessions and a token that lives 5 s."""

import asyncio
import json
import os
import random
import sys

import pytest

from tests.support import ca
from tests.support.aio import run
from tests.support.endpoint import TokenEndpoint
from tests.support.proxy import Proxy

MESSAGES = 5000
CUTS = 10
TOKEN_LIFE = 5

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(150)]


def corpus(count, seed):
    """Messages of 1 to 9 KB, each unlike every other."""
    chance = random.Random(seed)
    for number in range(1, count + 1):
        body = "".join(f"{chance.getrandbits(256):064x}\r\n" for _ in range(chance.randrange(15, 130)))
        yield f"From: a@example.com\r\nTo: b@example.com\r\nSubject: message {number}\r\n\r\n{body}".encode()


@pytest.mark.parametrize("how", [pytest.param("kick", marks=pytest.mark.nightly), "bye"])
def test_every_message_comes_once_through_ten_lost_sessions_and_a_short_token(dovecot, address, how, tmp_path):
    delivered = dovecot.deliver_many(address, list(corpus(MESSAGES, seed=how)))
    places = sorted(random.Random(7).sample(range(1, MESSAGES), CUTS))

    async def main():
        async with (
            TokenEndpoint(dovecot.signer, tls=False) as endpoint,
            Proxy(dovecot.ports["imaps"], terminate=how == "bye") as proxy,
        ):
            user = endpoint.authorized_user_info(address)
            endpoint.account(address).lifetime = TOKEN_LIFE
            job = {"port": proxy.port, "ca": ca.authority().cert_pem.bytes().decode(), "address": address, "user": user, "places": places}
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-W", "error", "-X", "dev", "-m", "tests.dovecot.reader"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=2**24,
                env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},  # its memory is measured
            )
            child.stdin.write(json.dumps(job).encode() + b"\n")
            ended = 0
            async for line in child.stdout:
                if not line.startswith(b"PLACE"):
                    result = json.loads(line)
                    continue
                while proxy.accepted < ended + 1:  # two places close together: the next connection has to be there first
                    await asyncio.sleep(0.005)
                if how == "bye":
                    proxy.bye()
                else:
                    while not await dovecot.kick(address):  # two places close together: the next session is not logged in yet
                        await asyncio.sleep(0.01)
                ended += 1
            assert await child.wait() == 0
            child.stdin.close()
            return result, ended, endpoint.issued(address), proxy.accepted

    result, ended, issued, connections = run(main(), timeout=140)
    uids = [uid for uid, _ in result["seen"]]
    missing = sorted(set(range(1, MESSAGES + 1)) - set(uids))
    assert missing == [], (len(missing), missing[:5], missing[-5:], places, len(uids))
    assert uids == list(range(1, MESSAGES + 1))
    assert [digest for _, digest in result["seen"]] == [message.sha256 for message in delivered]
    assert ended == CUTS
    assert connections == 1 + CUTS, "one connection, and one more for each that was ended"
    assert result["took"] > TOKEN_LIFE
    # One token at first, then one for every expiry, ahead of it: when about half of its life is over (the cache spreads that).
    assert result["took"] / TOKEN_LIFE <= len(issued) <= 2 + result["took"] / (TOKEN_LIFE / 3)
    for before, after in zip(issued, issued[1:], strict=False):
        assert after.at - before.at >= TOKEN_LIFE / 3, "refreshed twice for one expiry"
    assert result["over_imports_mib"] < 64
