import json

import pytest

from aiogmail.oauth import StoredToken
from aiogmail.oauth.stores.base import fingerprint, from_json, to_json
from aiogmail.secret import Secret

RECORD = StoredToken(3, "abc", Secret("1//r"), Secret("ya29.a"), 1000.0, 3600.0, ("mail",), "Bearer")


def test_a_record_survives_json():
    assert from_json(to_json(RECORD)) == RECORD
    assert from_json(json.dumps(to_json(RECORD))) == RECORD
    bare = StoredToken(1, "", None, None, 0.0, 1.0)
    assert from_json(json.dumps(to_json(bare)).encode()) == bare


@pytest.mark.parametrize(
    "changes",
    [
        {"version": None}, {"version": 0}, {"version": True}, {"version": "3"}, {"version": 1.5}, {"origin": None}, {"refresh_token": 7},
        {"refresh_token": ""}, {"refresh_token": "a b"}, {"access_token": []}, {"expires_at": None}, {"expires_at": "x"}, {"expires_at": True},
        {"expires_at": float("nan")}, {"lifetime": 0}, {"lifetime": -1}, {"lifetime": 86_401}, {"lifetime": None}, {"scopes": None},
        {"scopes": "mail"}, {"scopes": [1]}, {"token_type": None},
    ],
)  # fmt: skip
def test_a_record_that_is_none_is_refused_without_quoting_it(changes):
    with pytest.raises(ValueError) as caught:
        from_json({**to_json(RECORD), **changes})
    assert "ya29" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", b"\xff", "7", "[" * 100_000, None, 7])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(ValueError):
        from_json(text)


def test_a_fingerprint_tells_tokens_apart_and_gives_nothing_away():
    assert fingerprint(Secret("1//a")) != fingerprint(Secret("1//b"))
    assert fingerprint(Secret("1//a")) == fingerprint(Secret("1//a"))
    assert len(fingerprint(Secret("1//a"))) == 32
    assert fingerprint(None) == ""


def test_no_life_is_believed_that_a_wall_clock_set_back_would_add():
    record = StoredToken(1, "", None, Secret("ya29.a"), 10_000.0, 3600.0)
    assert record.left(7_000.0) == 3000.0
    assert record.left(9_999.0) == 1.0
    assert record.left(12_000.0) == -2000.0
    assert record.left(6_400.0) == 3600.0
    assert record.left(6_300.0) == 3600.0  # another machine's clock, which is 100 s behind
    assert record.left(6_200.0) == 0.0
    assert record.left(2_800.0) == 0.0  # more left than it ever had
    assert StoredToken(1, "", Secret("r"), None, 10_000.0, 3600.0).left(9_000.0) == 0.0


def test_a_record_shows_no_secret():
    assert "1//r" not in repr(RECORD)
    assert "ya29" not in repr(RECORD)
