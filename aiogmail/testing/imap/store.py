"""STORE, COPY, MOVE and EXPUNGE: the effect first, then what is said about it."""

from __future__ import annotations

from aiogmail.testing.message import Mailbox, StoredMessage

from .fetch import flags_text, labels_text
from .mailboxes import visible
from .session import ImapSession
from .syntax import Args, Bad, No, SequenceSet, compress

__all__ = ["copy", "expunge", "move", "store", "uid_expunge"]

Target = tuple[int, int, StoredMessage]


def _targets(session: ImapSession, chosen: SequenceSet, uid: bool) -> list[Target]:
    """Number, UID and message of those that are meant and still there."""
    view, by_uid = session.view, session.mailbox.by_uid
    assert session.selected is not None
    if uid:
        pairs = [(session.selected.number(number) or 0, number) for number in chosen.resolve(view)]
    else:
        pairs = [(number, view[number - 1]) for number in chosen.resolve(range(1, len(view) + 1))]
    return [(number, one, by_uid[one]) for number, one in pairs if one in by_uid][: session.only]


def _need_writable(session: ImapSession) -> None:
    if session.readonly:
        raise No("[READ-ONLY] Mailbox is read-only. (Failure)")


async def store(session: ImapSession, args: Args, uid: bool) -> None:
    """``STORE set [(UNCHANGEDSINCE n)] [+-]FLAGS[.SILENT] …`` and the same of X-GM-LABELS."""
    args.space()
    chosen = args.sequence_set()
    args.space()
    unchanged_since = None
    if args.take(b"(UNCHANGEDSINCE "):
        unchanged_since = args.number()
        args.need(b") ")
        session.condstore = True
    sign = next((sign for sign in ("+", "-") if args.take(sign.encode())), "")
    what = args.keyword()
    silent = what.endswith(".SILENT")
    what = what.removesuffix(".SILENT")
    args.space()
    _need_writable(session)
    targets = _targets(session, chosen, uid)
    modified = []
    if unchanged_since is not None:
        modified = [number if not uid else one for number, one, message in targets if message.modseq > unchanged_since]
        targets = [target for target in targets if target[2].modseq <= unchanged_since]
    if what == "FLAGS":
        flags = args.flags()
        args.end()
        _store_flags(session, targets, sign, flags)
    elif what == "X-GM-LABELS":
        labels = [str(label) for label in args.parenthesised(args.label)] if args.peek() == b"(" else [args.label()]
        args.end()
        _store_labels(session, targets, sign, labels)
    else:
        raise Bad
    await _say_stored(session, targets, what, silent, uid, modified)


def _store_flags(session: ImapSession, targets: list[Target], sign: str, flags: frozenset[str]) -> None:
    account, mailbox = session.account, session.mailbox
    kept = flags - {"\\Deleted"}
    for _, _, message in targets:
        if sign == "+":
            account.set_flags(message, message.flags | kept)
        elif sign == "-":
            account.set_flags(message, message.flags - kept)
        else:
            account.set_flags(message, kept)
        wanted = sign != "-"
        if message in mailbox and ("\\Deleted" in flags or not sign):
            deleted = wanted and "\\Deleted" in flags
            if deleted != (message in mailbox.deleted):
                account.mark_deleted(message, mailbox, deleted=deleted)


def _store_labels(session: ImapSession, targets: list[Target], sign: str, labels: list[str]) -> None:
    account = session.account
    boxes: set[Mailbox] = set()
    for label in labels:
        found = account.labels.resolve(label)
        if found is None and label.startswith("\\"):
            raise Bad(f"Invalid Arguments: Label name is not allowed: {label}")
        if found is None and sign != "-":
            found = account.labels.create(label, account.behaviour)
        if found is not None:
            boxes.add(found)
    own = session.mailbox
    if not account.behaviour.own_label_removable and own not in account.stores:
        # On Gmail the selected mailbox's own label is neither shown nor removed here.
        if sign == "-":
            boxes.discard(own)
        elif not sign and not boxes & {account.trash, account.spam}:
            boxes.add(own)
    for _, _, message in targets:
        if sign == "+":
            account.set_labels(message, message.labelled | boxes if boxes else message.mailboxes)
        elif sign == "-":
            _remove_labels(session, message, boxes)
        else:
            account.set_labels(message, boxes)


def _remove_labels(session: ImapSession, message: StoredMessage, boxes: set[Mailbox]) -> None:
    account = session.account
    if message.store in boxes and message.store is not account.all_mail:
        account.copy(message, account.all_mail)
    elif message.labelled & boxes:
        account.set_labels(message, (message.labelled - boxes) or {account.all_mail})


async def _say_stored(session: ImapSession, targets: list[Target], what: str, silent: bool, uid: bool, modified: list[int]) -> None:
    view = session.selected
    assert view is not None
    by_uid = session.mailbox.by_uid
    for _, one, _ in targets:
        # What this command did is said by its own rows, or not at all.
        view.news.discard(one)
    expunged = any(one not in by_uid for _, one, _ in targets)
    if not silent or session.condstore:
        for number, one, message in targets:
            if one not in by_uid:
                continue
            items = [f"MODSEQ ({message.modseq})"] if session.condstore else []
            if not silent and what == "FLAGS":
                items.append(f"FLAGS {flags_text(message, session.mailbox)}")
            head = " ".join(items).encode()
            if not silent and what != "FLAGS":
                head = b" ".join([*([head] if head else []), b"X-GM-LABELS " + labels_text(session, message)])
            session.channel.write(b"* %d FETCH (%b UID %d)\r\n" % (number, head, one))
            if session.channel.wants_drain:
                await session.channel.drain()
    session.tell_news(expunges=uid or expunged)
    text = session.account.behaviour.modified_text.format(uids=compress(modified)) if modified else "Success"
    await session.finish("OK", text)


def _destination(session: ImapSession, name: str) -> Mailbox:
    mailbox = visible(session, name)
    if mailbox is None:
        raise No(f"[TRYCREATE] No folder {name} (Failure)")
    return mailbox


def _copyuid(target: Mailbox, sources: list[int], messages: list[StoredMessage]) -> str:
    pairs = [(source, target.uid_of[message]) for source, message in zip(sources, messages, strict=True) if message in target]
    if not pairs:
        return "Success"
    old, new = compress(source for source, _ in pairs), compress(uid for _, uid in pairs)
    return f"[COPYUID {target.uidvalidity} {old} {new}] (Success)"


async def copy(session: ImapSession, args: Args, uid: bool) -> None:
    """COPY: a label more; to Trash and Spam it takes the message away."""
    args.space()
    chosen = args.sequence_set()
    args.space()
    name = args.mailbox()
    args.end()
    target = _destination(session, name)
    targets = _targets(session, chosen, uid)
    told = [(one, message) for _, one, message in targets if session.account.behaviour.copyuid_on_repeat or message not in target]
    for _, _, message in targets:
        session.account.copy(message, target)
    await session.ok(_copyuid(target, [one for one, _ in told], [message for _, message in told]))


async def move(session: ImapSession, args: Args, uid: bool) -> None:
    """MOVE: EXPUNGE for what left, then COPYUID in the tagged OK (RFC 6851 would have it untagged, before)."""
    args.space()
    chosen = args.sequence_set()
    args.space()
    name = args.mailbox()
    args.end()
    _need_writable(session)
    source, target = session.mailbox, _destination(session, name)
    targets = _targets(session, chosen, uid)
    for _, _, message in targets:
        session.account.move(message, source, target)
    await session.ok(_copyuid(target, [one for _, one, _ in targets], [message for *_, message in targets]))


async def expunge(session: ImapSession, args: Args) -> None:
    """EXPUNGE: everything marked goes."""
    args.end()
    _need_writable(session)
    for message in session.mailbox.marked:
        session.account.expunge(message, session.mailbox)
    await session.ok()


async def uid_expunge(session: ImapSession, args: Args) -> None:
    """UID EXPUNGE (RFC 4315): of these, what is marked goes."""
    args.space()
    chosen = args.sequence_set()
    args.end()
    _need_writable(session)
    for _, _, message in _targets(session, chosen, uid=True):
        if message in session.mailbox.deleted:
            session.account.expunge(message, session.mailbox)
    await session.ok()
