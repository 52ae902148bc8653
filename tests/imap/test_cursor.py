"""A cursor: a place in a mailbox's history, as a value and as JSON."""

import base64
import json
import pickle
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiogmail import ConfigurationError, Cursor, UidSet

UIDS = st.integers(1, 2**32 - 1)
MODSEQS = st.integers(0, 2**63 - 1)
CURSORS = st.builds(
    Cursor,
    st.text(max_size=20),
    st.text(max_size=20),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32),
    MODSEQS,
    st.sets(UIDS, max_size=30).map(UidSet),
    st.none() | st.tuples(MODSEQS, st.integers(0, 2**32 - 1)),
    st.dictionaries(UIDS, MODSEQS, max_size=5),
)


def at(**fields):
    return Cursor("me@gmail.com", "INBOX", 7, **{"uidnext": 11, "highestmodseq": 100, "uids": UidSet("1:10"), **fields})


def packed(text):
    return "z" + base64.b64encode(zlib.compress(text.encode("latin-1"))).decode()


class TestJson:
    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(CURSORS)
    def test_what_was_written_is_read_again(self, cursor):
        assert Cursor.from_json(cursor.to_json()) == cursor
        assert Cursor.from_json(json.loads(cursor.to_json())) == cursor
        assert Cursor.from_json(cursor.to_json().encode()) == cursor

    def test_it_is_small_and_readable(self):
        assert at(uids=UidSet("1:3,5:10")).to_json() == (
            '{"version":1,"account":"me@gmail.com","mailbox":"INBOX","uidvalidity":7,"uidnext":11,"highestmodseq":100,"uids":"1:3,5:10"}'
        )
        full = at(scan=(120, 4), ahead={3: 130}).to_json()
        assert json.loads(full)["scan"] == [120, 4]
        assert json.loads(full)["ahead"] == {"3": 130}

    def test_a_mailbox_with_many_gaps_is_compressed(self):
        chance = random.Random(1)
        gone = set(chance.sample(range(1, 100_000), 5000))
        cursor = at(uids=UidSet([uid for uid in range(1, 100_000) if uid not in gone]), uidnext=100_000)
        assert len(cursor.to_json()) < 2.5 * 5000 < len(str(cursor.uids)) / 4
        assert Cursor.from_json(cursor.to_json()) == cursor

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            ("", "no JSON"),
            ("{", "no JSON"),
            ("[1]", "no JSON object"),
            ("null", "no JSON object"),
            ("[" * 100_000, "no JSON"),
            (b"\xff\xfe", "no JSON"),
            (5, "no JSON object"),
            ({}, "version None"),
            ({"version": 2}, "version 2"),
            ({"uids": None}, "uids is no text"),
            ({"uids": "1:*"}, "no set of UIDs"),
            ({"uids": "0"}, "no set of UIDs"),
            ({"uids": "zzz!"}, "damaged"),
            ({"uids": "z" + base64.b64encode(b"junk").decode()}, "damaged"),
            ({"uids": packed("1+5")[:-8]}, "damaged"),
            ({"uids": packed("1+5,")}, "damaged"),
            ({"uids": packed("1,\xff")}, "damaged"),
            ({"uids": packed("")}, "damaged"),
            ({"uids": packed("0")}, "damaged"),
            ({"uids": packed("4294967295,1")}, "damaged"),
            ({"uids": packed("1:5")}, "damaged"),
            ({"uidnext": -1}, "uidnext is no number"),
            ({"uidnext": "5"}, "uidnext is no number"),
            ({"uidvalidity": True}, "uidvalidity is no number"),
            ({"highestmodseq": 2**63}, "highestmodseq is no number"),
            ({"highestmodseq": 1.5}, "highestmodseq is no number"),
            ({"account": 5}, "account is no text"),
            ({"mailbox": None}, "mailbox is no text"),
            ({"colour": "red"}, "has colour"),
            ({"scan": 5}, "scan is no pair"),
            ({"scan": [1]}, "scan is no pair"),
            ({"scan": [1, "2"]}, "scan is no pair"),
            ({"scan": [-1, 2]}, "scan is no pair"),
            ({"ahead": [1]}, "ahead is no JSON object"),
            ({"ahead": {"x": 1}}, "ahead has something else"),
            ({"ahead": {"²": 1}}, "ahead has something else"),
            ({"ahead": {"1": "1"}}, "ahead has something else"),
        ],
    )
    def test_what_is_no_cursor_is_refused_and_says_why(self, damage, words):
        if isinstance(damage, dict) and damage:
            damage = {**json.loads(at().to_json()), **damage}
        with pytest.raises(ConfigurationError, match=f"^cursor: expected what Cursor.to_json.. wrote, but .*{words}"):
            Cursor.from_json(damage)

    @pytest.mark.parametrize("key", ["account", "mailbox", "uidvalidity", "uidnext", "highestmodseq", "uids"])
    def test_nothing_may_be_missing(self, key):
        value = json.loads(at().to_json())
        del value[key]
        with pytest.raises(ConfigurationError, match=f"has no {key}"):
            Cursor.from_json(value)

    def test_a_bomb_is_not_unpacked(self, monkeypatch):
        monkeypatch.setattr("aiogmail.imap.cursor._MOST_TEXT", 1000)
        value = json.loads(at().to_json())
        value["uids"] = "z" + base64.b64encode(zlib.compress(b"1," * 10_000_000)).decode()
        with pytest.raises(ConfigurationError, match="damaged"):
            Cursor.from_json(value)


class TestMoves:
    def test_an_arrival_is_known_and_counts_up_to_what_was_looked_at(self):
        assert at().after_arrived(12, 110, at_most=120) == at(uids=UidSet("1:10,12"), uidnext=13, highestmodseq=110)
        assert at().after_arrived(12, 50, at_most=120) == at(uids=UidSet("1:10,12"), uidnext=13)
        late = at().after_arrived(12, 130, at_most=120)
        assert late == at(uids=UidSet("1:10,12"), uidnext=13, highestmodseq=120, ahead={12: 130})
        assert late.was_told(12, 130)
        assert not late.was_told(12, 131)
        assert not late.was_told(11, 130)
        assert at().after_arrived(5, 1, at_most=1).uidnext == 11, "one that shows up below is no reason to forget what is above"

    def test_a_message_that_is_gone_is_forgotten(self):
        assert at(ahead={3: 110, 4: 111}).after_gone(3) == at(uids=UidSet("1:2,4:10"), ahead={4: 111})
        assert at().after_gone(10) == at(uids=UidSet("1:9"))

    def test_in_the_middle_of_changes_it_says_how_far(self):
        cursor = at().after_changed(4, 105, scanned=110)
        assert cursor == at(scan=(110, 4))
        assert cursor.was_told(3, 110)
        assert not cursor.was_told(3, 111)
        assert not cursor.was_told(5, 101)
        assert cursor.was_told(5, 100)
        cursor = cursor.after_changed(6, 115, scanned=110)
        assert cursor == at(scan=(110, 6), ahead={6: 115})
        assert cursor.was_told(6, 115)
        assert cursor.settled(110) == at(highestmodseq=110, ahead={6: 115})
        assert cursor.settled(115) == at(highestmodseq=115)
        assert at().settled(50) == at(), "never backwards"

    def test_the_beginning_is_anywhere(self):
        beginning = Cursor.beginning()
        assert (beginning.account, beginning.mailbox, beginning.uidvalidity, beginning.uids) == ("", "", 0, UidSet())


def test_it_shows_how_much_and_not_what():
    assert repr(at()) == "<Cursor of me@gmail.com INBOX: UIDVALIDITY 7, 10 messages, modseq 100>"
    assert repr(Cursor.beginning()) == "<Cursor of anywhere: UIDVALIDITY 0, 0 messages, modseq 0>"
    assert len(repr(at(uids=UidSet(range(1, 10**5, 2))))) < 100


def test_it_is_a_value():
    assert at(ahead={3: 110}) == at(ahead={3: 110})
    assert hash(at()) == hash(at())
    assert pickle.loads(pickle.dumps(at(ahead={3: 110}))) == at(ahead={3: 110})
    with pytest.raises(AttributeError):
        at().uidnext = 5
