"""The commands about mailboxes: LIST, STATUS, CREATE, … (RFC 9051 section 6.3, RFC 5258, RFC 5819, RFC 6154, RFC 2087)."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiogmail.imap.wire import Atom, Enabled, Mailbox, MailboxList, MailboxStatus, Namespace, Quota, QuotaRoot, Response, Tagged, utf7
from aiogmail.ports import Effect

from .base import Command

__all__ = [
    "Create",
    "Delete",
    "Enable",
    "GetQuotaRoot",
    "List",
    "ListedMailbox",
    "NamespaceCommand",
    "QuotaRoots",
    "Rename",
    "StatusCommand",
    "Subscribe",
    "Unselect",
    "Unsubscribe",
]

_STATUS_ITEMS = ("MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "HIGHESTMODSEQ")


@dataclass(frozen=True, slots=True)
class ListedMailbox:
    r"""One line of LIST, with the STATUS that came with it.

    Attributes:
        name: in Unicode.
        delimiter: between levels of the hierarchy; ``None``: there are none.
        attributes: such as ``"\\HasNoChildren"`` and the special use ``"\\Sent"``.
        status: STATUS items by name, if they were asked for and the mailbox can be selected.
    """

    name: str
    delimiter: str | None
    attributes: frozenset[str]
    status: Mapping[str, Any] = field(default_factory=dict)


class List(Command[tuple[ListedMailbox, ...]]):
    """LIST. On servers with LIST-STATUS the counts of every mailbox come in the same round trip.

    Args:
        reference: where the pattern begins; ``""``: at the root.
        pattern: ``*`` matches any characters, ``%`` any but the delimiter.
        status: STATUS items to return, on servers with LIST-STATUS.
        special_use: ask for special-use attributes by name, on servers that do not show them by themselves.
        subscribed: only mailboxes that are subscribed to (LIST-EXTENDED).
    """

    name = "LIST"
    bulk = True

    def __init__(
        self,
        pattern: str = "*",
        *,
        reference: str = "",
        status: Sequence[str] = (),
        special_use: bool = False,
        subscribed: bool = False,
    ) -> None:
        self._reference = reference
        self._pattern = pattern
        self._status = tuple(status)
        self._special_use = special_use
        self._subscribed = subscribed
        self._found: dict[str, ListedMailbox] = {}
        self._statuses: dict[str, Mapping[str, Any]] = {}

    def arguments(self) -> Sequence[Any]:
        head: tuple[Any, ...] = ((Atom("SUBSCRIBED"),),) if self._subscribed else ()
        returned: list[Any] = [Atom("SPECIAL-USE")] if self._special_use else []
        if self._status:
            returned += [Atom("STATUS"), tuple(Atom(item) for item in self._status)]
        tail: tuple[Any, ...] = (Atom("RETURN"), tuple(returned)) if returned else ()
        return (*head, Mailbox(self._reference) if self._reference else "", Mailbox(self._pattern), *tail)

    def take(self, response: Response) -> bool:
        if isinstance(response, MailboxList) and response.kind == "LIST":
            self._found[response.name] = ListedMailbox(response.name, response.delimiter, response.attributes)
            return True
        if isinstance(response, MailboxStatus) and self._status:
            self._statuses[response.name] = response.items
            return True
        return False

    def finish(self, tagged: Tagged) -> tuple[ListedMailbox, ...]:
        return tuple(
            ListedMailbox(one.name, one.delimiter, one.attributes, self._statuses.get(one.name, {})) for one in self._found.values()
        )


class StatusCommand(Command[Mapping[str, Any]]):
    """STATUS: counts of a mailbox that need not be selected. The result has the items by their upper-case names."""

    name = "STATUS"

    def __init__(self, mailbox: str, items: Sequence[str] = _STATUS_ITEMS) -> None:
        self._mailbox = mailbox
        self._items = tuple(items)
        self._found: Mapping[str, Any] = {}

    def arguments(self) -> Sequence[Any]:
        return (Mailbox(self._mailbox), _atoms(self._items))

    def take(self, response: Response) -> bool:
        if isinstance(response, MailboxStatus) and _same(response, self._mailbox):
            self._found = response.items
            return True
        return False

    def finish(self, tagged: Tagged) -> Mapping[str, Any]:
        return self._found


@functools.lru_cache(64)
def _atoms(items: tuple[str, ...]) -> tuple[Atom, ...]:
    return tuple(map(Atom, items))


def _same(told: MailboxStatus, asked: str) -> bool:
    """Whether an answer is about the mailbox that was asked for, in whichever form either of them wrote the name."""
    if told.name == asked:
        return True
    names = {told.name, told.encoded.decode("utf-8", "replace"), utf7.decode(told.encoded)}
    return not {_plain(asked), _plain(utf7.decode(asked.encode("utf-8")))}.isdisjoint(map(_plain, names))


def _plain(name: str) -> str:
    """One form of a name: composed, and INBOX, alone or above others, in capitals (RFC 9051 section 5.1)."""
    first, delimiter, rest = unicodedata.normalize("NFC", name).partition("/")
    return ("INBOX" if first.upper() == "INBOX" else first) + delimiter + rest


class _Change(Command[None]):
    """A command that changes something and returns nothing: it goes alone."""

    effect = Effect.VERIFIABLE
    waits = True
    blocks = True
    droppable = False

    def __init__(self, *mailboxes: str) -> None:
        self._mailboxes = mailboxes

    def arguments(self) -> Sequence[Any]:
        return tuple(Mailbox(name) for name in self._mailboxes)

    def finish(self, tagged: Tagged) -> None:
        return None


class Create(_Change):
    """CREATE a mailbox (on Gmail: a label)."""

    name = "CREATE"


class Delete(_Change):
    """DELETE a mailbox (on Gmail: the label alone; its messages stay in All Mail)."""

    name = "DELETE"


class Rename(_Change):
    """RENAME a mailbox: the old name, then the new one."""

    name = "RENAME"


class Subscribe(_Change):
    """SUBSCRIBE to a mailbox."""

    name = "SUBSCRIBE"
    effect = Effect.IDEMPOTENT


class Unsubscribe(_Change):
    """UNSUBSCRIBE from a mailbox."""

    name = "UNSUBSCRIBE"
    effect = Effect.IDEMPOTENT


class Unselect(Command[None]):
    """UNSELECT (RFC 3691): leave the mailbox without expunging anything, as CLOSE would."""

    name = "UNSELECT"
    waits = True
    blocks = True

    def finish(self, tagged: Tagged) -> None:
        return None


class Enable(Command[frozenset[str]]):
    """ENABLE extensions (RFC 5161). The result is what the server enabled.

    Once that holds ``UTF8=ACCEPT`` mailbox names and labels travel as UTF-8 in quotes, both ways (RFC 6855). No session of ours asks for
    it by itself: Gmail shows labels in another form then, and takes no search beyond ASCII any more.
    """

    name = "ENABLE"
    waits = True
    blocks = True
    droppable = False

    def __init__(self, *names: str) -> None:
        self._names = names
        self._enabled: frozenset[str] = frozenset()

    def arguments(self) -> Sequence[Any]:
        return tuple(Atom(name) for name in self._names)

    def take(self, response: Response) -> bool:
        if isinstance(response, Enabled):
            self._enabled |= response.names
            self.utf8 = "UTF8=ACCEPT" in self._enabled
            return True
        return False

    def finish(self, tagged: Tagged) -> frozenset[str]:
        return self._enabled


class NamespaceCommand(Command[Namespace | None]):
    """NAMESPACE (RFC 2342)."""

    name = "NAMESPACE"

    def __init__(self) -> None:
        self._found: Namespace | None = None

    def take(self, response: Response) -> bool:
        if isinstance(response, Namespace):
            self._found = response
            return True
        return False

    def finish(self, tagged: Tagged) -> Namespace | None:
        return self._found


@dataclass(frozen=True, slots=True)
class QuotaRoots:
    """The quota roots of a mailbox.

    Attributes:
        roots: quota root → resource (``"STORAGE"`` in KiB, ``"MESSAGE"``) → ``(usage, limit)``.
    """

    roots: Mapping[str, Mapping[str, tuple[int, int]]]


class GetQuotaRoot(Command[QuotaRoots]):
    """GETQUOTAROOT (RFC 2087)."""

    name = "GETQUOTAROOT"

    def __init__(self, mailbox: str) -> None:
        self._mailbox = mailbox
        self._roots: dict[str, Mapping[str, tuple[int, int]]] = {}

    def arguments(self) -> Sequence[Any]:
        return (Mailbox(self._mailbox),)

    def take(self, response: Response) -> bool:
        if isinstance(response, Quota):
            self._roots[response.root] = response.resources
            return True
        if isinstance(response, QuotaRoot):
            for root in response.roots:
                self._roots.setdefault(root, {})
            return True
        return False

    def finish(self, tagged: Tagged) -> QuotaRoots:
        return QuotaRoots(self._roots)
