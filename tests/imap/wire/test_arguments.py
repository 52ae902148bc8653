import datetime as dt

import pytest

from aiogmail.errors import ConfigurationError
from aiogmail.imap.wire import AsIs, Atom, Flag, Label, Literal, Mailbox, Quoted, Raw, SearchDate


@pytest.mark.parametrize(
    "text",
    ["", "a b", "a\r", "a\n", "\0", "a(", "a)", "a{", "a%", "a*", 'a"', "a\\", "a]", "\x7f", "é", "\ud800", 5, None, b"a", "a" * 99 + " "],
)
def test_an_atom_that_would_not_be_one_is_refused(text):
    with pytest.raises(ConfigurationError, match="^Atom: expected a word") as caught:
        Atom(text)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text", ["", "\\", "\\\\Seen", "a\\b", "a b", "\\*", "a%", "a\r\nb", "a\0", "(", "a{5}", '"a"', "é", "\ud800", None]
)
def test_a_flag_that_would_break_out_is_refused(text):
    with pytest.raises(ConfigurationError, match="^Flag: expected a flag"):
        Flag(text)


@pytest.mark.parametrize("text", ["\\Seen", "$Forwarded", "NonJunk", "a[b]", "]", "x+y", "&"])
def test_flags_and_keywords_are_taken(text):
    assert Flag(text).value == text


@pytest.mark.parametrize("kind", [Mailbox, Label])
@pytest.mark.parametrize("name", ["a\rb", "a\nb", "a\0b", "\ud800", "a\udc80", None, b"INBOX", 5, "x" * 500 + "\r"])
def test_a_name_that_would_break_out_is_refused(kind, name):
    with pytest.raises(ConfigurationError, match=f"^{kind.__name__}: expected a name") as caught:
        kind(name)
    assert len(str(caught.value)) < 200


def test_a_label_has_a_name_where_a_mailbox_may_have_none():
    assert Mailbox("").name == ""
    with pytest.raises(ConfigurationError, match="^Label"):
        Label("")


@pytest.mark.parametrize("text", ["a\r", "\n", "\0", "é", "\x80", None, b"x"])
def test_a_quoted_string_that_cannot_be_is_refused(text):
    with pytest.raises(ConfigurationError, match="^Quoted"):
        Quoted(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " a",
        "a ",
        "a\rb",
        "a\nb",
        "a\0",
        "a\tb",
        "é",
        "{5}",
        "a{5}",
        "}",
        "(",
        ")",
        ")(",
        "(()",
        '"',
        'a"b',
        '"a\\',
        "a\\b",
        '"\\a"',
        '"(',
        '(")")"',
        "\ud800",
        None,
        b"UID",
        '("a',
    ],
)
def test_raw_text_that_could_change_the_command_is_refused(text):
    with pytest.raises(ConfigurationError, match="^Raw"):
        Raw(text)


@pytest.mark.parametrize(
    "text",
    [
        "UID",
        "BODY.PEEK[HEADER.FIELDS (DATE FROM)]<0.5>",
        'BODY[HEADER.FIELDS ("a b" "c\\"(")]',
        "CHANGEDSINCE 5",
        "RETURN (ALL COUNT)",
        '"{5}"',
    ],
)
def test_raw_text_that_is_a_fetch_item_is_taken(text):
    assert Raw(text).text == text


@pytest.mark.parametrize("data", ["text", None, 5, [1]])
def test_a_literal_holds_bytes(data):
    with pytest.raises(ConfigurationError, match="^Literal"):
        Literal(data)


def test_a_literal_does_not_show_a_message():
    assert repr(Literal(b"secret")) == "Literal(6 octets)"


@pytest.mark.parametrize("day", [dt.datetime(2024, 2, 6, tzinfo=dt.UTC), dt.datetime(2024, 2, 6), "2024-02-06", None])  # noqa: DTZ001
def test_a_search_date_is_a_date(day):
    with pytest.raises(ConfigurationError, match="^SearchDate"):
        SearchDate(day)


@pytest.mark.parametrize("text", ["(FLAGS (\\Seen))", '"a {5}"', 'unbalanced ( "', "{5} x", "x{y}"])
def test_text_that_somebody_else_wrote_goes_as_it_is(text):
    assert AsIs(text).text == text


@pytest.mark.parametrize("text", ["", "a\r\nb", "a\0", "ü", "\t", "x {5}", "{5+}", "{5-}", 5, None])
def test_but_not_what_would_break_the_line(text):
    with pytest.raises(ConfigurationError, match="^AsIs"):
        AsIs(text)


def test_hidden_text_is_not_shown():
    with pytest.raises(ConfigurationError) as refused:
        AsIs("secret\n", hidden=True)
    assert "secret" not in str(refused.value)
    assert "secret" not in repr(AsIs("secret", hidden=True))
