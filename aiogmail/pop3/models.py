"""What does a POP3 maildrop hold, as values?"""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass
from email.message import EmailMessage

__all__ = ["PopMail", "PopStat", "gmail_id_of"]

_GMAIL = re.compile(r"GmailId([0-9a-f]{16})")


def gmail_id_of(uidl: str) -> int | None:
    """Gmail's id of a message (IMAP's X-GM-MSGID) from its POP3 unique-id ``GmailId`` + 16 hexadecimal digits; ``None`` elsewhere."""
    match = _GMAIL.fullmatch(uidl)
    return int(match[1], 16) if match else None


@dataclass(frozen=True, slots=True)
class PopStat:
    """What STAT says. On Gmail it counts the session's window, about 250 messages, not the mailbox.

    Attributes:
        count: messages, those marked for deletion left out.
        size: their octets in all, as the server counts them.
    """

    count: int
    size: int


@dataclass(frozen=True, slots=True)
class PopMail:
    """One message, as it was retrieved.

    Attributes:
        uidl: its unique-id (RFC 1939 section 7): store it to know the message again.
        size: octets, as the server announced them.
        raw: the message.
    """

    uidl: str
    size: int
    raw: bytes

    @property
    def gmail_id(self) -> int | None:
        """X-GM-MSGID: the id of the same message in IMAP (``Message.gmail_id``) and in Gmail's API; ``None`` on other servers."""
        return gmail_id_of(self.uidl)

    @property
    def email(self) -> EmailMessage:
        """The message parsed by the standard library, with its modern policy; anew at each use."""
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    def __repr__(self) -> str:
        return f"PopMail({self.uidl!r}, {len(self.raw)} octets)"
