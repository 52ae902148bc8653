import time

import pytest

from aiogmail.testing import mime

NESTED = (
    b"Subject: outer\r\nContent-Type: multipart/mixed; boundary=out\r\n\r\n"
    b'--out\r\nContent-Type: multipart/alternative;\r\n boundary="in ner"\r\n\r\n'
    b"--in ner\r\n\r\nplain\r\n--in ner  \r\nContent-Type: text/html\r\n\r\n<b>html</b>\r\n--in ner--\r\n"
    b"--out\r\nContent-Type: message/rfc822\r\n\r\nSubject: within\r\nContent-Type: multipart/mixed; boundary=deep\r\n\r\n"
    b"--deep\r\n\r\none\r\n--deep\r\n\r\ntwo\r\n--deep--\r\n"
    b"--out--\r\n"
)


def text_of(raw, path):
    part = mime.find(mime.parse(raw), path)
    return None if part is None else raw[part.body : part.end]


def test_line_ends_become_crlf_and_whole_messages_stay_themselves():
    raw = b"a: b\r\n\r\nc"
    assert mime.with_crlf(raw) is raw
    assert mime.with_crlf(b"a\nb\r\nc\n") == b"a\r\nb\r\nc\r\n"


@pytest.mark.parametrize(("raw", "start"), [(b"a: b\r\n\r\nc", 8), (b"\r\nbody", 2), (b"a: b\r\n", 6), (b"", 0)])
def test_the_body_starts_after_the_blank_line(raw, start):
    assert mime.body_start(raw) == start


def test_fields_keep_their_folds_and_nonsense_lines_are_passed_over():
    raw = b"A: 1\r\n 2\r\nnonsense\r\nb : 3\r\n\r\n"
    assert mime.header_fields(raw, 0, len(raw)) == [(b"a", b"A: 1\r\n 2\r\n"), (b"b", b"b : 3\r\n")]


def test_a_value_is_found_and_unfolded():
    raw = b"Subject: one\r\n two\r\nReferences:\r\n <a>\r\nX: y\r\n\r\nSubject: body"
    assert mime.header_value(raw, b"subject") == b"one two"
    assert mime.header_value(raw, b"references") == b"<a>"
    assert mime.header_value(raw, b"date") is None


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((1, 1), b"plain"),
        ((1, 2), b"<b>html</b>"),
        ((2, 1), b"one"),
        ((2, 2), b"two"),
        ((2, 3), None),
        ((3,), None),
        ((0,), None),
        ((1, 1, 1), None),
        ((1, 1, 2), None),
    ],
)
def test_parts_are_found_by_their_numbers(path, text):
    assert text_of(NESTED, path) == text


def test_part_1_of_a_plain_message_is_its_body():
    assert text_of(b"A: b\r\n\r\nbody", (1,)) == b"body"
    assert text_of(b"A: b\r\n\r\nbody", (2,)) is None


def test_a_message_that_is_a_message_has_that_as_its_part_1():
    raw = b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody"
    assert text_of(raw, (1,)) == b"Subject: in\r\n\r\nbody"
    assert text_of(raw, (1, 1)) == b"body"
    assert text_of(raw, (1, 1, 1)) is None


def test_a_multipart_without_boundary_or_parts_is_left_whole():
    for head in (b"multipart/mixed", b"multipart/mixed; boundary=x"):
        root = mime.parse(b"Content-Type: " + head + b"\r\n\r\nnothing")
        assert (root.kind, root.children) == (b"MULTIPART", [])


def test_a_missing_closing_delimiter_and_an_empty_part():
    raw = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x\r\n\r\nlast"
    assert text_of(raw, (1,)) == b""
    assert text_of(raw, (2,)) == b"last"


def test_an_encoded_message_within_is_a_basic_part():
    raw = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdA=="
    assert not mime.parse(raw).is_message


def test_what_nests_too_deep_is_left_whole():
    raw = b"\r\nend"
    for _ in range(40):
        raw = b"Content-Type: message/rfc822\r\n\r\n" + raw
    part, depth = mime.parse(raw), 0
    while part.children:
        part, depth = part.children[0], depth + 1
    assert depth == mime.MAX_DEPTH


def test_a_million_delimiters_give_a_thousand_parts():
    raw = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n\r\n" * 5000
    assert len(mime.parse(raw).children) == mime.MAX_PARTS


@pytest.mark.parametrize("value", [b"text", b"/plain", b"text/", b""])
def test_a_broken_content_type_is_text_plain(value):
    root = mime.parse(b"Content-Type: " + value + b"\r\n\r\n")
    assert (root.kind, root.subtype) == (b"TEXT", b"PLAIN")


def test_parameters_are_unquoted():
    assert mime.parameters(rb'a/b; Name="x \"y\" z"; charset=utf-8;flag') == [(b"NAME", rb'x "y" z'), (b"CHARSET", b"utf-8")]


@pytest.mark.parametrize(
    ("head", "body", "text"),
    [
        (b"Content-Transfer-Encoding: base64", b"R3LDvMOf\r\nZQ==", "Grüße"),
        (b"Content-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=iso-8859-1", b"Gr=FC=DFe", "Grüße"),
        (b"Content-Type: text/plain; charset=nonsense", b"Gr\xfc", "Grü"),
        (b'Content-Type: text/plain; charset="\xff"', b"Gr\xfc", "Grü"),
        (b"Content-Type: text/html", b"<p>Hi</p>", " Hi "),
        (b"Content-Type: image/png", b"png", ""),
    ],
)
def test_text_is_decoded(head, body, text):
    raw = head + b"\r\n\r\n" + body
    assert mime.decoded_text(raw, mime.parse(raw)) == text


def test_the_text_of_all_parts_in_order():
    assert mime.decoded_text(NESTED, mime.parse(NESTED)).split() == ["plain", "html", "one", "two"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?b?R3LDvMOfZQ==?= x", "Grüße x"),
        (b"=?nonsense?q?a=FC?=", "=?nonsense?q?a=FC?="),
        ("Grüße".encode(), "Grüße"),
    ],
)
def test_encoded_words_are_decoded(value, text):
    assert mime.decoded_header(value) == text


def test_html_full_of_angles_is_read_in_a_moment():
    raw = b"Content-Type: text/html\r\n\r\n" + b"<" * 400_000
    start = time.perf_counter()
    mime.decoded_text(raw, mime.parse(raw))
    assert time.perf_counter() - start < 5
