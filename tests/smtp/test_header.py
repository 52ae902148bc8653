"""Header fields, on their octets: what is not touched stays as it was."""

import pytest

from aiogmail.errors import ConfigurationError
from aiogmail.smtp.header import Header, split_message

RAW = b"From: a@x\r\nReceived: one\r\n  two\r\nReceived: three\r\nSubject: =?x?=\r\n\t folded\r\nX-8: \xff\r\nBCC : secret@x\r\n"


def test_fields_come_back_as_they_were():
    header = Header(RAW)
    assert bytes(header) == RAW + b"\r\n"
    assert [field.name for field in header.fields] == ["from", "received", "received", "subject", "x-8", "bcc"]
    assert header.first("received") == "one  two"
    assert header.first("subject") == "=?x?=\t folded"
    assert header.first("x-8") == "\ufffd"
    assert header.first("nothing") == ""
    assert [field.value for field in header.all("received")] == ["one  two", "three"]


def test_fields_are_added_and_removed():
    header = Header(RAW)
    header.remove("bcc", "received")
    header.add("Date", "today")
    assert bytes(header) == b"Date: today\r\nFrom: a@x\r\nSubject: =?x?=\r\n\t folded\r\nX-8: \xff\r\n\r\n"
    with pytest.raises(ConfigurationError, match="X: a line end"):
        header.add("X", "a\r\nBcc: victim@x")


@pytest.mark.parametrize(
    ("raw", "names", "body"),
    [
        (b"A: b\r\n\r\nbody", ["a"], b"body"),
        (b"A: b\n\nbody", ["a"], b"body"),
        (b"A: b\r\n\nbody", ["a"], b"body"),
        (b"A: b\n\r\nbody", ["a"], b"body"),
        (b"A: b\r\rbody", ["a"], b"body"),
        (b"A: b\nC: d", ["a", "c"], b""),
        (b"A: b\r\nC: d\r\n", ["a", "c"], b""),
        (b"A: b\r\n\r\n", ["a"], b""),
        (b"A: b\r\n\r\n\r\nx", ["a"], b"\r\nx"),
        (b"\r\nbody", [], b"body"),
        (b"\nbody", [], b"body"),
    ],
)
def test_where_the_header_ends(raw, names, body):
    header, start = split_message(raw)
    assert [field.name for field in header.fields] == names
    assert raw[start:] == body


@pytest.mark.parametrize(
    "raw",
    [
        b"From me@x Mon\r\nA: b\r\n\r\n",
        b"no header at all",
        b" folded: first\r\n\r\n",
        b"A: b\r\nB\xe4: c\r\n\r\n",
        b": x\r\n\r\n",
        b"<html>\r\n\r\n",
    ],
)
def test_what_is_no_header_is_refused(raw):
    with pytest.raises(ConfigurationError, match="line [12] of its header"):
        split_message(raw)


@pytest.mark.parametrize("raw", [b""])
def test_nothing_is_no_message(raw):
    with pytest.raises(ConfigurationError, match="empty"):
        split_message(raw)
