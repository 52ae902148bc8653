"""Where does mail go that Dovecot's submission service relays? To an aiosmtpd in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP


@dataclass(frozen=True, slots=True)
class Submitted:
    """One accepted message."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


@dataclass  # without slots: aiosmtpd looks at every member of its handler, and Python 3.11.2 stumbles over one that they make
class Relay:
    """What was submitted, and what to answer.

    Attributes:
        submitted: the accepted messages.
        refuse: recipient to the reply that refuses it, such as ``"550 5.1.1 No such user"``.
        after_data: the reply to message data; one that is not ``250`` files nothing.
    """

    submitted: list[Submitted] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    after_data: str = "250 2.0.0 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.after_data.startswith("250"):
            self.submitted.append(Submitted(envelope.mail_from, tuple(envelope.rcpt_tos), envelope.original_content))
        return self.after_data


class Reservation:
    """A loopback port kept for the relay: bound for as long as the server runs, listening only while :meth:`open` is."""

    def __init__(self) -> None:
        self._held = self._bound(0)
        self.port: int = self._held.getsockname()[1]

    @staticmethod
    def _bound(port: int) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # two sockets of ours share it; only one ever listens
        bound.bind(("127.0.0.1", port))
        return bound

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Relay]:
        """Accept mail while the context is open; what is connected at its end is cut off."""
        relay = Relay()
        sessions: list[SMTP] = []

        def session() -> SMTP:
            sessions.append(SMTP(relay, hostname="relay.invalid", enable_SMTPUTF8=True, decode_data=False, loop=asyncio.get_running_loop()))
            return sessions[-1]

        server = await asyncio.get_running_loop().create_server(session, sock=self._bound(self.port))
        try:
            yield relay
        finally:
            server.close()
            for smtp in sessions:
                if smtp.transport is not None:
                    smtp.transport.abort()
            handlers = [smtp._handler_coroutine for smtp in sessions if smtp._handler_coroutine is not None]
            for handler in handlers:
                handler.cancel()
            await asyncio.gather(*handlers, return_exceptions=True)
            await server.wait_closed()

    def close(self) -> None:
        self._held.close()
