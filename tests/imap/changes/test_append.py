"""APPEND, judged by the emulator's ledger: stored once, or truthfully unknown."""

import asyncio
import datetime as dt
from email.message import EmailMessage

import pytest

from aiogmail import ConfigurationError, MailboxChanged, Outcome, OutcomeUnknown, errors
from aiogmail.imap.changes.append import append_limit
from aiogmail.imap.changes.arguments import message_octets, read_message_id
from aiogmail.testing import Fault

from .world import graded, in_world, letter, verbs

BIG = letter(99, body=("x" * 70 + "\r\n") * 1000)

NOT_STORED = [
    Fault("close", "APPEND", byte=10),
    Fault("reset", "APPEND", byte=300),
    Fault("close", "APPEND"),
    Fault("blackhole", "APPEND", byte=300),
    Fault("blackhole", "APPEND"),
]
STORED = [
    Fault("close", "APPEND", point="reply", byte=0),
    Fault("reset", "APPEND", point="reply", byte=9),
    Fault("bye", "APPEND", point="reply", byte=0, text="Session expired, please login again."),
    Fault("bye_open", "APPEND", point="reply", byte=0, text="System Error"),
    Fault("mute", "APPEND", point="reply", byte=0),
    Fault("garbage", "APPEND", point="reply", byte=0, data=b"* OK [APPENDUID\r\n{tag} MAYBE\r\n"),
    Fault("answer", "APPEND", point="reply", text="OK Success"),
]


def ids(faults):
    return [f"{fault.action}-{fault.point}-{fault.byte}" for fault in faults]


def stored(account, number=99):
    return [message for message in account.messages if message.message_id == f"<{number}@x.example>"]


@pytest.mark.parametrize("duplicate", graded(["label", "replace", "store"], (2,)))
@pytest.mark.parametrize("fault", graded([None, *NOT_STORED, *STORED], (0, 1, 3, 4, 6, 10), ["none", *ids(NOT_STORED), *ids(STORED)]))
def test_a_message_is_stored_once_whatever_is_cut(fault, duplicate):
    async def test(server, account, box):
        if fault is not None:
            server.faults.add(fault)
        uid = await box.append(BIG, r"\Seen", dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
        [message] = stored(account)
        assert message.raw == BIG
        assert message.flags == {"\\Seen"}
        assert message.received == dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
        assert account.mailbox("INBOX").by_uid[uid] is message
        await asyncio.sleep(600)
        assert len(account.ledger.appends) == 1, "nothing is stored late"
        if fault in STORED:
            assert len(verbs(server, "APPEND")) == 1
        if fault is NOT_STORED[0]:
            assert asyncio.get_running_loop().time() < 601, "what was not wholly sent is sent again at once"

    in_world(test, append_duplicate=duplicate)


@pytest.mark.parametrize("fault", graded([*NOT_STORED, *STORED], (2, 5), [*ids(NOT_STORED), *ids(STORED)]))
def test_one_without_a_message_id_is_known_by_its_octets(fault):
    async def test(server, account, box):
        await box.append(letter(7, message_id=False))
        server.faults.add(fault)
        uid = await box.append(letter(7, message_id=False))
        assert uid == 7
        assert len(account.ledger.appends) == 2

    in_world(test)


def test_what_was_there_before_is_not_taken_for_it():
    async def test(server, account, box):
        assert await box.append(letter(3)) == 6
        server.faults.add(Fault("close", "APPEND"))
        assert await box.append(letter(3)) == 7
        assert len(stored(account, 3)) == 3

    in_world(test, append_duplicate="store")


def test_two_of_one_content_at_once_are_two():
    async def test(server, account, box):
        server.faults.add(Fault("close", "APPEND"))
        server.faults.add(Fault("close", "APPEND", point="reply", byte=0, skip=1))
        assert sorted(await asyncio.gather(box.append(letter(50)), box.append(letter(50)))) == [6, 7]
        assert len(stored(account, 50)) == 2

    in_world(test, append_duplicate="store")


def test_a_short_time_to_settle_never_sends_it_again():
    async def test(server, account, box):
        server.faults.add(Fault("close", "APPEND"))
        with pytest.raises(OutcomeUnknown) as caught:
            await box.append(BIG, settle_timeout=30)
        error = caught.value
        assert (error.outcome, error.stage) == (Outcome.UNKNOWN, "APPEND on the wire")
        assert error.evidence["Message-ID"] == "<99@x.example>"
        assert error.evidence["looks"] == "6 within 30 s"
        assert not stored(account)
        assert len(verbs(server, "APPEND")) == 1

    in_world(test)


def test_a_gap_in_the_uids_leaves_it_unknown():
    async def test(server, account, box):
        server.faults.add(Fault("close", "APPEND", point="reply", byte=0))
        server.faults.add(Fault("delay", "CONNECT", seconds=2))
        asyncio.get_running_loop().call_later(1, lambda: account.remove(*stored(account)))
        with pytest.raises(OutcomeUnknown, match="may or may not") as caught:
            await box.append(BIG)
        assert "gone" in caught.value.evidence["found"]
        assert len(account.ledger.appends) == 1

    in_world(test)


def test_others_that_came_meanwhile_are_no_gap():
    async def test(server, account, box):
        server.faults.add(Fault("close", "APPEND"))
        asyncio.get_running_loop().call_later(20, account.deliver, letter(60))
        assert await box.append(BIG) == 7
        assert len(stored(account)) == 1

    in_world(test)


def test_an_outage_while_it_is_looked_for_is_unknown():
    async def test(server, account, box):
        server.faults.add(Fault("close", "APPEND", point="reply", byte=0))
        server.faults.add(Fault("close", "CONNECT", times=None))
        with pytest.raises(OutcomeUnknown) as caught:
            await box.append(BIG)
        assert set(caught.value.evidence) == {"reply", "Message-ID", "lookup"}
        server.faults.clear()

    in_world(test)


def test_an_outage_before_it_was_sent_is_not_applied():
    async def test(server, account, box):
        account.drop_sessions()
        server.faults.add(Fault("close", "CONNECT", times=None))
        with pytest.raises(errors.TransportError) as caught:
            await box.append(BIG)
        assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "not sent")
        server.faults.clear()

    in_world(test)


def test_a_renumbered_mailbox_is_not_appended_to_again():
    async def test(server, account, box):
        server.faults.add(Fault("close", "APPEND", point="reply", byte=0))
        server.faults.add(Fault("delay", "CONNECT", seconds=2))
        asyncio.get_running_loop().call_later(1, account.change_uidvalidity, "INBOX")
        with pytest.raises(MailboxChanged) as caught:
            await box.append(BIG)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert len(verbs(server, "APPEND")) == 1

    in_world(test)


def test_cut_every_time_it_is_given_up_and_known_not_to_be_stored():
    async def test(server, account, box):
        server.faults.add(Fault("close", "APPEND", times=None))
        with pytest.raises(errors.Disconnected) as caught:
            await box.append(BIG)
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert len(verbs(server, "APPEND")) == 4
        assert not stored(account)

    in_world(test)


@pytest.mark.parametrize(
    ("fault", "behaviour", "kind"),
    [
        (Fault("answer", "APPEND", text="NO [TRYCREATE] No folder (Failure)"), {}, errors.MailboxNotFound),
        (Fault("answer", "APPEND", text="NO [OVERQUOTA] Not enough storage. (Failure)"), {}, errors.OverQuota),
        (Fault("answer", "APPEND", text="BAD Could not parse command"), {}, errors.CommandError),
        (None, {"append_limit": 1000}, errors.MessageTooLarge),
        (Fault("answer", "APPEND", text="BAD [TOOBIG] Message too large. https://x (Failure)"), {}, errors.MessageTooLarge),
        (None, {"quota": 0}, errors.OverQuota),
    ],
)
def test_a_refusal_is_told_at_once(fault, behaviour, kind):
    async def test(server, account, box):
        if fault is not None:
            server.faults.add(fault)
        with pytest.raises(kind) as caught:
            await box.append(BIG)
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert caught.value.stage
        assert asyncio.get_running_loop().time() < 1
        assert not stored(account)

    in_world(test, **behaviour)


@pytest.mark.parametrize(
    ("capabilities", "limit"), [({"APPENDLIMIT=5"}, 5), ({"APPENDLIMIT"}, None), ({"IDLE"}, None), ({"APPENDLIMIT=x"}, None)]
)
def test_the_limit_is_told_among_the_capabilities(capabilities, limit):
    assert append_limit(frozenset(capabilities)) == limit


def test_throttling_is_waited_out():
    async def test(server, account, box):
        server.faults.add(Fault("answer", "APPEND", text="NO [THROTTLED] slowly (Failure)"))
        assert await box.append(BIG) == 6
        assert asyncio.get_running_loop().time() >= 5

    in_world(test)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((b"",), {}, "message: "),
        ((b" \r\n",), {}, "message: "),
        (("text",), {}, "message: "),
        ((b"a\0b",), {}, "message: "),
        ((b"x", "\\Recent"), {}, "flags: "),
        ((b"x", (), dt.datetime(2020, 1, 1)), {}, "date: "),
        ((b"x", (), "today"), {}, "date: "),
        ((b"x", (), dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5)))), {}, "date: "),
        ((b"x",), {"settle_timeout": -1}, "settle_timeout: "),
        ((b"x",), {"settle_timeout": float("nan")}, "settle_timeout: "),
        ((b"x",), {"settle_timeout": True}, "settle_timeout: "),
    ],
)
def test_arguments_are_checked_before_anything_is_sent(arguments, options, words):
    async def test(server, account, box):
        before = len(server.ledger.commands)
        with pytest.raises(ConfigurationError, match=words):
            await box.append(*arguments, **options)
        assert len(server.ledger.commands) == before

    in_world(test)


def test_an_email_message_is_stored_with_crlf():
    async def test(server, account, box):
        message = EmailMessage()
        message["Subject"] = "Grüße"
        message["Message-ID"] = "<99@x.example>"
        message.set_content("Straße\n")
        await box.append(message, date=None)
        [found] = stored(account)
        assert found.header("Subject") == "Grüße"
        assert b"\n" not in found.raw.replace(b"\r\n", b"")

    in_world(test)


def test_line_ends_become_crlf():
    assert message_octets(b"a\nb\r\nc\r\r\n") == b"a\r\nb\r\nc\r\r\n"
    assert message_octets(memoryview(bytearray(b"a\n"))) == b"a\r\n"


@pytest.mark.parametrize(
    ("octets", "found"),
    [
        (b"Message-ID: <a@b>\r\n\r\nx", "<a@b>"),
        (b"Subject: x\r\nmessage-id :\r\n\t<a@b>\r\nTo: y\r\n\r\n", "<a@b>"),
        (b"Subject: x\r\n\r\nMessage-ID: <a@b>\r\n", ""),
        (b"X-Message-ID: <a@b>\r\n\r\n", ""),
        (b"Message-ID: <a@b>", "<a@b>"),
    ],
)
def test_the_message_id_is_read_out_of_the_header_alone(octets, found):
    assert read_message_id(octets) == found


def test_a_server_without_uidplus_tells_the_uid_when_it_is_asked():
    async def test(server, account, box):
        server.faults.add(Fault("answer", "APPEND", point="reply", text="OK Success"))
        assert await box.append(BIG) == 6
        server.faults.add(Fault("answer", "APPEND", text="OK Success"))
        with pytest.raises(OutcomeUnknown, match="not found again"):
            await box.append(letter(98), settle_timeout=1)

    in_world(test)


def test_readonly_mailboxes_can_be_appended_to():
    async def test(server, account, box):
        assert await box.append(BIG) == 6

    in_world(test, readonly=True)
