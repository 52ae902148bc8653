"""Data that a server sends of itself or before a tagged reply, one small function a kind (RFC 9051 section 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

from aiogmail.imap.uidset import UidSet

from . import utf7
from .codes import flags, uid_set
from .responses import (
    Capability,
    Enabled,
    Esearch,
    Exists,
    Expunge,
    Flags,
    Id,
    MailboxList,
    MailboxStatus,
    Namespace,
    NamespaceEntry,
    Quota,
    QuotaRoot,
    Recent,
    Response,
    Search,
    Vanished,
)
from .scanner import Scanner, Value

__all__ = ["NUMBERED", "PLAIN"]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _mailbox(raw: bytes, utf8: bool) -> str:
    name = _text(raw) if utf8 else utf7.decode(raw)
    return "INBOX" if name.upper() == "INBOX" else name


def _names(scanner: Scanner) -> frozenset[str]:
    """Atoms to the end of the line, in upper case."""
    names = set()
    scanner.spaces()
    while not scanner.at_end():
        names.add(_text(scanner.atom()).upper())
        scanner.spaces()
    return frozenset(names)


def _list_of(scanner: Scanner, expected: str) -> tuple[Value, ...]:
    value = scanner.value()
    if not isinstance(value, tuple):
        scanner.fail(expected)
    return value


def _pairs(values: tuple[Value, ...], scanner: Scanner) -> dict[str, Value]:
    """Names and values in turn; names in upper case."""
    if len(values) % 2:
        scanner.fail("a value for each name")
    return {_word(name, scanner).upper(): value for name, value in zip(values[::2], values[1::2], strict=True)}


def _word(value: Value, scanner: Scanner) -> str:
    if isinstance(value, bytes):
        return _text(value)
    if not isinstance(value, str):
        scanner.fail("a name")
    return value


def _capability(scanner: Scanner, _name: str, _utf8: bool) -> Response:
    return Capability(_names(scanner), raw=scanner.text)


def _enabled(scanner: Scanner, _name: str, _utf8: bool) -> Response:
    return Enabled(_names(scanner), raw=scanner.text)


def _flags(scanner: Scanner, _name: str, _utf8: bool) -> Response:
    return Flags(flags(scanner), raw=scanner.text)


def _search(scanner: Scanner, _name: str, _utf8: bool) -> Response:
    """A million numbers may stand here: they are split and converted without a step of Python's for each."""
    start = scanner.position
    end = scanner.text.find(b"(", start)
    if end < 0:
        end = len(scanner.text)
    text = scanner.text[start:end]
    numbers = text.split()
    if text.translate(None, b"0123456789 ") or (numbers and max(map(len, numbers)) > 20):
        scanner.fail("numbers of at most 20 digits")
    scanner.position = end
    modseq = None
    if scanner.skip(b"("):
        if scanner.atom().upper() != b"MODSEQ":
            scanner.fail("MODSEQ")
        scanner.expect(b" ")
        modseq = scanner.number()
        scanner.expect(b")")
    return Search(tuple(map(int, numbers)), modseq, raw=scanner.text)


def _esearch(scanner: Scanner, _name: str, _utf8: bool) -> Response:
    tag = None
    uid = False
    scanner.spaces()
    if scanner.text.startswith(b"(", scanner.position):
        # beside TAG there may stand MAILBOX and UIDVALIDITY (RFC 7377 section 2.1), of a search that this library does not make
        told = _pairs(_list_of(scanner, "a list of correlators"), scanner).get("TAG")
        tag = None if told is None else _text(told) if isinstance(told, bytes) else str(told)
        scanner.spaces()
    items: dict[str, UidSet | Value] = {}
    while not scanner.at_end():
        name = _text(scanner.atom()).upper()
        if name == "UID" and not items and not uid:
            uid = True
        else:
            scanner.expect(b" ")
            items[name] = _search_item(name, scanner)
        if not scanner.at_end():
            scanner.expect(b" ")
            scanner.spaces()
    return Esearch(tag, uid, items, raw=scanner.text, literals=scanner.literals)


def _search_item(name: str, scanner: Scanner) -> UidSet | Value:
    if name in {"MIN", "MAX", "COUNT", "MODSEQ"}:
        return scanner.number()
    return uid_set(scanner) if name == "ALL" else scanner.value()


def _vanished(scanner: Scanner, _name: str, _utf8: bool) -> Response:
    earlier = False
    if scanner.skip(b"("):
        earlier = scanner.atom().upper() == b"EARLIER"
        scanner.expect(b")")
        scanner.expect(b" ")
    return Vanished(earlier, uid_set(scanner), raw=scanner.text)


def _list(scanner: Scanner, kind: str, utf8: bool) -> Response:
    attributes = flags(scanner)
    scanner.expect(b" ")
    delimiter = scanner.nstring()
    scanner.expect(b" ")
    encoded = scanner.astring()
    extended: dict[str, Value] = {}
    if scanner.skip(b" ") and not scanner.at_end():
        extended = _pairs(_list_of(scanner, "a list of extended items"), scanner)
    return MailboxList(
        cast("Literal['LIST', 'LSUB', 'XLIST']", kind),
        attributes,
        _text(delimiter) if delimiter else None,
        _mailbox(encoded, utf8),
        extended,
        encoded,
        raw=scanner.text,
        literals=scanner.literals,
    )


def _status(scanner: Scanner, _name: str, utf8: bool) -> Response:
    encoded = scanner.astring()
    scanner.expect(b" ")
    items = _pairs(_list_of(scanner, "a list of status items"), scanner)
    return MailboxStatus(_mailbox(encoded, utf8), items, encoded, raw=scanner.text, literals=scanner.literals)


def _namespace(scanner: Scanner, _name: str, utf8: bool) -> Response:
    groups = []
    for number in range(3):
        if number:
            scanner.expect(b" ")
        value = scanner.value()
        entries = () if value is None else value
        if not isinstance(entries, tuple):
            scanner.fail("a list of namespaces or NIL")
        groups.append(tuple(_namespace_entry(entry, scanner, utf8) for entry in entries))
    return Namespace(*groups, raw=scanner.text, literals=scanner.literals)


def _namespace_entry(entry: Value, scanner: Scanner, utf8: bool) -> NamespaceEntry:
    if not isinstance(entry, tuple) or len(entry) < 2:
        scanner.fail("a prefix and a delimiter")
    prefix, delimiter, *extensions = entry
    if not isinstance(prefix, bytes) or not (delimiter is None or isinstance(delimiter, bytes)):
        scanner.fail("a prefix and a delimiter")
    return NamespaceEntry(_mailbox(prefix, utf8), _text(delimiter) if delimiter else None, tuple(extensions))


def _quota(scanner: Scanner, _name: str, _utf8: bool) -> Response:
    root = _text(scanner.astring())
    scanner.expect(b" ")
    values = _list_of(scanner, "a list of resources")
    if len(values) % 3:
        scanner.fail("usage and limit for each resource")
    resources = {}
    for name, usage, limit in zip(values[::3], values[1::3], values[2::3], strict=True):
        if not isinstance(usage, int) or not isinstance(limit, int):
            scanner.fail("usage and limit for each resource")
        resources[_word(name, scanner).upper()] = (usage, limit)
    return Quota(root, resources, raw=scanner.text, literals=scanner.literals)


def _quota_root(scanner: Scanner, _name: str, utf8: bool) -> Response:
    mailbox = _mailbox(scanner.astring(), utf8)
    roots = []
    while scanner.skip(b" ") and not scanner.at_end():
        roots.append(_text(scanner.astring()))
    return QuotaRoot(mailbox, tuple(roots), raw=scanner.text, literals=scanner.literals)


def _id(scanner: Scanner, _name: str, _utf8: bool) -> Response:
    value = scanner.value()
    pairs = () if value is None else value
    if not isinstance(pairs, tuple) or len(pairs) % 2:
        scanner.fail("a list of names and values or NIL")
    items = {
        _word(name, scanner): None if value is None else _word(value, scanner) for name, value in zip(pairs[::2], pairs[1::2], strict=True)
    }
    return Id(items, raw=scanner.text, literals=scanner.literals)


NUMBERED: dict[str, type[Exists | Recent | Expunge]] = {"EXISTS": Exists, "RECENT": Recent, "EXPUNGE": Expunge}
"""By the word after a number; FETCH has a file of its own."""

PLAIN: dict[str, Callable[[Scanner, str, bool], Response]] = {
    "CAPABILITY": _capability,
    "ENABLED": _enabled,
    "ESEARCH": _esearch,
    "FLAGS": _flags,
    "ID": _id,
    "LIST": _list,
    "LSUB": _list,
    "NAMESPACE": _namespace,
    "QUOTA": _quota,
    "QUOTAROOT": _quota_root,
    "SEARCH": _search,
    "STATUS": _status,
    "VANISHED": _vanished,
    "XLIST": _list,
}
"""By the first word. Each is given the scanner after the word and its space, the word, and whether UTF8=ACCEPT is enabled."""
