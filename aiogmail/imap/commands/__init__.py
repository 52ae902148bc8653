"""One family a file: how it is written, what replies it takes, whether it may be replayed."""

from __future__ import annotations

from .authenticate import Authenticate
from .base import Command
from .failures import bye_error, command_error
from .fetch import UidFetch, reply_name
from .search import UidSearch
from .select import MailboxState, Select
from .session import CapabilityCommand, IdCommand, Logout, Noop, capabilities_of

__all__ = [
    "Authenticate",
    "CapabilityCommand",
    "Command",
    "IdCommand",
    "Logout",
    "MailboxState",
    "Noop",
    "Select",
    "UidFetch",
    "UidSearch",
    "bye_error",
    "capabilities_of",
    "command_error",
    "reply_name",
]
