"""How many round trips does it take? A forwarder with a delay, that counts the client's flights."""

from __future__ import annotations

import asyncio
import contextlib

from .listener import Listener


class Flights(Listener):
    """``async with Flights(port, delay=0.02) as flights``: forwards to ``port`` on the loopback, ``delay`` seconds each way.

    A flight is what a client says between two things that it heard: the client had to wait a round trip for each. Opening
    the TCP connection is one too.

    Attributes:
        port: where clients connect.
        connections: the flights of each connection, in the order in which they were made.
    """

    def __init__(self, port: int, delay: float = 0.02) -> None:
        super().__init__()
        self._target = port
        self._delay = delay
        self.connections: list[int] = []

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(1)
        self._own(self._serve(reader, writer, len(self.connections) - 1), "flights")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await asyncio.sleep(self._delay)  # of the SYN; its answer's is in the first reply
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        heard = True

        def up() -> None:
            nonlocal heard
            if heard:
                self.connections[number] += 1
            heard = False

        def down() -> None:
            nonlocal heard
            heard = True

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, far_writer, up, None))
                group.create_task(self._carry(far_reader, writer, None, down))
        except* OSError:
            pass
        finally:
            for one in (writer, far_writer):
                one.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_read: object, on_write: object) -> None:
        loop = asyncio.get_running_loop()
        pending: set[asyncio.TimerHandle] = set()

        def deliver(data: bytes) -> None:
            with contextlib.suppress(RuntimeError):
                if not writer.transport.is_closing():
                    writer.write(data)
                    if on_write is not None:
                        on_write()  # type: ignore[operator]

        try:
            while data := await reader.read(65536):
                if on_read is not None:
                    on_read()  # type: ignore[operator]
                pending.add(loop.call_later(self._delay, deliver, data))
            await asyncio.sleep(self._delay * 1.5)
            raise ConnectionResetError
        finally:
            for handle in pending:
                handle.cancel()
