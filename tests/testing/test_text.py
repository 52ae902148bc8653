import pytest

from aiogmail.testing import text


@pytest.mark.parametrize(
    ("haystack", "needle", "found"),
    [
        ("Monthly report", "report", True),
        ("Monthly report", "REPORT", True),
        ("Monthly report", "repo", False),
        ("Monthly report", "monthly report", True),
        ("Monthly report", "report monthly", False),
        ("ada@example.org", "example.org", True),
        ("ada@example.org", "ample", False),
        ("Straße", "STRASSE", True),
        ("anything", "...", True),
        ("", "x", False),
    ],
)
def test_whole_words_match_in_order_and_parts_of_words_never(haystack, needle, found):
    assert text.contains(text.words(haystack), needle) is found


def test_a_field_that_is_not_there_is_none():
    assert text.field_words(b"A: b\r\n\r\n", b"x") is None
    assert text.field_words(b"To: a@b\r\nTo: c@d\r\n\r\n", b"to") == " a b c d "


@pytest.mark.parametrize(
    ("head", "names"),
    [
        (b"Content-Disposition: attachment", [""]),
        (b"Content-Disposition: attachment; filename=a.png", ["a.png"]),
        (b"Content-Type: image/png; name=b.png", ["b.png"]),
        (b"Content-Disposition: inline", []),
        (b"Content-Type: text/plain", []),
    ],
)
def test_attachments(head, names):
    raw = head + b"\r\n\r\nx"
    assert text.attachment_names(raw) == names
    assert text.has_attachment(raw) is bool(names)
