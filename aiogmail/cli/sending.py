"""How is a message sent from a shell? Made of options, read from a file or standard input; the program ends when it is known what became of it."""

from __future__ import annotations

import asyncio
import email.policy
import mimetypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import typer

from aiogmail.errors import ConfigurationError, OutcomeUnknown

from .desk import Desk

__all__ = ["Letter", "send"]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as the options describe it."""

    to: Sequence[str] = ()
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    subject: str = ""
    text: str | None = None
    attachments: Sequence[Path] = ()
    file: Path | None = None

    def message(self, sender: str) -> EmailMessage | bytes:
        """The message; one from a file as its octets are.

        Raises:
            ConfigurationError: a file cannot be read, or nobody is to get it.
        """
        if self.file is not None:
            if self.to or self.cc or self.bcc or self.subject or self.text is not None or self.attachments:
                raise ConfigurationError("file: a whole message; it goes with none of the options that make one")
            return _octets(self.file)
        if [str(path) for path in self.attachments].count("-") + (self.text is None) > 1:
            raise ConfigurationError("attach: standard input can be read once; give the text with --text, and - no more than once")
        if not (self.to or self.cc or self.bcc):
            raise ConfigurationError("to: nobody is to get it: give --to, --cc or --bcc, or a whole message with --file")
        made = EmailMessage(policy=email.policy.SMTP)
        for name, words in (("to", self.to), ("cc", self.cc), ("bcc", self.bcc), ("subject", (self.subject,))):
            _check(name, words)
        try:
            made["From"] = sender
            for name, people in (("To", self.to), ("Cc", self.cc), ("Bcc", self.bcc)):
                if people:
                    made[name] = ", ".join(people)
            made["Subject"] = self.subject
        except (ValueError, IndexError) as error:
            raise ConfigurationError(f"to, subject: {error}") from None
        text = self.text if self.text is not None else _typed()
        try:
            made.set_content(text if text.endswith("\n") else f"{text}\n")
        except UnicodeError:
            raise ConfigurationError("text: is no text in this locale's encoding; a file of another goes with --attach") from None
        for path in self.attachments:
            main, _, sub = _kind(path).partition("/")
            made.add_attachment(_octets(path), maintype=main, subtype=sub, filename=_name(path))
        return made


def _check(name: str, words: Sequence[str]) -> None:
    """Octets that are no text here would be sent as who knows what, to who knows whom.

    Raises:
        ConfigurationError: they are no text.
    """
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(f"{name}: is no text in this locale's encoding: {word!r}") from None


def _name(path: Path) -> str:
    """A file's name for others, who cannot use octets that are no text."""
    return path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _kind(path: Path) -> str:
    """A content type that the octets of a file may have in base64: a message may not (RFC 2046 section 5.2.1), and x.tar.gz is no tar."""
    kind, encoding = mimetypes.guess_type(path.name)
    is_whole = kind is not None and encoding is None and not kind.startswith(("message/", "multipart/"))
    return kind if is_whole and kind is not None else "application/octet-stream"


def _typed() -> str:
    """The text from standard input; whoever sits there is told that it is waited for."""
    if sys.stdin.isatty():
        typer.echo("type the text; Ctrl-D on a line of its own ends it, Ctrl-C sends nothing", err=True)
    return _octets(Path("-")).decode("utf-8", "replace")


def _octets(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"file {path}: cannot be read: {error.strerror}") from None


async def send(desk: Desk, message: EmailMessage | bytes, *, settle_timeout: float, as_json: bool) -> None:
    """Send it, and say what is known.

    Raises:
        OutcomeUnknown: nobody knows, such as after Ctrl-C on the way.
    """
    async with desk.gmail() as gmail:
        try:
            result = await gmail.send(message, settle_timeout=settle_timeout)
        except asyncio.CancelledError:
            told = "interrupted on the way, and the message may have been handed over: look into Sent before you send it again"
            raise OutcomeUnknown(told, stage="interrupted") from None
    refused = {one: " ".join(why) for one, why in result.refused.items()}
    if as_json:
        desk.give_json(
            {
                "status": result.status,
                "message_id": result.message_id,
                "accepted": list(result.accepted),
                "refused": refused,
                "confirmed_by": result.confirmed_by,
                "queue_id": result.queue_id,
            }
        )
    else:
        desk.write(f"sent {result.message_id} to {len(result.accepted)} (confirmed by {result.confirmed_by})")
    for one, why in refused.items():
        desk.say(f"refused: {one}: {why}", "yellow")
    for defect in result.defects:
        desk.say(defect, "yellow")
