"""Which mailboxes does an account have, what may they be called, and what happens when one is made, renamed or deleted?"""

from __future__ import annotations

from dataclasses import dataclass

from .behaviour import Behaviour
from .message import Mailbox, Refused
from .names import INBOX, SYSTEM, system_names

__all__ = ["Labels", "ListedMailbox"]


@dataclass(frozen=True, slots=True)
class ListedMailbox:
    """A line of LIST: a mailbox, or a name that only stands above others (then ``mailbox`` is ``None``)."""

    name: str
    mailbox: Mailbox | None
    has_children: bool


class Labels:
    """The mailboxes of one account by name."""

    def __init__(self, locale: str) -> None:
        self.prefix, names = system_names(locale)
        self.by_key = {system.key: Mailbox(names[system.key], system.label, system.uidvalidity, system) for system in SYSTEM}
        self._by_name = {mailbox.name: mailbox for mailbox in self.by_key.values()}
        self._next_validity = 20
        self._forgotten: dict[str, tuple[int, int]] = {}

    @property
    def mailboxes(self) -> tuple[Mailbox, ...]:
        """All of them, Gmail's own first."""
        return tuple(self._by_name.values())

    def new_uidvalidity(self) -> int:
        """A value that no mailbox of this account has had."""
        self._next_validity += 1
        return self._next_validity - 1

    def get(self, name: str) -> Mailbox | None:
        """The mailbox of this name (``INBOX`` in any case)."""
        return self._by_name.get(INBOX if name.upper() == INBOX else name)

    def resolve(self, text: str) -> Mailbox | None:
        r"""The mailbox of a name or of a label as X-GM-LABELS writes it: ``\Inbox``, ``\Sent``, ``Work``."""
        if text.startswith("\\"):
            aliases = {"\\drafts": "\\draft", "\\junk": "\\spam", "\\flagged": "\\starred"}
            wanted = aliases.get(text.lower(), text.lower())
            return next((box for box in self.by_key.values() if box.label.lower() == wanted), None)
        return self.get(text)

    def check_name(self, name: str, behaviour: Behaviour) -> None:
        """Refuse what Gmail refuses as a label.

        Raises:
            Refused: ``CANNOT``.
        """
        parts = name.split("/")
        reserved = parts[0] in {"[Gmail]", "[Google Mail]", self.prefix}
        if reserved or "^" in name or len(name) > behaviour.max_label or not all(parts) or any(ord(char) < 32 for char in name):
            raise Refused("CANNOT", "Folder name is not allowed.")
        if "  " in name or any(part != part.strip() for part in parts):
            raise Refused("CANNOT", "Folder contains excess whitespace")

    def create(self, name: str, behaviour: Behaviour) -> Mailbox:
        """Make a label.

        Raises:
            Refused: ``ALREADYEXISTS`` or ``CANNOT``.
        """
        if self.get(name) is not None:
            raise Refused("ALREADYEXISTS", f"Duplicate folder name {name}")
        self.check_name(name, behaviour)
        above = name.rpartition("/")[0]
        if behaviour.parents_made and above and self.get(above) is None:
            self.create(above, behaviour)
        if name in self._forgotten and not behaviour.uidvalidity_on_recreate:
            validity, uidnext = self._forgotten[name]
        else:
            validity, uidnext = self.new_uidvalidity(), 1
        mailbox = self._by_name[name] = Mailbox(name, name, validity)
        mailbox.uidnext = uidnext  # under one UIDVALIDITY no UID is given twice
        return mailbox

    def forget(self, mailbox: Mailbox, behaviour: Behaviour) -> None:
        """Delete a label; its messages must have lost it already.

        Raises:
            Refused: ``CANNOT``: it is one of Gmail's own.
        """
        if mailbox.system is not None:
            raise Refused("CANNOT", behaviour.delete_refusal)
        del self._by_name[mailbox.name]
        self._forgotten[mailbox.name] = mailbox.uidvalidity, mailbox.uidnext

    def rename(self, old: str, new: str, behaviour: Behaviour) -> None:
        """Rename a label and all below it.

        Raises:
            Refused: ``NONEXISTENT``, ``ALREADYEXISTS`` or ``CANNOT``.
        """
        mailbox = self.get(old)
        below = [box for name, box in self._by_name.items() if name.startswith(old + "/")]
        if mailbox is None and not below:
            raise Refused("NONEXISTENT", f"Unknown Mailbox: {old}")
        if (mailbox is not None and mailbox.system) or old == self.prefix:
            raise Refused("CANNOT", behaviour.rename_refusal)
        if self.get(new) is not None:
            raise Refused("ALREADYEXISTS", f"Duplicate folder name {new}")
        self.check_name(new, behaviour)
        if new.startswith(old + "/"):
            raise Refused("CANNOT", "Folder name is not allowed.")
        taken = next((name for box in below if self.get(name := new + box.name[len(old) :]) is not None), None)
        if taken is not None:
            raise Refused("ALREADYEXISTS", f"Duplicate folder name {taken}")
        for box in [*([mailbox] if mailbox else []), *below]:
            del self._by_name[box.name]
            box.name = box.label = new + box.name[len(old) :]
            self._by_name[box.name] = box

    def listed(self, behaviour: Behaviour) -> list[ListedMailbox]:
        """What LIST "" "*" shows: INBOX, the labels in order, then Gmail's own; with the names above them."""
        hidden = behaviour.hidden
        english = self._english_names()
        boxes = {name: box for name, box in self._by_name.items() if name not in hidden and english.get(name) not in hidden}
        parents = {name[:at] for name in boxes for at in range(len(name)) if name[at] == "/"}
        names = sorted({*boxes, *parents} - {INBOX}, key=lambda name: (name.split("/")[0] == self.prefix, name))
        if INBOX in boxes:
            names.insert(0, INBOX)
        return [ListedMailbox(name, boxes.get(name), name in parents) for name in names]

    def is_hidden(self, mailbox: Mailbox, behaviour: Behaviour) -> bool:
        """Whether "Show in IMAP" is off for it."""
        return mailbox.name in behaviour.hidden or self._english_names().get(mailbox.name) in behaviour.hidden

    def _english_names(self) -> dict[str, str]:
        english = system_names("en")[1]
        return {box.name: english[key] for key, box in self.by_key.items()}
