"""What really happened, as the servers saw it? The client is never asked.

Every record is frozen and carries ``at``: seconds of the emulator's wall clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .message import StoredMessage

__all__ = [
    "Appended",
    "CommandSeen",
    "Connection",
    "Delivered",
    "FlagsChanged",
    "LabelsChanged",
    "Ledger",
    "Removed",
    "Submitted",
    "TokenAnswer",
]


@dataclass(slots=True)
class Connection:
    """One connection to one of the servers; ``closed_at`` and ``reason`` are ``None`` and ``""`` while it is open."""

    number: int
    protocol: str
    at: float
    address: str | None = None
    authenticated_at: float | None = None
    closed_at: float | None = None
    reason: str = ""
    received: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """One answer of the token endpoint. ``error`` is ``""`` where a token was issued; the token itself is not kept here."""

    at: float
    grant_type: str
    address: str | None
    status: int
    error: str = ""
    expires_in: float = 0.0


@dataclass(frozen=True, slots=True)
class CommandSeen:
    """A command that a server has wholly read; ``line`` shows no credentials and no literal."""

    at: float
    protocol: str
    connection: int
    verb: str
    line: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message that came from outside, or from another emulated account."""

    at: float
    message: StoredMessage


@dataclass(frozen=True, slots=True)
class Submitted:
    """A message that SMTP accepted with its 250; ``refused`` are the recipients it had said no to before."""

    at: float
    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    message_id: str
    connection: int
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Appended:
    """An APPEND that took effect; ``duplicate`` tells that it found the message there and stored nothing new."""

    at: float
    mailbox: str
    uid: int
    message: StoredMessage
    duplicate: bool


@dataclass(frozen=True, slots=True)
class LabelsChanged:
    """Labels that a message gained and lost in one step; Trash, Spam and All Mail count as labels here."""

    at: float
    message: StoredMessage
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlagsChanged:
    """Flags that a message gained and lost in one step."""

    at: float
    message: StoredMessage
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """A message that is gone for ever."""

    at: float
    message: StoredMessage


Record = Connection | TokenAnswer | CommandSeen | Delivered | Submitted | Appended | LabelsChanged | FlagsChanged | Removed
_LISTS: dict[type[Record], str] = {
    TokenAnswer: "tokens",
    CommandSeen: "commands",
    Delivered: "deliveries",
    Submitted: "submissions",
    Appended: "appends",
    LabelsChanged: "labels",
    FlagsChanged: "flags",
    Removed: "removals",
}


@dataclass(slots=True)
class Ledger:
    """Everything that happened, in order. The emulator has one for all; each account has one of its own.

    Attributes:
        connections: to any of the servers; an account's ledger holds those that logged in to it.
        commands: every command read.
        tokens: every answer of the token endpoint.
        above: the emulator's ledger, which gets whatever an account's gets.
        deliveries, submissions, appends, labels, flags, removals: what happened to messages.
    """

    connections: list[Connection] = field(default_factory=list)
    commands: list[CommandSeen] = field(default_factory=list)
    tokens: list[TokenAnswer] = field(default_factory=list)
    deliveries: list[Delivered] = field(default_factory=list)
    submissions: list[Submitted] = field(default_factory=list)
    appends: list[Appended] = field(default_factory=list)
    labels: list[LabelsChanged] = field(default_factory=list)
    flags: list[FlagsChanged] = field(default_factory=list)
    removals: list[Removed] = field(default_factory=list)
    above: Ledger | None = field(default=None, repr=False, compare=False)

    def add(self, record: Record) -> None:
        """Write down what happened, here and in the ledger of all."""
        entries: list[Record] = getattr(self, _LISTS[type(record)])
        entries.append(record)
        if self.above is not None:
            self.above.add(record)

    def refreshes(self) -> list[TokenAnswer]:
        """The refreshes that gave a token."""
        return [answer for answer in self.tokens if answer.grant_type == "refresh_token" and not answer.error]

    def open_connections(self) -> list[Connection]:
        """The connections that are open now."""
        return [connection for connection in self.connections if connection.closed_at is None]

    def verbs(self, protocol: str | None = None) -> list[str]:
        """The verbs of the commands read, in order, such as ``"UID FETCH"``."""
        return [command.verb for command in self.commands if protocol in (None, command.protocol)]
