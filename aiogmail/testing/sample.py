"""What is in a mailbox that somebody looks at to get to know the library? A dozen messages of every kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .emulated import EmulatedAccount

__all__ = ["SAMPLE", "fill"]

# From, subject, text, labels, flags
SAMPLE: tuple[tuple[str, str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("Ada Lovelace <ada@example.org>", "Notes on the engine", "The engine weaves algebraic patterns.", ("\\Inbox", "Work"), ()),
    ("Charles Babbage <charles@example.org>", "Re: Notes on the engine", "Then let us build it.", ("\\Inbox", "Work"), ("\\Seen",)),
    ("Grace Hopper <grace@example.org>", "A bug", "Found a moth. Taped it into the log.", ("\\Inbox", "Work/Bugs"), ("\\Flagged",)),
    ("Émilie du Châtelet <emilie@example.org>", "Café à 15 heures ?", "À bientôt, Émilie", ("\\Inbox",), ()),
    ("Postmaster <postmaster@example.org>", "Your quota", "You have used 1 % of your storage.", ("\\Inbox",), ("\\Seen",)),
    ("Newsletter <news@example.com>", "This week", "Ten things about mail.", ("\\Inbox", "News"), ()),
    ("Newsletter <news@example.com>", "Last week", "Nine things about mail.", ("News",), ("\\Seen",)),
    ("Alan Turing <alan@example.org>", "Can machines send mail?", "I propose to consider the question.", ("\\Inbox", "\\Important"), ()),
    ("Lottery <win@example.net>", "You have won", "Send us your password.", ("\\Spam",), ()),
    ("Old friend <old@example.org>", "Moving house", "The new address is below.", ("\\Trash",), ("\\Seen",)),
)


def fill(account: EmulatedAccount, copies: int = 1) -> int:
    """Deliver the sample, ``copies`` times with other Message-IDs. Returns how many messages that were."""
    before = len(account.messages)
    start = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
    for copy in range(copies):
        last = ""
        for index, (sender, subject, text, labels, flags) in enumerate(SAMPLE):
            date = start + timedelta(days=copy, hours=index)
            message = _message(account.address, sender, subject, text, date)
            message["Message-ID"] = f"<sample.{copy}.{index}@example.org>"
            if subject.startswith("Re:"):
                message["In-Reply-To"] = message["References"] = last
            last = message["Message-ID"]
            if subject == "A bug":
                message.add_attachment(b"\x89PNG moth", maintype="image", subtype="png", filename="moth.png")
            account.deliver(message, labels, flags=flags, date=date)
        _own(account, start + timedelta(days=copy), copy)
    return len(account.messages) - before


def _message(to: str, sender: str, subject: str, text: str, date: datetime) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = date
    message.set_content(text + "\n")
    message.add_alternative(f"<html><body><p>{text}</p></body></html>\n", subtype="html")
    return message


def _own(account: EmulatedAccount, date: datetime, copy: int) -> None:
    """What the account's owner wrote: one sent, one not yet."""
    for index, (label, flags) in enumerate((("\\Sent", ("\\Seen",)), ("\\Draft", ("\\Draft", "\\Seen")))):
        message = _message("ada@example.org", account.address, "Lunch", "At noon?", date)
        message["Message-ID"] = f"<own.{copy}.{index}@example.org>"
        account.deliver(message, (label,), flags=flags, date=date)
