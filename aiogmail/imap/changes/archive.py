"""What archiving means: out of the inbox, and kept. On Gmail that is a label less; elsewhere another mailbox."""

from __future__ import annotations

from collections.abc import Sequence

from aiogmail.errors import GmailError
from aiogmail.imap.labels import Label, same, system_label
from aiogmail.imap.lookup import has_gmail
from aiogmail.imap.session import ImapSession
from aiogmail.imap.uidset import UidSet
from aiogmail.ports import Effect

from .bulk import Bulk
from .place import Place
from .result import ChangeResult
from .store import LABELS, Store
from .transfer import Transfer

__all__ = ["archive", "remove_labels"]


async def archive(place: Place, uids: UidSet) -> ChangeResult:
    r"""Without the label ``\Inbox`` on Gmail; in the mailbox with the special use ``\Archive`` elsewhere.

    Raises:
        MailboxNotFound: there is no mailbox to move them to.
    """

    async def destination(session: ImapSession) -> str | None:
        if not has_gmail(session):
            return await place.find(session, "archive")
        if await place.label(session) in (Label.INBOX, Label.TRASH, Label.SPAM):
            return await place.find(session, "all")
        return None

    name = await place.runner.run(destination, Effect.PURE)
    if name is None:
        return await Bulk(Store(place, LABELS, "-", (Label.INBOX.value,))).run(uids)
    return await Bulk(Transfer(place, name, move=True)).run(uids)


async def remove_labels(place: Place, uids: UidSet, labels: Sequence[str]) -> ChangeResult:
    """Remove labels; this mailbox's own by a move to All Mail, because Gmail does not remove it here otherwise."""

    async def question(session: ImapSession) -> tuple[str | None, str]:
        unclear = any(label.startswith("\\") for label in labels) and not place.is_here("INBOX")
        own = await place.label(session) if unclear else system_label(place.name, ())
        if own is None or not has_gmail(session) or not any(same(own, label) for label in labels):
            return None, ""
        return own, await place.find(session, "all")

    own, all_mail = await place.runner.run(question, Effect.PURE)
    others = [label for label in labels if own is None or not same(own, label)]
    done = ChangeResult(applied=uids)
    if others:
        done = await Bulk(Store(place, LABELS, "-", others)).run(uids)
    if own is None:
        return done
    try:
        return done.joined(await Bulk(Transfer(place, all_mail, move=True)).run(done.applied))
    except GmailError as error:
        if error.result is not None:
            error.result = done.joined(error.result)
        raise
