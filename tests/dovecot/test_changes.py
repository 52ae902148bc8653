"""The same changes on a plain IMAP server: no labels, no X-GM-MSGID, and a copy made twice is two copies."""

import asyncio
import contextlib
import datetime as dt
import random

import pytest

from aiogmail import Conflict, Gmail, MailboxNotFound, Outcome, OutcomeUnknown, Q, TokenCache, errors
from tests.support.aio import run
from tests.support.endpoint import TokenEndpoint
from tests.support.proxy import Proxy

pytestmark = [pytest.mark.real, pytest.mark.slow]


def message(number, message_id=True):
    own = f"Message-ID: <{number}@x.example>\r\n" if message_id else ""
    return f"Subject: {number}\r\nFrom: a@example.com\r\n{own}\r\nbody {number}\r\n".encode()


class Cut:
    """Loses the reply, or the request, of the next command whose completion Dovecot words so."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.hits = 0

    def reply(self, words):
        def look(response):
            if words in response and not response.startswith(b"*"):
                self.proxy.after_response = None
                self.hits += 1
                self.proxy.kill()

        self.proxy.after_response = look

    def request(self, after=None):
        """Hold what goes up, from now on or behind a response, and cut the connection a moment later."""

        def hold():
            self.proxy.weather.hold_up = True
            asyncio.get_running_loop().call_later(0.15, end)

        def end():
            self.hits += 1
            self.proxy.kill()
            self.proxy.weather.hold_up = False

        def look(response):
            if after in response and not response.startswith(b"*"):
                self.proxy.after_response = None
                hold()

        if after is None:
            hold()
        else:
            self.proxy.after_response = look


@pytest.fixture
def quick(monkeypatch):
    """What a dead connection had sent is done at once here; a minute need not be waited."""
    monkeypatch.setattr("aiogmail.imap.changes.transfer._SETTLE", 1.0)
    monkeypatch.setattr("aiogmail.imap.changes.append._DEAD", 0.5)


@pytest.fixture
def world(dovecot, address, quick):
    def in_world(test, count=6, name="INBOX"):
        async def main():
            async with TokenEndpoint(dovecot.signer, tls=False) as endpoint, Proxy(dovecot.ports["imaps"], terminate=True) as proxy:
                settings = dovecot.settings_at(imap=proxy.port)
                async with TokenCache() as tokens, Gmail(address, endpoint.credentials(address), tokens=tokens, settings=settings) as gmail:
                    async with gmail.mailbox(name) as box:
                        await test(gmail, box, Cut(proxy))

        dovecot.deliver_many(address, [message(number) for number in range(1, count + 1)])
        run(main())

    return in_world


async def subjects(gmail, name):
    """What is in a mailbox, read by a connection of its own."""
    async with gmail.mailbox(name, readonly=True) as other:
        return [row.envelope.subject async for row in other.fetch(Q.all, "envelope")]


def arm(cut, how, words, before=None):
    if how == "reply":
        cut.reply(words)
    elif how == "request":
        cut.request(before)


HOWS = pytest.mark.parametrize("how", [None, "reply", "request"])


@HOWS
def test_flags(world, how):
    async def test(gmail, box, cut):
        arm(cut, how, b"OK Store")
        result = await box.add_flags("1:3,99", r"\Seen", "$Work")
        assert (str(result.applied), str(result.gone)) == ("1:3", "99")
        arm(cut, how, b"OK Store")
        assert str((await box.remove_flags("1:2", r"\Seen")).applied) == "1:2"
        arm(cut, how, b"OK Store", b"OK Fetch")
        assert str((await box.set_flags("1:2", [r"\Flagged"])).applied) == "1:2"
        flags = [row.flags - {"\\Recent"} async for row in box.fetch("1:4", "flags")]
        assert flags == [{"\\Flagged"}, {"\\Flagged"}, {"\\Seen", "$Work"}, set()]
        assert cut.hits == (3 if how else 0)

    world(test)


def test_a_replacement_that_another_was_faster_than_is_a_conflict(world):
    async def test(gmail, box, cut):
        [seen] = [row async for row in box.fetch(1, "modseq")]
        async with gmail.mailbox("INBOX") as other:
            await other.add_flags(1, r"\Answered")
        with pytest.raises(Conflict) as caught:
            await box.set_flags("1:2", [r"\Seen"], unchanged_since=seen.modseq)
        assert (str(caught.value.result.applied), str(caught.value.result.unchanged)) == ("2", "1")
        assert [row.flags - {"\\Recent"} async for row in box.fetch("1:2", "flags")] == [{"\\Answered"}, {"\\Seen"}]

    world(test)


def test_two_who_replace_at_once_never_both_win(world):
    async def test(gmail, box, cut):
        async with gmail.mailbox("INBOX") as other:
            for _ in range(10):
                [seen] = [row async for row in box.fetch(1, "flags", "modseq")]
                flags = seen.flags - {"\\Recent"}
                results = await asyncio.gather(
                    box.set_flags(1, [*flags ^ {"\\Seen"}], unchanged_since=seen.modseq),
                    other.set_flags(1, [*flags ^ {"\\Flagged"}], unchanged_since=seen.modseq),
                    return_exceptions=True,
                )
                assert sorted(type(result).__name__ for result in results) == ["ChangeResult", "Conflict"]
                await box.noop()

    world(test)


@HOWS
def test_copies_are_made_once(world, how):
    async def test(gmail, box, cut):
        await gmail.create_mailbox("Work")
        await box.append(message(2))  # the same once more
        arm(cut, how, b"OK Copy", b"OK Fetch")
        result = await box.copy("1:3,7,99", "Work")
        assert (str(result.applied), str(result.gone)) == ("1:3,7", "99")
        assert sorted(await subjects(gmail, "Work")) == ["1", "2", "2", "3"]
        assert sorted(result.copies) == [1, 2, 3, 7]
        assert len(set(result.copies.values())) == 4
        [work] = [one for one in await gmail.mailboxes(counts=True) if one.name == "Work"]
        assert result.uidvalidity == work.counts.uidvalidity

    world(test)


@HOWS
def test_moves_are_made_once(world, how):
    async def test(gmail, box, cut):
        await gmail.create_mailbox("Work")
        arm(cut, how, b"OK Move", b"OK Fetch")
        result = await box.move("1:3,99", "Work")
        assert (str(result.applied), str(result.gone)) == ("1:3", "99")
        assert await subjects(gmail, "Work") == ["1", "2", "3"]
        assert result.copies == {1: 1, 2: 2, 3: 3}
        assert await subjects(gmail, "INBOX") == ["4", "5", "6"]

    world(test)


@HOWS
def test_archive_and_bin_are_found_by_their_use(world, how):
    async def test(gmail, box, cut):
        with pytest.raises(MailboxNotFound, match="move") as caught:
            await box.archive(1)
        assert caught.value.outcome is Outcome.NOT_APPLIED
        await gmail.create_mailbox("Archive")
        arm(cut, how, b"OK Move", b"OK Fetch")
        assert str((await box.archive("1:2")).applied) == "1:2"
        arm(cut, how, b"OK Move", b"OK Fetch")
        assert str((await box.trash("3")).applied) == "3"
        assert await subjects(gmail, "Archive") == ["1", "2"]
        assert await subjects(gmail, (await gmail.special("trash")).name) == ["3"]

    world(test)


@HOWS
def test_only_what_is_marked_is_expunged(world, how):
    async def test(gmail, box, cut):
        await box.add_flags("1:3", r"\Deleted")
        arm(cut, how, b"OK Expunge", b"OK Fetch")
        assert str((await box.expunge("1:2")).applied) == "1:2"
        with pytest.raises(errors.CommandError, match="mark them") as caught:
            await box.expunge("3:4")
        assert str(caught.value.result.unchanged) == "4"
        assert await subjects(gmail, "INBOX") == ["4", "5", "6"]

    world(test)


@HOWS
@pytest.mark.parametrize("message_id", [True, False])
def test_a_message_is_stored_once(world, how, message_id):
    async def test(gmail, box, cut):
        when = dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
        await box.append(message(7, message_id))
        arm(cut, how, b"OK [APPENDUID", b"Status on selected")
        assert await box.append(message(7, message_id), [r"\Seen"], when, settle_timeout=1) == 8
        found = [row async for row in box.fetch("7:*", "flags", "internal_date", "raw")]
        assert [row.raw for row in found] == [message(7, message_id)] * 2
        assert found[1].flags - {"\\Recent"} == {"\\Seen"}
        assert found[1].internal_date == when
        assert cut.hits == (1 if how else 0)

    world(test)


def test_too_short_a_time_to_settle_is_unknown_and_nothing_is_sent_twice(world):
    async def test(gmail, box, cut):
        cut.request(b"Status on selected")
        with pytest.raises(OutcomeUnknown):
            await box.append(message(7), settle_timeout=0)
        assert len(await subjects(gmail, "INBOX")) == 6

    world(test)


def test_labels_are_refused_by_a_server_that_has_none(world):
    async def test(gmail, box, cut):
        with pytest.raises(errors.CommandError) as caught:
            await box.add_labels(1, "Work")
        assert caught.value.outcome is Outcome.NOT_APPLIED

    world(test)


def test_mailboxes_come_and_go(world):
    async def test(gmail, box, cut):
        arm(cut, "reply", b"OK Create")
        await gmail.create_mailbox("Wörk/2026")
        arm(cut, "reply", b"OK Rename")
        await gmail.rename_mailbox("Wörk/2026", "Done")
        found = {one.name: one for one in await gmail.mailboxes(counts=True)}
        assert found["INBOX"].counts.messages == 6
        assert found["Done"].counts.uidnext == 1
        assert found["Trash"].special_use == "trash"
        arm(cut, "reply", b"OK Delete")
        await gmail.delete_mailbox("Done")
        assert "Done" not in {one.name for one in await gmail.mailboxes()}
        assert cut.hits == 3
        with pytest.raises(errors.Conflict):
            await gmail.create_mailbox("Trash")
        with pytest.raises(MailboxNotFound):
            await gmail.delete_mailbox("Nowhere")
        with pytest.raises(errors.CommandError):
            await gmail.quota()

    world(test)


@pytest.mark.parametrize("seed", range(2))
def test_mixed_work_under_cuts_at_any_time_comes_out_as_intended(world, dovecot, address, seed):
    chance = random.Random(seed)

    async def test(gmail, box, cut):
        await gmail.create_mailbox("Work")
        here = {uid: str(uid) for uid in range(1, 121)}
        flags = dict.fromkeys(here, frozenset())
        work = []
        done = asyncio.Event()
        number = 0

        async def cutter():
            while not done.is_set():
                await asyncio.sleep(chance.uniform(0.0, 0.05))
                cut.proxy.kill(reset=chance.random() < 0.5)
                cut.hits += 1
                before = number
                while number < before + 2:  # a piece of work that is cut four times is given up, as it should be
                    await asyncio.sleep(0.01)

        task = asyncio.ensure_future(cutter())
        while cut.hits < 12:
            number += 1
            some = chance.sample(sorted(here), 2)
            kind = chance.choice(["flag", "unflag", "move", "copy", "append"])
            if kind == "flag":
                await box.add_flags(some, r"\Flagged")
                flags.update(dict.fromkeys(some, frozenset({"\\Flagged"})))
            elif kind == "unflag":
                await box.remove_flags(some, r"\Flagged")
                flags.update(dict.fromkeys(some, frozenset()))
            elif kind == "move":
                await box.move(some, "Work")
                work += [here.pop(uid) for uid in some]
            elif kind == "copy":
                await box.copy(some, "Work")
                work += [here[uid] for uid in some]
            else:
                uid = await box.append(message(1000 + number), settle_timeout=1)
                here[uid] = str(1000 + number)
                flags[uid] = frozenset()
        done.set()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)
        rows = [row async for row in box.fetch(Q.all, "flags", "envelope")]
        assert {row.uid: row.envelope.subject for row in rows} == here
        assert {row.uid: row.flags - {"\\Recent"} for row in rows} == {uid: flags[uid] for uid in here}
        assert sorted(await subjects(gmail, "Work")) == sorted(work)

    world(test, count=120)


def test_a_kicked_session_is_no_loss(world, dovecot, address):
    async def test(gmail, box, cut):
        for number in range(3):
            await dovecot.kick(address)
            assert str((await box.add_flags("1:6", f"k{number}")).applied) == "1:6"
            assert await box.append(message(50 + number)) == 7 + number

    world(test)
