"""What do the servers share? Accounts, tokens, time, faults and the ledger."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .behaviour import Behaviour
from .channel import Channel
from .emulated import SESSION_EXPIRED, EmulatedAccount
from .faults import Fault, Faults
from .ledger import CommandSeen, Connection, Ledger
from .tokens import AccessToken, TokenAuthority

__all__ = ["Hub"]

_FAREWELLS = {
    "imap": f"* BYE {SESSION_EXPIRED}",
    "smtp": "421 4.7.0 Connection expired, try reconnecting",
    "pop3": "-ERR [SYS/TEMP] Temporary system problem. Please try again later.",
}


class Hub:
    """The state behind all servers of one emulator.

    Attributes:
        behaviour: switches of accounts made from now on, and of connections before login.
        accounts: by address.
        ledger: of all servers.
        faults: what goes wrong.
        refused_recipients: address → the reply that its RCPT gets, such as ``"550 5.1.1 No such user"``.
        tokens: grants and access tokens.
        channels: the open connections.
        clockless: monotonic and wall clock where no loop runs: the machine's, or a virtual loop's before it begins.
        crashes: what nobody foresaw.
        tasks: what runs beside the connections, such as a Sent copy on its way.
    """

    def __init__(self, behaviour: Behaviour, seed: int) -> None:
        self.behaviour = behaviour
        self.seed = seed
        self.accounts: dict[str, EmulatedAccount] = {}
        self.ledger = Ledger()
        self.faults = Faults()
        self.random = random.Random(f"{seed}/hub")  # noqa: S311  ids, not secrets
        self.tokens = TokenAuthority(self.now, seed)
        self.refused_recipients: dict[str, str] = {}
        self.channels: dict[Channel, None] = {}  # in order: a set's is another one in every process
        self.timers: set[asyncio.TimerHandle] = set()
        self.clockless: tuple[Callable[[], float], Callable[[], float]] = time.monotonic, time.time
        self.crashes: list[Exception] = []
        self.make_credentials: Callable[[str], Any] = lambda _: None

    # Time

    def now(self) -> float:
        """Seconds of the running loop; without one, of ``clockless``."""
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return self.clockless[0]()

    def wall(self) -> float:
        """Seconds since the epoch; a virtual loop has a wall clock of its own."""
        try:
            return float(getattr(asyncio.get_running_loop(), "wall", time.time)())
        except RuntimeError:
            return self.clockless[1]()

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Call something later, at once if ``seconds`` is 0; the emulator's end cancels it."""
        if seconds <= 0:
            call()
            return

        def run() -> None:
            self.timers.discard(handle)
            call()

        handle = asyncio.get_running_loop().call_later(seconds, run)
        self.timers.add(handle)

    def ledger_of(self, address: str | None) -> Ledger:
        """The account's ledger, which leads to that of all; that one alone where the account is unknown."""
        account = self.accounts.get(address or "")
        return self.ledger if account is None else account.ledger

    # Connections

    def sid(self) -> str:
        """A session id as Gmail's greetings have it."""
        letters = "".join(self.random.choices("abcdefghijklmnopqrstuvwxyz", k=3))
        return f"{letters[0]}{self.random.randrange(10, 99)}{letters[1:]}{self.random.randrange(10**8, 10**9)}edq"

    def connected(self, protocol: str, channel: Channel) -> Connection:
        """A connection came up."""
        record = Connection(len(self.ledger.connections) + 1, protocol, self.wall())
        self.ledger.connections.append(record)
        channel.record = record
        if channel.task is not None:
            self.channels[channel] = None
            # Until it is closed, not merely until nobody talks over it.
            channel.task.add_done_callback(lambda _: self.channels.pop(channel, None))
        return record

    def disconnected(self, record: Connection, reason: str) -> None:
        """It is over."""
        record.closed_at = self.wall()
        record.reason = record.reason or reason
        if record.address is not None:
            self.accounts[record.address].sessions.pop(record.number, None)

    def saw(self, record: Connection, verb: str, line: str) -> None:
        """A command was read."""
        seen = CommandSeen(self.wall(), record.protocol, record.number, verb, line)
        self.ledger_of(record.address).add(seen)

    def fault(self, record: Connection, verb: str) -> Fault | None:
        """The fault that hits this command, if any."""
        found = self.faults.match(record.protocol, verb, record.address)
        if found is not None and found.action in {"bye", "bye_open"} and not found.text:
            return replace(found, text=_FAREWELLS.get(record.protocol, ""))
        return found

    def crashed(self, error: Exception) -> None:
        """A command ran into an exception that nobody foresaw: the emulator's own fault, raised when it is closed."""
        self.crashes.append(error)

    # Logins

    def may_login(self, account: EmulatedAccount) -> bool:
        """Count a login against the account's rate."""
        limit = account.behaviour.login_rate
        now = self.now()
        account.logins = [at for at in account.logins if at > now - account.behaviour.login_window]
        if limit is not None and len(account.logins) >= limit:
            return False
        account.logins.append(now)
        return True

    def login(
        self, record: Connection, channel: Channel, account: EmulatedAccount, token: AccessToken | None
    ) -> asyncio.TimerHandle | None:
        """The connection is a session of the account now; the timer that will end it, if its life is limited."""
        record.address = account.address
        record.authenticated_at = self.wall()
        account.ledger.connections.append(record)
        account.sessions[record.number] = record, channel
        behaviour = account.behaviour
        life = behaviour.pop_session_lifetime if record.protocol == "pop3" else behaviour.session_lifetime
        ends = [] if life is None else [self.now() + life]
        if token is not None and behaviour.session_ends_with_token:
            ends.append(token.expires_at + behaviour.session_grace)
        if not ends:
            return None
        return asyncio.get_running_loop().call_at(min(ends), channel.interrupt, SESSION_EXPIRED)

    def credentials(self, address: str) -> Any:
        """See :meth:`GmailEmulator.credentials`."""
        return self.make_credentials(address)

    def configure(self, **changes: Any) -> None:
        """Change switches, for the accounts that exist and for those to come."""
        self.behaviour = replace(self.behaviour, **changes)
        for account in self.accounts.values():
            account.configure(**changes)

    async def stop(self) -> None:
        """Cut every connection off and wait until its task is gone."""
        for handle in self.timers:
            handle.cancel()
        self.timers.clear()
        channels = list(self.channels)
        tasks = [channel.task for channel in channels if channel.task is not None]
        for channel in channels:
            channel.abort()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for channel in channels:
            await channel.wait_closed()
