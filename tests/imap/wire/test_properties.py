"""P1 to P4 of the wire: any segmentation, hostile bytes, linear work, and commands that say what was meant.

Examples are bounded and derandomized; ``AIOGMAIL_FUZZ=n`` multiplies them, with a random seed, for a nightly run.
"""

import datetime as dt
import gc
import os
import random
import re
import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiogmail.errors import ConfigurationError, LimitExceeded, ProtocolError
from aiogmail.imap.uidset import UidSet
from aiogmail.imap.wire import (
    Atom,
    Envelope,
    Fetch,
    Flag,
    Label,
    Literal,
    LiteralMode,
    Mailbox,
    MailboxList,
    Part,
    Quoted,
    Raw,
    ResponseParser,
    SearchDate,
    encode_command,
)
from aiogmail.secret import Secret
from aiogmail.settings import Limits
from tests.imap import oracle

from .ways import CORPUS, buffered, fact, outcome, stepped, wire

pytestmark = pytest.mark.slow  # on one Python: see noxfile.py

FUZZ = int(os.environ.get("AIOGMAIL_FUZZ", "0"))
SEED = random.randrange(1 << 30) if FUZZ else 11


def bounded(examples: int):
    return settings(
        deadline=None,
        derandomize=not FUZZ,
        max_examples=examples * max(1, FUZZ),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


# ---------------------------------------------------------------------------------------------- P1 and P2: what comes in

TOKENS = [
    b"* ", b"1 ", b"0 ", b"A1 ", b"OK ", b"NO ", b"BYE ", b"+ ", b"FETCH (", b"FLAGS (", b"UID 5 ", b"LIST () ", b"SEARCH ", b"ENVELOPE (", b"BODY[] ", b"X-GM-LABELS (", b"BODYSTRUCTURE (",
    b'"', b'"a"', b"\\", b'\\"', b"(", b")", b"))", b"[", b"]", b"NIL", b"NIL ", b" ", b"{3}\r\n", b"{0}\r\n", b"~{2}\r\n", b"{5+}\r\n", b"{99999999999}\r\n", b"{", b"}", b"\r\n", b"\r", b"\n", b"\0",
    b"\xc3\xa9", b"\xff", b"&AOk-", b"&", b"12345678901234567890", b"123456789012345678901", b"*", b"%", b"<0>", b",", b":", b"1:3,5", b"[UIDNEXT 4] ", b"STATUS x (", b"ID (", b"\t", b"a",
]  # fmt: skip
LIMITS = Limits(line=400, literal=100, response=600, depth=6)


def touch(responses) -> None:
    """Reads everything that a user could."""
    for response in responses:
        repr(response)
        assert response.wire_size == sum(map(len, response.wire_lines())) + 2 * (len(response.literals) + 1)
        if isinstance(response, Fetch):
            again = Fetch(
                response.raw,
                response.literals,
                response.uid,
                response.flags,
                response._match,
                None if response._match else response._values,
            )
            read = {name: again.get(name, "absent") for name in response.names()}
            assert read == response.attributes, response.raw  # one by one, and walked, it is the same
            for value in read.values():
                if isinstance(value, Envelope):
                    value._fields()
                elif isinstance(value, Part):
                    assert [part.section for part in value.walk()]
        elif isinstance(response, MailboxList):
            assert isinstance(response.name, str)


def judge(data: bytes, rng: random.Random, limits=Limits()) -> None:
    """Only the two errors come out; nothing after them; and the same however the bytes are cut."""
    responses, error = outcome([data], limits)
    touch(responses)
    facts = [fact(response) for response in responses]
    ways = [[data[i : i + 1] for i in range(len(data))]]
    for _ in range(3):
        at = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randint(1, 5)))
        ways.append([data[a:b] for a, b in zip([0, *at], [*at, len(data)])])
    for pieces in ways:
        again, other = outcome(pieces, limits)
        assert [fact(response) for response in again] == facts, data
        assert other == error, data
    for again, other in (buffered(data, limits, 7), stepped(data, limits)):
        assert ([fact(response) for response in again], other) == (facts, error), data
    assert error is None or error[0] in (ProtocolError, LimitExceeded)
    parser = ResponseParser(limits)
    try:
        parser.feed(data)
    except ProtocolError:
        pass
    if parser.error is not None:
        with pytest.raises(ProtocolError):
            parser.feed(b"* 1 EXISTS\r\n")


@bounded(700)
@given(st.lists(st.sampled_from(TOKENS), max_size=30), st.integers(0, 1 << 30), st.booleans())
def test_p2_words_of_the_grammar_in_any_order_give_responses_or_the_two_errors(tokens, seed, small):
    judge(b"* 1 EXISTS\r\n" + b"".join(tokens) + b"\r\n", random.Random(seed), LIMITS if small else Limits())


@bounded(200)
@given(st.binary(max_size=200), st.integers(0, 1 << 30))
def test_p2_any_bytes_give_responses_or_the_two_errors(data, seed):
    judge(data, random.Random(seed))


def mutate(data: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(data))
        kind = rng.randrange(6)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at : at + rng.randrange(1, 9)] = b""
        elif kind == 2:
            data[at:at] = rng.choice(TOKENS)
        elif kind == 3:
            data[at : at + 1] = rng.choice(TOKENS)
        elif kind == 4:
            other = rng.randrange(len(data))
            data[at:at] = data[other : other + rng.randrange(1, 40)]
        else:
            data[at] ^= 1 << rng.randrange(8)
        if not data:
            data += b"x"
    return bytes(data)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_p1_p2_mutants_of_recorded_replies(path):
    rng = random.Random(f"{path.stem}{SEED}")
    lines = outcome([wire(path.read_bytes())])[0]
    replies = [b"".join(line + (b"" if index % 2 else b"\r\n") for index, line in enumerate(response.wire_lines())) for response in lines]
    for _ in range(400 * max(1, FUZZ)):
        count = rng.randint(1, 3)
        start = rng.randrange(len(replies))
        judge(mutate(bytearray(b"".join(replies[start : start + count])), rng), rng)


# ---------------------------------------------------------------------------------------------- P3: work and memory

SHAPES = {
    "many lines": lambda n: b"* 23 EXISTS\r\n" * (n // 13),
    "many rows": lambda n: b"".join(b"* %d FETCH (UID %d FLAGS (\\Seen))\r\n" % (i, i) for i in range(1, n // 34)),
    "one long line": lambda n: b"* OK " + b"x" * n + b"\r\n",
    "many tiny literals": lambda n: b"* 1 FETCH (X (" + b"{2}\r\nab " * (n // 8) + b"))\r\n",
    "nested lists": lambda n: b"* 1 FETCH (X (" + (b"(" * 20 + b")" * 20) * (n // 40) + b"))\r\n",
    "shallow lists": lambda n: b"* 1 FETCH (BODYSTRUCTURE (" + b"(a)" * (n // 3) + b"))\r\n",
    "a long run of digits": lambda n: b"* SEARCH " + b"1" * n + b"\r\n",
    "digits in a list": lambda n: b"* 1 FETCH (X " + b"1" * n + b")\r\n",
    "many escapes": lambda n: b'* 1 FETCH (X "' + b'\\"' * (n // 2) + b'")\r\n',
    "many strings": lambda n: b"* 1 FETCH (X-GM-LABELS (" + b'"" ' * (n // 3) + b"))\r\n",
    "an open string": lambda n: b'* 1 FETCH (ENVELOPE ("' + b'\\"a' * (n // 3) + b"\r\n",
    "an open list": lambda n: b"* 1 FETCH (BODYSTRUCTURE (" + b'"a" ' * (n // 4) + b"\r\n",
    "many addresses": lambda n: (
        b"* 1 FETCH (ENVELOPE (NIL NIL (" + b'(NIL NIL "a" "b")' * (n // 17) + b") NIL NIL NIL NIL NIL NIL NIL))\r\n"
    ),
    "many attributes": lambda n: b"* 1 FETCH (" + b"X 1 " * (n // 4) + b"UID 5)\r\n",
    "a huge search": lambda n: b"* SEARCH" + b" 1234567" * (n // 8) + b"\r\n",
    "a huge esearch": lambda n: b"* ESEARCH UID ALL " + b",".join(b"%d" % i for i in range(1, n // 4, 2)) + b"\r\n",
    "a huge list": lambda n: b'* LIST (\\HasNoChildren) "/" "folder"\r\n' * (n // 40),
    "plus after plus": lambda n: b"+ \r\n" * (n // 4),
    "flood of the unknown": lambda n: b"* 5 FROB (a b) c\r\n" * (n // 18),
    "braces": lambda n: b"* OK " + b"}{" * (n // 2) + b"}\r\n",
    "shifts of utf-7": lambda n: b'* LIST () "/" "' + b"&AOk-&" * (n // 6) + b'"\r\n',
}
LOOSE = Limits(line=1 << 26, literal=1 << 26, response=1 << 27)


def work(data: bytes, piece: int = 4096) -> float:
    """Seconds of CPU to parse and touch it, the best of a few."""
    pieces = [data[i : i + piece] for i in range(0, len(data), piece)]
    best = spent = 0.0
    while spent < 0.012 or not best:
        gc.collect()
        gc.disable()
        start = time.process_time()
        responses, _ = outcome(pieces, LOOSE)
        for response in responses:
            if isinstance(response, Fetch):
                dict(response.attributes)
        took = time.process_time() - start
        gc.enable()
        spent += took
        best = min(best or took, took)
    return best


@pytest.mark.parametrize("shape", list(SHAPES))
def test_p3_work_grows_with_the_bytes_and_no_faster(shape):
    make, size = SHAPES[shape], 1 << 15
    while work(make(size)) < 0.002 and size < 1 << 18:  # four times that still fits a processor's cache
        size *= 2
    for _ in range(5):  # another program on the machine may spoil a measurement, never five
        times = [work(make(size * factor)) for factor in (1, 2, 4)]
        if times[1] <= 2.6 * times[0] and times[2] <= 2.6 * times[1]:
            return
    pytest.fail(f"{shape}: {size} bytes and twice and four times that took {times}")


@pytest.mark.parametrize("shape", list(SHAPES))
def test_p3_memory_is_bounded_by_the_limits(shape):
    limits = Limits(line=1 << 16, literal=1 << 16, response=1 << 17)
    data = SHAPES[shape](1 << 18)
    pieces = [data[i : i + 1000] for i in range(0, len(data), 1000)]
    parser = ResponseParser(limits)
    parser.feed(b"* 1 FETCH (UID 1)\r\n")
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    try:
        for part in pieces:
            parser.feed(part)
    except ProtocolError:
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before <= 4 * limits.response


# ---------------------------------------------------------------------------------------------- P4: what goes out

NASTY = [
    "", "NIL", "nil", "inbox", "{5}", "{5+}", "~{5}", "\r\n", "a\r\nA2 LOGOUT", '"', "\\", '\\"', "(", ")", "a b", " ", "\0", "\t", "\x7f", "\u2028", "\x85", "\ud800", "é", "&", "&AOk-", "*", "%", "]", "[x]",
    "x" * 1024, "x" * 65536, "é" * 2000, " " * 5000, "+", "\\Seen", "a]", "}", '"{3}', "😀", "=?UTF-8?Q?x?=", "1:*", "~",
]  # fmt: skip
text = st.one_of(st.sampled_from(NASTY), st.text(max_size=40), st.text(st.sampled_from('ab "\\(){}[]*%&+~\r\n\0\x7fé\ud800'), max_size=12))
octets = st.one_of(text.map(lambda value: value.encode("utf-8", "surrogatepass")), st.binary(max_size=40))
uids = st.one_of(
    st.sets(st.integers(1, 4294967295), max_size=9),
    st.text(st.sampled_from("0123456789:,*- "), max_size=9),
    st.integers(-1, 4294967297),
)
moments = st.datetimes(timezones=st.integers(-86399, 86399).map(lambda seconds: dt.timezone(dt.timedelta(seconds=seconds))))


def string(value: bytes):
    return ("string", value)


def mailbox(value: str):
    return ("mailbox", value)


def make(kind, value):
    """The argument and what a server must read; ConfigurationError where it is refused."""
    if kind == "str":
        return value, lambda: string(value.encode())
    if kind == "bytes":
        return value, lambda: string(value)
    if kind == "secret":
        return Secret(value), lambda: string(value.encode())
    if kind == "mailbox":
        return Mailbox(value), lambda: mailbox(value)
    if kind == "label":
        return Label(value), lambda: mailbox(value)
    if kind == "flag":
        return Flag(value), lambda: ("atom", value.encode())
    if kind == "atom":
        return Atom(value), lambda: ("atom", value.encode())
    if kind == "quoted":
        return Quoted(value), lambda: string(value.encode())
    if kind == "literal":
        return Literal(value, binary=b"\0" in value), lambda: string(value)
    if kind == "uids":
        made = UidSet(value)
        return made, lambda: ("uids", set(made))
    if kind == "int":
        return value, lambda: ("atom", b"%d" % value)
    if kind == "none":
        return None, lambda: ("atom", b"NIL")
    if kind == "date":
        return SearchDate(value), lambda: ("date", value)
    return value, lambda: ("moment", value)


argument = st.one_of(
    *(st.tuples(st.just(kind), text) for kind in ("str", "mailbox", "label", "flag", "atom", "secret", "quoted")),
    *(st.tuples(st.just(kind), octets) for kind in ("bytes", "literal")),
    st.tuples(st.just("uids"), uids),
    st.tuples(st.just("int"), st.integers(-2, 1 << 65)),
    st.tuples(st.just("none"), st.none()),
    st.tuples(st.just("date"), st.dates()),
    st.tuples(st.just("moment"), moments),
)


def heard(expected, word, utf8: bool) -> None:
    """The server understood what was meant."""
    kind, value = expected
    if kind == "list":
        assert isinstance(word, list)
        assert len(word) == len(value)
        for inner, item in zip(value, word):
            heard(inner, item, utf8)
    elif kind == "string":
        assert word.octets == value
        assert isinstance(word, oracle.String) or value.upper() != b"NIL"
    elif kind == "mailbox":
        assert (word.octets.decode() if utf8 else oracle.mailbox_name(word.octets)) == value
        assert isinstance(word, oracle.String) or value.upper() != "NIL"
    elif kind == "uids":
        ranges = [[int(end) for end in item.split(b":")] for item in word.octets.split(b",")]
        assert len(value) == sum(ends[-1] - ends[0] + 1 for ends in ranges)
        assert all(uid in value for ends in ranges for uid in ends)
    elif kind == "date":
        day, month, year = word.octets.split(b"-")
        assert dt.datetime.strptime(f"{int(day):02}-{month.decode()}-{year.decode()}", "%d-%b-%Y").date() == value
    elif kind == "moment":
        assert word.form == "quoted"
        assert len(word.octets) == 26
        read = dt.datetime.strptime(word.octets.decode().strip().zfill(26), "%d-%b-%Y %H:%M:%S %z")
        assert read == value.replace(microsecond=0)
    else:
        assert word == oracle.Atom(value)


def shape(arguments, nest):
    """Some of the arguments in lists."""
    if nest and arguments:
        values, expectations = zip(*arguments)
        return [(list(values), lambda: ("list", [expected() for expected in expectations])), arguments[0]]
    return arguments


@bounded(1200)
@given(st.lists(argument, max_size=5), st.booleans(), st.sampled_from(list(LiteralMode)), st.booleans())
def test_p4_a_strict_server_reads_what_was_meant_or_nothing_is_sent(arguments, nest, mode, utf8):
    try:
        made = shape([make(*one) for one in arguments], nest)
        command = encode_command("A1", "UID X", *(value for value, _ in made), literal=mode, utf8=utf8)
    except ConfigurationError:
        return
    tag, words = oracle.Ear(command.segments, mode.value, utf8).command()
    assert tag == b"A1"
    assert words[:2] == [oracle.Atom(b"UID"), oracle.Atom(b"X")]
    assert len(words) == 2 + len(made)
    for (_, expected), word in zip(made, words[2:]):
        heard(expected(), word, utf8)
    assert "\r" not in command.redacted
    assert "\n" not in command.redacted


@bounded(300)
@given(st.text(st.sampled_from('ABCDEFGZ.[]<>0 ()"\\{}\r\n\0é*%'), max_size=20))
def test_p4_protocol_text_cannot_leave_its_place(raw):
    try:
        command = encode_command("A1", "FETCH", UidSet(1), [Raw(raw)], Atom("END"))
    except ConfigurationError:
        return
    octets = b"".join(bytes(buffer) for buffer in command.segments[0])
    assert len(command.segments) == 1
    assert octets == b"A1 FETCH 1 (" + raw.encode() + b") END\r\n"
    assert octets.count(b"\r\n") == 1
    assert b"{" not in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", octets)  # in quotes it announces nothing


def test_p4_the_corpus_of_nasty_strings_is_tried_in_every_kind():
    kinds = ("str", "mailbox", "label", "flag", "atom", "secret", "quoted")
    sent = 0
    for kind in kinds:
        for value in NASTY:
            for mode in LiteralMode:
                for utf8 in (False, True):
                    try:
                        given_, expected = make(kind, value)
                        command = encode_command("A1", "X", given_, literal=mode, utf8=utf8)
                    except ConfigurationError:
                        continue
                    _, words = oracle.Ear(command.segments, mode.value, utf8).command()
                    heard(expected(), words[1], utf8)
                    sent += 1
    assert sent > 500
