"""Each fault that is counted as hit happens, where it was said: on all four servers."""

import asyncio
import json

import pytest

from aiogmail.testing import Fault
from tests.testing.support import ME, Wire, emulated, message, on_imap, on_server, quiet, xoauth2

SEEN = "UID STORE 1 +FLAGS (\\Seen)"
GREETINGS = {"imap": b"* OK Gimap", "smtp": b"220 smtp.gmail.com", "pop3": b"+OK Gpop"}


async def http(server, path="/token", body="grant_type=refresh_token", connection="close"):
    async with Wire(server, "http") as wire:
        wire.send(f"POST {path} HTTP/1.1\r\nConnection: {connection}\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        return await wire.rest()


async def submission(server):
    wire = await Wire(server, "smtp").open()
    await wire.reply()
    for line in ("EHLO me", f"AUTH XOAUTH2 {xoauth2(server.access_token(ME))}", f"MAIL FROM:<{ME}>", f"RCPT TO:<{ME}>"):
        assert (await wire.smtp(line))[-1].startswith("2")
    return wire


async def pop(server):
    wire = await Wire(server, "pop3").open()
    await wire.line()
    assert await wire.pop(f"AUTH XOAUTH2 {xoauth2(server.access_token(ME))}") == ["+OK Welcome."]
    return wire


# The greeting


@pytest.mark.parametrize("name", ["imap", "smtp", "pop3"])
@pytest.mark.parametrize(
    ("fault", "heard"),
    [
        (Fault("close", "CONNECT"), 0),
        (Fault("close", "CONNECT", byte=99), 0),
        (Fault("close", "CONNECT", point="reply", byte=0), 0),
        (Fault("close", "CONNECT", point="reply", byte=7), 7),
        (Fault("close", "CONNECT", point="reply"), None),
        (Fault("close", "CONNECT", point="reply", byte=9999), None),
    ],
)
def test_a_fault_of_the_greeting_falls_at_its_byte(name, fault, heard):
    async def main(server, me):
        server.faults.add(fault)
        async with Wire(server, name) as wire:
            got = await wire.rest()
        assert len(got) == heard if heard is not None else got.endswith(b"\r\n") and got.startswith(GREETINGS[name])

    emulated(main)


@pytest.mark.parametrize("name", ["imap", "smtp", "pop3"])
@pytest.mark.parametrize("point", ["request", "reply"])
def test_another_greeting_is_all_that_changes(name, point):
    async def main(server, me):
        server.faults.add(Fault("answer", "CONNECT", point=point, text="* OK other"))
        async with Wire(server, name) as wire:
            assert await wire.line() == "* OK other"
            wire.send("A NOOP\r\n")
            assert await wire.line()

    emulated(main)


# What a command is answered


@on_imap()
async def test_a_done_command_that_is_answered_otherwise_leaves_the_session_as_it_was(server, me, wire):
    stored = me.deliver(message())
    await wire.cmd("SELECT INBOX")
    server.faults.add(Fault("answer", "UID STORE", point="reply", text="NO System Error (Failure)"))
    assert await wire.cmd(SEEN) == ["NO System Error (Failure)"]
    assert stored.flags == {"\\Seen"}
    assert await wire.cmd("UID STORE 1 -FLAGS (\\Seen)") == ["* 1 FETCH (FLAGS () UID 1)", "OK Success"]


@on_imap()
async def test_what_the_client_was_not_told_is_told_by_the_next_command(server, me, wire):
    for _ in range(3):
        me.deliver(message())
    await wire.cmd("SELECT INBOX")
    server.faults.add(Fault("answer", "UID MOVE", point="reply", text="NO System Error (Failure)"))
    assert await wire.cmd("UID MOVE 1 [Gmail]/Trash") == ["NO System Error (Failure)"]
    me.deliver(message())
    assert await wire.cmd("NOOP") == ["* 1 EXPUNGE", "* 3 EXISTS", "OK Success"]
    assert await wire.cmd("FETCH 1 UID") == ["* 1 FETCH (UID 2)", "OK Success"]


@on_imap()
async def test_a_literal_is_asked_for_although_the_reply_is_replaced(server, me, wire):
    server.faults.add(Fault("answer", "APPEND", point="reply", text="NO System Error (Failure)"))
    assert await wire.cmd("APPEND INBOX {4}") == ["+ go ahead"]
    wire.send("a: b\r\n")
    assert await wire.until("A2") == ["NO System Error (Failure)"]
    assert len(me.messages) == 1


@on_imap()
async def test_an_answered_idle_still_begins(server, me, wire):
    server.faults.add(Fault("answer", "IDLE", point="reply", text="NO System Error (Failure)"))
    wire.send("A IDLE\r\n")
    assert await wire.line() == "+ idling"
    wire.send("DONE\r\n")
    assert await wire.line() == "A NO System Error (Failure)"
    assert (await wire.cmd("NOOP"))[-1] == "OK Success"


@on_imap()
async def test_a_session_that_ends_says_so_even_while_a_reply_is_replaced(server, me, wire):
    server.faults.add(Fault("answer", "IDLE", point="reply", text="NO"))
    wire.send("A IDLE\r\n")
    assert await wire.line() == "+ idling"
    me.expire_sessions()
    assert await wire.line() == "* BYE Session expired, please login again."


@on_imap()
async def test_a_command_that_cannot_be_read_is_answered_by_its_fault_all_the_same(server, me, wire):
    for point in ("request", "reply"):
        server.faults.add(Fault("answer", "NOOP", point=point, text="NO other"))
        assert await wire.cmd("NOOP {999999999}") == ["NO other"]
    server.faults.add(Fault("close", "NOOP", point="reply", byte=3))
    wire.send("A NOOP {999999999}\r\n")
    assert await wire.rest() == b"A B"


@on_server()
async def test_smtp_and_pop3_answer_otherwise_once(server, me):
    me.deliver(message())
    wire = await pop(server)
    server.faults.add(Fault("answer", "STAT", point="reply", text="-ERR other"))
    assert await wire.pop("STAT") == ["-ERR other"]
    assert (await wire.pop("STAT"))[0].startswith("+OK 1 ")
    await wire.close()
    wire = await submission(server)
    server.faults.add(Fault("answer", "RSET", point="reply", text="451 other"))
    assert await wire.smtp("RSET") == ["451 other"]
    assert (await wire.smtp("DATA"))[0].startswith("503 5.5.1 MAIL first.")
    server.faults.add(Fault("answer", "WHAT", text="451 other"))
    assert await wire.smtp("WHAT") == ["451 other"]
    assert (await wire.smtp("WHAT"))[0].startswith("502 5.5.1")
    await wire.close()


@on_server()
async def test_a_token_may_be_issued_and_the_answer_be_another(server, me):
    words = server.credentials(ME)
    form = f"grant_type=refresh_token&refresh_token={words.refresh_token.reveal()}&client_id={words.client_id}&client_secret="
    form += words.client_secret.reveal()
    server.faults.add(Fault("answer", "TOKEN", point="reply", text='503 {"error": "backend"}'))
    assert (await http(server, body=form)).startswith(b"HTTP/1.1 503 ")
    assert len(me.ledger.refreshes()) == 1
    assert b"ya29" in await http(server, body=form)


# SMTP's DATA and its message are two commands


@pytest.mark.parametrize("byte", [None, 0, 3, 5000])
@pytest.mark.parametrize("action", ["close", "reset", "bye", "truncate"])
def test_a_cut_reply_to_data_takes_no_message(action, byte):
    async def main(server, me):
        wire = await submission(server)
        server.faults.add(Fault(action, "DATA", point="reply", byte=byte))
        wire.send(b"DATA\r\n" + message() + b"\r\n.\r\n")
        try:
            got = await wire.rest()
        except ConnectionError:
            got = b""
        assert b"250" not in got
        await quiet()
        assert not server.ledger.submissions
        assert not me.messages
        await wire.close()

    emulated(main)


@on_server()
async def test_data_that_is_answered_otherwise_waits_for_no_message(server, me):
    wire = await submission(server)
    server.faults.add(Fault("answer", "DATA", point="reply", text="451 4.3.0 other"))
    assert await wire.smtp("DATA") == ["451 4.3.0 other"]
    assert (await wire.smtp(f"MAIL FROM:<{ME}>"))[0].startswith("250")
    await wire.close()
    assert me.messages == ()


@on_server()
async def test_a_muted_data_takes_the_message_in_silence(server, me):
    wire = await submission(server)
    server.faults.add(Fault("mute", "DATA", point="reply", byte=0))
    wire.send(b"DATA\r\n" + message() + b"\r\n.\r\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(9):
            await wire.line()
    assert len(me.messages) == 1
    await wire.close()


# Requests


async def sent_in_two(wire, data, at):
    """Send so many bytes, then the rest; what was heard of it."""
    wire.send(data[:at])
    await quiet()
    early = wire.reader.at_eof()
    wire.send(data[at:])
    try:
        got = await wire.rest()
    except ConnectionError:
        got = b""
    return early, got


@pytest.mark.parametrize("byte", [1, 100, 1000, 99_999])
def test_an_append_is_cut_at_its_byte_or_at_its_end(byte):
    async def main(server, me):
        async with Wire(server) as wire:
            await wire.login()
            raw = message(body="x" * 500 + "\r\n")
            server.faults.add(Fault("close", "APPEND", byte=byte))
            wire.send(b"A APPEND INBOX {%d+}\r\n%b\r\n" % (len(raw), raw))
            assert await wire.rest() == b""
            assert me.messages == ()

    emulated(main)


def test_a_message_is_cut_at_its_very_byte():
    async def main(server, me):
        for byte in (1, 10, len(BODY) - 1, len(BODY), 99_999):
            wire = await submission(server)
            server.faults.add(Fault("close", "MESSAGE", byte=byte))
            assert (await wire.smtp("DATA"))[0].startswith("354")
            channel = next(iter(server.hub.channels))
            if byte < len(BODY):
                wire.send(BODY[:byte])
                await quiet()
                assert bytes(channel._inbox) == b"" or byte - len(channel._inbox) < byte
                wire.send(BODY[byte:])
            else:
                wire.send(BODY[:-1])
                await quiet()
                assert channel._request_left is not None
                wire.send(BODY[-1:])
            assert await wire.rest() == b""
            await wire.close()
        assert me.messages == ()

    emulated(main)


BODY = message() + b".\r\n"


@on_server()
async def test_the_crlf_before_a_message_is_not_counted(server, me):
    wire = await submission(server)
    server.faults.add(Fault("garbage", "MESSAGE", byte=40, data=b"!\r\n"))
    assert (await wire.smtp("DATA"))[0].startswith("354")
    channel = next(iter(server.hub.channels))
    wire.send(BODY[:39])
    await quiet()
    assert channel._request_left is not None
    wire.send(BODY[39:40])
    await quiet()
    assert channel._request_left is None
    await wire.close()


@pytest.mark.parametrize("byte", [10, 40, 9999])
def test_a_bdat_chunk_is_cut_at_its_byte_and_then_not_seen(byte):
    async def main(server, me):
        wire = await submission(server)
        raw = message()
        server.faults.add(Fault("close", "MESSAGE", byte=byte))
        wire.send(b"BDAT %d LAST\r\n" % len(raw) + raw)
        assert await wire.rest() == b""
        assert ("MESSAGE" in server.ledger.verbs("smtp")) is (byte == 9999)
        assert me.messages == ()
        await wire.close()

    emulated(main)


@on_server()
async def test_a_bdat_is_seen_only_when_its_bytes_are_here(server, me):
    wire = await submission(server)
    wire.send(b"BDAT 100 LAST\r\nabc")
    await quiet()
    assert "MESSAGE" not in server.ledger.verbs("smtp")
    await wire.close()


@pytest.mark.parametrize("byte", [10, 60, 9999])
def test_a_request_over_http_is_cut_at_its_byte(byte):
    async def main(server, me):
        server.faults.add(Fault("close", "TOKEN", byte=byte))
        async with Wire(server, "http") as wire:
            wire.send("POST /token HTTP/1.1\r\nContent-Length: 50\r\n\r\n")
            await quiet()
            assert wire.reader.at_eof() is (byte <= 30)
            wire.send("x" * 50)
            assert await wire.rest() == b""
        assert server.ledger.tokens == []
        assert len(server.faults.hit) == 1

    emulated(main)


@pytest.mark.parametrize("name", ["imap", "smtp", "pop3"])
@pytest.mark.parametrize("initial", [True, False])
def test_a_login_is_cut_before_it_takes_effect(name, initial):
    async def main(server, me):
        blob = xoauth2(server.access_token(ME))
        verb = "AUTHENTICATE" if name == "imap" else "AUTH"
        server.faults.add(Fault("close", verb, byte=30 + len(blob) if initial else 60))
        async with Wire(server, name) as wire:
            await wire.line()
            if name == "smtp":
                await wire.smtp("EHLO me")
            wire.send(f"{'A ' if name == 'imap' else ''}{verb} XOAUTH2" + (f" {blob}\r\n" if initial else "\r\n"))
            if not initial:
                assert (await wire.line()).startswith(("+", "334"))
                wire.send(blob + "\r\n")
            assert await wire.rest() == b""
        assert me.ledger.connections == []

    emulated(main)


@on_server()
async def test_a_login_is_done_and_nothing_is_heard_of_it_but_its_prompt(server, me):
    for name, verb in (("imap", "AUTHENTICATE"), ("smtp", "AUTH"), ("pop3", "AUTH")):
        server.faults.add(Fault("close", verb, point="reply", byte=0))
        async with Wire(server, name) as wire:
            await wire.line()
            if name == "smtp":
                await wire.smtp("EHLO me")
            wire.send(f"{'A ' if name == 'imap' else ''}{verb} XOAUTH2\r\n")
            assert (await wire.line()).startswith(("+", "334"))
            wire.send(xoauth2(server.access_token(ME)) + "\r\n")
            assert await wire.rest() == b""
    assert [record.protocol for record in me.ledger.connections] == ["imap", "smtp", "pop3"]


@on_imap()
async def test_a_black_hole_in_a_reply_executes_nothing_more(server, me, wire):
    stored = me.deliver(message())
    await wire.cmd("SELECT INBOX")
    server.faults.add(Fault("blackhole", "NOOP", point="reply", byte=1))
    wire.send(f"A NOOP\r\nB {SEEN}\r\n")
    await quiet()
    assert stored.flags == frozenset()


# What nobody foresaw


@pytest.mark.parametrize("name", ["imap", "smtp", "pop3", "http"])
def test_a_crash_is_answered_and_raised_when_the_emulator_is_closed(name, monkeypatch):
    def broken(*_args, **_options):
        raise ZeroDivisionError("broken")

    async def main(server, me):
        me.deliver(message())
        monkeypatch.setattr(me, "storage" if name == "imap" else "by_gmail_id", broken)
        if name == "imap":
            async with Wire(server) as wire:
                await wire.login()
                assert (await wire.cmd("GETQUOTA x"))[0].startswith("BAD System Error")
                assert await wire.cmd("NOOP") == ["OK Success"]
        elif name == "smtp":
            wire = await submission(server)
            monkeypatch.setattr("aiogmail.testing.smtp.Submission", broken)
            assert (await wire.smtp("DATA"))[0].startswith("354")
            assert (await wire.smtp(message().decode() + "."))[0].startswith("451 4.3.0")
            assert (await wire.smtp("NOOP"))[0].startswith("250")
            await wire.close()
        elif name == "pop3":
            wire = await pop(server)
            await wire.pop("DELE 1")
            assert (await wire.pop("QUIT"))[0].startswith("-ERR [SYS/TEMP]")
            await wire.close()
        else:
            monkeypatch.setattr(server.oauth, "handle", broken)
            assert (await http(server)).startswith(b"HTTP/1.1 500 ")

    with pytest.raises(ExceptionGroup, match="commands crashed") as told:
        emulated(main)
    assert [str(error) for error in told.value.exceptions] == ["broken"]


def test_the_tests_own_failure_comes_first(monkeypatch):
    async def main(server, me):
        server.hub.crashed(ValueError("theirs"))
        raise KeyError("mine")

    with pytest.raises(KeyError) as told:
        emulated(main)
    assert "theirs" in told.value.__notes__[0]


@on_server()
async def test_json_that_nests_too_deep_is_a_bad_request(server, me):
    async with Wire(server, "http") as wire:
        body = "[" * 60_000
        wire.send(f"POST /token HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        assert await wire.line() == "HTTP/1.1 400 Bad Request"
        assert json.loads((await wire.rest()).partition(b"\r\n\r\n")[2]) == {"error": "invalid_request"}


# A request that is cut before its line is whole


async def login(server, name):
    wire = await Wire(server, name).open()
    if name == "imap":
        await wire.login()
    elif name == "pop3":
        await wire.line()
        await wire.pop(f"AUTH XOAUTH2 {xoauth2(server.access_token(ME))}")
    elif name == "smtp":
        await wire.reply()
        await wire.smtp("EHLO me")
    return wire


PARTIAL = [
    ("imap", "UID FETCH", "A1 UID FETCH 1:* FLAGS"),
    ("imap", "SELECT", "A1 SELECT INBOX"),
    ("smtp", "AUTH", "AUTH XOAUTH2 dXNlcg=="),
    ("pop3", "RETR", "RETR 1"),
    ("http", "TOKEN", "POST /token HTTP/1.1"),
]


@pytest.mark.parametrize(("name", "command", "line"), PARTIAL)
def test_a_request_is_cut_at_its_byte_although_its_line_never_ends(name, command, line):
    async def main(server, me):
        wire = await login(server, name)
        known = line.index(" ", line.index(command.rpartition(" ")[2]) if name == "imap" else 5 if name == "http" else 0) + 1
        for byte in (1, known, known + 1, len(line)):
            fault = server.faults.add(Fault("close", command, byte=byte))
            size = max(byte, known)  # before the command is known nobody can tell whom the fault waits for
            wire.send(line[: size - 1])
            await quiet()
            assert not wire.reader.at_eof()
            assert fault in server.faults.waiting or size > known
            wire.send(line[size - 1 : size])
            assert await wire.rest() == b""
            assert server.faults.hit[-1] is fault
            await wire.close()
            wire = await login(server, name)
        assert command not in [seen.verb for seen in server.ledger.commands[-2:] if seen.line == line]
        await wire.close()

    emulated(main)


@pytest.mark.parametrize(
    ("text", "heard"),
    [("A1 NOOP", ""), ("A1 NOOP\n", "* BAD invalid tag"), ("A1 NOOP \n", "* BAD invalid tag|!"), ("\x00 NOOP x\r\n", "* BAD invalid tag")],
)
def test_a_line_that_is_no_command_meets_its_fault_where_it_named_one(text, heard):
    async def main(server, me):
        wire = await login(server, "imap")
        fault = server.faults.add(Fault("garbage", "NOOP", byte=500, data=b"!\r\n"))
        for character in text:
            wire.send(character)
            await quiet()
        wire.writer.write_eof()
        got = (await wire.rest()).decode().split("\r\n")[:-1]
        assert [line.rpartition(" ")[0] or line for line in got] == heard.split("|") * bool(heard)
        assert (fault in server.faults.hit) is heard.endswith("!")
        await wire.close()

    emulated(main)


# Just before the tagged line


@on_imap()
async def test_a_fault_before_the_tagged_line_lets_the_rest_of_the_reply_through(server, me, wire):
    me.deliver(message())
    await wire.cmd("SELECT INBOX")
    server.faults.add(Fault("answer", "UID FETCH", point="tagged", text="NO Some messages could not be FETCHed (Failure)"))
    assert await wire.cmd("UID FETCH 1 FLAGS") == [
        "* 1 FETCH (UID 1 FLAGS ())",
        "NO Some messages could not be FETCHed (Failure)",
    ]
    server.faults.add(Fault("garbage", "UID FETCH", point="tagged", data=b"* OK by the way\r\n"))
    assert await wire.cmd("UID FETCH 1 FLAGS") == ["* 1 FETCH (UID 1 FLAGS ())", "* OK by the way", "OK Success"]
    server.faults.add(Fault("close", "UID STORE", point="tagged"))
    wire.send(f"A {SEEN}\r\n")
    assert await wire.rest() == b"* 1 FETCH (FLAGS (\\Seen) UID 1)\r\n"


@on_imap()
async def test_a_fault_calls_when_it_happens_and_an_ending_may_have_last_bytes(server, me, wire):
    for byte in (None, 3):
        seen, before = [], len(server.ledger.commands)
        fault = Fault("delay", "NOOP", byte=byte, seconds=5, call=lambda seen=seen: seen.append(len(server.ledger.commands)))
        server.faults.add(fault)
        await wire.cmd("NOOP")
        assert seen == [before + (byte is None)]
    server.faults.add(Fault("close", "NOOP", data=b"* 7 EX", call=lambda: seen.append("closed")))
    wire.send("A NOOP\r\n")
    assert await wire.rest() == b"* 7 EX"
    assert seen[-1] == "closed"
