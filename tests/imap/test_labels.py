"""What labels are called."""

import pytest

from aiogmail import ConfigurationError
from aiogmail.imap.labels import Label, canonical, check_labels, levels, nested, same, system_label, there


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("INBOX", "\\Inbox"),
        ("inbox", "\\Inbox"),
        ("\\INBOX", "\\Inbox"),
        ("\\Drafts", "\\Draft"),
        ("\\Junk", "\\Spam"),
        ("\\Flagged", "\\Starred"),
        ("\\New", "\\New"),
        ("Work", "Work"),
        ("work/INBOX", "work/INBOX"),
        (Label.SENT, "\\Sent"),
    ],
)
def test_a_label_has_one_spelling(written, meant):
    assert canonical(written) == meant
    assert type(canonical(written)) is str
    assert same(written, meant)


def test_labels_are_compared_without_regard_to_case():
    assert there(["Work", "\\STARRED"]) == there(["WORK", Label.STARRED])
    assert not same("Work", "Works")


def test_labels_come_once_and_in_order_out_of_lists_too():
    assert check_labels(["B", Label.STARRED, ["A", ("B",)], "\\starred"]) == ("B", "\\Starred", "A")
    assert check_labels(['with "quotes" \\ and (brackets)', "[x]", "&", "Straße"]) == (
        'with "quotes" \\ and (brackets)',
        "[x]",
        "&",
        "Straße",
    )


@pytest.mark.parametrize("bad", ["", " ", "\\", "a\r\nb", "a\0", "\x7f", "\ud800", 5, None, b"Work", [""], [None], []])
def test_what_is_no_label_is_refused(bad):
    with pytest.raises(ConfigurationError, match="labels: "):
        check_labels([bad])


def test_nested_names_are_put_together_and_taken_apart():
    assert nested("Work", "2026") == "Work/2026"
    assert levels("Work/2026") == ("Work", "2026")
    assert levels("Work.2026", ".") == ("Work", "2026")
    assert levels("a/b", None) == ("a/b",)
    for bad in [(), ("",), ("a/b",), (5,)]:
        with pytest.raises(ConfigurationError, match="names: "):
            nested(*bad)


@pytest.mark.parametrize(
    ("mailbox", "attributes", "label"),
    [
        ("inbox", (), "\\Inbox"),
        ("[Gmail]/Alle Nachrichten", ("\\All", "\\HasNoChildren"), None),
        ("[Gmail]/Corbeille", ("\\Trash",), "\\Trash"),
        ("[Gmail]/Brouillons", ("\\DRAFTS",), "\\Draft"),
        ("Work", ("\\HasNoChildren",), "Work"),
    ],
)
def test_a_mailbox_shows_a_label(mailbox, attributes, label):
    assert system_label(mailbox, attributes) == label
