"""Flags and labels: added, removed, replaced. Adding and removing are sets' work; a replacement must not lose another client's change."""

from __future__ import annotations

from collections.abc import Sequence

from aiogmail.errors import ConfigurationError, Conflict, GmailError
from aiogmail.imap.commands import UidStore
from aiogmail.imap.labels import Label, there
from aiogmail.imap.lookup import fetch_rows
from aiogmail.imap.session import ImapSession
from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Fetch
from aiogmail.ports import Effect, Outcome

from .bulk import Change, Reply, Verdict
from .place import Place
from .whereabouts import whereabouts

__all__ = ["FLAGS", "LABELS", "Store"]

FLAGS = "FLAGS"
LABELS = "X-GM-LABELS"
_MOVING = there([Label.TRASH, Label.SPAM])


class Store(Change):
    """UID STORE.

    What the reply does not say is asked: a message whose row came with the wanted state is done; another client's opposite change in the
    gap of a lost connection may be overwritten by adding and removing, never by a replacement, which goes with UNCHANGEDSINCE.

    Args:
        item: :data:`FLAGS` or :data:`LABELS`.
        mode: ``"+"``, ``"-"`` or ``""`` (replace).
        values: flags or labels, checked.
        unchanged_since: leave messages alone whose mod-sequence is higher; ``None``, in a replacement: than it was just before.
    """

    verb = "UID STORE"

    def __init__(self, place: Place, item: str, mode: str, values: Sequence[str], *, unchanged_since: int | None = None) -> None:
        super().__init__(place)
        self._item = item
        self._mode = mode
        self._values = tuple(values)
        self._wanted = there(values) if item == LABELS else frozenset(value.lower() for value in values)
        self._given = unchanged_since
        self._modseqs: dict[int, int] = {}
        self._ids: dict[int, int] = {}
        self._present = UidSet()
        self._conflicts = UidSet()
        self._own: frozenset[str] | None = None

    async def before(self, session: ImapSession, uids: UidSet) -> UidSet:
        conditional = "CONDSTORE" in session.capabilities
        if self._given is not None and not conditional:
            raise ConfigurationError("unchanged_since: the server has no CONDSTORE (RFC 7162)")
        items = ["X-GM-MSGID"] if self._item == LABELS else []
        if not self._mode and conditional and self._given is None:
            items.append("MODSEQ")
        if not items and "\\deleted" not in self._wanted:
            return uids
        rows = await fetch_rows(session, uids, items or ["FLAGS"])
        for row in rows:
            assert row.uid is not None
            self._modseqs[row.uid] = row.number("MODSEQ") or 0
            self._ids[row.uid] = row.number("X-GM-MSGID") or 0
        present = UidSet([row.uid for row in rows if row.uid is not None])
        self._present |= present
        return present

    async def attempt(self, session: ImapSession, uids: UidSet) -> UidSet:
        since = self._given
        if since is None and self._modseqs and not self._mode:
            since = max(self._modseqs.get(uid, 0) for uid in uids) or None
        stored = await session.execute(UidStore(uids, self._item, self._mode, self._values, unchanged_since=since))
        self._conflicts |= stored.modified
        return UidSet([uid for uid, row in stored.rows.items() if uid in uids and self._holds(row)])

    async def verify(self, uids: UidSet, reply: Reply) -> Verdict:
        rows = await self.place.rows(uids, self._item, *(("MODSEQ",) if self._modseqs else ()))
        if self._item == LABELS and self._own is None and any(not self._holds(row) for row in rows):
            own = await self.place.runner.run(self.place.label, Effect.PURE)
            self._own = there([own] if own else [])
        done, left, unknown = [], [], []
        for row in rows:
            assert row.uid is not None
            if self._holds(row):
                done.append(row.uid)
            elif reply is Reply.NONE and self._may_have_been_undone(row):
                unknown.append(row.uid)
            else:
                left.append(row.uid)
        missing = uids - UidSet([row.uid for row in rows if row.uid is not None])
        off = await self._those_off(missing, reply)
        return Verdict(UidSet(done) | off, UidSet(left), missing - off, UidSet(unknown))

    def undone(self, uids: UidSet) -> GmailError:
        conflicts = uids & self._conflicts
        if not conflicts:
            return super().undone(uids)
        return Conflict(
            f"UID STORE: another client changed UID {conflicts} first; fetch them and decide again",
            status="OK",
            code="MODIFIED",
            text=str(conflicts),
            outcome=Outcome.NOT_APPLIED,
        )

    def _holds(self, row: Fetch) -> bool:
        found = row.flags if self._item == FLAGS else row.get(LABELS)
        if not isinstance(found, frozenset):
            return False
        if self._item == FLAGS:
            state = frozenset(flag.lower() for flag in found) - {"\\recent"}
            own: frozenset[str] = frozenset()
        else:
            state = there(found)
            own = self._own or frozenset()  # which Gmail neither tells nor takes away
        if self._mode == "+":
            return self._wanted <= state | own
        if self._mode == "-":
            return not self._wanted & state
        return self._wanted | own == state | own

    def _may_have_been_undone(self, row: Fetch) -> bool:
        """A replacement whose reply was lost, and the state is another: was it not done, or done and then changed?"""
        if self._mode:
            return False
        before = self._given if self._given is not None else self._modseqs.get(row.uid or 0)
        now = row.number("MODSEQ")
        return before is None or now is None or now > before

    async def _those_off(self, uids: UidSet, reply: Reply) -> UidSet:
        r"""Of the messages that are not here any more, those that the change itself took away: by ``\Deleted`` or to another store."""
        were = uids & self._present
        if not were:
            return UidSet()
        if self._item == FLAGS:
            return were if "\\deleted" in self._wanted and self._mode != "-" else UidSet()
        if reply is Reply.OK and self._mode != "-" and self._wanted & _MOVING:
            return were
        found = await whereabouts(self.place, [self._ids[uid] for uid in were])
        return UidSet([uid for uid in were if self._ids[uid] in found and self._fits(found[self._ids[uid]])])

    def _fits(self, labels: frozenset[str]) -> bool:
        state = there(labels)
        if self._mode == "+":
            return self._wanted <= state
        return not self._wanted & state if self._mode == "-" else self._wanted == state
