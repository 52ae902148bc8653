"""None of aioimaplib 2.0.3's known defects (I10 to I17) shows here, whichever way the connection is used."""

import asyncio
import base64
import socket
import traceback

import pytest

from aiogmail import errors
from aiogmail.imap.commands import Noop, UidFetch, UidSearch
from aiogmail.imap.compat import Imap4
from aiogmail.imap.door import ConnectionLost, aioimaplib
from aiogmail.imap.protocol import ImapProtocol
from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Atom
from aiogmail.ports import Outcome
from aiogmail.secret import Secret
from aiogmail.settings import Limits, Timeouts
from tests.compat.harness import ADDRESS, TOKEN, both, connected, outcome, outcomes, scripted, session_of, until
from tests.compat.test_defects_imap import fed, hang, tag_of
from tests.support.aio import run
from tests.support.canary import CANARIES
from tests.support.scripted import ScriptedImap

Abort, STOP = aioimaplib.Abort, aioimaplib.STOP_WAIT_SERVER_PUSH


def after(seconds, reply):
    async def handler(connection, command):
        await asyncio.sleep(seconds)
        await connection.send(reply)
        await connection.ok(command)

    return handler


async def cancelled(task):
    """Cancel a task that has had time to write its command."""
    await asyncio.sleep(0.03)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# -- I10: cancelling -----------------------------------------------------------------------------------------------------

CHANGES = {
    "SUBSCRIBE": lambda imap: imap.subscribe("x"),
    "SELECT": lambda imap: imap.select("Slow"),
    "UID STORE": lambda imap: imap.uid("store", "1", "+FLAGS (\\Seen)"),
    "UID FETCH": lambda imap: imap.uid("fetch", "1", "(BODY.PEEK[])"),
    "CREATE": lambda imap: imap.create("x"),
}


@both
@pytest.mark.parametrize("verb", CHANGES)
def test_i10_what_cannot_be_dropped_costs_the_connection_at_once(kind, verb):
    async def test(server):
        async with connected(server, kind) as imap:
            server.on(verb, hang)
            task = asyncio.ensure_future(CHANGES[verb](imap))
            waiting = asyncio.ensure_future(imap.list('""', "*")) if verb != "UID FETCH" else None
            await cancelled(task)
            assert imap.get_state() == "LOGOUT"
            assert isinstance(await outcome(imap.uid("fetch", "1", "(FLAGS)")), Abort)
            if waiting is not None:
                assert isinstance(await outcome(waiting), Abort)

    scripted(test)


@both
@pytest.mark.parametrize(
    ("verb", "untagged", "call"),
    [
        ("STATUS", b"* STATUS x (MESSAGES 1)\r\n", lambda imap: imap.status("x", "(MESSAGES)")),
        ("UID FETCH", b"* 1 FETCH (UID 1 FLAGS ())\r\n", lambda imap: imap.uid("fetch", "1:10", "(FLAGS)")),
        ("LIST", b'* LIST () "/" x1\r\n', lambda imap: imap.list('""', "*")),
        ("NOOP", b"* 4 EXISTS\r\n", lambda imap: imap.noop()),
    ],
)
def test_i10_the_small_reply_of_a_cancelled_read_is_dropped(kind, verb, untagged, call):
    async def test(server):
        async with connected(server, kind) as imap:
            server.on(verb, after(0.1, untagged))
            await cancelled(asyncio.ensure_future(call(imap)))
            server.reply(verb, untagged.replace(b"1", b"2").replace(b"4", b"5"))
            reply = await outcome(call(imap))
            assert reply.result == "OK"
            assert len(reply.lines) == 2
            assert b"2" in reply.lines[0] or b"5" in reply.lines[0]

    scripted(test)


@both
def test_i10_what_was_not_written_yet_is_forgotten(kind):
    async def test(server):
        async with connected(server, kind) as imap:
            server.on("UID COPY", after(0.1, b""))
            copy = asyncio.ensure_future(imap.uid("copy", "1", "x"))
            await cancelled(asyncio.ensure_future(imap.subscribe("never")))
            assert (await copy).result == "OK"
            assert (await imap.noop()).result == "OK"
            assert "SUBSCRIBE" not in server.names()

    scripted(test)


@both
@pytest.mark.parametrize("call", ["select", "examine"])
def test_i10_after_a_failed_select_nothing_is_selected(kind, call):
    async def test(server):
        server.mailboxes = {b"INBOX"}
        async with connected(server, kind) as imap:
            assert imap.get_state() == "SELECTED"
            result, lines = await getattr(imap, call)("Gone")
            assert (result, lines[-1]) == ("NO", b"[NONEXISTENT] Unknown Mailbox: Gone (Failure)")
            assert imap.get_state() == "AUTH"
            with pytest.raises(Abort, match="command FETCH illegal in state AUTH"):
                await imap.fetch("1", "FLAGS")
            await imap.select("INBOX")
            assert imap.get_state() == "SELECTED"

    scripted(test)


def test_i10_our_own_session_too():
    async def test(server):
        server.on("UID SEARCH", after(0.05, b"* SEARCH 1\r\n"))
        async with session_of(server) as session:
            session.select("INBOX", readonly=False)
            await cancelled(asyncio.ensure_future(session.execute(UidSearch([Atom("ALL")], esearch=False))))
            server.reply("UID SEARCH", b"* SEARCH 2\r\n")
            assert str(await session.execute(UidSearch([Atom("ALL")], esearch=False))) == "2"

    scripted(test)


# -- I11: news that are lost -----------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("cut", [None, *range(1, 60, 4)])
def test_i11_what_comes_with_the_end_of_idle_is_told(kind, cut):
    async def idle(connection, command):
        await connection.send(b"+ idling\r\n")
        assert await connection.line() == b"DONE\r\n"
        last = b"* 24 EXISTS\r\n* 3 EXPUNGE\r\n" + command.tag + b" OK IDLE terminated (Success)\r\n"
        await (connection.send(last) if cut is None else connection.send_split(last, cut))

    async def test(server):
        server.on("IDLE", idle)
        async with connected(server, kind) as imap:
            idling = await imap.idle_start(20)
            imap.idle_done()
            assert await asyncio.wait_for(idling, 2) == ("OK", [b"IDLE terminated (Success)"])
            heard = []
            while len(heard) < 2:
                heard += await imap.wait_server_push(1)
            assert heard == [b"24 EXISTS", b"3 EXPUNGE"]
            assert imap.protocol.idle_queue.empty()

    scripted(test)


@both
@pytest.mark.parametrize(
    ("verb", "row", "call"),
    [
        ("UID FETCH", b"* 1 FETCH (UID 1 FLAGS ())\r\n", lambda imap: imap.uid("fetch", "1", "(FLAGS)")),
        ("UID STORE", b"* 1 FETCH (UID 1 FLAGS ())\r\n", lambda imap: imap.uid("store", "1", "+FLAGS", "(x)")),
        ("SEARCH", b"* SEARCH 1\r\n", lambda imap: imap.search("ALL")),
        ("STATUS", b"* STATUS x (MESSAGES 1)\r\n", lambda imap: imap.status("x", "(MESSAGES)")),
    ],
)
def test_i11_what_comes_outside_idle_is_told_too(kind, verb, row, call):
    async def test(server):
        server.reply(verb, b"* 25 EXISTS\r\n", row, b"* 3 EXPUNGE\r\n")
        async with connected(server, kind) as imap:
            result, lines = await call(imap)
            assert (result, len(lines)) == ("OK", 2)
            assert await imap.wait_server_push(1) == [b"25 EXISTS", b"3 EXPUNGE"]

    scripted(test)


@both
def test_i11_the_stop_marker_of_one_idle_is_not_the_first_push_of_the_next(kind):
    async def idle(connection, command):
        await connection.send(b"+ idling\r\n")
        await connection.line()
        await connection.ok(command)
        server_idles.append(command.tag)

    server_idles = []

    async def test(server):
        server.on("IDLE", idle)
        async with connected(server, kind) as imap:
            for _ in range(3):
                idling = await imap.idle_start(0.01)
                await asyncio.sleep(0.03)  # the marker is in the queue, and nobody takes it
                imap.idle_done()
                await idling
            idling = await imap.idle_start(20)
            with pytest.raises(TimeoutError):
                await imap.wait_server_push(0.05)
            assert await imap.stop_wait_server_push()
            assert await imap.wait_server_push(1) == STOP
            imap.idle_done()
            await idling
            assert not await imap.stop_wait_server_push()

    scripted(test)


@both
def test_i11_done_without_idle_is_not_said(kind):
    async def test(server):
        async with connected(server, kind) as imap:
            imap.idle_done()
            idling = await imap.idle_start(20)
            imap.idle_done()
            imap.idle_done()
            await idling
            imap.idle_done()
            assert (await imap.noop()).result == "OK"
            assert server.lines.count(b"DONE\r\n") == 1

    scripted(test)


@both
@pytest.mark.parametrize("count", [1, 3])
def test_i11_another_command_ends_an_idle_and_who_waits_for_pushes_hears_it(kind, count):
    async def test(server):
        server.reply("STATUS", b"* STATUS x (MESSAGES 1)\r\n")
        async with connected(server, kind) as imap:
            idling = await imap.idle_start(20)
            push = asyncio.ensure_future(imap.wait_server_push(20))
            results = await outcomes(*(imap.status("x", "(MESSAGES)") for _ in range(count)))
            assert [result.result for result in results] == ["OK"] * count
            assert await asyncio.wait_for(push, 1) == STOP
            assert not imap.has_pending_idle()
            imap.idle_done()
            assert (await idling).result == "OK"

    scripted(test)


@both
def test_i11_an_idle_may_be_ended_before_it_began_and_be_cancelled(kind):
    async def slowly(connection, command):
        await asyncio.sleep(0.05)
        await connection.send(b"+ idling\r\n")
        assert await connection.line() == b"DONE\r\n"
        await connection.ok(command)

    async def test(server):
        server.on("IDLE", slowly)
        async with connected(server, kind) as imap:
            idling = asyncio.ensure_future(imap.idle())
            await asyncio.sleep(0.02)
            imap.idle_done()
            assert (await asyncio.wait_for(idling, 1)).result == "OK"
            copy = asyncio.ensure_future(imap.noop())
            idling = asyncio.ensure_future(imap.idle())
            await asyncio.sleep(0)
            imap.idle_done()  # while it waits for its turn
            assert (await asyncio.wait_for(idling, 1)).result == "OK"
            assert (await copy).result == "OK"
            await cancelled(asyncio.ensure_future(imap.idle()))
            assert (await imap.noop()).result == "OK"

    scripted(test)


# -- I12: secrets ----------------------------------------------------------------------------------------------------------


def shown(error):
    """Everything that an error report could show, locals of frames included."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(line for line in report.format(chain=True))


@pytest.mark.parametrize("reply", ["OK in", "NO [AUTHENTICATIONFAILED] no", "BAD what", None, "FORGED"])
@pytest.mark.parametrize("call", ["login", "xoauth2"])
def test_i12_no_secret_is_logged_or_shown_whatever_the_server_answers(call, reply):
    """That none is logged is seen to by a watch over all loggers at DEBUG (tests/conftest.py)."""

    async def answer(connection, command):
        if reply is None:
            await connection.reset()
        tag = b"ZZ1" if reply == "FORGED" else command.tag
        await connection.send(tag, b" " + ("OK" if reply == "FORGED" else reply).encode() + b"\r\n")

    async def test(server):
        server.on("LOGIN", answer)
        server.on("AUTHENTICATE", answer)
        imap = Imap4("127.0.0.1", server.port, timeout=2)
        await imap.wait_hello_from_server()
        reply_or_error = await outcome(getattr(imap, call)(ADDRESS, CANARIES.secret("password")))
        if isinstance(reply_or_error, Exception):
            frames = shown(reply_or_error)
            assert isinstance(reply_or_error, Abort)
            ours = frames[frames.index("aiogmail/") :]
            assert not CANARIES.found_in(ours)
        else:
            assert reply_or_error.result == reply.split()[0]
        assert not CANARIES.found_in(repr(imap.protocol.__dict__))
        assert CANARIES.found_in(base64.b64decode(server.commands[-1].arguments.split()[-1] + b"==").decode("latin-1")) or call == "login"
        imap.abort()

    scripted(test)


def test_i12_commands_made_by_hand_do_not_log_them_either():
    async def test(server):
        server.reply("LOGIN")
        server.reply("X-SECRET")
        imap = Imap4("127.0.0.1", server.port, timeout=2)
        await imap.wait_hello_from_server()
        command = aioimaplib.Command("LOGIN", "x1", "me", f'"{CANARIES.secret("password")}"')
        assert (await imap.protocol.execute(command)).result == "OK"
        secret = CANARIES.secret("other")
        await imap.protocol.execute(aioimaplib.Command("X-SECRET", "x2", secret), scrub=secret)
        assert secret.encode() in server.lines[-1]
        imap.abort()

    scripted(test)


@pytest.mark.parametrize("peer", [("203.0.113.5", 143), ("2001:db8::1", 143, 0, 0), None, "/run/imap.sock"])
@pytest.mark.parametrize("call", ["login", "xoauth2", "execute"])
def test_i12_no_secret_goes_in_plain_text_to_another_machine(peer, call):
    async def main():
        for tls in (None, object()):
            protocol = await fed(peer=peer, tls=tls)
            work = {
                "login": lambda p: p.login("me", CANARIES.secret("password")),
                "xoauth2": lambda p: p.xoauth2("me", CANARIES.secret("token")),
                "execute": lambda p: p.execute(aioimaplib.Command("AUTHENTICATE", "x", "PLAIN", CANARIES.secret("token"))),
            }[call](protocol)
            if tls is None:
                with pytest.raises(Abort, match="in plain text would show the secret"):
                    await work
                assert protocol.transport.written == b""
            else:
                task = asyncio.ensure_future(work)
                await asyncio.sleep(0)
                protocol.data_received(tag_of(protocol) + b" OK in\r\n")
                assert (await task).result == "OK"
            protocol.fail(errors.Disconnected("over"))

    run(main())


@pytest.mark.parametrize("token", [TOKEN, TOKEN.encode(), Secret(TOKEN)], ids=["str", "bytes", "Secret"])
def test_i12_a_token_may_be_text_bytes_or_a_secret(token):
    async def test(server):
        server.tokens = {TOKEN}
        imap = Imap4("127.0.0.1", server.port, timeout=2)
        await imap.wait_hello_from_server()
        assert (await outcome(imap.xoauth2(ADDRESS, token))).result == "OK"
        imap.abort()

    scripted(test)


@pytest.mark.parametrize(
    ("untagged", "tagged"),
    [
        (b"* CAPABILITY IMAP4rev1 UIDPLUS MOVE CONDSTORE ENABLE\r\n", "OK in"),
        (b"", "OK [CAPABILITY IMAP4rev1 UIDPLUS MOVE CONDSTORE ENABLE] in"),
        (b"* CAPABILITY IMAP4rev1\r\n", "OK [CAPABILITY IMAP4rev1 UIDPLUS MOVE CONDSTORE ENABLE] in"),
    ],
)
@pytest.mark.parametrize("call", ["login", "xoauth2"])
def test_i12_the_capabilities_told_at_the_login_are_known(call, untagged, tagged):
    async def test(server):
        server.reply("AUTHENTICATE", untagged, tagged=tagged)
        server.reply("LOGIN", untagged, tagged=tagged)
        imap = Imap4("127.0.0.1", server.port, timeout=2)
        await imap.wait_hello_from_server()
        await getattr(imap, call)(ADDRESS, TOKEN)
        assert imap.protocol.capabilities == {"IMAP4rev1", "UIDPLUS", "MOVE", "CONDSTORE", "ENABLE"}
        assert imap.has_capability("condstore")
        assert not imap.has_capability("SASL-IR")
        imap.abort()

    scripted(test)


# -- I13: the greeting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("greeting", "state"),
    [
        (b"* OK hello\r\n", "NONAUTH"),
        (b"* ok this server has no PREAUTH support\r\n", "NONAUTH"),
        (b"* OK [CAPABILITY IMAP4rev1 IDLE] hello\r\n", "NONAUTH"),
        (b"* PREAUTH hello\r\n", "AUTH"),
        (b"* OK hi\r\n* OK [ALERT] maintenance at 5\r\n", "NONAUTH"),
        (b"* BYE LOOKUP failed, try later\r\n", None),
        (b"* BYE Too many simultaneous connections. (Failure)\r\n", None),
        (b"* NO way\r\n", None),
        (b"220 mail.example.org ESMTP\r\n", None),
        (b"", None),
    ],
)
def test_i13_a_greeting_is_read_and_not_guessed(greeting, state):
    async def test(server):
        imap = Imap4("127.0.0.1", server.port, timeout=0.2 if not greeting else 2)
        error = await outcome(imap.wait_hello_from_server())
        if state is None:
            assert isinstance(error, Abort if greeting else TimeoutError)
            assert imap.get_state() == "LOGOUT"
            assert isinstance(await outcome(imap.noop()), Abort)
        else:
            assert error is None
            assert imap.get_state() == state
            assert server.names() == ([] if b"CAPABILITY" in greeting else ["CAPABILITY"])
            assert imap.protocol.imap_version == "IMAP4REV1"
            imap.abort()
        if b"Too many" in greeting:
            assert isinstance(error.__cause__, errors.TooManyConnections)

    scripted(test, greeting=greeting)


@pytest.mark.parametrize("cut", range(1, 20, 3))
def test_i13_wherever_its_segments_end(cut):
    async def main():
        async with ScriptedImap() as server:
            server.greeting = None
            imap = Imap4("127.0.0.1", server.port, timeout=2)
            hello = asyncio.ensure_future(imap.wait_hello_from_server())
            await until(lambda: server.connections)
            await server.connections[0].send_split(b"* PREAUTH hi there\r\n* OK [ALERT] x\r\n", cut)
            await hello
            assert imap.get_state() == "AUTH"
            with pytest.raises(Abort, match="command AUTHENTICATE illegal in state AUTH"):
                await imap.xoauth2(ADDRESS, TOKEN)
            imap.abort()

    run(main())


def test_i13_a_server_that_is_no_imap4_is_left():
    async def test(server):
        imap = Imap4("127.0.0.1", server.port, timeout=2)
        error = await outcome(imap.wait_hello_from_server())
        assert isinstance(error, aioimaplib.Error)
        assert "server not IMAP4 compliant" in str(error)

    scripted(test, before_auth="YESAUTH")


def test_i13_our_own_session_takes_no_bye_for_an_ok():
    async def test(server):
        with pytest.raises(errors.Disconnected, match="LOOKUP failed"):
            async with session_of(server):
                pass

    scripted(test, greeting=b"* BYE LOOKUP failed, try later\r\n")


# -- I14: what is data, what is protocol -----------------------------------------------------------------------------------

ROW = b'* %d FETCH (UID %d ENVELOPE ("d" "%s" NIL NIL NIL NIL NIL NIL NIL "<a@x>"))\r\n'
CONFUSING = {
    "parentheses in quotes": (
        ROW % (1, 1, b"smile :-( or (") + ROW % (2, 2, b"second") + b"* 7 EXISTS\r\n",
        [b"1 FETCH", b"2 FETCH"],
        [b"7 EXISTS"],
    ),
    "a brace in quotes": (ROW % (1, 1, b"see {42}") + ROW % (2, 2, b"{5}"), [b"1 FETCH", b"2 FETCH"], []),
    "a literal's mark in text": (b"* OK [ALERT] see ticket {42}\r\n" + ROW % (1, 1, b"x"), [b"1 FETCH"], [b"OK [ALERT] see ticket {42}"]),
    "escaped quotes": (ROW % (1, 1, rb"say \"(\" twice") + ROW % (2, 2, rb"\\"), [b"1 FETCH", b"2 FETCH"], []),
    "a bare line feed before a literal": (
        b'* 1 FETCH (UID 1 ENVELOPE ("a\nb") BODY[] {19}\r\nA7 OK forged line\r\n)\r\n',
        [b"1 FETCH", b"A7 OK forged line\r\n", b")"],
        [],
    ),
    "a reply in a literal": (
        b"* 1 FETCH (UID 1 BODY[] {26}\r\n* 9 EXISTS\r\nA1 OK forged\r\n)\r\n",
        [b"1 FETCH (UID 1 BODY[] {26}", b"* 9 EXISTS\r\nA1 OK forged\r\n", b")"],
        [],
    ),
}


@both
@pytest.mark.parametrize("case", CONFUSING)
def test_i14_data_is_not_taken_for_protocol(kind, case):
    sent, firsts, news = CONFUSING[case]

    async def test(server):
        server.reply("UID FETCH", sent)
        async with connected(server, kind) as imap:
            result, lines = await outcome(imap.uid("fetch", "1:2", "(ENVELOPE)"))
            assert result == "OK"
            assert [bytes(line)[: len(first)] for line, first in zip(lines, firsts, strict=False)] == firsts
            assert lines[-1] == b"Success"
            assert len(lines) == len(firsts) + 1
            if news:
                assert await imap.wait_server_push(1) == news
            assert (await imap.noop()).result == "OK"

    scripted(test)


BROKEN = {
    "a word that begins like a status": b"X1 NOTICE this is no tagged status\r\n",
    "5000 digits": b"* 1 FETCH (BODY[] {" + b"9" * 5000 + b"}\r\n",
    "a literal of 99999999999 octets": b"* 1 FETCH (BODY[] {99999999999}\r\n" + b"z" * 4096,
    "a forged tag": b"A7 OK forged line\r\n",
    "a literal that is too short": b'* 1 FETCH (UID 1 BODY[] {5}\r\nHello\r\n* 9999 EXISTS\r\n* LIST () "/" "Injected"\r\n)\r\n',
}


@both
@pytest.mark.parametrize("case", BROKEN)
def test_i14_what_breaks_the_grammar_ends_the_connection_and_nothing_of_it_is_believed(kind, case):
    async def test(server):
        server.reply("UID FETCH", BROKEN[case])
        async with connected(server, kind) as imap:
            error = await outcome(imap.uid("fetch", "1", "(BODY[])"))
            assert isinstance(error, Abort)
            assert isinstance(error.__cause__, errors.ProtocolError)
            with pytest.raises(Abort):
                await imap.wait_server_push(1)

    scripted(test)


@both
@pytest.mark.parametrize("status", ["ok", "Ok", "no", "bad"])
def test_i14_a_status_may_be_in_lower_case(kind, status):
    async def test(server):
        server.reply("UID FETCH", tagged=f"{status} done")
        async with connected(server, kind) as imap:
            assert await outcome(imap.uid("fetch", "1", "(FLAGS)")) == (status.upper(), [b"done"])

    scripted(test)


def test_i14_what_is_refused_as_too_large_is_not_kept():
    async def main():
        protocol = await fed(Limits(literal=1000))
        protocol.state = "SELECTED"
        task = asyncio.ensure_future(protocol.fetch("1", "BODY[]"))
        await asyncio.sleep(0)
        protocol.data_received(b"* 1 FETCH (BODY[] {1001}\r\n")
        assert isinstance((await outcome(task)).__cause__, errors.LimitExceeded)
        for _ in range(10):
            protocol.data_received(b"z" * 65536)
        assert protocol._parser.pending == 0

    run(main())


# -- I15: arguments, states, time, floods ----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(("name", "wire"), [("Work", b"Work"), ("two words", b'"two words"'), ("Entwürfe", b"Entw&APw-rfe")])
def test_i15_the_quota_root_of_the_mailbox_that_was_named(kind, name, wire):
    async def test(server):
        server.reply("GETQUOTAROOT", b'* QUOTAROOT x ""\r\n* QUOTA "" (STORAGE 1 2)\r\n')
        async with connected(server, kind) as imap:
            assert await imap.getquotaroot(name) == ("OK", [b'"" (STORAGE 1 2)', b'QUOTAROOT x ""', b"Success"])
            assert server.commands[-1].arguments == wire

    scripted(test)


@both
def test_i15_what_needs_a_mailbox_is_legal_after_examine(kind):
    async def test(server):
        server.reply("FETCH", b"* 1 FETCH (FLAGS ())\r\n")
        server.reply("UID FETCH", b"* 1 FETCH (UID 1 FLAGS ())\r\n")
        server.reply("UID SEARCH", b"* SEARCH 1\r\n")
        server.reply("CLOSE")
        async with connected(server, kind, mailbox=None) as imap:
            with pytest.raises(Abort, match="illegal in state AUTH"):
                await imap.fetch("1", "FLAGS")
            with pytest.raises(Abort, match="command UID illegal in state AUTH"):
                await imap.uid("fetch", "1", "FLAGS")
            assert (await imap.examine("INBOX")).result == "OK"
            assert (await imap.fetch("1", "FLAGS")).lines[0] == b"1 FETCH (FLAGS ())"
            assert (await imap.uid("fetch", "1", "FLAGS")).lines[0] == b"1 FETCH (UID 1 FLAGS ())"
            assert (await imap.uid_search("ALL")).lines[0] == b"1"
            await imap.close()
            with pytest.raises(Abort, match="illegal in state AUTH"):
                await imap.fetch("1", "FLAGS")

    scripted(test)


@both
@pytest.mark.parametrize("gap", [0.05, 0.1, 0.15])
@pytest.mark.slow
def test_i15_a_drip_does_not_keep_a_command_alive_for_ever(kind, gap):
    async def drip(connection, command):
        for n in range(1, 10_000):
            await connection.send(b"* %d FETCH (FLAGS ())\r\n" % n)
            await asyncio.sleep(gap)

    async def test(server):
        server.on("FETCH", drip)
        async with connected(server, kind, timeout=0.2) as imap:
            began = asyncio.get_running_loop().time()
            error = await outcome(imap.fetch("1", "FLAGS"))
            assert isinstance(error, aioimaplib.CommandTimeout)
            assert asyncio.get_running_loop().time() - began < 0.8

    scripted(test)


@both
def test_i15_but_a_long_transfer_may_take_as_long_as_it_comes(kind):
    async def flow(connection, command):
        await connection.send(b"* 1 FETCH (BODY[] {%d}\r\n" % (8 * 4096))
        for _ in range(8):
            await connection.send(b"z" * 4096)
            await asyncio.sleep(0.08)
        await connection.send(b")\r\n")
        await connection.ok(command)

    async def test(server):
        server.on("UID FETCH", flow)
        async with connected(server, kind, timeout=0.2) as imap:
            assert len((await outcome(imap.uid("fetch", "1", "(BODY[])"))).lines[1]) == 8 * 4096

    scripted(test)


@both
@pytest.mark.parametrize("verb", ["copy", "store", "move", "expunge", "fetch"])
def test_i15_every_command_has_an_end(kind, verb):
    async def test(server):
        server.on(f"UID {verb}", hang)
        async with connected(server, kind, timeout=0.1) as imap:
            error = await outcome(imap.uid(verb, "1", "X"))
            assert isinstance(error, TimeoutError)

    scripted(test)


@both
def test_i15_a_flood_in_idle_holds_back_the_server(kind):
    async def flood(connection, command):
        await connection.send(b"+ idling\r\n")
        for _ in range(20):
            await connection.send(b"".join(b"* %d EXISTS\r\n" % n for n in range(1, 501)))
        await connection.line()
        await connection.ok(command)

    async def test(server):
        server.on("IDLE", flood)
        async with connected(server, kind) as imap:
            idling = await imap.idle_start(60)
            await until(lambda: not imap.protocol.transport.is_reading())
            waiting = sum(map(len, imap.protocol.idle_queue._queue))
            assert waiting < 30_000
            heard = 0
            while heard < waiting + 1_000:
                heard += len(await imap.wait_server_push(2))
            await until(lambda: imap.protocol.transport.is_reading() or not imap.protocol.idle_queue.empty())
            imap.idle_done()
            assert (await outcome(idling, within=10)).result == "OK"

    scripted(test)


def test_i15_news_that_nobody_reads_are_bounded_outside_idle():
    async def main():
        protocol = await fed(Limits(buffer=20_000))
        for n in range(1_001, 2_001):
            protocol.data_received(b"* %d EXISTS\r\n" % n)
        assert 100 < protocol.idle_queue.qsize() < 200
        assert await protocol.idle_queue.get() == [b"%d EXISTS" % (2_000 - protocol.idle_queue.qsize())]
        while not protocol.idle_queue.empty():
            last = await protocol.idle_queue.get()
        assert last == [b"2000 EXISTS"]
        assert not protocol.is_holding()
        assert protocol._held == 0
        protocol.fail(errors.Disconnected("over"))

    run(main())


WIRE = [
    (lambda imap: imap.create("two words"), b'CREATE "two words"'),
    (lambda imap: imap.create("Entwürfe"), b"CREATE Entw&APw-rfe"),
    (lambda imap: imap.create("Entw&APw-rfe"), b"CREATE Entw&APw-rfe"),
    (lambda imap: imap.create('"already quoted"'), b'CREATE "already quoted"'),
    (lambda imap: imap.create('"schön gequotet"'), b'CREATE "sch&APY-n gequotet"'),
    (lambda imap: imap.create(""), b'CREATE ""'),
    (lambda imap: imap.select("INBOX (CONDSTORE)"), b'SELECT "INBOX (CONDSTORE)"'),
    (lambda imap: imap.rename("a b", 'c"d'), b'RENAME "a b" "c\\"d"'),
    (lambda imap: imap.status("a {5}", "(MESSAGES)"), b'STATUS "a {5}" (MESSAGES)'),
    (lambda imap: imap.list('""', "[Gmail]/*"), b'LIST "" [Gmail]/*'),
    (lambda imap: imap.list("", "Entw*rf ü%"), b'LIST "" "Entw*rf &APw-%"'),
    (lambda imap: imap.uid("copy", "1:3", "two words"), b'UID COPY 1:3 "two words"'),
    (lambda imap: imap.search("SUBJECT", '"x" DELETED'), b'SEARCH CHARSET utf-8 SUBJECT "x" DELETED'),
    (lambda imap: imap.search(None, "ALL"), b"SEARCH CHARSET utf-8 ALL"),
    (
        lambda imap: imap.uid_search('OR (SUBJECT "grün") FROM x', charset="UTF-8"),
        b"UID SEARCH CHARSET UTF-8 OR (SUBJECT {5}\r\ngr\xc3\xbcn) FROM x",
    ),
    (lambda imap: imap.uid("store", "1", "+X-GM-LABELS", '("Entwürfe" x)'), b"UID STORE 1 +X-GM-LABELS (Entw&APw-rfe x)"),
    (
        lambda imap: imap.append(b"x", "two words", "\\Seen", '"01-Jan-2024 00:00:00 +0000"'),
        b'APPEND "two words" (\\Seen) "01-Jan-2024 00:00:00 +0000" {1}\r\nx',
    ),
    (lambda imap: imap.id(name="ä"), None),
]


@pytest.mark.parametrize("number", range(len(WIRE)))
def test_i15_names_are_quoted_and_encoded_and_what_was_quoted_stays(number):
    call, wire = WIRE[number]

    async def test(server):
        server.after_auth = "IMAP4rev1 UIDPLUS"
        async with connected(server) as imap:
            await outcome(call(imap))
            sent = server.commands[-1]
            if wire is None:
                assert sent.raw.endswith(b'ID ( "name" {2}\r\n\xc3\xa4 )\r\n') or sent.raw.endswith(b'ID ("name" {2}\r\n\xc3\xa4)\r\n')
            else:
                assert sent.raw == sent.tag + b" " + wire + b"\r\n"

    scripted(test)


@both
@pytest.mark.parametrize(
    "call",
    [
        lambda imap: imap.create("a\r\nZ1 DELETE b"),
        lambda imap: imap.search("SUBJECT", '"a\nb"'),
        lambda imap: imap.fetch("1", "FLAGS\0"),
        lambda imap: imap.uid("fetch", "1", "BODY[] {5}"),
        lambda imap: imap.uid("store", "1", "{5+}"),
        lambda imap: imap.append(b"x", "a\rb"),
        lambda imap: imap.append(b"nul\0", "INBOX"),
        lambda imap: imap.search('("ü"'),
        lambda imap: imap.fetch("1", "FLAGS \x7f"),
    ],
)
def test_i15_what_would_be_another_command_is_refused_before_anything_is_sent(kind, call):
    async def test(server):
        async with connected(server, kind) as imap:
            before = len(server.lines)
            assert isinstance(await outcome(call(imap)), ValueError)
            assert (await imap.noop()).result == "OK"
            assert len(server.lines) == before + 1

    scripted(test)


class Stock(aioimaplib.IMAP4):
    """aioimaplib's own client over our protocol, as somebody may have put it together."""

    def create_client(self, host, port, loop, conn_lost_cb=None, ssl_context=None):
        loop = asyncio.get_running_loop()
        self.protocol = ImapProtocol(loop, conn_lost_cb)
        self._client_task = loop.create_task(loop.create_connection(lambda: self.protocol, host, port))


@pytest.mark.parametrize("client", [Imap4, Stock])
@pytest.mark.parametrize("how", ["no greeting", "cancelled", "no capabilities"])
def test_i15_a_hello_that_fails_leaves_nothing_open(client, how):
    async def test(server):
        server.greeting = b"* OK hi\r\n" if how == "no capabilities" else b""
        server.on("CAPABILITY", hang)
        imap = client("127.0.0.1", server.port, timeout=5 if how == "cancelled" else 0.1)
        hello = asyncio.ensure_future(imap.wait_hello_from_server())
        if how == "cancelled":
            await cancelled(hello)
        else:
            assert isinstance(await outcome(hello), TimeoutError)
        await until(lambda: server.connections and not server.open)

    scripted(test)


# -- I16: continuations, keep-alive, cancelling in a literal ---------------------------------------------------------------


@both
@pytest.mark.parametrize("when", ["after the message", "without a message", "at once"])
def test_i16_a_plus_that_nobody_waits_for_ends_the_connection_and_nothing_else(kind, when):
    async def plus(connection, command):
        if when != "without a message":
            await connection.send(b"+ go ahead\r\n" * (2 if when == "at once" else 1))
            await connection.exactly(5)
            await connection.line()
        await connection.send(b"+ \r\n", command.tag, b" OK done\r\n")

    async def test(server):
        server.after_auth = "IMAP4rev1 UIDPLUS"
        server.raw_literals = {"APPEND"}
        server.on("APPEND", plus)
        server.on("STATUS", plus)
        async with connected(server, kind) as imap:
            work = imap.status("x", "(MESSAGES)") if when == "without a message" else imap.append(b"hello")
            error = await outcome(work)
            assert isinstance(error, ConnectionLost)
            assert isinstance(error.__cause__, errors.ProtocolError)
            if when == "after the message":
                assert error.outcome is Outcome.UNKNOWN

    scripted(test)


@both
def test_i16_keep_alive_probes_are_on(kind):
    async def test(server):
        async with connected(server, kind) as imap:
            sock = imap.protocol.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        async with session_of(server) as session:
            sock = session.protocol.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1

    scripted(test)


@both
@pytest.mark.parametrize("where", ["in the line", "in the literal", "behind it"])
def test_i16_the_rest_of_a_cancelled_body_is_not_waited_for(kind, where):
    async def part(connection, command):
        await connection.send(b"* 1 FETCH (UID 1 BODY[] {10")
        if where != "in the line":
            await connection.send(b"00}\r\n" + b"q" * (1000 if where == "behind it" else 500))
        await connection.hang()

    async def test(server):
        server.on("UID FETCH", part)
        async with connected(server, kind) as imap:
            await cancelled(asyncio.ensure_future(imap.uid("fetch", "1", "(BODY[])")))
            began = asyncio.get_running_loop().time()
            assert isinstance(await outcome(imap.noop()), Abort)
            assert asyncio.get_running_loop().time() - began < 0.1

    scripted(test)


# -- I17: bytes that are no text ---------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("word", [b"\xe9tat something", b"\xff\xfe", b"OK \xe9t\xe9", b"X-\xc3\xa9 1"])
def test_i17_words_that_are_no_utf8_are_passed_on(kind, word):
    async def test(server):
        server.reply("UID FETCH", b"* " + word + b"\r\n* 1 FETCH (UID 1)\r\n", tagged="OK Success")
        async with connected(server, kind) as imap:
            assert (await outcome(imap.uid("fetch", "1", "(UID)"))).lines == [b"1 FETCH (UID 1)", b"Success"]
            assert await imap.wait_server_push(1) == [word]

    scripted(test)


@pytest.mark.parametrize(
    ("tagged", "known"),
    [
        ("OK [CAPABILITY IMAP4rev1 MOVE UIDPLUS] Logged in as CAPABILITY user", {"IMAP4rev1", "MOVE", "UIDPLUS"}),
        ("OK [capability IMAP4rev1 MOVE] [x]", {"IMAP4rev1", "MOVE"}),
        ("OK CAPABILITY of this server: none", {"IMAP4rev1", "AUTH=XOAUTH2"}),
    ],
)
def test_i17_capabilities_are_a_code_and_not_the_words_behind_it(tagged, known):
    async def test(server):
        server.reply("LOGIN", tagged=tagged)
        imap = Imap4("127.0.0.1", server.port, timeout=2)
        await imap.wait_hello_from_server()
        await imap.login("me", TOKEN)
        assert imap.protocol.capabilities == known
        imap.abort()

    scripted(test, before_auth="IMAP4rev1 AUTH=XOAUTH2")


@pytest.mark.parametrize(
    ("user", "wire"),
    [
        ("bob", b"bob"),
        ('bob" "x" ', b'"bob\\" \\"x\\" "'),
        ("a b", b'"a b"'),
        ("jörg@example.com", b"{17}\r\nj\xc3\xb6rg@example.com"),
        ("{3}", b'"{3}"'),
    ],
)
def test_i17_a_user_is_one_argument(user, wire):
    async def test(server):
        server.reply("LOGIN")
        imap = Imap4("127.0.0.1", server.port, timeout=2)
        await imap.wait_hello_from_server()
        assert (await imap.login(user, "hunter2")).result == "OK"
        assert server.commands[-1].arguments == wire + b" hunter2"
        imap.abort()
        imap = Imap4("127.0.0.1", server.port, timeout=2)
        await imap.wait_hello_from_server()
        assert (await imap.xoauth2(user, TOKEN)).result == "OK"
        assert base64.b64decode(server.commands[-1].arguments.split()[1]).startswith(f"user={user}\x01".encode())
        imap.abort()

    scripted(test)


def test_i17_our_own_session_takes_them_too():
    async def test(server):
        rows = []
        server.reply("UID FETCH", b"* \xe9tat something\r\n* 1 FETCH (UID 1 FLAGS ())\r\n")
        async with session_of(server) as session:
            session.select("INBOX", readonly=False)
            await session.execute(UidFetch(UidSet(1), ["FLAGS"], rows.extend))
            await session.execute(Noop())
            assert len(rows) == 1

    scripted(test)


def test_the_deadlines_of_the_engine_hold_where_the_caller_has_none():
    async def main():
        protocol = await fed()
        protocol.queue._timeouts = Timeouts(command=0.05)
        protocol.state = "SELECTED"
        error = await outcome(protocol.simple_command("CREATE", "x"))
        assert isinstance(error, aioimaplib.CommandTimeout)
        assert isinstance(error, errors.TimedOut)
        assert error.outcome is Outcome.UNKNOWN

    run(main())
