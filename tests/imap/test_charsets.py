"""Octets to text: what was declared, what was meant, and what is told of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiogmail.imap import charsets
from aiogmail.imap.charsets import decode, known_codec


@pytest.mark.parametrize(
    ("octets", "charset", "text", "defect"),
    [
        (b"plain", None, "plain", ""),
        (b"plain", "", "plain", ""),
        (b"plain", "us-ascii", "plain", ""),
        ("é".encode(), "utf-8", "é", ""),
        ("é".encode(), "UTF8", "é", ""),
        ("é".encode(), ' "utf-8" ', "é", ""),
        ("é".encode(), "utf-8;", "é", ""),
        (b"\xe9 \x93q\x94", "iso-8859-1", "é “q”", ""),
        (b"\xe9", "latin1", "é", ""),
        (b"\x81", "iso-8859-1", "\x81", ""),
        (b"\xd6\xd0\xb9\xfa", "gb2312", "中国", ""),
        (b"\xe8X", "gb2312", "鑈", ""),
        (b"\x87@", "shift_jis", "①", ""),
        (b"\x8cc", "ks_c_5601-1987", "똠", ""),
        (b"\xe0", "iso-8859-8-i", "א", ""),
        (b"\xe9", "windows1252", "é", ""),
        (b"\xcf", "win-1251", "П", ""),
        (b"\xe9", "x-iso8859-15", "é", ""),
        ("é".encode("utf-16"), "unicode", "é", ""),
        (b"\xe9", "us-ascii", "é", "declared as ASCII, and is not"),
        ("é".encode(), "us-ascii", "é", "declared as ASCII, and is not"),
        (b"\xe9", None, "é", "not ASCII, and no charset is declared"),
        ("é".encode(), "x-none", "é", "the charset 'x-none' is unknown"),
        (b"x", "base64", "x", "the charset 'base64' is unknown"),
        (b"x", "punycode", "x", "the charset 'punycode' is unknown"),
        (b"x", "\xe9", "x", "the charset 'é' is unknown"),
        (b"x", "a" * 100, "x", f"the charset '{'a' * 40}' is unknown"),
        (b"x", "a\0b", "x", "the charset 'a\\x00b' is unknown"),
        (b"Gr\xfc\xdfe", "utf-8", "Grüße", "holds octets that do not stand for a character of utf-8"),
        ("Grüße Grüße ".encode() + b"\xff", "utf-8", "Grüße Grüße \ufffd", "holds octets that do not stand for a character of utf-8"),
        (b"\x1b$B$3$s\x1b(B", None, "こん", "not ASCII, and no charset is declared"),
        (b"\x1b$B\x7f", None, "\x1b$B\x7f", "not ASCII, and no charset is declared"),
        (b"\xef\xbb\xbfx", "x-none", "x", "the charset 'x-none' is unknown"),
        (b"\xff\xfex\0", "x-none", "x", "the charset 'x-none' is unknown"),
        (b"\xff\xff", "big5", "\ufffd\ufffd", "holds octets that do not stand for a character of big5"),
        (b"\x81", "windows-1252", "\ufffd", "holds octets that do not stand for a character of windows-1252"),
    ],
)
def test_what_comes_of_octets(octets, charset, text, defect):
    assert decode(octets, charset) == (text, defect)
    assert decode(bytearray(octets), charset) == (text, defect)


def test_names_are_known_by_what_they_are_called_in_mail():
    assert known_codec("CP-1252") == known_codec("windows-1252") == known_codec("ansi") == "cp1252"
    assert known_codec("utf-8*en") == "utf-8"
    assert known_codec("idna") is known_codec("") is known_codec("none") is None


@given(
    st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=12), st.sampled_from(["utf-7", "utf-16", "utf-32", "hz", "iso-2022-kr"]))
)
def test_nothing_raises(octets, charset):
    text, defect = decode(octets, charset)
    assert isinstance(text, str)
    assert isinstance(defect, str)


def test_a_codec_that_knows_no_replacement_costs_no_more_than_its_characters(monkeypatch):
    monkeypatch.setitem(charsets._WIDER, "utf-16", "idna")
    assert decode(b"a\xff\xff", "utf-16") == ("aÿÿ", "holds octets that do not stand for a character of utf-16")
