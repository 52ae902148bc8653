"""Which error is this refusal of a token endpoint, and what should the person paged at night do? Pure.

The rows below are Google's replies as its documentation, google-auth and GAM record them, then RFC 6749 section 5.2.
"""

from __future__ import annotations

import email.utils
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

from aiogmail.errors import AccessDenied, AuthError, ConfigurationError, GmailError, LoginRequired, TokenEndpointError
from aiogmail.secret import Secret

from .token import BadReply, parse_object

__all__ = ["Answer", "read_failure", "scrub"]

_SHORTEST = 6  # what is shorter is no secret, and would tear holes into words
# Google's access tokens, refresh tokens, client secrets and codes show what they are.
_GOOGLES = re.compile(r"(?:ya29\.|\b1//|\bGOCSPX-|\b4/0)[\w\-./+=~%]{8,}")
# What is long, without blanks, and mixes digits into letters is a token of somebody's, in whatever encoding.
_LONG = re.compile(r"(?=[\w+=%~-]*[0-9])(?=[\w+=%~-]*[A-Za-z])[\w+=%~-]{20,}")
RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})

_LIKELY = (
    "The refresh token is dead; likely reasons: access was revoked, the password was changed (that ends tokens with Gmail scopes), "
    "the OAuth project is in testing (its tokens end after 7 days), the administrator restricted the app, more than 100 tokens were "
    "issued to this client (the oldest dies), or it was not used for 6 months. Log in again."
)


_ASSERTION = (
    "The service account's assertion was refused; likely reasons: its key is not (or no longer) known, domain-wide delegation is not "
    "granted to its numeric client id for exactly these scopes (a grant takes up to 24 h), the subject is no account of this domain, "
    "or the clock of this machine is wrong."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, not yet judged.

    Attributes:
        status: the HTTP status.
        body: the whole body, at most 64 KiB.
        retry_after: the header, ``""`` if there was none.
        date: the header, ``""`` if there was none.
        location: where a redirect pointed to, ``""`` if there was none.
    """

    status: int
    body: bytes = field(repr=False)
    retry_after: str = ""
    date: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    code: str
    """The value of ``error``; ``""`` matches any."""
    words: str
    """A pattern to be found in the description or subtype; ``""`` matches any."""
    error: type[GmailError]
    advice: str


_TABLE = (
    _Row("invalid_grant", r"JWT Signature", ConfigurationError, "The service account's key is not (or no longer) known: make a new key."),
    _Row("invalid_grant", r"iat and exp|short-lived|timeframe", ConfigurationError, "The clock of this machine is wrong: synchronise it."),
    _Row("invalid_grant", r"Invalid email|Not a valid email", ConfigurationError, "The subject is no account of this domain."),
    _Row("invalid_grant", r"account has been deleted", AccessDenied, "The account does not exist any more."),
    _Row(
        "invalid_grant",
        r"rapt",
        LoginRequired,
        "The administrator's session control wants the person to sign in again at intervals. Log in again, or exempt this app.",
    ),
    _Row("invalid_grant", r"Malformed", LoginRequired, "The refresh token or code was cut or changed on its way here. Log in again."),
    _Row("invalid_grant", r"", LoginRequired, _LIKELY),
    _Row("rapt_required", r"", LoginRequired, "The administrator's session control wants the person to sign in again. Log in again."),
    _Row(
        "admin_policy_enforced",
        r"",
        LoginRequired,
        "The administrator restricts this app or its scopes: have it allowed in the admin console, then log in again.",
    ),
    _Row("invalid_client", r"Unauthorized", ConfigurationError, "The client_secret does not belong to the client_id, or was replaced."),
    _Row("invalid_client", r"", ConfigurationError, "The OAuth client is unknown: deleted, or its client_id or client_secret mistyped."),
    _Row("deleted_client", r"", ConfigurationError, "The OAuth client was deleted: make a new one and log in again."),
    _Row("disabled_client", r"", ConfigurationError, "The OAuth client was disabled: see the project's page in the Google Cloud console."),
    _Row(
        "unauthorized_client",
        r"",
        ConfigurationError,
        "The client may not do this. For a service account: domain-wide delegation is not granted to its numeric client id for these "
        "scopes (a grant takes up to 24 h). Otherwise the refresh token was issued to another client.",
    ),
    _Row("access_denied", r"", AccessDenied, "The account or its administrator does not let this client in."),
    _Row("org_internal", r"", AccessDenied, "The OAuth client only lets accounts of its own organisation in."),
    _Row("invalid_scope", r"", AccessDenied, "The grant does not cover the scopes asked for: log in again with https://mail.google.com/."),
    _Row("invalid_request", r"impersonation", ConfigurationError, "The subject is no address that the service account may act for."),
    _Row("invalid_request", r"", ConfigurationError, "The request was refused as malformed: check the credentials and the token_uri."),
    _Row("unsupported_grant_type", r"", ConfigurationError, "This token_uri does not serve these credentials."),
    _Row("redirect_uri_mismatch", r"", ConfigurationError, "The OAuth client must be of the type 'Desktop app'."),
    _Row("internal_failure", r"", TokenEndpointError, ""),
    _Row("server_error", r"", TokenEndpointError, ""),
    _Row("temporarily_unavailable", r"", TokenEndpointError, ""),
    _Row("slow_down", r"", TokenEndpointError, ""),
    _Row("rate_limit_exceeded", r"", TokenEndpointError, ""),
)


def read_failure(
    answer: Answer, where: str, secrets: Iterable[Secret] = (), *, now: float | None = None, assertion: bool = False
) -> GmailError:
    """The error for an answer that is not a token.

    Args:
        answer: what came back.
        where: the endpoint, for the message.
        secrets: what was sent; an endpoint that echoes one does not get it into our message.
        now: the wall clock, in seconds since the epoch, to tell its distance from the server's.
        assertion: a signed assertion was sent, so that no person can log in again to mend it.
    """
    code, words = _error_of(answer.body)
    said = scrub(": ".join(part for part in (code, words) if part), secrets)
    quoted = f" and said {said!r}" if said else ""
    head = f"{where} answered HTTP {answer.status}{quoted}"
    if answer.status in RETRYABLE_STATUS or answer.status >= 500:
        return TokenEndpointError(f"{head}; it will be tried again.", retry_after=read_retry_after(answer.retry_after, answer.date))
    if 300 <= answer.status < 400:
        target = f" to {scrub(answer.location, secrets)!r}" if answer.location else ""
        return TokenEndpointError(f"{head}, a redirect{target}, which is not followed: check the token_uri.")
    for row in _TABLE:
        if row.code == code and re.search(row.words, words, re.IGNORECASE):
            if assertion and row.error is LoginRequired:
                row = _Row("", "", ConfigurationError, _ASSERTION)  # noqa: PLW2901 - the row that holds instead
            return _build(row, head, answer, now)
    return TokenEndpointError(f"{head}, which is no token.", retry_after=read_retry_after(answer.retry_after, answer.date))


def _build(row: _Row, head: str, answer: Answer, now: float | None) -> GmailError:
    if row.error is TokenEndpointError:
        return TokenEndpointError(f"{head}; it will be tried again.", retry_after=read_retry_after(answer.retry_after, answer.date))
    advice = row.advice
    if "clock" in advice:
        advice += _skew(answer.date, now)
    error: GmailError = row.error(f"{head}. {advice}")
    if isinstance(error, AuthError):
        error.connection_lost = False  # no connection to Gmail was involved: what is open stays open
    return error


def _error_of(body: bytes) -> tuple[str, str]:
    """The error's code and words: RFC 6749's members, or the nested form of Google's other APIs."""
    try:
        data = parse_object(body)
    except BadReply:
        return "", ""
    error: Any = data.get("error")
    if isinstance(error, dict):
        code, words = error.get("status") or error.get("code"), error.get("message")
    else:
        code, words = error, data.get("error_description")
    subtype = data.get("error_subtype")
    parts = [part for part in (words, subtype) if isinstance(part, str)]
    return (str(code)[:100].lower() if isinstance(code, str | int) else ""), " ".join(parts)


def read_retry_after(value: str, date: str = "") -> float | None:
    """``Retry-After`` in seconds, 0 to 3600; ``None`` if there is none. A date counts from the server's own ``Date``."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(min(int(value[:6]), 3600))
    until, since = _timestamp(value), _timestamp(date)
    if until is None or since is None:
        return None
    return min(max(until - since, 0.0), 3600.0)


def _timestamp(value: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _skew(date: str, now: float | None) -> str:
    server = _timestamp(date)
    if server is None or now is None or abs(now - server) < 2:
        return ""
    return f" It is {abs(now - server):.0f} s {'ahead of' if now > server else 'behind'} the server's."


def scrub(text: str, secrets: Iterable[Secret] = ()) -> str:
    """A peer's words made fit for a message: no secret of ours, no control character, at most 300 characters."""
    for secret in secrets:
        if len(secret.reveal()) >= _SHORTEST:
            for form in _forms(secret.reveal()):
                text = re.sub(re.escape(form), "…", text, flags=re.IGNORECASE)
    text = _LONG.sub("…", _GOOGLES.sub("…", text))
    return "".join(char if char.isprintable() else " " for char in text[:300]).strip()


def _forms(text: str) -> Iterator[str]:
    """A secret as it may be echoed: as it is, URL-encoded, in base64, in hex."""
    data = text.encode()
    yield text
    yield from {quote(text, safe=""), quote(text), quote_plus(text)} - {text}
    for encoded in (b64encode(data), urlsafe_b64encode(data)):
        yield encoded.decode().rstrip("=")
    yield data.hex()
