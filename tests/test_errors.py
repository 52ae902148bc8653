"""The tree of the docstring is the tree of the classes."""

import inspect

import pytest

from aiogmail import errors
from aiogmail.ports import Outcome

CLASSES = [value for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, errors.GmailError)]


def make(kind):
    if kind is errors.RecipientsRefused:
        return kind("words", {"a@x": ("550", "no")}, status="550")
    if kind is errors.OutcomeUnknown:
        return kind("words", stage="after the final dot", evidence={"Sent": "not found"})
    return kind("words")


def test_every_error_is_exported_and_drawn():
    assert {kind.__name__ for kind in CLASSES} == set(errors.__all__)
    for kind in CLASSES:
        assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("kind", CLASSES)
def test_a_replica_says_the_same_and_names_its_cause(kind):
    error = make(kind)
    other = error.replica(outcome=Outcome.UNKNOWN, stage="sent")
    assert type(other) is kind
    assert str(other) == str(error)
    assert other.__cause__ is error
    assert other.outcome is Outcome.UNKNOWN
    assert other.stage == "sent"
    assert vars(other).keys() == vars(error).keys()
    assert error.replica().outcome is error.outcome


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        (errors.ConfigurationError, ValueError),
        (errors.StateError, RuntimeError),
        (errors.NotFetched, AttributeError),
        (errors.TransportError, ConnectionError),
        (errors.TimedOut, TimeoutError),
    ],
)
def test_errors_keep_the_standard_librarys_meaning(kind, standard):
    assert isinstance(make(kind), standard)


RETRYABLE = {
    "TokenEndpointError",
    "TransportError",
    "ConnectFailed",
    "Disconnected",
    "SessionExpired",
    "TimedOut",
    "ProtocolError",
    "Throttled",
    "TooManyConnections",
    "OverQuota",
    "Unavailable",
}
LOSING = {
    "LoginRequired",
    "TokenRefused",
    "AccessDenied",
    "TransportError",
    "ConnectFailed",
    "Disconnected",
    "SessionExpired",
    "TimedOut",
    "ProtocolError",
    "LimitExceeded",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_what_may_be_retried_and_what_loses_the_connection(kind):
    error = make(kind)
    assert error.retryable is (kind.__name__ in RETRYABLE)
    assert error.connection_lost is (kind.__name__ in LOSING)


def test_what_errors_carry():
    assert errors.NotFetched("labels").name == "labels"
    assert "fetch(…, 'labels')" in str(errors.NotFetched("labels"))
    assert errors.CommandError("x", status="NO", code="ALERT", text="words", retry_after=3).retry_after == 3
    assert errors.TooManyConnections("x").retry_after == 30
    assert errors.CommandError("x", connection_lost=True).connection_lost
    refused = make(errors.RecipientsRefused).refused
    assert refused["a@x"] == ("550", "no")
    with pytest.raises(TypeError):
        refused["b@x"] = ("", "")
    assert make(errors.OutcomeUnknown).evidence == {"Sent": "not found"}
    assert make(errors.OutcomeUnknown).outcome is Outcome.UNKNOWN
