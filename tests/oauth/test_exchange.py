"""What is asked of a token endpoint, with which refresh token, and what the answer stands for."""

import logging
from dataclasses import replace

from aiogmail.errors import LoginRequired
from aiogmail.oauth import TokenCache, UserCredentials
from aiogmail.oauth.stores.base import fingerprint
from aiogmail.oauth.token import Reply
from aiogmail.secret import Secret

from .harness import virtual
from .line import ME, STORED, line


async def asked_with(clock, stored, *alive, entry_token=None, entry_version=0):
    async with line(clock, *alive, stored=stored) as at:
        at.entry.refresh_token, at.entry.version = entry_token, entry_version
        try:
            await at.obtain()
        except LoginRequired as error:
            return at.ledger.asked, str(error)
        return at.ledger.asked, at.record()


def test_the_newest_refresh_token_that_is_known_is_tried_first_and_the_others_after_it():
    async def main(clock):
        stranger = replace(STORED, origin="another login")
        ours = {"entry_token": Secret("1//ours"), "entry_version": 6}
        for stored, alive, more, expected in (
            (None, ["1//given"], {}, ["1//given"]),
            (STORED, ["1//stored"], {}, ["1//stored"]),
            (STORED, ["1//given"], {}, ["1//stored", "1//given"]),  # the store was restored from an old backup, say
            (stranger, ["1//given"], {}, ["1//given"]),  # the person has logged in again
            (stranger, ["1//stored"], {}, ["1//given", "1//stored"]),  # somebody else has, and our file is old
            (STORED, ["1//ours"], ours, ["1//ours"]),  # the store has lost what we wrote
            (STORED, ["1//given"], ours, ["1//ours", "1//given"]),
            (replace(STORED, version=9), ["1//stored"], ours, ["1//stored"]),
            (replace(STORED, version=9), ["1//ours"], ours, ["1//stored", "1//ours"]),
        ):
            asked, kept = await asked_with(clock, stored, *alive, **more)
            assert asked == expected
            assert kept.refresh_token.reveal().startswith("1//next")
            theirs = stored is stranger and alive == ["1//stored"]
            assert kept.origin == ("another login" if theirs else fingerprint(Secret("1//given")))
            assert kept.version == max(stored.version if stored else 0, more.get("entry_version", 0)) + 1

    virtual(main)


def test_when_all_are_dead_the_first_refusal_is_told_and_the_record_stays():
    async def main(clock):
        asked, told = await asked_with(clock, STORED)
        assert asked == ["1//stored", "1//given"]
        assert "1//stored is dead" in told

    virtual(main)


def test_a_token_for_less_than_was_asked_is_told_for_no_mail_server_will(caplog):
    async def main(clock):
        async with TokenCache(clock=clock) as tokens:

            async def refresh(credentials, refresh_token):
                return Reply(Secret("ya29.x"), 3600.0, None, ("openid",))

            tokens._refresher._endpoint.refresh = refresh
            assert (await tokens.get(ME, UserCredentials("c", "s", "1//r"))).scopes == ("openid",)

    with caplog.at_level(logging.WARNING):
        virtual(main)
    assert "granted ('openid',), but not ['https://mail.google.com/']" in caplog.text
