"""Where a POP3 reply ends, and what it says: the wire, alone."""

import random
import time
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aiogmail.errors import ConfigurationError, LimitExceeded, ProtocolError
from aiogmail.pop3.wire import (
    END,
    Challenge,
    Expect,
    ReplyParser,
    Status,
    check_uidl,
    read_capabilities,
    read_pairs,
    read_status,
)
from aiogmail.settings import Limits

LIMITS = Limits(line=4096, literal=8192, response=4096)
LINE, LINES, AUTH = Expect.LINE, Expect.LINES, Expect.AUTH


def parse(data, expected, cuts=(), limits=LIMITS):
    """The events with neighbouring octets joined, and the kind of error at the end."""
    parser = ReplyParser(limits)
    for reply in expected:
        parser.expect(reply)
    events = []
    edges = [0, *cuts, len(data)]
    for start, stop in zip(edges, edges[1:], strict=False):
        for event in parser.feed(data[start:stop]):
            if isinstance(event, bytes) and events and isinstance(events[-1], bytes):
                events[-1] += event
            else:
                events.append(event)
    return events, type(parser.error) if parser.error else None


def everywhere(data, expected, limits=LIMITS):
    """The same whole, byte by byte, cut once anywhere, and cut at random: P1."""
    whole = parse(data, expected, limits=limits)
    assert parse(data, expected, range(1, len(data)), limits) == whole
    if len(data) < 2048:
        for cut in range(1, len(data)):
            assert parse(data, expected, [cut], limits) == whole, cut
    chance = random.Random(len(data))
    for _ in range(64):
        cuts = sorted(chance.sample(range(len(data) + 1), min(len(data), chance.randrange(1, 12))))
        assert parse(data, expected, cuts, limits) == whole, cuts
    return whole


OK = Status(True, "", "")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"+OK", OK),
        (b"+OK ", OK),
        (b"+OK Gpop ready", Status(True, "", "Gpop ready")),
        (b"-ERR", Status(False, "", "")),
        (b"-ERR [AUTH] Invalid credentials.", Status(False, "AUTH", "Invalid credentials.")),
        (b"-ERR [sys/temp]  again", Status(False, "SYS/TEMP", " again")),
        (b"+OK [SYS/TEMP] seems empty", Status(True, "SYS/TEMP", "seems empty")),
        (b"-ERR [not a code] x", Status(False, "", "[not a code] x")),
        (b"-ERR [open", Status(False, "", "[open")),
        (b"-ERR []", Status(False, "", "[]")),
        (b"-ERR caf\xe9", Status(False, "", "caf\ufffd")),
        ("-ERR déjà".encode(), Status(False, "", "déjà")),
    ],
)
def test_a_status_line_and_its_response_code(line, status):
    assert read_status(line) == status


@pytest.mark.parametrize("line", [b"", b"+ok x", b"OK", b"+OKAY", b"-ERROR", b"* OK", b"+OK a\rb", b"-ERR a\0b", b"+OK\tx"])
def test_what_is_no_status_line_is_refused(line):
    with pytest.raises(ProtocolError):
        read_status(line)


def test_a_status_reads_as_it_stood():
    assert str(Status(False, "SYS/TEMP", "again")) == "-ERR [SYS/TEMP] again"
    assert str(OK) == "+OK"


def test_single_lines():
    events, error = everywhere(b"+OK hello\r\n-ERR no\r\n+OK\r\n", [LINE, LINE, LINE])
    assert events == [Status(True, "", "hello"), Status(False, "", "no"), OK]
    assert error is None


def test_lines_end_at_the_lone_dot_and_dots_are_unstuffed():
    data = b"+OK\r\n..a\r\nb\r\n...\r\n.x\r\n\r\n.\r\n+OK\r\n"
    assert everywhere(data, [LINES, LINE])[0] == [OK, b".a\r\nb\r\n..\r\nx\r\n\r\n", END, OK]


def test_an_empty_body():
    assert everywhere(b"+OK\r\n.\r\n+OK\r\n.\r\n", [LINES, LINES])[0] == [OK, END, OK, END]


def test_a_refusal_has_no_body():
    assert everywhere(b"-ERR no\r\n+OK\r\n", [LINES, LINE])[0] == [Status(False, "", "no"), OK]


@pytest.mark.parametrize(
    "trick",
    [b"a\n.\nb", b"a\r.\rb", b"a\r\n.\rb", b"a\r\n.\nb", b"a\n.\r\nb", b".\r", b".\n", b"\r\n\r", b"\r\r\n", b"\0\xff\r\n", b". \r\n"],
)
def test_nothing_but_crlf_dot_crlf_ends_a_body(trick):
    events, error = everywhere(b"+OK\r\n" + trick.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n+OK end\r\n", [LINES, LINE])
    assert events[-2:] == [END, Status(True, "", "end")]
    assert events[1] == trick.removeprefix(b".") + b"\r\n"
    assert error is None


def test_a_challenge_comes_before_the_status():
    events, _ = everywhere(b"+ eyJ9\r\n-ERR [AUTH] no\r\n", [AUTH])
    assert events == [Challenge(b'{"}'), Status(False, "AUTH", "no")]
    assert everywhere(b"+ \r\n+\r\n+ ???\r\n+OK\r\n", [AUTH])[0] == [Challenge(b""), Challenge(b""), Challenge(b""), OK]


def test_a_challenge_answers_no_other_command():
    assert everywhere(b"+ \r\n", [LINE]) == ([], ProtocolError)


def test_last_words_are_told_and_anything_else_unasked_is_an_error():
    assert everywhere(b"+OK\r\n-ERR bye\r\n", [LINE]) == ([OK, Status(False, "", "bye")], None)
    assert everywhere(b"+OK\r\n+OK forged\r\n", [LINE]) == ([OK], ProtocolError)


@pytest.mark.parametrize("line", [b"+OK\n", b"+OK \n\r\n", b"\r\n", b"+OK\r\r\n", b"HTTP/1.1 400 Bad\r\n", b"\0\0\r\n"])
def test_after_an_error_nothing_is_interpreted(line):
    events, error = everywhere(line + b"+OK\r\n", [LINE, LINE])
    assert (events, error) == ([], ProtocolError)


def test_limits_hold_for_lines_and_bodies_and_tables():
    assert everywhere(b"+OK " + b"x" * 4090 + b"\r\n", [LINE])[1] is None
    assert everywhere(b"+OK " + b"x" * 4091 + b"\r\n", [LINE]) == ([], LimitExceeded)
    assert everywhere(b"x" * 5000, [LINE]) == ([], LimitExceeded)
    body = b"x" * 8190 + b"\r\n"
    assert everywhere(b"+OK\r\n" + body + b".\r\n", [LINES]) == ([OK, body, END], None)
    assert everywhere(b"+OK\r\n" + body + b"y\r\n.\r\n", [LINES]) == ([OK, body], LimitExceeded)
    parser = ReplyParser(LIMITS)
    parser.expect(LINES, table=True)
    parser.feed(b"+OK\r\n" + b"1 2\r\n" * 1000 + b".\r\n")
    assert type(parser.error) is LimitExceeded


def test_it_knows_whether_a_reply_has_begun():
    parser = ReplyParser(LIMITS)
    parser.expect(LINES)
    for piece, begun in [(b"+O", True), (b"K\r\n", True), (b"x", True), (b"\r\n.\r\n", False)]:
        parser.feed(piece)
        assert parser.mid_reply is begun
    parser.feed(b"nonsense\r\n")
    assert parser.feed(b"+OK\r\n") == []
    assert not parser.mid_reply


OCTETS = st.lists(st.sampled_from([b"a", b".", b"..", b"\r\n", b"\r", b"\n", b"\r\n.", b"\xff", b"+OK", b"-ERR x"])).map(b"".join)


def stuffed(body):
    """RFC 1939 section 3, as a server does it."""
    out = b"." + body if body.startswith(b".") else body
    out = out.replace(b"\r\n.", b"\r\n..")
    return out + (b".\r\n" if not out or out.endswith(b"\r\n") else b"\r\n.\r\n")


@given(st.lists(st.one_of(st.just(None), OCTETS), max_size=6), st.data())
@example([b".\r\n.\r\n", None, b""], None)
def test_the_kth_reply_is_the_kth_commands_in_any_segmentation(replies, data):
    """P1 and P5: ``None`` is a command with a status line alone."""
    stream, expected, wanted = b"", [], []
    for number, body in enumerate(replies):
        stream += b"+OK %d\r\n" % number + (b"" if body is None else stuffed(body))
        expected.append(LINE if body is None else LINES)
        wanted.append(Status(True, "", str(number)))
        if body is not None:
            whole = body if not body or body.endswith(b"\r\n") else body + b"\r\n"
            wanted += [whole, END] if whole else [END]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8))) if data else range(1, len(stream))
    assert parse(stream, expected, cuts) == (wanted, None)


@given(st.binary(max_size=300), st.lists(st.sampled_from(Expect), max_size=5), st.lists(st.integers(0, 300), max_size=5))
def test_hostile_bytes_give_nothing_but_protocol_errors_and_nothing_after_them(data, expected, cuts):
    """P2, and P1 for nonsense."""
    whole = parse(data, expected)
    assert whole[1] in (None, ProtocolError, LimitExceeded)
    assert parse(data, expected, sorted(cut for cut in cuts if cut < len(data))) == whole


SHAPES = {
    "short status lines": lambda n: ([LINE] * n, b"+OK x\r\n" * n),
    "one long body": lambda n: ([LINES], b"+OK\r\n" + b"x" * (60 * n) + b"\r\n.\r\n"),
    "short lines": lambda n: ([LINES], b"+OK\r\n" + b"a\r\n" * (10 * n) + b".\r\n"),
    "dots": lambda n: ([LINES], b"+OK\r\n" + b"..\r\n" * (10 * n) + b".\r\n"),
    "almost the end": lambda n: ([LINES], b"+OK\r\n" + b"\r\n.\r" * (10 * n) + b"\r\n.\r\n"),
    "small bodies": lambda n: ([LINES] * n, b"+OK\r\nab\r\n.\r\n" * n),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_memory_is_linear_and_bounded(shape):
    """P3, the part that no busy machine disturbs."""
    limits = Limits()

    def peak(n, segment):
        expected, data = SHAPES[shape](n)
        parser = ReplyParser(limits)
        for reply in expected:
            parser.expect(reply)
        tracemalloc.start()
        for start in range(0, len(data), segment):
            parser.feed(data[start : start + segment])
        assert parser.error is None
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(4000, 4096) <= 2.6 * peak(2000, 4096) + 65536


@pytest.mark.nightly
@pytest.mark.parametrize("segment", [1, 100, 65536])
@pytest.mark.parametrize("shape", SHAPES)
def test_time_is_linear(shape, segment):
    def took(n):
        expected, data = SHAPES[shape](n)
        best = float("inf")
        for _ in range(3):
            parser = ReplyParser(Limits())
            for reply in expected:
                parser.expect(reply)
            began = time.process_time()
            for start in range(0, len(data), segment):
                parser.feed(data[start : start + segment])
            best = min(best, time.process_time() - began)
        return best

    took(500)
    ratios = []
    for _ in range(5):  # another process's share of the caches is none of ours
        ratios.append((took(16_000) - 0.001) / took(8000))
        if ratios[-1] <= 2.6:
            return
    pytest.fail(f"twice as much took {ratios} times as long")


def test_rows_of_uidl_and_list():
    assert read_pairs(b"1 GmailId0123456789abcdef\r\n2 x y\r\n") == {1: "GmailId0123456789abcdef", 2: "x"}
    assert read_pairs(b"1  120\r\n") == {1: "120"}
    assert read_pairs(b"") == {}


@pytest.mark.parametrize("table", [b"x 1\r\n", b"1\r\n", b"1 a\r\n1 b\r\n", b"-1 a\r\n", b"12345678901 a\r\n", b"\xb2 x\r\n"])
def test_what_is_no_row_is_refused(table):
    with pytest.raises(ProtocolError):
        read_pairs(table)


def test_capabilities():
    assert read_capabilities(b"TOP\r\nsasl PLAIN XOAUTH2\r\nEXPIRE 0\r\n \r\n") == {
        "TOP": (),
        "SASL": ("PLAIN", "XOAUTH2"),
        "EXPIRE": ("0",),
    }


@pytest.mark.parametrize("uidl", ["", "a b", "a\r\nDELE 1", "é", "x" * 251, None, 1, b"x"])
def test_what_is_no_uidl_is_refused(uidl):
    with pytest.raises(ConfigurationError, match="uidl"):
        check_uidl(uidl)


def test_a_uidl():
    assert check_uidl("GmailId0123456789abcdef") == "GmailId0123456789abcdef"
