"""APPEND: the one change that would double what it repeats. If its reply is lost, the message is looked for before it is sent again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from aiogmail.errors import GmailError, MailboxChanged, MessageTooLarge, OutcomeUnknown, OverQuota
from aiogmail.imap.commands import Append
from aiogmail.imap.lookup import Mark, Sighting, find_since, note_on
from aiogmail.imap.session import ImapSession
from aiogmail.ports import Effect, Outcome

from .arguments import read_message_id
from .bulk import MAX_REPLAYS
from .place import Place

__all__ = ["Appending"]

_DEAD = 60.0
"""A connection that has been gone for so long will not have its last octets acted on any more."""


class Appending:
    """One message on its way into the mailbox that is open.

    Args:
        place: the mailbox.
        octets: the message, with CRLF.
        flags, date: as APPEND takes them, checked.
        settle_timeout: seconds to look for the message when the reply was lost.
    """

    def __init__(self, place: Place, octets: bytes, flags: Sequence[str], date: dt.datetime | None, settle_timeout: float) -> None:
        self._place = place
        self._octets = octets
        self._flags = tuple(flags)
        self._date = date
        self._settle_timeout = settle_timeout
        self._message_id = read_message_id(octets)
        self._mark: Mark | None = None

    async def run(self) -> int:
        """Send it; its UID.

        Raises:
            OutcomeUnknown: the reply was lost and the mailbox did not say what became of it.
            GmailError: it was not stored (``outcome`` says so).
        """
        lost: GmailError | None = None
        for _ in range(1 + MAX_REPLAYS):
            try:
                return await self._sent()
            except GmailError as error:
                if error.outcome is not Outcome.UNKNOWN:
                    raise self._not_stored(error) from error
                lost = error
            try:
                sighting = await self._find()
            except GmailError as error:
                raise self._unsettled(lost, str(error), error) from error
            if sighting.uid is not None:
                return sighting.uid
            if not sighting.absent or self._settle_timeout < _DEAD:
                raise self._unsettled(lost, "it was not found", None, sighting) from lost
        assert lost is not None
        raise lost.replica(outcome=Outcome.NOT_APPLIED)  # looked for and absent, after the last try as well

    async def _sent(self) -> int:
        async def before(session: ImapSession) -> Mark:
            limit = append_limit(session.capabilities)
            if limit is not None and len(self._octets) > limit:
                raise MessageTooLarge(
                    f"message: it has {len(self._octets)} octets, and the server takes {limit} (APPENDLIMIT)",
                    code="TOOBIG",
                    outcome=Outcome.NOT_APPLIED,
                    stage="not sent",
                )
            # Anew for every try: what was there before must not be taken for this one.
            return await note_on(session, self._place.name)

        async def work(session: ImapSession) -> int | None:
            try:
                appended = await session.execute(Append(self._place.name, self._octets, flags=self._flags, date=self._date))
            except OverQuota as error:
                if not error.connection_lost:
                    error.outcome = None  # the storage is full: that is not waited out
                raise
            return None if appended is None else appended.uid

        runner = self._place.runner
        self._mark = None
        self._mark = await runner.run(before, Effect.PURE)
        uid = await runner.run(work, Effect.VERIFIABLE)
        if uid is not None:
            return uid
        # A server without UIDPLUS: it is there, and only its UID has to be found.
        sighting = await self._find()
        if sighting.uid is None:
            raise OutcomeUnknown("APPEND: stored, but not found again", stage="APPEND answered OK", evidence=sighting.evidence)
        return sighting.uid

    async def _find(self) -> Sighting:
        assert self._mark is not None
        return await find_since(self._place.runner, self._mark, self._message_id, octets=self._octets, settle_timeout=self._settle_timeout)

    def _not_stored(self, error: GmailError) -> GmailError:
        if isinstance(error, OutcomeUnknown):
            return error
        stage = error.stage or ("not sent" if self._mark is None else "APPEND refused")
        return error.replica(outcome=Outcome.NOT_APPLIED, stage=stage)

    def _unsettled(self, lost: GmailError, why: str, error: GmailError | None, sighting: Sighting | None = None) -> GmailError:
        stage = lost.stage or "APPEND on the wire"
        if isinstance(error, MailboxChanged):
            return error.replica(outcome=Outcome.UNKNOWN, stage=stage)
        evidence = {"reply": str(lost), "Message-ID": self._message_id or "none", "lookup": why, **(sighting.evidence if sighting else {})}
        return OutcomeUnknown(
            f"{self._place.name}: the reply to APPEND was lost ({lost}), and {why}: it may or may not be stored",
            stage=stage,
            evidence=evidence,
        )


def append_limit(capabilities: frozenset[str]) -> int | None:
    """APPENDLIMIT in octets (RFC 7889); ``None`` if the server tells none."""
    told = next((name.partition("=")[2] for name in capabilities if name.startswith("APPENDLIMIT=")), "")
    return int(told) if told.isdigit() else None
