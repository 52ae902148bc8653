"""Letters: what a message becomes on its way, and what is refused."""

import datetime as dt
import email
import email.policy
from email.message import EmailMessage, Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest

from aiogmail.errors import ConfigurationError
from aiogmail.smtp import SendResult
from aiogmail.smtp.flatten import flatten, flattened_size
from aiogmail.smtp.models import compose, message_id_of, queue_id_of
from tests.smtp.support import ME

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC).timestamp()


def letter(raw, **options):
    options.setdefault("account", ME)
    return compose(raw, now=NOW, **options)


def text_of(made):
    return b"".join(made.body.pieces(stuffed=False)) + b"\r\n"


def header_of(made):
    return email.message_from_bytes(text_of(made), policy=email.policy.SMTP)


def test_what_is_missing_is_put_in_once_and_all_else_stays():
    made = letter(b"To: you@x.org\nX-Odd:  kept   as it is \nBcc: b@x.org\nbCC: c@x.org\n\nbody\n")
    assert made.recipients == ("you@x.org", "b@x.org", "c@x.org")
    assert made.sender == ME
    assert made.own_id
    assert made.findable
    lines = text_of(made).split(b"\r\n")
    assert lines[0] == b"Message-ID: " + made.message_id.encode()
    assert lines[1:] == [
        b"Date: Fri, 02 Jan 2026 03:04:05 +0000",
        b"From: me@gmail.com",
        b"To: you@x.org",
        b"X-Odd:  kept   as it is ",
        b"",
        b"body",
        b"",
    ]


def test_an_own_id_has_the_form_that_gmail_keeps_and_finds():
    ids = {letter(b"To: a@x\r\n\r\n").message_id for _ in range(20)}
    assert len(ids) == 20
    for one in ids:
        local, _, domain = one.strip("<>").partition("@")
        first, _, second = local.partition(".")
        assert (len(first), len(second), domain) == (26, 10, "gmail.com")
        assert (first + second).isalnum()
        assert (first + second).islower() or (first + second).isdigit()
    assert letter(b"To: a@x\r\n\r\n", account="me@localhost").message_id.endswith("@aiogmail.invalid>")
    assert letter(b"To: a@x\r\n\r\n", account="ich@münchen.de").message_id.endswith("@aiogmail.invalid>")


def test_what_is_there_is_kept():
    made = letter(b"From: Me <ME@gmail.com>\r\nTo: a@x\r\nDate: yesterday\r\nMessage-ID:\r\n <a.b@c.org>\r\n\r\nx")
    assert made.message_id == "<a.b@c.org>"
    assert not made.own_id
    assert made.findable
    assert made.defects == ()
    assert b"Date: yesterday\r\n" in text_of(made)
    assert text_of(made).count(b"Date:") == text_of(made).lower().count(b"message-id:") == 1


def test_an_empty_field_counts_as_missing():
    made = letter(b"To: a@x\r\nDate: \r\nMessage-ID: \r\n\r\nx")
    assert made.own_id
    assert text_of(made).count(b"Date:") == text_of(made).count(b"Message-ID:") == 1


@pytest.mark.parametrize(
    ("own", "findable", "kept"),
    [
        ("<a!b@c.org>", False, True),
        ("<{a}@c.org>", False, True),
        ("<a@localhost>", False, False),
        ("a@c.org", False, False),
        ("<a@b@c.org>", False, False),
        ("<a@c.org>", True, True),
    ],
)
def test_an_id_of_the_callers_goes_unchanged_and_what_gmail_does_to_it_is_said(own, findable, kept):
    made = letter(f"From: {ME}\r\nTo: a@x\r\nMessage-ID: {own}\r\n\r\n".encode())
    assert made.message_id == own
    assert made.findable is findable
    assert any("Message-ID" in defect for defect in made.defects) is not kept


@pytest.mark.parametrize(
    ("sender", "words"),
    [
        ("other@x.org", "rewrites From: other@x.org"),
        ("Me <me@gmail.com>, b@x.org", "rewrites From: b@x.org"),
        ("nonsense", "not an address"),
    ],
)
def test_a_from_of_somebody_else_is_told(sender, words):
    [defect] = letter(f"From: {sender}\r\nTo: a@x\r\n\r\n".encode()).defects
    assert words in defect


RESENT = b"From: me@gmail.com\r\nTo: old@x.org\r\nResent-From: other@x.org\r\nResent-To: new@x.org\r\nResent-Bcc: hidden@x.org\r\nResent-Date: now\r\n\r\nx"


def test_a_resent_message_goes_to_whom_it_is_resent():
    made = letter(RESENT)
    assert made.recipients == ("new@x.org", "hidden@x.org")
    assert b"hidden" not in text_of(made)
    assert b"old@x.org" in text_of(made)
    assert "other@x.org" in made.defects[0]
    for twice in (b"Resent-Date: a\r\n", b"Resent-To: b@x.org\r\n"):
        with pytest.raises(ConfigurationError, match="resent more than once"):
            letter(twice + RESENT)
    assert letter(b"Resent-Date: a\r\n" + RESENT, recipients="me@x.org").recipients == ("me@x.org",)


def test_recipients_named_by_the_caller_are_all():
    made = letter(b"To: a@x\r\nBcc: b@x\r\n\r\n", recipients=["C <c@x>", "d@x"], sender="Bounces <bounce@gmail.com>")
    assert made.recipients == ("c@x", "d@x")
    assert made.sender == "bounce@gmail.com"
    assert b"Bcc" not in text_of(made)
    assert made.to(("e@x",)).recipients == ("e@x",)
    assert made.to(("e@x",)).message_id == made.message_id


@pytest.mark.parametrize(
    ("raw", "options", "words"),
    [
        (b"Subject: x\r\n\r\n", {}, "recipients: none given"),
        (b"To: undisclosed-recipients:;\r\n\r\n", {}, "recipients: none given"),
        (b"To: a@x, b\r\n\r\n", {}, "To: not an address: 'b'"),
        (b"Cc: a@x b@x\r\n\r\n", {}, "Cc: not an address"),
        ("To: ü\xff@x".encode("latin-1") + b"\r\n\r\n", {}, "To: not an address"),
        (b"To: a@x\r\n\r\n", {"recipients": []}, "recipients: expected"),
        (b"To: a@x\r\n\r\n", {"sender": ""}, "sender: expected"),
        (b"To: a@x\r\n\r\n", {"sender": 5}, "sender: expected"),
        (b"", {}, "message: is empty"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(raw, options, words):
    with pytest.raises(ConfigurationError, match=words):
        letter(raw, **options)


def test_more_recipients_than_gmail_takes_are_refused_with_advice():
    many = [f"u{number}@x.org" for number in range(250)]
    with pytest.raises(ConfigurationError, match=r"250, and Gmail takes 100 .* split=True sends it 3 times"):
        letter(b"Subject: x\r\n\r\n", recipients=many)
    assert len(letter(b"Subject: x\r\n\r\n", recipients=many, split=True).recipients) == 250
    assert len(letter(b"Subject: x\r\n\r\n", recipients=many[:100]).recipients) == 100


def test_internationalised_addresses_and_headers_need_utf8():
    assert not letter(b"To: a@x.org\r\n\r\n").needs_utf8
    assert not letter("To: a@müller.de\r\n\r\n".encode(), recipients="a@müller.de").recipients[0].count("ü")
    assert letter("Subject: ü\r\nTo: a@x.org\r\n\r\n".encode()).needs_utf8
    assert letter(b"To: a@x.org\r\n\r\n", recipients="jörg@x.org").needs_utf8
    assert letter(b"To: a@x.org\r\n\r\n", sender="jörg@x.org").needs_utf8


# Message objects


def modern(**fields):
    message = EmailMessage()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    message.set_content("grüße\n")
    return message


def test_an_email_message_is_written_and_not_changed():
    message = modern(To="Jörg <you@x.org>", Subject="ü" * 60, Bcc="b@x.org")
    message.add_attachment(b"\x00" * 100, maintype="application", subtype="octet-stream", filename="ä.bin")
    before = [(part.items(), part.get_payload() if not part.is_multipart() else None) for part in message.walk()]
    made = letter(flatten(message))
    assert [(part.items(), part.get_payload() if not part.is_multipart() else None) for part in message.walk()] == before
    assert message["Bcc"] == "b@x.org"
    assert message["Message-ID"] is None
    assert made.recipients == ("you@x.org", "b@x.org")
    assert not made.needs_utf8
    read = header_of(made)
    assert read["Subject"] == "ü" * 60
    assert read.get_body().get_content() == "grüße\r\n" or read.get_body().get_content() == "grüße\n"


def test_a_boundary_that_is_missing_is_set_on_the_way_only():
    message = MIMEMultipart()
    message["To"] = "a@x.org"
    message.attach(MIMEText("one"))
    made = letter(flatten(message))
    assert message.get_boundary() is None
    assert header_of(made).get_boundary()


def test_a_classic_message_goes_as_well():
    message = Message()
    message["To"] = "a@x.org"
    message["Subject"] = "plain\r\n folded"
    message.set_payload("text\n.dot\n")
    assert letter(flatten(message)).recipients == ("a@x.org",)
    assert text_of(letter(flatten(message))).endswith(b"\r\n\r\ntext\r\n.dot\r\n")


def test_an_internationalised_local_part_is_not_encoded_away():
    made = letter(flatten(modern(To="Jörg <jörg@x.org>")))
    assert made.recipients == ("jörg@x.org",)
    assert made.needs_utf8
    assert "jörg@x.org".encode() in text_of(made)


@pytest.mark.parametrize("value", ["hi\r\nBcc: victim@x\r\nX-Injected: 1", "hi\nBcc: victim@x", "hi\rBcc: victim@x", "hi\r\n\r\nbody"])
def test_a_header_that_would_begin_another_is_refused(value):
    message = Message()
    message["To"] = "a@x.org"
    message["Subject"] = value
    message.set_payload("x")
    with pytest.raises(ConfigurationError, match="line end in its Subject"):
        flatten(message)


def test_what_cannot_be_written_is_refused():
    message = Message()
    message["To"] = "a@x.org"
    message._payload = object()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        flatten(message)


@pytest.mark.parametrize("message", ["To: a@x\r\n\r\n", None, 5, {"To": "a@x"}, ["a"]])
def test_what_is_no_message_is_refused(message):
    with pytest.raises(ConfigurationError, match="message: expected an EmailMessage"):
        flatten(message)


def test_octets_are_taken_as_they_are():
    raw = b"To: a@x\r\n\r\nx"
    assert flatten(raw) is raw
    assert flatten(bytearray(raw)) == flatten(memoryview(raw)) == raw
    assert flattened_size(raw) == 0


def test_the_size_of_a_message_is_known_before_it_is_written():
    message = modern(To="a@x.org")
    message.add_attachment(b"x" * 300_000, maintype="application", subtype="octet-stream")
    assert flattened_size(message) > 300_000


@pytest.mark.parametrize(("text", "wanted"), [("<a@b.c>", "<a@b.c>"), ("a@b.c", "<a@b.c>"), (" <a@b.c> ", "<a@b.c>")])
def test_a_message_id_as_it_may_be_given(text, wanted):
    assert message_id_of(text) == wanted


@pytest.mark.parametrize("text", ["", "<>", "a", "<a@b> <c@d>", "<a\r\n@b>", "<a@b", None, 5, "<a\x01@b>"])
def test_what_is_no_message_id(text):
    with pytest.raises(ConfigurationError, match="message_id: expected"):
        message_id_of(text)


@pytest.mark.parametrize(
    ("text", "queue_id"),
    [
        ("OK  1700000000 a1b2-c3 - gsmtp", "a1b2-c3"),
        ("Ok: queued as 4AbC", "4AbC"),
        ("Message accepted, id=<77.8>", "77.8"),
        ("OK", ""),
    ],
)
def test_what_the_server_calls_it(text, queue_id):
    assert queue_id_of(text) == queue_id


def test_a_result_compares_and_shows_nothing_secret():
    result = SendResult("sent", "<a@b>", ("c@d",))
    assert result == SendResult("sent", "<a@b>", ("c@d",))
    with pytest.raises(AttributeError):
        result.status = "partial"


@pytest.mark.parametrize("name", ["A: b\r\nBcc", "A\nB", "A:", "A B", "", "\u00c4"])
def test_a_field_s_name_cannot_begin_another_field(name):
    message = Message()
    message["To"] = "you@example.org"
    message._headers.append((name, "x@example.org"))
    with pytest.raises(ConfigurationError, match="no name of a header field"):
        flatten(message)
