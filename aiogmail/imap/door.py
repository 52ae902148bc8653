"""The door to aioimaplib: no other file imports it. Its names, and errors that are both its own and ours.

What is used of it: ``IMAP4ClientProtocol`` and ``IMAP4`` as base classes, ``Command``, ``Commands`` and ``Response``, the states, the
errors. What is not: its engine, which is unsafe (it recurses per line, lets commands overwrite each other's replies and literals, and
never fails what waits when the connection goes).
"""

from __future__ import annotations

from typing import Any, cast

import aioimaplib.aioimaplib as aioimaplib  # type: ignore[import-untyped]  # noqa: PLR0402  # ships no py.typed; the package has the module's name

from aiogmail.errors import GmailError, TimedOut, TransportError

__all__ = ["STOP", "CommandTimedOut", "ConnectionLost", "aioimaplib", "translated"]

STOP: list[bytes | bytearray] = cast("list[bytes | bytearray]", aioimaplib.STOP_WAIT_SERVER_PUSH)
"""What ``wait_server_push`` gives where waiting should end."""


class ConnectionLost(aioimaplib.Abort, TransportError):  # type: ignore[misc]  # its base is untyped
    """The connection is gone, for users of aioimaplib: its ``Abort``, and ours. ``__cause__`` says more."""

    def __init__(self, message: str) -> None:
        TransportError.__init__(self, message)


class CommandTimedOut(aioimaplib.CommandTimeout, TimedOut):  # type: ignore[misc]  # its base is untyped
    """A command's time is up: aioimaplib's ``CommandTimeout``, ``asyncio.TimeoutError``, and ours.

    Attributes:
        command: aioimaplib's command, if there was one.
        connection_lost: whether it cost the connection: a small reply is read and dropped when it comes.
    """

    def __init__(self, message: str, command: Any = None, *, connection_lost: bool = True) -> None:
        TimedOut.__init__(self, message, connection_lost=connection_lost)
        self.command = command


def translated(error: GmailError, command: Any = None) -> Exception:
    """The error as aioimaplib's users and ours both know it; raise it from ``error``."""
    if isinstance(error, ValueError):
        return error
    if isinstance(error, TimedOut):
        told: Any = CommandTimedOut(str(error), command)
    elif error.connection_lost:
        told = ConnectionLost(str(error))
    else:
        return aioimaplib.Abort(str(error))  # type: ignore[no-any-return]
    told.outcome, told.stage = error.outcome, error.stage
    return told  # type: ignore[no-any-return]
