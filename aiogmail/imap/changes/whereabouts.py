"""A message is not in this mailbox any more: which labels does it have now? Asked by X-GM-MSGID, which stays for ever."""

from __future__ import annotations

from collections.abc import Sequence

from aiogmail.errors import MailboxNotFound
from aiogmail.imap.labels import Label
from aiogmail.imap.session import ImapSession
from aiogmail.ports import Effect

from .place import Place, rows_of_ids

__all__ = ["whereabouts"]

_STORES: tuple[tuple[str, frozenset[str]], ...] = (
    ("all", frozenset()),
    ("trash", frozenset({Label.TRASH.value})),
    ("junk", frozenset({Label.SPAM.value})),
)
"""Every message is in one of these three."""


async def whereabouts(place: Place, ids: Sequence[int]) -> dict[int, frozenset[str]]:
    """X-GM-MSGID → labels, of the messages that are still in the account; a store that IMAP does not show is left out.

    Raises:
        GmailError: the server could not be asked.
    """
    found: dict[int, frozenset[str]] = {}
    for use, label in _STORES:
        left = [one for one in ids if one not in found]
        if not left:
            break
        name = await _name(place, use)
        if name is None:
            continue
        async with place.visit(name) as runner:
            for row in await rows_of_ids(runner, left, "X-GM-LABELS"):
                labels, gmail_id = row.get("X-GM-LABELS"), row.number("X-GM-MSGID")
                if isinstance(labels, frozenset) and gmail_id is not None:
                    found[gmail_id] = labels | label
    return found


async def _name(place: Place, use: str) -> str | None:
    async def work(session: ImapSession) -> str | None:
        try:
            return await place.find(session, use)
        except MailboxNotFound:
            return None

    return await place.runner.run(work, Effect.PURE)
