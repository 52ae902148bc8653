"""What a maildrop holds, as values."""

from aiogmail.pop3.models import PopMail, PopStat, gmail_id_of


def test_gmails_uidl_is_its_message_id_in_hexadecimal():
    assert gmail_id_of("GmailId0123456789abcdef") == 0x0123456789ABCDEF
    for other in ("GmailId0123456789ABCDEF", "GmailId123", "xGmailId0123456789abcdef", "GmailId0123456789abcdef0", "uid-1"):
        assert gmail_id_of(other) is None


def test_a_mail_is_read_when_it_is_touched():
    mail = PopMail("GmailId000000000000000a", 40, b"Subject: =?utf-8?q?caf=C3=A9?=\r\n\r\nbody\r\n")
    assert mail.gmail_id == 10
    assert mail.email["Subject"] == "café"
    assert mail.email.get_content().strip() == "body"
    assert repr(mail) == "PopMail('GmailId000000000000000a', 40 octets)"
    assert repr(PopStat(1, 2)) == "PopStat(count=1, size=2)"
