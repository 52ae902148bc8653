"""How is a message kept in a file so that a program killed at any moment can go on? Three formats, and the index beside them.

The index is one line of JSON a message, written after the message is in place: what it does not name is not there. The standard library's
``mailbox`` module writes the same formats, but chooses names and places itself, so that a second run could not tell what the first had done.
"""

from __future__ import annotations

import abc
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from aiogmail.errors import ConfigurationError
from aiogmail.imap.models import Message

__all__ = ["FORMATS", "Archive", "Entry", "Index"]

_VERSION = 1
_COLON = "!" if sys.platform == "win32" else ":"  # as the mailbox module's documentation has it
_MAILDIR_FLAGS = (("\\Draft", "D"), ("\\Flagged", "F"), ("\\Answered", "R"), ("\\Seen", "S"), ("\\Deleted", "T"))
_BEGUN = re.compile(rb"|F|Fr|Fro|From|From \d*@?x{0,3}|From \d+@xxx .*", re.DOTALL)
"""What of ours may stand in an mbox behind all that its index names: the beginning of a message."""
_FROM = re.compile(rb"^(>*From )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """A message that was exported.

    Attributes:
        id, thread: X-GM-MSGID and X-GM-THRID, 16 hexadecimal digits.
        size, sha256: of the message as it is on the server.
        kept: SHA-256 of what was written for it: an mbox has other ends of lines, and fields of its own.
        place: the file, relative to the archive; or of an mbox ``"OFFSET:END"``.
        flags, labels: what it had.
    """

    id: str
    thread: str
    size: int
    sha256: str
    kept: str
    place: str
    flags: tuple[str, ...]
    labels: tuple[str, ...]


class Index:
    """What was exported so far; a line that was being written when the program was killed does not count.

    Args:
        path: the file.
        about: what the archive is of: another export does not go on in it.

    Raises:
        ConfigurationError: the file is of another export that has begun, no index, or in use by another program.
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self._path = path
        self._about = {"aiogmail-export": _VERSION, **about}
        self.entries: dict[str, Entry] = {}
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Read what is there, and make ready to write more."""
        self._file = self._path.open("ab")
        if not _locked(self._file):
            raise ConfigurationError(f"to: another export holds {self._path} just now; wait for its end")
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        lines = whole.split(b"\n")[:-1]
        try:
            if lines and (begun := json.loads(lines[0])) != self._about:
                if len(lines) > 1 or begun.get("aiogmail-export") != _VERSION:
                    told = lines[0].decode("utf-8", "replace")
                    raise ConfigurationError(f"to: {self._path} belongs to another export: {told}; choose another place")
                whole, lines = b"", []  # of which no message came, such as one of a label that does not exist
            for line in lines[1:]:
                found = json.loads(line)
                entry = Entry(**{**found, "flags": tuple(found["flags"]), "labels": tuple(found["labels"])})
                self.entries[entry.id] = entry
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, ConfigurationError):
                raise
            raise ConfigurationError(f"to: {self._path} is no index of an export") from None
        self._file.truncate(len(whole))
        if not lines:
            self._line(self._about)
            self.flush()

    def add(self, entry: Entry) -> None:
        """A message is in place."""
        self.entries[entry.id] = entry
        self._line(asdict(entry))

    def flush(self) -> None:
        """What was added is written."""
        assert self._file is not None
        self._file.flush()

    def close(self) -> None:
        """What was added is on the disk."""
        if self._file is not None:
            self.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def _line(self, value: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(value).encode() + b"\n")  # escaped: a word from a shell of another encoding is no UTF-8


def _locked(file: BinaryIO) -> bool:
    """Whether nobody else holds the file; until it is closed it is ours. Two that write into one archive would spoil it."""
    with suppress(ImportError):  # Windows, whose locks would keep us from reading what we have locked
        from fcntl import LOCK_EX, LOCK_NB, flock

        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True  # a file system without locks
    return True


class Archive(Protocol):
    """One of the formats."""

    index_path: Path

    def check(self) -> None:
        """Whether an export may be written there, before anything is.

        Raises:
            ConfigurationError: there is something of somebody else's.
        """
        ...

    def open(self, entries: Iterable[Entry]) -> list[Entry]:
        """Make ready; the entries whose message is not there as it should be."""
        ...

    def put(self, message: Message) -> tuple[str, str]:
        """Write a message; the place where it is, and the SHA-256 of what was written."""
        ...

    def flush(self) -> None:
        """What was put is written, as far as a program that is killed is concerned."""
        ...

    def read(self, entry: Entry) -> bytes:
        """The octets that were written for a message."""
        ...

    def close(self) -> None: ...


class _Folder(abc.ABC):
    """A file a message, written beside its place and moved there whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._there: dict[str, Path] = {}
        self.index_path = path / "aiogmail-export.jsonl"

    def open(self, entries: Iterable[Entry]) -> list[Entry]:
        self._prepare()
        self._there = {self._key(self._relative(file)): file for file in self._files()}
        known = {self._key(entry.place): entry for entry in entries}
        return [entry for key, entry in known.items() if key not in self._there or self._there[key].stat().st_size != entry.size]

    def put(self, message: Message) -> tuple[str, str]:
        temporary, target = self._names(message)
        with temporary.open("wb") as file:
            file.write(message.raw)
        temporary.replace(target)
        place = self._relative(target)
        key = self._key(place)
        before = self._there.get(key, target)
        if before != target:  # it was in place, perhaps with other flags, and the index was lost or did not say so yet
            before.unlink(missing_ok=True)
        self._there[key] = target
        return place, hashlib.sha256(message.raw).hexdigest()

    def flush(self) -> None:  # noqa: B027  nothing to do is the answer of both formats
        """Nothing to do: each file is in its place. What a power failure takes is found missing, or altered, by the next run."""

    def read(self, entry: Entry) -> bytes:
        return self._there[self._key(entry.place)].read_bytes()

    def close(self) -> None:  # noqa: B027  nothing to do is the answer of both formats
        """Nothing is open."""

    def check(self) -> None:  # noqa: B027  nothing to do is the answer of both formats
        """Any folder will do: only files with names of ours are touched."""

    def _relative(self, file: Path) -> str:
        return file.relative_to(self._path).as_posix()

    @staticmethod
    def _key(place: str) -> str:
        """What stays of a name when a mail reader marks the message: all before a Maildir's flags."""
        return re.split("[:!]2,", place)[0]

    @abc.abstractmethod
    def _prepare(self) -> None: ...

    @abc.abstractmethod
    def _files(self) -> Iterable[Path]: ...

    @abc.abstractmethod
    def _names(self, message: Message) -> tuple[Path, Path]: ...


class _Maildir(_Folder):
    """https://cr.yp.to/proto/maildir.html: the name holds date and Gmail id, so that a second run writes the same one."""

    def _prepare(self) -> None:
        for name in ("tmp", "new", "cur"):
            (self._path / name).mkdir(parents=True, exist_ok=True)

    def _files(self) -> Iterable[Path]:
        return (self._path / "cur").iterdir()

    def _names(self, message: Message) -> tuple[Path, Path]:
        date = message.internal_date
        name = f"{int(date.timestamp()) if date is not None else 0}.G{message.gmail_id:016x}.aiogmail"
        flags = "".join(letter for flag, letter in _MAILDIR_FLAGS if flag in message.flags)
        return self._path / "tmp" / name, self._path / "cur" / f"{name}{_COLON}2,{flags}"


class _Eml(_Folder):
    """A file ``ID.eml`` a message."""

    def _prepare(self) -> None:
        self._path.mkdir(parents=True, exist_ok=True)

    def _files(self) -> Iterable[Path]:
        return self._path.glob("*.eml")

    def _names(self, message: Message) -> tuple[Path, Path]:
        name = f"{message.gmail_id:016x}.eml"
        return self._path / f".{name}.part", self._path / name


class _Mbox:
    """One file, mboxrd, with Gmail's thread and labels in two fields, as Google Takeout writes them; lines end with LF."""

    def __init__(self, path: Path) -> None:
        if not path.name:
            raise ConfigurationError(f"to: expected a file for an mbox, got {str(path)!r}")
        self._path = path
        self._file: BinaryIO | None = None
        self.index_path = path.with_name(f"{path.name}.aiogmail-export.jsonl")

    def check(self) -> None:
        if self._path.exists() and self._path.stat().st_size and not self.index_path.exists():
            raise ConfigurationError(f"to: {self._path} exists, and is not of an export that can go on")

    def open(self, entries: Iterable[Entry]) -> list[Entry]:
        end = max((int(entry.place.partition(":")[2]) for entry in entries), default=0)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and self._path.stat().st_size < end:
            raise ConfigurationError(f"to: {self._path} is shorter than its index says; remove both to begin anew")
        self._file = self._path.open("a+b")
        self._file.seek(end)
        if not _BEGUN.fullmatch(self._file.read(64)):
            raise ConfigurationError(f"to: {self._path} was changed by another program; move it away, with its index, to begin anew")
        self._file.truncate(end)  # a message that was being written when the program was killed
        self._file.seek(end)
        return []

    def put(self, message: Message) -> tuple[str, str]:
        assert self._file is not None
        begin = self._file.tell()
        date = message.internal_date
        when = date.strftime("%a %b %d %H:%M:%S %Y") if date is not None else "Thu Jan 01 00:00:00 1970"
        labels = ",".join(sorted(label.replace(",", " ") for label in message.labels)).encode("utf-8")
        head = b"From %d@xxx %s\nX-GM-THRID: %d\nX-Gmail-Labels: %s\n" % (message.gmail_id, when.encode("ascii"), message.thread_id, labels)
        written = head + _FROM.sub(rb">\1", message.raw.replace(b"\r\n", b"\n")).rstrip(b"\n") + b"\n\n"
        self._file.write(written)
        return f"{begin}:{begin + len(written)}", hashlib.sha256(written).hexdigest()

    def flush(self) -> None:
        assert self._file is not None
        self._file.flush()

    def read(self, entry: Entry) -> bytes:
        assert self._file is not None
        begin, _, end = entry.place.partition(":")
        self._file.seek(int(begin))  # what is written goes to the end all the same
        return self._file.read(int(end) - int(begin))

    def close(self) -> None:
        if self._file is not None:
            self.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


def entry_of(message: Message, place: str, kept: str) -> Entry:
    """What the index says of a message that was put in its place."""
    digest = hashlib.sha256(message.raw).hexdigest()
    flags, labels = tuple(sorted(message.flags)), tuple(sorted(message.labels))
    return Entry(f"{message.gmail_id:016x}", f"{message.thread_id:016x}", len(message.raw), digest, kept, place, flags, labels)


FORMATS: dict[str, type[_Maildir | _Eml | _Mbox]] = {"maildir": _Maildir, "mbox": _Mbox, "eml": _Eml}
