"""A change that is cancelled, or whose mailbox is closed under it, leaves nothing behind."""

import asyncio

import pytest

from aiogmail import GmailError, Outcome, OutcomeUnknown
from aiogmail.testing import Fault, Shape

from .test_append import BIG
from .world import in_world, letter

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


@pytest.mark.parametrize("name", CALLS)
def test_closed_while_it_waits_for_what_may_be_on_its_way_it_says_so_at_once(name):
    async def test(server, account, box, gmail):
        for verb in VERBS:
            server.faults.add(Fault("close", verb, point="request", times=None))
        call = box.append(letter(99), settle_timeout=120) if name == "append" else CALLS[name](box)
        task = asyncio.ensure_future(call)
        await asyncio.sleep(20)
        assert not task.done()
        await gmail.aclose()
        await asyncio.wait([task], timeout=0.1)
        assert task.done()
        assert isinstance(task.exception(), OutcomeUnknown)

    in_world(test, auto_expunge=False)


@pytest.mark.unmeasured
@pytest.mark.parametrize("who", ["account", "mailbox"])
@pytest.mark.parametrize("name", CALLS)
def test_closed_within_a_timeout_it_is_done_to_its_end(name, who):
    async def test(server, account, box, gmail):
        if name == "expunge":
            await box.add_flags("1:3", r"\Deleted")
        server.faults.shape = Shape(latency=0.1)
        account.drop_sessions()
        await box.noop()
        task = asyncio.ensure_future(CALLS[name](box))
        await asyncio.sleep(0.05)
        await (gmail if who == "account" else box).aclose(30)
        await asyncio.wait([task], timeout=0.1)
        assert task.done()
        task.result()

    in_world(test, auto_expunge=False)


def test_closed_within_a_timeout_a_lost_move_is_looked_for_to_its_end():
    async def test(server, account, box, gmail):
        server.faults.add(Fault("close", "UID MOVE", point="reply", byte=0))
        server.faults.add(Fault("delay", "UID SEARCH", times=None, seconds=2))
        task = asyncio.ensure_future(box.move("1:3", "[Gmail]/Starred"))
        await asyncio.sleep(1)
        await box.aclose(30)
        await asyncio.wait([task], timeout=0.1)
        assert list(task.result().applied) == [1, 2, 3]

    in_world(test)
