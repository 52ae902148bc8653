"""The standard library's reading, made to bear what mail is like."""

import pytest

from aiogmail.imap.emailmessage import read_email


def test_a_message_is_an_email_message_of_the_modern_policy():
    message = read_email(b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nTo: Ann <a@x.example>\r\n\r\nbody\r\n")
    assert message["subject"] == "Grüße"
    assert message["to"].addresses[0].display_name == "Ann"
    assert message.get_content() == "body\r\n"
    message.set_content("new")
    assert message.get_content() == "new\n"


@pytest.mark.parametrize("charset", ["x-none", "utf-8", "us-ascii", "base64", "undefined"])
def test_text_of_any_charset_is_text(charset):
    message = read_email(b"Content-Type: text/plain; charset=%b\r\n\r\nGr\xfc\xdfe" % charset.encode())
    assert message.get_content() == "Grüße"


def test_what_the_package_cannot_parse_stands_as_it_came(monkeypatch):
    from email.policy import EmailPolicy

    def broken(self, name, value):
        raise IndexError("a mistake of the parser's")

    monkeypatch.setattr(EmailPolicy, "header_fetch_parse", broken)
    message = read_email(b"From: a\r\n b\r\nContent-Disposition: x\r\n\r\nbody")
    assert message["from"] == "a b"
    assert message["from"].addresses == ()
    assert message["from"].params == {}
    assert message["from"].name == "From"
    assert "IndexError" in str(message["from"].defects[0])
    assert not message.is_attachment()
    assert message.get_content_type() == "text/plain"


def test_what_nests_too_deep_keeps_its_header():
    levels = b"".join(b"Content-Type: multipart/mixed; boundary=x%d\r\n\r\n--x%d\r\n" % (level, level) for level in range(3000))
    message = read_email(b"Subject: deep\r\n" + levels)
    assert message["subject"] == "deep"
    assert "only its header could be read" in str(message.defects[-1])


@pytest.mark.parametrize("start", ["", "; start=x"])
def test_a_multipart_without_parts_has_no_body_and_hides_none(start):
    broken = b"Content-Type: multipart/related; boundary=c" + start.encode() + b"\r\n\r\nnothing\r\n"
    assert read_email(broken).get_body(("html", "plain")) is None
    text = b"--b\r\nContent-Type: text/plain\r\n\r\nthere\r\n--b--\r\n"
    message = read_email(b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n" + broken + text)
    body = message.get_body(("html", "plain"))
    assert body is not None
    assert body.get_content() == "there"


def test_content_of_any_type_is_given():
    assert read_email(b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nSGk=").get_content() == b"Hi"
    assert read_email(b"Content-Type: model/x\r\nContent-Transfer-Encoding: base64\r\n\r\nSGk=").get_content() == b"Hi"
    with pytest.raises(KeyError):
        read_email(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--").get_content()
