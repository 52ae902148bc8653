"""One family a file: how it is written, what replies it takes, whether it may be replayed."""

from __future__ import annotations

from .append import Append, Appended
from .authenticate import Authenticate
from .base import Command
from .changed import ChangedMessages, UidFetchChanged
from .failures import bye_error, command_error, is_throttled
from .fetch import UidFetch, reply_name
from .idle import Idle
from .mailboxes import (
    Create,
    Delete,
    Enable,
    GetQuotaRoot,
    List,
    ListedMailbox,
    NamespaceCommand,
    QuotaRoots,
    Rename,
    StatusCommand,
    Subscribe,
    Unselect,
    Unsubscribe,
)
from .messages import Copied, Stored, UidCopy, UidExpunge, UidMove, UidStore
from .search import UidSearch
from .select import MailboxState, Select
from .session import CapabilityCommand, IdCommand, Logout, Noop, capabilities_of

__all__ = [
    "Append",
    "Appended",
    "Authenticate",
    "CapabilityCommand",
    "ChangedMessages",
    "Command",
    "Copied",
    "Create",
    "Delete",
    "Enable",
    "GetQuotaRoot",
    "IdCommand",
    "Idle",
    "List",
    "ListedMailbox",
    "Logout",
    "MailboxState",
    "NamespaceCommand",
    "Noop",
    "QuotaRoots",
    "Rename",
    "Select",
    "StatusCommand",
    "Stored",
    "Subscribe",
    "UidCopy",
    "UidExpunge",
    "UidFetch",
    "UidFetchChanged",
    "UidMove",
    "UidSearch",
    "UidStore",
    "Unselect",
    "Unsubscribe",
    "bye_error",
    "capabilities_of",
    "command_error",
    "is_throttled",
    "reply_name",
]
