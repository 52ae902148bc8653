"""Octets on the wire: every line ended by CRLF, dots doubled, the last CRLF held back, and the size known before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiogmail.errors import ConfigurationError
from aiogmail.smtp import body as module
from aiogmail.smtp.body import Body, with_crlf

HEADER = b"Subject: x\r\n\r\n"


def sent(source, *, stuffed=False, start=0, header=HEADER):
    body = Body(header, source, start)
    for _ in body.measure():
        pass
    plain = b"".join(body.pieces(stuffed=False)) + b"\r\n"
    assert body.size == len(plain)
    return (b"".join(body.pieces(stuffed=True)) + b"\r\n" if stuffed else plain), body


def stuffed_slowly(text):
    return b"".join(b"." + line if line.startswith(b".") else line for line in text.splitlines(keepends=True))


CASES = [
    b"",
    b"x",
    b"x\r\n",
    b"x\n",
    b"x\r",
    b"\n",
    b"\r\n\r\n",
    b".",
    b"..\r\n.\n.",
    b"a\r\n.\r\nb",
    b"a\r\n.b\r\n",
    b"a.b\r\n",
    b"\r\r\n\n",
    b"a\n.\n",
    b".\r\n",
]


@pytest.mark.parametrize("source", CASES, ids=repr)
@pytest.mark.parametrize("block", [1, 2, 3, 64])
def test_lines_and_dots(source, block, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", block)
    plain = with_crlf(source)
    if plain and not plain.endswith(b"\r\n"):
        plain += b"\r\n"
    assert sent(source)[0] == HEADER + plain
    assert sent(source, stuffed=True)[0] == HEADER + stuffed_slowly(plain)
    assert sent(b"skipped" + source, start=7)[0] == HEADER + plain


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"ab", b"\xe4", b"\r\n.\r\n"]), max_size=40), st.integers(1, 9))
def test_any_text_travels_whole(pieces, block):
    source = b"".join(pieces)
    own, module._BLOCK = module._BLOCK, block
    try:
        plain = with_crlf(source)
        plain += b"" if not plain or plain.endswith(b"\r\n") else b"\r\n"
        assert sent(source)[0] == HEADER + plain
        wire, body = sent(source, stuffed=True)
        assert b"\r\n.\r\n" not in wire
        assert wire == HEADER + stuffed_slowly(plain)
        assert body.eight_bit is not source.isascii()
    finally:
        module._BLOCK = own


def test_a_clean_body_is_not_copied():
    source = b"x" * 70 + b"\r\n"
    source *= 5000
    body = Body(HEADER, source, 0)
    pieces = list(body.pieces(stuffed=True))
    assert all(isinstance(piece, memoryview) and piece.obj is source for piece in pieces[1:])
    assert max(map(len, pieces)) <= 64 * 1024 + 1


def test_eight_bits_are_seen_in_header_and_body():
    assert sent(b"x")[1].eight_bit is False
    assert sent(b"x" * 70_000 + b"\xff")[1].eight_bit is True
    assert sent(b"x", header="Subject: ü\r\n\r\n".encode())[1].eight_bit is True


@pytest.mark.parametrize("at", [0, 70_000])
def test_a_nul_cannot_be_sent(at):
    source = b"x" * at + b"\x00y"
    with pytest.raises(ConfigurationError, match="NUL"):
        list(Body(HEADER, source, 0).measure())
