"""Was it filed? A message whose reply was lost is looked for among those that came since, by its Message-ID and its size.

Before: :func:`note` the destination's UIDVALIDITY and UIDNEXT. After: :func:`find_since`. Headers are fetched, not searched for: Gmail's
header search misses some Message-IDs, and its index lags behind the mailbox.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aiogmail.errors import MailboxChanged, ProtocolError
from aiogmail.ports import Effect, Runner

from .commands import Noop, StatusCommand, UidFetch
from .commands.since import RowsFrom
from .session import ImapSession
from .uidset import UidSet
from .wire import Fetch

__all__ = ["MESSAGE_ID", "Mark", "Sighting", "fetch_rows", "find_since", "has_gmail", "message_id_of", "note", "note_on", "pauses"]

_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
MESSAGE_ID = "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"
"""The fetch item that :func:`message_id_of` reads."""
_HEADER_REPLY = "BODY[HEADER.FIELDS (MESSAGE-ID)]"


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a mailbox had come at a moment: what came since has a UID of ``uidnext`` or more.

    Attributes:
        mailbox: its name.
        uidvalidity: while it is the same, ``uidnext`` means something.
        uidnext: the UID that the next message would get at least.
    """

    mailbox: str
    uidvalidity: int
    uidnext: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was found.

    Attributes:
        uid: under which UID the message is in the mailbox; ``None``: it was not seen.
        gmail_id: its X-GM-MSGID, on Gmail, if it was seen.
        absent: it is certain that it was not filed up to now: every UID that was given since the mark was looked at, and is
            another message. Only that; the server may still be working on it.
        evidence: what was looked up and what was found, as short sentences by subject, for :class:`~aiogmail.OutcomeUnknown`.
    """

    uid: int | None
    gmail_id: int | None = None
    absent: bool = False
    evidence: Mapping[str, str] = field(default_factory=dict)


async def note(runner: Runner[ImapSession], mailbox: str) -> Mark:
    """Where a mailbox stands now (STATUS); it need not be the selected one.

    Raises:
        MailboxNotFound: there is none of that name.
        GmailError: it could not be asked.
    """

    async def work(session: ImapSession) -> Mark:
        return await note_on(session, mailbox)

    return await runner.run(work, Effect.PURE)


async def note_on(session: ImapSession, mailbox: str) -> Mark:
    """:func:`note`, on a session."""
    status = await session.execute(StatusCommand(mailbox, ("UIDNEXT", "UIDVALIDITY")))
    uidnext, uidvalidity = status.get("UIDNEXT"), status.get("UIDVALIDITY")
    if not isinstance(uidnext, int) or not isinstance(uidvalidity, int):
        raise ProtocolError(f"STATUS {mailbox}: the server told no UIDNEXT or no UIDVALIDITY", connection_lost=False)
    return Mark(mailbox, uidvalidity, uidnext)


async def find_since(
    runner: Runner[ImapSession],
    mark: Mark,
    message_id: str,
    *,
    size: int | None = None,
    octets: bytes | memoryview | None = None,
    settle_timeout: float = 120.0,
) -> Sighting:
    """Look for a message among those that came since a mark, again and again until it is there or the time is over.

    One look is NOOP and ``UID FETCH n:* (X-GM-MSGID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])``; UIDs below n, which ``n:*`` may
    name as well, are dropped. Looks come after 0, 1, 2, 4, 8, 15 and 30 s more, then every 30 s.

    Args:
        runner: its sessions have ``mark.mailbox`` selected; an open :class:`~aiogmail.Mailbox` has one.
        mark: what :func:`note` told before the message was handed over.
        message_id: its Message-ID with the angle brackets; ``""``: it has none, then ``octets`` are compared.
        size: its octets; a message of that id with another size is not taken for it. ``None``: any size.
        octets: the message; read where there is no Message-ID.
        settle_timeout: seconds, from the first look to the last; 0: one look.

    Raises:
        MailboxChanged: UIDVALIDITY is not the mark's: nothing can be said.
        GmailError: the server could not be asked.

    Cancelling it leaves nothing behind.
    """
    size = len(octets) if size is None and octets is not None else size
    looks, found = 0, Sighting(None)
    for pause in pauses(settle_timeout):
        await runner.pause(pause)
        looks += 1

        async def look(session: ImapSession) -> Sighting:
            return await _look(session, mark, message_id, size, octets)

        found = await runner.run(look, Effect.PURE)
        if found.uid is not None:
            break
    evidence = {**found.evidence, "looks": f"{looks} within {settle_timeout:g} s"}
    return Sighting(found.uid, found.gmail_id, found.absent, evidence)


def pauses(within: float) -> Iterator[float]:
    """Seconds to wait before each look, the first at once and the last when ``within`` seconds have passed."""
    yield 0.0
    passed = 0.0
    steps = iter(_PAUSES)
    while passed < within:
        pause = min(next(steps, _PAUSES[-1]), within - passed)
        passed += pause
        yield pause


async def _look(session: ImapSession, mark: Mark, message_id: str, size: int | None, octets: bytes | memoryview | None) -> Sighting:
    await session.execute(Noop())  # behind a SELECT that may be on its way; and Gmail tells then of what is new, not before
    if session.state.uidvalidity != mark.uidvalidity:
        raise MailboxChanged(
            f"{mark.mailbox}: UIDVALIDITY was {mark.uidvalidity} and is {session.state.uidvalidity}: what came since cannot be told apart",
            code="UIDVALIDITY",
            text=str(session.state.uidvalidity),
        )
    items = ("X-GM-MSGID",) if has_gmail(session) else ()
    rows = await session.execute(RowsFrom(mark.uidnext, (*items, "RFC822.SIZE", MESSAGE_ID)))
    similar = [row for row in rows if message_id_of(row) == message_id]
    alike = [row for row in similar if size is None or row.number("RFC822.SIZE") == size]
    if not message_id and alike and octets is not None:
        alike = await _with_octets(session, alike, bytes(octets))
        similar = alike
    if alike:
        row = alike[-1]
        return Sighting(row.uid, row.number("X-GM-MSGID"), evidence=_evidence(mark, rows, f"UID {row.uid} has its Message-ID and size"))
    now = await note_on(session, mark.mailbox)
    # A UID that was given and is not there any more may have been the one.
    whole = now.uidvalidity == mark.uidvalidity and {row.uid for row in rows} >= set(range(mark.uidnext, now.uidnext))
    found = f"UID {similar[-1].uid} has its Message-ID and another size" if similar else "none has its Message-ID"
    if not whole:
        found += "; some UIDs were given and are gone"
    return Sighting(None, absent=whole and not similar, evidence=_evidence(mark, rows, found))


def _evidence(mark: Mark, rows: Sequence[Fetch], found: str) -> dict[str, str]:
    return {"mailbox": f"{mark.mailbox}: {len(rows)} messages from UID {mark.uidnext} on (UIDVALIDITY {mark.uidvalidity})", "found": found}


async def _with_octets(session: ImapSession, rows: Sequence[Fetch], octets: bytes) -> list[Fetch]:
    """Those whose octets are the same, asked for one by one: they may be large."""
    same = []
    for row in rows:
        assert row.uid is not None
        found = await fetch_rows(session, UidSet(row.uid), ("BODY.PEEK[]",))
        if found and found[-1].get("BODY[]") == octets:
            same.append(row)
    return same


def has_gmail(session: ImapSession) -> bool:
    """Whether the server has Gmail's extensions: labels, X-GM-MSGID and X-GM-THRID."""
    return "X-GM-EXT-1" in session.capabilities


def message_id_of(row: Fetch) -> str:
    """The Message-ID in a row of the fetch item ``BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]``; ``""`` where there is none."""
    header = row.get(_HEADER_REPLY)
    if not isinstance(header, bytes):
        return ""
    _, _, value = header.partition(b":")
    return "".join(value.decode("utf-8", "replace").split())


async def fetch_rows(session: ImapSession, uids: UidSet, items: Sequence[str]) -> list[Fetch]:
    """The rows of these UIDs, where they are there."""
    rows: list[Fetch] = []
    if uids:
        await session.execute(UidFetch(uids, items, rows.extend))
    return rows
