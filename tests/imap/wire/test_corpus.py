"""Replies recorded from Gmail, from Dovecot and from RFC 9051's examples, cut in every way."""

import pytest

from aiogmail.imap.wire import Fetch, Unknown

from .ways import CORPUS, every_way, wire

UNKNOWN = {"dovecot.txt": ["METADATA", "THREAD", "FROBNICATE"]}


@pytest.mark.unmeasured
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_recorded_replies_are_read_wholly_however_they_are_cut(path):
    data = wire(path.read_bytes())
    responses, error = every_way(data)
    assert error is None
    assert (
        b"".join(b"".join(line + (b"" if index % 2 else b"\r\n") for index, line in enumerate(r.wire_lines())) for r in responses) == data
    )
    assert [r.name for r in responses if isinstance(r, Unknown)] == UNKNOWN.get(path.name, [])
    assert sum(response.wire_size for response in responses) == len(data)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_everything_in_recorded_replies_can_be_touched(path):
    responses, _ = every_way(wire(path.read_bytes()), every_split=0)
    for response in responses:
        assert repr(response)
        if isinstance(response, Fetch):
            assert set(response.attributes) == set(response.names())
