import shutil
import subprocess

import pytest

from tests.testing.support import ME, message

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture
def curl(server, account, tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text(server.ca_pem)

    def run(path, *options, name="imap", scheme=None, text=None):
        url = f"{scheme or name + 's'}://{server.host}:{server.port(name)}/{path}"
        if text is not None:
            letter = tmp_path / "letter"
            letter.write_bytes(text)
            options = (*options, "-T", str(letter))
        command = ["curl", "-sS", "--cacert", str(ca), "--oauth2-bearer", account.access_token(), "-u", f"{ME}:", *options, url]
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    return run


def test_sessions_of_curl_over_imaps(curl, account):
    assert '* LIST (\\HasNoChildren) "/" "INBOX"' in curl("")
    assert curl("INBOX?ALL") == "* SEARCH 1 2 3 4 5\r\n"
    assert curl("INBOX?UNSEEN%20SUBJECT%20attachment") == "* SEARCH 5\r\n"
    assert curl("INBOX;UID=2").encode() == account.messages[1].raw
    assert curl("INBOX;UID=2;SECTION=TEXT") == "body 1\r\n"
    assert curl("INBOX;MAILINDEX=3").encode() == account.messages[2].raw
    assert "EXISTS" in curl("INBOX", "-X", "EXAMINE INBOX")
    assert "FLAGS (\\Seen $x)" in curl("INBOX", "-X", "UID STORE 2 +FLAGS (\\Seen $x)")
    assert account.messages[1].flags == {"\\Seen", "$x"}
    assert '* STATUS "Work" (MESSAGES 1)' in curl("", "-X", "STATUS Work (MESSAGES)")
    curl("", "-X", "CREATE Fresh")
    curl("Fresh", text=message("from curl"))
    assert account.messages[-1].labels == {"Fresh"}
    assert "X-GM-MSGID" in curl("INBOX", "-X", "FETCH 1 (X-GM-MSGID)")


def test_sessions_of_curl_over_pop3s(curl, server, account):
    listing = curl("", name="pop3")
    assert listing.splitlines() == [f"{number} {stored.size}" for number, stored in enumerate(account.messages, 1)]
    for stored in account.messages:  # curl says QUIT: what it has read is popped, and the next one is the first
        assert curl("1", name="pop3").encode() == stored.raw
    uidl = [f"{number} GmailId{stored.gmail_id:016x}" for number, stored in enumerate(account.messages, 1)]
    assert [stored.popped for stored in account.messages] == [True] * 5
    for stored in account.messages:
        stored.popped = False
    assert curl("", "-X", "UIDL", name="pop3").splitlines() == uidl
    assert curl("", "-X", "TOP 1 0", name="pop3").encode() == account.messages[0].raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert "TOP" in curl("", "-X", "CAPA", name="pop3").splitlines()
    curl("1", "-X", "NOOP", "-l", name="pop3")
    curl("1", "-X", "DELE 1", "-l", name="pop3")
    assert [stored.popped for stored in account.messages] == [True, False, False, False, False]
    assert {"LIST", "RETR", "UIDL", "TOP", "CAPA", "NOOP", "DELE", "QUIT"} <= set(server.ledger.verbs("pop3"))


def test_sessions_of_curl_over_smtps(curl, server, account):
    letter = message("from curl", From=ME, Message_ID="<curl@mail.example.org>")
    for name, scheme, options in (("smtp", "smtps", []), ("submission", "smtp", ["--ssl-reqd"])):
        curl(
            "client",
            *options,
            "--mail-from",
            ME,
            "--mail-rcpt",
            "ada@example.org",
            "--mail-rcpt",
            ME,
            name=name,
            scheme=scheme,
            text=letter,
        )
    assert [record.raw for record in account.ledger.submissions] == [letter, letter]
    assert account.messages[-1].labels == {"\\Inbox", "\\Sent"}
    assert "252 2.1.5" in curl("", "-X", "VRFY ada", "--crlf", name="smtp", scheme="smtps")
    assert "214 2.0.0" in curl("", name="smtp", scheme="smtps")
    assert "250 2.0.0 OK" in curl("", "-X", "NOOP", name="smtp", scheme="smtps")
    assert "250 2.1.5 Flushed" in curl("", "-X", "RSET", name="smtp", scheme="smtps")
    assert {"EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "MESSAGE", "VRFY", "HELP", "NOOP", "RSET", "QUIT"} <= set(
        server.ledger.verbs("smtp")
    )
