"""Any changes in any order under faults anywhere: the account is as a model says, and what was said of each change was true."""

import asyncio
import random

import pytest

from aiogmail import GmailError, Outcome, OutcomeUnknown
from aiogmail.testing import Fault

from .world import graded, in_world, letter, verbs

ACTIONS = ("close", "reset", "bye", "mute", "blackhole", "truncate", "bye_open")
VERBS = (
    "UID STORE",
    "UID COPY",
    "UID MOVE",
    "UID EXPUNGE",
    "APPEND",
    "UID FETCH",
    "SELECT",
    "STATUS",
    "AUTHENTICATE",
    "UID SEARCH",
    "NOOP",
)


def a_fault(chance):
    byte = chance.choice([None, 0, chance.randrange(60), chance.randrange(3000)])
    return Fault(
        chance.choice(ACTIONS), chance.choice(VERBS), point=chance.choice(["request", "reply"]), byte=byte, skip=chance.randrange(4)
    )


class Model:
    """What the account should be: subject → flags and labels."""

    def __init__(self, count):
        self.flags = {number: set() for number in range(1, count + 1)}
        self.labels = {number: {"\\Inbox"} for number in range(1, count + 1)}

    def is_as(self, account):
        flags = {int(message.header("Subject").split()[1]): set(message.flags) for message in account.messages}
        labels = {int(message.header("Subject").split()[1]): set(message.labels) for message in account.messages}
        assert flags == self.flags
        assert labels == self.labels


async def one_change(chance, box, model, numbers, fresh):
    """A change that a person might make, and what it means; ``numbers`` maps UID → number of the letter."""
    uids = chance.sample(sorted(numbers), min(len(numbers), chance.choice([1, 2, 7])))

    kind = chance.choice(["flag", "unflag", "set", "label", "unlabel", "copy", "move", "archive", "trash", "append"])
    if kind == "append":
        number = fresh()
        numbers[await box.append(letter(number, message_id=chance.random() < 0.8))] = number
        model.flags[number], model.labels[number] = set(), {"\\Inbox"}
        return
    calls = {
        "flag": (lambda: box.add_flags(uids, "\\Seen"), lambda n: model.flags[n].add("\\Seen")),
        "unflag": (lambda: box.remove_flags(uids, "\\Seen"), lambda n: model.flags[n].discard("\\Seen")),
        "set": (lambda: box.set_flags(uids, ["\\Answered", "$K"]), lambda n: model.flags.__setitem__(n, {"\\Answered", "$K"})),
        "label": (lambda: box.add_labels(uids, "A", "B"), lambda n: model.labels[n].update("AB")),
        "unlabel": (lambda: box.remove_labels(uids, "A"), lambda n: model.labels[n].discard("A")),
        "copy": (lambda: box.copy(uids, "B"), lambda n: model.labels[n].add("B")),
        "move": (lambda: box.move(uids, "B"), lambda n: model.labels.__setitem__(n, model.labels[n] - {"\\Inbox"} | {"B"})),
        "archive": (lambda: box.archive(uids), lambda n: model.labels[n].discard("\\Inbox")),
        "trash": (lambda: box.trash(uids), lambda n: model.labels.__setitem__(n, {"\\Trash"})),
    }
    call, meaning = calls[kind]
    error = None
    try:
        result = await call()
    except GmailError as caught:
        error = caught
        assert not isinstance(error, OutcomeUnknown), "the server could be asked, and nobody else was there"
        assert error.outcome is Outcome.NOT_APPLIED
        result = error.result
    done = uids if result is None and error is None else ([] if result is None else [*result.applied])
    assert result is None or not result.gone
    for uid in done:
        meaning(numbers[uid])
        if kind in ("move", "archive", "trash"):
            del numbers[uid]


@pytest.mark.parametrize(
    "seed", [*graded(range(60), range(3)), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(60, 400))]
)
def test_whatever_goes_wrong_the_account_is_as_it_was_meant_to_be(seed):
    chance = random.Random(seed)

    async def test(server, account, box):
        account.labels.create("A", account.behaviour)
        account.labels.create("B", account.behaviour)
        numbers = {uid: uid for uid in range(1, 151)}
        model = Model(150)
        fresh = iter(range(200, 999)).__next__
        for step in range(25):
            server.faults.clear()
            for _ in range(chance.choice([0, 1, 1, 2])):
                server.faults.add(a_fault(chance))
            await one_change(chance, box, model, numbers, fresh)
            model.is_as(account)
        await asyncio.sleep(600)
        model.is_as(account)
        assert len(server.ledger.appends) == len([number for number in model.flags if number >= 200])
        assert verbs(server, "UID STORE")

    in_world(test, count=150, seed=seed, append_duplicate=chance.choice(["label", "store"]))
