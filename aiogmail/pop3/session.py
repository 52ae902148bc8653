"""What can be asked in a POP3 session? First for a listing, which opens it; then commands by unique-id.

Message numbers are a session's own and never leave it: all that is asked names a message by its UIDL.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from aiogmail.errors import CommandError, Disconnected, GmailError, ProtocolError
from aiogmail.ports import CredentialSource, Outcome
from aiogmail.settings import Settings

from .connection import DEPTH, Connection
from .exchange import Exchange
from .failures import command_error, seems_empty
from .login import ask_capabilities, log_in
from .models import PopStat
from .wire import SEEMS, Expect, Status, read_capabilities, read_pairs

__all__ = ["Pop3Session"]

log = logging.getLogger("aiogmail.pop3")

_GMAIL = "X-GOOGLE-RICO"


class Pop3Session:
    """One authenticated POP3 session. Made by :meth:`open`.

    Attributes:
        capabilities: what CAPA said after the login: name → arguments.
        stat: what STAT said when it was opened.
        sizes: the messages of the session, as they were listed when it was opened: UIDL → octets, oldest first.
        deleted: those marked for deletion.
        unclaimed: those that were asked for and have not been handed over whole: a QUIT would count them as popped all the same.
        retrieved: those that were retrieved and handed over.
    """

    expires_at: float | None = None
    """No supervisor opens a successor before this session's end: POP3 locks the mailbox, and leaving by QUIT commits."""

    def __init__(self, address: str, settings: Settings, connection: Connection) -> None:
        self.address = address
        self.settings = settings
        self.connection = connection
        self.capabilities: dict[str, tuple[str, ...]] = {}
        self.stat = PopStat(0, 0)
        self.sizes: dict[str, int] = {}
        self.deleted: set[str] = set()
        self.unclaimed: set[str] = set()
        self.retrieved: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._has_asked = False
        self._quit: Exchange | None = None
        self._closed: asyncio.Future[GmailError] = asyncio.get_running_loop().create_future()
        connection.on_closed = self._connection_closed

    # -- opening -----------------------------------------------------------------------------------------------------------

    @classmethod
    async def open(cls, address: str, credentials: CredentialSource, settings: Settings, *, recent: bool = False) -> Pop3Session:
        """Connect, authenticate and list.

        Args:
            address: who logs in.
            credentials: where the credential comes from.
            settings: where to, and within which deadlines.
            recent: Gmail's recent mode: the last 30 days, whether popped before or not.

        Raises:
            ConnectFailed: no connection, in the system's or the TLS library's words.
            TokenRefused: the server refused the token, and a fresh one as well.
            LoginRequired, TokenEndpointError: there is no token.
            AccessDenied: POP is off (which Gmail says only after the login), or the account is not let in.
            Unavailable: a temporary problem, also where the server would show an empty mailbox instead; or another session
                has the mailbox locked.

        Cancelled, it leaves nothing open.
        """
        self = cls(address, settings, await log_in(address, credentials, settings, recent=recent))
        try:
            await self._look_around()
        except BaseException as error:
            self.connection.fail(error if isinstance(error, GmailError) else Disconnected(f"{settings.pop3}: given up while opening"))
            raise
        return self

    async def _look_around(self) -> None:
        """CAPA, STAT, UIDL and LIST: in one flight with Gmail, which takes pipelining once we are logged in."""
        connection = self.connection
        if self._greets_as_gmail:
            connection.depth = DEPTH
        capa = ask_capabilities()
        if connection.depth == 1:
            await connection.execute(capa)
            if "PIPELINING" in read_capabilities(capa.body):
                connection.depth = DEPTH
        stat = Exchange("STAT", b"STAT", patience=self.settings.timeouts.command)
        uidl = Exchange("UIDL", b"UIDL", Expect.LINES, table=True)
        sizes = Exchange("LIST", b"LIST", Expect.LINES, table=True)
        connection.submit(*([] if capa.future.done() else [capa]), stat, uidl, sizes)
        for exchange in (capa, stat, uidl, sizes):
            status = await connection.settle(exchange)
            if exchange is not capa:
                self._check(exchange, status)
        self.capabilities = read_capabilities(capa.body) if capa.future.result().ok else {}
        self.stat = _read_stat(stat.future.result())
        self._listed(read_pairs(uidl.body), read_pairs(sizes.body))

    def _listed(self, uidls: dict[int, str], sizes: dict[int, str]) -> None:
        for number in sorted(uidls):
            uidl, size = uidls[number], sizes.get(number, "")
            if uidl in self._numbers:
                log.warning("%s: two messages with the UIDL %s: only the first can be asked for", self.settings.pop3, uidl)
                continue
            self._numbers[uidl] = number
            self.sizes[uidl] = int(size) if size.isascii() and size.isdigit() else 0

    # -- what a supervisor needs -------------------------------------------------------------------------------------------

    @property
    def closed(self) -> asyncio.Future[GmailError]:
        """Done with the reason once the session is over."""
        return self._closed

    def _connection_closed(self, reason: GmailError) -> None:
        # After QUIT the server closes, as it should: whoever quit says when that is the end.
        if not self.has_quit and not self._closed.done():
            self._closed.set_result(reason)

    def abort(self) -> None:
        """Drop the connection at once: nothing of this session is committed."""
        error = Disconnected(f"{self.settings.pop3}: dropped by us")
        self.connection.fail(error)
        if not self._closed.done():
            self._closed.set_result(self.connection.closed.result())

    async def aclose(self) -> None:
        """Take leave: by QUIT where that commits nothing, else by dropping the connection. What is to be committed is by :meth:`quit`.

        Cancelled, it drops the connection at once.
        """
        try:
            # What was asked for counts as popped, though it may have reached nobody.
            if not (self.deleted or self._has_asked or self.has_quit or self.connection.closed.done()):
                await self.quit()
        except GmailError:
            pass
        finally:
            self.abort()

    # -- commands ----------------------------------------------------------------------------------------------------------

    @property
    def is_ending(self) -> bool:
        """QUIT was sent: nothing more can be asked here."""
        return self._quit is not None

    @property
    def has_quit(self) -> bool:
        """QUIT was answered with ``+OK``: the server has done what the session asked for."""
        return self._quit is not None and self._quit.is_granted

    @property
    def _greets_as_gmail(self) -> bool:
        return self.connection.greeting.result().text.startswith("Gpop")

    @property
    def is_gmail(self) -> bool:
        """Whether a message that was retrieved counts as popped after a clean QUIT, and is not shown again."""
        return _GMAIL in self.capabilities or self._greets_as_gmail

    @property
    def uidls(self) -> tuple[str, ...]:
        """The messages of the session without those marked for deletion, oldest first."""
        return tuple(uidl for uidl in self.sizes if uidl not in self.deleted)

    async def ask_stat(self) -> PopStat:
        """STAT."""
        return _read_stat(await self._simple("STAT", "STAT"))

    async def noop(self) -> None:
        """NOOP."""
        await self._simple("NOOP", "NOOP")

    async def probe(self, seconds: float) -> None:
        """Ask whether the server still answers: NOOP within so many seconds.

        Raises:
            TimedOut: it does not; the connection is dropped.
            GmailError: the session is over.
        """
        exchange = Exchange("NOOP", b"NOOP", patience=seconds)
        self.ask([exchange])
        self._check(exchange, await self.connection.settle(exchange))

    async def reset(self) -> None:
        """RSET: nothing is marked for deletion any more."""
        await self._simple("RSET", "RSET")
        self.deleted.clear()

    async def top(self, uidl: str, lines: int) -> bytes:
        """TOP: the header and so many lines of the body."""
        exchange = Exchange("TOP", b"TOP %d %d" % (self._number(uidl), lines), Expect.LINES)
        self.ask([exchange])
        self._check(exchange, await self.connection.settle(exchange))
        return exchange.body

    async def retrieve(self, uidl: str) -> bytes:
        """RETR: the whole message."""
        exchange = self.retr(uidl)
        self.ask([exchange])
        self.check_retr(uidl, exchange, await self.connection.settle(exchange))
        return exchange.body

    def retr(self, uidl: str, on_octets: Callable[[bytes], None] | None = None) -> Exchange:
        """A RETR that :meth:`ask` may put on its way."""
        self._has_asked = True
        return Exchange("RETR", b"RETR %d" % self._number(uidl), Expect.LINES, on_octets=on_octets)

    def ask(self, exchanges: Iterable[Exchange]) -> None:
        """Put commands on their way, in one write where they may be pipelined.

        Raises:
            GmailError: the session is over.
        """
        if self._quit is not None:
            raise Disconnected(f"{self.settings.pop3}: the session is being ended by QUIT", outcome=Outcome.NOT_APPLIED)
        self.connection.submit(*exchanges)

    def check_retr(self, uidl: str, exchange: Exchange, status: Status) -> None:
        """The message came, whole, and is handed over.

        Raises:
            GmailError: what the server said instead.
        """
        self.unclaimed.discard(uidl)
        self._check(exchange, status)
        self.retrieved.add(uidl)

    async def retrieve_again(self, uidls: Iterable[str]) -> None:
        """RETR of messages that somebody has already: so that they count as popped. What comes is dropped.

        Raises:
            GmailError: the session is over. A message that the server refuses is left as it is.
        """
        wanted = list(uidls)
        for start in range(0, len(wanted), DEPTH):
            asked = [(uidl, self.retr(uidl, on_octets=_drop)) for uidl in wanted[start : start + DEPTH]]
            self.ask(exchange for _, exchange in asked)
            for uidl, exchange in asked:
                if (await self.connection.settle(exchange)).ok:
                    self.retrieved.add(uidl)

    async def delete(self, uidls: Iterable[str]) -> None:
        """DELE for each, pipelined. Those that are marked already are left out.

        Raises:
            CommandError: the first refusal, or that this session does not show one; the others are marked all the same.
        """
        wanted, failure = self._to_mark(uidls)
        for start in range(0, len(wanted), DEPTH):
            asked = [(uidl, self._dele(uidl)) for uidl in wanted[start : start + DEPTH]]
            self.ask(exchange for _, exchange in asked)
            for uidl, exchange in asked:
                status = await self.connection.settle(exchange)
                try:
                    self._check(exchange, status)
                except CommandError as error:
                    failure = failure or error
                else:
                    self.deleted.add(uidl)
        if failure is not None:
            raise failure

    def _to_mark(self, uidls: Iterable[str]) -> tuple[list[str], CommandError | None]:
        """Those that can be marked and are not; and why one cannot."""
        found: list[str] = []
        failure: CommandError | None = None
        for uidl in dict.fromkeys(uidls):
            if uidl in self.deleted:
                continue
            try:
                self._number(uidl)
            except CommandError as error:
                failure = failure or error
            else:
                found.append(uidl)
        return found, failure

    def _dele(self, uidl: str) -> Exchange:
        return Exchange("DELE", b"DELE %d" % self._numbers[uidl], patience=self.settings.timeouts.command)

    async def quit(self) -> None:
        """QUIT: the server removes what is marked, and Gmail counts what was retrieved as popped.

        After it the session is of no use; :attr:`closed` is done by :meth:`abort`.

        Raises:
            CommandError: the server did not remove all of it; ``outcome`` is UNKNOWN.
            TransportError: its answer was lost; ``outcome`` is UNKNOWN, or NOT_APPLIED where QUIT was not sent.

        Cancelled, it drops the connection.
        """
        exchange = Exchange("QUIT", b"QUIT", patience=self.settings.timeouts.command)
        try:
            self.ask([exchange])
        except GmailError as error:
            error.outcome, error.stage = Outcome.NOT_APPLIED, "QUIT"
            raise
        self._quit = exchange
        try:
            status = await self.connection.settle(exchange)
            self._check(exchange, status)
        except GmailError as error:
            error.outcome, error.stage = Outcome.UNKNOWN, "QUIT"
            raise

    # -- inside ------------------------------------------------------------------------------------------------------------

    async def _simple(self, name: str, line: str) -> Status:
        exchange = Exchange(name, line.encode("ascii"), patience=self.settings.timeouts.command)
        self.ask([exchange])
        status = await self.connection.settle(exchange)
        self._check(exchange, status)
        return status

    def _number(self, uidl: str) -> int:
        number = self._numbers.get(uidl)
        if number is None or uidl in self.deleted:
            why = "it is marked for deletion" if number is not None else "this session does not show it"
            raise CommandError(
                f"{self.settings.pop3}: there is no message {uidl}: {why}",
                status="-ERR",
                text=why,
                outcome=Outcome.NOT_APPLIED,
                stage="UIDL",
            )
        return number

    def _error(self, exchange: Exchange, status: Status) -> GmailError:
        return command_error(f"{self.settings.pop3}: {exchange.name}", status)

    def _check(self, exchange: Exchange, status: Status) -> None:
        if not status.ok:
            error = self._error(exchange, status)
            if error.connection_lost:
                self.connection.fail(error)
            raise error
        _check_not_empty(f"{self.settings.pop3}: {exchange.name}", status)


def _drop(octets: bytes) -> None:
    """Nobody wants them."""


def _check_not_empty(what: str, status: Status) -> None:
    if status.code == SEEMS:
        raise seems_empty(what, status)


def _read_stat(status: Status) -> PopStat:
    words = status.text.split()
    if len(words) < 2 or not all(word.isascii() and word.isdigit() and len(word) < 20 for word in words[:2]):
        raise ProtocolError(f"the server broke the POP3 grammar: not an answer to STAT: {str(status)[:80]!r}")
    return PopStat(int(words[0]), int(words[1]))
