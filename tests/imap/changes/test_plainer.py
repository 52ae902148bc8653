"""The same on servers that can do less: no Gmail extensions, no CONDSTORE, no MOVE. The emulator, with capabilities that it does not tell."""

import asyncio

import pytest

from aiogmail import ConfigurationError, MailboxNotFound, Outcome, OutcomeUnknown, errors
from aiogmail.imap.session import ImapSession
from aiogmail.testing import Fault

from .test_store import ids
from .test_transfer import CUTS, cuts
from .world import graded, in_world, letter, verbs


@pytest.fixture
def without(monkeypatch):
    """``without(*names)``: no server tells these capabilities any more."""

    def strip(*names):
        told = ImapSession._can
        monkeypatch.setattr(ImapSession, "_can", lambda self, capabilities: told(self, capabilities - set(names)))

    return strip


@pytest.mark.parametrize("number", graded(range(len(CUTS)), (0, 2), ids(CUTS)))
@pytest.mark.parametrize("call", ["copy", "move"])
def test_transfers_are_found_by_what_came_since(without, number, call):
    without("X-GM-EXT-1")

    async def test(server, account, box):
        account.labels.create("Work", account.behaviour)
        fault = cuts(f"UID {call.upper()}")[number]
        server.faults.add(fault)
        began = asyncio.get_running_loop().time()
        result = await getattr(box, call)("1:3,8", "Work")
        assert (str(result.applied), str(result.gone)) == ("1:3", "8")
        work = account.mailbox("Work")
        assert len(work.order) == 3
        if fault.text != "OK Success":
            assert [work.by_uid[result.copies[uid]].message_id for uid in (1, 2, 3)] == [f"<{n}@x.example>" for n in (1, 2, 3)]
        assert account.inbox.order == ([4, 5] if call == "move" else [1, 2, 3, 4, 5])
        assert len(server.ledger.labels) == 3
        if call == "copy" and fault.action == "close" and fault.point == "request":
            assert asyncio.get_running_loop().time() - began >= 60, "a copy is not written again before the first cannot be made any more"

    in_world(test)


def test_a_copy_is_found_among_others_that_came(without):
    without("X-GM-EXT-1")

    async def test(server, account, box):
        account.labels.create("Work", account.behaviour)
        server.faults.add(Fault("close", "UID COPY", point="reply", byte=0))
        server.faults.add(Fault("delay", "CONNECT", seconds=2))
        asyncio.get_running_loop().call_later(1, account.deliver, letter(50), ["Work"])
        assert (await box.copy("1:2", "Work")).copies == {1: 1, 2: 2}

    in_world(test)


def test_a_destination_with_gaps_leaves_a_copy_unknown(without):
    without("X-GM-EXT-1")

    async def test(server, account, box):
        account.labels.create("Work", account.behaviour)
        server.faults.add(Fault("close", "UID COPY", point="reply", byte=0))
        server.faults.add(Fault("delay", "CONNECT", seconds=2))
        asyncio.get_running_loop().call_later(1, lambda: account.move(account.messages[0], account.mailbox("Work"), account.inbox))
        with pytest.raises(OutcomeUnknown) as caught:
            await box.copy("1:2", "Work")
        assert (str(caught.value.result.applied), str(caught.value.result.unknown)) == ("2", "1")

    in_world(test)


@pytest.mark.parametrize("what", ["renumbered", "deleted"])
def test_a_destination_that_is_another_leaves_it_unknown(without, what):
    without("X-GM-EXT-1")

    async def test(server, account, box):
        account.labels.create("Work", account.behaviour)
        server.faults.add(Fault("close", "UID MOVE", point="reply", byte=0))
        server.faults.add(Fault("delay", "CONNECT", seconds=2))
        act = {
            "renumbered": lambda: account.change_uidvalidity("Work"),
            "deleted": lambda: account.delete_label(account.mailbox("Work")),
        }[what]
        asyncio.get_running_loop().call_later(1, act)
        with pytest.raises(OutcomeUnknown) as caught:
            await box.move("1:2", "Work")
        assert str(caught.value.result.unknown) == "1:2"

    in_world(test)


def test_archiving_needs_an_archive(without):
    without("X-GM-EXT-1")

    async def test(server, account, box):
        with pytest.raises(MailboxNotFound, match=r"\\Archive.*move") as caught:
            await box.archive(1)
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert not server.ledger.labels

    in_world(test)


@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_replacement_without_condstore_is_never_repeated(without, applied):
    without("CONDSTORE")

    async def test(server, account, box):
        server.faults.add(Fault("close", "UID STORE", point="reply" if applied else "request", byte=0 if applied else None))
        if applied:
            assert str((await box.set_flags(1, r"\Seen")).applied) == "1"
        else:
            with pytest.raises(OutcomeUnknown) as caught:
                await box.set_flags("1:2", r"\Seen")
            assert str(caught.value.result.unknown) == "1:2"
        assert len(verbs(server, "UID STORE")) == 1

    in_world(test)


def test_a_condition_needs_condstore(without):
    without("CONDSTORE")

    async def test(server, account, box):
        with pytest.raises(ConfigurationError, match="unchanged_since") as caught:
            await box.set_flags(1, r"\Seen", unchanged_since=5)
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert str((await box.set_flags(1, r"\Seen")).applied) == "1"

    in_world(test)


@pytest.mark.parametrize(("capability", "call"), [("MOVE", lambda box: box.move(1, "Work")), ("UIDPLUS", lambda box: box.expunge(1))])
def test_what_the_server_cannot_do_is_told(without, capability, call):
    without(capability)

    async def test(server, account, box):
        account.labels.create("Work", account.behaviour)
        with pytest.raises(errors.CommandError, match=f"no {capability}") as caught:
            await call(box)
        assert caught.value.outcome is Outcome.NOT_APPLIED

    in_world(test)


def test_counts_come_by_status_where_there_is_no_list_status(without):
    without("LIST-STATUS", "CONDSTORE", "X-GM-EXT-1")

    async def test(server, account, box, gmail):
        server.faults.add(Fault("answer", "STATUS", text="NO [NONEXISTENT] gone (Failure)", skip=1))
        found = {one.name: one for one in await gmail.mailboxes(counts=True)}
        assert (found["INBOX"].counts.messages, found["INBOX"].counts.highestmodseq) == (5, None)
        assert found["[Gmail]"].counts is None
        assert sum(one.counts is not None for one in found.values()) == len(found) - 2
        assert "RETURN (SPECIAL-USE)" in verbs(server, "LIST")[0]
        server.faults.add(Fault("close", "STATUS", skip=2))
        assert await gmail.mailboxes(counts=True)

    in_world(test)


def test_a_server_without_quota_says_so(without):
    without("QUOTA")

    async def test(server, account, box, gmail):
        with pytest.raises(errors.CommandError, match="no QUOTA"):
            await gmail.quota()

    in_world(test)


def test_a_quota_without_storage_is_none():
    async def test(server, account, box, gmail):
        server.faults.add(Fault("answer", "GETQUOTAROOT", text="OK Success"))
        found = await gmail.quota()
        assert (found.used, found.limit, found.resources) == (0, None, {})

    in_world(test)


def test_a_hidden_all_mail_leaves_the_own_label_where_it_is():
    async def test(server, account, box):
        with pytest.raises(MailboxNotFound) as caught:
            await box.remove_labels(1, "\\Inbox")
        assert caught.value.outcome is Outcome.NOT_APPLIED

    in_world(test, hidden=frozenset({"[Gmail]/All Mail"}))


def test_the_own_label_that_cannot_be_moved_is_told_with_what_was_done():
    async def test(server, account, box):
        await box.add_labels("1:2", "Work")
        server.faults.add(Fault("answer", "UID MOVE", text="NO [CANNOT] No (Failure)"))
        with pytest.raises(errors.CommandError, match="No") as caught:
            await box.remove_labels("1:2,9", "Work", "\\Inbox")
        result = caught.value.result
        assert (str(result.applied), str(result.unchanged), str(result.gone)) == ("", "1:2", "9")
        assert [message.labels for message in account.messages[:2]] == [{"\\Inbox"}] * 2

    in_world(test)


def test_all_mail_has_no_label_to_lose():
    async def test(server, account, box):
        assert str((await box.remove_labels(1, "\\Inbox")).applied) == "1"
        assert account.messages[0].labels == frozenset()

    in_world(test, mailbox="[Gmail]/All Mail")
