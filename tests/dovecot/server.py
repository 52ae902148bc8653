"""How does a test run get a Dovecot of its own: started by it, asked by it, ended by it, nothing left behind?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType

from aiogmail.settings import Endpoint, Settings, Timeouts
from tests.support import ca
from tests.support.canary import CANARIES
from tests.support.install import SWITCH
from tests.support.jwt import Signer
from tests.support.ports import free_ports

from . import configuration
from .maildir import Delivered, Maildir
from .relay import Relay, Reservation

_STARTS = 5  # tries to find a set of ports that stays free until Dovecot has bound them
_START_TIMEOUT = 20.0
_STOP_TIMEOUT = 1.0


class DovecotFailed(Exception):
    """It did not start, or a doveadm command failed; the message ends with the log."""


class Dovecot:
    """A Dovecot 2.3 with IMAP, POP3 and submission on loopback ports, TLS, and OAuth tokens that ``signer`` signs.

    Any address is an account: the first login or delivery makes it. ``with Dovecot() as server`` starts and stops it.

    Attributes:
        ports: ``imap``, ``imaps``, ``pop3``, ``pop3s``, ``submission``, ``submissions`` and ``relay`` to port numbers.
        signer: what its tokens are signed with.
        folder: where everything of it is; gone after :meth:`stop`.
    """

    def __init__(self) -> None:
        self.signer = Signer()
        self.ports: dict[str, int] = {}
        self.folder = Path()
        self._identity = configuration.Identity.choose()
        self._process: subprocess.Popen[bytes] | None = None
        self._relay: Reservation | None = None

    # -- life ---------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Dovecot:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until every port accepts connections.

        Raises:
            DovecotFailed: with its log.
        """
        if self._process is not None:
            raise DovecotFailed("already started")
        version = subprocess.run([_program("dovecot"), "--version"], capture_output=True, text=True, check=True).stdout.strip()
        if not version.startswith("2.3."):
            raise DovecotFailed(f"This is Dovecot {version}; tests/dovecot/configuration.py is written for 2.3. {SWITCH}=0 runs without.")
        CANARIES.add("JWT of the Dovecot fixture", self.signer.prefix)
        # Not pytest's tmp_path: its parents are closed to other users, and the paths of unix sockets must stay short.
        self.folder = Path(tempfile.mkdtemp(prefix="aiogmail-dovecot-"))
        try:
            for _ in range(_STARTS):
                if self._try_start():
                    return
            raise DovecotFailed(f"Dovecot found no free ports in {_STARTS} tries:\n{self.log()}")
        except BaseException:
            self.stop()
            raise

    def _try_start(self) -> bool:
        """Whether it runs now; False: a port was taken in the meantime."""
        self._release()
        self._relay = Reservation()
        servers = configuration.PORTS[:-1]
        self.ports = {**dict(zip(servers, free_ports(len(servers)), strict=True)), "relay": self._relay.port}
        main = configuration.write(self.folder, self._identity, self.ports, ca.write_files(self.folder), self.signer.key)
        for name in ("run", "state", "home", "mail"):
            (self.folder / name).mkdir(exist_ok=True)
        self._give_away()
        output = self.folder / "stderr"
        with output.open("wb") as stderr:
            # Its own session, so that what it starts can be told from ours; it ends with this process, however that ends.
            self._process = subprocess.Popen(
                [*self._unprivileged("--pdeathsig", "TERM"), _program("dovecot"), "-F", "-c", str(main)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                if "Address already in use" in self.log():
                    return False
                raise DovecotFailed(f"dovecot ended with status {self._process.returncode}:\n{self.log()}")
            if all(_accepts(self.ports[name]) for name in servers):
                return True
            time.sleep(0.02)
        raise DovecotFailed(f"Dovecot did not listen within {_START_TIMEOUT} s:\n{self.log()}")

    def stop(self) -> None:
        """End it and everything it started, wait for that, remove its folder. Safe to call again."""
        self._release()
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = Path()

    def _release(self) -> None:
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        process, self._process = self._process, None
        if process is None:
            return
        # The whole session, not the master alone: it would wait for its children, and login processes outlive it for as long
        # as they carry the TLS of a client. Nothing they still had to write is wanted.
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            deadline = time.monotonic() + _STOP_TIMEOUT
            while time.monotonic() < deadline:
                if process.poll() is not None and not _session_lives(process.pid):
                    return
                time.sleep(0.01)
        raise DovecotFailed(f"processes of the session of {process.pid} do not end")

    @property
    def pid(self) -> int:
        """The master process's id."""
        if self._process is None:
            raise DovecotFailed("not started")
        return self._process.pid

    def log(self, since: int = 0) -> str:
        """What it has logged, from a :meth:`log_mark` on or, from the start, with its words before the log was open."""
        parts = [self.folder / "dovecot.log"] if since else [self.folder / "stderr", self.folder / "dovecot.log"]
        return "".join(part.read_bytes()[since:].decode(errors="replace") for part in parts if part.exists())

    def log_mark(self) -> int:
        """How long the log is now, in bytes."""
        return (self.folder / "dovecot.log").stat().st_size

    # -- for the client under test ------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """Implicit TLS on all three ports, with the run's authority, and deadlines of a few seconds."""
        return self.settings_at()

    def settings_at(self, *, imap: int | None = None, smtp: int | None = None, pop3: int | None = None, **changes: object) -> Settings:
        """:attr:`settings` with other ports, where a proxy listens, say; ``changes`` go to :class:`Settings`."""
        endpoints = {
            name: Endpoint("127.0.0.1", port, ssl_context=ca.client_context())
            for name, port in (
                ("imap", imap or self.ports["imaps"]),
                ("smtp", smtp or self.ports["submissions"]),
                ("pop3", pop3 or self.ports["pop3s"]),
            )
        }
        timeouts = Timeouts(connect=10.0, auth=10.0, command=20.0, first_byte=20.0, progress=10.0, logout=2.0, recover=30.0)
        return Settings(**{"timeouts": timeouts, **endpoints, **changes})  # type: ignore[arg-type]

    def token(self, address: str, lifetime: float = 3600.0) -> str:
        """An access token that the server believes for ``lifetime`` seconds (negative: expired)."""
        return self.signer.token(address, lifetime)

    # -- what a test does to it ---------------------------------------------------------------------------------------

    def deliver_many(self, address: str, messages: Sequence[bytes], mailbox: str = "INBOX") -> list[Delivered]:
        """Put ``messages`` (with CRLF line ends) into a mailbox by writing its Maildir files, in this order of UIDs."""
        return self.maildir(address, mailbox).deliver(messages)

    def maildir(self, address: str, mailbox: str = "INBOX") -> Maildir:
        """The files of a mailbox."""
        return Maildir.of(self.folder / "mail" / address, mailbox, self._identity.uid, self._identity.gid)

    def kick_now(self, address: str) -> int:
        """:meth:`kick`, blocking; the number of sessions that were ended."""
        sessions = [line for line in self._doveadm("who", "-1", address).splitlines()[1:] if line.split()[0] == address]
        if sessions:
            self._doveadm("kick", address)
        return len(sessions)

    async def kick(self, address: str) -> int:
        """Drop all sessions of ``address`` (``doveadm kick``); how many there were.

        Dovecot says ``* BYE Server shutting down.`` to those in no command and just closes the others.
        """
        return await asyncio.get_running_loop().run_in_executor(None, self.kick_now, address)

    def sessions_now(self, address: str) -> int:
        """How many sessions ``address`` has, over all protocols."""
        return sum(line.split()[0] == address for line in self._doveadm("who", "-1", address).splitlines()[1:])

    async def sessions(self, address: str) -> int:
        """:meth:`sessions_now` without blocking the loop."""
        return await asyncio.get_running_loop().run_in_executor(None, self.sessions_now, address)

    @contextlib.asynccontextmanager
    async def relay(self) -> AsyncIterator[Relay]:
        """Where submitted mail goes while this is open; at other times the server's relay host refuses connections."""
        if self._relay is None:
            raise DovecotFailed("not started")
        async with self._relay.open() as relay:
            yield relay

    # -- inside -------------------------------------------------------------------------------------------------------

    def _unprivileged(self, *more: str) -> list[str]:
        """The command prefix that runs a program as the server's user and starts nothing where we are that user already."""
        prefix = [_program("setpriv"), *more]
        if os.geteuid() == 0:
            prefix += [f"--reuid={self._identity.uid}", f"--regid={self._identity.gid}", "--clear-groups"]
        return [*prefix, "--"]

    def _doveadm(self, *arguments: str) -> str:
        command = [*self._unprivileged(), _program("doveadm"), "-c", str(self.folder / "dovecot.conf"), *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20)
        if done.returncode != 0:
            raise DovecotFailed(f"doveadm {' '.join(arguments)}: status {done.returncode}: {done.stderr}")
        return done.stdout

    def _give_away(self) -> None:
        """Hand the folder to the server's user."""
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, self._identity.uid, self._identity.gid)


def _program(name: str) -> str:
    """The path of a program, which for servers is often not on an ordinary user's PATH."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin")
    if path is None:
        raise DovecotFailed(f"{name} is not installed: python -m tests.support.install")
    return path


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _session_lives(leader: int) -> bool:
    """Whether a process of the session that ``leader`` led is still there."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == leader and fields[0] != "Z":
                    return True
    return False
