"""When does a command's fault happen? Before its effect or in its reply, at which byte: the same for every server."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from .channel import Channel
from .faults import Fault

__all__ = ["Gate", "read_command"]


_TAG = re.compile(rb"\{tag([+-][0-9]+)?\}")


def _tag(own: str, further: int) -> bytes:
    """A tag so many further than this one, which ends in a number."""
    head = own.rstrip("0123456789")
    digits = own[len(head) :]
    return f"{head}{int(digits) + further}".encode() if further and digits else own.encode()


class Gate:
    """One command and the fault that hits it, if any. A fault that is found happens: whatever its byte, at the latest where its point ends.

    Args:
        channel: its connection.
        fault: the fault.
        prefix: what stands before the text of an ``"answer"``: IMAP's tag.
        render: the bytes of an ``"answer"``, where it is no line of text.
    """

    def __init__(self, channel: Channel, fault: Fault | None, prefix: str = "", render: Callable[[Fault], bytes] | None = None) -> None:
        self.channel = channel
        if fault is not None and b"{tag" in fault.data:
            fault = replace(fault, data=_TAG.sub(lambda match: _tag(prefix.strip(), int(match[1] or 0)), fault.data))
        self.fault = fault
        self._render = render or (lambda answer: f"{prefix}{answer.text}\r\n".encode())

    async def open(self, consumed: int) -> None:
        """The command's first line, of so many bytes, was read; more of it may follow.

        Raises:
            Hangup: the fault ended the connection.
        """
        fault = self.fault
        if fault is None or fault.point != "request" or fault.byte is None or fault.action == "answer":
            return
        if fault.byte <= consumed:
            self.fault = None
            await self.channel.enact(fault)
        else:
            self.channel.cut_request(fault.byte - consumed, fault)

    async def before(self, *, more: bool = False) -> bool:
        """The whole command was read, or all but what its handler asks for (``more``; the handler calls ``Channel.end_request`` then).

        Returns:
            Whether the fault has answered it, so that nothing is to be done.

        Raises:
            Hangup: the fault ended the connection.
        """
        fault = self.fault
        if fault is None:
            return False
        if fault.point == "tagged":
            self.channel.cut_last(fault, self._render(fault) if fault.action == "answer" else b"")
            return False
        if fault.point == "reply":
            # Only from here on: what asked for more of the command was no reply to it.
            if fault.action == "answer":
                self.channel.replace_reply()
            elif fault.byte is not None:
                self.channel.cut_reply(fault.byte, fault)
            return False
        if fault.action == "answer":
            self.channel.write(self._render(fault))
            return True
        if fault.byte is None:
            self.fault = None
            await self.channel.enact(fault)
        elif not more:
            await self.channel.end_request()
        return False

    async def after(self) -> bool:
        """The command is done and its reply written.

        Returns:
            Whether the reply was replaced, so that the client has heard nothing of it.

        Raises:
            Hangup: the fault ended the connection.
        """
        fault, self.fault = self.fault, None
        fired = self.channel.end_cuts()
        if fault is None or (fault.point == "request" and (fault.action == "answer" or fired is fault)):
            return False
        if fault.action == "answer" and fired is fault:
            return False  # it stood in for the tagged line
        if fault.action == "answer":
            self.channel.write(self._render(fault))
            return True
        if fired is fault:
            # It fell into the reply: the rest of the command was done in silence.
            await self.channel.settle(fault)
        else:
            await self.channel.drain()
            await self.channel.enact(fault)
        return False


async def read_command(
    channel: Channel, limit: int, verb_of: Callable[[list[bytes], bytes | None], str | None], gate_of: Callable[[str, bytes], Gate]
) -> tuple[bytes, str | None, Gate | None]:
    """The next command's first line, which command it is, and its gate, open; ``None`` for both where the line names none.

    A fault may fall into a line that never becomes whole: the gate is there as soon as the words that are say which command it is.

    Args:
        channel: its connection.
        limit: bytes of a line.
        verb_of: the command of these whole words, and of the line once that is whole.
        gate_of: makes its gate.

    Raises:
        Hangup, Interrupted, LineTooLong.
    """
    found: tuple[str, Gate] | None = None

    async def begun(head: bytes) -> bool:
        nonlocal found
        verb = verb_of(head.split(b" ")[:-1], None)
        if verb is None:
            return False
        found = verb, gate_of(verb, head)
        await found[1].open(0)
        return True

    line = await channel.read_line(limit, begun)
    if found is None:
        verb = verb_of(line.rstrip(b"\r\n").split(b" "), line)
        if verb is None:
            return line, None, None
        found = verb, gate_of(verb, line)
        await found[1].open(len(line))
    return line, *found
