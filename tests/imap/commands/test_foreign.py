"""Which lines an aioimaplib command gets, and how they look."""

import pytest

from aiogmail.imap.commands.foreign import Foreign, ForeignIdle, lines_of
from aiogmail.imap.wire import ResponseParser
from aiogmail.ports import Effect
from aiogmail.settings import Timeouts


def parsed(data):
    return ResponseParser().feed(data)


def given(command, data):
    """What the command takes of these responses, and its result at the end."""
    *untagged, tagged = parsed(data)
    taken = [command.take(response) for response in untagged]
    return taken, command.settle(tagged)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"* 1 EXISTS\r\n", [b"1 EXISTS"]),
        (b"* 1 FETCH (BODY[] {2}\r\nhi)\r\n", [b"1 FETCH (BODY[] {2}", b"hi", b")"]),
        (b"* 1 FETCH (A {1}\r\nx B {0}\r\n FLAGS ())\r\n", [b"1 FETCH (A {1}", b"x", b" B {0}", b"", b" FLAGS ())"]),
        (b'* LIST () "/" {3}\r\nfoo\r\n', [b'LIST () "/" {3}', b"foo"]),
    ],
)
def test_a_response_is_lines_with_its_literals_between(data, lines):
    (response,) = parsed(data)
    got = lines_of(response)
    assert got == lines
    assert [type(line) for line in got] == [(bytes, bytearray)[n % 2] for n in range(len(lines))]


def test_a_command_that_gets_all_gets_all_but_bye():
    command = Foreign("SELECT", ["INBOX"])
    taken, result = given(
        command, b"* 1 EXISTS\r\n* FLAGS ()\r\n* OK [UIDNEXT 1] x\r\n* BYE\r\n* 2 FETCH (UID 1)\r\nA1 OK [READ-ONLY] done\r\n"
    )
    assert taken == [True, True, True, False, True]
    assert result == ("OK", [b"1 EXISTS", b"FLAGS ()", b"OK [UIDNEXT 1] x", b"2 FETCH (UID 1)", b"[READ-ONLY] done"])
    assert given(Foreign("LOGOUT"), b"* BYE bye\r\nA1 OK\r\n") == ([True], ("OK", [b"BYE bye", b""]))


@pytest.mark.parametrize(
    ("verb", "wants", "untagged", "lines"),
    [
        ("FETCH", "FETCH", b"* 1 FETCH (UID 1)\r\n", [b"1 FETCH (UID 1)"]),
        ("STORE", "FETCH", b"* 1 fetch (UID 1)\r\n", [b"1 fetch (UID 1)"]),
        ("EXPUNGE", "EXPUNGE", b"* 1 EXPUNGE\r\n", [b"1 EXPUNGE"]),
        ("EXPUNGE", "EXPUNGE", b"* VANISHED 1:3\r\n", [b"1:3"]),
        ("SEARCH", "SEARCH", b"* SEARCH\r\n", [b""]),
        ("SEARCH", "SEARCH", b"* search 1 2\r\n", [b"1 2"]),
        ("SEARCH", "SEARCH", b'* ESEARCH (TAG "A1") UID ALL 1:3\r\n', [b'(TAG "A1") UID ALL 1:3']),
        ("LIST", "LIST", b'* LIST () "/" x\r\n', [b'() "/" x']),
        ("GETQUOTAROOT", "QUOTA", b'* QUOTAROOT x ""\r\n* QUOTA "" (STORAGE 1 2)\r\n', [b'"" (STORAGE 1 2)', b'QUOTAROOT x ""']),
    ],
)
def test_another_gets_what_bears_its_name_without_it(verb, wants, untagged, lines):
    taken, result = given(Foreign(verb, ["1", "x"], wants=wants), untagged + b"A1 OK done\r\n")
    assert all(taken)
    assert result == ("OK", [*lines, b"done"])


@pytest.mark.parametrize(
    "untagged", [b"* 1 EXISTS\r\n", b"* 1 EXPUNGE\r\n", b"* OK x\r\n", b"* LSUB () NIL x\r\n", b"* 1 FETCH (UID 1)\r\n", b"* X\r\n"]
)
def test_and_nothing_else(untagged):
    assert given(Foreign("LIST", ["", "x"], wants="LIST"), untagged + b"A1 NO\r\n") == ([False], ("NO", [b""]))


def test_capabilities_and_enabled_are_noted_as_they_stand():
    command = Foreign("ENABLE", ["UTF8=ACCEPT"])
    given(command, b"* ENABLED utf8=accept\r\n* CAPABILITY IMAP4rev1 x\r\nA1 OK\r\n")
    assert (command.utf8, command.capabilities) == (True, ["IMAP4rev1", "x"])
    given(command := Foreign("LOGIN"), b"* CAPABILITY x\r\nA1 OK [CAPABILITY IMAP4rev1 Y] x\r\n")
    assert (command.utf8, command.capabilities) == (False, ["IMAP4rev1", "Y"])


def test_only_authenticate_answers_a_challenge_and_keeps_it():
    (challenge,) = parsed(b"+ eyJ9\r\n")
    command = Foreign("AUTHENTICATE", ["XOAUTH2", "x"])
    assert command.answer(challenge) == b""
    assert command.lines == [b"+ eyJ9"]
    assert Foreign("NOOP").answer(challenge) is False


@pytest.mark.parametrize(
    ("verb", "arguments", "droppable"),
    [
        ("NOOP", (), True),
        ("STATUS", ("x", "(MESSAGES)"), True),
        ("SEARCH", ("ALL",), True),
        ("FETCH", ("1:1000", "(FLAGS)"), True),
        ("FETCH", ("1:1001", "(FLAGS)"), False),
        ("FETCH", ("1:*", "(FLAGS)"), False),
        ("FETCH", ("1", "(BODY.PEEK[])"), False),
        ("FETCH", ("1", "RFC822"), False),
        ("FETCH", ("1", "(RFC822.SIZE BODY BODYSTRUCTURE)"), True),
        ("STORE", ("1", "+FLAGS (x)"), False),
        ("SELECT", ("x",), False),
        ("XWHATEVER", (), False),
    ],
)
def test_only_a_small_reply_that_changes_nothing_may_be_dropped(verb, arguments, droppable):
    assert Foreign(verb, arguments).is_droppable() is droppable


def test_what_changes_something_goes_alone_and_is_never_run_again():
    for verb in ("STORE", "CREATE", "APPEND", "MOVE", "XWHATEVER"):
        command = Foreign(verb, ["x", "y"])
        assert (command.effect, command.waits, command.blocks) == (Effect.NEVER, True, True)
    search, fetch = Foreign("SEARCH", ["ALL"], wants="SEARCH"), Foreign("FETCH", ["1", "x"], wants="FETCH")
    assert not search.blocks
    assert not search.clashes(fetch)
    assert search.clashes(Foreign("SEARCH", ["ALL"], uid=True, wants="SEARCH"))


def test_each_has_its_deadline():
    timeouts = Timeouts()
    patience = {verb: Foreign(verb, ["1", "x"]).patience(timeouts) for verb in ("APPEND", "LOGIN", "LOGOUT", "NOOP", "FETCH")}
    assert patience == {"APPEND": 600.0, "LOGIN": 20.0, "LOGOUT": 5.0, "NOOP": 60.0, "FETCH": 60.0}


def test_idle_hands_on_what_comes_and_may_be_held_back_until_it_is_ended():
    told = []
    idle = ForeignIdle(lambda: told.append("begun"), told.append, told.append)
    assert not idle.patient
    plus, exists, bye, tagged = parsed(b"+ idling\r\n* 1 EXISTS\r\n* BYE\r\nA1 OK over\r\n")
    assert idle.answer(plus) is True
    assert (idle.take(exists), idle.take(bye)) == (True, False)
    assert idle.patient
    assert idle.interrupt() == b"DONE"
    assert not idle.patient
    assert idle.settle(tagged) == ("OK", [b"over"])
    assert told == ["begun", [b"1 EXISTS"], tagged]
