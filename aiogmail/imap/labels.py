r"""What is a Gmail label called? System labels, which begin with a backslash, and names of the user's own, which may be nested.

X-GM-LABELS and the mailboxes' names are two views of the same labels: ``\Inbox`` is the mailbox INBOX, ``Work/2026`` the mailbox of that
name (https://developers.google.com/gmail/imap/imap-extensions).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from aiogmail.errors import ConfigurationError

__all__ = ["SPECIAL_USES", "Label", "canonical", "check_labels", "levels", "nested", "same", "system_label", "there"]


class Label(enum.StrEnum):
    """Gmail's own labels, as X-GM-LABELS writes them. They are strings: use them where a label's name is expected.

    The set is open: Gmail has told of others, and any ``str`` that begins with a backslash is sent as it stands.
    """

    INBOX = "\\Inbox"
    SENT = "\\Sent"
    STARRED = "\\Starred"
    IMPORTANT = "\\Important"
    DRAFT = "\\Draft"
    TRASH = "\\Trash"
    SPAM = "\\Spam"
    MUTED = "\\Muted"


_ALIASES = {
    **{label.value.lower(): label.value for label in Label},
    "inbox": Label.INBOX.value,
    "\\drafts": Label.DRAFT.value,
    "\\junk": Label.SPAM.value,
    "\\flagged": Label.STARRED.value,
}

SPECIAL_USES = {
    "inbox": "\\Inbox",
    "all": "\\All",
    "archive": "\\Archive",
    "drafts": "\\Drafts",
    "flagged": "\\Flagged",
    "important": "\\Important",
    "junk": "\\Junk",
    "sent": "\\Sent",
    "trash": "\\Trash",
}
"""What a mailbox is for → its special-use attribute (RFC 6154, RFC 8457); INBOX is found by its name."""

_LABEL_OF_USE = {
    "\\drafts": Label.DRAFT.value,
    "\\flagged": Label.STARRED.value,
    "\\important": Label.IMPORTANT.value,
    "\\junk": Label.SPAM.value,
    "\\sent": Label.SENT.value,
    "\\trash": Label.TRASH.value,
}


def canonical(label: str) -> str:
    r"""A label as X-GM-LABELS writes it: ``INBOX`` and ``\inbox`` are ``\Inbox``, ``\Drafts`` is ``\Draft``; others stay as they are."""
    return _ALIASES.get(label.lower(), str(label))


def there(labels: Iterable[str]) -> frozenset[str]:
    """Labels in a form in which two that are the same are equal: Gmail does not tell upper from lower case in them."""
    return frozenset(canonical(label).casefold() for label in labels)


def same(one: str, other: str) -> bool:
    """Whether two words mean the same label."""
    return there([one]) == there([other])


def check_labels(labels: Iterable[object], *, some: bool = True) -> tuple[str, ...]:
    r"""Labels that can be sent, in canonical form, each once, in their order. An item may be a list of labels itself.

    Args:
        labels: names or lists of names.
        some: at least one is needed.

    Raises:
        ConfigurationError: one that is no text, is empty, or holds a control character or a lone surrogate.
    """
    found: dict[str, None] = {}
    for item in labels:
        if isinstance(item, str):
            found[canonical(_check(item))] = None
        elif isinstance(item, Iterable) and not isinstance(item, bytes | bytearray):
            found.update(dict.fromkeys(check_labels(item, some=False)))
        else:
            raise ConfigurationError(f"labels: expected names such as 'Work' or Label.STARRED, got {item!r}")
    if some and not found:
        raise ConfigurationError("labels: expected at least one, got none")
    return tuple(found)


def _check(name: str) -> str:
    if not name or not name.strip("\\ "):
        raise ConfigurationError(f"labels: expected a name such as 'Work' or Label.STARRED, got {name!r}")
    bad = next((char for char in name if char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff"), None)
    if bad is not None:
        raise ConfigurationError(f"labels: control characters and lone surrogates cannot be in a name, got {bad!r} in {name!r}")
    return name


def nested(*names: str) -> str:
    """The name of a label below others: ``nested("Work", "2026")`` is ``"Work/2026"``.

    Raises:
        ConfigurationError: a level that is empty or holds ``/``, which Gmail does not take.
    """
    for name in names:
        if not isinstance(name, str) or not name or "/" in name:
            raise ConfigurationError(f"names: expected levels that are not empty and hold no '/', got {name!r}")
    if not names:
        raise ConfigurationError("names: expected at least one level, got none")
    return "/".join(names)


def levels(name: str, delimiter: str | None = "/") -> tuple[str, ...]:
    """The levels of a nested name, the outermost first; a name without a delimiter has one."""
    return tuple(name.split(delimiter)) if delimiter else (name,)


def system_label(mailbox: str, attributes: Iterable[str]) -> str | None:
    r"""The label that a mailbox shows, by its name and its LIST attributes; ``None`` for All Mail, which is no label's."""
    if mailbox.upper() == "INBOX":
        return Label.INBOX.value
    known = {attribute.lower() for attribute in attributes}
    if "\\all" in known:
        return None
    return next((label for use, label in _LABEL_OF_USE.items() if use in known), mailbox)
