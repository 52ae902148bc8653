"""What has a session been told about its mailbox, and what must it still be told?

Message numbers are the session's own: they change only when EXISTS and EXPUNGE were sent, never when the mailbox changes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from aiogmail.testing.message import Mailbox

__all__ = ["View"]


class View:
    """A selected mailbox as one session knows it.

    Args:
        mailbox: the mailbox.
        wake: called at every change, for IDLE.
        ended: called when the mailbox was renumbered and nothing known holds.
        limit: only so many of the newest messages are shown.
    """

    def __init__(self, mailbox: Mailbox, wake: Callable[[], None], ended: Callable[[], None], limit: int | None = None) -> None:
        self.mailbox = mailbox
        self.uids = list(mailbox.order if limit is None else mailbox.order[-limit:])
        self.gone: set[int] = set()
        self.news: set[int] = set()
        self.come = False
        self._known = mailbox.uidnext
        self._wake = wake
        self._ended = ended
        mailbox.watchers.append(self)

    def close(self) -> None:
        """Watch no longer."""
        if self in self.mailbox.watchers:
            self.mailbox.watchers.remove(self)

    def known(self) -> tuple[list[int], int]:
        """What the client knows now, for :meth:`forget`."""
        return list(self.uids), self._known

    def forget(self, uids: list[int], upto: int) -> None:
        """What was told since never reached the client: it is to be told again."""
        self.uids, self._known = uids, upto
        self.gone.update(uid for uid in uids if uid not in self.mailbox.by_uid)
        self.come = True

    # From the mailbox

    def arrived(self, uid: int) -> None:  # noqa: ARG002  the mailbox knows which
        self.come = True
        self._wake()

    def left(self, uid: int) -> None:
        self.gone.add(uid)
        self._wake()

    def changed(self, uid: int) -> None:
        self.news.add(uid)
        self._wake()

    def renumbered(self) -> None:
        self._ended()

    # To the session

    def number(self, uid: int) -> int | None:
        """The message number of a UID that the session knows."""
        at = bisect_left(self.uids, uid)
        return at + 1 if at < len(self.uids) and self.uids[at] == uid else None

    def take_gone(self) -> list[int]:
        """The numbers to EXPUNGE, each as it counts when those before it are gone."""
        if not self.gone:
            return []
        numbers = sorted(number for uid in self.gone if (number := self.number(uid)) is not None)
        if numbers:
            self.uids = [uid for uid in self.uids if uid not in self.gone]
        self.gone.clear()
        return [number - before for before, number in enumerate(numbers)]

    def take_come(self) -> bool:
        """Take new messages in; whether there were any."""
        if not self.come:
            return False
        order = self.mailbox.order
        fresh = order[bisect_left(order, self._known) :]
        self._known = self.mailbox.uidnext
        self.come = False
        self.uids.extend(fresh)
        return bool(fresh)

    def take_news(self) -> list[tuple[int, int]]:
        """Number and UID of the messages whose flags changed and that are still there."""
        if not self.news:
            return []
        found = [(number, uid) for uid in sorted(self.news) if uid in self.mailbox.by_uid and (number := self.number(uid)) is not None]
        self.news.clear()
        return found
