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
        self.lines.append(encode_command("A1", "UID SEARCH", *arguments, limits=Limits()).redacted)
        assert len(self.lines[-1]) <= self.settings.limits.command_line
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
