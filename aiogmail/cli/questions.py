"""What does Gmail do that nobody has written down? Asked of a live account, with a label and messages of its own, which are removed in the end.

Each question is one that the emulator answers by a switch. Nothing is sent to anyone but the account itself. Not asked is what would harm the
account or last hours: what renaming or deleting one of Gmail's own mailboxes meets (it might be done), how many messages SMTP takes on one
connection, when an idle SMTP connection or one whose token has ended is closed, what a lockout says, and which of the person's mail
counts as popped by POP3, and when.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage

from aiogmail.client import Gmail, ImapClient
from aiogmail.errors import AuthError, CommandError, GmailError, MailboxNotFound, OutcomeUnknown
from aiogmail.imap.events import Arrived, Changed, Gone
from aiogmail.imap.mailbox import Mailbox
from aiogmail.imap.query import Q
from aiogmail.secret import Secret

from .bare import QUESTIONS as _BARE
from .bare import Bare

__all__ = ["Answer", "ask_all"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server did.

    Attributes:
        question: in words.
        answer: in words; ``"not settled"`` where it could not be found out.
        evidence: figures.
    """

    question: str
    answer: str
    evidence: str


@dataclass(slots=True)
class _Asked:
    """The label and the messages that the questions are asked with."""

    gmail: Gmail
    imap: Callable[[], ImapClient]
    label: str
    patience: float
    ids: list[int] = field(default_factory=list)
    message_ids: list[str] = field(default_factory=list)

    def letter(self, subject: str) -> EmailMessage:
        """A message to oneself."""
        message = EmailMessage()
        message["From"] = message["To"] = self.gmail.address
        message["Subject"] = f"aiogmail doctor: {subject}"
        message["Message-ID"] = f"<{secrets.token_hex(13)}.doctor@{self.gmail.address.partition('@')[2]}>"
        message.set_content("A message that aiogmail's doctor wrote to find out what the server does. It is removed in the end.\n")
        self.message_ids.append(str(message["Message-ID"]))
        return message

    async def append(self, box: Mailbox, subject: str) -> int:
        """One in the label; its UID."""
        uid = await box.append(self.letter(subject))
        if uid is None:
            raise OutcomeUnknown("doctor: the server did not tell the UID of what was appended", stage="APPEND")
        return uid


Question = Callable[[_Asked, Mailbox], Awaitable[tuple[str, str]]]


async def ask_all(
    gmail: Gmail, imap: Callable[[], ImapClient], token: Callable[[], Awaitable[Secret]], *, patience: float = 120.0
) -> AsyncGenerator[Answer, None]:
    """Ask every question in turn.

    Args:
        gmail: an open account.
        imap: makes a connection for what the account's own methods know a way around.
        token: gives an access token, for what no client of ours does.
        patience: seconds to wait for what may not come.

    Raises:
        MailboxNotFound: All Mail or Trash is hidden from IMAP: nothing was made, because it could not be removed.

    Closed before its end, it cleans up; whoever leaves the loop early has to close it.
    """
    for use in ("all", "trash"):
        await gmail.special(use)
    asked = _Asked(gmail, imap, f"aiogmail-doctor-{secrets.token_hex(4)}", patience)
    try:
        await gmail.create_mailbox(asked.label)
        async with gmail.mailbox(asked.label) as box:
            for words, question in _QUESTIONS:
                yield await _answered(words, question(asked, box))
        yield await _ask_again_for_a_label(asked)
        for words, about_labels in _OF_LABELS:
            yield await _answered(words, about_labels(asked))
        bare = Bare(gmail.address, gmail.settings, token, patience)
        for words, about_servers in _BARE:
            yield await _answered(words, about_servers(bare))
    finally:
        await _clean_up(asked)


async def _answered(words: str, answering: Awaitable[tuple[str, str]]) -> Answer:
    try:
        answer, evidence = await answering
    except GmailError as error:
        answer, evidence = "not settled", " ".join(str(error).split())
    return Answer(words, answer, evidence)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _similar(asked: _Asked, box: Mailbox) -> tuple[str, str]:
    letter = asked.letter("appended twice")
    first = await box.append(letter)
    second = await box.append(letter)
    found = await box.search(Q.header("Message-ID", str(letter["Message-ID"])))
    word = "kept both" if len(found) > 1 else "replaced: another UID" if first != second else "kept the first"
    return word, f"UIDs {first} and {second}; the label holds {len(found)}"


async def _modseq_of_labels(asked: _Asked, box: Mailbox) -> tuple[str, str]:
    uid = await asked.append(box, "mod-sequence")
    [before] = [one async for one in box.fetch(uid, "modseq")]
    await box.add_labels(uid, "\\Important")  # not \\Starred: that is a flag as well
    [after] = [one async for one in box.fetch(uid, "modseq")]
    return ("yes" if after.modseq > before.modseq else "no"), f"{before.modseq} before, {after.modseq} after"


async def _copy_again(asked: _Asked, box: Mailbox) -> tuple[str, str]:
    uid = await asked.append(box, "copied twice")
    target = f"{asked.label}-copies"
    await asked.gmail.create_mailbox(target)
    try:
        one, other = await box.copy(uid, target), await box.copy(uid, target)
        same = one.copies.get(uid) == other.copies.get(uid)
        return ("the same UID" if same else "another UID"), f"{one.copies.get(uid)} and {other.copies.get(uid)}"
    finally:
        await asked.gmail.delete_mailbox(target)


async def _announced(asked: _Asked, box: Mailbox, change: Callable[[int], Awaitable[object]], kinds: tuple[type, ...]) -> tuple[str, str]:
    """Whether a change by another connection is told to one that idles, and how late."""
    uid = await asked.append(box, "told while idling")
    async with asked.gmail.mailbox(asked.label, readonly=True) as other, other.watch(poll=asked.patience) as events:
        following = aiter(events)
        waiting = asyncio.ensure_future(anext(following))
        try:
            await asyncio.sleep(2.0)  # until it idles
            begun = _now()
            await change(uid)
            async with asyncio.timeout(asked.patience - 5):
                while not isinstance(await asyncio.shield(waiting), kinds):
                    waiting = asyncio.ensure_future(anext(following))
            return "yes", f"after {_now() - begun:.1f} s"
        except TimeoutError:
            return "no", f"not within {asked.patience - 5:.0f} s"
        finally:
            waiting.cancel()
            await asyncio.wait([waiting])


async def _label_told(asked: _Asked, box: Mailbox) -> tuple[str, str]:
    return await _announced(asked, box, lambda uid: box.add_labels(uid, "\\Important"), (Changed,))


async def _flag_told(asked: _Asked, box: Mailbox) -> tuple[str, str]:
    return await _announced(asked, box, lambda uid: box.add_flags(uid, "\\Answered"), (Changed,))


async def _own_label_removed(asked: _Asked, box: Mailbox) -> tuple[str, str]:
    async def remove(uid: int) -> None:
        # Mailbox.remove_labels would move the message instead, lest the server do nothing.
        async with asked.imap() as client:
            await client.aioimaplib.select(asked.label)
            reply = await client.aioimaplib.uid("store", str(uid), "-X-GM-LABELS", f"({asked.label})")
        if reply.result != "OK":
            raise CommandError(f"doctor: STORE -X-GM-LABELS: {reply.result}", status=reply.result)

    return await _announced(asked, box, remove, (Gone,))


async def _sent_lag(asked: _Asked, _box: Mailbox) -> tuple[str, str]:
    sent = await asked.gmail.special("sent")
    letter = asked.letter("how long until it is in Sent")
    async with asked.gmail.mailbox(sent.name, readonly=True) as mailbox, mailbox.watch(poll=5.0) as events:
        following = aiter(events)
        waiting = asyncio.ensure_future(anext(following))
        try:
            result = await asked.gmail.send(letter)
            begun = _now()
            async with asyncio.timeout(asked.patience):
                while True:
                    event = await asyncio.shield(waiting)
                    if isinstance(event, Arrived):
                        took = _now() - begun
                        [filed] = [one async for one in mailbox.fetch(event.uid, "envelope")]
                        if filed.envelope.message_id == result.message_id:
                            return "the Message-ID is kept", f"in Sent {took:.1f} s after the reply"
                    waiting = asyncio.ensure_future(anext(following))
        except TimeoutError:
            return "no copy", f"not within {asked.patience:.0f} s"
        finally:
            waiting.cancel()
            await asyncio.wait([waiting])


async def _stale(asked: _Asked, box: Mailbox) -> tuple[str, str]:
    uid = await asked.append(box, "changed by two")
    await box.add_flags(uid, "\\Answered")
    async with asked.imap() as client:  # Mailbox.set_flags would not ask for what it knows to be stale
        await client.aioimaplib.select(asked.label)
        reply = await client.aioimaplib.uid("store", str(uid), "(UNCHANGEDSINCE 1)", "+FLAGS", "(\\Flagged)")
    told = reply.lines[-1].decode("utf-8", "replace")
    return ("refused with MODIFIED" if "[MODIFIED" in told else "another answer"), f"{reply.result} {told}"


async def _recent(asked: _Asked, _box: Mailbox) -> tuple[str, str]:
    async with asked.gmail.pop3() as drop:
        others = (await drop.stat()).count
    try:
        async with asked.gmail.pop3(recent=True) as drop:
            return "let in", f"{(await drop.stat()).count} messages are offered with it, {others} without"
    except AuthError as error:
        return "refused", " ".join(str(error).split())


async def _to_the_bin(asked: _Asked, box: Mailbox) -> tuple[str, str]:
    letter = asked.letter("appended to the bin too")
    await box.append(letter)
    trash = await asked.gmail.special("trash")
    async with asked.gmail.mailbox(trash.name) as bin_:
        uid = await bin_.append(letter)
    found = await box.search(Q.header("Message-ID", str(letter["Message-ID"])))
    return ("a second one is stored" if found else "it is moved there"), f"UID {uid} in {trash.name}; the label holds {len(found)}"


async def _longest_name(asked: _Asked) -> tuple[str, str]:
    taken, refused, told = len(asked.label), _TOO_LONG + 1, ""
    while refused - taken > 1:
        length = (taken + refused) // 2 if told else _TOO_LONG  # the longest first: perhaps there is no such limit
        name = asked.label.ljust(length, "x")
        try:
            await asked.gmail.create_mailbox(name)
        except CommandError as error:
            refused, told = length, " ".join(str(error).split())
        else:
            taken = length
            await asked.gmail.delete_mailbox(name)
    return (f"{taken} characters" if told else f"{taken} characters or more"), told or "none was refused"


async def _above(asked: _Asked) -> tuple[str, str]:
    above = f"{asked.label}-above"
    await asked.gmail.create_mailbox(f"{above}/below")
    found = next((one for one in await asked.gmail.mailboxes() if one.name == above), None)
    await asked.gmail.delete_mailbox(f"{above}/below")
    if found is None:
        return "no", "it is not listed"
    return ("yes" if found.is_selectable else "no"), f"it is listed as {' '.join(sorted(found.attributes))}"


async def _ask_again_for_a_label(asked: _Asked) -> Answer:
    words = "Has a label that was deleted and made again another UIDVALIDITY?"
    try:
        async with asked.gmail.mailbox(asked.label, readonly=True) as box:
            before = box.state.uidvalidity
        await asked.gmail.delete_mailbox(asked.label)
        await asked.gmail.create_mailbox(asked.label)
        async with asked.gmail.mailbox(asked.label, readonly=True) as box:
            after = box.state.uidvalidity
    except GmailError as error:
        return Answer(words, "not settled", " ".join(str(error).split()))
    return Answer(words, "yes" if before != after else "no", f"{before}, then {after}")


async def _clean_up(asked: _Asked) -> None:
    """Every message that was made goes to the bin, and the label goes."""
    everything = await asked.gmail.special("all")
    async with asked.gmail.mailbox(everything.name) as box:
        for message_id in asked.message_ids:
            found = await box.search(Q.header("Message-ID", message_id))
            if found:
                await box.trash(found)
    for one in reversed(await asked.gmail.mailboxes()):  # those below another first; a question may have failed to delete its own
        if one.is_selectable and one.name.startswith(asked.label):
            with suppress(MailboxNotFound):
                await asked.gmail.delete_mailbox(one.name)


_QUESTIONS: tuple[tuple[str, Question], ...] = (
    ("What does APPEND do with a message that is in the mailbox already?", _similar),
    ("Does a change of labels raise MODSEQ?", _modseq_of_labels),
    ("Which UID does COPYUID name when a message is copied again?", _copy_again),
    ("Is a change of flags told during IDLE?", _flag_told),
    ("Is a change of labels told during IDLE?", _label_told),
    ("Does a message leave a mailbox at once when its label is removed?", _own_label_removed),
    ("How long until a sent message is in Sent, and with its own Message-ID?", _sent_lag),
    ("What does STORE with UNCHANGEDSINCE answer for a message that has changed?", _stale),
    ("Is POP3's recent: mode let in by XOAUTH2?", _recent),
    ("What does APPEND to Trash do with a message that is there already?", _to_the_bin),
)
_OF_LABELS: tuple[tuple[str, Callable[[_Asked], Awaitable[tuple[str, str]]]], ...] = (
    ("How long may the whole name of a label be?", _longest_name),
    ("Is a label made too when one below it is?", _above),
)
_TOO_LONG = 500
"""Characters: more than any name that is known to be taken."""
