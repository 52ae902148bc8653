"""The composition of a message, read from its octets."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiogmail.imap.mime import body_start, header_fields, iter_fields, read_mime

HEAD = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


def told(raw):
    return [(part.section, f"{part.type}/{part.subtype}", read_mime(raw).octets(part.section)) for part in read_mime(raw).root.walk()]


def test_parts_are_numbered_and_cut_as_a_server_does():
    raw = (
        HEAD + b"preamble\r\n--b\r\n\r\none\r\n--b \t\r\nContent-Type: message/rfc822\r\n\r\n"
        b"Subject: in\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--\r\nepilogue"
    )
    assert [(section, kind) for section, kind, _ in told(raw)] == [
        ("", "MULTIPART/MIXED"),
        ("1", "TEXT/PLAIN"),
        ("2", "MESSAGE/RFC822"),
        ("2.TEXT", "MULTIPART/ALTERNATIVE"),
        ("2.1", "TEXT/PLAIN"),
    ]
    octets = {section: part for section, _, part in told(raw)}
    assert octets["1"] == b"one"
    assert octets["2"].startswith(b"Subject: in\r\n")
    assert octets["2"].endswith(b"--c--")
    assert octets["2.1"] == b"x"
    assert read_mime(raw).octets("7") is None
    message = next(part for part in read_mime(raw).root.walk() if part.section == "2")
    assert message.envelope.subject == b"in"
    assert message.size == len(octets["2"])


@pytest.mark.parametrize(
    ("raw", "defect"),
    [
        (b"Content-Type: multipart/mixed\r\n\r\nx", "the message: a multipart without a boundary"),
        (HEAD + b"x", "the message: its boundary is not found"),
        (HEAD + b"--b\r\n\r\nx", "the message: the closing boundary is missing"),
        (b"Content-Type: plain\r\n\r\nx", "part 1: the content type b'plain' is none"),
        (HEAD + b"--b\r\nContent-Type: multipart/x\r\n\r\nx\r\n--b--", "part 1: a multipart without a boundary"),
    ],
)
def test_what_is_wrong_is_told_and_what_is_there_can_be_read(raw, defect):
    found = read_mime(raw)
    assert found.defects == [defect]
    assert [found.octets(part.section) for part in found.root.walk() if part.type == "TEXT"] == [b"x"]


def test_a_content_type_that_is_empty_is_text_and_no_defect():
    found = read_mime(b"Content-Type:\r\n\r\nx")
    assert (found.root.type, found.root.subtype, found.defects) == ("TEXT", "PLAIN", [])


def test_levels_and_parts_are_bounded():
    levels = 200
    raw = b"".join(b"Content-Type: multipart/mixed; boundary=x%d\r\n\r\n--x%d\r\n" % (level, level) for level in range(levels))
    found = read_mime(raw)
    assert any("more than 50 levels" in defect for defect in found.defects)
    found = read_mime(HEAD + b"--b\r\n\r\n" * 11_000 + b"--b--")
    assert len(found.root.children) == 10_000 - 1
    assert found.defects == ["the message: more than 10000 parts are not read"]
    assert len(list(read_mime(b"Content-Type: message/rfc822\r\n\r\n" * 200).root.walk())) == 51


def test_a_header_ends_where_it_ends():
    assert body_start(b"A: b\r\n\r\nbody") == 8
    assert body_start(b"A: b\n\nbody") == 6
    assert body_start(b"\r\nbody") == 2
    assert body_start(b"A: b") == 4
    assert body_start(b"A: b\r\nno field\r\n") == 6
    assert body_start(b"From x\r\nA: b\r\n\r\n") == 16
    assert body_start(b"A: b\r\nFrom x\r\n") == 6
    assert body_start(b"") == 0
    assert header_fields(b"A: 1\r\n 2\r\nb: 3\r\nA: 4\r\n\r\n")[0] == {b"a": b"1 2", b"b": b"3"}
    assert list(iter_fields(b" folded\r\nA : 1\r\n\t2\r\nnothing\r\n 3\r\nB:", 0, 100)) == [(b"A", b"1\t2"), (b"B", b"")]


def test_people_within_are_read_however_they_are_written():
    raw = b'Content-Type: message/rfc822\r\n\r\nFrom: "a\\"b c"@x.example, Bob <bob>, <>\r\nTo: ,,;;\r\n\r\nx'
    [inner, _] = read_mime(raw).root.walk()
    assert [(one.name, one.mailbox, one.host) for one in inner.envelope.from_][:2] == [
        (None, b'a"b c', b"x.example"),
        (b"Bob", b"bob", None),
    ]


@pytest.mark.parametrize("error", [IndexError, TypeError, ValueError, RecursionError])
def test_what_the_email_package_cannot_read_is_nobody(monkeypatch, error):
    def broken(values, **strict):
        raise error("a mistake of the parser's")

    monkeypatch.setattr("aiogmail.imap.mime.getaddresses", broken)
    found = read_mime(b"Content-Type: message/rfc822\r\n\r\nFrom: a@x.example\r\n\r\nx")
    assert found.root.envelope.from_ == ()
    assert found.defects == ["part 1: the addresses in its header from cannot be read"]


@pytest.mark.nightly
def test_the_time_grows_with_the_length():
    for piece in (b"--b\r\n", b"--b", b"--b ", b"a: b\r\n", b"\r\n", b" \r\n", b"--b\r\n--b--\r\n"):
        seconds = []
        for count in (50_000, 100_000):
            began = time.process_time()
            read_mime(HEAD + piece * count)
            seconds.append(time.process_time() - began)
        assert seconds[1] < 3.5 * seconds[0] + 0.05, piece


@given(st.binary(max_size=400), st.sampled_from([b"", HEAD, HEAD + b"--b\r\n"]))
def test_nothing_raises(octets, head):
    found = read_mime(head + octets)
    for part in found.root.walk():
        assert found.octets(part.section) is not None
