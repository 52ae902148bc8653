"""What does an IMAP session do with each command that arrives? Reading, states, tagged replies and news; commands are in files of their own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from aiogmail.testing.behaviour import Behaviour
from aiogmail.testing.channel import Channel, Hangup, Interrupted, LineTooLong
from aiogmail.testing.gate import Gate
from aiogmail.testing.ledger import Connection
from aiogmail.testing.message import Mailbox, Refused

from .syntax import Args, Bad, No
from .view import View

if TYPE_CHECKING:
    from aiogmail.testing.emulated import EmulatedAccount
    from aiogmail.testing.hub import Hub

__all__ = ["Handler", "ImapSession", "serve_imap"]

Handler = Callable[["ImapSession", Args], Awaitable[None]]

_TAG = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]+')
_LITERAL_END = re.compile(rb"(~?)\{([0-9]{1,12})(\+?)\}$")
_SMALL_LITERAL = 1024 * 1024
_NON_SYNC_LIMIT = 4096
_MAX_LITERALS = 1000
_SECRET = re.compile(r"(?is)^(AUTHENTICATE \S+|LOGIN)\b.*")
_COMMAND_TEXT = 4096
_READ_ON = {"AUTHENTICATE", "IDLE"}  # what they read more of, their handlers end


class Finished(Exception):
    """The session ends as it was asked to."""


async def serve_imap(hub: Hub, channel: Channel) -> None:
    """Serve one connection to its end."""
    session = ImapSession(hub, channel)
    reason = "closed by peer"
    try:
        await session.run()
        reason = "logout"
    except Interrupted as ending:
        reason = str(ending)
        channel.write(f"* BYE {ending}\r\n".encode())
    except (LineTooLong, Finished) as ending:
        reason = type(ending).__name__
        channel.end_cuts()
        channel.write(f"* BYE System Error {session.sid}\r\n".encode())
    except Hangup:
        pass
    except asyncio.CancelledError:
        reason = "emulator stopped"
        raise
    finally:
        session.end()
        hub.disconnected(session.record, reason)


class ImapSession:
    """One connection.

    Attributes:
        account: whose it is, once logged in (``state`` is ``"authenticated"`` or ``"selected"`` then).
        view: what the session knows of the selected mailbox.
        utf8, condstore: what was enabled.
        admin: whether its token is of the scope gmail.imap_admin alone.
        literal_limit: the largest literal the command may bring.
    """

    def __init__(self, hub: Hub, channel: Channel) -> None:
        from .commands import COMMANDS

        self.hub = hub
        self.channel = channel
        self.sid = hub.sid()
        self.record: Connection = hub.connected("imap", channel)
        self.state = "not authenticated"
        self._account: EmulatedAccount | None = None
        self.selected: View | None = None
        self.readonly = False
        self.utf8 = False
        self.condstore = False
        self.admin = False
        self.tag = ""
        self.failed_logins = 0
        self.bad_commands = 0
        self.commands_seen = 0
        self.idling = False
        self._commands = COMMANDS
        self._expiry: asyncio.TimerHandle | None = None
        self._news_timer: asyncio.TimerHandle | None = None
        self._silence_timer: asyncio.TimerHandle | None = None

    # Life

    async def run(self) -> None:
        """Greeting, then command after command."""
        gate = Gate(self.channel, self.hub.fault(self.record, "CONNECT"))
        await gate.open(0)
        if not await gate.before():
            self.untagged(f"OK Gimap ready for requests from {self.channel.peer} {self.sid}")
        await gate.after()
        self.silence(self.hub.behaviour.unauthenticated_timeout)
        while self.state != "logout":
            await self._one_command()

    def end(self) -> None:
        """Let go of timers and the mailbox."""
        self.unselect()
        for timer in (self._expiry, self._news_timer, self._silence_timer):
            if timer is not None:
                timer.cancel()

    def silence(self, seconds: float | None) -> None:
        """After so long without a command the connection goes, without a word."""
        if self._silence_timer is not None:
            self._silence_timer.cancel()
        self._silence_timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self.channel.abort)

    def start(self, account: EmulatedAccount, expiry: asyncio.TimerHandle | None) -> None:
        """The session is logged in."""
        self._account = account
        self._expiry = expiry
        self.state = "authenticated"

    @property
    def shown(self) -> Behaviour:
        """The account's switches as they are for this session: the scope gmail.imap_admin sees all labels, whole."""
        behaviour = self.account.behaviour
        return replace(behaviour, hidden=frozenset(), folder_limit=None) if self.admin else behaviour

    @property
    def account(self) -> EmulatedAccount:
        """The account; only commands after login ask."""
        assert self._account is not None
        return self._account

    # Commands

    async def _one_command(self) -> None:
        line = await self.channel.read_line()
        if not line.endswith(b"\r\n"):
            self.untagged("BAD invalid tag " + self.sid)
            return
        tag, _, rest = line[:-2].partition(b" ")
        if not _TAG.fullmatch(tag):
            self.untagged("BAD invalid tag " + self.sid)
            return
        self.tag = tag.decode("ascii")
        verb = self._verb(rest)
        gate = Gate(self.channel, self.hub.fault(self.record, verb), f"{self.tag} ")
        await gate.open(len(line))
        unreadable: Bad | None = None
        text, literals = rest, list[bytes]()
        try:
            text, literals = await self._read_literals(rest, verb)
        except Bad as bad:
            unreadable = bad
        self._record(verb, text)
        view = self.selected
        known = None if view is None else view.known()
        if not await gate.before(more=verb in _READ_ON):
            await self._obey(verb, Args(text[len(verb) :], literals, self.utf8), unreadable)
        if await gate.after() and view is not None and known is not None and view is self.selected:
            view.forget(*known)
        await self.channel.drain()

    async def _obey(self, verb: str, args: Args, unreadable: Bad | None) -> None:
        try:
            if unreadable is not None:
                raise unreadable
            await self._dispatch(verb, args)
        except Bad as bad:
            await self._bad(bad.text)
        except No as no:
            await self._reply("NO", no.text)
        except Refused as refused:
            await self._reply("NO", f"[{refused.code}] {refused.text} (Failure)" if refused.code else f"{refused.text} (Failure)")
        except (Hangup, Interrupted, LineTooLong, Finished):
            raise
        except Exception as error:  # noqa: BLE001  the emulator's own fault: told to the client, and raised when the emulator is closed
            self.hub.crashed(error)
            await self._reply("BAD", f"System Error {self.sid}")

    @staticmethod
    def _verb(rest: bytes) -> str:
        words = rest.split(b" ", 2)
        verb = words[0].upper()
        if verb == b"UID" and len(words) > 1:
            verb += b" " + words[1].upper()
        return verb.decode("ascii", "replace")

    def _record(self, verb: str, text: bytes) -> None:
        shown = text[:_COMMAND_TEXT].decode("utf-8", "replace")
        self.hub.saw(self.record, verb, _SECRET.sub(r"\1 …", shown))
        if self._account is not None:
            self.commands_seen += 1
            self.silence(self._account.behaviour.imap_idle_timeout)
            limit = self._account.behaviour.command_limit
            if limit is not None and self.commands_seen > limit:
                raise Interrupted("[OVERQUOTA] Account exceeded command or bandwidth limits.")

    async def _read_literals(self, rest: bytes, verb: str) -> tuple[bytes, list[bytes]]:
        """The command's text, and its literals in order."""
        lines, literals, taken = [rest], list[bytes](), 0
        allowed = True
        while (match := _LITERAL_END.search(lines[-1])) is not None:
            size, non_sync = int(match[2]), bool(match[3])
            limit = self.hub.behaviour.append_limit if self._account is None else self._account.behaviour.append_limit
            if verb != "APPEND":
                limit = _SMALL_LITERAL
            taken += size
            if len(literals) >= _MAX_LITERALS:
                raise Interrupted(f"System Error {self.sid}")
            if size + (0 if verb == "APPEND" else taken - size) > (_NON_SYNC_LIMIT if non_sync else limit):
                if non_sync:
                    raise Interrupted(f"System Error {self.sid}")  # the bytes are on their way and cannot be told from commands
                toobig = "[TOOBIG] Message too large. https://support.google.com/mail/answer/6584#limit"
                raise Bad(toobig) if verb == "APPEND" else Bad
            if not non_sync:
                self.channel.write(b"+ go ahead\r\n")
            elif self._account is None:
                allowed = False  # LITERAL- is offered after login only; its bytes are on their way all the same, and no commands
            literals.append(await self.channel.read_exactly(size))
            lines.append((await self.channel.read_line()).removesuffix(b"\r\n"))
        if not allowed:
            raise Bad
        return b"\r\n".join(lines), literals

    async def _dispatch(self, verb: str, args: Args) -> None:
        entry = self._commands.get(verb)
        if entry is None:
            if verb.startswith("UID") and self.state != "selected":
                raise Bad("UID not allowed now.")
            raise Bad(f"Unknown command {self.sid}")
        states, handler = entry
        if self.state not in states:
            raise Bad(f"{verb.partition(' ')[0]} not allowed now.")
        await handler(self, args)

    # Replies

    def untagged(self, text: str) -> None:
        """An untagged response."""
        self.channel.write(f"* {text}\r\n".encode())

    async def ok(self, text: str = "Success") -> None:
        """News, then the tagged OK."""
        self.tell_news()
        await self._reply("OK", text)

    async def finish(self, status: str, text: str) -> None:
        """The tagged reply alone, for a command that has told its news."""
        await self._reply(status, text)

    async def no(self, text: str) -> None:
        """The tagged NO, for a command that has more to do after it."""
        await self._reply("NO", text)
        await self.channel.drain()

    async def _reply(self, status: str, text: str) -> None:
        throttled = self._account is not None and self._account.behaviour.throttled
        if status != "NO" and self.state == "not authenticated" and not text.endswith(self.sid):
            text = f"{text} {self.sid}"  # before login every OK and BAD ends in the session's id
        self.channel.write(f"{self.tag} {status} {text}{' [THROTTLED]' if throttled else ''}\r\n".encode())

    async def _bad(self, text: str) -> None:
        # BAD carries the session's id, save where the text was seen without.
        await self._reply("BAD", text)
        self.bad_commands += 1
        limit = self.hub.behaviour.max_bad_commands
        if limit and self.bad_commands >= limit:
            raise Finished

    async def breathe(self) -> None:
        """Let other tasks have a turn in the middle of a long computation.

        Raises:
            Hangup, Interrupted: the session is over.
        """
        self.channel.check()
        await asyncio.sleep(0)

    # The selected mailbox

    @property
    def mailbox(self) -> Mailbox:
        """The selected mailbox."""
        assert self.selected is not None
        return self.selected.mailbox

    @property
    def view(self) -> list[int]:
        """The UIDs that the session knows, by message number."""
        assert self.selected is not None
        return self.selected.uids

    def select(self, mailbox: Mailbox, *, readonly: bool) -> View:
        """Select a mailbox."""
        self.unselect()
        self.selected = View(mailbox, self._on_change, self._on_renumbered, self.shown.folder_limit)
        self.readonly = readonly
        self.state = "selected"
        return self.selected

    def unselect(self) -> None:
        """Nothing is selected any more."""
        if self.selected is not None:
            self.selected.close()
            self.selected = None
            self.state = "authenticated"

    def tell_news(self, *, expunges: bool = True) -> None:
        """Untagged EXPUNGE, EXISTS and FETCH for what changed since the last time."""
        view = self.selected
        if view is None:
            return
        gone = view.take_gone() if expunges else []
        for number in gone:
            self.channel.write(b"* %d EXPUNGE\r\n" % number)
        if view.take_come() or gone:
            self.channel.write(b"* %d EXISTS\r\n" % len(view.uids))
        for number, uid in view.take_news():
            self.channel.write(self.flags_row(number, uid))

    def flags_row(self, number: int, uid: int) -> bytes:
        """The FETCH that nobody asked for: UID last."""
        from .fetch import flags_text

        message = self.mailbox.by_uid[uid]
        modseq = f"MODSEQ ({message.modseq}) " if self.condstore else ""
        return f"* {number} FETCH ({modseq}FLAGS {flags_text(message, self.mailbox)} UID {uid})\r\n".encode()

    def _on_renumbered(self) -> None:
        self.channel.interrupt(f"System Error {self.sid}")

    def _on_change(self) -> None:
        if self.idling and self._news_timer is None:
            delay = self.account.behaviour.idle_delay
            self._news_timer = asyncio.get_running_loop().call_later(delay, self._push)

    def _push(self) -> None:
        self._news_timer = None
        if self.idling:
            self.tell_news()
            self.channel.flush()

    def start_idling(self) -> None:
        """From now on news are told as they come."""
        self.idling = True
        self.tell_news()

    def stop_idling(self) -> None:
        """News wait for the next command again."""
        self.idling = False
        if self._news_timer is not None:
            self._news_timer.cancel()
            self._news_timer = None
