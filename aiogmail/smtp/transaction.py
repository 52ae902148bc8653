"""How is one message handed to a server, and how far did it come? MAIL, RCPT…, the body, its end, the reply: stage by stage.

Until the last octet of the message is handed to the transport nothing can come of it, provided that the connection is then aborted, not
closed: ``close()`` would send what is buffered. From that octet until a reply is read nobody can know (RFC 1047): such an error has the
outcome ``UNKNOWN``, and nothing here repeats the message.

With PIPELINING the envelope is one write. While the end of one message is on its way the envelope of the next may follow it (RFC 2920
section 3.1): its own body has not begun then, so that no message becomes more doubtful by it, and each costs one round trip. A server that
dies of that the first time is not asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiogmail.errors import (
    ConfigurationError,
    Disconnected,
    GmailError,
    MessageTooLarge,
    ProtocolError,
    RecipientsRefused,
    SendingLimitReached,
    Throttled,
    TransportError,
)
from aiogmail.ports import Outcome

from .connection import Exchange, SmtpConnection
from .failures import CLOSING, farewell, reply_error
from .models import Letter
from .turns import Manners, Turns
from .wire import Reply, command

__all__ = ["Accepted", "Envelope", "transact"]

_AT_ONCE = 64 * 1024
_BAD_SEQUENCE = 503
_GO_AHEAD = 354


@dataclass(slots=True)
class Envelope:
    """What the server said to the recipients of the latest try; also where the reply to the message itself was lost.

    Attributes:
        accepted: recipients.
        refused: address → ``(status, text)``.
    """

    accepted: list[str] = field(default_factory=list)
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the server took: its last word, and for whom."""

    reply: Reply
    envelope: Envelope


async def transact(
    connection: SmtpConnection,
    turns: Turns,
    manners: Manners,
    extensions: Mapping[str, str],
    letter: Letter,
    envelope: Envelope,
    ready: asyncio.Future[Any] | None = None,
) -> Accepted:
    """Hand a message over; see :meth:`.session.SmtpSession.send`."""
    transaction = _Transaction(connection, extensions, letter, envelope, ready)
    transaction.check()
    async with turns.lock:
        before = turns.last
        if before is not None and not before.done.done():
            turns.followed = before
        try:
            await connection.usable()
            await _be_reset(connection, turns)
            final = turns.last = await transaction.hand_over(before)
        except GmailError as error:
            turns.reset = transaction.not_sent(error)
            raise
        except BaseException as error:
            # What was asked is still to be answered, and nothing else may be asked meanwhile; the message before may wait for its reply.
            connection.condemn(Disconnected(f"{connection.name}: given up during {transaction.stage}: {type(error).__name__}"), before)
            raise
        if not (turns.overlap and manners.may_overlap):
            return await transaction.outcome(final)
    try:
        accepted = await transaction.outcome(final)
    except GmailError as error:
        if turns.followed is final and error.outcome is Outcome.UNKNOWN:
            manners.lost()
        raise
    if turns.followed is final:
        manners.bore()
    return accepted


async def _be_reset(connection: SmtpConnection, turns: Turns) -> None:
    """Wait until the server has forgotten a message that it refused: nothing may be said to one that is still waiting for a body.

    Raises:
        GmailError: it has not.
    """
    if turns.reset is not None:
        reply = (await asyncio.shield(turns.reset.done))[0]
        if reply.code // 100 != 2:
            doubt = ProtocolError(f"{connection.name}: RSET: the server said {reply}")
            connection.fail(doubt)
            raise doubt
        turns.reset = None


class _Transaction:
    """One message on one connection.

    Attributes:
        stage: how far it has come.
        touched: whether anything of it was written.
    """

    def __init__(
        self,
        connection: SmtpConnection,
        extensions: Mapping[str, str],
        letter: Letter,
        envelope: Envelope,
        ready: asyncio.Future[Any] | None,
    ) -> None:
        self._connection = connection
        self._extensions = extensions
        self._letter = letter
        self._chunking = "CHUNKING" in extensions
        self._in_body = False
        self._told = envelope
        self._ready = ready
        self.stage = "MAIL"
        self.touched = False

    # -- before anything is written ------------------------------------------------------------------------------------

    def check(self) -> None:
        """Refuse what this server cannot take.

        Raises:
            MessageTooLarge: by what it said in EHLO.
            ConfigurationError: it needs an extension that the server does not have.
        """
        letter, name = self._letter, self._connection.name
        error: GmailError | None = None
        limit = self._extensions.get("SIZE", "")
        size = letter.body.size
        if limit.isascii() and limit.isdigit() and 0 < int(limit[:20]) < size:
            error = MessageTooLarge(f"{name}: the message has {size} octets, and the server takes {limit}")
        elif letter.needs_utf8 and "SMTPUTF8" not in self._extensions:
            error = ConfigurationError(f"{name}: the server does not take internationalised addresses or headers (SMTPUTF8)")
        elif letter.body.eight_bit and not letter.needs_utf8 and "8BITMIME" not in self._extensions:
            error = ConfigurationError(f"{name}: the server takes no octets above 127 (8BITMIME); encode the message in base64")
        if error is not None:
            error.outcome, error.stage = Outcome.NOT_APPLIED, "SIZE" if isinstance(error, MessageTooLarge) else "EHLO"
            raise error

    # -- until the last octet --------------------------------------------------------------------------------------------

    async def hand_over(self, before: Exchange | None) -> Exchange:
        """Everything up to the message's last octet; where its reply will come."""
        self.touched = True
        self._told.accepted, self._told.refused = [], {}
        replies = await self._envelope()
        if replies[0].code == _BAD_SEQUENCE and before is not None and _was_refused(before):
            # A message refused at its end may leave its envelope open (RFC 3030 section 2).
            if any(reply.code == _GO_AHEAD for reply in replies):
                # It waits for a body now, for the other's recipients: a RSET would be the beginning of that.
                raise self._misled(f"a message was refused, and its envelope is still open: {replies[0]}")
            await self._one(b"RSET\r\n", "RSET")
            replies = await self._envelope()
        self._judge(replies)
        if self._ready is not None and not self._ready.done():
            await asyncio.wait([self._ready, self._connection.closed], return_when=asyncio.FIRST_COMPLETED)
        return await self._body()

    async def _envelope(self) -> list[Reply]:
        lines = [self._mail(), *(command("RCPT", f"TO:<{recipient}>") for recipient in self._letter.recipients)]
        if not self._chunking:
            lines.append(b"DATA\r\n")
        if "PIPELINING" in self._extensions:
            exchange = self._connection.request(b"".join(lines), "envelope", len(lines))
            try:
                return await exchange.done
            finally:
                self._reached(len(exchange.replies))
        replies: list[Reply] = []
        for line in lines:
            self._reached(len(replies))
            if line == b"DATA\r\n" and not any(reply.is_positive for reply in replies[1:]):
                break
            replies.append(await self._one(line, self.stage))
            if not replies[0].is_positive:
                break
        return replies

    def _mail(self) -> bytes:
        letter, extensions = self._letter, self._extensions
        words = [f"FROM:<{letter.sender}>"]
        if "SIZE" in extensions:
            words.append(f"SIZE={letter.body.size}")
        if letter.body.eight_bit and "8BITMIME" in extensions:
            words.append("BODY=8BITMIME")
        if letter.needs_utf8:
            words.append("SMTPUTF8")
        return command("MAIL", *words)

    def _reached(self, replies: int) -> None:
        recipients = len(self._letter.recipients)
        self.stage = "MAIL" if replies == 0 else "RCPT" if replies <= recipients else "DATA"

    def _judge(self, replies: list[Reply]) -> None:
        """Who may get it?

        Raises:
            GmailError: nobody.
        """
        name, taken, recipients = self._connection.name, self._connection.taken, self._letter.recipients
        data = replies[len(recipients) + 1] if len(replies) > len(recipients) + 1 else None
        # A 354 asks for a body, whatever was said before it; without one the connection is of no use.
        self._in_body = data is not None and data.code == _GO_AHEAD
        for number, reply in enumerate(replies):
            is_strange = reply.code // 100 == 3 if number <= len(recipients) else reply.is_positive and reply.code != _GO_AHEAD
            if is_strange:
                raise self._misled(f"no answer to what was asked: {reply}")
        if replies[0].code // 100 != 2:
            raise reply_error(name, "MAIL", replies[0], taken=taken)
        answers = replies[1 : len(recipients) + 1]
        if replies[-1].code == CLOSING:  # it is about none of them
            raise reply_error(name, "RCPT" if data is None else "DATA", replies[-1], taken=taken)
        for recipient, reply in zip(recipients, answers, strict=True):
            if reply.code // 100 == 2:
                self._told.accepted.append(recipient)
            else:
                self._told.refused[recipient] = (" ".join(word for word in (str(reply.code), reply.enhanced) if word), reply.text)
        if not self._told.accepted:
            raise self._nobody(answers[0])
        if data is not None and data.code != _GO_AHEAD:
            raise reply_error(name, "DATA", data, taken=taken)

    def _misled(self, words: str) -> ProtocolError:
        """The error for a server that is not where we are; the connection ends with it."""
        error = ProtocolError(f"{self._connection.name}: {words}")
        self._connection.fail(error)
        return error

    def _nobody(self, reply: Reply) -> GmailError:
        error = reply_error(self._connection.name, "RCPT", reply)
        if isinstance(error, SendingLimitReached | Throttled | TransportError):
            return error  # it is not about this recipient
        return RecipientsRefused(
            f"{self._connection.name}: every recipient was refused; {next(iter(self._told.refused))}: {reply}",
            self._told.refused,
            status=str(reply.code),
            code=reply.enhanced,
            text=reply.text,
            outcome=Outcome.NOT_APPLIED,
            stage="RCPT",
        )

    async def _body(self) -> Exchange:
        connection, body = self._connection, self._letter.body
        self.stage, self._in_body = "body", True
        # Its reply may come early, if the server has enough of it; the deadline begins behind the last octet.
        start = f"BDAT {body.size} LAST\r\n".encode() if self._chunking else b""
        final = connection.request(b"", "reply", patience=math.inf)
        await self._write(final, start)
        self._check_early(final)
        connection.write(b"\r\n" if self._chunking else b"\r\n.\r\n")
        connection.hurry(final, connection.timeouts.append_final)
        return final

    async def _write(self, final: Exchange, start: bytes) -> None:
        """The body but for its end, which is handed over behind an empty buffer: until then nothing can come of it."""
        connection = self._connection
        pieces = self._letter.body.pieces(stuffed=not self._chunking)
        if self._letter.body.size <= _AT_ONCE:
            connection.write(b"".join((start, *pieces)))
            await connection.drain()
            return
        connection.write(start)
        for piece in pieces:
            self._check_early(final)
            connection.write(piece)
            await connection.drain()
            await asyncio.sleep(0)  # a fast network never waits: others want a turn all the same
        await connection.drain()

    def _check_early(self, final: Exchange) -> None:
        """Whether the server has spoken before the message's end.

        Raises:
            GmailError: it has, or the connection is gone.
        """
        if final.done.done():
            reply = final.done.result()[0]  # or the error, raised here
            if reply.is_positive:
                raise ProtocolError(f"{self._connection.name}: the server took the message before its end: {reply}")
            raise reply_error(self._connection.name, "body", reply, taken=self._connection.taken)
        self._connection.check()

    async def _one(self, line: bytes, stage: str) -> Reply:
        return (await self._connection.request(line, stage).done)[0]

    def not_sent(self, error: GmailError) -> Exchange | None:
        """It failed before its last octet: say so, and leave the connection clean, or not at all. The RSET, if one was written."""
        error.outcome, error.stage = Outcome.NOT_APPLIED, self.stage if error.stage in (None, "envelope", "reply") else error.stage
        connection = self._connection
        if connection.closed.done():
            error.connection_lost = True
        elif self._in_body:
            connection.fail(Disconnected(f"{connection.name}: given up in the middle of a message: {error}"))
            error.connection_lost = True
        elif self.touched and not error.connection_lost:
            with contextlib.suppress(GmailError):  # the connection went meanwhile: what the caller hears is why the message was refused
                return connection.request(b"RSET\r\n", "RSET")
        return None

    # -- from the last octet on --------------------------------------------------------------------------------------------

    async def outcome(self, final: Exchange) -> Accepted:
        """What the server says in the end.

        Raises:
            GmailError: with the outcome ``UNKNOWN`` where it says nothing.
        """
        connection = self._connection
        try:
            reply = (await asyncio.shield(final.done))[0]
        except GmailError as error:
            error.outcome, error.stage = Outcome.UNKNOWN, "reply"
            raise
        except BaseException as error:
            connection.fail(Disconnected(f"{connection.name}: given up while the server decided on a message: {type(error).__name__}"))
            raise
        if reply.code == CLOSING or reply.enhanced == "4.4.2":
            # It is about the connection, not about the message, which the server may have taken before it had to close.
            doubt = farewell(connection.name, reply, taken=connection.taken)
            doubt.outcome, doubt.stage = Outcome.UNKNOWN, "reply"
            raise doubt
        if reply.code >= 400:
            raise reply_error(connection.name, "reply", reply, taken=connection.taken)
        if reply.code // 100 != 2 or reply.enhanced.startswith("2.1."):
            # The second is the answer to another command, an address: the replies are no longer those that were asked for.
            misled = ProtocolError(f"{connection.name}: no answer to a message: {reply}", outcome=Outcome.UNKNOWN, stage="reply")
            connection.fail(misled)
            raise misled
        connection.taken += 1
        return Accepted(reply, self._told)


def _was_refused(exchange: Exchange) -> bool:
    if not exchange.done.done() or exchange.done.cancelled() or exchange.done.exception() is not None:
        return False
    return not exchange.done.result()[0].is_positive
