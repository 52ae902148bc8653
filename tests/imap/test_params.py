"""Parameters of structured fields: what is in them, and what senders make of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiogmail.imap.params import decode_params, split_value


@pytest.mark.parametrize(
    ("value", "main", "params"),
    [
        (b"", b"", {}),
        (b"text/plain", b"text/plain", {}),
        (b"text/plain ; charset=utf-8", b"text/plain", {"CHARSET": b"utf-8"}),
        (b'a/b; x="1;2=3"; y = z', b"a/b", {"X": b"1;2=3", "Y": b"z"}),
        (b'a/b; x="q\\"\\\\"', b"a/b", {"X": b'q"\\'}),
        (b'a/b; x="open', b"a/b", {"X": b"open"}),
        (b'a/b; x="', b"a/b", {"X": b""}),
        (b"text/plain (one); charset=us-ascii (Plain text)", b"text/plain", {"CHARSET": b"us-ascii"}),
        (b"attachment; filename=two words (1).pdf", b"attachment", {"FILENAME": b"two words (1).pdf"}),
        (b"a/b;; x; =y; z=1; z=2;", b"a/b", {"X": b"", "Z": b"1"}),
        (b"; x=1", b"", {"X": b"1"}),
        (b'a/b; x="1" rubbish; y=2', b"a/b", {"X": b"1", "Y": b"2"}),
    ],
)
def test_a_field_is_split(value, main, params):
    assert split_value(value) == (main, params)


@pytest.mark.parametrize(
    ("raw", "params"),
    [
        ({"NAME": b"x"}, {"name": "x"}),
        ({"NAME": "é".encode()}, {"name": "é"}),
        ({"NAME": b"=?utf-8?q?=C3=A9?="}, {"name": "é"}),
        ({"NAME*": b"utf-8''%C3%A9"}, {"name": "é"}),
        ({"NAME*": b"iso-8859-1'en'%E9"}, {"name": "é"}),
        ({"NAME*": b"%41"}, {"name": "A"}),
        ({"NAME*": b"''%41"}, {"name": "A"}),
        ({"NAME*1": b"b", "NAME*0": b"a"}, {"name": "ab"}),
        ({"NAME*0*": b"utf-8''%E2%82", "NAME*1*": b"%AC", "NAME*2": b" 100%41"}, {"name": "€ 100%41"}),
        ({"NAME": b"plain", "NAME*": b"utf-8''encoded"}, {"name": "encoded"}),
        ({"NAME*X": b"odd"}, {"name*x": "odd"}),
        ({"NAME*99999": b"odd"}, {"name*99999": "odd"}),
        ({"NAME": b"a\r\n b"}, {"name": "a b"}),
    ],
)
def test_parameters_are_decoded(raw, params):
    assert decode_params(raw) == (params, ()) or raw == {"NAME": "é".encode()}
    assert decode_params(raw)[0] == params


def test_what_could_not_be_decoded_is_told():
    assert decode_params({"NAME": b"\xe9"}) == ({"name": "é"}, ("parameter name: not ASCII, and no charset is declared",))
    assert decode_params({"NAME*": b"x-none''a"}) == ({"name": "a"}, ("parameter name: the charset 'x-none' is unknown",))


@given(st.binary(max_size=200))
def test_nothing_raises(value):
    _, params = split_value(value)
    decode_params(params)
