"""Copies and moves: where did they arrive? Told by COPYUID; where that was lost, found in the destination.

On Gmail a message is found by its X-GM-MSGID, and a second copy of it is the same message with the same label. Elsewhere it is found by
what came since, with the same Message-ID, size and date; and before a copy is written again the server gets time to finish the first.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict

from aiogmail.errors import CommandError, MailboxNotFound
from aiogmail.imap.commands import Noop, UidCopy, UidMove
from aiogmail.imap.commands.since import RowsFrom
from aiogmail.imap.lookup import MESSAGE_ID, Mark, fetch_rows, has_gmail, message_id_of, note_on, pauses
from aiogmail.imap.session import ImapSession
from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Fetch
from aiogmail.ports import Effect, Runner

from .bulk import Change, Reply, Verdict
from .place import Place, rows_of_ids

__all__ = ["Transfer"]

_SETTLE = 60.0
"""Seconds after which what a dead connection had sent is done or never will be."""
_IDENTITY = ("RFC822.SIZE", "INTERNALDATE", MESSAGE_ID)
_Identity = tuple[object, ...]


class Transfer(Change):
    """UID COPY or UID MOVE.

    Args:
        destination: the name of the mailbox to copy or move to.
        move: take the messages away here.
    """

    most = 500

    def __init__(self, place: Place, destination: str, *, move: bool) -> None:
        super().__init__(place)
        self.verb = "UID MOVE" if move else "UID COPY"
        self._destination = destination
        self._move = move
        self._gmail = False
        self._mark: Mark | None = None
        self._who: dict[int, _Identity] = {}
        self._copies: dict[int, int] = {}
        self._uidvalidity: int | None = None

    async def before(self, session: ImapSession, uids: UidSet) -> UidSet:
        self._gmail = has_gmail(session)
        if self._move and "MOVE" not in session.capabilities:
            raise CommandError(f"{self.verb}: the server has no MOVE (RFC 6851); copy, then add \\Deleted and expunge", status="BAD")
        if not self._gmail and self._mark is None:
            self._mark = await note_on(session, self._destination)
        rows = await fetch_rows(session, uids, ("X-GM-MSGID",) if self._gmail else _IDENTITY)
        for row in rows:
            assert row.uid is not None
            self._who[row.uid] = self._identity(row)
        return UidSet([row.uid for row in rows if row.uid is not None])

    async def attempt(self, session: ImapSession, uids: UidSet) -> UidSet:
        command = UidMove if self._move else UidCopy
        copied = await session.execute(command(uids, self._destination))
        if copied is None:
            return UidSet()
        self._arrived(copied.uids, copied.uidvalidity)
        return UidSet(list(copied.uids))

    async def verify(self, uids: UidSet, reply: Reply) -> Verdict:
        here = await self.place.there(uids)
        if reply is Reply.OK and (self._move or not self._gmail or here == uids):
            # That it did not say where they went does not make it less done.
            return Verdict(
                done=uids - here if self._move else here,
                left=here if self._move else UidSet(),
                gone=UidSet() if self._move else uids - here,
            )
        sought = uids - here if self._move else uids
        done, certain = await self._search(sought, reply)
        missing = sought - done
        if self._move:
            # Gone from here and not there: somebody else's change, before ours or after.
            return Verdict(done, here, UidSet(), missing, self._evidence(missing))
        if reply is Reply.OK:
            return Verdict(done | here, UidSet(), missing - here)
        if self._gmail or certain or reply is Reply.NO:
            return Verdict(done, missing & here, missing - here)
        return Verdict(done, UidSet(), UidSet(), missing, self._evidence(missing))

    def copies(self) -> tuple[dict[int, int], int | None]:
        return dict(sorted(self._copies.items())), self._uidvalidity

    # -- looking in the destination ----------------------------------------------------------------------------------------

    async def _search(self, uids: UidSet, reply: Reply) -> tuple[UidSet, bool]:
        """Which of these have arrived, and whether it is certain that the others have not."""
        if not uids:
            return UidSet(), True
        done, certain = UidSet(), False
        # A copy that Gmail makes twice is one; there only what has left and not arrived is waited for.
        wait = _SETTLE if reply is Reply.NONE and (self._move or not self._gmail) else 0.0
        with contextlib.suppress(MailboxNotFound):
            async with self.place.visit(self._destination) as runner:
                for pause in pauses(wait):
                    await self.place.runner.pause(pause)
                    found, certain = await self._look(runner, uids - done)
                    done |= found
                    if done == uids:
                        break
        return done, certain

    async def _look(self, runner: Runner[ImapSession], uids: UidSet) -> tuple[UidSet, bool]:
        if self._gmail:
            wanted = [identity[0] for uid in uids if (identity := self._who[uid])]
            rows = await rows_of_ids(runner, [one for one in wanted if isinstance(one, int)])
            certain, uidvalidity = True, await runner.run(_uidvalidity, Effect.PURE)
        else:
            rows, uidvalidity, certain = await runner.run(self._since, Effect.PURE)
        arrived: defaultdict[_Identity, list[int]] = defaultdict(list)
        taken = set(self._copies.values())
        for row in rows:
            if row.uid is not None and (self._gmail or row.uid not in taken):
                arrived[self._identity(row)].append(row.uid)
        copies = {uid: arrived[self._who[uid]].pop(0) for uid in uids if arrived[self._who[uid]]}
        self._arrived(copies, uidvalidity)
        return UidSet(list(copies)), certain

    async def _since(self, session: ImapSession) -> tuple[list[Fetch], int, bool]:
        mark = self._mark
        assert mark is not None
        if await _uidvalidity(session) != mark.uidvalidity:
            return [], session.state.uidvalidity, False
        rows = await session.execute(RowsFrom(mark.uidnext, _IDENTITY))
        now = await note_on(session, mark.mailbox)
        return rows, mark.uidvalidity, {row.uid for row in rows} >= set(range(mark.uidnext, now.uidnext))

    def _arrived(self, copies: dict[int, int], uidvalidity: int) -> None:
        self._copies.update(copies)
        if copies:
            self._uidvalidity = uidvalidity

    def _identity(self, row: Fetch) -> _Identity:
        if self._gmail:
            return (row.number("X-GM-MSGID"),)
        return (message_id_of(row), row.number("RFC822.SIZE"), row.get("INTERNALDATE"))

    def _evidence(self, uids: UidSet) -> dict[str, str]:
        return {"destination": f"{self._destination}: UID {uids} of {self.place.name} not found there"} if uids else {}


async def _uidvalidity(session: ImapSession) -> int:
    await session.execute(Noop())  # behind a SELECT that may be on its way; and Gmail tells then of what is new, not before
    return session.state.uidvalidity
