"""SELECT and EXAMINE (RFC 9051 section 6.3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiogmail.errors import GmailError, MailboxChanged, ProtocolError
from aiogmail.imap.wire import Exists, Flags, Mailbox, Recent, Response, Status, Tagged

from .base import Command

__all__ = ["MailboxState", "Select"]


@dataclass(frozen=True, slots=True)
class MailboxState:
    r"""What the server said of a mailbox when it was selected, kept up with what it tells since.

    Attributes:
        exists: messages in the mailbox.
        uidvalidity: while it is the same, a UID names the same message.
        uidnext: the UID that the next message will get at least; ``None`` if the server does not say.
        highestmodseq: the highest mod-sequence; of the whole account on Gmail; ``None`` if the server has none.
        readonly: whether flags and labels cannot be changed.
        flags: flags in use.
        permanent_flags: flags that can be changed; ``\*`` means new keywords can be made.
    """

    exists: int = 0
    uidvalidity: int = 0
    uidnext: int | None = None
    highestmodseq: int | None = None
    readonly: bool = False
    flags: frozenset[str] = frozenset()
    permanent_flags: frozenset[str] = frozenset()


class Select(Command[MailboxState]):
    """SELECT, or EXAMINE when ``readonly``. It is written behind reads, and reads behind it, without waiting for replies.

    A failed one leaves nothing selected (RFC 9051 section 6.3.2), and the connection is of no more use to who asked for it:
    the error ends it, and with it whatever was written behind.

    Args:
        mailbox: its name, in Unicode.
        readonly: EXAMINE it.
        uidvalidity: what it must be, because UIDs are known already; ``None``: any.
        on_selected: called with the state before anything that came behind the reply is looked at.
    """

    droppable = False

    def __init__(
        self,
        mailbox: str,
        *,
        readonly: bool,
        uidvalidity: int | None = None,
        on_selected: Callable[[MailboxState], None] | None = None,
    ) -> None:
        self._on_selected = on_selected
        self._mailbox = mailbox
        self._readonly = readonly
        self._expected = uidvalidity
        self._state = MailboxState(readonly=readonly)

    @property
    def name(self) -> str:  # type: ignore[override]  # the one command with two words for it
        return "EXAMINE" if self._readonly else "SELECT"

    def arguments(self) -> Sequence[Any]:
        return (Mailbox(self._mailbox),)

    def take(self, response: Response) -> bool:
        if isinstance(response, Exists):
            self._state = replace(self._state, exists=response.number)
        elif isinstance(response, Flags):
            self._state = replace(self._state, flags=response.flags)
        elif isinstance(response, Status) and response.status == "OK" and response.code is not None:
            self._note(response.code.name, response.code.args)
        else:
            return isinstance(response, Recent)
        return True

    def _note(self, code: str, args: Sequence[Any]) -> None:
        match code:
            case "UIDVALIDITY":
                self._state = replace(self._state, uidvalidity=args[0])
            case "UIDNEXT":
                self._state = replace(self._state, uidnext=args[0])
            case "HIGHESTMODSEQ":
                self._state = replace(self._state, highestmodseq=args[0])
            case "PERMANENTFLAGS":
                self._state = replace(self._state, permanent_flags=args[0])
            case _:
                pass

    def finish(self, tagged: Tagged) -> MailboxState:
        if not self._state.uidvalidity:
            raise ProtocolError(f"{self.name} {self._mailbox}: the server told no UIDVALIDITY: no message could be named safely")
        if self._expected is not None and self._state.uidvalidity != self._expected:
            raise MailboxChanged(
                f"{self._mailbox}: UIDVALIDITY was {self._expected} and is {self._state.uidvalidity}: every UID known is void; open it anew",
                status="OK",
                code="UIDVALIDITY",
                text=str(self._state.uidvalidity),
                connection_lost=True,
            )
        if tagged.code is not None and tagged.code.name in ("READ-ONLY", "READ-WRITE"):
            self._state = replace(self._state, readonly=tagged.code.name == "READ-ONLY")
        if self._on_selected is not None:
            self._on_selected(self._state)
        return self._state

    def refuse(self, tagged: Tagged) -> GmailError:
        error = super().refuse(tagged)
        error.connection_lost = True
        return error
