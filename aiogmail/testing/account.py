"""What is in an account, and what does each change to it do?

The one place where messages, labels and flags change: the servers and the tests both come through here, and the ledger is written here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from email.message import EmailMessage, Message
from email.policy import SMTP as SMTP_POLICY
from typing import Any

from . import mime
from .behaviour import Behaviour
from .identities import Identities, message_id_of
from .labels import Labels
from .ledger import Appended, Delivered, FlagsChanged, LabelsChanged, Ledger, Removed
from .message import Mailbox, Refused, StoredMessage, by_uidvalidity, names_of

__all__ = ["AccountModel", "message_bytes"]


def message_bytes(message: bytes | str | Message) -> bytes:
    """The bytes of a message in any of the forms a test may have it in, with CRLF line ends."""
    if isinstance(message, EmailMessage | Message):
        raw = message.as_bytes(policy=message.policy.clone(linesep="\r\n") if isinstance(message, EmailMessage) else SMTP_POLICY)
    elif isinstance(message, str):
        raw = message.encode()
    else:
        raw = bytes(message)
    return mime.with_crlf(raw)


class AccountModel:
    """The messages of one account, their labels and flags; pure, synchronous, with the time passed in as ``wall``.

    Attributes:
        address: the account's address.
        behaviour: its switches; replace it with :meth:`configure`.
        ledger: what happened.
        labels: its mailboxes.
        modseq: the account's change counter, HIGHESTMODSEQ of every mailbox.
    """

    def __init__(self, address: str, behaviour: Behaviour, wall: Callable[[], float], seed: int = 0) -> None:
        self.address = address
        self.behaviour = behaviour
        self.ledger = Ledger()
        self.labels = Labels(behaviour.locale)
        self.modseq = 1
        self._wall = wall
        self._random = random.Random(f"{seed}/{address}")  # noqa: S311  ids, not secrets
        self._messages: dict[int, StoredMessage] = {}
        self._identities = Identities()
        self._received: set[str] = set()
        self._last_id = 0
        self._bytes = 0
        self._flag_sets: dict[frozenset[str], frozenset[str]] = {}
        self._label_sets: dict[frozenset[Mailbox], frozenset[Mailbox]] = {}
        boxes = self.labels.by_key
        self.inbox, self.all_mail, self.drafts, self.sent = boxes["inbox"], boxes["all"], boxes["drafts"], boxes["sent"]
        self.spam, self.starred, self.trash = boxes["spam"], boxes["starred"], boxes["trash"]
        self.stores = (self.all_mail, self.trash, self.spam)

    # What is there

    @property
    def messages(self) -> tuple[StoredMessage, ...]:
        """Every message, Trash and Spam included, in the order of arrival."""
        return tuple(self._messages.values())

    @property
    def mailboxes(self) -> dict[str, Mailbox]:
        """Mailboxes by full name."""
        return {mailbox.name: mailbox for mailbox in self.labels.mailboxes}

    def mailbox(self, name: str) -> Mailbox:
        """One mailbox by its name or label.

        Raises:
            KeyError: there is none.
        """
        found = self.labels.resolve(name)
        if found is None:
            raise KeyError(name)
        return found

    def by_gmail_id(self, gmail_id: int) -> StoredMessage | None:
        """The message of an X-GM-MSGID."""
        return self._messages.get(gmail_id)

    def storage(self) -> int:
        """KiB used, for QUOTA."""
        return self._bytes // 1024

    def is_full(self) -> bool:
        """Whether the quota is used up."""
        return self.storage() >= self.behaviour.quota

    # How messages come in

    def configure(self, **changes: Any) -> None:
        """Change switches of :class:`~aiogmail.testing.Behaviour` for this account."""
        self.behaviour = replace(self.behaviour, **changes)

    def add(
        self,
        raw: bytes,
        places: Iterable[Mailbox],
        flags: Iterable[str] = (),
        internal_date: float | None = None,
        thread_id: int | None = None,
    ) -> StoredMessage:
        """Store a new message and show it in ``places``; Trash or Spam among them excludes all others."""
        now = self._wall()
        gmail_id = max(self._last_id + 1, (int(now * 1000) << 20) | self._random.getrandbits(20))
        self._last_id = gmail_id
        wanted = frozenset(places)
        store = next((box for box in (self.trash, self.spam) if box in wanted), self.all_mail)
        date = int(now if internal_date is None else internal_date)
        thread = thread_id or self._identities.thread_of(raw) or gmail_id
        message = StoredMessage(gmail_id, thread, raw, date, message_id_of(raw), store)
        self._messages[gmail_id] = message
        self._bytes += len(raw)
        self._identities.add(message)
        store.place(message)
        self._set(message, frozenset(flags) - {"\\Deleted"}, wanted - {*self.stores}, store, new=True)
        return message

    def deliver(
        self,
        message: bytes | str | Message,
        labels: Iterable[str] = ("\\Inbox",),
        *,
        flags: Iterable[str] = (),
        date: datetime | float | None = None,
        thread_id: int | None = None,
    ) -> StoredMessage:
        r"""A message arrives.

        Args:
            message: the message; its line ends become CRLF.
            labels: names or labels (``"INBOX"``, ``"\Sent"``, ``"Work"``); labels that do not exist are made; none leaves it
                in All Mail alone.
            flags: such as ``"\Seen"``.
            date: INTERNALDATE; the default is now.
            thread_id: a thread to join; the default follows References and the subject, as Gmail does.
        """
        places = [self.labels.resolve(name) or self.labels.create(name, self.behaviour) for name in labels]
        when = date.timestamp() if isinstance(date, datetime) else date
        stored = self.add(message_bytes(message), places, flags, when, thread_id)
        self.ledger.add(Delivered(self._wall(), stored))
        return stored

    def append(self, raw: bytes, mailbox: Mailbox, flags: Iterable[str], date: float | None) -> int:
        """IMAP's APPEND: the UID that APPENDUID names.

        A message like one that is there (``Behaviour.similar``) is not stored again: see ``Behaviour.append_duplicate``.

        Raises:
            Refused: over quota.
        """
        if self.storage() + len(raw) // 1024 > self.behaviour.quota:
            raise Refused("OVERQUOTA", "Not enough storage.")
        wanted = frozenset(flags)
        twin = self._twin(raw)
        if twin is not None and self.behaviour.append_to_bin == "store" and mailbox in {self.trash, self.spam} - {twin.store}:
            twin = None
        if twin is not None and self.behaviour.append_duplicate == "replace" and mailbox in twin.mailboxes:
            self.remove(twin)
            twin = None
        if twin is not None:
            self.copy(twin, mailbox)
            stored = twin
        else:
            stored = self.add(raw, [mailbox], wanted, date)
            stored.popped = mailbox in {self.sent, self.drafts}
        uid = mailbox.uid_of[stored]
        self.ledger.add(Appended(self._wall(), mailbox.name, uid, stored, twin is not None))
        if "\\Deleted" in wanted:
            self.mark_deleted(stored, mailbox, deleted=True)
        return uid

    def file_sent(self, raw: bytes) -> StoredMessage:
        """The copy of a submitted message that Gmail files in Sent, unless the account has the message."""
        twin = self._twin(raw)
        if twin is not None:
            self.copy(twin, self.sent)
            twin.popped = True  # whichever of the two copies came first
            return twin
        stored = self.add(raw, [self.sent], ["\\Seen"])
        stored.popped = True
        return stored

    def receive(self, raw: bytes) -> StoredMessage | None:
        """A message from another account. One of a Message-ID that arrived before is dropped, even if that lies in the bin by now."""
        message_id = message_id_of(raw)
        twin = self._identities.newest(message_id)
        if twin is None:
            stored = self.add(raw, [self.inbox])
        elif message_id in self._received:
            return None
        else:
            stored = twin  # sent to oneself: one message, in Inbox and Sent
            self.copy(twin, self.inbox)
        self._received.add(message_id)
        self.ledger.add(Delivered(self._wall(), stored))
        return stored

    # How messages change

    def set_flags(self, message: StoredMessage, flags: Iterable[str]) -> None:
        r"""Replace a message's flags; ``\Flagged`` is Starred and ``\Draft`` is Drafts."""
        self._set(message, frozenset(flags) - {"\\Deleted"}, None, message.store)

    def set_labels(self, message: StoredMessage, labels: Iterable[Mailbox]) -> None:
        """Replace a message's labels. Trash or Spam among them moves it there; any other brings it back to All Mail."""
        wanted = frozenset(labels)
        store = next((box for box in (self.trash, self.spam) if box in wanted), None)
        if store is None:
            store = self.all_mail if wanted else message.store
        self._set(message, None, wanted - {*self.stores}, store)

    def copy(self, message: StoredMessage, target: Mailbox) -> None:
        """COPY: a label more; to Trash or Spam it moves and loses its labels; to All Mail it leaves those two."""
        if target in self.stores:
            self._set(message, None, message.labelled if target is message.store else frozenset(), target)
        else:
            self._set(message, None, message.labelled | {target}, self.all_mail)

    def move(self, message: StoredMessage, source: Mailbox, target: Mailbox) -> None:
        """MOVE: COPY, and the source's label is gone. To All Mail it is what Gmail calls archiving."""
        if source is target:
            return
        if target in {self.trash, self.spam} or source in self.stores:
            self.copy(message, target)
        else:
            labels = message.labelled - {source}
            self._set(message, None, labels if target in self.stores else labels | {target}, self.all_mail)

    def mark_deleted(self, message: StoredMessage, mailbox: Mailbox, *, deleted: bool) -> None:
        r"""``\Deleted`` in one mailbox. With auto-expunge the message leaves it at once."""
        if not deleted:
            mailbox.deleted.discard(message)
        elif self.behaviour.auto_expunge:
            self.expunge(message, mailbox)
            return
        else:
            mailbox.deleted.add(message)
        self._touch(message)
        for watcher in mailbox.watchers:
            watcher.changed(mailbox.uid_of[message])

    def expunge(self, message: StoredMessage, mailbox: Mailbox) -> None:
        """Take a message out of a mailbox: for ever out of Trash and Spam, else by ``Behaviour.expunge_behavior``."""
        if mailbox in {self.trash, self.spam}:
            self.remove(message)
            return
        labels = message.labelled - {mailbox}
        # With auto-expunge Gmail archives; else the setting holds for what leaves the last mailbox that IMAP shows.
        remains = self.behaviour.auto_expunge or any(not self.labels.is_hidden(box, self.behaviour) for box in labels)
        if remains or self.behaviour.expunge_behavior == "archive":
            if mailbox is self.all_mail and message in mailbox.deleted:
                self.mark_deleted(message, mailbox, deleted=False)  # it stays, and only loses its mark
            self._set(message, None, labels, message.store)
        elif self.behaviour.expunge_behavior == "trash":
            self._set(message, None, frozenset(), self.trash)
        else:
            self.remove(message)

    def remove(self, message: StoredMessage) -> None:
        """Delete a message for ever."""
        self.modseq += 1
        for mailbox in list(message.mailboxes):
            mailbox.drop(message)
        del self._messages[message.gmail_id]
        self._bytes -= len(message.raw)
        self._identities.remove(message)
        self.ledger.add(Removed(self._wall(), message))

    def delete_label(self, mailbox: Mailbox) -> None:
        """DELETE: the label goes, the messages stay in All Mail.

        Raises:
            Refused: it is one of Gmail's own.
        """
        self.labels.forget(mailbox, self.behaviour)
        for message in mailbox.messages:
            self._set(message, None, message.labelled - {mailbox}, message.store)

    def change_uidvalidity(self, name: str) -> int:
        """Renumber a mailbox under a new UIDVALIDITY, which is returned; sessions that have it selected are ended."""
        mailbox = self.mailbox(name)
        mailbox.renumber(self.labels.new_uidvalidity())
        return mailbox.uidvalidity

    # Inside

    def _touch(self, message: StoredMessage) -> None:
        self.modseq += 1
        message.modseq = self.modseq

    def _set(
        self, message: StoredMessage, flags: frozenset[str] | None, labels: frozenset[Mailbox] | None, store: Mailbox, *, new: bool = False
    ) -> None:
        """The one transition: flags and labels that mean the same are brought together, views and watchers follow."""
        new_flags = message.flags if flags is None else flags
        new_labels = message.labelled if labels is None else labels
        for box, flag in ((self.starred, "\\Flagged"), (self.drafts, "\\Draft")):
            if labels is not None and (box in labels) != (box in message.labelled) and (new or store is self.all_mail):
                new_flags = new_flags | {flag} if box in labels else (new_flags if new else new_flags - {flag})
            new_labels = new_labels | {box} if flag in new_flags else new_labels - {box}
        if store is not self.all_mail:
            new_labels = frozenset()
        old_flags, old_labels, old_store = message.flags, message.labelled, message.store
        if not new and (new_flags, new_labels, store) == (old_flags, old_labels, old_store):
            return
        if new or new_flags != old_flags or self.behaviour.labels_move_modseq:
            self._touch(message)
        message.flags = self._flag_sets.setdefault(new_flags, new_flags)
        message.labelled = self._label_sets.setdefault(new_labels, new_labels)
        message.store = store
        gone = old_labels - new_labels | ({old_store} - {store})
        come = new_labels - old_labels | ({store} - {old_store})
        for box in sorted(gone, key=by_uidvalidity):
            box.drop(message)
        for box in sorted(come, key=by_uidvalidity):
            box.place(message)
        if new:
            return
        if gone or come:
            self.ledger.add(LabelsChanged(self._wall(), message, names_of(come), names_of(gone)))
        if new_flags != old_flags:
            added, lost = tuple(sorted(new_flags - old_flags)), tuple(sorted(old_flags - new_flags))
            self.ledger.add(FlagsChanged(self._wall(), message, added, lost))
            for box in message.mailboxes:
                if box not in come:
                    for watcher in box.watchers:
                        watcher.changed(box.uid_of[message])

    def _twin(self, raw: bytes) -> StoredMessage | None:
        """The message that Gmail takes for the same."""
        return None if self.behaviour.append_duplicate == "store" else self._identities.twin(raw, self.behaviour.similar)
