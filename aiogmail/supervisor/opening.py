"""How is one session opened, when others are opened too? Within the budget; and a successor is asked whether it works."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

from aiogmail.errors import ConnectFailed, GmailError, TokenEndpointError, TooManyConnections
from aiogmail.settings import Budget

__all__ = ["Opening", "Session", "Turn", "ask", "expiry_of", "retire"]

_ROOM_WITHIN = 5.0
_SAME = 0.01  # seconds: a token's end is reckoned anew for each session, and differs by a rounding
_FRESHER_WITHIN = 30.0
_TURN = 60.0


class Session(Protocol):
    """What a supervisor needs to know of the sessions it opens. Beside this, a session may have:

    * ``expires_at: float | None``, a reading of the settings' clock: when the server will end it. It is rotated before;
    * ``async probe(seconds)``: ask whether the peer still answers; raises a :class:`~aiogmail.GmailError` if it does not;
    * ``retire()``: a successor took over. What would go on for ever (IDLE) is ended, and is not begun again.
    """

    @property
    def closed(self) -> asyncio.Future[GmailError]:
        """Done with the reason once the connection is gone. Never cancelled, never an exception."""
        ...

    def abort(self) -> None:
        """Drop the connection at once; what is buffered is not sent."""
        ...

    async def aclose(self) -> None:
        """Take leave politely, within the session's own deadline, then drop the connection."""
        ...


S = TypeVar("S", bound=Session)


def expiry_of(session: Session) -> float | None:
    """When the server will end the session, as far as it is known."""
    expires_at: float | None = getattr(session, "expires_at", None)
    return expires_at


async def ask(session: Session, seconds: float) -> None:
    """Ask the session whether its peer still answers, if it can be asked.

    Raises:
        GmailError: it does not.
    """
    probe: Callable[[float], Awaitable[Any]] | None = getattr(session, "probe", None)
    if probe is not None:
        await probe(seconds)


def retire(session: Session) -> None:
    """Tell a session that a successor took over."""
    tell: Callable[[], None] | None = getattr(session, "retire", None)
    if tell is not None:
        tell()


class Turn:
    """Whose turn to rotate it is, of supervisors that share one: so that one connection at most is open beside theirs.

    A rotation whose old session works on for long does not hold up the others' beyond a minute: theirs expire too.
    """

    __slots__ = ("_since", "_who")

    def __init__(self) -> None:
        self._who: object = None
        self._since = 0.0

    def take(self, who: object, now: float) -> bool:
        """Whether it is this one's turn, which is now taken."""
        if self._who is not None and now - self._since < _TURN:
            return False
        self._who, self._since = who, now
        return True

    def give(self, who: object) -> None:
        """It is over."""
        if self._who is who:
            self._who = None


class Opening(Generic[S]):
    """Opens sessions of one account.

    Args:
        open_session: opens, authenticates and prepares a session.
        budget: says how many there may be, and when.
        account: what the budget counts by.
    """

    def __init__(self, open_session: Callable[[], Awaitable[S]], budget: Budget, account: str) -> None:
        self._open_session = open_session
        self._budget = budget
        self._account = account

    async def open(self) -> S:
        """Open one, when it is its turn.

        Raises:
            TooManyConnections: the account has as many as the budget allows.
            GmailError: what the opening failed with; what is none of ours is told as one, for all who wait for a session.

        Cancelled, it leaves nothing open.
        """
        budget, account = self._budget, self._account
        if not budget.enter(account):
            raise TooManyConnections(
                f"{account}: {budget.connections} connections are open already (Budget.connections)", retry_after=_ROOM_WITHIN
            )
        try:
            async with budget.handshake(account):
                session = await self._open_session()
        except BaseException as error:
            budget.leave(account)
            if (unforeseen := _unforeseen(error, account)) is not None:
                raise unforeseen from error
            raise
        session.closed.add_done_callback(lambda _: budget.leave(account))
        return session

    async def successor(self, old: S, probe: float) -> S:
        """Open the session that is to take over from ``old``, and see that it works and lives longer.

        Raises:
            TokenEndpointError: the token is the old one still; a session with it would end no later.
            GmailError: it cannot be opened, or does not answer within ``probe`` seconds.
        """
        session = await self.open()
        try:
            await ask(session, probe)
            before, after = expiry_of(old), expiry_of(session)
            if not old.closed.done() and before is not None and after is not None and after < before + _SAME:
                raise TokenEndpointError(f"{self._account}: there is no fresher token yet", retry_after=_FRESHER_WITHIN)
        except BaseException as error:
            session.abort()
            if (unforeseen := _unforeseen(error, self._account)) is not None:
                raise unforeseen from error
            raise
        return session


def _unforeseen(error: BaseException, account: str) -> GmailError | None:
    """What an error that no door has translated means; ``None``: it goes on as it is.

    It is told by its name alone: what its words hold, nobody knows.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return None
        return ConnectFailed(f"{account}: what the opening of a session awaited was cancelled")
    if isinstance(error, GmailError) or not isinstance(error, Exception):
        return None
    name = type(error).__name__
    if isinstance(error, OSError):
        return ConnectFailed(f"{account}: a session could not be opened: {name}")
    return GmailError(f"{account}: a session could not be opened, for a reason that no try can mend: {name}")
