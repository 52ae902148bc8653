"""UID SEARCH in the form that the server takes."""

from __future__ import annotations

from typing import Any

from aiogmail.errors import CommandError

from .commands import UidSearch
from .session import ImapSession
from .uidset import UidSet

__all__ = ["search"]


async def search(session: ImapSession, keys: tuple[Any, ...], charset: bool) -> UidSet:
    """The UIDs of the messages in the selected mailbox that match."""
    esearch = "ESEARCH" in session.capabilities
    try:
        return await session.execute(UidSearch(keys, esearch=esearch, charset=charset))
    except CommandError as error:
        # One report has Gmail refuse RETURN in some form: the plain form says the same.
        if not esearch or error.status != "BAD" or error.connection_lost:
            raise
        session.capabilities -= {"ESEARCH"}
        return await session.execute(UidSearch(keys, esearch=False, charset=charset))
