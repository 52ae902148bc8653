"""AUTHENTICATE with an initial response (RFC 4959) or without, and the answer to a failure challenge (RFC 7628)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

from aiogmail import sasl
from aiogmail.errors import AccessDenied, GmailError, TokenRefused
from aiogmail.imap.wire import Atom, Capability, Continuation, Response, Tagged
from aiogmail.secret import Secret
from aiogmail.settings import Timeouts

from .base import Command
from .session import capabilities_of

__all__ = ["Authenticate"]


class Authenticate(Command[frozenset[str] | None]):
    """AUTHENTICATE XOAUTH2, OAUTHBEARER or PLAIN.

    The result is the set of capabilities that came with the OK, or ``None`` if the server did not tell them.

    Args:
        mechanism: the SASL mechanism.
        message: the initial client response, not base64-encoded. It is a secret: it leaves no trace in logs or errors.
        initial: send it with the command (SASL-IR); otherwise the empty challenge is awaited.
        on_challenge: called when the server refuses the token, before its NO comes.
    """

    name = "AUTHENTICATE"
    blocks = True
    droppable = False

    def __init__(self, mechanism: str, message: bytes, *, initial: bool, on_challenge: Callable[[], object] | None = None) -> None:
        self._mechanism = mechanism
        self._response = Secret(base64.b64encode(message).decode("ascii"))
        self._initial = initial
        self._sent = initial
        self._on_challenge = on_challenge
        self._capabilities: frozenset[str] | None = None
        self.challenge: sasl.Challenge | None = None
        """The server's words about a token it refused."""

    def arguments(self) -> Sequence[Any]:
        return (Atom(self._mechanism), self._response) if self._initial else (Atom(self._mechanism),)

    def take(self, response: Response) -> bool:
        if isinstance(response, Capability):
            self._capabilities = response.names
            return True
        return False

    def answer(self, continuation: Continuation) -> bytes | bool:
        if not self._sent:
            self._sent = True
            return self._response.reveal().encode("ascii")
        if self.challenge is not None:
            return False  # it was answered once: a server that asks again and again is left
        try:
            challenge = base64.b64decode(continuation.challenge, validate=True)
        except (binascii.Error, ValueError):
            challenge = b""
        self.challenge = sasl.read_challenge(challenge)
        if self._on_challenge is not None:
            self._on_challenge()
        return base64.b64encode(sasl.failure_answer(self._mechanism))

    def finish(self, tagged: Tagged) -> frozenset[str] | None:
        return capabilities_of(tagged) or self._capabilities

    def refuse(self, tagged: Tagged) -> GmailError:
        error = super().refuse(tagged)
        refused = self.challenge is not None or error_code(error) in ("AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED")
        if isinstance(error, AccessDenied) or not refused:
            return error
        status = self.challenge.status if self.challenge is not None else None
        said = f"{tagged.status} [{tagged.code.name}] {tagged.text}" if tagged.code is not None else f"{tagged.status} {tagged.text}"
        if self._mechanism == "PLAIN":
            return AccessDenied(f"AUTHENTICATE: the server refused the password: {said}", connection_lost=False)
        words = f"AUTHENTICATE: the server refused the access token: {said}"
        if status:
            words += f" (status {status})"
        return TokenRefused(
            f"{words}: it is expired, revoked, of another account, or lacks the scope https://mail.google.com/",
            status=status,
            connection_lost=False,
        )

    def patience(self, timeouts: Timeouts) -> float | None:
        return timeouts.auth


def error_code(error: GmailError) -> str:
    """The response code of a command error, ``""`` for others."""
    return getattr(error, "code", "")
