"""What does every command need? An account opened, errors in one line with an exit code, output for people and for programs."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aiogmail.client import Gmail
from aiogmail.errors import (
    AccessDenied,
    AuthError,
    CommandError,
    ConfigurationError,
    GmailError,
    LoginRequired,
    MailboxNotFound,
    OutcomeUnknown,
    ProtocolError,
    StateError,
    TokenEndpointError,
    TransportError,
)
from aiogmail.oauth import TokenCache

from .config import Account, Accounts, Servers

__all__ = ["EXIT_CODES", "Desk", "Stage", "exit_code", "let_go_of_the_output", "run"]

EXIT_CODES: tuple[tuple[type[BaseException], int, str], ...] = (
    (ConfigurationError, 2, "an argument, an option or a file is wrong; nothing was sent"),
    (TokenEndpointError, 4, "no connection, or none that lasted: try again"),
    (AuthError, 3, "not let in: log in again, or do what the message says"),
    (TransportError, 4, "no connection, or none that lasted: try again"),
    (ProtocolError, 4, "no connection, or none that lasted: try again"),
    (MailboxNotFound, 5, "the server refused: no such label, over quota, throttled, ..."),
    (CommandError, 5, "the server refused: no such label, over quota, throttled, ..."),
    (OutcomeUnknown, 6, "it may have happened: the message says how to find out"),
    (KeyboardInterrupt, 130, "interrupted"),
    (asyncio.CancelledError, 143, "told to terminate"),
)
_ADVICE: tuple[tuple[type[GmailError], str], ...] = (
    (LoginRequired, "run: aiogmail login {address}"),
    (AccessDenied, "run: aiogmail doctor"),
    (TransportError, "check the network, then: aiogmail doctor"),
)


def exit_code(error: BaseException) -> int:
    """What the program ends with for an error: 1 if it is none of :data:`EXIT_CODES`."""
    return next((code for kind, code, _ in EXIT_CODES if isinstance(error, kind)), 1)


@dataclass(slots=True)
class Desk:
    """Where a command stands: the account, the servers, and where its words go.

    Attributes:
        address: the account asked for; ``None``: the default one.
        servers_file: the settings file asked for; ``None``: the one that the account was logged in with.
        accounts: those that were logged in.
        out: what the command gives; err: what it says besides.
    """

    address: str | None = None
    servers_file: Path | None = None
    accounts: Accounts = field(default_factory=Accounts)
    out: Console = field(default_factory=lambda: _console(stderr=False))
    err: Console = field(default_factory=lambda: _console(stderr=True))

    def account(self) -> Account:
        """The account that is meant."""
        return self.accounts.choose(self.address)

    def servers(self, account: Account | None = None) -> Servers:
        """The servers that are meant."""
        return Servers.load(self.servers_file or (account.settings if account is not None else None))

    @asynccontextmanager
    async def gmail(self) -> AsyncIterator[Gmail]:
        """The account, opened; its access tokens are shared with other commands that run."""
        account = self.account()
        credentials = self.accounts.credentials(account)
        settings = self.servers(account).settings
        async with (
            TokenCache(self.accounts.store(account)) as tokens,
            Gmail(account.address, credentials, tokens=tokens, settings=settings) as gmail,
        ):
            yield gmail

    # -- words -------------------------------------------------------------------------------------------------------------

    def say(self, text: str, style: str = "") -> None:
        """A word besides, on standard error."""
        self.err.print(text, style=style, markup=False)

    def give_json(self, value: Mapping[str, Any]) -> None:
        """One line of JSON, whatever its reader takes for the end of a line."""
        line = _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False, default=str))
        self.write(line if _fits(line, self.out.file) else json.dumps(value, default=str))

    def write(self, line: str) -> None:
        """One line as it is: what a program reads is neither folded nor coloured. What the output's encoding lacks is escaped."""
        file = self.out.file
        if not _fits(line, file):
            line = line.encode(_encoding(file), "backslashreplace").decode(_encoding(file))
        file.write(line + "\n")
        file.flush()

    def give_table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
        """A table on a terminal, lines with tabs in a pipe."""
        if not self.out.is_terminal:
            for row in rows:
                self.write("\t".join(map(_plain, row)))
            return
        table = Table(show_edge=False, box=None, pad_edge=False, header_style="bold")
        for number, name in enumerate(columns):
            table.add_column(name, no_wrap=number == 0)  # the first is what another command is given: in one piece
        for number, row in enumerate(rows):
            table.add_row(*(Text(_plain(cell)) for cell in row), style=styles[number] if styles else "")
        self.out.print(table, soft_wrap=False)


_UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029]")
"""What JSON leaves as it is, and some programs take for the end of a line, some terminals for a command."""


def _plain(cell: str) -> str:
    """A cell in which no control character reaches a terminal, by way of a pipe either: subjects come from strangers."""
    return "".join(char if char.isprintable() else " " for char in cell)


def _fits(line: str, file: IO[str]) -> bool:
    """Whether a file can hold a line: not every locale's encoding can."""
    try:
        line.encode(_encoding(file))
    except UnicodeEncodeError:
        return False
    return True


def _encoding(file: IO[str]) -> str:
    return getattr(file, "encoding", None) or "utf-8"


class _Console(Console):
    """Rich's own would end the program with 1, from within whatever task is writing, when its reader leaves."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Stage(Console):
    """For a program that goes on to its end whether or not anybody watches."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        let_go_of_the_output()


def _console(*, stderr: bool) -> Console:
    """With NO_COLOR nothing is styled; by itself, Rich would still write bold."""
    if os.environ.get("NO_COLOR"):
        return _Console(stderr=stderr, highlight=False, soft_wrap=True, color_system=None)
    return _Console(stderr=stderr, highlight=False, soft_wrap=True)


def run(desk: Desk, main: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Run a command to its end.

    Args:
        desk: where it stands.
        main: makes the coroutine, before there is an event loop: what waits for a person's typing belongs there, so that Ctrl-C ends it.

    Raises:
        typer.Exit: with the code of the error it ended with, which was said in one line.
    """
    try:
        asyncio.run(_until_terminated(main()))
    except (GmailError, KeyboardInterrupt, asyncio.CancelledError) as error:
        desk.say(_one_line(desk, error), "red")
        raise typer.Exit(exit_code(error)) from None
    except BrokenPipeError:  # whoever reads our output has had enough
        let_go_of_the_output()
        raise typer.Exit(0) from None
    except OSError as error:  # a disk that is full, output that cannot be written; not 2: something may have been done, and sent
        let_go_of_the_output()
        desk.say(f"aiogmail: {error.filename or 'output'}: cannot be written: {error.strerror or error}", "red")
        raise typer.Exit(1) from None


def let_go_of_the_output() -> None:
    """What is still buffered for it would fail once more when Python ends."""
    if (out := sys.__stdout__) is not None and sys.stdout is out:
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


async def _until_terminated(work: Coroutine[Any, Any, Any]) -> None:
    """SIGTERM cancels the command as Ctrl-C does: it closes what is open and leaves nothing half-done."""
    task = asyncio.current_task()
    assert task is not None
    # Windows has no such signal, and only the main thread hears of signals: there the program just ends.
    with suppress(NotImplementedError, ValueError, RuntimeError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work


def _one_line(desk: Desk, error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "aiogmail: interrupted"
    if isinstance(error, asyncio.CancelledError):
        return "aiogmail: terminated"
    advice = ""
    with suppress(ConfigurationError):  # without an account there is nobody to advise: whoever logs in reads the message
        advice = next((f"; {words.format(address=desk.account().address)}" for kind, words in _ADVICE if isinstance(error, kind)), "")
    kind = " (a bug of aiogmail's: please report it)" if isinstance(error, StateError) else ""
    return f"aiogmail: {' '.join(str(error).split())}{kind}{advice}"


def log_to_stderr() -> None:
    """The protocol as it passes, secrets masked, on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(relativeCreated)8.0f ms  %(name)s  %(message)s"))
    logger = logging.getLogger("aiogmail")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
