"""Coverage-guided fuzzing of POP3 replies: ``python -m tests.fuzz.pop_multiline [folder for the corpus] [libFuzzer options]``.

P1, P2 and P5 of the wire: any segmentation gives the same; only ``ProtocolError`` and ``LimitExceeded`` come out, and nothing after them; what a server
stuffs by RFC 1939 is what comes out, and the reply behind it is the next command's. Needs atheris.
"""

import sys

import atheris

with atheris.instrument_imports(include=["aiogmail.pop3.wire"]):
    from aiogmail.errors import ProtocolError
    from aiogmail.pop3.wire import END, Expect, ReplyParser, Status, read_capabilities, read_pairs
    from aiogmail.settings import Limits

LIMITS = Limits(line=1024, literal=2048, response=2048)
KINDS = list(Expect)


def said(data, expected, cuts):
    """Every event, neighbouring octets joined, and how it ended."""
    parser = ReplyParser(LIMITS)
    for kind in expected:
        parser.expect(kind)
    out = []
    edges = [0, *sorted(cuts), len(data)]
    for start, stop in zip(edges, edges[1:], strict=False):
        for event in parser.feed(data[start:stop]):
            if isinstance(event, bytes) and out and isinstance(out[-1], bytes):
                out[-1] += event
            else:
                out.append(event)
    if parser.error is not None:
        assert isinstance(parser.error, ProtocolError)
        assert not parser.feed(b"+OK after the error\r\n"), "something after an error was interpreted"
    return out, type(parser.error)


def stuffed(body):
    """RFC 1939 section 3, as a server does it."""
    out = (b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:]
    return out + (b".\r\n" if not out or out.endswith(b"\r\n") else b"\r\n.\r\n")


def one_input(data):
    """The first byte says what is expected, the next three where the rest is cut."""
    if len(data) < 5:
        return
    expected = [KINDS[data[0] // 3**place % 3] for place in range(4)]
    rest = data[4:]
    cuts = [position % len(rest) for position in data[1:4]]
    whole = said(rest, expected, [])
    assert said(rest, expected, cuts) == whole, "the segmentation changed the replies"
    assert said(rest, expected, range(1, min(len(rest), 300))) == whole, "byte by byte is not the same as at once"
    for read in (read_pairs, read_capabilities):
        try:
            read(rest)
        except ProtocolError:
            pass
    if len(rest) < 1500:
        wanted = rest if not rest or rest.endswith(b"\r\n") else rest + b"\r\n"
        events, error = said(b"+OK\r\n" + stuffed(rest) + b"+OK next\r\n", [Expect.LINES, Expect.LINE], cuts)
        assert events == [Status(True, "", ""), *([wanted] if wanted else []), END, Status(True, "", "next")], "the message is another"
        assert error is type(None)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
