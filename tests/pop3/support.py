"""Worlds for POP3: an emulator in virtual time with one account and its client, and a server that says what a test tells it to."""

import asyncio
import functools
import itertools
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aiogmail import Gmail, TokenProvider
from aiogmail.pop3.session import Pop3Session
from aiogmail.ports import Credential
from aiogmail.secret import Secret
from aiogmail.settings import Settings, Timeouts
from aiogmail.testing import Behaviour, GmailEmulator, pop3, run_virtual
from tests.support.aio import virtual
from tests.support.canary import CANARIES
from tests.support.scripted import ScriptedServer

ME = "me@gmail.com"
GMAIL = b"+OK Capability list follows\r\nUSER\r\nRESP-CODES\r\nPIPELINING\r\nTOP\r\nUIDL\r\nX-GOOGLE-RICO\r\n.\r\n"
LETTERS = [b"Subject: 1\r\n\r\n.one\r\n", b"Subject: 2\r\n\r\ntwo\r\n"]
PLAIN = b"+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nSASL PLAIN XOAUTH2 OAUTHBEARER\r\n.\r\n"


def letter(number, size=0):
    """A message with lines that begin with dots."""
    return f"Subject: letter {number}\r\nFrom: ann@example.com\r\n\r\n.dot\r\n..two {number}\r\n{'x' * size}\r\n".encode()


def on_emulator(letters=0, *, size=0, **behaviour):
    """The test is ``async def test(server, me, gmail)``, in virtual time, with so many letters delivered; nothing may be left of it."""

    def decorate(test):
        @functools.wraps(test)
        def wrapped():
            async def main():
                async with GmailEmulator(behaviour=Behaviour(**behaviour)) as server:
                    me = server.add_account(ME)
                    for number in range(letters):
                        me.deliver(letter(number, size))
                    async with Gmail(ME, me.credentials(), settings=server.settings) as gmail:
                        await test(server, me, gmail)
                    await asyncio.sleep(1.0)
                    left = [entry for entry in server.ledger.open_connections() if not server.faults.hit]
                    assert not left
                left = asyncio.all_tasks() - {asyncio.current_task()}
                assert not left
                await asyncio.sleep(0)
                timers = [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]
                assert not timers

            run_virtual(main())

        del wrapped.__wrapped__  # pytest would take the arguments for fixtures
        return wrapped

    return decorate


def raws(me):
    """The messages of an account, oldest first."""
    return [stored.raw for stored in me.messages]


def uidl_of(stored):
    """What names a message to a client."""
    return f"GmailId{stored.gmail_id:016x}"


def every(server, number, fault):
    """Let a fault hit every so many of its commands, until the result is called."""
    match, count = server.faults.match, itertools.count(1)

    def patched(protocol, command, address):
        if (protocol, command) == ("pop3", fault.command) and next(count) % number == 0:
            server.faults.hit.append(fault)
            return fault
        return match(protocol, command, address)

    server.faults.match = patched
    return lambda: setattr(server.faults, "match", match)


def deletions(monkeypatch):
    """What a QUIT deletes from now on: on Gmail a message that is deleted looks like one that was popped."""
    deleted = set()
    obey = pop3.Pop3Session._quit

    async def quit_(self, words):
        deleted.update(f"GmailId{self.window[number - 1].gmail_id:016x}" for number in self.deleted)
        await obey(self, words)

    monkeypatch.setattr(pop3.Pop3Session, "_quit", quit_)
    return deleted


def verbs(server):
    """The POP3 commands read so far, in order."""
    return server.ledger.verbs("pop3")


def sessions(server):
    """The POP3 connections that logged in."""
    return [entry for entry in server.ledger.connections if entry.protocol == "pop3" and entry.authenticated_at is not None]


class ScriptedPop(ScriptedServer):
    """A POP3 server with a few messages: handlers by verb, ``await handler(connection, words)``; the default ones are a plain server's.

    Attributes:
        letters: the messages.
        greeting, capa: what is said.
        lines: every command.
    """

    def __init__(self, letters=(), *, greeting=b"+OK ready\r\n", capa=PLAIN):
        super().__init__()
        self.letters = list(letters)
        self.greeting = greeting
        self.capa = capa
        self.handlers = {}
        self.says = {}

    def say(self, verb, *replies):
        """Answer the next commands of this verb so; then as always."""
        self.says.setdefault(verb, []).extend(replies)

    def on(self, verb, handler):
        self.handlers[verb] = handler

    def settings(self, **timeouts):
        given = {"connect": 2.0, "auth": 2.0, "command": 2.0, "first_byte": 2.0, "progress": 2.0, "recover": 3.0, "logout": 0.5}
        return Settings(pop3=self.endpoint, timeouts=Timeouts(**{**given, **timeouts}))

    def verbs(self):
        return [line.split(b" ")[0].strip().decode() for line in self.lines]

    async def session(self, connection):
        if self.greeting:
            await connection.send(self.greeting)
        while True:
            words = (await connection.line()).split()
            verb = words[0].decode().upper()
            if self.says.get(verb):
                await connection.send(self.says[verb].pop(0))
            elif verb in self.handlers:
                await self.handlers[verb](connection, words)
            else:
                await connection.send(self.default(verb, words))
                if verb == "QUIT":
                    return

    def default(self, verb, words):
        count = len(self.letters)
        if verb == "CAPA":
            return self.capa
        if verb == "STAT":
            return b"+OK %d %d\r\n" % (count, sum(map(len, self.letters)))
        if verb == "UIDL":
            return b"+OK\r\n" + b"".join(b"%d uid-%d\r\n" % (n, n) for n in range(1, count + 1)) + b".\r\n"
        if verb == "LIST":
            return b"+OK\r\n" + b"".join(b"%d %d\r\n" % (n, len(raw)) for n, raw in enumerate(self.letters, 1)) + b".\r\n"
        if verb == "RETR":
            raw = self.letters[int(words[1]) - 1]
            return b"+OK\r\n" + (b"\r\n" + raw).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
        return b"+OK\r\n"


def with_endpoint(settings, port, host="127.0.0.1"):
    return replace(settings, pop3=replace(settings.pop3, host=host, port=port))


class Source:
    """Tokens one after the other; the last for ever."""

    def __init__(self, *names, mechanism="XOAUTH2"):
        self.tokens = [CANARIES.secret(name) for name in names]
        self.mechanism = mechanism
        self.refusals = []

    async def get(self, min_ttl):
        token = self.tokens[0] if len(self.tokens) == 1 else self.tokens.pop(0)
        return Credential(self.mechanism, Secret(token))

    def refused(self, credential):
        self.refusals.append(credential.secret.reveal())


def provider():
    async def fetch():
        return CANARIES.secret("ya29"), datetime.now(UTC) + timedelta(hours=1)

    return TokenProvider(fetch)


@asynccontextmanager
async def opened(server, source=None, *, recent=False, **timeouts):
    session = await Pop3Session.open(ME, source or Source("token"), server.settings(**timeouts), recent=recent)
    try:
        yield session
    finally:
        session.abort()
        await asyncio.sleep(0.01)


def scripted(test, letters=LETTERS, **options):
    async def main():
        async with ScriptedPop(letters, **options) as server:
            await test(server)

    virtual(main())


async def silent(connection, words):
    """A handler: nothing more is said."""
    await connection.hang()
