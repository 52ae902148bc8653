"""What the server means by -ERR."""

import pytest

from aiogmail import errors
from aiogmail.pop3.failures import auth_error, command_error, farewell, seems_empty
from aiogmail.pop3.wire import read_status
from aiogmail.sasl import Challenge


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("-ERR [SYS/PERM] Your account is not enabled for POP access.", errors.AccessDenied),
        ("-ERR [SYS/PERM] POP access is disabled for your domain.", errors.AccessDenied),
        ("-ERR [AUTH] Application-specific password required: https://x", errors.AccessDenied),
        ("-ERR [AUTH] Web login required: https://support.google.com/mail/answer/78754", errors.AccessDenied),
        ("-ERR [AUTH] Insufficient permission", errors.AccessDenied),
        ("-ERR [SYS/TEMP] Temporary system problem. Please try again later.", errors.Unavailable),
        ("-ERR Temporary system problem", errors.Unavailable),
        ("-ERR [IN-USE] Do you have another POP session running?", errors.Unavailable),
        ("-ERR [LOGIN-DELAY] minimum time between logins", errors.Throttled),
        ("-ERR [AUTH] Account exceeded pop command or bandwidth limits (Failure)", errors.OverQuota),
        ("-ERR Maximum number of connections exceeded", errors.TooManyConnections),
        ("-ERR Session expired, please login again.", errors.SessionExpired),
        ("-ERR Message number out of range.", errors.CommandError),
        ("-ERR [SYS/PERM] no", errors.CommandError),
        ("-ERR", errors.CommandError),
    ],
)
def test_a_refusal_and_its_error(line, kind):
    error = command_error("host: RETR", read_status(line.encode()))
    assert type(error) is kind
    assert str(error).startswith(f"host: RETR: the server said {line}")
    if isinstance(error, errors.CommandError):
        assert error.status == "-ERR"
        assert error.connection_lost is False


def test_how_long_a_lock_lasts():
    assert command_error("x", read_status(b"-ERR [IN-USE] x")).retry_after == 5.0
    assert command_error("x", read_status(b"-ERR [LOGIN-DELAY] x")).retry_after == 30.0


@pytest.mark.parametrize(
    ("line", "mechanism", "challenge", "kind", "status"),
    [
        ("-ERR [AUTH] Invalid credentials.", "XOAUTH2", Challenge("400"), errors.TokenRefused, "400"),
        ("-ERR Invalid credentials.", "XOAUTH2", Challenge(), errors.TokenRefused, ""),
        ("-ERR [AUTH] Invalid credentials.", "XOAUTH2", None, errors.TokenRefused, None),
        ("-ERR [AUTH] Username and password not accepted.", "PLAIN", None, errors.AccessDenied, None),
        ("-ERR bad command", "XOAUTH2", None, errors.CommandError, None),
        ("-ERR [SYS/TEMP] later", "XOAUTH2", Challenge(), errors.Unavailable, None),
    ],
)
def test_a_refused_login(line, mechanism, challenge, kind, status):
    error = auth_error("host: AUTH", mechanism, read_status(line.encode()), challenge)
    assert type(error) is kind
    if kind is errors.TokenRefused:
        assert error.status == status
        assert ("(status 400)" in str(error)) == (status == "400")


def test_last_words():
    assert type(farewell("host", read_status(b"-ERR Session expired, please login again."))) is errors.SessionExpired
    assert type(farewell("host", read_status(b"-ERR bye"))) is errors.Disconnected
    error = farewell("host", read_status(b"-ERR [SYS/TEMP] later"))
    assert (type(error), error.connection_lost, error.retryable) == (errors.Unavailable, True, True)


def test_an_empty_mailbox_that_is_none():
    error = seems_empty("host: AUTH", read_status(b"+OK [SYS/TEMP] this mailbox will seem empty."))
    assert (error.status, error.code, error.retryable) == ("+OK", "SYS/TEMP", True)
