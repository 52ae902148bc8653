"""What words does a message hold, and does it hold these? Gmail matches whole words, in order, never parts of words."""

from __future__ import annotations

import re
from functools import lru_cache

from . import mime

__all__ = ["attachment_names", "body_words", "contains", "field_words", "forget", "has_attachment", "header_words", "tree", "words"]

_PUNCTUATION = re.compile(r"\W+")


def words(text: str) -> str:
    """The words of a text, lower case, each with a space before and after it."""
    return f" {_PUNCTUATION.sub(' ', text.casefold()).strip()} "


def contains(haystack: str, text: str) -> bool:
    """Whether the words of ``text`` stand in a row in what :func:`words` made. Text without a word is in everything."""
    needle = words(text)
    return needle in haystack if needle.strip() else True


@lru_cache(maxsize=4096)
def tree(raw: bytes) -> mime.Part:
    """The parts of a message."""
    return mime.parse(raw)


@lru_cache(maxsize=4096)
def field_words(raw: bytes, name: bytes) -> str | None:
    """The words of all fields of this lower-case name; ``None`` where there is none."""
    fields = mime.header_fields(raw, 0, mime.body_start(raw))
    found = [mime.decoded_header(mime.unfold(line)) for field_name, line in fields if field_name == name]
    return words(" ".join(found)) if found else None


@lru_cache(maxsize=2048)
def body_words(raw: bytes) -> str:
    """The words of the text parts."""
    return words(mime.decoded_text(raw, tree(raw)))


@lru_cache(maxsize=2048)
def header_words(raw: bytes) -> str:
    """The words of the whole header."""
    fields = mime.header_fields(raw, 0, mime.body_start(raw))
    return words("\n".join(mime.decoded_header(line.replace(b"\r\n", b"")) for _, line in fields))


def forget() -> None:
    """Let go of the messages that were read: an emulator was closed."""
    for cached in (tree, field_words, body_words, header_words):
        cached.cache_clear()


def attachment_names(raw: bytes) -> list[str]:
    """The file names of the attachments; one without a name is ``""``."""
    found, todo = [], [tree(raw)]
    while todo:
        part = todo.pop()
        disposition = part.value(b"content-disposition") or b""
        names = dict(mime.parameters(disposition))
        name = names.get(b"FILENAME", dict(part.params).get(b"NAME", b""))
        if disposition.strip().lower().startswith(b"attachment") or (name and part.kind != b"MULTIPART"):
            found.append(mime.decoded_header(name))
        todo.extend(part.children)
    return found


def has_attachment(raw: bytes) -> bool:
    """Whether ``has:attachment`` finds it."""
    return bool(attachment_names(raw))
