import pytest

from tests.testing.support import message, on_imap


async def append(wire, raw, mailbox="INBOX", head=""):
    wire.send(f"P APPEND {mailbox} {head}{{{len(raw)}}}\r\n")
    line = await wire.line()
    if line != "+ go ahead":
        return [line.removeprefix("P ")]
    wire.send(raw + b"\r\n")
    return await wire.until("P")


@on_imap()
async def test_append_says_go_ahead_and_where(server, me, wire):
    await wire.cmd("SELECT INBOX")
    raw = message(Message_ID="<a@x.org>")
    assert await append(wire, raw, head='(\\Seen $x) "06-Feb-1992 16:51:37 +0100" ') == ["* 1 EXISTS", "OK [APPENDUID 1 1] (Success)"]
    (stored,) = me.messages
    assert stored.raw == raw
    assert stored.flags == {"\\Seen", "$x"}
    assert stored.received.isoformat() == "1992-02-06T15:51:37+00:00"
    assert [(entry.mailbox, entry.uid, entry.duplicate) for entry in me.ledger.appends] == [("INBOX", 1, False)]


@on_imap()
async def test_a_non_synchronising_literal_needs_no_go_ahead(server, me, wire):
    raw = message()
    wire.send(f"P APPEND INBOX {{{len(raw)}+}}\r\n".encode() + raw + b"\r\n")
    assert await wire.until("P") == ["OK [APPENDUID 1 1] (Success)"]


@on_imap()
async def test_refusals(server, me, wire):
    assert await append(wire, message(), "Nowhere") == ["NO [TRYCREATE] No folder Nowhere (Failure)"]
    assert await append(wire, b"", "INBOX") == ["NO Empty message. (Failure)"]
    assert await append(wire, message(), head='"32-Feb-1992 16:51:37 +0000" ') == ["BAD Could not parse command"]
    assert await append(wire, message(), head='"1-Feb-1992 16:51:37 +0000" ') == ["BAD Could not parse command"]
    assert await wire.cmd("APPEND INBOX text") == ["BAD Could not parse command"]
    assert await wire.cmd("APPEND INBOX {99999999}") == [
        "BAD [TOOBIG] Message too large. https://support.google.com/mail/answer/6584#limit"
    ]
    me.configure(quota=0)
    assert await append(wire, message(body="x" * 2000)) == ["NO [OVERQUOTA] Not enough storage. (Failure)"]
    assert me.messages == ()


@on_imap()
async def test_a_message_that_is_there_gains_the_label_and_keeps_its_date(server, me, wire):
    first = me.deliver(message(Message_ID="<a@x.org>"), date=1_000_000_000)
    assert await append(wire, message(body="other", Message_ID="<a@x.org>"), "[Gmail]/Starred") == ["OK [APPENDUID 4 1] (Success)"]
    assert me.messages == (first,)
    assert first.labels == {"\\Inbox", "\\Starred"}
    assert first.internal_date == 1_000_000_000
    assert me.ledger.appends[0].duplicate


@on_imap()
async def test_it_comes_back_from_the_trash(server, me, wire):
    first = me.deliver(message(Message_ID="<a@x.org>"), ["\\Trash"])
    await append(wire, message(Message_ID="<a@x.org>"))
    assert first.labels == {"\\Inbox"}


@on_imap()
async def test_without_message_id_or_with_another_date_nothing_is_the_same(server, me, wire):
    for raw in (
        message(),
        message(),
        message(Message_ID="<a@x.org>"),
        message(Message_ID="<a@x.org>", Date="Tue, 06 Jan 2026 08:00:00 +0000"),
    ):
        await append(wire, raw)
    assert len(me.messages) == 4


@pytest.mark.parametrize(("similar", "same"), [("id", 4), ("date", 3), ("subject", 2), ("body", 1)])
def test_how_much_two_messages_must_share_is_a_switch(similar, same):
    @on_imap(similar=similar)
    async def run(server, me, wire):
        first = message(Message_ID="<a@x.org>")
        other_body = message(Message_ID="<a@x.org>", body="other")
        other_subject = message("other", Message_ID="<a@x.org>", body="other")
        other_date = message("other", Message_ID="<a@x.org>", body="other", Date="Tue, 06 Jan 2026 08:00:00 +0000")
        for raw in (first, other_body, other_subject, other_date)[:same]:
            await append(wire, raw)
        assert len(me.messages) == 1
        for raw in (first, other_body, other_subject, other_date)[same : same + 1]:
            await append(wire, raw)
            assert len(me.messages) == 2

    run()


@pytest.mark.parametrize(("switch", "labels"), [("move", [{"\\Trash"}]), ("store", [{"\\Inbox"}, {"\\Trash"}])])
def test_what_an_append_to_the_bin_does_to_a_message_that_is_there_is_a_switch(switch, labels):
    @on_imap(append_to_bin=switch)
    async def run(server, me, wire):
        me.deliver(message(Message_ID="<a@x.org>"))
        await append(wire, message(Message_ID="<a@x.org>"), "[Gmail]/Trash")
        assert [stored.labels for stored in me.messages] == labels

    run()


@on_imap(append_duplicate="replace")
async def test_the_variant_that_drops_the_old_copy(server, me, wire):
    first = me.deliver(message(Message_ID="<a@x.org>"))
    await wire.cmd("SELECT INBOX")
    assert await append(wire, message(Message_ID="<a@x.org>")) == ["* 1 EXPUNGE", "* 1 EXISTS", "OK [APPENDUID 1 2] (Success)"]
    assert first not in me.messages


@on_imap(append_duplicate="store")
async def test_the_variant_that_keeps_both(server, me, wire):
    me.deliver(message(Message_ID="<a@x.org>"))
    await append(wire, message(Message_ID="<a@x.org>"))
    assert len(me.messages) == 2


@on_imap()
async def test_an_append_marked_deleted_vanishes_at_once(server, me, wire):
    await wire.cmd("SELECT INBOX")
    assert (await append(wire, message(), head="(\\Deleted) "))[-1] == "OK [APPENDUID 1 1] (Success)"
    assert me.inbox.order == []


@pytest.mark.parametrize(
    ("mailbox", "labels"),
    [('"[Gmail]/Trash"', {"\\Trash"}), ('"[Gmail]/Spam"', {"\\Spam"}), ('"[Gmail]/All Mail"', set()), ('"[Gmail]/Drafts"', {"\\Draft"})],
)
def test_where_an_append_goes(mailbox, labels):
    @on_imap()
    async def run(server, me, wire):
        await append(wire, message(), mailbox)
        assert me.messages[0].labels == labels

    run()


@on_imap()
async def test_utf8_append(server, me, wire):
    await wire.cmd("ENABLE UTF8=ACCEPT")
    raw = message("Grüße")
    wire.send(f"P APPEND INBOX UTF8 (~{{{len(raw)}+}}\r\n".encode() + raw + b")\r\n")
    assert await wire.until("P") == ["OK [APPENDUID 1 1] (Success)"]
    assert me.messages[0].header("subject") == "Grüße"


@pytest.mark.parametrize("date", [" 1-Jan-0001 00:00:00 +2359", "31-Dec-9999 23:59:59 -2359", "01-Jan-2020 00:00:00 +9999"])
def test_a_date_out_of_range_is_bad(date):
    @on_imap()
    async def run(server, me, wire):
        assert await wire.cmd(f'APPEND INBOX "{date}" {{4}}') == ["+ go ahead"]
        wire.send("a: b\r\n")
        assert await wire.until("A2") == ["BAD Could not parse command"]
        assert me.messages == ()

    run()
