"""Header fields as a mapping."""

import pytest

from aiogmail import Headers, NotFetched

RAW = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n and more\r\nReceived: one\r\nX-Caf\xe9: no field\r\nreceived: two\r\n\r\n"


def test_fields_are_decoded_by_name_in_any_case():
    headers = Headers(RAW)
    assert headers["SUBJECT"] == headers["subject"] == "Grüße and more"
    assert headers.raw("subject") == (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?= and more",)
    assert headers["Received"] == "one"
    assert headers.get_all("received") == ("one", "two")
    assert headers.get_all("none") == headers.raw("none") == ()
    assert headers.get("none") is None
    assert "subject" in headers
    assert "none" not in headers
    assert list(headers) == ["Subject", "Received"]
    assert len(headers) == 2
    assert repr(headers) == "Headers(Subject, Received)"
    with pytest.raises(KeyError):
        headers["none"]


def test_a_field_that_was_not_asked_for_is_not_taken_for_missing():
    headers = Headers(RAW, frozenset({"subject", "to"}))
    assert headers["subject"]
    assert headers.get("to") is None
    for ask in (headers.__getitem__, headers.get, headers.get_all, headers.raw):
        with pytest.raises(NotFetched, match="header:from"):
            ask("From")
