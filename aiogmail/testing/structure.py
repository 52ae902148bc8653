"""How does Gmail write ENVELOPE and BODYSTRUCTURE?"""

from __future__ import annotations

from .mime import Part, parameters

__all__ = ["address_list", "body_structure", "envelope", "nstring", "string"]

_PLAIN = frozenset(range(0x20, 0x7F))


def string(value: bytes) -> bytes:
    """A quoted string, or a literal where the value cannot be quoted."""
    if len(value) <= 1000 and _PLAIN.issuperset(value):
        return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"{%d}\r\n%s" % (len(value), value)


def nstring(value: bytes | None) -> bytes:
    """The same, or NIL."""
    return b"NIL" if value is None else string(value)


class _Addresses:
    """A cursor over an address list (RFC 5322 section 3.4), forgiving as a mail server must be."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.found: list[bytes] = []
        self.phrase: list[bytes] = []
        self.comment: bytes | None = None
        self.in_group = False

    def read(self) -> list[bytes]:
        text, position = self.text, 0
        while position < len(text):
            char = text[position : position + 1]
            if char in b" \t":
                position += 1
            elif char == b'"':
                word, position = self._quoted(position)
                self.phrase.append(word)
            elif char == b"(":
                self.comment, position = self._comment(position)
            elif char == b"<":
                end = text.find(b">", position)
                end = len(text) if end < 0 else end
                self._flush(text[position + 1 : end].strip())
                position = end + 1
            elif char in b",;":
                self._flush(None)
                if char == b";" and self.in_group:
                    self.found.append(b"(NIL NIL NIL NIL)")
                    self.in_group = False
                position += 1
            elif char == b":":
                self.found.append(b"(NIL NIL %s NIL)" % string(b" ".join(self.phrase)))
                self.phrase, self.in_group = [], True
                position += 1
            else:
                end = position
                while end < len(text) and text[end] not in b' \t"(<,;:':
                    end += 1
                self.phrase.append(text[position:end])
                position = end
        self._flush(None)
        return self.found

    def _quoted(self, position: int) -> tuple[bytes, int]:
        out, cursor = bytearray(), position + 1
        while cursor < len(self.text) and self.text[cursor] != 0x22:
            if self.text[cursor] == 0x5C:
                cursor += 1
            out += self.text[cursor : cursor + 1]
            cursor += 1
        return bytes(out), cursor + 1

    def _comment(self, position: int) -> tuple[bytes, int]:
        depth, cursor = 0, position
        while cursor < len(self.text):
            depth += {0x28: 1, 0x29: -1}.get(self.text[cursor], 0)
            cursor += 1
            if depth == 0:
                break
        return self.text[position + 1 : cursor - 1], cursor

    def _flush(self, angle: bytes | None) -> None:
        name = b" ".join(self.phrase) or None
        if angle is not None:
            address = angle.rsplit(b":", 1)[-1] if angle.startswith(b"@") else angle
        elif self.phrase:
            # Without <…> the words are the address itself: "a @ b" is one, and a comment is the name.
            address, name = b"".join(self.phrase), self.comment
        else:
            return
        self.phrase, self.comment = [], None
        mailbox, at, host = address.rpartition(b"@")
        if not at:
            mailbox, host = address, b""
        self.found.append(b"(%s NIL %s %s)" % (nstring(name), string(mailbox), nstring(host or None)))


def address_list(value: bytes | None) -> bytes:
    """An address list as in an envelope, or NIL."""
    found = _Addresses(value).read() if value else []
    return b"(" + b"".join(found) + b")" if found else b"NIL"


def envelope(part: Part) -> bytes:
    """date, subject, from, sender, reply-to, to, cc, bcc, in-reply-to, message-id (RFC 9051 section 7.5.2)."""
    sender_of_all = address_list(part.value(b"from"))
    items = [nstring(part.value(b"date")), nstring(part.value(b"subject")), sender_of_all]
    for name in (b"sender", b"reply-to"):
        own = address_list(part.value(name))
        items.append(sender_of_all if own == b"NIL" else own)
    items += [address_list(part.value(name)) for name in (b"to", b"cc", b"bcc")]
    items += [nstring(part.value(b"in-reply-to")), nstring(part.value(b"message-id"))]
    return b"(" + b" ".join(items) + b")"


def _params(params: list[tuple[bytes, bytes]]) -> bytes:
    if not params:
        return b"NIL"
    return b"(" + b" ".join(string(name) + b" " + string(value) for name, value in params) + b")"


def _disposition(part: Part) -> bytes:
    value = part.value(b"content-disposition")
    if not value:
        return b"NIL"
    name = value.partition(b";")[0].strip().upper()
    return b"(%s %s)" % (string(name), _params(parameters(value)))


def _leaf(raw: bytes, part: Part, extended: bool) -> list[bytes]:
    encoding = (part.value(b"content-transfer-encoding") or b"7BIT").strip().upper()
    items = [
        string(part.kind),
        string(part.subtype),
        _params(part.params),
        nstring(part.value(b"content-id")),
        nstring(part.value(b"content-description")),
        string(encoding),
        b"%d" % (part.end - part.body),
    ]
    if part.kind == b"TEXT" or part.is_message:
        if part.is_message:
            items += [envelope(part.children[0]), body_structure(raw, part.children[0], extended)]
        lines = raw.count(b"\n", part.body, part.end)
        if part.end > part.body and not raw.endswith(b"\n", part.body, part.end):
            lines += 1
        items.append(b"%d" % lines)
    if extended:
        items += [nstring(part.value(b"content-md5")), _disposition(part), nstring(part.value(b"content-language"))]
    return items


def body_structure(raw: bytes, part: Part, extended: bool = True) -> bytes:
    """BODYSTRUCTURE, or BODY where not ``extended``. Gmail leaves Content-Location out: parts end in three items, not four.

    Recursion is bounded by :data:`aiogmail.testing.mime.MAX_DEPTH`.
    """
    if part.kind == b"MULTIPART" and part.children:
        inner = b"".join(body_structure(raw, child, extended) for child in part.children)
        items = [inner, string(part.subtype)]
        if extended:
            items += [_params(part.params), _disposition(part), nstring(part.value(b"content-language"))]
    else:
        items = _leaf(raw, part, extended)
    return b"(" + b" ".join(items) + b")"
