import json

import pytest

from aiogmail.oauth.token import BadReply, Token, is_token_text, read_reply

GOOD = {"access_token": "ya29.a0", "expires_in": 3599, "scope": "https://mail.google.com/ mail", "token_type": "Bearer"}


def body(**changes):
    data = {**GOOD, **changes}
    return json.dumps({key: value for key, value in data.items() if value is not ...}).encode()


def test_a_good_reply_is_read_whole():
    reply = read_reply(body(refresh_token="1//next", id_token="x", refresh_token_expires_in=604799))
    assert reply.access_token.reveal() == "ya29.a0"
    assert reply.refresh_token.reveal() == "1//next"
    assert (reply.lifetime, reply.scopes, reply.token_type) == (3599.0, ("https://mail.google.com/", "mail"), "Bearer")


def test_what_the_rfc_leaves_open_is_taken():
    reply = read_reply(body(scope=..., refresh_token=None, token_type="bearer", expires_in="3599"))
    assert (reply.refresh_token, reply.scopes, reply.token_type, reply.lifetime) == (None, (), "bearer", 3599.0)
    assert read_reply(body(expires_in=1.5)).lifetime == 1.5


@pytest.mark.parametrize("expires_in", [..., None, 0, -5, 86_401, 1e300, True, "soon", "-5", "1e3", "٣", [], {}, "9" * 5000])
def test_a01e_a_lifetime_that_is_none_is_refused(expires_in):
    with pytest.raises(BadReply, match="expires_in"):
        read_reply(body(expires_in=expires_in))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
def test_a_number_that_json_should_not_have_is_refused(number):
    with pytest.raises(BadReply):
        read_reply(body(expires_in="@").replace(b'"@"', number.encode()))


@pytest.mark.parametrize(
    "changes",
    [
        {"access_token": ...}, {"access_token": None}, {"access_token": ""}, {"access_token": 7}, {"access_token": "a b"},
        {"access_token": "a\r\nb"}, {"access_token": "a\x01b"}, {"access_token": "ä"}, {"access_token": "a" * 16385}, {"token_type": ...},
        {"token_type": "MAC"}, {"token_type": 1}, {"refresh_token": ""}, {"refresh_token": 5}, {"refresh_token": "a b"}, {"scope": ["mail"]},
    ],
)  # fmt: skip
def test_a_member_that_is_not_what_the_rfc_says_refuses_the_whole_reply(changes):
    with pytest.raises(BadReply) as caught:
        read_reply(body(**changes))
    assert "ya29" not in str(caught.value)


@pytest.mark.parametrize("text", [b"", b"{", b"{}", b"[]", b"null", b"7", b'"x"', b"<html>", b"\xff", b"[" * 60000, b'{"a":' * 12000])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(BadReply):
        read_reply(text)


def test_every_truncation_of_a_good_reply_is_refused():
    whole = body()
    for end in range(len(whole)):
        with pytest.raises(BadReply):
            read_reply(whole[:end])


def test_token_text_is_visible_ascii():
    assert is_token_text("ya29.~!-_/+=")
    assert not any(is_token_text(value) for value in ("", "a b", "\x7f", "é", None, b"x", 3))


def test_a_token_is_frozen_and_shows_nothing():
    reply = read_reply(body())
    token = Token(reply.access_token, None, 1.0)
    assert "ya29" not in repr(token) + repr(reply)
    with pytest.raises(AttributeError):
        token.deadline = 2.0
