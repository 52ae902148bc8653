"""A plan: what is told in which order, and where each event leaves the cursor."""

import random

import pytest

from aiogmail import Arrived, Changed, Cursor, Gone, UidSet
from aiogmail.imap.plan import WINDOW, Comparison, Plan, Row

CURSOR = Cursor("me@gmail.com", "INBOX", 7, 11, 100, UidSet("1:10"))


def row(modseq):
    return Row(modseq, frozenset(), frozenset(), modseq, modseq)


def plan(cursor=CURSOR, *, highest=200, seen=200, gone="", changed="", arrived="", uidnext=0, rows=()):
    sets = {name: UidSet(text) if text else UidSet() for name, text in (("gone", gone), ("changed", changed), ("arrived", arrived))}
    return Plan(cursor, Comparison(highest, seen, uidnext=uidnext, rows={uid: row(modseq) for uid, modseq in dict(rows).items()}, **sets))


def told(plan):
    events = []
    while (event := plan.next()) is not None:
        events.append((type(event), event.uid))
    return events


def test_who_is_gone_comes_first_then_changes_then_arrivals_each_by_uid():
    it = plan(gone="2,5", changed="3:4", arrived="11:12", rows={3: 150, 4: 120, 11: 110, 12: 180})
    assert told(it) == [(Gone, 2), (Gone, 5), (Changed, 3), (Changed, 4), (Arrived, 11), (Arrived, 12)]
    assert it.is_done
    assert it.cursor.uids == UidSet("1,3:4,6:12")
    assert it.cursor.highestmodseq == 200


def test_each_cursor_is_behind_its_event():
    it = plan(gone="2", changed="3:4", arrived="11", seen=150, rows={3: 150, 4: 120, 11: 180})
    cursors = []
    while (event := it.next()) is not None:
        assert event.cursor == it.cursor
        cursors.append((len(event.cursor.uids), event.cursor.highestmodseq, event.cursor.scan))
    assert cursors == [(9, 100, None), (9, 100, (150, 3)), (9, 150, None), (10, 150, None)]
    assert it.cursor.ahead == {11: 180}, "a change of another message, to 160, may not have been shown yet"


def test_rows_are_wanted_window_by_window():
    it = plan(Cursor("a", "b", 1), highest=5000, arrived=f"1:{2 * WINDOW + 10}")
    events, windows = [], []
    while not it.is_done:
        events += told(it)
        if it.wanted:
            windows.append(len(it.wanted))
            assert it.next() is None
            it.provide({uid: row(uid) for uid in it.wanted})
    assert windows == [WINDOW, WINDOW, 10]
    assert [uid for _, uid in events] == list(range(1, 2 * WINDOW + 11))


def test_what_has_no_row_is_gone_again():
    it = plan(changed="3:4", arrived="11:12", rows={4: 150})
    assert it.next() is None
    assert it.wanted == UidSet(3)
    it.provide({})
    assert told(it) == [(Changed, 4)]
    assert it.wanted == UidSet("11:12")
    it.provide({12: row(140)})
    assert told(it) == [(Arrived, 12)]
    assert it.is_done
    assert it.next() is None


def test_what_the_server_counts_but_does_not_show_yet_is_not_passed_over():
    it = plan(highest=500, seen=120, changed="3", rows={3: 120})
    assert told(it) == [(Changed, 3)]
    assert it.cursor.highestmodseq == 120


def test_what_is_newer_than_the_count_is_remembered_and_not_told_twice():
    it = plan(highest=110, seen=130, changed="3", arrived="11", rows={3: 130, 11: 140})
    assert told(it) == [(Changed, 3), (Arrived, 11)]
    assert it.cursor.highestmodseq == 110
    assert it.cursor.ahead == {3: 130, 11: 140}
    again = plan(it.cursor, highest=150, seen=150, changed="3:4,11", rows={3: 130, 4: 150, 11: 140})
    assert told(again) == [(Changed, 4)]
    assert again.cursor.ahead == {}
    assert again.cursor.highestmodseq == 150


def test_a_plan_that_was_cut_is_told_to_its_end_before_anything_newer():
    first = plan(changed="3:5", arrived="11", highest=150, seen=150, rows={3: 120, 4: 130, 5: 150, 11: 140})
    first.next()
    saved = first.cursor
    assert saved.scan == (150, 3)
    second = plan(saved, changed="3:5", arrived="11", highest=200, seen=200, rows={3: 190, 4: 130, 5: 200, 11: 140}, uidnext=12)
    assert told(second) == [(Changed, 4), (Changed, 5)]
    assert second.cursor == Cursor("me@gmail.com", "INBOX", 7, 11, 150, UidSet("1:10"), None, {5: 200})
    third = plan(second.cursor, changed="3,5", arrived="11", highest=200, seen=200, rows={3: 190, 5: 200, 11: 140}, uidnext=12)
    assert told(third) == [(Changed, 3), (Arrived, 11)]


def test_a_scan_that_had_not_begun_leaves_nothing_out():
    saved = Cursor("me@gmail.com", "INBOX", 7, 11, 100, UidSet("1:10"), (150, 0))
    assert told(plan(saved, changed="1", rows={1: 120})) == [(Changed, 1)]


def test_uidnext_is_known_once_all_is_told():
    it = plan(arrived="12", uidnext=15, rows={12: 120})
    it.next()
    assert it.cursor.uidnext == 13
    assert told(it) == []
    assert it.cursor.uidnext == 15


def test_without_mod_sequences_whatever_is_said_to_have_changed_is_told():
    it = plan(Cursor("a", "b", 1, 5, 0, UidSet("1:4")), highest=0, seen=0, changed="2", arrived="5", rows={2: 0, 5: 0})
    assert told(it) == [(Changed, 2), (Arrived, 5)]
    assert it.cursor == Cursor("a", "b", 1, 6, 0, UidSet("1:5"))


@pytest.mark.parametrize("seed", range(50))
def test_cut_anywhere_it_goes_on_without_gap_or_double(seed):
    """The mailbox stands still; the plan is cut after every event and made anew from that cursor."""
    chance = random.Random(seed)
    modseqs = {uid: chance.randrange(50, 200) for uid in chance.sample(range(1, 40), 25)}
    known = UidSet(chance.sample(range(1, 40), 20))
    there = UidSet(modseqs)
    highest = max(modseqs.values())
    cursor = Cursor("a", "b", 1, (known.last or 0) + 1, 100, known)
    events = []
    for _ in range(200):
        rows = {uid: row(modseq) for uid, modseq in modseqs.items() if modseq > cursor.highestmodseq}
        changed = UidSet(rows.keys() & set(cursor.uids))
        it = Plan(cursor, Comparison(highest, highest, cursor.uids - there, changed, there - cursor.uids, 40, {**rows}))
        event = it.next()
        if event is None and it.wanted:
            it.provide({uid: row(modseqs[uid]) for uid in it.wanted})
            event = it.next()
        if event is None and it.cursor == cursor:
            break
        cursor = it.cursor
        if event is not None:
            events.append((type(event), event.uid))
    assert len(events) == len(set(events))
    assert set(events) == (
        {(Gone, uid) for uid in known - there}
        | {(Arrived, uid) for uid in there - known}
        | {(Changed, uid) for uid in known & there if modseqs[uid] > 100}
    )
    assert cursor.uids == there
