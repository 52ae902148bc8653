import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiogmail.errors import ConfigurationError
from aiogmail.imap.uidset import UidSet, UidsFrom

BOUNDED = settings(deadline=None, derandomize=True, max_examples=150)
SMALL = st.sets(st.integers(1, 60))


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        (7, "7"),
        ("1:3,5", "1:3,5"),
        ("5,3:1,2:4", "1:5"),
        ("9:7", "7:9"),
        (range(1, 5), "1:4"),
        (range(4, 0, -1), "1:4"),
        (range(1, 8, 3), "1,4,7"),
        (range(7, 0, -3), "1,4,7"),
        (range(0), ""),
        ((), ""),
        ([3, 1, 2, 2, 7], "1:3,7"),
        ({4, 5, 9}, "4:5,9"),
        ((n for n in (5, 6)), "5:6"),
        ([1, "3:4", range(6, 8), UidSet("4:5")], "1,3:7"),
        (UidSet("2:3"), "2:3"),
        (4294967295, "4294967295"),
        ([4294967294, 4294967295], "4294967294:4294967295"),
    ],
)
def test_a_set_is_built_from_anything_that_names_uids(given_, text):
    assert str(UidSet(given_)) == text


@pytest.mark.parametrize(
    "bad",
    [
        0, -1, 4294967296, True, 1.5, None, "", "0", "1,", ",1", "1,,2", "1:", ":2", "1:2:3", "5:*", "*", "01", "1 2", "1\r\n", "１", "-1",
        "4294967296", "1:4294967296", "99999999999", b"1", bytearray(b"1"), [0], [4294967296], [1, "x"], [1, True], [1, None], [1.0], range(3),
        range(4294967290, 4294967299), [b"1"], {"a": 1}, ["1\0"], "x" * 500,
    ],
)  # fmt: skip
def test_what_is_no_uid_is_refused_by_the_name_of_the_argument(bad):
    with pytest.raises(ConfigurationError, match=r"^which: expected UIDs from 1 to 4294967295") as caught:
        UidSet(bad, argument="which")
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 200


def test_a_million_consecutive_uids_cost_one_range():
    assert UidSet(range(1, 1_000_001)).ranges == ((1, 1_000_000),)
    assert UidSet(list(range(1, 100_001))).ranges == ((1, 100_000),)
    assert len(UidSet("1:4294967295")) == 4294967295


def test_an_almost_dense_list_with_a_repeat_is_not_taken_for_a_range():
    assert UidSet([1, 2, 2, 5]).ranges == ((1, 2), (5, 5))
    assert UidSet([1, 1, 3]).ranges == ((1, 1), (3, 3))


@BOUNDED
@given(SMALL, SMALL)
def test_the_algebra_is_that_of_sets(left, right):
    a, b = UidSet(left), UidSet(right)
    for mine, python in ((a | b, left | right), (a & b, left & right), (a - b, left - right)):
        assert list(mine) == sorted(python)
        assert list(reversed(mine)) == sorted(python, reverse=True)
        assert len(mine) == len(python)
        assert bool(mine) == bool(python)
        assert mine == UidSet(python)
        assert hash(mine) == hash(UidSet(python))
        assert all(last + 1 < first for (_, last), (first, _) in zip(mine.ranges, mine.ranges[1:]))
        assert mine.first == (min(python) if python else None)
        assert mine.last == (max(python) if python else None)
        assert not python or UidSet(str(mine)) == mine
    assert all((n in a) == (n in left) for n in range(-1, 62))


@BOUNDED
@given(st.sets(st.integers(1, 4294967295), min_size=1, max_size=60), st.integers(21, 80))
def test_split_covers_everything_within_the_length(uids, room):
    parts = list(UidSet(uids).split(room))
    assert all(len(str(part)) <= room for part in parts)
    assert [uid for part in parts for uid in part] == sorted(uids)
    assert len(parts) <= 2 * len(str(UidSet(uids))) // room + 1


@BOUNDED
@given(SMALL, st.integers(1, 20))
def test_batches_cover_everything_within_the_count(uids, count):
    batches = list(UidSet(uids).batches(count))
    assert [uid for batch in batches for uid in batch] == sorted(uids)
    assert all(len(batch) == count for batch in batches[:-1])
    assert all(0 < len(batch) <= count for batch in batches)


def test_splitting_a_large_set_fills_each_line():
    uids = UidSet(random.Random(3).sample(range(1, 4294967295), 5000))
    lengths = [len(str(part)) for part in uids.split(16_000)]
    assert min(lengths[:-1]) > 15_900


@pytest.mark.parametrize("bad", [20, 0, -5])
def test_split_refuses_room_for_no_range(bad):
    with pytest.raises(ConfigurationError, match="max_chars"):
        UidSet(1).split(bad)


def test_nothing_is_split_into_nothing():
    assert list(UidSet().split(21)) == list(UidSet().batches(1)) == []


@pytest.mark.parametrize("bad", [0, -1, True, 1.5])
def test_batches_refuse_a_count_that_is_none(bad):
    with pytest.raises(ConfigurationError, match="count"):
        UidSet(1).batches(bad)


def test_a_set_is_compared_and_combined_with_sets_only():
    uids = UidSet(1)
    assert uids != {1}
    assert "1" not in uids
    for operation in ("__or__", "__and__", "__sub__", "__eq__"):
        assert getattr(uids, operation)({1}) is NotImplemented


def test_a_set_shows_itself_shortly_and_travels_by_pickle():
    assert repr(UidSet("1:3,5")) == "UidSet('1:3,5')"
    assert len(repr(UidSet(range(1, 1000, 2)))) < 80
    assert pickle.loads(pickle.dumps(UidSet("1:3,5"))) == UidSet("1:3,5")


def test_an_open_range_is_for_sending_only():
    assert str(UidsFrom(5)) == "5:*"
    assert repr(UidsFrom(5)) == "UidsFrom(5)"
    assert UidsFrom(5) == UidsFrom(5) != UidsFrom(6)
    assert UidsFrom(5) != "5:*"
    assert len({UidsFrom(5), UidsFrom(5)}) == 1
    for bad in (0, True, "5", 4294967296):
        with pytest.raises(ConfigurationError, match="uid"):
            UidsFrom(bad)


@given(st.sets(st.integers(1, 30)), st.integers(1, 30))
def test_one_more_and_one_less_are_what_the_operators_give(numbers, uid):
    uids = UidSet(numbers)
    assert uids.including(uid) == uids | UidSet(uid)
    assert uids.excluding(uid) == uids - UidSet(uid)
    assert len(uids.including(uid)) == len(numbers | {uid})
    assert uids == UidSet(numbers)


def test_what_is_no_uid_cannot_be_included():
    with pytest.raises(ConfigurationError):
        UidSet().including(0)
    assert UidSet("1:3").excluding(0) == UidSet("1:3")
