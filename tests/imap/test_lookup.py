"""Looking for a message that may have been filed, against the emulator."""

import asyncio

import pytest

from aiogmail import errors
from aiogmail.imap.lookup import Mark, find_since, note, pauses
from aiogmail.testing import Fault
from tests.imap.changes.world import in_world, letter


def later(seconds, what):
    return asyncio.get_running_loop().call_later(seconds, what)


def test_a_message_that_came_since_the_mark_is_found_at_once():
    async def test(server, account, box):
        mark = await note(box._keeper, "INBOX")
        assert mark == Mark("INBOX", 1, 6)
        stored = account.deliver(letter(99))
        began = asyncio.get_running_loop().time()
        found = await find_since(box._keeper, mark, "<99@x.example>", size=len(letter(99)))
        assert (found.uid, found.gmail_id, found.absent) == (6, stored.gmail_id, False)
        assert asyncio.get_running_loop().time() - began < 0.1

    in_world(test)


def test_one_that_was_there_before_is_another():
    async def test(server, account, box):
        mark = await note(box._keeper, "INBOX")
        found = await find_since(box._keeper, mark, "<5@x.example>", settle_timeout=0)
        assert found.uid is None
        assert found.absent

    in_world(test)


def test_it_is_looked_for_until_the_time_is_over():
    async def test(server, account, box):
        mark = await note(box._keeper, "INBOX")
        timer = later(50, lambda: account.deliver(letter(99)))
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert (await find_since(box._keeper, mark, "<99@x.example>", settle_timeout=120)).uid == 6
        assert 50 <= loop.time() - began <= 61
        timer.cancel()
        began = loop.time()
        found = await find_since(box._keeper, mark, "<77@x.example>", settle_timeout=40)
        assert (found.uid, found.absent) == (None, True)
        assert 40 <= loop.time() - began < 41
        assert found.evidence["looks"] == "7 within 40 s"

    in_world(test)


def test_another_size_or_a_gap_leaves_it_open():
    async def test(server, account, box):
        mark = await note(box._keeper, "INBOX")
        account.deliver(letter(99, body="another body\r\n"))
        found = await find_since(box._keeper, mark, "<99@x.example>", size=len(letter(99)), settle_timeout=0)
        assert (found.uid, found.absent) == (None, False)
        assert "another size" in found.evidence["found"]
        assert (await find_since(box._keeper, mark, "<99@x.example>", settle_timeout=0)).uid == 6, "without a size the id is enough"
        for message in account.messages[5:]:
            account.remove(message)
        found = await find_since(box._keeper, mark, "<99@x.example>", settle_timeout=0)
        assert (found.uid, found.absent) == (None, False)
        assert "gone" in found.evidence["found"]

    in_world(test)


def test_without_a_message_id_the_octets_decide():
    async def test(server, account, box):
        mark = await note(box._keeper, "INBOX")
        account.deliver(letter(1, body="BODY\r\n", message_id=False))
        account.deliver(letter(1, message_id=False))
        found = await find_since(box._keeper, mark, "", octets=letter(1, message_id=False), settle_timeout=0)
        assert found.uid == 7
        found = await find_since(box._keeper, mark, "", octets=letter(2, message_id=False), settle_timeout=0)
        assert (found.uid, found.absent) == (None, True)

    in_world(test)


def test_a_folded_message_id_is_the_same():
    async def test(server, account, box):
        mark = await note(box._keeper, "INBOX")
        account.deliver(b"Subject: x\r\nMessage-ID:\r\n <99@x.example>\r\n\r\nx\r\n")
        assert (await find_since(box._keeper, mark, "<99@x.example>", settle_timeout=0)).uid == 6

    in_world(test)


def test_a_look_that_is_cut_is_made_again_on_the_next_session():
    async def test(server, account, box):
        mark = await note(box._keeper, "INBOX")
        account.deliver(letter(99))
        server.faults.add(Fault("close", "UID FETCH", point="reply", byte=30))
        server.faults.add(Fault("close", "NOOP"))
        assert (await find_since(box._keeper, mark, "<99@x.example>")).uid == 6

    in_world(test)


def test_a_renumbered_mailbox_says_nothing():
    async def test(server, account, box):
        mark = await note(box._keeper, "INBOX")
        account.change_uidvalidity("INBOX")
        with pytest.raises(errors.MailboxChanged):
            await find_since(box._keeper, mark, "<99@x.example>")

    in_world(test)


def test_the_mark_of_another_numbering_says_nothing():
    async def test(server, account, box):
        with pytest.raises(errors.MailboxChanged, match="UIDVALIDITY was 77 and is 1"):
            await find_since(box._keeper, Mark("INBOX", 77, 1), "<99@x.example>")

    in_world(test)


def test_a_mailbox_that_does_not_exist_has_no_mark():
    async def test(server, account, box):
        with pytest.raises(errors.MailboxNotFound):
            await note(box._keeper, "No such")

    in_world(test)


def test_news_of_flags_is_no_row():
    async def test(server, account, box):
        mark = await note(box._keeper, "INBOX")
        account.set_flags(account.messages[0], {"\\Seen"})
        assert (await find_since(box._keeper, mark, "<99@x.example>", settle_timeout=0)).absent

    in_world(test)


@pytest.mark.parametrize(
    ("within", "expected"),
    [(0, [0]), (1, [0, 1]), (10, [0, 1, 2, 4, 3]), (120, [0, 1, 2, 4, 8, 15, 30, 30, 30])],
)
def test_looks_come_after_longer_and_longer_pauses(within, expected):
    assert list(pauses(within)) == expected
