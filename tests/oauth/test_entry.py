import math
from datetime import UTC, datetime

import pytest

from aiogmail.errors import LoginRequired, TokenEndpointError
from aiogmail.oauth import TokenProvider
from aiogmail.oauth.entry import Entry, Obtained, again
from aiogmail.secret import Secret


async def fetch():
    raise NotImplementedError


def entry(left=None, lifetime=3600.0):
    made = Entry(("provider", "me@x"), "me@x", TokenProvider(fetch))
    if left is not None:
        made.replace(Obtained(Secret("ya29"), left, lifetime, ("mail",)), 100.0, 1_800_000_000.0)
    return made


def test_a_token_is_dated_by_both_clocks():
    token = entry(3600.0).token
    assert token.deadline == 3700.0
    assert token.expires_at == datetime.fromtimestamp(1_800_003_600, UTC)
    assert (token.scopes, token.token_type) == (("mail",), "Bearer")


@pytest.mark.parametrize(
    ("left", "lifetime", "min_ttl", "enough"),
    [
        (61.0, 3600.0, 60.0, True),
        (60.0, 3600.0, 60.0, False),
        (1801.0, 3600.0, 3600.0, True),  # min_ttl counts as half of the life
        (1800.0, 3600.0, 3600.0, False),
        (2.6, 5.0, 60.0, True),
        (2.5, 5.0, 60.0, False),
        (0.5, 3600.0, 0.0, True),
        (0.0, 3600.0, 0.0, False),
        (-3.0, 3600.0, -5.0, False),  # a negative wish never revives a dead token
    ],
)
def test_min_ttl_counts_as_at_most_half_of_the_life(left, lifetime, min_ttl, enough):
    assert entry(left, lifetime).enough(100.0, min_ttl) is enough
    assert not entry().enough(100.0, min_ttl)


def test_a_failure_is_remembered_ever_longer_up_to_a_minute():
    one = entry()
    waits = []
    for _ in range(10):
        one.fail(TokenEndpointError("x"), 0.0, 1.0)
        waits.append(one.retry_at)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]
    one.fail(TokenEndpointError("x"), 0.0, 0.0)
    assert one.retry_at == 45.0  # spread


def test_a_refusal_is_remembered_longer_for_nothing_changes_by_itself():
    one = entry()
    for wait in (10.0, 20.0, 40.0):
        one.fail(LoginRequired("x"), 0.0, 1.0)
        assert one.retry_at == wait
    one.tries = 1000
    one.fail(LoginRequired("x"), 0.0, 1.0)
    assert one.retry_at == 900.0


def test_retry_after_is_obeyed_where_it_is_longer():
    one = entry()
    one.fail(TokenEndpointError("x", retry_after=300.0), 10.0, 1.0)
    assert one.retry_at == 310.0
    one = entry()
    one.fail(TokenEndpointError("x", retry_after=0.1), 10.0, 1.0)
    assert one.retry_at == 11.0


def test_a_new_token_ends_what_was_remembered():
    one = entry()
    one.fail(TokenEndpointError("x"), 0.0, 1.0)
    one.rejected = Secret("old")
    one.replace(Obtained(Secret("new"), 10.0, 10.0), 0.0, 0.0)
    assert (one.failure, one.tries, one.retry_at, one.rejected) == (None, 0, -math.inf, None)


@pytest.mark.parametrize(
    ("left", "lifetime", "spread", "due"),
    [
        (3600.0, 3600.0, 0.0, 3300.0),
        (3600.0, 3600.0, 1.0, 3270.0),
        (100.0, 100.0, 0.0, 50.0),
        (4.0, 4.0, 1.0, 1.8),
        (10.0, 3600.0, 0.0, 4.5),  # the same old token again: asked at half of what is left
        (0.1, 3600.0, 0.0, 0.5),
    ],
)
def test_the_refresh_comes_ahead_of_expiry_and_at_most_at_half_of_the_life(left, lifetime, spread, due):
    one = entry(left, lifetime)
    assert one.plan(100.0, 300.0, spread) == pytest.approx(100.0 + due)
    assert one.due == pytest.approx(100.0 + due)


def test_a_token_of_somebody_else_is_taken_only_if_it_is_not_due_itself():
    one = entry()
    assert one.margin(300.0, 3600.0) == pytest.approx(330.0)
    assert one.margin(300.0, 10.0) == pytest.approx(5.5)


def test_in_use_means_asked_within_a_lifetime():
    one = entry(3600.0)
    assert not one.in_use(100.0)
    one.used = 100.0
    assert one.in_use(3700.0)
    assert not one.in_use(3701.0)
    short = entry(1.0, 1.0)
    short.used = 100.0
    assert short.in_use(400.0)
    assert not short.in_use(401.0)
    none = entry()
    none.used = 100.0
    assert none.in_use(400.0)


def test_new_credentials_forget_what_the_old_ones_were_refused_for():
    one = entry(3600.0)
    one.fail(LoginRequired("x"), 0.0, 1.0)
    one.refresh_token, one.version = Secret("r"), 7
    other = TokenProvider(fetch)
    one.renew(other)
    assert (one.failure, one.retry_at, one.refresh_token, one.version) == (None, -math.inf, None, 0)
    assert one.credentials is other
    assert one.token is not None  # it is the account's, not the login's


def test_each_waiter_gets_its_own_copy_of_a_remembered_error():
    cause = OSError("refused")
    error = TokenEndpointError("no", retry_after=5.0)
    error.__cause__ = cause
    copied = again(error, 3.0)
    assert copied is not error
    assert (str(copied), copied.retry_after, copied.__cause__) == ("no", 3.0, cause)
    assert again(error, -1.0).retry_after == 5.0
    assert type(again(LoginRequired("x", connection_lost=False), 3.0)) is LoginRequired
    assert again(LoginRequired("x", connection_lost=False), 3.0).connection_lost is False


def test_an_entry_shows_no_secret():
    one = entry(3600.0)
    one.refresh_token = Secret("SECRET")
    assert "SECRET" not in repr(one)
    assert "ya29" not in repr(one)


def test_dropping_leaves_nothing_to_hand_out():
    one = entry(3600.0)
    one.drop()
    assert one.token is None
    assert not one.enough(100.0, 0.0)
