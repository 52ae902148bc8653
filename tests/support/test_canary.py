"""A secret is found in every disguise that a log could give it."""

from __future__ import annotations

import base64
import logging
import urllib.parse

import pytest

from tests.support.canary import Canaries, Watch
from tests.support.jwt import Signer

SECRET = "1//0abc-def/GHI+jkl=mno"


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        f"token={urllib.parse.quote(SECRET, safe='')}&x",
        urllib.parse.urlencode({"refresh_token": SECRET}),
        SECRET.encode().hex(),
        *(base64.b64encode(b"x" * before + SECRET.encode() + b"tail").decode() for before in range(7)),
        *(base64.urlsafe_b64encode(b"user=me\x01auth=Bearer "[before:] + SECRET.encode()).decode() for before in range(3)),
    ],
)
def test_each_form_is_found(shown):
    canaries = Canaries()
    canaries.add("the refresh token", SECRET)
    assert canaries.found_in(f"before {shown} after") == {"the refresh token"}


def test_what_shows_no_secret_is_not_found():
    canaries = Canaries()
    canaries.add("the refresh token", SECRET)
    assert canaries.found_in("POST /token 200 1//0abc-def … Secret('…')") == set()
    with pytest.raises(ValueError, match="12 characters"):
        canaries.add("short", "hunter2")


def test_secrets_made_here_and_tokens_of_a_registered_signer_are_covered():
    canaries = Canaries()
    signer = Signer()
    canaries.add("a token", signer.prefix)
    assert canaries.found_in(canaries.secret("client"))
    blob = base64.b64encode(f"user=a@example.org\x01auth=Bearer {signer.token('a@example.org')}\x01\x01".encode()).decode()
    assert canaries.found_in(f"A1 AUTHENTICATE XOAUTH2 {blob}") == {"a token"}
    assert canaries.found_in(Signer().token("a@example.org")) == set()


def test_the_watch_names_logger_and_line_and_reads_arguments_and_tracebacks():
    watch = Watch(canaries := Canaries())
    secret = canaries.secret("token")
    log = logging.Logger("someone.else")  # noqa: LOG001 - one that no other handler hears
    log.addHandler(watch)
    log.debug("sent %s", {"token": secret})
    try:
        raise ValueError(secret)
    except ValueError:
        log.exception("failed")
    log.info("nothing")
    quiet = logging.Logger("mail.log")  # noqa: LOG001
    quiet.addHandler(watch)
    quiet.debug("server received %s", secret)
    seen = watch.take()
    assert len(seen) == 2
    assert all(line.startswith("logger 'someone.else' (test_canary.py:") and secret not in line for line in seen)
    assert watch.take() == []
