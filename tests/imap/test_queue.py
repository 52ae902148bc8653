"""The rules of one connection, without a socket: what is written when, and whose a reply is."""

import asyncio
import logging
import random

import pytest

from aiogmail import errors
from aiogmail.imap.commands import CapabilityCommand, Command, Enable, Logout, Noop, Select, StatusCommand, UidFetch, UidSearch
from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Atom, Exists, Literal, LiteralMode, ResponseParser, Status
from aiogmail.ports import Effect, Outcome
from aiogmail.secret import Secret
from aiogmail.settings import Limits, Timeouts
from tests.imap.link import Wire
from tests.support.aio import virtual


class Change(Command[None]):
    """A command that changes something."""

    name = "CREATE"
    effect = Effect.NEVER
    waits = True
    blocks = True
    droppable = False

    def __init__(self, *args):
        self.args = args or (Atom("x"),)

    def arguments(self):
        return self.args

    def finish(self, tagged):
        return None


def outcome_of(future):
    return future.exception().outcome


def test_reads_are_pipelined_to_a_depth_and_in_order():
    async def main():
        wire = Wire(limits=Limits(pipeline=2))
        pending = [wire.queue.submit(Noop()) for _ in range(4)]
        assert wire.sent() == b"A1 NOOP\r\nA2 NOOP\r\n"
        assert wire.queue.in_flight == 2
        assert wire.queue.is_contended
        wire.say("A1 OK done\r\n")
        assert wire.sent() == b"A3 NOOP\r\n"
        wire.say("A2 OK done\r\nA3 OK done\r\n")
        wire.say("A4 ok done\r\n")
        assert all(one.future.done() for one in pending)
        assert not wire.queue.is_contended

    virtual(main())


def test_what_changes_something_goes_alone():
    async def main():
        wire = Wire()
        wire.queue.submit(Noop())
        change = wire.queue.submit(Change())
        after = wire.queue.submit(Noop())
        assert wire.sent() == b"A1 NOOP\r\n"
        wire.say("A1 OK\r\n")
        assert wire.sent() == b"A2 CREATE x\r\n"
        wire.say("A2 OK done\r\n")
        assert change.future.done()
        assert wire.sent() == b"A3 NOOP\r\n"
        wire.say("A3 OK done\r\n")
        await after.future

    virtual(main())


def test_a_select_travels_behind_reads_and_reads_behind_it():
    async def main():
        wire = Wire()
        wire.queue.submit(Noop())
        select = wire.queue.submit(Select("INBOX", readonly=False))
        rows = []
        fetch = wire.queue.submit(UidFetch(UidSet("1:2"), ("FLAGS",), rows.extend))
        assert wire.sent() == b"A1 NOOP\r\nA2 SELECT INBOX\r\nA3 UID FETCH 1:2 (UID FLAGS)\r\n"
        wire.say("A1 OK\r\n")
        wire.say("* 2 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT 3] ok\r\n* FLAGS (\\Seen)\r\n* 0 RECENT\r\n")
        wire.say("A2 OK [READ-ONLY] done\r\n* 1 FETCH (UID 1 FLAGS ())\r\nA3 OK done\r\n")
        state = await select.future
        assert (state.exists, state.uidvalidity, state.uidnext, state.readonly) == (2, 7, 3, True)
        assert [row.uid for row in rows] == [1]
        assert await fetch.future == UidSet(2)  # the one that did not come

    virtual(main())


def test_nothing_behind_a_select_is_handed_on_when_uidvalidity_is_another():
    async def main():
        wire = Wire()
        select = wire.queue.submit(Select("INBOX", readonly=False, uidvalidity=6))
        rows = []
        fetch = wire.queue.submit(UidFetch(UidSet("1:2"), ("FLAGS",), rows.extend))
        wire.say("* OK [UIDVALIDITY 7] ok\r\nA1 OK done\r\n* 1 FETCH (UID 1 FLAGS ())\r\nA2 OK done\r\n")
        for one in (select, fetch):
            assert isinstance(one.future.exception(), errors.MailboxChanged)
        assert rows == []
        assert isinstance(wire.failed[0], errors.MailboxChanged)

    virtual(main())


def test_a_failed_select_fails_what_was_written_behind_it():
    async def main():
        wire = Wire()
        select = wire.queue.submit(Select("Nope", readonly=False))
        search = wire.queue.submit(UidSearch((Atom("ALL"),), esearch=False))
        wire.say("A1 NO [NONEXISTENT] Unknown Mailbox: Nope (Failure)\r\nA2 BAD UID not allowed now.\r\n")
        assert isinstance(select.future.exception(), errors.MailboxNotFound)
        assert isinstance(search.future.exception(), errors.MailboxNotFound)

    virtual(main())


def test_a_select_without_uidvalidity_is_refused():
    async def main():
        wire = Wire()
        select = wire.queue.submit(Select("INBOX", readonly=True))
        assert wire.sent() == b"A1 EXAMINE INBOX\r\n"
        wire.say("A1 OK done\r\n")
        assert isinstance(select.future.exception(), errors.ProtocolError)

    virtual(main())


def test_a_synchronising_literal_waits_for_its_continuation_and_nothing_gets_between():
    async def main():
        wire = Wire()
        change = wire.queue.submit(Change(Literal(b"one"), Literal(b"two")))
        wire.queue.submit(Noop())
        assert wire.sent() == b"A1 CREATE {3}\r\n"
        wire.say("+ go\r\n")
        assert wire.sent() == b"one {3}\r\n"
        wire.say("+ \r\n")
        assert wire.sent() == b"two\r\n"
        wire.say("A1 OK done\r\n")
        await change.future
        assert wire.sent() == b"A2 NOOP\r\n"
        wire.say("A2 OK done\r\n")

    virtual(main())


def test_a_literal_that_is_not_wanted_is_not_sent():
    async def main():
        wire = Wire()
        change = wire.queue.submit(Change(Literal(b"one")))
        after = wire.queue.submit(Noop())
        wire.sent()
        wire.say("A1 NO [TRYCREATE] No folder x (Failure)\r\n")
        assert isinstance(change.future.exception(), errors.MailboxNotFound)
        assert outcome_of(change.future) is Outcome.NOT_APPLIED
        assert wire.sent() == b"A2 NOOP\r\n"
        wire.say("A2 OK done\r\n")
        await after.future

    virtual(main())


def test_non_synchronising_literals_go_in_one_piece():
    async def main():
        wire = Wire()
        wire.queue.literal_mode = LiteralMode.PLUS
        wire.queue.submit(Change(Literal(b"one")))
        assert wire.sent() == b"A1 CREATE {3+}\r\none\r\n"
        wire.queue.fail(errors.Disconnected("end"))

    virtual(main())


def test_a_large_literal_is_handed_over_in_blocks_and_obeys_the_transport():
    async def main():
        wire = Wire()
        body = bytes(range(1, 256)) * 1024
        wire.queue.submit(Change(Literal(body)))
        wire.sent()
        wire.queue.pause_writing()
        wire.say("+ go\r\n")
        assert wire.sent() == b""
        wire.queue.submit(Noop())
        wire.queue.resume_writing()
        assert wire.sent() == body + b"\r\n"
        wire.say("A1 OK done\r\n")
        assert wire.sent() == b"A2 NOOP\r\n"
        wire.say("A2 OK done\r\n")

    virtual(main())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A9 OK forged\r\n", "no command on the wire"),
        ("A2 OK not sent yet\r\n", "no command on the wire"),
        ("+ what for\r\n", "asked for more"),
        ("A1 OK before it was sent\r\n", "before it was wholly sent"),
    ],
)
def test_what_nobody_waits_for_fails_the_connection(text, words):
    async def main():
        wire = Wire()
        if "wholly" in words:
            one = wire.queue.submit(Change(Literal(b"x")))
        else:
            one = wire.queue.submit(Change())
        two = wire.queue.submit(Noop())
        wire.say(text)
        assert words in str(wire.failed[0])
        assert isinstance(one.future.exception(), errors.ProtocolError)
        assert outcome_of(one.future) is (Outcome.NOT_APPLIED if "wholly" in words else Outcome.UNKNOWN)
        assert isinstance(two.future.exception(), errors.ProtocolError)
        assert outcome_of(two.future) is Outcome.NOT_APPLIED
        with pytest.raises(errors.ProtocolError) as caught:
            wire.queue.submit(Noop())
        assert caught.value.outcome is Outcome.NOT_APPLIED

    virtual(main())


def test_a_tagged_reply_completes_its_command_once():
    async def main():
        wire = Wire()
        first = wire.queue.submit(Noop())
        wire.say("A1 OK done\r\n")
        await first.future
        wire.say("A1 OK again\r\n")
        assert isinstance(wire.failed[0], errors.ProtocolError)

    virtual(main())


def test_a_cancelled_command_that_was_not_written_is_forgotten():
    async def main():
        wire = Wire(limits=Limits(pipeline=1))
        wire.queue.submit(Noop())
        task = asyncio.create_task(wire.queue.execute(Change()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        wire.say("A1 OK\r\n")
        assert wire.sent() == b"A1 NOOP\r\n"
        assert not wire.failed

    virtual(main())


def test_the_reply_of_a_cancelled_read_is_dropped_and_the_next_command_gets_its_own():
    async def main():
        wire = Wire()
        task = asyncio.create_task(wire.queue.execute(UidSearch((Atom("ALL"),), esearch=False)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        next_one = wire.queue.submit(UidSearch((Atom("SEEN"),), esearch=False))
        wire.say("* SEARCH 1 2 3\r\nA1 OK\r\n* SEARCH 9\r\nA2 OK\r\n")
        assert await next_one.future == UidSet(9)
        assert not wire.failed

    virtual(main())


@pytest.mark.parametrize("written_whole", [True, False])
def test_a_cancelled_change_costs_the_connection(written_whole):
    async def main():
        wire = Wire()
        task = asyncio.create_task(wire.queue.execute(Change() if written_whole else Change(Literal(b"x"))))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert "was cancelled on the wire" in str(wire.failed[0])

    virtual(main())


def test_every_waiter_hears_of_the_end_with_the_same_cause():
    async def main():
        wire = Wire()
        pending = [wire.queue.submit(Noop()), wire.queue.submit(Change()), wire.queue.submit(Noop())]
        wire.say("* BYE Session expired, please login again.\r\n")
        causes = {id(one.future.exception().__cause__) for one in pending}
        assert len(causes) == 1
        assert all(isinstance(one.future.exception(), errors.SessionExpired) for one in pending)
        wire.queue.fail(errors.Disconnected("again"))
        assert isinstance(wire.queue.error, errors.SessionExpired)
        wire.say("A1 OK too late\r\n")

    virtual(main())


def test_a_bye_before_the_ok_of_logout_is_no_loss():
    async def main():
        wire = Wire()
        logout = wire.queue.submit(Logout())
        wire.say("* BYE LOGOUT Requested\r\nA1 OK 73 good day (Success)\r\n")
        assert await logout.future is None
        assert not wire.failed

    virtual(main())


def test_untagged_data_goes_to_the_oldest_command_that_wants_it_and_else_to_the_mailbox():
    async def main():
        wire = Wire()
        search = wire.queue.submit(UidSearch((Atom("ALL"),), esearch=False))
        capability = wire.queue.submit(CapabilityCommand())
        wire.say("* 5 EXISTS\r\n* CAPABILITY IMAP4rev1 idle\r\n* SEARCH 1\r\n* SEARCH 4\r\n* OK [ALERT] see ticket {42}\r\n")
        wire.say("A1 OK\r\nA2 OK\r\n")
        assert await search.future == UidSet("1,4")
        assert await capability.future == {"IMAP4REV1", "IDLE"}
        assert [type(one) for one in wire.unsolicited] == [Exists, Status]

    virtual(main())


def test_rows_of_two_fetches_on_the_wire_go_each_to_its_own():
    async def main():
        wire = Wire()
        ones, twos = [], []
        wire.queue.submit(UidFetch(UidSet("1:2"), ("FLAGS",), ones.extend))
        wire.queue.submit(UidFetch(UidSet("2:3"), ("RFC822.SIZE",), twos.extend))
        wire.say("* 1 FETCH (UID 1 FLAGS ())\r\n* 2 FETCH (FLAGS (\\Seen) UID 2)\r\n* 9 FETCH (UID 9 FLAGS ())\r\n* 8 FETCH (FLAGS ())\r\n")
        wire.say("A1 OK\r\n* 2 FETCH (UID 2 RFC822.SIZE 5)\r\n* 2 FETCH (UID 2 FLAGS ())\r\n* 3 FETCH (UID 3 RFC822.SIZE 6)\r\nA2 OK\r\n")
        assert [row.uid for row in ones] == [1, 2]
        assert [row.uid for row in twos] == [2, 3]
        assert len(wire.unsolicited) == 3

    virtual(main())


def test_a_row_that_comes_in_two_parts_is_handed_on_whole():
    async def main():
        wire = Wire()
        rows = []
        fetch = wire.queue.submit(UidFetch(UidSet("1:3"), ("RFC822.SIZE", "BODY.PEEK[]"), rows.extend))
        wire.say("* 1 FETCH (UID 1 RFC822.SIZE 3)\r\n* 1 FETCH (UID 1 FLAGS ())\r\n* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n")
        assert [(row.uid, row.get("RFC822.SIZE"), row.get("BODY[]")) for row in rows] == [(1, 3, b"abc")]
        wire.say("* 2 FETCH (UID 2 RFC822.SIZE 4)\r\nA1 OK\r\n")
        assert rows[1].get("RFC822.SIZE") == 4  # the server ended without the body: what it has is handed on
        assert "BODY[]" not in rows[1]
        assert await fetch.future == UidSet(3)

    virtual(main())


def test_a_limit_that_a_reply_broke_is_not_held_against_what_was_not_sent():
    async def main():
        wire = Wire(limits=Limits(pipeline=1))
        read, waits = wire.queue.submit(Noop()), wire.queue.submit(Noop())
        wire.queue.fail(errors.LimitExceeded("a line too long"))
        assert isinstance(read.future.exception(), errors.LimitExceeded)
        error = waits.future.exception()
        assert type(error) is errors.Disconnected
        assert error.retryable
        assert error.outcome is Outcome.NOT_APPLIED
        assert isinstance(error.__cause__, errors.Disconnected)
        assert "a line too long" in str(error)

    virtual(main())


def test_a_command_that_is_not_answered_fails_by_its_deadline():
    async def main():
        wire = Wire(timeouts=Timeouts(command=0.05))
        first, second = wire.queue.submit(Noop()), wire.queue.submit(Noop())
        await asyncio.sleep(0.03)
        wire.say("A1 OK done\r\n")
        await first.future
        await asyncio.sleep(0.03)
        assert not second.future.done()  # its time began when its turn came
        await asyncio.sleep(0.04)
        assert isinstance(second.future.exception(), errors.TimedOut)
        assert "NOOP was not answered within 0.05 s" in str(wire.failed[0])

    virtual(main())


def test_a_drip_of_bytes_does_not_keep_a_large_reply_alive():
    async def main():
        wire = Wire(timeouts=Timeouts(first_byte=0.05, progress=0.05, min_rate=1000))
        search = wire.queue.submit(UidSearch((Atom("ALL"),), esearch=False))
        began = asyncio.get_running_loop().time()
        while not search.future.done():
            await asyncio.sleep(0.01)
            if not wire.failed:
                wire.say(b"*")
                wire.parser = ResponseParser()
        assert 0.09 <= asyncio.get_running_loop().time() - began < 0.3
        assert isinstance(search.future.exception(), errors.TimedOut)

    virtual(main())


def test_a_large_reply_that_flows_or_that_we_hold_back_ourselves_is_waited_for():
    async def main():
        wire = Wire(timeouts=Timeouts(first_byte=0.03, progress=0.03, min_rate=1))
        search = wire.queue.submit(UidSearch((Atom("ALL"),), esearch=False))
        for _ in range(4):
            await asyncio.sleep(0.02)
            wire.say("* SEARCH 1\r\n")
        wire.paused = True
        await asyncio.sleep(0.1)
        assert not search.future.done()
        wire.say("A1 OK\r\n")
        assert await search.future == UidSet(1)

    virtual(main())


def test_the_queue_is_bounded():
    async def main():
        wire = Wire(limits=Limits(pipeline=1, queue=2))
        for _ in range(3):
            wire.queue.submit(Noop())
        with pytest.raises(errors.StateError, match=r"Limits\.queue"):
            wire.queue.submit(Noop())
        wire.queue.fail(errors.Disconnected("end"))

    virtual(main())


def test_what_cannot_be_encoded_is_refused_and_the_next_command_goes_on():
    async def main():
        wire = Wire()
        bad = wire.queue.submit(Change("line\r\nbreak\0"))
        good = wire.queue.submit(Noop())
        assert isinstance(bad.future.exception(), errors.ConfigurationError)
        assert b"NOOP" in wire.sent()
        wire.say("A2 OK\r\n")
        await good.future

    virtual(main())


def test_the_log_shows_commands_but_no_secret(caplog):
    async def main():
        wire = Wire()
        caplog.set_level(logging.DEBUG, "aiogmail.imap")
        wire.queue.submit(Change(Secret("hunter2-password")))
        assert b"hunter2-password" in wire.sent()
        wire.say("A1 OK fine\r\n")

    virtual(main())
    assert "CREATE" in caplog.text
    assert "fine" in caplog.text
    assert "hunter2" not in caplog.text


class Idling(Change):
    name = "IDLE"
    effect = Effect.PURE
    droppable = True

    def __init__(self):
        self.args = ()
        self.begun = False

    def arguments(self):
        return ()

    def answer(self, continuation):
        self.begun = True
        return b"HELLO"

    def interrupt(self):
        return b"DONE" if self.begun else None


def test_a_command_without_end_is_ended_for_others():
    async def main():
        wire = Wire()
        idle = wire.queue.submit(Idling())
        wire.say("+ idling\r\n")
        assert wire.sent() == b"A1 IDLE\r\nHELLO\r\n"
        wire.queue.submit(Noop())
        assert wire.sent() == b"DONE\r\n"
        wire.say("A1 OK IDLE terminated (Success)\r\n")
        await idle.future
        assert wire.sent() == b"A2 NOOP\r\n"
        wire.say("A2 OK\r\n")

    virtual(main())


class Full(Wire):
    """A transport that has had enough after the first block."""

    def write(self, data):
        super().write(data)
        if len(self.written) > 60_000:
            self.queue.pause_writing()


@pytest.mark.parametrize("status", ["NO", "BAD"])
def test_a_literal_that_need_not_wait_and_is_refused_half_way_fails_with_the_servers_words(status):
    """The transport is full, so that a part of the message is still here when the server has had enough of it."""

    async def main():
        wire = Full()
        wire.queue.literal_mode = LiteralMode.PLUS
        change = wire.queue.submit(Change(Literal(b"x" * 200_000)))
        after = wire.queue.submit(Noop())
        another = wire.queue.submit(Change(Literal(b"y" * 200_000)))
        assert len(wire.sent()) < 70_000
        wire.say(f"A1 {status} [TOOBIG] Message too large.\r\n")
        error = change.future.exception()
        assert isinstance(error, errors.MessageTooLarge)
        assert (error.status, error.text, error.outcome) == (status, "Message too large.", Outcome.NOT_APPLIED)
        assert error.connection_lost
        assert "refused while it was sent" in str(wire.failed[0])
        for one in (after, another):
            assert isinstance(one.future.exception(), errors.Disconnected)
            assert outcome_of(one.future) is Outcome.NOT_APPLIED
        assert wire.sent() == b""

    virtual(main())


class Broken(Change):
    """A command with a fault of its own."""

    def arguments(self):
        raise TypeError("what a programmer got wrong")


def test_whatever_error_writing_a_command_meets_who_waits_hears_of_it_and_the_next_goes_on():
    async def main():
        wire = Wire()
        bad = wire.queue.submit(Broken())
        good = wire.queue.submit(Noop())
        with pytest.raises(TypeError, match="got wrong"):
            await bad.future
        wire.say("A2 OK\r\n")
        await good.future
        assert not wire.failed

    virtual(main())


class Greedy(UidFetch):
    def join(self, others, room):
        raise ValueError("cannot count")


def test_and_so_it_is_when_commands_are_put_together():
    async def main():
        wire = Wire()
        change = wire.queue.submit(Change())
        bad = wire.queue.submit(Greedy(UidSet(1), ("FLAGS",), list.clear))
        good = wire.queue.submit(Noop())
        wire.say("A1 OK\r\n")
        assert isinstance(bad.future.exception(), ValueError)
        wire.say("A3 OK\r\n")
        await change.future
        await good.future

    virtual(main())


# -- rows that lack something ----------------------------------------------------------------------------------------------

LACKING = {
    "modseq of a mailbox that has none": (("FLAGS", "MODSEQ"), "* 1 FETCH (UID 1 FLAGS (\\Seen))", ["FLAGS", "UID"]),
    "nothing but modseq": (("MODSEQ",), "* 1 FETCH (UID 1)", ["UID"]),
    "flags alone": (("FLAGS",), "* 1 FETCH (UID 1)", ["UID"]),
    "one of several": (("X-GM-MSGID", "FLAGS", "MODSEQ"), "* 1 FETCH (UID 1 X-GM-MSGID 5 FLAGS ())", ["FLAGS", "UID", "X-GM-MSGID"]),
    "in two parts": (
        ("FLAGS", "ENVELOPE", "RFC822.SIZE"),
        "* 1 FETCH (UID 1 FLAGS ())\r\n* 1 FETCH (UID 1 RFC822.SIZE 5)",
        ["FLAGS", "RFC822.SIZE", "UID"],
    ),
}


@pytest.mark.parametrize("case", LACKING)
def test_a_row_that_lacks_what_was_asked_for_is_handed_on_and_not_reported_as_gone(case):
    items, said, names = LACKING[case]

    async def main():
        wire = Wire()
        rows = []
        fetch = wire.queue.submit(UidFetch(UidSet("1:2"), items, rows.extend))
        wire.say(f"{said}\r\nA1 OK\r\n")
        assert [(row.uid, sorted(row.names())) for row in rows] == [(1, names)]
        assert await fetch.future == UidSet(2)

    virtual(main())


def test_flags_that_changed_of_a_message_that_did_not_come_are_no_row():
    async def main():
        wire = Wire()
        rows = []
        fetch = wire.queue.submit(UidFetch(UidSet("1:2"), ("FLAGS", "ENVELOPE"), rows.extend))
        wire.say("* 1 FETCH (UID 1 FLAGS (\\Deleted) MODSEQ (9))\r\n* 1 EXPUNGE\r\nA1 OK\r\n")
        assert rows == []
        assert await fetch.future == UidSet("1:2")

    virtual(main())


@pytest.mark.parametrize("item", ["RFC822.SIZE", "MODSEQ", "X-GM-MSGID", "X-GM-THRID"])
def test_nil_for_a_number_is_a_row_all_the_same(item):
    async def main():
        wire = Wire()
        rows = []
        fetch = wire.queue.submit(UidFetch(UidSet(1), (item,), rows.extend))
        wire.say(f"* 1 FETCH (UID 1 {item} NIL)\r\nA1 OK\r\n")
        assert rows[0].get(item, "absent") is None
        assert rows[0].number(item) is None
        assert await fetch.future == UidSet()

    virtual(main())


# -- riders ------------------------------------------------------------------------------------------------------------------


def fetches(wire, *smalls):
    """Fetches of one UID each that wait behind a change, and what each got."""
    change = wire.queue.submit(Change())
    got = [[] for _ in smalls]
    pending = [
        wire.queue.submit(UidFetch(UidSet(number), ("BODY.PEEK[]",), rows.extend, small=small))
        for number, (small, rows) in enumerate(zip(smalls, got, strict=True), 1)
    ]
    wire.sent()
    wire.say("A1 OK\r\n")
    assert change.future.done()
    return pending, got


def test_a_large_fetch_takes_no_small_ones_along():
    async def main():
        wire = Wire()
        (large, small), _ = fetches(wire, False, True)
        assert wire.sent().count(b"UID FETCH") == 2
        wire.queue.cancel(large)
        assert isinstance(wire.failed[0], errors.Disconnected)
        assert isinstance(small.future.exception(), errors.Disconnected)

    virtual(main())


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_who_goes_away_leaves_the_run_to_the_others(gone):
    """Large ones too: their rows are read on and dropped, for the sake of who still waits."""

    async def main():
        wire = Wire()
        pending, got = fetches(wire, False, False, False)
        assert wire.sent() == b"A2 UID FETCH 1:3 (UID BODY.PEEK[])\r\n"
        wire.queue.cancel(pending[gone])
        assert not wire.failed
        for number in (1, 2, 3):
            wire.say(f"* {number} FETCH (UID {number} BODY[] {{1}}\r\n{number})\r\n")
        wire.say("A2 OK\r\n")
        for place, (one, rows) in enumerate(zip(pending, got, strict=True)):
            if place == gone:
                assert one.future.cancelled()
                assert rows == []  # nobody keeps what nobody waits for
            else:
                assert await one.future == UidSet()
                assert [row.get("BODY[]") for row in rows] == [b"%d" % (place + 1)]

    virtual(main())


def test_the_last_of_a_large_run_that_goes_away_costs_the_connection_and_of_a_small_one_does_not():
    async def main():
        for small in (True, False):
            wire = Wire()
            pending, _ = fetches(wire, small, small)
            for one in pending:
                assert not wire.failed
                wire.queue.cancel(one)
            assert bool(wire.failed) is not small
            if small:
                after = wire.queue.submit(Noop())
                wire.say("* 1 FETCH (UID 1 BODY[] NIL)\r\nA2 OK\r\nA3 OK\r\n")
                await after.future

    virtual(main())


@pytest.mark.parametrize("line", [200, 1000, 16 * 1024])
@pytest.mark.parametrize("items", [("FLAGS",), ("BODY.PEEK[HEADER.FIELDS (SUBJECT FROM TO CC)]", "X-GM-LABELS")])
def test_a_merged_command_line_is_no_longer_than_the_limit_with_its_items(line, items):
    async def main():
        wire = Wire(limits=Limits(command_line=line))
        wire.queue.submit(Change())
        uids = random.Random(line).sample(range(1 << 31, 1 << 32), 1200)
        pending = [wire.queue.submit(UidFetch(UidSet(uid), items, list.clear)) for uid in uids]
        wire.say("A1 OK\r\n")
        longest = 0
        while not all(one.future.done() for one in pending):
            sent = [text for text in wire.sent().split(b"\r\n") if b"FETCH" in text]
            longest = max([longest, *map(len, sent)])
            for text in sent:
                wire.say(text.split()[0] + b" OK\r\n")
        assert all(one.future.exception() is None for one in pending)
        assert min(line - 30, 5000) < longest <= line

    virtual(main())


@pytest.mark.parametrize("enabled", ["UTF8=ACCEPT", "CONDSTORE UTF8=ACCEPT"])
def test_once_utf8_is_enabled_names_travel_as_utf_8_both_ways(enabled):
    async def main():
        wire = Wire()
        enable = wire.queue.submit(Enable("UTF8=ACCEPT"))
        status = wire.queue.submit(StatusCommand("Entwürfe & mehr"))
        assert wire.sent() == b"A1 ENABLE UTF8=ACCEPT\r\n"
        wire.say(f"* ENABLED {enabled}\r\nA1 OK\r\n")
        assert await enable.future >= {"UTF8=ACCEPT"}
        assert wire.sent().startswith('A2 STATUS "Entwürfe & mehr" ('.encode())
        wire.say('* STATUS "Entwürfe & mehr" (MESSAGES 3)\r\nA2 OK\r\n')
        assert await status.future == {"MESSAGES": 3}

    virtual(main())


@pytest.mark.parametrize("reply", ["A1 OK\r\n", "* ENABLED\r\nA1 OK\r\n", "* ENABLED CONDSTORE\r\nA1 OK\r\n", "A1 BAD what\r\n"])
def test_names_stay_in_utf_7_where_the_server_did_not_enable_it(reply):
    async def main():
        wire = Wire()
        wire.queue.submit(Enable("UTF8=ACCEPT"))
        status = wire.queue.submit(StatusCommand("é"))
        wire.say(reply)
        assert b"A2 STATUS &AOk- (" in wire.sent()
        wire.say("* STATUS &AOk- (MESSAGES 3)\r\nA2 OK\r\n")
        assert await status.future == {"MESSAGES": 3}

    virtual(main())
