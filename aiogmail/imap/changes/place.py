"""Where does a change happen? In a mailbox that is open; and what came of it may have to be looked for in another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from aiogmail.errors import MailboxNotFound
from aiogmail.imap.commands import List, ListedMailbox, UidSearch
from aiogmail.imap.labels import SPECIAL_USES, system_label
from aiogmail.imap.lookup import fetch_rows, has_gmail
from aiogmail.imap.query import Q, Query, criteria
from aiogmail.imap.session import ImapSession
from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import Fetch
from aiogmail.ports import Effect, Outcome, Runner

__all__ = ["Place", "rows_of_ids", "special"]

_IDS_AT_ONCE = 50
"""Of one search: 35 characters each."""


@dataclass(slots=True)
class Place:
    """A mailbox that is open.

    Attributes:
        name: the mailbox's.
        runner: runs work on sessions that have it selected.
        visit: opens another mailbox, to look only, on a connection of its own; as a context that gives its runner.
        listed: what LIST said of the account's mailboxes, once that was asked.
    """

    name: str
    runner: Runner[ImapSession]
    visit: Callable[[str], AbstractAsyncContextManager[Runner[ImapSession]]]
    listed: tuple[ListedMailbox, ...] | None = field(default=None, repr=False)

    async def find(self, session: ImapSession, use: str) -> str:
        r"""The name of the mailbox for a purpose: ``"all"``, ``"trash"``, …

        Raises:
            MailboxNotFound: the account has none, or hides it from IMAP.
        """
        try:
            return special(await self._all(session), use).name
        except MailboxNotFound:
            self.listed = None  # it may have been made since
            return special(await self._all(session), use).name

    async def label(self, session: ImapSession, mailbox: str | None = None) -> str | None:
        r"""The Gmail label that a mailbox (this one by default) shows; ``None`` for All Mail."""
        name = self.name if mailbox is None else mailbox
        if name.upper() == "INBOX":
            return system_label(name, ())
        listed = next((one for one in await self._all(session) if one.name == name), None)
        return system_label(name, listed.attributes if listed is not None else ())

    async def rows(self, uids: UidSet, *items: str) -> list[Fetch]:
        """The rows of these messages, where they are in the mailbox."""
        return await self.runner.run(lambda session: fetch_rows(session, uids, items), Effect.PURE)

    async def there(self, uids: UidSet) -> UidSet:
        """Which of these messages are in the mailbox."""
        return UidSet([row.uid for row in await self.rows(uids, "FLAGS") if row.uid is not None])

    def is_here(self, mailbox: str) -> bool:
        """Whether a name means this mailbox."""
        return mailbox == self.name or mailbox.upper() == self.name.upper() == "INBOX"

    async def _all(self, session: ImapSession) -> tuple[ListedMailbox, ...]:
        if self.listed is None:
            # Gmail shows special-use attributes in any LIST; others want to be asked for them (RFC 6154 section 2).
            ask = not has_gmail(session) and {"SPECIAL-USE", "LIST-EXTENDED"} <= session.capabilities
            self.listed = await session.execute(List(special_use=ask))
        return self.listed


def special(listed: Sequence[ListedMailbox], use: str) -> ListedMailbox:
    """The mailbox of a special use; :data:`SPECIAL_USES` has the names.

    Raises:
        MailboxNotFound: there is none that can be selected.
    """
    attribute = SPECIAL_USES[use]
    for one in listed:
        attributes = {name.lower() for name in one.attributes}
        if attributes & {"\\noselect", "\\nonexistent"}:
            continue
        if attribute.lower() in attributes or (use == "inbox" and one.name.upper() == "INBOX"):
            return one
    advice = (
        "in Gmail's settings, under Labels, 'Show in IMAP' may be off for it" if use != "archive" else "move(uids, name) to one you choose"
    )
    raise MailboxNotFound(f"no mailbox has the special use {attribute}: {advice}", outcome=Outcome.NOT_APPLIED, stage="not sent")


async def rows_of_ids(runner: Runner[ImapSession], ids: Sequence[int], *items: str) -> list[Fetch]:
    """The rows of the messages with these X-GM-MSGIDs in the mailbox of the runner's sessions, as far as they are there."""

    async def work(session: ImapSession) -> list[Fetch]:
        rows: list[Fetch] = []
        for start in range(0, len(ids), _IDS_AT_ONCE):
            query = _any([Q.gmail_id(one) for one in ids[start : start + _IDS_AT_ONCE]])
            found = await session.execute(UidSearch(criteria(query)[0], esearch=False))
            rows += await fetch_rows(session, found, ("X-GM-MSGID", *items))
        return rows

    return await runner.run(work, Effect.PURE)


def _any(queries: list[Query]) -> Query:
    """One of these: a tree as flat as can be, for servers bound the depth of a search."""
    while len(queries) > 1:
        pairs = [one | other for one, other in zip(queries[::2], queries[1::2], strict=False)]
        queries = pairs + (queries[-1:] if len(queries) % 2 else [])
    return queries[0]
