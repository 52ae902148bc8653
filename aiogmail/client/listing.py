"""What can be done to the mailboxes of an account? The part of :class:`~aiogmail.Gmail` that lists, makes, renames and deletes them."""

from __future__ import annotations

import abc

from aiogmail.imap.directory import Directory, MailboxInfo, Quota

__all__ = ["Listing"]


class Listing(abc.ABC):
    """The mailboxes of an account; on Gmail, its labels. They share one connection, which is opened when one of these is first called."""

    @abc.abstractmethod
    def _directory(self) -> Directory:
        """The account's mailboxes.

        Raises:
            StateError: the account is not open.
        """

    async def mailboxes(self, *, counts: bool = False) -> tuple[MailboxInfo, ...]:
        """All mailboxes that IMAP shows, in the server's order.

        Args:
            counts: with what is in each: in the same round trip where the server has LIST-STATUS, as Gmail does.

        Raises:
            GmailError: the server could not be asked within ``Timeouts.recover``.
        """
        return await self._directory().mailboxes(counts=counts)

    async def special(self, use: str) -> MailboxInfo:
        """The mailbox for a purpose, found by its attribute: its name differs from language to language.

        Args:
            use: ``"inbox"``, ``"all"``, ``"sent"``, ``"drafts"``, ``"trash"``, ``"junk"``, ``"flagged"``, ``"important"``, or ``"archive"``, which
                Gmail has not.

        Raises:
            ConfigurationError: another word.
            MailboxNotFound: there is none: on Gmail, "Show in IMAP" is off for it.
        """
        return await self._directory().special(use)

    async def create_mailbox(self, name: str) -> None:
        """Make a mailbox; on Gmail, a label.

        Args:
            name: in Unicode; levels are separated by ``/`` on Gmail (:attr:`MailboxInfo.delimiter`).

        Raises:
            ConfigurationError: a name that cannot be sent.
            Conflict: there is one of that name.
            CommandError: the server does not allow the name.
            OutcomeUnknown: the reply was lost, and the server could not be asked what became of it.

        If the connection is lost it is made once: it is looked for before it is asked for again. Cancelled, it may have been made.
        """
        await self._directory().create(name)

    async def rename_mailbox(self, old: str, new: str) -> None:
        """Rename a mailbox and all below it.

        Raises:
            ConfigurationError: a name that cannot be sent, or twice the same.
            MailboxNotFound: there is none of the name ``old``.
            Conflict: there is one of the name ``new``.
            CommandError: it is one of Gmail's own, or the name is not allowed.
            OutcomeUnknown: the reply was lost, and what is there does not say what became of it.

        Cancelled, it may have been renamed.
        """
        await self._directory().rename(old, new)

    async def delete_mailbox(self, name: str) -> None:
        """Delete a mailbox. On Gmail only the label goes; its messages stay in All Mail. Elsewhere the messages go with it.

        Raises:
            ConfigurationError: a name that cannot be sent.
            MailboxNotFound: there is none of that name.
            CommandError: it is one of Gmail's own.
            OutcomeUnknown: the reply was lost, and what is there does not say what became of it.

        One that somebody made anew under the same name, while the connection was lost, is not deleted: UIDVALIDITY tells them apart.
        Cancelled, it may have been deleted.
        """
        await self._directory().delete(name)

    async def quota(self) -> Quota:
        """How full the account's storage is.

        Raises:
            CommandError: the server has no QUOTA (RFC 9208); Gmail has.
        """
        return await self._directory().quota()
