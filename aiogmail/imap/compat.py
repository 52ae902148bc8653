"""``aioimaplib.IMAP4`` over our connection: for users of aioimaplib, and for those who want one command that we do not offer.

Every coroutine of aioimaplib 2.0.3 is here with its results. What differs is in its favour: a lost connection is an ``Abort`` at once,
:attr:`Imap4.timeout` holds for every command, cancelling is safe, names are quoted, and no secret is logged or sent in plain text.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiogmail.errors import Disconnected
from aiogmail.secret import Secret

from .door import STOP, aioimaplib
from .protocol import ImapProtocol

__all__ = ["Imap4", "Imap4Ssl"]

T = TypeVar("T")

_29_MINUTES: float = aioimaplib.TWENTY_NINE_MINUTES


class Imap4(aioimaplib.IMAP4):  # type: ignore[misc]  # its base is untyped
    """``aioimaplib.IMAP4``, on our engine.

    Results are ``Response(result, lines)``: ``result`` OK, NO or BAD; ``lines`` bytes without CRLF and without the command's own name,
    the octets of a literal as ``bytearray``, the text of the tagged reply last. A NO is a result, not an error.

    Args:
        host, port: where to connect to, at once, in a task that :meth:`wait_hello_from_server` awaits.
        loop: the running loop.
        timeout: seconds for each call; for FETCH, APPEND and the like, until data comes or goes, and between its steps.
        conn_lost_cb: called once when the connection is gone.
        ssl_context: TLS from the first byte. Without it no login is sent to another machine.
        protocol: a live connection to use instead of all that.

    Raises (every coroutine):
        Abort: the command is illegal in this state; the connection is gone (then it is also a ``ConnectionError``).
        TimeoutError: its time is up; a small reply is dropped when it comes, anything else costs the connection.
        ValueError: an argument that cannot be sent; a command line longer than 16 KiB (``Limits.command_line``), which servers need not
            take: aioimaplib sends it all the same. Write UIDs as ranges, or give them to :meth:`uid` in several calls.
    """

    protocol: ImapProtocol

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = aioimaplib.IMAP4_PORT,
        loop: asyncio.AbstractEventLoop | None = None,
        timeout: float = aioimaplib.IMAP4.TIMEOUT_SECONDS,
        conn_lost_cb: Callable[[Exception | None], None] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        *,
        protocol: ImapProtocol | None = None,
    ) -> None:
        self._given = protocol
        given: tuple[Any, ...] = (host, port, loop, timeout, conn_lost_cb, ssl_context)  # aioimaplib's None is not in its annotations
        super().__init__(*given)
        if protocol is not None:
            protocol.serve_aioimaplib()
            self.protocol = protocol

    def create_client(
        self,
        host: str,
        port: int,
        loop: asyncio.AbstractEventLoop | None,
        conn_lost_cb: Callable[[Exception | None], None] | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Connect, in a task."""
        if self._given is not None:
            return
        loop = asyncio.get_running_loop() if loop is None else loop
        protocol = ImapProtocol(loop, conn_lost_cb, name=f"{host}:{port}")
        self.protocol = protocol
        connecting = loop.create_connection(lambda: protocol, host, port, ssl=ssl_context)
        self._client_task = loop.create_task(connecting, name=f"connect to {host}:{port}")

    async def _within(self, work: Awaitable[T]) -> T:
        """Aioimaplib uses ``asyncio.wait_for``, which on Python 3.11 can swallow a cancellation."""
        async with asyncio.timeout(self.timeout):
            return await work

    def abort(self) -> None:
        """Drop the connection at once: everything that waits fails. The polite way is :meth:`logout`."""
        self.protocol.fail(Disconnected(f"{self.protocol.name}: dropped by us"))

    # -- the connection ----------------------------------------------------------------------------------------------------

    async def wait_hello_from_server(self) -> None:
        """Wait for the greeting and the capabilities. Where that fails nothing is left open.

        Raises:
            OSError: no connection, in the system's words.
            Abort: the server says no, or is none.
        """
        if self._given is not None:
            return
        try:
            await self._within(self._wait_connection_and_hello())
        except BaseException:
            self.protocol.fail(Disconnected(f"{self.protocol.name}: given up while waiting for the greeting"))
            raise

    def has_capability(self, capability: str) -> bool:
        return capability.upper() in {name.upper() for name in self.protocol.capabilities}

    async def login(self, user: str, password: str) -> Any:
        work = self.protocol.login(user, password)
        del password  # a traceback shows locals
        return await self._within(work)

    async def xoauth2(self, user: str, token: str | bytes | Secret) -> Any:
        work = self.protocol.xoauth2(user, token)
        del token
        return await self._within(work)

    async def logout(self) -> Any:
        return await self._within(self.protocol.logout())

    async def id(self, **kwargs: Any) -> Any:
        return await self._within(self.protocol.id(**kwargs))

    async def namespace(self) -> Any:
        return await self._within(self.protocol.namespace())

    async def enable(self, capability: str) -> Any:
        if not self.has_capability("ENABLE"):
            raise aioimaplib.Abort("server has not ENABLE capability")
        return await self._simply("ENABLE", capability)

    async def _simply(self, verb: str, *arguments: str) -> Any:
        return await self._within(self.protocol.simple_command(verb, *arguments))

    async def noop(self) -> Any:
        return await self._simply("NOOP")

    async def check(self) -> Any:
        return await self._simply("CHECK")

    # -- mailboxes ---------------------------------------------------------------------------------------------------------

    async def select(self, mailbox: str = "INBOX") -> Any:
        return await self._within(self.protocol.select(mailbox))

    async def examine(self, mailbox: str = "INBOX") -> Any:
        return await self._simply("EXAMINE", mailbox)

    async def close(self) -> Any:
        return await self._within(self.protocol.close())

    async def status(self, mailbox: str, names: str) -> Any:
        return await self._simply("STATUS", mailbox, names)

    async def subscribe(self, mailbox: str) -> Any:
        return await self._simply("SUBSCRIBE", mailbox)

    async def unsubscribe(self, mailbox: str) -> Any:
        return await self._simply("UNSUBSCRIBE", mailbox)

    async def lsub(self, reference_name: str, mailbox_name: str) -> Any:
        return await self._simply("LSUB", reference_name, mailbox_name)

    async def list(self, reference_name: str, mailbox_pattern: str) -> Any:
        return await self._simply("LIST", reference_name, mailbox_pattern)

    async def create(self, mailbox_name: str) -> Any:
        return await self._simply("CREATE", mailbox_name)

    async def delete(self, mailbox_name: str) -> Any:
        return await self._simply("DELETE", mailbox_name)

    async def rename(self, old_mailbox_name: str, new_mailbox_name: str) -> Any:
        return await self._simply("RENAME", old_mailbox_name, new_mailbox_name)

    async def getquotaroot(self, mailbox_name: str) -> Any:
        """The QUOTA lines without their name, then the QUOTAROOT lines with it."""
        return await self._within(self.protocol.getquotaroot(mailbox_name))

    # -- messages ----------------------------------------------------------------------------------------------------------

    async def search(self, *criteria: str | None, charset: str | None = "utf-8") -> Any:
        return await self._within(self.protocol.search(*criteria, charset=charset))

    async def uid_search(self, *criteria: str | None, charset: str | None = "utf-8") -> Any:
        return await self._within(self.protocol.search(*criteria, by_uid=True, charset=charset))

    async def uid(self, command: str, *criteria: str) -> Any:
        return await self.protocol.uid(command, *criteria, timeout=self.timeout)

    async def fetch(self, message_set: str, message_parts: str) -> Any:
        return await self.protocol.fetch(message_set, message_parts, timeout=self.timeout)

    async def store(self, *criteria: str) -> Any:
        return await self._within(self.protocol.store(*criteria))

    async def copy(self, *criteria: str) -> Any:
        return await self._within(self.protocol.copy(*criteria))

    async def move(self, uid_set: str, mailbox: str) -> Any:
        return await self._within(self.protocol.move(uid_set, mailbox))

    async def expunge(self) -> Any:
        return await self._within(self.protocol.expunge())

    async def append(self, message_bytes: bytes, mailbox: str = "INBOX", flags: str | None = None, date: Any = None) -> Any:
        return await self.protocol.append(message_bytes, mailbox, flags, date, timeout=self.timeout)

    # -- IDLE --------------------------------------------------------------------------------------------------------------

    async def idle_start(self, timeout: float = _29_MINUTES) -> asyncio.Future[Any]:
        """Begin to IDLE; returns once the server does.

        Args:
            timeout: seconds until :meth:`wait_server_push` gives ``STOP_WAIT_SERVER_PUSH``.

        Returns:
            a task, done with the IDLE's ``Response`` after :meth:`idle_done`, or when another command needed the connection.
        """
        self._stop_waiter()
        idle = asyncio.get_running_loop().create_task(self.idle(), name="IDLE")
        self.tasks.add(idle)
        idle.add_done_callback(self._idle_ended)
        begun = self.protocol.idle_begun()
        try:
            await asyncio.wait((idle, begun), timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not begun.done():
                idle.cancel()
                await asyncio.wait((idle,))
        if not begun.done():
            if not idle.cancelled():
                idle.result()  # its own error, if it is one
                raise aioimaplib.Abort("server returned error to IDLE command")
            raise TimeoutError(f"{self.protocol.name}: IDLE did not begin within {self.timeout:g} s")
        if self.protocol.has_pending_idle_command():
            self._idle_waiter = self.protocol.loop.call_later(timeout, self._stop_waiting)
        return idle

    def _idle_ended(self, idle: asyncio.Task[Any]) -> None:
        self.tasks.discard(idle)
        if not self.protocol.has_pending_idle_command():
            self._stop_waiter()
        if not idle.cancelled():
            idle.exception()  # who wants to know awaits the task, and need not

    def _stop_waiter(self) -> None:
        if self._idle_waiter is not None:
            self._idle_waiter.cancel()

    def idle_done(self) -> None:
        """End the IDLE that goes on, if there is one."""
        self._stop_waiter()
        self.protocol.idle_done()

    def _stop_waiting(self) -> bool:
        if self.protocol.has_pending_idle_command():
            self.protocol.idle_queue.put_nowait(STOP)
            return True
        return False

    async def stop_wait_server_push(self) -> bool:
        """Have :meth:`wait_server_push` give ``STOP_WAIT_SERVER_PUSH``; whether an IDLE goes on that this can mean."""
        return self._stop_waiting()

    async def wait_server_push(self, timeout: float = _29_MINUTES) -> Any:
        """What came unasked, in this IDLE or since the last: a list of the lines that arrived together, or ``STOP_WAIT_SERVER_PUSH``.

        Raises:
            Abort: the connection is gone, and all that came was read.
            TimeoutError: nothing came within ``timeout`` seconds.
        """
        async with asyncio.timeout(timeout):
            return await self.protocol.idle_queue.get()


class Imap4Ssl(Imap4):
    """``aioimaplib.IMAP4_SSL``, on our engine: TLS from the first byte, certificate and host name verified."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = aioimaplib.IMAP4_SSL_PORT,
        loop: asyncio.AbstractEventLoop | None = None,
        timeout: float = aioimaplib.IMAP4.TIMEOUT_SECONDS,
        ssl_context: ssl.SSLContext | None = None,
        conn_lost_cb: Callable[[Exception | None], None] | None = None,
    ) -> None:
        context = ssl.create_default_context() if ssl_context is None else ssl_context
        super().__init__(host, port, loop, timeout, conn_lost_cb, context)
