"""``aioimaplib.IMAP4`` over our connection: everything it offers is there, with the same arguments; hello, IDLE and time."""

import asyncio
import inspect
import socket
import ssl

import pytest

from aiogmail import errors
from aiogmail.imap.compat import Imap4, Imap4Ssl
from aiogmail.imap.door import ConnectionLost, aioimaplib
from tests.compat.harness import ADDRESS, TOKEN, both, connected, outcome, scripted, until
from tests.support.aio import run

Abort, STOP = aioimaplib.Abort, aioimaplib.STOP_WAIT_SERVER_PUSH
PUBLIC = sorted(name for name in vars(aioimaplib.IMAP4) if not name.startswith("_") and callable(getattr(aioimaplib.IMAP4, name)))


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_is_there_with_the_same_arguments(name):
    theirs = inspect.signature(getattr(aioimaplib.IMAP4, name)).parameters
    ours = inspect.signature(getattr(Imap4, name)).parameters
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [(p.name, p.kind, p.default) for p in theirs.values()]
    assert inspect.iscoroutinefunction(getattr(Imap4, name)) == inspect.iscoroutinefunction(getattr(aioimaplib.IMAP4, name))


def test_no_coroutine_of_theirs_is_left_that_would_use_wait_for():
    left = [name for name in PUBLIC if getattr(Imap4, name) is getattr(aioimaplib.IMAP4, name)]
    assert sorted(left) == ["get_state", "has_pending_idle", "idle"]
    assert isinstance(Imap4Ssl, type)
    assert issubclass(Imap4Ssl, aioimaplib.IMAP4)


CALLS = {
    "NOOP": lambda imap: imap.noop(),
    "CHECK": lambda imap: imap.check(),
    "STATUS": lambda imap: imap.status("x", "(MESSAGES)"),
    "SUBSCRIBE": lambda imap: imap.subscribe("x"),
    "UNSUBSCRIBE": lambda imap: imap.unsubscribe("x"),
    "LSUB": lambda imap: imap.lsub('""', "*"),
    "LIST": lambda imap: imap.list('""', "*"),
    "CREATE": lambda imap: imap.create("x"),
    "DELETE": lambda imap: imap.delete("x"),
    "RENAME": lambda imap: imap.rename("x", "y"),
    "GETQUOTAROOT": lambda imap: imap.getquotaroot("x"),
    "ID": lambda imap: imap.id(name="x"),
    "NAMESPACE": lambda imap: imap.namespace(),
    "SEARCH": lambda imap: imap.search("ALL"),
    "UID SEARCH": lambda imap: imap.uid_search("ALL"),
    "FETCH": lambda imap: imap.fetch("1", "FLAGS"),
    "STORE": lambda imap: imap.store("1", "+FLAGS (x)"),
    "COPY": lambda imap: imap.copy("1", "x"),
    "MOVE": lambda imap: imap.move("1", "x"),
    "EXPUNGE": lambda imap: imap.expunge(),
    "CLOSE": lambda imap: imap.close(),
    "SELECT": lambda imap: imap.select("x"),
    "EXAMINE": lambda imap: imap.examine("x"),
    "APPEND": lambda imap: imap.append(b"x", "x"),
    "UID EXPUNGE": lambda imap: imap.uid("expunge", "1"),
    "UID MOVE": lambda imap: imap.uid("move", "1", "x"),
}


@both
@pytest.mark.parametrize("verb", CALLS)
def test_each_command_is_said_and_its_reply_told_yes_or_no(kind, verb):
    async def test(server):
        async with connected(server, kind) as imap:
            for tagged in ("OK done", "NO never", "BAD what"):
                server.reply(verb, tagged=tagged)
                result, lines = await CALLS[verb](imap)
                assert f"{result} {lines[-1].decode()}" == tagged
                assert server.names()[-1] == verb
                if imap.get_state() != "SELECTED":
                    await imap.select("INBOX") if verb != "SELECT" else setattr(imap.protocol, "state", "SELECTED")

    scripted(test)


def test_enable_wants_its_capability():
    async def test(server):
        server.reply("ENABLE", b"* ENABLED CONDSTORE\r\n")
        async with connected(server, mailbox=None) as imap:
            assert (await imap.enable("CONDSTORE")).lines == [b"ENABLED CONDSTORE", b"Success"]
            imap.protocol.capabilities.clear()
            with pytest.raises(Abort, match="server has not ENABLE capability"):
                await imap.enable("CONDSTORE")
            assert not imap.has_capability("ENABLE")

    scripted(test)


# -- hello -------------------------------------------------------------------------------------------------------------------


def test_no_connection_is_told_in_the_systems_words():
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as busy:
            port = busy.getsockname()[1]
        imap = Imap4("127.0.0.1", port, timeout=2)
        with pytest.raises(ConnectionRefusedError):
            await imap.wait_hello_from_server()
        assert imap.get_state() == "LOGOUT"

    run(main())


def test_a_certificate_that_does_not_fit_is_told_too():
    async def test(server):
        imap = Imap4Ssl("127.0.0.1", server.port, timeout=2)
        with pytest.raises(ssl.SSLCertVerificationError):
            await imap.wait_hello_from_server()

    scripted(test, tls=True)


def test_a_live_connection_has_been_greeted():
    async def test(server):
        async with connected(server, "live") as imap:
            await imap.wait_hello_from_server()
            assert imap.protocol.imap_version == "IMAP4REV1"

    scripted(test)


def test_the_token_is_not_in_the_frames_of_a_login_that_fails():
    async def test(server):
        imap = Imap4("127.0.0.1", server.port, timeout=2)
        await imap.wait_hello_from_server()
        server.on("AUTHENTICATE", lambda connection, command: connection.reset())
        error = await outcome(imap.xoauth2(ADDRESS, TOKEN))
        trace = error.__traceback__
        while trace is not None:
            if "/aiogmail/" in trace.tb_frame.f_code.co_filename:
                assert TOKEN not in map(str, trace.tb_frame.f_locals.values())
            trace = trace.tb_next

    scripted(test)


# -- IDLE --------------------------------------------------------------------------------------------------------------------


@both
def test_the_loop_of_the_readme(kind):
    async def idle(connection, command):
        await connection.send(b"+ idling\r\n")
        await asyncio.sleep(0.02)
        await connection.send(b"* 1 EXISTS\r\n* 1 RECENT\r\n")
        assert await connection.line() == b"DONE\r\n"
        await connection.ok(command, "IDLE terminated")

    async def test(server):
        server.on("IDLE", idle)
        async with connected(server, kind) as imap:
            idling, heard = await imap.idle_start(timeout=0.1), []
            while imap.has_pending_idle():
                heard.append(await imap.wait_server_push())
                if heard[-1] == STOP:
                    imap.idle_done()
                    await asyncio.wait_for(idling, 1)
            assert heard == [[b"1 EXISTS", b"1 RECENT"], STOP]
            assert idling.result() == ("OK", [b"IDLE terminated"])
            assert imap._idle_waiter.cancelled() or imap._idle_waiter.when() < asyncio.get_running_loop().time()

    scripted(test)


@both
@pytest.mark.parametrize("refusal", ["NO not now", "BAD what"])
def test_an_idle_that_is_refused_is_an_abort(kind, refusal):
    async def test(server):
        server.reply("IDLE", tagged=refusal)
        async with connected(server, kind) as imap:
            with pytest.raises(Abort, match="server returned error to IDLE command"):
                await imap.idle_start(5)
            assert not imap.has_pending_idle()
            assert (await imap.noop()).result == "OK"

    scripted(test)


@both
@pytest.mark.parametrize("how", ["timed out", "cancelled"])
def test_an_idle_that_never_begins_is_given_up(kind, how):
    async def mute(connection, command):
        await asyncio.sleep(0.2)
        await connection.send(b"+ idling\r\n")
        assert await connection.line() == b"DONE\r\n"
        await connection.ok(command)

    async def test(server):
        server.on("IDLE", mute)
        async with connected(server, kind, timeout=0.05) as imap:
            start = asyncio.ensure_future(imap.idle_start(5))
            if how == "cancelled":
                await asyncio.sleep(0.02)
                start.cancel()
            error = await asyncio.gather(start, return_exceptions=True)
            assert isinstance(error[0], TimeoutError if how == "timed out" else asyncio.CancelledError)
            assert not imap.has_pending_idle()
            imap.timeout = 2
            assert (await imap.noop()).result == "OK"

    scripted(test)


def test_one_idle_after_another_has_its_own_timer():
    async def test(server):
        async with connected(server) as imap:
            first = await imap.idle_start(0.05)
            second = await imap.idle_start(20)  # ends the first
            assert (await first).result == "OK"
            with pytest.raises(TimeoutError):
                await imap.wait_server_push(0.1)
            imap.idle_done()
            assert (await second).result == "OK"

    scripted(test)


def test_idle_wants_its_capability_and_a_mailbox():
    async def test(server):
        async with connected(server, mailbox=None) as imap:
            with pytest.raises(Abort, match="command IDLE illegal in state AUTH"):
                await imap.idle_start(1)
            await imap.examine("INBOX")
            idling = await imap.idle_start(5)
            imap.idle_done()
            await idling
            imap.protocol.capabilities.clear()
            with pytest.raises(Abort, match="server has not IDLE capability"):
                await imap.idle()

    scripted(test)


# -- time --------------------------------------------------------------------------------------------------------------------


@both
def test_the_time_for_a_command_can_be_changed_and_is_told(kind):
    async def late(connection, command):
        await asyncio.sleep(0.15)
        await connection.ok(command)

    async def test(server):
        server.on("STATUS", late)
        server.on("UID STORE", late)
        async with connected(server, kind, timeout=0.05) as imap:
            assert isinstance(await outcome(imap.status("x", "(MESSAGES)")), TimeoutError)
            imap.timeout = 2
            assert (await imap.status("x", "(MESSAGES)")).result == "OK"
            imap.timeout = 0.05
            error = await outcome(imap.uid("store", "1", "+FLAGS (x)"))
            assert isinstance(error, errors.TimedOut)
            assert error.connection_lost
            assert "UID STORE was not answered within 0.05 s" in str(error)

    scripted(test)


def test_dropping_the_connection_is_heard_by_all():
    async def test(server):
        server.on("NOOP", lambda connection, command: connection.hang())
        async with connected(server) as imap:
            noop = asyncio.ensure_future(imap.noop())
            await until(lambda: "NOOP" in server.names())
            imap.abort()
            assert isinstance(await outcome(noop), ConnectionLost)

    scripted(test)
