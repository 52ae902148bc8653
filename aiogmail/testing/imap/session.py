"""What does an IMAP session do with each command that arrives? Reading, states, tagged replies and news; commands are in files of their own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from aiogmail.testing.behaviour import Behaviour
from aiogmail.testing.channel import Channel, Ending, Interrupted
from aiogmail.testing.gate import Gate
from aiogmail.testing.message import Mailbox, Refused
from aiogmail.testing.session import Session

from .syntax import Args, Bad, No
from .view import View

if TYPE_CHECKING:
    from aiogmail.testing.emulated import EmulatedAccount
    from aiogmail.testing.hub import Hub
    from aiogmail.testing.tokens import AccessToken

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


class Finished(Ending):
    """The server has had enough of what it cannot read."""


async def serve_imap(hub: Hub, channel: Channel) -> None:
    """Serve one connection to its end."""
    await ImapSession(hub, channel).serve()


class ImapSession(Session):
    """One connection.

    Attributes:
        account: whose it is, once logged in (``state`` is ``"authenticated"`` or ``"selected"`` then).
        view: what the session knows of the selected mailbox.
        utf8, condstore: what was enabled.
        admin: whether its token is of the scope gmail.imap_admin alone.
        only: so many of the messages that the present command is about are changed; ``None``: all.
    """

    protocol = "imap"
    done = "logout"
    line_limit = 128 * 1024

    def __init__(self, hub: Hub, channel: Channel) -> None:
        from .commands import COMMANDS

        super().__init__(hub, channel)
        self.state = "not authenticated"
        self._account: EmulatedAccount | None = None
        self.selected: View | None = None
        self.readonly = False
        self.utf8 = False
        self.condstore = False
        self.admin = False
        self.tag = ""
        self.bad_commands = 0
        self.commands_seen = 0
        self.idling = False
        self.only: int | None = None
        self._commands = COMMANDS
        self._news_timer: asyncio.TimerHandle | None = None
        self._greeted = False

    # Life

    def greet(self) -> None:
        self.untagged(f"OK Gimap ready for requests from {self.channel.peer} {self.sid}")

    def ready(self) -> None:
        if not self._greeted:
            self._greeted = True
            self.silence(self.hub.behaviour.unauthenticated_timeout)

    def farewell(self, ending: Ending) -> None:
        self.untagged(f"BYE {ending}" if isinstance(ending, Interrupted) else f"BYE System Error {self.sid}")

    def end(self) -> None:
        """Let go of timers and the mailbox."""
        self.unselect()
        self.stop_idling()
        super().end()

    def silence(self, seconds: float | None) -> None:
        """After so long without a command the connection goes, without a word."""
        self.arm("silence", seconds, self.channel.abort)

    def start(self, account: EmulatedAccount, token: AccessToken | None) -> None:
        """The session is logged in."""
        self.log_in(account, token)
        self._account = account
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

    def verb(self, words: list[bytes], line: bytes | None) -> str | None:
        needed = 3 if len(words) > 1 and words[1].upper() == b"UID" and line is None else 2
        if not _TAG.fullmatch(words[0] if words else b"") or (len(words) < needed and line is None):
            return None
        if line is not None and not line.endswith(b"\r\n"):
            return None
        return b" ".join(words[1 : 3 if words[1:2] and words[1].upper() == b"UID" else 2]).upper().decode("ascii", "replace")

    def prefix(self, line: bytes) -> str:
        self.tag = line.partition(b" ")[0].rstrip(b"\r\n").decode("ascii")
        return f"{self.tag} "

    async def unreadable(self, line: bytes) -> None:  # noqa: ARG002
        self.untagged("BAD invalid tag " + self.sid)

    async def obey(self, line: bytes, verb: str, gate: Gate) -> None:
        if not line.endswith(b"\r\n"):
            await self.unreadable(line)
            await gate.after()
            return
        rest = line.removesuffix(b"\r\n").partition(b" ")[2]
        unreadable: Bad | None = None
        text, literals = rest, list[bytes]()
        try:
            text, literals = await self._read_literals(rest, verb)
        except Bad as bad:
            unreadable = bad
        self._record(verb, text)
        view = self.selected
        known = None if view is None else view.known()
        self.only = None if gate.fault is None else gate.fault.only
        if not await gate.before(more=verb in _READ_ON):
            await self.guard(self._answer(verb, Args(text[len(verb) :], literals, self.utf8), unreadable))
        if await gate.after() and view is not None and known is not None and view is self.selected:
            view.forget(*known)

    async def _answer(self, verb: str, args: Args, unreadable: Bad | None) -> None:
        try:
            if unreadable is not None:
                raise unreadable
            await self._dispatch(verb, args)
        except Bad as bad:
            self._bad(bad.text)
        except No as no:
            self._reply("NO", no.text)
        except Refused as refused:
            self._reply("NO", f"[{refused.code}] {refused.text} (Failure)" if refused.code else f"{refused.text} (Failure)")

    def apologise(self) -> None:
        self._reply("BAD", f"System Error {self.sid}")

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
        self._reply("OK", text)

    async def finish(self, status: str, text: str) -> None:
        """The tagged reply alone, for a command that has told its news."""
        self._reply(status, text)

    async def no(self, text: str) -> None:
        """The tagged NO, for a command that has more to do after it."""
        self._reply("NO", text)
        await self.channel.drain()

    def _reply(self, status: str, text: str) -> None:
        throttled = self._account is not None and self._account.behaviour.throttled
        if status != "NO" and self.state == "not authenticated" and not text.endswith(self.sid):
            text = f"{text} {self.sid}"  # before login every OK and BAD ends in the session's id
        self.channel.write_last(f"{self.tag} {status} {text}{' [THROTTLED]' if throttled else ''}\r\n".encode())

    def _bad(self, text: str) -> None:
        # BAD carries the session's id, save where the text was seen without.
        self._reply("BAD", text)
        self.bad_commands += 1
        limit = self.hub.behaviour.max_bad_commands
        if limit and self.bad_commands >= limit:
            raise Finished("too many bad commands")

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
