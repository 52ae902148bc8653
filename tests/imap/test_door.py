"""Errors that users of aioimaplib and users of ours both know."""

import pytest

from aiogmail import errors
from aiogmail.imap.door import CommandTimedOut, ConnectionLost, aioimaplib, translated
from aiogmail.ports import Outcome


def test_a_lost_connection_is_an_abort_and_a_connection_error():
    told = translated(errors.SessionExpired("over", outcome=Outcome.UNKNOWN, stage="UID STORE on the wire"))
    assert isinstance(told, aioimaplib.Abort | aioimaplib.Error)
    assert isinstance(told, ConnectionLost | ConnectionError)
    assert isinstance(told, errors.TransportError)
    assert (str(told), told.connection_lost, told.outcome, told.stage) == ("over", True, Outcome.UNKNOWN, "UID STORE on the wire")


def test_a_deadline_is_a_command_timeout_and_a_timeout_error():
    command = object()
    told = translated(errors.TimedOut("late"), command)
    assert isinstance(told, aioimaplib.CommandTimeout)
    assert isinstance(told, TimeoutError)
    assert isinstance(told, CommandTimedOut)
    assert (str(told), told.command, told.connection_lost) == ("late", command, True)
    assert not CommandTimedOut("late", connection_lost=False).connection_lost


@pytest.mark.parametrize("error", [errors.StateError("too many"), errors.ProtocolError("x", connection_lost=False)])
def test_what_leaves_the_connection_is_an_abort(error):
    assert type(translated(error)) is aioimaplib.Abort


def test_what_was_wrong_from_the_start_stays_a_value_error():
    error = errors.ConfigurationError("x")
    assert translated(error) is error
