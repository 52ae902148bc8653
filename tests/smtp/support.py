"""An SMTP server that says what a test tells it to, in memory under virtual time or on a real socket; and what talks to it."""

import asyncio
import contextlib

from aiogmail.ports import Credential
from aiogmail.secret import Secret
from aiogmail.settings import Endpoint, Settings, Timeouts
from aiogmail.smtp import SmtpSession
from aiogmail.smtp.models import compose

ME = "me@gmail.com"
EHLO = (
    "250-x\r\n250-SIZE 35882577\r\n250-8BITMIME\r\n250-AUTH XOAUTH2 PLAIN OAUTHBEARER\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SMTPUTF8\r\n"
)
NO_CHUNKING = EHLO.replace("250-CHUNKING\r\n", "")
PLAIN = "250-x\r\n250-8BITMIME\r\n250 AUTH XOAUTH2\r\n"
WAYS = {"BDAT": EHLO, "DATA": NO_CHUNKING, "one by one": PLAIN}
MSG = b"From: me@gmail.com\r\nTo: you@example.org\r\nSubject: hello\r\n\r\nbody\r\n.dot\r\n"


class Gone(Exception):
    """The connection is to end."""


class Conversation:
    """One client of the server."""

    def __init__(self, server, reader, writer, number):
        self.server, self.reader, self.writer, self.number = server, reader, writer, number
        self.lines = []
        self.recipients = []
        self.mailed = False

    def say(self, text):
        self.writer.write(text if isinstance(text, bytes) else text.encode())

    async def line(self):
        raw = await self.reader.readline()
        if not raw.endswith(b"\n"):
            raise Gone
        self.lines.append(raw)
        self.server.lines.append(raw)
        return raw

    async def data(self):
        """The text up to the dot, unstuffed."""
        text = b""
        while (line := await self.reader.readline()) != b".\r\n":
            if not line.endswith(b"\n"):
                self.server.left.append(text + line)
                raise Gone
            text += line.removeprefix(b".")
        return text

    async def exactly(self, size):
        try:
            return await self.reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            self.server.left.append(error.partial)
            raise Gone from None

    def reset(self):
        self.writer.transport.abort()
        raise Gone


class SmtpServer:
    """``on``: verb → ``async def (conversation, line)``; ``"END"`` answers a whole message. A handler that returns true leaves the rest to the default."""

    def __init__(self, on=None, ehlo=EHLO, greeting="220 ready\r\n"):
        self.on, self.ehlo, self.greeting = on or {}, ehlo, greeting
        self.lines, self.messages, self.left, self.conversations = [], [], [], []
        self.tasks = set()

    async def __aenter__(self):
        self.listener = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.listener.close()
        for task in list(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)
        for one in self.conversations:
            one.writer.transport.abort()
        await asyncio.sleep(0.001)

    async def serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        conversation = Conversation(self, reader, writer, len(self.conversations))
        self.conversations.append(conversation)
        try:
            with contextlib.suppress(Gone, ConnectionError, asyncio.CancelledError):
                conversation.say(self.greeting)
                while True:
                    await self.answer(conversation, await conversation.line())
        finally:
            self.tasks.discard(task)
            writer.close()

    async def answer(self, c, line):
        verb = line.split()[0].upper().decode("latin-1") if line.split() else ""
        handler = self.on.get(verb)
        if handler is not None and not await handler(c, line):
            return
        if verb == "EHLO":
            c.say(self.ehlo)
        elif verb == "AUTH":
            c.say("235 2.7.0 Accepted\r\n")
        elif verb == "MAIL":
            c.recipients, c.mailed = [], True
            c.say("250 2.1.0 OK\r\n")
        elif verb == "RCPT" and not c.mailed:
            c.say("503 5.5.1 MAIL first.\r\n")
        elif verb == "RCPT":
            c.recipients.append(line.split(b"<")[1].split(b">")[0].decode())
            c.say("250 2.1.5 OK\r\n")
        elif verb == "DATA" and not c.recipients:
            c.say("503 5.5.1 RCPT first.\r\n")
        elif verb == "DATA":
            c.say("354 go\r\n")
            await self.end(c, await c.data())
        elif verb == "BDAT":
            await self.end(c, await c.exactly(int(line.split()[1])))
        elif verb == "QUIT":
            c.say("221 bye\r\n")
            raise Gone
        else:
            c.say("250 2.0.0 OK\r\n")

    async def end(self, c, text):
        if not c.recipients:
            c.say("503 5.5.1 RCPT first.\r\n")
            return
        self.messages.append((list(c.recipients), text))
        c.mailed = False
        handler = self.on.get("END")
        if handler is None or await handler(c, text):
            c.say("250 2.0.0 OK queued as 4711\r\n")

    def settings(self, **timeouts):
        return Settings(smtp=Endpoint("127.0.0.1", self.port, security="plaintext"), timeouts=Timeouts(**timeouts))

    def verbs(self):
        return [line.split()[0].decode() for line in self.lines if line.split()]


def say(*texts, gap=None):
    """A handler that says each text by itself; with ``gap`` seconds between them."""

    async def handler(c, _):
        for number, text in enumerate(texts):
            if number and gap is not None:
                await asyncio.sleep(gap)
            c.say(text)

    return handler


async def silence(c, _):
    """A handler that says nothing."""


async def hang_up(c, _):
    """A handler that resets the connection."""
    c.reset()


class Tokens:
    """A credential source that hands out what it was given, one after another."""

    def __init__(self, *secrets, mechanism="XOAUTH2"):
        self.secrets = list(secrets or ("ya29.first",))
        self.mechanism = mechanism
        self.refusals = []

    async def get(self, min_ttl):
        return Credential(self.mechanism, Secret(self.secrets[0]), None)

    def refused(self, credential):
        self.refusals.append(credential.secret.reveal())
        if len(self.secrets) > 1:
            self.secrets.pop(0)


def letter(raw=MSG, **options):
    options.setdefault("account", ME)
    made = compose(raw, now=0.0, **options)
    for _ in made.body.measure():
        pass
    return made


@contextlib.asynccontextmanager
async def session(server, tokens=None, **timeouts):
    one = await SmtpSession.open(ME, tokens or Tokens(), server.settings(**timeouts))
    try:
        yield one
    finally:
        if not one.closed.done():
            await one.aclose()
        await asyncio.sleep(0.01)
