"""The floor: the bytes of the reply, taken off the socket and, where the others hash, hashed. No client can do with less."""

from __future__ import annotations

import hashlib
import socket
from typing import Any

from benchmarks.measure import Meter

from .wire import ITEMS, PARTS, context

__all__ = ["NOTES", "run"]

NOTES = dict.fromkeys(("flags", "envelope", "mixed", "bodies", "large", "huge"), "drains the socket, parses nothing")
_HASHED = ("bodies", "large", "huge")


def run(case: str, port: int, count: int, ca: str, meter: Meter) -> dict[str, int]:
    sock: Any = socket.create_connection(("127.0.0.1", port))
    trust = context(ca)
    if trust is not None:
        sock = trust.wrap_socket(sock, server_hostname="localhost")
    buffer = bytearray(256 * 1024)
    view = memoryview(buffer)
    with sock:
        sock.recv(65536)
        for line in (b"a LOGIN me x\r\n", b"a SELECT INBOX\r\n"):
            sock.sendall(line)
            _drain(sock, view, None)
        with meter.timed():
            for uids, items in PARTS(case, count):
                sock.sendall(f"a UID FETCH {uids} ({' '.join(ITEMS[items])})\r\n".encode())
                _drain(sock, view, hashlib.sha1() if case in _HASHED else None)
    return {"rows": count}


def _drain(sock: Any, view: memoryview, sha1: Any) -> None:
    tail = b""
    while b"\r\na OK" not in tail:
        count = sock.recv_into(view)
        if not count:
            raise ConnectionError("the replay server is gone")
        if sha1 is not None:
            sha1.update(view[:count])
        tail = (tail + bytes(view[max(0, count - 64) : count]))[-80:] if count < 64 else bytes(view[count - 64 : count])
