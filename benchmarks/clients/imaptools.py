"""imap-tools, which reads whole messages and, of a row, its UID and flags."""

from __future__ import annotations

from imap_tools import MailBox, MailBoxUnencrypted, MailMessage

from benchmarks.measure import Hashes, Meter

from .wire import ADDRESS, ITEMS, TOKEN, context

__all__ = ["NOTES", "run"]

_BODY = "bulk=500; the message is made by the email package and written out again by it"
NOTES = {"flags": "half the values: UID and flags; it knows no X-GM-… and no MODSEQ", "bodies": _BODY, "large": _BODY, "huge": _BODY}


def run(case: str, port: int, count: int, ca: str, meter: Meter) -> dict[str, int]:
    trust = context(ca)
    mailbox = MailBox("localhost", port, ssl_context=trust) if trust else MailBoxUnencrypted("127.0.0.1", port)
    mailbox.xoauth2(ADDRESS, TOKEN, "INBOX")
    with meter.timed():
        sums = _flags(mailbox, count) if case == "flags" else _bodies(mailbox)
    mailbox.logout()
    return sums


def _flags(mailbox: MailBox | MailBoxUnencrypted, count: int) -> dict[str, int]:
    rows = total = flags = 0
    _, data = mailbox.client.uid("FETCH", f"1:{count}", f"({' '.join(ITEMS['flags'])})")
    for line in data:
        message = MailMessage([line])
        rows += 1
        total += int(message.uid or 0)
        flags += len(message.flags)
    return {"rows": rows, "uids": total, "flags": flags}


def _bodies(mailbox: MailBox | MailBoxUnencrypted) -> dict[str, int]:
    hashes = Hashes()
    for message in mailbox.fetch(mark_seen=False, bulk=500):
        hashes.add(int(message.uid or 0), message.obj.as_bytes())
    del hashes.sums["octets"], hashes.sums["digest"]  # it writes line ends its own way
    return hashes.sums
