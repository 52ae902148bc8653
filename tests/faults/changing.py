"""The calls that change something, and how often the ledger has their effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from tests.faults.harness import Operation, World

__all__ = ["CHANGING"]

_ACCOUNT: dict[str, Any] = {"occupant": lambda world: world.gmail.quota(), "occupied": "GETQUOTAROOT", "keepers": 2}

_THREE = (2, 4, 6)


def _label_of(world: World, name: str) -> Any:
    return world.account.labels.create(name, world.account.behaviour)


async def _know(world: World) -> None:
    """Which messages are meant, whatever becomes of their UIDs."""
    world.notes["messages"] = {uid: world.account.inbox.by_uid[uid] for uid in world.account.inbox.order}


async def _work(world: World) -> None:
    await _know(world)
    _label_of(world, "Work")


async def _old(world: World) -> None:
    await _know(world)
    old = _label_of(world, "Old")
    for uid in _THREE:
        world.account.copy(world.account.inbox.by_uid[uid], old)


async def _marked(world: World) -> None:
    world.account.configure(auto_expunge=False)
    await _know(world)
    for uid in _THREE:
        world.account.mark_deleted(world.account.inbox.by_uid[uid], world.account.inbox, deleted=True)


def _flags(what: str, flag: str, uids: tuple[int, ...] = _THREE) -> Callable[[World], dict[int, int]]:
    """How often each message has gained, or lost, a flag."""

    def count(world: World) -> dict[int, int]:
        messages = world.notes["messages"]
        return {
            uid: sum(entry.message is messages[uid] and flag in getattr(entry, what) for entry in world.account.ledger.flags)
            for uid in uids
        }

    return count


def _labels(what: str, name: str) -> Callable[[World], dict[int, int]]:
    """How often each message has gained, or lost, a label."""

    def count(world: World) -> dict[int, int]:
        messages = world.notes["messages"]
        return {
            uid: sum(entry.message is messages[uid] and name in getattr(entry, what) for entry in world.account.ledger.labels)
            for uid in _THREE
        }

    return count


def _result_right(world: World, result: Any) -> None:
    """All are done; where they were copied to is where they are."""
    assert set(result.applied) == set(world.notes.get("uids", _THREE)), f"applied: {result.applied}"
    assert result.is_complete
    assert not result.gone
    target = world.account.labels.get("Work")
    for uid, there in result.copies.items():
        assert target is not None
        assert target.uid_of[world.notes["messages"][uid]] == there, f"copies: {result.copies}"


async def _seen(world: World) -> None:
    await _know(world)
    world.notes["uids"] = (1, 3, 5)


def _call(make: Callable[[Any], Awaitable[Any]]) -> Callable[[World], Awaitable[Any]]:
    async def call(world: World) -> Any:
        return await make(world.inbox)

    return call


def _of_account(make: Callable[[Any], Awaitable[Any]]) -> Callable[[World], Awaitable[Any]]:
    async def call(world: World) -> Any:
        return await make(world.gmail)

    return call


def _nothing_said(_world: World, result: Any) -> None:
    assert result is None, f"got {result!r}"


async def _counted(world: World) -> None:
    """The mailboxes that are to be changed, and a count of what happens to them: no ledger has that. And the account's own connection."""
    labels = world.account.labels
    _label_of(world, "Doomed")
    _label_of(world, "Before")
    counts: Counter[tuple[str, str]] = Counter()
    world.notes["counts"] = counts
    for name in ("create", "forget", "rename"):
        real = getattr(labels, name)

        def counted(first: Any, *rest: Any, name: str = name, real: Any = real) -> Any:
            what = first if isinstance(first, str) else first.name
            result = real(first, *rest)
            counts[name, what] += 1
            return result

        setattr(labels, name, counted)
    await world.gmail.quota()


def _times(name: str, what: str) -> Callable[[World], dict[str, int]]:
    return lambda world: {what: world.notes["counts"][name, what]}


_SEEN = "\\Seen"
_STORE = "UID STORE"

CHANGING = (
    Operation("add-flags", _STORE, _call(lambda box: box.add_flags(_THREE, "$Mark")), _result_right, _flags("added", "$Mark"), _know),
    Operation("remove-flags", _STORE, _call(lambda box: box.remove_flags((1, 3, 5), _SEEN)), _result_right, _flags("removed", _SEEN, (1, 3, 5)), _seen),
    Operation("set-flags", _STORE, _call(lambda box: box.set_flags(_THREE, ["$Set", _SEEN])), _result_right, _flags("added", "$Set"), _know),
    Operation("add-labels", _STORE, _call(lambda box: box.add_labels(_THREE, "Work")), _result_right, _labels("added", "Work"), _know),
    Operation("remove-labels", _STORE, _call(lambda box: box.remove_labels(_THREE, "Old")), _result_right, _labels("removed", "Old"), _old),
    Operation("copy", "UID COPY", _call(lambda box: box.copy(_THREE, "Work")), _result_right, _labels("added", "Work"), _work, keepers=2),
    Operation("move", "UID MOVE", _call(lambda box: box.move(_THREE, "Work")), _result_right, _labels("added", "Work"), _work, keepers=2),
    Operation("create", "CREATE", _of_account(lambda gmail: gmail.create_mailbox("Fresh")), _nothing_said, _times("create", "Fresh"), _counted, **_ACCOUNT),
    Operation("delete", "DELETE", _of_account(lambda gmail: gmail.delete_mailbox("Doomed")), _nothing_said, _times("forget", "Doomed"), _counted, **_ACCOUNT),
    Operation("rename", "RENAME", _of_account(lambda gmail: gmail.rename_mailbox("Before", "After")), _nothing_said, _times("rename", "Before"), _counted, **_ACCOUNT),
    Operation("expunge", "UID EXPUNGE", _call(lambda box: box.expunge(_THREE)), _result_right, _labels("removed", "INBOX"), _marked),
)  # fmt: skip
