"""What a token comes to that was made elsewhere."""

from datetime import UTC, datetime

import pytest

from aiogmail.errors import AccessDenied, ConfigurationError, TokenEndpointError
from aiogmail.oauth import TokenProvider
from aiogmail.oauth.provided import provided
from aiogmail.secret import Secret

from .harness import Source, virtual


def of(clock, fetch):
    return provided(TokenProvider(fetch), clock, 20.0)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (lambda now: ("", now), ConfigurationError, "visible ASCII"),
        (lambda now: ("a b", now), ConfigurationError, "visible ASCII"),
        (lambda now: ("t", now.replace(tzinfo=None)), ConfigurationError, "aware datetime"),
        (lambda now: ("t", 3600), ConfigurationError, "aware datetime"),
        (lambda now: ("t", now), TokenEndpointError, "expired 0 s ago"),
        (lambda now: "t", ConfigurationError, "expected .token, expires_at., got str"),
        (lambda now: None, ConfigurationError, "expected .token, expires_at., got NoneType"),
    ],
)
def test_what_a_provider_gives_is_checked(answer, kind, words):
    async def main(clock):
        async def fetch():
            return answer(datetime.fromtimestamp(clock.wall(), UTC))

        with pytest.raises(kind, match=words):
            await of(clock, fetch)

    virtual(main)


def test_a_provider_may_give_a_secret_and_no_life_is_believed_beyond_a_day():
    async def main(clock):
        async def fetch():
            return Secret("ya29.s"), datetime.fromtimestamp(clock.wall() + 1e6, UTC)

        got = await of(clock, fetch)
        assert got.access_token == Secret("ya29.s")
        assert got.left == got.lifetime == pytest.approx(86_400)

    virtual(main)


def test_a_provider_that_hangs_fails_after_the_timeout():
    async def main(clock):
        before = clock.now()
        with pytest.raises(TokenEndpointError, match="gave no token within 20 s"):
            await of(clock, Source(clock, delay=1000).fetch)
        assert clock.now() - before == pytest.approx(20)

    virtual(main)


def test_the_providers_own_errors_are_told_and_bugs_of_it_too():
    async def main(clock):
        source = Source(clock)
        source.fail = AccessDenied("not for you", connection_lost=False)
        with pytest.raises(AccessDenied, match="not for you"):
            await of(clock, source.fetch)
        source.fail = KeyError("whoops")
        with pytest.raises(TokenEndpointError, match=r"TokenProvider.fetch failed: KeyError: 'whoops'"):
            await of(clock, source.fetch)

    virtual(main)
