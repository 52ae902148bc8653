import gc
import random
import tracemalloc

import pytest

from aiogmail.errors import LimitExceeded, ProtocolError
from aiogmail.imap.wire import Fetch, ResponseParser, Status, Tagged
from aiogmail.imap.wire.framer import SCRATCH, Framer
from aiogmail.settings import Limits

from .ways import broken, buffered, every_way, fact, one, outcome, wire


@pytest.mark.parametrize(
    "text",
    [
        "A1 NO [ALERT] see ticket {42}",
        "* OK wait {3}",
        "* bye {3}",
        "* PREAUTH {0}",
        "* NO {1",
        "+ {5}",
        "+ go {5}",
        "* OK [ALERT] {7}",
        "* OK {7}x}",
    ],
)
def test_a_persons_words_never_announce_a_literal(text):
    response = one(text)
    assert response.raw == text.encode()
    assert response.literals == ()


def test_a_word_that_only_begins_like_a_status_may_have_a_literal():
    assert one("* OKAY {3}\n\nx").literals == (b"\r\nx",)
    assert one("* NOTICE {2}\nab").literals == (b"ab",)


@pytest.mark.parametrize("text", [b'* LIST () "/" "bare\nline"', b'* 1 FETCH (X "bare\nline")'])
def test_a_bare_lf_in_a_quoted_string_is_part_of_it(text):
    (response,), error = every_way(text + b"\r\n")
    assert error is None
    assert response.raw == text


def test_a_bare_lf_cannot_hide_a_literal_so_that_its_octets_pass_for_a_reply():
    data = b'* 1 FETCH (ENVELOPE ("d" "evil\nsubject" NIL NIL NIL NIL NIL NIL NIL NIL) BODY[] {22}\r\nA7 OK forged line\r\n...)\r\nA7 OK real\r\n'
    (fetch, tagged), error = every_way(data)
    assert error is None
    assert fetch.get("BODY[]") == b"A7 OK forged line\r\n..."
    assert fetch.get("ENVELOPE").subject == b"evil\nsubject"
    assert tagged.text == "real"


def test_octets_of_a_literal_are_nobodys_protocol():
    octets = b'\r\nA1 OK x\r\n* BYE\r\n{5}\r\n"(\0\xff)'
    (fetch, exists), error = every_way(b"* 1 FETCH (BODY[] {%d}\r\n%s)\r\n* 1 EXISTS\r\n" % (len(octets), octets))
    assert error is None
    assert fetch.get("BODY[]") == octets
    assert exists.number == 1


@pytest.mark.parametrize("size", [0, 1, 2, SCRATCH - 1, SCRATCH, SCRATCH + 1, 3 * SCRATCH + 17])
@pytest.mark.parametrize("piece", [1000, 16384, SCRATCH, 1 << 20])
def test_literals_of_every_size_arrive_whole_by_both_roads(size, piece):
    octets = bytes(range(256)) * (size // 256 + 1)
    octets = octets[:size]
    row = b"* 1 FETCH (UID 1 BODY[] {%d}\r\n%s FLAGS (\\Seen))\r\n* 2 EXISTS\r\n" % (size, octets)
    for responses, error in (outcome([row[i : i + piece] for i in range(0, len(row), piece)]), buffered(row, size=piece), outcome([row])):
        assert error is None
        assert responses[0].get("BODY[]") == octets
        assert type(responses[0].get("BODY[]")) is bytes
        assert responses[0].flags == {"\\Seen"}
        assert responses[1].number == 2


def test_a_large_literal_is_received_into_blocks_and_its_end_into_the_scratch():
    framer = Framer(Limits())
    framer.feed(b"* 1 FETCH (BODY[] {200000}\r\nabc")
    block = framer.get_buffer()
    assert len(block) == 199_997
    block[:100_000] = b"y" * 100_000
    assert framer.buffer_updated(100_000) == []
    assert framer.pending == 28 + 100_003
    rest = framer.get_buffer()
    assert len(rest) == 99_997
    rest[:50_000] = b"y" * 50_000
    assert framer.buffer_updated(50_000) == []
    assert len(framer.get_buffer()) == SCRATCH  # what follows the short rest may come in the same read
    ((_, (octets,)),) = framer.feed(b"y" * 49_997 + b")\r\n")
    assert octets == b"abc" + b"y" * 199_997


def test_a_literal_that_ends_with_its_block_is_complete():
    framer = Framer(Limits())
    framer.feed(b"* 1 FETCH (BODY[] {100000}\r\n")
    framer.get_buffer()[:100_000] = b"z" * 100_000
    assert framer.buffer_updated(100_000) == []
    assert framer.pending == 28 + 100_000
    ((_, (octets,)),) = framer.feed(b")\r\n")
    assert octets == b"z" * 100_000


def test_both_roads_may_be_mixed_in_one_literal():
    framer = Framer(Limits())
    framer.feed(b"* 1 FETCH (BODY[] {150000}\r\n")
    framer.get_buffer()[:70_000] = b"a" * 70_000
    framer.buffer_updated(70_000)
    framer.feed(b"b" * 70_000)
    assert len(framer.get_buffer()) == SCRATCH
    ((_, (octets,)),) = framer.feed(b"c" * 10_000 + b")\r\n")
    assert octets == b"a" * 70_000 + b"b" * 70_000 + b"c" * 10_000


@pytest.mark.parametrize("piece", [1, 100, 5000])
@pytest.mark.slow
def test_a_literal_in_pieces_costs_little_more_than_its_octets(piece):
    size = 300_000
    data = b"* 1 FETCH (BODY[] {%d}\r\n" % size + b"q" * size
    pieces = [data[i : i + piece] for i in range(0, len(data), piece)]
    framer = Framer(Limits())
    tracemalloc.start()
    for part in pieces:
        framer.feed(part)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert framer.mid_response
    assert peak < 2.5 * size + SCRATCH


def test_a_large_literal_is_copied_once():
    framer = Framer(Limits())
    size = 8 << 20
    framer.feed(b"* 1 FETCH (BODY[] {%d}\r\n" % size)
    tracemalloc.start()
    while framer.pending < size:
        framer.buffer_updated(min(len(framer.get_buffer()), SCRATCH))
    frames = framer.feed(b")\r\n")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(frames) == 1
    assert peak < 2.2 * size


def test_a_parser_that_is_dropped_within_a_literal_leaves_nothing():
    parser = ResponseParser()
    parser.feed(b"* 1 FETCH (BODY[] {200000}\r\nabc")
    parser.get_buffer()
    parser.cycle = parser
    del parser
    gc.collect()  # a warning that nobody could catch would fail this test


def test_what_is_held_can_be_asked():
    parser = ResponseParser()
    assert (parser.received, parser.pending, parser.mid_response, parser.feed_eof()) == (0, 0, False, False)
    parser.feed(b"* 1 EXISTS\r\n* 1 FETCH (X {3}\r\nab")
    assert parser.received == 12 + 18 + 2
    assert parser.pending == 20
    assert parser.mid_response
    parser.feed(b"c)\r")
    assert parser.pending == 23
    parser.feed(b"\n")
    assert (parser.pending, parser.mid_response, parser.feed_eof()) == (0, False, False)
    parser.feed(b"}")
    assert (parser.pending, parser.mid_response) == (1, True)


@pytest.mark.parametrize("data", [b"* 1 EXI", b"* 1 EXISTS\r", b"* X {3}\r\nab", b"* X {3}\r\nabc", b"* X {100000}\r\n" + b"x" * 100])
def test_what_an_end_cuts_is_dropped(data):
    parser = ResponseParser()
    parser.feed(data)
    assert parser.feed_eof()
    assert (parser.pending, parser.mid_response, parser.feed_eof()) == (0, False, False)


def test_feeding_nothing_yields_nothing():
    parser = ResponseParser()
    assert parser.feed(b"") == []
    assert parser.feed(bytearray(b"* 1 EXI")) == []
    (exists,) = parser.feed(memoryview(b"STS\r\n"))
    assert exists.number == 1


# limits: charged before the bytes arrive, and the same however they are cut

SMALL = Limits(line=60, literal=50, response=200, depth=5)


def refused(data: bytes, limits=SMALL) -> str:
    responses, error = every_way(b"* 1 EXISTS\r\n" + data, limits)
    assert len(responses) == 1
    assert error is not None
    assert error[0] is LimitExceeded
    return error[1]


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (b"* OK " + b"x" * 56 + b"\r\n", "Limits.line"),
        (b"* OK " + b"x" * 56, "Limits.line"),
        (b"* X " + b"}" * 58, "Limits.line"),
        (b"* 1 FETCH (BODY[] {51}\r\n", "Limits.literal"),
        (b"* 1 FETCH (BODY[] {99999999999999999999}\r\n", "Limits.literal"),
        (b"* X {50}\r\n" + b"y" * 50 + b" {50}\r\n", "Limits.response"),
        (b"* X {1}\r\nx {1}\r\nx {1}\r\nx {1}\r\n", "Limits.response"),  # many tiny ones cost objects
        (b"* X {1}\r\nx" + b"a" * 56 + b"\r\n", "Limits.line"),
        (b"* X {1}\r\nx" + b"a" * 56, "Limits.line"),
        (b"* X {1}\r\nx" + b"a" * 50 + b"{1}\r\n", "Limits.line"),
    ],
)
def test_more_than_the_limits_allow_ends_the_stream(data, limit):
    assert limit in refused(data)


def test_the_smaller_of_the_limits_bounds_a_line():
    assert "line" in refused(b"* OK " + b"x" * 26 + b"\r\n", Limits(line=1000, response=30))
    assert "response" in refused(b"* X {40}\r\n" + b"x" * 40 + b"y" * 40 + b"\r\n", Limits(line=1000, response=130))


def test_exactly_the_limits_are_allowed():
    responses, error = every_way(b"* OK " + b"x" * 55 + b"\r\n* 1 FETCH (BODY[] {50}\r\n" + b"z" * 50 + b")\r\n", SMALL)
    assert error is None
    assert [type(response) for response in responses] == [Status, Fetch]


def test_a_size_of_more_than_twenty_digits_breaks_the_grammar():
    assert "20 digits" in broken("* X {123456789012345678901}\n")


@pytest.mark.parametrize("text", ["* X {-1}", "* X {}", "* X {1", "* X 1}", "* X { 1}", "* X {1 }", "* X {१}", "* X {5+}"])
def test_braces_that_hold_no_size_announce_nothing(text):
    assert one(text).data == text[4:].encode()


def test_a_line_that_is_no_data_announces_nothing_and_breaks_the_grammar():
    for text in ("hello {3}", " * X {3}", "*X {3}", "A1 OKAY {3}"):
        assert "expected a response" in broken(text)


def test_good_lines_before_a_long_one_in_the_same_bytes_are_delivered():
    responses, error = outcome([b"* 1 EXISTS\r\n* 2 EXISTS\r\n* OK " + b"x" * 60 + b"\r\n* 3 EXISTS\r\n"], SMALL)
    assert [response.number for response in responses] == [1, 2]
    assert error[0] is LimitExceeded


def test_after_an_error_nothing_is_held_and_nothing_more_comes():
    framer = Framer(SMALL)
    assert framer.feed(b"* 1 EXISTS\r\n* X {51}\r\n") == [b"* 1 EXISTS"]
    assert isinstance(framer.error, ProtocolError)
    assert framer.feed(b"* 1 EXISTS\r\n") == []
    assert framer.pending == 0
    assert framer.received == 22


def test_the_end_of_a_command_is_found_after_its_literals():
    (fetch, tagged), error = every_way(wire("* 1 FETCH (X ({1}\na{2}\nbc) Y {0}\n)\nA1 OK done\n"))
    assert error is None
    assert fetch.literals == (b"a", b"bc", b"")
    assert fetch.wire_lines() == [b"* 1 FETCH (X ({1}", b"a", b"{2}", b"bc", b") Y {0}", b"", b")"]
    assert isinstance(tagged, Tagged)
    assert fact(tagged)


def received(framer: Framer, data: bytes) -> list:
    """As asyncio receives: into the buffer that the framer gives."""
    frames, view = [], memoryview(data)
    while view:
        room = framer.get_buffer()
        piece = view[: len(room)]
        room[: len(piece)] = piece
        frames += framer.buffer_updated(len(piece))
        view = view[len(piece) :]
    return frames


def test_the_block_of_large_literals_is_kept_until_it_is_given_back():
    framer = Framer(Limits())
    large = [bytes([number]) * (1024 * 1024 + 500_000 * number) for number in range(4)]
    for body in large:
        head = b"* 1 FETCH (BODY[] {%d}\r\n" % len(body)
        assert received(framer, head) == []
        assert received(framer, body) == []
        [(_, literals)] = received(framer, b")\r\n")
        assert literals == (body,), "what was handed on is not written over"
    assert len(framer._reserve) == 2 * 1024 * 1024
    framer.slim()
    assert len(framer._reserve) == 0


def test_a_block_in_use_is_not_given_back():
    framer = Framer(Limits())
    body = bytes(range(256)) * 1000
    received(framer, b"* 1 FETCH (BODY[] {%d}\r\n" % len(body) + body[:10])
    received(framer, body[10:100_000])
    framer.slim()
    [(_, literals)] = received(framer, body[100_000:] + b")\r\n")
    assert literals == (body,)


def test_a_message_alone_is_framed_as_in_company():
    """The short road for one literal and nothing behind it tells the same as the long one."""
    for tail in (b")", b" FLAGS (\\Seen))", b" X {1}\r\ny)"):
        for line in (b"* 1 FETCH (UID 1 BODY[] {5}", b"* 12 FETCH (BODY[] {5}", b"* X (BODY[] {5}"):
            responses, error = every_way(line + b"\r\nhel)\r" + tail + b"\r\n* 7 EXISTS\r\n")
            assert error is None
            assert len(responses) == 2


def test_a_large_literal_that_drips_costs_no_object_a_drop():
    """Whoever sends a byte at a time must not make us keep a view of each."""
    size, drop = 1 << 18, 8
    framer = Framer(Limits())
    framer.feed(b"* 1 FETCH (BODY[] {%d}\r\n" % size)
    gc.collect()
    tracemalloc.start()
    for _ in range(size // drop - 1):
        framer.get_buffer()[:drop] = b"x" * drop
        framer.buffer_updated(drop)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert framer.pending > size - 100
    assert peak < 2 * (1 << 21) + 4 * size  # the reserve block, and the literal
    assert len(framer._pieces) < 10
    framer.get_buffer()[:drop] = b"y" * drop
    framer.buffer_updated(drop)
    assert framer.feed(b")\r\n") == [(b"* 1 FETCH (BODY[] {%d}\r\n)" % size, (b"x" * (size - drop) + b"y" * drop,))]


def test_a_literal_by_both_roads_in_turn_is_whole():
    size = 300_000
    framer = Framer(Limits())
    framer.feed(b"* 1 FETCH (BODY[] {%d}\r\n" % size)
    octets = random.Random(3).randbytes(size)
    position = 0
    for number in range(1000):
        count = min(317, size - position)
        piece = octets[position : position + count]
        if number % 3:
            framer.get_buffer()[:count] = piece
            framer.buffer_updated(count)
        else:
            framer.feed(piece)
        position += count
    assert framer.feed(octets[position:] + b")\r\n")[0][1] == (octets,)


def test_while_bodies_flow_more_is_read_at_once():
    framer = Framer(Limits())
    assert len(framer.get_buffer()) == SCRATCH
    row = b"* 1 FETCH (BODY[] {40000}\r\n" + b"x" * 40_000 + b")\r\n"
    framer.get_buffer()[:30_000] = row[:30_000]
    framer.buffer_updated(30_000)
    wide = framer.get_buffer()
    assert len(wide) > SCRATCH
    rest = row[30_000:] + 3 * row
    wide[: len(rest)] = rest
    assert [literals for _, literals in framer.buffer_updated(len(rest))] == [(b"x" * 40_000,)] * 4
    assert len(framer.get_buffer()) == SCRATCH


LINES = [
    b"* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n",
    b"* 1 FETCH (UID 1 BODY[] {0}\r\n)\r\n",
    b"* 1 FETCH (BODY[] {3}\r\nabc UID 1)\r\n",
    b'* 1 FETCH (X {3}\r\nabc Y {2}\r\n)\r Z "{3}" {1}\r\nq)\r\n',
    b"* 1 FETCH (X {3}\r\nabc Y {2}}\r\n",
    b"* 1 FETCH (X {3}\r\nabc Y }\r\n",
    b"* 1 FETCH (X {3}\r\nabc 5}\r\n",
    b"* 1 FETCH (X {3}\r\nabc {a}\r\n",
    b'* 1 FETCH (X "{5}" {3}\r\nabc)\r\n',
    b"* 1 EXISTS {3}\r\nabc\r\n",
    b"* OK {3}\r\n",
    b"* 1 FETCH (X {3}\r\n)\r\n)\r\n",
    b"* 1 FETCH (" + b"X" * 1100 + b" {3}\r\nabc)\r\n",
    b'* LIST () "/" {3}\r\nabc\r\n',
    b"* 1 FETCH (X {10}\r\nab {3}\r\n* Y {4}\r\n\r\n\r\n)\r\n",
    b"* 1 FETCH (X {3}\r\nab\r)\r\n",
    b"* 1 FETCH (X {2}\r\n\n\r\r\n",
    b"* 1 FETCH (X {2}\r\n{}\r\n",
]


@pytest.mark.parametrize("seed", range(40))
def test_rows_of_every_shape_are_framed_alike_however_they_are_cut_and_near_every_limit(seed):
    """The quick roads and the slow one are one road: only the limits tell which is taken."""
    rng = random.Random(seed)
    data = b"".join(rng.choice(LINES) for _ in range(12))
    if seed % 4 == 0:
        data += b"* 1 FETCH (X {%d}\r\n" % rng.choice([10**9, 10**10, 10**19, 10**25]) + b"abc)\r\n"
    for limits in (
        Limits(),
        Limits(line=1500, literal=1500, response=3000),
        Limits(line=rng.randrange(1100, 1300), literal=2, response=1400),
    ):
        whole = Framer(limits)
        frames = whole.feed(data)
        for step in (1, 7, 64, rng.randrange(1, 200)):
            framer = Framer(limits)
            pieces = [framer.feed(data[at : at + step]) for at in range(0, len(data), step)]
            assert [frame for piece in pieces for frame in piece] == frames
            assert str(framer.error) == str(whole.error)
            assert framer.pending == whole.pending


def test_rows_with_short_literals_are_framed_alike_however_many_come_at_once():
    row = b"* 1 FETCH (X {3}\r\nabc Y {4}\r\n{1}\r)\r\n"
    frame = (b"* 1 FETCH (X {3}\r\n Y {4}\r\n)", (b"abc", b"{1}\r"))
    for between in (b"", b"* 2 EXISTS\r\n", b"* OK {3}\r\n", b"* 1 FETCH (BODY[] {2000}\r\n" + b"x\r\n." * 500 + b" UID 7)\r\n"):
        frames = Framer(Limits()).feed((row + between) * 700 + row[:-1])
        assert frames[:: 1 + bool(between)] == [frame] * 700
        assert len(set(map(str, frames[1::2]))) == 1


@pytest.mark.parametrize("seed", range(12))
def test_bodies_by_the_road_of_buffers_are_those_that_were_sent(seed):
    rng = random.Random(seed)
    rows = []
    for number in range(1, 60):
        body = rng.randbytes(rng.choice([0, 1, 5, 3000, 40_000, 70_000]))
        tail = rng.choice([b")", b")", b" UID 7)", b" FLAGS ())"])
        rows.append((b"* %d FETCH (UID %d BODY[] {%d}\r\n" % (number, number, len(body)) + tail, (body,)))
        if not rng.randrange(5):
            rows.append(b"* %d EXISTS" % number)
    data = b""
    for row in rows:
        line, *literal = row if isinstance(row, tuple) else (row,)
        head, crlf, tail = line.partition(b"\r\n")
        data += head + crlf + (literal[0][0] if literal else b"") + tail + b"\r\n"
    framer, frames, position = Framer(Limits()), [], 0
    while position < len(data):
        buffer = framer.get_buffer()
        count = min(len(buffer), len(data) - position, rng.choice([1 << 20, 65536, 9000, 100]))
        buffer[:count] = data[position : position + count]
        position += count
        frames += framer.buffer_updated(count)
    assert frames == rows
    assert framer.received == len(data)
    assert framer.pending == 0
    assert not framer.mid_response
