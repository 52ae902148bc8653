import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest

from aiogmail.imap.wire import Address, Fetch, ResponseParser
from aiogmail.imap.wire.fetch import sizes_on_the_wire, tells_all
from aiogmail.settings import Limits

from .ways import broken, one

ENVELOPE = '("Tue" "sub" (("A" NIL "a" "x.y")) NIL NIL NIL NIL NIL NIL "<m@x>")'

ATTRIBUTES = {
    "UID 5": ("UID", 5),
    "FLAGS (\\Seen a[b])": ("FLAGS", frozenset({"\\Seen", "a[b]"})),
    "MODSEQ (35312)": ("MODSEQ", 35312),
    "X-GM-THRID 1278455344230334865": ("X-GM-THRID", 1278455344230334865),
    "X-GM-MSGID 18446744073709551615": ("X-GM-MSGID", 18446744073709551615),
    'X-GM-LABELS ("\\\\Inbox" \\Sent [x] "two words")': ("X-GM-LABELS", frozenset({"\\Inbox", "\\Sent", "[x]", "two words"})),
    "RFC822.SIZE 4286": ("RFC822.SIZE", 4286),
    'INTERNALDATE "06-Feb-1992 16:51:37 +0000"': ("INTERNALDATE", datetime(1992, 2, 6, 16, 51, 37, tzinfo=UTC)),
    "BODY[] {4}\na(b)": ("BODY[]", b"a(b)"),
    'X-NEW (a "b" (1 NIL))': ("X-NEW", ("a", b"b", (1, None))),
    "EMAILID NIL": ("EMAILID", None),
}


def value(text: str, name: str, **keywords) -> object:
    """What an attribute means, in a row of the usual shape and in one that is walked."""
    usual = one(f"* 3 FETCH ({text})", **keywords)
    walked = one(f"* 3 FETCH (uid 9 {text} X[1] 2)", **keywords)
    assert usual.get(name) == walked.get(name)
    assert repr(usual.get(name)) == repr(walked.get(name))
    return usual.get(name, "absent")


@pytest.mark.parametrize("text", list(ATTRIBUTES))
def test_an_attribute_alone_is_read(text):
    name, expected = ATTRIBUTES[text]
    row = one(f"* 12 FETCH ({text})")
    assert row.get(name) == expected
    assert row.get(name) == expected  # a second time, from memory
    assert row.seq == 12
    assert row.names() == (name,)
    assert row.attributes == {name: expected}
    assert name in row
    assert "X-GM-ABSENT" not in row
    assert row.get("X-GM-ABSENT", 7) == 7
    assert value(text, name) == expected


def test_attributes_are_read_in_any_order_and_any_case():
    rng = random.Random(5)
    for _ in range(60):
        texts = rng.sample(list(ATTRIBUTES), rng.randint(2, len(ATTRIBUTES)))
        expected = dict(ATTRIBUTES[text] for text in texts)
        for line in (" ".join(texts), " ".join(text.replace("UID", "uid", 1) if text.startswith("UID") else text for text in texts)):
            (row,) = ResponseParser().feed(f"* 7 fetch ({line})\r\n".replace("\n", "\r\n").replace("\r\r", "\r").encode())
            assert {name: row.get(name) for name in rng.sample(list(expected), len(expected))} == expected
            assert row.names() == tuple(expected)
            assert row.uid == expected.get("UID")
            assert row.flags == expected.get("FLAGS")


def test_absent_attributes_are_absent_and_not_none():
    row = one("* 1 FETCH (EMAILID NIL)")
    assert row.uid is None
    assert row.flags is None
    for name in ("UID", "FLAGS", "MODSEQ", "X-GM-LABELS", "ENVELOPE", "BODYSTRUCTURE", "BODY[]", "BODY[1]", "X"):
        assert row.get(name, "absent") == "absent"
        assert name not in row
    assert row.get("EMAILID", "absent") is None
    body = one("* 1 FETCH (BODY[] NIL)")
    assert body.get("BODY[]", "absent") is None
    assert body.get("BODY[1]", "absent") == "absent"


def test_an_empty_row_tells_nothing():
    assert one("* 1 FETCH ()").names() == ()


def test_the_same_flags_are_the_same_object_and_the_memory_of_them_is_bounded():
    parser = ResponseParser()
    rows = parser.feed(b"* 1 FETCH (FLAGS (\\Seen $x))\r\n* 2 FETCH (FLAGS (\\Seen $x) UID 4)\r\n* 3 FETCH (FLAGS ())\r\n")
    assert rows[0].flags is rows[1].flags
    assert rows[0].get("FLAGS") is rows[0].flags
    assert rows[2].flags == frozenset()
    long = b" ".join(b"flag%d" % n for n in range(100))
    one_, two = parser.feed(b"* 1 FETCH (FLAGS (%s))\r\n" % long * 2)
    assert one_.flags == two.flags
    assert len(one_.flags) == 100
    assert one_.flags is not two.flags
    for start in range(0, 6000, 1000):
        parser.feed(b"".join(b"* 1 FETCH (FLAGS (k%d))\r\n" % n for n in range(start, start + 1000)))
    (row,) = parser.feed(b"* 1 FETCH (FLAGS (k5999))\r\n")
    assert row.flags == {"k5999"}
    assert len(parser._fetch.flag_sets) == 4096


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("BODY[]", "BODY[]"),
        ("body[text]", "BODY[TEXT]"),
        ("BODY[1.2.MIME]", "BODY[1.2.MIME]"),
        ("BODY[1]<0>", "BODY[1]<0>"),
        ("BODY[]<1048576>", "BODY[]<1048576>"),
        ("BODY[HEADER.FIELDS (Message-ID from)]", "BODY[HEADER.FIELDS (MESSAGE-ID FROM)]"),
        ('BODY[HEADER.FIELDS ("Date" "From")]', "BODY[HEADER.FIELDS (DATE FROM)]"),
        ("BODY[HEADER.FIELDS.NOT ({4}\nDate)]<3>", "BODY[HEADER.FIELDS.NOT (DATE)]<3>"),
        ("RFC822", "RFC822"),
        ("RFC822.HEADER", "RFC822.HEADER"),
        ("RFC822.TEXT", "RFC822.TEXT"),
        ("BINARY[1]", "BINARY[1]"),
        ("BINARY[1]<7>", "BINARY[1]<7>"),
    ],
)
@pytest.mark.parametrize(
    ("text", "octets"),
    [("NIL", None), ('""', b""), ('"a\\"b"', b'a"b'), ("{0}\n", b""), ("{3}\n)\n", b")\r\n"), ("~{2}\nab", b"ab"), ("nil", None)],
)
def test_a_section_is_read_by_its_canonical_name(section, name, text, octets):
    for line in (f"{section} {text}", f"UID 4 {section} {text} FLAGS ()", f'X {{2}}\nzz ENVELOPE NIL {section} {text} Y "q"'):
        row = one(f"* 1 FETCH ({line})")
        assert row.get(name, "absent") == octets


def test_several_sections_stand_in_one_row():
    row = one("* 1 FETCH (UID 3 BODY[HEADER] {2}\nhh BODY[TEXT]<0> {2}\ntt FLAGS ())")
    assert row.get("BODY[TEXT]<0>") == b"tt"
    assert row.get("BODY[HEADER]") == b"hh"
    assert row.get("BODY[]", 0) == 0


def test_the_last_of_a_repeated_attribute_counts():
    assert one("* 1 FETCH (UID 3 UID 4)").uid == 4
    assert one("* 1 FETCH (uid 3 UID 4)").uid == 4


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("()", set()),
        ("( )", set()),
        ("(NIL)", set()),
        ("(a NIL nil)", {"a"}),
        ('("NIL" "")', {"NIL", ""}),
        ("(007 +x [Mailbox])", {"007", "+x", "[Mailbox]"}),
        ('("&AOk-t&AOk-" "été")', {"été"}),
        ("({3}\na)b c)", {"a)b", "c"}),
        ("(~{1}\n()", {"("}),
        ('("a\\\\b\\"c")', {'a\\b"c'}),
        ("(" + " ".join(f"label{n}" for n in range(60)) + ")", {f"label{n}" for n in range(60)}),
    ],
)
def test_labels_come_in_every_form_that_gmail_was_seen_to_use(text, labels):
    assert value(f"X-GM-LABELS {text}", "X-GM-LABELS") == labels


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ('"06-Feb-1992 16:51:37 +0000"', datetime(1992, 2, 6, 16, 51, 37, tzinfo=UTC)),
        ('" 6-feb-1992 16:51:37 -0730"', datetime(1992, 2, 7, 0, 21, 37, tzinfo=UTC)),
        ('"6-Feb-1992 16:51:37 +0130"', datetime(1992, 2, 6, 15, 21, 37, tzinfo=UTC)),
        ("{26}\n06-Feb-1992 16:51:37 +0000", datetime(1992, 2, 6, 16, 51, 37, tzinfo=UTC)),
        ('"31-Feb-1992 16:51:37 +0000"', None),
        ('"06-Foo-1992 16:51:37 +0000"', None),
        ('"06-Feb-1992 16:51:37 +9900"', None),
        ('"06-Feb-1992 16:51:37"', None),
        ('"6-February-1992 16:51:37 +0000"', None),
        ('"06-Feb-92 16:51:37 +0000"', None),
        ('"06-Feb-1992 16:51.37 +0000"', None),
        ('"06-Feb-1992 1a:51:37 +0000"', None),
        ('"06-Feb-1992 16:51:37 GMT+1"', None),
        ('""', None),
    ],
)
def test_an_internal_date_is_aware_and_none_where_it_is_unreadable(text, date):
    read = value(f"INTERNALDATE {text}", "INTERNALDATE")
    assert read == date
    assert read is None or read.utcoffset() is not None
    assert one("* 1 FETCH (INTERNALDATE NIL)").get("INTERNALDATE", 1) is None


def test_a_zone_is_kept():
    assert one('* 1 FETCH (INTERNALDATE "06-Feb-1992 16:51:37 -0730")').get("INTERNALDATE").utcoffset() == -timedelta(hours=7, minutes=30)


@pytest.mark.parametrize(
    "row",
    [
        "UID x", "UID 0", "UID -1", "UID 4294967296", "UID 9999999999", "UID 123456789012345678901", "UID", "UID (5)", "UID 5)", "(UID 5", "UID 5 5", "UID 5  FLAGS ()",
        "FLAGS x", "FLAGS (a", "FLAGS (a (b))", "FLAGS NIL", "FLAGS (\x01)", "MODSEQ 5", "MODSEQ (x)", "MODSEQ (5 6)", "RFC822.SIZE NI", "RFC822.SIZE -1",
        "X-GM-MSGID 123456789012345678901", "X-GM-LABELS a", "X-GM-LABELS ((a))", "X-GM-LABELS (a", 'X-GM-LABELS ("a)', "INTERNALDATE x", "INTERNALDATE (a)",
        "ENVELOPE (", 'ENVELOPE ("a)', "ENVELOPE ({3}x)", "BODYSTRUCTURE (()", "BODYSTRUCTURE", "BODY[", "BODY[] ", "BODY[] x", "BODY[] (a)", "BODY[]<x> NIL", "BODY[]",
        "BODY[HEADER {1}\n] NIL", 'BODY["] NIL', "BODY[a\tb] NIL", "X", "X ", "X (", "X )", 'X "', 'X "a\\"', "X {3}", "X ~", "(X) 1", '"X" 1', "X 1 ()", "X {5+}", "X 1,Y 2(",
        "RFC822 x", "X (a\nb)"[:5], "X (a\tb)", "X {2}\nab{2}\ncd",
    ],
)  # fmt: skip
def test_a_row_of_the_wrong_shape_breaks_the_grammar(row):
    if row in ("X ~", "BODYSTRUCTURE (()"):
        row += "\x01"
    assert broken(f"* 1 FETCH ({row})").startswith("ProtocolError")


@pytest.mark.parametrize(
    "text", ["* 1 FETCH", "* 1 FETCH ", "* 1 FETCH x", "* 1 FETCH (UID 5", "* 1 FETCH (UID 5) x", "* 1 FETCH (UID 5))", "* 1 FETCH(UID 5)"]
)
def test_a_row_without_its_parentheses_breaks_the_grammar(text):
    if text == "* 1 FETCH(UID 5)":
        assert "expected a response" in broken(text)
    else:
        assert broken(text).startswith("ProtocolError")


def test_a_space_before_the_last_parenthesis_is_forgiven():
    assert one("* 1 FETCH (UID 5 FLAGS () ) ").uid == 5
    assert one("* 1 FETCH (uid 5 FLAGS () )").uid == 5


def test_many_attributes_are_walked():
    row = one("* 1 FETCH (" + " ".join(f"X-{n} {n}" for n in range(200)) + ")", every_split=0)
    assert row.get("X-199") == 199
    assert len(row.names()) == 200


def test_odd_names_and_values_are_kept():
    row = one("* 1 FETCH (X.Y-Z 123456789012345678901 Q ~tilde R a{2}\nbb)".replace(" R a{2}\nbb", ' R ("a"b{2}\nbb)'))
    assert row.get("X.Y-Z") == "123456789012345678901"
    assert row.get("Q") == "~tilde"
    assert row.get("R") == (b"a", "b", b"bb")


def test_an_envelope_is_the_same_by_every_road():
    for text in (
        ENVELOPE,
        ENVELOPE.replace('"sub"', "{3}\nsub"),
        ENVELOPE.replace('"A"', "{1}\nA").replace('"Tue"', "{3}\nTue"),
    ):
        envelope = value(f"X {{1}}\nz ENVELOPE {text} Y {{1}}\nz", "ENVELOPE")
        assert envelope.subject == b"sub"
        assert envelope.from_ == (Address(b"A", None, b"a", b"x.y"),)


def test_a_row_shows_itself_and_is_compared_by_what_came():
    row = one("* 3 FETCH (UID 5 FLAGS ())")
    assert repr(row) == "<Fetch 3 uid=5 UID FLAGS>"
    assert row == one("* 3 FETCH (UID 5 FLAGS ())") != one("* 4 FETCH (UID 5 FLAGS ())")
    assert row != 5
    assert len({row, one("* 3 FETCH (UID 5 FLAGS ())")}) == 1
    assert row.wire_size == len("* 3 FETCH (UID 5 FLAGS ())") + 2


def test_shallow_limits_are_kept_for_envelopes_too():
    for depth, good in itertools.product((2, 3, 4), (True, False)):
        limits = Limits(depth=depth)
        text = "* 1 FETCH (UID 1 FLAGS (a))" if good else f"* 1 FETCH (ENVELOPE {ENVELOPE})"
        if good or depth == 4:
            assert isinstance(one(text, limits=limits), Fetch)
        else:
            assert "Limits.depth" in broken(text, limits=limits)


ROW = "* 3 FETCH (UID 5 FLAGS () RFC822.SIZE 42 BODY[HEADER] {2}\nab)"
WALKED = ROW[:-1] + " X[1] 2)"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((), True),
        (("FLAGS",), True),
        (("FLAGS", "RFC822.SIZE"), True),
        (("FLAGS", "MODSEQ"), False),
        (("BODY[HEADER]",), True),
        (("FLAGS", "BODY[HEADER]"), True),
        (("MODSEQ", "BODY[HEADER]"), False),
        (("BODY[]",), False),
        (("BODY[HEADER]", "BODY[]"), False),
        (("X-NEW",), False),
    ],
)
def test_whether_a_row_tells_all_is_seen_without_decoding(names, told):
    assert tells_all(names)(one(ROW)) is told
    assert tells_all(names)(one(WALKED)) is told


def test_sections_are_found_however_the_server_writes_them():
    assert tells_all(["BODY[HEADER.FIELDS (DATE)]"])(one("* 3 FETCH (UID 5 BODY[header.fields (Date)] {2}\nab)"))
    assert tells_all(["BODY[HEADER.FIELDS (DATE)]", "FLAGS"])(one('* 3 FETCH (UID 5 FLAGS () BODY[HEADER.FIELDS ("Date")] {2}\nab)'))


def test_numbers_are_read_of_rows_of_any_shape():
    for row in (one(ROW), one(WALKED)):
        assert row.number("RFC822.SIZE") == 42
        assert row.number("MODSEQ") is None


def test_the_size_of_rows_is_that_of_their_bytes():
    lines = [ROW, "* 4 FETCH (UID 6)", "* 5 FETCH (X {0}\n Y {3}\nabc)"]
    size = sum(len(line.replace("\n", "\r\n")) + 2 for line in lines)
    assert sizes_on_the_wire([one(line) for line in lines]) == size
    assert sum(one(line).wire_size for line in lines) == size
    assert sizes_on_the_wire([]) == 0


def test_a_structure_is_read_once_and_other_values_each_time():
    row = one('* 3 FETCH (UID 5 BODYSTRUCTURE ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 2 1) X-GM-LABELS ({4}\nWork) FLAGS (a))')
    assert row.get("BODYSTRUCTURE") is row.get("BODYSTRUCTURE")
    assert row.get("X-GM-LABELS") == {"Work"}
    assert row.get("FLAGS") == {"a"}
    assert row.get("UID") == 5
    assert row.attributes["X-GM-LABELS"] == {"Work"}


def test_a_row_made_of_nothing_tells_nothing():
    assert Fetch(b"* 1 FETCH ()", (), None, None, None).get("UID", 7) == 7


def test_nil_where_a_value_is_none_to_tell():
    """Seen of servers that do not know: it costs no connection."""
    row = one("* 1 FETCH (UID 5 X-GM-LABELS NIL RFC822.SIZE NIL MODSEQ nil X-GM-MSGID NIL X-GM-THRID Nil FLAGS ())")
    assert row.get("X-GM-LABELS") == frozenset()
    for name in ("RFC822.SIZE", "MODSEQ", "X-GM-MSGID", "X-GM-THRID"):
        assert row.get(name, "absent") is None
        assert row.number(name) is None
        assert name in row
    for wrong in ("RFC822.SIZE NILS", "MODSEQ (NIL)", "X-GM-LABELS NIL)", "UID NIL"):
        assert broken(f"* 1 FETCH ({wrong})").startswith("ProtocolError")
