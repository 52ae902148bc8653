"""Gmail's submission: 465 with TLS from the first byte, 587 with STARTTLS. PIPELINING, CHUNKING and SMTPUTF8 as in its logs.

A server of the emulator's own, since aiosmtpd has neither CHUNKING nor Gmail's words, and cannot be cut at a byte.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from . import mime
from .auth import AuthRefused, challenge, decode_base64, identify, read_message
from .channel import Channel, Ending, LineTooLong
from .gate import Gate
from .session import Session
from .submission import Envelope, Submission, repeated_header

if TYPE_CHECKING:
    from .emulated import EmulatedAccount
    from .hub import Hub

__all__ = ["serve_smtp"]

_IDLE = "idle"
_MAIL = re.compile(r"FROM: ?<([^<>\x00-\x1f]*)>((?: [^ ]+)*)", re.IGNORECASE)
_RCPT = re.compile(r"TO: ?<([^<>\x00-\x1f]*)>((?: [^ ]+)*)", re.IGNORECASE)
_ADDRESS = re.compile(r'(?:[^\s@<>"\x00-\x1f]+|"(?:[^"\\\x00-\x1f]|\\.)*")@[^\s@<>()\[\]\\,;:]+(?:\.[^\s@<>()\[\]\\,;:]+)+')
_SIZE = re.compile(r"[0-9]{1,20}")
_BDAT = re.compile(r"([0-9]{1,10})( LAST)?", re.IGNORECASE)
_PARAMS = {"SIZE", "BODY", "SMTPUTF8", "AUTH", "RET", "ENVID"}
_MAX_UNKNOWN = 10
_COMMANDS = frozenset(
    {"AUTH", "BDAT", "DATA", "EHLO", "HELO", "HELP", "MAIL", "NOOP", "QUIT", "RCPT", "RSET", "STARTTLS", "VRFY", "EXPN"},
)
_EXTENSIONS = ("ENHANCEDSTATUSCODES", "PIPELINING", "CHUNKING", "SMTPUTF8")
_SUPPORT = "https://support.google.com/mail/?p="


async def serve_smtp(hub: Hub, starttls: ssl.SSLContext | None, secure: bool, channel: Channel) -> None:
    """Serve one connection. ``secure``: AUTH is offered at once; ``starttls``: the context for STARTTLS."""
    await SmtpSession(hub, channel, starttls, secure).serve()


class SmtpSession(Session):
    """One connection."""

    protocol = "smtp"

    def __init__(self, hub: Hub, channel: Channel, starttls: ssl.SSLContext | None, secure: bool) -> None:
        super().__init__(hub, channel)
        self.starttls = starttls
        self.secure = secure
        self.greeted = False
        self.account: EmulatedAccount | None = None
        self.envelope: Envelope | None = None
        self.unknown = self.taken = 0
        self._open_gate = Gate(channel, None)

    def say(self, text: str) -> None:
        """A reply line that ends in the session's id."""
        self.channel.write(f"{text} {self.sid} - gsmtp\r\n".encode())

    def bare(self, text: str) -> None:
        """A reply line without it."""
        self.channel.write(f"{text}\r\n".encode())

    def greet(self) -> None:
        self.say("220 smtp.gmail.com ESMTP")

    def ready(self) -> None:
        self.arm("idle", (self.account or self.hub).behaviour.smtp_idle_timeout, self.channel.interrupt, _IDLE)

    def verb(self, words: list[bytes], line: bytes | None) -> str | None:
        name = words[0].decode("utf-8", "replace").upper() if words else None
        if name == "BDAT":
            # Its last chunk is the message's end; which one that is, the line's end tells.
            return None if line is None else "MESSAGE" if words[-1].upper().endswith(b"LAST") else name
        return name

    async def obey(self, line: bytes, verb: str, gate: Gate) -> None:
        text = line.rstrip(b"\r\n").decode("utf-8", "replace")
        command, _, rest = text.partition(" ")
        command = command.upper()
        self._open_gate = gate
        chunk = await self._chunk(rest) if command == "BDAT" else b""
        self.hub.saw(self.record, verb, "AUTH …" if verb == "AUTH" else text)
        if not await gate.before(more=verb == "AUTH"):
            await self.guard(self._dispatch(command, rest, chunk))
        await self._open_gate.after()

    async def _dispatch(self, command: str, rest: str, chunk: bytes | None) -> None:
        if command == "BDAT":
            await self._bdat(rest, chunk)
        elif command in _COMMANDS:
            handler: Callable[[str], Awaitable[None]] = getattr(self, f"_{command.lower()}")
            await handler(rest)
        else:
            self._unknown()

    def farewell(self, ending: Ending) -> None:
        if isinstance(ending, LineTooLong):
            self.say("500 5.5.6 Line too long")
        elif str(ending) == _IDLE:
            # It waits unread at the client, as the answer to whatever that says next.
            self.say("451 4.4.2 Timeout - closing connection.")
        else:
            self.say("421 4.7.0 Connection expired, try reconnecting")

    def apologise(self) -> None:
        self.say("451 4.3.0 Temporary System Problem. Try again later.")

    def _unknown(self) -> None:
        self.unknown += 1
        if self.unknown >= _MAX_UNKNOWN:
            self.say("502 5.5.1 Too many unrecognized commands, goodbye.")
            self.over = True
        else:
            self.say("502 5.5.1 Unrecognized command.")

    # Greeting

    async def _ehlo(self, rest: str) -> None:
        if not rest.strip():
            self.say("501 5.5.4 Empty HELO/EHLO argument not allowed, closing connection.")
            self.over = True
            return
        self.greeted = True
        self.envelope = None
        lines = [f"smtp.gmail.com at your service, [{self.channel.peer}]", f"SIZE {self.hub.behaviour.message_size_limit}", "8BITMIME"]
        lines.append("AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH" if self.secure else "STARTTLS")
        lines += _EXTENSIONS
        for index, text in enumerate(lines):
            self.bare(f"250{' ' if index == len(lines) - 1 else '-'}{text}")

    async def _helo(self, rest: str) -> None:
        if not rest.strip():
            await self._ehlo(rest)
            return
        self.greeted = True
        self.envelope = None
        self.bare("250 smtp.gmail.com at your service")

    async def _starttls(self, rest: str) -> None:
        if rest:
            self.say("555 5.5.2 Syntax error.")
        elif self.secure or self.starttls is None:
            self.say("502 5.5.1 Unrecognized command.")
        elif self.channel.has_input:
            self.say("454 4.5.0 SMTP protocol violation, no commands allowed to pipeline after STARTTLS")
            self.over = True
        else:
            self.bare("220 2.0.0 Ready to start TLS")
            await self.channel.start_tls(self.starttls)
            self.secure, self.greeted, self.envelope = True, False, None

    # AUTH

    async def _auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        mechanism = mechanism.upper()
        if not self.greeted:
            self.say("503 5.5.1 EHLO/HELO first.")
        elif not self.secure:
            self.say("530 5.7.0 Must issue a STARTTLS command first.")
        elif self.account is not None:
            self.say("503 5.7.0 No identity changes permitted.")
        elif mechanism not in {"XOAUTH2", "OAUTHBEARER", "PLAIN", "LOGIN"}:
            self.say("504 5.7.4 Unrecognized Authentication Type")
        else:
            try:
                user, secret = await self._credentials(mechanism, initial)
                account, token = identify(self.hub, "PLAIN" if mechanism == "LOGIN" else mechanism, user, secret)
            except AuthRefused as refused:
                await self._refuse(refused.kind)
                return
            if not self.hub.may_login(account):
                self.say("454 4.7.0 Too many login attempts, please try again later.")
                return
            self.log_in(account, token)
            self.account = account
            self.bare("235 2.7.0 Accepted")

    async def _credentials(self, mechanism: str, initial: str) -> tuple[str, str]:
        if mechanism == "LOGIN":
            user = decode_base64(initial.encode()) if initial else await self._ask("VXNlcm5hbWU6")
            password = await self._ask("UGFzc3dvcmQ6")
            return user.decode("utf-8", "replace"), password.decode("utf-8", "replace")
        blob = decode_base64(initial.encode()) if initial else await self._ask("")
        await self.channel.end_request()
        return read_message(mechanism, blob)

    async def _ask(self, prompt: str) -> bytes:
        self.channel.prompt(f"334 {prompt}\r\n".encode())
        answer = (await self.channel.read_line(16 * 1024)).rstrip(b"\r\n")
        if answer == b"*":
            raise AuthRefused("cancelled")
        return decode_base64(answer)

    async def _refuse(self, kind: str) -> None:
        if kind == "challenge":
            self.channel.prompt(b"334 " + challenge(self.hub.behaviour.challenge_status) + b"\r\n")
            await self.channel.read_line(16 * 1024)
        if kind in {"malformed", "cancelled"}:
            self.say("501 5.5.2 Cannot Decode response" if kind == "malformed" else "501 5.7.0 Authentication cancelled")
            return
        self.failed_logins += 1
        tries = self.hub.behaviour.auth_tries
        self.over = bool(tries) and self.failed_logins >= tries
        if kind == "web":
            self.bare(
                "534-5.7.14 <https://accounts.google.com/signin/continue?sarp=1&scc=1&plt=AKgnsbt> Please log in via your web browser"
            )
            self.say("534 5.7.14 and then try again. https://support.google.com/mail/answer/78754")
        elif kind == "application":
            self.bare("534-5.7.9 Application-specific password required. For more information, go to")
            self.say(f"534 5.7.9  {_SUPPORT}InvalidSecondFactor")
        else:
            self.bare("535-5.7.8 Username and Password not accepted. For more information, go to")
            self.say(f"535 5.7.8  {_SUPPORT}BadCredentials")

    # Transaction

    def _ready(self) -> EmulatedAccount | None:
        """The account, if a transaction may go on; else the reply that says why not."""
        if not self.greeted:
            self.say("503 5.5.1 EHLO/HELO first.")
        elif not self.secure:
            self.say("530 5.7.0 Must issue a STARTTLS command first.")
        elif self.account is None:
            self.bare("530-5.7.0 Authentication Required. For more information, go to")
            self.say(f"530 5.7.0  {_SUPPORT}WantAuthError")
        return self.account if self.greeted and self.secure else None

    @staticmethod
    def _read_path(pattern: re.Pattern[str], rest: str, params: set[str]) -> tuple[str, dict[str, str]] | None:
        match = pattern.fullmatch(rest)
        if match is None:
            return None
        found = {name.upper(): value for name, _, value in (word.partition("=") for word in match[2].split())}
        return (match[1], found) if set(found) <= params else None

    async def _mail(self, rest: str) -> None:
        account = self._ready()
        if account is None:
            return
        behaviour = account.behaviour
        read = self._read_path(_MAIL, rest, _PARAMS)
        if self.envelope is not None:
            self.say("503 5.5.1 Bad sequence of commands.")
        elif read is None or (read[0] and not _ADDRESS.fullmatch(read[0])) or not _SIZE.fullmatch(read[1].get("SIZE", "0")):
            self.say("555 5.5.2 Syntax error.")
        elif not read[0].isascii() and "SMTPUTF8" not in read[1]:
            self.say("553 5.6.7 The sender address needs SMTPUTF8.")
        elif int(read[1].get("SIZE", "0")) > behaviour.message_size_limit:
            self._too_large()
        elif behaviour.messages_per_connection is not None and self.taken >= behaviour.messages_per_connection:
            self.say("421 4.7.0 Temporary System Problem. Try again later (10).")
            self.over = True
        elif behaviour.daily_sending_limit is not None and account.sent_today >= behaviour.daily_sending_limit:
            self.bare("550-5.4.5 Daily user sending limit exceeded. For more information on Gmail")
            self.bare("550-5.4.5 sending limits go to")
            self.say("550 5.4.5  https://support.google.com/a/answer/166852")
        else:
            self.envelope = Envelope(read[0], "SMTPUTF8" in read[1])
            self.say("250 2.1.0 OK")

    async def _rcpt(self, rest: str) -> None:
        account = self._ready()
        if account is None:
            return
        envelope = self.envelope
        read = self._read_path(_RCPT, rest, set())
        if envelope is None:
            self.say("503 5.5.1 MAIL first.")
        elif read is None:
            self.say("555 5.5.2 Syntax error.")
        elif not _ADDRESS.fullmatch(read[0]) or (not read[0].isascii() and not envelope.utf8):
            envelope.refused.append(read[0])
            self.say(f"553 5.1.3 The recipient address <{read[0]}> is not a valid RFC-5321 address.")
        elif len(envelope.recipients) >= account.behaviour.max_recipients:
            envelope.refused.append(read[0])
            self.say("452 4.5.3 Your message has too many recipients.")
        elif (refusal := self.hub.refused_recipients.get(read[0].lower())) is not None:
            envelope.refused.append(read[0])
            self.say(refusal)
        elif (target := self.hub.accounts.get(read[0].lower())) is not None and target.is_full():
            envelope.refused.append(read[0])
            self.bare("452-4.2.2 The recipient's inbox is out of storage space. Please direct the")
            self.say(f"452 4.2.2 recipient to {_SUPPORT}OverQuotaTemp")
        else:
            envelope.recipients.append(read[0])
            self.say("250 2.1.5 OK")

    def _too_large(self) -> None:
        self.bare("552-5.3.4 Your message exceeded Google's message size limits. For more information,")
        self.say(f"552 5.3.4 go to {_SUPPORT}MaxSizeError")

    async def _data(self, rest: str) -> None:
        account = self._ready()
        if account is None:
            return
        if rest:
            self.say("555 5.5.2 Syntax error.")
        elif self.envelope is None:
            self.say("503 5.5.1 MAIL first.")
        elif not self.envelope.recipients:
            self.say("503 5.5.1 RCPT first.")
        elif self.envelope.chunks:
            self.say("503 5.5.1 Bad sequence of commands.")
        else:
            self.say("354  Go ahead")
            # DATA is over with its 354; the message is a command of its own.
            if await self._open_gate.after():
                self.envelope = None
                return
            self._open_gate = Gate(self.channel, self.hub.fault(self.record, "MESSAGE"))
            await self._open_gate.open(0)
            raw = await self._read_data(account.behaviour.message_size_limit)
            self.hub.saw(self.record, "MESSAGE", "")
            if not await self._open_gate.before():
                await self._take(account, raw)

    async def _read_data(self, limit: int) -> bytes | None:
        """The message up to the dot, or ``None`` if it is too large; only CRLF.CRLF ends it: nothing is smuggled behind a bare LF."""
        # The CRLF of the DATA line counts as the one before the dot of an empty message.
        self.channel.push_back(b"\r\n")
        raw = await self.channel.read_until(b"\r\n.\r\n", limit + 2)
        return None if raw is None else (raw + b"\r\n").replace(b"\r\n.", b"\r\n")[2:]

    async def _chunk(self, rest: str) -> bytes | None:
        """The bytes that follow BDAT; ``None`` where they are more than anybody would send."""
        match = _BDAT.fullmatch(rest)
        size = 0 if match is None else int(match[1])
        if size > 2 * self.hub.behaviour.message_size_limit:
            return None
        return await self.channel.read_exactly(size)

    async def _bdat(self, rest: str, chunk: bytes | None) -> None:
        match = _BDAT.fullmatch(rest)
        if match is None:
            self.say("501 5.5.4 Bad BDAT argument, closing connection.")  # what follows cannot be told from commands
            self.over = True
            return
        if chunk is None:
            self._too_large()
            self.over = True
            return
        account = self._ready()
        if account is None:
            return
        if self.envelope is None:
            self.say("503 5.5.1 MAIL first.")
        elif not self.envelope.recipients:
            self.say("503 5.5.1 RCPT first.")
        else:
            envelope, limit = self.envelope, account.behaviour.message_size_limit
            envelope.size += len(chunk)
            if envelope.size <= limit:
                envelope.chunks.append(chunk)
            else:
                envelope.chunks = [b""]  # too large: it is refused at its end, and nothing of it is kept until then
            if match[2]:
                await self._take(account, b"".join(envelope.chunks) if envelope.size <= limit else None)
            else:
                self.say(account.behaviour.bdat_text)

    async def _take(self, account: EmulatedAccount, raw: bytes | None) -> None:
        """The message is complete."""
        envelope, self.envelope = self.envelope, None
        assert envelope is not None
        if raw is None:
            self._too_large()
            return
        if (name := repeated_header(mime.with_crlf(raw))) is not None:
            self.bare(f"550-5.7.1 This message is not RFC 5322 compliant. There are multiple {name} headers.")
            self.bare("550-5.7.1 To reduce the amount of spam sent to Gmail, this message has been blocked.")
            self.say(f"550 5.7.1 {_SUPPORT}RfcMessageNonCompliant")
            return
        Submission(self.hub, account, envelope, raw).accept(self.record.number)
        self.taken += 1
        self.say(f"250 2.0.0 OK  {int(self.hub.wall())}")

    async def _rset(self, rest: str) -> None:  # noqa: ARG002
        self.envelope = None
        self.say("250 2.1.5 Flushed")

    async def _noop(self, rest: str) -> None:  # noqa: ARG002
        self.say((self.account or self.hub).behaviour.smtp_noop_text)

    async def _vrfy(self, rest: str) -> None:  # noqa: ARG002
        self.say("252 2.1.5 Send some mail, I'll try my best")

    _expn = _vrfy

    async def _help(self, rest: str) -> None:  # noqa: ARG002
        self.say("214 2.0.0  https://www.google.com/search?btnI&q=RFC+5321")

    async def _quit(self, rest: str) -> None:  # noqa: ARG002
        self.say("221 2.0.0 closing connection")
        self.over = True
