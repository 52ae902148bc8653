"""Which message is this one the same as, and which thread does it belong to?"""

from __future__ import annotations

from typing import Literal

from . import mime
from .message import StoredMessage

__all__ = ["Identities", "message_id_of"]

Similar = Literal["id", "date", "subject", "body"]
_SIMILAR: tuple[Similar, ...] = ("id", "date", "subject", "body")
_REPLY_MARKS = ("re:", "fwd:", "fw:", "aw:")


def message_id_of(raw: bytes) -> str:
    """RFC 5322's Message-ID, or ``""``."""
    return (mime.header_value(raw, b"message-id") or b"").decode("utf-8", "replace")


def _subject_key(raw: bytes) -> str:
    subject = mime.decoded_header(mime.header_value(raw, b"subject") or b"").casefold().strip()
    while subject.startswith(_REPLY_MARKS):
        subject = subject.partition(":")[2].strip()
    return subject


def _likeness(raw: bytes, similar: Similar) -> tuple[bytes | None, ...]:
    """What two messages of one Message-ID must share to be taken for the same."""
    parts = mime.header_value(raw, b"date"), mime.header_value(raw, b"subject"), raw[mime.body_start(raw) :]
    return parts[: _SIMILAR.index(similar)]


class Identities:
    """The messages of an account by Message-ID."""

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[StoredMessage, ...]] = {}  # the newest first

    def add(self, message: StoredMessage) -> None:
        """A message is there."""
        if message.message_id:
            self._by_id[message.message_id] = message, *self._by_id.get(message.message_id, ())

    def remove(self, message: StoredMessage) -> None:
        """It is gone."""
        others = tuple(other for other in self._by_id.get(message.message_id, ()) if other is not message)
        if others:
            self._by_id[message.message_id] = others
        else:
            self._by_id.pop(message.message_id, None)

    def newest(self, message_id: str) -> StoredMessage | None:
        """The newest message of this Message-ID."""
        return next(iter(self._by_id.get(message_id, ())), None)

    def twin(self, raw: bytes, similar: Similar) -> StoredMessage | None:
        """The message that Gmail takes for the same, an equal one before one that is only similar: never one without a Message-ID."""
        likeness = _likeness(raw, similar)
        twins = [twin for twin in self._by_id.get(message_id_of(raw), ()) if _likeness(twin.raw, similar) == likeness]
        return next((twin for twin in twins if twin.raw == raw), twins[0] if twins else None)

    def thread_of(self, raw: bytes) -> int | None:
        """The thread of a message that this one refers to and shares a subject with."""
        words = ((mime.header_value(raw, b"references") or b"") + b" " + (mime.header_value(raw, b"in-reply-to") or b"")).split()
        for word in reversed(words):
            parent = self.newest(word.decode("utf-8", "replace"))
            if parent is not None and _subject_key(parent.raw) == _subject_key(raw):
                return parent.thread_id
        return None
