"""How is a message sent so that what is said of it is true? Prepared once, handed over, and looked up where the reply was lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from types import MappingProxyType
from typing import Any, Literal, Protocol

from aiogmail.clock import Clock
from aiogmail.errors import CommandError, ConfigurationError, GmailError, OutcomeUnknown, StateError
from aiogmail.ports import Outcome
from aiogmail.smtp import Accepted, Envelope, Letter, SendResult, SmtpSession
from aiogmail.smtp.flatten import flatten, flattened_size
from aiogmail.smtp.models import compose, message_id_of, queue_id_of

from .lanes import DEPTH, Lanes
from .outbox import SendStream
from .sent import Lost, Marks, Verdict, marks_of

__all__ = ["OnUnknown", "Sender"]

log = logging.getLogger("aiogmail.smtp")

OnUnknown = Literal["raise", "resend"]

MAX_RECIPIENTS = 100
_LARGE = 256 * 1024
_MEASURED_AT_ONCE = 2
_MAX_RESENDS = 3
_REMEMBERED = 900.0
"""Seconds: a copy in Sent counts for a message that was sent a little later, and may be filed a little late."""


class _Settler(Protocol):
    def note(self, *, afresh: bool) -> asyncio.Task[Marks] | None: ...

    async def settle(self, operation: Lost, timeout: float) -> Verdict: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
    """How to send; see :meth:`aiogmail.Gmail.send`."""

    recipients: object = None
    sender: object = None
    split: bool = False
    settle_timeout: float = 120.0
    on_unknown: OnUnknown = "raise"

    def __post_init__(self) -> None:
        seconds: object = self.settle_timeout
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
            raise _wrong(f"settle_timeout: expected seconds, 0 or more, got {seconds!r}")
        if self.on_unknown not in ("raise", "resend"):
            raise _wrong(f"on_unknown: expected 'raise' or 'resend', got {self.on_unknown!r}")
        if not isinstance(self.split, bool):
            raise _wrong(f"split: expected True or False, got {self.split!r}")


def _wrong(words: str) -> ConfigurationError:
    return ConfigurationError(words, outcome=Outcome.NOT_APPLIED, stage="message")


class Sender:
    """What sends for one account.

    Args:
        address: the account.
        lanes: its connections.
        settler: whom to ask when a reply is lost.
        clock: what Date is set by.
        size: connections, for how many messages are sent at once.
    """

    def __init__(self, address: str, lanes: Lanes, settler: _Settler, clock: Clock, size: int) -> None:
        self._address = address
        self._lanes = lanes
        self._settler = settler
        self._clock = clock
        self._size = size
        self._streams: set[SendStream] = set()
        self._envelopes: dict[str, tuple[float, set[int]]] = {}
        self._closed = False
        self._under_way = 0
        self._quiet: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Open the first connection."""
        await self._lanes.open()

    async def aclose(self, timeout: float | None = None) -> None:
        """Close everything; what is being sent, or looked up, gets ``timeout`` seconds to end."""
        self._closed = True
        loop = asyncio.get_running_loop()
        until = loop.time() + (timeout or 0.0)
        try:
            await self._lanes.aclose(timeout)
            if self._under_way and until > loop.time():
                self._quiet = loop.create_future()  # a message whose reply was lost is being looked for
                await asyncio.wait([self._quiet], timeout=until - loop.time())
        finally:
            await self._settler.aclose()
            for stream in list(self._streams):
                await stream.aclose()

    def abort(self) -> None:
        """Drop the connections at once, before :meth:`aclose`."""
        self._lanes.abort()

    async def send(self, message: object, options: Options) -> SendResult:
        """See :meth:`aiogmail.Gmail.send`."""
        self._under_way += 1
        try:
            self._check_open()
            letter = await self._prepare(message, options)
            self._check_open()
            if len(letter.recipients) > MAX_RECIPIENTS:
                return await self._in_parts(letter, options)
            return await self._deliver(letter, options)
        except GmailError as error:
            if error.outcome is None:
                error.outcome = Outcome.NOT_APPLIED
                error.stage = error.stage or ("message" if isinstance(error, ConfigurationError) else "connect")
            raise
        finally:
            self._under_way -= 1
            if self._quiet is not None and not self._under_way and not self._quiet.done():
                self._quiet.set_result(None)

    def send_many(
        self, messages: Iterable[Any] | AsyncIterable[Any], options: Options, *, ordered: bool, concurrency: int | None
    ) -> SendStream:
        """See :meth:`aiogmail.Gmail.send_many`."""
        self._check_open()
        if not isinstance(messages, Iterable | AsyncIterable) or isinstance(messages, str | bytes | bytearray | Message):
            raise ConfigurationError(f"messages: expected an iterable of messages, got {type(messages).__name__}")
        if concurrency is None:
            concurrency = self._size * DEPTH
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or not 0 < concurrency <= 1000:
            raise ConfigurationError(f"concurrency: expected 1 to 1000, got {concurrency!r}")
        stream = SendStream(
            lambda message: self.send(message, options), messages, ordered=ordered, concurrency=concurrency, ended=self._streams.discard
        )
        self._streams.add(stream)
        return stream

    async def resolve(self, message_id: object) -> Outcome:
        """See :meth:`aiogmail.Gmail.resolve`."""
        wanted = message_id_of(message_id)
        self._check_open()
        verdict = await self._settler.settle(Lost(wanted), 0.0)
        if verdict.error is not None:
            raise verdict.error
        return verdict.outcome

    # -- one message ---------------------------------------------------------------------------------------------------

    async def _prepare(self, message: object, options: Options) -> Letter:
        """The letter, measured. Everything that can be wrong with it is found here, before any I/O."""
        if flattened_size(message) > _LARGE:
            # A second of the email package's Python for a large one: elsewhere, so that the loop goes on.
            raw = await asyncio.get_running_loop().run_in_executor(None, flatten, message)
        else:
            raw = flatten(message)
        letter = compose(
            raw,
            account=self._address,
            now=self._clock.wall(),
            recipients=options.recipients,
            sender=options.sender,
            limit=MAX_RECIPIENTS,
            split=options.split,
        )
        for defect in letter.defects:
            log.warning("%s: %s", letter.message_id, defect)
        for number, _ in enumerate(letter.body.measure(), 1):
            if number % _MEASURED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return letter

    async def _deliver(self, letter: Letter, options: Options, *, knowable: bool = True) -> SendResult:
        began = 0.0 if letter.own_id else self._clock.wall()
        envelope = Envelope()
        lost: GmailError | None = None
        verdict = Verdict(Outcome.UNKNOWN)
        known = letter.message_id in self._envelopes
        self._remember(letter)
        noting = None if letter.own_id else self._settler.note(afresh=known)

        async def work(session: SmtpSession) -> Accepted:
            return await session.send(letter, envelope, noting)

        for resent in range(_MAX_RESENDS + 1):
            try:
                accepted = await self._lanes.run(work)
            except GmailError as error:
                if error.outcome is not Outcome.UNKNOWN:
                    if lost is None:
                        raise
                    # This try came to nothing, and of the one before it nobody knows.
                    raise _unknown(letter, lost, verdict, again=error) from error
                lost = error
                alone = knowable and self._is_alone(letter)
                verdict = await self._settler.settle(Lost(letter.message_id, began, alone, marks_of(noting)), options.settle_timeout)
                if verdict.outcome is Outcome.APPLIED and self._is_alone(letter):
                    return _result(letter, envelope, confirmed_by="lookup", resent=resent)
                if options.on_unknown == "raise" or resent == _MAX_RESENDS:
                    raise _unknown(letter, error, verdict) from error
            else:
                return _result(letter, envelope, queue_id=queue_id_of(accepted.reply.text), resent=resent)
        raise AssertionError("the last try returns or raises")

    def _remember(self, letter: Letter) -> None:
        """Note to whom a message of this id goes."""
        now = self._clock.wall()
        while self._envelopes and self._envelopes[first := next(iter(self._envelopes))][0] < now - _REMEMBERED:
            del self._envelopes[first]
        _, known = self._envelopes.pop(letter.message_id, (now, set()))
        known.add(hash(frozenset(letter.recipients)))  # a hundred addresses a message would add up
        self._envelopes[letter.message_id] = now, known

    def _is_alone(self, letter: Letter) -> bool:
        """Whether a copy with its Message-ID is this message: not where one with the same id went to others just now."""
        _, known = self._envelopes.get(letter.message_id, (0.0, set()))
        return known <= {hash(frozenset(letter.recipients))}

    async def _in_parts(self, letter: Letter, options: Options) -> SendResult:
        """The same message, to a hundred recipients at a time.

        Once a part was taken the others' failures cannot undo it: their recipients are told as refused.
        """
        accepted: list[str] = []
        refused: dict[str, tuple[str, str]] = {}
        first: SendResult | None = None
        resent = 0
        for start in range(0, len(letter.recipients), MAX_RECIPIENTS):
            part = letter.to(letter.recipients[start : start + MAX_RECIPIENTS])
            try:
                result = await self._deliver(part, options, knowable=first is None)
            except OutcomeUnknown as error:
                rest = letter.recipients[start + MAX_RECIPIENTS :]
                evidence = {
                    **error.evidence,
                    "accepted": ", ".join(accepted),
                    "unknown": ", ".join(part.recipients),
                    "not tried": ", ".join(rest),
                }
                raise OutcomeUnknown(error.message, stage="reply", evidence=evidence) from error
            except GmailError as error:
                if first is None:
                    raise
                status = error.status if isinstance(error, CommandError) else ""
                refused.update(dict.fromkeys(part.recipients, (status, str(error))))
                continue
            first = first or result
            resent = max(resent, result.resent)
            accepted += result.accepted
            refused.update(result.refused)
        assert first is not None
        return SendResult(
            "partial" if refused else "sent",
            letter.message_id,
            tuple(accepted),
            MappingProxyType(refused),
            first.confirmed_by,
            first.queue_id,
            resent,
            letter.defects,
            letter.lookup,
        )

    def _check_open(self) -> None:
        if self._closed:
            raise StateError(f"{self._address}: closed")


def _result(
    letter: Letter, envelope: Envelope, *, confirmed_by: Literal["reply", "lookup"] = "reply", queue_id: str = "", resent: int = 0
) -> SendResult:
    refused: Mapping[str, tuple[str, str]] = MappingProxyType(dict(envelope.refused))
    status: Literal["sent", "partial"] = "partial" if refused else "sent"
    return SendResult(
        status, letter.message_id, tuple(envelope.accepted), refused, confirmed_by, queue_id, resent, letter.defects, letter.lookup
    )


def _unknown(letter: Letter, error: GmailError, verdict: Verdict, again: GmailError | None = None) -> OutcomeUnknown:
    weak = {} if letter.findable else {"message_id": "weak: Gmail's search may miss it, or Gmail replaces it"}
    return OutcomeUnknown(
        f"{letter.message_id}: handed over, and the reply was lost ({error}); it may have been sent. Gmail.resolve('{letter.message_id}') "
        "answers later whether it was; on_unknown='resend' sends it again, at least once, with the same Message-ID",
        stage="reply",
        evidence={**weak, "lost": str(error), **verdict.evidence, **({} if again is None else {"again": str(again)})},
    )
