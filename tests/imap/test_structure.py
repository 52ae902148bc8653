"""The decoded tree of a message's parts, as servers tell it: also as Gmail gets it wrong."""

import pytest

from aiogmail import BodyPart, ConfigurationError, Message
from aiogmail.imap.structure import part_number
from aiogmail.imap.wire import ResponseParser

PDF = (
    b'("APPLICATION" "PDF" ("NAME*" "utf-8\'\'%C3%9C.pdf") "<id@x>" "=?utf-8?q?d=C3=A9?=" "BASE64" 120 "md5" '
    b'("ATTACHMENT" ("FILENAME" {12}\r\n=?utf-8?q?x?)) ("de" "en") "http://x.example")'
)


def structure(told):
    [row] = ResponseParser().feed(b"* 3 FETCH (UID 7 BODYSTRUCTURE " + told + b")\r\n")
    return Message(row).structure


def test_a_part_tells_all_of_it_decoded():
    part = structure(PDF)
    assert (part.number, part.type, part.subtype, part.content_type) == ("1", "application", "pdf", "application/pdf")
    assert (part.encoding, part.size, part.lines, part.id) == ("base64", 120, None, "<id@x>")
    assert (part.description, part.md5, part.language, part.location) == ("dé", "md5", ("de", "en"), "http://x.example")
    assert part.params == {"name": "Ü.pdf"}
    assert part.disposition == "attachment"
    assert part.is_attachment
    assert part.filename == "=?utf-8?q?x?"
    assert part.charset == ""
    assert not part.is_multipart
    assert repr(part) == "BodyPart('1', 'application/pdf', filename='=?utf-8?q?x?', size=120, disposition='attachment')"


def test_parts_are_frozen_values():
    one, other = structure(PDF), structure(PDF)
    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(AttributeError):
        one.size = 1
    with pytest.raises(TypeError):
        one.params["name"] = "x"


def test_a_tree_is_walked_searched_and_read():
    text = b'("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "8BIT" 5 1 NIL NIL NIL)'
    html = b'("TEXT" "HTML" NIL NIL NIL "7BIT" 5 1 NIL NIL NIL)'
    message = (
        b'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 90 ("date" "inner" NIL NIL NIL NIL NIL NIL NIL "<in@x>") (' + text + html + b' "MIXED") 4)'
    )
    root = structure(b"((" + text + html + b' "ALTERNATIVE" ("BOUNDARY" "b") NIL NIL)' + PDF + message + b' "MIXED")')
    numbers = ["", "1", "1.1", "1.2", "2", "3", "3.TEXT", "3.1", "3.2"]
    assert [part.number for part in root.parts] == numbers
    assert root.find("3").envelope.subject == "inner"
    assert root.find("3.1").charset == "utf-8"
    assert root.find("9") is None
    assert [part.number for part in root.leaves()] == ["1.1", "1.2", "2", "3"]
    assert root.body("plain").number == "1.1"
    assert root.body("html").number == "1.2"
    assert root.body("enriched") is None
    assert root.children[0].params == {"boundary": "b"}


@pytest.mark.parametrize(
    ("told", "parts"),
    [
        # nested multiparts that share a boundary (MailKit#205, #777, #1841)
        (b'("ALTERNATIVE" ("BOUNDARY" "b") NIL NIL)', [("", "multipart/alternative")]),
        (b'("RELATED" NIL ("ATTACHMENT" NIL) NIL)', [("", "multipart/related")]),
        (b'("ALTERNATIVE")', [("", "multipart/alternative")]),
        (
            b'(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1) ("MIXED" ("BOUNDARY" "b") NIL NIL) "MIXED")',
            [("", "multipart/mixed"), ("1", "text/plain"), ("2", "multipart/mixed")],
        ),
        # multiparts without extension data
        (
            b'(("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1)("TEXT" "HTML" NIL NIL NIL "7BIT" 1 1) "MIXED")',
            [("", "multipart/mixed"), ("1", "text/plain"), ("2", "text/html")],
        ),
        # a message in base64 in the form of a basic part (MailKit#32, #59)
        (b'("MESSAGE" "RFC822" ("NAME" "x.eml") NIL NIL "BASE64" 800 NIL ("ATTACHMENT" NIL) NIL)', [("1", "message/rfc822")]),
        (b'("TEXT")', [("1", "text/")]),
        (b"()", [("", "multipart/")]),
        (b"(NIL NIL NIL NIL NIL NIL NIL)", [("", "multipart/")]),
    ],
)
def test_what_gmail_gets_wrong_is_read_as_far_as_it_makes_sense(told, parts):
    [row] = ResponseParser().feed(b"* 3 FETCH (UID 7 BODYSTRUCTURE " + told + b")\r\n")
    message = Message(row)
    assert [(part.number, part.content_type) for part in message.structure.parts] == parts
    assert isinstance(message.attachments, tuple)
    assert isinstance(message.defects, tuple)
    if any(part.is_multipart and not part.children for part in message.parts):
        assert any("without its parts" in defect for defect in message.defects)


def test_an_empty_related_has_no_text():
    related = BodyPart("", "multipart", "related")
    assert related.body("html") is None
    assert BodyPart("1", "image", "png").body("html") is None


@pytest.mark.parametrize(
    ("start", "number"),
    [(b'"<root@x>"', "2"), (b'"<nobody@x>"', None), (b'""', None)],
    ids=["named", "named wrongly", "not named"],
)
def test_the_text_of_a_related_is_its_root(start, number):
    html = b'("TEXT" "HTML" NIL "<root@x>" NIL "7BIT" 1 1)'
    image = b'("IMAGE" "PNG" NIL "<image@x>" NIL "BASE64" 4)'
    found = structure(b"(" + image + html + b' "RELATED" ("BOUNDARY" "b" "START" ' + start + b") NIL NIL)").body("html")
    assert (found and found.number) == number  # where none is named, the first is the root: the image
    assert structure(b"(" + html + image + b' "RELATED" ("BOUNDARY" "b" "START" ' + start + b") NIL NIL)").body("html").number == "1"


def test_what_names_a_part():
    assert part_number("1.2") == "1.2"
    assert part_number(BodyPart("3", "text", "plain")) == "3"
    for bad in ("", "1.TEXT", "0", BodyPart("", "multipart", "mixed"), None):
        with pytest.raises(ConfigurationError, match="part: expected the number of a part"):
            part_number(bad)
