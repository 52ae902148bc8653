"""How a session is opened, word for word, and what costs a connection: against a server that says what it is told."""

import asyncio
import ssl

import pytest

from aiogmail import Limits, Pop3Client, errors
from aiogmail.pop3.session import Pop3Session
from aiogmail.ports import Outcome
from aiogmail.settings import Endpoint, Settings, Timeouts
from aiogmail.testing import GmailEmulator
from tests.pop3.support import GMAIL, LETTERS, ME, PLAIN, Source, opened, provider, scripted, silent
from tests.support.aio import run


def test_a_session_with_gmail_looks_around_in_one_flight():
    async def test(server):
        flights = []

        async def capa(connection, words):
            await asyncio.sleep(0.02)
            flights.append(bytes(connection.reader._buffer))
            await connection.send(GMAIL)

        server.on("CAPA", capa)
        async with opened(server) as session:
            assert flights == [b"STAT\r\nUIDL\r\nLIST\r\n"]
            assert session.is_gmail
            assert session.sizes == {"uid-1": 20, "uid-2": 19}
            await session.aclose()
        assert server.verbs() == ["AUTH", "CAPA", "STAT", "UIDL", "LIST", "QUIT"]
        assert server.lines[0].startswith(b"AUTH XOAUTH2 ")

    scripted(test, greeting=b"+OK Gpop ready for requests from 127.0.0.1 x1\r\n")


@pytest.mark.parametrize("capa", [PLAIN.replace(b"PIPELINING\r\n", b""), b"-ERR what?\r\n"])
def test_a_server_without_pipelining_is_asked_one_thing_at_a_time(capa):
    async def test(server):
        real = server.default

        def default(verb, words):
            assert not server.connections[-1].reader._buffer, "the next command did not wait"
            return real(verb, words)

        server.default = default
        async with opened(server) as session:
            assert not session.is_gmail
            bodies = await asyncio.gather(*(session.retrieve(uidl) for uidl in ("uid-2", "uid-1", "uid-2")))
            assert bodies == [LETTERS[1], LETTERS[0], LETTERS[1]]

    scripted(test, capa=capa)


@pytest.mark.parametrize(
    ("greeting", "error", "words"),
    [
        (b"-ERR [SYS/TEMP] later\r\n", errors.Unavailable, "later"),
        (b"-ERR go away\r\n", errors.Disconnected, "go away"),
        (b"+OK [SYS/TEMP] this mailbox will seem empty\r\n", errors.Unavailable, "seem empty"),
        (b"* OK IMAP4rev1\r\n", errors.ProtocolError, "grammar"),
        (b"+OK hello\r\n+OK surplus\r\n", errors.ProtocolError, "no command"),
        (b"x" * 70_000, errors.LimitExceeded, "longer"),
    ],
)
def test_other_greetings(greeting, error, words):
    async def test(server):
        with pytest.raises(error, match=words) as caught:
            await Pop3Session.open(ME, Source("token"), server.settings())
        assert caught.value.connection_lost

    scripted(test, greeting=greeting)


def test_no_greeting_no_auth_and_no_answer_by_their_deadlines():
    async def test(server):
        server.greeting = None
        with pytest.raises(errors.ConnectFailed, match="no greeting within"):
            await Pop3Session.open(ME, Source("token"), server.settings(connect=0.1))
        server.greeting = b"+OK\r\n"
        server.on("AUTH", silent)
        with pytest.raises(errors.TimedOut, match="AUTH|authenticated"):
            await Pop3Session.open(ME, Source("token"), server.settings(auth=0.1))
        del server.handlers["AUTH"]
        async with opened(server, command=0.1) as session:
            server.on("NOOP", silent)
            with pytest.raises(errors.TimedOut, match=r"NOOP: no reply within 0\.1 s"):
                await session.noop()
            assert session.closed.done()
        async with opened(server, first_byte=0.1) as session:
            server.on("RETR", silent)
            with pytest.raises(errors.TimedOut, match="RETR: no reply within"):
                await session.retrieve("uid-1")

    scripted(test)


def test_a_probe_is_answered_in_time_or_ends_the_session():
    async def test(server):
        async with opened(server) as session:
            await session.probe(1.0)

            server.on("NOOP", silent)
            with pytest.raises(errors.TimedOut):
                await session.probe(0.1)
            assert session.closed.done()

    scripted(test)


def test_a_body_must_make_progress():
    async def stall(connection, words):
        await connection.send(b"+OK\r\nhalf of")
        await connection.hang()

    async def drip(connection, words):
        await connection.send(b"+OK\r\n")
        while True:
            await connection.send(b"x")
            await asyncio.sleep(0.02)

    async def test(server):
        async with opened(server, progress=0.1) as session:
            server.on("RETR", stall)
            with pytest.raises(errors.TimedOut, match="nothing came for"):
                await session.retrieve("uid-1")
        async with opened(server, progress=0.1) as session:
            server.on("RETR", drip)
            with pytest.raises(errors.TimedOut, match="bytes a second"):
                await session.retrieve("uid-1")

    scripted(test)


def test_a_shorter_deadline_behind_a_longer_one_is_kept():
    async def test(server):
        async with opened(server, first_byte=5.0, command=0.1) as session:
            server.on("NOOP", silent)
            retrieval = asyncio.create_task(session.retrieve("uid-1"))
            await asyncio.sleep(0)
            with pytest.raises(errors.TimedOut):
                await session.noop()
            await retrieval

    scripted(test)


@pytest.mark.parametrize(
    ("stat", "error"),
    [
        (b"-ERR [SYS/PERM] Your account is not enabled for POP access.\r\n", errors.AccessDenied),
        (b"+OK [SYS/TEMP] Due to a temporary system problem, this mailbox will seem empty.\r\n", errors.Unavailable),
        (b"+OK two 5\r\n", errors.ProtocolError),
        (b"+OK 2\r\n", errors.ProtocolError),
        (b"-ERR Session expired, please login again.\r\n", errors.SessionExpired),
    ],
)
def test_what_stat_may_say_at_the_opening(stat, error):
    async def test(server):
        server.say("STAT", stat)
        with pytest.raises(error):
            await Pop3Session.open(ME, Source("token"), server.settings())

    scripted(test)


@pytest.mark.parametrize("verb", ["UIDL", "LIST"])
def test_listings_that_are_none(verb):
    async def test(server):
        server.say(verb, b"-ERR no\r\n")
        with pytest.raises(errors.CommandError):
            await Pop3Session.open(ME, Source("token"), server.settings())
        server.say(verb, b"+OK\r\none two\r\n.\r\n")
        with pytest.raises(errors.ProtocolError):
            await Pop3Session.open(ME, Source("token"), server.settings())

    scripted(test)


def test_odd_listings_are_made_the_best_of():
    async def test(server):
        server.say("UIDL", b"+OK\r\n2 b\r\n1 a\r\n3 a\r\n.\r\n")
        server.say("LIST", b"+OK\r\n1 many\r\n.\r\n")
        async with opened(server) as session:
            assert session.sizes == {"a": 0, "b": 0}
            assert await session.retrieve("a") == LETTERS[0]

    scripted(test)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (b"-ERR Session expired, please login again.\r\n", errors.SessionExpired),
        (b"-ERR [SYS/TEMP] Temporary system problem.\r\n", errors.Unavailable),
        (b"-ERR bye\r\n", errors.Disconnected),
        (b"+OK what?\r\n", errors.ProtocolError),
        (b"\r\n", errors.ProtocolError),
    ],
)
def test_the_servers_last_words_are_the_reason(words, error):
    async def test(server):
        async with opened(server) as session:
            await server.connections[0].send(words)
            reason = await session.closed
            assert type(reason) is error
            assert reason.connection_lost
            with pytest.raises(error):
                await session.noop()

    scripted(test)


def test_a_lost_connection_fails_all_that_waits_with_one_reason():
    async def test(server):
        async def cut(connection, words):
            await connection.send(b"+OK\r\nhalf")
            await connection.close()

        async with opened(server) as session:
            server.on("RETR", cut)
            waiting = [asyncio.create_task(session.retrieve("uid-1")), *(asyncio.create_task(session.noop()) for _ in range(3))]
            await asyncio.wait(waiting)
            errors_ = [task.exception() for task in waiting]
            assert {type(error) for error in errors_} == {errors.Disconnected}
            assert {str(error) for error in errors_} == {str(session.closed.result())}
            assert "in the middle of a reply" in str(errors_[0])

    scripted(test)


def test_a_cancelled_command_costs_the_connection():
    async def test(server):
        async with opened(server) as session:
            server.on("NOOP", silent)
            noop = asyncio.create_task(session.noop())
            stat = asyncio.create_task(session.ask_stat())
            await asyncio.sleep(0.02)
            noop.cancel()
            with pytest.raises(errors.Disconnected, match="NOOP was cancelled"):
                await stat
            assert session.closed.done()

    scripted(test)


def test_after_quit_nothing_more_is_said():
    async def test(server):
        async with opened(server) as session:
            await session.quit()
            assert session.has_quit
            assert not session.closed.done()
            with pytest.raises(errors.Disconnected, match="being ended"):
                await session.noop()
            await session.aclose()
            assert session.closed.done()
        async with opened(server) as session:
            session.abort()
            with pytest.raises(errors.Disconnected) as caught:
                await session.quit()
            assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "QUIT")

    scripted(test)


def test_a_leave_without_an_answer_is_taken_all_the_same():
    async def test(server):
        async with opened(server) as session:
            server.say("QUIT", b"-ERR no\r\n")
            await session.aclose()
            assert session.closed.done()

    scripted(test)


def test_too_many_commands_are_refused():
    async def test(server):
        settings = server.settings()
        object.__setattr__(settings, "limits", Limits(queue=1))
        session = await Pop3Session.open(ME, Source("token"), settings)
        session.connection.depth = 1
        with pytest.raises(errors.StateError, match=r"Limits\.queue"):
            await asyncio.gather(*(session.noop() for _ in range(300)))
        session.abort()
        await asyncio.sleep(0.01)

    scripted(test)


def test_connecting_fails_in_the_systems_words():
    async def main():
        free = Settings(pop3=Endpoint("127.0.0.1", 1, "plaintext"), timeouts=Timeouts(connect=2.0))
        with pytest.raises(errors.ConnectFailed, match="cannot connect"):
            await Pop3Session.open(ME, Source("token"), free)
        async with GmailEmulator(tls=True) as server:
            server.add_account(ME)
            endpoint = Endpoint("127.0.0.1", server.port("pop3"), "tls", ssl.create_default_context())
            with pytest.raises(errors.ConnectFailed, match="certificate") as caught:
                await Pop3Session.open(ME, Source("token"), Settings(pop3=endpoint))
            assert caught.value.permanent
            endpoint = Endpoint("127.0.0.1", server.port("http"), "tls", ssl.create_default_context())
            with pytest.raises(errors.ConnectFailed, match="TLS failed|cannot connect"):
                await Pop3Session.open(ME, Source("token"), Settings(pop3=endpoint))

    run(main())


def test_a_cancelled_opening_leaves_nothing():
    async def test(server):
        server.on("STAT", silent)
        for step in range(1, 40, 3):
            task = asyncio.create_task(Pop3Session.open(ME, Source("token"), server.settings()))
            for _ in range(step):
                await asyncio.sleep(0.0005)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

    scripted(test)


def test_the_client_checks_its_arguments_and_opens_once():
    for arguments, options in [
        (("nobody", provider()), {}),
        ((ME, "token"), {}),
        ((ME, provider()), {"recent": 1}),
        ((ME, provider()), {"settings": {}}),
    ]:
        with pytest.raises(errors.ConfigurationError):
            Pop3Client(*arguments, **options)

    async def test(server):
        client = Pop3Client(ME, provider(), settings=server.settings())
        async with client as pop:
            assert [mail.raw async for mail in pop.retrieve_new()] == LETTERS
            await pop.aclose()
        with pytest.raises(errors.StateError, match="already opened"):
            await client.__aenter__()
        dropped = Pop3Client(ME, provider(), settings=server.settings())
        await dropped.__aenter__()
        tokens = dropped._tokens
        await dropped.drop()
        assert "closed" in repr(tokens)
        server.say("STAT", b"-ERR [SYS/PERM] no\r\n")
        with pytest.raises(errors.CommandError):
            async with Pop3Client(ME, provider(), settings=server.settings()):
                pass

    scripted(test)
