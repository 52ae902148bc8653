import asyncio
import sys
import time
from dataclasses import replace

import pytest
import redis
from cryptography.fernet import Fernet

from aiogmail.errors import ConfigurationError
from aiogmail.oauth import RedisTokenStore, StoreUnavailable
from aiogmail.oauth.stores import redis as module
from tests.oauth.harness import real
from tests.oauth.redisserver import RedisServer
from tests.oauth.stores.contract import CLAIMS, KEY, RECORD


def with_store(server, test, **options):
    async def main():
        store = RedisTokenStore(server.url, **options)
        try:
            await test(store)
        finally:
            await store.aclose()

    real(main)


@pytest.fixture
def raw(redis_server):
    client = redis.Redis.from_url(redis_server.url)
    yield client
    client.close()


def test_a_redis_store(redis_server, raw):
    for claim in CLAIMS:
        for cipher in (None, Fernet(Fernet.generate_key())):
            raw.flushdb()
            with_store(redis_server, claim, cipher=cipher)


def test_its_keys_name_nobody_and_with_a_cipher_nothing_is_readable(redis_server, raw):
    with_store(redis_server, CLAIMS[0], prefix="app:", cipher=Fernet(Fernet.generate_key()))
    (name,) = raw.keys("*")
    assert name.startswith(b"app:")
    assert len(name) == 44
    assert b"gmail" not in name
    assert b"1//" not in raw.hget(name, "data")


def test_a_wrong_cipher_is_told_and_nothing_is_moved(redis_server, raw):
    with_store(redis_server, CLAIMS[0], cipher=Fernet(Fernet.generate_key()))

    async def test(store):
        with pytest.raises(ConfigurationError, match="cipher: cannot decrypt"):
            await store.load(KEY)

    with_store(redis_server, test, cipher=Fernet(Fernet.generate_key()))
    assert len(raw.keys("*")) == 1


def test_a_lease_runs_out_where_its_process_was_killed(redis_server):
    async def test(store):
        start = time.monotonic()
        lease = await store.acquire(KEY, 0.2)
        assert lease is not None
        while (other := await store.acquire(KEY, 30.0)) is None:
            await asyncio.sleep(0.01)
        assert 0.15 < time.monotonic() - start < 1.0
        await store.release(KEY, lease)  # late: takes nothing from the other
        assert await store.acquire(KEY, 30.0) is None
        await store.release(KEY, other)

    with_store(redis_server, test)


def test_two_who_save_at_once_cannot_both_win(redis_server):
    async def test(store):
        other = RedisTokenStore(redis_server.url)
        for version in range(1, 30):
            record = replace(RECORD, version=version)
            won = await asyncio.gather(*(one.save(KEY, record, replaces=version - 1) for one in (store, other)))
            assert sorted(won) == [False, True]
        await other.aclose()

    with_store(redis_server, test)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw, name: raw.hset(name, "data", "1//precious"),
        lambda raw, name: raw.hset(name, "version", "9"),
        lambda raw, name: raw.hdel(name, "data"),
        lambda raw, name: (raw.delete(name), raw.set(name, "1//precious")),
    ],
)
def test_a_damaged_record_counts_as_none_and_is_kept_under_another_name(redis_server, raw, damage):
    with_store(redis_server, CLAIMS[0])
    (name,) = raw.keys("*")
    damage(raw, name)

    async def test(store):
        assert await store.load(KEY) is None
        assert await store.save(KEY, RECORD, replaces=0)
        assert await store.load(KEY) == RECORD

    with_store(redis_server, test)
    assert len(raw.keys("*:damaged-*")) == 1


def test_a_redis_that_is_away_is_told_in_the_systems_words_at_once(redis_server):
    async def test(store):
        assert await store.save(KEY, RECORD, replaces=0)
        redis_server.stop()
        start = time.monotonic()
        for use in (lambda: store.load(KEY), lambda: store.acquire(KEY, 1), lambda: store.save(KEY, RECORD, replaces=1)):
            with pytest.raises(StoreUnavailable, match="redis: .*(Connect|closed)"):
                await use()
        assert time.monotonic() - start < 1.0
        redis_server.start()  # it persists
        assert await store.load(KEY) == RECORD

    with_store(redis_server, test)


def test_a_redis_that_does_not_answer_is_told_after_the_timeout():
    async def main():
        async def silent(reader, writer):
            try:
                await reader.read()
            finally:
                writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        store = RedisTokenStore(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=0.1)
        with pytest.raises(StoreUnavailable, match="redis: Timeout"):
            await store.load(KEY)
        await store.aclose()
        server.close()
        await asyncio.sleep(0.05)

    real(main)


def test_a_full_redis_refuses_the_write_and_keeps_what_it_has(real_servers, tmp_path):
    with RedisServer(tmp_path, "--maxmemory-policy", "noeviction") as server:

        async def test(store):
            assert await store.save(KEY, RECORD, replaces=0)
            admin = redis.Redis.from_url(server.url)
            admin.config_set("maxmemory", "1")
            with pytest.raises(StoreUnavailable, match="redis: .*(OOM|memory)"):
                await store.save(KEY, replace(RECORD, version=2), replaces=1)
            assert await store.load(KEY) == RECORD
            admin.close()

        with_store(server, test)


def test_a_password_in_the_url_is_used_and_shown_nowhere(real_servers, tmp_path):
    with RedisServer(tmp_path, "--requirepass", "open-sesame") as server:

        async def test(store):
            await CLAIMS[0](store)
            wrong = RedisTokenStore(server.url)
            with pytest.raises(StoreUnavailable) as caught:
                await wrong.load(KEY)
            await wrong.aclose()
            assert "sesame" not in str(caught.value) + repr(store) + repr(vars(store)["_url"])

        with_store(type("S", (), {"url": f"redis://:open-sesame@127.0.0.1:{server.port}/0"}), test)


def test_it_may_be_used_in_one_loop_after_another(redis_server):
    store = RedisTokenStore(redis_server.url)

    async def first():
        assert await store.save(KEY, RECORD, replaces=0)
        await store.aclose()

    async def second():
        assert await store.load(KEY) == RECORD
        await store.aclose()
        await store.aclose()

    real(first)
    real(second)


@pytest.mark.parametrize(
    "url",
    [
        "rediss://redis.example:6380/0",
        "unix:///run/redis.sock",
        "redis://localhost",
        "redis://127.0.0.1:1/2",
        "redis://[::1]:6379",
        "rediss://h?ssl_cert_reqs=required&ssl_ca_certs=/x",
    ],
)
def test_tls_a_socket_or_a_loopback_is_taken(url):
    assert repr(RedisTokenStore(url)) == "RedisTokenStore(prefix='aiogmail:')"


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis.example:6379/0", "redis://:hunter2@10.0.0.1", "http://localhost", "localhost:6379", "", None, 7, "redis://[::1",
        "rediss://h?ssl_cert_reqs=none", "rediss://h?ssl_cert_reqs=optional", "rediss://h?ssl_check_hostname=False", "redis:///?host=redis.example",
        "redis://127.0.0.1.evil.example",
    ],
)  # fmt: skip
def test_a_url_that_would_send_tokens_in_clear_or_unverified_is_refused_and_not_shown(url):
    with pytest.raises(ConfigurationError, match="^url: ") as caught:
        RedisTokenStore(url)
    assert "hunter2" not in str(caught.value)


def test_without_redis_installed_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'aiogmail\[redis\]'"):
        RedisTokenStore("redis://localhost")


def test_a_damaged_record_is_set_aside_once_and_never_the_good_one_that_another_wrote_meanwhile(redis_server, raw):
    raw.ping()  # its connection is not this test's

    async def test(store):
        assert await store.save(KEY, RECORD, replaces=0)
        (name,) = raw.keys("*")
        raw.hset(name, "data", "garbage")
        stores = [RedisTokenStore(redis_server.url) for _ in range(8)]
        assert await asyncio.gather(*(other.load(KEY) for other in stores)) == [None] * 8
        assert len(raw.keys("*damaged*")) == 1
        assert await store.save(KEY, RECORD, replaces=0)
        # One who read the damage, and was held up until another had mended it.
        assert not await store._ask(store._open().eval(module._SET_ASIDE, 2, name, f"{name.decode()}:damaged-x", b"garbage"))
        assert await store.load(KEY) == RECORD
        for other in stores:
            await other.aclose()

    with_store(redis_server, test)
