import asyncio

import pytest

from aiogmail.testing import Fault
from tests.testing.support import ME, Wire, message, on_imap, on_server, quiet, xoauth2


@on_server()
async def test_the_greeting_names_the_peer_and_a_session_id_and_no_capabilities(server, me):
    async with Wire(server) as wire:
        words = (await wire.line()).split()
        assert words[:-1] == ["*", "OK", "Gimap", "ready", "for", "requests", "from", "127.0.0.1"]
        assert words[-1].endswith("edq")


@on_server()
async def test_the_session_id_is_glued_to_tagged_texts_before_login_only(server, me):
    async with Wire(server) as wire:
        sid = (await wire.line()).split()[-1]
        assert (await wire.cmd("CAPABILITY"))[-1] == f"OK Thats all she wrote! {sid}"
        await wire.cmd("AUTHENTICATE XOAUTH2 " + xoauth2(me.access_token()))
        assert (await wire.cmd("CAPABILITY"))[-1] == "OK Success"


@on_imap()
async def test_what_needs_a_mailbox_is_bad_without_one(server, me, wire):
    assert await wire.cmd("SEARCH ALL") == ["BAD SEARCH not allowed now."]
    assert await wire.cmd("UID FETCH 1 FLAGS") == ["BAD UID not allowed now."]
    assert await wire.cmd("UID NONSENSE") == ["BAD UID not allowed now."]


@on_server()
async def test_what_needs_a_login_is_bad_without_one(server, me):
    async with Wire(server) as wire:
        sid = (await wire.line()).split()[-1]
        assert await wire.cmd("SELECT INBOX") == [f"BAD SELECT not allowed now. {sid}"]
        assert await wire.cmd("NOOP") == [f"OK Success {sid}"]
        assert await wire.cmd("LOGOUT") == ["* BYE LOGOUT Requested", f"OK 73 good day (Success) {sid}"]


@on_imap()
async def test_a_trailing_space_is_bad(server, me, wire):
    assert await wire.cmd("NOOP ") == ["BAD Could not parse command"]


@on_imap()
async def test_an_unknown_command_is_bad_with_the_session_id(server, me, wire):
    assert (await wire.cmd("XYZ"))[0].startswith("BAD Unknown command ")


@on_imap()
async def test_a_line_without_a_tag_is_answered_untagged(server, me, wire):
    wire.send("* NOOP\r\n")
    assert (await wire.line()).startswith("* BAD invalid tag ")
    wire.send("A1 NOOP\n")
    assert (await wire.line()).startswith("* BAD invalid tag ")


@on_imap(max_bad_commands=2)
async def test_repeated_bad_commands_may_end_the_connection(server, me, wire):
    await wire.cmd("X1")
    assert (await wire.cmd("X2"))[0].startswith("BAD")
    assert (await wire.line()).startswith("* BYE System Error ")
    assert await wire.line() is None


@on_imap()
async def test_a_line_without_end_ends_the_connection(server, me, wire):
    wire.send(b"A1 " + b"x" * 200_000)
    assert (await wire.line()).startswith("* BYE System Error ")


@on_imap(throttled=True)
async def test_throttling_is_a_suffix_of_the_tagged_text(server, me, wire):
    assert await wire.cmd("NOOP") == ["OK Success [THROTTLED]"]


@on_imap(command_limit=3)
async def test_too_many_commands_end_in_overquota(server, me, wire):
    for _ in range(2):
        await wire.cmd("NOOP")
    assert await wire.cmd("NOOP") == ["OK Success"]
    assert await wire.cmd("NOOP") == ["* BYE [OVERQUOTA] Account exceeded command or bandwidth limits.", None]


@on_imap(token_lifetime=3599)
async def test_a_session_ends_with_its_token(server, me, wire):
    await wire.cmd("IDLE")
    start = asyncio.get_running_loop().time()
    assert await wire.line() == "* BYE Session expired, please login again."
    assert await wire.line() is None
    assert asyncio.get_running_loop().time() - start == pytest.approx(3599)
    assert me.ledger.connections[0].reason == "Session expired, please login again."


@on_imap(token_lifetime=100, session_grace=60)
async def test_a_session_may_outlive_its_token_for_a_while(server, me, wire):
    await asyncio.sleep(150)
    assert await wire.cmd("NOOP") == ["OK Success"]
    await wire.line()
    assert asyncio.get_running_loop().time() == pytest.approx(160)


@on_imap(session_ends_with_token=False, session_lifetime=86_400)
async def test_a_session_ends_after_a_day_whatever_its_token(server, me, wire):
    assert await wire.line() == "* BYE Session expired, please login again."
    assert asyncio.get_running_loop().time() == pytest.approx(86_400)


@on_imap(session_ends_with_token=False, session_lifetime=None)
async def test_a_session_without_limits_lives_for_a_year(server, me, wire):
    await asyncio.sleep(365 * 86_400)
    assert await wire.cmd("NOOP") == ["OK Success"]


@on_imap(imap_idle_timeout=1800)
async def test_an_idle_session_is_dropped_without_a_word(server, me, wire):
    await asyncio.sleep(1700)
    await wire.cmd("NOOP")
    start = asyncio.get_running_loop().time()
    assert await wire.line() is None
    assert asyncio.get_running_loop().time() - start == pytest.approx(1800)


@on_server(unauthenticated_timeout=60)
async def test_who_does_not_log_in_is_dropped(server, me):
    async with Wire(server) as wire:
        await wire.line()
        assert await wire.line() is None
        assert asyncio.get_running_loop().time() == pytest.approx(60)


@on_imap()
async def test_expire_sessions_says_bye_between_two_responses(server, me, wire):
    for number in range(50):
        me.deliver(message(str(number), "x" * 20_000))
    await wire.cmd("SELECT INBOX")
    wire.send("F UID FETCH 1:* BODY.PEEK[]\r\n")
    await wire.line()
    assert me.expire_sessions() == 1
    text = await wire.rest()
    assert text.endswith(b")\r\n* BYE Session expired, please login again.\r\n")


@on_imap()
async def test_news_come_with_the_next_command_and_only_once(server, me, wire):
    me.deliver(message())
    await wire.cmd("SELECT INBOX")
    me.deliver(message("second"))
    first = me.messages[0]
    me.set_flags(first, {"\\Seen"})
    assert await wire.cmd("NOOP") == ["* 2 EXISTS", "* 1 FETCH (FLAGS (\\Seen) UID 1)", "OK Success"]
    assert await wire.cmd("NOOP") == ["OK Success"]
    me.remove(first)
    assert await wire.cmd("NOOP") == ["* 1 EXPUNGE", "* 1 EXISTS", "OK Success"]


@on_imap()
async def test_one_sessions_changes_are_news_to_another(server, me, wire):
    me.deliver(message())
    async with Wire(server) as other:
        await other.login()
        await other.cmd("SELECT INBOX")
        await wire.cmd("SELECT INBOX")
        await wire.cmd("STORE 1 +FLAGS (\\Answered)")
        assert await other.cmd("NOOP") == ["* 1 FETCH (FLAGS (\\Answered) UID 1)", "OK Success"]
        assert await wire.cmd("NOOP") == ["OK Success"]


@on_imap()
async def test_message_numbers_hold_until_an_expunge_was_sent(server, me, wire):
    for number in range(3):
        me.deliver(message(str(number)))
    await wire.cmd("SELECT INBOX")
    me.remove(me.messages[0])
    assert await wire.cmd("FETCH 1:3 (UID)") == [
        "* 2 FETCH (UID 2)",
        "* 3 FETCH (UID 3)",
        "NO Some messages could not be FETCHed (Failure)",
    ]
    assert await wire.cmd("UID FETCH 1:3 (UID)") == ["* 2 FETCH (UID 2)", "* 3 FETCH (UID 3)", "* 1 EXPUNGE", "* 2 EXISTS", "OK Success"]


@on_imap()
async def test_a_change_of_uidvalidity_ends_the_sessions_that_know_the_old_one(server, me, wire):
    me.deliver(message())
    await wire.cmd("SELECT INBOX")
    me.change_uidvalidity("INBOX")
    assert (await wire.line()).startswith("* BYE System Error ")


@on_imap()
async def test_literals_are_read_in_any_string(server, me, wire):
    me.deliver(message("hello"))
    await wire.cmd("SELECT INBOX")
    wire.send("S SEARCH SUBJECT {5}\r\n")
    assert await wire.line() == "+ go ahead"
    wire.send("hello\r\n")
    assert await wire.until("S") == ["* SEARCH 1", "OK SEARCH completed (Success)"]
    wire.send("T SEARCH SUBJECT {5+}\r\nhello OR SUBJECT {5+}\r\nworld SEEN\r\n")
    assert (await wire.until("T"))[-1] == "OK SEARCH completed (Success)"


@on_imap()
async def test_a_literal_that_is_too_large_is_refused(server, me, wire):
    assert await wire.cmd("SELECT {9999999}") == ["BAD Could not parse command"]
    wire.send("B SELECT {5000+}\r\n" + "x" * 5000 + "\r\n")
    assert (await wire.line()).startswith("* BYE System Error ")


@on_server()
async def test_non_synchronising_literals_are_for_after_login(server, me):
    async with Wire(server) as wire:
        sid = (await wire.line()).split()[-1]
        assert await wire.cmd("LOGIN {2+}\r\nme {1+}\r\nx") == [f"BAD Could not parse command {sid}"]
        # The literal's bytes are no commands: they were taken.
        assert await wire.cmd("LOGIN {10+}\r\nX LOGOUT\r\n y", tag="B") == [f"BAD Could not parse command {sid}"]
        assert await wire.cmd("NOOP") == [f"OK Success {sid}"]


@on_server()
async def test_many_literals_are_too_many(server, me):
    async with Wire(server) as wire:
        await wire.line()
        wire.send(b"A NOOP" + b" {0+}\r\n" * 3000)
        assert (await wire.line()).startswith("* BYE System Error")


@on_server()
async def test_credentials_in_literals_are_not_shown(server, me):
    async with Wire(server) as wire:
        await wire.line()
        for line in ("A LOGIN {12}\r\n", "me@gmail.com {6}\r\n", "secret\r\n"):
            wire.send(line)
            await wire.line()
        wire.send("B LOGIN {12}\r\nme@gmail.com secret\r\n")
        await wire.until("B")
    assert [command.line for command in server.ledger.commands] == ["LOGIN …", "LOGIN …"]


@on_imap()
async def test_the_ledger_shows_commands_without_credentials(server, me, wire):
    await wire.cmd("ID NIL")
    assert server.ledger.verbs("imap") == ["AUTHENTICATE", "ID"]
    assert me.ledger.verbs() == ["ID"]
    assert server.ledger.commands[0].line == "AUTHENTICATE XOAUTH2 …"


@on_imap()
async def test_drop_sessions_ends_them_without_a_word(server, me, wire):
    assert me.drop_sessions() == 1
    assert await wire.line() is None
    async with Wire(server) as other:
        await other.login()
        assert me.drop_sessions("imap", reset=True) == 1
        with pytest.raises(ConnectionResetError):
            await other.line()


@on_imap()
async def test_a_fault_at_the_greeting(server, me, wire):
    server.faults.add(Fault("bye", "CONNECT", text="* BYE Too many connections"))
    async with Wire(server) as other:
        assert await other.line() == "* BYE Too many connections"
        assert await other.line() is None


@on_imap()
async def test_faults_before_the_effect(server, me, wire):
    stored = me.deliver(message())
    await wire.cmd("SELECT INBOX")
    server.faults.add(Fault("answer", "UID STORE", text="NO [UNAVAILABLE] Temporary System Problem. Try again later (Failure)"))
    assert await wire.cmd("UID STORE 1 +FLAGS (\\Seen)") == ["NO [UNAVAILABLE] Temporary System Problem. Try again later (Failure)"]
    assert stored.flags == frozenset()
    server.faults.add(Fault("close", "UID STORE"))
    assert await wire.cmd("UID STORE 1 +FLAGS (\\Seen)") == [None]
    assert stored.flags == frozenset()


@on_imap()
async def test_faults_after_the_effect_with_so_many_bytes_of_the_reply(server, me, wire):
    stored = me.deliver(message())
    await wire.cmd("SELECT INBOX")
    server.faults.add(Fault("close", "UID STORE", point="reply", byte=10))
    wire.send("A UID STORE 1 +FLAGS (\\Seen)\r\n")
    assert await wire.rest() == b"* 1 FETCH "
    assert stored.flags == {"\\Seen"}
    assert [fault.action for fault in server.faults.hit] == ["close"]


@on_imap()
async def test_a_reply_that_is_whole_and_then_the_end(server, me, wire):
    server.faults.add(Fault("close", "NOOP", point="reply"))
    wire.send("A NOOP\r\n")
    assert await wire.rest() == b"A OK Success\r\n"


@on_imap()
async def test_a_done_command_answered_with_a_failure(server, me, wire):
    stored = me.deliver(message())
    await wire.cmd("SELECT INBOX")
    server.faults.add(Fault("answer", "UID STORE", point="reply", text="NO System Error (Failure)"))
    assert await wire.cmd("UID STORE 1 +FLAGS (\\Seen)") == ["NO System Error (Failure)"]
    assert stored.flags == {"\\Seen"}
    assert await wire.cmd("UID STORE 1 -FLAGS (\\Seen)", tag="B") == ["* 1 FETCH (FLAGS () UID 1)", "OK Success"]


@on_imap()
async def test_a_cut_in_the_middle_of_a_literal_that_is_sent(server, me, wire):
    server.faults.add(Fault("reset", "APPEND", byte=100))
    wire.send("A APPEND INBOX {200}\r\n")
    assert await wire.line() == "+ go ahead"
    wire.send(b"x" * 50)
    await quiet()
    wire.send(b"x" * 150 + b"\r\n")
    with pytest.raises(ConnectionResetError):
        await wire.line()
    assert me.messages == ()


@on_imap()
async def test_a_mute_server_executes_and_says_nothing(server, me, wire):
    stored = me.deliver(message())
    await wire.cmd("SELECT INBOX")
    server.faults.add(Fault("mute", "UID STORE"))
    wire.send("A UID STORE 1 +FLAGS (\\Seen)\r\nB UID STORE 1 +FLAGS (\\Flagged)\r\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1000):
            await wire.line()
    assert stored.flags == {"\\Seen", "\\Flagged"}


@on_imap()
async def test_a_black_hole_executes_nothing(server, me, wire):
    stored = me.deliver(message())
    await wire.cmd("SELECT INBOX")
    server.faults.add(Fault("blackhole", "UID STORE"))
    wire.send("A UID STORE 1 +FLAGS (\\Seen)\r\nB UID STORE 1 +FLAGS (\\Flagged)\r\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1000):
            await wire.line()
    assert stored.flags == frozenset()


@on_imap()
async def test_garbage_and_a_bye_that_leaves_the_connection_open(server, me, wire):
    server.faults.add(Fault("garbage", "NOOP", data=b"\x00\xff\r\n"))
    assert await wire.cmd("NOOP") == ["\x00\udcff", "OK Success"]
    server.faults.add(Fault("bye_open", "NOOP"))
    wire.send("A NOOP\r\n")
    assert await wire.line() == "* BYE Session expired, please login again."
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1000):
            await wire.line()


@on_imap()
async def test_forged_tags_are_garbage_that_knows_the_tag(server, me, wire):
    server.faults.add(Fault("garbage", "NOOP", data=b"{tag} OK forged\r\nA99 OK unknown\r\n"))
    assert await wire.cmd("NOOP", tag="N1") == ["OK forged"]
    assert await wire.line() == "A99 OK unknown"
    assert await wire.line() == "N1 OK Success"


@on_imap()
async def test_delays_before_and_in_a_reply(server, me, wire):
    loop = asyncio.get_running_loop()
    server.faults.add(Fault("delay", "NOOP", seconds=7))
    await wire.cmd("NOOP")
    assert loop.time() == pytest.approx(7)
    server.faults.add(Fault("delay", "NOOP", point="reply", byte=3, seconds=5))
    wire.send("A NOOP\r\n")
    assert await wire.reader.readexactly(3) == b"A O"
    assert loop.time() == pytest.approx(7)
    assert await wire.line() == "K Success"
    assert loop.time() == pytest.approx(12)


@on_server()
async def test_a_fault_for_one_account_spares_the_other(server, me):
    server.add_account("you@gmail.com")
    server.faults.add(Fault("close", "NOOP", address="you@gmail.com"))
    async with Wire(server) as mine, Wire(server) as yours:
        await mine.login()
        await yours.login("you@gmail.com")
        assert await mine.cmd("NOOP") == ["OK Success"]
        assert await yours.cmd("NOOP") == [None]


@on_server()
async def test_stopping_the_emulator_ends_sessions_in_the_middle_of_a_reply(server, me):
    me.deliver(message(body="x" * 5_000_000))
    async with Wire(server) as wire:
        await wire.login()
        await wire.cmd("SELECT INBOX")
        wire.send("A UID FETCH 1 BODY.PEEK[]\r\n")
        await wire.line()
        await server.aclose()
        assert server.ledger.connections[0].reason in {"emulator stopped", "closed by peer"}
    assert ME in server.hub.accounts
