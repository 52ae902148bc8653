"""The supervisor with sessions made of nothing: what it opens, when, and what it runs again."""

import asyncio
import functools

import pytest

from aiogmail import errors
from aiogmail.ports import Effect, Outcome
from aiogmail.settings import Timeouts
from aiogmail.supervisor import Backoff, State, Supervisor
from tests.support.aio import virtual


class FakeSession:
    def __init__(self, number):
        self.number = number
        self.closed = asyncio.get_running_loop().create_future()
        self.left = False
        self.aborted = False

    def lose(self, error=None):
        if not self.closed.done():
            self.closed.set_result(error or errors.SessionExpired("BYE Session expired"))

    def abort(self):
        self.aborted = True
        self.lose(errors.Disconnected("aborted"))

    async def aclose(self):
        self.left = True


class Door:
    """Opens sessions, or fails with what it was told to."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.sessions = []
        self.tries = 0

    async def __call__(self):
        self.tries += 1
        await asyncio.sleep(0)
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
        self.sessions.append(FakeSession(len(self.sessions) + 1))
        return self.sessions[-1]


def supervisor(door, **timeouts):
    return Supervisor(door, name="test", timeouts=Timeouts(**timeouts), backoff=Backoff(base=0.01, cap=0.02))


def kept(*failures, **timeouts):
    """The test is ``async def test(door, keeper)``: a supervisor that is open, and closed behind it."""

    def decorate(test):
        @functools.wraps(test)
        def wrapped():
            async def main():
                door = Door(*failures)
                keeper = supervisor(door, **timeouts)
                await keeper.open()
                try:
                    await test(door, keeper)
                finally:
                    await keeper.aclose()

            virtual(main())

        del wrapped.__wrapped__  # pytest would take the arguments for fixtures
        return wrapped

    return decorate


async def number(session):
    """Work that tells what session it runs on."""
    return session.number


def test_lost_work_runs_again_on_the_next_session():
    async def main():
        door = Door()
        keeper = supervisor(door)
        await keeper.open()
        ran_on = []

        async def work(session):
            ran_on.append(session.number)
            if session.number < 3:
                session.lose()
                raise errors.SessionExpired("BYE")
            return "done"

        assert await keeper.run(work, Effect.PURE) == "done"
        assert ran_on == [1, 2, 3]
        assert keeper.sessions == 3
        await keeper.aclose()
        assert keeper.state is State.CLOSED
        assert door.sessions[-1].left
        assert all(session.aborted for session in door.sessions)

    virtual(main())


@kept()
async def test_an_idle_loss_reconnects_before_anybody_asks(door, keeper):
    door.sessions[0].lose()
    await asyncio.sleep(0.01)
    assert keeper.session is door.sessions[1]


@kept()
async def test_an_unknown_outcome_of_work_that_must_not_double_reaches_the_caller(door, keeper):
    calls = []

    async def work(session):
        calls.append(session.number)
        session.lose()
        raise errors.Disconnected("gone", outcome=Outcome.UNKNOWN)

    with pytest.raises(errors.Disconnected) as caught:
        await keeper.run(work, Effect.NEVER)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert calls == [1]


def test_the_first_opening_is_tried_twice_at_most():
    async def main():
        door = Door(errors.ConnectFailed("refused"), errors.ConnectFailed("refused again"), None)
        keeper = supervisor(door)
        with pytest.raises(errors.ConnectFailed, match="again"):
            await keeper.open()
        assert door.tries == 2
        assert keeper.state is State.FAILED
        await keeper.aclose()

        door = Door(errors.ConnectFailed("refused"))
        keeper = supervisor(door)
        await keeper.open()
        assert door.tries == 2
        await keeper.aclose()

    virtual(main())


@pytest.mark.parametrize(
    "failure", [errors.ConnectFailed("certificate", permanent=True), errors.LoginRequired("x"), errors.TooManyConnections("16")]
)
def test_a_first_opening_that_cannot_be_helped_is_tried_once(failure):
    async def main():
        door = Door(failure)
        keeper = supervisor(door)
        with pytest.raises(type(failure)):
            await keeper.open()
        assert door.tries == 1
        await keeper.aclose()

    virtual(main())


def test_a_cancelled_first_opening_leaves_nothing():
    async def main():
        async def never():
            await asyncio.Event().wait()

        keeper = supervisor(never)
        task = asyncio.create_task(keeper.open())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert keeper.state is State.FAILED
        await keeper.aclose()

    virtual(main())


@kept(None, *[errors.ConnectFailed(f"refused {n}") for n in range(1000)], recover=0.1)
async def test_an_outage_is_waited_out_and_then_told(door, keeper):
    door.sessions[0].lose()
    await asyncio.sleep(0)

    async def work(session):
        raise AssertionError("there is no session")

    with pytest.raises(errors.ConnectFailed, match="refused"):
        await keeper.run(work, Effect.PURE)
    assert 3 < door.tries < 1000


def test_an_outage_that_hangs_is_told_as_a_time_out():
    async def main():
        door = Door()
        hang = False

        async def opening():
            if hang:
                await asyncio.Event().wait()
            return await door()

        keeper = supervisor(opening, recover=0.05)
        await keeper.open()
        hang = True
        door.sessions[0].lose()
        await asyncio.sleep(0.01)

        async def work(session):
            raise AssertionError("there is no session")

        with pytest.raises(errors.TransportError):
            await keeper.run(work, Effect.PURE)
        await keeper.aclose()

    virtual(main())


@kept(None, *[errors.ConnectFailed("refused")] * 3, None)
async def test_an_outage_that_ends_in_time_is_not_noticed(door, keeper):
    door.sessions[0].lose()
    await asyncio.sleep(0)

    assert await keeper.run(number, Effect.PURE) == 2


@kept(None, errors.LoginRequired("revoked"), None)
async def test_what_only_a_person_can_help_fails_every_waiter_and_is_tried_again_when_asked(door, keeper):
    door.sessions[0].lose()
    await asyncio.sleep(0)

    results = await asyncio.gather(*(keeper.run(number, Effect.PURE) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [errors.LoginRequired] * 3
    assert len({id(result) for result in results}) == 3
    assert keeper.state is State.FAILED
    assert await keeper.run(number, Effect.PURE) == 2  # the person consented meanwhile


@kept()
async def test_a_session_that_ends_for_good_is_not_opened_again(door, keeper):
    door.sessions[0].lose(errors.MailboxChanged("UIDVALIDITY", connection_lost=True))
    while keeper.state is not State.FAILED:  # however busy the machine is; the test's own timeout ends it otherwise
        await asyncio.sleep(0)
    assert door.tries == 1


def test_a_server_that_accepts_and_drops_is_not_hammered():
    async def main():
        door = Door()

        async def opening():
            session = await door()
            asyncio.get_running_loop().call_soon(session.lose)
            return session

        keeper = Supervisor(opening, name="test", timeouts=Timeouts(), backoff=Backoff(base=0.05, cap=1, uniform=lambda: 1.0))
        await keeper.open()
        await asyncio.sleep(0.2)
        assert 3 <= door.tries <= 5  # at once, then 0.05, 0.1, 0.2 s
        await keeper.aclose()

    virtual(main())


@kept()
async def test_a_floor_of_the_error_is_waited_before_the_work_runs_again(door, keeper):
    loop = asyncio.get_running_loop()
    times = []

    async def work(session):
        times.append(loop.time())
        if len(times) == 1:
            raise errors.Unavailable("later", retry_after=0.05)
        return "done"

    assert await keeper.run(work, Effect.PURE) == "done"
    assert times[1] - times[0] >= 0.049


@kept()
async def test_errors_that_are_not_ours_pass_through(door, keeper):

    async def work(session):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await keeper.run(work, Effect.PURE)


def test_a_supervisor_that_is_not_open_says_so():
    async def main():
        async def work(session):
            return None

        keeper = supervisor(Door())
        with pytest.raises(errors.StateError, match="not open"):
            await keeper.run(work, Effect.PURE)
        await keeper.open()
        await keeper.aclose()
        await keeper.aclose()
        with pytest.raises(errors.StateError, match="closed"):
            await keeper.run(work, Effect.PURE)

    virtual(main())


def test_closing_lets_running_work_end_within_its_timeout():
    async def main():
        keeper = supervisor(Door())
        await keeper.open()

        async def work(session):
            await asyncio.sleep(0.03)
            return "ended"

        task = asyncio.create_task(keeper.run(work, Effect.PURE))
        await asyncio.sleep(0)
        await keeper.aclose(timeout=1.0)
        assert await task == "ended"

    virtual(main())


def test_closing_does_not_wait_longer_than_its_timeout():
    async def main():
        keeper = supervisor(Door())
        await keeper.open()

        async def work(session):
            await asyncio.wait([session.closed])
            raise session.closed.result()

        task = asyncio.create_task(keeper.run(work, Effect.PURE))
        await asyncio.sleep(0)
        await keeper.aclose(timeout=0.02)
        with pytest.raises(errors.StateError, match="closed"):
            await task

    virtual(main())


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_closing_ends_a_pause_that_the_server_asked_for(timeout):
    """Also when running work has time to end: that pause would be longer."""

    async def main():
        keeper = supervisor(Door())
        await keeper.open()
        loop = asyncio.get_running_loop()

        async def work(session):
            raise errors.Throttled("421 too fast", retry_after=60.0, outcome=Outcome.NOT_APPLIED, stage="MAIL")

        task = asyncio.create_task(keeper.run(work, Effect.VERIFIABLE))
        await asyncio.sleep(0.01)
        began = loop.time()
        await keeper.aclose(timeout)
        with pytest.raises(errors.StateError, match="closed while this waited") as caught:
            await task
        assert loop.time() - began < 1.0
        assert (caught.value.outcome, caught.value.stage) == (Outcome.NOT_APPLIED, "MAIL")
        assert isinstance(caught.value.__cause__, errors.Throttled)

    virtual(main())


def test_closing_lets_a_pause_end_that_is_over_within_its_timeout():
    async def main():
        keeper = supervisor(Door())
        await keeper.open()
        tries = []

        async def work(session):
            tries.append(session)
            if len(tries) == 1:
                raise errors.Throttled("later", retry_after=0.05)
            return "done"

        task = asyncio.create_task(keeper.run(work, Effect.PURE))
        await asyncio.sleep(0.01)
        await keeper.aclose(timeout=5.0)
        assert await task == "done"

    virtual(main())


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_closing_ends_a_first_opening_that_hangs(timeout):
    async def main():
        given_up = []

        async def hang():
            try:
                await asyncio.sleep(60.0)
            except asyncio.CancelledError:
                given_up.append(True)
                raise

        keeper = supervisor(hang)
        task = asyncio.create_task(keeper.open())
        await asyncio.sleep(0.01)
        await keeper.aclose(timeout)
        with pytest.raises(errors.StateError, match="closed while it was being opened"):
            async with asyncio.timeout(1.0):
                await task
        assert given_up
        assert keeper.state is State.CLOSED

    virtual(main())


def test_a_closing_that_is_cancelled_while_work_has_its_time_takes_no_leave():
    async def main():
        door = Door()
        keeper = supervisor(door)
        await keeper.open()

        async def work(session):
            await asyncio.wait([session.closed])
            raise session.closed.result()

        task = asyncio.create_task(keeper.run(work, Effect.NEVER))
        await asyncio.sleep(0)
        closing = asyncio.create_task(keeper.aclose(60.0))
        await asyncio.sleep(0.01)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises(errors.Disconnected):
            await task
        assert not door.sessions[0].left
        assert keeper.state is State.CLOSED

    virtual(main())


def test_a_first_opening_cancelled_between_its_two_tries_can_be_tried_again(monkeypatch):
    monkeypatch.setattr("aiogmail.supervisor.keeping._SECOND_TRY_WITHIN", 10.0)

    async def main():
        door = Door(errors.ConnectFailed("refused"))
        keeper = Supervisor(door, name="test", timeouts=Timeouts(), backoff=Backoff(uniform=lambda: 0.5))
        task = asyncio.create_task(keeper.open())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await keeper.open()
        assert keeper.session is door.sessions[0]
        await keeper.aclose()

    virtual(main())


@pytest.mark.parametrize("failure", [ValueError("secret"), RuntimeError("no executor"), ZeroDivisionError()])
@pytest.mark.parametrize("rotating", [False, True])
def test_an_opening_that_fails_in_an_unforeseen_way_is_told_at_once_and_tried_again_when_asked(failure, rotating):
    async def main():
        door = Door(None, None if rotating else failure)
        keeper = supervisor(door)
        await keeper.open()
        if rotating:
            await asyncio.sleep(0)
            keeper._opening._open_session = slowly
            keeper._due_at = 0.0
            keeper._attention.set_result(None)
            while keeper.state is not State.ROTATING:
                await asyncio.sleep(0)
        door.sessions[0].lose()
        with pytest.raises(errors.GmailError, match=f"could not be opened.*{type(failure).__name__}") as caught:
            await keeper.run(number, Effect.PURE)
        assert "secret" not in str(caught.value)
        assert keeper.state is State.FAILED
        keeper._opening._open_session = door
        assert await keeper.run(number, Effect.PURE) == 2
        await keeper.aclose()

    async def slowly():
        await asyncio.sleep(0.01)
        raise failure

    virtual(main())


@pytest.mark.parametrize("failure", [OSError(5, "no disk"), asyncio.CancelledError()])
def test_an_opening_that_fails_in_an_unforeseen_way_and_may_succeed_later_is_tried_again(failure):
    async def main():
        door = Door(None, failure)
        keeper = supervisor(door)
        await keeper.open()
        door.sessions[0].lose()
        assert await keeper.run(number, Effect.PURE) == 2
        assert door.tries == 3
        await keeper.aclose()

    virtual(main())


def test_a_supervisor_that_breaks_tells_who_waits_and_begins_anew_when_asked(monkeypatch, caplog):
    async def main():
        door = Door()
        keeper = supervisor(door)
        await keeper.open()
        with monkeypatch.context() as patch:
            patch.setattr(keeper, "_lost", broken)
            waiting = asyncio.create_task(keeper.run(on_lost, Effect.PURE))
            await asyncio.sleep(0)
            door.sessions[0].lose()
            with pytest.raises(errors.GmailError, match="broke: ZeroDivisionError"):
                await waiting
        assert keeper.state is State.FAILED
        assert await keeper.run(number, Effect.PURE) == 2
        await keeper.aclose()

    def broken(session):
        raise ZeroDivisionError("sec" + "ret")

    async def on_lost(session):
        await session.closed
        raise session.closed.result()

    virtual(main())
    assert "secret" not in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_closing_ends_what_waits_out_a_floor():
    async def main():
        keeper = supervisor(Door(), recover=300.0)
        await keeper.open()

        async def refused(session):
            raise errors.OverQuota("too much", status="NO", retry_after=200.0)

        waiting = asyncio.create_task(keeper.run(refused, Effect.PURE))
        await asyncio.sleep(0.01)
        assert keeper.running
        await keeper.aclose()
        with pytest.raises(errors.StateError, match="closed"):
            await waiting

    virtual(main(), timeout=5)


def test_closing_ends_a_first_opening():
    async def main():
        opened = asyncio.Event()

        async def never():
            opened.set()
            await asyncio.sleep(20)

        keeper = supervisor(never)
        opening = asyncio.create_task(keeper.open())
        await opened.wait()
        await keeper.aclose()
        assert keeper.state is State.CLOSED
        with pytest.raises(errors.StateError, match="closed while it was being opened"):
            await opening

    virtual(main(), timeout=5)


@kept(None, errors.LoginRequired("revoked"), None)
async def test_two_callers_of_a_supervisor_that_gave_up_both_get_the_next_session(door, keeper):
    door.sessions[0].lose()
    while keeper.state is not State.FAILED:
        await asyncio.sleep(0.001)

    assert await asyncio.gather(*(keeper.run(number, Effect.PURE) for _ in range(3))) == [2, 2, 2]
