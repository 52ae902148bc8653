"""SELECT, STATUS, and making, renaming and deleting of mailboxes."""

from __future__ import annotations

from aiogmail.testing.message import Mailbox

from .session import ImapSession
from .syntax import Args, Bad, No, quote_name

__all__ = ["close", "create", "delete", "rename", "select", "status", "status_line", "subscribe", "unselect"]

_FLAGS = "\\Answered \\Flagged \\Draft \\Deleted \\Seen $NotPhishing $Phishing"
_STATUS = ("MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "HIGHESTMODSEQ", "APPENDLIMIT")


def visible(session: ImapSession, name: str) -> Mailbox | None:
    """The mailbox of this name, unless it is hidden from IMAP."""
    account = session.account
    mailbox = account.labels.get(name)
    return None if mailbox is None or account.labels.is_hidden(mailbox, session.shown) else mailbox


async def select(session: ImapSession, args: Args, *, readonly: bool) -> None:
    """SELECT and EXAMINE, with ``(CONDSTORE)``."""
    args.space()
    name = args.mailbox()
    if args.take(b" "):
        options = args.parenthesised(args.keyword)
        if options != ["CONDSTORE"]:
            raise Bad
        session.condstore = True
    args.end()
    was_selected = session.selected is not None
    # Whatever becomes of it, the mailbox that was selected is no longer.
    session.unselect()
    mailbox = visible(session, name)
    if mailbox is None:
        hint = " (now in authenticated state)" if was_selected else ""
        raise No(f"[NONEXISTENT] Unknown Mailbox: {name}{hint} (Failure)")
    view = session.select(mailbox, readonly=readonly)
    session.untagged(f"FLAGS ({_FLAGS})")
    permanent = "" if readonly else f"{_FLAGS} \\*"
    session.untagged(f"OK [PERMANENTFLAGS ({permanent})] Flags permitted.")
    session.untagged(f"OK [UIDVALIDITY {mailbox.uidvalidity}] UIDs valid.")
    session.untagged(f"{len(view.uids)} EXISTS")
    session.untagged("0 RECENT")
    session.untagged(f"OK [UIDNEXT {mailbox.uidnext}] Predicted next UID.")
    session.untagged(f"OK [HIGHESTMODSEQ {session.account.modseq}]")
    # The name comes back decoded, as 8-bit UTF-8.
    await session.ok(f"[{'READ-ONLY' if readonly else 'READ-WRITE'}] {mailbox.name} selected. (Success)")


def status_line(session: ImapSession, mailbox: Mailbox, items: list[str]) -> bytes:
    """One untagged STATUS."""
    limit = session.shown.folder_limit
    shown = mailbox.order if limit is None else mailbox.order[-limit:]
    values = {
        "MESSAGES": len(shown),
        "RECENT": 0,
        "UIDNEXT": mailbox.uidnext,
        "UIDVALIDITY": mailbox.uidvalidity,
        "HIGHESTMODSEQ": session.account.modseq,
        "APPENDLIMIT": session.account.behaviour.append_limit,
    }
    if "UNSEEN" in items:
        values["UNSEEN"] = sum("\\Seen" not in mailbox.by_uid[uid].flags for uid in shown)
    text = " ".join(f"{item} {values[item]}" for item in items)
    return b"* STATUS %s (%s)\r\n" % (quote_name(mailbox.name, session.utf8), text.encode())


def status_items(args: Args) -> list[str]:
    """The items of STATUS in parentheses."""
    items = [str(item) for item in args.parenthesised(args.keyword)]
    if not items or not set(items) <= set(_STATUS):
        raise Bad
    return items


async def status(session: ImapSession, args: Args) -> None:
    args.space()
    name = args.mailbox()
    args.space()
    items = status_items(args)
    args.end()
    mailbox = visible(session, name)
    if mailbox is None:
        raise No(f"[NONEXISTENT] Unknown Mailbox: {name} (Failure)")
    if "HIGHESTMODSEQ" in items:
        session.condstore = True
    session.channel.write(status_line(session, mailbox, items))
    await session.ok()


async def create(session: ImapSession, args: Args) -> None:
    args.space()
    name = args.mailbox()
    args.end()
    if name.endswith("/"):
        raise No("[CANNOT] Folder name is not allowed. (Failure)")
    session.account.labels.create(name, session.account.behaviour)
    await session.ok()


async def delete(session: ImapSession, args: Args) -> None:
    """DELETE: the label goes; its messages stay in All Mail."""
    args.space()
    name = args.mailbox()
    args.end()
    mailbox = visible(session, name)
    if mailbox is None:
        raise No(f"[NONEXISTENT] Unknown Mailbox: {name} (Failure)")
    session.account.delete_label(mailbox)
    if session.selected is not None and session.mailbox is mailbox:
        session.unselect()
    await session.ok()


async def rename(session: ImapSession, args: Args) -> None:
    args.space()
    old = args.mailbox()
    args.space()
    new = args.mailbox()
    args.end()
    session.account.labels.rename(old, new, session.account.behaviour)
    await session.ok()


async def subscribe(session: ImapSession, args: Args, *, wanted: bool) -> None:
    args.space()
    name = args.mailbox()
    args.end()
    mailbox = visible(session, name)
    if mailbox is None:
        raise No(f"[NONEXISTENT] Unknown Mailbox: {name} (Failure)")
    mailbox.subscribed = wanted
    await session.ok()


async def close(session: ImapSession, args: Args) -> None:
    """CLOSE: what is marked goes without EXPUNGE responses, unless the mailbox is read-only."""
    args.end()
    if not session.readonly:
        for message in session.mailbox.marked:
            session.account.expunge(message, session.mailbox)
    session.unselect()
    await session.ok("Returned to authenticated state. (Success)")


async def unselect(session: ImapSession, args: Args) -> None:
    args.end()
    session.unselect()
    await session.ok("Returned to authenticated state. (Success)")
