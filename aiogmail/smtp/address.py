"""Which addresses stand there? Read strictly: what cannot be read is refused by name, and nothing is ever dropped.

The parsers of the standard library repair what they cannot read and go on, so that a recipient may be lost or changed on the way
(``'b@x, c@y'`` taken for ``b@x``); here the whole text must be an address, or a list of them (RFC 5322 section 3.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from aiogmail.errors import ConfigurationError

__all__ = ["address_list", "is_ascii_path", "one_address", "recipient_list"]

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\u2027\u202a-\ud7ff\ue000-\ufdcf\ufdf0-\ufffc\U00010000-\U0010ffff-]"
_LOCAL = rf'{_ATEXT}+(?:\.{_ATEXT}+)*|"(?:[^"\\<>\x00-\x1f\x7f-\x9f\ud800-\udfff]|\\[ -;=?-~])*"'
_LABEL = r"[^\W_](?:(?:[^\W_]|-)*[^\W_])?"
_ADDRESS = re.compile(rf"({_LOCAL})@({_LABEL}(?:\.{_LABEL})*)")
_NAMED = re.compile(r'(?:[^<>@,;:"()\[\]\\\x00-\x08\x0a-\x1f\x7f]|"(?:[^"\\]|\\.)*")*<([^\s<>][^<>]*|"(?:[^"\\]|\\.)*"@[^<>\s]+)>')
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|<(?:[^<>"]|"(?:[^"\\]|\\.)*")*>|[^"<>(),;:]+|[(),;:]', re.DOTALL)
_COMMENT = re.compile(r"[^()\\]+|\\.|[()]", re.DOTALL)
_SINCE_2008 = re.compile("[\u00df\u03c2\u1e9e\u200c\u200d]")
_LOCAL_OCTETS, _LABEL_OCTETS, _PATH_OCTETS = 64, 63, 254


def one_address(text: object, where: str) -> str:
    """The address of ``"me@example.org"``, ``"<me@example.org>"`` or ``"Me <me@example.org>"``, its domain in ASCII.

    Args:
        text: exactly one address.
        where: what an error calls it.

    Raises:
        ConfigurationError: it is none, or more than one; the message shows it.
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"{where}: expected an address such as 'me@example.org', got {text!r}")
    found = list(_elements(text, where))
    if len(found) != 1:
        raise ConfigurationError(f"{where}: expected exactly one address, got {text!r}")
    return _path(found[0], text, where)


def address_list(text: str, where: str) -> list[str]:
    """The addresses of a header field such as To, with those in groups; ``where`` is its name.

    Raises:
        ConfigurationError: something in it is no address; the message shows it.
    """
    return [_path(element, element, where) for element in _elements(text, where)]


def recipient_list(recipients: object) -> list[str]:
    """The addresses that a caller names: one, or several, each an address by itself; each comes once.

    Raises:
        ConfigurationError: one of them is none, or there is none at all.
    """
    if isinstance(recipients, str):
        recipients = [recipients]
    if not isinstance(recipients, Iterable) or isinstance(recipients, bytes | bytearray | memoryview):
        raise ConfigurationError(f"recipients: expected addresses such as ['you@example.org'], got {recipients!r}")
    found = list(dict.fromkeys(one_address(recipient, f"recipients[{index}]") for index, recipient in enumerate(recipients)))
    if not found:
        raise ConfigurationError("recipients: expected at least one address, got none")
    return found


def is_ascii_path(address: str) -> bool:
    """Whether it can be sent without SMTPUTF8."""
    return address.isascii()


def _path(element: str, shown: str, where: str) -> str:
    """The address in one element of a list."""
    named = _NAMED.fullmatch(element)
    match = _ADDRESS.fullmatch(named[1] if named is not None else element)
    if match is None:
        raise ConfigurationError(f"{where}: not an address: {shown!r}")
    local, domain = match[1], match[2]
    if not domain.isascii():
        domain = _in_ascii(domain, shown, where)
    path = f"{local}@{domain}"
    longest = max(map(len, domain.split(".")))
    if len(local.encode()) > _LOCAL_OCTETS or longest > _LABEL_OCTETS or len(path.encode()) > _PATH_OCTETS:
        raise ConfigurationError(f"{where}: longer than an address may be (64 octets before the @, 63 a label, 254 in all): {shown!r}")
    return path


def _in_ascii(domain: str, shown: str, where: str) -> str:
    """An internationalised domain as the DNS knows it."""
    try:
        found = domain.encode("idna").decode("ascii")
    except UnicodeError:
        found = ""
    if found.count(".") != domain.count(".") or not found or _SINCE_2008.search(domain):
        # Some characters would become a dot, others something else than IDNA 2008 makes of them, and the domain another.
        raise ConfigurationError(f"{where}: not a domain that can be looked up: {shown!r}")
    return found


def _elements(text: str, where: str) -> Iterator[str]:
    """What stands between the commas, without comments; groups are opened."""
    element, in_group = "", False
    for piece in _pieces(text, where):
        if piece not in {",", ";", ":"}:
            element += piece
            continue
        if piece == ":":
            if in_group or not element.strip(" \t") or "<" in element or "@" in element:
                raise ConfigurationError(f"{where}: a colon where none may stand: {text!r}")
            element, in_group = "", True
            continue
        if piece == ";" and not in_group:
            raise ConfigurationError(f"{where}: a semicolon where none may stand: {text!r}; separate addresses by commas")
        in_group = in_group and piece == ","
        if element.strip(" \t"):
            yield element.strip(" \t")
        element = ""
    if in_group:
        raise ConfigurationError(f"{where}: a group that does not end: {text!r}")
    if element.strip(" \t"):
        yield element.strip(" \t")


def _pieces(text: str, where: str) -> Iterator[str]:
    """Quoted strings, angle addresses and the rest, in order; a comment is a space."""
    at = 0
    while at < len(text):
        match = _PIECE.match(text, at)
        if match is None:
            raise ConfigurationError(f"{where}: a quote or bracket that is not closed: {text!r}")
        at = match.end()
        if match[0] == "(":
            at = _end_of_comment(text, at, where)
            yield " "
        elif match[0] == ")":
            raise ConfigurationError(f"{where}: a parenthesis that is not opened: {text!r}")
        else:
            yield match[0]


def _end_of_comment(text: str, at: int, where: str) -> int:
    depth = 1
    while depth:
        match = _COMMENT.match(text, at)
        if match is None:
            raise ConfigurationError(f"{where}: a comment that is not closed: {text!r}")
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        at = match.end()
    return at
