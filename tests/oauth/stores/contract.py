"""What every store promises, as one list of claims that each store's own test module runs."""

from dataclasses import replace

from aiogmail.oauth import StoredToken
from aiogmail.secret import Secret

KEY = "user me@gmail.com client https://mail.google.com/"
RECORD = StoredToken(1, "abc", Secret("1//refresh"), Secret("ya29.access"), 1_800_000_000.0, 3600.0, ("mail",), "Bearer")


async def gives_back_what_was_saved(store):
    assert await store.load(KEY) is None
    assert await store.save(KEY, RECORD, replaces=0)
    assert await store.load(KEY) == RECORD
    assert await store.load(KEY + "x") is None


async def compares_the_version_before_it_replaces(store):
    assert not await store.save(KEY, RECORD, replaces=1)
    assert await store.load(KEY) is None
    assert await store.save(KEY, RECORD, replaces=0)
    assert not await store.save(KEY, replace(RECORD, version=2, access_token=None), replaces=0)
    assert await store.load(KEY) == RECORD
    second = replace(RECORD, version=2, refresh_token=Secret("1//next"))
    assert await store.save(KEY, second, replaces=1)
    assert await store.load(KEY) == second


async def keeps_identities_apart(store):
    other = replace(RECORD, refresh_token=Secret("1//other"), scopes=())
    assert await store.save(KEY, RECORD, replaces=0)
    assert await store.save("user you@gmail.com client x", other, replaces=0)
    assert await store.load(KEY) == RECORD
    assert await store.load("user you@gmail.com client x") == other


async def gives_a_lease_to_one_at_a_time(store):
    lease = await store.acquire(KEY, 30.0)
    assert lease is not None
    assert await store.acquire(KEY, 30.0) is None
    other = await store.acquire("another key", 30.0)
    assert other is not None
    await store.release(KEY, lease)
    again = await store.acquire(KEY, 30.0)
    assert again is not None
    await store.release(KEY, lease)  # an old one: no error, and it takes nothing from the new holder
    assert await store.acquire(KEY, 30.0) is None
    await store.release(KEY, again)
    await store.release("another key", other)


async def extends_a_lease_that_is_held_and_no_other(store):
    lease = await store.acquire(KEY, 30.0)
    assert await store.extend(KEY, lease, 60.0)
    await store.release(KEY, lease)
    assert not await store.extend(KEY, lease, 60.0)
    other = await store.acquire(KEY, 30.0)
    assert not await store.extend(KEY, lease, 60.0)
    await store.release(KEY, other)


async def forgets_what_is_deleted(store):
    await store.delete(KEY)
    assert await store.save(KEY, RECORD, replaces=0)
    assert await store.save("another key", RECORD, replaces=0)
    await store.delete(KEY)
    assert await store.load(KEY) is None
    assert await store.load("another key") == RECORD
    assert await store.save(KEY, RECORD, replaces=0)


async def works_again_after_it_was_closed(store):
    assert await store.save(KEY, RECORD, replaces=0)
    await store.aclose()
    await store.aclose()
    assert (await store.load(KEY)).refresh_token == RECORD.refresh_token


CLAIMS = [
    gives_back_what_was_saved,
    compares_the_version_before_it_replaces,
    keeps_identities_apart,
    gives_a_lease_to_one_at_a_time,
    works_again_after_it_was_closed,
    extends_a_lease_that_is_held_and_no_other,
    forgets_what_is_deleted,
]
