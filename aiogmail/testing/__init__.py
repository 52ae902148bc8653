r"""A Gmail that fits in a test suite.

>>> async with GmailEmulator() as gmail_server:  # doctest: +SKIP
...     account = gmail_server.add_account("me@gmail.com")
...     account.deliver(b"Subject: hello\r\n\r\nworld")
...     async with Gmail("me@gmail.com", gmail_server.credentials("me@gmail.com"), settings=gmail_server.settings) as gmail:
...         ...

It shares no code with the clients of this package, so that it cannot agree with their mistakes.
"""

from .behaviour import Behaviour
from .emulated import EmulatedAccount
from .emulator import GmailEmulator
from .faults import Fault, Faults, Shape
from .ledger import Ledger
from .message import Mailbox, StoredMessage
from .proxy import FaultProxy
from .virtual import Deadlock, VirtualClock, VirtualLoop, run_virtual

__all__ = [
    "Behaviour",
    "Deadlock",
    "EmulatedAccount",
    "Fault",
    "FaultProxy",
    "Faults",
    "GmailEmulator",
    "Ledger",
    "Mailbox",
    "Shape",
    "StoredMessage",
    "VirtualClock",
    "VirtualLoop",
    "run_virtual",
]
