"""Addresses: read strictly, refused by name, none dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiogmail.errors import ConfigurationError
from aiogmail.smtp.address import address_list, is_ascii_path, one_address, recipient_list

ONE = {
    "me@example.org": "me@example.org",
    "<me@example.org>": "me@example.org",
    "Me Myself <me@example.org>": "me@example.org",
    '"Doe, Jane" <jane@example.org>': "jane@example.org",
    '"a \\" b" <a@x>': "a@x",
    "=?utf-8?q?J=C3=B6rg?= <j@x.de>": "j@x.de",
    "me@x (work (really) \\) )": "me@x",
    "(a) me@x": "me@x",
    '"a b"@x': '"a b"@x',
    "first.last+tag@sub.example.co.uk": "first.last+tag@sub.example.co.uk",
    "jörg@x.de": "jörg@x.de",
    "j@müller.de": "j@xn--mller-kva.de",
    "  me@x\t": "me@x",
    "o'neil@x.org": "o'neil@x.org",
}


@pytest.mark.parametrize(("text", "address"), ONE.items())
def test_one_address(text, address):
    assert one_address(text, "sender") == address
    assert is_ascii_path(address) is address.isascii()


NONE = [
    "", " ", "me", "me@", "@x", "me@x@y", "a b@x", "a@x b@x", "a@x, b@x", "<a@x>,<b@x>", "<a@x> b", "a <a@x", "a@x>", "a@x> SIZE=1", "a@x\r\nRCPT TO:<v@x>",
    "a@x\n", "a@x\x00", "\u2028a@x", "a\u0085@x", "\ud800@x", '"x>"@y', '"unclosed@x', "a(b@x", "a)@x", "a@x;", "a:b@x", "me@-x", "me@x-", "me@x..y", ".me@x", "me.@x",
    "m..e@x", "me@[1.2.3.4]", "x@y <a@x>", "a@" + "x" * 64 + ".de", "a" * 65 + "@x", "a@" + ".".join(["abcdefgh"] * 30), "me@\u2488com", "me@x_y", "<>", "< a@x>", "a@ü" + "x" * 70, "me@straße.de", None, 5, b"a@x",
]  # fmt: skip


@pytest.mark.parametrize("text", NONE, ids=repr)
def test_what_is_no_address_is_refused_by_name(text):
    with pytest.raises(ConfigurationError, match="sender: ") as caught:
        one_address(text, "sender")
    assert repr(text)[1:-1] in str(caught.value) or isinstance(text, bytes)


LISTS = {
    "": [],
    "a@x, b@y": ["a@x", "b@y"],
    "a@x,, b@y,": ["a@x", "b@y"],
    "friends: a@x, B <b@y>;, c@z": ["a@x", "b@y", "c@z"],
    "undisclosed-recipients:;": [],
    "a: b@x; , c: d@x, e@x;": ["b@x", "d@x", "e@x"],
    '"a:b" <a@x>, "c;d" <b@x>': ["a@x", "b@x"],
}


@pytest.mark.parametrize(("text", "addresses"), LISTS.items())
def test_lists_and_groups(text, addresses):
    assert address_list(text, "To") == addresses


@pytest.mark.parametrize(
    "text", ["a: b@x", "a: b: c@x;;", "a@x; b@x", ": a@x;", "a@b: c@x;", "<a>: b@x;", "a@x b@y, c@z", "a@x, nonsense, b@x"]
)
def test_a_list_with_anything_else_is_refused_whole(text):
    with pytest.raises(ConfigurationError, match="To: "):
        address_list(text, "To")


def test_recipients_as_a_caller_names_them():
    assert recipient_list("me@x") == ["me@x"]
    assert recipient_list(["a@x", "A <b@x>", "a@x"]) == ["a@x", "b@x"]
    assert recipient_list(iter(["a@x"])) == ["a@x"]
    for bad in ([], (), "a@x, b@x", b"a@x", 5, {"a@x": 1}.items(), [["a@x"]]):
        with pytest.raises(ConfigurationError, match="recipients"):
            recipient_list(bad)
    with pytest.raises(ConfigurationError, match=r"recipients\[1\]: .*'oops'"):
        recipient_list(["a@x", "oops"])


@given(st.text(max_size=60))
def test_whatever_comes_out_cannot_leave_its_place_in_a_command(text):
    try:
        address = one_address(text, "x")
    except ConfigurationError:
        return
    assert not set(address) & set("<>\r\n\0")
    assert address.rpartition("@")[2].isascii()
    assert " " not in address.rpartition("@")[2]


@pytest.mark.parametrize("shape", ["(" * 20_000, '"' * 20_001, "a," * 20_000, "a" * 40_000, "<" * 20_000, "a@x " * 10_000, "\\" * 20_000])
def test_long_nonsense_is_refused_quickly(shape):
    with pytest.raises(ConfigurationError):
        one_address(shape, "x")
