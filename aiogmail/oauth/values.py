"""Is this value what it should be? Addresses of endpoints, scopes, tokens, and the JSON files that hold them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiogmail.errors import ConfigurationError
from aiogmail.secret import Secret
from aiogmail.settings import is_loopback

from .token import is_token_text

__all__ = ["MAIL_SCOPE", "check_endpoint", "check_scopes", "check_secret", "check_text", "member", "read_json_file"]

MAIL_SCOPE = "https://mail.google.com/"
_FILE_LIMIT = 256 * 1024


def check_endpoint(name: str, uri: str) -> str:
    """The URI, unchanged, if secrets may be sent there: https, or http to a loopback address.

    Raises:
        ConfigurationError: another scheme, no host, a user name, a fragment or a control character in it.
    """
    if not isinstance(uri, str) or any(char <= " " or char > "~" for char in uri):
        raise ConfigurationError(f"{name}: expected an https:// address, got {uri!r}")
    try:
        parts = urlsplit(uri)
        host, _port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigurationError(f"{name}: expected an https:// address, got {uri!r}: {error}") from None
    if "@" in parts.netloc:
        raise ConfigurationError(f"{name}: expected an address without a user name")  # not shown: it may hold a password
    if not host or parts.fragment or parts.scheme not in ("https", "http"):
        raise ConfigurationError(f"{name}: expected an https:// address, got {uri!r}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(f"{name}: {uri!r} would send secrets in clear; use https:// (http:// is for a loopback address only)")
    return uri


def check_scopes(scopes: str | Iterable[str]) -> tuple[str, ...]:
    """Scopes as a tuple of words; a string is split at its spaces, as on the wire."""
    words = tuple(scopes.split()) if isinstance(scopes, str) else tuple(scopes) if isinstance(scopes, Iterable) else ()
    if not words or not all(is_token_text(word) for word in words):
        raise ConfigurationError(f"scopes: expected one or more scopes such as {MAIL_SCOPE!r}, got {scopes!r}")
    return words


def check_secret(name: str, value: object) -> Secret:
    """A token or client secret as a :class:`Secret`, without line breaks and the like."""
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not is_token_text(text):
        kind = "an empty string" if text == "" else type(text).__name__ if not isinstance(text, str) else "other characters in it"
        raise ConfigurationError(f"{name}: expected visible ASCII characters, got {kind}")
    return Secret(text)


def check_text(name: str, value: object) -> str:
    """A plain, visible identifier."""
    if not isinstance(value, str) or not is_token_text(value):
        raise ConfigurationError(f"{name}: expected visible ASCII characters, got {value!r}")
    return value


def read_json_file(argument: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        ConfigurationError: no such file, not readable, too large, no JSON object. Names the argument and the file.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(_FILE_LIMIT + 1)
    except (OSError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{argument}: cannot read {str(path)!r}: {error}") from None
    try:
        value = json.loads(data) if len(data) <= _FILE_LIMIT else None
    except (ValueError, RecursionError):
        value = None  # the parser's error holds the document, secrets and all
    if not isinstance(value, dict):
        raise ConfigurationError(f"{argument}: expected a JSON object in {str(path)!r}, which holds something else")
    return value


def member(argument: str, info: Mapping[str, Any], name: str) -> Any:
    if not isinstance(info, Mapping):
        raise ConfigurationError(f"{argument}: expected a mapping, got {type(info).__name__}")
    if info.get(name) in (None, ""):
        raise ConfigurationError(f"{argument}: {name!r} is missing; is it a file of another kind?")
    return info[name]
