"""A query is a value, rendered once: what it looks like on the wire, and what it refuses."""

import datetime as dt
import operator

import pytest

from aiogmail import ConfigurationError, Q, Query, UidSet
from aiogmail.imap.query import criteria, uids_from
from aiogmail.imap.wire import encode_command
from tests.imap import oracle

DAY = dt.date(2026, 11, 3)


def sent(query):
    """The search program as it goes out; literals stand in the line."""
    keys, charset = criteria(query)
    command = encode_command("A1", "UID SEARCH", *keys)
    oracle.Ear(command.segments).command()
    line = b"".join(bytes(buffer) for segment in command.segments for buffer in segment)
    return line.removeprefix(b"A1 UID SEARCH ").removesuffix(b"\r\n").decode(), charset


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Q.all, "ALL"),
        (Q.answered, "ANSWERED"),
        (Q.unanswered, "UNANSWERED"),
        (Q.deleted, "DELETED"),
        (Q.undeleted, "UNDELETED"),
        (Q.draft, "DRAFT"),
        (Q.undraft, "UNDRAFT"),
        (Q.flagged, "FLAGGED"),
        (Q.unflagged, "UNFLAGGED"),
        (Q.seen, "SEEN"),
        (Q.unseen, "UNSEEN"),
        (Q.from_("boss@example.com"), "FROM boss@example.com"),
        (Q.to("a b"), 'TO "a b"'),
        (Q.cc("x"), "CC x"),
        (Q.bcc("x"), "BCC x"),
        (Q.subject('say "hi" \\o/'), 'SUBJECT "say \\"hi\\" \\\\o/"'),
        (Q.body("x"), "BODY x"),
        (Q.text("x"), "TEXT x"),
        (Q.header("Message-ID", "<a* b@x>"), 'HEADER Message-ID "<a* b@x>"'),
        (Q.header("List-Id"), 'HEADER List-Id ""'),
        (Q.since(DAY), "SINCE 3-Nov-2026"),
        (Q.before(dt.datetime(2026, 1, 2, 3, 4)), "BEFORE 2-Jan-2026"),
        (Q.on(DAY), "ON 3-Nov-2026"),
        (Q.sent_since(DAY), "SENTSINCE 3-Nov-2026"),
        (Q.sent_before(DAY), "SENTBEFORE 3-Nov-2026"),
        (Q.sent_on(DAY), "SENTON 3-Nov-2026"),
        (Q.larger(1024), "LARGER 1024"),
        (Q.smaller(0), "SMALLER 0"),
        (Q.keyword("$Forwarded"), "KEYWORD $Forwarded"),
        (Q.unkeyword("$Junk"), "UNKEYWORD $Junk"),
        (Q.uid("5:1,9"), "UID 1:5,9"),
        (Q.uid([1, 2, 3]), "UID 1:3"),
        (Q.uid(UidSet(7)), "UID 7"),
        (Q.modseq(12), "MODSEQ 12"),
        (Q.label("Two words"), 'X-GM-LABELS "Two words"'),
        (Q.label("INBOX"), 'X-GM-LABELS "\\\\Inbox"'),
        (Q.label("\\drafts"), 'X-GM-LABELS "\\\\Draft"'),
        (Q.thread(1278455344230334865), "X-GM-THRID 1278455344230334865"),
        (Q.gmail_id(1), "X-GM-MSGID 1"),
        (Q.gmail('from:me "a b" -in:spam'), 'X-GM-RAW "from:me \\"a b\\" -in:spam"'),
        (uids_from(7), "UID 7:*"),
        ("UNSEEN SINCE 1-Nov-2026", "UNSEEN SINCE 1-Nov-2026"),
    ],
)
def test_a_key_is_written_as_the_rfc_or_google_has_it(query, expected):
    assert sent(query) == (expected, False)


def test_queries_combine():
    assert sent(Q.unseen & Q.gmail("has:attachment"))[0] == "UNSEEN X-GM-RAW has:attachment"
    assert sent(Q.seen | Q.flagged)[0] == "OR SEEN FLAGGED"
    assert sent(~Q.seen)[0] == "NOT SEEN"
    assert sent(~(Q.seen & Q.flagged))[0] == "NOT (SEEN FLAGGED)"
    assert sent((Q.seen & Q.flagged) | (Q.draft & ~Q.from_("x")))[0] == "OR (SEEN FLAGGED) (DRAFT NOT FROM x)"
    assert sent(Q.seen | Q.flagged | Q.draft)[0] == "OR OR SEEN FLAGGED DRAFT"
    assert sent((Q.seen | Q.flagged) & Q.draft)[0] == "OR SEEN FLAGGED DRAFT"


def test_what_is_negated_twice_is_itself():
    assert ~~Q.seen == Q.seen
    assert sent(~~(Q.seen & Q.flagged))[0] == "(SEEN FLAGGED)"
    assert sent(~(Q.seen & ~(Q.flagged & Q.draft)))[0] == "NOT (SEEN NOT (FLAGGED DRAFT))"


def test_conditions_nest_no_deeper_than_can_be_sent():
    query = Q.seen
    for _ in range(20):
        query = ~(query & Q.flagged)
    assert sent(query)[0].startswith("NOT (NOT (")
    for combine in (operator.invert, lambda one: one | Q.draft, lambda one: Q.draft | one):
        with pytest.raises(ConfigurationError, match="at most 20"):
            combine(query & Q.flagged)


def test_what_is_not_ascii_goes_as_a_utf8_literal_with_its_charset_named():
    text, charset = sent(Q.subject("Grüße") & (Q.seen | Q.from_("ß")))
    assert charset
    assert text == "SUBJECT {7}\r\nGrüße OR SEEN FROM {2}\r\nß"
    assert (Q.seen | (Q.draft & Q.from_("ß"))).needs_charset
    assert not Q.label("Entwürfe").needs_charset, "a label goes in modified UTF-7"


def test_a_query_is_a_value():
    assert Q.from_("x") & Q.seen == Q.from_("x") & Q.seen
    assert isinstance(Q.seen, Query)
    assert hash(Q.seen) == hash(Query(Q.seen.keys))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Q.from_(""), "from_: expected a text"),
        (lambda: Q.to(5), "to: expected a text"),
        (lambda: Q.subject("a\r\nA2 LOGOUT"), "subject: CR, LF"),
        (lambda: Q.body("\0"), "body: CR, LF"),
        (lambda: Q.text("\ud800"), "text: .*surrogates"),
        (lambda: Q.header("", "x"), "name: expected"),
        (lambda: Q.since("2026-01-01"), "day: expected a date"),
        (lambda: Q.larger(-1), "octets: expected"),
        (lambda: Q.larger(True), "octets: expected"),
        (lambda: Q.smaller(2**32), "octets: expected"),
        (lambda: Q.thread("abc"), "thread_id: expected"),
        (lambda: Q.gmail_id(2**64), "gmail_id: expected"),
        (lambda: Q.uid([]), "uids: expected at least one"),
        (lambda: Q.uid("0"), "UID"),
        (lambda: Q.keyword("two words"), "two words|flag"),
        (lambda: Q.gmail(""), "query: expected"),
        (lambda: Q.seen & "UNSEEN", "query: expected a Query"),
        (lambda: Q.seen | None, "query: expected a Query"),
        (lambda: criteria(7), "query: expected a Query"),
        (lambda: uids_from(0), "UIDs begin at 1"),
    ],
)
def test_what_cannot_be_searched_for_is_named(make, words):
    with pytest.raises(ConfigurationError, match=words):
        make()
