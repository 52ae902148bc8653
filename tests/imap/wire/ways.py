"""Feed the same bytes in every way that a network may cut them, and insist on one result."""

from __future__ import annotations

import random
from pathlib import Path

from aiogmail.errors import ProtocolError
from aiogmail.imap.wire import Fetch, Response, ResponseParser
from aiogmail.settings import Limits

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.txt"))


def wire(text: str | bytes) -> bytes:
    """Text with LF for line ends as it stands on the wire."""
    raw = text.encode() if isinstance(text, str) else text
    return raw.replace(b"\n", b"\r\n")


def fact(response: Response) -> object:
    return (
        type(response),
        response if not isinstance(response, Fetch) else (response.uid, response.flags),
        response.raw,
        response.literals,
    )


def outcome(pieces, limits=Limits()):
    """The responses, and the text of the error that ended them if one did."""
    parser = ResponseParser(limits)
    responses = []
    try:
        for piece in pieces:
            responses += parser.feed(piece)
    except ProtocolError:
        pass
    return responses, (type(parser.error), str(parser.error)) if parser.error else None


def buffered(data, limits=Limits(), size=65536):
    """The other road: as an ``asyncio.BufferedProtocol`` receives."""
    parser = ResponseParser(limits)
    responses = []
    position = 0
    try:
        while position < len(data):
            buffer = parser.get_buffer(-1)
            count = min(len(buffer), len(data) - position, size)
            buffer[:count] = data[position : position + count]
            position += count
            responses += parser.buffer_updated(count)
    except ProtocolError:
        pass
    return responses, (type(parser.error), str(parser.error)) if parser.error else None


def stepped(data, limits=Limits(), most=2):
    """All at once, and delivered a few at a time."""
    parser = ResponseParser(limits)
    responses = []
    try:
        responses += parser.feed(data, most)
        while parser.has_more:
            step = parser.more(most)
            assert len(step) <= most
            responses += step
    except ProtocolError:
        pass
    return responses, (type(parser.error), str(parser.error)) if parser.error else None


def cuts(data: bytes, every_split: int = 2048):
    """Whole, byte by byte, at every single split of short data, and at random."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    if len(data) <= every_split:
        yield from ([data[:i], data[i:]] for i in range(1, len(data)))
    rng = random.Random(7)
    for _ in range(64 if len(data) > every_split else 4):
        at = sorted(rng.sample(range(1, len(data)), min(len(data) - 1, rng.randint(1, 12)))) if len(data) > 1 else []
        yield [data[a:b] for a, b in zip([0, *at], [*at, len(data)])]


def every_way(data: bytes, limits=Limits(), every_split: int = 2048):
    """What the bytes mean, cut in any way: the responses, and the error's class and text or None."""
    responses, error = outcome([data], limits)
    facts = [fact(response) for response in responses]
    for pieces in cuts(data, every_split):
        again, other = outcome(pieces, limits)
        assert [fact(response) for response in again] == facts
        assert other == error
    for size in (65536, 3):
        again, other = buffered(data, limits, size)
        assert [fact(response) for response in again] == facts
        assert other == error
    for most in (1, 3):
        again, other = stepped(data, limits, most)
        assert [fact(response) for response in again] == facts
        assert other == error
    if error is None:
        more, other = outcome([data + b"* 9 RECENT\r\n* 8 "], limits)
        assert [fact(response) for response in more[:-1]] == facts
        assert other is None
    return responses, error


def one(text: str | bytes, **keywords) -> Response:
    """The one response that this text is."""
    (response,), error = every_way(wire(text) + b"\r\n", **keywords)
    assert error is None
    return response


def broken(text: str | bytes, **keywords) -> str:
    """Why this text is no response: nothing before or after it is touched."""
    before, after = b"* 1 EXISTS\r\n", b"* 2 EXISTS\r\n"
    responses, error = every_way(before + wire(text) + b"\r\n" + after, **keywords)
    assert len(responses) == 1, responses
    assert error is not None
    return f"{error[0].__name__}: {error[1]}"
