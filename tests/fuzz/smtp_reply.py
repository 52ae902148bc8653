"""Coverage-guided fuzzing of SMTP replies: ``python -m tests.fuzz.smtp_reply [folder for the corpus] [libFuzzer options]``.

P1 and P2 of the wire: any segmentation gives the same replies; only ``ProtocolError`` and ``LimitExceeded`` come out, and nothing after them.
Needs atheris.
"""

import sys

import atheris

with atheris.instrument_imports(include=["aiogmail.smtp.wire"]):
    from aiogmail.errors import ProtocolError
    from aiogmail.smtp.wire import ReplyReader, parse_extensions


def said(data, cuts):
    """Every reply, and how it ended."""
    reader = ReplyReader(line_limit=256, reply_limit=1024)
    out = []
    edges = [0, *sorted(cuts), len(data)]
    for start, stop in zip(edges, edges[1:], strict=False):
        try:
            out += reader.feed(data[start:stop])
        except ProtocolError:
            try:
                late = reader.feed(b"250 after the error\r\n")
            except ProtocolError:
                late = []
            assert not late, "something after an error was interpreted"
            break
    return out, type(reader.error)


def one_input(data):
    """The first three bytes say where the rest is cut."""
    if len(data) < 4:
        return
    rest = data[3:]
    whole, error = said(rest, [])
    pieces, other = said(rest, [cut * len(rest) // 256 for cut in data[:3]])
    single, _ = said(rest, range(1, len(rest)))
    # What came in one piece with an error is not handed out; what came before it is.
    shortest = min(len(whole), len(pieces), len(single))
    assert whole[:shortest] == pieces[:shortest] == single[:shortest]
    assert error is other
    if error is type(None):
        assert whole == pieces == single
    for reply in single:
        assert 200 <= reply.code < 600
        assert "\r" not in str(reply)
        assert "\n" not in str(reply)
        parse_extensions(reply.lines)


def main():
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
