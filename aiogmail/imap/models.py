"""What is a message, as far as it was fetched?"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from email.message import EmailMessage

from aiogmail.errors import NotFetched

from . import wire
from .charsets import decode
from .emailmessage import read_email
from .envelope import EMPTY_ENVELOPE, Address, Envelope
from .headers import Headers
from .items import ITEMS, section_name, wire_items
from .mime import Mime, body_start, header_fields, read_envelope, read_mime
from .structure import BodyPart, body_part, part_number
from .transfer import decode_transfer
from .words import word_defects

__all__ = ["ITEMS", "Address", "BodyPart", "Envelope", "Headers", "Message", "wire_items"]

_WORDY = frozenset({"subject", "from", "to", "cc"})
_FIELDS = re.compile(r"BODY\[HEADER\.FIELDS \((.*)\)\]")


class Message:
    """A message of a mailbox, with the items that were asked for; decoded when they are touched.

    An item that was not asked for raises :class:`aiogmail.errors.NotFetched` with its name; what can be read out of ``raw`` needs no
    item of its own. Whatever a message got wrong, nothing else is raised: what could not be decoded is told in :attr:`defects`. Frozen:
    it does not change when the mailbox does.
    """

    __slots__ = ("_fetch", "_mime", "_structure")
    _fetch: wire.Fetch
    _mime: Mime
    _structure: BodyPart | None

    def __init__(self, fetch: wire.Fetch) -> None:
        _set_fetch(self, fetch)

    @property
    def uid(self) -> int:
        """Its UID: names it in its mailbox as long as UIDVALIDITY stays."""
        uid = self._fetch.uid
        assert uid is not None, "a row without UID belongs to no fetch"
        return uid

    @property
    def flags(self) -> frozenset[str]:
        r"""Its flags, such as ``"\Seen"``."""
        flags = self._fetch.flags
        if flags is None:
            raise NotFetched("flags")
        return flags

    @property
    def internal_date(self) -> dt.datetime | None:
        """When the server received it (INTERNALDATE), aware; ``None`` where the server's date is unreadable."""
        date = self._fetch.get("INTERNALDATE", _ABSENT)
        if date is _ABSENT:
            raise NotFetched("internal_date")
        return date if isinstance(date, dt.datetime) else None

    @property
    def size(self) -> int:
        """Octets of the whole message (RFC822.SIZE)."""
        size = self._fetch.number("RFC822.SIZE")
        if size is None:
            raise NotFetched("size")
        return size

    @property
    def modseq(self) -> int:
        """Its mod-sequence (RFC 7162)."""
        modseq = self._fetch.number("MODSEQ")
        if modseq is None:
            raise NotFetched("modseq")
        return modseq

    @property
    def labels(self) -> frozenset[str]:
        """Its Gmail labels (X-GM-LABELS), without the selected mailbox's own."""
        labels = self._fetch.get("X-GM-LABELS")
        if not isinstance(labels, frozenset):
            raise NotFetched("labels")
        return labels

    @property
    def gmail_id(self) -> int:
        """X-GM-MSGID: names it in the account for ever."""
        gmail_id = self._fetch.number("X-GM-MSGID")
        if gmail_id is None:
            raise NotFetched("gmail_id")
        return gmail_id

    @property
    def thread_id(self) -> int:
        """X-GM-THRID: names its thread."""
        thread_id = self._fetch.number("X-GM-THRID")
        if thread_id is None:
            raise NotFetched("thread_id")
        return thread_id

    @property
    def envelope(self) -> Envelope:
        """Its subject, date, addresses and ids (ENVELOPE); empty where the server told none. Read from :attr:`raw` where only that is there."""
        envelope = self._fetch.get("ENVELOPE", _ABSENT)
        if envelope is _ABSENT:
            if not self._has_raw():
                raise NotFetched("envelope")
            envelope = read_envelope(header_fields(self.raw)[0])
        return Envelope(envelope if isinstance(envelope, wire.Envelope) else EMPTY_ENVELOPE)

    @property
    def structure(self) -> BodyPart | None:
        """Of what parts it is made: a tree; ``None`` where the server could not tell (BODYSTRUCTURE), and :attr:`raw` was not fetched."""
        try:
            return self._structure
        except AttributeError:
            pass
        told = self._fetch.get("BODYSTRUCTURE", _ABSENT)
        if self._has_raw() or told is _ABSENT:  # the message itself knows better
            made: BodyPart | None = body_part(self._parsed("structure").root)
        else:
            made = body_part(told) if isinstance(told, wire.Part) else None
        _set_structure(self, made)
        return made

    @property
    def parts(self) -> tuple[BodyPart, ...]:
        """All its parts, in the order of their numbers, multiparts and the parts of attached messages among them."""
        structure = self.structure
        return () if structure is None else structure.parts

    @property
    def raw(self) -> bytes:
        """The whole message as it is on the server (RFC 5322 octets)."""
        raw = self._fetch.get("BODY[]", _ABSENT)
        if raw is _ABSENT:
            raise NotFetched("raw")
        return raw if isinstance(raw, bytes) else b""

    @property
    def headers(self) -> Headers:
        """The fields of its header that were fetched: ``"headers"``, ``"header:NAME"`` or ``"raw"``."""
        whole = self._fetch.get("BODY[HEADER]", _ABSENT)
        if isinstance(whole, bytes):
            return Headers(whole)
        if self._has_raw():
            return Headers(self.raw[: body_start(self.raw)])
        for name in self._fetch.names():
            if match := _FIELDS.fullmatch(name):
                fields = self._fetch.get(name)
                return Headers(fields if isinstance(fields, bytes) else b"", frozenset(match[1].lower().split()))
        if whole is _ABSENT:
            raise NotFetched("headers")
        return Headers(b"")

    @property
    def text(self) -> str:
        r"""Its text: that of the ``text/plain`` part that mail programs show, ``""`` if it has none; with its line ends, usually ``\r\n``.

        Raises:
            NotFetched: neither ``"text"`` nor ``"raw"`` nor that part was fetched.
        """
        return self._text("plain", "text")

    @property
    def html(self) -> str:
        """Its text as HTML, otherwise as :attr:`text`."""
        return self._text("html", "html")

    @property
    def attachments(self) -> tuple[BodyPart, ...]:
        """The parts that are neither :attr:`text` nor :attr:`html`, whatever their disposition says; an attached message is one part.

        Each has ``filename``, ``content_type``, ``size`` (octets as transferred) and ``number``; :meth:`content` gives what is in it, where
        it was fetched, and ``mailbox.download(message.uid, part.number)`` fetches it.

        Raises:
            NotFetched: neither ``"structure"`` nor ``"raw"`` was fetched.
        """
        structure = self.structure
        if structure is None:
            return ()
        shown = [structure.body("plain"), structure.body("html")]
        return tuple(part for part in structure.leaves() if not any(part is one for one in shown))

    @property
    def email(self) -> EmailMessage:
        """The message as the standard library reads it, with its modern policy; made anew each time. Reading it raises nothing."""
        return read_email(self.raw)

    @property
    def defects(self) -> tuple[str, ...]:
        """What of that which was fetched could not be decoded, in words for a log; everything fetched is decoded to find out."""
        return tuple(dict.fromkeys(self._defects()))

    def content(self, part: BodyPart | str) -> bytes:
        """What is in a part that was fetched, by itself (``"part:2"``) or with ``"raw"``: its transfer encoding decoded.

        Raises:
            NotFetched: it was not.
            ConfigurationError: ``part`` is neither a :class:`BodyPart` nor a number.
        """
        number = part_number(part)
        octets = self._octets(number)
        if octets is None:
            raise NotFetched(f"part:{number}")
        found = self._find(number)
        return octets if found is None else decode_transfer(octets, found.encoding)[0]

    # -- what was fetched --------------------------------------------------------------------------------------------------

    def _has_raw(self) -> bool:
        raw = self._fetch.get("BODY[]", _ABSENT)
        return isinstance(raw, bytes) or (raw is None and "BODYSTRUCTURE" not in self._fetch)

    def _parsed(self, item: str) -> Mime:
        """The composition of :attr:`raw`, read once."""
        if not self._has_raw():
            raise NotFetched(item)
        try:
            return self._mime
        except AttributeError:
            made = read_mime(self.raw)
            _set_mime(self, made)
            return made

    def _octets(self, number: str) -> bytes | None:
        """The octets of a part, encoded; ``None``: they were not fetched, or there is no such part."""
        if self._has_raw():
            return self._parsed("raw").octets(number)
        octets = self._fetch.get(section_name(number), _ABSENT)
        return None if octets is _ABSENT else octets if isinstance(octets, bytes) else b""

    def _find(self, number: str) -> BodyPart | None:
        structure = self.structure
        return None if structure is None else structure.find(number)

    def _text(self, subtype: str, item: str) -> str:
        try:
            structure = self.structure
        except NotFetched:
            raise NotFetched(item) from None
        part = None if structure is None else structure.body(subtype)
        if part is None:
            return ""
        octets = self._octets(part.number)
        if octets is None:
            raise NotFetched(item)
        return decode(decode_transfer(octets, part.encoding)[0], part.charset)[0]

    def _defects(self) -> Iterator[str]:
        for name, raw in self._words():
            yield from (f"header {name}: {defect}" for defect in word_defects(raw))
        if "ENVELOPE" not in self._fetch and self._has_raw():
            unread: list[str] = []
            read_envelope(header_fields(self.raw)[0], unread)
            yield from (f"header {name}: its addresses cannot be read" for name in unread)
        yield from self._part_defects()

    def _words(self) -> Iterator[tuple[str, bytes]]:
        """The fields that people read, as they stand, as far as they were fetched."""
        envelope = self._fetch.get("ENVELOPE")
        if isinstance(envelope, wire.Envelope):
            if envelope.subject is not None:
                yield "subject", envelope.subject
            for name, people in (("from", envelope.from_), ("to", envelope.to), ("cc", envelope.cc)):
                yield from ((name, one.name) for one in people if one.name is not None)
            return
        try:
            headers = self.headers
        except NotFetched:
            return
        for name, values in headers.iter_raw():
            if name in _WORDY:
                yield from ((name, value) for value in values)

    def _part_defects(self) -> Iterator[str]:
        if self._has_raw():
            yield from self._parsed("raw").defects
        elif self._fetch.get("BODYSTRUCTURE", _ABSENT) is _ABSENT:
            return
        structure = self.structure
        if structure is None:
            yield "the server could not tell its structure"
            return
        for part in structure.parts:
            yield from (f"part {part.number}: {defect}" for defect in part.defects)
            if part.is_multipart:
                if not part.children:
                    yield f"part {part.number or '1'}: the server told a multipart without its parts"
                continue
            octets = self._octets(part.number)
            if octets is None or part.children:
                continue
            decoded, wrong = decode_transfer(octets, part.encoding)
            yield from (f"part {part.number}: {defect}" for defect in wrong)
            if part.type == "text" and (wrong_text := decode(decoded, part.charset)[1]):
                yield f"part {part.number}: {wrong_text}"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Message is frozen: {name} cannot be set")

    def __repr__(self) -> str:
        return f"Message(uid={self.uid}, items={', '.join(self._fetch.names())})"


_set_fetch = Message.__dict__["_fetch"].__set__
_set_mime = Message.__dict__["_mime"].__set__
_set_structure = Message.__dict__["_structure"].__set__
_ABSENT = object()
