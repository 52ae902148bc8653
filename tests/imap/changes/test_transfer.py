"""Copies, moves, archive, trash and expunge on Gmail, judged by the emulator's ledger."""

import asyncio
import random
from dataclasses import replace

import pytest

from aiogmail import ConfigurationError, Limits, MailboxNotFound, Outcome, OutcomeUnknown, Q, errors
from aiogmail.testing import Fault

from .test_store import ids
from .world import graded, in_world, letter, verbs


def cuts(verb):
    return [
        Fault("close", verb),
        Fault("reset", verb, byte=9),
        Fault("close", verb, point="reply", byte=0),
        Fault("bye", verb, point="reply", byte=0, text="Session expired, please login again."),
        Fault("reset", verb, point="reply", byte=20),
        Fault("blackhole", verb),
        Fault("mute", verb, point="reply", byte=0),
        Fault("answer", verb, text="NO System Error (Failure)"),
        Fault("answer", verb, point="reply", text="NO System Error (Failure)"),
        Fault("answer", verb, text="NO Some messages could not be moved (Failure)"),
        Fault("answer", verb, point="reply", text="NO Some messages could not be copied (Failure)"),
        Fault("answer", verb, point="reply", text="OK Success"),
    ]


CUTS = cuts("UID MOVE")


@pytest.mark.parametrize("number", graded(range(len(CUTS)), (0, 2, 8), ids(CUTS)))
@pytest.mark.parametrize("destination", graded(["Work", "[Gmail]/Starred", "[Gmail]/All Mail", "[Gmail]/Trash"], (0,)))
def test_messages_are_copied_once_whatever_is_cut(number, destination):
    async def test(server, account, box):
        fault = cuts("UID COPY")[number]
        server.faults.add(fault)
        if destination == "Work":
            account.labels.create("Work", account.behaviour)
        result = await box.copy("1:3,8", destination)
        assert (str(result.applied), str(result.gone)) == ("1:3", "8")
        target = account.mailbox(destination)
        wanted = {account.mailbox(destination).uid_of[message] for message in account.messages[:3]}
        if result.copies or fault.text != "OK Success":
            assert {target.by_uid[there].message_id for there in result.copies.values()} == {f"<{n}@x.example>" for n in (1, 2, 3)}
            assert set(result.copies.values()) == wanted
            assert result.uidvalidity == target.uidvalidity
        assert len(account.messages) == 5
        assert all(len([c for c in server.ledger.labels if c.message is message]) <= 1 for message in account.messages), "changed once"

    in_world(test)


@pytest.mark.parametrize("fault", graded(CUTS, (0, 2, 6, 9), ids(CUTS)))
@pytest.mark.parametrize("destination", graded(["Work", "[Gmail]/Trash", "[Gmail]/All Mail"], (0,)))
def test_messages_are_moved_once_whatever_is_cut(fault, destination):
    async def test(server, account, box):
        server.faults.add(fault)
        if destination == "Work":
            account.labels.create("Work", account.behaviour)
        result = await box.move([1, 2, 3, 8], destination)
        assert (str(result.applied), str(result.gone)) == ("1:3", "8")
        target = account.mailbox(destination)
        if fault.text != "OK Success":
            assert [target.by_uid[result.copies[uid]].message_id for uid in (1, 2, 3)] == [f"<{n}@x.example>" for n in (1, 2, 3)]
        assert account.mailbox("INBOX").order == [4, 5]
        assert all(message in target for message in account.messages[:3])
        assert len(account.messages) == 5

    in_world(test)


def test_a_move_is_repeated_for_what_is_still_here():
    async def test(server, account, box):
        account.labels.create("Work", account.behaviour)
        server.faults.add(Fault("close", "UID MOVE"))
        server.faults.add(Fault("delay", "CONNECT", seconds=2))
        asyncio.get_running_loop().call_later(1, lambda: account.move(account.messages[0], account.inbox, account.mailbox("Work")))
        result = await box.move("1:3", "Work")
        assert str(result.applied) == "1:3"
        assert verbs(server, "UID MOVE")[1].startswith("UID MOVE 2:3 ")

    in_world(test)


def test_what_is_gone_and_not_there_is_somebody_elses_change():
    async def test(server, account, box):
        account.labels.create("Work", account.behaviour)
        victim = account.messages[0]
        server.faults.add(Fault("close", "UID MOVE", point="reply", byte=0))
        server.faults.add(Fault("delay", "CONNECT", seconds=2))
        asyncio.get_running_loop().call_later(1, account.remove, victim)
        with pytest.raises(OutcomeUnknown) as caught:
            await box.move("1:3", "Work")
        result = caught.value.result
        assert (str(result.applied), str(result.unknown)) == ("2:3", "1")
        assert "UID 1 of INBOX not found" in caught.value.evidence["destination"]

    in_world(test)


@pytest.mark.parametrize("call", ["copy", "move"])
def test_a_mailbox_that_does_not_exist_takes_nothing(call):
    async def test(server, account, box):
        with pytest.raises(MailboxNotFound) as caught:
            await getattr(box, call)("1:3", "No such")
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert str(caught.value.result.unchanged) == "1:3"
        assert not server.ledger.labels

    in_world(test)


@pytest.mark.parametrize("mailbox", ["INBOX", "[Gmail]/All Mail", "Work", "[Gmail]/Trash", "[Gmail]/Spam"])
@pytest.mark.parametrize("cut", graded([None, "request", "reply"], (0,)))
def test_archived_messages_are_out_of_the_inbox_and_kept(mailbox, cut):
    async def test(server, account, box):
        for verb in ("UID STORE", "UID MOVE") if cut else ():
            server.faults.add(Fault("close", verb, point=cut, byte=0 if cut == "reply" else None))
        result = await box.archive("1:2")
        assert str(result.applied) == "1:2"
        assert all("\\Inbox" not in message.labels for message in account.messages[:2])
        assert all(message in account.all_mail for message in account.messages[:2])
        assert len(account.messages) == 5
        if mailbox == "Work":
            assert all("Work" in message.labels for message in account.messages)

    own = {"[Gmail]/Trash": "\\Trash", "[Gmail]/Spam": "\\Spam"}.get(mailbox)
    in_world(test, mailbox=mailbox, labels=(own,) if own else ("\\Inbox", mailbox))


@pytest.mark.parametrize("locale", ["en", "ja"])
def test_the_bin_is_found_in_every_language(locale):
    async def test(server, account, box):
        server.faults.add(Fault("close", "UID MOVE", point="reply", byte=0))
        assert str((await box.trash(Q.subject("letter") & Q.uid("1:2"))).applied) == "1:2"
        assert [message.labels for message in account.messages[:2]] == [{"\\Trash"}] * 2

    in_world(test, locale=locale)


def test_a_hidden_mailbox_is_told_with_advice():
    async def test(server, account, box):
        for call, use in ((box.trash, "Trash"), (box.archive, "All")):
            with pytest.raises(MailboxNotFound, match=f"{use}.*Show in IMAP") as caught:
                await call(1)
            assert caught.value.outcome is Outcome.NOT_APPLIED

    in_world(test, hidden=frozenset({"[Gmail]/Trash", "[Gmail]/All Mail"}))


def test_the_bin_is_not_moved_to_itself():
    async def test(server, account, box):
        with pytest.raises(ConfigurationError, match="already"):
            await box.trash(1)

    in_world(test, mailbox="[Gmail]/Trash", labels=("\\Trash",))


@pytest.mark.parametrize("call", ["archive", "trash", "copy", "add_labels"])
def test_an_outage_before_anything_was_sent_changed_nothing(call):
    async def test(server, account, box):
        account.drop_sessions()
        server.faults.add(Fault("close", "CONNECT", times=None))
        with pytest.raises(errors.TransportError) as caught:
            await getattr(box, call)("1:2", *(["Work"] if call in ("copy", "add_labels") else []))
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert caught.value.stage
        server.faults.clear()

    in_world(test)


def test_without_a_bin_a_lost_move_to_it_finds_nothing_there():
    async def test(server, account, box):
        server.faults.add(Fault("close", "UID STORE", point="reply", byte=0))
        result = await box.add_labels(1, "\\Trash")
        assert str(result.gone) == "1", "it is in no mailbox that IMAP shows"

    in_world(test, hidden=frozenset({"[Gmail]/Trash", "[Gmail]/Spam"}))


@pytest.mark.parametrize("fault", graded([None, *cuts("UID EXPUNGE")[:9]], (0, 1, 3), ["none", *ids(CUTS)[:9]]))
def test_only_what_is_marked_and_named_is_expunged(fault):
    async def test(server, account, box):
        await box.add_flags("1:3", r"\Deleted")
        if fault is not None:
            server.faults.add(fault)
        result = await box.expunge("1:2,9")
        assert (str(result.applied), str(result.gone)) == ("1:2", "9")
        assert account.mailbox("INBOX").order == [3, 4, 5]
        with pytest.raises(errors.CommandError, match="mark them first") as caught:
            await box.expunge("3:4")
        assert (str(caught.value.result.applied), str(caught.value.result.unchanged)) == ("3", "4")

    in_world(test, auto_expunge=False)


def test_what_all_mail_keeps_is_not_said_to_be_expunged():
    async def test(server, account, box):
        await box.add_flags(1, r"\Deleted")
        with pytest.raises(errors.CommandError, match="still there"):
            await box.expunge(1)

    in_world(test, mailbox="[Gmail]/All Mail", auto_expunge=False)


@pytest.mark.parametrize("seed", graded(range(10), (0,)))
def test_thousands_are_moved_once_whatever_is_cut(seed):
    chance = random.Random(seed)

    async def test(server, account, box):
        account.labels.create("Work", account.behaviour)
        uids = sorted(chance.sample(range(1, 1601), 1100))
        for _ in range(3):
            fault = chance.choice(CUTS[:9])
            server.faults.add(
                Fault(fault.action, "UID MOVE", point=fault.point, byte=fault.byte, skip=chance.randrange(3), text=fault.text)
            )
        whole = {uid: account.inbox.by_uid[uid] for uid in uids}
        result = await box.move(uids, "Work")
        assert [*result.applied] == uids
        assert sorted(result.copies) == uids
        work = account.mailbox("Work")
        assert all(work.by_uid[result.copies[uid]] is message for uid, message in whole.items())
        assert len(server.ledger.labels) == 1100
        assert len(account.inbox.order) == 500

    in_world(test, count=1600, seed=seed)


def test_a_copy_that_was_there_before_is_found_too():
    async def test(server, account, box):
        await box.copy(1, "Work")
        server.faults.add(Fault("close", "UID COPY", point="reply", byte=0))
        result = await box.copy("1:2", "Work")
        assert result.copies == {1: 1, 2: 2}
        assert len(account.mailbox("Work").order) == 2

    async def prepared(server, account, box):
        account.labels.create("Work", account.behaviour)
        await test(server, account, box)

    in_world(prepared)


@pytest.mark.parametrize("fault", graded(CUTS, (2,), ids(CUTS)))
def test_with_a_single_connection_a_look_elsewhere_waits_for_nobody(fault):
    async def test(server, account, box, gmail):
        account.labels.create("Work", account.behaviour)
        server.faults.add(fault)
        assert str((await box.move("1:3", "Work")).applied) == "1:3"
        assert str((await box.copy("4", "Work")).applied) == "4"
        assert len(await gmail.mailboxes()) > 5
        async for message in box.fetch("1:*", "flags"):
            await box.move(message.uid, "Work")
        assert account.inbox.order == []
        assert asyncio.get_running_loop().time() < 200

    in_world(test, settings=lambda settings: replace(settings, limits=Limits(connections=1)))


def test_a_letter_that_comes_in_meanwhile_is_not_touched():
    async def test(server, account, box):
        account.labels.create("Work", account.behaviour)
        server.faults.add(Fault("delay", "UID MOVE", seconds=3))
        asyncio.get_running_loop().call_later(1, account.deliver, letter(77))
        assert str((await box.move("1:*", "Work")).applied) == "1:5"
        assert account.inbox.order == [6]

    in_world(test)
