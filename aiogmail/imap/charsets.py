"""Which characters do these octets stand for? As their charset says, as far as that makes sense; nothing raises.

Senders declare latin-1 and write windows-1252, declare GB2312 and write GBK, declare ASCII and write anything. What was declared is
believed as long as it fits, then the wider charset that is meant by it, then a guess.
"""

from __future__ import annotations

import codecs
import functools
import re

__all__ = ["decode", "known_codec"]

_WIDER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "hz": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_jp": "euc_jis_2004",
    "iso2022_jp": "iso2022_jp_ext",
    "euc_kr": "cp949",
    "johab": "cp949",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "koi8-r": "koi8-u",
}
"""What is meant where another is named: senders use the characters of the wider one."""

_ALIASES = {
    "utf8mb4": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
    "x-unicode-2-0-utf-8": "utf-8",
    "cp65001": "utf-8",
    "iso-10646-ucs-2": "utf-16",
    "ucs-2": "utf-16",
    "unicode": "utf-16",
    "ansi": "cp1252",
    "x-ansi": "cp1252",
    "ansi_x3.110-1983": "iso8859-1",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "iso-8859-6-i": "iso8859-6",
    "iso-8859-6-e": "iso8859-6",
    "iso-8859-12": "iso8859-1",
    "x-sjis": "cp932",
    "sjis": "shift_jis",
    "x-euc-jp": "euc_jp",
    "x-euc": "euc_jp",
    "cp50220": "iso2022_jp_ext",
    "cp50221": "iso2022_jp_ext",
    "iso-2022-jp-ms": "iso2022_jp_ext",
    "ks_c_5601": "cp949",
    "ks_c_5601-1989": "cp949",
    "x-gbk": "gb18030",
    "gb18030-2005": "gb18030",
    "gb_2312-80": "gb2312",
    "x-big5": "big5",
    "cn-big5": "big5",
    "big5-eten": "big5",
    "cn-gb": "gb2312",
    "x-mac-roman": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "x-mac-ce": "mac_latin2",
    "koi8": "koi8-r",
    "koi8-ru": "koi8-u",
    "tis620": "tis-620",
}
_PAGE = re.compile(r"(?:x[-_])?(?:windows|win|cp|ibm|dos|microsoft-cp|ms|cs)[-_ ]?([0-9]{3,5})\b.*")
_ISO = re.compile(r"(?:x[-_])?iso[-_ ]?8859[-_ ]?([0-9]{1,2})\b.*")
_UTF8 = re.compile(r"(?:x[-_])?utf[-_ ]?8\b.*")
_NOT_CHARSETS = frozenset(  # codecs of Python's that are none, or that take much time over little
    {
        "unicode-escape",
        "raw-unicode-escape",
        "idna",
        "punycode",
        "undefined",
        "mbcs",
        "oem",
        "rot13",
        "base64",
        "bz2",
        "hex",
        "quopri",
        "uu",
    }
    | {"zlib", "unicode_escape", "raw_unicode_escape"}
)
_C1 = re.compile(rb"[\x80-\x9f]")
_TO_1252 = {octet: bytes([octet]).decode("cp1252") for octet in range(0x80, 0xA0) if octet not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_BAD_LEADS = re.compile(rb"[\x80-\xff]+")


def decode(octets: bytes | bytearray, charset: str | None) -> tuple[str, str]:
    """The text, and what was wrong with the octets or their charset: ``""`` if nothing.

    Args:
        octets: what stands there.
        charset: as it was declared; ``None`` or ``""``: it was not.
    """
    if not charset:
        if octets.isascii() and b"\x1b" not in octets:
            return octets.decode("ascii"), ""
        return _guess(octets), "not ASCII, and no charset is declared"
    codec = known_codec(charset)
    if codec is None:
        return _guess(octets), f"the charset {charset[:40]!r} is unknown"
    if codec == "ascii":
        if octets.isascii():
            return octets.decode("ascii"), ""
        return _guess(octets), "declared as ASCII, and is not"
    if codec == "iso8859-1":
        return _latin(octets), ""
    for name in (codec, _WIDER.get(codec)):
        if name is not None:
            try:
                return octets.decode(name), ""
            except ValueError:  # UnicodeError, and what some codecs raise besides
                pass
    wrong = f"holds octets that do not stand for a character of {charset[:40]}"
    if codec == "utf-8" and not _is_mostly_utf8(octets):
        return _latin(octets), wrong
    return _replaced(octets, _WIDER.get(codec, codec)), wrong


@functools.lru_cache(512)
def known_codec(charset: str) -> str | None:
    """The name of Python's codec for a charset under any of the names that are seen in mail; ``None``: there is none."""
    name = charset.strip(" \t\r\n\"'").lower().partition(";")[0].partition("*")[0]
    if not name or len(name) > 60 or not name.isascii():
        return None
    candidates = [_ALIASES.get(name), name]
    if match := _PAGE.fullmatch(name):
        candidates.append(f"cp{match[1]}")
    if match := _ISO.fullmatch(name):
        candidates.append(f"iso8859-{match[1]}")
    if _UTF8.fullmatch(name):
        candidates.append("utf-8")
    for candidate in candidates:
        if candidate is not None:
            try:
                found = codecs.lookup(candidate).name
            except (LookupError, ValueError):
                continue
            return None if found in _NOT_CHARSETS else found
    return None


def _guess(octets: bytes | bytearray) -> str:
    """UTF-8 where it is, Japanese where its escapes are, else what most senders' machines wrote without saying so."""
    for mark, name in ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if octets.startswith(mark):
            return _replaced(octets, name)
    try:
        if b"\x1b$" in octets and octets.isascii():
            return octets.decode("iso2022_jp_ext")
        return octets.decode("utf-8")
    except ValueError:
        return octets.decode("ascii") if octets.isascii() else _latin(octets)


def _latin(octets: bytes | bytearray) -> str:
    """ISO 8859-1, but windows-1252 where that has characters and ISO 8859-1 only control codes, as browsers have it too."""
    text = octets.decode("latin-1")
    return text.translate(_TO_1252) if _C1.search(octets) else text


def _is_mostly_utf8(octets: bytes | bytearray) -> bool:
    """Whether more characters beyond ASCII are well-formed UTF-8 than not."""
    good = sum(1 for _ in _MULTIBYTE.finditer(octets))
    bad = sum(1 for _ in _BAD_LEADS.finditer(_MULTIBYTE.sub(b"", octets)))
    return good >= bad


def _replaced(octets: bytes | bytearray, name: str) -> str:
    try:
        return octets.decode(name, "replace")
    except ValueError:
        return _latin(octets)
