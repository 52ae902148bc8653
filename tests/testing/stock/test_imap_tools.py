import pytest

imap_tools = pytest.importorskip("imap_tools", reason="imap-tools is not installed")

from tests.testing.support import ME, message  # noqa: E402


def test_a_session_of_imap_tools(server, account):
    with imap_tools.MailBox(server.host, server.port("imap"), ssl_context=server.ssl_context).xoauth2(ME, account.access_token()) as box:
        assert box.folder.get() == "INBOX"
        assert box.folder.status("INBOX")["MESSAGES"] == 5
        assert {"\\Sent", "\\HasNoChildren"} <= {flag for info in box.folder.list() for flag in info.flags}
        assert box.uids() == ["1", "2", "3", "4", "5"]
        assert [found.subject for found in box.fetch(imap_tools.AND(seen=False, subject="number"), mark_seen=False)] == [
            "number 1",
            "number 2",
            "number 3",
        ]
        (attached,) = box.fetch(imap_tools.AND(subject="attachment"), mark_seen=False)
        assert attached.attachments[0].filename == "data.bin"
        assert attached.attachments[0].payload == b"\x00\x01" * 100
        assert box.numbers("ALL") == ["1", "2", "3", "4", "5"]
        box.flag(["2"], [imap_tools.MailMessageFlags.FLAGGED], True)
        assert "\\Flagged" in account.messages[1].flags
        box.folder.create("Neu/Ünï")
        assert box.folder.exists("Neu/Ünï")
        box.copy(["1"], "Neu/Ünï")
        assert account.messages[0].labels == {"\\Inbox", "Neu/Ünï"}
        box.move(["3"], "[Gmail]/Spam")
        assert account.messages[2].labels == {"\\Spam"}
        box.append(message("appended"), "Neu/Ünï")
        assert "appended" in {stored.header("Subject") for stored in account.messages}
        box.delete(["4"])
        assert box.uids() == ["1", "2", "5"]
        with box.idle as idle:
            account.deliver(message("arrived"))
            assert idle.poll(timeout=5)
        box.folder.rename("Neu/Ünï", "Alt")
        box.folder.delete("Alt")
        assert box.folder.set("[Gmail]/All Mail")[0] == "OK"
        assert len(list(box.fetch(headers_only=True, mark_seen=False, bulk=True))) == 6
