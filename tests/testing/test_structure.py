import pytest

from aiogmail.testing import mime
from aiogmail.testing.structure import address_list, body_structure, envelope, nstring, string


def structure(raw, extended=True):
    return body_structure(raw, mime.parse(raw), extended).decode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"a@b.c", b'((NIL NIL "a" "b.c"))'),
        (b"Ada <a@b.c>, x@y.z", b'(("Ada" NIL "a" "b.c")(NIL NIL "x" "y.z"))'),
        (b'"Love, Ada \\"x\\"" <a@b.c>', b'(("Love, Ada \\"x\\"" NIL "a" "b.c"))'),
        (b"a@b.c (Ada (L.) x)", b'(("Ada (L.) x" NIL "a" "b.c"))'),
        (b"A B <a@b.c>", b'(("A B" NIL "a" "b.c"))'),
        (b"Friends: a@b.c, d@e.f;", b'((NIL NIL "Friends" NIL)(NIL NIL "a" "b.c")(NIL NIL "d" "e.f")(NIL NIL NIL NIL))'),
        (b"undisclosed-recipients:;", b'((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL))'),
        (b"<@route.x:a@b.c>", b'((NIL NIL "a" "b.c"))'),
        (b"postmaster", b'((NIL NIL "postmaster" NIL))'),
        (b"<>", b'((NIL NIL "" NIL))'),
        (b"<a@b.c", b'((NIL NIL "a" "b.c"))'),
        (b'"open', b'((NIL NIL "open" NIL))'),
        (b"a ;", b'((NIL NIL "a" NIL))'),
        (b"(open", b"NIL"),
        (b"", b"NIL"),
        (None, b"NIL"),
    ],
)
def test_addresses(value, text):
    assert address_list(value) == text


def test_strings_are_quoted_or_literals():
    assert string(b'a"b\\') == b'"a\\"b\\\\"'
    assert string("ü".encode()) == b"{2}\r\n\xc3\xbc"
    assert string(b"x" * 1001).startswith(b"{1001}\r\n")
    assert nstring(None) == b"NIL"
    assert nstring(b"") == b'""'


def test_sender_and_reply_to_default_to_from():
    raw = b"Date: D\r\nSubject: S\r\nFrom: a@b.c\r\nReply-To: r@b.c\r\nTo: t@b.c\r\nIn-Reply-To: <x>\r\nMessage-ID: <y>\r\n\r\n"
    a, r, t = (f'((NIL NIL "{name}" "b.c"))' for name in "art")
    assert envelope(mime.parse(raw)).decode() == f'("D" "S" {a} {a} {r} {t} NIL NIL "<x>" "<y>")'
    assert envelope(mime.parse(b"\r\n")) == b"(" + b" ".join([b"NIL"] * 10) + b")"


def test_a_text_part_word_for_word():
    raw = b"Content-Type: text/plain; charset=UTF-8; format=flowed\r\n\r\na\r\nb"
    assert structure(raw) == '("TEXT" "PLAIN" ("CHARSET" "UTF-8" "FORMAT" "flowed") NIL NIL "7BIT" 4 2 NIL NIL NIL)'
    assert structure(raw, extended=False) == '("TEXT" "PLAIN" ("CHARSET" "UTF-8" "FORMAT" "flowed") NIL NIL "7BIT" 4 2)'


def test_an_attachment_with_everything():
    raw = (
        b"Content-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <c>\r\nContent-Description: d\r\n"
        b"Content-Disposition: attachment; filename=a.png\r\nContent-MD5: m\r\nContent-Language: en\r\n\r\nAAAA"
    )
    assert structure(raw) == '("IMAGE" "PNG" ("NAME" "a.png") "<c>" "d" "BASE64" 4 "m" ("ATTACHMENT" ("FILENAME" "a.png")) "en")'


def test_a_multipart_ends_in_its_parameters():
    raw = b"Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\na\r\n--B--\r\n"
    assert structure(raw) == '(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1 NIL NIL NIL) "MIXED" ("BOUNDARY" "B") NIL NIL)'
    assert structure(raw, extended=False) == '(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1) "MIXED")'


def test_a_message_within_has_its_envelope_structure_and_lines():
    raw = b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n"
    inner = '(NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3 1 NIL NIL NIL)'
    assert structure(raw) == f'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 18 {inner} 3 NIL NIL NIL)'


def test_a_childless_multipart_is_a_basic_part():
    assert structure(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n").startswith('("MULTIPART" "MIXED"')
