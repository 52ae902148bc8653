"""What is wrong with this account? Each step that a mail program depends on, tried by itself, with what to do where it fails."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import typer

from aiogmail.client import Gmail, ImapClient, SmtpClient
from aiogmail.errors import GmailError
from aiogmail.oauth import MAIL_SCOPE, TokenCache, UserCredentials
from aiogmail.secret import Secret
from aiogmail.settings import Settings

from .desk import Desk
from .questions import ask_all

__all__ = ["Finding", "examine"]

_NEEDED = ("UIDPLUS", "MOVE", "CONDSTORE", "ESEARCH", "X-GM-EXT-1", "IDLE")
_EXPECTED = {"all": "All Mail", "sent": "Sent Mail", "trash": "Trash", "drafts": "Drafts", "junk": "Spam"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a step found.

    Attributes:
        step: what was tried.
        state: ``"good"``, ``"warning"`` (something will not work) or ``"bad"`` (nothing will).
        text: what was found, and what to do.
        milliseconds: how long it took.
    """

    step: str
    state: str
    text: str
    milliseconds: int


Step = Callable[[], Awaitable[tuple[str, str]]]


class _Patient:
    """The account, and what is opened of it on the way."""

    def __init__(self, address: str, credentials: UserCredentials, tokens: TokenCache, settings: Settings) -> None:
        self.address = address
        self.credentials = credentials
        self.tokens = tokens
        self.settings = settings

    async def consent(self) -> tuple[str, str]:
        if MAIL_SCOPE not in self.credentials.scopes:
            return "bad", f"the consent is not for {MAIL_SCOPE}; run: aiogmail login {self.address}"
        return "good", f"for {MAIL_SCOPE}, from OAuth client {self.credentials.client_id}"

    async def token(self) -> tuple[str, str]:
        token = await self.tokens.get(self.address, self.credentials)
        return "good", f"an access token until {token.expires_at.astimezone():%H:%M:%S}"

    async def secret(self) -> Secret:
        return (await self.tokens.get(self.address, self.credentials)).access_token

    async def imap(self) -> tuple[str, str]:
        async with self.connection() as client:
            known = {name.upper() for name in client.aioimaplib.protocol.capabilities}
        missing = [name for name in _NEEDED if name not in known]
        if missing:
            return "warning", f"let in at {self.settings.imap}, but the server lacks {', '.join(missing)}"
        return "good", f"let in at {self.settings.imap}; {len(known)} capabilities, none missing"

    async def labels(self) -> tuple[str, str]:
        async with self.gmail() as gmail:
            found = {one.special_use for one in await gmail.mailboxes()}
        hidden = [name for use, name in _EXPECTED.items() if use not in found]
        if hidden:
            return "warning", f"hidden from IMAP: {', '.join(hidden)}; switch on 'Show in IMAP' for them in Gmail's settings, under Labels"
        return "good", "All Mail, Sent Mail, Trash, Drafts and Spam are visible to IMAP"

    async def smtp(self) -> tuple[str, str]:
        async with SmtpClient(self.address, self.credentials, tokens=self.tokens, settings=self.settings):
            pass
        return "good", f"let in at {self.settings.smtp}"

    async def pop3(self) -> tuple[str, str]:
        async with self.gmail() as gmail, gmail.pop3() as drop:
            stat = await drop.stat()
        return "good", f"let in at {self.settings.pop3}; {stat.count} messages are offered"

    def connection(self) -> ImapClient:
        return ImapClient(self.address, self.credentials, tokens=self.tokens, settings=self.settings)

    @asynccontextmanager
    async def gmail(self) -> AsyncIterator[Gmail]:
        async with Gmail(self.address, self.credentials, tokens=self.tokens, settings=self.settings) as gmail:
            yield gmail


async def examine(desk: Desk, *, report: bool, as_json: bool) -> None:
    """Try each step, in the order in which they depend on each other.

    Raises:
        typer.Exit: with 1, if a step is bad.
    """
    account = desk.account()
    servers = desk.servers(account)
    findings: list[Finding] = []

    async def run(step: str, work: Step, *, is_needed: bool = True) -> bool:
        begun = time.monotonic()
        try:
            state, text = await work()
        except GmailError as error:
            state, text = ("bad" if is_needed else "warning"), " ".join(str(error).split())
        finding = Finding(step, state, text, int((time.monotonic() - begun) * 1000))
        findings.append(finding)
        _tell(desk, finding, as_json=as_json)
        return state != "bad"

    credentials = desk.accounts.credentials(account)
    async with TokenCache(desk.accounts.store(account)) as tokens:
        patient = _Patient(account.address, credentials, tokens, servers.settings)
        fit = await run("consent", patient.consent) and await run("token", patient.token)
        if fit:
            fit = await run("IMAP", patient.imap) and await run("labels", patient.labels)
            fit = await run("SMTP", patient.smtp) and fit
            await run("POP3", patient.pop3, is_needed=False)
        if fit and report:
            await _report(desk, patient, as_json=as_json)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)


async def _report(desk: Desk, patient: _Patient, *, as_json: bool) -> None:
    desk.say("asking the server what is not documented; this takes some minutes, sends one message to yourself, and cleans up")
    # A generator is not closed by whoever leaves its loop, such as for a reader who has had enough: it would clean up when all is closed.
    async with patient.gmail() as gmail, aclosing(ask_all(gmail, patient.connection, patient.secret)) as answers:
        async for answer in answers:
            if as_json:
                desk.give_json({"question": answer.question, "answer": answer.answer, "evidence": answer.evidence})
            else:
                desk.write(f"{answer.question}\n    {answer.answer}  ({answer.evidence})")


_MARKS = {"good": ("ok", "green"), "warning": ("!!", "yellow"), "bad": ("no", "red")}


def _tell(desk: Desk, finding: Finding, *, as_json: bool) -> None:
    if as_json:
        desk.give_json({"step": finding.step, "state": finding.state, "text": finding.text, "ms": finding.milliseconds})
        return
    mark, style = _MARKS[finding.state]
    desk.out.print(f"{mark:<4}{finding.step:<9}{finding.text}", style=style, markup=False)
