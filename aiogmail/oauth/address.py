"""Is this an email address that can be logged in with? Pure."""

from __future__ import annotations

import re

from aiogmail.errors import ConfigurationError

__all__ = ["check_address"]

# RFC 5322 dot-atom, and RFC 6531's characters beyond ASCII; a quoted local part is no account of any mail service.
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\ud7ff\uf900-\ufdcf\U00010000-\U0003fffd-]+"
_LABEL = r"[A-Za-z0-9\u00a1-\ud7ff](?:[A-Za-z0-9\u00a1-\ud7ff-]*[A-Za-z0-9\u00a1-\ud7ff])?"
_ADDRESS = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*@{_LABEL}(?:\.{_LABEL})*")


def check_address(address: str) -> str:
    """The address, unchanged, if it is one.

    Raises:
        ConfigurationError: it is not; the message names ``address`` and what was expected.
    """
    if not isinstance(address, str):
        raise ConfigurationError(f"address: expected an email address such as 'me@gmail.com', got {type(address).__name__}")
    local = address.rpartition("@")[0]
    # RFC 5321 section 4.5.3.1: 64 octets before the @, 254 in all. Asked first, so that no long input reaches the pattern.
    if len(address) > 254 or len(local) > 64 or not address.isprintable() or _ADDRESS.fullmatch(address) is None:
        shown = address if len(address) <= 80 else f"{address[:80]}…"
        raise ConfigurationError(f"address: expected an email address such as 'me@gmail.com', got {shown!r}")
    return address
