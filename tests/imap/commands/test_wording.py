"""What a user of aioimaplib wrote, as values for the encoder."""

import pytest

from aiogmail.errors import ConfigurationError
from aiogmail.imap.commands.wording import mailbox, spoken
from aiogmail.imap.wire import encode_command


def line(verb, *arguments, utf8=False):
    command = encode_command("A1", verb, *spoken(verb, arguments), utf8=utf8)
    return b"".join(buffer for segment in command.segments for buffer in segment).removeprefix(b"A1 ").removesuffix(b"\r\n")


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("INBOX", b"INBOX"),
        ("[Gmail]/Spam", b"[Gmail]/Spam"),
        ("#news.x", b"#news.x"),
        ("[Gmail]/All Mail", b'"[Gmail]/All Mail"'),
        ('"[Gmail]/All Mail"', b'"[Gmail]/All Mail"'),
        ('"', b'"\\""'),
        ('a"b', b'"a\\"b"'),
        ("a\\b", b'"a\\\\b"'),
        ("50%", b'"50%"'),
        ("{5}", b'"{5}"'),
        ("(x)", b'"(x)"'),
        ("", b'""'),
        ('""', b'""'),
        ("Entwürfe", b"Entw&APw-rfe"),
        ('"Entwürfe 2"', b'"Entw&APw-rfe 2"'),
        ("R&D", b"R&D"),
        ("ü&", b"&APw-&-"),
    ],
)
def test_a_mailbox_is_one_name(name, sent):
    assert line("SELECT", name) == b"SELECT " + sent


def test_in_a_pattern_wildcards_need_no_quotes():
    assert line("LIST", '""', "%") == b'LIST "" %'
    assert line("LSUB", "a b", "*") == b'LSUB "a b" *'
    assert mailbox("*", wild=True).text == "*"
    assert mailbox("*").text == '"*"'


@pytest.mark.parametrize(
    ("verb", "arguments", "sent"),
    [
        ("RENAME", ("a b", "c d"), b'RENAME "a b" "c d"'),
        ("STATUS", ("a b", "(MESSAGES UIDNEXT)"), b'STATUS "a b" (MESSAGES UIDNEXT)'),
        ("COPY", ("1", "2", "a b"), b'COPY 1 2 "a b"'),
        ("MOVE", ("1:*", "a b"), b'MOVE 1:* "a b"'),
        ("APPEND", ("a b", "(\\Seen)"), b'APPEND "a b" (\\Seen)'),
        ("SETACL", ("a b", "me", "lrs"), b'SETACL "a b" me lrs'),
        ("ID", ("(", '"name"', '"x"', ")"), b'ID ( "name" "x" )'),
        ("SEARCH", ("CHARSET", "utf-8", None, "ALL"), b"SEARCH CHARSET utf-8 ALL"),
        ("SEARCH", (1, 2), b"SEARCH 1 2"),
        ("NOOP", ("",), b"NOOP"),
        ("NOOP", (), b"NOOP"),
        ("SELECT", (), b"SELECT"),
        ("STORE", ("1", "X-GM-LABELS", "(ü (é))"), b"STORE 1 X-GM-LABELS (&APw- (&AOk-))"),
        ("SEARCH", ('TEXT "a\\"ü"',), b'SEARCH TEXT {4}\r\na"\xc3\xbc'),
        ("SEARCH", ("NOT (TEXT ü OR x y) z",), b"SEARCH NOT (TEXT {2}\r\n\xc3\xbc OR x y) z"),
        ("SEARCH", ("ü )",), b"SEARCH {2}\r\n\xc3\xbc )"),
    ],
)
def test_commands_as_they_are_given(verb, arguments, sent):
    assert line(verb, *arguments) == sent


@pytest.mark.parametrize("word", ["a\rb", "a\nb", "a\0b", "x {3}", "x {3+}", "a\tb", "\x7f"])
def test_what_would_break_the_line_is_refused(word):
    with pytest.raises(ConfigurationError):
        line("FETCH", "1", word)


@pytest.mark.parametrize("word", ["a\rb", "a\nb", "a\0b", "\ud800"])
def test_also_in_names(word):
    with pytest.raises(ConfigurationError):
        line("CREATE", word)


def test_parentheses_must_match_where_text_has_to_be_taken_apart():
    with pytest.raises(ConfigurationError, match="parentheses"):
        spoken("SEARCH", ["(TEXT ü"])


def test_with_utf8_enabled_a_name_goes_as_it_is():
    assert line("SELECT", "Entwürfe", utf8=True) == 'SELECT "Entwürfe"'.encode()
