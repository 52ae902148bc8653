"""The commands of ``aioimaplib.IMAP4ClientProtocol``: which of its methods are said otherwise here, and which must not run at all.

Those not named here (search, fetch, store, copy, move, expunge, id, namespace, enable, simple_command, idle) are its own: they make an
``aioimaplib.Command`` and give it to :meth:`Dialect.execute`.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any, NoReturn

from aiogmail import sasl
from aiogmail.secret import Secret

from .commands.foreign import Foreign
from .door import aioimaplib
from .wire import AsIs, Atom

__all__ = ["Dialect"]

_UID_COMMANDS = frozenset({"COPY", "EXPUNGE", "FETCH", "MOVE", "STORE"})


_Base: Any = aioimaplib.IMAP4ClientProtocol  # now: a user may put ours in its place


class Dialect(_Base):  # type: ignore[misc]  # its base is untyped
    """aioimaplib's commands, over an engine that a subclass brings."""

    capabilities: set[str]
    imap_version: str | None
    literal_data: bytes | None
    conn_lost_cb: Callable[[Exception | None], None] | None
    pending_sync_command: Any
    pending_async_commands: dict[str, Any]

    def __init__(self, loop: asyncio.AbstractEventLoop, conn_lost_cb: Callable[[Exception | None], None] | None) -> None:
        _Base.__init__(self, loop, conn_lost_cb)

    def check_legal(self, verb: str) -> None:
        """Raise ``Abort`` for a command that may not be given now."""
        raise AssertionError(f"{verb}: a subclass brings the engine")

    async def run(self, foreign: Foreign, seconds: float | None = None, command: Any = None) -> Any:
        """Run a command within ``seconds``; the result is aioimaplib's ``Response``."""
        raise AssertionError(f"{command or foreign.name}, {seconds}: a subclass brings the engine")

    async def login(self, user: str, password: str) -> Any:
        """LOGIN; refused in plain text to anything but this machine."""
        secret = Secret(password)
        del password  # a traceback shows locals
        return await self.run(Foreign("LOGIN", values=[user, secret]))

    async def xoauth2(self, user: str, token: str | bytes | Secret) -> Any:
        """AUTHENTICATE XOAUTH2; refused in plain text to anything but this machine. A refusal is answered, so that NO can come."""
        secret = token if isinstance(token, Secret) else Secret(token.decode("ascii") if isinstance(token, bytes) else token)
        del token
        message = Secret(base64.b64encode(sasl.xoauth2(user, secret)).decode("ascii"))
        return await self.run(Foreign("AUTHENTICATE", values=[Atom("XOAUTH2"), message]))

    async def select(self, mailbox: str = "INBOX") -> Any:
        return await self.run(Foreign("SELECT", [mailbox]))

    async def close(self) -> Any:
        return await self.run(Foreign("CLOSE"))

    async def logout(self) -> Any:
        return await self.run(Foreign("LOGOUT"))

    async def capability(self) -> Any:
        """CAPABILITY; what it tells is kept."""
        return await self.run(Foreign("CAPABILITY", wants="CAPABILITY"))

    async def getquotaroot(self, mailbox: str) -> Any:
        """GETQUOTAROOT of this mailbox: the QUOTA lines without their name, then the QUOTAROOT lines with it."""
        return await self.run(Foreign("GETQUOTAROOT", [mailbox], wants="QUOTA"))

    async def append(
        self, message_bytes: bytes, mailbox: str = "INBOX", flags: str | None = None, date: Any = None, timeout: float | None = None
    ) -> Any:
        """APPEND; each call has its own message, which must not change until it was sent."""
        arguments = [mailbox]
        if flags is not None:
            arguments.append(flags if flags.startswith("(") and flags.endswith(")") else f"({flags})")
        if date is not None:
            arguments.append(aioimaplib.time2internaldate(date))
        return await self.run(Foreign("APPEND", arguments, literal=message_bytes), timeout)

    async def uid(self, command: str, *criteria: str, timeout: float | None = None) -> Any:
        """UID COPY, EXPUNGE (with UIDPLUS), FETCH, MOVE or STORE, each within ``timeout`` seconds.

        What makes a command line longer than ``Limits.command_line`` (16 KiB), such as thousands of single UIDs, is refused with
        ``ValueError`` before anything is sent: Gmail takes no longer ones for sure. Write UIDs as ranges, or give them in several calls.
        """
        self.check_legal("UID")
        verb = command.upper()
        if verb == "EXPUNGE" and "UIDPLUS" not in self.capabilities:
            raise aioimaplib.Abort(f"EXPUNGE with uids is only valid with UIDPLUS capability. UIDPLUS not in ({self.capabilities})")
        if verb == "MOVE" and "MOVE" not in self.capabilities:
            raise aioimaplib.Abort("server has not MOVE capability")
        if verb not in _UID_COMMANDS:
            raise aioimaplib.Abort(f"command UID only possible with COPY, FETCH, EXPUNGE (w/UIDPLUS) or STORE (was {verb})")
        wants = {"MOVE": None, "STORE": "FETCH"}.get(verb, verb)
        return await self.run(Foreign(verb, criteria, uid=True, wants=wants), timeout)

    # -- what would go around the queue, or be called by an engine that does not run ---------------------------------------

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise aioimaplib.Abort("the connection's engine is aiogmail's: give commands to execute()")

    send = welcome = wait_async_pending_commands = _refuse
    _handle_responses = _handle_line = _untagged_response = _response_done = _continuation = _find_pending_async_cmd_by_tag = _refuse


def values_of(command: Any, verb: str, scrub: str | None) -> list[Any] | None:
    """The arguments of a command made by hand that hold a secret, hidden from logs; ``None``: they hold none."""
    if verb not in ("LOGIN", "AUTHENTICATE") and not scrub:
        return None
    words = [str(argument).strip(" ") for argument in command.args if argument is not None]
    return [AsIs(word, hidden=True) for word in words if word]
