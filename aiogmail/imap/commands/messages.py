"""The commands that change messages: UID STORE, COPY, MOVE, EXPUNGE (RFC 9051 section 6.4, RFC 7162, RFC 4315, RFC 6851)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Atom, Fetch, Flag, Label, Mailbox, Raw, Response, ResponseCode, Status, Tagged
from aiogmail.ports import Effect

from .base import Command

__all__ = ["Copied", "Stored", "UidCopy", "UidExpunge", "UidMove", "UidStore"]


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a STORE.

    Attributes:
        rows: the FETCH responses that told of the new state, by UID; none with ``.SILENT``.
        modified: UIDs that were left alone because they had changed since ``unchanged_since``.
    """

    rows: dict[int, Fetch]
    modified: UidSet


class UidStore(Command[Stored]):
    """UID STORE of flags or Gmail labels.

    Args:
        uids: which messages.
        item: ``"FLAGS"`` or ``"X-GM-LABELS"``.
        mode: ``"+"`` adds, ``"-"`` removes, ``""`` replaces.
        values: flags or labels.
        silent: do not tell the new state (``.SILENT``).
        unchanged_since: leave messages alone whose mod-sequence is higher (CONDSTORE).
    """

    name = "UID STORE"
    waits = True
    blocks = True
    bulk = True
    droppable = False

    def __init__(
        self,
        uids: UidSet,
        item: str,
        mode: str,
        values: Sequence[str],
        *,
        silent: bool = False,
        unchanged_since: int | None = None,
    ) -> None:
        self._uids = uids
        self._item = item
        self._mode = mode
        self._values = tuple(values)
        self._silent = silent
        self._unchanged_since = unchanged_since
        self._rows: dict[int, Fetch] = {}

    @property
    def effect(self) -> Effect:  # type: ignore[override]  # adding and removing twice is the same; replacing may lose another's change
        return Effect.IDEMPOTENT if self._mode else Effect.NEVER

    def arguments(self) -> Sequence[Any]:
        kind = Flag if self._item == "FLAGS" else Label
        condition: tuple[Any, ...] = () if self._unchanged_since is None else ((Atom("UNCHANGEDSINCE"), self._unchanged_since),)
        item = Raw(f"{self._mode}{self._item}{'.SILENT' if self._silent else ''}")
        return (self._uids, *condition, item, tuple(kind(value) for value in self._values))

    def take(self, response: Response) -> bool:
        if isinstance(response, Fetch) and response.uid is not None and response.uid in self._uids:
            self._rows[response.uid] = response
            return True
        return False

    def finish(self, tagged: Tagged) -> Stored:
        code = tagged.code
        modified = code.args[0] if code is not None and code.name == "MODIFIED" and code.args else UidSet()
        assert isinstance(modified, UidSet)
        return Stored(self._rows, modified)


@dataclass(frozen=True, slots=True)
class Copied:
    """Where copies went: the server's COPYUID (RFC 4315).

    Attributes:
        uidvalidity: of the destination.
        uids: UID here → UID there.
    """

    uidvalidity: int
    uids: dict[int, int]


def _copied(code: ResponseCode | None, asked: UidSet) -> Copied | None:
    if code is None or code.name != "COPYUID" or not isinstance(code.args[0], int):
        return None
    source, copies = code.args[1], code.args[2]
    if not isinstance(source, UidSet) or not isinstance(copies, UidSet) or len(source) != len(copies) or source - asked:
        return None  # of messages nobody asked to copy: a few octets can name billions
    pairs: Iterator[tuple[int, int]] = iter(code.uid_pairs())
    return Copied(code.args[0], dict(pairs))


class UidCopy(Command[Copied | None]):
    """UID COPY. The result is ``None`` where the server has no UIDPLUS or copied nothing."""

    name = "UID COPY"
    effect = Effect.VERIFIABLE
    waits = True
    blocks = True
    bulk = True
    droppable = False

    def __init__(self, uids: UidSet, mailbox: str) -> None:
        self._uids = uids
        self._mailbox = mailbox
        self._copied: Copied | None = None

    def arguments(self) -> Sequence[Any]:
        return (self._uids, Mailbox(self._mailbox))

    def take(self, response: Response) -> bool:
        # MOVE tells COPYUID in an untagged OK (RFC 6851); Gmail tells it in the tagged one.
        if isinstance(response, Status) and (copied := _copied(response.code, self._uids)) is not None:
            self._copied = copied
            return True
        return False

    def finish(self, tagged: Tagged) -> Copied | None:
        return _copied(tagged.code, self._uids) or self._copied


class UidMove(UidCopy):
    """UID MOVE (RFC 6851). The EXPUNGEs that come with it are the mailbox's to hear."""

    name = "UID MOVE"


class UidExpunge(Command[None]):
    r"""UID EXPUNGE (RFC 4315): those of a set that are marked ``\Deleted``, and no others."""

    name = "UID EXPUNGE"
    effect = Effect.IDEMPOTENT
    waits = True
    blocks = True
    bulk = True
    droppable = False

    def __init__(self, uids: UidSet) -> None:
        self._uids = uids

    def arguments(self) -> Sequence[Any]:
        return (self._uids,)

    def finish(self, tagged: Tagged) -> None:
        return None
