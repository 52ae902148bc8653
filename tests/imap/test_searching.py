"""Queries whose UIDs do not fit into one line: several commands, one answer."""

import functools
import operator
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiogmail import Gmail, Limits, Q, UidSet, errors
from aiogmail.imap.query import criteria
from aiogmail.imap.searching import search
from aiogmail.imap.wire import Atom, encode_command
from aiogmail.settings import Settings
from aiogmail.testing import Fault, GmailEmulator
from tests.support.aio import run

from .test_fetch import ADDRESS

EXISTING = UidSet(range(1, 400))


class Model:
    """A session whose server knows which UIDs are there and how the keys SEEN, FLAGGED and FROM divide them."""

    def __init__(self, room, seed=0):
        chance = random.Random(seed)
        self.settings = replace(Settings(), limits=Limits(command_line=room))
        self.capabilities = frozenset({"ESEARCH"})
        self.marked = {name: UidSet(chance.sample(range(1, 400), 200)) for name in ("SEEN", "FLAGGED", "FROM")}
        self.lines = []

    async def execute(self, command):
        arguments = command.arguments()
        self.lines.append(encode_command("A1", "UID SEARCH", *arguments, limits=self.settings.limits).redacted)
        keys = iter(arguments[2:])
        return self.all_of(keys)

    def all_of(self, tokens):
        found = EXISTING
        for token in tokens:
            found &= self.one(token, tokens)
        return found

    def one(self, token, behind):
        if isinstance(token, tuple):
            return self.all_of(iter(token))
        match token.value:
            case "ALL":
                return EXISTING
            case "UID":
                return EXISTING & next(behind)
            case "NOT":
                return EXISTING - self.one(next(behind), behind)
            case "OR":
                return self.one(next(behind), behind) | self.one(next(behind), behind)
            case "FROM":
                next(behind)
        return self.marked[token.value]


def queries(depth):
    uids = st.sets(st.integers(1, 500), min_size=1, max_size=120).map(Q.uid)
    leaf = st.one_of(uids, st.sampled_from([Q.seen, Q.flagged, Q.from_("x"), Q.all & Q.seen]))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda two: two[0] & two[1]),
            st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
            inner.map(lambda one: ~one),
        ),
        max_leaves=depth,
    )


@given(queries(7), st.sampled_from([300, 400, 800]))
@settings(max_examples=150, deadline=None)
def test_the_answer_is_that_of_the_whole_query(query, room):
    keys, charset = criteria(query)
    model = Model(100_000)
    whole = model.all_of(iter(keys))
    model = Model(room)
    assert run(search(model, keys, charset)) == whole


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (Q.uid, 1),
        (lambda uids: Q.uid(uids) & Q.seen, 6),
        (lambda uids: ~Q.uid(uids), 1),
        (lambda uids: Q.seen & ~Q.uid(uids), 1),
        (lambda uids: Q.seen | Q.uid(uids), 2),
        (lambda uids: ~(Q.seen | Q.uid(uids)), 3),
        (lambda uids: ~(Q.seen & Q.uid(uids)), 7),
        (lambda uids: Q.uid(uids) & Q.uid(range(1, 50)), 1),
        (lambda uids: Q.uid(uids) & Q.uid(500), 0),
        (lambda uids: Q.seen & (Q.flagged | Q.uid(uids)), 3),
        (lambda uids: (Q.flagged | Q.uid(uids)) & (Q.seen | ~Q.uid(uids)), 5),
    ],
)
def test_no_more_commands_than_needed(make, most):
    uids = UidSet(range(1, 400, 2))
    keys, charset = criteria(make(uids))
    model = Model(300)
    whole = Model(100_000).all_of(iter(keys))
    assert run(search(model, keys, charset)) == whole
    assert len(model.lines) <= most


def test_many_keys_that_are_short_each_are_asked_one_by_one():
    some = [Q.seen | Q.uid(UidSet(range(start, 200, 5))) for start in range(1, 9)]
    query = functools.reduce(operator.and_, some)
    keys, charset = criteria(query)
    model = Model(400)
    assert run(search(model, keys, charset)) == Model(100_000).all_of(iter(keys))


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda count: functools.reduce(operator.or_, [Q.uid(uid) for uid in range(1, 2 * count, 2)]), 1),
        (lambda count: functools.reduce(operator.or_, [Q.from_(f"{uid}@x.example") for uid in range(count)]), 10),
        (lambda count: functools.reduce(lambda one, other: other | one, [Q.from_(f"{uid}@x.example") for uid in range(count)]), 10),
        (lambda count: functools.reduce(operator.and_, [Q.from_('"' * 9 + str(uid)) for uid in range(count)]), 12),
        (lambda count: functools.reduce(operator.or_, [Q.from_(str(uid)) & Q.uid(range(1, 400, 3)) for uid in range(count // 5)]), 40),
        (lambda count: Q.uid(450) & functools.reduce(operator.and_, [Q.from_(str(uid)) for uid in range(count)]), 1),
        (lambda count: ~functools.reduce(operator.or_, [Q.from_(str(uid)) for uid in range(count)]) & Q.uid(range(1, 90)), 11),
    ],
)
def test_long_chains_are_asked_in_few_commands(make, most):
    """Two thousand keys, short each and with no large set among them, did not fit into a line either, and some recursed too deep."""
    keys, charset = criteria(make(2000))
    model = Model(8000)
    assert run(search(model, keys, charset)) == reference(keys)
    assert len(model.lines) <= most


def reference(keys):
    """As the model has it, without its recursion: what a chain of ORs says."""
    model, found = Model(100_000), EXISTING
    tokens = iter(keys)
    for token in tokens:
        found &= disjunction(model, token, tokens)
    return found


def disjunction(model, token, behind):
    if token == Atom("NOT"):
        return EXISTING - disjunction(model, next(behind), behind)
    if token != Atom("OR"):
        return model.one(token, behind)
    found, missing = UidSet(), 2
    while missing:
        token = next(behind)
        missing += token == Atom("OR")
        if token != Atom("OR"):
            found |= model.one(token, behind)
            missing -= 1
    return found


def test_what_one_line_cannot_hold_is_still_refused():
    for query in (Q.gmail("x" * 9000), "SUBJECT " + "x" * 9000, Q.seen & Q.gmail("x" * 9000)):
        keys, charset = criteria(query)
        with pytest.raises(errors.ConfigurationError, match="command line"):
            run(search(Model(8000), keys, charset))


def test_two_thousand_senders_are_looked_for_on_the_emulator():
    async def main():
        async with GmailEmulator() as server:
            account = server.add_account(ADDRESS)
            for number in range(40):
                account.deliver(f"From: s{number * 100}@x.example\r\nMessage-ID: <{number}@x.example>\r\n\r\nbody\r\n".encode())
            async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
                any_of = functools.reduce(operator.or_, [Q.from_(f"s{number}@x.example") for number in range(2000)])
                assert await inbox.search(any_of) == UidSet("1:20")
                assert await inbox.search(~any_of) == UidSet("21:40")
            assert sum("UID SEARCH" in command.line for command in server.ledger.commands) <= 13

    run(main())


def test_what_fits_is_asked_as_it_stands():
    keys, charset = criteria(Q.seen | ~Q.uid("1:3,7") & Q.from_("x"))
    model = Model(300)
    run(search(model, keys, charset))
    assert len(model.lines) == 1


def test_a_very_large_set_is_compared_with_its_span():
    keys, charset = criteria(Q.uid(UidSet(range(1, 100_000, 2))) & Q.seen)
    model = Model(300)
    assert run(search(model, keys, charset)) == Model(300).marked["SEEN"] & UidSet(range(1, 400, 2))
    assert model.lines == ["A1 UID SEARCH RETURN (ALL) SEEN UID 1:99999"]


def test_written_keys_are_sent_as_they_stand():
    async def main():
        model = Model(300)
        keys, charset = criteria("UNSEEN SINCE 1-Nov-2026")
        model.all_of = lambda keys: UidSet()
        assert await search(model, keys, charset) == UidSet()

    run(main())


async def with_letters(test, count):
    async with GmailEmulator() as server:
        account = server.add_account(ADDRESS)
        for number in range(1, count + 1):
            account.deliver(b"Subject: s\r\nMessage-ID: <%d@x>\r\n\r\nx" % number, flags=("\\Seen",) if number % 3 == 0 else ())
        async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
            return await test(server, inbox)


def test_six_thousand_scattered_uids_are_found_by_the_emulator():
    async def test(server, inbox):
        odd = UidSet(range(1, 6000, 2))
        seen = UidSet(range(3, 6001, 3))
        everything = UidSet(range(1, 6001))
        assert len(str(odd)) > 13_000
        assert await inbox.search(Q.uid(odd)) == odd
        assert await inbox.search(Q.uid(odd) & Q.seen) == odd & seen
        assert await inbox.search(~Q.uid(odd) & Q.seen) == seen - odd
        assert await inbox.search(Q.uid(odd) | Q.seen) == odd | seen
        assert await inbox.search(~(Q.uid(odd) & Q.unseen)) == everything - (odd - seen)
        assert await inbox.search(Q.uid(odd) & Q.uid(UidSet(range(1, 6000, 3)))) == UidSet(range(1, 6000, 6))
        assert [message.uid async for message in inbox.fetch(Q.uid(odd) & Q.seen, "flags")] == list(odd & seen)
        assert max(len(command.line) for command in server.ledger.commands) <= 16 * 1024

    run(with_letters(test, 6000))


def test_a_refused_return_is_asked_without_and_any_other_refusal_is_told():
    async def test(server, inbox):
        server.faults.add(Fault("answer", "UID SEARCH", text="BAD Could not parse command"))
        assert await inbox.search(Q.seen) == UidSet(3)
        assert "RETURN" not in [command.line for command in server.ledger.commands if command.verb == "UID SEARCH"][-1]
        server.faults.add(Fault("answer", "UID SEARCH", text="BAD Could not parse command"))
        with pytest.raises(errors.CommandError):
            await inbox.search(Q.seen)

    run(with_letters(test, 5))


def test_atoms_of_every_key_have_their_arguments():
    assert Atom("ALL") == criteria(Q.all)[0][0]
    for query in (Q.header("X", "y"), Q.modseq(1), Q.label("a b"), Q.gmail("x y"), Q.thread(1), Q.larger(1), Q.keyword("x")):
        keys, charset = criteria(~(query & Q.uid(UidSet(range(1, 2000, 2)))))
        model = Model(300)
        model.one = lambda token, behind, inner=model.one: (
            inner(token, behind) if token.value in ("UID", "ALL", "NOT") else swallow(token, behind)
        )
        run(search(model, keys, charset))


def swallow(token, behind):
    next(behind)
    if token.value == "HEADER":
        next(behind)
    return EXISTING


@pytest.mark.parametrize(
    "name", ["two words", 'q"uo\\te', "[brackets] (and) {5}", "a & b", "Entwürfe/日本", "100%", "*", "\\Starred", "&-"]
)
def test_a_label_of_any_name_is_found(name):
    async def main():
        async with GmailEmulator() as server:
            account = server.add_account(ADDRESS)
            account.deliver(b"Subject: Gr\xc3\xbc\xc3\x9fe\r\nMessage-ID: <1@x>\r\n\r\nx", labels=("\\Inbox", name))
            account.deliver(b"Subject: other\r\nMessage-ID: <2@x>\r\n\r\nx")
            async with Gmail(ADDRESS, account.credentials(), settings=server.settings) as gmail, gmail.mailbox("INBOX") as inbox:
                assert await inbox.search(Q.label(name)) == UidSet(1)
                assert await inbox.search(~Q.label(name)) == UidSet(2)
                assert await inbox.search(Q.label(name) & Q.subject("Grüße") | Q.gmail("subject:other")) == UidSet("1:2")

    run(main())
