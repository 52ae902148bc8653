"""Which mailboxes does an account have? Listed, made, renamed and deleted, each change once, whatever becomes of the connection.

A mailbox that was to be made, renamed or deleted is looked for before and after (LIST, and STATUS for UIDVALIDITY): only what the server has
not done is asked for again.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiogmail.errors import AuthError, CommandError, ConfigurationError, GmailError, MailboxNotFound, OutcomeUnknown
from aiogmail.ports import Effect, Outcome, Runner

from .changes.bulk import DEAD
from .changes.place import special
from .commands import Create, Delete, GetQuotaRoot, List, ListedMailbox, Rename, StatusCommand
from .labels import SPECIAL_USES, levels
from .lookup import Mark, has_gmail, note_on
from .names import check_mailbox_name
from .session import ImapSession

__all__ = ["Directory", "MailboxCounts", "MailboxInfo", "Quota"]

_COUNTS = ("MESSAGES", "UNSEEN", "UIDNEXT", "UIDVALIDITY", "HIGHESTMODSEQ")
_UNSELECTABLE = frozenset({"\\noselect", "\\nonexistent"})
_TRIES = 4


@dataclass(frozen=True, slots=True)
class MailboxCounts:
    r"""What is in a mailbox that need not be selected (STATUS, RFC 9051 section 6.3.11).

    Attributes:
        messages: all of them.
        unseen: those without ``\Seen``.
        uidnext, uidvalidity: as in :class:`~aiogmail.MailboxState`.
        highestmodseq: likewise; of the whole account on Gmail; ``None`` if the server has none.
    """

    messages: int
    unseen: int
    uidnext: int
    uidvalidity: int
    highestmodseq: int | None = None


@dataclass(frozen=True, slots=True)
class MailboxInfo:
    r"""A mailbox, on Gmail a label, as LIST shows it.

    Attributes:
        name: in Unicode, such as ``"[Gmail]/Sent Mail"`` or ``"Work/2026"``.
        delimiter: what separates levels of the name, ``"/"`` on Gmail; ``None``: there are none.
        attributes: such as ``\HasNoChildren``.
        special_use: what it is for: ``"inbox"``, ``"all"``, ``"archive"``, ``"drafts"``, ``"flagged"``, ``"important"``, ``"junk"``, ``"sent"``,
            ``"trash"``; ``None``: nothing in particular.
        counts: what is in it, where that was asked for and it can be selected.
    """

    name: str
    delimiter: str | None
    attributes: frozenset[str]
    special_use: str | None = None
    counts: MailboxCounts | None = None

    @property
    def is_selectable(self) -> bool:
        r"""Whether it can be opened; ``[Gmail]``, and a label that only others are nested in, cannot."""
        return not {name.lower() for name in self.attributes} & _UNSELECTABLE

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels of its name, the outermost first."""
        return levels(self.name, self.delimiter)


@dataclass(frozen=True, slots=True)
class Quota:
    """How full the account is (RFC 9208).

    Attributes:
        used, limit: octets of storage; ``limit`` is ``None`` where the server sets none.
        resources: quota root → resource → ``(used, limit)`` in the server's units: STORAGE in KiB, MESSAGE in messages.
    """

    used: int
    limit: int | None
    resources: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)


class Directory:
    """The mailboxes of an account.

    Args:
        runner: runs work on sessions of the account; no mailbox need be selected on them.
    """

    def __init__(self, runner: Runner[ImapSession]) -> None:
        self._runner = runner

    async def mailboxes(self, *, counts: bool = False) -> tuple[MailboxInfo, ...]:
        """All mailboxes; with their counts in the same round trip where the server has LIST-STATUS, else by a STATUS each."""
        return await self._runner.run(lambda session: _mailboxes(session, counts=counts), Effect.PURE)

    async def special(self, use: str) -> MailboxInfo:
        """The mailbox for a purpose."""
        if not isinstance(use, str) or use not in SPECIAL_USES:
            raise ConfigurationError(f"use: expected one of {', '.join(SPECIAL_USES)}; got {use!r}")
        return await self._runner.run(lambda session: _special(session, use), Effect.PURE)

    async def create(self, name: str) -> None:
        """Make a mailbox."""
        await _Creation(self._runner, check_mailbox_name(name)).run()

    async def rename(self, old: str, new: str) -> None:
        """Give a mailbox another name."""
        if _same(check_mailbox_name(old), check_mailbox_name(new)):
            raise ConfigurationError(f"new: expected another name than {old!r}")
        await _Renaming(self._runner, old, new).run()

    async def delete(self, name: str) -> None:
        """Delete a mailbox."""
        await _Deletion(self._runner, check_mailbox_name(name)).run()

    async def quota(self) -> Quota:
        """How full the account is."""
        return await self._runner.run(_quota, Effect.PURE)


async def _mailboxes(session: ImapSession, *, counts: bool) -> tuple[MailboxInfo, ...]:
    together = counts and "LIST-STATUS" in session.capabilities
    items = _COUNTS if "CONDSTORE" in session.capabilities else _COUNTS[:-1]
    listed = await session.execute(List(status=items if together else (), special_use=_must_ask(session)))
    found = [_info(one) for one in listed]
    if not counts or together:
        return tuple(found)
    asked = [(one, session.submit(StatusCommand(one.name, items))) for one in found if one.is_selectable]
    told: dict[str, MailboxCounts | None] = {}
    for one, pending in asked:
        try:
            told[one.name] = _counts(await pending.future)
        except CommandError as error:
            if error.connection_lost:
                raise
            told[one.name] = None  # deleted meanwhile, or not ours to look into
    return tuple(MailboxInfo(one.name, one.delimiter, one.attributes, one.special_use, told.get(one.name)) for one in found)


def _must_ask(session: ImapSession) -> bool:
    """Gmail shows special-use attributes in any LIST; others want to be asked for them (RFC 6154 section 2)."""
    return not has_gmail(session) and {"SPECIAL-USE", "LIST-EXTENDED"} <= session.capabilities


def _info(listed: ListedMailbox) -> MailboxInfo:
    attributes = {name.lower() for name in listed.attributes}
    use = "inbox" if listed.name.upper() == "INBOX" else None
    use = use or next((use for use, attribute in SPECIAL_USES.items() if attribute.lower() in attributes), None)
    return MailboxInfo(listed.name, listed.delimiter, listed.attributes, use, _counts(listed.status))


def _counts(status: Mapping[str, object]) -> MailboxCounts | None:
    numbers = [status.get(name) for name in _COUNTS]
    whole = [number for number in numbers[:4] if isinstance(number, int)]
    if len(whole) < 4:
        return None
    messages, unseen, uidnext, uidvalidity = whole
    modseq = numbers[4]
    return MailboxCounts(messages, unseen, uidnext, uidvalidity, modseq if isinstance(modseq, int) else None)


async def _special(session: ImapSession, use: str) -> MailboxInfo:
    listed: tuple[ListedMailbox, ...] = await session.execute(List(special_use=_must_ask(session)))
    return _info(special(listed, use))


async def _quota(session: ImapSession) -> Quota:
    if "QUOTA" not in session.capabilities:
        raise CommandError("GETQUOTAROOT: the server has no QUOTA (RFC 9208)", status="BAD")
    roots = (await session.execute(GetQuotaRoot("INBOX"))).roots
    storage = [resources["STORAGE"] for resources in roots.values() if "STORAGE" in resources]
    if not storage:
        return Quota(0, None, roots)
    used, limit = max(storage, key=lambda pair: pair[0] / (pair[1] or 1))  # the fullest is the one that stops the mail
    return Quota(used * 1024, limit * 1024, roots)


def _same(one: str, other: str) -> bool:
    return one == other or one.upper() == other.upper() == "INBOX"


# -- changes ---------------------------------------------------------------------------------------------------------------


async def _marks(session: ImapSession, names: Sequence[str]) -> dict[str, Mark | None]:
    """Which of these exist, and their UIDVALIDITY; ``None`` for one that exists and cannot be selected."""
    found: dict[str, Mark | None] = {}
    for listed in await session.execute(List()):
        name = next((name for name in names if _same(name, listed.name)), None)
        if name is None or "\\nonexistent" in {attribute.lower() for attribute in listed.attributes}:
            continue
        found[name] = None
        if not {attribute.lower() for attribute in listed.attributes} & _UNSELECTABLE:
            try:
                found[name] = await note_on(session, name)
            except MailboxNotFound:
                del found[name]
    return found


class _Step(abc.ABC):
    """A change of the account's mailboxes: looked at before, tried, and looked at again if the reply was lost."""

    verb = ""

    def __init__(self, runner: Runner[ImapSession], *names: str) -> None:
        self._runner = runner
        self.names = names
        self.before: dict[str, Mark | None] = {}
        self._tries = 0
        self._lost_at: float | None = None

    @abc.abstractmethod
    async def attempt(self, session: ImapSession) -> None:
        """Write the command."""

    @abc.abstractmethod
    def judge(self, now: dict[str, Mark | None]) -> Outcome:
        """What the server has done, by what exists now."""

    async def run(self) -> None:
        """Do it once."""
        names = self.names
        try:
            self.before = await self._runner.run(lambda session: _marks(session, names), Effect.PURE)
        except GmailError as error:
            raise error.replica(outcome=Outcome.NOT_APPLIED, stage="not sent") from error
        for left in reversed(range(_TRIES)):
            try:
                await self._runner.run(self._work, Effect.VERIFIABLE)
            except GmailError as error:
                if error.outcome is not Outcome.UNKNOWN and self._tries < 2:
                    raise self._refused(error) from error
                # A refusal of what was tried before may mean that it was done then.
                refused = error.outcome is not Outcome.UNKNOWN
                if not refused:
                    self._lost_at = asyncio.get_running_loop().time()
                outcome = await self._settle(error, last=refused or not left)
                if outcome is Outcome.NOT_APPLIED and refused:
                    raise self._refused(error) from error
                if outcome is Outcome.APPLIED:
                    return
            else:
                return

    async def _work(self, session: ImapSession) -> None:
        self._tries += 1
        await self.attempt(session)

    def _refused(self, error: GmailError) -> GmailError:
        return error.replica(outcome=Outcome.NOT_APPLIED, stage=error.stage or f"{self.verb} refused")

    async def _settle(self, lost: GmailError, *, last: bool) -> Outcome:
        """What the server has done; ``last``: it is not tried again, and what was sent before is given its minute to take effect."""
        if last and self._lost_at is not None:
            try:
                await self._runner.pause(self._lost_at + DEAD - asyncio.get_running_loop().time())
            except GmailError as error:
                raise self._unknown(lost, f"it could not be asked: {error}") from error
        now = await self._look_again(lost)
        outcome = self.judge(now)
        if outcome is Outcome.UNKNOWN:
            seen = ", ".join(f"{name} {'exists' if name in now else 'does not exist'}" for name in self.names)
            raise self._unknown(lost, seen) from lost
        if outcome is Outcome.NOT_APPLIED and last and lost.outcome is Outcome.UNKNOWN:
            raise lost.replica(outcome=Outcome.NOT_APPLIED)
        return outcome

    async def _look_again(self, lost: GmailError) -> dict[str, Mark | None]:
        names = self.names
        for last in (lost.retryable, True):
            try:
                return await self._runner.run(lambda session: _marks(session, names), Effect.PURE)
            except GmailError as error:
                # What cannot be retried is told to all who wait for the lost session; who asks after that gets another.
                if last or not error.connection_lost or isinstance(error, AuthError):
                    raise self._unknown(lost, f"it could not be asked: {error}") from error
        raise AssertionError

    def _unknown(self, lost: GmailError, found: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self.verb} {' '.join(self.names)}: its reply was lost ({lost}), and what is there does not say what became of it: {found}",
            stage=lost.stage or f"{self.verb} on the wire",
            evidence={"reply": str(lost), "found": found},
        )


class _Creation(_Step):
    verb = "CREATE"

    async def attempt(self, session: ImapSession) -> None:
        await session.execute(Create(self.names[0]))

    def judge(self, now: dict[str, Mark | None]) -> Outcome:
        name = self.names[0]
        if name not in now:
            return Outcome.NOT_APPLIED
        # It was there before: the server will say so. It was not, and is: who made it cannot be known, and does not matter.
        return Outcome.APPLIED if name not in self.before else Outcome.NOT_APPLIED


class _Deletion(_Step):
    verb = "DELETE"

    async def attempt(self, session: ImapSession) -> None:
        await session.execute(Delete(self.names[0]))

    def judge(self, now: dict[str, Mark | None]) -> Outcome:
        name = self.names[0]
        if name not in now:
            return Outcome.APPLIED if name in self.before else Outcome.NOT_APPLIED
        before, after = self.before.get(name), now[name]
        if before is None or after is None:
            # A name that only others are below of: nothing tells it from one that was made again.
            return Outcome.UNKNOWN if before is not after else Outcome.NOT_APPLIED
        # Another UIDVALIDITY: it was deleted, and somebody made one of that name, which is not ours to delete.
        return Outcome.NOT_APPLIED if before.uidvalidity == after.uidvalidity else Outcome.APPLIED


class _Renaming(_Step):
    verb = "RENAME"

    async def attempt(self, session: ImapSession) -> None:
        await session.execute(Rename(*self.names))

    def judge(self, now: dict[str, Mark | None]) -> Outcome:
        old, new = self.names
        if old not in self.before and old not in now:
            return Outcome.NOT_APPLIED  # there is nothing to rename: the server will say so
        if old not in now and new in now and new not in self.before:
            return Outcome.APPLIED
        if old in now and (new not in now or new in self.before):
            return Outcome.NOT_APPLIED  # if both were there before the server will refuse it, as it must
        # Both are there now: a mailbox keeps its UIDVALIDITY under its new name.
        was, here, there = self.before.get(old), now.get(old), now.get(new)
        if was is not None and there is not None and there.uidvalidity == was.uidvalidity:
            return Outcome.APPLIED
        if was is not None and here is not None and here.uidvalidity == was.uidvalidity:
            return Outcome.NOT_APPLIED  # somebody else made the other: the server will say so
        return Outcome.UNKNOWN
