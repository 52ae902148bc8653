"""Where imapflow comes from: npm, once, into a cache folder outside the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

__all__ = ["SCRIPT", "Unavailable", "folder"]

SCRIPT = Path(__file__).parent / "clients" / "imapflow.mjs"


class Unavailable(Exception):
    """Why it is left out."""


def folder() -> Path:
    """The folder whose ``node_modules`` holds imapflow.

    Raises:
        Unavailable: no node, no npm, or npm could not install it.
    """
    if shutil.which("node") is None:
        raise Unavailable("node is not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aiogmail-benchmarks"
    if not (cache / "node_modules" / "imapflow").is_dir():
        if shutil.which("npm") is None:
            raise Unavailable("npm is not installed")
        cache.mkdir(parents=True, exist_ok=True)
        (cache / "package.json").write_text('{"private": true}\n')
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "imapflow@2"], cwd=cache, capture_output=True, text=True, timeout=180, check=False
        )
        if done.returncode:
            raise Unavailable(f"npm could not install it: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return cache
