"""The judge is judged: what a strict server refuses, the oracle refuses."""

import pytest

from . import oracle


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"\r\n", b"A1\r\n", b"A1 NOOP", b"A1 NOOP\n", b"A1 NOOP \r\n", b"A1  NOOP\r\n", b" A1 NOOP\r\n", b"A1 NOOP\r\nA2 LOGOUT\r\n", b"A1 X ()) y\r\n", b"A1 X (a\r\n",
        b"A1 X ( a)\r\n", b"A1 X (a )\r\n", b"A1 X (a  b)\r\n", b'A1 X "a\r\n', b'A1 X "a\nb"\r\n', b'A1 X "a\rb"\r\n', b'A1 X "a\0b"\r\n', b'A1 X "a\\b"\r\n', b'A1 X "\xc3\xa9"\r\n', b'A1 X "a"b\r\n',
        b'A1 X a"b\r\n', b"A1 X a{5\r\n", b"A1 X \xc3\xa9\r\n", b"A1 X a\\b\r\n", b"A1 X \\\r\n", b"A1 X a%\r\n", b"A1 X 5*\r\n", b"A1 X {3}\r\nabc\r\n", b"A1 X {3+}\r\nabc\r\n", b"A1 X {5+}\r\nabc\r\n",
        b"A1 X {a}\r\n", b"A1 X {}\r\n", b"A+ X\r\n", b"A1 X \x01\r\n", b"A1 X \x7f\r\n", b"A1 X a)\r\n",
    ],
)  # fmt: skip
def test_it_refuses_what_is_no_single_command(octets):
    with pytest.raises(oracle.Refused):
        oracle.Ear([(octets,)]).command()


@pytest.mark.parametrize(
    ("segments", "mode"),
    [
        ([(b"A1 NOOP\r\n",), (b"",)], ""),
        ([(b"A1 NO",), (b"OP\r\n",)], ""),
        ([(b"A1 X {3}\r\n",), (b"a",), (b"bc\r\n",)], ""),
        ([(b"A1 X {3+}\r\n",), (b"abc\r\n",)], "LITERAL+"),
        ([(b"A1 X {4097+}\r\n", b"x" * 4097 + b"\r\n")], "LITERAL-"),
        ([(b"A1 X {3}\r\n",), (b"a\0c\r\n",)], ""),
        ([(b"A1 X {9}\r\n",), (b"a\r\n",)], ""),
    ],
)
def test_it_refuses_literals_that_are_sent_out_of_turn(segments, mode):
    with pytest.raises(oracle.Refused):
        oracle.Ear(segments, mode).command()


def test_it_reads_what_is_well_formed():
    tag, words = oracle.Ear(
        [
            (b'A1 UID FETCH 1:3,5:* (BODY.PEEK[HEADER.FIELDS (A B)]<0.5> "a\\"b" \\Seen a[b (())) {2}\r\n',),
            (b"\r\n ~{1+}\r\n\0 {0+}\r\n\r\n",),
        ],
        "LITERAL+",
    ).command()
    atom, string = oracle.Atom, oracle.String
    assert tag == b"A1"
    assert words == [
        atom(b"UID"),
        atom(b"FETCH"),
        atom(b"1:3,5:*"),
        [atom(b"BODY.PEEK[HEADER.FIELDS (A B)]<0.5>"), string(b'a"b', "quoted"), atom(b"\\Seen"), atom(b"a[b"), [[]]],
        string(b"\r\n", "literal"),
        string(b"\0", "literal8"),
        string(b"", "literal"),
    ]
    assert oracle.Ear([('A1 X "é"\r\n'.encode(),)], utf8=True).command()[1][1].octets == "é".encode()


@pytest.mark.parametrize("octets", [b"&", b"&AOk", b"&AGE-", b"&A-", b"a\tb", b"&2D0-"])
def test_it_refuses_names_that_are_no_modified_utf7(octets):
    with pytest.raises((oracle.Refused, ValueError)):
        oracle.mailbox_name(octets)


def test_it_reads_names():
    assert oracle.mailbox_name(b"[Gmail]/Messages envoy&AOk-s &- &U,BTFw-") == "[Gmail]/Messages envoyés & 台北"
