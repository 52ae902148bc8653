import random

from aiogmail.imap.uidset import UidSet
from aiogmail.imap.windows import Windows


def test_windows_keep_to_the_budget_and_to_the_order():
    chance = random.Random(5)
    sizes = {uid: chance.choice([10, 500, 5000]) for uid in range(1, 3001) if uid % 7}
    todo = Windows(UidSet(sizes), 4000, bodies=True)
    asked = list(todo.next_window(None))
    assert len(asked) == 1
    while not todo.is_empty:
        probe = todo.next_probe()
        for uid in probe:
            todo.note_size(uid, sizes[uid])
        if probe:
            assert not todo.next_probe()
            todo.probed(max(probe))
        window = todo.next_window(None)
        assert window
        assert len(window) == 1 or sum(sizes[uid] for uid in window) <= 2000
        asked += window
    assert asked == sorted(sizes)


def test_a_probe_that_came_to_nothing_is_asked_again():
    todo = Windows(UidSet("1:2000"), 4000, bodies=True)
    assert not todo.next_probe()
    todo.next_window(None)
    first = todo.next_probe()
    for uid in first:
        todo.note_size(uid, 0)
    todo.probed()
    assert todo.next_probe() == first


def test_a_set_full_of_holes_still_fits_a_command_line():
    every_other = UidSet(range(4_000_000_001, 4_000_010_001, 2))
    for bodies in (False, True):
        todo = Windows(every_other, 1_000_000, bodies=bodies)
        asked = []
        while not todo.is_empty:
            for uid in (probe := todo.next_probe()):
                todo.note_size(uid, 1)
            if probe:
                assert len(str(probe)) < 12_000
                todo.probed(max(probe))
            window = todo.next_window(1.0)
            assert window
            assert len(str(window)) < 12_000
            asked += window
        assert asked == list(every_other)


def test_what_is_asked_for_again_comes_first_and_in_order():
    todo = Windows(UidSet("1:1000"), 1000, bodies=False)
    first, second = todo.next_window(None), todo.next_window(None)
    todo.put_back(second)
    todo.put_back(first)
    todo.put_back([])
    assert todo.asks_again_below(2)
    assert not todo.asks_again_below(1)
    assert [todo.next_window(None), todo.next_window(None)] == [first, second]
    assert not todo.put_back_halved([7])
    assert todo.put_back_halved([7, 8, 9])
    assert [list(todo.next_window(None)), list(todo.next_window(None))] == [[7, 8], [9]]
    assert not todo.is_empty


def test_what_was_guessed_is_not_asked_for_twice():
    todo = Windows(UidSet("1:4"), 1000, bodies=True)
    assert list(todo.next_window(None)) == [1]
    probe = todo.next_probe()
    assert list(probe) == [2, 3, 4]
    todo.probed(4)
    assert [list(todo.next_window(None)) for _ in range(3)] == [[2], [3], [4]]  # no sizes came
    todo.extend(UidSet("1,3,9:11"))
    assert list(todo.next_window(None)) == [9]
    assert not todo.is_empty
    todo = Windows(UidSet(), 1000, bodies=False)
    assert not todo.next_window(None)
    todo.extend(UidSet("2:3"))
    assert list(todo.next_window(None)) == [2, 3]
