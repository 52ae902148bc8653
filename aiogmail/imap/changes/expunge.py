r"""UID EXPUNGE: of an explicit set, those that are marked ``\Deleted``. What other clients have marked meanwhile is never touched."""

from __future__ import annotations

from aiogmail.errors import CommandError, GmailError
from aiogmail.imap.commands import UidExpunge
from aiogmail.imap.lookup import fetch_rows
from aiogmail.imap.session import ImapSession
from aiogmail.imap.uidset import UidSet
from aiogmail.ports import Outcome

from .bulk import Change, Reply, Verdict

__all__ = ["Expunge"]


class Expunge(Change):
    """UID EXPUNGE (RFC 4315). Gone is done: who expunged a message cannot be known."""

    verb = "UID EXPUNGE"

    async def before(self, session: ImapSession, uids: UidSet) -> UidSet:
        if "UIDPLUS" not in session.capabilities:
            raise CommandError("UID EXPUNGE: the server has no UIDPLUS, and EXPUNGE would take away what others have marked", status="BAD")
        return UidSet([row.uid for row in await fetch_rows(session, uids, ("FLAGS",)) if row.uid is not None])

    async def attempt(self, session: ImapSession, uids: UidSet) -> UidSet:
        await session.execute(UidExpunge(uids))
        return UidSet()

    async def verify(self, uids: UidSet, reply: Reply) -> Verdict:  # noqa: ARG002  the state alone tells
        here = await self.place.there(uids)
        return Verdict(done=uids - here, left=here)

    def undone(self, uids: UidSet) -> GmailError:
        return CommandError(
            f"UID EXPUNGE: UID {uids} are still there: mark them first, with add_flags(uids, '\\\\Deleted')",
            status="OK",
            outcome=Outcome.NOT_APPLIED,
        )
