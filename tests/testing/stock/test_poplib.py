import base64
import poplib

import pytest

from tests.testing.support import ME


def login(server, account, user=ME):
    client = poplib.POP3_SSL(server.host, server.port("pop3"), context=server.ssl_context)
    assert client.getwelcome().startswith(b"+OK Gpop ready")
    blob = base64.b64encode(f"user={user}\x01auth=Bearer {account.access_token()}\x01\x01".encode()).decode()
    assert client._shortcmd(f"AUTH XOAUTH2 {blob}") == b"+OK Welcome."
    return client


def test_a_session_of_poplib(server, account):
    client = login(server, account)
    assert "PIPELINING" in client.capa()
    count, size = client.stat()
    assert count == 5
    assert size == sum(stored.size for stored in account.messages)
    assert client.list()[1][0] == b"1 %d" % account.messages[0].size
    assert client.uidl()[1][4].split()[1] == b"GmailId%016x" % account.messages[4].gmail_id
    assert client.uidl(1).startswith(b"+OK 1 GmailId")
    assert b"\r\n".join(client.retr(2)[1]) + b"\r\n" == account.messages[1].raw
    assert client.top(3, 0)[1][-1] == b""
    assert client.noop() == b"+OK"
    assert client.dele(1) == b"+OK"
    assert client.stat()[0] == 4
    assert client.rset() == b"+OK"
    with pytest.raises(poplib.error_proto, match="out of range"):
        client.retr(9)
    assert client.quit() == b"+OK Farewell."
    client = login(server, account)
    assert client.stat()[0] == 4
    client.quit()
    client = login(server, account, f"recent:{ME}")
    assert client.stat()[0] == 5
    client.quit()
