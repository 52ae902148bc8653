"""What is asked, and what came of it? One command and its reply, as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiogmail.errors import GmailError

from .wire import SEEMS, Expect, Status

__all__ = ["Exchange"]


class Exchange:
    """One command and its reply.

    Args:
        name: what errors call it: the verb.
        line: the command without CRLF. It may hold a secret: it is forgotten once it is written, and never shown.
        expect: what it is answered with.
        table: its lines are a list, not a message.
        patience: seconds for the whole of it; ``None``: the deadlines of replies that carry bodies hold.
        on_challenge: answers a challenge of AUTH; its result is written as a line.
        on_octets: takes the pieces of the body as they come; without it they are kept.

    Attributes:
        future: done with the status line once the whole reply is here, or failed.
        pieces: of the body.
    """

    __slots__ = ("expect", "future", "line", "name", "on_challenge", "on_octets", "patience", "pieces", "size", "status", "table")

    def __init__(
        self,
        name: str,
        line: bytes,
        expect: Expect = Expect.LINE,
        *,
        table: bool = False,
        patience: float | None = None,
        on_challenge: Callable[[bytes], bytes] | None = None,
        on_octets: Callable[[bytes], None] | None = None,
    ) -> None:
        self.name = name
        self.line = line
        self.expect = expect
        self.table = table
        self.patience = patience
        self.on_challenge = on_challenge
        self.on_octets = on_octets
        self.future: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        self.status: Status | None = None
        self.pieces: list[bytes] = []
        self.size = 0

    @property
    def body(self) -> bytes:
        """What came, whole."""
        pieces = self.pieces
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def is_granted(self) -> bool:
        """Whether the whole reply is here, and it is ``+OK`` in earnest."""
        future = self.future
        if not future.done() or future.exception() is not None:
            return False
        status = future.result()
        return status.ok and status.code != SEEMS

    def fail(self, error: GmailError) -> None:
        """It will not be answered any more."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # retrieved: nobody may be waiting for a reply that was asked for ahead

    def __repr__(self) -> str:
        return f"Exchange({self.name})"
