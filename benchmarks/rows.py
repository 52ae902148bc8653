"""What does the replay server say? FETCH replies of each case, made once, and the sums that every client must come to.

Values are those of Gmail's transcripts: ids of 63 bits, UIDs in ascending order, attributes in the order of its replies.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

__all__ = ["SPECS", "Corpus", "Spec", "make"]

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
LABELS = [rb"\\Inbox", rb"\\Sent", rb"\\Important", rb"\\Starred", b"Work", b"Travel 2024", b"Receipts/2024", b"Caf&AOk-"]
FLAG_SETS = [b"", rb"\Seen", rb"\Seen \Answered", rb"\Flagged \Seen", rb"\Seen $Phishing", rb"\Draft \Seen", rb"\Seen NonJunk $MDNSent"]
SUBJECTS = [
    b"Re: Meeting notes for the third quarter (draft %d)",
    b"Invoice %d is ready",
    b"=?UTF-8?Q?Caf=C3=A9_=E2=80=93_order_%d?=",
    b'Your "special" order no. %d has shipped',
    b"Weekly digest: %d things you missed, and what to do about them next week",
]
NAMES = [b"Ada Lovelace", b"Grace Hopper", b"=?UTF-8?B?SsO8cmdlbiBNw7xsbGVy?=", b"Build System", None]


@dataclass(frozen=True)
class Spec:
    """One case: how many messages of which kind, whole and with ``--quick``."""

    count: int
    quick: int
    kind: str
    size: int = 0
    hashes: bool = False


SPECS = {
    "flags": Spec(20_000, 4_000, "flags"),
    "envelope": Spec(20_000, 2_000, "envelope"),
    "bodies": Spec(20_000, 2_000, "body", 4_000, hashes=True),
    "large": Spec(2_000, 400, "body", 50_000, hashes=True),
    "huge": Spec(4, 1, "body", 25_000_000, hashes=True),
    "mixed": Spec(40_000, 4_000, "mixed"),
}


@dataclass
class Corpus:
    """The rows of a mailbox, one behind the other.

    Attributes:
        rows: all replies; ``ends[uid]`` is where the row of ``uid`` ends, ``ends[0]`` is 0.
        sizes, size_ends: likewise the replies to a fetch of RFC822.SIZE.
        bodies: where the message of a UID begins and ends in ``rows``; for partial fetches.
        sums: what reading every row adds up to.
    """

    rows: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=lambda: [0])
    sizes: bytearray = field(default_factory=bytearray)
    size_ends: list[int] = field(default_factory=lambda: [0])
    bodies: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    sums: dict[str, int] = field(default_factory=dict)

    def add(self, row: bytes, body: tuple[int, int], size: int) -> None:
        """The row of the next UID."""
        at = len(self.rows)
        uid = len(self.ends)
        self.rows += row
        self.ends.append(len(self.rows))
        self.bodies.append((at + body[0], at + body[1]))
        self.sizes += b"* %d FETCH (UID %d RFC822.SIZE %d)\r\n" % (uid, uid, size)
        self.size_ends.append(len(self.sizes))

    def count(self, **values: int) -> None:
        """Add to the sums."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0) + value


def make(case: str, count: int) -> Corpus:
    """The mailbox of a case; the same for the same arguments."""
    chance = random.Random(f"{case} {count}")
    spec, corpus = SPECS[case], Corpus()
    if spec.kind == "body":
        _bodies(corpus, count, spec.size, chance)
        return corpus
    half = count // 2 if spec.kind == "mixed" else count
    for uid in range(1, count + 1):
        attributes: list[tuple[bytes, bytes]]
        if spec.kind == "flags" or (spec.kind == "mixed" and uid <= half):
            attributes = _flags(corpus, uid, chance)
        else:
            attributes = _envelope(corpus, uid, chance)
        if spec.kind == "mixed":
            attributes = _mix(attributes, chance)
        corpus.add(b"* %d FETCH (%b)\r\n" % (uid, b" ".join(name + b" " + value for name, value in attributes)), (0, 0), 0)
    return corpus


def _flags(corpus: Corpus, uid: int, chance: random.Random) -> list[tuple[bytes, bytes]]:
    gmail_id, flags, modseq = _gmail_id(chance), chance.choice(FLAG_SETS), 1_000_000 + uid * 7
    corpus.count(rows=1, uids=uid, flags=len(flags.split()), ids=2 * gmail_id - 7, modseqs=modseq)
    return [
        (b"X-GM-THRID", b"%d" % (gmail_id - 7)),
        (b"X-GM-MSGID", b"%d" % gmail_id),
        (b"UID", b"%d" % uid),
        (b"MODSEQ", b"(%d)" % modseq),
        (b"FLAGS", b"(%b)" % flags),
    ]


def _envelope(corpus: Corpus, uid: int, chance: random.Random) -> list[tuple[bytes, bytes]]:
    flags, labels = chance.choice(FLAG_SETS), chance.sample(LABELS, chance.randrange(4))
    size, date = chance.randrange(1_000, 60_000), BEGIN + timedelta(minutes=uid)
    number = chance.randrange(10_000, 99_999)
    subject = chance.choice(SUBJECTS) % number
    name = NAMES[uid % 500 % len(NAMES)]  # 500 people, each with one name
    sender = b"(%b NIL %b %b)" % (_string(name), _string(b"sender%d" % (uid % 500)), _string(b"mail.example.com"))
    to = b"(%b NIL %b %b)" % (_string(b"Me"), _string(b"me"), _string(b"gmail.com"))
    cc = b"(%b)" % b"".join(b'(NIL NIL "team%d" "example.org")' % n for n in range(chance.randrange(1, 4)))
    in_reply_to = _string(b"<%d.reply@mail.example.com>" % number if uid % 3 == 0 else None)
    zoned = date.astimezone(timezone(timedelta(hours=2)))
    envelope = b"(%b %b (%b) (%b) (%b) (%b) %b NIL %b %b)" % (
        _string(zoned.strftime("%a, %d %b %Y %H:%M:%S %z").encode()),
        _string(subject),
        sender,
        sender,
        sender,
        to,
        cc if uid % 4 == 0 else b"NIL",
        in_reply_to,
        _string(b"<%d.%d@mail.example.com>" % (uid, number)),
    )
    quoted = {b"Travel 2024", b"Caf&AOk-"}
    corpus.count(
        rows=1,
        uids=uid,
        flags=len(flags.split()),
        labels=len(labels),
        sizes=size,
        dates=date.minute,
        subjects=len(_decoded(subject)),
        senders=len(_decoded(name or b"")) + len(f"sender{uid % 500}@mail.example.com"),
    )
    return [
        (b"X-GM-LABELS", b"(%b)" % b" ".join(b'"%b"' % x if x in quoted or x[:1] == b"\\" else x for x in labels)),
        (b"UID", b"%d" % uid),
        (b"RFC822.SIZE", b"%d" % size),
        (b"INTERNALDATE", date.strftime('"%d-%b-%Y %H:%M:%S +0000"').encode()),
        (b"FLAGS", b"(%b)" % flags),
        (b"ENVELOPE", envelope),
    ]


def _bodies(corpus: Corpus, count: int, size: int, chance: random.Random) -> None:
    lines = [bytes(chance.choices(b"abcdefghij klmnop qrstuvwxyz.,", k=70)) + b"\r\n" for _ in range(997)]
    text = b"".join(chance.choices(lines, k=2000)) * (2 * size // 144_000 + 2)
    digest = 0
    for uid in range(1, count + 1):
        length = size if size > 1_000_000 else chance.randrange(size * 3 // 4, size * 5 // 4)
        head = b"Message-ID: <%d@mail.example.com>\r\nSubject: message %d\r\nFrom: Ada <ada@example.com>\r\n\r\n" % (uid, uid)
        start = chance.randrange(0, 72_000, 72)
        body = head + text[start : start + length - len(head) - 2] + b"\r\n"
        front = b"* %d FETCH (UID %d BODY[] {%d}\r\n" % (uid, uid, len(body))
        corpus.add(front + body + b")\r\n", (len(front), len(front) + len(body)), len(body))
        corpus.count(rows=1, uids=uid, octets=len(body))
        digest = (digest + int.from_bytes(hashlib.sha1(body).digest()[:8], "big")) % 2**64
    corpus.sums["digest"] = digest


# -- mixed: the same values as other servers, and other days, would write them ---------------------------------------------


def _mix(attributes: list[tuple[bytes, bytes]], chance: random.Random) -> list[tuple[bytes, bytes]]:
    """Another order, an attribute that nobody knows, and literals in the place of quoted strings."""
    mixed = [(name, _with_literals(value, chance) if name == b"ENVELOPE" else value) for name, value in attributes]
    mixed.append(chance.choice(UNKNOWN))
    chance.shuffle(mixed)
    return mixed


UNKNOWN = [
    (b"PREVIEW", b'"What is new (and what is not)"'),
    (b"X-GM-FUTURE", b'(a ("b c" NIL) 7)'),
    (b"X-TOKEN", b"(M6d99ac3275bb4e)"),
    (b"SAVEDATE", b"NIL"),
    (b"X-SNIPPET", b"{14}\r\nhello) {3}\r\n* "),
]
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')


def _with_literals(value: bytes, chance: random.Random) -> bytes:
    """Every fourth quoted string as a literal, as servers do with what holds quotes or 8-bit characters."""

    def literal(match: re.Match[bytes]) -> bytes:
        if chance.randrange(4):
            return match[0]
        text = re.sub(rb"\\(.)", rb"\1", match[1])
        return b"{%d}\r\n%b" % (len(text), text)

    return _QUOTED.sub(literal, value)


# -- values ----------------------------------------------------------------------------------------------------------------


def _gmail_id(chance: random.Random) -> int:
    return 1_780_000_000_000_000_000 + chance.randrange(10**16)


def _string(value: bytes | None) -> bytes:
    if value is None:
        return b"NIL"
    return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


_KNOWN: dict[bytes, Callable[[bytes], str]] = {
    b"=?UTF-8?Q?": lambda word: "Café \u2013 order " + word.rpartition(b"_")[2][:-2].decode(),
    b"=?UTF-8?B?": lambda _: "Jürgen Müller",
}


def _decoded(value: bytes) -> str:
    """What a person reads; told from how it was made, so that no decoder is its own judge."""
    for start, read in _KNOWN.items():
        if value.startswith(start):
            return read(value)
    return value.decode()
