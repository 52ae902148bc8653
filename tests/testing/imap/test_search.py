import pytest

from tests.testing.support import email, message, on_imap

DONE = "OK SEARCH completed (Success)"


async def found(wire, keys, uid=True):
    lines = await wire.cmd(f"{'UID ' if uid else ''}SEARCH {keys}")
    assert lines[-1] == DONE, lines
    return [int(word) for word in lines[0].removeprefix("* SEARCH").split()]


async def _mailbox(me, wire):
    me.deliver(message("Monthly report", "alpha beta\r\n", Message_ID="<1@x.org>"), flags=["\\Seen"], date=1_000_000_000)
    me.deliver(
        message("Re: Monthly report", "gamma\r\n", From="Bob Byte <bob@example.com>", Cc="eve@example.net", Message_ID="<2!&!@x.org>"),
        ["\\Inbox", "Work"],
    )
    me.deliver(message("Grüße", "delta\r\n", Date="Thu, 01 Jan 2015 23:30:00 -0500", X_Mailer="Pine"), flags=["\\Flagged", "$label1"])
    me.deliver(message("x" * 5000, Bcc="secret@example.org", Date="never"), flags=["\\Answered"])
    await wire.cmd("SELECT INBOX")


CASES = [
    ("ALL", [1, 2, 3, 4]),
    ("SEEN", [1]),
    ("UNSEEN", [2, 3, 4]),
    ("FLAGGED", [3]),
    ("UNFLAGGED", [1, 2, 4]),
    ("ANSWERED", [4]),
    ("UNANSWERED UNSEEN", [2, 3]),
    ("DRAFT", []),
    ("UNDRAFT", [1, 2, 3, 4]),
    ("DELETED", []),
    ("UNDELETED", [1, 2, 3, 4]),
    ("NEW", []),
    ("RECENT", []),
    ("OLD", [1, 2, 3, 4]),
    ("KEYWORD $label1", [3]),
    ("UNKEYWORD $label1", [1, 2, 4]),
    ("SUBJECT report", [1, 2]),
    ("SUBJECT repor", []),
    ('SUBJECT "monthly report"', [1, 2]),
    ('SUBJECT "report monthly"', []),
    ('SUBJECT ""', [1, 2, 3, 4]),
    ("FROM bob", [2]),
    ("FROM bob@example.com", [2]),
    ("TO me@gmail.com", [1, 2, 3, 4]),
    ("CC eve", [2]),
    ("BCC secret", [4]),
    ("BODY beta", [1]),
    ("TEXT gamma", [2]),
    ("TEXT bob", [2]),
    ("HEADER X-Mailer pine", [3]),
    ('HEADER X-Mailer ""', [3]),
    ("HEADER Message-ID <1@x.org>", [1]),
    ('HEADER Message-ID "<2!&!@x.org>"', []),
    ("LARGER 4000", [4]),
    ("SMALLER 4000", [1, 2, 3]),
    ("BEFORE 10-Sep-2001", [1]),
    ("ON 9-Sep-2001", [1]),
    ("SINCE 10-Sep-2001", [2, 3, 4]),
    ("SENTBEFORE 1-Jan-2016", [3]),
    ("SENTON 1-Jan-2015", [3]),
    ("SENTSINCE 1-Jan-2020", [1, 2]),
    ("2:3", [2, 3]),
    ("*", [4]),
    ("UID 3:99", [3, 4]),
    ("NOT SEEN", [2, 3, 4]),
    ("OR SEEN FLAGGED", [1, 3]),
    ("(SEEN) (NOT FLAGGED)", [1]),
    ("NOT (OR (SEEN) (FLAGGED ANSWERED))", [2, 3, 4]),
    ("X-GM-LABELS Work", [2]),
    ("X-GM-LABELS \\Starred", [3]),
    ("X-GM-LABELS Unknown", []),
    ('X-GM-RAW "from:bob OR is:starred"', [2, 3]),
    ('X-GM-RAW "rfc822msgid:2!&!@x.org"', [2]),
    ("CHARSET UTF-8 SUBJECT report", [1, 2]),
]


def test_keys_find_what_they_should():
    @on_imap()
    async def run(server, me, wire):
        await _mailbox(me, wire)
        assert [(keys, await found(wire, keys)) for keys, _ in CASES] == CASES

    run()


@on_imap()
async def test_numbers_or_uids(server, me, wire):
    await _mailbox(me, wire)
    me.remove(me.messages[0])
    await wire.cmd("NOOP")
    assert await found(wire, "ALL", uid=False) == [1, 2, 3]
    assert await found(wire, "2:3", uid=True) == [3, 4]


@on_imap()
async def test_ids_of_gmail(server, me, wire):
    await _mailbox(me, wire)
    first, second, third, _ = me.messages
    assert await found(wire, f"X-GM-MSGID {first.gmail_id}") == [1]
    assert await found(wire, f"X-GM-THRID {third.thread_id}") == [3]
    assert second.thread_id != first.thread_id


@on_imap()
async def test_8_bit_goes_as_a_literal_with_charset_and_never_in_quotes(server, me, wire):
    await _mailbox(me, wire)
    wire.send("S UID SEARCH CHARSET UTF-8 SUBJECT {7}\r\n")
    assert await wire.line() == "+ go ahead"
    wire.send("Grüße\r\n".encode())
    assert await wire.until("S") == ["* SEARCH 3", DONE]
    assert await wire.cmd('UID SEARCH SUBJECT "Grüße"') == ["BAD Could not parse command"]
    assert await wire.cmd("SEARCH CHARSET KOI8-R ALL") == ["NO [BADCHARSET (UTF-8 US-ASCII)] Unsupported charset (Failure)"]
    await wire.cmd("ENABLE UTF8=ACCEPT")
    assert await wire.cmd('UID SEARCH SUBJECT "Grüße"') == ["BAD Could not parse command"]
    me.configure(utf8_search_refused=False)
    assert await wire.cmd('UID SEARCH SUBJECT "Grüße"') == ["* SEARCH 3", DONE]
    assert await wire.cmd("SEARCH CHARSET UTF-8 ALL") == ["BAD Could not parse command"]
    wire.send("T UID SEARCH SUBJECT {1+}\r\n\xff\r\n".encode("latin-1"))
    assert await wire.until("T") == ["BAD Could not parse command"]


@on_imap()
async def test_esearch(server, me, wire):
    await _mailbox(me, wire)
    assert await wire.cmd("UID SEARCH RETURN () UNSEEN", tag="T") == ['* ESEARCH (TAG "T") UID ALL 2:4', DONE]
    assert await wire.cmd("UID SEARCH RETURN (MIN MAX COUNT ALL) ALL", tag="T") == [
        '* ESEARCH (TAG "T") UID MIN 1 MAX 4 COUNT 4 ALL 1:4',
        DONE,
    ]
    assert await wire.cmd("SEARCH RETURN (ALL) DRAFT", tag="T") == ['* ESEARCH (TAG "T")', DONE]
    assert await wire.cmd("UID SEARCH RETURN (COUNT) DRAFT", tag="T") == ['* ESEARCH (TAG "T") UID COUNT 0', DONE]
    assert await wire.cmd("SEARCH RETURN (SAVE) ALL") == ["BAD Could not parse command"]


@on_imap()
async def test_modseq(server, me, wire):
    await _mailbox(me, wire)
    last = me.messages[-1].modseq
    assert await wire.cmd(f"UID SEARCH MODSEQ {last}") == [f"* SEARCH 4 (MODSEQ {last})", DONE]
    assert await wire.cmd(f'UID SEARCH RETURN (ALL) MODSEQ "/flags/\\\\draft" all {last}', tag="T") == [
        f'* ESEARCH (TAG "T") UID ALL 4 MODSEQ {last}',
        DONE,
    ]
    assert await wire.cmd("UID SEARCH MODSEQ 999999") == ["* SEARCH", DONE]


@pytest.mark.parametrize(
    "keys",
    [
        "",
        "NONSENSE",
        "SEEN ",
        "(SEEN",
        "NOT",
        "OR SEEN",
        "ON 1-Foo-2001",
        "ON yesterday",
        "LARGER x",
        "HEADER X",
        "X-GM-MSGID x",
        "UID 0",
        "X-NONSENSE 1",
    ]
    + ["(" * 50 + "SEEN" + ")" * 50, "NOT " * 50 + "SEEN", 'X-GM-RAW "' + "(" * 50 + '"', "KEYWORD \\Nonsense"],
)
def test_what_the_grammar_does_not_allow_is_bad(keys):
    @on_imap()
    async def run(server, me, wire):
        await _mailbox(me, wire)
        assert await wire.cmd(f"SEARCH {keys}") == ["BAD Could not parse command"]

    run()


@on_imap(search_delay=60)
async def test_the_index_lags_behind_arrival(server, me, wire):
    import asyncio

    me.deliver(message("hello", Message_ID="<1@x.org>"))
    await wire.cmd("SELECT INBOX")
    for keys in ("SUBJECT hello", "BODY world", "HEADER Message-ID <1@x.org>", 'X-GM-RAW "hello"'):
        assert await found(wire, keys) == []
    assert await found(wire, "UNSEEN") == [1]
    await asyncio.sleep(61)
    for keys in ("SUBJECT hello", "BODY world", "HEADER Message-ID <1@x.org>", 'X-GM-RAW "hello"'):
        assert await found(wire, keys) == [1]


@on_imap()
async def test_a_search_by_number_reports_no_expunge(server, me, wire):
    await _mailbox(me, wire)
    me.remove(me.messages[0])
    assert await wire.cmd("SEARCH ALL") == ["* SEARCH 2 3 4", DONE]
    assert await wire.cmd("UID SEARCH ALL") == ["* SEARCH 2 3 4", "* 1 EXPUNGE", "* 3 EXISTS", DONE]


@on_imap()
async def test_a_long_search_lets_others_run(server, me, wire):
    for _ in range(4001):
        me.deliver(b"Subject: x\r\n\r\n")
    await wire.cmd("SELECT INBOX")
    assert len(await found(wire, "ALL")) == 4001


@on_imap()
async def test_encoded_bodies_are_searched_decoded(server, me, wire):
    made = email("Grüße aus Köln", "Zwölf Boxkämpfer\n", Message_ID="<e@x.org>")
    me.deliver(made)
    await wire.cmd("SELECT INBOX")
    wire.send("S UID SEARCH CHARSET UTF-8 BODY {11}\r\n")
    await wire.line()
    wire.send("Boxkämpfer\r\n".encode())
    assert await wire.until("S") == ["* SEARCH 1", DONE]


@pytest.mark.parametrize(
    "keys",
    [
        "SINCE 1-Jan-0000",
        "SINCE 99-Jan-2020",
        "ON 30-Feb-2020",
    ],
)
def test_a_date_that_is_none_is_bad(keys):
    @on_imap()
    async def run(server, me, wire):
        await _mailbox(me, wire)
        assert await wire.cmd(f"SEARCH {keys}") == ["BAD Could not parse command"]

    run()


@pytest.mark.parametrize(
    ("keys", "odd"),
    [
        ("SUBJECT x", {"Subject": "=?utf-8?b?YWJjZ?="}),
        ("SUBJECT x", {"Subject": "=?nonsense?q?a?="}),
        ("BODY x", {"Content_Type": "text/plain; charset=idna"}),
        ("BODY x", {"Content_Type": "text/plain; charset=undefined"}),
        ("BODY x", {"Content_Type": 'text/plain; charset="a\0b"'}),
        ("SENTSINCE 1-Jan-2020", {"Date": "Mon, 05 Jan 99999 08:00:00 +0000"}),
        ("SENTSINCE 1-Jan-2020", {"Date": "Mon, 99 Jan 2020 08:00:00 +0000"}),
        ("X-GM-RAW after:1/1/99999999999", {}),
        ("X-GM-RAW after:" + "9" * 5000, {}),
        ("X-GM-RAW larger:" + "9" * 5000, {}),
        ("X-GM-RAW newer_than:" + "9" * 5000 + "d", {}),
        ('X-GM-RAW "-)"', {}),
    ],
)
def test_what_is_odd_is_searched_all_the_same(keys, odd):
    @on_imap()
    async def run(server, me, wire):
        odd.setdefault("Subject", "hello")
        me.deliver(message(odd.pop("Subject"), "\xe9".encode("latin-1").decode("utf-8", "replace"), **odd))
        await wire.cmd("SELECT INBOX")
        assert (await wire.cmd(f"SEARCH {keys}"))[-1] == DONE

    run()
