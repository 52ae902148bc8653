"""IMAP on the wire, without I/O: bytes to responses (:class:`ResponseParser`) and values to bytes (:func:`encode_command`)."""

from __future__ import annotations

from .arguments import AsIs, Atom, Flag, Label, Literal, Mailbox, Quoted, Raw, SearchDate
from .encoder import EncodedCommand, LiteralMode, Segment, encode_command
from .envelope import Address, Envelope
from .fetch import Fetch
from .parser import ResponseParser
from .responses import (
    Capability,
    Continuation,
    Enabled,
    Esearch,
    Exists,
    Expunge,
    Flags,
    Id,
    MailboxList,
    MailboxStatus,
    Namespace,
    NamespaceEntry,
    Quota,
    QuotaRoot,
    Recent,
    Response,
    ResponseCode,
    Search,
    Status,
    Tagged,
    Unknown,
    Vanished,
)
from .structure import Part

__all__ = [
    "Address",
    "AsIs",
    "Atom",
    "Capability",
    "Continuation",
    "Enabled",
    "EncodedCommand",
    "Envelope",
    "Esearch",
    "Exists",
    "Expunge",
    "Fetch",
    "Flag",
    "Flags",
    "Id",
    "Label",
    "Literal",
    "LiteralMode",
    "Mailbox",
    "MailboxList",
    "MailboxStatus",
    "Namespace",
    "NamespaceEntry",
    "Part",
    "Quota",
    "QuotaRoot",
    "Quoted",
    "Raw",
    "Recent",
    "Response",
    "ResponseCode",
    "ResponseParser",
    "Search",
    "SearchDate",
    "Segment",
    "Status",
    "Tagged",
    "Unknown",
    "Vanished",
    "encode_command",
]
