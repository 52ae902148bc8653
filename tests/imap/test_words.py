"""Header words, as senders write them and as they mangle them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiogmail.imap.words import decode_words, word_defects


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        (b"", ""),
        ("Café".encode(), "Café"),
        (b"Caf\xe9", "Caf\ufffd"),
        (b"folded\r\n to the next line", "folded to the next line"),
        (b"smuggled\nline", "smuggled line"),
        (b"=?UTF-8?Q?Caf=C3=A9_=E2=80=93_x?=", "Café – x"),
        (b"=?utf-8?b?w6k=?=", "é"),
        (b"=?utf-8?B?w6k?=", "é"),  # no padding
        (b"=?utf-8?B?w 6\nk?=", "é"),
        (b"=?utf-8?B?w6kAA?=", "é\0"),  # one digit too many
        (b"Re: =?utf-8?q?x?=, y", "Re: x, y"),
        (b"  =?utf-8?q?x?= ", "x"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=\r\n =?utf-8?q?c?= d", "abc d"),
        (b"=?utf-8?q?=C3?= =?UTF-8?q?=A9?=", "é"),  # a character cut between two words
        (b"=?utf-8?q?a?= =?iso-8859-1?q?=E9?=", "aé"),
        (b"=?utf-8?q?a?= and =?iso-8859-1?q?=E9?=", "a and é"),
        (b"=?utf-8*en-GB?q?a?=", "a"),
        (b"=?GB2312?B?1tC5+g==?=", "中国"),
        (b"=?gb2312?b?6Fg=?=", "鑈"),  # of GBK, not of GB2312
        (b"=?iso-8859-8-i?q?=E0?=", "א"),
        (b"=?x-unknown?q?=C3=A9?=", "é"),
        (b"=?base64?q?=C3=A9?=", "é"),  # a codec of Python's that is none of text
        (b"=?unicode_escape?q?=5Cq?=", "\\q"),
        (b"=?utf-8?q?=ZZ=?=", "=ZZ"),
        (b"=?utf-8?q?a=0Ab?=", "a b"),  # no line breaks out of words
        (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
        (b"=?utf-8?q?open", "=?utf-8?q?open"),
        (b"a =?= b", "a =?= b"),
    ],
)
def test_a_field_reads_as_its_sender_meant_it(raw, text):
    assert decode_words(raw) == text


@given(st.binary(max_size=80), st.sampled_from([b"utf-8", b"utf-16", b"idna", b"undefined", b"punycode", b"hz", b"raw_unicode_escape"]))
def test_nothing_raises_and_no_line_break_comes_out(junk, charset):
    for raw in (junk, b"=?" + charset + b"?q?" + junk + b"?=", b"x =?" + charset + b"?b?" + junk + b"?= =?" + charset + b"?q?a?="):
        text = decode_words(raw)
        assert "\n" not in text
        assert "\r" not in text


def test_a_million_words_are_read_in_linear_time():
    def seconds(count):
        raw = b"=?utf-8?q?x?= " * count
        began = time.perf_counter()
        assert decode_words(raw) == "x" * count
        return time.perf_counter() - began

    small = min(seconds(20_000) for _ in range(3))
    assert min(seconds(80_000) for _ in range(3)) < 12 * small


@pytest.mark.parametrize(
    ("raw", "defects"),
    [
        (b"plain", []),
        ("Café".encode(), []),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=A9?=", []),
        (b"=?x-none?q?=E9?= x", ["the charset 'x-none' is unknown"]),
        (b"=?utf-8?q?=E9?=", ["holds octets that do not stand for a character of utf-8"]),
        (b"Caf\xe9 =?utf-8?q?x?= \xe9", ["octets that are neither encoded nor UTF-8"] * 2),
    ],
)
def test_what_could_not_be_decoded_is_told(raw, defects):
    assert list(word_defects(raw)) == defects
