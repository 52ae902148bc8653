"""Coverage-guided fuzzing of what the server says: ``python -m tests.fuzz.imap_feed [folder for the corpus] [libFuzzer options]``.

P1 and P2 of the wire: any segmentation gives the same responses; only ``ProtocolError`` and ``LimitExceeded`` come out, and
nothing after them; no lazily decoded value raises. Needs atheris; ``nox -s fuzz`` installs it and runs this for 20 minutes.
"""

import sys

import atheris

with atheris.instrument_imports(include=["aiogmail.imap"]):
    from aiogmail.errors import ProtocolError
    from aiogmail.imap.wire import Fetch, ResponseParser
    from aiogmail.settings import Limits

LIMITS = Limits(line=4096, literal=4096, response=8192, depth=12)


def said(data, cuts):
    """Every response's raw bytes and values, and how it ended."""
    parser = ResponseParser(LIMITS)
    out = []
    edges = [0, *sorted(cuts), len(data)]
    for start, stop in zip(edges, edges[1:], strict=False):
        try:
            out += parser.feed(data[start:stop])
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
        for part in (found for name in ("BODYSTRUCTURE", "BODY") if (found := response.get(name)) is not None):
            list(part.walk())
        return repr(response.attributes)
    return repr([getattr(response, name) for name in getattr(type(response), "__slots__", ())])


def one_input(data):
    """The first three bytes choose where the rest is cut."""
    if len(data) < 4:
        return
    cuts = [position % len(data) for position in data[:3]]
    rest = data[3:]
    whole = said(rest, [])
    assert said(rest, cuts) == whole, "the segmentation changed the responses"
    assert said(rest, range(1, min(len(rest), 400))) == whole, "byte by byte is not the same as at once"


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
