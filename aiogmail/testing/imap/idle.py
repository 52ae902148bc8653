"""IDLE: news as they come, until the client says DONE (RFC 2177)."""

from __future__ import annotations

from .session import ImapSession
from .syntax import Args, Bad

__all__ = ["idle"]


async def idle(session: ImapSession, args: Args) -> None:
    """Gmail says ``+ idling`` and nothing else of its own; anything but DONE is BAD."""
    args.end()
    session.channel.invite(b"+ idling\r\n")
    session.start_idling()
    try:
        line = await session.channel.read_line()
    finally:
        session.stop_idling()
    await session.channel.end_request()
    if line.rstrip(b"\r\n").upper() != b"DONE":
        raise Bad
    await session.ok("IDLE terminated (Success)")
