"""How are SASL messages read, and who is let in? Shared by the three servers; the texts are each server's own."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .account import AccountModel
    from .emulated import EmulatedAccount
    from .hub import Hub
    from .tokens import AccessToken

__all__ = ["AuthRefused", "challenge", "decode_base64", "identify", "read_message"]


class AuthRefused(Exception):
    """Not let in. ``kind``: ``"malformed"``, ``"challenge"`` (the token is no good), ``"password"``, ``"application"`` or ``"web"``."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def challenge(status: str) -> bytes:
    """The failure challenge, base64: the same whatever is wrong with the token."""
    words = {"status": status, "schemes": "Bearer", "scope": "https://mail.google.com/"}
    return base64.b64encode(json.dumps(words, separators=(",", ":")).encode())


def decode_base64(text: bytes) -> bytes:
    """The bytes of a SASL line.

    Raises:
        AuthRefused: malformed.
    """
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise AuthRefused("malformed") from None


def read_message(mechanism: str, blob: bytes) -> tuple[str, str]:
    """User and secret of an initial response: XOAUTH2, OAUTHBEARER (RFC 7628) or PLAIN (RFC 4616).

    Raises:
        AuthRefused: malformed.
    """
    try:
        text = blob.decode("utf-8")
    except UnicodeDecodeError:
        raise AuthRefused("malformed") from None
    if mechanism == "PLAIN":
        parts = text.split("\0")
        if len(parts) != 3:
            raise AuthRefused("malformed")
        return parts[1], parts[2]
    if not text.endswith("\x01\x01"):
        raise AuthRefused("malformed")
    head, *pairs = text[:-2].split("\x01")
    user = ""
    if mechanism == "XOAUTH2":
        pairs = [head, *pairs]
    else:
        gs2 = head.split(",")
        if len(gs2) != 3 or gs2[0] not in {"n", "y"} or gs2[2]:
            raise AuthRefused("malformed")
        user = gs2[1].removeprefix("a=").replace("=2C", ",").replace("=3D", "=")
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        found[name] = value
    user = found.get("user", user)
    scheme, _, token = found.get("auth", "").partition(" ")
    if not user or scheme.lower() != "bearer" or not token:
        raise AuthRefused("malformed")
    return user, token


def identify(hub: Hub, mechanism: str, user: str, secret: str, *, pop: bool = False) -> tuple[EmulatedAccount, AccessToken | None]:
    """The account, and the token where there is one. ``pop``: ``recent:`` may stand before the address.

    Raises:
        AuthRefused: not let in.
    """
    name = user.lower()
    if name.startswith("recent:") and pop:
        name = name.removeprefix("recent:")
    account = hub.accounts.get(name)
    if mechanism == "PLAIN":
        if account is not None and account.app_password and secret.replace(" ", "") == account.app_password:
            return account, None
        raise AuthRefused(_password_refusal(account))
    token = hub.tokens.valid(name, secret)
    if account is None or token is None:
        raise AuthRefused("challenge")
    return account, token


def _password_refusal(account: AccountModel | None) -> str:
    kinds = {"application": "application", "web": "web", "plain": "password"}
    return kinds[account.behaviour.password_login] if account is not None else "password"
