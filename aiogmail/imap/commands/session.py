"""The commands of any state: CAPABILITY, ID, NOOP, LOGOUT, ENABLE (RFC 9051 section 6.1, RFC 2971, RFC 5161)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from aiogmail.imap.wire import Capability, Id, Quoted, Response, Status, Tagged
from aiogmail.settings import Timeouts

from .base import Command

__all__ = ["CapabilityCommand", "IdCommand", "Logout", "Noop", "capabilities_of"]


def capabilities_of(tagged: Tagged | Status) -> frozenset[str] | None:
    """The capabilities in a ``[CAPABILITY …]`` response code, if there is one."""
    if tagged.code is not None and tagged.code.name == "CAPABILITY":
        return cast("frozenset[str]", tagged.code.args[0])
    return None


class CapabilityCommand(Command[frozenset[str]]):
    """CAPABILITY. The result is a set of upper-case names."""

    name = "CAPABILITY"

    def __init__(self) -> None:
        self._names: frozenset[str] = frozenset()

    def take(self, response: Response) -> bool:
        if isinstance(response, Capability):
            self._names = response.names
            return True
        return False

    def finish(self, tagged: Tagged) -> frozenset[str]:
        return self._names


class IdCommand(Command[Mapping[str, str | None]]):
    """ID (RFC 2971): tells who we are; the result is who the server says it is."""

    name = "ID"

    def __init__(self, items: Mapping[str, str]) -> None:
        self._items = dict(items)
        self._theirs: Mapping[str, str | None] = {}

    def arguments(self) -> Sequence[Any]:
        return (tuple(Quoted(word) for pair in self._items.items() for word in pair),) if self._items else (None,)

    def take(self, response: Response) -> bool:
        if isinstance(response, Id):
            self._theirs = response.items
            return True
        return False

    def finish(self, tagged: Tagged) -> Mapping[str, str | None]:
        return self._theirs


class Noop(Command[None]):
    """NOOP: a chance for the server to say what is new."""

    name = "NOOP"
    concurrent = True
    takes_rows = False

    def finish(self, tagged: Tagged) -> None:
        return None


class Logout(Command[None]):
    """LOGOUT. The BYE that comes before its OK is no loss of the connection."""

    name = "LOGOUT"
    waits = True
    blocks = True

    def take(self, response: Response) -> bool:
        return isinstance(response, Status) and response.status == "BYE"

    def finish(self, tagged: Tagged) -> None:
        return None

    def patience(self, timeouts: Timeouts) -> float | None:
        return timeouts.logout
