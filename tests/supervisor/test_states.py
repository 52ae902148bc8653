"""Every cell of the table, walked."""

import itertools

import pytest

from aiogmail.errors import StateError
from aiogmail.supervisor.states import TABLE, Happening, State, next_state


@pytest.mark.parametrize(("state", "happening"), list(itertools.product(State, Happening)))
def test_every_cell_is_a_transition_or_a_refusal(state, happening):
    if (state, happening) in TABLE:
        assert next_state(state, happening) is TABLE[state, happening]
    else:
        with pytest.raises(StateError, match=state.value):
            next_state(state, happening)


def test_every_state_can_be_reached_from_new():
    reached = {State.NEW}
    while True:
        more = {after for (before, _), after in TABLE.items() if before in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(State)


def test_closed_is_the_end():
    assert not [cell for cell in TABLE if cell[0] is State.CLOSED]


def test_whatever_is_open_can_be_closed():
    for state in set(State) - {State.CLOSING, State.CLOSED}:
        assert next_state(state, Happening.CLOSE) is State.CLOSING
