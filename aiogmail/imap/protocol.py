"""The live connection as an ``aioimaplib.IMAP4ClientProtocol``: our engine, in aioimaplib's clothes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from aiogmail.errors import ConfigurationError, Disconnected, GmailError, ProtocolError
from aiogmail.settings import Limits, Timeouts, is_loopback

from .commands import capabilities_of
from .commands.foreign import Foreign, ForeignIdle, Line, Reply, lines_of
from .connection import Connection
from .dialect import Dialect, values_of
from .door import STOP, CommandTimedOut, aioimaplib, translated
from .pending import Pending
from .pushes import Pushes
from .wire import Capability, Response, Status, Tagged

__all__ = ["ImapProtocol"]

_LITERAL = re.compile(r"\{(\d+)\+?\}\Z")
_VERSIONS = frozenset({"IMAP4", "IMAP4REV1", "IMAP4REV2"})


class ImapProtocol(Connection, Dialect):
    """One IMAP connection.

    With ``on_unsolicited`` it serves a session of ours, which does the greeting and the login. Without, it stands alone, as an
    ``aioimaplib.IMAP4`` makes it: it asks for the capabilities after the greeting, and what the server tells unasked goes to
    ``idle_queue``, whether or not IDLE is on.

    Args:
        loop: the running loop; ``None``: that which runs.
        conn_lost_cb: called once with the transport's reason when the connection is gone.
        name: what errors call it, such as ``"imap.gmail.com:993"``.
        limits: bounds on what the server may make us hold.
        timeouts: deadlines of commands.
        on_unsolicited: takes the responses that belong to no command; none may be missed.

    Attributes:
        queue: the commands.
        greeting: done with the greeting, or failed with why there was none.
        closed: done with the reason once the connection is gone.
        capabilities: as the server wrote them.
        idle_queue: lines that came unasked, a list for each arrival, and ``STOP_WAIT_SERVER_PUSH`` where waiting should end.
        tells_news: whether they go there.
        pending_sync_command, pending_async_commands: what was given to :meth:`execute` last, for those who look.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None = None,
        conn_lost_cb: Callable[[Exception | None], None] | None = None,
        *,
        name: str = "IMAP server",
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        on_unsolicited: Callable[[Response], None] | None = None,
    ) -> None:
        self._state: str = aioimaplib.STARTED
        self._state_changes: list[asyncio.Future[None]] = []
        loop = asyncio.get_running_loop() if loop is None else loop
        limits, timeouts = limits or Limits(), timeouts or Timeouts()
        Dialect.__init__(self, loop, conn_lost_cb)
        Connection.__init__(self, loop, name=name, limits=limits, timeouts=timeouts, new_tag=self.new_tag, on_unsolicited=self._unsolicited)
        self._on_unsolicited = on_unsolicited
        self.tells_news = on_unsolicited is None
        self._examined = False
        self._idle: Pending[Any] | None = None
        self._told_done = False
        self._begins: list[asyncio.Future[None]] = []
        self._news: list[Line] = []
        self.idle_queue = Pushes(limits.buffer // 2, self.hold, self.release, self.may_hold_back)

    # -- states ------------------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """STARTED, CONNECTED, NONAUTH, AUTH, SELECTED or LOGOUT; EXAMINE leaves AUTH, and what needs a mailbox is legal then."""
        return self._state

    @state.setter
    def state(self, state: str) -> None:
        self._state = state
        changes, self._state_changes = self._state_changes, []
        for change in changes:
            if not change.done():
                change.set_result(None)

    async def wait(self, state_regexp: str) -> None:
        """Wait until the state matches.

        Raises:
            ConnectionLost: it never will.

        Cancelled before the greeting was read it drops the connection: nobody else would.
        """
        wanted = re.compile(state_regexp)
        while not wanted.match(self.state):
            if self.closed.done():
                raise translated(self.closed.result()) from self.closed.result()
            change = self._loop.create_future()
            self._state_changes.append(change)
            try:
                await change
            except asyncio.CancelledError:
                if self.state in (aioimaplib.STARTED, aioimaplib.CONNECTED):
                    self.fail(Disconnected(f"{self.name}: given up while waiting for the greeting"))
                raise

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self.closed.done():
            self.state = aioimaplib.CONNECTED

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        tell = self.conn_lost_cb
        if tell is None:
            return
        if self.closed.done():
            tell(exc)
        else:  # the last of what the server said is worked off first
            self.closed.add_done_callback(lambda _: tell(exc))

    def fail(self, error: GmailError) -> None:
        """End the connection for this reason: everything that waits hears it now. Nothing buffered is sent any more."""
        if self.closed.done():
            return
        self._tell_news()
        super().fail(error)
        self._idle_event.clear()
        self.idle_queue.end(lambda: translated(error))
        self.state = aioimaplib.LOGOUT

    def _greet(self, response: Response) -> None:
        super()._greet(response)
        if not self.greeting.done() or self.greeting.exception() is not None:
            return
        greeting = self.greeting.result()
        known = capabilities_of(greeting)
        if self._on_unsolicited is not None:
            self.capabilities = set(known or ())
        elif known:
            self._learn(_code_words(greeting))
        else:
            asked = self.queue.submit(Foreign("CAPABILITY", wants="CAPABILITY", on_settled=self._settled))
            asked.future.add_done_callback(lambda future: self._asked(greeting, future))
            return
        self._welcomed(greeting)

    def _asked(self, greeting: Status, future: asyncio.Future[Reply]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._welcomed(greeting)

    def _welcomed(self, greeting: Status) -> None:
        if self._on_unsolicited is None and self.imap_version is None:
            self.fail(ProtocolError(f"{self.name}: server not IMAP4 compliant"))
        else:
            self.state = aioimaplib.AUTH if greeting.status == "PREAUTH" else aioimaplib.NONAUTH

    def _learn(self, capabilities: list[str]) -> None:
        self.capabilities = set(capabilities)
        versions = sorted(name.upper() for name in capabilities if name.upper() in _VERSIONS)
        if versions:
            self.imap_version = versions[0] if "IMAP4REV1" not in versions else "IMAP4REV1"

    def serve_aioimaplib(self) -> None:
        """A session of ours has logged in; from here on the connection is also used in aioimaplib's words."""
        self.tells_news = True
        self._learn(list(self.capabilities))
        if self.state == aioimaplib.NONAUTH:
            self.state = aioimaplib.AUTH

    def _settled(self, command: Foreign, tagged: Tagged) -> None:
        """What a reply changes, also when nobody waits for it any more."""
        if tagged.status != "OK":
            if tagged.status == "NO" and command.verb in ("SELECT", "EXAMINE"):  # RFC 9051 section 6.3.2: nothing is selected
                self.state, self._examined = aioimaplib.AUTH, False
            return
        if command.capabilities is not None:
            self._learn(command.capabilities)
        match command.verb:
            case "SELECT":
                self.state, self._examined = aioimaplib.SELECTED, False
            case "EXAMINE":
                self._examined = True
            case "LOGIN" | "AUTHENTICATE" | "CLOSE" | "UNSELECT":
                self.state, self._examined = aioimaplib.AUTH, False
            case "LOGOUT":
                self.state = aioimaplib.LOGOUT
                self._loop.call_soon(self.fail, Disconnected(f"{self.name}: logged out"))

    # -- commands ----------------------------------------------------------------------------------------------------------

    def check_legal(self, verb: str) -> None:
        """Raise ``Abort`` for a command that the state does not allow, or that this connection cannot do."""
        if self.closed.done():
            error = self.closed.result()
            raise translated(error) from error
        if verb in ("STARTTLS", "COMPRESS"):
            raise aioimaplib.Abort(f"command {verb} is not offered: connect with TLS from the first byte")
        entry = aioimaplib.Commands.get(verb)
        if entry is None or self.state in entry.valid_states or (self._examined and aioimaplib.SELECTED in entry.valid_states):
            return
        raise aioimaplib.Abort(f"command {verb} illegal in state {self.state}")

    def _check_private(self, verb: str) -> None:
        """A secret must not be sent where others can read it."""
        assert self.transport is not None
        peer = self.transport.get_extra_info("peername")
        if self.transport.get_extra_info("sslcontext") is None and not (isinstance(peer, tuple) and is_loopback(str(peer[0]))):
            raise aioimaplib.Abort(f"{self.name}: {verb} in plain text would show the secret on the way; connect with TLS")

    async def execute(self, command: Any, scrub: str | None = None) -> Any:
        """Run an ``aioimaplib.Command``; its own ``timeout`` counts from now.

        Args:
            command: its name, arguments, prefix and timeout are used; it is run once.
            scrub: given, its arguments are not logged.

        Returns:
            ``Response(result, lines)``: OK, NO or BAD, and lines as :mod:`.commands.foreign` says.

        Raises:
            Abort: it is illegal in this state; as :class:`ConnectionLost`: the connection is gone, now or already.
            CommandTimeout: its time is up.
            ValueError: its arguments cannot be sent.

        Cancelling is safe, as :meth:`.queue.CommandQueue.execute` says.
        """
        command._timer.cancel()  # it began to run when the command was made  # noqa: SLF001
        verb = command.name.upper()
        self.check_legal(verb)
        if verb == "IDLE":
            return await self._run_idle()
        entry = aioimaplib.Commands.get(verb)
        gets_all = entry is None or entry.exec is aioimaplib.Exec.is_sync or verb == "NOOP"
        wants = None if gets_all else "QUOTA" if verb == "GETQUOTAROOT" else command.untagged_resp_name
        arguments, message = self._message_of(command) if verb == "APPEND" else (command.args, None)
        values = values_of(command, verb, scrub)
        foreign = Foreign(verb, arguments, values=values, uid=bool(command.prefix), wants=wants, literal=message)
        name: str = command.untagged_resp_name
        if entry is None or entry.exec is aioimaplib.Exec.is_sync:
            self.pending_sync_command = command
        else:
            self.pending_async_commands[name] = command
        try:
            return await self.run(foreign, command._timeout, command)  # noqa: SLF001
        finally:
            if self.pending_sync_command is command:
                self.pending_sync_command = None
            if self.pending_async_commands.get(name) is command:
                del self.pending_async_commands[name]

    def _message_of(self, command: Any) -> tuple[tuple[Any, ...], bytes]:
        """The message of an APPEND made by hand, for which ``literal_data`` was set. It is taken now, for this one alone."""
        message, self.literal_data = self.literal_data, None
        announced = _LITERAL.match(str(command.args[-1])) if command.args else None
        if announced is None or message is None or int(announced[1]) != len(message):
            raise ValueError("APPEND: expected {size} as the last argument, and literal_data of that size")
        return command.args[:-1], message

    async def run(self, foreign: Foreign, seconds: float | None = None, command: Any = None) -> Any:
        """Run a command within ``seconds``; otherwise as :meth:`execute`."""
        self.check_legal(foreign.verb)
        if foreign.verb in ("LOGIN", "AUTHENTICATE"):
            self._check_private(foreign.verb)
        foreign.on_settled = self._settled
        try:
            pending = self.queue.submit(foreign)
            try:
                return aioimaplib.Response(*await self._within(seconds, pending, command))
            except asyncio.CancelledError:
                self.queue.cancel(pending)
                raise
        except (ConfigurationError, CommandTimedOut):
            raise
        except GmailError as error:
            raise translated(error, command) from error

    async def _within(self, seconds: float | None, pending: Pending[Reply], command: Any) -> Reply:
        """Await the result. What carries much has its time renewed while it comes or goes at a least rate."""
        if seconds is None:
            return await pending.future
        least, moved = 1.0, self.received() + self.sent
        while not (await asyncio.wait((pending.future,), timeout=seconds))[0]:
            before, moved = moved, self.received() + self.sent
            if not (pending.command.bulk and moved - before >= least):
                self.queue.cancel(pending)
                raise CommandTimedOut(
                    f"{self.name}: {pending.command.name} was not answered within {seconds:g} s",
                    command,
                    connection_lost=self.closed.done(),
                )
            least = self._timeouts.min_rate * seconds
        return pending.future.result()

    # -- IDLE, and what comes unasked --------------------------------------------------------------------------------------

    def has_pending_idle_command(self) -> bool:
        """Whether an IDLE waits for its turn or goes on."""
        return self._idle is not None and not self._idle.future.done()

    async def _run_idle(self) -> Any:
        self.idle_queue.discard(STOP)  # it meant an IDLE before
        self._told_done = False
        pending = self._idle = self.queue.submit(ForeignIdle(self._idle_starts, self._news.extend, self._idled))
        try:
            return aioimaplib.Response(*await pending.future)
        except asyncio.CancelledError:
            self.queue.cancel(pending)
            raise
        except GmailError as error:
            raise translated(error) from error

    def idle_begun(self) -> asyncio.Future[None]:
        """Done when an IDLE begins from now on; nobody need await it."""
        begun = self._loop.create_future()
        self._begins.append(begun)
        return begun

    def _idle_starts(self) -> None:
        self._idle_event.set()
        begins, self._begins = self._begins, []
        for begun in begins:
            if not begun.done():
                begun.set_result(None)

    def idle_done(self) -> None:
        """End the IDLE that goes on, if there is one."""
        pending = self._idle
        if pending is None or pending.future.done():
            return
        self._told_done = True
        if pending.tag:
            self.queue.interrupt(pending)
        else:
            pending.command.interrupt()  # it will end as soon as it has begun

    def _idled(self, _tagged: Tagged) -> None:
        """An IDLE is over. If nobody asked for that, because another command was given, who waits for pushes hears it."""
        begun = self._idle_event.is_set()
        self._idle_event.clear()
        if begun and not self._told_done:
            self._tell_news()
            self.idle_queue.put_nowait(STOP)

    def _unsolicited(self, response: Response) -> None:
        if isinstance(response, Capability) and self._on_unsolicited is None:
            self._learn(response.raw.decode("ascii", "replace").split()[2:])
        if self._on_unsolicited is not None:
            self._on_unsolicited(response)
        if self.tells_news:
            self._news += lines_of(response)

    def _process(self, responses: list[Response]) -> None:
        super()._process(responses)
        self._tell_news()

    def _tell_news(self) -> None:
        """One list for what arrived together."""
        if self._news:
            news = self._news[:]
            self._news.clear()
            self.idle_queue.put_nowait(news)
            if self.is_holding():
                self.regulate()


def _code_words(status: Status) -> list[str]:
    return status.code.text.split() if status.code is not None else []
