"""Up to where has a watch been told? A small value that a program keeps, so that the next one goes on from there."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from aiogmail.errors import ConfigurationError

from .uidset import MAX_UID, UidSet

__all__ = ["Cursor"]

_VERSION = 1
_KEYS = frozenset({"version", "account", "mailbox", "uidvalidity", "uidnext", "highestmodseq", "uids"})
_OPTIONAL = frozenset({"scan", "ahead"})
_MANY = 50
"""Ranges; more are written as their distances, and compressed."""
_MOST_TEXT = 64 * 1024 * 1024
_MOST_MODSEQ = 2**63 - 1
_DISTANCES = re.compile(r"(?:[0-9]{1,10}(?:\+[0-9]{1,10})?(?:,(?=[0-9])|\Z))+")


@dataclass(frozen=True, slots=True)
class Cursor:
    r"""A place in the history of a mailbox: everything up to it was told, nothing after it.

    ``watch(cursor=…)`` goes on from there, in this process or another. Every event has the one that follows it.

    Attributes:
        account: whose mailbox, as an address; ``""``: anybody's.
        mailbox: its name; ``"\\All"`` for a whole account; ``""``: any.
        uidvalidity: under which the UIDs hold; 0: any.
        uidnext: above every UID that was told.
        highestmodseq: every change up to this mod-sequence was told; 0 on servers without CONDSTORE.
        uids: the messages that are there.
        scan: in the middle of many changes: ``(modseq, uid)``: for messages up to ``uid`` every change up to ``modseq`` was told.
        ahead: messages that were told with a higher mod-sequence than that, and with which.
    """

    account: str = ""
    mailbox: str = ""
    uidvalidity: int = 0
    uidnext: int = 1
    highestmodseq: int = 0
    uids: UidSet = field(default_factory=UidSet)
    scan: tuple[int, int] | None = None
    ahead: Mapping[int, int] = field(default_factory=dict, hash=False)

    @classmethod
    def beginning(cls) -> Cursor:
        """Before everything: a watch from here tells every message there is as arrived."""
        return cls()

    def was_told(self, uid: int, modseq: int) -> bool:
        """Whether the state that a message of :attr:`uids` got with ``modseq`` was told."""
        base = self.scan[0] if self.scan is not None and uid <= self.scan[1] else self.highestmodseq
        return modseq <= base or modseq <= self.ahead.get(uid, 0)

    # -- how it moves ------------------------------------------------------------------------------------------------------

    def after_gone(self, uid: int) -> Cursor:
        """It was told that a message is gone."""
        ahead = {one: modseq for one, modseq in self.ahead.items() if one != uid} if uid in self.ahead else self.ahead
        return replace(self, uids=self.uids.excluding(uid), ahead=ahead)

    def after_changed(self, uid: int, modseq: int, scanned: int) -> Cursor:
        """A change was told; ``scanned`` is the mod-sequence that holds for this message and those below it."""
        ahead = {**self.ahead, uid: modseq} if modseq > scanned else self.ahead
        return replace(self, scan=(scanned, uid), ahead=ahead)

    def after_arrived(self, uid: int, modseq: int, at_most: int) -> Cursor:
        """An arrival was told. ``at_most`` is up to where every change of a known message was told."""
        highest = max(self.highestmodseq, min(modseq, at_most))
        ahead = {**self.ahead, uid: modseq} if modseq > highest else self.ahead
        return replace(self, uids=self.uids.including(uid), uidnext=max(self.uidnext, uid + 1), highestmodseq=highest, ahead=ahead)

    def settled(self, modseq: int) -> Cursor:
        """Every change up to ``modseq`` was told."""
        highest = max(self.highestmodseq, modseq)
        ahead = {uid: one for uid, one in self.ahead.items() if one > highest} if self.ahead else self.ahead
        return replace(self, highestmodseq=highest, scan=None, ahead=ahead)

    # -- as text -----------------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """As a JSON object in one line, some hundred characters long; a mailbox with many gaps takes about two for each."""
        value: dict[str, Any] = {
            "version": _VERSION,
            "account": self.account,
            "mailbox": self.mailbox,
            "uidvalidity": self.uidvalidity,
            "uidnext": self.uidnext,
            "highestmodseq": self.highestmodseq,
            "uids": _packed(self.uids),
        }
        if self.scan is not None:
            value["scan"] = list(self.scan)
        if self.ahead:
            value["ahead"] = {str(uid): modseq for uid, modseq in self.ahead.items()}
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes | Mapping[str, Any]) -> Cursor:
        """The cursor that :meth:`to_json` wrote.

        Args:
            text: the JSON text, or the object that it was decoded to.

        Raises:
            ConfigurationError: it is no cursor, a damaged one, or one of a version that this aiogmail does not know.
        """
        value = _decoded(text)
        if value.get("version") != _VERSION:
            _refuse(f"version {value.get('version')!r} is not known to this aiogmail, which writes version {_VERSION}")
        if missing := _KEYS - value.keys():
            _refuse(f"it has no {', '.join(sorted(missing))}")
        if foreign := value.keys() - _KEYS - _OPTIONAL:
            _refuse(f"it has {', '.join(sorted(map(str, foreign)))}, which belongs to no cursor")
        for name in ("account", "mailbox"):
            if not isinstance(value[name], str):
                _refuse(f"{name} is no text")
        return cls(
            value["account"],
            value["mailbox"],
            _number(value, "uidvalidity", MAX_UID),
            _number(value, "uidnext", MAX_UID + 1),
            _number(value, "highestmodseq", _MOST_MODSEQ),
            _unpacked(value["uids"]),
            _scan(value.get("scan")),
            _ahead(value.get("ahead", {})),
        )

    def __repr__(self) -> str:
        where = f"{self.account} {self.mailbox}".strip() or "anywhere"
        return f"<Cursor of {where}: UIDVALIDITY {self.uidvalidity}, {len(self.uids)} messages, modseq {self.highestmodseq}>"


def _refuse(reason: str) -> NoReturn:
    raise ConfigurationError(f"cursor: expected what Cursor.to_json() wrote, but {reason}")


def _decoded(text: object) -> Mapping[str, Any]:
    if isinstance(text, str | bytes):
        try:
            text = json.loads(text)
        except (ValueError, RecursionError) as error:
            _refuse(f"it is no JSON: {type(error).__name__}")
    if not isinstance(text, Mapping):
        _refuse(f"it is a {type(text).__name__}, no JSON object")
    return text


def _is_number(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _number(value: Mapping[str, Any], name: str, most: int) -> int:
    number = value[name]
    if not _is_number(number, most):
        _refuse(f"{name} is no number from 0 to {most}")
    return int(number)


def _scan(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not _is_number(value[0], _MOST_MODSEQ) or not _is_number(value[1], MAX_UID):
        _refuse("scan is no pair of a mod-sequence and a UID")
    return value[0], value[1]


def _ahead(value: Any) -> Mapping[int, int]:
    if not isinstance(value, Mapping):
        _refuse("ahead is no JSON object")
    found: dict[int, int] = {}
    for uid, modseq in value.items():
        if not isinstance(uid, str) or not uid.isascii() or not uid.isdecimal() or not _is_number(modseq, _MOST_MODSEQ):
            _refuse("ahead has something else than UIDs and mod-sequences")
        found[int(uid[:11])] = modseq
    return found


def _packed(uids: UidSet) -> str:
    """As IMAP writes them; of many ranges, for each how far it is from the one before and how much longer than one, compressed."""
    ranges = uids.ranges
    if len(ranges) <= _MANY:
        return str(uids)
    words, end = [], 0
    for first, last in ranges:
        words.append(f"{first - end}+{last - first}" if last > first else str(first - end))
        end = last
    return "z" + base64.b64encode(zlib.compress(",".join(words).encode())).decode()


def _unpacked(text: Any) -> UidSet:
    if not isinstance(text, str):
        _refuse("uids is no text")
    try:
        if not text.startswith("z"):
            return UidSet(text) if text else UidSet()
        inflate = zlib.decompressobj()
        words = inflate.decompress(base64.b64decode(text[1:], validate=True), _MOST_TEXT).decode("ascii")
        if inflate.eof and _DISTANCES.fullmatch(words):
            return UidSet(_ranges(words))
    except (binascii.Error, zlib.error, ValueError):
        pass
    _refuse("uids is no set of UIDs, or damaged")


def _ranges(words: str) -> Iterator[range]:
    end = 0
    for word in words.split(","):
        distance, _, longer = word.partition("+")
        first = end + int(distance)
        end = first + int(longer or 0)
        yield range(first, end + 1)
