"""Sending for an account: one copy, the truth about it, and connections that are there when they are needed."""

import asyncio
from email.message import EmailMessage

import pytest

from aiogmail import (
    ConfigurationError,
    Gmail,
    GmailError,
    MessageTooLarge,
    Outcome,
    OutcomeUnknown,
    RecipientsRefused,
    SendingLimitReached,
    SmtpClient,
    StateError,
    Throttled,
)
from aiogmail.client.sent import Lost
from aiogmail.testing import Behaviour, Fault, GmailEmulator
from tests.support.aio import virtual

ME, YOU = "me@gmail.com", "you@gmail.com"


def mail(to=YOU, subject="hello", **fields):
    message = EmailMessage()
    message["To"] = to
    message["Subject"] = subject
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    message.set_content("text\n.dot\n")
    return message


def on_gmail(client=Gmail, **behaviour):
    """A test ``async def test(gmail, me, server)`` under virtual time."""

    def decorate(test):
        def run():
            async def main():
                async with GmailEmulator(behaviour=Behaviour(**behaviour)) as server:
                    me = server.add_account(ME)
                    server.add_account(YOU)
                    async with client(ME, me.credentials(), settings=server.settings) as gmail:
                        await test(gmail, me, server)
                    await asyncio.sleep(60.0)
                    assert not server.ledger.open_connections()

            virtual(main())

        run.__name__ = test.__name__
        run.__doc__ = test.__doc__
        return run

    return decorate


def connections(server, protocol="smtp"):
    return [one for one in server.ledger.connections if one.protocol == protocol]


def sent(me, subject=b""):
    return [one for one in me.ledger.submissions if subject in one.raw]


@on_gmail()
async def test_a_message_is_sent_once_and_the_result_says_so(gmail, me, server):
    message = mail(Cc="Somebody <else@example.org>", Bcc="secret@example.org")
    result = await gmail.send(message)
    [submission] = me.ledger.submissions
    assert result.status == "sent"
    assert result.accepted == submission.recipients == (YOU, "else@example.org", "secret@example.org")
    assert result.message_id == submission.message_id
    assert result.confirmed_by == "reply"
    assert result.queue_id
    assert (result.refused, result.resent, result.defects) == ({}, 0, ())
    assert b"secret" not in submission.raw
    assert submission.raw.endswith(b"\r\n\r\ntext\r\n.dot\r\n")
    assert message["Bcc"] == "secret@example.org"
    assert message["Message-ID"] is None
    assert len(server.account(YOU).messages) == 1
    assert not connections(server, "imap")


@on_gmail()
async def test_one_connection_serves_one_message_after_another(gmail, me, server):
    for number in range(5):
        await gmail.send(mail(subject=f"number {number}"))
    assert len(me.ledger.submissions) == 5
    assert len(connections(server)) == 1


@on_gmail()
async def test_messages_at_the_same_time_share_two_connections(gmail, me, server):
    results = await asyncio.gather(*(gmail.send(mail(subject=f"number {number}")) for number in range(20)))
    assert len({result.message_id for result in results}) == 20
    assert len(me.ledger.submissions) == 20
    assert len(connections(server)) == 2


@on_gmail()
async def test_idle_connections_are_left_politely_before_the_server_leaves(gmail, me, server):
    await gmail.send(mail())
    await asyncio.sleep(300.0)
    assert not server.ledger.open_connections()
    assert me.ledger.verbs("smtp")[-1] == "QUIT"
    await gmail.send(mail())
    assert len(connections(server)) == 2


@on_gmail(smtp_idle_timeout=60.0)
async def test_a_stale_451_is_no_answer_to_the_next_message(gmail, me, server):
    await gmail.send(mail())
    await asyncio.sleep(61.0)
    await gmail.send(mail(subject="second"))
    assert len(me.ledger.submissions) == 2


@pytest.mark.parametrize(
    "text", ["451 4.4.2 Timeout - closing connection. x - gsmtp", "421 4.7.0 Temporary System Problem. Try again later (10). x"]
)
def test_a_stale_farewell_answered_to_mail_itself_costs_no_message(text):
    @on_gmail()
    async def test(gmail, me, server):
        await gmail.send(mail())
        server.faults.add(Fault("bye", command="MAIL", protocol="smtp", text=text))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await gmail.send(mail(subject="second"))
        assert loop.time() - began < 1.0
        assert len(me.ledger.submissions) == 2

    test()


@on_gmail(messages_per_connection=3)
async def test_421_after_some_messages_on_a_connection_costs_none(gmail, me, server):
    loop = asyncio.get_running_loop()
    began = loop.time()
    reports = [report async for report in gmail.send_many(mail(subject=f"n {number}") for number in range(20))]
    assert all(report.result is not None for report in reports)
    assert len(me.ledger.submissions) == 20
    assert len(connections(server)) >= 6
    assert loop.time() - began < 30.0


@on_gmail(login_rate=1, login_window=60.0)
async def test_a_login_rate_leaves_the_connection_that_is_open_to_do_the_work(gmail, me, server):
    results = await asyncio.gather(*(gmail.send(mail(subject=f"n {number}")) for number in range(10)))
    assert len(results) == len(me.ledger.submissions) == 10


@on_gmail(login_rate=1, login_window=60.0)
async def test_a_login_rate_is_waited_out_when_the_connection_is_lost(gmail, me, server):
    await gmail.send(mail())
    me.drop_sessions("smtp")
    await gmail.send(mail(subject="second"))
    assert len(me.ledger.submissions) == 2


@on_gmail(login_rate=1, login_window=100.0)
async def test_a_login_rate_is_waited_out_when_the_connection_was_left(gmail, me, server):
    await gmail.send(mail())
    gmail._sender._lanes._leave(gmail._sender._lanes._lanes[0])
    await asyncio.sleep(1.0)
    await gmail.send(mail(subject="second"))
    assert len(me.ledger.submissions) == 2


@on_gmail()
async def test_a_rate_that_is_too_high_for_the_account_slows_all_its_connections_down(gmail, me, server):
    server.faults.add(
        Fault("bye", command="MAIL", protocol="smtp", skip=4, text="421 4.7.28 Our system has detected an unusual rate of mail.")
    )
    loop = asyncio.get_running_loop()
    began = loop.time()
    reports = [report async for report in gmail.send_many(mail(subject=f"n {number}") for number in range(20))]
    assert all(report.result is not None for report in reports)
    assert len(me.ledger.submissions) == 20
    start = me.ledger.submissions[0].at
    assert len([one for one in me.ledger.submissions if one.at - start < 59.0]) <= 8
    assert 60.0 <= loop.time() - began < 70.0


@on_gmail(daily_sending_limit=2)
async def test_the_daily_limit_says_when_to_try_again(gmail, me, server):
    await gmail.send(mail())
    await gmail.send(mail())
    with pytest.raises(SendingLimitReached) as caught:
        await gmail.send(mail())
    assert caught.value.retry_after == 86_400.0
    assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "MAIL")
    assert len(me.ledger.submissions) == 2
    tried = me.ledger.verbs("smtp").count("MAIL")
    reports = [report async for report in gmail.send_many([mail()] * 30, ordered=True)]
    assert all(isinstance(report.error, SendingLimitReached) for report in reports)
    assert all(report.error.outcome is Outcome.NOT_APPLIED for report in reports)
    assert me.ledger.verbs("smtp").count("MAIL") - tried <= 4


@on_gmail(message_size_limit=10_000)
async def test_a_message_that_is_too_large_is_never_begun(gmail, me, server):
    with pytest.raises(MessageTooLarge) as caught:
        await gmail.send(b"To: you@gmail.com\r\n\r\n" + b"x" * 20_000)
    assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "SIZE")
    assert "MAIL" not in me.ledger.verbs("smtp")


@on_gmail()
async def test_recipients_refused_are_named(gmail, me, server):
    server.hub.refused_recipients["bad@example.org"] = "550 5.1.1 The email account that you tried to reach does not exist."
    result = await gmail.send(mail(to="bad@example.org, you@gmail.com"))
    assert result.status == "partial"
    assert result.accepted == (YOU,)
    assert result.refused["bad@example.org"][0] == "550 5.1.1"
    with pytest.raises(RecipientsRefused) as caught:
        await gmail.send(mail(to="bad@example.org"))
    assert list(caught.value.refused) == ["bad@example.org"]
    assert len(me.ledger.submissions) == 1


@on_gmail()
async def test_a_from_of_somebody_else_is_rewritten_and_that_is_said(gmail, me, server):
    result = await gmail.send(mail(From="boss@example.org"))
    assert "Gmail rewrites From: boss@example.org" in result.defects[0]
    assert b"X-Google-Original-From: boss@example.org" in me.ledger.submissions[0].raw


@on_gmail()
async def test_more_than_a_hundred_recipients_are_split_only_when_asked(gmail, me, server):
    many = [f"u{number}@example.org" for number in range(250)]
    with pytest.raises(ConfigurationError, match="split=True"):
        await gmail.send(mail(), recipients=many)
    assert not server.ledger.connections
    result = await gmail.send(mail(), recipients=many, split=True)
    assert result.accepted == tuple(many)
    assert [len(one.recipients) for one in me.ledger.submissions] == [100, 100, 50]
    assert {one.message_id for one in me.ledger.submissions} == {result.message_id}


@on_gmail()
async def test_a_part_that_fails_behind_one_that_was_taken_is_told_as_refused(gmail, me, server):
    many = [f"u{number}@example.org" for number in range(150)]
    server.faults.add(Fault("answer", command="MAIL", protocol="smtp", skip=1, text="550 5.7.1 no"))
    result = await gmail.send(mail(), recipients=many, split=True)
    assert result.status == "partial"
    assert result.accepted == tuple(many[:100])
    assert list(result.refused) == many[100:]
    server.faults.add(Fault("answer", command="MAIL", protocol="smtp", text="550 5.7.1 no"))
    with pytest.raises(Exception, match=r"550 5\.7\.1 no"):
        await gmail.send(mail(), recipients=many, split=True)


@on_gmail()
async def test_a_part_whose_reply_is_lost_cannot_be_looked_up_behind_another(gmail, me, server):
    many = [f"u{number}@example.org" for number in range(200)]
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="request", skip=1))
    with pytest.raises(OutcomeUnknown) as caught:
        await gmail.send(mail(), recipients=many, split=True)
    assert "another part" in caught.value.evidence["lookup"]
    assert caught.value.evidence["unknown"].split(", ") == many[100:]
    assert caught.value.evidence["accepted"].split(", ") == many[:100]
    assert caught.value.evidence["not tried"] == ""
    assert [len(one.recipients) for one in me.ledger.submissions] == [100]


# A reply that is lost


@pytest.mark.parametrize("delay", [0.0, 20.0, 90.0, 119.0])
@pytest.mark.parametrize("own_id", [True, False])
def test_a_lost_reply_is_looked_up_in_sent(delay, own_id):
    @on_gmail(sent_copy_delay=delay)
    async def test(gmail, me, server):
        me.deliver(b"Subject: old\r\n\r\nx")
        server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
        result = await gmail.send(mail() if own_id else mail(Message_ID="<own.id@example.org>"))
        assert result.confirmed_by == "lookup"
        assert result.accepted == (YOU,)
        assert result.message_id == me.ledger.submissions[0].message_id
        assert len(me.ledger.submissions) == 1
        assert await gmail.resolve(result.message_id) is Outcome.APPLIED

    test()


def test_a_message_id_that_gmail_replaces_is_found_by_what_it_was():
    @on_gmail()
    async def test(gmail, me, server):
        server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
        result = await gmail.send(mail(Message_ID="<odd@localhost>"))
        assert result.confirmed_by == "lookup"
        assert "Gmail replaces the Message-ID" in result.defects[0]
        assert me.ledger.submissions[0].message_id != "<odd@localhost>"

    test()


def test_a_copy_from_before_proves_nothing_of_a_message_with_the_same_id():
    @on_gmail()
    async def test(gmail, me, server):
        await gmail.send(mail(Message_ID="<again@example.org>"))
        await asyncio.sleep(3600.0)
        server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="request"))
        with pytest.raises(OutcomeUnknown):
            await gmail.send(mail(Message_ID="<again@example.org>"))
        assert len(me.ledger.submissions) == 1

    test()


@on_gmail(sent_copy=False)
async def test_without_a_copy_in_sent_nobody_knows_and_that_is_said(gmail, me, server):
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(OutcomeUnknown, match=r"resolve\('<.*>'\)") as caught:
        await gmail.send(mail(), settle_timeout=60.0)
    assert loop.time() - began == pytest.approx(60.0, abs=1.0)
    assert (caught.value.outcome, caught.value.stage) == (Outcome.UNKNOWN, "reply")
    assert "not found" in caught.value.evidence["sent"]
    assert "not found" in caught.value.evidence["all"]
    assert len(me.ledger.submissions) == 1


@on_gmail(sent_copy_delay=300.0)
async def test_a_copy_that_comes_later_is_found_later(gmail, me, server):
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    with pytest.raises(OutcomeUnknown) as caught:
        await gmail.send(mail(Message_ID="<later@example.org>"))
    assert caught.value.outcome is Outcome.UNKNOWN
    assert await gmail.resolve("<later@example.org>") is Outcome.UNKNOWN
    await asyncio.sleep(300.0)
    assert await gmail.resolve("later@example.org") is Outcome.APPLIED


@on_gmail()
async def test_resending_sends_at_least_once_with_the_same_id(gmail, me, server):
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="request"))
    result = await gmail.send(mail(), on_unknown="resend", settle_timeout=10.0)
    assert result.resent == 1
    assert result.confirmed_by == "reply"
    assert [one.message_id for one in me.ledger.submissions] == [result.message_id]
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="request", times=None))
    with pytest.raises(OutcomeUnknown):
        await gmail.send(mail(), on_unknown="resend", settle_timeout=1.0)


@on_gmail()
async def test_a_message_sent_again_in_vain_may_have_gone_before(gmail, me, server):
    """The second try is refused; of the first nobody knows, and the error does not say that nothing was sent."""
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    server.faults.add(Fault("close", command="UID FETCH", protocol="imap", times=None))
    server.faults.add(Fault("answer", command="MAIL", protocol="smtp", skip=1, text="550 5.4.5 Daily user sending limit exceeded."))
    with pytest.raises(OutcomeUnknown) as caught:
        await gmail.send(mail(), on_unknown="resend", settle_timeout=1.0)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert "sending limit" in caught.value.evidence["again"]
    assert len(me.ledger.submissions) == 1


def test_a_copy_for_others_proves_nothing_of_a_message_with_the_same_id():
    @on_gmail()
    async def test(gmail, me, server):
        first = await gmail.send(mail())
        again = mail("else@example.org", Message_ID=first.message_id)
        server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="request"))
        with pytest.raises(OutcomeUnknown) as caught:
            await gmail.send(again)
        assert "another of this Message-ID" in caught.value.evidence["lookup"]
        assert len(me.ledger.submissions) == 1
        server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
        await asyncio.sleep(1000.0)
        assert (await gmail.send(again)).confirmed_by == "lookup"

    test()


def test_what_a_search_finds_counts_only_if_it_has_that_id():
    @on_gmail(sent_copy_delay=0.0)
    async def test(gmail, me, server):
        me.deliver(b"From: me@gmail.com\r\nMessage-ID: <a@b.example>\r\n\r\nx", labels=("\\Sent",))
        assert await gmail.resolve("<a@b.example>") is Outcome.APPLIED
        server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="request"))
        with pytest.raises(OutcomeUnknown):
            await gmail.send(b"To: you@gmail.com\r\nMessage-ID: <c@d.example> OR from:me\r\n\r\n", settle_timeout=1.0)

    test()


@pytest.mark.parametrize("slow", ["MAIL", "RCPT", "MESSAGE"])
def test_closing_never_says_goodbye_in_the_middle_of_a_message(slow):
    @on_gmail()
    async def test(gmail, me, server):
        server.faults.add(Fault("delay", command=slow, protocol="smtp", seconds=10.0))
        task = asyncio.ensure_future(gmail.send(mail()))
        await asyncio.sleep(1.0)
        await gmail.aclose()
        with pytest.raises(GmailError) as caught:
            await task
        assert caught.value.outcome is (Outcome.UNKNOWN if slow == "MESSAGE" else Outcome.NOT_APPLIED)
        await asyncio.sleep(600.0)
        assert len(me.ledger.submissions) == (slow == "MESSAGE")

    test()


def test_what_is_wrong_before_any_command_says_so_too():
    @on_gmail()
    async def test(gmail, me, server):
        for message, options in ((mail("nobody"), {}), (mail(), {"split": 1}), (b"Subject: a\0b\r\nTo: a@example.org\r\n\r\n", {})):
            with pytest.raises(ConfigurationError) as caught:
                await gmail.send(message, **options)
            assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "message")

    test()


@on_gmail(imap_enabled=False)
async def test_where_imap_is_off_nobody_can_be_asked(gmail, me, server):
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    with pytest.raises(OutcomeUnknown) as caught:
        await gmail.send(mail())
    assert "IMAP" in caught.value.evidence["lookup"]


@on_gmail(hidden=frozenset({"[Gmail]/Sent Mail", "[Gmail]/All Mail"}))
async def test_where_sent_and_all_mail_are_hidden_from_imap_that_is_the_evidence(gmail, me, server):
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    with pytest.raises(OutcomeUnknown) as caught:
        await gmail.send(mail())
    assert "special use" in caught.value.evidence["sent"]
    assert "special use" in caught.value.evidence["all"]


@on_gmail(hidden=frozenset({"[Gmail]/All Mail"}), sent_copy=False)
async def test_where_all_mail_is_hidden_the_first_opinion_stands(gmail, me, server):
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    with pytest.raises(OutcomeUnknown) as caught:
        await gmail.send(mail(), settle_timeout=1.0)
    assert "special use" in caught.value.evidence["all"]


@on_gmail(sent_copy=False)
async def test_a_draft_of_that_id_is_no_proof(gmail, me, server):
    me.deliver(b"From: me@gmail.com\r\nMessage-ID: <draft@example.org>\r\n\r\nx", labels=("\\Draft",))
    assert await gmail.resolve("<draft@example.org>") is Outcome.UNKNOWN


@on_gmail()
async def test_the_lookup_survives_the_loss_of_its_own_connection(gmail, me, server):
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    server.faults.add(Fault("reset", command="UID FETCH", protocol="imap", point="reply", byte=5))
    assert (await gmail.send(mail())).confirmed_by == "lookup"


@on_gmail()
async def test_lookups_at_the_same_time_share_a_connection(gmail, me, server):
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0, times=4))
    results = await asyncio.gather(*(gmail.send(mail(subject=f"n {number}")) for number in range(4)))
    assert len(me.ledger.submissions) == 4
    assert {result.status for result in results} == {"sent"}
    assert len(connections(server, "imap")) <= 4


# Arguments, and states


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"settle_timeout": -1}, "settle_timeout"),
        ({"settle_timeout": True}, "settle_timeout"),
        ({"settle_timeout": float("inf")}, "settle_timeout"),
        ({"settle_timeout": None}, "settle_timeout"),
        ({"on_unknown": "again"}, "on_unknown"),
        ({"split": 1}, "split"),
        ({"recipients": []}, "recipients"),
        ({"sender": "me"}, "sender"),
    ],
)
def test_options_that_are_none(options, words):
    @on_gmail()
    async def test(gmail, me, server):
        with pytest.raises(ConfigurationError, match=words):
            await gmail.send(mail(), **options)
        assert not server.ledger.connections

    test()


@pytest.mark.parametrize("message", ["To: a@x\r\n\r\n", None, b"", b"no header", 5])
def test_messages_that_are_none(message):
    @on_gmail()
    async def test(gmail, me, server):
        with pytest.raises(ConfigurationError, match="message"):
            await gmail.send(message)
        assert not server.ledger.connections

    test()


@on_gmail()
async def test_arguments_of_send_many_and_resolve(gmail, me, server):
    for bad in (mail(), b"To: a@x\r\n\r\n", "x", None, 5):
        with pytest.raises(ConfigurationError, match="messages"):
            gmail.send_many(bad)
    for bad in (0, -1, True, 1.5, "2", 5000):
        with pytest.raises(ConfigurationError, match="concurrency"):
            gmail.send_many([], concurrency=bad)
    with pytest.raises(ConfigurationError, match="settle_timeout"):
        gmail.send_many([], settle_timeout=-1)
    with pytest.raises(ConfigurationError, match="message_id"):
        await gmail.resolve("x")
    assert not server.ledger.connections


def test_an_account_that_is_not_open_sends_nothing():
    async def main():
        async with GmailEmulator() as server:
            me = server.add_account(ME)
            gmail = Gmail(ME, me.credentials(), settings=server.settings)
            with pytest.raises(StateError, match="not open"):
                await gmail.send(mail())
            async with gmail:
                await gmail.send(mail())
                sender = gmail._sender
            for call in (lambda: gmail.send(mail()), lambda: gmail.resolve("<a@b>")):
                with pytest.raises(StateError, match="closed"):
                    await call()
            with pytest.raises(StateError) as caught:
                await gmail.send(mail())
            assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "connect")
            with pytest.raises(StateError):
                gmail.send_many([])
            with pytest.raises(StateError):
                await sender.resolve("<a@b>")
            await asyncio.sleep(0.1)

    virtual(main())


@on_gmail()
async def test_a_large_message_object_is_written_beside_the_loop(gmail, me, server):
    message = mail()
    message.add_attachment(b"x" * 600_000, maintype="application", subtype="octet-stream", filename="x.bin")
    await gmail.send(message)
    assert len(me.ledger.submissions[0].raw) > 800_000


# Closing


@on_gmail(delivery_delay=0.0)
async def test_closing_lets_a_message_end_within_its_timeout(gmail, me, server):
    server.faults.add(Fault("delay", command="MESSAGE", protocol="smtp", seconds=5.0))
    task = asyncio.ensure_future(gmail.send(mail()))
    await asyncio.sleep(1.0)
    await gmail.aclose(timeout=20.0)
    assert (await task).status == "sent"
    assert len(me.ledger.submissions) == 1


@on_gmail()
async def test_closing_without_patience_says_that_it_is_unknown(gmail, me, server):
    server.faults.add(Fault("delay", command="MESSAGE", protocol="smtp", seconds=30.0))
    task = asyncio.ensure_future(gmail.send(mail()))
    await asyncio.sleep(1.0)
    await gmail.aclose()
    with pytest.raises(OutcomeUnknown):
        await task


# Without IMAP


@on_gmail(client=SmtpClient)
async def test_a_client_of_its_own_sends_on_one_connection(client, me, server):
    results = await asyncio.gather(*(client.send(mail(subject=f"n {number}")) for number in range(6)))
    assert {result.status for result in results} == {"sent"}
    assert len(connections(server)) == 1
    me.drop_sessions("smtp")
    await client.send(mail())
    assert len(me.ledger.submissions) == 7
    assert repr(client) == "SmtpClient('me@gmail.com')"


@on_gmail(client=SmtpClient)
async def test_a_client_of_its_own_resends_only_when_asked(client, me, server):
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    with pytest.raises(OutcomeUnknown):
        await client.send(mail())
    assert len(me.ledger.submissions) == 1
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    result = await client.send(mail(), on_unknown="resend")
    assert result.resent == 1
    assert len(me.ledger.submissions) == 3


def test_a_client_of_its_own_in_the_wrong_state():
    async def main():
        async with GmailEmulator(behaviour=Behaviour(login_rate=0)) as server:
            me = server.add_account(ME)
            client = SmtpClient(ME, me.credentials(), settings=server.settings)
            with pytest.raises(StateError, match="not open") as caught:
                await client.send(mail())
            assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "connect")
            with pytest.raises(Throttled):
                await client.__aenter__()
            with pytest.raises(StateError, match="already opened"):
                await client.__aenter__()
            with pytest.raises(ConfigurationError, match="address"):
                SmtpClient("me", me.credentials())
            await asyncio.sleep(0.1)

    virtual(main())


# Time


@on_gmail()
async def test_connections_are_renewed_before_their_tokens_end_and_no_message_meets_it(gmail, me, server):
    """Three hours, a message every 100 s: the successor is opened while the old session serves."""
    for number in range(108):
        await gmail.send(mail(subject=f"number {number}"))
        await asyncio.sleep(100.0)
    assert len(me.ledger.submissions) == 108
    ends = [one.authenticated_at + me.behaviour.token_lifetime for one in connections(server)]
    assert 3 <= len(ends) <= 6
    by_connection = {one.number: end for one, end in zip(connections(server), ends, strict=True)}
    assert all(one.at < by_connection[one.connection] for one in me.ledger.submissions)
    assert all(one.reason != "expired" for one in connections(server))


@pytest.mark.slow
def test_a_cancelled_send_leaves_a_client_that_sends():
    """Cancelled after each number of turns of the loop: never two copies, and the next message goes."""

    async def case(steps):
        async with GmailEmulator() as server:
            me = server.add_account(ME)
            async with Gmail(ME, me.credentials(), settings=server.settings) as gmail:
                if steps % 2:
                    await gmail.send(mail())
                task = asyncio.ensure_future(gmail.send(mail(subject="swept")))
                for _ in range(steps // 2):
                    await asyncio.sleep(0)
                task.cancel()
                done, _ = await asyncio.wait([task], timeout=60.0)
                assert done
                await gmail.send(mail(subject="next"))
            await asyncio.sleep(1.0)
            assert len(sent(me, b"swept")) <= 1
            assert task.cancelled() or len(sent(me, b"swept")) == 1
            assert len(sent(me, b"next")) == 1
            assert not server.ledger.open_connections()
            return task.cancelled()

    outcomes = [virtual(case(steps)) for steps in range(0, 200, 7)]
    assert set(outcomes) == {True, False}


# Connections, and lookups


@on_gmail()
async def test_closing_while_a_connection_is_opened_fails_what_waits_for_it(gmail, me, server):
    server.faults.add(Fault("delay", command="EHLO", protocol="smtp", seconds=5.0))
    task = asyncio.ensure_future(gmail.send(mail()))
    await asyncio.sleep(1.0)
    began = asyncio.get_running_loop().time()
    await gmail.aclose()
    with pytest.raises(StateError) as caught:
        await task
    assert asyncio.get_running_loop().time() - began < 0.1
    assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "connect")
    assert not me.ledger.submissions


@on_gmail()
async def test_two_that_wait_for_the_same_connection_open_one(gmail, me, server):
    lanes = gmail._outgoing()._lanes
    lane = lanes._lanes[0]
    first, second = await asyncio.gather(lanes._ready(lane), lanes._ready(lane))
    assert first is second
    assert len(connections(server)) == 1


@on_gmail()
async def test_cancelling_while_a_connection_is_opened_leaves_room_for_others(gmail, me, server):
    server.faults.add(Fault("delay", command="EHLO", protocol="smtp", seconds=5.0))
    task = asyncio.ensure_future(gmail.send(mail()))
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gmail.send(mail())
    assert len(me.ledger.submissions) == 1


@on_gmail()
async def test_a_lookup_that_is_cancelled_leaves_nothing_open(gmail, me, server):
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="request"))
    task = asyncio.ensure_future(gmail.send(mail()))
    await asyncio.sleep(10.0)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(1.0)
    assert not [one for one in server.ledger.open_connections() if one.protocol == "imap"]


@on_gmail()
async def test_closing_ends_a_lookup_with_what_is_known(gmail, me, server):
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="request"))
    task = asyncio.ensure_future(gmail.send(mail()))
    await asyncio.sleep(10.0)
    await gmail.aclose()
    with pytest.raises(OutcomeUnknown) as caught:
        await task
    assert "closed" in caught.value.evidence["lookup"]
    settler = gmail._sender._settler
    assert (await settler.settle(Lost("<a@b.c>"), 1.0)).outcome is Outcome.UNKNOWN


@on_gmail(sent_copy=False)
async def test_a_lookup_that_hangs_has_an_end(gmail, me, server):
    server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="request"))
    server.faults.add(Fault("mute", command="UID FETCH", protocol="imap", times=None))
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(OutcomeUnknown) as caught:
        await gmail.send(mail(), settle_timeout=10.0)
    assert loop.time() - began <= 30.0  # and 5 s to take leave of a server that does not answer
    assert "not done within" in caught.value.evidence["lookup"]


@on_gmail(sent_copy=False)
async def test_an_id_that_the_search_cannot_say_is_not_searched_for(gmail, me, server):
    me.deliver(b"From: me@gmail.com\r\n\r\nno id at all", labels=("\\Sent",))
    assert await gmail.resolve('<a"b@example.org>') is Outcome.UNKNOWN
    assert "UID SEARCH" not in me.ledger.verbs("imap")
