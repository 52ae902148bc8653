import pytest

from aiogmail.testing.names import LOCALES, decode_utf7, encode_utf7, system_names


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("INBOX", b"INBOX"),
        ("Tom & Jerry", b"Tom &- Jerry"),
        ("böx", b"b&APY-x"),
        ("[Gmail]/Messages envoyés", b"[Gmail]/Messages envoy&AOk-s"),
        ("台北", b"&U,BTFw-"),
        ("~peter/mail/日本語", b"~peter/mail/&ZeVnLIqe-"),
        ("a😀b", b"a&2D3eAA-b"),
        ("ü&", b"&APw-&-"),
        ("", b""),
    ],
)
def test_names_travel_as_modified_utf7(name, raw):
    assert encode_utf7(name) == raw
    assert decode_utf7(raw) == name


@pytest.mark.parametrize("raw", [b"\xc3\xbc", b"a\x01", b"&APw", b"&!-", b"&AGE-", b"&2D0-", b"&APw-&APw-", b"&AA-"])
def test_what_is_no_modified_utf7_is_refused(raw):
    with pytest.raises(ValueError):
        decode_utf7(raw)


@pytest.mark.parametrize("locale", sorted(LOCALES))
def test_every_locale_names_all_system_mailboxes(locale):
    prefix, names = system_names(locale)
    assert set(names) == {"inbox", "all", "drafts", "important", "sent", "spam", "starred", "trash"}
    assert all(name == "INBOX" or name.startswith(f"{prefix}/") for name in names.values())


def test_an_unknown_locale_is_refused():
    with pytest.raises(ValueError, match="locale: expected one of"):
        system_names("tlh")
