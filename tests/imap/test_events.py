"""Events: what they carry and what they are called."""

import pytest

from aiogmail import Arrived, Changed, Cursor, Event, Gone, MailboxReset

CURSOR = Cursor("me@gmail.com", "INBOX", 7)
MESSAGE = {"gmail_id": 99, "thread_id": 98, "flags": frozenset({"\\Seen"}), "labels": frozenset({"Work"})}


def test_each_has_a_key_of_its_own():
    arrived = Arrived(uid=5, modseq=12, cursor=CURSOR, **MESSAGE)
    changed = Changed(uid=5, modseq=12, cursor=CURSOR, **MESSAGE)
    assert arrived.key == ("me@gmail.com", "INBOX", 7, 5, "arrived", 0)
    assert changed.key == ("me@gmail.com", "INBOX", 7, 5, "changed", 12)
    assert Gone(uid=5, cursor=CURSOR).key == ("me@gmail.com", "INBOX", 7, 5, "gone", 0)
    assert MailboxReset(old=6, new=7, cursor=CURSOR).key == ("me@gmail.com", "INBOX", 7, 0, "reset", 0)


def test_an_arrival_that_is_told_again_has_the_same_key_whatever_became_of_it():
    first = Arrived(uid=5, modseq=12, cursor=CURSOR, **MESSAGE)
    again = Arrived(uid=5, modseq=15, cursor=CURSOR, **{**MESSAGE, "flags": frozenset()})
    assert first.key == again.key
    assert first != again


def test_without_mod_sequences_flags_tell_changes_apart():
    one = Changed(uid=5, modseq=0, cursor=CURSOR, **MESSAGE)
    other = Changed(uid=5, modseq=0, cursor=CURSOR, **{**MESSAGE, "flags": frozenset({"\\Seen", "\\Answered"})})
    assert one.key != other.key
    assert one.key == Changed(uid=5, modseq=0, cursor=CURSOR, **MESSAGE).key


def test_they_know_where_they_happened():
    event = Gone(uid=5, cursor=CURSOR)
    assert (event.account, event.mailbox, event.uidvalidity) == ("me@gmail.com", "INBOX", 7)
    assert isinstance(event, Event)
    assert repr(event) == "Gone(uid=5)"
    with pytest.raises(AttributeError):
        event.uid = 6
    assert Event(cursor=CURSOR).key[3:] == (0, "", 0)
