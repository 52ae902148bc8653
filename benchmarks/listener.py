"""A server on a loopback port that serves whoever connects, a thread each: what the replay servers have in common."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod

__all__ = ["Listener"]

_PLENTY = 4 * 1024 * 1024
"""Octets of send buffer: a client that reads slowly is not measured by the server's waiting."""


class Listener(ABC):
    """Listens from its making on; what it says is a subclass's."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Accept for ever."""
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PLENTY)
            self._converse(connection)

    @abstractmethod
    def _converse(self, connection: socket.socket) -> None:
        """From the greeting to the end."""
