"""The door to google-auth: its ``Credentials`` are refreshed in the default executor, for they can only block."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from typing import Any

from aiogmail.errors import ConfigurationError, GmailError, LoginRequired, TokenEndpointError
from aiogmail.secret import Secret

from .credentials import GoogleAuthCredentials
from .failure import Answer, read_failure, scrub
from .values import check_endpoint

__all__ = ["refresh_google"]

_EXTRA = "google-auth with a transport is needed for GoogleAuthCredentials: pip install 'google-auth[requests]'"


async def refresh_google(credentials: GoogleAuthCredentials, timeout: float) -> tuple[Secret, Any]:
    """Refresh, and give the token and its expiry as an aware datetime.

    A refresh that outlasts ``timeout`` fails here; its thread ends by the transport's own timeout.

    Raises:
        LoginRequired, AccessDenied, ConfigurationError, TokenEndpointError: by what google-auth says.
    """
    work = partial(_refresh, credentials.credentials, credentials.request, timeout)
    try:
        async with asyncio.timeout(timeout):
            outcome = await asyncio.get_running_loop().run_in_executor(None, work)
    except TimeoutError:
        raise TokenEndpointError(f"google-auth gave no token within {timeout:g} s") from None
    if isinstance(outcome, GmailError):
        raise outcome
    return outcome


def _default_request() -> Any:
    """google-auth's own transport, without the environment's proxies and passwords, and without redirects. In the executor."""
    transport = import_module("google.auth.transport.requests")
    session = import_module("requests").Session()
    session.trust_env, session.max_redirects = False, 0
    return transport.Request(session)


def _refresh(credentials: Any, request: Any, timeout: float) -> tuple[Secret, Any] | GmailError:
    """In the executor. The error is a value, so that no frame of google-auth is in anybody's traceback."""
    try:
        send = request if request is not None else _default_request()
    except ImportError as error:
        return ConfigurationError(f"{_EXTRA} ({error})")

    def bounded(url: str, *args: Any, **options: Any) -> Any:
        if request is None:
            check_endpoint("token_uri", url)
        return send(url, *args, **{**options, "timeout": timeout})

    try:
        credentials.refresh(bounded)
        token, expiry = credentials.token, credentials.expiry
    except GmailError as error:
        return error.with_traceback(None)
    except Exception as error:  # noqa: BLE001 - its many kinds of credentials raise as many kinds of errors
        return _translate(error)
    if not isinstance(token, str) or not isinstance(expiry, datetime):
        return ConfigurationError("credentials: google-auth gave no token with an expiry")
    return Secret(token), expiry if expiry.tzinfo is not None else expiry.replace(tzinfo=UTC)  # google-auth's are naive UTC


def _translate(error: Exception) -> GmailError:
    # RefreshError carries the endpoint's JSON as its second argument.
    details = error.args[1] if len(error.args) > 1 else None
    words = scrub(str(error.args[0]) if error.args else type(error).__name__)
    if isinstance(details, dict):
        failure = read_failure(Answer(400, json.dumps(details, default=str).encode()), "google-auth's token endpoint")
        if not isinstance(failure, TokenEndpointError):
            return failure
    if "necessary fields" in words:
        return ConfigurationError(f"credentials: google-auth cannot refresh these: {words}")
    if type(error).__name__.startswith("Reauth"):
        return LoginRequired(f"google-auth wants the person to sign in again: {words}", connection_lost=False)
    return TokenEndpointError(f"google-auth could not refresh: {type(error).__name__}: {words}")
