import pytest

imapclient = pytest.importorskip("imapclient", reason="IMAPClient is not installed")

from tests.testing.support import ME, message  # noqa: E402


def test_a_session_of_imapclient_with_its_gmail_calls(server, account):
    with imapclient.IMAPClient(server.host, server.port("imap"), ssl_context=server.ssl_context, timeout=10) as client:
        client.oauth2_login(ME, account.access_token())
        assert client.has_capability("X-GM-EXT-1")
        assert b"GImap" in client.id_({"name": "test"})[0]
        assert client.find_special_folder(imapclient.imapclient.SENT) == "[Gmail]/Sent Mail"
        assert ((b"\\All", b"\\HasNoChildren"), b"/", "[Gmail]/All Mail") in client.list_folders()
        assert client.folder_status("INBOX", ["MESSAGES"]) == {b"MESSAGES": 5}
        selected = client.select_folder("INBOX")
        assert (selected[b"EXISTS"], selected[b"UIDVALIDITY"], selected[b"READ-WRITE"]) == (5, 1, True)
        assert client.search(["UNSEEN", "NOT", ["SUBJECT", "attachment"]]) == [2, 3, 4]
        assert client.gmail_search("has:attachment") == [5]
        rows = client.fetch(
            [5], ["X-GM-MSGID", "X-GM-THRID", "X-GM-LABELS", "ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]"]
        )
        stored = account.messages[4]
        assert rows[5][b"X-GM-MSGID"] == rows[5][b"X-GM-THRID"] == stored.gmail_id
        assert rows[5][b"X-GM-LABELS"] == (b"Work",)
        assert rows[5][b"ENVELOPE"].subject == b"with attachment"
        assert rows[5][b"BODYSTRUCTURE"].is_multipart
        assert rows[5][b"BODY[]"] == stored.raw
        assert client.get_gmail_labels([5]) == {5: ["Work"]}
        client.add_gmail_labels([5], ["Ünï", "\\Starred"])
        assert stored.labels == {"\\Inbox", "\\Starred", "Work", "Ünï"}
        assert sorted(client.get_gmail_labels([5])[5]) == ["Work", "\\Starred", "Ünï"]
        assert "\\Flagged" in stored.flags
        assert "Work" not in client.remove_gmail_labels([5], ["Work"])[5]
        client.set_gmail_labels([5], ["Only"])
        assert stored.labels == {"\\Inbox", "Only"}
        assert client.set_flags([2], [b"\\Seen"]) == {2: (b"\\Seen",)}
        assert client.get_flags([2])[2] == (b"\\Seen",)
        client.create_folder("Ärger")
        assert client.folder_exists("Ärger")
        client.copy([2], "Ärger")
        assert account.messages[1].labels == {"\\Inbox", "Ärger"}
        client.move([3], "[Gmail]/Trash")
        assert account.messages[2].labels == {"\\Trash"}
        assert b"APPENDUID" in client.append("Ärger", message("new"), flags=[b"\\Seen"])
        assert client.get_quota("INBOX")[0].resource == "STORAGE"
        client.idle()
        account.deliver(message("arrived"))
        assert (5, b"EXISTS") in client.idle_check(timeout=5)
        assert client.idle_done()[0] == b"IDLE terminated (Success)"
        client.delete_messages([4])
        assert client.search() == [1, 2, 5, 6]
        client.rename_folder("Ärger", "Freude")
        client.delete_folder("Freude")
        client.unselect_folder()


def test_a_bad_token_is_a_login_error(server, account):
    with (
        imapclient.IMAPClient(server.host, server.port("imap"), ssl_context=server.ssl_context, timeout=10) as client,
        pytest.raises(imapclient.exceptions.LoginError),
    ):
        client.oauth2_login(ME, "bad")
