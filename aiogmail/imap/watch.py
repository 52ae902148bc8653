"""What happens in a mailbox, as it happens? Looks at what is there, compares it with a cursor, and waits in IDLE for a reason to look again.

IDLE's lines are hints and nothing else: what is told comes from a comparison. There is no task behind it: all is done within the
consumer's own await. So a slow consumer holds it up without anything piling up, and a watch that is left by ``break`` leaves nothing running.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from aiogmail.errors import ConfigurationError, GmailError, MailboxChanged, MailboxNotFound, StateError
from aiogmail.ports import Effect
from aiogmail.stream import Stream

from .commands import Idle, List
from .cursor import Cursor
from .events import Event, MailboxReset
from .look import Look, baseline, rows_of
from .pending import Pending
from .plan import Plan
from .session import ImapSession

if TYPE_CHECKING:
    from .mailbox import Mailbox

__all__ = ["ALL_MAIL", "Watch", "check_watch", "find_all_mail"]

ALL_MAIL = "\\All"
"""What a cursor calls the mailbox with every message, whose name differs from language to language."""

_CALM = 1.0
"""Seconds between two looks that nothing but other commands on the connection gave reason for."""
_PACE = 0.25
"""Seconds from one look to the next at least, while the server tells of changes."""
_JITTER = 0.1
_UNTIL_NEXT_TRY = 5.0
_WITHOUT_IDLE = 30.0


class Watch(Stream[Event]):
    """What happens in a mailbox, from a cursor on: an async iterator and an async context manager.

    It goes on through every loss and change of the connection. The cursor moves when the consumer has taken an event, which is when it
    asks for the next one; :attr:`cursor` and every event's own show it. Whoever starts again from a cursor is told what follows it: what was
    told before and not saved comes again, with the same key.

    What it tells adds up to what changed between two looks. So a message that came and went between them is never told of, two changes may be
    told as one, and it is not known who made them.

    Raises, from ``__anext__``:
        GmailError: what could not be recovered within ``Timeouts.recover``; asking again goes on.
        MailboxNotFound: the mailbox was deleted, or is hidden from IMAP now.

    Cancelling an ``__anext__`` loses no event: the next one gets it.
    """

    def __init__(
        self, mailbox: Mailbox, cursor: Cursor | None, *, account: str, name: str, poll: float | None, owned: bool = False
    ) -> None:
        self._mailbox = mailbox
        self._owned: Mailbox | None = mailbox if owned else None
        """The mailbox that is opened and closed with it."""
        self._unopened = owned
        self._account = account
        self._name = name
        self._poll = poll
        self._told = cursor
        self._taken = cursor
        self._plan: Plan | None = None
        self._first: Event | None = None
        """The plan's first event, made ready to know whether there is one."""
        self._reset: MailboxReset | None = None
        self._look = Look()
        self._session: ImapSession | None = None
        self._idle: Pending[None] | None = None
        self._scope: asyncio.Timeout | None = None
        self._sent = 0
        self._next_look = 0.0
        self._last_look = 0.0
        self._well = float("-inf")
        self._opened_at = 0.0
        self._consuming = False
        self._closed = False

    @property
    def cursor(self) -> Cursor:
        """The place behind the last event that was taken; at first, that where the watch began.

        Raises:
            StateError: it has not begun: enter it with ``async with``, or ask for an event.
        """
        if self._taken is None or not self._taken.uidvalidity:
            raise StateError("watch: it has not begun; enter it with 'async with', or ask for an event")
        return self._taken

    @property
    def mailbox(self) -> Mailbox:
        """Where the UIDs of the latest event hold: fetch from it, store to it.

        It is the mailbox that is watched, until a :class:`MailboxReset`; from then on that one is void, and this is the same mailbox opened
        anew, which is closed with the watch.
        """
        return self._mailbox

    async def __aenter__(self) -> Self:
        """Begin: without a cursor, what comes from now on will be told.

        Raises:
            GmailError: the mailbox could not be opened or looked at.
        """
        try:
            await self._open()
            while self._taken is None or not self._taken.uidvalidity:
                await self._advance()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def aclose(self) -> None:
        """End it: it gives no more events. The mailbox stays open, unless the watch opened it."""
        self._closed = True
        self._plan = self._first = None
        # A task that waits for an event hears that there will be none, whatever it is that it waits for.
        if self._idle is not None and self._session is not None:
            self._session.protocol.queue.interrupt(self._idle)
        elif self._scope is not None:
            self._scope.reschedule(0.0)
            self._scope = None
        owned, self._owned = self._owned, None
        if owned is not None:
            await owned.aclose()

    async def __anext__(self) -> Event:
        if self._consuming:
            raise StateError("watch: two tasks iterate over the same watch; give each its own")
        self._consuming = True
        try:
            self._taken = self._told  # the event before is taken
            while not self._closed:
                event = self._next()
                if event is not None:
                    return event
                await self._advance()
            raise StopAsyncIteration
        finally:
            self._consuming = False

    def _next(self) -> Event | None:
        """The next event, if one is ready."""
        event: Event | None
        event, self._reset = self._reset, None
        if event is None and self._plan is not None:
            event, self._first = self._first, None
            if event is None:
                event = self._plan.next()
            self._told = self._plan.cursor
            if self._plan.is_done:
                self._plan = None
        elif event is not None:
            self._told = event.cursor
        if event is None:
            self._taken = self._told
        return event

    # -- one step ----------------------------------------------------------------------------------------------------------

    async def _advance(self) -> None:
        """One step, on whatever session there is; given up when it is closed meanwhile."""
        if self._closed:
            raise StateError("watch: closed")
        try:
            async with asyncio.timeout(None) as self._scope:
                await self._recovered()
        except TimeoutError:
            if not self._closed:
                raise
        finally:
            self._scope = None

    async def _recovered(self) -> None:
        """One step; what goes wrong in it is no news while the next may succeed."""
        try:
            await self._open()
            self._well = max(self._well, self._opened_at)
            await self._mailbox.runner.run(self._step, Effect.PURE)
        except MailboxChanged:
            await self._follow()
        except GmailError as error:
            # Work that fails three times makes no progress; a watch that was well a moment ago does.
            if not self._may_go_on(error):
                raise

    def _may_go_on(self, error: GmailError) -> bool:
        if self._closed:
            return True  # to where that is seen: it ends without an error
        return error.retryable and asyncio.get_running_loop().time() - self._well < self._mailbox.timeouts.recover

    async def _open(self) -> None:
        if self._unopened:
            await self._mailbox.__aenter__()
            self._unopened = False
        if not self._opened_at:
            self._opened_at = asyncio.get_running_loop().time()

    async def _follow(self) -> None:
        """UIDVALIDITY is another: every call on the mailbox fails from now on, as its UIDs are void; the watch opens it anew for itself."""
        self._plan = self._first = None  # what has the same UIDs now are other messages; whatever is there will be told after the reset
        try:
            self._mailbox = await self._mailbox.renewed()
        except GmailError as error:
            if not self._may_go_on(error):
                raise
            await asyncio.sleep(_UNTIL_NEXT_TRY)
            return
        if self._closed:
            await self._mailbox.aclose()
        elif self._owned is None:
            self._owned = self._mailbox

    async def _step(self, session: ImapSession) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if session is not self._session:
            self._session = session
            self._look.renew()
            self._next_look = now
        elif session.protocol.sent != self._sent:
            # Others gave commands, whose effects the server need not tell us.
            self._next_look = min(self._next_look, self._last_look + _CALM)
        try:
            if self._plan is not None:
                self._plan.provide(await rows_of(session, self._plan.wanted))
            else:
                if now >= self._next_look or self._look.is_hinted(session):
                    await self._look_now(session)
                # Without giving the connection back in between: others that share it would each time begin anew, and none come to listen.
                is_quiet = self._plan is None and self._reset is None and loop.time() < self._next_look
                # What was told behind the look's own replies is not told again in IDLE.
                if is_quiet and not self._look.is_hinted(session) and self._consuming and not self._closed:
                    self._well = loop.time()
                    await self._listen(session)
        finally:
            self._sent = session.protocol.sent
        self._well = loop.time()

    async def _look_now(self, session: ImapSession) -> None:
        """Compare what is there with the cursor."""
        cursor = self._told
        if cursor is None:
            self._told = self._taken = await baseline(session, self._look, self._mailbox.name, self._account, self._name)
        else:
            result = await self._look.compare(session, self._mailbox.name, cursor)
            if result.uidvalidity != cursor.uidvalidity:
                self._begin(cursor, result.uidvalidity)
                return  # and look again
            if result.found is not None:
                self._tell(Plan(cursor, result.found))
        now = self._last_look = asyncio.get_running_loop().time()
        timeouts = session.settings.timeouts
        every = min(timeouts.idle_renew * (1 - _JITTER * random.random()), timeouts.idle_max, self._poll or timeouts.idle_max)  # noqa: S311  no secret
        self._next_look = now if self._look.is_incomplete else now + every

    def _tell(self, plan: Plan) -> None:
        """What a look found; if it is nothing, all is told."""
        self._first = plan.next()
        if self._first is None and plan.is_done:
            self._told = self._taken = plan.cursor
        else:
            self._plan = plan

    def _begin(self, cursor: Cursor, uidvalidity: int) -> None:
        """Under a UIDVALIDITY that the cursor does not know: nothing of it holds."""
        new = Cursor(self._account, self._name, uidvalidity)
        if cursor.uidvalidity:
            self._reset = MailboxReset(old=cursor.uidvalidity, new=uidvalidity, cursor=new)
        else:
            self._told = self._taken = new

    async def _listen(self, session: ImapSession) -> None:
        """Wait for a hint, or until it is time to look."""
        loop = asyncio.get_running_loop()
        queue = session.protocol.queue
        news = session.next_news()
        patience = max(0.0, self._next_look - loop.time())
        if queue.in_flight or "IDLE" not in session.capabilities:
            # IDLE would have to wait for others, and they for it: meanwhile it is they who hear what is new.
            patience = min(patience, _CALM if queue.in_flight else _WITHOUT_IDLE)
            reasons: list[asyncio.Future[Any]] = [news, session.closed]
            await asyncio.wait(reasons, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not queue.in_flight:
                self._next_look = loop.time()
            return
        idle = self._idle = session.submit(Idle())
        try:
            await asyncio.wait([idle.future, news], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            # What changes without cease is looked at some times a second: Gmail slows down who asks for more.
            pause = self._last_look + _PACE - loop.time()
            if pause > 0:
                await asyncio.wait([idle.future], timeout=pause)
            others = idle.future.done()
            queue.interrupt(idle)
            await asyncio.wait([idle.future])
            if not idle.future.cancelled():  # else it never left: commands are spaced, or it waited for its turn
                idle.future.result()
        except asyncio.CancelledError:
            queue.cancel(idle)
            raise
        finally:
            self._idle = None
            self._well = loop.time()  # until now it was
        self._next_look = min(self._next_look, self._last_look + _CALM) if others else loop.time()


def check_watch(cursor: object, poll: object, account: str, name: str) -> Cursor | None:
    """The cursor to begin with, under its own name.

    Raises:
        ConfigurationError: it is no cursor, or another mailbox's; ``poll`` is no number of seconds.
    """
    if poll is not None and (isinstance(poll, bool) or not isinstance(poll, int | float) or not poll > 0):
        raise ConfigurationError(f"poll: expected seconds above 0, or None, got {poll!r}")
    if cursor is None:
        return None
    if not isinstance(cursor, Cursor):
        raise ConfigurationError(f"cursor: expected a Cursor (Cursor.from_json(text) makes one of text), got {type(cursor).__name__}")
    for told, own, what in ((cursor.account, account, "account"), (cursor.mailbox, name, "mailbox")):
        if told and told.casefold() != own.casefold():
            raise ConfigurationError(f"cursor: it is of the {what} {told!r}, and this is {own!r}")
    return replace(cursor, account=account, mailbox=name)


async def find_all_mail(session: ImapSession) -> str:
    """The name of the mailbox with every message, by its special use (RFC 6154): it is translated.

    Raises:
        MailboxNotFound: there is none, or it is hidden.
    """
    plain = "X-GM-EXT-1" in session.capabilities or "SPECIAL-USE" not in session.capabilities  # Gmail shows special uses in any LIST
    for one in await session.execute(List(special_use=not plain)):
        if ALL_MAIL in one.attributes:
            return one.name
    raise MailboxNotFound("the account shows no All Mail: switch on 'Show in IMAP' for it in Gmail's settings, under Labels")
