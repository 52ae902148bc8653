"""Status responses: OK, NO, BAD, BYE, PREAUTH and ``+``, with the codes in brackets before their text."""

from __future__ import annotations

import re
from collections.abc import Callable

from aiogmail.errors import ConfigurationError
from aiogmail.imap.uidset import UidSet

from .responses import ResponseCode
from .scanner import Scanner

__all__ = ["flags", "read_text", "uid_set"]

# PERMANENTFLAGS and BADCHARSET come first: Gmail's flags may hold brackets, a charset may be quoted.
_CODE = re.compile(rb'\[([^\x00-\x20\x7f\[\]()"]++)(?: (\([^()\r\0]*+\)(?=\])|[^\]\r\0]*+))?+\] ?+', re.DOTALL)
_FLAGS = re.compile(rb'\(([^()"{\x00-\x1f\x7f]*+)\)')
_UIDS = re.compile(rb"[0-9]{1,10}+(?::[0-9]{1,10}+)?+(?:,[0-9]{1,10}+(?::[0-9]{1,10}+)?+)*+")


def read_text(scanner: Scanner) -> tuple[ResponseCode | None, str]:
    """resp-text, to the end of the line. Words in brackets that are no code belong to the text.

    Raises:
        ProtocolError: a code that every client must understand has the wrong arguments.
    """
    match = _CODE.match(scanner.text, scanner.position)
    if match is None:
        return None, _decode(scanner.text[scanner.position :])
    name = _decode(match[1]).upper()
    argument = match[2] or b""
    read = _ARGUMENTS.get(name)
    if read is None:
        args: tuple[object, ...] = (_decode(argument),) if argument else ()
    else:
        scanner.position = match.start(2) if match[2] is not None else match.end(1)
        args = read(scanner)
        scanner.spaces()
        if scanner.position != (match.end(2) if match[2] is not None else match.end(1)):
            scanner.fail(f"the end of the code {name}")
    return ResponseCode(name, args, _decode(argument)), _decode(scanner.text[match.end() :])


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def uid_set(scanner: Scanner) -> UidSet:
    """A set of UIDs or numbers, without ``*``."""
    match = _UIDS.match(scanner.text, scanner.position)
    if match is None:
        scanner.fail("a set of UIDs")
    try:
        uids = UidSet(match[0].decode("ascii"))
    except ConfigurationError:
        scanner.fail("a set of UIDs")
    scanner.position = match.end()
    return uids


def flags(scanner: Scanner) -> frozenset[str]:
    r"""``(\Seen $Forwarded a[b])``"""
    match = _FLAGS.match(scanner.text, scanner.position)
    if match is None:
        scanner.fail("a list of flags")
    scanner.position = match.end()
    return frozenset(_decode(match[1]).split(" ")) - {""}


def _number(scanner: Scanner) -> tuple[object, ...]:
    return (scanner.number(),)


def _append_uid(scanner: Scanner) -> tuple[object, ...]:
    validity = scanner.number()
    scanner.expect(b" ")
    return (validity, uid_set(scanner))


def _copy_uid(scanner: Scanner) -> tuple[object, ...]:
    args = _append_uid(scanner)
    scanner.expect(b" ")
    return (*args, uid_set(scanner))


def _flags(scanner: Scanner) -> tuple[object, ...]:
    return (flags(scanner),)


def _capability(scanner: Scanner) -> tuple[object, ...]:
    end = scanner.text.find(b"]", scanner.position)
    names = scanner.text[scanner.position : end]
    scanner.position = end
    return (frozenset(_decode(names).upper().split()),)


def _modified(scanner: Scanner) -> tuple[object, ...]:
    return (uid_set(scanner),)


def _bad_charset(scanner: Scanner) -> tuple[object, ...]:
    if not scanner.text.startswith(b"(", scanner.position):
        return ((),)
    value = scanner.value()
    names = value if isinstance(value, tuple) else ()
    return (tuple(_decode(name) if isinstance(name, bytes) else str(name) for name in names),)


_ARGUMENTS: dict[str, Callable[[Scanner], tuple[object, ...]]] = {
    "APPENDLIMIT": _number,
    "APPENDUID": _append_uid,
    "BADCHARSET": _bad_charset,
    "CAPABILITY": _capability,
    "COPYUID": _copy_uid,
    "HIGHESTMODSEQ": _number,
    "MODIFIED": _modified,
    "PERMANENTFLAGS": _flags,
    "UIDNEXT": _number,
    "UIDVALIDITY": _number,
    "UNSEEN": _number,
}
