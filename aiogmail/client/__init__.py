"""The account: where the wings meet."""

from __future__ import annotations

from .account import Gmail
from .outbox import SendReport, SendStream
from .pop import Pop3Client
from .single import ImapClient, SmtpClient

__all__ = ["Gmail", "ImapClient", "Pop3Client", "SendReport", "SendStream", "SmtpClient"]
