"""Messages, envelopes and addresses, made from what a server says."""

import datetime as dt

import pytest

from aiogmail import ConfigurationError, NotFetched
from aiogmail.imap import wire
from aiogmail.imap.models import ITEMS, Address, Envelope, Message, wire_items
from aiogmail.imap.wire import ResponseParser

ADA = b'(("Ada" NIL "ada" "example.com"))'


def row(attributes: bytes, *, parser=None) -> wire.Fetch:
    [fetch] = (parser or ResponseParser()).feed(b"* 3 FETCH (UID 7 " + attributes + b")\r\n")
    return fetch


def message(attributes: bytes) -> Message:
    return Message(row(attributes))


def envelope(
    *, date=b"NIL", subject=b"NIL", sender=b"NIL", from_=ADA, reply_to=b"NIL", to=b"NIL", cc=b"NIL", bcc=b"NIL", reply=b"NIL", id_=b"NIL"
) -> Envelope:
    fields = (date, subject, from_, sender, reply_to, to, cc, bcc, reply, id_)
    return message(b"ENVELOPE (" + b" ".join(fields) + b")").envelope


WHOLE = message(
    b"X-GM-THRID 17 X-GM-MSGID 18 X-GM-LABELS (\\Inbox Work) RFC822.SIZE 4 MODSEQ (99) "
    b'INTERNALDATE "06-Feb-2024 16:51:37 +0130" FLAGS (\\Seen) ENVELOPE ("x" "Hi" NIL NIL NIL NIL NIL NIL NIL NIL) '
    b'BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 2 1) BODY[] {4}\r\na\r\nb'
)


def test_a_message_gives_what_was_fetched():
    assert WHOLE.uid == 7
    assert WHOLE.flags == {"\\Seen"}
    assert WHOLE.internal_date == dt.datetime(2024, 2, 6, 16, 51, 37, tzinfo=dt.timezone(dt.timedelta(hours=1, minutes=30)))
    assert (WHOLE.size, WHOLE.modseq, WHOLE.gmail_id, WHOLE.thread_id) == (4, 99, 18, 17)
    assert WHOLE.labels == {"\\Inbox", "Work"}
    assert WHOLE.envelope.subject == "Hi"
    assert WHOLE.structure.content_type == "text/plain"
    assert WHOLE.structure is WHOLE.structure
    assert WHOLE.raw == b"a\r\nb"
    assert repr(WHOLE).startswith("Message(uid=7, items=UID, X-GM-THRID")


def test_what_was_not_fetched_is_told_by_name():
    bare = message(b"X-OTHER 1")
    for item in ITEMS:
        if item == "uid":
            continue
        with pytest.raises(NotFetched) as caught:
            getattr(bare, item)
        assert caught.value.name == item
        assert not hasattr(bare, item)


def test_the_same_comes_of_rows_in_an_unusual_shape():
    walked = message(b'X-GM-MSGID 18 X-GM-THRID 17 RFC822.SIZE 4 MODSEQ (99) BODY[1] "x" BODY[] {1}\r\ny')
    assert walked._fetch._match is None
    assert (walked.size, walked.modseq, walked.gmail_id, walked.thread_id, walked.raw) == (4, 99, 18, 17, b"y")


def test_what_a_server_leaves_empty_raises_nothing():
    empty = message(b'INTERNALDATE "99-Foo-2024 16:51:37 +0130" ENVELOPE NIL BODYSTRUCTURE NIL BODY[] NIL')
    assert empty.internal_date is None
    assert empty.envelope.subject == ""
    assert empty.envelope.from_ == ()
    assert empty.envelope.date is None
    assert empty.structure is None
    assert empty.raw == b""


def test_messages_envelopes_and_addresses_are_frozen():
    for value, name in ((WHOLE, "uid"), (WHOLE.envelope, "subject"), (Address("a", "b", "c"), "name")):
        with pytest.raises(AttributeError, match="frozen|cannot assign"):
            setattr(value, name, 1)
        with pytest.raises((AttributeError, TypeError)):
            value.something_else = 1


def test_an_envelope_decodes_every_field():
    found = envelope(
        date=b'"Tue, 06 Feb 2024 16:51:37 +0100"',
        subject=b'"=?utf-8?q?Caf=C3=A9?= \\"quoted\\""',
        from_=b'(("=?utf-8?q?Ad=C3=A4?=" NIL "ada" "example.com")(NIL NIL "bob" "example.org"))',
        sender=b'((NIL NIL "list" "example.com"))',
        reply_to=b'((NIL NIL "reply" "example.com"))',
        to=b'((NIL NIL "to" "example.com"))',
        cc=b'((NIL NIL "cc" "example.com") (NIL NIL "cd" "example.com"))',
        bcc=b'((NIL NIL {3}\r\nbcc "example.com"))',
        reply=b'" <1@x> "',
        id_=b'"<2@x>"',
    )
    assert found.date == dt.datetime(2024, 2, 6, 15, 51, 37, tzinfo=dt.UTC)
    assert found.subject == 'Café "quoted"'
    assert found.from_ == (Address("Adä", "ada", "example.com"), Address("", "bob", "example.org"))
    assert [str(one) for one in found.from_] == ["Adä <ada@example.com>", "bob@example.org"]
    everybody = [found.sender, found.reply_to, found.to, found.cc, found.bcc]
    assert [[one.address for one in field] for field in everybody] == [
        ["list@example.com"],
        ["reply@example.com"],
        ["to@example.com"],
        ["cc@example.com", "cd@example.com"],
        ["bcc@example.com"],
    ]
    assert (found.in_reply_to, found.message_id) == ("<1@x>", "<2@x>")


@pytest.mark.parametrize(
    ("raw", "date"),
    [
        (b'"Tue, 06 Feb 2024 16:51:37 -0000"', dt.datetime(2024, 2, 6, 16, 51, 37, tzinfo=dt.UTC)),
        (b'"06 Feb 2024 16:51:37"', dt.datetime(2024, 2, 6, 16, 51, 37, tzinfo=dt.UTC)),
        (b'"yesterday"', None),
        (b'""', None),
        (b'"99 Feb 2024 16:51:37 +0000"', None),
        (b'"06 Feb 2024 16:51:37 +9999999999"', None),
        (b'"\xff\xfe"', None),
        (b"NIL", None),
    ],
)
def test_a_date_is_aware_or_none(raw, date):
    assert envelope(date=raw).date == date


@pytest.mark.parametrize(
    ("field", "people"),
    [
        (b"NIL", ()),
        (b"((NIL NIL NIL NIL))", ()),  # Gmail on an empty address
        (b'((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL))', (Address("", "undisclosed-recipients", ""),)),
        # name and address swapped (MailKit#494, #263)
        (b'(("<s@d.com>" NIL "=?UTF-8?Q?S=C3=A4?=" NIL))', (Address("Sä", "s", "d.com"),)),
        (b'(("Calendar <calendar@google.com>" NIL "Google" NIL))', (Address("Calendar", "calendar", "google.com"),)),
        (b'(("<nobody>" NIL NIL NIL))', (Address("", "nobody", ""),)),
        (b'(("just a name" NIL NIL NIL))', (Address("just a name", "", ""),)),
        (b'((NIL NIL {2}\r\n\xc3\xa9 "x.example"))', (Address("", "é", "x.example"),)),
        (b'("one" NIL "without" "its.list")', (Address("one", "without", "its.list"),)),
    ],
)
def test_people_are_read_whatever_the_server_got_wrong(field, people):
    assert envelope(from_=field).from_ == people
    assert envelope(from_=field, subject=b"7").from_ == people, "and in an envelope of the wrong shape"


def test_who_is_remembered_is_no_longer_than_a_line():
    many = b"(" + b"".join(b'("P%d" NIL "p%d" "x.example")' % (n, n) for n in range(300)) + b")"
    assert [one.name for one in envelope(from_=many).from_] == [f"P{n}" for n in range(300)]
    assert envelope(from_=ADA).from_ is envelope(from_=ADA).from_


def test_envelopes_compare_by_what_they_say():
    assert envelope(subject=b'"x"') == envelope(subject=b"{1}\r\nx")
    assert hash(envelope(subject=b'"x"')) == hash(envelope(subject=b"{1}\r\nx"))
    assert envelope(subject=b'"x"') != envelope(subject=b'"y"')
    assert envelope() != "envelope"
    assert repr(envelope(subject=b'"x"')) == (
        "Envelope(subject='x', from_=(Address(name='Ada', mailbox='ada', host='example.com'),), message_id='')"
    )


def test_items_become_those_of_the_wire():
    assert wire_items(()) == ("FLAGS", "INTERNALDATE", "RFC822.SIZE")
    assert wire_items(("uid",)) == ()
    assert wire_items(("raw", "envelope", "structure")) == ("ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[]")
    with pytest.raises(ConfigurationError, match="'subject'"):
        wire_items(("subject",))


def test_what_the_server_could_not_tell_is_told():
    silent = message(b"BODYSTRUCTURE NIL BODY[HEADER] NIL")
    assert silent.structure is None
    assert silent.parts == silent.attachments == ()
    assert silent.text == silent.html == ""
    assert silent.defects == ("the server could not tell its structure",)
    assert dict(silent.headers) == {}


def test_everything_is_read_out_of_raw():
    whole = b"Subject: =?utf-8?q?h=C3=A9?=\r\nFrom: Ann <a@x.example>\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>\xc3\xa9"
    one = message(b"BODY[] {%d}\r\n%b" % (len(whole), whole))
    assert one.envelope.subject == one.headers["subject"] == one.email["subject"] == "hé"
    assert one.envelope.from_ == (Address("Ann", "a", "x.example"),)
    assert (one.text, one.html, one.attachments, one.defects) == ("", "<p>é", (), ())
    assert one.content("1") == one.content(one.structure) == b"<p>\xc3\xa9"
    with pytest.raises(NotFetched):
        one.content("2")
    assert one.structure is one.structure


def test_defects_tell_what_could_not_be_decoded():
    bad = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain; charset=x-none\r\nContent-Transfer-Encoding: base64\r\n\r\nSGk*=\r\n"
        b'--b\r\nContent-Type: application/x; name="\xe9"\r\n\r\nx'
    )
    one = message(b"BODY[] {%d}\r\n%b" % (len(bad), bad))
    assert one.text == "Hi"
    assert one.defects == (
        "the message: the closing boundary is missing",
        "part 1: base64: characters that are not of its alphabet were left out",
        "part 1: the charset 'x-none' is unknown",
        "part 2: parameter name: not ASCII, and no charset is declared",
    )


def test_defects_of_the_header_are_told_wherever_it_comes_from():
    told = ("header subject: the charset 'x-none' is unknown", "header from: octets that are neither encoded nor UTF-8")
    bad = b"Subject: =?x-none?q?x?=\r\nFrom: \xe9 <a@x.example>\r\nX-Other: \xe9\r\n\r\n"
    assert message(b"BODY[HEADER] {%d}\r\n%b" % (len(bad), bad)).defects == told
    assert message(b"BODY[] {%d}\r\n%b" % (len(bad), bad)).defects[:2] == told
    people = b'(({1}\r\n\xe9 NIL "a" "x.example") (NIL NIL "b" "x.example"))'
    fields = b'NIL "=?x-none?q?x?=" ' + people + b" NIL NIL NIL NIL NIL NIL NIL"
    assert message(b"ENVELOPE (" + fields + b")").defects == told
    assert message(b"ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)").defects == ()


@pytest.mark.parametrize("sign", [b"(", b"a:", b'"(', b"(("])
def test_nobody_is_in_a_header_that_breaks_the_email_package_and_the_defects_say_so(sign):
    """Its reader of addresses recurses: a few hundred parentheses were enough for a RecursionError."""
    bad = b"Subject: s\r\nTo: a@x.example\r\nFrom: " + sign * 5000 + b"\r\n\r\nbody"
    for raw in (bad, b"Content-Type: message/rfc822\r\n\r\n" + bad):
        one = message(b"BODY[] {%d}\r\n%b" % (len(raw), raw))
        inner = one.parts[0].envelope if raw is not bad else one.envelope
        assert (inner.subject, inner.from_, [str(to) for to in inner.to]) == ("s", (), ["a@x.example"])
        assert len(one.defects) == 1
        assert "from" in one.defects[0]


def test_an_address_is_quoted_where_it_must_be():
    assert Address("", "two words", "x.example").address == '"two words"@x.example'
    assert Address("", 'a"b\\', "x.example").address == '"a\\"b\\\\"@x.example'
    assert Address("", "ä.b+c", "x.example").address == "ä.b+c@x.example"
    assert Address("", "", "x.example").address == "@x.example"
