"""Bytes in and the end of a connection: in steps between which the loop has its turn, in order, bounded, on both event loops."""

import asyncio
import datetime as dt
import importlib.util

import pytest

from aiogmail import Gmail, Limits, TokenProvider, errors
from aiogmail.imap.commands import Noop, UidFetch
from aiogmail.imap.connection import _STEP, _TURN
from aiogmail.imap.protocol import ImapProtocol
from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Exists
from tests.compat.harness import session_of
from tests.support.aio import run
from tests.support.scripted import ScriptedImap

ADDRESS, TOKEN = "me@gmail.com", "ya29.token"

both_loops = pytest.mark.parametrize(
    "uvloop",
    [
        False,
        pytest.param(
            True,
            marks=pytest.mark.skipif(
                importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed: there is none for Windows"
            ),
        ),
    ],
    ids=["asyncio", "uvloop"],
)
in_the_clear_and_over_tls = pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])


class Line:
    """A transport that says whether it is read."""

    def __init__(self):
        self.read = True
        self.aborted = False
        self.written = b""

    def get_extra_info(self, name, default=None):
        return default

    def write(self, data):
        self.written += data

    def pause_reading(self):
        assert self.read
        self.read = False

    def resume_reading(self):
        assert not self.read
        self.read = True

    def abort(self):
        self.aborted = True


class Fed:
    """A protocol after its greeting, what it told, and its transport."""

    def __init__(self, *, buffered, **arguments):
        self.told = []
        self.lost = []
        self.protocol = ImapProtocol(conn_lost_cb=self.lost.append, on_unsolicited=self.told.append, **arguments)
        self.line = Line()
        self.protocol.connection_made(self.line)
        self.buffered = buffered
        self.feed(b"* OK hello\r\n")

    def feed(self, data):
        """One arrival."""
        if not self.buffered:
            self.protocol.data_received(data)
            return
        buffer = self.protocol.get_buffer(-1)
        assert len(data) <= len(buffer)
        buffer[: len(data)] = data
        self.protocol.buffer_updated(len(data))

    def numbers(self):
        return [response.number for response in self.told if isinstance(response, Exists)]


def lines(first, last):
    return b"".join(b"* %d EXISTS\r\n" % number for number in range(first, last + 1))


both_roads = pytest.mark.parametrize("buffered", [True, False], ids=["get_buffer", "data_received"])


@both_roads
def test_what_came_at_once_is_worked_off_in_steps_and_nothing_is_read_meanwhile(buffered):
    async def main():
        fed = Fed(buffered=buffered)
        fed.feed(lines(1, 3000))
        steps = [len(fed.told)]
        while len(fed.told) < 3000:
            assert not fed.line.read
            await asyncio.sleep(0)
            steps.append(len(fed.told))
        assert steps == [_STEP, 2 * _STEP, 3 * _STEP, 4 * _STEP, 3000]
        assert fed.numbers() == list(range(1, 3001))
        assert fed.line.read
        fed.protocol.fail(errors.Disconnected("over"))
        await asyncio.sleep(0)

    run(main())


@both_roads
def test_what_comes_all_the_same_waits_behind_the_rest(buffered):
    """A transport may hand on what it had already read."""

    async def main():
        fed = Fed(buffered=buffered)
        noop = fed.protocol.queue.submit(Noop())
        tag = fed.line.written.split()[0]
        fed.feed(lines(1, 1000))
        fed.feed(lines(1001, 2000))
        fed.feed(tag + b" OK done\r\n* 2001 EXISTS\r\n")
        assert len(fed.told) == _STEP
        assert not noop.future.done()
        await noop.future
        assert fed.numbers()[:2000] == list(range(1, 2001))
        while not fed.line.read:
            await asyncio.sleep(0)
        assert fed.numbers() == list(range(1, 2002))
        fed.protocol.fail(errors.Disconnected("over"))
        await asyncio.sleep(0)

    run(main())


ENDS = {
    "end of file": lambda protocol: protocol.eof_received(),
    "reset": lambda protocol: protocol.connection_lost(ConnectionResetError("reset by peer")),
    "end of file, then lost": lambda protocol: (protocol.eof_received(), protocol.connection_lost(None)),
}


@both_roads
@pytest.mark.parametrize("end", ENDS)
def test_the_end_comes_after_all_that_was_said_before_it(end, buffered):
    async def main():
        fed = Fed(buffered=buffered)
        noop = fed.protocol.queue.submit(Noop())
        fed.feed(lines(1, 2000))
        ENDS[end](fed.protocol)
        assert not fed.protocol.closed.done()
        fed.protocol.write(b"to nobody")
        assert b"to nobody" not in fed.line.written
        with pytest.raises(errors.Disconnected) as told:
            await noop.future
        assert ("closed the connection" if "file" in end else "reset by peer") in str(told.value)
        assert fed.numbers() == list(range(1, 2001))
        assert not fed.line.read  # it is no transport any more that could be told to go on
        await asyncio.sleep(0)
        assert fed.line.aborted
        assert len(fed.lost) == ("reset" in end or "lost" in end)

    run(main())


@pytest.mark.parametrize("before", [1000, _STEP, 2 * _STEP])
@both_roads
def test_an_error_of_grammar_in_the_rest_is_met_in_its_place(buffered, before):
    async def main():
        fed = Fed(buffered=buffered)
        fed.feed(lines(1, before) + b"what?\r\n" + lines(before + 1, 2000))
        assert not fed.protocol.closed.done()
        reason = await asyncio.shield(fed.protocol.closed)
        assert isinstance(reason, errors.ProtocolError)
        assert fed.numbers() == list(range(1, before + 1))
        fed.protocol.fail(errors.Disconnected("once more"))
        assert fed.protocol.closed.result() is reason
        assert not fed.protocol._parser.has_more

    run(main())


def test_who_gives_up_in_the_middle_of_the_rest_hears_no_more():
    async def main():
        fed = Fed(buffered=True)
        fed.feed(lines(1, 2000))
        fed.protocol.fail(errors.Disconnected("given up"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(fed.told) == _STEP

    run(main())


def test_uvloop_reads_on_within_a_turn_and_is_stopped_after_64_kib():
    async def main():
        fed = Fed(buffered=False)
        row = b"* OK " + b"x" * 30_000 + b"\r\n"
        fed.feed(row)
        fed.feed(row)
        assert fed.line.read
        fed.feed(row)
        assert not fed.line.read
        assert len(fed.told) == 3
        await asyncio.sleep(0)
        assert fed.line.read
        fed.feed(row)
        assert fed.line.read
        fed.protocol.fail(errors.Disconnected("over"))
        await asyncio.sleep(0)

    run(main())


def test_reading_goes_on_only_when_neither_a_rest_nor_a_slow_consumer_forbids_it():
    async def main():
        fed = Fed(buffered=True, limits=Limits(buffer=1000))
        fed.feed(lines(1, 1000))
        fetch = UidFetch(UidSet(1), ("FLAGS",), list.clear)
        fetch.patient = True  # whoever it is for may be slow
        fed.protocol.queue.submit(fetch)
        fed.protocol.hold(2000)
        fed.protocol.regulate()
        await asyncio.sleep(0)
        assert len(fed.told) == 1000
        assert not fed.line.read
        assert fed.protocol.was_reading_paused()
        fed.protocol.release(2000)
        assert fed.line.read
        assert fed.protocol.was_reading_paused()  # since it was last asked
        assert not fed.protocol.was_reading_paused()
        fed.protocol.fail(errors.Disconnected("over"))
        await asyncio.sleep(0)

    run(main())


def test_a_rest_is_no_slow_consumer():
    """Who floods must not get more time for it."""

    async def main():
        fed = Fed(buffered=True)
        fed.feed(lines(1, 1000))
        assert not fed.line.read
        assert not fed.protocol.was_reading_paused()
        fed.protocol.fail(errors.Disconnected("over"))
        await asyncio.sleep(0)

    run(main())


# -- with sockets, as a client's user sees it ------------------------------------------------------------------------------


async def _fetch_token():
    return TOKEN, dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)


@pytest.mark.unmeasured
@both_loops
@in_the_clear_and_over_tls
def test_a_flood_of_tiny_lines_leaves_the_loop_its_turns(tls, uvloop):
    """How much is worked off between two turns is counted, not timed: the machine may be busy."""
    count = 60_000

    async def main():
        async with ScriptedImap(tls=tls) as server:
            flood = b"".join(b"* %d EXISTS\r\n" % number for number in range(1, count + 1))
            server.reply("NOOP", flood)
            async with session_of(server) as session:
                told = []
                worst = 0
                handle = session.protocol._on_unsolicited
                session.protocol._on_unsolicited = lambda response: (told.append(response), handle(response))
                noop = asyncio.ensure_future(session.execute(Noop()))
                while not noop.done():
                    before = len(told)
                    await asyncio.sleep(0)
                    worst = max(worst, len(told) - before)
                await noop
                assert [response.number for response in told] == list(range(1, count + 1))
                assert session.state.exists == count
                assert worst <= 2 * _STEP  # a read and the rest of the one before may fall in one turn

    run(main(), uvloop=uvloop)


@both_loops
@in_the_clear_and_over_tls
def test_a_client_reads_rows_bodies_and_a_download(tls, uvloop):
    count, size = 3_000, 300_000
    body = b"".join(b"%06d\r\n" % number for number in range(size // 8))

    async def fetch(connection, command):
        sets, _, items = command.arguments.partition(b" ")
        if b"BODY.PEEK[]<" in items:
            offset, length = map(int, items.partition(b"[]<")[2].partition(b">")[0].split(b"."))
            part = body[offset : offset + length]
            told = b"RFC822.SIZE %d " % size if b"RFC822.SIZE" in items else b""
            await connection.send(b"* 7 FETCH (UID 7 %bBODY[]<%d> {%d}\r\n" % (told, offset, len(part)), part, b")\r\n")
        else:
            rows = []
            for item in sets.split(b","):
                first, _, last = item.partition(b":")
                stop = count if last == b"*" else int(last or first)
                for uid in range(int(first), min(stop, count) + 1):
                    if b"BODY.PEEK[]" in items:
                        rows.append(b"* %d FETCH (UID %d BODY[] {5}\r\nhello)\r\n" % (uid, uid))
                    elif b"RFC822.SIZE" in items:
                        rows.append(b"* %d FETCH (UID %d RFC822.SIZE 5)\r\n" % (uid, uid))
                    else:
                        rows.append(b"* %d FETCH (UID %d FLAGS (\\Seen))\r\n" % (uid, uid))
            await connection.send(*rows)
        await connection.ok(command)

    async def main():
        async with ScriptedImap(tls=tls) as server:
            server.messages, server.uidnext = count, count + 1
            server.on("UID FETCH", fetch)
            server.reply("UID SEARCH", b"* SEARCH " + b" ".join(b"%d" % uid for uid in range(1, count + 1)) + b"\r\n")
            async with Gmail(ADDRESS, TokenProvider(_fetch_token), settings=server.settings) as gmail:
                async with gmail.mailbox("INBOX") as inbox:
                    uids = [message.uid async for message in inbox.fetch("1:*", "flags")]
                    assert uids == list(range(1, count + 1))
                    bodies = [(message.uid, message.raw) async for message in inbox.fetch("1:50", "raw")]
                    assert bodies == [(uid, b"hello") for uid in range(1, 51)]
                    async for message in inbox.fetch("1:*", "flags"):
                        if message.uid == 10:
                            break
                    assert b"".join([chunk async for chunk in inbox.download(7)]) == body

    run(main(), uvloop=uvloop)


@both_loops
@in_the_clear_and_over_tls
def test_a_slow_consumer_holds_back_the_server(tls, uvloop):
    count = 2_000
    sent = []

    async def fetch(connection, command):
        if b"RFC822.SIZE" in command.arguments:
            await connection.send(*(b"* %d FETCH (UID %d RFC822.SIZE 20000)\r\n" % (uid, uid) for uid in range(1, count + 1)))
        else:
            first, _, last = command.arguments.partition(b" ")[0].partition(b":")
            for uid in range(int(first), int(last or first) + 1):
                await connection.send(b"* %d FETCH (UID %d BODY[] {20000}\r\n" % (uid, uid) + b"x" * 20_000 + b")\r\n")
                sent.append(uid)
        await connection.ok(command)

    async def main():
        async with ScriptedImap(tls=tls) as server:
            server.messages, server.uidnext = count, count + 1
            server.on("UID FETCH", fetch)
            server.reply("UID SEARCH", b"* SEARCH " + b" ".join(b"%d" % uid for uid in range(1, count + 1)) + b"\r\n")
            async with Gmail(ADDRESS, TokenProvider(_fetch_token), settings=server.settings) as gmail:
                async with gmail.mailbox("INBOX") as inbox:
                    stream = inbox.fetch("1:*", "raw")
                    assert (await anext(stream)).uid == 1
                    for _ in range(30):
                        await asyncio.sleep(0.01)
                    assert len(sent) < 600  # 12 MB: windows and what the kernel holds, of 40 MB
                    assert [message.uid async for message in stream] == list(range(2, count + 1))

    run(main(), uvloop=uvloop)


def test_the_bounds_are_those_that_are_promised():
    assert _TURN == 64 * 1024  # R3: yield every 64 KiB
