"""APPEND (RFC 9051 section 6.3.12, RFC 4315, RFC 7889)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiogmail.imap.wire import Flag, Literal, Mailbox, Tagged
from aiogmail.ports import Effect
from aiogmail.settings import Timeouts

from .base import Command

__all__ = ["Append", "Appended"]


@dataclass(frozen=True, slots=True)
class Appended:
    """The server's APPENDUID: under which UID the message is now known."""

    uidvalidity: int
    uid: int


class Append(Command[Appended | None]):
    r"""APPEND a message. The result is ``None`` where the server has no UIDPLUS.

    Args:
        mailbox: where to.
        message: its octets; they are not copied.
        flags: such as ``"\\Seen"``.
        date: its INTERNALDATE, aware; ``None``: now.
    """

    name = "APPEND"
    effect = Effect.VERIFIABLE
    waits = True
    blocks = True
    droppable = False

    def __init__(self, mailbox: str, message: bytes | memoryview, *, flags: Sequence[str] = (), date: dt.datetime | None = None) -> None:
        self._mailbox = mailbox
        self._message = message
        self._flags = tuple(flags)
        self._date = date

    def arguments(self) -> Sequence[Any]:
        options: tuple[Any, ...] = (tuple(Flag(flag) for flag in self._flags),) if self._flags else ()
        if self._date is not None:
            options += (self._date,)
        return (Mailbox(self._mailbox), *options, Literal(self._message))

    def finish(self, tagged: Tagged) -> Appended | None:
        code = tagged.code
        if code is None or code.name != "APPENDUID":
            return None
        uidvalidity, uids = code.args
        assert isinstance(uidvalidity, int)
        return Appended(uidvalidity, next(iter(uids)))  # type: ignore[call-overload]

    def patience(self, timeouts: Timeouts) -> float | None:
        return timeouts.append_final
