"""How are labels listed, and messages found and shown?"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiogmail.client import Gmail
from aiogmail.errors import ConfigurationError, GmailError, MailboxNotFound
from aiogmail.imap.mailbox import Mailbox
from aiogmail.imap.models import Message
from aiogmail.imap.query import Q, Query
from aiogmail.imap.uidset import UidSet

from .desk import Desk
from .names import safe_name

__all__ = ["find", "list_labels", "message_id_of", "opened", "search", "show"]

_HEX = re.compile(r"[0-9a-fA-F]{1,16}")
_ROW = ("gmail_id", "thread_id", "flags", "labels", "internal_date", "size", "envelope")


@asynccontextmanager
async def opened(desk: Desk, gmail: Gmail, mailbox: str | None) -> AsyncIterator[Mailbox]:
    """The label named, read-only; without a name All Mail, or INBOX where All Mail is hidden from IMAP, which is said."""
    if mailbox is None:
        try:
            mailbox = (await gmail.special("all")).name
        except MailboxNotFound:
            mailbox = "INBOX"
            desk.say("INBOX alone: All Mail is hidden from IMAP; 'Show in IMAP' in Gmail's settings, under Labels, shows it", "yellow")
    async with gmail.mailbox(mailbox, readonly=True) as opened_mailbox:
        yield opened_mailbox


async def list_labels(desk: Desk, *, as_json: bool) -> None:
    """The labels with their counts."""
    async with desk.gmail() as gmail:
        found = await gmail.mailboxes(counts=True)
    rows = []
    for one in found:
        messages, unseen = (one.counts.messages, one.counts.unseen) if one.counts is not None else (None, None)
        if as_json:
            told = {"name": one.name, "special_use": one.special_use, "messages": messages, "unseen": unseen}
            desk.give_json({**told, "selectable": one.is_selectable})
        rows.append((one.name, _number(messages), _number(unseen), one.special_use or ""))
    if not as_json:
        desk.give_table(("label", "messages", "unseen", "special use"), rows)


def _number(count: int | None) -> str:
    return "" if count is None else str(count)


def message_id_of(text: str) -> int:
    """The Gmail id in the form that ``search`` prints: 16 hexadecimal digits, as in the addresses of Gmail's web pages.

    Raises:
        ConfigurationError: it is none.
    """
    if not _HEX.fullmatch(text):
        raise ConfigurationError(f"id: expected up to 16 hexadecimal digits, as `aiogmail search` prints them; got {text!r}")
    return int(text, 16)


async def search(desk: Desk, query: str, *, mailbox: str | None, limit: int, as_json: bool) -> None:
    """The messages that match, newest first."""
    async with desk.gmail() as gmail, opened(desk, gmail, mailbox) as box:
        found = await box.search(Q.gmail(query) if query else Q.all)
        chosen = UidSet(list(found)[-limit:]) if limit else found
        messages = [message async for message in box.fetch(chosen, *_ROW)]
    if as_json:
        for message in reversed(messages):
            desk.give_json(described(message))
        return
    rows, styles = [], []
    for message in reversed(messages):
        rows.append((f"{message.gmail_id:016x}", _when(message), _who(message), message.envelope.subject, " ".join(sorted(message.labels))))
        styles.append("" if "\\Seen" in message.flags else "bold")
    desk.give_table(("id", "date", "from", "subject", "labels"), rows, styles)
    if len(found) > len(rows):
        desk.say(f"the newest {len(rows)} of {len(found)}; --limit 0 for all")
    elif not rows:
        desk.say("nothing found" if mailbox is not None else "nothing found; Trash and Spam are looked into with --label")


def described(message: Message) -> dict[str, Any]:
    """A message as a line of JSON tells it."""
    envelope = message.envelope
    return {
        "id": f"{message.gmail_id:016x}",
        "thread": f"{message.thread_id:016x}",
        "uid": message.uid,
        "date": message.internal_date.isoformat() if message.internal_date is not None else None,
        "from": [str(one) for one in envelope.from_],
        "to": [str(one) for one in envelope.to],
        "subject": envelope.subject,
        "message_id": envelope.message_id,
        "size": message.size,
        "flags": sorted(message.flags),
        "labels": sorted(message.labels),
    }


def _when(message: Message) -> str:
    date = message.internal_date
    if date is None:
        return ""
    here = date.astimezone()
    return here.strftime("%H:%M" if here.date() == dt.datetime.now().astimezone().date() else "%Y-%m-%d")


def _who(message: Message) -> str:
    people = message.envelope.from_
    return (people[0].name or people[0].address) if people else ""


async def find(box: Mailbox, gmail_id: int) -> int:
    """The UID of a message in a mailbox.

    Raises:
        ConfigurationError: it is not there.
    """
    found: UidSet = await box.search(_by_id(gmail_id))
    if not found:
        raise ConfigurationError(f"id {gmail_id:016x}: no such message in {box.name}; one in Trash or Spam is found with --label")
    return next(iter(found))


def _by_id(gmail_id: int) -> Query:
    return Q.gmail_id(gmail_id)


async def show(
    desk: Desk, gmail_id: int, *, mailbox: str | None, headers: bool, raw: bool, html: bool, save: Path | None, part: str | None
) -> None:
    """One message: its headers, its text, its attachments; or what of it was asked for.

    Raises:
        ConfigurationError: two things were asked for, there is no such message, or what it is saved to cannot be written.
    """
    asked = [name for name, given in (("headers", headers), ("raw", raw), ("html", html), ("part", part is not None)) if given]
    if len(asked) > 1 or (save is not None and (headers or html)):
        raise ConfigurationError(f"{', '.join(asked)}: one at a time, please; save goes with raw, part or neither")
    async with desk.gmail() as gmail, opened(desk, gmail, mailbox) as box:
        uid = await find(box, gmail_id)
        if raw:
            await _pour(desk, box, uid, None, save / f"{gmail_id:016x}.eml" if save is not None else None)
        elif part is not None:
            await _pour(desk, box, uid, part, save / await _name_of(box, uid, part) if save is not None else None)
        elif save is not None:
            await _save_all(desk, box, uid, save)
        elif headers:
            fields = (await _one(box, uid, "headers")).headers
            for name in fields:
                for value in fields.get_all(name):
                    desk.write(f"{name}: {_visible(value)}")
        else:
            _print(desk, await _one(box, uid, *_ROW, "structure", "html" if html else "text"), html=html)


async def _one(box: Mailbox, uid: int, *items: str) -> Message:
    async for message in box.fetch(uid, *items):
        return message
    raise ConfigurationError(f"id: the message is no longer in {box.name}")


def _print(desk: Desk, message: Message, *, html: bool) -> None:
    envelope = message.envelope
    lines: Mapping[str, str] = {
        "From": ", ".join(map(str, envelope.from_)),
        "To": ", ".join(map(str, envelope.to)),
        "Cc": ", ".join(map(str, envelope.cc)),
        "Date": envelope.date.isoformat(" ") if envelope.date is not None else "",
        "Subject": envelope.subject,
        "Labels": ", ".join(sorted(message.labels)),
    }
    for name, value in lines.items():
        if value:
            desk.write(f"{name}: {_visible(value)}")
    desk.write("")
    text = _visible(message.html if html else message.text).rstrip()
    desk.write(text)
    if not text and not html and message.structure is not None and message.structure.body("html") is not None:
        desk.say("the message has no plain text, only HTML: --html shows it")
    attachments = message.attachments
    if attachments:
        desk.write("")
    for one in attachments:
        desk.write(f"[{one.number}] {_visible(one.filename) or 'without a name'}  {one.content_type}, {one.size or 0} octets")


def _visible(text: str) -> str:
    """Text from strangers without what would steer the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "" if char == "\r" else "�" for char in text)


async def _name_of(box: Mailbox, uid: int, part: str) -> str:
    structure = (await _one(box, uid, "structure")).structure
    found = structure.find(part) if structure is not None else None
    if found is None:
        raise ConfigurationError(f"part: the message has no part {part}")
    return safe_name(found.filename or f"part-{part}")


async def _pour(desk: Desk, box: Mailbox, uid: int, part: str | None, target: Path | None) -> None:
    """The octets of a message or a part: into a file, or as they are on standard output."""
    if target is not None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            await box.save(uid, target, part)
        except OSError as error:
            if isinstance(error, GmailError):
                raise
            raise ConfigurationError(f"save: {error.filename or target} cannot be written: {error.strerror or error}") from None
        desk.say(f"saved {target}")
        return
    out = getattr(desk.out.file, "buffer", None)
    async for chunk in box.download(uid, part):
        if out is not None:
            out.write(chunk)
        else:
            desk.out.file.write(chunk.decode("utf-8", "replace"))
    desk.out.file.flush()


async def _save_all(desk: Desk, box: Mailbox, uid: int, folder: Path) -> None:
    """Every attachment, under a name of its own."""
    attachments = (await _one(box, uid, "structure")).attachments
    for one in attachments:
        await _pour(desk, box, uid, one.number, _free(folder / safe_name(one.filename or f"part-{one.number}")))
    if not attachments:
        desk.say("the message has no attachments")


def _free(path: Path) -> Path:
    """The path, or one like it with a number: nothing is overwritten."""
    return next(
        one for number in itertools.count(1) if not (one := path if number == 1 else path.with_stem(f"{path.stem}-{number}")).exists()
    )
