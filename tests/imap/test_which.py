"""Which messages are meant: what is named, what is searched for, and what is asked for meanwhile."""

import pytest

from aiogmail import Q, UidSet
from aiogmail.errors import ConfigurationError
from aiogmail.imap.commands import MailboxState
from aiogmail.imap.which import check_uid, named, resolution


@pytest.mark.parametrize(("uids", "told"), [(5, "5"), ("1:3,7", "1:3,7"), ([9, 1, 2], "1:2,9"), (UidSet("4"), "4"), (iter([3]), "3")])
def test_uids_are_named_as_they_stand_and_nothing_is_guessed(uids, told):
    assert named(uids) == UidSet(told)
    assert resolution(told)[1] is None


@pytest.mark.parametrize("uids", [Q.unseen, Q.all, "*", "7:*"])
def test_what_only_the_server_knows_is_not_named(uids):
    assert not named(uids)


@pytest.mark.parametrize(
    ("uids", "state", "guessed"),
    [
        (Q.all, MailboxState(exists=9, uidnext=10), "1:4"),
        (Q.all, MailboxState(exists=2, uidnext=3), "1:2"),
        ("7:*", MailboxState(exists=9, uidnext=10), "7:9"),
        ("*", MailboxState(exists=9, uidnext=10), ""),  # which is the last, the server knows
        ("7:*", MailboxState(exists=5, uidnext=6), ""),
        (Q.all, MailboxState(exists=2, uidnext=1000), ""),  # mostly holes
        (Q.all, MailboxState(exists=2), ""),
    ],
)
def test_the_first_few_are_guessed_where_there_are_few_holes(uids, state, guessed):
    _, guess = resolution(uids)
    assert guess(state) == (UidSet(guessed) if guessed else UidSet())


def test_a_search_that_leaves_most_out_is_not_guessed_at():
    assert resolution(Q.unseen)[1] is None


@pytest.mark.parametrize("uids", [None, 1.5, object()])
def test_what_is_no_set_of_uids_is_refused(uids):
    with pytest.raises(ConfigurationError, match="expected UIDs or a query"):
        resolution(uids)
    with pytest.raises(ConfigurationError, match="expected UIDs or a query"):
        named(uids)


@pytest.mark.parametrize("uid", [0, -1, 2**32, True, "5", None])
def test_what_is_no_uid_is_refused(uid):
    with pytest.raises(ConfigurationError, match="uid: expected a number"):
        check_uid(uid)


def test_a_uid_is_taken():
    assert check_uid(2**32 - 1) == 2**32 - 1
