"""None of aioimaplib 2.0.3's known defects (I01 to I09) shows here, whichever way the connection is used."""

import asyncio
import logging
import time

import pytest

from aiogmail import errors
from aiogmail.imap.commands import Command, UidFetch, UidSearch
from aiogmail.imap.commands.append import Append
from aiogmail.imap.compat import Imap4, Imap4Ssl
from aiogmail.imap.door import CommandTimedOut, ConnectionLost, aioimaplib
from aiogmail.imap.protocol import ImapProtocol
from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Atom
from aiogmail.ports import Effect, Outcome
from aiogmail.settings import Limits
from tests.compat.harness import ADDRESS, TOKEN, both, connected, outcome, outcomes, scripted, session_of, until
from tests.support.aio import run
from tests.support.scripted import CHALLENGE

Abort, CommandTimeout, STOP = aioimaplib.Abort, aioimaplib.CommandTimeout, aioimaplib.STOP_WAIT_SERVER_PUSH


async def hang(connection, command):
    await connection.hang()


# -- I01: a stack frame for each line ----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("count", [1_200, 3_000, 20_000])
def test_i01_a_reply_may_have_any_number_of_rows(kind, count):
    async def test(server):
        server.reply("UID FETCH", b"".join(b"* %d FETCH (UID %d FLAGS (\\Seen))\r\n" % (n, n) for n in range(1, count + 1)))
        async with connected(server, kind) as imap:
            result, lines = await imap.uid("fetch", "1:*", "(FLAGS)")
            assert (result, len(lines), lines[-2]) == ("OK", count + 1, b"%d FETCH (UID %d FLAGS (\\Seen))" % (count, count))
            assert imap.get_state() == "SELECTED"

    scripted(test)


@both
@pytest.mark.parametrize(
    ("verb", "line", "call"),
    [
        ("LIST", b'* LIST () "/" "box %d"\r\n', lambda imap: imap.list('""', "*")),
        ("NOOP", b"* %d EXISTS\r\n", lambda imap: imap.noop()),
        ("EXPUNGE", b"* %d EXPUNGE\r\n", lambda imap: imap.expunge()),
        ("SELECT", b"* OK [X-NOTE %d] so\r\n", lambda imap: imap.select("Other")),
    ],
)
def test_i01_whatever_the_command(kind, verb, line, call):
    async def test(server):
        async with connected(server, kind) as imap:
            server.reply(verb, b"".join(line % n for n in range(1, 3_001)))
            assert len((await call(imap)).lines) == 3_001

    scripted(test)


def test_i01_so_do_our_own_fetches_and_news_in_idle():
    async def test(server):
        rows = []
        server.reply("UID FETCH", b"".join(b"* %d FETCH (UID %d FLAGS ())\r\n" % (n, n) for n in range(1, 5_001)))
        async with session_of(server) as session:
            session.select("INBOX", readonly=False)
            await session.execute(UidFetch(UidSet("1:5000"), ["FLAGS"], rows.extend))
            assert len(rows) == 5_000
        server.on("IDLE", chatter)
        async with connected(server) as imap:
            idle = await imap.idle_start(20)
            heard = 0
            while heard < 3_000:
                heard += len(await imap.wait_server_push(2))
            imap.idle_done()
            assert (await idle).result == "OK"

    async def chatter(connection, command):
        await connection.send(b"+ idling\r\n", b"".join(b"* %d EXISTS\r\n" % n for n in range(1, 3_001)))
        await connection.line()
        await connection.ok(command)

    scripted(test)


# -- I02: work that grows with the square of the reply -----------------------------------------------------------------


class Sink:
    """A transport that keeps what is written."""

    def __init__(self, peer=("127.0.0.1", 993), tls=None):
        self.written = b""
        self.aborted = False
        self.paused = False
        self._extra = {"peername": peer, "sslcontext": tls}

    def get_extra_info(self, name, default=None):
        return self._extra.get(name, default)

    def write(self, data):
        self.written += data

    def abort(self):
        self.aborted = True

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False


async def fed(limits=None, peer=("127.0.0.1", 993), tls=None):
    """A protocol after its greeting, that a test feeds by hand."""
    protocol = ImapProtocol(limits=limits)
    protocol.connection_made(Sink(peer, tls))
    protocol.data_received(b"* OK [CAPABILITY IMAP4rev1 IDLE UIDPLUS SASL-IR] hello\r\n")
    return protocol


def tag_of(protocol):
    return protocol.transport.written.splitlines()[-1].split()[0]


async def seconds_for(*, before, pieces, arguments="(FLAGS)"):
    """CPU time of a FETCH whose reply comes in these pieces, the best of three."""
    best = 9e9
    for _ in range(3):
        protocol = await fed()
        protocol.state = "SELECTED"
        task = asyncio.ensure_future(protocol.fetch("1:*", arguments))
        await asyncio.sleep(0)
        protocol.data_received(before)
        began = time.process_time()
        for piece in pieces:
            protocol.data_received(piece)
        protocol.data_received(tag_of(protocol) + b" OK done\r\n")
        await task
        best = min(best, time.process_time() - began)
        protocol.fail(errors.Disconnected("over"))
    return best


SHAPES = {
    "rows, one a segment": lambda n: (b"", [b"* %d FETCH (UID %d FLAGS (\\Seen))\r\n" % (i, i) for i in range(1, n + 1)]),
    "one line in segments": lambda n: (b"* SEARCH", [b" 1" * 2048] * (n // 10) + [b"\r\n"]),
    "one literal in segments": lambda n: (b"* 1 FETCH (BODY[] {%d}\r\n" % (16_384 * (n // 4)), [b"\xff" * 16_384] * (n // 4) + [b")\r\n"]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_i02_time_grows_with_the_reply_and_not_with_its_square(shape):
    async def main():
        logging.getLogger("aiogmail").setLevel(logging.INFO)  # only this: what a debugging run writes is its own cost
        try:
            costs = []
            for n in (1_000, 4_000):
                before, pieces = SHAPES[shape](n)
                costs.append(await seconds_for(before=before, pieces=pieces))
            assert costs[1] < 4 * costs[0] * 2 + 0.05
        finally:
            logging.getLogger("aiogmail").setLevel(logging.NOTSET)

    run(main())


def test_i02_a_line_without_end_is_given_up():
    async def main():
        protocol = await fed(Limits(line=64 * 1024))
        protocol.data_received(b"* SEARCH")
        for _ in range(20):
            protocol.data_received(b" 1" * 2048)
        assert isinstance(protocol.closed.result(), errors.LimitExceeded)
        assert protocol._parser.pending == 0
        await asyncio.sleep(0)
        assert protocol.transport.aborted

    run(main())


# -- I03: "* " cut out of data -----------------------------------------------------------------------------------------

STARS = [
    ("LIST", b'* LIST (\\HasNoChildren) "/" "A* B"\r\n', b'(\\HasNoChildren) "/" "A* B"'),
    ("LIST", b'* LIST () "/" "work * home"\r\n', b'() "/" "work * home"'),
    (
        "FETCH",
        b'* 1 FETCH (ENVELOPE ("d" "2 * 3 = 6 * 1" NIL NIL NIL NIL NIL NIL NIL "<a* b@x>"))\r\n',
        b'1 FETCH (ENVELOPE ("d" "2 * 3 = 6 * 1" NIL NIL NIL NIL NIL NIL NIL "<a* b@x>"))',
    ),
    ("STATUS", b'* STATUS "* x* * y" (MESSAGES 1)\r\n', b'"* x* * y" (MESSAGES 1)'),
]


@both
@pytest.mark.parametrize(("verb", "line", "expected"), STARS)
def test_i03_data_is_as_it_was_sent(kind, verb, line, expected):
    async def test(server):
        server.reply(verb, line)
        async with connected(server, kind) as imap:
            calls = {
                "LIST": lambda: imap.list('""', "*"),
                "FETCH": lambda: imap.fetch("1", "ENVELOPE"),
                "STATUS": lambda: imap.status("x", "(MESSAGES)"),
            }
            assert (await calls[verb]()).lines == [expected, b"Success"]

    scripted(test)


@pytest.mark.parametrize(("verb", "line", "expected"), STARS)
def test_i03_wherever_the_segments_end(verb, line, expected):
    async def main():
        for at in range(1, len(line)):
            protocol = await fed()
            protocol.state = "SELECTED"
            calls = {"LIST": protocol.simple_command, "STATUS": protocol.simple_command, "FETCH": None}
            work = protocol.fetch("1", "ENVELOPE") if verb == "FETCH" else calls[verb](verb, "x", "y")
            task = asyncio.ensure_future(work)
            await asyncio.sleep(0)
            protocol.data_received(line[:at])
            protocol.data_received(line[at:] + tag_of(protocol) + b" OK Success\r\n")
            assert (await task).lines == [expected, b"Success"]
            protocol.fail(errors.Disconnected("over"))

    run(main())


def test_i03_a_message_id_of_our_own_rows_keeps_its_star():
    async def test(server):
        rows = []
        server.reply("UID FETCH", b'* 1 FETCH (UID 1 ENVELOPE ("d" "a * b" NIL NIL NIL NIL NIL NIL NIL "<a* b@x>"))\r\n')
        async with session_of(server) as session:
            session.select("INBOX", readonly=False)
            await session.execute(UidFetch(UidSet(1), ["ENVELOPE"], rows.extend))
            assert (rows[0].get("ENVELOPE").subject, rows[0].get("ENVELOPE").message_id) == (b"a * b", b"<a* b@x>")

    scripted(test)


# -- I04: the failure challenge is not answered ------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 2, 30])
def test_i04_a_refused_token_is_a_no_and_the_connection_goes_on(cut):
    async def refuse(connection, command):
        await connection.send_split(b"+ " + CHALLENGE + b"\r\n", cut)
        assert await connection.line() == b"\r\n"
        await connection.no(command, "[AUTHENTICATIONFAILED] Invalid credentials (Failure)")

    async def test(server):
        server.on("AUTHENTICATE", refuse)
        imap = Imap4("127.0.0.1", server.port, timeout=2)
        await imap.wait_hello_from_server()
        result, lines = await outcome(imap.xoauth2(ADDRESS, TOKEN))
        assert (result, lines[-1]) == ("NO", b"[AUTHENTICATIONFAILED] Invalid credentials (Failure)")
        assert imap.get_state() == "NONAUTH"
        assert (await outcome(imap.noop())).result == "OK"
        assert (await outcome(imap.logout())).result == "OK"

    scripted(test)


def test_i04_the_next_token_is_tried_on_the_same_connection():
    async def test(server):
        server.tokens = {TOKEN}
        imap = Imap4("127.0.0.1", server.port, timeout=2)
        await imap.wait_hello_from_server()
        assert [(await outcome(imap.xoauth2(ADDRESS, token))).result for token in ("expired-token", "other-token", TOKEN)] == [
            "NO",
            "NO",
            "OK",
        ]
        assert len(server.connections) == 1
        imap.abort()

    scripted(test)


def test_i04_our_own_client_says_that_the_token_was_refused():
    async def test(server):
        server.tokens = set()
        with pytest.raises(errors.TokenRefused):
            async with connected(server, "live"):
                pass

    scripted(test)


# -- I05: nobody hears of a lost connection ----------------------------------------------------------------------------

ENDS = {
    "bye, end": lambda connection: said_and(connection.close, connection, b"* BYE Session expired, please login again.\r\n"),
    "bye, left open": lambda connection: said_and(connection.hang, connection, b"* BYE Session expired, please login again.\r\n"),
    "end": lambda connection: connection.close(),
    "reset": lambda connection: connection.reset(),
    "end in a literal": lambda connection: said_and(connection.close, connection, b"* 1 FETCH (BODY[] {100}\r\nhalf"),
}
CALLS = {
    "uid store": lambda imap: imap.uid("store", "1", "+FLAGS", "(\\Seen)"),
    "uid fetch": lambda imap: imap.uid("fetch", "1", "(FLAGS)"),
    "noop": lambda imap: imap.noop(),
    "idle": lambda imap: imap.idle_start(5),
    "append": lambda imap: imap.append(b"Subject: x\r\n\r\n"),
}


async def said_and(then, connection, data):
    await connection.send(data)
    await then()


@both
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("end", ENDS)
def test_i05_what_waits_fails_when_the_connection_ends(kind, call, end):
    async def leave(connection, command):
        await ENDS[end](connection)

    async def test(server):
        server.raw_literals = {"APPEND"}
        async with connected(server, kind, timeout=30) as imap:
            for verb in ("UID STORE", "UID FETCH", "NOOP", "IDLE", "APPEND"):
                server.on(verb, leave)
            lost = []
            imap.protocol.conn_lost_cb = lost.append
            error = await outcome(CALLS[call](imap))
            assert isinstance(error, Abort)
            assert isinstance(error, errors.TransportError)
            assert error.connection_lost
            if "store" in call:
                assert error.outcome is Outcome.UNKNOWN
            assert imap.get_state() == "LOGOUT"
            assert not imap.protocol.has_pending_idle_command()
            assert isinstance(await outcome(imap.uid("fetch", "1", "(FLAGS)")), Abort)
            await until(lambda: lost)
            assert len(lost) == 1

    scripted(test)


@both
def test_i05_every_waiter_hears_it_in_the_same_turn_also_who_waits_for_pushes(kind):
    async def leave(connection, command):
        await connection.send(b"+ idling\r\n* 7 EXISTS\r\n")
        await connection.line()
        await connection.reset()

    async def test(server):
        server.on("IDLE", leave)
        async with connected(server, kind, timeout=30) as imap:
            idle = await imap.idle_start(20)
            assert await imap.wait_server_push(2) == [b"7 EXISTS"]
            pushes = [asyncio.ensure_future(imap.wait_server_push(30)) for _ in range(2)]
            works = [asyncio.ensure_future(work) for work in (imap.noop(), imap.fetch("1", "FLAGS"), imap.uid("move", "1", "x"))]
            done, left = await asyncio.wait([idle, *pushes, *works], timeout=2)
            assert not left
            stopped = [task.result() for task in pushes if task.exception() is None]
            assert stopped in ([], [STOP])  # the IDLE was ended for the NOOP, if that was heard before the reset
            assert all(isinstance(task.exception(), ConnectionLost) for task in (idle, *works))
            with pytest.raises(Abort):
                await imap.wait_server_push(1)

    scripted(test)


def test_i05_a_bye_that_nobody_asked_for_ends_the_session():
    async def test(server):
        async with connected(server) as imap:
            await server.connections[0].send(b"* BYE Session expired, please login again.\r\n")
            await until(lambda: imap.get_state() == "LOGOUT")
            error = await outcome(imap.noop())
            assert isinstance(error, Abort)
            assert isinstance(error.__cause__, errors.SessionExpired)
        async with session_of(server) as session:
            await server.connections[1].send(b"* BYE Session expired, please login again.\r\n")
            assert isinstance(await session.closed, errors.SessionExpired)

    scripted(test)


def test_i05_over_tls_too_a_callback_is_told():
    async def test(server):
        lost = []
        context = server.endpoint.ssl_context
        imap = Imap4Ssl("127.0.0.1", server.port, ssl_context=context, conn_lost_cb=lost.append)
        await imap.wait_hello_from_server()
        server.on("NOOP", lambda connection, command: connection.reset())
        assert isinstance(await outcome(imap.noop()), Abort)
        await until(lambda: lost)

    scripted(test, tls=True)


# -- I06: commands of one kind overwrite each other --------------------------------------------------------------------


@both
@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("verb", ["NOOP", "EXAMINE", "SEARCH", "FETCH", "STATUS"])
def test_i06_any_number_of_a_kind_at_once_each_with_its_own_reply(kind, verb, count):
    async def later(connection, command):
        await asyncio.sleep(0.005)
        nonce = command.arguments.rpartition(b" ")[2]
        untagged = {
            "SEARCH": b"* SEARCH " + nonce,
            "FETCH": b"* " + command.arguments.partition(b" ")[0] + b" FETCH (UID 1)",
            "STATUS": b"* STATUS " + nonce + b" (MESSAGES 1)",
        }
        if verb in untagged:
            await connection.send(untagged[verb] + b"\r\n")
        await connection.ok(command, "for " + command.arguments.decode().strip())

    async def test(server):
        async with connected(server, kind) as imap:
            server.on(verb, later)
            calls = {
                "NOOP": lambda n: imap.noop(),
                "EXAMINE": lambda n: imap.examine(f"m{n}"),
                "SEARCH": lambda n: imap.search("UID", str(n)),
                "FETCH": lambda n: imap.fetch(str(n), "UID"),
                "STATUS": lambda n: imap.status(f"m{n}", f"x{n}"),
            }
            results = await outcomes(*(calls[verb](n) for n in range(1, count + 1)))
            assert [result.result for result in results] == ["OK"] * count
            firsts = [bytes(result.lines[0]) for result in results]
            expected = {
                "NOOP": b"for ",
                "EXAMINE": b"for m%d",
                "SEARCH": b"%d",
                "FETCH": b"%d FETCH (UID 1)",
                "STATUS": b"x%d (MESSAGES 1)",
            }[verb]
            assert firsts == [expected % n if b"%" in expected else expected for n in range(1, count + 1)]
            assert not imap.protocol.closed.done()

    scripted(test)


@both
def test_i06_commands_of_all_kinds_overlap(kind):
    async def test(server):
        server.reply("SEARCH", b"* SEARCH 11 12\r\n")
        server.reply("FETCH", b"* 1 FETCH (UID 1)\r\n")
        server.reply("STORE", b"* 1 FETCH (FLAGS (\\Seen))\r\n")
        server.reply("UID MOVE", b"* 1 EXPUNGE\r\n")
        async with connected(server, kind) as imap:
            results = await outcomes(
                imap.fetch("1", "UID"),
                imap.select("Other"),
                imap.search("ALL"),
                imap.store("1", "+FLAGS", "(\\Seen)"),
                imap.uid("move", "1", "Trash"),
                imap.noop(),
            )
            assert [result.lines[0] for result in (results[0], *results[2:5])] == [
                b"1 FETCH (UID 1)",
                b"11 12",
                b"1 FETCH (FLAGS (\\Seen))",
                b"1 EXPUNGE",
            ]
            assert all(result.result == "OK" for result in results)

    scripted(test)


def test_i06_replies_that_come_in_another_order_reach_their_commands():
    async def main():
        protocol = await fed()
        protocol.state = "SELECTED"
        works = [
            protocol.search("ALL", by_uid=True),
            protocol.fetch("1", "UID", by_uid=True),
            protocol.simple_command("STATUS", "x", "(MESSAGES)"),
        ]
        tasks = [asyncio.ensure_future(work) for work in works]
        await asyncio.sleep(0)
        search, fetch, status = (line.split()[0] for line in protocol.transport.written.splitlines()[-3:])
        protocol.data_received(b"* STATUS x (MESSAGES 1)\r\n" + status + b" OK st\r\n* 1 FETCH (UID 1)\r\n")
        protocol.data_received(b"* SEARCH 5\r\n" + fetch + b" OK fe\r\n" + search + b" OK se\r\n")
        assert [(await task).lines for task in tasks] == [[b"5", b"se"], [b"1 FETCH (UID 1)", b"fe"], [b"x (MESSAGES 1)", b"st"]]
        protocol.fail(errors.Disconnected("over"))

    run(main())


def test_i06_searches_of_our_own_at_once_do_not_mix():
    async def echo(connection, command):
        await connection.send(b"* SEARCH ", command.arguments.split()[-1], b"\r\n")
        await connection.ok(command)

    async def test(server):
        server.on("UID SEARCH", echo)
        async with session_of(server) as session:
            session.select("INBOX", readonly=False)
            found = await asyncio.gather(*(session.execute(UidSearch([Atom(str(n))], esearch=False)) for n in range(1, 10)))
            assert [str(uids) for uids in found] == [str(n) for n in range(1, 10)]

    scripted(test)


# -- I07: two messages swapped, the rest of one executed ---------------------------------------------------------------


def messages(count):
    evil = b"\r\nZ9 DELETE Important\r\nZ8 LOGOUT\r\n"
    return {f"Box{n}": b"Subject: %d\r\n\r\n" % n + b"x" * (37 * n) + evil * n for n in range(count)}


def store(server, *, mode):
    """Have the server keep what is appended, by mailbox."""
    stored = {}

    async def keep(connection, command):
        name, _, rest = command.arguments.partition(b" ")
        size, _, body = rest[rest.index(b"{") :].partition(b"}\r\n")
        stored[name.decode()] = body
        await asyncio.sleep(0.005)
        await connection.ok(command, f"[APPENDUID 1 {len(stored)}] done")

    server.after_auth = mode
    server.on("APPEND", keep)
    return stored


@both
@pytest.mark.parametrize("count", [2, 3, 5])
def test_i07_each_mailbox_gets_its_own_message(kind, count):
    async def test(server):
        stored = store(server, mode="IMAP4rev1 IDLE UIDPLUS")
        async with connected(server, kind) as imap:
            wanted = messages(count)
            results = await outcomes(*(imap.append(body, name) for name, body in wanted.items()))
            assert [result.result for result in results] == ["OK"] * count
            assert stored == wanted
            assert set(server.names()) <= {"CAPABILITY", "AUTHENTICATE", "ID", "SELECT", "APPEND"}

    scripted(test)


@pytest.mark.parametrize("mode", ["IMAP4rev1 UIDPLUS", "IMAP4rev1 UIDPLUS LITERAL+", "IMAP4rev1 UIDPLUS LITERAL-"])
def test_i07_with_literals_of_any_kind_and_other_commands_between(mode):
    async def test(server):
        stored = store(server, mode=mode)
        async with session_of(server) as session:
            wanted = messages(4)
            works = [session.execute(Append(name, body)) for name, body in wanted.items()]
            works.insert(2, session.execute(UidSearch([Atom("ALL")], esearch=False)))
            server.reply("UID SEARCH", b"* SEARCH 1\r\n")
            await asyncio.gather(*works)
            assert stored == wanted

    scripted(test)


def test_i07_a_message_set_by_hand_belongs_to_the_command_that_takes_it():
    async def test(server):
        stored = store(server, mode="IMAP4rev1 UIDPLUS")
        async with connected(server, mailbox=None) as imap:
            protocol, tasks = imap.protocol, []
            for name in ("A", "B"):
                protocol.literal_data = b"for " + name.encode()
                command = aioimaplib.Command("APPEND", protocol.new_tag(), name, "{5}")
                tasks.append(asyncio.ensure_future(protocol.execute(command)))
                await asyncio.sleep(0)
            await asyncio.gather(*tasks)
            assert stored == {"A": b"for A", "B": b"for B"}
            for size, body in (("{5}", b"longer"), ("{5}", b"less"), ("{5}", None), ("x", b"12345")):
                protocol.literal_data = body
                with pytest.raises(ValueError, match="literal_data of that size"):
                    await protocol.execute(aioimaplib.Command("APPEND", protocol.new_tag(), "A", size))
            assert protocol.literal_data is None

    scripted(test)


# -- I08: the next command becomes the message -------------------------------------------------------------------------


@both
@pytest.mark.parametrize("how", ["timed out", "cancelled", "timed out in the body"])
def test_i08_after_an_append_that_was_given_up_nothing_more_is_sent(kind, how):
    taken = []

    async def slow(connection, command):
        transport = connection.writer.transport
        if how == "timed out in the body":
            transport.pause_reading()
            await connection.send(b"+ go ahead\r\n")
        await asyncio.sleep(0.2)
        if how == "timed out in the body":
            transport.resume_reading()
        else:
            await connection.send(b"+ go ahead\r\n")
        while data := await connection.reader.read(65536):
            taken.append(data)
        raise ConnectionError

    async def test(server):
        server.raw_literals = {"APPEND"}
        server.on("APPEND", slow)
        server.after_auth = "IMAP4rev1 UIDPLUS"  # without LITERAL-: it waits for the "+"
        async with connected(server, kind, mailbox=None, timeout=0.1 if "timed" in how else 5) as imap:
            task = asyncio.ensure_future(imap.append(b"Subject: hi\r\n\r\nbody" * (1_000_000 if "body" in how else 1)))
            await asyncio.sleep(0.05)
            if how == "cancelled":
                task.cancel()
            done, _ = await asyncio.wait([task], timeout=3)
            assert done
            if how != "cancelled":
                assert isinstance(task.exception(), CommandTimeout)
            imap.timeout = 2
            assert isinstance(await outcome(imap.create("Private/New-Folder-Name")), Abort)
            await asyncio.sleep(0.25)
            assert b"Private" not in b"".join(taken)
            assert not any(b"CREATE" in line for line in server.lines)

    scripted(test)


def test_i08_our_own_append_says_that_nothing_was_stored():
    async def test(server):
        server.raw_literals = {"APPEND"}
        server.after_auth = "IMAP4rev1 UIDPLUS"
        server.on("APPEND", hang)
        async with session_of(server) as session:
            pending = session.submit(Append("INBOX", b"Subject: hi\r\n\r\n"))
            await until(lambda: "APPEND" in server.names())
            session.abort()
            error = await outcome(pending.future)
            assert (type(error), error.outcome) == (errors.Disconnected, Outcome.NOT_APPLIED)

    scripted(test)


# -- I09: late replies, inherited errors -------------------------------------------------------------------------------

LATE = {
    "FETCH": (lambda imap, n: imap.fetch(str(n), "UID"), b"* %d FETCH (UID 1)\r\n", b"%d FETCH (UID 1)"),
    "SEARCH": (lambda imap, n: imap.search(str(n)), b"* SEARCH %d\r\n", b"%d"),
    "STATUS": (lambda imap, n: imap.status(f"m{n}", "(MESSAGES)"), b"* STATUS m%d (MESSAGES 1)\r\n", b"m%d (MESSAGES 1)"),
}


@both
@pytest.mark.parametrize("verb", LATE)
def test_i09_a_late_reply_is_dropped_and_the_next_command_gets_its_own(kind, verb):
    call, untagged, line = LATE[verb]
    seen = []

    async def slow_once(connection, command):
        seen.append(command)
        number = len(seen)
        await asyncio.sleep(0.2 if number == 1 else 0)
        await connection.send(untagged % number, command.tag, b" OK number %d\r\n" % number)

    async def test(server):
        server.on(verb, slow_once)
        async with connected(server, kind, timeout=0.1) as imap:
            first = asyncio.ensure_future(call(imap, 1))
            await asyncio.sleep(0.05)
            imap.timeout = 2
            second, third = asyncio.ensure_future(call(imap, 2)), asyncio.ensure_future(call(imap, 3))
            error = await outcome(first)
            assert isinstance(error, TimeoutError)
            assert [(await outcome(task)).lines for task in (second, third)] == [[line % n, b"number %d" % n] for n in (2, 3)]
            assert (await imap.noop()).result == "OK"
            assert imap.get_state() == "SELECTED"

    scripted(test)


@both
def test_i09_a_late_body_is_not_waited_for(kind):
    async def slow(connection, command):
        await asyncio.sleep(0.3)
        await connection.send(b"* 1 FETCH (BODY[] {2}\r\nhi)\r\n")
        await connection.ok(command)

    async def test(server):
        server.on("UID FETCH", slow)
        async with connected(server, kind, timeout=0.1) as imap:
            works = [asyncio.ensure_future(imap.uid("fetch", "1", "(BODY.PEEK[])")), asyncio.ensure_future(imap.uid("fetch", "2", "(UID)"))]
            await asyncio.wait(works, timeout=2)
            first, second = (work.exception() for work in works)
            assert isinstance(first, CommandTimedOut)
            assert first.connection_lost
            assert isinstance(second, Abort | CommandTimeout)
            assert first is not second

    scripted(test)


def test_i09_a_reply_to_no_command_fails_the_connection_and_nobody_gets_it():
    class Note(Command[str]):
        name = "NOTE"
        effect = Effect.NEVER
        waits = blocks = True

        def finish(self, tagged):
            return tagged.text

    async def forge(connection, command):
        await connection.send(b"ZZZ9 OK forged\r\n", command.tag, b" OK real\r\n")

    async def test(server):
        server.on("NOTE", forge)
        async with session_of(server) as session:
            error = await outcome(session.execute(Note()))
            assert (type(error), error.outcome) == (errors.ProtocolError, Outcome.UNKNOWN)

    scripted(test)
