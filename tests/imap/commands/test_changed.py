"""UID FETCH … (CHANGEDSINCE …): what changed."""

from aiogmail.imap.commands import Noop, UidFetch, UidFetchChanged, UidSearch
from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Atom
from tests.imap.link import Wire
from tests.support.aio import run

ITEMS = ("FLAGS", "MODSEQ", "X-GM-LABELS")


def changed(since=10, most=2, exists=7):
    return UidFetchChanged(ITEMS, since, most=most, exists=lambda: exists)


def row(uid, modseq):
    return f"* {uid} FETCH (UID {uid} MODSEQ ({modseq}) FLAGS () X-GM-LABELS ())\r\n"


def test_the_first_are_kept_whole_and_of_the_rest_the_uids():
    async def main():
        wire = Wire()
        pending = wire.queue.submit(changed())
        assert wire.sent() == b"A1 UID FETCH 1:* (UID FLAGS MODSEQ X-GM-LABELS) (CHANGEDSINCE 10)\r\n"
        wire.say(row(1, 12) + row(2, 30) + row(5, 13) + row(6, 14) + "A1 OK\r\n")
        found = await pending.future
        assert set(found.rows) == {1, 2}
        assert (found.uids, found.highest, found.exists) == (UidSet("1:2,5:6"), 30, 7)
        assert wire.unsolicited == []

    run(main())


def test_what_is_told_in_pieces_or_in_between_is_asked_for_again():
    async def main():
        wire = Wire()
        pending = wire.queue.submit(changed(most=9))
        wire.say("* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (15))\r\n* 1 FETCH (UID 1 X-GM-LABELS (Work))\r\n")
        wire.say(row(2, 16) + "* 2 FETCH (FLAGS (\\Seen) UID 2)\r\n* 3 FETCH (FLAGS ())\r\n* 9 EXISTS\r\nA1 OK\r\n")
        found = await pending.future
        assert found.rows == {}, "a row that is older than what came behind it is not kept"
        assert (found.uids, found.highest) == (UidSet("1:2"), 16)
        assert len(wire.unsolicited) == 2, "a row without a UID and the count are the mailbox's"

    run(main())


def test_since_the_beginning_is_since_the_lowest_that_may_be_asked_for():
    async def main():
        wire = Wire()
        wire.queue.submit(changed(since=0))
        assert wire.sent().endswith(b"(CHANGEDSINCE 1)\r\n")
        wire.say("A1 OK\r\n")

    run(main())


def test_no_other_fetch_is_on_the_wire_meanwhile():
    async def main():
        wire = Wire()
        first = wire.queue.submit(UidFetch(UidSet(1), ("FLAGS",), list.clear))
        asked = wire.queue.submit(changed())
        last = wire.queue.submit(UidSearch((Atom("ALL"),), esearch=True))
        assert wire.sent().count(b"\r\n") == 1
        wire.say("A1 OK\r\n")
        assert wire.sent().startswith(b"A2 UID FETCH 1:*")
        wire.say("A2 OK\r\n")
        assert wire.sent().startswith(b"A3 UID SEARCH")
        wire.say("A3 OK\r\n")
        assert [bool(pending.future.done()) for pending in (first, asked, last)] == [True] * 3

    run(main())


def test_it_travels_with_a_command_that_takes_no_rows():
    async def main():
        wire = Wire()
        wire.queue.submit(Noop())
        wire.queue.submit(changed())
        assert wire.sent().count(b"\r\n") == 2
        wire.say("A1 OK\r\nA2 OK\r\n")

    run(main())


def test_a_mod_sequence_that_comes_uninvited_makes_a_row_no_other_fetchs():
    """With CONDSTORE enabled every row has MODSEQ; of two fetches on the wire the row is that one's that asked for the rest of it."""

    async def main():
        wire = Wire()
        flags, sizes = [], []
        first = wire.queue.submit(UidFetch(UidSet(5), ("FLAGS",), flags.extend))
        second = wire.queue.submit(UidFetch(UidSet(5), ("FLAGS", "RFC822.SIZE"), sizes.extend))
        wire.say("* 1 FETCH (UID 5 MODSEQ (9) FLAGS () RFC822.SIZE 3)\r\n* 1 FETCH (UID 5 MODSEQ (9) FLAGS ())\r\nA1 OK\r\nA2 OK\r\n")
        assert not await first.future
        assert not await second.future
        assert [row.number("RFC822.SIZE") for row in flags] == [None]
        assert [row.number("RFC822.SIZE") for row in sizes] == [3]

    run(main())
