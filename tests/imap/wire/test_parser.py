import pytest

from aiogmail.errors import LimitExceeded, ProtocolError
from aiogmail.imap.wire import Continuation, Exists, Expunge, Fetch, MailboxList, Recent, ResponseParser, Status, Tagged, Unknown
from aiogmail.settings import Limits

from .ways import broken, every_way, one


def test_a_tagged_status_ends_a_command():
    assert one("A1 OK Success") == Tagged("A1", "OK", None, "Success")
    assert one("a.b/9 no Nope").status == "NO"
    assert one("A1 BaD") == Tagged("A1", "BAD", None, "")
    assert one("A1 OK ").text == ""


@pytest.mark.parametrize(
    "text", ["X1 NOTICE me", "X1 OKAY", "X1 NO-", "X1 BYE x", "X1 PREAUTH x", "X1", "X1 ", "OK hello", "", " ", "X(1 OK x", "é OK x"]
)
def test_a_line_that_is_no_response_breaks_the_grammar(text):
    assert "expected a response" in broken(text)


@pytest.mark.parametrize(
    "text", ["* ", "*", "* (x)", "* 5", "* 5 ", "* 123456789012345678901 EXISTS", '* "x" y', "*\tOK", "** OK", "* 1 2 EXISTS"]
)
def test_an_untagged_line_without_a_word_breaks_the_grammar(text):
    assert "expected a response" in broken(text)


@pytest.mark.parametrize("status", ["OK", "NO", "BAD", "BYE", "PREAUTH", "ok", "Bye"])
def test_a_status_word_is_a_word_in_any_case(status):
    assert one(f"* {status} [x hello") == Status(status.upper(), None, "[x hello")
    assert one(f"* {status}") == Status(status.upper(), None, "")


def test_a_status_is_no_prefix():
    assert one("* BYEBYE now") == Unknown("BYEBYE", b"now")
    assert one("* LOOKUP failed") == Unknown("LOOKUP", b"failed")


def test_text_is_kept_as_the_server_wrote_it():
    assert one("A1 OK * 2 * 3 = 6 * 1").text == "* 2 * 3 = 6 * 1"
    assert one(b"* OK caf\xe9").text == "caf\ufffd"
    assert one(b"* OK caf\xe9").raw == b"* OK caf\xe9"


def test_a_continuation_keeps_every_byte_of_its_challenge():
    assert one("+ eyJzdGF0dXMi fQ==").challenge == b"eyJzdGF0dXMi fQ=="
    assert one("+ ").challenge == b""
    assert one("+") == Continuation(None, "", b"")
    assert one("+  x ").challenge == b" x "
    assert one("+ [ALERT] go ahead").code.name == "ALERT"
    assert "'+ '" in broken("+x")


def test_numbers_come_before_their_word():
    assert one("* 23 EXISTS") == Exists(23)
    assert one("* 0 recent") == Recent(0)
    assert one("* 44 EXPUNGE ") == Expunge(44)
    assert one("* 99999999999999999999 EXISTS").number == 99999999999999999999


@pytest.mark.parametrize("text", ["* 0 EXPUNGE", "* 1 EXISTS x", "* 1 EXPUNGE (", "* 0 FETCH (UID 1)"])
def test_a_number_with_something_wrong_breaks_the_grammar(text):
    assert broken(text).startswith("ProtocolError")


def test_an_unknown_response_is_kept_with_its_literals():
    response = one('* X-THING a "b {2}\nhi (c')
    assert response == Unknown("X-THING", b'a "b {2}\r\n (c')
    assert response.literals == (b"hi",)
    assert one("* 5 Frobnicate") == Unknown("FROBNICATE", b"", 5)
    assert one("* EXISTS") == Unknown("EXISTS", b"")
    assert one(b"* \xe9tat x") == Unknown("\ufffdTAT", b"x")


@pytest.mark.parametrize(
    "data",
    [
        b"* OK a\0b",
        b"* OK a\rb",
        b"A1 OK \r",
        b"* X a\r\r",
        b"+ \0",
        b"* 1 FETCH (UID 1 \0)",
        b"* 1 FETCH (X {1}\r\nab\rc)",
        b"\r",
        b"* 1 EXISTS\r",
    ],
)
def test_a_bare_cr_or_nul_breaks_the_grammar(data):
    responses, error = every_way(b"* 1 EXISTS\r\n" + data + b"\r\n* 2 EXISTS\r\n")
    assert len(responses) == 1
    assert error[0] is ProtocolError


def test_after_an_error_nothing_more_is_read():
    parser = ResponseParser()
    assert parser.error is None
    assert parser.feed(b"* 1 EXISTS\r\nrubbish\r\n* 2 EXISTS\r\n") == [Exists(1)]  # what was complete is delivered
    assert isinstance(parser.error, ProtocolError)
    with pytest.raises(ProtocolError) as first:
        parser.feed(b"* 3 EXISTS\r\n")
    with pytest.raises(ProtocolError) as second:
        parser.buffer_updated(0)
    assert first.value is second.value is parser.error


def test_an_error_with_nothing_before_it_is_raised_at_once():
    parser = ResponseParser()
    with pytest.raises(ProtocolError) as caught:
        parser.feed(b"rubbish\r\n")
    assert caught.value is parser.error
    assert caught.value.connection_lost
    assert caught.value.retryable


def test_a_grammar_error_before_a_limit_error_in_the_same_bytes_is_the_one_told():
    limits = Limits(line=100)
    responses, error = every_way(b"* 1 EXISTS\r\nrubbish\r\n* OK " + b"x" * 200 + b"\r\n", limits)
    assert len(responses) == 1
    assert error[0] is ProtocolError


def test_an_error_says_where_and_shows_little():
    reason = broken("* LIST (" + "a" * 500 + "\x01" + "b" * 500)
    assert len(reason) < 250
    assert "at byte" in reason


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 9, 10, 11, 24, 25])
def test_lists_nest_as_deep_as_the_limit_and_no_deeper(depth):
    limits = Limits(depth=depth)
    nest = depth - 1  # FETCH's own list is one
    for name in ("X-DEEP", "BODYSTRUCTURE"):
        if nest:
            response = one(f"* 1 FETCH ({name} {'(' * nest}{')' * nest} UID 1)", limits=limits)
            assert isinstance(response, Fetch)
            assert response.get(name) is not None
    nest += 1
    responses, error = every_way(b"* 1 EXISTS\r\n" + f"* 1 FETCH (X-DEEP {'(' * nest}{')' * nest} UID 1)\r\n".encode(), limits)
    assert len(responses) == 1
    assert error[0] is LimitExceeded
    assert "Limits.depth" in error[1]


@pytest.mark.parametrize("name", ["BODYSTRUCTURE", "BODY"])
@pytest.mark.parametrize("depth", [1, 2, 8, 9, 10, 100])
@pytest.mark.parametrize("more", [1, 2, 1000])
def test_a_structure_that_nests_deeper_is_told_as_far_as_the_limit(name, depth, more):
    """A sender chooses how deep: it must cost the rest of the structure and nothing else, literals in it least of all."""
    leaf = b'("TEXT" "PLAIN" ("NAME" {4}\r\n)}(") NIL NIL "7BIT" 3 1)'
    nest = depth + more
    structure = b"(" * nest + leaf + b' "MIXED")' * nest
    text = b"* 1 FETCH (%b %b X-GM-MSGID 5 BODY[1] {3}\r\nabc UID 7)\r\n" % (name.encode(), structure)
    [row] = ResponseParser(Limits(depth=depth)).feed(text)
    assert (row.uid, row.get("X-GM-MSGID"), row.get("BODY[1]")) == (7, 5, b"abc")
    parts = list(row.get(name).walk())
    assert len(parts) == depth
    assert {part.type for part in parts} == {"MULTIPART"}
    assert parts[-1].children == ()


@pytest.mark.slow
def test_depth_is_bounded_even_where_the_limit_is_not():
    limits = Limits(depth=100_000)
    response = one("* 1 FETCH (BODYSTRUCTURE " + "(" * 199 + ")" * 199 + ")", limits=limits)
    assert repr(response.get("BODYSTRUCTURE"))
    _, error = every_way(b"* 1 FETCH (X " + b"(" * 5000 + b")" * 5000 + b")\r\n", limits, every_split=0)
    assert error[0] is LimitExceeded


def test_names_are_utf8_only_after_it_is_enabled():
    text = '* LIST () "/" "R&AOk-té"\r\n* 1 FETCH (X-GM-LABELS ("a&AOk-b") UID 1)\r\n'.encode()
    parser = ResponseParser()
    before = parser.feed(text)
    parser.utf8 = True
    assert parser.utf8
    after = parser.feed(text)
    assert before[0].name == "Rété"
    assert after[0].name == "R&AOk-té"
    assert before[1].get("X-GM-LABELS") == {"aéb"}
    assert after[1].get("X-GM-LABELS") == {"a&AOk-b"}
    parser.utf8 = False
    assert parser.feed(text)[0].name == "Rété"


def test_the_same_in_utf8_for_a_row_that_is_walked():
    parser = ResponseParser()
    parser.utf8 = True
    (row,) = parser.feed('* 1 FETCH (uid 1 X-GM-LABELS ("a&AOk-b" "é"))\r\n'.encode())
    assert row.get("X-GM-LABELS") == {"a&AOk-b", "é"}


def test_a_parser_that_was_slimmed_goes_on():
    parser = ResponseParser()
    parser.feed(b"* 1 FETCH (BODY[] {3}\r\nab")
    parser.slim()
    [row] = parser.feed(b"c)\r\n")
    parser.slim()
    assert row.get("BODY[]") == b"abc"


def test_what_is_fed_while_some_waits_comes_behind_it():
    parser = ResponseParser()
    first = parser.feed(b"* 1 EXISTS\r\n* 2 EXISTS\r\n* 3 EXISTS\r\n", 1)
    assert parser.has_more
    assert parser.feed(b"* 4 EXISTS\r\nwhat?\r\n* 5 EXISTS\r\n", 0) == []
    assert parser.error is None
    rest = parser.more(2) + parser.more()
    assert [one.number for one in first + rest] == [1, 2, 3, 4]
    assert parser.error is not None
    assert not parser.has_more


def test_the_end_drops_what_waits():
    parser = ResponseParser()
    parser.feed(b"* 1 EXISTS\r\n* 2 EXISTS\r\n", 1)
    assert parser.feed_eof() is False
    assert not parser.has_more


def test_names_behind_enabled_are_utf_8_in_the_same_segment():
    line = b'* LIST () "/" "&AOk-"\r\n'
    row = b'* 1 FETCH (UID 1 X-GM-LABELS ("&AOk-"))\r\n'
    responses, error = every_way(line + row + b"* ENABLED CONDSTORE UTF8=ACCEPT\r\nA1 OK\r\n" + line + row)
    assert error is None
    assert [one.name for one in responses if isinstance(one, MailboxList)] == ["é", "&AOk-"]
    assert [one.get("X-GM-LABELS") for one in responses if isinstance(one, Fetch)] == [{"é"}, {"&AOk-"}]
