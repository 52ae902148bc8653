"""The replay server: an IMAP server in a process of its own that says what was made before.

It answers the commands of every client measured as they come: whole mailboxes at once or windows of UIDs, sizes, searches,
parts of a message. A reply is one slice of one buffer, so that it is never the server that is measured.

``python -m benchmarks.server CASE COUNT [CERTIFICATE]`` prints one line of JSON (port, sums, octets) and serves until its standard input ends.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import sys
import threading

from .listener import Listener
from .rows import Corpus, make

__all__ = ["Replay"]

CAPABILITIES = (
    b"IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID CHILDREN X-GM-EXT-1 UIDPLUS ENABLE MOVE CONDSTORE ESEARCH "
    b"LIST-EXTENDED LITERAL- SPECIAL-USE SASL-IR AUTH=PLAIN AUTH=XOAUTH2"
)
_COMMAND = re.compile(rb"(\S+) (UID )?(\S+)(?: (.*))?", re.IGNORECASE)
_PARTIAL = re.compile(rb"BODY(?:\.PEEK)?\[\]<(\d+)\.(\d+)>", re.IGNORECASE)
_UIDS = re.compile(rb"UID (\d+):(\d+|\*)", re.IGNORECASE)


class Replay(Listener):
    """One mailbox, served to whoever connects, a thread each."""

    def __init__(self, corpus: Corpus, tls: ssl.SSLContext | None = None) -> None:
        self._rows = memoryview(bytes(corpus.rows))
        self._ends = corpus.ends
        self._sizes = memoryview(bytes(corpus.sizes))
        self._size_ends = corpus.size_ends
        self._bodies = corpus.bodies
        self._count = len(corpus.ends) - 1
        self._tls = tls
        super().__init__()

    def _converse(self, connection: socket.socket) -> None:
        stream = connection if self._tls is None else self._tls.wrap_socket(connection, server_side=True)
        stream.sendall(b"* OK [CAPABILITY " + CAPABILITIES + b"] replay ready\r\n")
        with stream, stream.makefile("rb") as lines:
            for line in lines:
                self._answer(stream, lines, line.rstrip(b"\r\n"))

    def _answer(self, stream: socket.socket, lines: object, line: bytes) -> None:
        match = _COMMAND.fullmatch(line)
        if match is None:
            return
        tag, verb, rest = match[1], match[3].upper(), match[4] or b""
        if verb == b"FETCH":
            self._fetch(stream, rest)
        elif verb == b"AUTHENTICATE" and b" " not in rest:
            stream.sendall(b"+ \r\n")
            lines.readline()  # type: ignore[attr-defined]
        elif verb == b"IDLE":
            stream.sendall(b"+ idling\r\n")
            lines.readline()  # type: ignore[attr-defined]
        else:
            stream.sendall(self._untagged(tag, verb, rest))
        status = b"OK [READ-WRITE] Success" if verb in (b"SELECT", b"EXAMINE") else b"OK Success"
        stream.sendall(tag + b" " + status + b"\r\n")

    def _untagged(self, tag: bytes, verb: bytes, rest: bytes) -> bytes:
        if verb in (b"CAPABILITY", b"LOGIN", b"AUTHENTICATE"):
            return b"* CAPABILITY " + CAPABILITIES + b"\r\n"
        if verb in (b"SELECT", b"EXAMINE"):
            return (
                b"* FLAGS (\\Seen)\r\n* %d EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] .\r\n* OK [UIDNEXT %d] .\r\n"
                % (
                    self._count,
                    self._count + 1,
                )
                + b"* OK [HIGHESTMODSEQ 999999999] .\r\n* OK [PERMANENTFLAGS (\\Seen \\*)] .\r\n"
            )
        if verb == b"SEARCH":
            asked = _UIDS.search(rest)
            first, last = (self._number(asked[1]), self._number(asked[2])) if asked else (1, self._count)
            if rest.upper().startswith(b"RETURN"):
                return b'* ESEARCH (TAG "%b") UID ALL %d:%d\r\n' % (tag, first, last)
            return b"* SEARCH " + b" ".join(b"%d" % uid for uid in range(first, last + 1)) + b"\r\n"
        if verb == b"LIST":
            return b'* LIST (\\HasNoChildren) "/" "INBOX"\r\n'
        if verb == b"NAMESPACE":
            return b'* NAMESPACE (("" "/")) NIL NIL\r\n'
        return b"* BYE LOGOUT Requested\r\n" if verb == b"LOGOUT" else b""

    def _fetch(self, stream: socket.socket, rest: bytes) -> None:
        uids, _, items = rest.partition(b" ")
        partial = _PARTIAL.search(items)
        upper = items.upper()
        probe = b"RFC822.SIZE" in upper and not any(word in upper for word in (b"BODY", b"ENVELOPE", b"FLAGS"))
        for start, stop in self._ranges(uids):
            if partial is not None:
                for uid in range(start, stop + 1):
                    self._part(stream, uid, int(partial[1]), int(partial[2]), b"RFC822.SIZE" in upper)
            elif probe and self._bodies[start][0] < self._bodies[start][1]:
                stream.sendall(self._sizes[self._size_ends[start - 1] : self._size_ends[stop]])
            else:
                stream.sendall(self._rows[self._ends[start - 1] : self._ends[stop]])

    def _ranges(self, uids: bytes) -> list[list[int]]:
        """A set of UIDs, with neighbours joined: clients without ranges list every one."""
        ranges: list[list[int]] = []
        for piece in uids.split(b","):
            first, _, last = piece.partition(b":")
            start = self._number(first)
            stop = self._number(last) if last else start
            if ranges and ranges[-1][1] + 1 == start:
                ranges[-1][1] = stop
            elif start <= stop:
                ranges.append([start, stop])
        return ranges

    def _part(self, stream: socket.socket, uid: int, offset: int, length: int, with_size: bool) -> None:
        start, stop = self._bodies[uid]
        at = min(start + offset, stop)
        part = self._rows[at : min(at + length, stop)]
        size = b" RFC822.SIZE %d" % (stop - start) if with_size else b""
        stream.sendall(b"* %d FETCH (UID %d%b BODY[]<%d> {%d}\r\n" % (uid, uid, size, offset, len(part)))
        stream.sendall(part)
        stream.sendall(b")\r\n")

    def _number(self, text: bytes) -> int:
        return self._count if text == b"*" else min(int(text), self._count)


def main(case: str, count: int, certificate: str = "") -> None:
    corpus = make(case, count)
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    server = Replay(corpus, tls)
    print(json.dumps({"port": server.port, "sums": corpus.sums, "octets": len(corpus.rows)}), flush=True)
    threading.Thread(target=server.serve, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
