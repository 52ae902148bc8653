"""Raw clients of the emulator, and tests that run on it in virtual time."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from email.message import EmailMessage

from aiogmail.testing import Behaviour, GmailEmulator, run_virtual

ME = "me@gmail.com"


def message(subject="hello", body="world\r\n", **fields):
    """A message as bytes; fields by name, an underscore for a hyphen."""
    head = {"From": "Ada <ada@example.org>", "To": ME, "Date": "Mon, 05 Jan 2026 08:00:00 +0000", "Subject": subject}
    head.update({name.replace("_", "-"): value for name, value in fields.items()})
    return "".join(f"{name}: {value}\r\n" for name, value in head.items() if value is not None).encode() + b"\r\n" + body.encode()


def xoauth2(token, address=ME):
    return base64.b64encode(f"user={address}\x01auth=Bearer {token}\x01\x01".encode()).decode()


def oauthbearer(token, address=ME):
    return base64.b64encode(f"n,a={address},\x01host=h\x01port=993\x01auth=Bearer {token}\x01\x01".encode()).decode()


class Wire:
    """Lines to a server and back."""

    def __init__(self, server, name="imap"):
        self.server = server
        self.name = name
        self.tags = 0

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection(
            self.server.host,
            self.server.port(self.name),
            ssl=self.server.ssl_context if self.name not in {"submission", "http"} else None,
            limit=1 << 26,
        )
        return self

    async def __aenter__(self):
        return await self.open()

    async def __aexit__(self, *_):
        await self.close()

    async def close(self):
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass

    def send(self, data):
        self.writer.write(data.encode() if isinstance(data, str) else data)

    async def line(self):
        """A line without its end; ``None`` at the end of the connection."""
        raw = await self.reader.readline()
        return raw.decode("utf-8", "surrogateescape").removesuffix("\r\n") if raw else None

    async def rest(self):
        return await self.reader.read()

    # IMAP

    async def cmd(self, command, tag=None):
        """Send a command; its untagged lines and its tagged one without the tag, literals put in place."""
        if tag is None:
            self.tags += 1
            tag = f"A{self.tags}"
        self.send(f"{tag} ".encode() + (command.encode() if isinstance(command, str) else command) + b"\r\n")
        return await self.until(tag)

    async def until(self, tag):
        lines = []
        while (line := await self._response()) is not None:
            lines.append(line.removeprefix(tag + " "))
            if line.startswith((tag + " ", "+")):
                return lines
        return [*lines, None]

    async def _response(self):
        line = await self.line()
        while line is not None and line.endswith("}") and line.startswith("* ") and "{" in line:
            size = int(line[line.rindex("{") + 1 : -1])
            literal = (await self.reader.readexactly(size)).decode("utf-8", "surrogateescape")
            line += "\r\n" + literal + (await self.line())
        return line

    async def login(self, address=ME, token=None):
        greeting = await self.line()
        await self.cmd("AUTHENTICATE XOAUTH2 " + xoauth2(token or self.server.access_token(address), address))
        return greeting

    # SMTP and POP3

    async def reply(self):
        """A whole SMTP reply."""
        lines = []
        while (line := await self.line()) is not None:
            lines.append(line)
            if line[3:4] != "-":
                break
        return lines

    async def smtp(self, command):
        self.send(command + "\r\n")
        return await self.reply()

    async def pop(self, command, multi=False):
        self.send(command + "\r\n")
        lines = [await self.line()]
        while multi and lines[0].startswith("+OK") and lines[-1] != ".":
            lines.append(await self.line())
        return lines


async def quiet():
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


def emulated(main: Callable[..., Awaitable[object]], *, seed=0, tls=None, **behaviour):
    """Run ``main(server, account)`` on an emulator in virtual time; afterwards nothing is left."""

    async def run():
        loop = asyncio.get_running_loop()
        async with GmailEmulator(behaviour=Behaviour(**behaviour), seed=seed, tls=tls) as server:
            result = await main(server, server.add_account(ME))
        await quiet()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not {transport for transport in loop.network.transports if transport.get_extra_info("sockname")[1] < 40_000}
        assert not server.ledger.open_connections()
        return result

    return run_virtual(run(), seed=seed)


def on_imap(**behaviour):
    """A test ``async def test(server, me, wire)``: an account, and a session that has logged in."""

    def decorate(test):
        def run():
            async def main(server, me):
                async with Wire(server) as wire:
                    await wire.login()
                    await test(server, me, wire)

            emulated(main, **behaviour)

        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        return run

    return decorate


def on_server(**behaviour):
    """A test ``async def test(server, me)``."""

    def decorate(test):
        def run():
            emulated(test, **behaviour)

        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        return run

    return decorate


def email(subject="hello", text="world\n", **fields):
    """An EmailMessage."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = ME, "ada@example.org", subject
    for name, value in fields.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return made
