"""Tokens in one file of one machine, shared by its processes.

What a store of secrets must survive: kill -9 at any byte (a new file is written beside the old one, synced, and takes its name),
other processes (a lock per identity while it is refreshed, one for the file while it is rewritten), other users (modes and owners
are looked at before anything is read), and its own corruption (what cannot be read is set aside, never overwritten).
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aiogmail.errors import ConfigurationError

from .base import Cipher, StoredToken, StoreUnavailable, from_json, to_json
from .worker import Worker

__all__ = ["FileTokenStore", "write_private"]

_log = logging.getLogger("aiogmail.oauth")

_FORMAT = 1
_SIZE_LIMIT = 64 * 1024 * 1024
_LOCK_WAIT = 4.0
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)

if sys.platform == "win32":  # pragma: no cover - proved on POSIX systems only
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _unlock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


class _Lock:
    """A held lock. The system gives it back when the process dies, whatever it dies of; we when nobody refers to it any more."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | _NOFOLLOW, 0o600)
        try:
            _lock(self._fd)
        except BaseException:
            self.close()
            raise

    @property
    def held(self) -> bool:
        return self._fd >= 0

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):
                _unlock(fd)  # a child that was forked meanwhile has the descriptor too
            os.close(fd)

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:  # an acquire() that was cancelled while its thread took the lock
            self.close()


class FileTokenStore:
    """Keeps tokens in a JSON file, mode 0600 in a folder of mode 0700.

    Guarantees, between all processes of one machine: compare-and-set, one refresh at a time for an identity, no lost refresh
    token whenever a process is killed, and that a reader sees either the old file or the new one. A lease ends with the death
    of its process at once. Not for network file systems, whose locks differ. Each write rewrites the file: it is meant for up
    to some hundred accounts; beyond that use :class:`RedisTokenStore`.

    Its file operations run in one thread of the event loop's default executor, one at a time.

    Args:
        path: the file. Its folder is made if missing, and must be nobody else's to read: others could otherwise see whose
            accounts are used here, and a lax umask would show tokens.
        cipher: encrypts the file, such as ``cryptography.fernet.Fernet(key)``.

    Raises:
        ConfigurationError: from its methods: the file or folder belongs to another user, others may read it, it is a link, a
            newer version wrote it, or the cipher cannot read it. The message says which command mends it.
    """

    def __init__(self, path: str | os.PathLike[str], *, cipher: Cipher | None = None) -> None:
        try:
            if "\0" in os.fsdecode(path):
                raise ValueError("it holds a NUL")
            self._path = Path(path).expanduser().absolute()
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigurationError(f"path: expected a file name, got {path!r}: {error}") from None
        self._cipher = cipher
        self._worker = Worker(str(self._path))

    def __repr__(self) -> str:
        return f"FileTokenStore({str(self._path)!r})"

    async def load(self, key: str) -> StoredToken | None:
        """See :class:`TokenStore`."""
        return await self._worker.run(lambda: self._load(key))

    async def save(self, key: str, token: StoredToken, *, replaces: int) -> bool:
        """See :class:`TokenStore`. On return the record has reached the disk."""
        return await self._worker.run(lambda: self._save(key, token, replaces))

    async def acquire(self, key: str, ttl: float) -> object | None:  # noqa: ARG002 - the system ends a dead process's lock
        """See :class:`TokenStore`."""
        name = hashlib.sha256(key.encode()).hexdigest()[:16]
        return await self._worker.run(lambda: self._try_lock(f"{self._path.name}.{name}.lock"))

    async def release(self, key: str, lease: object) -> None:  # noqa: ARG002 - the lease knows its file
        """See :class:`TokenStore`."""
        if isinstance(lease, _Lock):
            lease.close()

    async def extend(self, key: str, lease: object, ttl: float) -> bool:  # noqa: ARG002 - the system knows who lives
        """See :class:`TokenStore`."""
        return isinstance(lease, _Lock) and lease.held

    async def delete(self, key: str) -> None:
        """See :class:`TokenStore`."""
        await self._worker.run(lambda: self._delete(key))

    async def aclose(self) -> None:
        """Nothing is kept open."""

    # In the executor

    def _load(self, key: str) -> StoredToken | None:
        self._check_folder()
        tokens, _sound = self._read()
        try:
            return None if key not in tokens else from_json(tokens[key])
        except ValueError as error:
            _log.error("%s: the record of %r is damaged (%s); it counts as none", self._path, key, error)
            return None

    def _save(self, key: str, token: StoredToken, replaces: int) -> bool:
        self._check_folder()
        with self._write_lock():
            tokens, sound = self._read()
            current = 0
            if key in tokens:
                try:
                    current = from_json(tokens[key]).version
                except ValueError:
                    sound = False
            if current != replaces:
                return False
            aside = None if sound else self._set_aside()
            tokens[key] = to_json(token)
            try:
                self._write(tokens)
            except BaseException:
                if aside is not None:
                    aside.unlink()  # the file itself is still there: one name is enough
                raise
            if aside is not None:
                _log.error("%s: the damaged token file is kept as %s", self._path, aside.name)
        return True

    def _delete(self, key: str) -> None:
        self._check_folder()
        with self._write_lock():
            tokens, _sound = self._read()
            if tokens.pop(key, None) is not None:
                self._write(tokens)

    def _write(self, tokens: dict[str, Any]) -> None:
        data = json.dumps({"version": _FORMAT, "tokens": tokens}, indent=1).encode()
        write_private(self._path, data if self._cipher is None else self._cipher.encrypt(data))

    def _read(self) -> tuple[dict[str, Any], bool]:
        """All records as they stand, and whether the file could be read."""
        data = self._read_bytes()
        if data is None:
            return {}, True
        if self._cipher is not None:
            try:
                data = self._cipher.decrypt(data)
            except Exception:  # noqa: BLE001 - every cipher has its own errors
                data = None
            if data is None:
                raise ConfigurationError(f"cipher: cannot decrypt {str(self._path)!r}; is it the key that it was written with?")
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        version = value.get("version") if isinstance(value, dict) else None
        if isinstance(version, int) and version > _FORMAT:
            raise ConfigurationError(f"path: {str(self._path)!r} was written by a newer aiogmail (format {version}); use that")
        tokens = value.get("tokens") if isinstance(value, dict) and version == _FORMAT else None
        if not isinstance(tokens, dict):
            _log.error("%s: the token file is damaged; it counts as empty, and will be kept under another name", self._path)
            return {}, False
        return tokens, True

    def _read_bytes(self) -> bytes | None:
        try:
            fd = os.open(self._path, os.O_RDONLY | _NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK):
                link = f"path: {str(self._path)!r} is a symbolic link; name the file itself"
            else:
                raise
        else:
            with os.fdopen(fd, "rb") as file:
                _check_owner(os.fstat(fd), self._path, "chmod 600", folder=False)
                return file.read(_SIZE_LIMIT)
        raise ConfigurationError(link)

    def _check_folder(self) -> None:
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(folder.stat(), folder, "chmod 700", folder=True)

    def _set_aside(self) -> Path:
        aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
        os.link(self._path, aside)  # the old content keeps a name when the new one takes its place
        return aside

    def _try_lock(self, name: str) -> _Lock | None:
        self._check_folder()
        try:
            return _Lock(self._path.with_name(name))
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                return None
            raise

    @contextmanager
    def _write_lock(self) -> Iterator[None]:
        give_up = time.monotonic() + _LOCK_WAIT
        while (lock := self._try_lock(f"{self._path.name}.lock")) is None:
            if time.monotonic() > give_up:
                raise StoreUnavailable(f"{self._path} has been locked by another process for {_LOCK_WAIT:g} s")
            time.sleep(0.005)  # in the executor
        try:
            yield
        finally:
            lock.close()


def write_private(path: Path, data: bytes, suffix: str = "") -> None:
    """Put a file in place whole or not at all, readable by its owner only; blocks.

    One writer at a time, or each with a ``suffix`` of its own for the new file until it takes its name.

    Raises:
        OSError: the old file, if there was one, is untouched.
    """
    new = path.with_name(f"{path.name}{suffix}.tmp")
    with suppress(FileNotFoundError):
        new.unlink()  # left by a process that was killed
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    if sys.platform != "win32":  # pragma: no branch - Windows cannot open a folder, and journals the name by itself
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _check_owner(status: os.stat_result, path: Path, mend: str, *, folder: bool) -> None:
    if sys.platform == "win32":  # pragma: no cover - there a profile folder's access list does it
        return
    kind = "folder" if folder else "file"
    if not folder and not stat.S_ISREG(status.st_mode):
        raise ConfigurationError(f"path: {str(path)!r} is no regular file")
    if status.st_uid != os.geteuid():
        raise ConfigurationError(f"path: the {kind} {str(path)!r} belongs to another user (uid {status.st_uid})")
    if status.st_mode & 0o077:
        raise ConfigurationError(
            f"path: others may use the {kind} {str(path)!r} (mode {stat.S_IMODE(status.st_mode):04o}): tokens need a {kind} "
            f"of their own; {mend} {str(path)!r} if nobody else needs it"
        )
