"""Is this enough to make a client of? What every client is given, checked before any I/O."""

from __future__ import annotations

from aiogmail.errors import ConfigurationError
from aiogmail.oauth import Credentials, TokenCache, check_address
from aiogmail.settings import Settings

__all__ = ["check_client", "check_recent"]


def check_client(address: str, credentials: Credentials, tokens: TokenCache | None, settings: Settings | None) -> Settings:
    """The settings to use: those given, or Gmail's.

    Raises:
        ConfigurationError: an argument is not what it must be; the message names it.
    """
    check_address(address)
    if not isinstance(credentials, Credentials):
        raise ConfigurationError(f"credentials: expected UserCredentials or the like, got {type(credentials).__name__}")
    if tokens is not None and not isinstance(tokens, TokenCache):
        raise ConfigurationError(f"tokens: expected a TokenCache, got {type(tokens).__name__}")
    if settings is not None and not isinstance(settings, Settings):
        raise ConfigurationError(f"settings: expected Settings, got {type(settings).__name__}")
    return Settings() if settings is None else settings


def check_recent(recent: object) -> None:
    """Whether it says which of Gmail's POP modes is meant.

    Raises:
        ConfigurationError: it is no bool.
    """
    if not isinstance(recent, bool):
        raise ConfigurationError(f"recent: expected True or False, got {recent!r}")
