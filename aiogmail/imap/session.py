"""How is an IMAP connection opened, and who are we on it? TCP, TLS, greeting, AUTHENTICATE, and one mailbox selected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from aiogmail import sasl
from aiogmail.budget import Pace
from aiogmail.errors import AccessDenied, ConnectFailed, Disconnected, GmailError, TimedOut, TokenRefused
from aiogmail.login import authenticate
from aiogmail.ports import Credential, CredentialSource, Outcome
from aiogmail.settings import Settings
from aiogmail.tcp import connect_failed, tls_options

from .commands import Authenticate, CapabilityCommand, Command, IdCommand, Logout, MailboxState, Noop, Select
from .pending import Pending
from .protocol import ImapProtocol
from .wire import Exists, Expunge, Fetch, LiteralMode, Response, Status

__all__ = ["ImapSession"]

log = logging.getLogger("aiogmail.imap")

T = TypeVar("T")

_MIN_TTL = 300.0
"""Seconds of life wanted of a token: a session's successor is opened before less is left, and so gets another token."""
_LIFE = 86_400.0
"""Gmail ends an IMAP session after 24 hours, whatever it was authorised by (https://developers.google.com/gmail/imap/imap-smtp)."""
_WORDS_WITHIN = 0.2


class ImapSession:
    """One authenticated IMAP connection. Made by :meth:`open`; at most one mailbox is selected on it.

    Attributes:
        capabilities: what the server can do, upper-case, as told after the login.
        credential: what it was opened with; its life bounds the session's on Gmail.
        state: the selected mailbox, kept up with what the server tells.
        expires_at: when Gmail will end the session, as a reading of the settings' clock.
        retired: a successor took over: an IDLE is over, and none is begun.
        news: how often the server told, unasked, that a message came, went or changed.
    """

    def __init__(self, address: str, settings: Settings) -> None:
        self.address = address
        self.settings = settings
        self.capabilities: frozenset[str] = frozenset()
        self.credential: Credential | None = None
        self.state = MailboxState()
        self.expires_at: float | None = None
        self.retired = False
        self.selection: ImapSession | None = None
        """Who hears what the server tells unasked: a mailbox that shares the connection with others."""
        self.news = 0
        self._next_news: asyncio.Future[None] | None = None
        self.protocol: ImapProtocol

    @classmethod
    async def open(
        cls,
        address: str,
        credentials: CredentialSource,
        settings: Settings,
        *,
        eager: bool = True,
        pace: Pace | None = None,
        on_throttled: Callable[[str], None] | None = None,
    ) -> ImapSession:
        """Connect and authenticate.

        Args:
            address: who logs in.
            credentials: where the credential comes from.
            settings: where to, and within which deadlines.
            eager: say AUTHENTICATE as soon as TLS has shown who the server is, without waiting a round trip for its greeting.
            pace: how commands are spaced once the server says ``[THROTTLED]``, shared by the account's sessions; ``None``: not.
            on_throttled: called with the server's words when they are spaced wider.

        Raises:
            ConnectFailed: no connection, in the system's or the TLS library's words.
            TokenRefused: the server refused the token, and a fresh one as well.
            LoginRequired, TokenEndpointError: there is no token.
            AccessDenied: IMAP is off, or the account is not let in.
            TooManyConnections, Unavailable, OverQuota: the server has no place for us now.

        Cancelled, it leaves nothing open.
        """
        self = cls(address, settings)
        credential = await credentials.get(_MIN_TTL)
        await self._connect(eager=eager)
        try:
            await self._authenticate(credential, credentials)
        except BaseException as error:
            self.protocol.fail(Disconnected(f"{settings.imap}: given up: {type(error).__name__}"))
            raise
        self.protocol.queue.pace, self.protocol.queue.on_throttled = pace, on_throttled
        return self

    @property
    def closed(self) -> asyncio.Future[GmailError]:
        """Done with the reason once the connection is gone."""
        return self.protocol.closed

    def next_news(self) -> asyncio.Future[None]:
        """Done when :attr:`news` counts on. It is shared: not to be cancelled."""
        if self._next_news is None:
            self._next_news = asyncio.get_running_loop().create_future()
        return self._next_news

    def abort(self) -> None:
        """Drop the connection at once."""
        self.protocol.fail(Disconnected(f"{self.settings.imap}: dropped by us"))

    async def aclose(self) -> None:
        """LOGOUT, within ``Timeouts.logout``; then the connection is dropped, whatever the server says.

        Cancelled, it drops the connection at once.
        """
        try:
            async with asyncio.timeout(self.settings.timeouts.logout):
                await self.protocol.queue.execute(Logout())
        except (GmailError, TimeoutError):
            pass
        finally:
            self.abort()

    async def execute(self, command: Command[T]) -> T:
        """Run a command; see :meth:`.queue.CommandQueue.execute`."""
        self._check_retired(command)
        return await self.protocol.queue.execute(command)

    def submit(self, command: Command[T]) -> Pending[T]:
        """Put a command on its way without waiting; whoever does not await its future need not.

        Raises:
            Disconnected: the session is retired, and this would go on for ever.
        """
        self._check_retired(command)
        return self.protocol.queue.submit(command)

    def _check_retired(self, command: Command[Any]) -> None:
        if self.retired and command.endless:
            raise self._superseded()

    def _superseded(self) -> Disconnected:
        where = self.settings.imap
        return Disconnected(f"{where}: another session took over", connection_lost=False, outcome=Outcome.NOT_APPLIED, stage="not sent")

    def retire(self) -> None:
        """A successor took over: IDLE is ended with DONE, and one that is wanted is to be asked of the successor."""
        self.retired = True
        self.protocol.queue.end_endless(self._superseded())

    async def probe(self, seconds: float) -> None:
        """See whether the server still answers: a NOOP, or whatever comes meanwhile, within so many seconds.

        Raises:
            TimedOut: nothing came; the connection is dropped.
            GmailError: the connection is gone.
        """
        received, pace = self.protocol.received(), self.protocol.queue.pace
        seconds += pace.gap if pace is not None else 0.0
        pending = self.submit(Noop())
        try:
            await asyncio.wait([pending.future], timeout=seconds)
        except asyncio.CancelledError:
            self.protocol.queue.cancel(pending)
            raise
        if pending.future.done():
            pending.future.result()
        elif self.protocol.received() == received:
            silent = TimedOut(f"{self.settings.imap}: no answer to NOOP within {seconds:g} s; the connection was dropped")
            self.protocol.fail(silent)
            raise silent

    def select(self, mailbox: str, *, readonly: bool, uidvalidity: int | None = None) -> Pending[MailboxState]:
        """Put SELECT or EXAMINE on its way. Reads may follow at once; nothing of theirs is handed on if it fails.

        Args:
            mailbox: its name.
            readonly: EXAMINE.
            uidvalidity: what it must be; if it is another the connection ends with :class:`MailboxChanged`.
        """
        return self.submit(Select(mailbox, readonly=readonly, uidvalidity=uidvalidity, on_selected=self._selected))

    def _selected(self, state: MailboxState) -> None:
        self.state = state

    # -- opening -----------------------------------------------------------------------------------------------------------

    async def _connect(self, *, eager: bool) -> None:
        endpoint, timeouts = self.settings.imap, self.settings.timeouts
        loop = asyncio.get_running_loop()
        protocol = self.protocol = ImapProtocol(
            loop, name=str(endpoint), limits=self.settings.limits, timeouts=timeouts, on_unsolicited=self._hear
        )
        tls = tls_options(endpoint)
        protocol.greeting.add_done_callback(self._greeted)
        began = loop.time()
        try:
            async with asyncio.timeout(timeouts.connect):
                await loop.create_connection(lambda: protocol, endpoint.host, endpoint.port, **tls)
                if not eager:
                    await protocol.greeting
        except TimeoutError as error:
            failure: GmailError = ConnectFailed(f"{endpoint}: no connection within {timeouts.connect:g} s")
            protocol.fail(failure)
            raise failure from error
        except OSError as error:
            if isinstance(error, GmailError):
                raise
            raise connect_failed(str(endpoint), error) from error
        except BaseException:
            protocol.fail(Disconnected(f"{endpoint}: given up while connecting"))
            raise
        silent = ConnectFailed(f"{endpoint}: no greeting within {timeouts.connect:g} s")
        late = loop.call_later(max(0.0, began + timeouts.connect - loop.time()), protocol.fail, silent)
        protocol.greeting.add_done_callback(lambda _: late.cancel())

    def _greeted(self, greeting: asyncio.Future[Status]) -> None:
        if not greeting.cancelled() and greeting.exception() is None and greeting.result().status == "PREAUTH":
            endpoint = self.settings.imap
            self.protocol.fail(AccessDenied(f"{endpoint}: the server greeted us as somebody already known (PREAUTH); not going on"))

    async def _authenticate(self, credential: Credential, credentials: CredentialSource) -> None:
        try:
            async with asyncio.timeout(self.settings.timeouts.auth):
                credential, capabilities = await authenticate(self._sasl, credential, credentials, _MIN_TTL)
        except TimeoutError as error:
            if isinstance(error, GmailError):
                raise
            raise TimedOut(f"{self.settings.imap}: not authenticated within {self.settings.timeouts.auth:g} s") from error
        self.credential = credential
        ends = self.settings.clock.now() + _LIFE
        self.expires_at = ends if credential.expires_at is None else min(ends, credential.expires_at)
        if capabilities is None:
            capabilities = await self.execute(CapabilityCommand())
        self._can(capabilities)
        if self.settings.client_name and "ID" in capabilities:
            self.submit(IdCommand({"name": self.settings.client_name}))

    async def _sasl(self, credential: Credential, before: TokenRefused | None) -> frozenset[str] | None:
        """One AUTHENTICATE: with the initial response at once, also before the server has told that it takes one."""
        known = frozenset(self.protocol.capabilities)
        if not known:
            asked = self.submit(CapabilityCommand())
            try:
                return await self._exchange(credential, known, before)
            except GmailError as error:
                if error.connection_lost or not asked.future.done() or getattr(error, "status", "") != "BAD":
                    raise
                known = await asked.future
                self.protocol.capabilities = set(known)
                if "SASL-IR" in known:
                    raise
        return await self._exchange(credential, known, before)

    async def _exchange(self, credential: Credential, known: frozenset[str], before: TokenRefused | None) -> frozenset[str] | None:
        """Run the command. A second refusal is known with its challenge: the NO, which servers delay, is not waited for long."""
        challenged = asyncio.get_running_loop().create_future()

        def challenge() -> None:
            if not challenged.done():
                challenged.set_result(None)

        command = self._auth_command(credential, known, challenge)
        if before is None:
            return await self.execute(command)
        pending = self.submit(command)
        try:
            await asyncio.wait([pending.future, challenged], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([pending.future], timeout=_WORDS_WITHIN if challenged.done() else None)
        except asyncio.CancelledError:
            self.protocol.queue.cancel(pending)
            raise
        if not pending.future.done():
            raise before
        return await pending.future

    def _auth_command(self, credential: Credential, known: frozenset[str], on_challenge: Callable[[], None]) -> Authenticate:
        endpoint = self.settings.imap
        mechanism = credential.mechanism
        offered = {name.removeprefix("AUTH=") for name in known if name.startswith("AUTH=")}
        if known and mechanism not in offered:
            others = {"XOAUTH2", "OAUTHBEARER"} & offered
            if mechanism == "PLAIN" or not others:
                raise AccessDenied(
                    f"{endpoint}: the server does not offer AUTH={mechanism}, only {', '.join(sorted(offered)) or 'nothing'}"
                )
            mechanism = others.pop()
        message = sasl.initial_response(mechanism, self.address, credential.secret, endpoint.host, endpoint.port)
        return Authenticate(mechanism, message, initial=not known or "SASL-IR" in known, on_challenge=on_challenge)

    def _can(self, capabilities: frozenset[str]) -> None:
        self.capabilities = capabilities
        self.protocol.capabilities = set(capabilities)
        if "LITERAL+" in capabilities:
            self.protocol.queue.literal_mode = LiteralMode.PLUS
        elif "LITERAL-" in capabilities:
            self.protocol.queue.literal_mode = LiteralMode.MINUS

    # -- what nobody asked for ---------------------------------------------------------------------------------------------

    def _hear(self, response: Response) -> None:
        (self.selection or self)._unsolicited(response)  # noqa: SLF001  another of its kind

    def _unsolicited(self, response: Response) -> None:
        if isinstance(response, Exists):
            self.state = replace(self.state, exists=response.number)
        elif isinstance(response, Expunge):
            self.state = replace(self.state, exists=max(0, self.state.exists - 1))
        elif isinstance(response, Status):
            self._status(response)
            return
        elif not isinstance(response, Fetch):
            return
        self.news += 1
        if self._next_news is not None:
            self._next_news.set_result(None)
            self._next_news = None

    def _status(self, response: Status) -> None:
        code = response.code
        value = code.args[0] if code is not None and code.args else None
        if code is not None and code.name == "HIGHESTMODSEQ" and isinstance(value, int):
            self.state = replace(self.state, highestmodseq=value)
        elif code is not None and code.name == "UIDNEXT" and isinstance(value, int):
            self.state = replace(self.state, uidnext=value)
        elif response.status != "OK" or (code is not None and code.name == "ALERT"):
            log.warning("%s: the server said %s %s", self.settings.imap, response.status, response.text)
