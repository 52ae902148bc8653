from tests.testing.support import on_imap

EVERYTHING = [
    '* LIST (\\HasNoChildren) "/" "INBOX"',
    '* LIST (\\HasChildren \\Noselect) "/" "A"',
    '* LIST (\\HasNoChildren) "/" "A/B"',
    '* LIST (\\HasNoChildren) "/" "Work"',
    '* LIST (\\HasChildren \\Noselect) "/" "[Gmail]"',
    '* LIST (\\All \\HasNoChildren) "/" "[Gmail]/All Mail"',
    '* LIST (\\Drafts \\HasNoChildren) "/" "[Gmail]/Drafts"',
    '* LIST (\\HasNoChildren \\Important) "/" "[Gmail]/Important"',
    '* LIST (\\HasNoChildren \\Sent) "/" "[Gmail]/Sent Mail"',
    '* LIST (\\HasNoChildren \\Junk) "/" "[Gmail]/Spam"',
    '* LIST (\\Flagged \\HasNoChildren) "/" "[Gmail]/Starred"',
    '* LIST (\\HasNoChildren \\Trash) "/" "[Gmail]/Trash"',
    "OK Success",
]


@on_imap()
async def test_list_is_inbox_labels_and_gmails_own_with_special_uses(server, me, wire):
    await wire.cmd("CREATE Work")
    await wire.cmd("CREATE A/B")
    assert await wire.cmd('LIST "" "*"') == EVERYTHING


@on_imap()
async def test_percent_stops_at_the_delimiter(server, me, wire):
    await wire.cmd("CREATE A/B")
    assert await wire.cmd('LIST "" %') == [EVERYTHING[0], EVERYTHING[1], EVERYTHING[4], "OK Success"]
    assert await wire.cmd('LIST "A/" %') == [EVERYTHING[2], "OK Success"]
    assert await wire.cmd('LIST "" "inbox"') == [EVERYTHING[0], "OK Success"]
    assert await wire.cmd('LIST "" ""') == ['* LIST (\\Noselect) "/" "/"', "OK Success"]


@on_imap()
async def test_many_wildcards_cost_no_time(server, me, wire):
    await wire.cmd("CREATE " + "a" * 200)
    assert await wire.cmd('LIST "" ' + "*%" * 500 + "b") == ["OK Success"]


@on_imap()
async def test_list_extended_and_list_status(server, me, wire):
    assert (await wire.cmd('LIST "" "[Gmail]/All%" RETURN (SUBSCRIBED CHILDREN)'))[
        0
    ] == '* LIST (\\All \\HasNoChildren \\Subscribed) "/" "[Gmail]/All Mail"'
    assert await wire.cmd('LIST (SPECIAL-USE) "" "[Gmail]/Tr*" RETURN (STATUS (MESSAGES UIDNEXT))') == [
        EVERYTHING[-2],
        '* STATUS "[Gmail]/Trash" (MESSAGES 0 UIDNEXT 1)',
        "OK Success",
    ]
    lines = await wire.cmd('LIST "" ("INBOX" "[Gmail]/T*")')
    assert lines == [EVERYTHING[0], EVERYTHING[-2], "OK Success"]
    assert len(await wire.cmd('LIST (SPECIAL-USE) "" *')) == 8
    await wire.cmd('UNSUBSCRIBE "[Gmail]/Trash"')
    assert EVERYTHING[-2] not in await wire.cmd('LIST (SUBSCRIBED) "" *')


@on_imap()
async def test_unknown_options_are_bad(server, me, wire):
    assert await wire.cmd('LIST (X) "" *') == ["BAD Could not parse command"]
    assert await wire.cmd('LIST "" * RETURN (X)') == ["BAD Could not parse command"]


@on_imap()
async def test_lsub_calls_a_bare_parent_nonexistent(server, me, wire):
    assert '* LSUB (\\HasChildren \\NonExistent) "/" "[Gmail]"' in await wire.cmd('LSUB "" *')


@on_imap()
async def test_xlist_has_names_of_its_own(server, me, wire):
    lines = await wire.cmd('XLIST "" *')
    assert lines[0] == '* XLIST (\\HasNoChildren \\Inbox) "/" "Inbox"'
    assert '* XLIST (\\AllMail \\HasNoChildren) "/" "[Gmail]/All Mail"' in lines
    assert '* XLIST (\\HasNoChildren \\Spam) "/" "[Gmail]/Spam"' in lines


@on_imap(locale="fr")
async def test_localised_names_are_modified_utf7_until_utf8_is_enabled(server, me, wire):
    assert '* LIST (\\HasNoChildren \\Sent) "/" "[Gmail]/Messages envoy&AOk-s"' in await wire.cmd('LIST "" *')
    await wire.cmd("ENABLE UTF8=ACCEPT")
    assert '* LIST (\\HasNoChildren \\Sent) "/" "[Gmail]/Messages envoyés"' in await wire.cmd('LIST "" *')
    assert (await wire.cmd('SELECT "[Gmail]/Messages envoyés"'))[-1].startswith("OK")


@on_imap(locale="en-GB")
async def test_some_accounts_have_another_prefix(server, me, wire):
    assert '* LIST (\\HasNoChildren \\Trash) "/" "[Google Mail]/Bin"' in await wire.cmd('LIST "" *')


@on_imap()
async def test_a_label_with_a_leading_plus_is_a_bare_atom(server, me, wire):
    await wire.cmd("CREATE +Folder")
    assert '* LIST (\\HasNoChildren) "/" +Folder' in await wire.cmd('LIST "" *')
