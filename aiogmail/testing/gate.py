"""When does a command's fault happen? Before its effect or in its reply, at which byte: the same for every server."""

from __future__ import annotations

from dataclasses import replace

from .channel import Channel
from .faults import Fault

__all__ = ["Gate"]


class Gate:
    """One command and the fault that hits it, if any.

    Args:
        channel: its connection.
        fault: the fault.
        prefix: what stands before the text of an ``"answer"``: IMAP's tag.
    """

    def __init__(self, channel: Channel, fault: Fault | None, prefix: str = "") -> None:
        self.channel = channel
        if fault is not None and b"{tag}" in fault.data:
            fault = replace(fault, data=fault.data.replace(b"{tag}", prefix.strip().encode()))
        self.fault = fault
        self.prefix = prefix

    async def open(self, consumed: int) -> None:
        """The command's first line, of so many bytes, was read; more of it may follow.

        Raises:
            Hangup: the fault ended the connection.
        """
        fault = self.fault
        if fault is None:
            return
        if fault.point == "reply":
            if fault.action == "answer":
                self.channel.cut_reply(0, Fault("answer", text=self.prefix + fault.text))
            elif fault.byte is not None:
                self.channel.cut_reply(fault.byte, fault)
        elif fault.byte is not None and fault.action != "answer":
            if fault.byte <= consumed:
                await self.channel.enact(fault)
            else:
                self.channel.cut_request(fault.byte - consumed, fault)

    async def before(self) -> bool:
        """The whole command was read. Whether the fault has answered it, so that nothing is to be done.

        Raises:
            Hangup: the fault ended the connection.
        """
        fault = self.fault
        if fault is None or fault.point != "request":
            return False
        if fault.action == "answer":
            self.channel.write(f"{self.prefix}{fault.text}\r\n".encode())
            return True
        if fault.byte is None:
            await self.channel.enact(fault)
        return False

    async def after(self) -> None:
        """The command is done and its reply written.

        Raises:
            Hangup: the fault ended the connection.
        """
        short = self.channel.end_cuts()
        fault = self.fault
        if fault is not None and fault.point == "reply" and fault.action != "answer" and (fault.byte is None or short is fault):
            await self.channel.drain()
            await self.channel.enact(fault)
