"""Can this be a mailbox's name? Checked before anything is sent."""

from __future__ import annotations

from aiogmail.errors import ConfigurationError

__all__ = ["check_mailbox_name"]


def check_mailbox_name(name: object) -> str:
    """A mailbox name that can be sent.

    Raises:
        ConfigurationError: empty, not a text, or with CR, LF, NUL or a lone surrogate.
    """
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"mailbox: expected a name such as 'INBOX', got {name!r}")
    bad = next((char for char in name if char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff"), None)
    if bad is not None:
        raise ConfigurationError(f"mailbox: control characters and lone surrogates cannot be in a name, got {bad!r} in {name!r}")
    return name
