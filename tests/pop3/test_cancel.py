"""Every call, cancelled after k turns of the loop, for every k until it ends by itself: nothing is left, and the next call is answered right."""

import asyncio
from datetime import UTC, datetime

import pytest

from aiogmail import Gmail, TokenProvider
from aiogmail.testing import Behaviour, GmailEmulator, run_virtual
from tests.pop3.support import letter

CALLS = {
    "stat": lambda pop, uidls: pop.stat(),
    "uidl": lambda pop, uidls: pop.uidl(),
    "top": lambda pop, uidls: pop.top(uidls[0], 1),
    "retrieve": lambda pop, uidls: pop.retrieve(uidls[1]),
    "delete": lambda pop, uidls: pop.delete(uidls[0], uidls[2]),
    "reset": lambda pop, uidls: pop.reset(),
    "noop": lambda pop, uidls: pop.noop(),
    "commit": lambda pop, uidls: pop.commit(),
    "retrieve_new": lambda pop, uidls: walk(pop),
    "download": lambda pop, uidls: download(pop, uidls[0]),
}


async def walk(pop):
    return [mail.raw async for mail in pop.retrieve_new()]


async def download(pop, uidl):
    async with pop.download(uidl) as pieces:
        return b"".join([piece async for piece in pieces])


async def turns(task, number):
    """So many turns of the loop, or until it is done."""
    for _ in range(number):
        if task.done():
            return
        await asyncio.sleep(0)


async def cancelled_after(server, me, gmail, call, steps):
    """Whether the call was still running then."""
    async with gmail.pop3() as pop:
        uidls = await pop.uidl()
        marked = uidls[2]
        await pop.delete(marked)
        await pop.reset()
        task = asyncio.create_task(call(pop, uidls))
        await turns(task, steps)
        ran = not task.done()
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            assert task.exception() is None
        left = await pop.uidl()
        for uidl in left:
            assert await pop.retrieve(uidl) == {f"GmailId{stored.gmail_id:016x}": stored.raw for stored in me.messages}[uidl]
        assert (await pop.stat()).count == len(left)
        await pop.drop()
    return ran


@pytest.mark.parametrize("name", CALLS)
def test_a_call_may_be_cancelled_at_any_turn(name):
    async def main():
        steps, ran = 0, True
        async with GmailEmulator(behaviour=Behaviour(pop_window=4)) as server:
            while ran:
                address = f"u{steps}@gmail.com"
                me = server.add_account(address)
                for number in range(5):
                    me.deliver(letter(number))

                async def token(me=me):
                    return me.access_token(), datetime.fromtimestamp(server.hub.wall() + 3599, UTC)

                async with Gmail(address, TokenProvider(token), settings=server.settings) as gmail:
                    ran = await cancelled_after(server, me, gmail, CALLS[name], steps)
                for _ in range(20):
                    await asyncio.sleep(0)
                names = {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}
                assert not {task for task in names if "emulator" not in task}, f"left after {steps} turns"
                steps += 1
        return steps

    assert run_virtual(main()) > (0 if name == "uidl" else 3)


def test_opening_and_leaving_may_be_cancelled_at_any_turn():
    async def visit(gmail):
        async with gmail.pop3() as pop:
            await pop.delete((await pop.uidl())[0])

    async def main():
        steps, ran = 0, True
        async with GmailEmulator() as server:
            while ran:
                me = server.add_account(f"u{steps}@gmail.com")
                me.deliver(letter(1))

                async def token(me=me):
                    return me.access_token(), datetime.fromtimestamp(server.hub.wall() + 3599, UTC)

                async with Gmail(me.address, TokenProvider(token), settings=server.settings) as gmail:
                    task = asyncio.create_task(visit(gmail))
                    await turns(task, steps)
                    ran = not task.done()
                    task.cancel()
                    await asyncio.wait([task])
                    if task.cancelled():
                        assert not me.messages[0].popped or server.ledger.verbs("pop3")[-1] == "QUIT"
                    else:
                        assert task.exception() is None
                for _ in range(20):
                    await asyncio.sleep(0)
                names = {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}
                assert not {task for task in names if "emulator" not in task}, f"left after {steps} turns"
                steps += 1
        return steps

    assert run_virtual(main()) > 30
