"""How does a script hear of new mail? One line an event, or a command run for each; on from where the last run stopped."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from aiogmail.errors import ConfigurationError
from aiogmail.imap.cursor import Cursor
from aiogmail.imap.events import Event
from aiogmail.oauth.stores.file import write_private

from .desk import Desk

__all__ = ["watch"]


async def watch(desk: Desk, *, mailbox: str | None, as_json: bool, command: str | None, cursor_file: Path | None, count: int) -> None:
    """Tell what happens, until interrupted or ``count`` events were told.

    A cursor is saved when the watch begins, and when an event was written, or its command has ended with 0: one that failed is told again
    by the next run.
    """
    cursor = _load(cursor_file)
    async with desk.gmail() as gmail:
        if mailbox is None:
            async with gmail.watch(cursor) as events:
                await _follow(desk, events, as_json=as_json, command=command, cursor_file=cursor_file, count=count)
        else:
            async with gmail.mailbox(mailbox, readonly=True) as box, box.watch(cursor) as events:
                await _follow(desk, events, as_json=as_json, command=command, cursor_file=cursor_file, count=count)


async def _follow(desk: Desk, events: Any, *, as_json: bool, command: str | None, cursor_file: Path | None, count: int) -> None:
    told = 0
    _save(cursor_file, events.cursor)  # a run that ends before its first event has seen where it began all the same
    desk.say("watching; Ctrl-C ends it")
    async for event in events:
        value = described(event)
        if command is not None:
            code = await _execute(command, value)
            if code:
                again = "; its event will be told again" if cursor_file is not None else ""
                raise ConfigurationError(f"exec: {command!r} ended with {code}{again}")
        if as_json:
            desk.give_json(value)
        else:
            desk.write("\t".join(str(part) for part in _line(value)))
        _save(cursor_file, event.cursor)
        told += 1
        if told == count:
            return


def _save(path: Path | None, cursor: Cursor) -> None:
    if path is None:
        return
    try:
        write_private(path, cursor.to_json().encode(), f".{os.getpid()}")
    except OSError as error:
        raise ConfigurationError(f"cursor {path}: cannot be written: {error.strerror or error}") from None


def described(event: Event) -> dict[str, Any]:
    """An event as a line of JSON tells it."""
    value: dict[str, Any] = {"kind": event.kind, "key": list(event.key), "account": event.account, "mailbox": event.mailbox}
    for name in ("uid", "flags", "labels", "old", "new"):
        if hasattr(event, name):
            found = getattr(event, name)
            value[name] = sorted(found) if isinstance(found, frozenset) else found
    for name, member in (("id", "gmail_id"), ("thread", "thread_id")):
        number = getattr(event, member, None)
        if number is not None:
            value[name] = f"{number:016x}"
    return value


def _line(value: dict[str, Any]) -> tuple[Any, ...]:
    return value["kind"], value.get("id", ""), value.get("uid", ""), " ".join((*value.get("labels", ()), *value.get("flags", ())))


async def _execute(command: str, value: dict[str, Any]) -> int | None:
    """Run a command in the shell, the event in its standard input and environment; what it ended with."""
    words = {f"AIOGMAIL_{name.upper()}": str(value[name]) for name in ("kind", "id", "uid", "mailbox", "account") if name in value}
    process = await asyncio.create_subprocess_shell(command, stdin=asyncio.subprocess.PIPE, env={**os.environ, **words})
    try:
        await process.communicate(json.dumps(value, ensure_ascii=False).encode() + b"\n")
    except BaseException:
        if process.returncode is None:
            process.terminate()
            await process.wait()
        raise
    return process.returncode


def _load(path: Path | None) -> Cursor | None:
    if path is None or not path.exists():
        return None
    try:
        return Cursor.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(f"cursor {path}: cannot be read: {reason}") from None
