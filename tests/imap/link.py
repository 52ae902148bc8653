"""A connection without a socket, for tests of the queue and of commands."""

import asyncio

from aiogmail.imap.queue import CommandQueue
from aiogmail.imap.wire import ResponseParser
from aiogmail.settings import Limits, Timeouts


class Wire:
    """A link that keeps what was written, and lets the test say what the server says."""

    def __init__(self, *, limits=None, timeouts=None):
        self.written = bytearray()
        self.failed = []
        self.unsolicited = []
        self.count = 0
        self.arrived = 0
        self.paused = False
        self.parser = ResponseParser(limits or Limits())
        self.queue = CommandQueue(
            asyncio.get_running_loop(),
            self,
            name="test:993",
            limits=limits or Limits(),
            timeouts=timeouts or Timeouts(),
            new_tag=self.tag,
            on_unsolicited=self.unsolicited.append,
        )

    def tag(self):
        self.count += 1
        return f"A{self.count}"

    def write(self, data):
        self.written += data

    def fail(self, error):
        self.failed.append(error)
        self.queue.fail(error)

    def regulate(self):
        pass

    def received(self):
        return self.arrived

    def was_reading_paused(self):
        return self.paused

    def say(self, text):
        data = text.encode() if isinstance(text, str) else text
        self.arrived += len(data)
        self.queue.process(self.parser.feed(data))

    def sent(self):
        out, self.written = bytes(self.written), bytearray()
        return out
