import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiogmail.errors import ConfigurationError
from aiogmail.imap.wire import utf7

BOUNDED = settings(deadline=None, derandomize=True, max_examples=300)

NAMES = [
    ("", b""),
    ("INBOX", b"INBOX"),
    ("R&D", b"R&-D"),
    ("&&", b"&-&-"),
    ("Entwürfe", b"Entw&APw-rfe"),
    ("[Gmail]/Messages envoyés", b"[Gmail]/Messages envoy&AOk-s"),
    ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 5.1.3
    ("😀", b"&2D3eAA-"),
    ("tab\there", b"tab&AAk-here"),
    ("\x7f", b"&AH8-"),
    ("é&è", b"&AOk-&-&AOg-"),
]


@pytest.mark.parametrize(("name", "encoded"), NAMES)
def test_names_are_written_and_read_as_the_rfc_says(name, encoded):
    assert utf7.encode(name) == encoded
    assert utf7.decode(encoded) == name


@pytest.mark.parametrize("bad", ["\ud800", "a\udfffb", "é\ud83d"])
def test_a_lone_surrogate_is_refused(bad):
    with pytest.raises(ConfigurationError, match="surrogate"):
        utf7.encode(bad)


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"&", "&"),
        (b"a&b", "a&b"),
        (b"&AOk", "&AOk"),
        (b"&A-", "&A-"),  # no base64
        (b"&AAAA-", "&AAAA-"),  # one and a half units
        (b"&2D0-", "&2D0-"),  # half a surrogate pair
        ("été & co".encode(), "été & co"),
        (b"\xff&-", "\ufffd&"),
        (b"&AGE-", "a"),  # legal to read, never written
        (b"&!-", "&!-"),
    ],
)
def test_what_is_no_modified_utf7_is_read_as_it_stands(raw, read):
    assert utf7.decode(raw) == read


@BOUNDED
@given(st.text())
@pytest.mark.slow
def test_every_name_comes_back(name):
    encoded = utf7.encode(name)
    assert utf7.decode(encoded) == name
    assert all(0x20 <= byte <= 0x7E for byte in encoded)


@BOUNDED
@given(st.text(st.characters(codec="utf-16", exclude_characters="+&", min_codepoint=0x80), min_size=1))
@pytest.mark.slow
def test_the_shifted_part_is_that_of_pythons_utf7(name):
    ours = utf7.encode(name).replace(b",", b"/")
    assert codecs.decode(b"+" + ours[1:], "utf-7") == name


@BOUNDED
@given(st.binary())
def test_reading_never_raises(raw):
    assert isinstance(utf7.decode(raw), str)
