"""FETCH: rows in Gmail's own order of items, bodies streamed, never a whole reply in memory."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiogmail.testing import mime, text
from aiogmail.testing.channel import Interrupted
from aiogmail.testing.message import Mailbox, StoredMessage
from aiogmail.testing.names import encode_utf7
from aiogmail.testing.structure import body_structure, envelope

from .syntax import Args, Bad, No, quote

if TYPE_CHECKING:
    from .session import ImapSession

__all__ = ["fetch", "flags_text", "labels_text"]

Render = Callable[["ImapSession", int, StoredMessage], bytes]

_CHUNK = 64 * 1024
_OVERQUOTA = "[OVERQUOTA] Account exceeded command or bandwidth limits."
_MACROS = {
    "ALL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"),
    "FAST": ("FLAGS", "INTERNALDATE", "RFC822.SIZE"),
    "FULL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"),
}
_ATOM = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\]+")
_SECTION = re.compile(
    rb"(?:([1-9][0-9]{0,5}(?:\.[1-9][0-9]{0,5})*)(?:\.|(?=\])))?(HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME)?", re.IGNORECASE
)
_FIELD = re.compile(rb"[!-9;-~]+")  # RFC 5322 section 2.2
_PARTIAL = re.compile(rb"<([0-9]{1,10})\.([1-9][0-9]{0,9})>")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FLAG_ORDER = ("\\Answered", "\\Flagged", "\\Draft", "\\Deleted", "\\Seen")
_flag_texts: dict[frozenset[str], str] = {}


def flags_text(message: StoredMessage, mailbox: Mailbox) -> str:
    """Flags in parentheses."""
    flags = message.flags
    if mailbox.deleted and message in mailbox.deleted:
        flags |= {"\\Deleted"}
    found = _flag_texts.get(flags)
    if found is None:
        ordered = [flag for flag in _FLAG_ORDER if flag in flags] + sorted(flags.difference(_FLAG_ORDER))
        found = "(" + " ".join(ordered) + ")"
        if len(_flag_texts) < 10_000:
            _flag_texts[flags] = found
    return found


def labels_text(session: ImapSession, message: StoredMessage) -> bytes:
    """X-GM-LABELS in parentheses, without the selected mailbox's own."""
    behaviour = session.account.behaviour
    items = []
    for label in sorted(message.labels, key=lambda name: (not name.startswith("\\"), name)):
        if label == session.mailbox.label and not behaviour.own_label_shown:
            continue
        if label.startswith("\\"):
            items.append(label.encode() if behaviour.bare_system_labels else quote(label.encode()))
        else:
            raw = label.encode() if session.utf8 else encode_utf7(label)
            items.append(raw if _ATOM.fullmatch(raw) and label.upper() != "NIL" else quote(raw))
    return b"(" + b" ".join(items) + b")"


def _date(message: StoredMessage) -> bytes:
    moment = time.gmtime(message.internal_date)
    month = _MONTHS[moment.tm_mon - 1]
    clock = f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}"
    return f'INTERNALDATE "{moment.tm_mday:02}-{month}-{moment.tm_year:04} {clock} +0000"'.encode()


def _structure(name: bytes, message: StoredMessage, extended: bool) -> bytes:
    return name + b" " + body_structure(message.raw, text.tree(message.raw), extended)


# In the order in which Gmail answers, whatever the order of the request.
_ITEMS: dict[str, Render] = {
    "X-GM-THRID": lambda _session, _uid, message: b"X-GM-THRID %d" % message.thread_id,
    "X-GM-MSGID": lambda _session, _uid, message: b"X-GM-MSGID %d" % message.gmail_id,
    "X-GM-LABELS": lambda session, _uid, message: b"X-GM-LABELS " + labels_text(session, message),
    "UID": lambda _session, uid, _message: b"UID %d" % uid,
    "RFC822.SIZE": lambda _session, _uid, message: b"RFC822.SIZE %d" % len(message.raw),
    "MODSEQ": lambda _session, _uid, message: b"MODSEQ (%d)" % message.modseq,
    "INTERNALDATE": lambda _session, _uid, message: _date(message),
    "FLAGS": lambda session, _uid, message: b"FLAGS " + flags_text(message, session.mailbox).encode(),
    "ENVELOPE": lambda _session, _uid, message: b"ENVELOPE " + envelope(text.tree(message.raw)),
    "BODYSTRUCTURE": lambda _session, _uid, message: _structure(b"BODYSTRUCTURE", message, extended=True),
    "BODY": lambda _session, _uid, message: _structure(b"BODY", message, extended=False),
}


@dataclass(frozen=True, slots=True)
class Section:
    r"""A part of a message's bytes that was asked for.

    Attributes:
        echo: how the reply names it.
        path: part numbers; ``spec``: ``""``, ``HEADER``, ``HEADER.FIELDS``, ``HEADER.FIELDS.NOT``, ``TEXT`` or ``MIME``.
        fields: lower-case header names.
        partial: first byte and count.
        peek: whether it leaves ``\Seen`` alone.
    """

    echo: bytes
    path: tuple[int, ...] = ()
    spec: str = ""
    fields: tuple[bytes, ...] = ()
    partial: tuple[int, int] | None = None
    peek: bool = False

    def bytes_of(self, raw: bytes) -> memoryview | None:
        """The bytes, or ``None`` where the part does not exist."""
        found = self._whole(raw)
        if found is None or self.partial is None:
            return found
        first, count = self.partial
        return found[first : first + count]

    def _whole(self, raw: bytes) -> memoryview | None:
        view = memoryview(raw)
        if not self.path and not self.spec:
            return view
        if not self.path:
            part = mime.Part(0, mime.body_start(raw), len(raw), [])
        else:
            found = mime.find(text.tree(raw), self.path)
            if found is None:
                return None
            part = found
        if self.spec == "MIME":
            return view[part.start : part.body]
        if self.path and self.spec:
            if not part.is_message:
                return None
            part = part.children[0]
        if self.spec == "HEADER":
            return view[part.start : part.body]
        if self.spec.startswith("HEADER.FIELDS"):
            wanted = self.spec == "HEADER.FIELDS"
            fields = mime.header_fields(raw, part.start, part.body)
            lines = [line for name, line in fields if (name in self.fields) is wanted]
            return memoryview(b"".join(lines) + b"\r\n")
        return view[part.body : part.end]


def _section(args: Args, peek: bool) -> Section:
    """What follows ``BODY[`` or ``BODY.PEEK[``."""
    match = _SECTION.match(args.text, args.position)
    assert match is not None
    start = args.position
    args.position = match.end()
    path = tuple(int(number) for number in match[1].split(b".")) if match[1] else ()
    spec = (match[2] or b"").decode("ascii").upper()
    echo = args.text[start : args.position]
    fields: tuple[bytes, ...] = ()
    if spec == "MIME" and not path:
        raise Bad
    if spec.startswith("HEADER.FIELDS"):
        args.space()
        names = [bytes(name) for name in args.parenthesised(args.astring) if isinstance(name, bytes)]
        if not names or not all(_FIELD.fullmatch(name) for name in names):
            raise Bad  # the reply echoes them: a line end would be a response of the client's choice
        fields = tuple(name.lower() for name in names)
        echo += b" (" + b" ".join(name if _ATOM.fullmatch(name) else quote(name) for name in names) + b")"
    args.need(b"]")
    partial = None
    if args.peek() == b"<":
        found = _PARTIAL.match(args.text, args.position)
        if found is None:
            raise Bad
        args.position = found.end()
        partial = int(found[1]), int(found[2])
    suffix = b"<%d>" % partial[0] if partial else b""
    return Section(b"BODY[" + echo + b"]" + suffix, path, spec, fields, partial, peek)


class _Request:
    """What a FETCH asks for."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.sections: list[Section] = []
        self.changed_since: int | None = None

    def read(self, args: Args) -> None:
        if args.peek() == b"(":
            items = args.parenthesised(lambda: self._item(args, in_list=True))
            if not items:
                raise Bad
        else:
            self._item(args, in_list=False)
        if args.take(b" "):
            args.need(b"(CHANGEDSINCE ")
            self.changed_since = args.number()
            args.need(b")")
        args.end()

    def _item(self, args: Args, *, in_list: bool) -> str:
        for word, peek in ((b"BODY.PEEK[", True), (b"BODY[", False)):
            if args.take(word):
                self.sections.append(_section(args, peek))
                return ""
        name = args.keyword()
        if name in _MACROS:
            # A macro within a list is BAD.
            if in_list:
                raise Bad
            self.names.update(_MACROS[name])
        elif name in {"RFC822", "RFC822.HEADER", "RFC822.TEXT"}:
            spec = name.partition(".")[2]
            self.sections.append(Section(name.encode(), spec=spec, peek=spec == "HEADER"))
        elif name in _ITEMS:
            self.names.add(name)
        else:
            raise Bad
        return name


async def fetch(session: ImapSession, args: Args, uid: bool) -> None:
    """``FETCH set items [(CHANGEDSINCE n)]`` (RFC 9051 section 6.4.5, RFC 7162)."""
    args.space()
    chosen = args.sequence_set()
    args.space()
    request = _Request()
    request.read(args)
    if uid:
        request.names.add("UID")
    if request.changed_since is not None or "MODSEQ" in request.names:
        session.condstore = True
    if session.condstore:
        request.names.add("MODSEQ")
    view = session.view
    if uid:
        assert session.selected is not None
        uids = chosen.resolve(view)
        number_of = session.selected.number
        targets = ((number_of(number) or 0, number) for number in uids)
        if uids == view:
            targets = enumerate(view, 1)  # type: ignore[assignment]
    else:
        targets = ((number, view[number - 1]) for number in chosen.resolve(range(1, len(view) + 1)))
    missing = await _Writer(session, request).rows(targets)
    session.tell_news(expunges=uid or session.account.behaviour.expunge_in_fetch)
    if missing and not uid:
        raise No("Some messages could not be FETCHed (Failure)")
    await session.finish("OK", "Success")


class _Writer:
    def __init__(self, session: ImapSession, request: _Request) -> None:
        self.session = session
        self.request = request
        self.renders = [render for name, render in _ITEMS.items() if name in request.names]
        self.flag_only = [render for name, render in _ITEMS.items() if name in request.names | {"FLAGS"}]
        self.limit = session.account.behaviour.bandwidth_limit
        self.sets_seen = not session.readonly and any(not section.peek for section in request.sections)

    async def rows(self, targets: object) -> bool:
        """Write the rows; whether some message was no longer there."""
        session, channel, since = self.session, self.session.channel, self.request.changed_since
        by_uid, renders, sections = session.mailbox.by_uid, self.renders, self.request.sections
        limit = self.limit
        missing = False
        for number, uid in targets:  # type: ignore[attr-defined]
            message = by_uid.get(uid)
            if message is None:
                missing = True
                continue
            if since is not None and message.modseq <= since:
                continue
            if sections:
                await self._row_with_body(number, uid, message)
            else:
                channel.write(b"* %d FETCH (%b)\r\n" % (number, b" ".join([render(session, uid, message) for render in renders])))
            if channel.wants_drain:
                channel.check()
                await channel.drain()
            if limit is not None and channel.written > limit:
                raise Interrupted(_OVERQUOTA)
        return missing

    async def _row_with_body(self, number: int, uid: int, message: StoredMessage) -> None:
        session, channel = self.session, self.session.channel
        # Between two rows, never within one, a session that is to end says BYE.
        channel.check()
        renders = self.renders
        if self.sets_seen and "\\Seen" not in message.flags:
            session.account.set_flags(message, message.flags | {"\\Seen"})
            assert session.selected is not None
            session.selected.news.discard(uid)
            renders = self.flag_only
        pieces = [render(session, uid, message) for render in renders]
        channel.write(b"* %d FETCH (" % number + b" ".join(pieces))
        for index, section in enumerate(self.request.sections):
            before = b" " if pieces or index else b""
            body = section.bytes_of(message.raw)
            if body is None:
                channel.write(before + section.echo + b" NIL")
                continue
            channel.write(before + section.echo + b" {%d}\r\n" % len(body))
            for start in range(0, len(body), _CHUNK):
                chunk = body[start : start + _CHUNK]
                if self.limit is not None and channel.written + len(chunk) > self.limit:
                    # In the middle of a body, as in isync's reports: what was still to come never does.
                    channel.write(chunk[: max(0, self.limit - channel.written)])
                    raise Interrupted(_OVERQUOTA)
                channel.write(chunk)
                if channel.wants_drain:
                    await channel.drain()
        channel.write(b")\r\n")
