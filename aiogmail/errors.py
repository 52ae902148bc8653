"""Every error aiogmail raises.

::

    GmailError                             retryable  connection_lost
    ├── ConfigurationError(ValueError)        no          -     wrong before any I/O
    ├── StateError(RuntimeError)              no          no    used in the wrong state
    ├── NotFetched(AttributeError)            no          -     a message item that was not asked for
    ├── AuthError
    │   ├── LoginRequired                     no          yes   a person must consent again
    │   ├── TokenRefused                      once        yes   the server refused this token
    │   ├── AccessDenied                      no          yes   IMAP or POP off, wrong scope, web login required
    │   └── TokenEndpointError                yes         -     unreachable, 5xx, 429, nonsense reply
    ├── TransportError(ConnectionError)       yes         yes
    │   ├── ConnectFailed · Disconnected · SessionExpired
    │   └── TimedOut(TimeoutError)
    ├── ProtocolError                         yes         yes   the peer broke the grammar
    │   └── LimitExceeded                     no          yes
    ├── CommandError(status, code, text)      no          no    NO / BAD / 4xx / 5xx / -ERR
    │   ├── Throttled · TooManyConnections · OverQuota · Unavailable    yes, after retry_after
    │   └── MailboxNotFound · MailboxChanged · Conflict · MessageTooLarge · RecipientsRefused · SendingLimitReached
    └── OutcomeUnknown                        no          -     it may have happened; carries stage and evidence

``retryable`` belongs to the class, ``connection_lost`` to the instance. An error of a call that changes something also says
``outcome`` (:class:`aiogmail.ports.Outcome`) and ``stage``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

from .ports import Outcome

__all__ = [
    "AccessDenied",
    "AuthError",
    "CommandError",
    "ConfigurationError",
    "Conflict",
    "ConnectFailed",
    "Disconnected",
    "GmailError",
    "LimitExceeded",
    "LoginRequired",
    "MailboxChanged",
    "MailboxNotFound",
    "MessageTooLarge",
    "NotFetched",
    "OutcomeUnknown",
    "OverQuota",
    "ProtocolError",
    "RecipientsRefused",
    "SendingLimitReached",
    "SessionExpired",
    "StateError",
    "Throttled",
    "TimedOut",
    "TokenEndpointError",
    "TokenRefused",
    "TooManyConnections",
    "TransportError",
    "Unavailable",
]


class GmailError(Exception):
    """Base of all errors of this library.

    Attributes:
        retryable: whether the same call may succeed later without anybody changing anything.
        connection_lost: whether the connection it happened on is gone.
        outcome: for calls that change something: what is known of the effect; ``None`` where the question does not arise.
        stage: how far the call had come, in a word or two; ``None`` where it says nothing.
        result: of a change to many messages that was not done wholly: what became of each (:class:`aiogmail.ChangeResult`).
    """

    retryable: ClassVar[bool] = False
    _loses_connection: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        connection_lost: bool | None = None,
        outcome: Outcome | None = None,
        stage: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.connection_lost = self._loses_connection if connection_lost is None else connection_lost
        self.outcome = outcome
        self.stage = stage
        self.result: Any = None

    def __str__(self) -> str:
        return self.message

    def replica(self, *, outcome: Outcome | None = None, stage: str | None = None) -> Self:
        """The same error for another waiter, caused by this one: an exception that is raised twice mixes its tracebacks."""
        other = type(self).__new__(type(self), *self.args)
        other.__dict__.update(self.__dict__)
        if outcome is not None:
            other.outcome = outcome
        if stage is not None:
            other.stage = stage
        other.__cause__ = self
        return other


class ConfigurationError(GmailError, ValueError):
    """An argument, a file or a setting is wrong; nothing was sent. The message names it and what was expected."""


class StateError(GmailError, RuntimeError):
    """Used in the wrong state: not opened yet, already closed, in another event loop or process."""


class NotFetched(GmailError, AttributeError):
    """A message item that was not asked for in ``fetch``, or that the server had none to tell of. ``name`` is the item's."""

    def __init__(self, item: str) -> None:
        super().__init__(f"{item} was not fetched: name it in fetch(…, {item!r}); if it was named, the server told none")
        self.name = item


class AuthError(GmailError):
    """Who you are could not be shown, or is not enough."""


class LoginRequired(AuthError):
    """The refresh token is dead (``invalid_grant``): a person must consent again. The message says why, as far as known."""

    _loses_connection = True


class TokenRefused(AuthError):
    """The server refused this access token, also after one refresh.

    Attributes:
        status: the status of the failure challenge (``"400"`` on Gmail), if there was one.
    """

    _loses_connection = True

    def __init__(self, message: str, *, status: str | None = None, connection_lost: bool | None = None) -> None:
        super().__init__(message, connection_lost=connection_lost)
        self.status = status


class AccessDenied(AuthError):
    """The account or its administrator does not let this client in: IMAP or POP off, wrong scope, web login required."""

    _loses_connection = True


class TokenEndpointError(AuthError):
    """The token endpoint could not be reached or did not answer with a token.

    Attributes:
        retry_after: seconds to wait before the next try, when the endpoint said so.
    """

    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TransportError(GmailError, ConnectionError):
    """The connection could not be made or is gone."""

    retryable = True
    _loses_connection = True


class ConnectFailed(TransportError):
    """No connection: refused, unknown host name, TLS handshake failed, certificate not for this host.

    Attributes:
        permanent: trying again cannot help (a certificate or host name that does not fit).
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class Disconnected(TransportError):
    """The peer closed or reset the connection, or said BYE."""


class SessionExpired(Disconnected):
    """Gmail ended the session because its token's life is over: ``* BYE Session expired, please login again.``"""


class TimedOut(TransportError, TimeoutError):
    """A deadline of :class:`aiogmail.Timeouts` passed; the connection was aborted so that no late reply can be mistaken."""


class ProtocolError(GmailError):
    """The peer broke the grammar. Nothing after that on the connection was read."""

    retryable = True
    _loses_connection = True


class LimitExceeded(ProtocolError):
    """The peer sent, or announced, more than :class:`aiogmail.Limits` allows."""

    retryable = False


class CommandError(GmailError):
    """The server said no.

    Attributes:
        status: ``"NO"``, ``"BAD"``, an SMTP reply code such as ``"550"``, or ``"-ERR"``.
        code: the response code or enhanced status code without brackets, such as ``"NONEXISTENT"`` or ``"5.1.1"``; ``""`` if none.
        text: the server's own words.
        retry_after: seconds that the server's limit is known or believed to last, for errors that are ``retryable``.
    """

    retry_after: float | None = None

    def __init__(
        self,
        message: str,
        *,
        status: str = "",
        code: str = "",
        text: str = "",
        retry_after: float | None = None,
        connection_lost: bool | None = None,
        outcome: Outcome | None = None,
        stage: str | None = None,
    ) -> None:
        super().__init__(message, connection_lost=connection_lost, outcome=outcome, stage=stage)
        self.status = status
        self.code = code
        self.text = text
        if retry_after is not None:
            self.retry_after = retry_after


class Throttled(CommandError):
    """The server asks to slow down (``[THROTTLED]``, SMTP 421/454)."""

    retryable = True
    retry_after = 5.0


class TooManyConnections(CommandError):
    """More sessions than the account may have at once: 15 on Gmail, over all programs and devices."""

    retryable = True
    retry_after = 30.0


class OverQuota(CommandError):
    """The account's command or bandwidth limit is reached (2500 MB a day by IMAP); Gmail lifts it within 24 hours."""

    retryable = True
    retry_after = 600.0


class Unavailable(CommandError):
    """A temporary problem of the server's."""

    retryable = True
    retry_after = 5.0


class MailboxNotFound(CommandError):
    """There is no such mailbox, or it is hidden from IMAP."""


class MailboxChanged(CommandError):
    """UIDVALIDITY is another: every UID known for this mailbox is void."""


class Conflict(CommandError):
    """Another client changed the message first (MODSEQ), or something of that name exists."""


class MessageTooLarge(CommandError):
    """The message is larger than the server takes."""


class RecipientsRefused(CommandError):
    """No recipient was accepted.

    Attributes:
        refused: address → ``(status, text)`` as the server said it.
    """

    def __init__(
        self,
        message: str,
        refused: Mapping[str, tuple[str, str]],
        *,
        status: str = "",
        code: str = "",
        text: str = "",
        outcome: Outcome | None = None,
        stage: str | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code, text=text, outcome=outcome, stage=stage)
        self.refused: Mapping[str, tuple[str, str]] = MappingProxyType(dict(refused))


class SendingLimitReached(CommandError):
    """The account's daily sending limit is reached."""

    retry_after = 86400.0


class OutcomeUnknown(GmailError):
    """It may have happened, and the server could not be asked.

    Attributes:
        evidence: what was looked up and what was found, as short sentences by subject.
    """

    def __init__(self, message: str, *, stage: str, evidence: Mapping[str, str] | None = None) -> None:
        super().__init__(message, outcome=Outcome.UNKNOWN, stage=stage)
        self.evidence: Mapping[str, str] = MappingProxyType(dict(evidence or {}))
