"""What does Gmail's own search language mean? The operators that people use most (X-GM-RAW)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from . import text

if TYPE_CHECKING:
    from .account import AccountModel
    from .message import Mailbox, StoredMessage

__all__ = ["QuerySyntax", "compile_query"]

Predicate = Callable[["StoredMessage"], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<paren>[(){}])|(?P<minus>-)(?=\S)|(?P<op>[A-Za-z][A-Za-z0-9_]*):(?P<value>\s*"[^"]*"|\([^()]*\)|[^\s(){}]*)"""
    r"""|(?P<quoted>"[^"]*")|(?P<word>[^\s(){}]+))""",
    re.VERBOSE,
)
_MAX_DEPTH = 30
_SIZES = {"": 1, "k": 1024, "kb": 1024, "m": 1024**2, "mb": 1024**2}
_SPANS = {"d": 86_400, "m": 30 * 86_400, "y": 365 * 86_400}


class QuerySyntax(ValueError):
    """A query that nests too deep. Gmail takes anything else and finds nothing."""


def compile_query(query: str, account: AccountModel, now: float) -> Predicate:
    """A predicate for a query.

    Raises:
        QuerySyntax: parentheses nest deeper than 30.
    """
    return _Reader(query, account, now).any_of("", 0)


class _Reader:
    def __init__(self, query: str, account: AccountModel, now: float) -> None:
        self.tokens = [match for match in _TOKEN.finditer(query) if match.lastgroup]
        self.position = 0
        self.account = account
        self.now = now

    def any_of(self, closing: str, depth: int, either: bool = False) -> Predicate:
        """Terms up to the closing parenthesis: all of them, alternatives where OR stands or within braces."""
        if depth > _MAX_DEPTH:
            raise QuerySyntax(f"nested deeper than {_MAX_DEPTH}")
        groups: list[list[Predicate]] = []
        joined = False
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            self.position += 1
            if token["paren"] in {")", "}"}:
                if token["paren"] == closing:
                    break
                continue
            if token["word"] in {"OR", "|"}:
                joined = bool(groups)
                continue
            if token["word"] == "AND":
                continue
            term = self.term(token, depth)
            if (joined or either) and groups:
                groups[-1].append(term)
            else:
                groups.append([term])
            joined = False
        return lambda message: all(any(term(message) for term in group) for group in groups)

    def term(self, token: re.Match[str], depth: int) -> Predicate:
        """One term, with the minus sign before it."""
        negative = False
        while token["minus"]:
            negative = not negative
            token = self.tokens[self.position]
            self.position += 1
        if token["paren"] in {"(", "{"}:
            term = self.any_of(")" if token["paren"] == "(" else "}", depth + 1, either=token["paren"] == "{")
        elif token["op"]:
            term = self.operator(token["op"].lower(), token["value"].strip())
        else:
            term = self.words((token["quoted"] or token["word"] or "").strip('"'))
        return (lambda message: not term(message)) if negative else term

    @staticmethod
    def words(value: str) -> Predicate:
        """Words anywhere in the message."""
        return lambda message: text.contains(text.header_words(message.raw), value) or text.contains(text.body_words(message.raw), value)

    def operator(self, name: str, value: str) -> Predicate:
        """What ``name:value`` finds; an operator that does not exist finds its words."""
        if value.startswith("("):
            parts = value[1:-1].split()
            each = [self.operator(name, part) for part in parts]
            return lambda message: all(term(message) for term in each)
        value = value.strip('"')
        if name in {"from", "to", "cc", "bcc", "subject", "list", "deliveredto"}:
            fields = {"list": (b"list-id",), "deliveredto": (b"delivered-to",), "to": (b"to", b"cc", b"bcc")}.get(name, (name.encode(),))
            if value == "me":
                value = self.account.address
            return lambda message: any(text.contains(text.field_words(message.raw, field) or "  ", value) for field in fields)
        if name == "rfc822msgid":
            wanted = value.strip("<>")
            return lambda message: message.message_id.strip("<>") == wanted
        if name == "filename":
            return lambda message: any(text.contains(text.words(file), value) for file in text.attachment_names(message.raw))
        if name in {"larger", "smaller", "size"}:
            return _by_size(name, value)
        if name in {"after", "before", "newer", "older", "newer_than", "older_than"}:
            return self._by_date(name, value)
        if name in {"label", "in", "l"}:
            return self._by_label(value)
        if name in {"is", "has"}:
            return self._by_state(value.lower())
        if name == "category":
            return lambda message: f"CATEGORY_{value.upper()}" in message.flags
        return self.words(f"{name} {value}")

    def _by_date(self, name: str, value: str) -> Predicate:
        if name.endswith("_than"):
            match = re.fullmatch(r"([0-9]{1,6})([dmy])", value.lower())
            moment = self.now - int(match[1]) * _SPANS[match[2]] if match else None
        else:
            moment = _moment(value)
        if moment is None:
            return lambda _message: False
        after = name in {"after", "newer", "newer_than"}
        return lambda message: (message.internal_date >= moment) is after

    def _by_label(self, value: str) -> Predicate:
        account = self.account
        simple = {"inbox", "sent", "drafts", "draft", "trash", "spam", "starred", "important"}
        if value.lower() == "anywhere":
            return lambda _message: True
        if value.lower() in simple:
            found: Mailbox | None = account.labels.resolve("\\" + value)
        else:
            wanted = re.sub(r"[\s/]", "-", value.casefold())
            found = next((box for box in account.labels.mailboxes if re.sub(r"[\s/]", "-", box.label.casefold()) == wanted), None)
        return lambda message: found is not None and message in found

    def _by_state(self, value: str) -> Predicate:
        flags = {"read": ("\\Seen", True), "unread": ("\\Seen", False), "starred": ("\\Flagged", True), "draft": ("\\Draft", True)}
        if value in flags:
            flag, wanted = flags[value]
            return lambda message: (flag in message.flags) is wanted
        if value == "attachment":
            return lambda message: text.has_attachment(message.raw)
        if value in {"userlabels", "nouserlabels"}:
            return lambda message: any(not box.system for box in message.labelled) is (value == "userlabels")
        if value in {"important", "sent", "trash", "spam", "inbox"}:
            return self._by_label(value)
        return lambda _message: False


def _by_size(name: str, value: str) -> Predicate:
    match = re.fullmatch(r"([0-9]{1,20})([a-z]*)", value.lower())
    if match is None or match[2] not in _SIZES:
        return lambda _message: False
    size = int(match[1]) * _SIZES[match[2]]
    return (lambda message: message.size < size) if name == "smaller" else (lambda message: message.size > size)


def _moment(value: str) -> float | None:
    """Seconds since the epoch of ``2024/05/17``, ``2024-05-17``, ``05/17/2024`` or a number of seconds."""
    if re.fullmatch(r"[0-9]{9,20}", value):
        return float(value)
    parts = re.split(r"[/-]", value)
    if len(parts) != 3 or not all(re.fullmatch(r"[0-9]{1,4}", part) for part in parts):
        return None
    year, month, day = parts if len(parts[0]) == 4 else (parts[2], parts[0], parts[1])
    try:
        start = date(int(year), int(month), int(day))
    except ValueError:
        return None
    return datetime(start.year, start.month, start.day, tzinfo=UTC).timestamp()
