"""What do the sessions of the mail servers share? The greeting, a gate for each command, timers, and the word that they end with."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar

from .channel import Channel, Ending, Hangup
from .gate import Gate, read_command
from .ledger import Connection

if TYPE_CHECKING:
    from .emulated import EmulatedAccount
    from .hub import Hub
    from .tokens import AccessToken

__all__ = ["Session"]


class Session(abc.ABC):
    """One connection to a mail server.

    Attributes:
        protocol: its name in the ledger; ``done``: why a session ended that the client asked to end; ``line_limit``: bytes of a line.
        hub, channel, record: the emulator, the bytes, and the connection's entry in the ledger.
        sid: the id that Gmail's lines carry.
        failed_logins: on this connection.
        over: no further command is read.
    """

    protocol: ClassVar[str]
    done: ClassVar[str] = "quit"
    line_limit: ClassVar[int] = 16 * 1024

    def __init__(self, hub: Hub, channel: Channel) -> None:
        self.hub = hub
        self.channel = channel
        self.sid = hub.sid()
        self.record: Connection = hub.connected(self.protocol, channel)
        self.failed_logins = 0
        self.over = False
        self._timers: dict[str, asyncio.TimerHandle] = {}

    # What a protocol gives

    @abc.abstractmethod
    def greet(self) -> None:
        """Write the greeting."""

    @abc.abstractmethod
    def verb(self, words: list[bytes], line: bytes | None) -> str | None:
        """The command, as faults and ledger name it, of a line's first words; ``None``: not to be told from these yet, or not at all.

        Args:
            words: those that are whole.
            line: the whole line, once that is here.
        """

    @abc.abstractmethod
    async def obey(self, line: bytes, verb: str, gate: Gate) -> None:
        """Do what a command says, within its gate."""

    @abc.abstractmethod
    def farewell(self, ending: Ending) -> None:
        """Write a session's last words, which the client did not ask for."""

    @abc.abstractmethod
    def apologise(self) -> None:
        """Write the reply to a command that ran into a fault of the emulator's own."""

    def prefix(self, line: bytes) -> str:
        """What stands before a reply's text: IMAP's tag."""
        del line
        return ""

    async def unreadable(self, line: bytes) -> None:
        """A line came whose command cannot be told; in most protocols every line names one."""
        del line
        self.apologise()

    def ready(self) -> None:  # noqa: B027  not every protocol has something to do
        """The greeting is out, or a command was answered: the next may come."""

    # What they share

    async def serve(self) -> None:
        """From the greeting to the end."""
        reason = "closed by peer"
        try:
            await self._greeting()
            while not self.over:
                self.ready()
                await self._one_command()
                await self.channel.drain()
            reason = self.done
        except Hangup:
            pass
        except Ending as ending:
            reason = str(ending)
            self.channel.end_cuts()
            self.farewell(ending)
        except asyncio.CancelledError:
            reason = "emulator stopped"
            raise
        finally:
            self.end()
            self.hub.disconnected(self.record, reason)

    async def _greeting(self) -> None:
        gate = Gate(self.channel, self.hub.fault(self.record, "CONNECT"))
        await gate.open(0)
        if not await gate.before():
            self.greet()
        await gate.after()

    async def _one_command(self) -> None:
        line, verb, gate = await read_command(self.channel, self.line_limit, self.verb, self._gate)
        if verb is None or gate is None:
            await self.unreadable(line)
        else:
            await self.obey(line, verb, gate)

    def _gate(self, verb: str, line: bytes) -> Gate:
        return Gate(self.channel, self.hub.fault(self.record, verb), self.prefix(line))

    async def guard(self, work: Awaitable[None]) -> None:
        """Await a command's work; an exception that nobody foresaw is told to the client, and raised when the emulator is closed."""
        try:
            await work
        except Ending:
            raise
        except Exception as error:  # noqa: BLE001  the emulator's own fault
            self.hub.crashed(error)
            self.apologise()

    def log_in(self, account: EmulatedAccount, token: AccessToken | None) -> None:
        """The session is the account's from now on, until the time that is set to it."""
        expiry = self.hub.login(self.record, self.channel, account, token)
        if expiry is not None:
            self._timers["expiry"] = expiry

    def arm(self, name: str, seconds: float | None, call: Callable[..., object], *args: Any) -> None:
        """Call something in so many seconds, instead of the timer that had this name; ``None``: never."""
        self.disarm(name)
        if seconds is not None:
            self._timers[name] = asyncio.get_running_loop().call_later(seconds, call, *args)

    def disarm(self, name: str) -> None:
        """Forget a timer, if it is set."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def end(self) -> None:
        """Let go of the timers."""
        for name in list(self._timers):
            self.disarm(name)
