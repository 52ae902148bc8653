"""What does Gmail do with a message that it took? Headers set right, delivered to whom it knows, and a copy filed in Sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import TYPE_CHECKING

from . import mime
from .ledger import Submitted

if TYPE_CHECKING:
    from .emulated import EmulatedAccount
    from .hub import Hub

__all__ = ["Envelope", "Submission", "repeated_header"]

_GOOD_ID = re.compile(rb"<[^<>@\s]+@[^<>@\s.]+(?:\.[^<>@\s.]+)+>")


_ONCE = (b"from", b"sender", b"to", b"cc", b"bcc", b"subject", b"date", b"message-id", b"reply-to", b"in-reply-to", b"references")


def repeated_header(raw: bytes) -> str | None:
    """The first field that stands there twice and may not (RFC 5322 section 3.6)."""
    names = [name for name, _ in mime.header_fields(raw, 0, mime.body_start(raw))]
    return next((name.decode("ascii").title() for name in _ONCE if names.count(name) > 1), None)


@dataclass(slots=True)
class Envelope:
    """What MAIL and RCPT said."""

    sender: str
    utf8: bool = False
    recipients: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0


class Submission:
    """One accepted message."""

    def __init__(self, hub: Hub, account: EmulatedAccount, envelope: Envelope, raw: bytes) -> None:
        self.hub = hub
        self.account = account
        self.envelope = envelope
        self.raw = self._with_from(self._with_message_id(mime.with_crlf(raw)))

    def _with_message_id(self, raw: bytes) -> bytes:
        """An id of Gmail's own where there is none that it keeps: angle brackets, one @, a dotted domain."""
        own = mime.header_value(raw, b"message-id")
        if own is not None and _GOOD_ID.fullmatch(own):
            return raw
        words = [f"{self.hub.random.getrandbits(bits):x}" for bits in (32, 32, 64, 32)]
        made = f"Message-ID: <{'.'.join(words)}@mx.google.com>\r\n".encode()
        if own is None:
            return made + raw
        return made + _renamed(raw, b"message-id", b"X-Google-Original-Message-ID")

    def _with_from(self, raw: bytes) -> bytes:
        """The account's address in From, unless that is one of its aliases."""
        own = mime.header_value(raw, b"from")
        name, address = parseaddr((own or b"").decode("utf-8", "replace"))
        if address.lower() in {self.account.address, *self.account.aliases}:
            return raw
        shown = f'"{name}" <{self.account.address}>' if name else self.account.address
        made = f"From: {shown}\r\n".encode()
        return made + (raw if own is None else _renamed(raw, b"from", b"X-Google-Original-From"))

    def accept(self, connection: int) -> None:
        """Write it down, file it, deliver it."""
        hub, account, envelope = self.hub, self.account, self.envelope
        message_id = (mime.header_value(self.raw, b"message-id") or b"").decode("utf-8", "replace")
        record = Submitted(
            hub.wall(), envelope.sender, tuple(envelope.recipients), self.raw, message_id, connection, tuple(envelope.refused)
        )
        account.ledger.add(record)
        account.sent_at.append(hub.now())
        if account.behaviour.sent_copy:
            hub.later(account.behaviour.sent_copy_delay, lambda: account.file_sent(self.raw))
        delivered = _without(self.raw, b"bcc")
        for recipient in dict.fromkeys(address.lower() for address in envelope.recipients):
            target = hub.accounts.get(recipient)
            if target is account:
                hub.later(account.behaviour.delivery_delay, lambda: account.receive(self.raw))
            elif target is not None:
                hub.later(target.behaviour.delivery_delay, lambda target=target: target.receive(delivered))  # type: ignore[misc]


def _renamed(raw: bytes, name: bytes, new: bytes) -> bytes:
    body = mime.body_start(raw)
    fields = mime.header_fields(raw, 0, body)
    lines = [new + line[line.index(b":") :] if field_name == name else line for field_name, line in fields]
    return b"".join(lines) + b"\r\n" + raw[body:]


def _without(raw: bytes, name: bytes) -> bytes:
    body = mime.body_start(raw)
    fields = mime.header_fields(raw, 0, body)
    if all(field_name != name for field_name, _ in fields):
        return raw
    return b"".join(line for field_name, line in fields if field_name != name) + b"\r\n" + raw[body:]
