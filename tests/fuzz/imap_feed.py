"""Coverage-guided fuzzing of what the server says: ``python -m tests.fuzz.imap_feed [folder for the corpus] [libFuzzer options]``.

P1 and P2 of the wire: any segmentation gives the same responses, by both roads that a transport may take and a few at a time; only
``ProtocolError`` and ``LimitExceeded`` come out, and nothing after them; no lazily decoded value raises, before and after UTF8=ACCEPT.
Needs atheris; ``nox -s fuzz`` installs it and runs this for 20 minutes.
"""

import sys

import atheris

with atheris.instrument_imports(include=["aiogmail.imap"]):
    from aiogmail.errors import ProtocolError
    from aiogmail.imap import models
    from aiogmail.imap.wire import Envelope, Fetch, ResponseParser
    from aiogmail.settings import Limits

LIMITS = Limits(line=4096, literal=4096, response=8192, depth=12)


ENVELOPE = ("date", "subject", "from_", "sender", "reply_to", "to", "cc", "bcc", "in_reply_to", "message_id")


def fed(parser, piece, out):
    out += parser.feed(piece)


def received(parser, piece, out):
    """As an ``asyncio.BufferedProtocol`` is handed bytes."""
    while piece:
        buffer = parser.get_buffer(-1)
        count = min(len(buffer), len(piece))
        buffer[:count] = piece[:count]
        out += parser.buffer_updated(count)
        piece = piece[count:]


def stepped(parser, piece, out):
    """A few responses at a time."""
    out += parser.feed(piece, 2)
    while parser.has_more:
        out += parser.more(2)


def said(data, cuts, *, utf8, take=fed):
    """Every response's raw bytes and values, and how it ended."""
    parser = ResponseParser(LIMITS)
    parser.utf8 = utf8
    out = []
    edges = [0, *sorted(cuts), len(data)]
    for start, stop in zip(edges, edges[1:], strict=False):
        try:
            take(parser, data[start:stop], out)
        except ProtocolError:
            break
    error = parser.error
    if error is not None:
        try:
            late = parser.feed(b"* OK after the error\r\n")
        except ProtocolError:
            late = []
        assert not late, "something after an error was interpreted"
    return [(type(one).__name__, one.raw, one.literals, values(one)) for one in out], type(error)


def values(response):
    """Whatever can be touched, touched."""
    if isinstance(response, Fetch):
        lazy = response.get("ENVELOPE")  # before ``attributes`` reads it in the other way
        if isinstance(lazy, Envelope):
            shown = models.Envelope(lazy)
            touched = [getattr(shown, name) for name in ENVELOPE]
            walked = response.attributes["ENVELOPE"]
            assert (lazy, touched) == (walked, [getattr(models.Envelope(walked), name) for name in ENVELOPE]), "lazily it is another"
        for part in (found for name in ("BODYSTRUCTURE", "BODY") if (found := response.get(name)) is not None):
            list(part.walk())
        return repr(response.attributes)
    return repr([getattr(response, name) for name in getattr(type(response), "__slots__", ())])


def one_input(data):
    """The first three bytes choose where the rest is cut, and whether names are UTF-8."""
    if len(data) < 4:
        return
    cuts = [position % len(data) for position in data[:3]]
    utf8 = bool(data[0] & 1)
    rest = data[3:]
    whole = said(rest, [], utf8=utf8)
    for take in (fed, received, stepped):
        assert said(rest, cuts, utf8=utf8, take=take) == whole, f"the segmentation changed the responses: {take.__name__}"
    assert said(rest, range(1, min(len(rest), 400)), utf8=utf8) == whole, "byte by byte is not the same as at once"


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
