"""Mailboxes listed, made, renamed and deleted, against the emulator."""

import asyncio

import pytest

from aiogmail import ConfigurationError, Conflict, Gmail, MailboxNotFound, Outcome, OutcomeUnknown, StateError, errors
from aiogmail.imap.directory import MailboxInfo
from aiogmail.testing import Fault, GmailEmulator
from tests.imap.changes.test_store import ids
from tests.imap.changes.world import ADDRESS, graded, in_world, verbs


def in_account(test, **behaviour):
    async def with_gmail(server, account, box, gmail):
        await test(server, account, gmail)

    in_world(with_gmail, **behaviour)


def cuts(verb):
    return [
        Fault("close", verb),
        Fault("reset", verb, byte=5),
        Fault("close", verb, point="reply", byte=0),
        Fault("bye", verb, point="reply", byte=0, text="Session expired, please login again."),
        Fault("mute", verb, point="reply", byte=0),
        Fault("blackhole", verb),
        Fault("answer", verb, text="NO System Error (Failure)"),
        Fault("answer", verb, point="reply", text="NO System Error (Failure)"),
    ]


NUMBERS = range(len(cuts("x")))
NAMES = ids(cuts("x"))


def test_mailboxes_are_listed_with_their_counts_in_one_command():
    async def test(server, account, gmail):
        account.labels.create("Work/2026", account.behaviour)
        found = await gmail.mailboxes(counts=True)
        assert len(verbs(server, "LIST")) == 1
        assert not verbs(server, "STATUS")
        by_name = {one.name: one for one in found}
        inbox = by_name["INBOX"]
        assert (inbox.special_use, inbox.counts.messages, inbox.counts.unseen, inbox.counts.uidnext) == ("inbox", 5, 5, 6)
        assert inbox.counts.highestmodseq == account.modseq
        assert by_name["[Gmail]"].counts is None
        assert not by_name["[Gmail]"].is_selectable
        assert by_name["Work/2026"].levels == ("Work", "2026")
        assert by_name["Work/2026"].special_use is None
        assert by_name["[Gmail]/Sent Mail"].special_use == "sent"
        assert all(one.counts is None for one in await gmail.mailboxes())

    in_account(test)


@pytest.mark.parametrize("locale", ["en", "lt"])
def test_special_mailboxes_are_found_in_every_language(locale):
    async def test(server, account, gmail):
        for use, key in [
            ("all", "all"),
            ("sent", "sent"),
            ("drafts", "drafts"),
            ("trash", "trash"),
            ("junk", "spam"),
            ("flagged", "starred"),
        ]:
            found = await gmail.special(use)
            assert isinstance(found, MailboxInfo)
            assert found.name == account.labels.by_key[key].name
            assert found.special_use == use
        assert (await gmail.special("important")).name == account.labels.by_key["important"].name
        assert (await gmail.special("inbox")).name == "INBOX"

    in_account(test, locale=locale)


def test_a_special_mailbox_that_is_not_there_is_told():
    async def test(server, account, gmail):
        with pytest.raises(MailboxNotFound, match="move"):
            await gmail.special("archive")
        with pytest.raises(MailboxNotFound, match="Show in IMAP"):
            await gmail.special("sent")
        with pytest.raises(ConfigurationError, match="use: "):
            await gmail.special("\\Sent")

    in_account(test, hidden=frozenset({"[Gmail]/Sent Mail"}))


@pytest.mark.parametrize("number", graded(NUMBERS, (0, 2, 7), NAMES))
def test_a_mailbox_is_made_renamed_and_deleted_once_whatever_is_cut(number):
    async def test(server, account, gmail):
        server.faults.add(cuts("CREATE")[number])
        await gmail.create_mailbox("Wörk/2026")
        validity = account.mailbox("Wörk/2026").uidvalidity
        server.faults.add(cuts("RENAME")[number])
        await gmail.rename_mailbox("Wörk/2026", "Done")
        assert account.mailbox("Done").uidvalidity == validity, "made once"
        assert "Wörk/2026" not in account.mailboxes
        server.faults.add(cuts("DELETE")[number])
        await gmail.delete_mailbox("Done")
        assert "Done" not in account.mailboxes
        assert account.labels.new_uidvalidity() == validity + 1
        assert len(server.faults.hit) == 3

    in_account(test)


@pytest.mark.parametrize("cut", [None, "request", "reply"])
def test_refusals_are_told(cut):
    async def test(server, account, gmail):
        account.labels.create("Here", account.behaviour)
        account.labels.create("There", account.behaviour)
        calls = [
            (lambda: gmail.create_mailbox("Here"), Conflict),
            (lambda: gmail.create_mailbox("[Gmail]/Mine"), errors.CommandError),
            (lambda: gmail.delete_mailbox("Nowhere"), MailboxNotFound),
            (lambda: gmail.delete_mailbox("[Gmail]/Trash"), errors.CommandError),
            (lambda: gmail.rename_mailbox("Nowhere", "New"), MailboxNotFound),
            (lambda: gmail.rename_mailbox("Here", "There"), Conflict),
        ]
        for call, kind in calls:
            for verb in ("CREATE", "DELETE", "RENAME") if cut else ():
                server.faults.add(Fault("close", verb, point=cut, byte=0 if cut == "reply" else None))
            with pytest.raises(kind) as caught:
                await call()
            assert caught.value.outcome is Outcome.NOT_APPLIED
            assert caught.value.stage
            server.faults.clear()
        assert {"Here", "There"} <= set(account.mailboxes)

    in_account(test)


def meanwhile(server, account, verb, act, point="reply"):
    """The reply of this command is lost, and before the next session somebody acts."""
    server.faults.add(Fault("close", verb, point=point, byte=0 if point == "reply" else None))
    server.faults.add(Fault("delay", "CONNECT", seconds=2, skip=0))
    asyncio.get_running_loop().call_later(1, act)


def test_a_mailbox_made_anew_by_another_is_not_deleted():
    async def test(server, account, gmail):
        await gmail.create_mailbox("Work")
        meanwhile(server, account, "DELETE", lambda: account.labels.create("Work", account.behaviour))
        await gmail.delete_mailbox("Work")
        assert "Work" in account.mailboxes
        assert len(verbs(server, "DELETE")) == 1

    in_account(test)


def test_both_names_there_is_told_apart_by_uidvalidity():
    async def test(server, account, gmail):
        await gmail.create_mailbox("Old")
        meanwhile(server, account, "RENAME", lambda: account.labels.create("Old", account.behaviour))
        await gmail.rename_mailbox("Old", "New")
        assert len(verbs(server, "RENAME")) == 1
        await gmail.delete_mailbox("New")
        meanwhile(server, account, "RENAME", lambda: account.labels.create("New", account.behaviour), "request")
        with pytest.raises(Conflict) as caught:
            await gmail.rename_mailbox("Old", "New")
        assert caught.value.outcome is Outcome.NOT_APPLIED

    in_account(test)


def test_neither_name_there_is_unknown():
    async def test(server, account, gmail):
        await gmail.create_mailbox("Old")
        meanwhile(server, account, "RENAME", lambda: account.delete_label(account.mailbox("New")))
        with pytest.raises(OutcomeUnknown) as caught:
            await gmail.rename_mailbox("Old", "New")
        assert caught.value.evidence["found"] == "Old does not exist, New does not exist"

    in_account(test)


def test_an_outage_behind_the_command_is_unknown_and_before_it_not_applied():
    async def test(server, account, gmail):
        await gmail.mailboxes()
        server.faults.add(Fault("close", "CREATE", point="reply", byte=0))
        server.faults.add(Fault("close", "CONNECT", times=None))
        with pytest.raises(OutcomeUnknown) as caught:
            await gmail.create_mailbox("Work")
        assert "could not be asked" in caught.value.evidence["found"]
        with pytest.raises(errors.TransportError) as caught:
            await gmail.create_mailbox("Work")
        assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "not sent")
        server.faults.clear()

    in_account(test)


def test_cut_every_time_it_is_given_up():
    async def test(server, account, gmail):
        server.faults.add(Fault("close", "CREATE", times=None))
        with pytest.raises(errors.Disconnected) as caught:
            await gmail.create_mailbox("Work")
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert len(verbs(server, "CREATE")) == 4

    in_account(test)


def test_a_name_that_only_others_are_nested_in_can_be_renamed():
    async def test(server, account, gmail):
        await gmail.create_mailbox("Above/below")
        server.faults.add(Fault("close", "RENAME", point="reply", byte=0))
        await gmail.rename_mailbox("Above", "Beyond")
        assert "Beyond/below" in account.mailboxes
        server.faults.add(Fault("close", "DELETE"))
        with pytest.raises(MailboxNotFound):
            await gmail.delete_mailbox("Beyond")

    in_account(test)


def test_the_quota_is_told_in_octets():
    async def test(server, account, gmail):
        found = await gmail.quota()
        assert (found.used, found.limit) == (account.storage() * 1024, 15 * 1024**3)
        assert found.resources[""]["STORAGE"] == (account.storage(), 15 * 1024**2)

    in_account(test)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda gmail: gmail.create_mailbox(""), "mailbox: "),
        (lambda gmail: gmail.create_mailbox("a\r\nb"), "mailbox: "),
        (lambda gmail: gmail.delete_mailbox(None), "mailbox: "),
        (lambda gmail: gmail.rename_mailbox("a", "a"), "new: "),
        (lambda gmail: gmail.rename_mailbox("inbox", "INBOX"), "new: "),
        (lambda gmail: gmail.special(None), "use: "),
    ],
)
def test_arguments_are_checked_before_anything_is_sent(call, words):
    async def test(server, account, gmail):
        before = len(server.ledger.connections)
        with pytest.raises(ConfigurationError, match=words):
            await call(gmail)
        assert len(server.ledger.connections) == before

    in_account(test)


def test_an_accounts_own_work_runs_on_a_connection_that_is_open_for_a_mailbox():
    async def test(server, account, gmail):
        before = len(server.ledger.connections)
        await asyncio.gather(gmail.mailboxes(), gmail.quota(), gmail.special("all"))
        assert len(server.ledger.connections) == before

    in_account(test)


def test_all_share_one_connection_that_is_opened_when_it_is_needed():
    async def test(server, account, _gmail):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail:
            server.faults.add(Fault("close", "CONNECT", times=2))
            with pytest.raises(errors.TransportError):
                await gmail.mailboxes()
            opened = len(imap_connections(server))
            await asyncio.gather(gmail.mailboxes(), gmail.quota(), gmail.special("all"))
            assert len(imap_connections(server)) == opened + 1
            await gmail.aclose()
            with pytest.raises(StateError, match="closed"):
                await gmail.mailboxes()

    in_account(test)


def test_closing_does_not_wait_for_an_opening():
    async def test(server, account, _gmail):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail:
            server.faults.add(Fault("blackhole", "CONNECT"))
            task = asyncio.ensure_future(gmail.mailboxes())
            await asyncio.sleep(1)
            await asyncio.gather(gmail.aclose(), asyncio.wait([task]))
            assert isinstance(task.exception(), errors.GmailError)

    in_account(test)


@pytest.mark.parametrize("after", [10.0, 70.0])
def test_closing_does_not_wait_for_what_may_be_on_its_way(after):
    async def test(server, account, _gmail):
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail:
            server.faults.add(Fault("close", "CREATE", times=None))
            task = asyncio.ensure_future(gmail.create_mailbox("Work"))
            await asyncio.wait([task], timeout=after)
            assert task.done() is (after > 60)
            await gmail.aclose()
            await asyncio.wait([task], timeout=0.1)
            assert isinstance(task.exception(), OutcomeUnknown if after < 60 else errors.Disconnected)

    in_account(test)


def imap_connections(server):
    return [one for one in server.ledger.connections if one.protocol == "imap"]


def test_an_account_that_is_not_open_lists_nothing():
    async def main():
        async with GmailEmulator() as server:
            account = server.add_account(ADDRESS)
            with pytest.raises(StateError, match="not open"):
                await Gmail(ADDRESS, account.credentials(), settings=server.settings).mailboxes()

    asyncio.run(main())
