"""What is a command? How it is written, which replies it takes, how it fails, and whether it may be run again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from aiogmail.errors import GmailError
from aiogmail.imap.wire import Continuation, Response, Tagged
from aiogmail.ports import Effect, Outcome
from aiogmail.settings import Timeouts

from .failures import command_error

__all__ = ["Command"]

T = TypeVar("T")


class Command(Generic[T]):
    """One command on its way: made for one run, owned by the queue from then on.

    Attributes, mostly of the class, say how it behaves on the wire:

    Attributes:
        name: the command word or words, such as ``"UID FETCH"``.
        effect: what running it twice would do.
        waits: it is written only when no other command is on the wire.
        blocks: nothing is written behind it until its tagged reply has come.
        bulk: its reply may carry bodies or many rows: it is held to progress and a least rate instead of one deadline.
        patient: its reply may be held back while rows that have come wait for their consumer.
        endless: it goes on until it is interrupted.
        droppable: its reply is small: a caller that is cancelled leaves it to be read and dropped.
    """

    name: str
    effect: Effect = Effect.PURE
    waits: bool = False
    blocks: bool = False
    bulk: bool = False
    patient: bool = False
    endless: bool = False
    droppable: bool = True

    def arguments(self) -> Sequence[Any]:
        """The values behind the name, for :func:`..wire.encoder.encode_command`."""
        return ()

    concurrent: bool = False
    """Whether two of the same kind may be on the wire at once: their replies can be told apart."""
    tag: str = ""
    """Set when it is written."""

    def clashes(self, other: Command[Any]) -> bool:
        """Whether it must not be written while ``other`` is on the wire, because their untagged replies could not be told apart."""
        return type(other) is type(self) and not (other.concurrent and self.concurrent)

    takes_rows: bool = True
    """Whether it may take FETCH responses."""

    def rivals(self, other: Command[Any]) -> bool:
        """Whether both could take the same row, so that each is asked first whether it :meth:`fits`."""
        return self.takes_rows and other.takes_rows

    def fits(self, response: Response) -> bool:
        """Whether a response is just what was asked for, so that it is this command's before it is another's that would take it."""
        return False

    def take(self, response: Response) -> bool:
        """Whether this untagged response is this command's; if so it is kept."""
        return False

    def take_run(self, responses: Sequence[Response], start: int) -> int:
        """How many of the responses from ``start`` on, without a gap, are this command's; those are kept.

        A command that takes many rows looks at them all in one step.
        """
        return 1 if self.take(responses[start]) else 0

    def answer(self, continuation: Continuation) -> bytes | bool:
        """The line, without CRLF, with which the client answers a continuation request that no literal waits for.

        ``True``: it is taken, and there is nothing to say. ``False``: the command expects none, and the connection is failed.
        """
        return False

    utf8: bool = False
    """Set when the server has enabled UTF8=ACCEPT for it: what is written behind its tagged OK is written that way."""

    def join(self, others: Sequence[Command[Any]], room: int) -> int:
        """How many of the commands waiting behind this one, from the first on, it can do in the same run.

        Args:
            others: those that wait.
            room: octets that the command line may have behind its tag.
        """
        return 0

    def take_cut(self, text: bytes, octets: bytes) -> None:
        """The connection goes in the middle of a literal: ``text`` announces it, and ``octets`` came of it."""

    def forget(self) -> None:
        """Nobody waits for the result any more: what still comes is read and not kept."""

    def interrupt(self) -> bytes | None:
        """A line that ends this command early because others wait; ``None``: it ends by itself."""
        return None

    def settle(self, tagged: Tagged) -> T:
        """What the tagged reply makes of it: the result of :meth:`finish`, or the error of :meth:`refuse`, raised."""
        if tagged.status != "OK":
            error = self.refuse(tagged)
            error.outcome = error.outcome or Outcome.NOT_APPLIED
            raise error
        return self.finish(tagged)

    def finish(self, tagged: Tagged) -> T:
        """The result, made from what was taken and the tagged OK."""
        raise AssertionError("a command says what its result is")

    def refuse(self, tagged: Tagged) -> GmailError:
        """The error for a tagged NO or BAD."""
        return command_error(self.name, tagged)

    def patience(self, timeouts: Timeouts) -> float | None:
        """Seconds from its turn on the wire to its tagged reply (to the first byte, if ``bulk``); ``None``: no end."""
        return timeouts.first_byte if self.bulk else timeouts.command

    def is_droppable(self) -> bool:
        """Whether what is still to come of the reply is small enough to be read and dropped."""
        return self.droppable
