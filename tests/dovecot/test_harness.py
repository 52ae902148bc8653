"""The Dovecot of the tests does what the tests rely on, as stock clients of the standard library see it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import imaplib
import json
import poplib
import smtplib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from tests.dovecot.server import Dovecot
from tests.support import ca
from tests.support.aio import run
from tests.support.endpoint import TokenEndpoint
from tests.support.jwt import Signer
from tests.support.proxy import Proxy


def xoauth2(address: str, token: str) -> str:
    return f"user={address}\x01auth=Bearer {token}\x01\x01"


@contextmanager
def imap(dovecot: Dovecot, address: str, token: str, port: int | None = None) -> Iterator[imaplib.IMAP4_SSL]:
    client = imaplib.IMAP4_SSL("127.0.0.1", port or dovecot.ports["imaps"], ssl_context=ca.client_context(), timeout=10)
    try:
        client.authenticate("XOAUTH2", lambda _: xoauth2(address, token).encode())
        yield client
    finally:
        client.shutdown()


def test_imap_over_tls_takes_a_signed_token_and_gives_back_what_was_delivered(dovecot, address):
    messages = [b"Subject: %d\r\n\r\n%s\r\n" % (number, b"x" * number) for number in range(1, 51)]
    delivered = dovecot.deliver_many(address, messages)
    with imap(dovecot, address, dovecot.token(address)) as client:
        assert client.select()[1] == [b"50"]
        _, rows = client.uid("FETCH", "1:*", "(UID BODY.PEEK[])")
        bodies = [row[1] for row in rows if isinstance(row, tuple)]
        assert [hashlib.sha256(body).hexdigest() for body in bodies] == [one.sha256 for one in delivered]
        assert [int(row[0].split()[2]) for row in rows if isinstance(row, tuple)] == list(range(1, 51)), "UIDs in order of delivery"


def test_a_second_delivery_is_numbered_after_the_first_and_other_mailboxes_exist(dovecot, address):
    dovecot.deliver_many(address, [b"Subject: one\r\n\r\n"])
    dovecot.deliver_many(address, [b"Subject: two\r\n\r\n"])
    dovecot.deliver_many(address, [b"Subject: three\r\n\r\n"], mailbox="Work/Plans")
    with imap(dovecot, address, dovecot.token(address)) as client:
        client.select()
        assert b"two" in client.uid("FETCH", "2", "(BODY.PEEK[])")[1][0][1]
        assert client.select("Work/Plans") == ("OK", [b"1"])
        assert client.select("Nowhere")[0] == "NO"


def test_a_message_that_imap_would_change_is_not_delivered(dovecot, address):
    for message in (b"Subject: bare\n\n", b"bare\rreturn\r\n"):
        with pytest.raises(ValueError, match="CRLF"):
            dovecot.deliver_many(address, [message])


def test_oauthbearer_works_as_well(dovecot, address):
    client = imaplib.IMAP4_SSL("127.0.0.1", dovecot.ports["imaps"], ssl_context=ca.client_context())
    blob = f"n,a={address},\x01host=127.0.0.1\x01port=993\x01auth=Bearer {dovecot.token(address)}\x01\x01"
    try:
        assert client.authenticate("OAUTHBEARER", lambda _: blob.encode())[0] == "OK"
    finally:
        client.shutdown()


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda dovecot, address: dovecot.token(address, -5), id="expired"),
        pytest.param(lambda dovecot, address: dovecot.token("other@example.org"), id="of another account"),
        pytest.param(lambda dovecot, address: Signer().token(address), id="signed by another key"),
        pytest.param(lambda dovecot, address: "ya29.bogus", id="no token"),
    ],
)
def test_a_bad_token_gets_the_challenge_and_then_no(dovecot, address, token: Callable[[Dovecot, str], str]):
    asked: list[bytes] = []

    def answer(challenge: bytes) -> bytes:
        asked.append(challenge)
        return xoauth2(address, token(dovecot, address)).encode() if len(asked) == 1 else b""

    client = imaplib.IMAP4_SSL("127.0.0.1", dovecot.ports["imaps"], ssl_context=ca.client_context())
    began = time.monotonic()
    try:
        with pytest.raises(imaplib.IMAP4.error, match=r"\[AUTHENTICATIONFAILED\] Authentication failed\."):
            client.authenticate("XOAUTH2", answer)
    finally:
        client.shutdown()
    assert json.loads(asked[1])["status"] in {"400", "401", "invalid_token"}
    assert time.monotonic() - began < 2, "no penalty for failures before"


def test_a_short_lived_token_is_refused_when_it_is_over(dovecot, address):
    token = dovecot.token(address, 2)
    with imap(dovecot, address, token):
        pass
    time.sleep(2)
    with pytest.raises(imaplib.IMAP4.error), imap(dovecot, address, token):
        pass


def test_plain_text_ports_are_there_for_those_who_ask(dovecot, address):
    with closing(socket.create_connection(("127.0.0.1", dovecot.ports["imap"]))) as sock:
        assert sock.recv(100).startswith(b"* OK")


def test_pop3_takes_the_token_and_gives_the_messages(dovecot, address):
    dovecot.deliver_many(address, [b"Subject: pop\r\n\r\nbody\r\n"])
    client = poplib.POP3_SSL("127.0.0.1", dovecot.ports["pop3s"], context=ca.client_context())
    try:
        blob = base64.b64encode(xoauth2(address, dovecot.token(address)).encode()).decode()
        assert client._shortcmd("AUTH XOAUTH2 " + blob).startswith(b"+OK")
        assert client.stat() == (1, 22)
        assert client.retr(1)[1] == [b"Subject: pop", b"", b"body"]
    finally:
        client.quit()


def test_submission_takes_the_token_and_hands_on_to_the_relay(dovecot, address):
    def submit(recipients: list[str]) -> dict[str, tuple[int, bytes]]:
        with smtplib.SMTP_SSL("127.0.0.1", dovecot.ports["submissions"], context=ca.client_context(), timeout=10) as client:
            client.ehlo()
            client.auth("XOAUTH2", lambda _=None: xoauth2(address, dovecot.token(address)))
            return client.sendmail(address, recipients, b"Subject: hand on\r\n\r\nbody\r\n")

    async def main() -> None:
        async with dovecot.relay() as relay:
            relay.refuse["b@example.org"] = "550 5.1.1 No such user"
            refused = await asyncio.to_thread(submit, ["a@example.org", "b@example.org"])
            assert refused == {"b@example.org": (550, b"5.0.0 <b@example.org> 5.1.1 No such user")}
            relay.after_data = "451 4.3.0 Not now"
            with pytest.raises(smtplib.SMTPDataError, match="Not now"):
                await asyncio.to_thread(submit, ["a@example.org"])
            (message,) = relay.submitted
            assert (message.sender, message.recipients) == (address, ("a@example.org",))
            assert message.content.endswith(b"Subject: hand on\r\n\r\nbody\r\n"), "Dovecot puts a Received field before it"

    run(main())
    with pytest.raises(smtplib.SMTPException):
        submit(["a@example.org"])  # no relay is open now


def test_kick_ends_the_sessions_of_one_account_only(dovecot, address):
    async def main() -> None:
        assert await dovecot.sessions(address) == 1
        assert await dovecot.kick(address) == 1
        assert await dovecot.kick(address) == 0

    with imap(dovecot, address, dovecot.token(address)) as client, imap(dovecot, "x" + address, dovecot.token("x" + address)) as other:
        run(main())
        with pytest.raises(imaplib.IMAP4.abort):
            client.noop()
        assert other.noop()[0] == "OK"


def test_bye_is_said_between_two_responses_of_a_running_fetch(dovecot, address):
    dovecot.deliver_many(address, [b"Subject: %d\r\n\r\n" % number + b"* 1 FETCH (\r\n" * 50 for number in range(200)])
    seen: list[bytes] = []

    def after(response: bytes) -> bytes | None:
        seen.append(response)
        return b"* BYE Session expired, please login again.\r\n" if response.startswith(b"* 100 FETCH") else None

    def fetch(port: int) -> list[bytes]:
        received: list[bytes] = []
        with imap(dovecot, address, dovecot.token(address), port) as client:
            client.select()
            client.send(b"Z1 UID FETCH 1:* (BODY.PEEK[])\r\n")
            while line := client.file.readline():
                received.append(line)
        return received

    async def main() -> None:
        async with Proxy(dovecot.ports["imaps"], terminate=True) as proxy:
            proxy.after_response = after
            stream = b"".join(await asyncio.to_thread(fetch, proxy.port))
            assert stream.endswith(b")\r\n* BYE Session expired, please login again.\r\n")
            assert stream.count(b" FETCH (UID ") == 100
            assert proxy.accepted == 1

    run(main())
    assert sum(response.startswith(b"* ") and b"BODY[]" in response for response in seen) == 100


def test_tokens_of_the_endpoint_open_a_session_and_forged_ones_do_not(dovecot, address):
    async def main() -> None:
        async with TokenEndpoint(dovecot.signer) as endpoint:
            grant = endpoint.account(address)
            status, content, _ = endpoint._grant(address)
            assert status == 200
            grant.bad = True
            forged = endpoint._grant(address)[1]["access_token"]

        def login(token: str) -> None:
            with imap(dovecot, address, token):
                pass

        await asyncio.to_thread(login, content["access_token"])
        with pytest.raises(imaplib.IMAP4.error):
            await asyncio.to_thread(login, forged)

    run(main())


def test_settings_name_the_ports_and_verify_the_certificate(dovecot):
    settings = dovecot.settings_at(imap=4143, client_name="")
    assert (settings.imap.port, settings.smtp.port, settings.pop3.port) == (4143, dovecot.ports["submissions"], dovecot.ports["pop3s"])
    assert settings.client_name == ""
    assert {endpoint.security for endpoint in (settings.imap, settings.smtp, settings.pop3)} == {"tls"}
    assert settings.imap.ssl_context is ca.client_context()


def test_nothing_is_left_when_it_is_stopped(real_servers):
    with Dovecot() as server:
        folder, pid, ports = server.folder, server.pid, dict(server.ports)
        client = imaplib.IMAP4_SSL("127.0.0.1", ports["imaps"], ssl_context=ca.client_context())
        client.authenticate("XOAUTH2", lambda _: xoauth2("a@example.org", server.token("a@example.org")).encode())
    client.shutdown()
    assert not folder.exists()
    from tests.dovecot.server import _session_lives

    assert not _session_lives(pid)
    for port in ports.values():
        with closing(socket.socket()) as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    server.stop()
