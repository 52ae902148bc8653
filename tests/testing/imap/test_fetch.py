import asyncio

import pytest

from tests.testing.support import email, message, on_imap

MULTIPART = (
    b"From: Ada <ada@example.org>\r\nSubject: two\r\nMessage-ID: <two@example.org>\r\n"
    b'Content-Type: multipart/mixed; boundary="B"\r\n\r\npreamble\r\n'
    b"--B\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nfirst\r\n"
    b"--B\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nTo: x@example.org\r\n\r\ninner body\r\n"
    b"--B--\r\nepilogue\r\n"
)


@on_imap()
async def test_items_come_in_gmails_order_whatever_was_asked(server, me, wire):
    stored = me.deliver(message(Message_ID="<a@b.c>"), ["\\Inbox", "\\Sent", "Work", "Two words", "Ünï"], date=700_000_000)
    await wire.cmd("SELECT INBOX")
    lines = await wire.cmd("UID FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE X-GM-LABELS X-GM-MSGID X-GM-THRID MODSEQ)")
    assert lines == [
        (
            f"* 1 FETCH (X-GM-THRID {stored.thread_id} X-GM-MSGID {stored.gmail_id} "
            f'X-GM-LABELS ("\\\\Sent" "Two words" Work &ANw-n&AO8-) UID 1 RFC822.SIZE {stored.size} MODSEQ ({stored.modseq}) '
            'INTERNALDATE "07-Mar-1992 20:26:40 +0000" FLAGS ())'
        ),
        "OK Success",
    ]


@on_imap()
async def test_the_selected_mailboxs_own_label_is_omitted(server, me, wire):
    me.deliver(message(), ["\\Inbox", "Work"])
    for name, labels in (("INBOX", "Work"), ("Work", '"\\\\Inbox"'), ("[Gmail]/All Mail", '"\\\\Inbox" Work')):
        await wire.cmd(f'SELECT "{name}"')
        assert (await wire.cmd("FETCH 1 (X-GM-LABELS)"))[0] == f"* 1 FETCH (X-GM-LABELS ({labels}))"
    me.configure(own_label_shown=True, bare_system_labels=True)
    assert (await wire.cmd("FETCH 1 (X-GM-LABELS)"))[0] == "* 1 FETCH (X-GM-LABELS (\\Inbox Work))"


@on_imap()
async def test_labels_are_utf8_once_that_is_enabled(server, me, wire):
    me.deliver(message(), ["\\Inbox", "Ünï"])
    await wire.cmd("ENABLE UTF8=ACCEPT")
    await wire.cmd("SELECT INBOX")
    assert (await wire.cmd("FETCH 1 X-GM-LABELS"))[0] == '* 1 FETCH (X-GM-LABELS ("Ünï"))'


@on_imap()
async def test_macros_stand_alone_and_are_bad_in_a_list(server, me, wire):
    me.deliver(message())
    await wire.cmd("SELECT INBOX")
    assert "RFC822.SIZE" in (await wire.cmd("FETCH 1 FAST"))[0]
    assert "ENVELOPE (" in (await wire.cmd("FETCH 1 ALL"))[0]
    assert " BODY (" in (await wire.cmd("FETCH 1 FULL"))[0]
    assert await wire.cmd("FETCH 1 (FAST)") == ["BAD Could not parse command"]


@pytest.mark.parametrize(
    "command",
    ["FETCH 0 FLAGS", "FETCH 1 ()", "FETCH 1 (FLAGS  UID)", "FETCH 1 NONSENSE", "FETCH 1 BODY[", "FETCH 1 BODY[MIME]", "FETCH 1 BODY[]<0.0>",
     "FETCH 1 BODY[HEADER.FIELDS ()]", "FETCH 1 FLAGS (VANISHED)", "FETCH x FLAGS", "FETCH 1", "FETCH 1:2:3 FLAGS", "FETCH 1 BODY[]<0>"],
)  # fmt: skip
def test_what_the_grammar_does_not_allow_is_bad(command):
    @on_imap()
    async def run(server, me, wire):
        me.deliver(message())
        await wire.cmd("SELECT INBOX")
        assert await wire.cmd(command) == ["BAD Could not parse command"]

    run()


@on_imap()
async def test_sections_and_partials(server, me, wire):
    me.deliver(MULTIPART)
    await wire.cmd("EXAMINE INBOX")

    async def section(text):
        line = (await wire.cmd(f"FETCH 1 (BODY.PEEK[{text}])"))[0]
        return line.removeprefix("* 1 FETCH (").removesuffix(")")

    raw = MULTIPART.decode()
    assert await section("") == f"BODY[] {{{len(raw)}}}\r\n{raw}"
    assert await section("TEXT") == f"BODY[TEXT] {{{len(raw) - raw.index('preamble')}}}\r\n{raw[raw.index('preamble') :]}"
    assert await section("1") == "BODY[1] {5}\r\nfirst"
    assert await section("1.MIME") == "BODY[1.MIME] {43}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    assert await section("2.HEADER") == "BODY[2.HEADER] {37}\r\nSubject: inner\r\nTo: x@example.org\r\n\r\n"
    assert await section("2.TEXT") == "BODY[2.TEXT] {10}\r\ninner body"
    assert await section("2.1") == "BODY[2.1] {10}\r\ninner body"
    assert await section("3") == "BODY[3] NIL"
    assert await section("1.TEXT") == "BODY[1.TEXT] NIL"
    assert await section("HEADER.FIELDS (SUBJECT Date)") == "BODY[HEADER.FIELDS (SUBJECT Date)] {16}\r\nSubject: two\r\n\r\n"
    head = await section("HEADER.FIELDS.NOT (subject from)")
    assert "Message-ID" in head
    assert "Subject" not in head
    assert (await wire.cmd("FETCH 1 (BODY.PEEK[1]<1.3>)"))[0] == "* 1 FETCH (BODY[1]<1> {3}\r\nirs)"
    assert (await wire.cmd("FETCH 1 (BODY.PEEK[1]<9.3>)"))[0] == "* 1 FETCH (BODY[1]<9> {0}\r\n)"
    assert (await wire.cmd("FETCH 1 (BODY.PEEK[9]<0.3> UID)"))[0] == "* 1 FETCH (UID 1 BODY[9]<0> NIL)"


@on_imap()
async def test_a_body_that_is_not_peeked_at_is_seen_and_says_so_in_the_same_row(server, me, wire):
    stored = me.deliver(message())
    await wire.cmd("SELECT INBOX")
    assert (await wire.cmd("FETCH 1 (UID BODY[TEXT])"))[0] == "* 1 FETCH (UID 1 FLAGS (\\Seen) BODY[TEXT] {7}\r\nworld\r\n)"
    assert (await wire.cmd("FETCH 1 (BODY[TEXT])"))[0] == "* 1 FETCH (BODY[TEXT] {7}\r\nworld\r\n)"
    me.set_flags(stored, ())
    assert "RFC822.HEADER {" in (await wire.cmd("FETCH 1 (RFC822.HEADER)"))[0]
    assert stored.flags == frozenset()
    assert "FLAGS (\\Seen) RFC822 {" in (await wire.cmd("FETCH 1 RFC822"))[0]
    assert (await wire.cmd("FETCH 1 RFC822.TEXT"))[0] == "* 1 FETCH (RFC822.TEXT {7}\r\nworld\r\n)"


@on_imap()
async def test_modseq_comes_uninvited_once_condstore_is_on(server, me, wire):
    me.deliver(message())
    await wire.cmd("SELECT INBOX (CONDSTORE)")
    assert (await wire.cmd("FETCH 1 (FLAGS)"))[0] == "* 1 FETCH (MODSEQ (2) FLAGS ())"
    assert await wire.cmd("SELECT INBOX (QRESYNC)") == ["BAD Could not parse command"]


@on_imap()
async def test_changedsince_leaves_out_what_is_older(server, me, wire):
    first, second = me.deliver(message()), me.deliver(message("b"))
    await wire.cmd("SELECT INBOX")
    me.set_flags(first, {"\\Seen"})
    assert await wire.cmd(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {second.modseq})") == [
        f"* 1 FETCH (UID 1 MODSEQ ({first.modseq}) FLAGS (\\Seen))",
        f"* 1 FETCH (MODSEQ ({first.modseq}) FLAGS (\\Seen) UID 1)",
        "OK Success",
    ]


@on_imap()
async def test_a_set_with_a_star_always_means_the_last_message(server, me, wire):
    for number in range(3):
        me.deliver(message(str(number)))
    await wire.cmd("SELECT INBOX")
    assert await wire.cmd("UID FETCH 99:* (UID)") == ["* 3 FETCH (UID 3)", "OK Success"]
    assert await wire.cmd("UID FETCH *,1:2,2 (UID)") == ["* 1 FETCH (UID 1)", "* 2 FETCH (UID 2)", "* 3 FETCH (UID 3)", "OK Success"]
    assert await wire.cmd("UID FETCH 77 (UID)") == ["OK Success"]


@on_imap()
async def test_an_empty_mailbox_has_nothing_to_fetch(server, me, wire):
    await wire.cmd("SELECT INBOX")
    assert await wire.cmd("UID FETCH 1:* (UID)") == ["OK Success"]


@on_imap()
async def test_keywords_follow_the_system_flags(server, me, wire):
    me.deliver(message(), flags=["$label1", "\\Seen", "NonJunk", "\\Flagged"])
    await wire.cmd("SELECT INBOX")
    assert (await wire.cmd("FETCH 1 FLAGS"))[0] == "* 1 FETCH (FLAGS (\\Flagged \\Seen $label1 NonJunk))"


@on_imap(bandwidth_limit=200_000)
async def test_too_much_traffic_ends_in_overquota_in_the_middle_of_a_fetch(server, me, wire):
    for number in range(100):
        me.deliver(message(str(number), "x" * 10_000))
    await wire.cmd("SELECT INBOX")
    wire.send("A UID FETCH 1:* BODY.PEEK[]\r\n")
    text = await wire.rest()
    assert text.endswith(b"x* BYE [OVERQUOTA] Account exceeded command or bandwidth limits.\r\n")
    assert server.ledger.connections[0].sent == 200_000 + len(text) - text.index(b"* BYE")


@on_imap(bandwidth_limit=5_000)
async def test_too_much_traffic_without_bodies_ends_between_two_rows(server, me, wire):
    for number in range(200):
        me.deliver(message(str(number)))
    await wire.cmd("SELECT INBOX")
    got = await wire.cmd("UID FETCH 1:* (FLAGS UID)")
    assert got[-3].endswith(")")
    assert got[-2:] == ["* BYE [OVERQUOTA] Account exceeded command or bandwidth limits.", None]


@on_imap()
async def test_a_long_reply_lets_other_tasks_run_and_waits_for_a_slow_reader(server, me, wire):
    turns = 0

    async def tick():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    me.deliver(message(body="x" * 20_000_000))
    await wire.cmd("SELECT INBOX")
    wire.reader._limit = 1 << 16
    wire.send("A UID FETCH 1 BODY.PEEK[]\r\n")
    await asyncio.sleep(5)
    assert server.ledger.connections[0].sent < 2_000_000
    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    before = turns
    size = 0
    while not (chunk := await wire.reader.read(1 << 16)).endswith(b"A OK Success\r\n"):
        size += len(chunk)
    assert size > 19_900_000
    assert turns - before > 200
    ticking.cancel()
    await asyncio.wait([ticking])


@on_imap()
async def test_structures_that_were_parsed_from_a_real_library_message(server, me, wire):
    made = email("Grüße", "über\n")
    made.add_attachment(b"data", maintype="image", subtype="png", filename="a b.png")
    me.deliver(made)
    await wire.cmd("SELECT INBOX")
    line = (await wire.cmd("FETCH 1 BODYSTRUCTURE"))[0]
    assert (
        '("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "8BIT" 7 1 NIL NIL NIL)' in line or '"BASE64"' in line or '"QUOTED-PRINTABLE"' in line
    )
    assert '("IMAGE" "PNG" NIL NIL NIL "BASE64" 10 NIL ("ATTACHMENT" ("FILENAME" "a b.png")) NIL) "MIXED" ("BOUNDARY" "' in line
    assert line.endswith('") NIL NIL))')


@on_imap()
async def test_no_header_name_brings_a_line_of_its_own_into_a_reply(server, me, wire):
    me.deliver(message())
    await wire.cmd("SELECT INBOX")
    wire.send("X FETCH 1 BODY.PEEK[HEADER.FIELDS ({14+}\r\nX\r\n* 99 EXISTS)]\r\n")
    assert await wire.line() == "X BAD Could not parse command"
    assert (await wire.cmd('FETCH 1 BODY.PEEK[HEADER.FIELDS ("X(" To)]'))[0].startswith('* 1 FETCH (BODY[HEADER.FIELDS ("X(" To)] {')
