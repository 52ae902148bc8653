import pytest

from aiogmail.imap.wire import Address, Envelope
from aiogmail.imap.wire.envelope import read_addresses

from .ways import one

PERSON = '("Ann" NIL "ann" "x.org")'
ANN = Address(b"Ann", None, b"ann", b"x.org")


def read(text: str) -> Envelope | None:
    return one(f"* 1 FETCH (ENVELOPE {text})").get("ENVELOPE")


def test_every_field_has_its_place():
    people = [f'(("{name}" NIL "{name}" "x.org"))' for name in "abcdef"]
    envelope = read(f'("date" "subject" {" ".join(people)} "<r>" "<m>")')
    assert (envelope.date, envelope.subject, envelope.in_reply_to, envelope.message_id) == (b"date", b"subject", b"<r>", b"<m>")
    fields = envelope.from_, envelope.sender, envelope.reply_to, envelope.to, envelope.cc, envelope.bcc
    assert fields == tuple((Address(name.encode(), None, name.encode(), b"x.org"),) for name in "abcdef")


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("NIL", ()),
        (f"({PERSON})", (ANN,)),
        (f"({PERSON}{PERSON})", (ANN, ANN)),
        (f"({PERSON} {PERSON})", (ANN, ANN)),
        ("((NIL NIL NIL NIL))", (Address(None, None, None, None),)),
        ('((NIL NIL "group" NIL)(NIL NIL NIL NIL))', (Address(None, None, b"group", None), Address(None, None, None, None))),
        ('(("smile :-( or (" nil "a)(b" "x"))', (Address(b"smile :-( or (", None, b"a)(b", b"x"),)),
        (
            '(("a \\"b\\" \\\\ c" NIL "a" "b")("x" "y" "z" "w"))',
            (Address(b'a "b" \\ c', None, b"a", b"b"), Address(b"x", b"y", b"z", b"w")),
        ),
        ('(({3}\n("a NIL {2}\nb) "c"))', (Address(b'("a', None, b"b)", b"c"),)),
        ('(("é" NIL "a" {0}\n)(NIL NIL {1}\n( NIL))', (Address("é".encode(), None, b"a", b""), Address(None, None, b"(", None))),
        ("()", ()),
        ('(NIL NIL "a" "b")', (Address(None, None, b"a", b"b"),)),
        ('((NIL NIL "a"))', (Address(None, None, b"a", None),)),
        ("((a (b) 5 NIL)(x))", (Address(b"a", None, b"5", None), Address(b"x", None, None, None))),
        ("x", ()),
        ('("a" ((x)))', (Address(None, None, None, None),)),
    ],
)
def test_addresses_are_read_in_every_shape(text, people):
    envelope = read(f'("d" "s" {text} NIL NIL NIL NIL NIL NIL "m")')
    assert envelope.from_ == people
    assert envelope.message_id == b"m"
    envelope = read(f'("d" {{2}}\n{{5 NIL NIL NIL NIL NIL {text} NIL "m")')
    assert envelope.bcc == people
    assert envelope.subject == b"{5"


def test_a_field_that_repeats_the_author_has_literals_of_its_own():
    person = '(({3}\n%s NIL "x" "y"))'
    envelope = read(f'("d" "s" {person % "ann"} {person % "bob"} {person % "eve"} NIL NIL NIL NIL "m")')
    assert [field[0].name for field in (envelope.from_, envelope.sender, envelope.reply_to)] == [b"ann", b"bob", b"eve"]


@pytest.mark.parametrize("sender", ["NIL", f"({PERSON})", f"({PERSON}{PERSON})", f'({PERSON}("x" NIL "y" "z"))'])
def test_a_sender_that_begins_like_the_author_is_read_to_its_end(sender):
    for author in ("NIL", f"({PERSON})"):
        envelope = read(f'("d" "s" {author} {sender} {author} NIL NIL NIL NIL "m")')
        assert envelope.from_ == envelope.reply_to == ((ANN,) if author != "NIL" else ())
        assert len(envelope.sender) == sender.count(" NIL ")
        assert envelope.message_id == b"m"


def test_strings_are_raw():
    envelope = read('("a\\\\b" "=?UTF-8?Q?caf=C3=A9?=" NIL NIL NIL NIL NIL NIL {3}\n"\n NIL)')
    assert envelope.date == b"a\\b"
    assert envelope.subject == b"=?UTF-8?Q?caf=C3=A9?="
    assert envelope.in_reply_to == b'"\r\n'
    assert envelope.message_id is None


@pytest.mark.parametrize("text", ["()", "(NIL)", '("d")', "(((((a)))))", '("d" (x) "from" 5 NIL)', "(a b c d e f g h i j k)"])
def test_an_envelope_of_another_shape_gives_what_it_can(text):
    envelope = read(text)
    assert len(envelope._fields()) == 10
    assert envelope.from_ == () or isinstance(envelope.from_[0], Address)


def test_no_envelope_is_none():
    assert read("NIL") is None
    assert read("x") is None


def test_envelopes_that_say_the_same_are_equal_and_show_what_matters():
    a = read('("d" "s" NIL NIL NIL NIL NIL NIL NIL "m")')
    b = read('("d" {1}\ns NIL NIL NIL NIL NIL NIL NIL "m")')
    assert a == b
    assert hash(a) == hash(b)
    assert a != read("()")
    assert a != 1
    assert repr(a) == "Envelope(date=b'd', subject=b's', from_=(), message_id=b'm')"


def test_a_short_field_can_be_remembered_by_its_bytes():
    people = '(("A" NIL "a" "x.y") (NIL NIL "b" "x.y"))'
    envelope = one(f'* 1 FETCH (UID 1 ENVELOPE (NIL "s" {people} NIL NIL NIL (({{1}}\nC NIL "c" "x.y")) NIL NIL NIL))').get("ENVELOPE")
    assert envelope.key(2) == (people.encode(), ())
    assert read_addresses(people.encode()) == envelope.addresses(2) == envelope.from_
    assert envelope.key(6) == (b'(({1}\r\n NIL "c" "x.y"))', (b"C",))
    assert envelope.addresses(6) == (Address(b"C", None, b"c", b"x.y"),)
    assert Envelope.from_value((None, b"s", ((b"A", None, b"a", b"x"),))).key(2) is None
    long = one(f'* 1 FETCH (UID 1 ENVELOPE (NIL "{"s" * 300}" {people} NIL NIL NIL (({{300}}\n{"C" * 300} NIL "c" "x.y")) NIL NIL NIL))')
    assert long.get("ENVELOPE").key(1) is None
    assert long.get("ENVELOPE").key(6) is None
