import imaplib

from tests.testing.support import ME, message


def test_a_session_of_imaplib(server, account):
    token = account.access_token()
    client = imaplib.IMAP4_SSL(server.host, server.port("imap"), ssl_context=server.ssl_context)
    assert client.authenticate("XOAUTH2", lambda _: f"user={ME}\x01auth=Bearer {token}\x01\x01".encode())[1] == [
        b"me@gmail.com authenticated (Success)"
    ]
    client.capabilities = client.capability()[1][0].decode().split()
    assert "UIDPLUS" in client.capabilities
    assert client.namespace() == ("OK", [b'(("" "/")) NIL NIL'])
    assert b'(\\All \\HasNoChildren) "/" "[Gmail]/All Mail"' in client.list()[1]
    assert client.create("New") == ("OK", [b"Success"])
    assert client.select("INBOX") == ("OK", [b"5"])
    assert client.response("UIDVALIDITY") == ("UIDVALIDITY", [b"1"])
    assert client.uid("SEARCH", None, "UNSEEN") == ("OK", [b"2 3 4 5"])
    assert client.search(None, "SUBJECT", '"number 2"') == ("OK", [b"3"])
    status, rows = client.fetch("1:2", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    assert rows[0] == (b"1 (UID 1 FLAGS (\\Seen) BODY[HEADER.FIELDS (SUBJECT)] {21}", b"Subject: number 0\r\n\r\n")
    assert client.store("2", "+FLAGS", "(\\Flagged)")[1] == [b"2 (FLAGS (\\Flagged) UID 2)"]
    assert client.uid("COPY", "2", "New")[0] == "OK"
    assert client.untagged_responses["COPYUID"][0].endswith(b" 2 1")
    assert client.append("New", "(\\Seen)", '"05-Jan-2026 08:00:00 +0000"', message("appended"))[1][0].startswith(b"[APPENDUID ")
    assert client.status("New", "(MESSAGES UNSEEN)")[1] == [b'"New" (MESSAGES 2 UNSEEN 1)']
    assert client.uid("MOVE", "1", "New")[0] == "OK"
    assert client.noop()[0] == "OK"
    assert client.getquotaroot("INBOX")[0] == "OK"
    assert client.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK"
    assert client.expunge()[0] == "OK"
    assert client.select("INBOX") == ("OK", [b"3"])
    assert client.unselect()[0] == "OK"
    assert client.rename("New", "Newer")[0] == "OK"
    assert client.delete("Newer")[0] == "OK"
    assert client.logout() == ("BYE", [b"LOGOUT Requested"])
    assert account.mailboxes.keys() >= {"Work"}
    assert len(account.messages) == 6
