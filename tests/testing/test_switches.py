"""What nobody knows of Gmail for certain is a switch: each does what it says, both ways."""

import pytest

from tests.testing.support import ME, Wire, message, on_imap, on_server, xoauth2


def test_whether_labels_move_modseq():
    for moves in (True, False):

        @on_imap(labels_move_modseq=moves)
        async def run(server, me, wire, moves=moves):
            stored = me.deliver(message())
            before = stored.modseq
            me.copy(stored, me.starred)  # \Flagged comes with it: a change of flags always counts
            assert stored.modseq > before
            before = stored.modseq
            await wire.cmd("SELECT INBOX")
            await wire.cmd("UID STORE 1 +X-GM-LABELS (Work)")
            assert (stored.modseq > before) is moves

        run()


def test_whether_a_repeated_copy_names_its_uids():
    for names in (True, False):

        @on_imap(copyuid_on_repeat=names)
        async def run(server, me, wire, names=names):
            me.deliver(message())
            me.labels.create("Work", me.behaviour)
            await wire.cmd("SELECT INBOX")
            first = await wire.cmd("UID COPY 1 Work")
            assert first == ["OK [COPYUID 20 1 1] (Success)"]
            assert await wire.cmd("UID COPY 1 Work") == (first if names else ["OK Success"])

        run()


@on_imap(modified_text="[MODIFIED {uids}] Conditional STORE failed")
async def test_what_a_conditional_store_says(server, me, wire):
    me.deliver(message())
    await wire.cmd("SELECT INBOX")
    assert await wire.cmd("UID STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)") == ["OK [MODIFIED 1] Conditional STORE failed"]


def test_whether_fetch_without_uid_tells_of_expunges():
    for tells in (True, False):

        @on_imap(expunge_in_fetch=tells)
        async def run(server, me, wire, tells=tells):
            first, _ = me.deliver(message()), me.deliver(message())
            await wire.cmd("SELECT INBOX")
            me.remove(first)
            told = await wire.cmd("FETCH 2 (UID)")
            assert ("* 1 EXPUNGE" in told) is tells
            assert ("* 1 EXPUNGE" in await wire.cmd("NOOP")) is not tells

        run()


def test_whether_parents_are_made():
    for made in (True, False):

        @on_imap(parents_made=made)
        async def run(server, me, wire, made=made):
            assert await wire.cmd("CREATE a/b/c") == ["OK Success"]
            assert {"a/b/c"} <= set(me.mailboxes)
            assert ({"a", "a/b"} <= set(me.mailboxes)) is made
            assert await wire.cmd("CREATE a/b") == (["NO [ALREADYEXISTS] Duplicate folder name a/b (Failure)"] if made else ["OK Success"])

        run()


@on_imap(max_label=3, rename_refusal="no new name", delete_refusal="no end")
async def test_what_labels_may_be_called_and_what_refusals_say(server, me, wire):
    assert await wire.cmd("CREATE abcd") == ["NO [CANNOT] Folder name is not allowed. (Failure)"]
    assert await wire.cmd("CREATE abc") == ["OK Success"]
    assert await wire.cmd("RENAME [Gmail]/Trash x") == ["NO [CANNOT] no new name (Failure)"]
    assert await wire.cmd("DELETE [Gmail]/Trash") == ["NO [CANNOT] no end (Failure)"]


@on_server(smtp_noop_text="250 2.0.0 fine", bdat_text="250 2.0.0 more")
async def test_what_smtp_says_to_noop_and_chunks(server, me):
    async with Wire(server, "smtp") as wire:
        await wire.reply()
        await wire.smtp("EHLO me")
        assert (await wire.smtp("NOOP"))[0].startswith("250 2.0.0 fine ")
        for line in (f"AUTH XOAUTH2 {xoauth2(server.access_token(ME))}", f"MAIL FROM:<{ME}>", f"RCPT TO:<{ME}>"):
            await wire.smtp(line)
        assert (await wire.smtp("BDAT 4\r\na: b"))[0].startswith("250 2.0.0 more ")


async def pop(server, user=ME):
    wire = await Wire(server, "pop3").open()
    await wire.line()
    return wire, (await wire.pop(f"AUTH XOAUTH2 {xoauth2(server.access_token(ME), user)}"))[0]


@pytest.mark.parametrize("exclusive", [True, False])
def test_whether_two_pop_sessions_may_be_open(exclusive):
    @on_server(pop_exclusive=exclusive)
    async def run(server, me):
        first, welcome = await pop(server)
        assert welcome == "+OK Welcome."
        second, answer = await pop(server)
        assert answer.startswith("-ERR [IN-USE]") is exclusive
        await first.pop("QUIT")
        await second.close()
        third, welcome = await pop(server)
        assert welcome == "+OK Welcome."
        await first.close()
        await third.close()

    run()


@pytest.mark.parametrize("works", [True, False])
def test_whether_recent_works_in_a_sasl_message(works):
    @on_server(recent_in_xoauth2=works)
    async def run(server, me):
        wire, answer = await pop(server, f"recent:{ME}")
        assert answer.startswith("+OK Welcome." if works else "+ ")
        await wire.close()

    run()
