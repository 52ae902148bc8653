"""What is a message, and what is a mailbox that shows it?

A message is stored once. Mailboxes are views: All Mail, Trash and Spam hold every message between them, each in one; all other
mailboxes are labels over All Mail. Flags and MODSEQ belong to the message, UIDs to the mailbox.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import TYPE_CHECKING, Protocol

from . import mime

if TYPE_CHECKING:
    from .names import SystemName

__all__ = ["NO_FLAGS", "Mailbox", "Refused", "StoredMessage", "Watcher"]

NO_FLAGS: frozenset[str] = frozenset()


class Refused(Exception):
    """The model says no, in Gmail's words. ``code`` is the response code without brackets, or ``""``."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"[{code}] {text}" if code else text)
        self.code = code
        self.text = text


class Watcher(Protocol):
    """A session that has a mailbox selected."""

    def arrived(self, uid: int) -> None:
        """A message appeared."""
        ...

    def left(self, uid: int) -> None:
        """A message is no longer there."""
        ...

    def changed(self, uid: int) -> None:
        """A message's flags changed."""
        ...

    def renumbered(self) -> None:
        """UIDVALIDITY changed: nothing that was known holds."""
        ...


class StoredMessage:
    r"""One message of an account. Read it as you like; change it through the account.

    Attributes:
        gmail_id: X-GM-MSGID.
        thread_id: X-GM-THRID.
        raw: the message with CRLF line ends.
        internal_date: seconds since the epoch.
        flags: such as ``\Seen``; never ``\Deleted``, which belongs to a mailbox.
        modseq: the account's counter at its last change.
        message_id: the Message-ID with its angle brackets, or ``""``.
        popped: whether POP3 has handed it out.
    """

    __slots__ = ("flags", "gmail_id", "internal_date", "labelled", "message_id", "modseq", "popped", "raw", "store", "thread_id")

    def __init__(self, gmail_id: int, thread_id: int, raw: bytes, internal_date: int, message_id: str, store: Mailbox) -> None:
        self.gmail_id = gmail_id
        self.thread_id = thread_id
        self.raw = raw
        self.internal_date = internal_date
        self.message_id = message_id
        self.flags = NO_FLAGS
        self.labelled: frozenset[Mailbox] = frozenset()
        self.store = store
        self.modseq = 0
        self.popped = False

    def __repr__(self) -> str:
        return f"<message {self.gmail_id:x} {self.message_id} in {', '.join(sorted(self.uids))}>"

    @property
    def size(self) -> int:
        """RFC822.SIZE."""
        return len(self.raw)

    @property
    def mailboxes(self) -> Iterator[Mailbox]:
        """The mailboxes that show it."""
        yield self.store
        # A set's order is that of addresses in memory: another one in every process.
        yield from sorted(self.labelled, key=by_uidvalidity) if len(self.labelled) > 1 else self.labelled

    @property
    def uids(self) -> dict[str, int]:
        """Mailbox name → UID there."""
        return {mailbox.name: mailbox.uid_of[self] for mailbox in self.mailboxes}

    @property
    def labels(self) -> frozenset[str]:
        r"""Its labels as X-GM-LABELS has them from All Mail, such as ``\Inbox`` or ``Work``; in Trash and Spam that one label."""
        own = [self.store.label] if self.store.label else []
        return frozenset([*own, *(mailbox.label for mailbox in self.labelled)])

    @property
    def received(self) -> datetime:
        """INTERNALDATE, in UTC."""
        return datetime.fromtimestamp(self.internal_date, UTC)

    @property
    def email(self) -> EmailMessage:
        """The message, parsed by the standard library."""
        return message_from_bytes(self.raw, policy=policy.default)

    def header(self, name: str) -> str | None:
        """The decoded value of a header field, or ``None``."""
        value = mime.header_value(self.raw, name.lower().encode())
        return None if value is None else mime.decoded_header(value)


class Mailbox:
    r"""A label or one of the three stores, as IMAP shows it.

    Attributes:
        name: its full name, such as ``[Gmail]/All Mail``.
        label: what X-GM-LABELS calls it.
        system: which of Gmail's own it is, or ``None`` for a user's label.
        uidvalidity, uidnext: as in SELECT.
        order: the UIDs, ascending.
        subscribed: whether LSUB names it.
        deleted: the messages marked ``\Deleted`` here while auto-expunge is off.
    """

    __slots__ = ("by_uid", "deleted", "label", "name", "order", "subscribed", "system", "uid_of", "uidnext", "uidvalidity", "watchers")

    def __init__(self, name: str, label: str, uidvalidity: int, system: SystemName | None = None) -> None:
        self.name = name
        self.label = label
        self.system = system
        self.uidvalidity = uidvalidity
        self.uidnext = 1
        self.order: list[int] = []
        self.by_uid: dict[int, StoredMessage] = {}
        self.uid_of: dict[StoredMessage, int] = {}
        self.watchers: list[Watcher] = []
        self.subscribed = True
        self.deleted: set[StoredMessage] = set()

    def __repr__(self) -> str:
        return f"<mailbox {self.name!r} {len(self.order)} messages>"

    def __contains__(self, message: object) -> bool:
        return message in self.uid_of

    @property
    def key(self) -> str:
        """Which of Gmail's own it is (``"inbox"``, ``"trash"``, …), or ``""``."""
        return self.system.key if self.system else ""

    @property
    def marked(self) -> list[StoredMessage]:
        r"""Those marked ``\Deleted``, by ascending UID."""
        return sorted(self.deleted, key=self.uid_of.__getitem__)

    @property
    def messages(self) -> tuple[StoredMessage, ...]:
        """The messages by ascending UID."""
        return tuple(self.by_uid[uid] for uid in self.order)

    def place(self, message: StoredMessage) -> int:
        """Show a message here; it gets the next UID."""
        uid = self.uidnext
        self.uidnext += 1
        self.order.append(uid)
        self.by_uid[uid] = message
        self.uid_of[message] = uid
        for watcher in self.watchers:
            watcher.arrived(uid)
        return uid

    def drop(self, message: StoredMessage) -> None:
        """Show it no longer."""
        uid = self.uid_of.pop(message)
        del self.by_uid[uid]
        del self.order[bisect_left(self.order, uid)]
        self.deleted.discard(message)
        for watcher in self.watchers:
            watcher.left(uid)

    def renumber(self, uidvalidity: int) -> None:
        """Give every message a new UID under a new UIDVALIDITY."""
        messages = self.messages
        self.uidvalidity = uidvalidity
        self.order = list(range(1, len(messages) + 1))
        self.by_uid = dict(zip(self.order, messages, strict=True))
        self.uid_of = {message: uid for uid, message in self.by_uid.items()}
        self.uidnext = len(messages) + 1
        for watcher in list(self.watchers):
            watcher.renumbered()


def by_uidvalidity(mailbox: Mailbox) -> tuple[int, str]:
    """For sorting: an order that is the same in every process."""
    return mailbox.uidvalidity, mailbox.name


def names_of(mailboxes: Iterable[Mailbox]) -> tuple[str, ...]:
    """Their names, sorted, as the ledger has them."""
    return tuple(sorted(mailbox.name for mailbox in mailboxes))
