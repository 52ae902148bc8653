"""How are thousands of messages changed when the connection does not hold? Batch by batch, each asked about before it is repeated.

A batch is written once. If its reply is lost, or the server says NO to some of it, the server is asked per message what became of it, and
only what it has not done is written again. What was done stays done.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from aiogmail.errors import AuthError, CommandError, Conflict, GmailError, MailboxChanged, MailboxNotFound, OutcomeUnknown
from aiogmail.imap.session import ImapSession
from aiogmail.imap.uidset import UidSet
from aiogmail.ports import Effect, Outcome

from .place import Place
from .result import ChangeResult

__all__ = ["Bulk", "Change", "Reply", "Verdict"]

MAX_REPLAYS = 3
DEAD = 60.0
"""A connection that has been gone for so long will not have its last octets acted on any more."""
_LINE = 12 * 1024
"""What of the 16 KiB of a command line its UIDs may take; flags, labels and names have the rest."""


class Reply(Enum):
    """What was heard of a batch before the server is asked about it."""

    OK = "OK"
    NO = "NO"
    NONE = "no reply"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the server has done of a batch. Every UID of it is in exactly one set."""

    done: UidSet = field(default_factory=UidSet)
    left: UidSet = field(default_factory=UidSet)
    gone: UidSet = field(default_factory=UidSet)
    unknown: UidSet = field(default_factory=UidSet)
    evidence: Mapping[str, str] = field(default_factory=dict)


class Change(abc.ABC):
    """One kind of change: how it is tried, and how the server is asked what came of it."""

    verb: str = ""
    """For errors."""
    most: int = 1000
    """Messages in one command."""

    def __init__(self, place: Place) -> None:
        self.place = place

    async def before(self, session: ImapSession, uids: UidSet) -> UidSet:  # noqa: ARG002  most need to know nothing
        """Remember what will be needed to find out what happened; which of the messages are there, as far as that was asked."""
        return uids

    @abc.abstractmethod
    async def attempt(self, session: ImapSession, uids: UidSet) -> UidSet:
        """Write the command; of which messages its reply says that they are as they should be."""

    @abc.abstractmethod
    async def verify(self, uids: UidSet, reply: Reply) -> Verdict:
        """Ask the server about messages of which the reply did not say it."""

    def undone(self, uids: UidSet) -> GmailError:
        """The error for messages that the server said OK to and left as they were."""
        return CommandError(f"{self.verb}: the server said OK and left UID {_some(uids)} as they were", status="OK")

    def copies(self) -> tuple[dict[int, int], int | None]:
        """UID here → UID there, and UIDVALIDITY there."""
        return {}, None


class Bulk:
    """The run of one change over a set of messages."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._runner = change.place.runner
        self.done = UidSet()
        self.gone = UidSet()
        self.unchanged = UidSet()
        self.unknown = UidSet()
        self.error: GmailError | None = None
        self.evidence: dict[str, str] = {}

    async def run(self, uids: UidSet) -> ChangeResult:
        """Change them.

        Raises:
            GmailError: some are as they were, or it could not be found out; its ``result`` says which.
        """
        whole = uids
        for part in uids.batches(self._change.most):
            for batch in part.split(_LINE):
                whole -= batch
                if not await self._batch(batch):
                    self.unchanged |= whole
                    return self._conclude()
        return self._conclude()

    async def _batch(self, uids: UidSet) -> bool:
        """One batch, in halves where the server refuses some of it. Whether to go on with the next."""
        try:
            present = await self._runner.run(lambda session: self._change.before(session, uids), Effect.PURE)
        except GmailError as error:
            self.unchanged |= uids
            self.error = error
            return False
        self.gone |= uids - present
        todo = [present]
        while todo:
            batch = _Batch(self, self._change, todo.pop())
            failure = await self._tried(batch)
            if failure is None:
                continue
            await self._outlived(batch)
            left = batch.left
            if not left:
                continue
            if batch.tried:
                self.unknown |= left
                self._rest(todo, failure)
                return False
            if _some_refused(failure) and len(left) > 1:
                todo += reversed([*left.batches((len(left) + 1) // 2)])
                continue
            self.unchanged |= left
            self.error = self.error or failure
            if not batch.progressed and not _some_refused(failure) and not isinstance(failure, Conflict):
                self._rest(todo, failure)
                return False
        return True

    async def _outlived(self, batch: _Batch) -> None:
        """Refused in the end; but a try that was lost before may still be on its way through the server: it is given its minute."""
        if batch.tried or batch.lost_at is None:
            return
        try:
            await self._runner.pause(batch.lost_at + DEAD - asyncio.get_running_loop().time())
            batch.heard = Reply.NONE
            await self._ask(batch)
        except GmailError:
            batch.tried = True

    def _rest(self, todo: list[UidSet], error: GmailError) -> None:
        for other in todo:
            self.unchanged |= other
        self.error = error

    async def _tried(self, batch: _Batch) -> GmailError | None:
        """Write a batch, and ask about it, until it is done; the error that it ended with.

        Asking is not part of what is written: it may need another connection, for which that of the batch must not be held.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        failure: GmailError | None = None
        barred = 0
        for _ in range(2 + MAX_REPLAYS):  # the last one asks, and no more
            try:
                failure = await self._round(batch) or failure
            except GmailError as error:
                failure = error
                if loop.time() - began > batch.patience:
                    break
                if not (error.connection_lost and error.retryable):
                    barred += 1  # the second time is the runner's, which tells the same error to all who wait
                    if not batch.tried or barred > 2 or isinstance(error, AuthError | MailboxChanged):
                        break
                    batch.attempts = MAX_REPLAYS + 1  # it is not written again; but what came of it can be asked on another connection
            else:
                if not batch.left:
                    return None
                if batch.attempts > MAX_REPLAYS or batch.refusal is None or not batch.refusal.retryable:
                    break
        return failure

    async def _round(self, batch: _Batch) -> GmailError | None:
        """Ask about what was written before; write what is left, and ask about that. The error of the server's NO, if it said so."""
        if batch.tried:
            await self._ask(batch)
        if not batch.left or batch.attempts > MAX_REPLAYS:
            return None
        await self._runner.run(batch.work, Effect.VERIFIABLE)
        if batch.left:
            await self._ask(batch)
        batch.tried = False
        if batch.left and batch.heard is Reply.OK:
            refusal = self._change.undone(batch.left)
            refusal.outcome = Outcome.NOT_APPLIED
            return refusal
        return batch.refusal

    async def _ask(self, batch: _Batch) -> None:
        verdict = await self._change.verify(batch.left, batch.heard)
        self.evidence.update(verdict.evidence)
        batch.finished(verdict.done)
        self.gone |= verdict.gone
        self.unknown |= verdict.unknown
        if verdict.unknown and self.error is None:
            self.error = CommandError(f"{self._change.verb}: no reply came")
        batch.left = verdict.left
        batch.tried = False

    def _conclude(self) -> ChangeResult:
        change = self._change
        copies, uidvalidity = change.copies()
        result = ChangeResult(self.done, self.gone, self.unchanged, self.unknown, copies, uidvalidity)
        if result.is_complete:
            return result
        cause = self.error
        assert cause is not None, "what is not done has a reason"
        if not self.unknown:
            error = cause.replica(outcome=Outcome.NOT_APPLIED, stage=cause.stage or f"{change.verb} refused")
        elif isinstance(cause, MailboxChanged):
            error = cause.replica(outcome=Outcome.UNKNOWN, stage=f"{change.verb} sent, no reply")
        else:
            error = OutcomeUnknown(
                f"{change.verb}: it could not be found out what became of UID {_some(self.unknown)}: {cause}",
                stage=f"{change.verb} sent, no reply",
                evidence={"reason": str(cause), **self.evidence},
            )
        error.result = result
        try:
            raise error from cause
        finally:
            del error, cause  # an error that is caught in its own frame lives until a garbage collection


class _Batch:
    """Messages that go in one command, and how far that has come."""

    def __init__(self, bulk: Bulk, change: Change, uids: UidSet) -> None:
        self._bulk = bulk
        self._change = change
        self.left = uids
        self.tried = False
        """Whether it was written and nothing is known of it yet."""
        self.heard = Reply.NONE
        """Of what was written."""
        self.refusal: GmailError | None = None
        """The server's NO to what was written last."""
        self.attempts = 0
        self.progressed = False
        self.patience = 0.0
        self.lost_at: float | None = None
        """When a try was lost on its way, by the event loop's clock."""

    async def work(self, session: ImapSession) -> None:
        """Write what is left."""
        self.patience = session.settings.timeouts.recover
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            raise refusal  # it is the runner that waits as long as its cause lasts, and comes back
        self.attempts += 1
        self.tried, self.heard = True, Reply.NONE
        try:
            done = await self._change.attempt(session, self.left)
        except GmailError as error:
            if error.connection_lost:
                self.tried = error.outcome is not Outcome.NOT_APPLIED
                if self.tried:
                    self.lost_at = asyncio.get_running_loop().time()
                raise
            error.outcome = Outcome.NOT_APPLIED  # of what is found to be left
            if getattr(error, "status", "") != "NO" or isinstance(error, MailboxNotFound):
                self.tried = False
                raise
            self.heard, self.refusal = Reply.NO, error  # some of it may be done all the same
        else:
            self.heard = Reply.OK
            self.finished(done)

    def finished(self, uids: UidSet) -> None:
        """These are done."""
        self._bulk.done |= uids
        self.left -= uids
        self.progressed = self.progressed or bool(uids)


def _some_refused(error: GmailError) -> bool:
    """Gmail: ``NO Some messages could not be … (Failure)``: the others were done, or would be without them."""
    return isinstance(error, CommandError) and "some messages" in error.text.lower()


def _some(uids: UidSet) -> str:
    text = str(uids)
    return text if len(text) <= 60 else text[:59] + "…"
