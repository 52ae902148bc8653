"""What the server's codes and words mean: every line of the table."""

import pytest

from aiogmail.errors import (
    AccessDenied,
    CommandError,
    Disconnected,
    MessageTooLarge,
    SendingLimitReached,
    SessionExpired,
    Throttled,
    TokenRefused,
    Unavailable,
)
from aiogmail.ports import Outcome
from aiogmail.smtp.failures import auth_error, farewell, reply_error
from aiogmail.smtp.wire import Reply

REPLIES = [
    (Reply(550, ("Daily user sending limit exceeded.",), "5.4.5"), SendingLimitReached, 86_400.0),
    (Reply(550, ("Daily sending limit exceeded",)), SendingLimitReached, 86_400.0),
    (Reply(421, ("Server busy",), "4.4.5"), Throttled, 60.0),
    (Reply(450, ("unusual rate",), "4.7.28"), Throttled, 60.0),
    (Reply(552, ("too large",), "5.3.4"), MessageTooLarge, None),
    (Reply(552, ("older",), "5.2.3"), MessageTooLarge, None),
    (Reply(552, ("no code",)), MessageTooLarge, None),
    (Reply(552, ("blocked",), "5.7.0"), CommandError, None),
    (Reply(530, ("Authentication Required.",), "5.7.0"), AccessDenied, None),
    (Reply(451, ("Temporary",), "4.3.0"), Unavailable, 5.0),
    (Reply(451, ("Timeout - closing connection.",), "4.4.2"), Disconnected, None),
    (Reply(503, ("Bad sequence",), "5.5.1"), CommandError, None),
    (Reply(354, ("Go ahead",)), CommandError, None),
]


@pytest.mark.parametrize(("reply", "kind", "pause"), REPLIES, ids=[str(reply)[:30] for reply, _, _ in REPLIES])
def test_a_refusal(reply, kind, pause):
    error = reply_error("smtp.gmail.com:465", "MAIL", reply)
    assert type(error) is kind
    assert (error.outcome, error.stage) == (Outcome.NOT_APPLIED, "MAIL")
    assert getattr(error, "retry_after", None) == pause
    assert str(reply.code) in str(error)


FAREWELLS = [
    (Reply(421, ("Connection expired, try reconnecting",), "4.7.0"), 0, SessionExpired),
    (Reply(421, ("Session expired, please login again.",)), 0, SessionExpired),
    (Reply(421, ("Temporary System Problem. Try again later (10).",), "4.7.0"), 0, Throttled),
    (Reply(421, ("Temporary System Problem. Try again later (10).",), "4.7.0"), 70, Disconnected),
    (Reply(421, ("Temporary System Problem.",), "4.3.0"), 0, Unavailable),
    (Reply(421, ("an unusual rate",), "4.7.28"), 70, Throttled),
    (Reply(421, ("Timeout",), "4.4.2"), 0, Disconnected),
    (Reply(451, ("Timeout - closing connection.",), "4.4.2"), 0, Disconnected),
]


@pytest.mark.parametrize(("reply", "taken", "kind"), FAREWELLS, ids=[f"{reply} {taken}" for reply, taken, _ in FAREWELLS])
def test_an_end(reply, taken, kind):
    error = farewell("smtp.gmail.com:465", reply, taken=taken)
    assert type(error) is kind
    assert error.connection_lost
    assert error.retryable


LOGINS = [
    (Reply(535, ("Username and Password not accepted.",), "5.7.8"), "XOAUTH2", TokenRefused),
    (Reply(535, ("Username and Password not accepted.",), "5.7.8"), "PLAIN", AccessDenied),
    (Reply(534, ("Application-specific password required.",), "5.7.9"), "PLAIN", AccessDenied),
    (Reply(534, ("Please log in via your web browser",), "5.7.14"), "XOAUTH2", AccessDenied),
    (Reply(454, ("Too many login attempts, please try again later.",), "4.7.0"), "XOAUTH2", Throttled),
    (Reply(454, ("Cannot authenticate due to a temporary system problem.",), "4.7.0"), "XOAUTH2", Unavailable),
    (Reply(421, ("Try again later",), "4.7.0"), "XOAUTH2", Throttled),
    (Reply(504, ("Unrecognized Authentication Type",), "5.7.4"), "XOAUTH2", CommandError),
    (Reply(250, ("fine",)), "XOAUTH2", CommandError),
]


@pytest.mark.parametrize(("reply", "mechanism", "kind"), LOGINS, ids=[f"{str(reply)[:24]} {name}" for reply, name, _ in LOGINS])
def test_a_login_that_is_refused(reply, mechanism, kind):
    error = auth_error("smtp.gmail.com:465", mechanism, reply, "400")
    assert type(error) is kind
    assert str(reply.code) in str(error)
    if kind is TokenRefused:
        assert error.status == "400"
        assert "(status 400)" in str(error)


def test_advice_is_given_where_there_is_some():
    said = [str(auth_error("x", name, reply, None)) for reply, name, kind in LOGINS if kind is AccessDenied]
    assert sum("use OAuth" in text or "sign in once" in text for text in said) == 2
    assert "status" not in str(auth_error("x", "XOAUTH2", LOGINS[0][0], None))
