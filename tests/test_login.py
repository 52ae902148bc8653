"""Logging in: which credential is tried, who is told of a refusal, and when it ends."""

import pytest

from aiogmail.errors import Disconnected, LoginRequired, TokenRefused
from aiogmail.login import authenticate
from aiogmail.ports import Credential
from aiogmail.secret import Secret
from tests.support.aio import virtual

OLD, NEW = (Credential("XOAUTH2", Secret(f"ya29.{name}")) for name in ("old", "new"))


class Credentials:
    """Hands out ``following``, or raises it."""

    def __init__(self, following):
        self.following = following
        self.asked = []
        self.told = []

    async def get(self, min_ttl):
        self.asked.append(min_ttl)
        if isinstance(self.following, Exception):
            raise self.following
        return self.following

    def refused(self, credential):
        self.told.append(credential)


class Server:
    """Takes what is in ``good``."""

    def __init__(self, *good):
        self.good = good
        self.tried = []

    async def __call__(self, credential, before):
        self.tried.append((credential, before))
        if credential not in self.good:
            raise TokenRefused("no", status="400")
        return "welcome"


def attempted(server, credentials):
    return virtual(authenticate(server, OLD, credentials, 60.0))


def test_a_good_credential_is_tried_once_and_no_other_asked_for():
    server, credentials = Server(OLD), Credentials(NEW)
    assert attempted(server, credentials) == (OLD, "welcome")
    assert server.tried == [(OLD, None)]
    assert credentials.asked == credentials.told == []


def test_a_refused_one_is_told_of_and_the_next_attempt_knows_why_it_is_made():
    server, credentials = Server(NEW), Credentials(NEW)
    assert attempted(server, credentials) == (NEW, "welcome")
    (_, first), (again, refusal) = server.tried
    assert (first, again) == (None, NEW)
    assert isinstance(refusal, TokenRefused)
    assert (credentials.asked, credentials.told) == ([60.0], [OLD])


def test_two_refusals_are_enough():
    server, credentials = Server(), Credentials(NEW)
    with pytest.raises(TokenRefused) as caught:
        attempted(server, credentials)
    assert caught.value.connection_lost
    assert len(server.tried) == 2
    assert credentials.told == [OLD, NEW]


def test_the_same_credential_is_not_tried_again():
    server, credentials = Server(), Credentials(OLD)
    with pytest.raises(TokenRefused) as caught:
        attempted(server, credentials)
    assert caught.value.connection_lost
    assert server.tried == [(OLD, None)]
    assert credentials.told == [OLD]


def test_where_there_is_no_other_the_reason_is_what_is_told():
    with pytest.raises(LoginRequired, match="revoked"):
        attempted(Server(), Credentials(LoginRequired("revoked")))


def test_what_is_no_refusal_says_nothing_of_the_credential():
    async def lost(credential, before):
        raise Disconnected("gone")

    credentials = Credentials(NEW)
    with pytest.raises(Disconnected):
        attempted(lost, credentials)
    assert credentials.told == []
