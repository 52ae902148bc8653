"""What can a test do with an account? Deliver to it, look at it, and pull the rug from under its sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .account import AccountModel
from .behaviour import Behaviour
from .channel import Channel
from .ledger import Connection
from .tokens import GMAIL_SCOPE

if TYPE_CHECKING:
    from .hub import Hub

__all__ = ["SESSION_EXPIRED", "EmulatedAccount"]

SESSION_EXPIRED = "Session expired, please login again."


class EmulatedAccount(AccountModel):
    """An account of the emulator: made by :meth:`GmailEmulator.add_account`.

    Beside what :class:`~aiogmail.testing.account.AccountModel` has:

    Attributes:
        app_password: the password that PLAIN and LOGIN take, or ``""``: none.
        aliases: addresses that it may send as.
        sent_at: when it submitted messages, in seconds of the emulator's clock.
        pop_since: from when on ``pop_access="fromNowOn"`` shows messages.
        sessions: the logged-in connections and how to reach them.
    """

    def __init__(self, hub: Hub, address: str, behaviour: Behaviour, app_password: str = "") -> None:
        super().__init__(address.lower(), behaviour, hub.wall, hub.seed)
        self._hub = hub
        self.ledger.above = hub.ledger
        self.app_password = app_password.replace(" ", "")
        self.aliases: set[str] = set()
        self.sessions: dict[int, tuple[Connection, Channel]] = {}
        self.logins: list[float] = []
        self.sent_at: list[float] = []
        self.pop_since = hub.wall()

    def __repr__(self) -> str:
        return f"<emulated {self.address}: {len(self._messages)} messages, {len(self.sessions)} sessions>"

    @property
    def sent_today(self) -> int:
        """Messages submitted within the last 24 hours, which ``daily_sending_limit`` limits."""
        since = self._hub.now() - 86_400
        return sum(at > since for at in self.sent_at)

    @property
    def tokens(self) -> list[Any]:
        """The answers that the token endpoint gave for this account."""
        return self.ledger.tokens

    def credentials(self) -> Any:
        """Credentials of a person who has consented; the same until they are revoked."""
        return self._hub.credentials(self.address)

    def access_token(self, lifetime: float | None = None, scope: str = GMAIL_SCOPE) -> str:
        """An access token for clients that bring no OAuth of their own; it is not in the ledger."""
        seconds = self.behaviour.token_lifetime if lifetime is None else lifetime
        return self._hub.tokens.issue(self.address, seconds, scope).value

    def session_count(self, protocol: str = "imap") -> int:
        """How many sessions are logged in."""
        return sum(record.protocol == protocol for record, _ in self.sessions.values())

    def expire_sessions(self, protocol: str | None = None, text: str = SESSION_EXPIRED) -> int:
        """End the account's sessions as Gmail does when their time is over: IMAP says ``* BYE`` and ``text``, between two responses.

        Returns:
            How many were ended.
        """
        chosen = [channel for record, channel in self.sessions.values() if protocol in {None, record.protocol}]
        for channel in chosen:
            channel.interrupt(text)
        return len(chosen)

    def drop_sessions(self, protocol: str | None = None, *, reset: bool = False) -> int:
        """End the account's sessions without a word: EOF, or RST with ``reset``. Returns how many."""
        chosen = [channel for record, channel in self.sessions.values() if protocol in {None, record.protocol}]
        for channel in chosen:
            if reset:
                channel.reset()
            else:
                channel.abort()
        return len(chosen)

    def expire_tokens(self) -> None:
        """Every access token is dead from now on; sessions that are open stay so."""
        now = self._hub.now()
        for token in self._hub.tokens.access.values():
            if token.address == self.address:
                token.expires_at = min(token.expires_at, now)

    def revoke(self, reason: str = "Token has been expired or revoked.", *, end_sessions: bool = False) -> None:
        """The person withdraws consent: refreshing gives ``invalid_grant`` with ``reason``, and every access token is dead."""
        self._hub.tokens.revoke(self.address, reason)
        if end_sessions:
            self.expire_sessions()
