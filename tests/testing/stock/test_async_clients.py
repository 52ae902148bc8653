import asyncio

import aioimaplib
import aiosmtplib
import pytest

from aiogmail.testing import GmailEmulator
from tests.testing.support import ME, email, message


def test_a_session_of_aioimaplib():
    async def main():
        async with GmailEmulator() as server:
            account = server.add_account(ME)
            for number in range(3):
                account.deliver(message(f"number {number}"))
            client = aioimaplib.IMAP4_SSL(server.host, server.port("imap"), timeout=5, ssl_context=server.ssl_context)
            await client.wait_hello_from_server()
            assert (await client.xoauth2(ME, account.access_token())).result == "OK"
            await client.protocol.capability()
            assert client.has_capability("MOVE")
            assert (await client.namespace()).lines[0] == b'(("" "/")) NIL NIL'
            assert any(b"[Gmail]/Sent Mail" in line for line in (await client.list('""', "*")).lines)
            assert (await client.select("INBOX")).result == "OK"
            assert (await client.uid_search("ALL")).lines[0] == b"1 2 3"
            assert (await client.search("UNSEEN")).lines[0] == b"1 2 3"
            rows = await client.uid("fetch", "1:2", "(FLAGS BODY.PEEK[])")
            assert rows.lines[1] == account.messages[0].raw
            assert (await client.uid("store", "1", "+FLAGS (\\Seen)")).result == "OK"
            assert account.messages[0].flags == {"\\Seen"}
            assert (await client.append(message("appended"), mailbox="INBOX")).result == "OK"
            assert (await client.create("Work")).result == "OK"
            assert (await client.uid("copy", "1", "Work")).result == "OK"
            assert (await client.uid("move", "2", "Work")).result == "OK"
            assert account.messages[1].labels == {"Work"}
            assert (await client.status("Work", "(MESSAGES)")).lines[0] == b'"Work" (MESSAGES 2)'
            idle = await client.idle_start(timeout=5)
            account.deliver(message("arrived"))
            assert await client.wait_server_push() == [b"4 EXISTS"]
            client.idle_done()
            async with asyncio.timeout(5):
                await idle
            assert (await client.noop()).result == "OK"
            assert (await client.close()).result == "OK"
            assert (await client.logout()).result == "OK"
            client.protocol.transport.close()  # aioimaplib leaves it open

    asyncio.run(main())


@pytest.mark.parametrize("starttls", [False, True])
def test_a_session_of_aiosmtplib(starttls):
    async def main():
        async with GmailEmulator() as server:
            account = server.add_account(ME)
            client = aiosmtplib.SMTP(
                hostname=server.host,
                port=server.port("submission" if starttls else "smtp"),
                use_tls=not starttls,
                start_tls=starttls,
                tls_context=server.ssl_context,
            )
            async with client:
                assert (await client.ehlo()).code == 250
                assert client.supports_extension("PIPELINING")
                with pytest.raises(aiosmtplib.SMTPSenderRefused):
                    await client.send_message(email())
                with pytest.raises(aiosmtplib.SMTPAuthenticationError):
                    await client.auth_xoauth2(ME, "bad")
                assert (await client.auth_xoauth2(ME, account.access_token())).code == 235
                assert (await client.noop()).code == 250
                errors, text = await client.send_message(email("one", Message_ID="<1@mail.example.org>"))
                assert (errors, text.split()[:2]) == ({}, ["2.0.0", "OK"])
                errors, _ = await client.sendmail(ME, ["a@example.org", "bad"], email("two").as_bytes())
                assert errors["bad"].code == 553
                assert (await client.mail(ME)).code == 250
                assert (await client.rcpt("a@example.org")).code == 250
                assert (await client.data(email("three").as_bytes())).code == 250
                assert (await client.rset()).code == 250
                assert (await client.vrfy("x")).code == 252
            assert [record.recipients for record in account.ledger.submissions] == [
                ("ada@example.org",),
                ("a@example.org",),
                ("a@example.org",),
            ]
            assert len(account.sent.order) == 3

    asyncio.run(main())
