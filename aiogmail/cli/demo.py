"""What does it look like when sessions expire in the middle of a job? The real client against the emulator, told line by line.

Five things at once on one account: a bulk fetch whose session expires twice, a watcher that must miss nothing, a send whose reply is lost,
a POP3 read, and one token cache for them all. Every line is what the client's events say, what the loops counted, or what the emulator's
ledger says: nothing is told that was not measured.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email.message import EmailMessage

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from aiogmail.client import Gmail
from aiogmail.imap.events import Arrived
from aiogmail.settings import Limits
from aiogmail.supervisor.events import Replayed
from aiogmail.testing import Behaviour, EmulatedAccount, Fault, GmailEmulator

__all__ = ["Story", "run_demo"]

ADDRESS = "me@gmail.example"
TOKEN_LIFE = 3.0
SECONDS = 4.5
ARRIVALS = 8
_POPPED = 50
_STEPS = 100
_BUFFER = 64 * 1024
"""Little is read ahead, so that the end of a session is met soon after it came."""


@dataclass(slots=True)
class Story:
    """How it went: the client's counts beside the ledger's."""

    delivered: int = 0
    received: int = 0
    twice: int = 0
    altered: int = 0
    arrived: int = 0
    seen: int = 0
    seen_twice: int = 0
    submissions: int = 0
    confirmed_by: str = ""
    offered: int = 0
    popped: int = 0
    expired: int = 0
    connections: int = 0
    tokens: int = 0
    replayed: int = 0
    seconds: float = 0.0

    @property
    def missing(self) -> int:
        """Messages that the fetch should have given and did not."""
        return self.delivered - self.received

    @property
    def is_good(self) -> bool:
        """Everything came, once and whole, and the message was sent once, although sessions expired and a reply was lost."""
        fetched = self.expired > 0 and not (self.missing or self.twice or self.altered)
        watched = self.seen == self.arrived and not self.seen_twice
        return fetched and watched and self.submissions == 1 and self.confirmed_by == "lookup" and self.popped == self.offered > 0


@dataclass(slots=True)
class _Stage:
    """What the parts of the story share."""

    console: Console
    bars: Progress
    server: GmailEmulator
    account: EmulatedAccount
    gmail: Gmail
    story: Story
    began: float = field(default_factory=time.perf_counter)

    def tell(self, who: str, text: str, style: str = "") -> None:
        seconds = time.perf_counter() - self.began
        self.console.print(f"{seconds:6.2f} s  {who:<10}  {text}", style=style, markup=False, soft_wrap=True)


def _letters(count: int) -> Iterator[bytes]:
    body = "A letter wants some body, if only the same as the last.\r\n" * 20
    for number in range(1, count + 1):
        yield (
            f"From: Ann Example <ann@example.com>\r\nTo: {ADDRESS}\r\nSubject: Letter {number}\r\n"
            f"Message-ID: <{number}.demo@example.com>\r\n\r\nThis is letter {number}.\r\n{body}"
        ).encode()


async def run_demo(console: Console, *, messages: int) -> Story:
    """Tell the story on ``console``; on a terminal with bars that move.

    Args:
        console: where to.
        messages: how many the bulk fetch reads.

    Raises:
        GmailError: the story did not come to its end: that would be a bug.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    async with GmailEmulator(behaviour=Behaviour(token_lifetime=TOKEN_LIFE)) as server:
        account = server.add_account(ADDRESS)
        digests = [hashlib.sha256(account.deliver(letter, labels=("Letters",)).raw).digest() for letter in _letters(messages)]
        settings = replace(server.settings, limits=Limits(buffer=_BUFFER))
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
            async with Gmail(ADDRESS, account.credentials(), settings=settings) as gmail:
                stage = _Stage(console, bars, server, account, gmail, Story(delivered=len(digests), arrived=ARRIVALS))
                stage.tell("server", f"a Gmail inside this program: {messages} messages, access tokens that live {TOKEN_LIFE:g} s")
                await _act(stage, digests)
        _count(stage)
    _conclude(console, stage.story)
    return stage.story


async def _act(stage: _Stage, digests: list[bytes]) -> None:
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        listener = tasks.create_task(_listen(stage))
        watcher = tasks.create_task(_watch(stage, ready))
        await ready.wait()
        tasks.create_task(_deliver(stage))
        await _read(stage, digests)
        await _send(stage)
        await _pop(stage, digests)
        await watcher
        listener.cancel()


async def _listen(stage: _Stage) -> None:
    """What the supervisors say."""
    async with stage.gmail.events() as events:
        async for event in events:
            stage.story.replayed += isinstance(event, Replayed)
            style = {"lost": "yellow", "failed": "red", "rotated": "green"}.get(event.kind, "cyan")
            stage.tell("aiogmail", f"{event.what}: {event.kind}{f': {event.reason}' if event.reason else ''}", style)


async def _watch(stage: _Stage, ready: asyncio.Event) -> None:
    """A watcher of INBOX: every arrival, once."""
    bar = stage.bars.add_task("watch ", total=ARRIVALS)
    keys: set[object] = set()
    async with stage.gmail.mailbox("INBOX", readonly=True) as inbox, inbox.watch() as events:
        following = aiter(events)
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0.2)
        ready.set()
        event = await first
        while True:
            if isinstance(event, Arrived):
                stage.story.seen_twice += event.key in keys
                keys.add(event.key)
                stage.story.seen = len(keys)
                stage.bars.advance(bar)
            if len(keys) == ARRIVALS:
                return
            event = await anext(following)


async def _deliver(stage: _Stage) -> None:
    """Mail that comes meanwhile, also while a session is being replaced."""
    for number in range(ARRIVALS):
        await asyncio.sleep(SECONDS / (ARRIVALS + 1))
        stage.account.deliver(
            f"From: Eve <eve@example.com>\r\nSubject: News {number}\r\nMessage-ID: <n{number}@example.com>\r\n\r\nNews.\r\n".encode()
        )


async def _read(stage: _Stage, digests: list[bytes]) -> None:
    """The bulk fetch, slowly enough for its sessions to end on the way: by the server's will, and by their token's end."""
    story, seen = stage.story, dict[int, bytes]()
    bar = stage.bars.add_task("fetch ", total=len(digests))
    step = max(1, len(digests) // _STEPS)
    async with stage.gmail.mailbox("Letters", readonly=True) as letters:
        stage.tell("your code", "async for message in letters.fetch('1:*', 'raw'): …")
        async for message in letters.fetch("1:*", "raw"):
            story.twice += message.uid in seen
            seen[message.uid] = hashlib.sha256(message.raw).digest()
            stage.bars.advance(bar)
            if len(seen) % step == 0:
                await asyncio.sleep(SECONDS * step / len(digests))
            if len(seen) in {len(digests) // 4, len(digests) * 4 // 5}:
                stage.tell("server", "* BYE Session expired, please login again. (on every connection)", "yellow")
                stage.account.expire_sessions()
    story.received = len(seen)
    story.altered = sum(a != b for a, b in zip(digests, (seen[uid] for uid in sorted(seen)), strict=False))
    stage.tell("your code", f"the loop ended after {len(seen)} messages; it saw no error", "green")


async def _send(stage: _Stage) -> None:
    """A send whose reply never comes: what became of it is asked of Sent, not guessed."""
    message = EmailMessage()
    message["To"], message["Subject"] = "you@example.com", "Once"
    message["From"] = ADDRESS
    message.set_content("Sent once, whatever happens to the reply.\n")
    stage.server.faults.add(Fault("close", command="MESSAGE", protocol="smtp", point="reply", byte=0))
    stage.tell("server", "will take the next message and hang up instead of answering", "yellow")
    result = await stage.gmail.send(message)
    stage.story.confirmed_by = result.confirmed_by
    stage.tell("your code", f"await gmail.send(message): {result.status}, confirmed by {result.confirmed_by}", "green")


async def _pop(stage: _Stage, digests: list[bytes]) -> None:
    """The same account over POP3: the oldest messages, asked for all at once."""
    async with stage.gmail.pop3() as pop:
        oldest = (await pop.uidl())[: min(_POPPED, len(digests))]  # behind the letters is the news
        found = await asyncio.gather(*(pop.retrieve(uidl) for uidl in oldest))
    stage.story.offered = len(oldest)
    stage.story.popped = sum(hashlib.sha256(raw).digest() in digests for raw in found)
    stage.tell("your code", f"await pop.retrieve(uidl), {stage.story.popped} times over POP3", "green")


def _count(stage: _Stage) -> None:
    """What the server's ledger says."""
    story = stage.story
    connections = stage.server.ledger.connections
    story.connections = sum(one.protocol in {"imap", "smtp", "pop3"} for one in connections)
    story.expired = sum("expired" in one.reason.lower() for one in connections)
    story.tokens = sum(not answer.error for answer in stage.account.tokens)
    story.submissions = len(stage.account.ledger.submissions)
    story.seconds = time.perf_counter() - stage.began


def _conclude(console: Console, story: Story) -> None:
    table = Table("what happened, by the server's ledger and the loops' own counts", "", show_edge=False, title_justify="left")
    table.add_row("sessions that the server ended: * BYE Session expired", str(story.expired))
    table.add_row("connections made (IMAP, SMTP, POP3), with one token cache", str(story.connections))
    table.add_row("access tokens issued", str(story.tokens))
    table.add_row("calls carried on in another session", str(story.replayed))
    table.add_row("fetched: delivered / received", f"{story.delivered} / {story.received}")
    table.add_row("fetched: missing, twice, altered (sha256)", f"{story.missing}, {story.twice}, {story.altered}")
    table.add_row("watched: arrived / seen / twice", f"{story.arrived} / {story.seen} / {story.seen_twice}")
    table.add_row("sent: submissions the server took, confirmed by", f"{story.submissions}, {story.confirmed_by}")
    table.add_row("POP3: asked for / read and the same (sha256)", f"{story.offered} / {story.popped}")
    table.add_row("seconds", f"{story.seconds:.1f}")
    console.print()
    console.print(table)
