"""An emulator in the background with a mailbox, for clients that know nothing of it."""

from __future__ import annotations

import pytest

from aiogmail.testing.background import BackgroundEmulator
from tests.testing.support import ME, email, message


@pytest.fixture(scope="module")
def server():
    with BackgroundEmulator() as running:
        yield running


@pytest.fixture
def account(server):
    """A fresh account with five messages, one of them in Work and with an attachment."""
    server.call(lambda: server._emulator.hub.accounts.pop(ME, None))
    made = server.add_account(ME)
    for number in range(4):
        made.deliver(
            message(f"number {number}", f"body {number}\r\n", Message_ID=f"<{number}@mail.example.org>"),
            flags=["\\Seen"] if number == 0 else [],
        )
    attached = email("with attachment", "see below\n", Message_ID="<attached@mail.example.org>")
    attached.add_attachment(b"\x00\x01" * 100, maintype="application", subtype="octet-stream", filename="data.bin")
    made.deliver(attached, ["\\Inbox", "Work"])
    return made
