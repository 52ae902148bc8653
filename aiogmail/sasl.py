"""What do a token and an address look like inside AUTHENTICATE? Bytes in, bytes out.

Nothing here is base64: each protocol encodes for itself. XOAUTH2 is Google's
(https://developers.google.com/gmail/imap/xoauth2-protocol), OAUTHBEARER is RFC 7628, PLAIN is RFC 4616.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from .errors import ConfigurationError
from .secret import Secret

__all__ = ["Challenge", "failure_answer", "initial_response", "oauthbearer", "plain", "read_challenge", "xoauth2"]

_CHALLENGE_LIMIT = 16 * 1024


@dataclass(frozen=True, slots=True)
class Challenge:
    """The server's words about a refused token (RFC 7628 section 3.2.2).

    Gmail's JSON is the same whether the token is expired, revoked, another user's or of the wrong scope.

    Attributes:
        status: ``"400"`` on Gmail, ``"401"`` or a word such as ``"invalid_token"`` elsewhere; ``""`` if the JSON names none.
        schemes: such as ``"Bearer"``.
        scope: the scope that would have been enough.
    """

    status: str = ""
    schemes: str = ""
    scope: str = ""


def _no_control(name: str, value: str) -> str:
    """SASL messages are separated by ^A and NUL: a value that holds one could say something else than it means."""
    bad = next((char for char in value if char < " " or char == "\x7f"), None)
    if bad is not None:
        del value  # it may be a token: a traceback shows locals
        raise ConfigurationError(f"{name}: contains the control character {bad!r}")
    return value


def xoauth2(address: str, token: Secret) -> bytes:
    """Google's XOAUTH2 initial client response."""
    return f"user={_no_control('address', address)}\x01auth=Bearer {_no_control('token', token.reveal())}\x01\x01".encode()


def oauthbearer(address: str, token: Secret, host: str, port: int) -> bytes:
    """The OAUTHBEARER initial client response (RFC 7628 section 3.1); ``=`` and ``,`` in the address are escaped."""
    authzid = _no_control("address", address).replace("=", "=3D").replace(",", "=2C")
    bearer = _no_control("token", token.reveal())
    return f"n,a={authzid},\x01host={_no_control('host', host)}\x01port={port}\x01auth=Bearer {bearer}\x01\x01".encode()


def plain(address: str, password: Secret) -> bytes:
    """The PLAIN message (RFC 4616) without an authorisation identity."""
    return f"\x00{_no_control('address', address)}\x00{_no_control('password', password.reveal())}".encode()


def initial_response(mechanism: str, address: str, secret: Secret, host: str, port: int) -> bytes:
    """The initial client response of a mechanism by its name.

    Raises:
        ConfigurationError: a mechanism that is not ``XOAUTH2``, ``OAUTHBEARER`` or ``PLAIN``.
    """
    match mechanism:
        case "XOAUTH2":
            return xoauth2(address, secret)
        case "OAUTHBEARER":
            return oauthbearer(address, secret, host, port)
        case "PLAIN":
            return plain(address, secret)
        case _:
            raise ConfigurationError(f"mechanism: expected XOAUTH2, OAUTHBEARER or PLAIN, got {mechanism!r}")


def failure_answer(mechanism: str) -> bytes:
    """What the client answers to a failure challenge, so that the server can say NO.

    RFC 7628 section 3.2.3 wants ``^A`` for OAUTHBEARER; Google wants an empty line for XOAUTH2.
    """
    return b"\x01" if mechanism == "OAUTHBEARER" else b""


def read_challenge(challenge: bytes) -> Challenge:
    """Read a failure challenge, already base64-decoded. What is no JSON object gives an empty :class:`Challenge`."""
    if len(challenge) > _CHALLENGE_LIMIT:
        return Challenge()
    try:
        data = json.loads(challenge)
    except (ValueError, RecursionError):
        return Challenge()
    if not isinstance(data, dict):
        return Challenge()

    def text(key: str) -> str:
        value = data.get(key, "")
        return str(value)[:200] if isinstance(value, str | int) else ""

    return Challenge(text("status"), text("schemes"), text("scope"))
