"""aiogmail: Gmail over IMAP, SMTP and POP3 for asyncio, on connections that outlive their sessions.

::

    credentials = UserCredentials.from_authorized_user_file("token.json")
    async with Gmail("me@gmail.com", credentials) as gmail:
        async with gmail.mailbox("INBOX") as inbox:
            async for message in inbox.fetch(Q.unseen, "envelope", "text"):
                await inbox.add_labels(message.uid, "Processed")
            async for event in inbox.watch(cursor):
                ...
        result = await gmail.send(email_message)
        async with gmail.pop3() as pop:
            async for mail in pop.retrieve_new(seen=stored):
                ...

A session lives about as long as its access token; then Gmail hangs up. A supervisor per connection opens the next one before that, with
a token that is valid then, selects the mailbox again, and the work goes on where it stopped: nothing is lost, nothing is doubled, and what
cannot be known raises :class:`OutcomeUnknown`.
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
from .supervisor.events import Connected, ConnectionEvent, EventStream, Expiring, Failed, Lost, Replayed, Retrying, Rotated, Throttling

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
    "Connected",
    "ConnectionEvent",
    "Cursor",
    "Disconnected",
    "Download",
    "Effect",
    "Endpoint",
    "Envelope",
    "Event",
    "EventStream",
    "Expiring",
    "Failed",
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
    "Lost",
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
    "Replayed",
    "Retrying",
    "Rotated",
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
    "Throttling",
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
