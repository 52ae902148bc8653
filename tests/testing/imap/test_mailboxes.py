from tests.testing.support import Wire, message, on_imap, on_server

SELECTED = [
    "* FLAGS (\\Answered \\Flagged \\Draft \\Deleted \\Seen $NotPhishing $Phishing)",
    "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Draft \\Deleted \\Seen $NotPhishing $Phishing \\*)] Flags permitted.",
    "* OK [UIDVALIDITY 1] UIDs valid.",
    "* 1 EXISTS",
    "* 0 RECENT",
    "* OK [UIDNEXT 2] Predicted next UID.",
    "* OK [HIGHESTMODSEQ 2]",
    "OK [READ-WRITE] INBOX selected. (Success)",
]


@on_imap()
async def test_select_word_for_word(server, me, wire):
    me.deliver(message())
    assert await wire.cmd("SELECT inbox") == SELECTED


@on_imap()
async def test_examine_permits_no_flags(server, me, wire):
    me.deliver(message())
    lines = await wire.cmd("EXAMINE INBOX")
    assert lines[1] == "* OK [PERMANENTFLAGS ()] Flags permitted."
    assert lines[-1] == "OK [READ-ONLY] INBOX selected. (Success)"
    assert await wire.cmd("STORE 1 +FLAGS (\\Seen)") == ["NO [READ-ONLY] Mailbox is read-only. (Failure)"]
    assert await wire.cmd("EXPUNGE") == ["NO [READ-ONLY] Mailbox is read-only. (Failure)"]


@on_imap(locale="lt")
async def test_the_name_in_the_tagged_text_is_8_bit(server, me, wire):
    lines = await wire.cmd("SELECT [Gmail]/&AWA-lam&AWE-tas")
    assert lines[-1] == "OK [READ-WRITE] [Gmail]/Šlamštas selected. (Success)"
    assert lines[2] == "* OK [UIDVALIDITY 3] UIDs valid."


@on_imap()
async def test_highestmodseq_is_the_accounts(server, me, wire):
    me.deliver(message(), ["Work"])
    me.deliver(message("b"), ["\\Sent"])
    found = {
        (await wire.cmd(f'SELECT "{name}"'))[6] for name in ("INBOX", "Work", "[Gmail]/Sent Mail", "[Gmail]/All Mail", "[Gmail]/Trash")
    }
    assert found == {"* OK [HIGHESTMODSEQ 3]"}


@on_imap()
async def test_an_unknown_mailbox_says_what_became_of_the_selected_one(server, me, wire):
    assert await wire.cmd("SELECT [Gmail]") == ["NO [NONEXISTENT] Unknown Mailbox: [Gmail] (Failure)"]
    await wire.cmd("SELECT INBOX")
    assert await wire.cmd("SELECT Gone") == ["NO [NONEXISTENT] Unknown Mailbox: Gone (now in authenticated state) (Failure)"]
    assert await wire.cmd("SEARCH ALL") == ["BAD SEARCH not allowed now."]


@on_imap()
async def test_close_and_unselect(server, me, wire):
    me.deliver(message())
    await wire.cmd("SELECT INBOX")
    assert await wire.cmd("UNSELECT") == ["OK Returned to authenticated state. (Success)"]
    assert await wire.cmd("CLOSE") == ["BAD CLOSE not allowed now."]


@on_imap(auto_expunge=False)
async def test_close_expunges_unless_read_only(server, me, wire):
    stored = me.deliver(message())
    await wire.cmd("SELECT INBOX")
    await wire.cmd("STORE 1 +FLAGS (\\Deleted)")
    await wire.cmd("EXAMINE INBOX")
    await wire.cmd("CLOSE")
    assert stored in me.inbox
    await wire.cmd("SELECT INBOX")
    assert await wire.cmd("CLOSE") == ["OK Returned to authenticated state. (Success)"]
    assert stored not in me.inbox
    assert stored in me.all_mail


@on_imap()
async def test_status_word_for_word(server, me, wire):
    me.deliver(message())
    me.deliver(message("b"), flags=["\\Seen"])
    assert await wire.cmd("STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)") == [
        '* STATUS "INBOX" (MESSAGES 2 RECENT 0 UIDNEXT 3 UIDVALIDITY 1 UNSEEN 1 HIGHESTMODSEQ 3)',
        "OK Success",
    ]
    assert await wire.cmd("STATUS Gone (MESSAGES)") == ["NO [NONEXISTENT] Unknown Mailbox: Gone (Failure)"]
    assert await wire.cmd("STATUS INBOX (SIZE)") == ["BAD Could not parse command"]
    assert await wire.cmd("STATUS INBOX ()") == ["BAD Could not parse command"]


@on_imap()
async def test_create_delete_and_rename(server, me, wire):
    assert await wire.cmd("CREATE b&APY-x") == ["OK Success"]
    # The name comes back as raw UTF-8 although the command carried modified UTF-7.
    assert await wire.cmd("CREATE b&APY-x") == ["NO [ALREADYEXISTS] Duplicate folder name böx (Failure)"]
    assert await wire.cmd("CREATE x^y") == ["NO [CANNOT] Folder name is not allowed. (Failure)"]
    assert await wire.cmd("CREATE x/") == ["NO [CANNOT] Folder name is not allowed. (Failure)"]
    assert await wire.cmd('CREATE "a  b"') == ["NO [CANNOT] Folder contains excess whitespace (Failure)"]
    assert await wire.cmd("RENAME b&APY-x Boxes/One") == ["OK Success"]
    assert await wire.cmd("RENAME Boxes Crates") == ["OK Success"]
    assert "Crates/One" in me.mailboxes
    assert await wire.cmd("RENAME Nothing X") == ["NO [NONEXISTENT] Unknown Mailbox: Nothing (Failure)"]
    assert await wire.cmd("RENAME Crates/One INBOX") == ["NO [ALREADYEXISTS] Duplicate folder name INBOX (Failure)"]
    assert await wire.cmd('RENAME "[Gmail]/Trash" Bin') == ["NO [CANNOT] Folder is not allowed to be renamed. (Failure)"]
    assert await wire.cmd('DELETE "[Gmail]/Trash"') == ["NO [CANNOT] Folder is not allowed to be deleted. (Failure)"]
    assert await wire.cmd("DELETE Gone") == ["NO [NONEXISTENT] Unknown Mailbox: Gone (Failure)"]


@on_imap()
async def test_deleting_a_label_leaves_its_messages_in_all_mail(server, me, wire):
    stored = me.deliver(message(), ["Work"])
    await wire.cmd("SELECT Work")
    assert await wire.cmd("DELETE Work") == ["OK Success"]
    assert await wire.cmd("SEARCH ALL") == ["BAD SEARCH not allowed now."]
    assert stored.uids == {"[Gmail]/All Mail": 1}


@on_imap()
async def test_a_label_made_again_has_a_new_uidvalidity(server, me, wire):
    await wire.cmd("CREATE Work")
    before = me.mailbox("Work").uidvalidity
    await wire.cmd("DELETE Work")
    await wire.cmd("CREATE Work")
    assert me.mailbox("Work").uidvalidity > before
    me.configure(uidvalidity_on_recreate=False)
    before = me.mailbox("Work").uidvalidity
    await wire.cmd("DELETE Work")
    await wire.cmd("CREATE Work")
    assert me.mailbox("Work").uidvalidity == before


@on_imap()
async def test_subscriptions(server, me, wire):
    await wire.cmd("CREATE Work")
    assert await wire.cmd("UNSUBSCRIBE Work") == ["OK Success"]
    assert '* LSUB (\\HasNoChildren) "/" "Work"' not in await wire.cmd('LSUB "" *')
    assert await wire.cmd("SUBSCRIBE Work") == ["OK Success"]
    assert '* LSUB (\\HasNoChildren) "/" "Work"' in await wire.cmd('LSUB "" *')
    assert await wire.cmd("SUBSCRIBE Gone") == ["NO [NONEXISTENT] Unknown Mailbox: Gone (Failure)"]


@on_imap(hidden=frozenset({"[Gmail]/All Mail", "Secret"}))
async def test_what_is_not_shown_in_imap_does_not_exist_there(server, me, wire):
    me.deliver(message(), ["Secret"])
    text = "\n".join(await wire.cmd('LIST "" *'))
    assert "All Mail" not in text
    assert "Secret" not in text
    assert (await wire.cmd("SELECT Secret"))[0].startswith("NO [NONEXISTENT]")


@on_imap(folder_limit=2)
async def test_a_folder_limit_shows_the_newest(server, me, wire):
    for number in range(4):
        me.deliver(message(str(number)))
    assert (await wire.cmd("SELECT INBOX"))[3] == "* 2 EXISTS"
    assert await wire.cmd("UID SEARCH ALL") == ["* SEARCH 3 4", "OK SEARCH completed (Success)"]
    assert (await wire.cmd("STATUS INBOX (MESSAGES)"))[0] == '* STATUS "INBOX" (MESSAGES 2)'


@on_imap()
async def test_a_rename_that_would_lay_one_label_over_another_is_refused(server, me, wire):
    for name in ("a", "a/x", "b/x"):
        await wire.cmd(f"CREATE {name}")
    kept = me.deliver(message(), ["b/x"])
    assert await wire.cmd("RENAME a b") == ["NO [ALREADYEXISTS] Duplicate folder name b/x (Failure)"]
    assert kept in me.mailbox("b/x")
    assert {"a", "a/x"} <= set(me.mailboxes)


@on_imap(uidvalidity_on_recreate=False)
async def test_under_a_kept_uidvalidity_no_uid_is_given_twice(server, me, wire):
    me.deliver(message(), ["Work"])
    await wire.cmd("DELETE Work")
    await wire.cmd("CREATE Work")
    assert me.deliver(message(), ["Work"]).uids["Work"] == 2


@on_imap()
async def test_no_name_brings_a_line_of_its_own_into_a_reply(server, me, wire):
    for enable in (False, True):
        if enable:
            await wire.cmd("ENABLE UTF8=ACCEPT")
        for command in ("SELECT", "CREATE", "STATUS", "GETQUOTAROOT"):
            wire.send(f"X {command} {{14+}}\r\nX\r\n* 99 EXISTS" + (" (MESSAGES)" if command == "STATUS" else "") + "\r\n")
            assert await wire.line() == "X BAD Could not parse command"
    assert await wire.cmd('GETQUOTAROOT "a\\"b"') == ['* QUOTAROOT "a\\"b" ""', '* QUOTA "" (STORAGE 0 15728640)', "OK Success"]


@on_server(hidden=frozenset({"Work", "[Gmail]/Spam"}), folder_limit=1)
async def test_the_admin_scope_sees_all_labels_whole(server, me):
    for _ in range(3):
        me.deliver(message(), ["Work"])
    for scope, seen in (("https://mail.google.com/", False), ("https://www.googleapis.com/auth/gmail.imap_admin", True)):
        async with Wire(server) as wire:
            await wire.login(token=me.access_token(scope=scope))
            listed = await wire.cmd('LIST "" *')
            assert any("Work" in line for line in listed) is seen
            assert any("Spam" in line for line in listed) is seen
            assert ("* 3 EXISTS" in await wire.cmd("SELECT Work")) is seen
            limit = 3 if seen else 1
            assert (await wire.cmd('STATUS "[Gmail]/All Mail" (MESSAGES)'))[0].endswith(f"(MESSAGES {limit})")
