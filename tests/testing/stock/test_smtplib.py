import smtplib

import pytest

from tests.testing.support import ME, email


@pytest.mark.parametrize("starttls", [False, True])
def test_a_session_of_smtplib(server, account, starttls):
    token = account.access_token()
    if starttls:
        client = smtplib.SMTP(server.host, server.port("submission"))
        assert client.ehlo()[0] == 250
        assert not client.has_extn("auth")
        assert client.starttls(context=server.ssl_context)[0] == 220
    else:
        client = smtplib.SMTP_SSL(server.host, server.port("smtp"), context=server.ssl_context)
    with client:
        assert client.ehlo()[0] == 250
        assert client.has_extn("chunking")
        assert client.esmtp_features["size"] == "35882577"
        with pytest.raises(smtplib.SMTPSenderRefused, match="Authentication Required"):
            client.send_message(email())
        assert client.auth("XOAUTH2", lambda _=None: f"user={ME}\x01auth=Bearer {token}\x01\x01") == (235, b"2.7.0 Accepted")
        assert client.noop()[0] == 250
        assert client.send_message(email("first", Message_ID="<s1@mail.example.org>")) == {}
        assert client.sendmail(ME, ["a@example.org", "b@example.org"], email("second").as_bytes()) == {}
        refused = client.sendmail(ME, ["good@example.org", "bad"], email("third").as_bytes())
        assert refused["bad"][0] == 553
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail(ME, ["bad"], "x")
        assert client.rset()[0] == 250
        assert client.verify("x")[0] == 252
        assert client.send_message(email("Grüße"), mail_options=["SMTPUTF8"]) == {}
        assert client.mail(ME)[0] == 250
    submissions = account.ledger.submissions
    assert [record.recipients for record in submissions] == [
        ("ada@example.org",),
        ("a@example.org", "b@example.org"),
        ("good@example.org",),
        ("ada@example.org",),
    ]
    assert sum("\\Sent" in stored.labels for stored in account.messages) == 4
