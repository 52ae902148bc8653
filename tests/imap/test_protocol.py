"""The live connection in aioimaplib's clothes: states, greeting, commands made by hand, what comes unasked, both event loops."""

import asyncio
import inspect

import pytest

from aiogmail import errors
from aiogmail.imap.commands import Enable, Noop, UidFetch
from aiogmail.imap.commands.foreign import Foreign
from aiogmail.imap.compat import Imap4, Imap4Ssl
from aiogmail.imap.door import ConnectionLost, aioimaplib
from aiogmail.imap.protocol import ImapProtocol
from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Capability, Exists
from aiogmail.settings import Limits
from tests.compat.harness import ADDRESS, TOKEN, outcome, until
from tests.compat.test_defects_imap import Sink, fed, tag_of
from tests.support.aio import run
from tests.support.scripted import ScriptedImap

Abort, STOP, Command = aioimaplib.Abort, aioimaplib.STOP_WAIT_SERVER_PUSH, aioimaplib.Command


async def asked(protocol, work, reply):
    """Run a command, and answer it; the tag stands where the reply says ``TAG``."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    protocol.data_received(reply.replace(b"TAG", tag_of(protocol)))
    return await task


def with_protocol(test, **arguments):
    async def main():
        protocol = await fed(**arguments)
        try:
            await test(protocol)
        finally:
            protocol.fail(errors.Disconnected("over"))

    run(main())


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("uvloop", [False, True])
def test_it_works_on_both_event_loops_in_the_clear_and_over_tls(uvloop, tls):
    async def main():
        async with ScriptedImap(tls=tls) as server:
            body = b"z" * 300_000
            server.reply("UID FETCH", b"* 1 FETCH (UID 1 BODY[] {%d}\r\n" % len(body) + body + b")\r\n")
            if tls:
                imap = Imap4Ssl("127.0.0.1", server.port, ssl_context=server.endpoint.ssl_context)
            else:
                imap = Imap4("127.0.0.1", server.port)
            await imap.wait_hello_from_server()
            await imap.xoauth2(ADDRESS, TOKEN)
            await imap.select()
            result, lines = await imap.uid("fetch", "1", "(BODY.PEEK[])")
            assert (result, lines[1]) == ("OK", body)
            idle = await imap.idle_start(20)
            imap.idle_done()
            assert (await idle).result == "OK"
            await imap.logout()
            await until(imap.protocol.closed.done)

    run(main(), uvloop=uvloop)


def test_it_is_what_aioimaplib_makes_with_the_same_arguments():
    async def main():
        lost = []
        protocol = ImapProtocol(asyncio.get_running_loop(), lost.append)
        assert isinstance(protocol, aioimaplib.IMAP4ClientProtocol)
        assert protocol.state == "STARTED"
        protocol.connection_made(Sink())
        assert protocol.state == "CONNECTED"
        protocol.connection_lost(None)
        assert protocol.state == "LOGOUT"
        assert lost == [None]

    run(main())


def test_every_method_of_aioimaplibs_protocol_is_its_own_over_execute_or_ours():
    """None that would go around the queue is left: of aioimaplib's own only those run that call execute, or touch nothing."""
    safe = {
        "_timeout_callback",
        "enable",
        "search",
        "fetch",
        "store",
        "expunge",
        "copy",
        "move",
        "id",
        "idle",
        "namespace",
        "simple_command",
        "new_tag",
        "wait_for_idle_response",
    }
    base = aioimaplib.IMAP4ClientProtocol
    left = {
        name
        for name, _ in inspect.getmembers(base, inspect.isfunction)
        if getattr(ImapProtocol, name) is getattr(base, name) and not name.startswith("__")
    }
    assert left <= safe, left - safe


@pytest.mark.parametrize("name", ["send", "welcome", "_handle_line", "_untagged_response", "_continuation", "wait_async_pending_commands"])
def test_the_other_engine_does_not_run(name):
    async def test(protocol):
        with pytest.raises(Abort, match="give commands to execute"):
            getattr(protocol, name)(b"x")

    with_protocol(test)


def test_idle_and_news_in_the_same_segment():
    async def test(protocol):
        protocol.state = "SELECTED"
        idle = asyncio.ensure_future(protocol.idle())
        await asyncio.sleep(0)
        tag = tag_of(protocol)
        protocol.data_received(b"+ idling\r\n* 1 EXISTS\r\n* 1 RECENT\r\n")
        assert protocol._idle_event.is_set()
        assert protocol.idle_queue.get_nowait() == [b"1 EXISTS", b"1 RECENT"]
        protocol.idle_done()
        assert protocol.transport.written.endswith(b"DONE\r\n")
        protocol.data_received(tag + b" OK over\r\n")
        assert await idle == ("OK", [b"over"])
        assert not protocol._idle_event.is_set()

    with_protocol(test)


def test_states_follow_the_replies():
    async def test(protocol):
        steps = [
            (protocol.login("me", "hunter2"), b"TAG NO no\r\n", "NONAUTH"),
            (protocol.login("me", "hunter2"), b"TAG OK in\r\n", "AUTH"),
            (protocol.select("x"), b"TAG BAD what\r\n", "AUTH"),
            (protocol.select("x"), b"TAG OK in\r\n", "SELECTED"),
            (protocol.select("x"), b"TAG BAD what\r\n", "SELECTED"),
            (protocol.simple_command("EXAMINE", "x"), b"TAG OK in\r\n", "SELECTED"),
            (protocol.select("x"), b"TAG NO gone\r\n", "AUTH"),
            (protocol.select("x"), b"TAG OK in\r\n", "SELECTED"),
            (protocol.close(), b"TAG OK out\r\n", "AUTH"),
            (protocol.select("x"), b"TAG OK in\r\n", "SELECTED"),
            (protocol.execute(Command("UNSELECT", "t")), b"TAG OK out\r\n", "AUTH"),
            (protocol.logout(), b"* BYE bye\r\nTAG OK out\r\n", "LOGOUT"),
        ]
        for work, reply, state in steps:
            await asked(protocol, work, reply)
            assert protocol.state == state, reply
        await asyncio.sleep(0.01)
        with pytest.raises(ConnectionLost, match="logged out"):
            await protocol.logout()

    with_protocol(test)


def test_a_state_can_be_waited_for_and_never_in_vain():
    async def test(protocol):
        for _ in range(2):
            waiting = [asyncio.ensure_future(protocol.wait("AUTH|SELECTED")) for _ in range(2)]
            await asyncio.sleep(0)
            waiting.pop().cancel()
            protocol.state = "NONAUTH"
            await asyncio.sleep(0)
            protocol.state = "AUTH"
            await waiting[0]
        waiting = asyncio.ensure_future(protocol.wait("SELECTED"))
        await asyncio.sleep(0)
        protocol.fail(errors.Disconnected("gone"))
        assert isinstance(await outcome(waiting), ConnectionLost)
        await protocol.wait("LOGOUT")

    with_protocol(test)


def test_a_wait_that_is_cancelled_later_leaves_the_connection():
    async def test(protocol):
        waiting = asyncio.ensure_future(protocol.wait("SELECTED"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert protocol.state == "NONAUTH"

    with_protocol(test)


def test_given_up_before_it_was_connected_it_is_dropped_when_it_is():
    async def main():
        protocol = ImapProtocol()
        protocol.fail(errors.Disconnected("changed my mind"))
        protocol.connection_made(sink := Sink())
        await asyncio.sleep(0)
        assert sink.aborted
        assert protocol.state == "LOGOUT"
        protocol.connection_lost(None)

    run(main())


@pytest.mark.parametrize("reply", [b"TAG NO not now\r\n", b"* CAPABILITY IMAP4rev1\r\nTAG OK done\r\n"])
def test_after_the_greeting_the_capabilities_are_asked_for_once(reply):
    async def main():
        protocol = ImapProtocol()
        protocol.connection_made(Sink())
        protocol.data_received(b"* OK hello\r\n* OK [ALERT] more\r\n")
        assert protocol.transport.written.count(b"CAPABILITY") == 1
        assert protocol.state == "CONNECTED"
        protocol.data_received(reply.replace(b"TAG", tag_of(protocol)))
        await asyncio.sleep(0)
        if b"NO" in reply:
            assert isinstance(protocol.closed.result(), errors.ProtocolError)
        else:
            assert (protocol.state, protocol.imap_version) == ("NONAUTH", "IMAP4REV1")
        protocol.fail(errors.Disconnected("over"))

    run(main())


@pytest.mark.parametrize(("told", "version"), [("IMAP4rev2 IMAP4rev1", "IMAP4REV1"), ("IMAP4rev2", "IMAP4REV2"), ("imap4", "IMAP4")])
def test_the_version_is_the_one_that_aioimaplib_knows_best(told, version):
    async def main():
        protocol = ImapProtocol()
        protocol.connection_made(Sink())
        protocol.data_received(f"* OK [CAPABILITY {told}] hello\r\n".encode())
        assert protocol.imap_version == version
        protocol.fail(errors.Disconnected("over"))

    run(main())


# -- commands made by hand -------------------------------------------------------------------------------------------------


def test_a_command_made_by_hand_is_run_with_its_own_deadline():
    async def test(protocol):
        protocol.state = "SELECTED"
        command = Command("CHECK", "t", timeout=0.05)
        error = await outcome(protocol.execute(command))
        assert isinstance(error, aioimaplib.CommandTimeout)
        assert error.command is command
        assert not error.connection_lost
        assert protocol.pending_async_commands == {}
        protocol.data_received(tag_of(protocol) + b" OK late\r\n")
        assert (await asked(protocol, protocol.execute(Command("CHECK", "t", timeout=5)), b"TAG OK now\r\n")).lines == [b"now"]

    with_protocol(test)


@pytest.mark.parametrize("verb", ["NOOP", "EXAMINE"])
def test_what_runs_can_be_seen_and_is_gone_afterwards(verb):
    async def test(protocol):
        protocol.state = "AUTH"
        command = Command(verb, "t", "x")
        task = asyncio.ensure_future(protocol.execute(command))
        await asyncio.sleep(0)
        assert command in (protocol.pending_sync_command, protocol.pending_async_commands.get("NOOP"))
        second = Command(verb, "t", "y")
        other = asyncio.ensure_future(protocol.execute(second))
        await asyncio.sleep(0)
        protocol.data_received(tag_of(protocol) + b" OK done\r\n")
        await task
        assert second in (protocol.pending_sync_command, protocol.pending_async_commands.get("NOOP"))
        protocol.data_received(tag_of(protocol) + b" OK done\r\n")
        await other
        assert protocol.pending_sync_command is None
        assert protocol.pending_async_commands == {}

    with_protocol(test)


def test_commands_that_aioimaplib_does_not_know_get_every_line():
    async def test(protocol):
        protocol.state = "AUTH"
        reply = await asked(protocol, protocol.execute(Command("XLIST", "t", '""', "*")), b'* XLIST () "/" x\r\n* OK y\r\nTAG OK done\r\n')
        assert reply == ("OK", [b'XLIST () "/" x', b"OK y", b"done"])
        assert protocol.transport.written.endswith(b' XLIST "" *\r\n')

    with_protocol(test)


@pytest.mark.parametrize("verb", ["STARTTLS", "COMPRESS"])
def test_what_would_change_the_stream_is_refused(verb):
    async def test(protocol):
        with pytest.raises(Abort, match="not offered"):
            await protocol.execute(Command(verb, "t"))

    with_protocol(test)


def test_getquotaroot_by_hand_gets_its_lines_too():
    async def test(protocol):
        protocol.state = "AUTH"
        command = Command("GETQUOTAROOT", "t", "a b", untagged_resp_name="QUOTA")
        reply = await asked(protocol, protocol.execute(command), b'* QUOTA "" (STORAGE 1 2)\r\nTAG OK done\r\n')
        assert reply.lines == [b'"" (STORAGE 1 2)', b"done"]

    with_protocol(test)


def test_uid_says_what_it_cannot_do():
    async def test(protocol):
        with pytest.raises(Abort, match="command UID illegal in state NONAUTH"):
            await protocol.uid("fetch", "1", "FLAGS")
        protocol.state = "SELECTED"
        protocol.capabilities = set()
        for verb, words in (("expunge", "only valid with UIDPLUS"), ("move", "not MOVE capability"), ("search", "was SEARCH")):
            with pytest.raises(Abort, match=words):
                await protocol.uid(verb, "1", "x")

    with_protocol(test)


def test_too_many_commands_are_an_abort():
    async def test(protocol):
        protocol.state = "AUTH"
        tasks = [asyncio.ensure_future(protocol.simple_command("CREATE", f"x{n}")) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Abort, match="Limits.queue"):
            await protocol.simple_command("CREATE", "y")
        protocol.fail(errors.Disconnected("over"))
        assert all(isinstance(error, ConnectionLost) for error in await asyncio.gather(*tasks, return_exceptions=True))

    with_protocol(test, limits=Limits(queue=2))


def test_capability_is_kept_and_utf8_is_spoken_once_it_is_enabled():
    async def test(protocol):
        reply = await asked(protocol, protocol.capability(), b"* CAPABILITY IMAP4rev1 ENABLE\r\nTAG OK done\r\n")
        assert reply.lines == [b"IMAP4rev1 ENABLE", b"done"]
        assert protocol.capabilities == {"IMAP4rev1", "ENABLE"}
        protocol.state = "AUTH"
        await asked(protocol, protocol.simple_command("ENABLE", "UTF8=ACCEPT"), b"* ENABLED UTF8=ACCEPT\r\nTAG OK done\r\n")
        await asked(protocol, protocol.select("Entwürfe"), b"TAG OK done\r\n")
        assert protocol.transport.written.endswith(' SELECT "Entwürfe"\r\n'.encode())

    with_protocol(test)


@pytest.mark.parametrize(
    ("flags", "date", "sent"),
    [
        (None, None, b"APPEND INBOX {1}"),
        ("\\Seen x", None, b"APPEND INBOX (\\Seen x) {1}"),
        ("(\\Seen)", '"01-Jan-2024 00:00:00 +0000"', b'APPEND INBOX (\\Seen) "01-Jan-2024 00:00:00 +0000" {1}'),
        ("", None, b"APPEND INBOX () {1}"),
    ],
)
def test_append_as_aioimaplib_writes_it(flags, date, sent):
    async def test(protocol):
        protocol.state = "AUTH"
        task = asyncio.ensure_future(protocol.append(b"x", flags=flags, date=date))
        await asyncio.sleep(0)
        assert protocol.transport.written.endswith(b" " + sent + b"\r\n")
        tag = tag_of(protocol)
        protocol.data_received(b"+ \r\n")
        protocol.data_received(tag + b" OK done\r\n")
        assert (await task).lines == [b"done"]

    with_protocol(test)


# -- what comes unasked ----------------------------------------------------------------------------------------------------


def test_a_session_of_ours_hears_it_and_so_does_an_aioimaplib_object_once_there_is_one():
    async def main():
        heard = []
        protocol = ImapProtocol(on_unsolicited=heard.append)
        protocol.connection_made(Sink())
        protocol.data_received(b"* OK hello\r\n* 1 EXISTS\r\n")
        assert protocol.transport.written == b""
        assert (protocol.state, protocol.capabilities) == ("NONAUTH", set())
        assert protocol.idle_queue.empty()
        imap = Imap4(protocol=protocol)
        assert (imap.get_state(), imap.protocol) == ("AUTH", protocol)
        protocol.data_received(b"* 2 EXISTS\r\n* CAPABILITY IMAP4rev1\r\n")
        assert await imap.wait_server_push(1) == [b"2 EXISTS", b"CAPABILITY IMAP4rev1"]
        assert [type(one) for one in heard] == [Exists, Exists, Capability]
        protocol.fail(errors.Disconnected("over"))

    run(main())


def test_alone_it_learns_capabilities_that_it_is_told():
    async def test(protocol):
        protocol.data_received(b"* CAPABILITY IMAP4rev1 NEW\r\n")
        assert protocol.capabilities == {"IMAP4rev1", "NEW"}

    with_protocol(test)


def test_what_was_told_last_is_read_before_the_end_is_heard():
    async def test(protocol):
        protocol.data_received(b"* 5 EXISTS\r\n* BYE see you\r\n")
        assert await protocol.idle_queue.get() == [b"5 EXISTS"]
        with pytest.raises(ConnectionLost, match="see you"):
            await protocol.idle_queue.get()

    with_protocol(test)


def test_our_own_commands_and_foreign_ones_share_the_queue():
    async def test(protocol):
        protocol.state = "SELECTED"
        search = asyncio.ensure_future(protocol.search("ALL"))
        await asyncio.sleep(0)
        ours = protocol.queue.submit(Noop())
        first, second = (line.split()[0] for line in protocol.transport.written.splitlines()[-2:])
        protocol.data_received(b"* SEARCH 1\r\n" + first + b" OK x\r\n" + second + b" OK x\r\n")
        assert (await search).lines == [b"1", b"x"]
        assert await ours.future is None
        assert not Foreign("NOOP").clashes(Noop())

    with_protocol(test)


def test_behind_enable_everything_is_read_as_utf_8_also_in_aioimaplibs_words():
    """A FETCH is of another class then, and still a row to its user."""

    async def test(protocol):
        protocol.state = "AUTH"
        enabling = protocol.simple_command("ENABLE", "UTF8=ACCEPT")
        await asked(protocol, enabling, b"* ENABLED UTF8=ACCEPT\r\nTAG OK done\r\n")
        protocol.state = "SELECTED"
        assert (protocol._parser.utf8, protocol.queue.utf8) == (True, True)
        row = '* 1 FETCH (UID 1 X-GM-LABELS ("Entwürfe" "&AOk-"))\r\n'.encode()
        reply = await asked(protocol, protocol.uid("fetch", "1", "X-GM-LABELS"), row + b"* 2 EXISTS\r\nTAG OK done\r\n")
        assert reply.lines == [row[2:-2], b"done"]
        assert protocol.idle_queue.get_nowait() == [b"2 EXISTS"]
        rows = []
        ours = protocol.queue.submit(UidFetch(UidSet(1), ("X-GM-LABELS",), rows.extend))
        protocol.data_received(row + tag_of(protocol) + b" OK done\r\n")
        await ours.future
        assert rows[0].get("X-GM-LABELS") == {"Entwürfe", "&AOk-"}

    with_protocol(test)


def test_enable_of_ours_is_the_whole_connections():
    async def test(protocol):
        protocol.state = "AUTH"
        enable = protocol.queue.submit(Enable("UTF8=ACCEPT"))
        protocol.data_received(b"* ENABLED UTF8=ACCEPT\r\n" + tag_of(protocol) + b" OK done\r\n")
        await enable.future
        await asked(protocol, protocol.simple_command("CREATE", "Entwürfe"), b"TAG OK done\r\n")
        assert protocol.transport.written.endswith(' CREATE "Entwürfe"\r\n'.encode())
        reply = await asked(protocol, protocol.simple_command("LIST", '""', "*"), '* LIST () "/" "Entwürfe"\r\nTAG OK done\r\n'.encode())
        assert reply.lines[0].endswith('"Entwürfe"'.encode())

    with_protocol(test)


# -- what nobody reads is bounded ------------------------------------------------------------------------------------------

MOST = 20_000
FLOOD = b"".join(b"* %d EXISTS\r\n" % number for number in range(1, 601))


def kept(protocol):
    return sum(len(line) + 64 for item in protocol.idle_queue._queue for line in item)


@pytest.mark.parametrize("when", ["queued", "before it begins", "after DONE"])
def test_news_that_nobody_reads_are_bounded_also_while_an_idle_waits_or_ends(when):
    async def test(protocol):
        protocol.state = "SELECTED"
        if when == "queued":
            asyncio.ensure_future(protocol.store("1", "+FLAGS", "(x)")).add_done_callback(_heard)
            await asyncio.sleep(0)
        idle = asyncio.ensure_future(protocol.idle())
        idle.add_done_callback(_heard)
        await asyncio.sleep(0)
        if when == "after DONE":
            protocol.data_received(b"+ idling\r\n")
            protocol.idle_done()
        for _ in range(10):
            protocol.data_received(FLOOD)
            await asyncio.sleep(0)
        assert not protocol.transport.paused
        assert kept(protocol) <= MOST // 2 + len(FLOOD) + 600 * 64

    with_protocol(test, limits=Limits(buffer=MOST))


def test_an_idle_begins_although_much_is_unread():
    """Its ``+`` must not be what the held back socket holds back."""

    async def test(protocol):
        protocol.state = "SELECTED"
        protocol.data_received(b"* 1 EXISTS\r\n" * 10)
        idle = asyncio.ensure_future(protocol.idle())
        idle.add_done_callback(_heard)
        await asyncio.sleep(0)
        protocol.data_received(b"* 1 EXISTS\r\n" * 300)
        assert not protocol.transport.paused
        protocol.data_received(b"+ idling\r\n" + b"* 1 EXISTS\r\n" * 300)
        assert protocol.transport.paused
        assert protocol.has_pending_idle_command()

    with_protocol(test, limits=Limits(buffer=4000))


def _heard(future):
    if not future.cancelled():
        future.exception()


@pytest.mark.parametrize(
    ("work", "sent"),
    [
        (lambda p: p.search("ALL ", charset=None), b"SEARCH ALL"),
        (lambda p: p.search(" UNSEEN", " ", " SINCE 1-Jan-2024  ", charset=None), b"SEARCH UNSEEN SINCE 1-Jan-2024"),
        (lambda p: p.uid("fetch", "1:* ", "(FLAGS) "), b"UID FETCH 1:* (FLAGS)"),
        (lambda p: p.uid("store", "1", "+FLAGS ", r"(\Seen) "), rb"UID STORE 1 +FLAGS (\Seen)"),
        (lambda p: p.simple_command("STATUS", "INBOX", "(MESSAGES) "), b"STATUS INBOX (MESSAGES)"),
        (lambda p: p.execute(Command("XNOOP", "t", "now ", " ")), b"XNOOP now"),
        (lambda p: p.select("INBOX "), b'SELECT "INBOX "'),  # a name may end in one
        (lambda p: p.execute(Command("LOGIN", "t", "me", "hunter2 "), "hunter2"), b"LOGIN me hunter2"),
    ],
)
def test_no_space_ends_a_command_line(work, sent):
    async def test(protocol):
        protocol.state = "NONAUTH" if sent.startswith(b"LOGIN") else "SELECTED"
        await asked(protocol, work(protocol), b"TAG OK done\r\n")
        assert protocol.transport.written.splitlines()[-1].partition(b" ")[2] == sent

    with_protocol(test)


def test_a_command_line_longer_than_16_kib_is_refused_before_anything_is_sent():
    async def test(protocol):
        protocol.state = "SELECTED"
        before = protocol.transport.written
        with pytest.raises(ValueError, match=r"more than Limits\.command_line \(16384\)"):
            await protocol.uid("fetch", ",".join(str(uid) for uid in range(1, 9000, 2)), "FLAGS")
        assert protocol.transport.written == before
        assert "16 KiB" in Imap4.__doc__
        assert "16 KiB" in ImapProtocol.uid.__doc__

    with_protocol(test)
