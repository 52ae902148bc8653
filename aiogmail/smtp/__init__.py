"""Sending: one SMTP connection, one message at a time, and the truth about each."""

from __future__ import annotations

from .models import Letter, SendResult
from .session import SmtpSession
from .transaction import Accepted, Envelope
from .turns import Manners

__all__ = ["Accepted", "Envelope", "Letter", "Manners", "SendResult", "SmtpSession"]
