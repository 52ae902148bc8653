"""How does a label leave Gmail? Message by message into an archive, on from where an earlier run was cut, verified at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from aiogmail.errors import ConfigurationError
from aiogmail.imap.mailbox import Mailbox
from aiogmail.imap.query import Q
from aiogmail.imap.uidset import UidSet

from .archives import FORMATS, Archive, Entry, Index, entry_of
from .desk import Desk
from .reading import opened

__all__ = ["export"]

_BATCH = 100
_ITEMS = ("gmail_id", "thread_id", "flags", "labels", "internal_date", "size", "raw")


async def export(desk: Desk, query: str, *, mailbox: str | None, to: Path, kind: str) -> None:
    """Export what a query finds in a label.

    Raises:
        ConfigurationError: the target is of another export, cannot be written, or holds other octets than were written there.
    """
    account = desk.account().address
    archive: Archive = FORMATS[kind](to)
    index = Index(archive.index_path, {"account": account, "mailbox": mailbox, "query": query, "format": kind})
    try:
        archive.index_path.parent.mkdir(parents=True, exist_ok=True)
        archive.check()
        try:
            index.open()
            damaged = archive.open(index.entries.values())
            for one in damaged:
                del index.entries[one.id]
            async with desk.gmail() as gmail, opened(desk, gmail, mailbox) as box:
                await _export(desk, box, query, archive, index)
            _verify(to, archive, index.entries.values())
        finally:
            archive.close()
            index.close()
    except OSError as error:
        if isinstance(error, ConnectionError | TimeoutError):
            raise
        raise ConfigurationError(f"to: {error.filename or to} cannot be written: {error.strerror or error}") from None
    lost = [one.place for one in damaged if one.id not in index.entries]
    if lost:
        desk.say(f"{len(lost)} exported earlier are damaged or gone, and no longer found on the server: {', '.join(lost[:5])}", "yellow")
    desk.say(f"{len(index.entries)} messages in {to}, verified", "green")


async def _export(desk: Desk, box: Mailbox, query: str, archive: Archive, index: Index) -> None:
    uids = await box.search(Q.gmail(query) if query else Q.all)
    ids: list[str] = []
    left: list[int] = []
    octets = 0
    async for message in box.fetch(uids, "gmail_id", "size"):
        key = f"{message.gmail_id:016x}"
        ids.append(key)
        if key not in index.entries:
            left.append(message.uid)
            octets += message.size
    if len(left) < len(ids):
        desk.say(f"{len(ids) - len(left)} of {len(ids)} are there already")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=desk.err, disable=not desk.err.is_terminal) as progress:
        bar = progress.add_task("", total=octets)
        unsaved: list[Entry] = []
        written = len(ids) - len(left)
        try:
            async for message in box.fetch(UidSet(left), *_ITEMS):
                if f"{message.gmail_id:016x}" in index.entries:
                    continue  # the same message under another UID
                unsaved.append(entry_of(message, *archive.put(message)))
                written += 1
                progress.update(bar, advance=len(message.raw), description=f"{written} of {len(ids)} messages")
                if len(unsaved) >= _BATCH:
                    _save(archive, index, unsaved)
        finally:  # also of an export that is interrupted: the next one need not fetch these again
            _save(archive, index, unsaved)


def _save(archive: Archive, index: Index, unsaved: list[Entry]) -> None:
    """First the messages are written, then the index says so."""
    archive.flush()
    for entry in unsaved:
        index.add(entry)
    index.flush()
    unsaved.clear()


def _verify(to: Path, archive: Archive, entries: Iterable[Entry]) -> None:
    """Read back what was written, in this run or an earlier one."""
    archive.flush()
    for entry in entries:
        if hashlib.sha256(archive.read(entry)).hexdigest() != entry.kept:
            raise ConfigurationError(f"to: {entry.place} in {to} was altered since it was exported: {_MEND}")


_MEND = "remove that file, or of an mbox all of it and its index, and run the export again"
