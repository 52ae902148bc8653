"""What became of each message of a change?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiogmail.imap.uidset import UidSet

__all__ = ["ChangeResult"]


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """What became of each message that was to be changed. Every UID asked for is in exactly one of the four sets.

    A call returns one only if ``unchanged`` and ``unknown`` are empty; otherwise it raises, and the error's ``result`` is this.

    Attributes:
        applied: the messages that are now as they were to be; also those that were before.
        gone: messages that are not in the mailbox: they were not when it began, or somebody else took them away.
        unchanged: messages that are as they were: the server refused them, or the call did not come to them.
        unknown: messages of which it could not be found out.
        copies: of copies and moves: UID here → UID there, as far as it is known. Gmail tells it; if that was lost it was looked up.
        uidvalidity: of the mailbox there; ``None`` where ``copies`` is empty.
    """

    applied: UidSet = field(default_factory=UidSet)
    gone: UidSet = field(default_factory=UidSet)
    unchanged: UidSet = field(default_factory=UidSet)
    unknown: UidSet = field(default_factory=UidSet)
    copies: Mapping[int, int] = field(default_factory=dict)
    uidvalidity: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether no message was left as it was, and none is unknown."""
        return not self.unchanged and not self.unknown

    def joined(self, other: ChangeResult) -> ChangeResult:
        """Of two changes one after the other: a message is applied if both were."""
        gone, unchanged, unknown = self.gone | other.gone, self.unchanged | other.unchanged, self.unknown | other.unknown
        worse = unchanged | unknown
        return ChangeResult(
            (self.applied | other.applied) - gone - worse,
            gone - worse,
            unchanged - unknown,
            unknown,
            {**self.copies, **other.copies},
            other.uidvalidity if other.copies else self.uidvalidity,
        )
