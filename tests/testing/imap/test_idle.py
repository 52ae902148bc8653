import asyncio

import pytest

from tests.testing.support import message, on_imap


@on_imap()
async def test_idle_pushes_what_happens_and_ends_with_done(server, me, wire):
    first = me.deliver(message())
    await wire.cmd("SELECT INBOX")
    assert await wire.cmd("IDLE", tag="I") == ["+ idling"]
    me.deliver(message("b"))
    assert await wire.line() == "* 2 EXISTS"
    me.set_flags(first, {"\\Seen"})
    assert await wire.line() == "* 1 FETCH (FLAGS (\\Seen) UID 1)"
    me.remove(first)
    assert await wire.line() == "* 1 EXPUNGE"
    assert await wire.line() == "* 1 EXISTS"
    wire.send("done\r\n")
    assert await wire.line() == "I OK IDLE terminated (Success)"


@on_imap(idle_delay=30)
async def test_events_may_take_half_a_minute(server, me, wire):
    await wire.cmd("SELECT INBOX")
    await wire.cmd("IDLE", tag="I")
    me.deliver(message())
    me.deliver(message("b"))
    start = asyncio.get_running_loop().time()
    assert await wire.line() == "* 2 EXISTS"
    assert asyncio.get_running_loop().time() - start == pytest.approx(30)
    me.deliver(message("c"))
    wire.send("DONE\r\n")
    assert await wire.line() == "* 3 EXISTS"
    assert await wire.line() == "I OK IDLE terminated (Success)"


@on_imap()
async def test_what_came_before_is_told_at_once(server, me, wire):
    await wire.cmd("SELECT INBOX")
    me.deliver(message())
    wire.send("I IDLE\r\n")
    assert await wire.line() == "+ idling"
    assert await wire.line() == "* 1 EXISTS"


@on_imap()
async def test_anything_but_done_is_bad(server, me, wire):
    await wire.cmd("SELECT INBOX")
    await wire.cmd("IDLE", tag="I")
    wire.send("B NOOP\r\n")
    assert await wire.line() == "I BAD Could not parse command"
    assert await wire.cmd("IDLE ") == ["BAD Could not parse command"]


@on_imap()
async def test_in_all_mail_a_change_of_labels_is_no_event(server, me, wire):
    stored = me.deliver(message())
    await wire.cmd('SELECT "[Gmail]/All Mail"')
    await wire.cmd("IDLE", tag="I")
    me.copy(stored, me.labels.create("Work", me.behaviour))
    await asyncio.sleep(10)
    wire.send("DONE\r\n")
    assert await wire.line() == "I OK IDLE terminated (Success)"


@on_imap()
async def test_modseq_is_told_with_condstore(server, me, wire):
    stored = me.deliver(message())
    await wire.cmd("SELECT INBOX (CONDSTORE)")
    await wire.cmd("IDLE", tag="I")
    me.set_flags(stored, {"\\Seen"})
    assert await wire.line() == f"* 1 FETCH (MODSEQ ({stored.modseq}) FLAGS (\\Seen) UID 1)"
