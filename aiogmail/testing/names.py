"""What are Gmail's own mailboxes called, in which language, and which numbers do they have?"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass

__all__ = ["INBOX", "LOCALES", "SYSTEM", "SystemName", "decode_utf7", "encode_utf7", "system_names"]

INBOX = "INBOX"


@dataclass(frozen=True, slots=True)
class SystemName:
    """One of Gmail's own mailboxes.

    Attributes:
        key: how the code calls it.
        label: how X-GM-LABELS calls it; ``""`` for All Mail, which is no label.
        use: its special-use attribute; XLIST's where that differs.
        xlist: the attribute in XLIST.
        uidvalidity: the value seen in recorded sessions.
    """

    key: str
    label: str
    use: str
    xlist: str
    uidvalidity: int


SYSTEM = (
    SystemName("inbox", "\\Inbox", "", "\\Inbox", 1),
    SystemName("all", "", "\\All", "\\AllMail", 11),
    SystemName("drafts", "\\Draft", "\\Drafts", "\\Drafts", 6),
    SystemName("important", "\\Important", "\\Important", "\\Important", 9),
    SystemName("sent", "\\Sent", "\\Sent", "\\Sent", 5),
    SystemName("spam", "\\Spam", "\\Junk", "\\Spam", 3),
    SystemName("starred", "\\Starred", "\\Flagged", "\\Starred", 4),
    SystemName("trash", "\\Trash", "\\Trash", "\\Trash", 2),
)

_KEYS = ("all", "drafts", "important", "sent", "spam", "starred", "trash")
LOCALES: dict[str, tuple[str, ...]] = {
    "en": ("[Gmail]", "All Mail", "Drafts", "Important", "Sent Mail", "Spam", "Starred", "Trash"),
    "en-GB": ("[Google Mail]", "All Mail", "Drafts", "Important", "Sent Mail", "Spam", "Starred", "Bin"),
    "de": ("[Google Mail]", "Alle Nachrichten", "Entwürfe", "Wichtig", "Gesendet", "Spam", "Markiert", "Papierkorb"),
    "fr": ("[Gmail]", "Tous les messages", "Brouillons", "Important", "Messages envoyés", "Spam", "Suivis", "Corbeille"),
    "lt": ("[Gmail]", "Visi laiškai", "Juodraščiai", "Svarbu", "Išsiųsti laiškai", "Šlamštas", "Su žvaigždute", "Šiukšliadėžė"),
    "ja": ("[Gmail]", "すべてのメール", "下書き", "重要", "送信済みメール", "迷惑メール", "スター付き", "ゴミ箱"),
}


def system_names(locale: str) -> tuple[str, dict[str, str]]:
    """The prefix (``[Gmail]``) and key → full name, in the account's language."""
    if locale not in LOCALES:
        raise ValueError(f"locale: expected one of {', '.join(sorted(LOCALES))}, got {locale!r}")
    prefix, *rest = LOCALES[locale]
    names = {"inbox": INBOX}
    names.update({key: f"{prefix}/{name}" for key, name in zip(_KEYS, rest, strict=True)})
    return prefix, names


def encode_utf7(name: str) -> bytes:
    """Modified UTF-7 (RFC 3501 section 5.1.3)."""
    out = bytearray()
    run = ""
    for char in [*name, ""]:
        if char and not " " <= char <= "~":
            run += char
            continue
        if run:
            out += b"&" + b64encode(run.encode("utf-16-be")).rstrip(b"=").replace(b"/", b",") + b"-"
            run = ""
        out += b"&-" if char == "&" else char.encode()
    return bytes(out)


def decode_utf7(raw: bytes) -> str:
    """The text of a name in modified UTF-7.

    Raises:
        ValueError: it is not modified UTF-7: 8-bit or control bytes, an open shift, base64 that is none or not canonical.
    """
    text, position = "", 0
    while position < len(raw):
        amp = raw.find(b"&", position)
        plain = raw[position : amp if amp >= 0 else len(raw)]
        if any(not 0x20 <= byte <= 0x7E for byte in plain):
            raise ValueError("byte outside printable ASCII")
        text += plain.decode("ascii")
        if amp < 0:
            break
        end = raw.find(b"-", amp)
        if end < 0:
            raise ValueError("shift without end")
        shifted = raw[amp + 1 : end]
        if shifted:
            padded = shifted.replace(b",", b"/") + b"=" * (-len(shifted) % 4)
            text += b64decode(padded, validate=True).decode("utf-16-be")
        else:
            text += "&"
        position = end + 1
    if encode_utf7(text) != raw:
        raise ValueError("not the canonical form")
    return text
