"""What is asked of a token endpoint, and which refresh token is tried first? One exchange, for whoever keeps what comes of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiogmail.clock import Clock
from aiogmail.errors import LoginRequired
from aiogmail.secret import Secret

from .credentials import ServiceAccountCredentials, UserCredentials
from .entry import Entry, Obtained
from .http import TokenEndpoint
from .stores.base import StoredToken, fingerprint
from .token import Reply

__all__ = ["Answer", "Exchangeable", "ask", "obtained", "origin_of", "remember"]

_log = logging.getLogger("aiogmail.oauth")

Exchangeable = UserCredentials | ServiceAccountCredentials
"""Credentials that a token endpoint gives tokens for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, the refresh token that it was got with, and both clocks when the request was sent: its life counts from there."""

    reply: Reply
    used: Secret | None
    now: float
    wall: float


async def ask(
    endpoint: TokenEndpoint,
    clock: Clock,
    entry: Entry,
    credentials: Exchangeable,
    stored: StoredToken | None,
    keep: Callable[[], Awaitable[None]] | None = None,
) -> Answer:
    """One exchange; with the next refresh token where one is refused.

    Args:
        endpoint: the door to token endpoints.
        clock: the cache's.
        entry: whose token.
        credentials: by what right.
        stored: what other processes have left.
        keep: renews the lease, which is to outlast each single exchange.

    Raises:
        LoginRequired: every refresh token is refused; the first refusal is told.
        GmailError: by :mod:`aiogmail.oauth.failure`.
    """
    if keep is not None:
        await keep()
    if isinstance(credentials, ServiceAccountCredentials):
        now, wall = clock.now(), clock.wall()
        reply = await endpoint.assert_identity(credentials, credentials.subject or entry.address)
        return Answer(reply, None, now, wall)
    first: LoginRequired | None = None
    for refresh_token in _candidates(entry, credentials, stored):
        if keep is not None and first is not None:
            await keep()
        now, wall = clock.now(), clock.wall()
        try:
            return Answer(await endpoint.refresh(credentials, refresh_token), refresh_token, now, wall)
        except LoginRequired as error:
            first = first or error
    assert first is not None
    raise first


def _candidates(entry: Entry, credentials: UserCredentials, stored: StoredToken | None) -> list[Secret]:
    """Refresh tokens in the order in which they are likely to live. The later ones are tried where the first is refused."""
    given, login = credentials.refresh_token, entry.login_of(credentials)
    ours = (login.refresh_token if login is not None else None) or given
    theirs = stored.refresh_token if stored is not None and (login is None or stored.version >= login.version) else None
    if theirs is None:
        order = [ours, given]
    elif stored is not None and stored.origin == fingerprint(given):
        order = [theirs, ours, given]
    elif login is not None and login.version:  # it took the place of ours: somebody has logged in anew
        order = [theirs, ours]
    else:  # it stems from another login: an older one if the person has just logged in again, a newer one if somebody else has
        order = [ours, theirs]
    return list(dict.fromkeys(order))


def origin_of(credentials: Exchangeable) -> str:
    """What names the login that a line of refresh tokens stems from."""
    return fingerprint(credentials.refresh_token) if isinstance(credentials, UserCredentials) else ""


def remember(entry: Entry, credentials: Exchangeable, refresh_token: Secret | None, version: int) -> None:
    """The newest refresh token of these credentials, for the next exchange."""
    login = entry.login_of(credentials)  # a new login may have come meanwhile: it has its own
    if login is not None and refresh_token is not None:
        login.refresh_token, login.version = refresh_token, version


def obtained(answer: Answer, credentials: Exchangeable) -> Obtained:
    """The token of an answer."""
    reply = answer.reply
    missing = [scope for scope in credentials.scopes if reply.scopes and "://" in scope and scope not in reply.scopes]
    if missing:  # a mail server's refusal will not say why: https://developers.google.com/gmail/imap/xoauth2-protocol
        _log.warning("the token endpoint granted %s, but not %s: log in again if servers refuse the token", reply.scopes, missing)
    scopes = reply.scopes or credentials.scopes
    return Obtained(reply.access_token, reply.lifetime, reply.lifetime, scopes, reply.token_type, answer.now)
