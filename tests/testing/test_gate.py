import pytest

from aiogmail.testing import Fault
from aiogmail.testing.channel import Hangup
from aiogmail.testing.gate import Gate


class Recorder:
    """A channel that remembers what a gate asks of it."""

    def __init__(self, short=None):
        self.calls = []
        self.short = short

    async def enact(self, fault):
        self.calls.append(("enact", fault.action))
        if fault.action == "close":
            raise Hangup

    async def drain(self):
        self.calls.append("drain")

    def write(self, data):
        self.calls.append(data)

    def cut_request(self, left, _fault):
        self.calls.append(("request", left))

    def cut_reply(self, left, fault):
        self.calls.append(("reply", left, fault.text))

    def end_cuts(self):
        return self.short


def drive(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


@pytest.mark.parametrize(
    ("fault", "opened", "answered", "after"),
    [
        (None, [], False, []),
        (Fault("mute", "X"), [], False, []),
        (Fault("answer", "X", text="NO"), [], True, []),
        (Fault("answer", "X", point="reply", text="NO"), [("reply", 0, "A NO")], False, []),
        (Fault("mute", "X", byte=99), [("request", 89)], False, []),
        (Fault("mute", "X", byte=5), [("enact", "mute")], False, []),
        (Fault("mute", "X", point="reply", byte=5), [("reply", 5, "")], False, []),
        (Fault("mute", "X", point="reply"), [], False, ["drain", ("enact", "mute")]),
    ],
)
def test_where_a_fault_happens(fault, opened, answered, after):
    channel = Recorder()
    gate = Gate(channel, fault, "A ")
    drive(gate.open(10))
    assert channel.calls == opened
    channel.calls.clear()
    assert drive(gate.before()) is answered
    assert channel.calls == ([b"A NO\r\n"] if answered else [("enact", "mute")] if fault == Fault("mute", "X") else [])
    channel.calls.clear()
    drive(gate.after())
    assert channel.calls == after


def test_a_reply_too_short_for_its_cut_is_cut_after_it():
    fault = Fault("close", "X", point="reply", byte=500)
    channel = Recorder(short=fault)
    with pytest.raises(Hangup):
        drive(Gate(channel, fault).after())
    assert channel.calls == ["drain", ("enact", "close")]
