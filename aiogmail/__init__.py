"""aiogmail: Gmail over IMAP for asyncio, on connections that outlive their sessions.

::

    async with Gmail("me@gmail.com", credentials) as gmail:
        async with gmail.mailbox("INBOX") as inbox:
            async for message in inbox.fetch(Q.unseen, "flags", "raw"):
                ...

A session lives about as long as its access token; then Gmail hangs up. A supervisor per connection opens the next one with
a token that is valid then, selects the mailbox again, and the work goes on where it stopped.
"""

from __future__ import annotations

import logging

from .client import Gmail, ImapClient, Pop3Client, SendReport, SendStream, SmtpClient
from .errors import (
    AccessDenied,
    AuthError,
    CommandError,
    ConfigurationError,
    Conflict,
    ConnectFailed,
    Disconnected,
    GmailError,
    LimitExceeded,
    LoginRequired,
    MailboxChanged,
    MailboxNotFound,
    MessageTooLarge,
    NotFetched,
    OutcomeUnknown,
    OverQuota,
    ProtocolError,
    RecipientsRefused,
    SendingLimitReached,
    SessionExpired,
    StateError,
    Throttled,
    TimedOut,
    TokenEndpointError,
    TokenRefused,
    TooManyConnections,
    TransportError,
    Unavailable,
)
from .imap.changes import ChangeResult
from .imap.commands import MailboxState
from .imap.cursor import Cursor
from .imap.directory import MailboxCounts, MailboxInfo, Quota
from .imap.download import Download
from .imap.events import Arrived, Changed, Event, Gone, MailboxReset
from .imap.fetch import FetchStream
from .imap.labels import Label
from .imap.mailbox import Mailbox
from .imap.models import Address, BodyPart, Envelope, Headers, Message
from .imap.query import Q, Query
from .imap.threads import Thread, ThreadStream
from .imap.uidset import UidSet
from .imap.watch import Watch
from .oauth import (
    AppPassword,
    FileTokenStore,
    GoogleAuthCredentials,
    KeyringTokenStore,
    MemoryTokenStore,
    OAuthClient,
    RedisTokenStore,
    ServiceAccountCredentials,
    Token,
    TokenCache,
    TokenProvider,
    TokenStore,
    UserCredentials,
    login,
    revoke,
)
from .pop3.arrivals import Arrivals
from .pop3.download import PopDownload
from .pop3.maildrop import Maildrop
from .pop3.models import PopMail, PopStat
from .ports import Effect, Outcome
from .secret import Secret
from .settings import Budget, Endpoint, Limits, Settings, Timeouts
from .smtp import SendResult

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "AccessDenied",
    "Address",
    "AppPassword",
    "Arrivals",
    "Arrived",
    "AuthError",
    "BodyPart",
    "Budget",
    "ChangeResult",
    "Changed",
    "CommandError",
    "ConfigurationError",
    "Conflict",
    "ConnectFailed",
    "Cursor",
    "Disconnected",
    "Download",
    "Effect",
    "Endpoint",
    "Envelope",
    "Event",
    "FetchStream",
    "FileTokenStore",
    "Gmail",
    "GmailError",
    "Gone",
    "GoogleAuthCredentials",
    "Headers",
    "ImapClient",
    "KeyringTokenStore",
    "Label",
    "LimitExceeded",
    "Limits",
    "LoginRequired",
    "Mailbox",
    "MailboxChanged",
    "MailboxCounts",
    "MailboxInfo",
    "MailboxNotFound",
    "MailboxReset",
    "MailboxState",
    "Maildrop",
    "MemoryTokenStore",
    "Message",
    "MessageTooLarge",
    "NotFetched",
    "OAuthClient",
    "Outcome",
    "OutcomeUnknown",
    "OverQuota",
    "Pop3Client",
    "PopDownload",
    "PopMail",
    "PopStat",
    "ProtocolError",
    "Q",
    "Query",
    "Quota",
    "RecipientsRefused",
    "RedisTokenStore",
    "Secret",
    "SendReport",
    "SendResult",
    "SendStream",
    "SendingLimitReached",
    "ServiceAccountCredentials",
    "SessionExpired",
    "Settings",
    "SmtpClient",
    "StateError",
    "Thread",
    "ThreadStream",
    "Throttled",
    "TimedOut",
    "Timeouts",
    "Token",
    "TokenCache",
    "TokenEndpointError",
    "TokenProvider",
    "TokenRefused",
    "TokenStore",
    "TooManyConnections",
    "TransportError",
    "UidSet",
    "Unavailable",
    "UserCredentials",
    "Watch",
    "__version__",
    "login",
    "revoke",
]
