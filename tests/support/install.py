"""What must be on this machine before the tests with real servers run, and how does it get there?

``python -m tests.support.install`` installs what is missing with apt-get (as root, or through ``sudo -n``) and leaves none
of it running. Where that cannot be done it says so in one line and exits with 1. ``AIOGMAIL_REAL=0`` runs the tests without.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SWITCH = "AIOGMAIL_REAL"
WITHOUT = f"The tests with real servers (Dovecot, Redis) did NOT run: {SWITCH}=0."
LOCK_WAIT = 300.0  # seconds that another apt or dpkg (unattended-upgrades, say) may keep us waiting
_PAUSE = 2.0

PROGRAMS: dict[str, tuple[str, ...]] = {  # Debian package: any one of these files shows that it is here
    "dovecot-imapd": ("/usr/lib/dovecot/imap", "/usr/libexec/dovecot/imap"),
    "dovecot-pop3d": ("/usr/lib/dovecot/pop3", "/usr/libexec/dovecot/pop3"),
    "dovecot-submissiond": ("/usr/lib/dovecot/submission", "/usr/libexec/dovecot/submission"),
    "redis-server": ("/usr/bin/redis-server", "/usr/local/bin/redis-server", "/opt/homebrew/bin/redis-server"),
}
SERVICES: dict[str, str] = {"dovecot-imapd": "dovecot.service", "redis-server": "redis-server.service"}
POLICY = Path("/usr/sbin/policy-rc.d")  # exit status 101 forbids maintainer scripts to start their services


class NotInstallable(Exception):
    """One line: what is missing, why it could not be installed, what to do."""


def wanted() -> bool:
    """Whether this run is to use real servers."""
    return os.environ.get(SWITCH, "1") != "0"


def missing() -> list[str]:
    """The Debian packages of :data:`PROGRAMS` that are not here."""
    return [package for package, files in PROGRAMS.items() if not any(Path(file).exists() for file in files)]


def advice(packages: Sequence[str], why: str) -> str:
    """The one line for a machine where ``packages`` are missing."""
    return f"Missing {' '.join(packages)} ({why}): install them, or run the tests without real servers with {SWITCH}=0."


def _as_root(packages: Sequence[str]) -> list[str]:
    """The prefix that makes a command run as root."""
    if shutil.which("apt-get") is None:
        raise NotInstallable(advice(packages, "there is no apt-get here"))
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None or subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode != 0:
        raise NotInstallable(advice(packages, "this is neither root nor may it sudo without a password"))
    return [sudo, "-n"]


@contextlib.contextmanager
def _nothing_started(root: Sequence[str]) -> Iterator[None]:
    """Keep the packages' own daemons from being started; a policy of the machine's owner stays as it is."""
    if POLICY.exists():
        yield
        return
    subprocess.run([*root, "tee", str(POLICY)], input=b"#!/bin/sh\nexit 101\n", stdout=subprocess.DEVNULL, check=True)
    try:
        subprocess.run([*root, "chmod", "755", str(POLICY)], check=True)
        yield
    finally:
        subprocess.run([*root, "rm", "-f", str(POLICY)], check=True)


def _apt(root: Sequence[str], *arguments: str) -> tuple[int, str]:
    """Run apt-get, waiting for whoever holds its locks; the exit status and the first thing it complained of."""
    environment = ("DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
    command = [*root, "env", *environment, "apt-get", "-qq", "-o", f"DPkg::Lock::Timeout={LOCK_WAIT:.0f}", *arguments]
    deadline = time.monotonic() + LOCK_WAIT
    while True:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        words = [line[3:] for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
        # DPkg::Lock::Timeout does not cover the lists' lock of `update`.
        locked = any("Could not get lock" in line or "Unable to lock" in line for line in words)
        if done.returncode == 0 or not locked or time.monotonic() > deadline:
            return done.returncode, words[0] if words else ""
        time.sleep(_PAUSE)


def _keep_stopped(root: Sequence[str], packages: Sequence[str]) -> None:
    """Newly installed servers are for the tests alone: they start neither now nor with the machine."""
    if Path("/run/systemd/system").is_dir():
        services = [service for package, service in SERVICES.items() if package in packages]
        if services:
            subprocess.run([*root, "systemctl", "--quiet", "disable", "--now", *services], capture_output=True, check=False)


def install(packages: Sequence[str]) -> None:
    """Install ``packages`` and leave nothing of them running.

    Raises:
        NotInstallable: with the one line to show.
    """
    root = _as_root(packages)
    print(f"Installing {' '.join(packages)} for the tests with real servers.", flush=True)
    _, update_said = _apt(root, "update")
    with _nothing_started(root):
        status, said = _apt(root, "install", "--yes", "--no-install-recommends", *packages)
    if status != 0:
        # Without a network it is the update that knows why; the installation only does not find the packages.
        raise NotInstallable(advice(packages, f"apt-get: {update_said or said or f'exit status {status}'}"))
    _keep_stopped(root, packages)
    if left := [package for package in missing() if package in packages]:
        raise NotInstallable(advice(left, "apt-get installed them, but their programs are not where they are looked for"))


def ensure() -> None:
    """Have everything that the tests with real servers need; nothing to do where it is here or not wanted.

    Raises:
        NotInstallable: with the one line to show.
    """
    if wanted() and (packages := missing()):
        install(packages)


def main() -> int:
    try:
        ensure()
    except NotInstallable as error:
        print(error, file=sys.stderr)
        return 1
    if not wanted():
        print(WITHOUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
