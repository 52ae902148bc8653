"""Transfer encodings, fed in pieces: where they are cut makes no difference."""

import base64
import binascii
import quopri
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiogmail.imap.transfer import decode_transfer, decoder_for

UU = b"begin 644 x\n" + b"".join(binascii.b2a_uu(bytes(range(n, n + 45))) for n in range(0, 135, 45)) + b"`\nend\n"


@pytest.mark.parametrize(
    ("encoding", "octets", "decoded", "defects"),
    [
        ("", b"x", b"x", ()),
        ("7bit", b"x", b"x", ()),
        ("8bit", b"\xff", b"\xff", ()),
        ("binary", b"\0", b"\0", ()),
        ("x-none", b"x", b"x", ("the transfer encoding 'x-none' is unknown",)),
        ("base64", b"", b"", ()),
        ("base64", b"SGVs\r\nbG8=\r\n", b"Hello", ()),
        ("base64", b"SGVsbA==\r\n \t", b"Hell", ()),
        ("base64", b"SGVs=", b"Hel", ()),
        ("base64", b"S*GVs-bG8=", b"Hello", ("base64: characters that are not of its alphabet were left out",)),
        ("base64", b"SGVsbG8", b"Hello", ("base64: it was cut: its padding is missing",)),
        ("base64", b"SGVsb", b"Hel", ("base64: it was cut: the last digit says nothing",)),
        ("base64", b"SGVsbG8=SGVs", b"HelloHel", ("base64: it goes on behind its padding",)),
        ("base64", b"SGVsbG8=\r\n-- \r\nSGVs", b"HelloHel", None),
        ("base64", b"=====", b"", ()),
        ("quoted-printable", b"a=3Db=\r\nc=\nd\r\n", b"a=bcd\r\n", ()),
        ("quoted-printable", b"=c3=A9", "é".encode(), ()),
        ("quoted-printable", b"a=", b"a", ()),
        ("quoted-printable", b"a=\r", b"a", ()),
        ("quoted-printable", b"a=4", b"a=4", ("quoted-printable: '=' without two hexadecimal digits behind it was left as it stands",)),
        (
            "quoted-printable",
            b"=ZZ==41",
            b"=ZZ=A",
            ("quoted-printable: '=' without two hexadecimal digits behind it was left as it stands",),
        ),
        ("x-uuencode", UU, bytes(range(135)), ()),
        ("uue", b"preamble\r\n" + UU.replace(b"\n", b"\r\n") + b"behind", bytes(range(135)), ()),
        ("uuencode", b"nothing", b"", ("uuencode: no 'begin'",)),
        ("uuencode", b"begin 644 x\n#0V%T", b"Cat", ("uuencode: no 'end'",)),
        ("uuencode", b"begin 644 x\n\n#0V%T!!!!\nend\n", b"Cat", ()),
        ("uuencode", b"begin 644 x\n#\xff\xff\nend\n", b"", ("uuencode: a line that cannot be decoded was left out",)),
    ],
)
def test_what_comes_of_octets(encoding, octets, decoded, defects):
    found = decode_transfer(octets, encoding)
    assert found[0] == decoded
    if defects is not None:
        assert found[1] == defects
    pieces = decoder_for(encoding)
    byte_by_byte = b"".join([pieces.feed(octets[place : place + 1]) for place in range(len(octets))]) + pieces.finish()
    assert (byte_by_byte, tuple(pieces.defects)) == found


@given(st.binary(max_size=400), st.sampled_from(["base64", "quoted-printable", "uue", "8bit"]), st.lists(st.integers(1, 60)))
def test_any_octets_in_any_pieces_come_to_the_same(octets, encoding, cuts):
    whole, defects = decode_transfer(octets, encoding)
    decoder, place, out = decoder_for(encoding), 0, b""
    for cut in cuts:
        out += decoder.feed(octets[place : place + cut])
        place += cut
    out += decoder.feed(octets[place:]) + decoder.finish()
    assert (out, tuple(decoder.defects)) == (whole, defects)


@given(st.binary(max_size=300))
def test_what_the_standard_library_encodes_comes_back(octets):
    assert decode_transfer(base64.encodebytes(octets), "base64") == (octets, ())
    encoded = quopri.encodestring(octets)
    assert decode_transfer(encoded, "quoted-printable")[0] == quopri.decodestring(encoded)


def test_padding_alone_costs_no_more_than_its_length():
    chance = random.Random(1)
    octets = bytes(chance.choice(b"A=\n") for _ in range(300_000))
    assert len(decode_transfer(octets, "base64")[0]) > 10_000
