"""Where are aioimaplib's own tests? In its last release that carries them, which is fetched from the package index and checked by hash.

The releases from 2.0.0 on leave them out; those of 1.2.0 ask of the client what 2.0.3 gives, and pass on it (test_upstream.py sees to
that). Nothing of them is in this repository: they are kept in the user's cache folder. ``python -m tests.compat.upstream`` fetches them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "1.2.0"
SHA256 = "f206b73541f42a792e25a233e5b46550ba612ed4ea536aac6f9f79b462f1e2d2"
MODULES = (  # of its tests, those that use the client; the others test its test server with imaplib
    "test_acceptance_aioimaplib.py",
    "test_aioimaplib.py",
    "test_aioimaplib_capabilities.py",
    "test_aioimaplib_clocked.py",
    "test_imapserver_aioimaplib.py",
    "test_utils.py",
)
_PORT = "12345"


class NotFetched(Exception):
    """One line: what could not be fetched, and why."""


def folder() -> Path:
    """The folder with ``aioimaplib/tests`` in it, fetched if it is not here.

    Raises:
        NotFetched: with the one line to show.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aiogmail-tests"
    there = cache / f"aioimaplib-{VERSION}"
    if not there.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as fetched:
            _fetch(Path(fetched))
            try:
                (Path(fetched) / "unpacked").rename(there)
            except OSError:  # another run was quicker
                if not there.exists():
                    raise
    return there


def _fetch(into: Path) -> None:
    wanted = into / "wanted.txt"
    wanted.write_text(f"aioimaplib=={VERSION} --hash=sha256:{SHA256}\n")
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(into / "unpacked"), "-r", str(wanted)]
    said = "there is neither pip nor uv"
    for installer in _installers():
        done = subprocess.run([*installer, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        said = next((line for line in done.stderr.splitlines() if "error" in line.lower()), f"exit status {done.returncode}")
    raise NotFetched(f"aioimaplib {VERSION}, whose tests run against our client, could not be fetched from the package index: {said}")


def _installers() -> list[list[str]]:
    """pip of this environment, or whatever else can fetch a wheel: environments that uv made have no pip."""
    able = []
    for program, *options in ([sys.executable, "-m", "pip"], ["uv", "pip"], ["pip3"], ["python3", "-m", "pip"]):
        if shutil.which(program) is not None:
            done = subprocess.run([program, *options, "--version"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if done.returncode == 0:
                able.append([program, *options, "install", *(("--python", sys.executable) if program == "uv" else ())])
    return able


def copy(to: Path, port: int) -> Path:
    """A copy in which the tests' server listens on ``port`` instead of the one that they have written in."""
    copied = to / "upstream"
    # What was compiled is left behind: changed within the second in which it was fetched, a file looks as old as that, and as long.
    compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(folder() / "aioimaplib" / "tests", copied / "aioimaplib" / "tests", ignore=compiled)
    for file in copied.glob("aioimaplib/tests/*.py"):
        file.write_text(file.read_text(encoding="utf-8").replace(_PORT, str(port)), encoding="utf-8")
    return copied


if __name__ == "__main__":
    try:
        print(folder())
    except NotFetched as error:
        sys.exit(str(error))
