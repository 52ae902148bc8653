"""Six hundred messages, read by us and by the standard library: the same comes out where they are well-formed, and nothing raises."""

import email
from email import policy

import pytest

from aiogmail.imap.models import Message
from aiogmail.imap.wire import ResponseParser
from aiogmail.settings import Limits
from tests.imap.corpus import MALFORMED, SHIPPED, WELL_FORMED

NO_REFERENCE = {
    **dict.fromkeys(
        ("msg_01.txt", "msg_03.txt", "msg_04.txt", "msg_06.txt", "msg_14.txt", "msg_20.txt", "msg_27.txt", "msg_29.txt", "msg_44.txt"),
        "a name with a dot and no quotes (obs-phrase of RFC 5322), for which email.policy.default gives none: the rest is compared",
    ),
    "msg_37.txt": "two boundaries follow each other: the email package joins them, IMAP servers count a part between them",
}
"""Of the standard library's messages those whose reading is no reference, and why."""


def of_raw(raw):
    [row] = ResponseParser(Limits()).feed(b"* 1 FETCH (UID 1 BODY[] {%d}\r\n%b)\r\n" % (len(raw), raw))
    return Message(row)


def ours(message):
    """What somebody sees of a message; every property of it is touched."""
    envelope = message.envelope
    people = [envelope.from_, envelope.to, envelope.cc, envelope.reply_to, envelope.sender, envelope.bcc]
    assert all(isinstance(text, str) for text in (envelope.subject, envelope.message_id, envelope.in_reply_to))
    assert isinstance(message.defects, tuple)
    return {
        "subject": envelope.subject,
        "people": [[(one.name, one.address) for one in field] for field in people[:3]],
        "text": message.text,
        "html": message.html,
        "attachments": [
            (part.filename, part.content_type, None if part.children or part.type == "message" else message.content(part))
            for part in message.attachments
        ],
    }


def leaves(part):
    if part.get_content_maintype() == "multipart" and part.is_multipart():
        for child in part.iter_parts():
            yield from leaves(child)
    else:
        yield part


def reference(raw):
    """The same, by the email package over the octets."""
    message = email.message_from_bytes(raw, policy=policy.default)
    bodies = [message.get_body((subtype,)) for subtype in ("plain", "html")]
    return {
        "subject": str(message["subject"] or "").strip(),
        "people": [
            [(one.display_name, one.addr_spec) for one in message[name].addresses] if message[name] is not None else []
            for name in ("from", "to", "cc")
        ],
        "text": "" if bodies[0] is None else bodies[0].get_content(),
        "html": "" if bodies[1] is None else bodies[1].get_content(),
        "attachments": [
            (
                part.get_filename() or "",
                part.get_content_type(),
                None if part.get_content_maintype() == "message" else part.get_payload(decode=True),
            )
            for part in leaves(message)
            if part not in bodies
        ],
    }


def same(found, expected):
    """The email package puts a space between the encoded words of a name, which RFC 2047 section 6.2 forbids: names are compared without."""
    for read in (found, expected):
        read["people"] = [[("".join(name.split()), address) for name, address in field] for field in read["people"]]
    return found == expected


def test_the_corpus_is_large_enough():
    assert len(WELL_FORMED) + len(MALFORMED) >= 500
    assert len(WELL_FORMED) >= 300


@pytest.mark.unmeasured
def test_well_formed_messages_read_as_the_standard_library_reads_them():
    wrong = {}
    for name, raw in WELL_FORMED.items():
        message = of_raw(raw)
        found, expected = ours(message), reference(raw)
        if not same(found, expected) or message.defects:
            wrong[name] = {key: (found[key], expected[key]) for key in found if found[key] != expected[key]}, message.defects
    assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())


@pytest.mark.unmeasured
@pytest.mark.parametrize("part", range(4))
def test_a_malformed_message_raises_nothing(part):
    for name in sorted(MALFORMED)[part::4]:
        message = of_raw(MALFORMED[name])
        try:
            ours(message)
            everything_of_email(message.email)
            assert all(part.filename is not None for part in message.parts)
            assert dict(message.headers) is not None
        except Exception as error:
            error.add_note(f"in {name!r}")
            raise


@pytest.mark.skipif(not SHIPPED, reason="this Python comes without the standard library's tests")
def test_the_standard_librarys_own_test_messages_read_as_it_reads_them():
    compared = 0
    for name, raw in SHIPPED.items():
        message = of_raw(raw)
        found = ours(message)
        everything_of_email(message.email)
        parsed = email.message_from_bytes(raw, policy=policy.default)
        told = [parsed[field].defects for field in ("subject", "from", "to", "cc") if parsed[field] is not None]
        if name == "msg_37.txt" or any(told) or any(part.defects for part in parsed.walk()):
            continue
        expected = reference(raw)
        if name in NO_REFERENCE:
            found["people"] = expected["people"] = []
        assert same(found, expected), (name, found, expected)
        compared += 1
    assert compared >= 20


def everything_of_email(message):
    """An ``EmailMessage`` bears everything that one does to it."""
    for part in message.walk():
        for field, value in part.items():
            assert isinstance(field, str)
            assert isinstance(str(value), str)
        part.get_filename()
        part.get_content_type()
        part.is_attachment()
        if part.get_content_maintype() == "text" and not part.is_multipart():
            assert isinstance(part.get_content(), str)
    message.get_body()
    for name in ("from", "to"):
        if message[name] is not None:
            list(message[name].addresses)
    assert message["subject"] is None or isinstance(message["subject"], str)
