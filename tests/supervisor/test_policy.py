"""One row a rule of semantics.md: what is run again, and what is not."""

import pytest

from aiogmail import errors
from aiogmail.ports import Effect, Outcome
from aiogmail.supervisor.policy import MAX_REPLAYS, decide, floor_of, may_reopen

LOST = errors.SessionExpired("bye")


def applied(outcome):
    return errors.Disconnected("gone", outcome=outcome)


@pytest.mark.parametrize(
    ("error", "effect", "again"),
    [
        (LOST, Effect.PURE, True),
        (LOST, Effect.IDEMPOTENT, True),
        (LOST, Effect.VERIFIABLE, False),
        (LOST, Effect.NEVER, False),
        (applied(Outcome.UNKNOWN), Effect.IDEMPOTENT, True),
        (applied(Outcome.UNKNOWN), Effect.NEVER, False),
        (applied(Outcome.NOT_APPLIED), Effect.VERIFIABLE, True),
        (applied(Outcome.NOT_APPLIED), Effect.NEVER, True),
        (errors.ProtocolError("garbage"), Effect.PURE, True),
        (errors.LimitExceeded("too much"), Effect.PURE, False),
        (errors.LoginRequired("consent"), Effect.PURE, False),
        (errors.TokenRefused("no"), Effect.PURE, False),
        (errors.AccessDenied("off"), Effect.PURE, False),
        (errors.MailboxNotFound("none"), Effect.PURE, False),
        (errors.CommandError("NO"), Effect.PURE, False),
        (errors.StateError("closed"), Effect.PURE, False),
        (errors.Unavailable("later"), Effect.PURE, True),
        (errors.TokenEndpointError("down"), Effect.PURE, True),
    ],
)
def test_what_is_run_again(error, effect, again):
    assert decide(error, effect, 0).again is again


def test_work_without_progress_is_run_again_three_times_at_most():
    assert decide(LOST, Effect.PURE, MAX_REPLAYS - 1).again
    assert not decide(LOST, Effect.PURE, MAX_REPLAYS).again


@pytest.mark.parametrize(
    ("error", "floor"),
    [
        (errors.TooManyConnections("16"), 30.0),
        (errors.OverQuota("lots"), 600.0),
        (errors.Unavailable("sys"), 5.0),
        (errors.Unavailable("sys", retry_after=7.0), 7.0),
        (errors.TokenEndpointError("429", retry_after=3.0), 3.0),
        (errors.TokenEndpointError("503"), 0.0),
        (errors.CommandError("NO"), 0.0),
        (LOST, 0.0),
    ],
)
def test_each_cause_has_its_floor(error, floor):
    assert floor_of(error) == floor
    assert decide(error, Effect.PURE, 0).delay == (floor if error.retryable else 0.0)


def test_a_certificate_that_does_not_fit_is_never_tried_again():
    assert not may_reopen(errors.ConnectFailed("cert", permanent=True))
    assert may_reopen(errors.ConnectFailed("refused"))
    assert not may_reopen(errors.LoginRequired("consent"))
