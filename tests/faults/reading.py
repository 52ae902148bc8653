"""The reading calls, and whether what they return is what the account holds."""

from __future__ import annotations

import base64
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


_OCTETS = bytes(range(256)) * 200


async def _attached(world: World) -> None:
    encoded = base64.encodebytes(_OCTETS).decode().replace("\n", "\r\n")
    head = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: application/x-data\r\n"
    body = f"Content-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n--b--\r\n"
    world.account.deliver(f"Subject: attached\r\n{head}{body}")
    await world.inbox.noop()


async def _part(world: World) -> Any:
    return b"".join([chunk async for chunk in world.inbox.download(9, "2")])


def _part_right(_world: World, found: Any) -> None:
    _expect(found, _OCTETS, "download of a part, decoded")


async def _threads(world: World) -> Any:
    return [thread async for thread in world.inbox.threads("1:*", "flags")]


def _threads_right(world: World, found: Any) -> None:
    inbox = world.account.inbox
    _expect({thread.id for thread in found}, {inbox.by_uid[uid].thread_id for uid in inbox.order}, "threads")


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
    Operation("download-part", "UID FETCH", _part, _part_right, prepare=_attached),
    Operation("threads", "UID FETCH", _threads, _threads_right),
    Operation("mailboxes", "LIST", _listed, _listed_right, prepare=_account, **_QUEUE),
    Operation("quota", "GETQUOTAROOT", _quota, _quota_right, prepare=_account, **_QUEUE),
    Operation("download", "UID FETCH", _download, _downloaded, prepare=_large),
)
