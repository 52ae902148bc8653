"""Who logs in, word for word, and what a refusal costs: against a server that says what it is told."""

import base64

import pytest

from aiogmail import AppPassword, Pop3Client, errors
from aiogmail.pop3.session import Pop3Session
from tests.pop3.support import ME, Source, opened, provider, scripted
from tests.support.canary import CANARIES

CHALLENGE = b"+ " + base64.b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}') + b"\r\n"
REFUSED = b"-ERR [AUTH] Invalid credentials.\r\n"


@pytest.mark.parametrize(("mechanism", "answer"), [("XOAUTH2", b"\r\n"), ("OAUTHBEARER", b"AQ==\r\n")])
def test_a_refused_token_is_refreshed_once_on_the_same_connection(mechanism, answer):
    async def test(server):
        answers = []

        async def refuse(connection, words):
            await connection.send(CHALLENGE)
            answers.append(await connection.line())
            await connection.send(REFUSED)
            del server.handlers["AUTH"]

        server.on("AUTH", refuse)
        source = Source("stale", "fresh", mechanism=mechanism)
        stale, fresh = source.tokens
        async with opened(server, source) as session:
            assert (await session.ask_stat()).count == 2
        assert source.refusals == [stale]
        assert answers == [answer]
        assert len(server.connections) == 1
        said = base64.b64decode(server.lines[2].split()[2])
        assert fresh.encode() in said
        assert mechanism.encode() in server.lines[2]

    scripted(test)


def test_a_server_that_hangs_up_after_a_refusal_is_called_again():
    async def test(server):
        async def refuse(connection, words):
            del server.handlers["AUTH"]
            await connection.send(CHALLENGE)
            await connection.line()
            await connection.send(REFUSED)
            await connection.close()

        server.on("AUTH", refuse)
        source = Source("stale", "fresh")
        async with opened(server, source) as session:
            assert (await session.ask_stat()).count == 2
        assert len(server.connections) == 2
        assert len(source.refusals) == 1

    scripted(test)


@pytest.mark.parametrize("challenge", [CHALLENGE, b""])
def test_a_token_refused_twice_is_an_error_that_shows_no_token(challenge):
    async def test(server):
        async def refuse(connection, words):
            if challenge:
                await connection.send(challenge)
                await connection.line()
            await connection.send(REFUSED)

        server.on("AUTH", refuse)
        source = Source("stale", "fresh")
        with pytest.raises(errors.TokenRefused, match="Invalid credentials") as caught:
            await Pop3Session.open(ME, source, server.settings())
        assert caught.value.status == ("400" if challenge else None)
        assert caught.value.connection_lost
        assert len(source.refusals) == 2
        assert not CANARIES.found_in(repr(caught.value) + str(caught.value))
        same = Source("stale")
        with pytest.raises(errors.TokenRefused):
            await Pop3Session.open(ME, same, server.settings())
        assert len(same.refusals) == 1

    scripted(test)


def test_a_server_that_asks_again_and_again_is_left():
    async def test(server):
        async def ask(connection, words):
            await connection.send(CHALLENGE)
            await connection.line()
            await connection.send(CHALLENGE)
            await connection.hang()

        server.on("AUTH", ask)
        with pytest.raises(errors.ProtocolError, match="again and again"):
            await Pop3Session.open(ME, Source("stale"), server.settings())

    scripted(test)


@pytest.mark.parametrize(
    ("offered", "outcome"),
    [("XOAUTH2", "XOAUTH2"), ("OAUTHBEARER", "OAUTHBEARER"), ("PLAIN", errors.AccessDenied), ("", errors.CommandError)],
)
def test_a_mechanism_that_the_server_does_not_know_is_changed_for_one_that_it_does(offered, outcome):
    async def test(server):
        server.capa = f"+OK\r\nPIPELINING\r\nTOP\r\n{f'SASL {offered}' if offered else 'UIDL'}\r\n.\r\n".encode()

        async def auth(connection, words):
            known = words[1].decode() == offered
            await connection.send(b"+OK\r\n" if known else b"-ERR Unsupported authentication mechanism.\r\n")

        server.on("AUTH", auth)
        source = Source("token", mechanism="OAUTHBEARER" if offered == "XOAUTH2" else "XOAUTH2")
        if isinstance(outcome, str):
            async with opened(server, source):
                pass
            assert server.lines[2].split()[1].decode() == outcome
        else:
            with pytest.raises(outcome):
                await Pop3Session.open(ME, source, server.settings())

    scripted(test)


def test_a_mechanism_that_is_offered_and_refused_without_a_reason_is_not_changed():
    async def test(server):
        server.say("AUTH", b"-ERR something else\r\n")
        with pytest.raises(errors.CommandError, match="something else"):
            await Pop3Session.open(ME, Source("token"), server.settings())

    scripted(test)


def test_an_app_password_goes_by_plain():
    async def test(server):
        async with Pop3Client(ME, AppPassword("abcd efgh ijkl mnop"), settings=server.settings()) as pop:
            assert (await pop.stat()).count == 2
            assert repr(pop) == "Pop3Client('me@gmail.com')"
        mechanism, blob = server.lines[0].split()[1:]
        assert mechanism == b"PLAIN"
        assert base64.b64decode(blob).startswith(b"\0me@gmail.com\0abcd")
        server.say("AUTH", b"-ERR [AUTH] Username and password not accepted.\r\n")
        with pytest.raises(errors.AccessDenied, match="refused the password"):
            async with Pop3Client(ME, AppPassword("abcd efgh ijkl mnop"), settings=server.settings()):
                pass

    scripted(test)


def test_recent_mode_is_a_word_before_the_address():
    async def test(server):
        async with Pop3Client(ME, provider(), settings=server.settings(), recent=True) as pop:
            await pop.uidl()
        assert b"user=recent:me@gmail.com\x01" in base64.b64decode(server.lines[0].split()[2])

    scripted(test)
