"""Where may a server of a test listen that is told its port before it begins?"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

_PORTS = range(20_000, 32_000)  # below those that the system gives to clients, one of which could have it a moment later
_random = random.SystemRandom()  # tests that run beside this one may have seeded the other


def free_ports(number: int) -> Iterator[int]:
    """Ports that nobody listens on now, chosen at random so that parallel runs rarely meet."""
    for port in _random.sample(_PORTS, len(_PORTS)):
        if number == 0:
            return
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        number -= 1
        yield port
