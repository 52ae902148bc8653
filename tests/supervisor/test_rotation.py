"""Make before break, with sessions made of nothing: who works where, and what is left."""

import asyncio

import pytest

from aiogmail import errors
from aiogmail.ports import Effect
from aiogmail.settings import Budget, Timeouts
from aiogmail.supervisor import Backoff, State, Supervisor
from aiogmail.testing import run_virtual
from tests.supervisor.test_supervisor import Door, FakeSession


class MortalSession(FakeSession):
    """One that ends, says when, and can be asked."""

    def __init__(self, number, expires_at, silent=False):
        super().__init__(number)
        self.expires_at = expires_at
        self.silent = silent
        self.retired = False
        self.probes = 0
        self.bye = asyncio.get_running_loop().call_at(expires_at, self.lose)

    def retire(self):
        self.retired = True

    async def probe(self, seconds):
        self.probes += 1
        if self.silent:
            await asyncio.sleep(seconds)
            raise errors.TimedOut("silent")

    async def aclose(self):
        await super().aclose()
        self.lose(errors.Disconnected("logout"))


class Turnstile(Door):
    """Opens sessions that live for an hour; each opening takes a second."""

    life = 3600.0

    async def __call__(self):
        self.tries += 1
        await asyncio.sleep(1.0)
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, BaseException):
            raise failure
        life = self.life if failure is None else failure
        self.sessions.append(MortalSession(len(self.sessions) + 1, asyncio.get_running_loop().time() + life))
        return self.sessions[-1]


class LoopClock:
    """The loop's time, and how long the machine was asleep beside it."""

    def __init__(self):
        self.slept = 0.0

    def now(self):
        return asyncio.get_running_loop().time() + self.slept

    def wall(self):
        return self.now()


def supervising(test, *failures, **options):
    async def main():
        door, clock, told = Turnstile(*failures), LoopClock(), []
        options.setdefault("backoff", Backoff(uniform=lambda: 0.5))
        keeper = Supervisor(door, name="test", timeouts=Timeouts(), clock=clock, on_event=told.append, **options)
        await keeper.open()
        try:
            await test(keeper, door, clock, told)
        finally:
            await keeper.aclose()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert all(session.aborted for session in door.sessions)
        return [event.kind for event in told]

    return run_virtual(main())


async def number_of(session):
    return session.number


def test_new_work_goes_to_the_successor_and_old_work_ends_where_it_is():
    async def test(keeper, door, clock, told):
        await asyncio.sleep(3000)
        old = door.sessions[0]

        async def long_work(session):
            await asyncio.sleep(500)
            return session.number

        long = asyncio.create_task(keeper.run(long_work, Effect.NEVER))
        await asyncio.sleep(500)
        assert keeper.session is door.sessions[1]
        assert old.retired
        assert not old.left
        assert await keeper.run(number_of, Effect.PURE) == 2
        assert await long == 1
        await asyncio.sleep(1)
        assert old.left
        assert door.sessions[1].probes == 1

    assert supervising(test) == ["connected", "expiring", "rotated"]


def test_work_on_a_session_that_was_left_is_not_waited_for_beyond_its_end():
    async def test(keeper, door, clock, told):
        async def endless(session):
            await asyncio.sleep(10_000)

        work = asyncio.create_task(keeper.run(endless, Effect.PURE))
        old = door.sessions[0]
        old.bye.cancel()
        await asyncio.sleep(3500)
        assert keeper.session is not old
        await asyncio.sleep(200)
        assert old.left
        work.cancel()

    supervising(test)


def test_work_that_fails_on_a_session_that_was_left_is_run_again_without_being_counted():
    async def test(keeper, door, clock, told):
        ran = []

        async def idle(session):
            ran.append(session.number)
            while not session.retired:
                await asyncio.sleep(1)
            raise errors.Disconnected("another session took over", connection_lost=False)

        work = asyncio.create_task(keeper.run(idle, Effect.PURE))
        await asyncio.sleep(10 * 3600)
        assert not work.done()
        assert ran == list(range(1, len(ran) + 1))
        assert len(ran) > 10
        work.cancel()

    supervising(test)


def test_a_session_that_is_lost_while_its_successor_is_opened_is_followed_by_it():
    async def test(keeper, door, clock, told):
        while keeper.state is not State.ROTATING:
            await asyncio.sleep(0.5)
        door.sessions[0].lose()
        assert await keeper.run(number_of, Effect.PURE) == 2
        assert door.tries == 2

    assert supervising(test) == ["connected", "expiring", "lost", "connected"]


def test_a_session_that_is_lost_while_its_successor_fails_is_opened_again():
    async def test(keeper, door, clock, told):
        while keeper.state is not State.ROTATING:
            await asyncio.sleep(0.5)
        door.sessions[0].lose()
        assert await keeper.run(number_of, Effect.PURE) == 2
        assert door.tries == 3

    assert supervising(test, None, errors.ConnectFailed("refused"))[:3] == ["connected", "expiring", "lost"]


@pytest.mark.parametrize("lost", [True, False])
def test_a_loss_that_cannot_be_helped_ends_a_rotation(lost):
    async def test(keeper, door, clock, told):
        while keeper.state is not State.ROTATING:
            await asyncio.sleep(0.1)
        door.sessions[0].lose(errors.MailboxChanged("UIDVALIDITY", connection_lost=True) if lost else None)
        await asyncio.sleep(30)
        assert keeper.state is State.FAILED

    kinds = supervising(test, None, None if lost else errors.LoginRequired("revoked"))
    assert kinds == ["connected", "expiring", "lost", "failed"]


def test_a_successor_that_fails_is_tried_again_and_the_old_session_serves_to_its_end():
    async def test(keeper, door, clock, told):
        await asyncio.sleep(3590)
        assert await keeper.run(number_of, Effect.PURE) == 1
        assert keeper.state in (State.EXPIRING, State.ROTATING)
        await asyncio.sleep(100)
        assert await keeper.run(number_of, Effect.PURE) == 2
        await asyncio.sleep(100)
        retries = [event for event in told if event.kind == "retrying"]
        assert 3 < len(retries) < 20

    kinds = supervising(test, None, *[errors.ConnectFailed("refused")] * 14)
    assert kinds.index("lost") > kinds.index("retrying")


def test_a_successor_that_does_not_answer_is_not_trusted():
    async def test(keeper, door, clock, told):
        opened = door.sessions

        async def silent():
            opened.append(MortalSession(len(opened) + 1, asyncio.get_running_loop().time() + 3600, silent=len(opened) == 1))
            return opened[-1]

        keeper._opening._open_session = silent
        await asyncio.sleep(3590)
        assert opened[1].aborted
        assert keeper.session is opened[2]

    assert supervising(test) == ["connected", "expiring", "retrying", "rotated"]


def test_a_successor_whose_probe_fails_in_an_unforeseen_way_is_not_trusted_and_the_old_session_serves():
    async def test(keeper, door, clock, told):
        async def broken(seconds):
            raise ValueError("what is this")

        opens = door.__call__

        async def opened():
            session = await opens()
            session.probe = broken
            return session

        keeper._opening._open_session = opened
        while "retrying" not in [event.kind for event in told]:
            await asyncio.sleep(1)
        assert await keeper.run(number_of, Effect.PURE) == 1
        assert keeper.state is State.EXPIRING

    supervising(test)


def test_a_successor_with_the_same_token_is_of_no_use():
    async def test(keeper, door, clock, told):
        await asyncio.sleep(3590)
        assert await keeper.run(number_of, Effect.PURE) == 1
        assert 2 <= door.tries <= 11
        await asyncio.sleep(60)
        assert all(session.aborted for session in door.sessions[:-1])

    kinds = supervising(test, None, *[0.5] * 20)
    assert kinds[:3] == ["connected", "expiring", "retrying"]


def test_a_rotation_that_is_switched_off_does_not_happen():
    async def test(keeper, door, clock, told):
        await asyncio.sleep(3590)
        assert door.tries == 1
        await asyncio.sleep(20)
        assert door.tries == 2

    assert supervising(test, rotate=False) == ["connected", "lost", "connected"]


def test_an_account_without_a_connection_left_does_not_rotate():
    async def test(keeper, door, clock, told):
        await asyncio.sleep(3590)
        assert door.tries == 1
        assert keeper.state is State.EXPIRING
        await asyncio.sleep(20)
        assert door.tries == 2

    kinds = supervising(test, budget=Budget(connections=1))
    assert (kinds[0], kinds[-1]) == ("connected", "connected")


@pytest.mark.parametrize("seconds", [*range(4), 3300, *(3374 + n * 0.25 for n in range(16))])
def test_closing_at_any_moment_leaves_nothing(seconds):
    async def test(keeper, door, clock, told):
        async def work(session):
            await asyncio.sleep(3376 - seconds)

        running = asyncio.create_task(keeper.run(work, Effect.PURE))
        await asyncio.sleep(seconds)
        await keeper.aclose()
        assert all(session.aborted for session in door.sessions)
        running.cancel()

    supervising(test)


def test_a_session_is_asked_before_it_is_trusted_after_a_suspend():
    async def test(keeper, door, clock, told):
        await asyncio.sleep(100)
        clock.slept += 600
        assert await keeper.run(number_of, Effect.PURE) == 1
        assert door.sessions[0].probes == 1
        door.sessions[0].silent = True
        clock.slept += 600
        began = asyncio.get_running_loop().time()
        assert await keeper.run(number_of, Effect.PURE) == 2
        assert asyncio.get_running_loop().time() - began == pytest.approx(Timeouts().probe + 1.0)

    assert supervising(test) == ["connected", "lost", "connected"]


def test_a_session_that_is_doubted_while_its_successor_is_refused_is_asked_at_once():
    async def test(keeper, door, clock, told):
        while keeper.state is not State.ROTATING:
            await asyncio.sleep(0.1)
        clock.slept += 600
        began = asyncio.get_running_loop().time()
        assert await keeper.run(number_of, Effect.PURE) == 1
        assert asyncio.get_running_loop().time() - began <= 1.0, "it does not wait for the next try at a successor"
        assert door.sessions[0].probes == 1

    supervising(test, None, errors.TokenEndpointError("none yet", retry_after=30.0))


def test_a_session_nobody_uses_is_asked_too_after_a_suspend():
    async def test(keeper, door, clock, told):
        door.sessions[0].silent = True
        clock.slept += 600
        await asyncio.sleep(60)
        assert keeper.session is door.sessions[1]

    supervising(test)


def test_a_session_whose_end_came_during_a_suspend_is_replaced_at_once():
    async def test(keeper, door, clock, told):
        clock.slept += 7200
        door.sessions[0].silent = False
        await asyncio.sleep(60)
        assert keeper.sessions >= 2

    supervising(test)


def test_a_long_run_that_is_cut_is_a_new_story_each_time():
    async def test(keeper, door, clock, told):
        ran = []

        async def watch(session):
            ran.append(session.number)
            await asyncio.wait([session.closed])
            raise session.closed.result()

        work = asyncio.create_task(keeper.run(watch, Effect.PURE))
        await asyncio.sleep(12 * 3600)
        assert not work.done()
        assert len(ran) >= 10
        work.cancel()

    supervising(test, rotate=False)
