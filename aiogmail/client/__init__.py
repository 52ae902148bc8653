"""The account: where the wings meet."""

from __future__ import annotations

from .account import Gmail
from .outbox import SendReport, SendStream
from .single import ImapClient, SmtpClient

__all__ = ["Gmail", "ImapClient", "SendReport", "SendStream", "SmtpClient"]
