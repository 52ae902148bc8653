"""Flags and labels, judged by the emulator's ledger."""

import asyncio
import random

import pytest

from aiogmail import ConfigurationError, Conflict, MailboxChanged, Outcome, OutcomeUnknown, Q, StateError, errors
from aiogmail.imap.labels import Label
from aiogmail.testing import Fault

from .world import graded, in_world, verbs

CUTS = [
    Fault("close", "UID STORE"),
    Fault("reset", "UID STORE", byte=12),
    Fault("close", "UID STORE", point="reply", byte=0),
    Fault("bye", "UID STORE", point="reply", byte=0, text="Session expired, please login again."),
    Fault("reset", "UID STORE", point="reply", byte=40),
    Fault("close", "UID STORE", point="reply"),
    Fault("blackhole", "UID STORE"),
    Fault("mute", "UID STORE", point="reply", byte=0),
    Fault("garbage", "UID STORE", point="reply", byte=0, data=b"* 1 FETCH (((\r\n"),
    Fault("answer", "UID STORE", text="NO System Error (Failure)"),
    Fault("answer", "UID STORE", point="reply", text="NO System Error (Failure)"),
    Fault("answer", "UID STORE", text="NO [UNAVAILABLE] Temporary System Problem. Try again later (Failure)"),
]


def ids(faults):
    return [f"{fault.action}-{fault.point}-{fault.byte}-{fault.text[:9]}" for fault in faults]


def flags_of(account):
    return [set(message.flags) for message in account.messages]


def test_flags_are_added_and_removed_and_what_is_gone_is_told():
    async def test(server, account, box):
        result = await box.add_flags("1:3,9", "\\seen", ["$Forwarded"])
        assert (str(result.applied), str(result.gone), result.is_complete) == ("1:3", "9", True)
        assert flags_of(account) == [{"\\Seen", "$Forwarded"}] * 3 + [set()] * 2
        result = await box.remove_flags(Q.seen & Q.uid("2:5"), r"\Seen")
        assert str(result.applied) == "2:3"
        assert flags_of(account)[1] == {"$Forwarded"}
        assert len(verbs(server, "UID STORE")) == 2

    in_world(test)


def test_nothing_is_sent_for_no_messages():
    async def test(server, account, box):
        before = len(server.ledger.commands)
        assert (await box.add_flags([], r"\Seen")).is_complete
        assert len(server.ledger.commands) == before
        assert (await box.add_flags(Q.subject("nowhere"), r"\Seen")).applied == (await box.search("UNSEEN UID 77"))

    in_world(test)


@pytest.mark.parametrize("fault", graded(CUTS, (0, 2, 4, 8, 9), ids(CUTS)))
def test_a_flag_is_added_whatever_is_cut(fault):
    async def test(server, account, box):
        server.faults.add(fault)
        result = await box.add_flags("1:3", r"\Seen")
        assert str(result.applied) == "1:3"
        assert flags_of(account) == [{"\\Seen"}] * 3 + [set()] * 2
        assert len(server.ledger.flags) == 3, "each was changed once"
        assert server.faults.hit

    in_world(test)


@pytest.mark.parametrize("fault", graded(CUTS, (0, 2, 7), ids(CUTS)))
@pytest.mark.parametrize("mailbox", graded(["INBOX", "[Gmail]/All Mail"], (0,)))
def test_labels_are_added_and_removed_whatever_is_cut(fault, mailbox):
    async def test(server, account, box):
        server.faults.add(fault)
        assert str((await box.add_labels("1:3", "Work/Straße", Label.STARRED)).applied) == "1:3"
        assert [message.labels for message in account.messages] == [{"\\Inbox", "Work/Straße", "\\Starred"}] * 3 + [{"\\Inbox"}] * 2
        assert len([change for change in server.ledger.labels if "Work/Straße" in change.added]) == 3
        server.faults.add(fault)
        assert str((await box.remove_labels("1:2", "Work/Straße")).applied) == "1:2"
        assert [len(message.labels) for message in account.messages] == [2, 2, 3, 1, 1]

    in_world(test, mailbox=mailbox)


@pytest.mark.parametrize("point", ["request", "reply"])
def test_a_lost_replacement_is_asked_about_and_not_repeated_if_it_was_done(point):
    async def test(server, account, box):
        account.set_flags(account.messages[0], {"\\Answered"})
        server.faults.add(Fault("close", "UID STORE", point=point, byte=0 if point == "reply" else None))
        result = await box.set_flags("1:2", [r"\Seen"])
        assert str(result.applied) == "1:2"
        assert flags_of(account)[:2] == [{"\\Seen"}] * 2
        assert len(verbs(server, "UID STORE")) == (2 if point == "request" else 1)
        assert all("UNCHANGEDSINCE" in line for line in verbs(server, "UID STORE"))

    in_world(test)


def test_a_replacement_that_was_done_and_then_changed_by_another_is_unknown():
    async def test(server, account, box):
        server.faults.add(Fault("close", "UID STORE", point="reply", byte=0))
        server.faults.add(Fault("delay", "UID FETCH", skip=1, seconds=5))
        task = asyncio.ensure_future(box.set_flags(1, [r"\Seen"]))
        while not server.ledger.flags:
            await asyncio.sleep(0)
        account.set_flags(account.messages[0], {"\\Flagged"})
        with pytest.raises(OutcomeUnknown) as caught:
            await task
        assert caught.value.outcome is Outcome.UNKNOWN
        assert str(caught.value.result.unknown) == "1"
        assert flags_of(account)[0] == {"\\Flagged"}, "the other's change stands"

    in_world(test)


@pytest.mark.parametrize("given", [True, False])
def test_a_replacement_never_overwrites_what_another_changed_first(given):
    async def test(server, account, box):
        seen = account.modseq
        if given:
            account.set_flags(account.messages[1], {"\\Flagged"})
        else:
            server.faults.add(Fault("delay", "UID STORE", seconds=5))
            asyncio.get_running_loop().call_later(2, account.set_flags, account.messages[1], {"\\Flagged"})
        with pytest.raises(Conflict) as caught:
            await box.set_flags("1:3", r"\Seen", unchanged_since=seen if given else None)
        assert caught.value.outcome is Outcome.NOT_APPLIED
        result = caught.value.result
        assert (str(result.applied), str(result.unchanged)) == ("1,3", "2")
        assert flags_of(account)[:3] == [{"\\Seen"}, {"\\Flagged"}, {"\\Seen"}]

    in_world(test)


def test_labels_are_replaced_and_the_mailbox_keeps_its_own():
    async def test(server, account, box):
        await box.add_labels(1, "Old", "New")
        server.faults.add(Fault("close", "UID STORE", point="reply", byte=0))
        assert str((await box.set_labels("1:2", ["New"])).applied) == "1:2"
        assert [message.labels for message in account.messages[:2]] == [{"\\Inbox", "New"}] * 2
        assert str((await box.set_labels(1, [])).applied) == "1"
        assert account.messages[0].labels == {"\\Inbox"}

    in_world(test)


@pytest.mark.parametrize(("removable", "shown"), [(False, False), (True, True)])
def test_the_mailboxes_own_label_is_removed_by_a_move(removable, shown):
    async def test(server, account, box):
        result = await box.remove_labels("1:2", "inbox", "Work")
        assert str(result.applied) == "1:2"
        assert [message.labels for message in account.messages] == [frozenset()] * 2 + [{"\\Inbox"}] * 3
        assert len(account.messages) == 5

    in_world(test, own_label_removable=removable, own_label_shown=shown)


@pytest.mark.parametrize("mailbox", ["Work", "[Gmail]/Starred"])
def test_a_label_mailbox_loses_its_own_label(mailbox):
    async def test(server, account, box):
        label = account.mailbox(mailbox).label
        server.faults.add(Fault("close", "UID MOVE", point="reply", byte=0))
        assert str((await box.remove_labels("1:2", label)).applied) == "1:2"
        assert [label in message.labels for message in account.messages] == [False, False, True, True, True]
        assert all("\\Inbox" in message.labels for message in account.messages)

    in_world(test, mailbox=mailbox, labels=("\\Inbox", mailbox))


@pytest.mark.parametrize("label", [Label.TRASH, Label.SPAM])
@pytest.mark.parametrize("fault", graded(CUTS[:8], (0, 2), ids(CUTS[:8])))
def test_a_label_that_takes_the_message_away_is_found_where_it_went(label, fault):
    async def test(server, account, box):
        server.faults.add(fault)
        result = await box.add_labels("1:2,9", label)
        assert (str(result.applied), str(result.gone)) == ("1:2", "9")
        assert [message.labels for message in account.messages[:2]] == [{label}] * 2

    in_world(test)


def test_a_label_takes_a_message_out_of_the_bin():
    async def test(server, account, box):
        server.faults.add(Fault("close", "UID STORE", point="reply", byte=0))
        assert str((await box.add_labels(1, "Work")).applied) == "1"
        assert account.messages[0].labels == {"Work"}

    in_world(test, mailbox="[Gmail]/Trash", labels=("\\Trash",))


def test_a_message_that_somebody_took_away_in_the_gap_is_gone():
    async def test(server, account, box):
        victim = account.messages[0]
        server.faults.add(Fault("close", "UID STORE"))
        server.faults.add(Fault("delay", "UID FETCH", skip=1, seconds=5))
        asyncio.get_running_loop().call_later(1, account.remove, victim)
        result = await box.add_labels("1:2", "Work")
        assert (str(result.applied), str(result.gone)) == ("2", "1")

    in_world(test)


@pytest.mark.parametrize("fault", graded(CUTS[:8], (0, 2), ids(CUTS[:8])))
def test_marking_as_deleted_takes_out_of_the_mailbox_at_once(fault):
    async def test(server, account, box):
        server.faults.add(fault)
        result = await box.add_flags("1:2,7", r"\Deleted")
        assert (str(result.applied), str(result.gone)) == ("1:2", "7")
        assert account.mailbox("INBOX").order == [3, 4, 5]

    in_world(test)


ODD = ["two words", 'with "quotes"', "[x] (y)", "a & b", "&AOk-", "Straße/日本/x", "NIL", "50% *", "back\\slash", "+plus", "{5}", "x" * 200]


@pytest.mark.parametrize("name", graded(ODD, (1, 5)))
@pytest.mark.parametrize("cut", graded([False, True], (1,)))
def test_odd_names_of_labels_arrive_as_they_are(name, cut):
    async def test(server, account, box):
        if cut:
            server.faults.add(Fault("close", "UID STORE", point="reply", byte=0))
        assert str((await box.add_labels("1:2", name, "Other")).applied) == "1:2"
        assert account.messages[0].labels == {"\\Inbox", name, "Other"}
        assert [row.labels async for row in box.fetch(1, "labels")] == [{name, "Other"}]
        if cut:
            server.faults.add(Fault("close", "UID MOVE", point="reply", byte=0))
        assert str((await box.move(1, name)).applied) == "1"
        assert str((await box.remove_labels(2, name)).applied) == "2"
        assert account.messages[1].labels == {"\\Inbox", "Other"}

    in_world(test)


def test_what_the_server_says_ok_to_and_does_not_do_is_told():
    async def test(server, account, box):
        server.faults.add(Fault("answer", "UID STORE", text="OK Success"))
        with pytest.raises(errors.CommandError, match="left UID 1 as they were") as caught:
            await box.add_flags(1, r"\Seen")
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert not server.ledger.flags

    in_world(test)


def test_a_renumbered_mailbox_is_never_written_to_again():
    async def test(server, account, box):
        server.faults.add(Fault("close", "UID STORE", point="reply", byte=0))
        server.faults.add(Fault("delay", "CONNECT", seconds=2))
        asyncio.get_running_loop().call_later(1, account.change_uidvalidity, "INBOX")
        with pytest.raises(MailboxChanged) as caught:
            await box.add_flags(1, r"\Seen")
        assert caught.value.outcome is Outcome.UNKNOWN
        assert str(caught.value.result.unknown) == "1"
        with pytest.raises(MailboxChanged) as caught:
            await box.add_flags(1, r"\Seen")
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert len(verbs(server, "UID STORE")) == 1

    in_world(test)


def test_an_outage_behind_the_ambiguous_window_is_unknown_with_evidence():
    async def test(server, account, box):
        server.faults.add(Fault("close", "UID STORE", point="reply", byte=0))
        server.faults.add(Fault("close", "CONNECT", times=None))
        with pytest.raises(OutcomeUnknown) as caught:
            await box.add_flags("1:2", r"\Seen")
        error = caught.value
        assert (error.outcome, error.stage) == (Outcome.UNKNOWN, "UID STORE sent, no reply")
        assert str(error.result.unknown) == "1:2"
        assert error.evidence["reason"]
        server.faults.clear()

    in_world(test)


def test_an_outage_before_anything_was_sent_is_not_applied():
    async def test(server, account, box):
        account.drop_sessions()
        await asyncio.sleep(0)
        server.faults.add(Fault("close", "CONNECT", times=None))
        with pytest.raises(errors.TransportError) as caught:
            await box.add_labels("1:2", "Work")
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert not verbs(server, "UID STORE")
        server.faults.clear()

    in_world(test)


def test_a_store_that_is_cut_every_time_is_given_up():
    async def test(server, account, box):
        server.faults.add(Fault("close", "UID STORE", times=None))
        with pytest.raises(errors.Disconnected) as caught:
            await box.add_flags("1:2", r"\Seen")
        assert caught.value.outcome is Outcome.NOT_APPLIED, "it was asked after the last try as well"
        assert str(caught.value.result.unchanged) == "1:2"
        assert len(verbs(server, "UID STORE")) == 4
        assert not server.ledger.flags

    in_world(test)


def test_some_refused_messages_do_not_keep_the_others_from_being_changed():
    async def test(server, account, box):
        server.faults.add(Fault("answer", "UID STORE", text="NO Some messages could not be STOREd (Failure)", times=2))
        result = await box.add_flags("1:5", r"\Seen")
        assert str(result.applied) == "1:5"
        server.faults.add(Fault("answer", "UID STORE", text="NO Some messages could not be STOREd (Failure)", times=None))
        with pytest.raises(errors.CommandError, match="Some messages") as caught:
            await box.add_flags("1:5", r"\Flagged")
        assert str(caught.value.result.unchanged) == "1:5"

    in_world(test)


def test_batches_done_stay_done():
    async def test(server, account, box):
        server.faults.add(Fault("answer", "UID STORE", text="NO [CANNOT] Not now (Failure)", skip=1))
        with pytest.raises(errors.CommandError, match="Not now") as caught:
            await box.add_flags("1:2400", r"\Seen")
        result = caught.value.result
        assert (str(result.applied), str(result.unchanged)) == ("1:1000", "1001:2400")
        assert len(server.ledger.flags) == 1000

    in_world(test, count=2400)


@pytest.mark.parametrize("seed", graded(range(10), (0,)))
def test_thousands_of_scattered_messages_survive_cuts(seed):
    chance = random.Random(seed)

    async def test(server, account, box):
        uids = sorted(chance.sample(range(1, 2501), 1500))
        for _ in range(3):
            fault = chance.choice(CUTS[:6])
            server.faults.add(
                Fault(fault.action, "UID STORE", point=fault.point, byte=fault.byte, skip=chance.randrange(3), text=fault.text)
            )
        result = await box.add_labels(uids, "Bulk")
        assert [*result.applied] == uids
        assert [message.labels for message in account.messages] == [
            {"\\Inbox", "Bulk"} if uid in result.applied else {"\\Inbox"} for uid in range(1, 2501)
        ]
        assert len(server.ledger.labels) == 1500
        assert max(len(line) for line in verbs(server, "UID STORE")) < 16 * 1024

    in_world(test, count=2500, seed=seed)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda box: box.add_flags(1), "flags: "),
        (lambda box: box.add_flags(1, "\\Recent"), "flags: "),
        (lambda box: box.add_flags(1, "with space"), "flags: "),
        (lambda box: box.add_flags(1, 5), "flags: "),
        (lambda box: box.add_flags(0, "\\Seen"), "uids: "),
        (lambda box: box.add_flags(None, "\\Seen"), "uids: "),
        (lambda box: box.set_flags(1, "\\Seen", unchanged_since=-1), "unchanged_since: "),
        (lambda box: box.set_labels(1, "x", unchanged_since=True), "unchanged_since: "),
        (lambda box: box.add_labels(1), "labels: "),
        (lambda box: box.add_labels(1, "a\r\nb"), "labels: "),
        (lambda box: box.remove_labels(1, ""), "labels: "),
        (lambda box: box.copy(1, ""), "mailbox: "),
        (lambda box: box.move(1, "INBOX\0"), "mailbox: "),
        (lambda box: box.move(1, "inbox"), "mailbox: "),
    ],
)
def test_arguments_are_checked_before_anything_is_sent(call, words):
    async def test(server, account, box):
        before = len(server.ledger.commands)
        with pytest.raises(ConfigurationError, match=words):
            await call(box)
        assert len(server.ledger.commands) == before

    in_world(test)


def test_a_mailbox_open_for_reading_is_not_changed():
    async def test(server, account, box):
        for call in (
            box.add_flags(1, "\\Seen"),
            box.remove_labels(1, "x"),
            box.move(1, "Work"),
            box.archive(1),
            box.trash(1),
            box.expunge(1),
        ):
            with pytest.raises(StateError, match="reading only"):
                await call

    in_world(test, readonly=True)


def test_two_clients_that_replace_flags_at_once_do_not_overwrite_each_other():
    async def test(server, account, box, gmail):
        async with gmail.mailbox("INBOX") as other:
            for _ in range(10):
                [message] = [row async for row in box.fetch(1, "flags", "modseq")]
                results = await asyncio.gather(
                    box.set_flags(1, [*message.flags ^ {"\\Seen"}], unchanged_since=message.modseq),
                    other.set_flags(1, [*message.flags ^ {"\\Flagged"}], unchanged_since=message.modseq),
                    return_exceptions=True,
                )
                assert sorted(type(result).__name__ for result in results) == ["ChangeResult", "Conflict"]

    in_world(test)
