"""LIST with its extensions, LSUB and XLIST."""

from __future__ import annotations

import re

from aiogmail.testing.labels import ListedMailbox

from .mailboxes import status_items, status_line
from .session import ImapSession
from .syntax import Args, Bad, quote_name

__all__ = ["list_", "lsub", "xlist"]


class _Pattern:
    """A LIST pattern: ``*`` matches anything, ``%`` anything but the delimiter; INBOX matches in any case."""

    def __init__(self, reference: str, pattern: str) -> None:
        # Runs of wildcards are joined: many of them would cost exponential time.
        wild = re.sub(r"%+", "%", re.sub(r"[*%]*\*[*%]*", "*", reference + pattern))
        parts = [{"*": ".*", "%": "[^/]*"}.get(part, re.escape(part)) for part in re.split(r"([*%])", wild)]
        self._exact = re.compile("".join(parts), re.DOTALL)
        self._any_case = re.compile("".join(parts), re.DOTALL | re.IGNORECASE)

    def matches(self, name: str) -> bool:
        """Whether a mailbox is meant."""
        return (self._any_case if name == "INBOX" else self._exact).fullmatch(name) is not None


def _attributes(entry: ListedMailbox, *, subscribed: bool = False, xlist: bool = False) -> str:
    names = {"\\HasChildren" if entry.has_children else "\\HasNoChildren"}
    if entry.mailbox is None:
        names.add("\\Noselect")
    else:
        system = entry.mailbox.system
        use = "" if system is None else system.xlist if xlist else system.use
        names |= {use} - {""}
        if subscribed and entry.mailbox.subscribed:
            names.add("\\Subscribed")
    return " ".join(sorted(names))


def _line(session: ImapSession, verb: str, attributes: str, name: str) -> bytes:
    return b'* %s (%s) "/" %s\r\n' % (verb.encode(), attributes.encode(), quote_name(name, session.utf8))


def _return_options(args: Args) -> tuple[set[str], list[str]]:
    """The names in RETURN (…), and the items of its STATUS."""
    names: set[str] = set()
    items: list[str] = []

    def option() -> None:
        name = args.keyword()
        if name not in {"SUBSCRIBED", "CHILDREN", "SPECIAL-USE", "STATUS"}:
            raise Bad
        names.add(name)
        if name == "STATUS":
            args.space()
            items.extend(status_items(args))

    args.parenthesised(option)
    return names, items


async def list_(session: ImapSession, args: Args) -> None:
    """LIST (RFC 9051 section 6.3.9), with LIST-EXTENDED (RFC 5258), SPECIAL-USE (RFC 6154) and LIST-STATUS (RFC 5819)."""
    args.space()
    selection: set[str] = set()
    if args.peek() == b"(":
        selection = {str(name) for name in args.parenthesised(args.keyword)}
        if not selection <= {"SUBSCRIBED", "SPECIAL-USE", "RECURSIVEMATCH", "REMOTE"}:
            raise Bad
        args.space()
    reference = args.mailbox()
    args.space()
    patterns = [str(item) for item in args.parenthesised(args.pattern)] if args.peek() == b"(" else [args.pattern()]
    options: set[str] = set()
    items: list[str] = []
    if args.take(b" RETURN "):
        options, items = _return_options(args)
    args.end()
    if patterns == [""]:
        session.channel.write(b'* LIST (\\Noselect) "/" "/"\r\n')
        await session.ok()
        return
    wanted = [_Pattern(reference, pattern) for pattern in patterns]
    for entry in session.account.labels.listed(session.shown):
        if not any(pattern.matches(entry.name) for pattern in wanted):
            continue
        if "SUBSCRIBED" in selection and (entry.mailbox is None or not entry.mailbox.subscribed):
            continue
        if "SPECIAL-USE" in selection and (entry.mailbox is None or entry.mailbox.system is None or not entry.mailbox.system.use):
            continue
        shown = _attributes(entry, subscribed=bool({"SUBSCRIBED"} & (options | selection)))
        session.channel.write(_line(session, "LIST", shown, entry.name))
        if items and entry.mailbox is not None:
            session.channel.write(status_line(session, entry.mailbox, items))
    await session.ok()


async def lsub(session: ImapSession, args: Args) -> None:
    r"""LSUB: a name that only stands above others is ``\NonExistent``."""
    wanted = _plain(args)
    for entry in session.account.labels.listed(session.shown):
        if not wanted.matches(entry.name) or (entry.mailbox is not None and not entry.mailbox.subscribed):
            continue
        attributes = "\\HasChildren \\NonExistent" if entry.mailbox is None else _attributes(entry)
        session.channel.write(_line(session, "LSUB", attributes, entry.name))
    await session.ok()


async def xlist(session: ImapSession, args: Args) -> None:
    """XLIST: Gmail's own LIST before there were special-use attributes."""
    wanted = _plain(args)
    for entry in session.account.labels.listed(session.shown):
        if wanted.matches(entry.name):
            name = "Inbox" if entry.name == "INBOX" else entry.name
            session.channel.write(_line(session, "XLIST", _attributes(entry, xlist=True), name))
    await session.ok()


def _plain(args: Args) -> _Pattern:
    args.space()
    reference = args.mailbox()
    args.space()
    pattern = args.pattern()
    args.end()
    return _Pattern(reference, pattern)
