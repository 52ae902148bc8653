"""What is a message that can be sent, and what became of it? Bytes in, a letter out; nothing is guessed, and nothing dropped."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from types import MappingProxyType
from typing import Literal

from aiogmail.errors import ConfigurationError

from .address import address_list, is_ascii_path, one_address, recipient_list
from .body import Body
from .header import Header, split_message

__all__ = ["Letter", "SendResult", "compose", "message_id_of", "queue_id_of"]

_ALPHABET = string.ascii_lowercase + string.digits
_ID = re.compile(r"<[^<>@\s]+@[^<>@\s]+>")
_KEPT = re.compile(r"<[^<>@\s]+@[^<>@\s.]+(?:\.[^<>@\s.]+)+>")
_FINDABLE = re.compile(r"<[A-Za-z0-9.=_+$-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+>")
_QUEUED = re.compile(r"(?:queued as|queue-id|id=)\s*<?([A-Za-z0-9._-]+)>?|(\S+) - gsmtp\s*$", re.IGNORECASE)
_RESENT = ("resent-to", "resent-cc", "resent-bcc")
_TO = ("to", "cc", "bcc")


@dataclass(frozen=True, slots=True)
class SendResult:
    """A message that the server took.

    Attributes:
        status: ``"sent"``; ``"partial"`` where some recipients were refused.
        message_id: its Message-ID, in angle brackets: what :meth:`aiogmail.Gmail.resolve` takes.
        accepted: the recipients that the server accepted.
        refused: address → ``(status, text)`` as the server said it.
        confirmed_by: ``"reply"``: the server said so; ``"lookup"``: its reply was lost, and the message was found in Sent.
        queue_id: what the server calls it, ``""`` where it did not say or was not heard.
        resent: how often it was given to the server again after an outcome that could not be found out
            (``on_unknown="resend"``); if it is not 0 the recipients may have it so many times more.
        defects: what is unusual about it, as sentences: Gmail may rewrite From or the Message-ID.
        lookup: how well a copy of it can be looked up by its Message-ID, now and by ``Gmail.resolve``: ``"weak"`` for a caller's own with
            characters that Gmail's search is known to miss, or that Gmail replaces: then only the newest headers in Sent tell of it.
    """

    status: Literal["sent", "partial"]
    message_id: str
    accepted: tuple[str, ...]
    refused: Mapping[str, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    confirmed_by: Literal["reply", "lookup"] = "reply"
    queue_id: str = ""
    resent: int = 0
    defects: tuple[str, ...] = ()
    lookup: Literal["full", "weak"] = "full"


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in its envelope, as it is handed to a server, however often.

    Attributes:
        sender: the address in MAIL.
        recipients: the addresses in RCPT.
        message_id: as it stands in the header.
        body: its octets.
        own_id: the Message-ID was made here, so that any copy of it is this message.
        findable: the Message-ID has only characters with which Gmail's search is known to find it.
        header_utf8: there is raw UTF-8 in the header, or in an address.
        defects: see :class:`SendResult`.
    """

    sender: str
    recipients: tuple[str, ...]
    message_id: str
    body: Body
    own_id: bool
    findable: bool
    header_utf8: bool
    defects: tuple[str, ...] = ()

    @property
    def needs_utf8(self) -> bool:
        """Whether it can only be sent by SMTPUTF8 (RFC 6531)."""
        return self.header_utf8 or not all(is_ascii_path(path) for path in (self.sender, *self.recipients))

    @property
    def lookup(self) -> Literal["full", "weak"]:
        """See :class:`SendResult`."""
        return "full" if self.findable else "weak"

    def to(self, recipients: tuple[str, ...]) -> Letter:
        """The same message for others."""
        return replace(self, recipients=recipients)


def compose(
    raw: bytes, *, account: str, now: float, recipients: object = None, sender: object = None, limit: int | None = 100, split: bool = False
) -> Letter:
    """The letter that a message makes.

    Bcc and Resent-Bcc are taken out of its header, Message-ID, Date and From put in where they are missing. The letter's body must
    still be measured.

    Args:
        raw: the message; it is not copied.
        account: the address that sends.
        now: seconds since the epoch, for Date.
        recipients: to whom; ``None``: whom To, Cc and Bcc name, or the Resent- fields of a message that has them.
        sender: the address for MAIL; ``None``: the account.
        limit: the most recipients.
        split: more than that are all right: the caller splits them.

    Raises:
        ConfigurationError: an address that cannot be read, no recipients or too many, a header that is none.
    """
    header, start = split_message(raw)
    to = recipient_list(recipients) if recipients is not None else _recipients(header)
    if limit is not None and len(to) > limit and not split:
        raise ConfigurationError(
            f"recipients: {len(to)}, and Gmail takes {limit} for one message; split=True sends it {-(-len(to) // limit)} times, "
            "each to a part of them, with the same Message-ID"
        )
    path = account if sender is None else one_address(sender, "sender")
    header.remove("bcc", "resent-bcc")
    defects = list(_from_defects(header, account))
    if not header.all("from"):
        header.add("From", account)
    if not header.first("date"):
        header.remove("date")
        header.add("Date", format_datetime(datetime.fromtimestamp(int(now), UTC)))
    message_id = header.first("message-id")
    own_id = not message_id
    if own_id:
        header.remove("message-id")
        message_id = _new_id(account)
        header.add("Message-ID", message_id)
    elif not _KEPT.fullmatch(message_id):
        defects.append(f"Gmail replaces the Message-ID {message_id}: it keeps only the form <…@a.domain>")
    written = bytes(header)
    return Letter(
        sender=path,
        recipients=tuple(to),
        message_id=message_id,
        body=Body(written, raw, start),
        own_id=own_id,
        findable=_FINDABLE.fullmatch(message_id) is not None,
        header_utf8=not written.isascii(),
        defects=tuple(defects),
    )


def _recipients(header: Header) -> list[str]:
    resent = header.all(*_RESENT)
    if len(header.all("resent-date")) > 1 or any(len(header.all(name)) > 1 for name in _RESENT):
        raise ConfigurationError("message: was resent more than once; say to whom with recipients=")
    fields = resent or header.all(*_TO)
    found = [address for each in fields for address in address_list(each.value, each.name.title())]
    if not found:
        raise ConfigurationError("recipients: none given, and none in To, Cc or Bcc")
    return list(dict.fromkeys(found))


def _from_defects(header: Header, account: str) -> list[str]:
    values = header.all("resent-from") or header.all("from")
    try:
        addresses = [address for each in values for address in address_list(each.value, "From")]
    except ConfigurationError as error:
        return [str(error)]
    strange = [address for address in addresses if address.lower() != account.lower()]
    return [f"Gmail rewrites From: {address} is not {account}, unless it is set up there as an address to send as" for address in strange]


def _new_id(account: str) -> str:
    """An id that Gmail keeps, and that its search finds: other characters have been seen to fail."""
    domain = account.rpartition("@")[2]
    if not _FINDABLE.fullmatch(f"<a@{domain}>"):
        domain = "aiogmail.invalid"
    first, second = ("".join(secrets.choice(_ALPHABET) for _ in range(length)) for length in (26, 10))
    return f"<{first}.{second}@{domain}>"


def message_id_of(text: object) -> str:
    """A Message-ID as a caller names it, in angle brackets.

    Raises:
        ConfigurationError: it is none.
    """
    if isinstance(text, str):
        wanted = text.strip()
        wanted = wanted if wanted.startswith("<") else f"<{wanted}>"
        if _ID.fullmatch(wanted) and wanted.isprintable():
            return wanted
    raise ConfigurationError(f"message_id: expected '<…@…>', as SendResult.message_id has it, got {text!r}")


def queue_id_of(text: str) -> str:
    """What the server calls the message, out of its last reply's text."""
    match = _QUEUED.search(text)
    return (match[1] or match[2]) if match is not None else ""
