"""The same conversations with the emulator and with a real Dovecot: what one understands of us the other does too."""

import asyncio
import contextlib
import datetime as dt

import pytest

from aiogmail import errors
from aiogmail.client.tokens import AccountCredentials
from aiogmail.imap.commands import (
    Append,
    Create,
    Delete,
    Enable,
    Idle,
    List,
    NamespaceCommand,
    Noop,
    Rename,
    StatusCommand,
    UidCopy,
    UidExpunge,
    UidFetch,
    UidMove,
    UidSearch,
    UidStore,
    Unselect,
)
from aiogmail.imap.query import Q, criteria
from aiogmail.imap.session import ImapSession
from aiogmail.imap.uidset import UidSet
from aiogmail.oauth import TokenCache
from aiogmail.testing import Behaviour, GmailEmulator
from tests.support.aio import run
from tests.support.endpoint import TokenEndpoint

LETTERS = [f"Subject: letter {number}\r\nFrom: ann@example.com\r\n\r\nbody of {number}\r\n".encode() for number in range(1, 6)]


@contextlib.asynccontextmanager
async def emulator(address):
    async with GmailEmulator(behaviour=Behaviour(auto_expunge=False)) as server, TokenCache() as tokens:
        account = server.add_account(address)
        for letter in LETTERS:
            account.deliver(letter)
        session = await ImapSession.open(address, AccountCredentials(address, account.credentials(), tokens, "XOAUTH2"), server.settings)
        yield session
        await session.aclose()


@contextlib.asynccontextmanager
async def real(server, address):
    server.deliver_many(address, LETTERS)
    async with TokenEndpoint(server.signer, tls=False) as endpoint, TokenCache() as tokens:
        credentials = AccountCredentials(address, endpoint.credentials(address), tokens, "OAUTHBEARER")
        session = await ImapSession.open(address, credentials, server.settings)
        yield session
        await session.aclose()


def conversation_with(server):
    """``conversation(test)`` runs ``await test(session)`` on an authenticated session with five letters in INBOX."""

    def converse(test):
        async def main():
            async with server as session:
                await test(session)

        run(main())

    return converse


async def fetched(session, uids, *items):
    rows = []
    await session.execute(UidFetch(UidSet(uids), items, rows.extend))
    return rows


async def searched(session, query):
    keys, charset = criteria(query)
    return str(await session.execute(UidSearch(keys, esearch="ESEARCH" in session.capabilities, charset=charset)))


class Conversations:
    def test_a_mailbox_is_selected_searched_and_fetched(self, conversation):
        async def test(session):
            state = await session.select("INBOX", readonly=False).future
            assert state.exists == 5
            assert state.uidnext == 6
            assert state.uidvalidity
            assert not state.readonly
            assert "\\Seen" in state.flags
            assert await searched(session, Q.all) == "1:5"
            assert await searched(session, Q.subject("letter") & ~Q.uid("2:3") | Q.uid(3)) == "1,3:5"
            assert await searched(session, Q.subject('Grüße "mit" \\ allem')) == ""
            rows = await fetched(session, "2:4", "FLAGS", "RFC822.SIZE", "INTERNALDATE", "BODY.PEEK[]")
            assert [row.get("BODY[]") for row in rows] == LETTERS[1:4]
            assert [row.get("RFC822.SIZE") for row in rows] == [len(letter) for letter in LETTERS[1:4]]
            assert all(row.get("INTERNALDATE").tzinfo for row in rows)
            [row] = await fetched(
                session, "1", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "BODY.PEEK[]<2.10>", "ENVELOPE", "BODYSTRUCTURE", "MODSEQ"
            )
            assert row.get("BODY[HEADER.FIELDS (SUBJECT)]") == b"Subject: letter 1\r\n\r\n"
            assert row.get("BODY[]<2>") == LETTERS[0][2:12]
            assert row.get("ENVELOPE").subject == b"letter 1"
            assert row.get("ENVELOPE").from_[0].mailbox == b"ann"
            assert (row.get("BODYSTRUCTURE").type, row.get("BODYSTRUCTURE").subtype) == ("TEXT", "PLAIN")
            assert row.get("MODSEQ")
            await session.execute(Unselect())

        conversation(test)

    def test_examine_changes_nothing(self, conversation):
        async def test(session):
            assert (await session.select("INBOX", readonly=True).future).readonly
            with contextlib.suppress(errors.CommandError):  # Gmail says NO, Dovecot OK
                await session.execute(UidStore(UidSet(1), "FLAGS", "+", ["\\Seen"]))
            assert await searched(session, Q.seen) == ""

        conversation(test)

    def test_flags_are_stored_and_told(self, conversation):
        async def test(session):
            await session.select("INBOX", readonly=False).future
            stored = await session.execute(UidStore(UidSet("1:2"), "FLAGS", "+", ["\\Seen", "\\Flagged"]))
            assert {uid: {"\\Seen", "\\Flagged"} <= row.flags for uid, row in stored.rows.items()} == {1: True, 2: True}
            await session.execute(UidStore(UidSet(1), "FLAGS", "-", ["\\Flagged"], silent=True))
            assert await searched(session, Q.seen & ~Q.flagged) == "1"
            [row] = await fetched(session, "2", "MODSEQ")
            await session.execute(UidStore(UidSet(2), "FLAGS", "-", ["\\Flagged"]))
            conditional = UidStore(UidSet(2), "FLAGS", "", ["\\Answered"], unchanged_since=row.get("MODSEQ"))
            stored = await session.execute(conditional)
            assert stored.modified == UidSet(2)
            assert await searched(session, Q.answered) == ""

        conversation(test)

    def test_messages_are_appended_copied_moved_and_expunged(self, conversation):
        async def test(session):
            await session.execute(Create("Wörk/näxt & more"))
            date = dt.datetime(2020, 2, 3, 4, 5, 6, tzinfo=dt.timezone(dt.timedelta(hours=2)))
            big = b"Subject: big\r\nMessage-ID: <big@example.com>\r\n\r\n" + b"0123456789abcde\r\n" * 20_000
            appended = await session.execute(Append("Wörk/näxt & more", big, flags=["\\Seen"], date=date))
            assert appended.uid == 1
            await session.select("INBOX", readonly=False).future
            copied = await session.execute(UidCopy(UidSet("1:2"), "Wörk/näxt & more"))
            assert copied.uids == {1: 2, 2: 3}
            assert copied.uidvalidity == appended.uidvalidity
            moved = await session.execute(UidMove(UidSet(3), "Wörk/näxt & more"))
            assert moved.uids == {3: 4}
            assert session.state.exists == 4
            with pytest.raises(errors.MailboxNotFound):
                await session.execute(UidCopy(UidSet(1), "Nowhere"))
            await session.execute(UidStore(UidSet("4:5"), "FLAGS", "+", ["\\Deleted"]))
            await session.execute(UidExpunge(UidSet(4)))
            assert await searched(session, Q.all) == "1:2,5"
            await session.select("Wörk/näxt & more", readonly=False).future
            rows = await fetched(session, "1:4", "BODY.PEEK[]", "INTERNALDATE", "FLAGS")
            assert [row.get("BODY[]") for row in rows] == [big, *LETTERS[:3]]
            assert rows[0].get("INTERNALDATE") == date
            assert "\\Seen" in rows[0].flags

        conversation(test)

    def test_mailboxes_are_listed_and_counted_renamed_and_deleted(self, conversation):
        async def test(session):
            namespace = await session.execute(NamespaceCommand())
            assert namespace.personal[0].delimiter in "/."
            for name in ("Two words", '"quoted" \\ [brackets] (and) {5}', "日本語"):
                await session.execute(Create(name))
            listed = await session.execute(List(status=("MESSAGES", "UNSEEN")))
            by_name = {one.name: one for one in listed}
            assert {"INBOX", "Two words", '"quoted" \\ [brackets] (and) {5}', "日本語"} <= set(by_name)
            assert by_name["INBOX"].status["MESSAGES"] == 5
            assert by_name["日本語"].status["MESSAGES"] == 0
            await session.execute(Rename("日本語", "nihongo"))
            assert [one.name for one in await session.execute(List("nih%"))] == ["nihongo"]
            await session.execute(Delete("nihongo"))
            with pytest.raises(errors.GmailError):
                await session.execute(StatusCommand("nihongo"))
            counts = await session.execute(StatusCommand("INBOX", ("MESSAGES", "UIDNEXT", "UNSEEN")))
            assert (counts["MESSAGES"], counts["UIDNEXT"], counts["UNSEEN"]) == (5, 6, 5)
            with pytest.raises(errors.Conflict):
                await session.execute(Create("Two words"))

        conversation(test)

    def test_idle_hears_of_news_and_is_ended_by_the_next_command(self, conversation):
        async def test(session):
            await session.select("INBOX", readonly=False).future
            started = asyncio.Event()
            idle = session.submit(Idle(started.set))
            await started.wait()
            noop = session.submit(Noop())
            await noop.future
            await idle.future
            idle = session.submit(Idle())
            search = asyncio.create_task(searched(session, Q.all))
            assert await search == "1:5"
            await idle.future
            assert await session.execute(Enable("CONDSTORE")) == {"CONDSTORE"}

        conversation(test)

    def test_many_reads_at_once_get_each_its_own(self, conversation):
        async def test(session):
            await session.select("INBOX", readonly=False).future

            async def one(number):
                uid = number % 5 + 1
                if number % 3 == 0:
                    return await searched(session, Q.uid(uid)) == str(uid)
                [row] = await fetched(session, str(uid), "BODY.PEEK[]")
                return row.get("BODY[]") == LETTERS[uid - 1]

            assert all(await asyncio.gather(*(one(number) for number in range(60))))
            tasks = [asyncio.create_task(one(number)) for number in range(40)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(results[1::2])
            assert await searched(session, Q.all) == "1:5"

        conversation(test)


class TestEmulator(Conversations):
    @pytest.fixture
    def conversation(self, address):
        return conversation_with(emulator(address))


@pytest.mark.real
class TestDovecot(Conversations):
    @pytest.fixture
    def conversation(self, dovecot, address):
        return conversation_with(real(dovecot, address))
