import pytest

from aiogmail.errors import ConfigurationError
from aiogmail.oauth import check_address


@pytest.mark.parametrize(
    "address",
    ["me@gmail.com", "a.b+c@example.co.uk", "x_y-z!#$%&'*/=?^`{|}~@h", "o'neil@example.org", "jörg@exämple.de", "ME@GMAIL.COM", "a@1.2"],
)
def test_an_address_is_given_back_unchanged(address):
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "", "me", "@", "me@", "@gmail.com", "me@@gmail.com", "a@b@c", "me @gmail.com", "me@gmail com", " me@gmail.com", "me@gmail.com ",
        "me@gmail.com\n", "me\x01@gmail.com", "me\x00@gmail.com", "me@gmail.com\r\nRCPT TO:<x@y>", ".me@gmail.com", "me.@gmail.com",
        "m..e@gmail.com", "me@.com", "me@gmail..com", "me@-gmail.com", "me@gmail-.com", '"me"@gmail.com', "<me@gmail.com>", "me@gmail.com,you@x",
        "me@[127.0.0.1]", "me\u2028x@gmail.com", "me\ud800@gmail.com", "a" * 65 + "@gmail.com", "me@" + "a." * 130 + "com", None, 7, b"me@gmail.com",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_by_name(address):
    with pytest.raises(ConfigurationError, match="address: expected an email address") as caught:
        check_address(address)
    assert len(str(caught.value)) < 250
