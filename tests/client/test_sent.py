"""A message whose reply was lost is looked up: where it may be, and not taken for another one."""

import asyncio

import pytest

from aiogmail import AccessDenied, Disconnected, Gmail, Outcome, OutcomeUnknown
from aiogmail.client.sent import NobodyToAsk
from aiogmail.testing import Fault, GmailEmulator, Shape
from tests.client.test_sending import ME, YOU, connections, mail, on_gmail
from tests.support.aio import virtual

OWN = "<a.b@example.org>"


def now():
    return asyncio.get_running_loop().time()


def lost(*, taken):
    """The connection goes when the message was handed over: before the server takes it, or behind that."""
    return Fault("close", command="MESSAGE", protocol="smtp", **({"point": "reply", "byte": 0} if taken else {"point": "request"}))


def statuses(me):
    return me.ledger.verbs("imap").count("STATUS")


@pytest.mark.parametrize("delay", [0.0, 20.0, 90.0])
def test_where_sent_is_hidden_from_imap_all_mail_is_asked_until_the_copy_is_there(delay):
    @on_gmail(hidden=frozenset({"[Gmail]/Sent Mail"}), sent_copy_delay=delay)
    async def test(gmail, me, server):
        server.faults.add(lost(taken=True))
        assert (await gmail.send(mail())).confirmed_by == "lookup"
        assert len(me.ledger.submissions) == 1

    test()


@on_gmail(hidden=frozenset({"[Gmail]/Sent Mail"}), sent_copy=False)
async def test_where_sent_is_hidden_and_there_is_no_copy_the_evidence_says_both(gmail, me, server):
    server.faults.add(lost(taken=True))
    with pytest.raises(OutcomeUnknown) as caught:
        await gmail.send(mail(), settle_timeout=5.0)
    assert "special use" in caught.value.evidence["sent"]
    assert "not found" in caught.value.evidence["all"]


# What is from before


@pytest.mark.parametrize("hidden", ["nothing", "[Gmail]/Sent Mail", "[Gmail]/All Mail"])
def test_another_programs_copy_of_the_same_id_a_moment_ago_is_not_this_message(hidden):
    """UIDNEXT was noted before this one's body was begun."""

    @on_gmail(hidden=frozenset({hidden}))
    async def test(gmail, me, server):
        async with Gmail(ME, me.credentials(), settings=server.settings) as other:
            await other.send(mail(Message_ID=OWN))
        await asyncio.sleep(1.0)
        async with gmail.mailbox("INBOX"):
            server.faults.add(lost(taken=False))
            with pytest.raises(OutcomeUnknown):
                await gmail.send(mail(Message_ID=OWN), settle_timeout=5.0)
            assert len(me.ledger.submissions) == 1
            server.faults.add(lost(taken=True))
            await asyncio.sleep(1.0)
            assert (await gmail.send(mail(Message_ID=OWN), settle_timeout=5.0)).confirmed_by == "lookup"
            assert len(me.ledger.submissions) == 2

    test()


@on_gmail()
async def test_this_accounts_own_copy_a_moment_ago_is_not_this_message_either(gmail, me, server):
    async with gmail.mailbox("INBOX"):
        await gmail.send(mail(Message_ID=OWN))
        server.faults.add(lost(taken=False))
        with pytest.raises(OutcomeUnknown):
            await gmail.send(mail(Message_ID=OWN), settle_timeout=5.0)
        assert len(me.ledger.submissions) == 1


@on_gmail()
async def test_noting_opens_no_connection_and_one_note_serves_many_messages(gmail, me, server):
    await gmail.send(mail(Message_ID=OWN))
    assert not connections(server, "imap")
    async with gmail.mailbox("INBOX"):
        messages = [mail(Message_ID=f"<n{number}.b@example.org>") for number in range(40)]
        reports = [report async for report in gmail.send_many(messages)]
        assert all(report.result for report in reports)
        assert statuses(me) <= 2
        before = statuses(me)
        await asyncio.sleep(60.0)
        await gmail.send(mail())  # its Message-ID is made here
        assert statuses(me) == before
    assert len(connections(server, "imap")) == 1


@on_gmail()
async def test_a_mailbox_that_was_made_anew_meanwhile_is_judged_by_the_clock(gmail, me, server):
    async with gmail.mailbox("INBOX"):
        server.faults.add(
            Fault(
                "close", command="MESSAGE", protocol="smtp", call=lambda: me.change_uidvalidity("[Gmail]/Sent Mail"), point="reply", byte=0
            )
        )
        assert (await gmail.send(mail(Message_ID=OWN))).confirmed_by == "lookup"


@pytest.mark.parametrize("own_id", [True, False])
def test_noting_costs_a_message_no_round_trip(own_id):
    times = {}

    async def main():
        loop = asyncio.get_running_loop()
        async with GmailEmulator() as server:
            me = server.add_account(ME)
            server.add_account(YOU)
            async with Gmail(ME, me.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX"):
                await gmail.send(mail(Message_ID="<warm.b@example.org>"))
                await asyncio.sleep(10.0)
                loop.network.shape = Shape(latency=0.02)
                began = loop.time()
                await gmail.send(mail(**({} if own_id else {"Message_ID": OWN})))
                times[own_id] = loop.time() - began
                loop.network.shape = Shape()
            await asyncio.sleep(1.0)

    virtual(main())
    assert times[own_id] == pytest.approx(0.1, abs=0.021)


@on_gmail()
async def test_an_imap_side_that_does_not_answer_holds_up_one_message_for_two_seconds(gmail, me, server):
    async with gmail.mailbox("INBOX"):
        server.faults.add(Fault("mute", command="STATUS", protocol="imap", times=None))
        await gmail._outgoing().open()
        began = now()
        assert (await gmail.send(mail(Message_ID=OWN))).status == "sent"
        assert now() - began < 2.5
        began = now()
        assert (await gmail.send(mail(Message_ID="<other.b@example.org>"))).status == "sent"
        assert now() - began < 0.5
        server.faults.clear()


@on_gmail()
async def test_closing_does_not_wait_for_what_is_being_noted(gmail, me, server):
    await gmail.send(mail())
    async with gmail.mailbox("INBOX"):
        server.faults.add(Fault("delay", command="STATUS", protocol="imap", seconds=1.9, times=None))
        task = asyncio.ensure_future(gmail.send(mail(Message_ID=OWN)))
        await asyncio.sleep(0.5)
        began = now()
        await gmail._sender.aclose()
        with pytest.raises(Exception, match="closed|dropped") as caught:
            await task
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert now() - began < 1.0
    await asyncio.sleep(600.0)
    assert len(me.ledger.submissions) == 1


def test_without_an_imap_side_there_is_nothing_to_note():
    assert NobodyToAsk().note(afresh=True) is None


# How well it can be looked up


@pytest.mark.parametrize(
    ("message_id", "lookup"),
    [(OWN, "full"), ("<odd!&!id@example.org>", "weak"), ("<{braces}@example.org>", "weak"), ("<a@localhost>", "weak")],
)
def test_an_id_that_can_hardly_be_looked_up_is_sent_unchanged_and_flagged(message_id, lookup):
    @on_gmail(sent_copy=False)
    async def test(gmail, me, server):
        result = await gmail.send(mail(Message_ID=message_id))
        assert (result.message_id, result.lookup) == (message_id, lookup)
        assert f"Message-ID: {message_id}".encode() in me.ledger.submissions[0].raw or message_id == "<a@localhost>"
        server.faults.add(lost(taken=True))
        with pytest.raises(OutcomeUnknown) as caught:
            await gmail.send(mail(Message_ID=message_id), settle_timeout=0.0)
        assert ("message_id" in caught.value.evidence) is (lookup == "weak")

    test()


@on_gmail()
async def test_an_id_that_was_made_here_can_be_looked_up(gmail, me, server):
    assert (await gmail.send(mail())).lookup == "full"


# In parts


@on_gmail()
async def test_the_resends_of_every_part_are_told(gmail, me, server):
    many = [f"u{number}@example.org" for number in range(150)]
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0, skip=1))
    result = await gmail.send(mail(), recipients=many, split=True, on_unknown="resend", settle_timeout=1.0)
    assert result.resent == 1
    assert [len(one.recipients) for one in me.ledger.submissions] == [100, 50, 50]


# An outage


@pytest.mark.parametrize(
    "fault",
    [
        Fault("close", command="CONNECT", protocol="imap", times=6),
        Fault("answer", command="AUTHENTICATE", protocol="imap", times=4, text="NO [UNAVAILABLE] Temporary System Problem. (Failure)"),
        Fault("answer", command="EXAMINE", protocol="imap", times=3, text="NO [UNAVAILABLE] Temporary System Problem. (Failure)"),
        Fault("reset", command="EXAMINE", protocol="imap", times=6),
    ],
    ids=["no connection", "no login", "no mailbox", "no mailbox and no connection"],
)
def test_an_outage_that_took_the_reply_away_is_waited_out_by_the_lookup(fault):
    """A lookup that gives up with its first connection knows nothing of a copy that is there."""

    @on_gmail()
    async def test(gmail, me, server):
        server.faults.add(lost(taken=True))
        server.faults.add(fault)
        assert (await gmail.send(mail())).confirmed_by == "lookup"
        assert len(me.ledger.submissions) == 1

    test()


@on_gmail()
async def test_an_outage_that_lasts_is_told_when_the_time_to_look_is_over(gmail, me, server):
    server.faults.add(lost(taken=True))
    server.faults.add(Fault("close", command="CONNECT", protocol="imap", times=None))
    began = now()
    with pytest.raises(OutcomeUnknown) as caught:
        await gmail.send(mail(), settle_timeout=60.0)
    assert now() - began == pytest.approx(60.0, abs=16.0)
    assert "closed the connection" in caught.value.evidence["lookup"]
    server.faults.clear()
    assert await gmail.resolve(me.ledger.submissions[0].message_id) is Outcome.APPLIED


@on_gmail(imap_enabled=False)
async def test_what_no_time_can_help_is_not_waited_for_and_resolve_says_why(gmail, me, server):
    server.faults.add(lost(taken=True))
    began = now()
    with pytest.raises(OutcomeUnknown):
        await gmail.send(mail())
    assert now() - began < 5.0
    with pytest.raises(AccessDenied):
        await gmail.resolve(OWN)


@on_gmail()
async def test_resolve_does_not_take_an_outage_for_an_answer(gmail, me, server):
    await gmail.send(mail(Message_ID=OWN))
    server.faults.add(Fault("close", command="CONNECT", protocol="imap", times=2))
    with pytest.raises(Disconnected):
        await gmail.resolve(OWN)
    assert await gmail.resolve(OWN) is Outcome.APPLIED
