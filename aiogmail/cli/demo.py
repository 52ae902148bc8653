"""What does it look like when sessions expire in the middle of a job? The real client against the emulator, told line by line.

Every line is what the library logged, what the loop counted, or what the emulator's ledger says: nothing is told that was not
measured.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table

from aiogmail.client import Gmail
from aiogmail.settings import Limits
from aiogmail.testing import Behaviour, EmulatedAccount, GmailEmulator

__all__ = ["Story", "run_demo"]

ADDRESS = "me@gmail.example"
TOKEN_LIFE = 2.0
SECONDS = 4.5
_STEPS = 100
_BUFFER = 64 * 1024
"""Little is read ahead, so that the end of a session is met soon after it came."""


@dataclass(frozen=True, slots=True)
class Story:
    """How it went: the client's counts beside the ledger's."""

    delivered: int
    received: int
    twice: int
    missing: int
    altered: int
    connections: int
    expired: int
    tokens: int
    seconds: float

    @property
    def is_good(self) -> bool:
        """Everything came, once and whole, although sessions expired."""
        return self.expired > 0 and self.received == self.delivered and not (self.twice or self.missing or self.altered)


class _Teller(logging.Handler):
    """Prints what happens with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def tell(self, who: str, text: str, style: str = "") -> None:
        self._console.print(f"{self.seconds:6.2f} s  {who:<10}  {text}", style=style, markup=False, soft_wrap=True)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().removeprefix(f"{ADDRESS} ")
        self.tell(record.name.removeprefix("aiogmail."), text, "yellow" if "lost" in text else "cyan")


def _letters(count: int) -> Iterator[bytes]:
    body = "A letter wants some body, if only the same as the last.\r\n" * 20
    for number in range(1, count + 1):
        yield (
            f"From: Ann Example <ann@example.com>\r\nTo: {ADDRESS}\r\nSubject: Letter {number}\r\n"
            f"Message-ID: <{number}.demo@example.com>\r\n\r\nThis is letter {number}.\r\n{body}"
        ).encode()


async def run_demo(console: Console, *, messages: int) -> Story:
    """Tell the story on ``console``.

    Args:
        console: where to.
        messages: how many there are in the mailbox.

    Raises:
        GmailError: the story did not come to its end: that would be a bug.
    """
    teller = _Teller(console)
    logger = logging.getLogger("aiogmail")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(teller)
    try:
        async with GmailEmulator(behaviour=Behaviour(token_lifetime=TOKEN_LIFE)) as server:
            account = server.add_account(ADDRESS)
            digests = [hashlib.sha256(account.deliver(letter).raw).digest() for letter in _letters(messages)]
            teller.tell("server", f"a Gmail inside this program: {messages} messages in INBOX, access tokens that live {TOKEN_LIFE:g} s")
            story = await _read(teller, server, account, digests)
    finally:
        logger.removeHandler(teller)
        logger.setLevel(level)
    _conclude(console, story)
    return story


async def _read(teller: _Teller, server: GmailEmulator, account: EmulatedAccount, digests: list[bytes]) -> Story:
    """The job: every message with its body, slowly enough for sessions to expire on the way."""
    seen: dict[int, bytes] = {}
    twice = 0
    step = max(1, len(digests) // _STEPS)
    pause = SECONDS * step / len(digests)
    settings = replace(server.settings, limits=Limits(buffer=_BUFFER), rotate=False)  # which would keep them from expiring
    async with Gmail(ADDRESS, account.credentials(), settings=settings) as gmail, gmail.mailbox("INBOX", readonly=True) as inbox:
        teller.tell("your code", "async for message in inbox.fetch('1:*', 'raw'): …")
        async for message in inbox.fetch("1:*", "raw"):
            twice += message.uid in seen
            seen[message.uid] = hashlib.sha256(message.raw).digest()
            if len(seen) % step == 0:
                await asyncio.sleep(pause)
            if len(seen) % (step * 20) == 0:
                teller.tell("your code", f"{len(seen)} of {len(digests)} messages")
        teller.tell("your code", f"the loop ended after {len(seen)} messages; it saw no error", "green")
    connections = [record for record in server.ledger.connections if record.protocol == "imap"]
    return Story(
        delivered=len(digests),
        received=len(seen),
        twice=twice,
        missing=len(digests) - len(seen),
        altered=sum(a != b for a, b in zip(digests, (seen[uid] for uid in sorted(seen)), strict=False)),
        connections=len(connections),
        expired=sum("expired" in record.reason.lower() for record in connections),
        tokens=sum(not answer.error for answer in account.tokens),
        seconds=teller.seconds,
    )


def _conclude(console: Console, story: Story) -> None:
    table = Table("what happened, by the server's ledger", "", show_edge=False, title_justify="left")
    table.add_row("sessions that the server ended: * BYE Session expired", str(story.expired))
    table.add_row("connections made", str(story.connections))
    table.add_row("access tokens issued", str(story.tokens))
    table.add_row("messages delivered / received", f"{story.delivered} / {story.received}")
    table.add_row("missing, twice, or altered (sha256)", f"{story.missing}, {story.twice}, {story.altered}")
    table.add_row("seconds", f"{story.seconds:.1f}")
    console.print()
    console.print(table)
