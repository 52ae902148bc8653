import pytest

from aiogmail.testing.imap.syntax import Args, Bad, SequenceSet, compress, quote, quote_name


@pytest.mark.parametrize(
    ("method", "text", "value", "rest"),
    [
        ("atom", b"FETCH x", b"FETCH", b" x"),
        ("keyword", b"fetch", "FETCH", b""),
        ("number", b"12]", 12, b"]"),
        ("string", rb'"a\"b\\c" x', rb'a"b\c', b" x"),
        ("astring", b"a]b c", b"a]b", b" c"),
        ("text_value", b'"x"', "x", b""),
        ("mailbox", b"&APw-", "ü", b""),
        ("mailbox", b"A&B", "A&B", b""),
        ("pattern", b"%/*", "%/*", b""),
        ("pattern", b'"a b*"', "a b*", b""),
        ("flag", b"\\seen)", "\\Seen", b")"),
        ("flag", b"$x", "$x", b""),
        ("label", b"\\Inbox x", "\\Inbox", b" x"),
        ("label", b'"\\\\Inbox"', "\\Inbox", b""),
        ("label", b"&APw-", "ü", b""),
    ],
)
def test_tokens(method, text, value, rest):
    args = Args(text)
    assert getattr(args, method)() == value
    assert args.text[args.position :] == rest


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("atom", b""),
        ("atom", b"(x"),
        ("atom", "ü".encode()),
        ("number", b"x"),
        ("string", b"x"),
        ("string", b'"open'),
        ("string", b'"a\\x"'),
        ("string", b'"\x00"'),
        ("string", '"ü"'.encode()),
        ("string", b"{3}\r\n"),
        ("string", b"{3}"),
        ("mailbox", b'"\x01"'),
        ("flag", b"\\Nonsense"),
        ("sequence_set", b"0"),
        ("sequence_set", b"1:2:3"),
        ("sequence_set", b"1,"),
        ("sequence_set", b"99999999999"),
        ("space", b"x"),
        ("end", b"x"),
        ("flags", b"(a  b)"),
        ("flags", b"(a"),
    ],
)
def test_what_is_bad(method, text):
    with pytest.raises(Bad):
        getattr(Args(text), method)()


def test_literals_are_taken_in_order():
    args = Args(b"{1}\r\n ~{2+}\r\n", [b"a", b"bb"])
    assert args.string() == b"a"
    args.space()
    assert args.astring() == b"bb"
    args.end()


def test_a_literal_that_is_no_text_is_bad():
    with pytest.raises(Bad):
        Args(b"{1}\r\n", [b"\xff"]).text_value()
    with pytest.raises(Bad):
        Args(b"{1}\r\n", [b"\xff"]).mailbox()
    with pytest.raises(Bad):
        Args(b"{1}\r\n", [b"\xff"], utf8=True).mailbox()


def test_utf8_is_read_once_enabled():
    assert Args('"ü"'.encode(), utf8=True).mailbox() == "ü"


@pytest.mark.parametrize(
    ("text", "order", "found"),
    [
        (b"1:3", [1, 2, 3, 4], [1, 2, 3]),
        (b"3:1", [1, 2, 3, 4], [1, 2, 3]),
        (b"*", [2, 5, 9], [9]),
        (b"7:*", [2, 5, 9], [9]),
        (b"99:*", [2, 5, 9], [9]),
        (b"*:5", [2, 5, 9], [5, 9]),
        (b"1,5,5:9,2", [2, 5, 9], [2, 5, 9]),
        (b"1:4294967295", [2, 5], [2, 5]),
        (b"3", [2, 5], []),
        (b"1:*", [], []),
    ],
)
def test_sets_are_resolved_against_what_there_is(text, order, found):
    assert Args(text).sequence_set().resolve(order) == found


def test_a_set_of_nothing():
    assert SequenceSet(()).resolve([1]) == []


@pytest.mark.parametrize(
    ("numbers", "text"), [([], ""), ([1], "1"), ([1, 2, 3, 7, 9, 10], "1:3,7,9:10"), ([3, 1, 2], "3,1:2"), ([2, 2], "2,2")]
)
def test_numbers_are_joined_into_runs_in_their_order(numbers, text):
    assert compress(numbers) == text


def test_names_are_quoted_but_for_a_plus():
    assert quote(b'a"\\') == b'"a\\"\\\\"'
    assert quote_name("ü", utf8=False) == b'"&APw-"'
    assert quote_name("ü", utf8=True) == '"ü"'.encode()
    assert quote_name("+a", utf8=False) == b"+a"
    assert quote_name("+a b", utf8=False) == b'"+a b"'


def test_lists_in_parentheses():
    args = Args(b"(a b) () \\Seen $x")
    assert args.parenthesised(args.atom) == [b"a", b"b"]
    args.space()
    assert args.parenthesised(args.atom) == []
    args.space()
    assert args.flags() == {"\\Seen", "$x"}
    assert args.at_end()
