"""A real Redis of a test's own, on a free loopback port, in a folder of its own."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from tests.support.ports import free_ports


class RedisServer:
    """``with RedisServer(folder) as server``: ``server.url``; :meth:`stop` and :meth:`start` keep port and data."""

    def __init__(self, folder: Path, *options: str):
        self.folder = folder
        self.options = options
        [self.port] = free_ports(1)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--daemonize", "no"]
        settings = ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--logfile", str(self.folder / "redis.log")]
        self.process = subprocess.Popen([*command, *settings, *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 0.2) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(100).startswith((b"+PONG", b"-NOAUTH")):
                        return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server did not start: {(self.folder / 'redis.log').read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
