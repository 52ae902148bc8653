"""Each command: how it is written, what it takes of the reply, what its result is, and whether it may be run again."""

import asyncio
import datetime as dt

import pytest

from aiogmail import errors
from aiogmail.imap.commands import (
    Append,
    Appended,
    Copied,
    Create,
    Delete,
    Enable,
    GetQuotaRoot,
    Idle,
    List,
    NamespaceCommand,
    Noop,
    Rename,
    Select,
    StatusCommand,
    Subscribe,
    UidCopy,
    UidExpunge,
    UidFetch,
    UidMove,
    UidSearch,
    UidStore,
    Unselect,
    Unsubscribe,
)
from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Atom, Exists, Expunge, LiteralMode, ResponseParser
from aiogmail.ports import Effect, Outcome
from aiogmail.settings import Limits, Timeouts
from tests.imap.link import Wire
from tests.support.aio import virtual


def spoken(command, reply, sent=None, **settings):
    """The result of a command that goes out as ``sent``, if that matters, and is answered with ``reply`` (``A1`` is its tag)."""

    async def main():
        wire = Wire(**settings)
        pending = wire.queue.submit(command)
        assert sent in (None, wire.sent())
        wire.say(reply)
        return await pending.future, wire

    return virtual(main())


def test_list_with_the_counts_of_every_mailbox_in_one_round_trip():
    result, wire = spoken(
        List(status=("MESSAGES", "UNSEEN")),
        '* LIST (\\HasNoChildren) "/" "INBOX"\r\n* STATUS "INBOX" (MESSAGES 3 UNSEEN 1)\r\n'
        '* LIST (\\HasChildren \\Noselect) "/" "[Gmail]"\r\n'
        '* LIST (\\All \\HasNoChildren) "/" "[Gmail]/Messages envoy&AOk-s"\r\n* 5 EXISTS\r\nA1 OK Success\r\n',
        b'A1 LIST "" "*" RETURN (STATUS (MESSAGES UNSEEN))\r\n',
    )
    assert [(one.name, one.delimiter) for one in result] == [("INBOX", "/"), ("[Gmail]", "/"), ("[Gmail]/Messages envoyés", "/")]
    assert result[0].status == {"MESSAGES": 3, "UNSEEN": 1}
    assert result[1].status == {}
    assert result[2].attributes == {"\\All", "\\HasNoChildren"}
    assert [type(one) for one in wire.unsolicited] == [Exists]


def test_list_in_its_other_forms():
    spoken(List("%", reference="Work/"), "A1 OK\r\n", b'A1 LIST Work/ "%"\r\n')
    spoken(List(special_use=True, subscribed=True), "A1 OK\r\n", b'A1 LIST (SUBSCRIBED) "" "*" RETURN (SPECIAL-USE)\r\n')
    _, wire = spoken(List(), '* STATUS "INBOX" (MESSAGES 3)\r\n* LSUB () "/" x\r\nA1 OK\r\n', b'A1 LIST "" "*"\r\n')
    assert len(wire.unsolicited) == 2


@pytest.mark.parametrize("said", ["INBOX", "inbox"])
def test_status_takes_the_mailbox_it_asked_about(said):
    result, wire = spoken(
        StatusCommand("INBOX", ("MESSAGES", "UIDNEXT")),
        f'* STATUS other (MESSAGES 9)\r\n* STATUS "{said}" (MESSAGES 60 UIDNEXT 410)\r\nA1 OK Success\r\n',
        b"A1 STATUS INBOX (MESSAGES UIDNEXT)\r\n",
    )
    assert result == {"MESSAGES": 60, "UIDNEXT": 410}
    assert len(wire.unsolicited) == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("InBox", "INBOX"),
        ("inbox/Work", '"INBOX/Work"'),
        ("Café", "Caf&AOk-"),
        ("Café", '"Café"'),
        ("Cafe\u0301", "Caf&AOk-"),
        ("Café", "Cafe&AwE-"),
        ("Caf&AOk-", "Caf&AOk-"),
        ("Caf&AOk-", "Caf&-AOk-"),
        ("bad&name", "bad&name"),
        ("a & b", '"a &- b"'),
    ],
)
def test_status_knows_a_name_in_whichever_form_it_comes(asked, said):
    result, wire = spoken(StatusCommand(asked, ("MESSAGES",)), f"* STATUS {said} (MESSAGES 6)\r\nA1 OK Success\r\n")
    assert result == {"MESSAGES": 6}
    assert not wire.unsolicited


@pytest.mark.parametrize(("asked", "said"), [("inbox2", "INBOX"), ("a/INBOX", "a/inbox"), ("A", "a"), ("Café", "Cafe")])
def test_status_takes_no_other_name_for_it(asked, said):
    result, wire = spoken(StatusCommand(asked, ("MESSAGES",)), f"* STATUS {said} (MESSAGES 6)\r\nA1 OK Success\r\n")
    assert result == {}
    assert len(wire.unsolicited) == 1


@pytest.mark.parametrize(
    ("command", "sent", "effect"),
    [
        (Create("Entwürfe & mehr"), b'A1 CREATE "Entw&APw-rfe &- mehr"\r\n', Effect.VERIFIABLE),
        (Delete("old"), b"A1 DELETE old\r\n", Effect.VERIFIABLE),
        (Rename("old", "new name"), b'A1 RENAME old "new name"\r\n', Effect.VERIFIABLE),
        (Subscribe("a"), b"A1 SUBSCRIBE a\r\n", Effect.IDEMPOTENT),
        (Unsubscribe("a"), b"A1 UNSUBSCRIBE a\r\n", Effect.IDEMPOTENT),
        (Unselect(), b"A1 UNSELECT\r\n", Effect.PURE),
        (UidExpunge(UidSet("1:3,7")), b"A1 UID EXPUNGE 1:3,7\r\n", Effect.IDEMPOTENT),
    ],
)
def test_commands_without_a_result(command, sent, effect):
    result, _ = spoken(command, "A1 OK Success\r\n", sent)
    assert result is None
    assert command.effect is effect
    assert command.waits
    assert command.blocks


def test_a_mailbox_that_exists_is_a_conflict():
    async def main():
        wire = Wire()
        pending = wire.queue.submit(Create("böx"))
        wire.say("A1 NO [ALREADYEXISTS] Duplicate folder name böx (Failure)\r\n")
        assert isinstance(pending.future.exception(), errors.Conflict)
        assert "böx" in str(pending.future.exception())
        assert pending.future.exception().outcome is Outcome.NOT_APPLIED

    virtual(main())


def test_enable_namespace_and_quota():
    result, wire = spoken(Enable("CONDSTORE"), "* ENABLED CONDSTORE\r\n* 1 EXISTS\r\nA1 OK\r\n", b"A1 ENABLE CONDSTORE\r\n")
    assert result == {"CONDSTORE"}
    assert len(wire.unsolicited) == 1
    result, _ = spoken(NamespaceCommand(), '* NAMESPACE (("" "/")) NIL NIL\r\n* 1 EXISTS\r\nA1 OK\r\n', b"A1 NAMESPACE\r\n")
    assert result.personal[0].delimiter == "/"
    result, _ = spoken(
        GetQuotaRoot("INBOX"),
        '* QUOTAROOT "INBOX" ""\r\n* QUOTA "" (STORAGE 450 31457280)\r\n* 1 EXISTS\r\nA1 OK\r\n',
        b"A1 GETQUOTAROOT INBOX\r\n",
    )
    assert result.roots == {"": {"STORAGE": (450, 31457280)}}


def test_store_of_flags_and_labels():
    result, wire = spoken(
        UidStore(UidSet("1,3"), "FLAGS", "+", ["\\Seen", "$Done"]),
        "* 1 FETCH (FLAGS (\\Seen $Done) UID 1)\r\n* 9 FETCH (FLAGS () UID 9)\r\n* 3 FETCH (FLAGS (\\Seen $Done) UID 3)\r\nA1 OK Success\r\n",
        b"A1 UID STORE 1,3 +FLAGS (\\Seen $Done)\r\n",
    )
    assert {uid: row.flags for uid, row in result.rows.items()} == {1: {"\\Seen", "$Done"}, 3: {"\\Seen", "$Done"}}
    assert not result.modified
    assert len(wire.unsolicited) == 1
    command = UidStore(UidSet(5), "X-GM-LABELS", "-", ["Two words", "\\Inbox"], silent=True)
    spoken(command, "A1 OK\r\n", b'A1 UID STORE 5 -X-GM-LABELS.SILENT ("Two words" "\\\\Inbox")\r\n')
    assert command.effect is Effect.IDEMPOTENT


def test_store_that_replaces_may_lose_anothers_change_and_can_be_conditional():
    command = UidStore(UidSet("5,7"), "FLAGS", "", ["\\Seen"], unchanged_since=12)
    result, _ = spoken(command, "A1 OK [MODIFIED 7] done\r\n", b"A1 UID STORE 5,7 (UNCHANGEDSINCE 12) FLAGS (\\Seen)\r\n")
    assert result.modified == UidSet(7)
    assert command.effect is Effect.NEVER


def test_copy_and_move_tell_the_new_uids_wherever_the_server_says_them():
    result, _ = spoken(UidCopy(UidSet("1:3"), "Work"), "A1 OK [COPYUID 85 1:3 11:13] (Success)\r\n", b"A1 UID COPY 1:3 Work\r\n")
    assert result == Copied(85, {1: 11, 2: 12, 3: 13})
    result, wire = spoken(
        UidMove(UidSet("1:2"), "Work"),
        "* OK [COPYUID 85 1:2 11:12] moved\r\n* OK fine\r\n* 1 EXPUNGE\r\n* 1 EXPUNGE\r\nA1 OK done\r\n",
        b"A1 UID MOVE 1:2 Work\r\n",
    )
    assert result == Copied(85, {1: 11, 2: 12})
    assert [type(one).__name__ for one in wire.unsolicited] == ["Status", "Expunge", "Expunge"]
    assert isinstance(wire.unsolicited[1], Expunge)
    result, _ = spoken(UidCopy(UidSet(9), "Work"), "A1 OK nothing copied\r\n", b"A1 UID COPY 9 Work\r\n")
    assert result is None


def test_copies_of_messages_nobody_asked_for_are_not_believed():
    """A few octets can name four billion messages."""
    for code in ("1 1:4294967295 1:4294967295", "1 1:2 1:2", "1 1 1:2"):
        result, _ = spoken(UidCopy(UidSet(1), "x"), f"* OK [COPYUID {code}] ok\r\nA1 OK done\r\n", b"A1 UID COPY 1 x\r\n")
        assert result is None


def test_a_search_in_many_lines_is_put_together_once():
    result, _ = spoken(
        UidSearch((Atom("ALL"),), esearch=False),
        "".join(f"* SEARCH {uid}\r\n" for uid in range(1, 20_000, 2)) + "A1 OK\r\n",
        b"A1 UID SEARCH ALL\r\n",
    )
    assert len(result) == 10_000


def test_the_time_of_the_oldest_command_is_not_renewed_by_answers_to_others():
    async def main():
        wire = Wire(timeouts=Timeouts(first_byte=0.1))
        wire.queue.submit(UidFetch(UidSet(1), ("FLAGS",), list.clear))
        for number in range(2, 8):
            wire.queue.submit(Noop())
            await asyncio.sleep(0.03)
            if wire.failed:
                break
            wire.queue.process(ResponseParser().feed(f"A{number} OK\r\n".encode()))
        assert isinstance(wire.failed[0], errors.TimedOut)

    virtual(main())


def test_an_append_has_its_own_deadlines():
    async def main():
        wire = Wire(timeouts=Timeouts(append_block=0.05, append_final=10.0, command=10.0))
        appended = wire.queue.submit(Append("x", b"y" * 300_000))
        wire.say("+ go\r\n")
        await asyncio.sleep(0.15)
        assert not wire.failed, "all of it was handed over: it is the server's turn now"
        wire.say("A1 OK\r\n")
        await appended.future

        silent = Wire(timeouts=Timeouts(command=0.05))
        silent.queue.submit(Append("x", b"y" * 300_000))
        await asyncio.sleep(0.1)
        assert isinstance(silent.failed[0], errors.TimedOut), "a server that never asks for the message is not waited for as for its reply"

    virtual(main())


def test_what_the_server_tells_behind_a_select_is_newer():
    async def main():
        wire = Wire()
        states = []
        wire.queue.submit(Select("INBOX", readonly=False, on_selected=states.append))
        wire.say("* 10 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\nA1 OK [READ-WRITE] done\r\n* 11 EXISTS\r\n")
        assert [state.exists for state in states] == [10]
        assert [type(one) for one in wire.unsolicited] == [Exists]

    virtual(main())


def test_append_waits_for_the_server_and_tells_the_uid():
    async def main():
        wire = Wire()
        date = dt.datetime(2026, 11, 3, 4, 5, 6, tzinfo=dt.UTC)
        pending = wire.queue.submit(Append("Work", b"Subject: x\r\n\r\nbody", flags=["\\Seen"], date=date))
        assert wire.sent() == b'A1 APPEND Work (\\Seen) " 3-Nov-2026 04:05:06 +0000" {18}\r\n'
        wire.say("+ go ahead\r\n")
        assert wire.sent() == b"Subject: x\r\n\r\nbody\r\n"
        wire.say("* 4 EXISTS\r\nA1 OK [APPENDUID 23 1] (Success)\r\n")
        assert await pending.future == Appended(23, 1)
        plain = wire.queue.submit(Append("Work", b"x"))
        wire.say("+ go ahead\r\nA2 OK (Success)\r\n")
        assert await plain.future is None

    virtual(main())


@pytest.mark.parametrize(
    ("after", "outcome"),
    [(0, Outcome.NOT_APPLIED), (1, Outcome.NOT_APPLIED), (2, Outcome.UNKNOWN)],
    ids=["before +", "in the middle", "wholly handed over"],
)
def test_what_is_known_of_an_append_whose_connection_is_lost(after, outcome):
    async def main():
        wire = Wire()
        pending = wire.queue.submit(Append("Work", b"x" * 200_000))
        if after == 1:
            wire.queue.pause_writing()
        if after:
            wire.say("+ go ahead\r\n")
        wire.fail(errors.Disconnected("gone"))
        assert pending.future.exception().outcome is outcome
        assert pending.future.exception().stage == "APPEND on the wire"

    virtual(main())


def test_a_message_too_large_is_told():
    async def main():
        wire = Wire()
        pending = wire.queue.submit(Append("Work", b"x"))
        wire.say("A1 BAD [TOOBIG] Message too large. https://support.google.com/mail/answer/6584#limit\r\n")
        assert isinstance(pending.future.exception(), errors.MessageTooLarge)

    virtual(main())


def test_idle_is_ended_for_others_and_its_news_belong_to_the_mailbox():
    async def main():
        wire = Wire()
        started = []
        idle = wire.queue.submit(Idle(lambda: started.append(True)))
        assert wire.sent() == b"A1 IDLE\r\n"
        assert not started
        wire.say("+ idling\r\n* 5 EXISTS\r\n* 1 EXPUNGE\r\n")
        assert started
        assert wire.sent() == b""
        noop = wire.queue.submit(Noop())
        another = wire.queue.submit(Noop())
        assert wire.sent() == b"DONE\r\n"
        wire.say("* 6 EXISTS\r\nA1 OK IDLE terminated (Success)\r\n")
        await idle.future
        assert len(wire.unsolicited) == 3
        assert wire.sent() == b"A2 NOOP\r\nA3 NOOP\r\n"
        wire.say("A2 OK\r\nA3 OK\r\n")
        await noop.future
        await another.future

    virtual(main())


def test_idle_that_is_not_wanted_any_more_before_it_began_ends_as_soon_as_it_may():
    async def main():
        wire = Wire()
        idle = wire.queue.submit(Idle())
        wire.queue.submit(Noop())
        assert wire.sent() == b"A1 IDLE\r\n"
        wire.say("+ idling\r\n")
        assert wire.sent() == b"DONE\r\n"
        wire.say("A1 OK\r\nA2 OK\r\n")
        await idle.future

    virtual(main())


def test_idle_is_ended_by_who_began_it_or_by_cancelling():
    async def main():
        wire = Wire()
        idle = wire.queue.submit(Idle())
        wire.say("+ idling\r\n")
        wire.queue.interrupt(idle)
        wire.queue.interrupt(idle)
        assert wire.sent() == b"A1 IDLE\r\nDONE\r\n"
        wire.say("A1 OK\r\n")
        wire.queue.interrupt(idle)
        idle = wire.queue.submit(Idle())
        wire.say("+ idling\r\n")
        wire.queue.cancel(idle)
        assert wire.sent() == b"A2 IDLE\r\nDONE\r\n"
        wire.say("A2 OK\r\n")
        assert not wire.failed
        busy = wire.queue.submit(Create("x"))
        waiting = wire.queue.submit(Idle())
        wire.queue.interrupt(waiting)
        assert waiting.future.cancelled()
        wire.say("A3 OK\r\n")
        await busy.future

    virtual(main())


def test_an_idle_has_no_deadline_but_its_done_has():
    async def main():
        wire = Wire(timeouts=Timeouts(command=0.05, idle_done=0.05))
        idle = wire.queue.submit(Idle())
        wire.say("+ idling\r\n")
        await asyncio.sleep(0.1)
        assert not wire.failed
        wire.queue.interrupt(idle)
        await asyncio.sleep(0.1)
        assert isinstance(wire.failed[0], errors.TimedOut)

        silent = Wire(timeouts=Timeouts(command=0.05))
        silent.queue.submit(Idle())
        await asyncio.sleep(0.1)
        assert isinstance(silent.failed[0], errors.TimedOut)

    virtual(main())


def test_a_second_continuation_to_an_idle_is_nobodys():
    async def main():
        wire = Wire()
        wire.queue.submit(Idle())
        wire.say("+ idling\r\n+ again\r\n")
        assert isinstance(wire.failed[0], errors.ProtocolError)

    virtual(main())


# -- fetches that wait at the same time -----------------------------------------------------------------------------------


def fetches(wire, *uids, items=("FLAGS",)):
    rows = {uid: [] for uid in uids}
    pending = [wire.queue.submit(UidFetch(UidSet(uid), items, rows[uid].extend)) for uid in uids]
    return rows, pending


def test_fetches_of_the_same_items_that_wait_are_asked_in_one():
    async def main():
        wire = Wire(limits=Limits(pipeline=1))
        rows, pending = fetches(wire, "1", "5", "2:3", "3:4")
        _, other = fetches(wire, "9", items=("RFC822.SIZE",))
        assert wire.sent() == b"A1 UID FETCH 1 (UID FLAGS)\r\n"
        wire.say("* 1 FETCH (UID 1 FLAGS ())\r\nA1 OK\r\n")
        assert wire.sent() == b"A2 UID FETCH 2:5 (UID FLAGS)\r\n"
        wire.say("".join(f"* {uid} FETCH (UID {uid} FLAGS ())\r\n" for uid in (2, 3, 5)) + "A2 OK\r\n")
        assert {uid: [row.uid for row in came] for uid, came in rows.items()} == {"1": [1], "5": [5], "2:3": [2, 3], "3:4": [3]}
        assert [str(await one.future) for one in pending] == ["", "", "", "4"]
        assert wire.sent() == b"A3 UID FETCH 9 (UID RFC822.SIZE)\r\n"
        wire.say("A3 OK\r\n")
        await other[0].future

    virtual(main())


def test_a_merged_fetch_fails_for_all_and_one_that_is_cancelled_leaves_the_others():
    async def main():
        wire = Wire(limits=Limits(pipeline=1))
        rows, pending = fetches(wire, "1", "2", "3")
        wire.say("A1 OK\r\n")
        wire.queue.cancel(pending[2])
        wire.say("* 2 FETCH (UID 2 FLAGS ())\r\nA2 OK\r\n")
        assert [row.uid for row in rows["2"]] == [2]
        assert pending[2].future.cancelled()
        assert not wire.failed

        _, pending = fetches(wire, "1", "2", "3")
        wire.say("A3 OK\r\nA4 NO Some messages could not be FETCHed (Failure)\r\n")
        assert [type(one.future.exception()).__name__ for one in pending] == ["NoneType", "CommandError", "CommandError"]

        _, pending = fetches(wire, "1", "2", "3")
        wire.say("A5 OK\r\n")
        wire.fail(errors.Disconnected("gone"))
        assert all(isinstance(one.future.exception(), errors.Disconnected) for one in pending[1:])

    virtual(main())


def test_a_change_between_two_fetches_keeps_them_apart():
    async def main():
        wire = Wire(limits=Limits(pipeline=1))
        fetches(wire, "1", "2")
        change = wire.queue.submit(Create("x"))
        fetches(wire, "3")
        wire.say("A1 OK\r\nA2 OK\r\n")
        assert wire.sent().endswith(b"A2 UID FETCH 2 (UID FLAGS)\r\nA3 CREATE x\r\n")
        wire.say("A3 OK\r\nA4 OK\r\n")
        await change.future

    virtual(main())


def test_a_merged_command_line_stays_short():
    async def main():
        wire = Wire(limits=Limits(pipeline=1))
        _, pending = fetches(wire, *[str(uid) for uid in range(1, 2002, 2)])
        wire.say("A1 OK\r\n")
        lines = wire.sent().split(b"\r\n")
        assert max(map(len, lines)) < 12_000
        for number in range(2, 10):
            if wire.queue.in_flight:
                wire.say(f"A{number} OK\r\n")
        assert all(one.future.done() for one in pending)

    virtual(main())


def test_literals_go_at_once_where_the_server_takes_them():
    async def main():
        wire = Wire()
        wire.queue.literal_mode = LiteralMode.MINUS
        wire.queue.submit(Append("x", b"short"))
        assert wire.sent() == b"A1 APPEND x {5+}\r\nshort\r\n"
        wire.say("A1 OK\r\n")
        wire.queue.submit(Append("x", b"y" * 5000))
        assert wire.sent() == b"A2 APPEND x {5000}\r\n"
        wire.fail(errors.Disconnected("end"))

    virtual(main())
