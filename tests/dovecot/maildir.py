"""How do 5,000 messages get into a mailbox in a second or two? As files, which is all that a Maildir is."""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message as it was delivered.

    Attributes:
        sha256: of its bytes, in hexadecimal.
        size: in bytes; the server's RFC822.SIZE.
        path: the file as it was delivered; the server renames it when it sees it.
        internal_date: Unix time, whole seconds.
    """

    sha256: str
    size: int
    path: Path
    internal_date: int


@dataclass(frozen=True, slots=True)
class Maildir:
    """The files of one mailbox."""

    folder: Path
    uid: int
    gid: int

    @classmethod
    def of(cls, root: Path, mailbox: str, uid: int, gid: int) -> Maildir:
        """The Maildir++ folder of an ASCII mailbox name, made if it is not there."""
        folder = root if mailbox == "INBOX" else root / ("." + mailbox.replace("/", "."))
        maildir = cls(folder, uid, gid)
        for path in (root, folder, folder / "tmp", folder / "cur", folder / "new"):
            if not path.exists():
                path.mkdir()
                maildir._own(path)
        if folder != root:
            mark = folder / "maildirfolder"
            mark.touch()
            maildir._own(mark)
        return maildir

    def deliver(self, messages: Sequence[bytes]) -> list[Delivered]:
        """Deliver ``messages``; the server numbers them in this order, after all that is there already.

        Raises:
            ValueError: a message with a bare CR or LF, which IMAP would not give back as it is.
        """
        # Dovecot gives UIDs in the order of file names, which begin with the time of delivery.
        now = time.time_ns() // 1000
        return [self._deliver(message, now + number) for number, message in enumerate(messages)]

    def _deliver(self, message: bytes, micros: int) -> Delivered:
        if not message.count(b"\r\n") == message.count(b"\n") == message.count(b"\r"):
            raise ValueError("messages are delivered with CRLF line ends")
        seconds, fraction = divmod(micros, 1_000_000)
        # S and W tell the server both sizes, which saves it reading every file.
        name = f"{seconds}.M{fraction:06d}P{os.getpid()}Q{next(_numbers)}.localhost,S={len(message)},W={len(message)}"
        written = self.folder / "tmp" / name
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(message)
            if os.geteuid() == 0:
                os.fchown(descriptor, self.uid, self.gid)
        os.utime(written, (seconds, seconds))
        path = self.folder / "new" / name
        written.rename(path)
        return Delivered(hashlib.sha256(message).hexdigest(), len(message), path, seconds)

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)
