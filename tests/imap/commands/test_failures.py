"""Gmail's words, as its sessions were recorded, and what each is for the caller."""

import pytest

from aiogmail import errors
from aiogmail.imap.commands import bye_error, command_error, is_throttled
from aiogmail.imap.commands.failures import RULES
from aiogmail.imap.wire import ResponseParser
from aiogmail.settings import Limits


def said(line):
    return ResponseParser(Limits()).feed(line.encode() + b"\r\n")[0]


@pytest.mark.parametrize(
    ("line", "kind", "floor", "advice"),
    [
        ("NO [ALERT] Too many simultaneous connections. (Failure)", errors.TooManyConnections, 30, "Limits.connections"),
        ("NO [OVERQUOTA] Account exceeded command or bandwidth limits.", errors.OverQuota, 600, "2500 MB"),
        ("NO [ALERT] Account exceeded command or bandwidth limits. (Failure)", errors.OverQuota, 600, "24 hours"),
        ("NO [UNAVAILABLE] Temporary System Problem. Try again later (Failure)", errors.Unavailable, 5, ""),
        ("NO System Error (Failure)", errors.Unavailable, 5, ""),
        ("NO Some messages could not be FETCHed (Failure) [THROTTLED]", errors.Throttled, 5, ""),
        ("NO [LIMIT] Slow down", errors.Throttled, 5, ""),
        ("NO Some messages could not be FETCHed (Failure)", errors.CommandError, None, ""),
        ("NO [NONEXISTENT] Unknown Mailbox: x (Failure) [THROTTLED]", errors.MailboxNotFound, None, ""),
        ("NO Mailbox doesn't exist: x", errors.MailboxNotFound, None, ""),
        ("NO [TRYCREATE] No folder x (Failure)", errors.MailboxNotFound, None, ""),
        ("NO [ALREADYEXISTS] Duplicate folder name b (Failure)", errors.Conflict, None, ""),
        ("BAD [TOOBIG] Message too large.", errors.MessageTooLarge, None, ""),
        ("BAD Could not parse command", errors.CommandError, None, ""),
    ],
)
def test_a_refusal_has_its_error_its_floor_and_its_advice(line, kind, floor, advice):
    error = command_error("X", said(f"A1 {line}"))
    assert type(error) is kind
    assert error.retry_after == floor
    assert error.retryable is (floor is not None)
    assert not error.connection_lost
    assert advice in str(error)
    assert error.status == line.split()[0]
    assert error.text in line


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page", "switch IMAP on"),
        ("NO [ALERT] IMAP access is disabled for your domain. Please contact your domain administrator. (Failure)", "Workspace"),
        ("NO [ALERT] Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754 (Failure)", "browser"),
        ("NO [WEBALERT https://accounts.google.com/signin/continue?sarp=1] Web login required.", "browser"),
        ("NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833", "AppPassword"),
        ("NO insufficient scope", "https://mail.google.com/"),
    ],
)
def test_what_only_a_person_can_change_says_what_to_do(line, advice):
    error = command_error("AUTHENTICATE", said(f"A1 {line}"))
    assert type(error) is errors.AccessDenied
    assert not error.retryable
    assert advice in str(error)


@pytest.mark.parametrize(
    ("text", "kind", "floor"),
    [
        ("Session expired, please login again.", errors.SessionExpired, None),
        ("System Error x12mb3edq", errors.Unavailable, 5),
        ("[UNAVAILABLE] Temporary System Error", errors.Unavailable, 5),
        ("[OVERQUOTA] Account exceeded command or bandwidth limits.", errors.OverQuota, 600),
        ("Too many simultaneous connections", errors.TooManyConnections, 30),
        ("[ALERT] IMAP access is disabled for your domain.", errors.AccessDenied, None),
        ("[TOOBIG] what", errors.Disconnected, None),
        ("Server is restarting", errors.Disconnected, None),
    ],
)
def test_a_bye_has_its_error_and_costs_the_connection(text, kind, floor):
    error = bye_error("host:993", said(f"* BYE {text}"))
    assert type(error) is kind
    assert error.connection_lost
    assert getattr(error, "retry_after", None) == floor
    assert "host:993: the server said BYE" in str(error)


def test_every_rule_says_how_it_is_recognised():
    assert all(rule.codes or rule.words for rule in RULES)


def test_throttling_is_told_at_the_end_of_the_text():
    assert is_throttled(said("A5 OK Success [THROTTLED]").text)
    assert is_throttled(said("A6 OK [READ-WRITE] INBOX selected. (Success) [THROTTLED]").text)
    assert not is_throttled(said("A5 OK [THROTTLED] is a mailbox").text)
