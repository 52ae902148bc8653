"""How does the standard library read this message? With its modern policy, made to bear what mail is like."""

from __future__ import annotations

import email
import email.errors
import email.headerregistry
from collections.abc import Iterator, Sequence
from email.contentmanager import ContentManager, raw_data_manager
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import EmailPolicy
from typing import Any, cast

from .charsets import decode, known_codec

__all__ = ["read_email"]


class _Unreadable(str):  # noqa: SLOT000  one in a million
    """The value of a field that the email package could not parse, as it stands; with the attributes of those that it can."""

    name: str
    defects: tuple[email.errors.MessageDefect, ...]
    addresses = groups = ()
    datetime = content_disposition = None
    content_type, maintype, subtype, cte = "text/plain", "text", "plain", "7bit"

    @property
    def params(self) -> dict[str, str]:
        return {}


def _unreadable(name: str, value: str, error: Exception) -> _Unreadable:
    field = _Unreadable(" ".join(value.split()))
    field.name = name
    field.defects = (email.errors.HeaderDefect(f"the email package cannot parse it: {type(error).__name__}"),)
    return field


class _Patient(EmailPolicy):
    """``email.policy.default``, but a field that breaks its parser is given as it stands, with the defect told."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        try:
            return super().header_fetch_parse(name, value)
        except Exception as error:  # noqa: BLE001  the parser's own mistakes: IndexError, AttributeError, TypeError and more
            return _unreadable(name, str(value), error)


class _Content(ContentManager):
    """``get_content()`` of text in whatever charset it claims to be in, and of types that the email package does not know."""

    def get_content(self, msg: Any, *args: Any, **kw: Any) -> Any:
        if msg.get_content_maintype() == "text":
            octets = msg.get_payload(decode=True)
            charset = msg.get_param("charset", "ascii")
            if isinstance(charset, str) and isinstance(octets, bytes) and (known_codec(charset) is None or not _fits(octets, charset)):
                return decode(octets, charset)[0]
        try:
            return raw_data_manager.get_content(msg, *args, **kw)
        except KeyError:  # it knows no such type: model/…, font/…
            if msg.is_multipart():
                raise
            return msg.get_payload(decode=True)

    def set_content(self, msg: Any, *args: Any, **kw: Any) -> None:
        raw_data_manager.set_content(msg, *args, **kw)


class _Message(EmailMessage):
    """An ``EmailMessage`` whose ``get_body()`` bears a multipart that has no parts: the email package takes its text for them."""

    def _find_body(self, part: Any, preferencelist: Sequence[str]) -> Iterator[Any]:
        if part.get_content_maintype() != "multipart" or part.is_multipart():
            above: Any = super()
            yield from above._find_body(part, preferencelist)  # noqa: SLF001  its own, which no type says


def _fits(octets: bytes, charset: str) -> bool:
    try:
        octets.decode(charset)
    except (ValueError, LookupError):
        return False
    return True


_POLICY = _Patient(content_manager=_Content(), message_factory=_Message)


def read_email(raw: bytes) -> EmailMessage:
    """The message as an ``EmailMessage``; nothing in the reading raises, and ``defects`` tells what the parser met."""
    try:
        return cast("EmailMessage", email.message_from_bytes(raw, policy=_POLICY))
    except Exception as error:  # noqa: BLE001  a RecursionError for a thousand nested parts, and what nobody has met yet
        message = cast("EmailMessage", BytesHeaderParser(policy=_POLICY).parsebytes(raw))
        message.defects.append(email.errors.MessageDefect(f"only its header could be read: {type(error).__name__}"))
        return message
