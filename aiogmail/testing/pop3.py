"""Gmail's POP3: a window of what was not popped yet, oldest first; RETR and a clean QUIT pop a message, without any DELE."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from . import mime
from .auth import AuthRefused, challenge, decode_base64, identify, read_message
from .channel import Channel, Ending, LineTooLong
from .gate import Gate
from .session import Session

if TYPE_CHECKING:
    from .emulated import EmulatedAccount
    from .hub import Hub
    from .message import StoredMessage

__all__ = ["serve_pop3"]

_CHUNK = 64 * 1024
_RECENT = 30 * 86_400
_NOT_ENABLED = "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your Gmail settings page and enable your account for POP access."
_REFUSALS = {
    "challenge": "-ERR [AUTH] Invalid credentials.",
    "malformed": "-ERR [AUTH] Invalid credentials.",
    "password": "-ERR [AUTH] Username and password not accepted.",
    "application": "-ERR [AUTH] Application-specific password required: https://support.google.com/accounts/answer/185833",
    "web": "-ERR [AUTH] Web login required: https://support.google.com/mail/answer/78754",
}
_BEFORE = ("USER", "RESP-CODES", "EXPIRE 0", "LOGIN-DELAY 300", "TOP", "UIDL", "X-GOOGLE-RICO", "SASL PLAIN XOAUTH2 OAUTHBEARER")
_AFTER = ("USER", "RESP-CODES", "PIPELINING", "EXPIRE 0", "LOGIN-DELAY 300", "TOP", "UIDL", "X-GOOGLE-RICO")


async def serve_pop3(hub: Hub, channel: Channel) -> None:
    """Serve one connection to its end."""
    await Pop3Session(hub, channel).serve()


class Pop3Session(Session):
    """One connection."""

    protocol = "pop3"

    def __init__(self, hub: Hub, channel: Channel) -> None:
        super().__init__(hub, channel)
        self.user = ""
        self.account: EmulatedAccount | None = None
        self.window: list[StoredMessage] = []
        self.deleted: set[int] = set()
        self.retrieved: set[int] = set()

    def say(self, text: str) -> None:
        """A reply line."""
        self.channel.write(f"{text}\r\n".encode())

    def greet(self) -> None:
        self.say(f"+OK Gpop ready for requests from {self.channel.peer} {self.sid}")

    def verb(self, words: list[bytes], line: bytes | None) -> str | None:  # noqa: ARG002
        return words[0].decode("utf-8", "replace").upper() if words else None

    async def obey(self, line: bytes, verb: str, gate: Gate) -> None:
        words = line.rstrip(b"\r\n").decode("utf-8", "replace").split(" ")
        self.hub.saw(self.record, verb, verb + " …" if verb in {"PASS", "AUTH"} else " ".join(words))
        if not await gate.before(more=verb == "AUTH"):
            await self.guard(self._dispatch(verb, words[1:]))
        await gate.after()

    def farewell(self, ending: Ending) -> None:
        """A session whose time is over ends without a word."""
        if isinstance(ending, LineTooLong):
            self.say("-ERR bad command")

    def apologise(self) -> None:
        self.say("-ERR [SYS/TEMP] Temporary system problem. Please try again later.")

    async def _dispatch(self, verb: str, words: list[str]) -> None:
        allowed = {"CAPA", "QUIT"} | ({"USER", "PASS", "AUTH"} if self.account is None else _TRANSACTION)
        if verb == "LAST":
            self.say("-ERR Not supported")
        elif verb not in allowed:
            self.say("-ERR bad command")
        elif verb != "QUIT" and self.account is not None and not self.account.behaviour.pop_enabled and verb != "CAPA":
            # Only now, after a successful login, does Gmail say so.
            self.say(_NOT_ENABLED)
        else:
            handler: Callable[[list[str]], Awaitable[None]] = getattr(self, f"_{verb.lower()}")
            await handler(words)

    # Login

    async def _capa(self, words: list[str]) -> None:  # noqa: ARG002
        self.say("+OK Capability list follows")
        for line in _BEFORE if self.account is None else _AFTER:
            self.say(line)
        self.say(".")

    async def _user(self, words: list[str]) -> None:
        self.user = words[0] if words else ""
        self.say("+OK send PASS")

    async def _pass(self, words: list[str]) -> None:
        await self._let_in("PLAIN", self.user, " ".join(words))

    async def _auth(self, words: list[str]) -> None:
        if not words:
            self.say("+OK")
            for mechanism in ("PLAIN", "XOAUTH2", "OAUTHBEARER", "."):
                self.say(mechanism)
            return
        mechanism = words[0].upper()
        if mechanism not in {"XOAUTH2", "OAUTHBEARER", "PLAIN"}:
            self.say("-ERR bad command")
            return
        if len(words) > 1:
            encoded = words[1].encode()
        else:
            self.channel.prompt(b"+ \r\n")
            encoded = (await self.channel.read_line(16 * 1024)).rstrip(b"\r\n")
        await self.channel.end_request()
        try:
            user, secret = read_message(mechanism, decode_base64(encoded))
        except AuthRefused as refused:
            await self._refuse(refused.kind)
            return
        await self._let_in(mechanism, user, secret)

    async def _let_in(self, mechanism: str, user: str, secret: str) -> None:
        try:
            account, token = identify(self.hub, mechanism, user, secret, pop=True)
        except AuthRefused as refused:
            await self._refuse(refused.kind)
            return
        recent = user.lower().startswith("recent:")
        if recent and mechanism != "PLAIN" and not account.behaviour.recent_in_xoauth2:
            await self._refuse("challenge")
            return
        if account.behaviour.pop_exclusive and account.session_count("pop3"):
            self.say("-ERR [IN-USE] Another session is using this mailbox. Please try again later.")
            return
        if not self.hub.may_login(account):
            self.say("-ERR [AUTH] Account exceeded pop command or bandwidth limits (Failure)")
            return
        self.log_in(account, token)
        self.account = account
        if account.behaviour.pop_seems_empty:
            self.say("+OK [SYS/TEMP] Due to a temporary system problem, this mailbox will seem empty.")
            return
        self.window = self._choose(account, recent=recent)
        self.say("+OK Welcome.")

    def _choose(self, account: EmulatedAccount, *, recent: bool) -> list[StoredMessage]:
        """Oldest first; never Spam, Trash or drafts, but archived and sent mail; in recent mode 30 days, popped or not."""
        shown = [message for message in account.all_mail.messages if "\\Draft" not in message.flags]
        shown.sort(key=lambda message: message.internal_date)
        if recent:
            since = self.hub.wall() - _RECENT
            shown = [message for message in shown if message.internal_date >= since]
        else:
            shown = [message for message in shown if not message.popped]
            if account.behaviour.pop_access == "fromNowOn":
                shown = [message for message in shown if message.internal_date >= int(account.pop_since)]
        return shown[: account.behaviour.pop_window]

    async def _refuse(self, kind: str) -> None:
        if kind == "challenge":
            self.channel.prompt(b"+ " + challenge(self.hub.behaviour.challenge_status) + b"\r\n")
            answer = (await self.channel.read_line(16 * 1024)).rstrip(b"\r\n")
            if answer not in {b"", b"AQ==", b"*"}:
                self.say("-ERR bad command")
                return
        self.failed_logins += 1
        self.say(_REFUSALS[kind])
        tries = self.hub.behaviour.auth_tries
        self.over = bool(tries) and self.failed_logins >= tries

    # Transaction

    def _message(self, words: list[str]) -> tuple[int, StoredMessage] | None:
        number = int(words[0]) if words and re.fullmatch(r"[0-9]{1,9}", words[0]) else 0
        if not 0 < number <= len(self.window) or number in self.deleted:
            self.say("-ERR Message number out of range.")
            return None
        return number, self.window[number - 1]

    def _listed(self) -> list[tuple[int, StoredMessage]]:
        return [(number, message) for number, message in enumerate(self.window, 1) if number not in self.deleted]

    async def _stat(self, words: list[str]) -> None:  # noqa: ARG002
        listed = self._listed()
        self.say(f"+OK {len(listed)} {sum(message.size for _, message in listed)}")

    async def _list(self, words: list[str]) -> None:
        await self._table(words, "+OK message sizes follow", lambda message: str(message.size))

    async def _uidl(self, words: list[str]) -> None:
        await self._table(words, "+OK UIDs follow", lambda message: f"GmailId{message.gmail_id:016x}")

    async def _table(self, words: list[str], head: str, shown: Callable[[StoredMessage], str]) -> None:
        if words:
            found = self._message(words)
            if found is not None:
                self.say(f"+OK {found[0]} {shown(found[1])}")
            return
        self.say(head)
        for number, message in self._listed():
            self.say(f"{number} {shown(message)}")
        self.say(".")

    async def _retr(self, words: list[str]) -> None:
        found = self._message(words)
        if found is None:
            return
        number, message = found
        await self._send(message.raw)
        self.retrieved.add(number)
        assert self.account is not None
        if self.account.behaviour.pop_commit == "retr":
            message.popped = True

    async def _top(self, words: list[str]) -> None:
        found = self._message(words)
        if found is None:
            return
        if len(words) != 2 or not re.fullmatch(r"[0-9]{1,20}", words[1]):
            self.say("-ERR bad command")
            return
        raw = found[1].raw
        body = mime.body_start(raw)
        lines = raw[body:].splitlines(keepends=True)[: int(words[1])]
        await self._send(raw[:body] + b"".join(lines))

    async def _send(self, raw: bytes) -> None:
        """A message, its leading dots doubled."""
        self.say("+OK message follows")
        stuffed = raw.replace(b"\r\n.", b"\r\n..")
        if stuffed.startswith(b"."):
            stuffed = b"." + stuffed
        view = memoryview(stuffed)
        for start in range(0, len(view), _CHUNK):
            self.channel.write(view[start : start + _CHUNK])
            await self.channel.drain()
        self.channel.write(b".\r\n" if stuffed.endswith(b"\r\n") or not stuffed else b"\r\n.\r\n")

    async def _dele(self, words: list[str]) -> None:
        found = self._message(words)
        if found is not None:
            self.deleted.add(found[0])
            self.say("+OK")

    async def _rset(self, words: list[str]) -> None:  # noqa: ARG002
        self.deleted.clear()
        self.say("+OK")

    async def _noop(self, words: list[str]) -> None:  # noqa: ARG002
        self.say("+OK")

    async def _quit(self, words: list[str]) -> None:  # noqa: ARG002
        """Only a clean QUIT pops what was retrieved."""
        account = self.account
        if account is not None:
            for number in sorted(self.retrieved | self.deleted):
                self._pop(account, self.window[number - 1])
        self.say("+OK Farewell.")
        self.over = True

    @staticmethod
    def _pop(account: EmulatedAccount, message: StoredMessage) -> None:
        message.popped = True
        if account.by_gmail_id(message.gmail_id) is not message or message.store is not account.all_mail:
            return
        match account.behaviour.pop_after:
            case "archive":
                account.move(message, account.inbox, account.all_mail)
            case "trash":
                account.copy(message, account.trash)
            case "markRead":
                account.set_flags(message, message.flags | {"\\Seen"})
            case _:
                pass


_TRANSACTION = {"STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "RSET", "NOOP"}
