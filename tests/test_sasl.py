import base64
import traceback

import pytest

from aiogmail import sasl
from aiogmail.errors import ConfigurationError
from aiogmail.secret import Secret

TOKEN = Secret("ya29.token")


def test_xoauth2_is_googles_example():
    # https://developers.google.com/gmail/imap/xoauth2-protocol
    encoded = b"dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
    token = Secret("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")
    assert base64.b64encode(sasl.xoauth2("someuser@example.com", token)) == encoded


def test_oauthbearer_is_the_example_of_rfc_7628():
    # RFC 7628 section 4.1, but for the trailing padding of its base64
    assert sasl.oauthbearer("user@example.com", Secret("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="), "server.example.com", 143) == (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )


def test_oauthbearer_escapes_the_address():
    assert sasl.oauthbearer("a=b,c@x", TOKEN, "h", 1).startswith(b"n,a=a=3Db=2Cc@x,\x01")


def test_plain_is_rfc_4616():
    assert sasl.plain("tim@x", Secret("tanstaaf")) == b"\0tim@x\0tanstaaf"


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER", "PLAIN"])
def test_the_initial_response_goes_by_name(mechanism):
    made = sasl.initial_response(mechanism, "a@x", TOKEN, "h", 993)
    other = {
        "XOAUTH2": sasl.xoauth2("a@x", TOKEN),
        "OAUTHBEARER": sasl.oauthbearer("a@x", TOKEN, "h", 993),
        "PLAIN": sasl.plain("a@x", TOKEN),
    }
    assert made == other[mechanism]


def test_an_unknown_mechanism_is_named():
    with pytest.raises(ConfigurationError, match="GSSAPI"):
        sasl.initial_response("GSSAPI", "a@x", TOKEN, "h", 993)


@pytest.mark.parametrize("bad", ["a\x01b", "a\r\nb", "a\0b", "a\x7fb"])
def test_what_could_say_something_else_is_refused_and_a_token_not_shown(bad):
    with pytest.raises(ConfigurationError, match="address"):
        sasl.xoauth2(bad, TOKEN)
    with pytest.raises(ConfigurationError, match="token") as caught:
        sasl.xoauth2("a@x", Secret("secret-part" + bad))
    frames = caught.value.__traceback__.tb_next  # from the first frame of the library on
    shown = "".join(traceback.TracebackException(ConfigurationError, caught.value, frames, capture_locals=True).format())
    assert "in xoauth2" in shown
    assert "secret-part" not in shown
    for call in (lambda: sasl.plain(bad, TOKEN), lambda: sasl.plain("a@x", Secret(bad)), lambda: sasl.oauthbearer("a@x", TOKEN, bad, 1)):
        with pytest.raises(ConfigurationError):
            call()


def test_gmails_challenge_is_read():
    gmail = base64.b64decode("eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==")
    assert sasl.read_challenge(gmail) == sasl.Challenge("400", "Bearer", "https://mail.google.com/")


@pytest.mark.parametrize("junk", [b"", b"\xff", b"[]", b"null", b"{", b"[" * 9000, b'{"status":' + b"9" * 20000 + b"}"])
def test_a_challenge_that_is_no_json_object_says_nothing(junk):
    assert sasl.read_challenge(junk) == sasl.Challenge()


def test_a_challenge_with_other_types_is_read_as_far_as_it_goes():
    assert sasl.read_challenge(b'{"status": 401, "schemes": ["bearer"]}') == sasl.Challenge("401", "", "")


def test_the_answer_to_a_failure_challenge():
    assert sasl.failure_answer("XOAUTH2") == b""
    assert sasl.failure_answer("OAUTHBEARER") == b"\x01"
