import asyncio
import contextlib
import os
import threading

import pytest

from aiogmail.oauth import KeyringTokenStore, StoreUnavailable
from aiogmail.oauth.stores import worker as module
from aiogmail.oauth.stores.worker import Worker
from tests.oauth.harness import real


def test_calls_run_one_after_another_in_one_thread_and_give_what_they_gave():
    async def main():
        worker, running, most = Worker("x"), [], []

        def work(number):
            running.append(number)
            most.append(len(running))
            running.remove(number)
            if number == 7:
                raise KeyError(number)
            return number

        got = await asyncio.gather(*(worker.run(lambda n=n: work(n)) for n in range(20)), return_exceptions=True)
        assert [n for n in got if isinstance(n, int)] == [n for n in range(20) if n != 7]
        assert isinstance(got[7], KeyError)
        assert set(most) == {1}

    real(main)


def test_while_one_call_hangs_others_are_told_and_no_second_thread_is_taken(monkeypatch):
    async def main():
        monkeypatch.setattr(module, "PATIENCE", 0.1)
        end, calls = threading.Event(), []

        class Hanging:
            def get_password(self, service, username):
                calls.append(username)
                end.wait(20)

        store = KeyringTokenStore(backend=Hanging())
        for _ in range(3):  # the first hangs, the others wait behind it for a while
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.04):
                    await store.load("k")
        await asyncio.sleep(0.1)
        for _ in range(20):
            with pytest.raises(StoreUnavailable, match="hanging"):
                await store.load("k")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            await loop.run_in_executor(None, int)  # the application's own work
        assert calls == ["k"]
        end.set()
        await asyncio.sleep(0.05)
        assert await store.load("other") is None  # it works again
        assert calls == ["k", "other"]  # those who gave up are not asked for any more

    real(main)


def test_a_child_process_does_not_wait_for_its_parents_thread(monkeypatch):
    async def main():
        worker, end = Worker("x"), threading.Event()
        hanging = asyncio.create_task(worker.run(end.wait))
        await asyncio.sleep(0.02)
        pid = os.getpid()
        with monkeypatch.context() as patch:
            patch.setattr(module.os, "getpid", lambda: pid + 1)
            assert await worker.run(lambda: 5) == 5
        end.set()
        assert await hanging

    real(main)
