import pytest

from tests.testing.support import message, on_imap


async def _three(me, wire, mailbox="INBOX", labels=("\\Inbox",)):
    stored = [me.deliver(message(str(number), Message_ID=f"<{number}@x.org>"), labels) for number in range(3)]
    await wire.cmd(f'SELECT "{mailbox}"')
    return stored


@on_imap()
async def test_flags_are_added_removed_and_replaced_and_belong_to_the_message(server, me, wire):
    first, *_ = await _three(me, wire, labels=("\\Inbox", "Work"))
    assert await wire.cmd("UID STORE 1 +FLAGS (\\Seen $x)") == ["* 1 FETCH (FLAGS (\\Seen $x) UID 1)", "OK Success"]
    assert await wire.cmd("STORE 1 -FLAGS $x") == ["* 1 FETCH (FLAGS (\\Seen) UID 1)", "OK Success"]
    assert await wire.cmd("STORE 1 FLAGS (\\Answered \\Draft)") == ["* 1 FETCH (FLAGS (\\Answered \\Draft) UID 1)", "OK Success"]
    assert await wire.cmd("STORE 1 FLAGS.SILENT ()") == ["OK Success"]
    assert first.flags == frozenset()
    await wire.cmd("STORE 1 +FLAGS \\Seen \\Answered")
    await wire.cmd("SELECT Work")
    assert (await wire.cmd("FETCH 1 FLAGS"))[0] == "* 1 FETCH (FLAGS (\\Answered \\Seen))"


@on_imap()
async def test_flagged_is_starred_and_draft_is_drafts(server, me, wire):
    first, second, _ = await _three(me, wire)
    await wire.cmd("STORE 1 +FLAGS (\\Flagged)")
    await wire.cmd("STORE 2 +FLAGS (\\Draft)")
    assert first.labels == {"\\Inbox", "\\Starred"}
    assert second.labels == {"\\Inbox", "\\Draft"}
    await wire.cmd("STORE 1 -X-GM-LABELS (\\Starred)")
    assert first.flags == frozenset()
    await wire.cmd('STORE 1 +X-GM-LABELS ("\\\\Starred")')
    assert first.flags == {"\\Flagged"}


@pytest.mark.parametrize(
    "command", ["STORE 1 +FLAGS", "STORE 1 +FLAGS (\\Nonsense)", "STORE 1 NONSENSE (x)", "STORE 1 +FLAGS (a) ", "STORE 1 FLAGS (a"]
)
def test_bad_store_commands(command):
    @on_imap()
    async def run(server, me, wire):
        await _three(me, wire)
        assert await wire.cmd(command) == ["BAD Could not parse command"]

    run()


@on_imap()
async def test_auto_expunge_removes_the_label_at_once(server, me, wire):
    first, *_ = await _three(me, wire)
    assert await wire.cmd("STORE 1,3 +FLAGS (\\Deleted)") == ["* 1 EXPUNGE", "* 2 EXPUNGE", "* 1 EXISTS", "OK Success"]
    assert first.uids == {"[Gmail]/All Mail": 1}


@on_imap(auto_expunge=False)
async def test_without_auto_expunge_it_is_as_in_the_rfc(server, me, wire):
    first, second, _ = await _three(me, wire)
    assert await wire.cmd("STORE 1,2 +FLAGS (\\Deleted)") == [
        "* 1 FETCH (FLAGS (\\Deleted) UID 1)",
        "* 2 FETCH (FLAGS (\\Deleted) UID 2)",
        "OK Success",
    ]
    assert await wire.cmd("SEARCH DELETED") == ["* SEARCH 1 2", "OK SEARCH completed (Success)"]
    assert await wire.cmd("STORE 2 -FLAGS (\\Deleted)") == ["* 2 FETCH (FLAGS () UID 2)", "OK Success"]
    assert await wire.cmd("UID EXPUNGE 2:3") == ["OK Success"]
    assert await wire.cmd("UID EXPUNGE 1:3") == ["* 1 EXPUNGE", "* 2 EXISTS", "OK Success"]
    await wire.cmd("STORE 1 +FLAGS (\\Deleted)")
    assert await wire.cmd("EXPUNGE") == ["* 1 EXPUNGE", "* 1 EXISTS", "OK Success"]
    assert first in me.all_mail
    assert second in me.all_mail


@pytest.mark.parametrize(("policy", "where"), [("archive", "[Gmail]/All Mail"), ("trash", "[Gmail]/Trash"), ("deleteForever", None)])
def test_what_becomes_of_a_message_expunged_from_its_last_mailbox(policy, where):
    @on_imap(expunge_behavior=policy, auto_expunge=False)
    async def run(server, me, wire):
        first, *_ = await _three(me, wire)
        kept = me.deliver(message("k"), ["\\Inbox", "Work"])
        await wire.cmd("NOOP")
        await wire.cmd("STORE 1,4 +FLAGS (\\Deleted)")
        await wire.cmd("EXPUNGE")
        assert kept.labels == {"Work"}
        if where is None:
            assert first not in me.messages
            assert me.ledger.removals[0].message is first
        else:
            assert list(first.uids) == [where]

    run()


@on_imap(expunge_behavior="deleteForever", auto_expunge=False, hidden=frozenset({"Work"}))
async def test_a_mailbox_that_imap_does_not_show_is_not_the_last_visible_one(server, me, wire):
    me.deliver(message(), ["\\Inbox", "Work"])
    await wire.cmd("SELECT INBOX")
    await wire.cmd("STORE 1 +FLAGS (\\Deleted)")
    await wire.cmd("EXPUNGE")
    assert me.messages == ()


@on_imap(expunge_behavior="deleteForever")
async def test_with_auto_expunge_gmail_archives_whatever_the_setting(server, me, wire):
    stored = me.deliver(message())
    await wire.cmd("SELECT INBOX")
    await wire.cmd("STORE 1 +FLAGS (\\Deleted)")
    assert list(stored.uids) == ["[Gmail]/All Mail"]


@on_imap()
async def test_expunging_is_for_ever_in_trash_and_spam_and_nothing_in_all_mail(server, me, wire):
    gone, junk, kept = me.deliver(message(), ["\\Trash"]), me.deliver(message(), ["\\Spam"]), me.deliver(message())
    for name in ("Trash", "Spam", "All Mail"):
        await wire.cmd(f'SELECT "[Gmail]/{name}"')
        await wire.cmd("STORE 1 +FLAGS (\\Deleted)")
    assert me.messages == (kept,)
    assert {gone, junk} == {removal.message for removal in me.ledger.removals}
    assert kept in me.inbox


@on_imap(auto_expunge=False)
async def test_a_mark_in_all_mail_is_lost_by_expunge_and_the_message_stays(server, me, wire):
    stored = me.deliver(message())
    await wire.cmd('SELECT "[Gmail]/All Mail"')
    await wire.cmd("STORE 1 +FLAGS (\\Deleted)")
    assert await wire.cmd("EXPUNGE") == ["* 1 FETCH (FLAGS () UID 1)", "OK Success"]
    assert stored in me.inbox


@on_imap()
async def test_copy_adds_a_label_and_says_where(server, me, wire):
    first, *_ = await _three(me, wire)
    await wire.cmd("CREATE Work")
    validity = me.mailbox("Work").uidvalidity
    assert await wire.cmd("UID COPY 1,3 Work") == [f"OK [COPYUID {validity} 1,3 1:2] (Success)"]
    assert await wire.cmd("UID COPY 1:3 Work") == [f"OK [COPYUID {validity} 1:3 1,3,2] (Success)"]
    assert first.labels == {"\\Inbox", "Work"}
    assert len(me.messages) == 3
    assert await wire.cmd("UID COPY 99 Work") == ["OK Success"]
    assert await wire.cmd("COPY 1 Nowhere") == ["NO [TRYCREATE] No folder Nowhere (Failure)"]


@on_imap()
async def test_copy_to_trash_takes_the_message_away(server, me, wire):
    first, *_ = await _three(me, wire, labels=("\\Inbox", "Work"))
    assert await wire.cmd('UID COPY 1 "[Gmail]/Trash"') == ["* 1 EXPUNGE", "* 2 EXISTS", "OK [COPYUID 2 1 1] (Success)"]
    assert first.labels == {"\\Trash"}
    await wire.cmd('SELECT "[Gmail]/Trash"')
    await wire.cmd("COPY 1 INBOX")
    assert first.labels == {"\\Inbox"}


@on_imap()
async def test_move_has_copyuid_in_the_tagged_reply(server, me, wire):
    first, second, third = await _three(me, wire, labels=("\\Inbox", "Work"))
    assert await wire.cmd('UID MOVE 1 "[Gmail]/Spam"') == ["* 1 EXPUNGE", "* 2 EXISTS", "OK [COPYUID 3 1 1] (Success)"]
    assert await wire.cmd('UID MOVE 2 "[Gmail]/All Mail"') == ["* 1 EXPUNGE", "* 1 EXISTS", "OK [COPYUID 11 2 2] (Success)"]
    assert await wire.cmd('UID MOVE 3 "[Gmail]/Starred"') == ["* 1 EXPUNGE", "* 0 EXISTS", "OK [COPYUID 4 3 1] (Success)"]
    assert first.labels == {"\\Spam"}
    assert second.labels == {"Work"}
    assert third.labels == {"Work", "\\Starred"}
    assert third.flags == {"\\Flagged"}


@on_imap()
async def test_moves_that_change_nothing_or_only_add(server, me, wire):
    first, *_ = await _three(me, wire)
    assert await wire.cmd("UID MOVE 1 INBOX") == ["OK [COPYUID 1 1 1] (Success)"]
    await wire.cmd('SELECT "[Gmail]/All Mail"')
    assert await wire.cmd('UID MOVE 1 "[Gmail]/Important"') == ["OK [COPYUID 9 1 1] (Success)"]
    assert first.labels == {"\\Inbox", "\\Important"}


@on_imap()
async def test_labels_are_stored_and_unknown_ones_made(server, me, wire):
    first, *_ = await _three(me, wire)
    assert await wire.cmd('UID STORE 1 +X-GM-LABELS (Work "Two words" &ANw-)') == [
        '* 1 FETCH (X-GM-LABELS ("Two words" Work &ANw-) UID 1)',
        "OK Success",
    ]
    assert await wire.cmd("STORE 1 -X-GM-LABELS.SILENT Work") == ["OK Success"]
    assert await wire.cmd("STORE 1 X-GM-LABELS (New)") == ["* 1 FETCH (X-GM-LABELS (New) UID 1)", "OK Success"]
    assert first.labels == {"\\Inbox", "New"}
    assert await wire.cmd("STORE 1 -X-GM-LABELS (Unknown)") == ["* 1 FETCH (X-GM-LABELS (New) UID 1)", "OK Success"]
    assert await wire.cmd("STORE 1 +X-GM-LABELS (\\Archive)") == ["BAD Invalid Arguments: Label name is not allowed: \\Archive"]
    assert await wire.cmd("STORE 1 +X-GM-LABELS (a^b)") == ["NO [CANNOT] Folder name is not allowed. (Failure)"]


@on_imap()
async def test_the_selected_mailboxs_own_label_cannot_be_removed_by_store(server, me, wire):
    first, *_ = await _three(me, wire)
    assert await wire.cmd("STORE 1 -X-GM-LABELS (\\Inbox)") == ["* 1 FETCH (X-GM-LABELS () UID 1)", "OK Success"]
    assert first in me.inbox
    me.configure(own_label_removable=True)
    assert await wire.cmd("STORE 1 -X-GM-LABELS (\\Inbox)") == ["* 1 EXPUNGE", "* 2 EXISTS", "OK Success"]
    assert first not in me.inbox
    await wire.cmd('SELECT "[Gmail]/All Mail"')
    await wire.cmd("STORE 2 -X-GM-LABELS (\\Inbox)")
    assert len(me.inbox.order) == 1


@on_imap()
async def test_adding_the_trash_label_moves_to_trash_and_another_brings_it_back(server, me, wire):
    first, *_ = await _three(me, wire)
    assert await wire.cmd("UID STORE 1 +X-GM-LABELS (\\Trash)") == ["* 1 EXPUNGE", "* 2 EXISTS", "OK Success"]
    assert first.labels == {"\\Trash"}
    await wire.cmd('SELECT "[Gmail]/Trash"')
    assert await wire.cmd("UID STORE 1 +X-GM-LABELS (Work)") == ["* 1 EXPUNGE", "* 0 EXISTS", "OK Success"]
    assert first.labels == {"Work"}
    me.copy(first, me.trash)
    await wire.cmd("NOOP")
    assert await wire.cmd("UID STORE 2 -X-GM-LABELS (\\Trash)") == ["* 1 EXPUNGE", "* 0 EXISTS", "OK Success"]
    assert first.uids.keys() == {"[Gmail]/All Mail"}


@on_imap()
async def test_unchangedsince_names_what_was_modified(server, me, wire):
    first, second, _ = await _three(me, wire)
    since = me.modseq
    me.set_flags(first, {"\\Answered"})
    await wire.cmd("NOOP")
    lines = await wire.cmd(f"UID STORE 1:2 (UNCHANGEDSINCE {since}) +FLAGS (\\Seen)")
    assert lines == [f"* 2 FETCH (MODSEQ ({second.modseq}) FLAGS (\\Seen) UID 2)", "OK [MODIFIED 1] (Success)"]
    assert first.flags == {"\\Answered"}
    assert await wire.cmd("STORE 2 +FLAGS.SILENT (\\Answered)") == [f"* 2 FETCH (MODSEQ ({second.modseq}) UID 2)", "OK Success"]
    assert (await wire.cmd(f"STORE 1 (UNCHANGEDSINCE {since}) +FLAGS (\\Seen)"))[-1] == "OK [MODIFIED 1] (Success)"


@on_imap()
async def test_a_flag_change_moves_modseq_by_one_and_no_change_by_none(server, me, wire):
    await _three(me, wire)
    before = me.modseq
    await wire.cmd("STORE 1 +FLAGS (\\Seen)")
    await wire.cmd("STORE 1 +FLAGS (\\Seen)")
    assert me.modseq == before + 1


@on_imap()
async def test_many_labels_and_messages_at_once_are_counted_in_the_ledger(server, me, wire):
    await _three(me, wire)
    await wire.cmd("STORE 1:3 +X-GM-LABELS (A B)")
    assert [(change.added, change.removed) for change in me.ledger.labels] == [(("A", "B"), ())] * 3
    await wire.cmd("STORE 1:3 +FLAGS (\\Seen)")
    assert [(change.added, change.removed) for change in me.ledger.flags] == [(("\\Seen",), ())] * 3


@on_imap(auto_expunge=False, expunge_behavior="trash")
async def test_what_is_expunged_goes_in_the_order_of_its_uids(server, me, wire):
    stored = [me.deliver(message(str(number))) for number in range(50)]
    await wire.cmd("SELECT INBOX")
    await wire.cmd("STORE 1:* +FLAGS (\\Deleted)")
    await wire.cmd("EXPUNGE")
    assert list(me.trash.messages) == stored
