"""A change that is cancelled, or whose mailbox is closed under it, leaves nothing behind."""

import asyncio

import pytest

from aiogmail import GmailError, Outcome
from aiogmail.testing import Fault

from .test_append import BIG
from .world import in_world

CALLS = {
    "flags": lambda box: box.add_flags("1:3", r"\Seen"),
    "labels": lambda box: box.add_labels("1:3", "Work"),
    "replace": lambda box: box.set_flags("1:3", r"\Seen"),
    "copy": lambda box: box.copy("1:3", "[Gmail]/Starred"),
    "move": lambda box: box.move("1:3", "[Gmail]/Starred"),
    "archive": lambda box: box.archive("1:3"),
    "trash": lambda box: box.trash("1:3"),
    "expunge": lambda box: box.expunge("1:3"),
    "append": lambda box: box.append(BIG, settle_timeout=0),
}
VERBS = ("UID STORE", "UID MOVE", "UID COPY", "UID EXPUNGE", "APPEND")


STEPS = 300
"""More than any of the calls takes until it waits for the clock: an expunge that is refused gives a try that was lost its minute."""


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("cut", [None, "request", "reply"])
def test_cancelled_at_any_step_it_leaves_the_mailbox_usable(name, cut):
    async def test(server, account, box):
        steps = 0
        while True:
            server.faults.clear()
            for verb in VERBS if cut else ():
                server.faults.add(Fault("close", verb, point=cut, byte=0 if cut == "reply" else None))
            task = asyncio.ensure_future(CALLS[name](box))
            for _ in range(steps):
                await asyncio.sleep(0)
            if task.done() or steps > STEPS:
                await asyncio.wait([task], timeout=300)  # without steps of ours the virtual clock goes on
                assert task.done()
                if not task.cancelled():
                    task.exception()
                break
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or isinstance(task.exception(), GmailError | type(None))
            assert len(await box.search("UID 1:*")) >= 2
            steps += 3
        assert steps
        copies = [message for message in account.messages if message.message_id == "<99@x.example>"]
        assert len(copies) <= 1

    in_world(test)


@pytest.mark.parametrize("name", CALLS)
def test_closed_while_it_looks_it_says_what_is_known(name):
    async def test(server, account, box, gmail):
        for verb in VERBS:
            server.faults.add(Fault("close", verb, point="reply", byte=0))
        server.faults.add(Fault("delay", "UID FETCH", skip=2, times=None, seconds=20))
        server.faults.add(Fault("delay", "CONNECT", times=None, seconds=3))
        task = asyncio.ensure_future(CALLS[name](box))
        await asyncio.sleep(8)
        await gmail.aclose()
        await asyncio.wait([task], timeout=1)
        if task.done() and task.exception() is not None:
            assert isinstance(task.exception(), GmailError)
            assert task.exception().outcome in (Outcome.UNKNOWN, Outcome.NOT_APPLIED)
        assert task.done()
        server.faults.clear()

    in_world(test, auto_expunge=False)
