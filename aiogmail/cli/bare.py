"""What do Gmail's servers do that a client of ours never sees? Asked line by line, on connections of their own; no message is read or sent.

A client logs in at once, says nothing that is no command, and waits for one session to end before it opens another: so these have to be
asked without one. Refusals and a connection that the server ends are answers here, not errors.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiogmail import sasl
from aiogmail.errors import CommandError, ConfigurationError, Disconnected
from aiogmail.secret import Secret
from aiogmail.settings import Endpoint, Settings
from aiogmail.tcp import connect_failed, tls_options

__all__ = ["QUESTIONS", "Bare"]

_ANSWER = 30.0
"""Seconds that an answer may take."""
_LOGINS = 6
_WRONG = 25


@dataclass(frozen=True, slots=True)
class Bare:
    """Servers to ask.

    Attributes:
        address: whose account.
        settings: the servers.
        token: gives an access token.
        patience: seconds to wait for what may not come.
    """

    address: str
    settings: Settings
    token: Callable[[], Awaitable[Secret]]
    patience: float

    def login(self, token: Secret) -> str:
        """The initial response of XOAUTH2."""
        return base64.b64encode(sasl.xoauth2(self.address, token)).decode("ascii")


class _Lines:
    """A connection on which lines are said and heard."""

    def __init__(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._name = name
        self._reader = reader
        self._writer = writer

    async def say(self, line: str) -> None:
        """A line; on a connection that is gone nothing happens, as :meth:`hear` tells."""
        with suppress(OSError):
            self._writer.write(f"{line}\r\n".encode())
            await self._writer.drain()

    async def hear(self, within: float = _ANSWER) -> str:
        """The next line; ``""`` where the server has ended the connection.

        Raises:
            Disconnected: neither comes.
        """
        try:
            async with asyncio.timeout(within):
                return (await self._reader.readline()).decode("utf-8", "replace").strip()
        except TimeoutError:
            raise Disconnected(f"{self._name}: no answer within {within:g} s") from None
        except (OSError, ValueError):  # reset; a line without an end
            return ""

    async def ask(self, line: str) -> str:
        """The last line of the reply to a command of SMTP or POP3."""
        await self.say(line)
        while (heard := await self.hear())[3:4] == "-" and heard[:3].isdigit():
            pass
        return heard

    async def tagged(self, tag: str, line: str) -> str:
        """The tagged reply to a command of IMAP; a challenge is given up with an empty line."""
        await self.say(f"{tag} {line}")
        while (heard := await self.hear()) and not heard.startswith(f"{tag} "):
            if heard.startswith("+"):
                await self.say("")
        return heard


@asynccontextmanager
async def _connected(endpoint: Endpoint) -> AsyncIterator[tuple[_Lines, str]]:
    """A connection and its greeting.

    Raises:
        ConfigurationError: it begins in clear, and is asked for STARTTLS.
        ConnectFailed: there is none.
    """
    if endpoint.security == "starttls":
        raise ConfigurationError(f"{endpoint}: asked only where TLS comes first, as on port 465")
    try:
        async with asyncio.timeout(_ANSWER):
            reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, **tls_options(endpoint))
    except OSError as error:
        raise connect_failed(str(endpoint), error) from None
    try:
        lines = _Lines(str(endpoint), reader, writer)
        yield lines, await lines.hear()
    finally:
        writer.transport.abort()  # what the server says to that is no answer to a question


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _patient(bare: Bare) -> tuple[str, str]:
    async with _connected(bare.settings.imap) as (lines, _):
        begun, last = _now(), ""
        end = begun + bare.patience + 60
        while (left := end - _now()) > 0:
            try:
                heard = await lines.hear(left)
            except Disconnected:
                break
            if not heard:
                return "it is closed", f"after {_now() - begun:.0f} s{last and f', with {last}'}"
            last = heard
    return "it stays open", f"for {bare.patience + 60:.0f} s at least"


async def _wrong_commands(bare: Bare) -> tuple[str, str]:
    async with _connected(bare.settings.imap) as (lines, _):
        told = ""
        for number in range(1, _WRONG + 1):
            if not (heard := await lines.tagged(f"W{number}", "AIOGMAIL-DOCTOR")):
                return "it is closed", f"after {number - 1}: {told}"
            told = heard
    return "it stays open", f"after {_WRONG}: {told}"


async def _failed_logins(bare: Bare) -> tuple[str, str]:
    wrong = bare.login(Secret("no-token-but-a-question-of-aiogmail-doctor"))
    async with _connected(bare.settings.imap) as (lines, _):
        told = ""
        for number in range(1, _LOGINS + 1):
            if not (heard := await lines.tagged(f"L{number}", f"AUTHENTICATE XOAUTH2 {wrong}")):
                return "it is closed", f"after {number - 1}: {told}"
            told = heard
        again = await lines.tagged("N", "NOOP")
    return ("it stays open" if again else "it is closed"), f"after {_LOGINS}: {told}"


async def _smtp_words(bare: Bare) -> tuple[str, str]:
    async with _connected(bare.settings.smtp) as (lines, _):
        await lines.ask("EHLO [127.0.0.1]")
        _want("AUTH", await lines.ask(f"AUTH XOAUTH2 {bare.login(await bare.token())}"), "235")
        noop = await lines.ask("NOOP")
        _want("MAIL", await lines.ask(f"MAIL FROM:<{bare.address}>"), "250")
        _want("RCPT", await lines.ask(f"RCPT TO:<{bare.address}>"), "250")
        chunk = await lines.ask("BDAT 4\r\nX:")  # not the last one: nothing is sent, and RSET forgets it
        await lines.ask("RSET")
        await lines.ask("QUIT")
    return f"{noop[:3]} and {chunk[:3]}", f"{noop}; {chunk}"


async def _two_of_pop3(bare: Bare) -> tuple[str, str]:
    token = await bare.token()
    async with _connected(bare.settings.pop3) as (one, _), _connected(bare.settings.pop3) as (other, _):
        _want("AUTH", await one.ask(f"AUTH XOAUTH2 {bare.login(token)}"), "+OK")
        heard = await other.ask(f"AUTH XOAUTH2 {bare.login(token)}")
        if heard.startswith("+OK"):
            heard = await other.ask("STAT")
        for lines in (one, other):
            await lines.ask("QUIT")  # nothing was retrieved: nothing counts as popped
    return ("yes" if heard.startswith("+OK") else "no"), heard or "the connection was closed"


def _want(what: str, heard: str, begins: str) -> None:
    if not heard.startswith(begins):
        raise CommandError(f"doctor: {what}: the server said {heard or 'nothing'}", status=heard[:3])


QUESTIONS: tuple[tuple[str, Callable[[Bare], Awaitable[tuple[str, str]]]], ...] = (
    ("How long may an IMAP connection take to log in?", _patient),
    ("Is an IMAP connection closed after so many commands that are none?", _wrong_commands),
    ("Is an IMAP connection closed after so many failed logins?", _failed_logins),
    ("What does SMTP answer to NOOP, and to a BDAT that is not the last?", _smtp_words),
    ("May two POP3 sessions of an account be open at once?", _two_of_pop3),
)
