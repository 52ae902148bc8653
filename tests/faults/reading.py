"""The reading calls, and whether what they return is what the account holds."""

from __future__ import annotations

from typing import Any

from tests.faults.harness import Operation, World, message

__all__ = ["READING"]


def _expect(found: Any, wanted: Any, what: str) -> None:
    assert found == wanted, f"{what}: got {found!r}, the account has {wanted!r}"


async def _noop(world: World) -> None:
    await world.inbox.noop()


async def _search(world: World) -> Any:
    return await world.inbox.search("SUBJECT letter5")


def _searched(world: World, found: Any) -> None:
    _expect(list(found), [5], "search")


async def _rows(world: World) -> Any:
    return [row async for row in world.inbox.fetch("1:*", "flags", "gmail_id")]


def _rows_right(world: World, found: Any) -> None:
    order = world.account.inbox.order
    _expect([row.uid for row in found], list(order), "fetch: UIDs")
    for row in found:
        stored = world.account.inbox.by_uid[row.uid]
        _expect((row.gmail_id, set(row.flags)), (stored.gmail_id, set(stored.flags)), f"fetch: UID {row.uid}")


async def _raw(world: World) -> Any:
    return [message async for message in world.inbox.fetch([2, 3, 7], "raw")]


def _raw_right(world: World, found: Any) -> None:
    by_uid = world.account.inbox.by_uid
    _expect([row.uid for row in found], [2, 3, 7], "fetch: UIDs")
    for row in found:
        _expect(bytes(row.raw), by_uid[row.uid].raw, f"fetch: UID {row.uid}")


async def _large(world: World) -> None:
    world.account.deliver(message("large", "0123456789abcdef\r\n" * 20_000))
    await world.inbox.noop()


async def _download(world: World) -> Any:
    return b"".join([chunk async for chunk in world.inbox.download(9)])


def _downloaded(world: World, found: bytes) -> None:
    _expect(found, world.account.inbox.by_uid[9].raw, "download")


async def _listed(world: World) -> Any:
    return await world.gmail.mailboxes()


def _listed_right(world: World, found: Any) -> None:
    names = {entry.name for entry in world.account.labels.listed(world.account.behaviour)}
    _expect({info.name for info in found}, names, "mailboxes")


async def _quota(world: World) -> Any:
    return await world.gmail.quota()


def _quota_right(world: World, found: Any) -> None:
    assert found.limit == world.account.behaviour.quota * 1024, f"quota: got {found!r}"


async def _account(world: World) -> None:
    await world.gmail.quota()


_QUEUE: dict[str, Any] = {"occupant": lambda world: world.gmail.quota(), "occupied": "GETQUOTAROOT", "keepers": 2}
READING = (
    Operation("noop", "NOOP", _noop),
    Operation("search", "UID SEARCH", _search, _searched),
    Operation("fetch-rows", "UID FETCH", _rows, _rows_right),
    Operation("fetch-raw", "UID FETCH", _raw, _raw_right),
    Operation("mailboxes", "LIST", _listed, _listed_right, prepare=_account, **_QUEUE),
    Operation("quota", "GETQUOTAROOT", _quota, _quota_right, prepare=_account, **_QUEUE),
    Operation("download", "UID FETCH", _download, _downloaded, prepare=_large),
)
