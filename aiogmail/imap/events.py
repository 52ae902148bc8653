"""What can happen to a mailbox, as a watch tells it?"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import ClassVar

from .cursor import Cursor

__all__ = ["Arrived", "Changed", "Event", "Gone", "MailboxReset"]

Key = tuple[str, str, int, int, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a mailbox: one of :class:`Arrived`, :class:`Changed`, :class:`Gone` and :class:`MailboxReset`.

    Attributes:
        cursor: the place behind this event. Save ``cursor.to_json()`` once you have acted on it: a watch from there goes on with the next.
        kind: which of the four, in a word.
    """

    cursor: Cursor = field(repr=False)
    kind: ClassVar[str] = ""

    @property
    def account(self) -> str:
        """Whose mailbox."""
        return self.cursor.account

    @property
    def mailbox(self) -> str:
        r"""Its name, ``"\\All"`` for a whole account."""
        return self.cursor.mailbox

    @property
    def uidvalidity(self) -> int:
        """Under which the UID holds."""
        return self.cursor.uidvalidity

    @property
    def key(self) -> Key:
        """``(account, mailbox, uidvalidity, uid, kind, modseq)``: names the event for ever.

        An event that is delivered again, because its cursor was not saved, has the same one. It is 0 for ``uid`` or ``modseq`` where
        there is none to name: a message arrives once and goes once.
        """
        return (self.account, self.mailbox, self.uidvalidity, 0, self.kind, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfMessage(Event):
    uid: int

    @property
    def key(self) -> Key:
        """As every event's, with the message's UID."""
        return (self.account, self.mailbox, self.uidvalidity, self.uid, self.kind, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived(_OfMessage):
    r"""A message is there that was not.

    It tells what the message has at this moment. Delivered again it has the same key, and ``modseq`` shows whether the rest is newer.

    Attributes:
        uid: names it in the mailbox.
        gmail_id: X-GM-MSGID, which names it in the account for ever; ``None`` on other servers.
        thread_id: X-GM-THRID; ``None`` on other servers.
        flags: such as ``"\Seen"``.
        labels: its Gmail labels, without the watched mailbox's own; none on other servers.
        modseq: of its latest change; 0 on servers without CONDSTORE.
    """

    kind: ClassVar[str] = "arrived"
    gmail_id: int | None
    thread_id: int | None
    flags: frozenset[str]
    labels: frozenset[str]
    modseq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed(_OfMessage):
    """The flags or labels of a message changed: here are all that it has now, however many changes led to that.

    Attributes:
        uid, gmail_id, thread_id, flags, labels, modseq: as in :class:`Arrived`.
    """

    kind: ClassVar[str] = "changed"
    gmail_id: int | None
    thread_id: int | None
    flags: frozenset[str]
    labels: frozenset[str]
    modseq: int

    @property
    def key(self) -> Key:
        """As every event's, with the mod-sequence of the change; without CONDSTORE the same flags twice have the same key."""
        change = self.modseq or zlib.crc32(" ".join(sorted(self.flags)).encode())
        return (self.account, self.mailbox, self.uidvalidity, self.uid, self.kind, change)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone(_OfMessage):
    """A message is no longer there: expunged, moved, or its label was removed. IMAP does not say which, nor by whom.

    Attributes:
        uid: the UID that it had.
    """

    kind: ClassVar[str] = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxReset(Event):
    """UIDVALIDITY became another: every UID known is void, and ``gmail_id`` alone says which message is which.

    Every message that is there is told as arrived after this, under the new UIDVALIDITY.

    Attributes:
        old: the UIDVALIDITY before.
        new: that from now on.
    """

    kind: ClassVar[str] = "reset"
    old: int
    new: int
